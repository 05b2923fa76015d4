/**
 * The straight-line steps: a system call, a store, a comparison, a new process.
 */
import type { Role } from "../../program/program.ts";
import { SIGNAL } from "../../program/signal.ts";
import { type Context, LOWEST_ERROR, type StepOf } from "../context.ts";
import type { Register } from "../machine.ts";
import { errnoNumber } from "../validate.ts";

const ARGUMENTS = ["a0", "a1", "a2", "a3", "a4", "a5"] as const satisfies readonly Register[];

export function lowerCall(context: Context, role: Role, step: StepOf<"call">, final: boolean): void {
  const m = context.machine;
  for (const [index, operand] of step.args.entries()) context.operand(ARGUMENTS[index] ?? "a5", operand);
  context.syscall(step.call);
  m.storeAt(8, context.cell(step.id), "r");
  if (step.onError === "continue") return;
  const failure = context.failure(role, step.id, final);
  if (step.onError === "fail") return m.branchImmediate("aboveEqual", "r", LOWEST_ERROR, failure);

  const next = m.fresh();
  const errnos = Object.entries(step.onError.errnos);
  const handler = m.fresh();
  m.branchImmediate("aboveEqual", "r", LOWEST_ERROR, handler);
  m.label(next);
  context.later(() => {
    m.label(handler);
    for (const [name, label] of errnos)
      m.branchImmediate(
        "equal",
        "r",
        BigInt(-errnoNumber(name, step.id)),
        label === "next" ? next : context.label(role, label),
      );
    m.jump(failure);
  });
}

export function lowerStore(context: Context, step: StepOf<"store">): void {
  const m = context.machine;
  context.operand("r", step.value);
  m.storeAt(step.width, context.buffer(step.into).address + step.offset, "r");
}

/** Leaves the whole value in the step's cell: what was found instead is what a message needs. */
export function lowerExpect(context: Context, role: Role, step: StepOf<"expect">, final: boolean): void {
  const m = context.machine;
  const differs = m.fresh();
  context.operand("r", step.value);
  m.storeAt(8, context.cell(step.id), "r");
  compare(context, step);
  m.branch("notEqual", "r", "a1", differs);
  const failure = context.failure(role, step.id, final);
  context.later(() => {
    m.label(differs);
    m.immediate("r", BigInt(-errnoNumber(step.errno, step.id)));
    m.jump(failure);
  });
}

export function lowerBranch(context: Context, role: Role, step: StepOf<"branch">): void {
  context.operand("r", step.value);
  compare(context, step);
  context.machine.branch("equal", "r", "a1", context.label(role, step.to));
}

/** `r` and the mask, `a1` what it must be. */
function compare(context: Context, step: StepOf<"expect" | "branch">): void {
  const m = context.machine;
  if (BigInt.asIntN(64, step.mask) !== -1n) {
    m.immediate("a1", step.mask);
    m.and("r", "a1");
  }
  context.operand("a1", step.equals);
}

/** struct clone_args: fields by offset (clone(2)). */
const CLONE_ARGS = { flags: 0, exitSignal: 32, cgroup: 80, size: 88 } as const;
const CLONE_INTO_CGROUP = 1n << 33n;
/** Bits of clone(2)'s flags that are the exit signal there, and CLONE_NEWTIME for clone3(2). */
const CSIGNAL = 0xffn;

/** The child goes on with a copy of everything, so it jumps before the parent's store: the cells are shared. */
export function lowerSpawn(context: Context, role: Role, step: StepOf<"spawn">, final: boolean): void {
  const m = context.machine;
  if (step.cgroup === undefined && (step.flags & CSIGNAL) === 0n) {
    m.immediate("a0", step.flags | BigInt(SIGNAL.SIGCHLD));
    // The order of the others differs between architectures; all are zero.
    for (const register of ["a1", "a2", "a3", "a4"] as const) m.immediate(register, 0n);
    context.syscall("clone");
  } else {
    const size = 96; // CLONE_ARGS.size, kept a multiple of 16
    m.reserve(size);
    m.stackTo("a0");
    m.immediate("a1", 0n);
    for (let offset = 0; offset < CLONE_ARGS.size; offset += 8) m.store(8, "a0", offset, "a1");
    m.immediate("a1", step.flags | (step.cgroup === undefined ? 0n : CLONE_INTO_CGROUP));
    m.store(8, "a0", CLONE_ARGS.flags, "a1");
    m.immediate("a1", BigInt(SIGNAL.SIGCHLD));
    m.store(8, "a0", CLONE_ARGS.exitSignal, "a1");
    if (step.cgroup !== undefined) {
      context.operand("a1", step.cgroup);
      m.store(8, "a0", CLONE_ARGS.cgroup, "a1");
    }
    m.immediate("a1", BigInt(CLONE_ARGS.size));
    context.syscall("clone3");
    m.release(size);
  }
  m.branchImmediate("equal", "r", 0n, context.entry(step.role));
  // A failed spawn leaves its cell 0: the cell is a pid to kill, and kill(2) takes -1 for every process there is.
  m.branchImmediate("aboveEqual", "r", LOWEST_ERROR, context.failure(role, step.id, final));
  m.storeAt(8, context.cell(step.id), "r");
}
