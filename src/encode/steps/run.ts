/**
 * `run`: a host program (newuidmap, newgidmap) in a child of its own, awaited. It gets no environment and no blocked
 * signal; any end but exit status 0 fails the step.
 */
import { ERRNO } from "../../program/errno.ts";
import type { Role } from "../../program/program.ts";
import { SIGNAL } from "../../program/signal.ts";
import { type Context, LOWEST_ERROR, type StepOf } from "../context.ts";
import { NOT_FOUND } from "./exit.ts";

const SIG_SETMASK = 2n;
const SIGSET_SIZE = 8n;

/** The cell keeps the wait status, or the negative errno of clone(2) or wait4(2). */
export function lowerRun(context: Context, role: Role, step: StepOf<"run">, final: boolean): void {
  const m = context.machine;
  const [child, wait, refused, ended] = [m.fresh(), m.fresh(), m.fresh(), m.fresh()];
  m.immediate("a0", BigInt(SIGNAL.SIGCHLD));
  for (const register of ["a1", "a2", "a3", "a4"] as const) m.immediate(register, 0n);
  context.syscall("clone");
  m.branchImmediate("equal", "r", 0n, child);
  m.branchImmediate("aboveEqual", "r", LOWEST_ERROR, refused);
  m.move("s0", "r");
  m.reserve(16);
  m.label(wait);
  m.move("a0", "s0");
  m.stackTo("a1");
  m.immediate("a2", 0n);
  m.immediate("a3", 0n);
  context.syscall("wait4");
  m.branchImmediate("equal", "r", BigInt(-ERRNO.EINTR), wait);
  m.stackTo("a1");
  m.load("s1", 4, "a1", 0);
  m.release(16);
  m.branchImmediate("aboveEqual", "r", LOWEST_ERROR, refused);
  m.storeAt(8, context.cell(step.id), "s1");
  m.branchImmediate("notEqual", "s1", 0n, ended);

  const failure = context.failure(role, step.id, final);
  context.later(() => {
    m.label(refused);
    m.storeAt(8, context.cell(step.id), "r");
    m.jump(failure);
    m.label(ended);
    m.immediate("r", BigInt(-ERRNO.ECHILD));
    m.jump(failure);
    m.label(child);
    lowerChild(context, step);
  });
}

function lowerChild(context: Context, step: StepOf<"run">): void {
  const m = context.machine;
  m.reserve(Math.ceil(((step.argv.length + 1) * 8) / 16) * 16);
  m.stackTo("s0");
  m.immediate("r", 0n);
  m.store(8, "s0", 0, "r"); // the empty signal set, before argv goes there
  m.immediate("a0", SIG_SETMASK);
  m.move("a1", "s0");
  m.immediate("a2", 0n);
  m.immediate("a3", SIGSET_SIZE);
  context.syscall("rt_sigprocmask");
  for (const [index, argument] of step.argv.entries()) {
    const address =
      "text" in argument
        ? context.rodata.text(argument.text).address
        : context.buffer(argument.buffer).address;
    m.immediate("r", BigInt(address));
    m.store(8, "s0", index * 8, "r");
  }
  m.immediate("r", 0n);
  m.store(8, "s0", step.argv.length * 8, "r"); // ends argv, and is the empty environment
  m.immediate("a0", BigInt(context.rodata.text(step.path).address));
  m.move("a1", "s0");
  m.move("a2", "s0");
  m.addImmediate("a2", step.argv.length * 8);
  context.syscall("execve");
  context.exit(Number(NOT_FOUND));
}
