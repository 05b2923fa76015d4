/**
 * `exit`: leave with a number, or with what became of the payload. Fails closed: 0 only for a payload that ended with 0.
 */
import { ERRNO } from "../../program/errno.ts";
import { FLAGS, HEADER, MEMORY_BASE } from "../../program/program.ts";
import { type Context, SETUP_FAILED, type StepOf } from "../context.ts";

const TIMED_OUT = 124n;
export const NOT_EXECUTABLE = 126n;
export const NOT_FOUND = 127n;

export function lowerExit(context: Context, step: StepOf<"exit">): void {
  if (step.code !== "outcome") return context.exit(step.code);
  const m = context.machine;
  const [exit, noPayload, signalled] = [m.fresh(), m.fresh(), m.fresh()];
  const [unknown, afterExec] = [m.fresh(), m.fresh()];

  m.immediate("a0", BigInt(SETUP_FAILED));
  m.loadAt("r", 4, MEMORY_BASE + HEADER.failedStep);
  m.branchImmediate("notEqual", "r", 0n, exit);

  m.loadAt("a1", 4, MEMORY_BASE + HEADER.flags);
  m.move("r", "a1");
  m.immediate("a2", BigInt(FLAGS.timedOut));
  m.and("r", "a2");
  m.immediate("a0", TIMED_OUT);
  m.branchImmediate("notEqual", "r", 0n, exit);

  m.loadAt("r", 4, MEMORY_BASE + HEADER.execErrno);
  m.branchImmediate("equal", "r", 0n, afterExec);
  lowerExecStatus(context);
  m.jump(exit);
  m.label(afterExec);

  m.move("r", "a1");
  m.immediate("a2", BigInt(FLAGS.payloadEnded));
  m.and("r", "a2");
  m.branchImmediate("equal", "r", 0n, noPayload);
  m.loadAt("a0", 4, MEMORY_BASE + HEADER.payloadStatus);
  m.move("r", "a0");
  m.immediate("a2", 0x7fn); // wait(2): the signal, 0 when it exited
  m.and("r", "a2");
  m.branchImmediate("notEqual", "r", 0n, signalled);
  m.shiftRight("a0", 8);
  m.immediate("a2", 0xffn);
  m.and("a0", "a2");
  m.jump(exit);

  m.label(noPayload);
  m.move("r", "a1");
  m.immediate("a2", BigInt(FLAGS.initEnded));
  m.and("r", "a2");
  m.branchImmediate("equal", "r", 0n, unknown);
  m.loadAt("r", 4, MEMORY_BASE + HEADER.initStatus);
  m.immediate("a2", 0x7fn);
  m.and("r", "a2");
  m.branchImmediate("equal", "r", 0n, unknown); // init exited, yet told nothing of the payload
  m.label(signalled);
  m.addImmediate("r", 128);
  m.move("a0", "r");
  m.jump(exit);

  m.label(unknown);
  m.immediate("a0", BigInt(SETUP_FAILED));
  m.label(exit);
  context.syscall("exit_group");
}

/** `a0` = 127 when the errno in `r` says that there is no such file, else 126. */
export function lowerExecStatus(context: Context): void {
  const m = context.machine;
  const done = m.fresh();
  m.immediate("a0", NOT_FOUND);
  m.branchImmediate("equal", "r", BigInt(ERRNO.ENOENT), done);
  m.branchImmediate("equal", "r", BigInt(ERRNO.ENOTDIR), done);
  m.immediate("a0", NOT_EXECUTABLE);
  m.label(done);
}
