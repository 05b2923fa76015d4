/**
 * Subroutines shared by the steps: bounded text composition, and the failure path.
 *
 * Text is composed at the cursor `s1`, never at or beyond `s2`; what does not fit is cut off and sets `s3` to 1.
 */
import { HEADER, MEMORY_BASE, ROLES, roleProgram } from "../program/program.ts";
import { type Context, failRoutine, SETUP_FAILED } from "./context.ts";
import type { Machine } from "./machine.ts";

/** Copies from `a0` until a NUL or `a1`, whichever is first. Changes `r`, `a0`. */
export const APPEND = "append";
/** Appends `r` in unsigned decimal. Changes `r`, `a0`, `a1`, `a2`. */
export const APPEND_DECIMAL = "append-decimal";
/** Appends the bytes from `a0` to `a1` in lower-case hex. Changes `r`, `a0`, `a2`. */
export const APPEND_HEX = "append-hex";
/** Appends one hex digit, the value in `a2`. */
const APPEND_DIGIT = "append-digit";

/** Emit the routines that the program's steps call. */
export function lowerRoutines(context: Context): void {
  const m = context.machine;
  const parts = context.order.flatMap((step) => (step.kind === "format" ? step.parts : []));
  const report = context.order.some((step) => step.kind === "report");
  const decimal = report || parts.some((part) => "decimal" in part);
  if (decimal || parts.some((part) => "text" in part || "buffer" in part)) append(m);
  if (decimal) appendDecimal(m);
  if (parts.some((part) => "hex" in part)) appendHex(m);
  lowerFailures(context);
}

function append(m: Machine): void {
  const [next, overflow, done] = [m.fresh(), m.fresh(), m.fresh()];
  m.enter(APPEND);
  m.label(next);
  m.branch("aboveEqual", "a0", "a1", done);
  m.load("r", 1, "a0", 0);
  m.branchImmediate("equal", "r", 0n, done);
  m.branch("aboveEqual", "s1", "s2", overflow);
  m.store(1, "s1", 0, "r");
  m.addImmediate("s1", 1);
  m.addImmediate("a0", 1);
  m.jump(next);
  m.label(overflow);
  m.immediate("s3", 1n);
  m.label(done);
  m.leave();
}

/** Digits come out last first, so they are put below a mark on the stack, 20 for 2^64 - 1, and then copied. */
function appendDecimal(m: Machine): void {
  const next = m.fresh();
  m.enter(APPEND_DECIMAL);
  m.reserve(32);
  m.stackTo("a1");
  m.addImmediate("a1", 32);
  m.move("a0", "a1");
  m.label(next);
  m.divideByTen();
  m.addImmediate("a2", 48); // "0"
  m.addImmediate("a0", -1);
  m.store(1, "a0", 0, "a2");
  m.branchImmediate("notEqual", "r", 0n, next);
  m.call(APPEND);
  m.release(32);
  m.leave();
}

function appendHex(m: Machine): void {
  const [next, done, letter, put, overflow] = [m.fresh(), m.fresh(), m.fresh(), m.fresh(), m.fresh()];
  m.enter(APPEND_HEX);
  m.label(next);
  m.branch("aboveEqual", "a0", "a1", done);
  m.load("a2", 1, "a0", 0);
  m.shiftRight("a2", 4);
  m.call(APPEND_DIGIT);
  m.load("a2", 1, "a0", 0);
  m.immediate("r", 15n);
  m.and("a2", "r");
  m.call(APPEND_DIGIT);
  m.addImmediate("a0", 1);
  m.jump(next);
  m.label(done);
  m.leave();

  m.enter(APPEND_DIGIT);
  m.branch("aboveEqual", "s1", "s2", overflow);
  m.branchImmediate("aboveEqual", "a2", 10n, letter);
  m.addImmediate("a2", 48); // "0"
  m.jump(put);
  m.label(letter);
  m.addImmediate("a2", 87); // "a" - 10
  m.label(put);
  m.store(1, "s1", 0, "a2");
  m.addImmediate("s1", 1);
  m.leave();
  m.label(overflow);
  m.immediate("s3", 1n);
  m.leave();
}

/**
 * The failure paths: `r` negative errno, `a1` step number. Step and errno go to the header as one 64-bit word in one
 * atomic act, because roles run at the same time and the first failure must win whole.
 */
function lowerFailures(context: Context): void {
  const m = context.machine;
  m.enter("record-failure");
  m.immediate("a0", 0n);
  m.subtract("a0", "r");
  m.shiftLeft("a0", 32); // HEADER.failedErrno is the upper half
  m.add("a0", "a1");
  m.storeIfZero(MEMORY_BASE + HEADER.failedStep, "a0");
  m.leave();
  for (const role of ROLES) {
    const target = roleProgram(context.program, role).onFailure;
    m.label(failRoutine(role, false));
    if (target === null) {
      m.jump(failRoutine(role, true));
      continue;
    }
    m.call("record-failure");
    m.jump(context.label(role, target));
  }
  m.label(failRoutine("monitor", true));
  m.call("record-failure");
  context.exit(SETUP_FAILED);
}
