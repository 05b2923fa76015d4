/**
 * `environment` and `exec`: what the payload gets, and how its file is found. Never runs a shell: a file that the
 * kernel does not know how to execute (ENOEXEC) is not executable.
 */
import { bug } from "../../problems.ts";
import { ERRNO } from "../../program/errno.ts";
import { FLAGS, HEADER, MEMORY_BASE, ROLES, type Role, roleProgram } from "../../program/program.ts";
import type { Context, StepOf } from "../context.ts";
import { utf8Length } from "../rodata.ts";
import { lowerExecStatus } from "./exit.ts";

/** The array stays on the stack, sized at encode time: one pointer per set entry and per name passed, and the NULL. */
export function lowerEnvironment(context: Context, step: StepOf<"environment">): void {
  const m = context.machine;
  const nameOf = (entry: string): string => {
    const end = entry.indexOf("=");
    return end > 0 ? entry.slice(0, end) : bug(`${step.id}: "${entry}" is not NAME=VALUE`);
  };
  const set = new Set(step.set.map(nameOf));
  const pass = [...new Set(step.pass)].filter((name) => !set.has(name));
  for (const name of pass)
    if (name === "" || name.includes("=")) bug(`${step.id}: "${name}" is not the name of a variable`);

  m.reserve(pointers(step.set.length + pass.length + 1));
  m.stackTo("s1");
  m.storeAt(8, context.cell(step.id), "s1");
  for (const entry of step.set) {
    m.immediate("r", BigInt(context.rodata.text(entry).address));
    m.store(8, "s1", 0, "r");
    m.addImmediate("s1", 8);
  }
  if (pass.length > 0) passVariables(context, pass);
  m.immediate("r", 0n);
  m.store(8, "s1", 0, "r");
}

/** For each name the first variable of that name, so that duplicates cannot fill the array. `s1` is where they go. */
function passVariables(context: Context, pass: readonly string[]): void {
  const m = context.machine;
  const [nextName, nextVariable, compare, match, skip, done] = [
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
  ];
  m.immediate("s2", BigInt(context.rodata.list(pass.map((name) => `${name}=`))));
  m.label(nextName);
  m.load("r", 1, "s2", 0);
  m.branchImmediate("equal", "r", 0n, done);
  m.load("s3", 8, "base", 0); // envp is behind argc, argv and its NULL
  m.shiftLeft("s3", 3);
  m.add("s3", "base");
  m.addImmediate("s3", 16);
  m.label(nextVariable);
  m.load("a0", 8, "s3", 0);
  m.addImmediate("s3", 8);
  m.branchImmediate("equal", "a0", 0n, skip);
  m.move("a1", "s2");
  m.label(compare);
  m.load("r", 1, "a1", 0);
  m.branchImmediate("equal", "r", 0n, match);
  m.load("a2", 1, "a0", 0);
  m.branch("notEqual", "a2", "r", nextVariable);
  m.addImmediate("a0", 1);
  m.addImmediate("a1", 1);
  m.jump(compare);
  m.label(match);
  m.load("a0", 8, "s3", -8);
  m.store(8, "s1", 0, "a0");
  m.addImmediate("s1", 8);
  m.label(skip);
  m.load("r", 1, "s2", 0);
  m.addImmediate("s2", 1);
  m.branchImmediate("notEqual", "r", 0n, skip);
  m.jump(nextName);
  m.label(done);
}

/** Longest name of a file (limits.h NAME_MAX); a longer one is ENAMETOOLONG in every directory. */
const NAME_MAX = 255;

/** Go on to the next directory, as execvp(3): what says only that it is not there. */
const NOT_THERE = [ERRNO.ENOENT, ERRNO.ENOTDIR, ERRNO.ESTALE, ERRNO.ENODEV, ERRNO.ETIMEDOUT];

/** `s0` argv, `s1` envp, `s2` the file's name throughout. */
export function lowerExec(context: Context, role: Role, step: StepOf<"exec">): void {
  const m = context.machine;
  const failed = m.fresh();
  if (step.argv === null) ownArguments(context, failed);
  else constantArguments(context, step.argv);
  m.loadAt("s1", 8, context.cell(environmentOf(context, role, step.id)));
  m.atomicOr(MEMORY_BASE + HEADER.flags, FLAGS.execReached);
  if (step.path !== null) {
    m.immediate("s2", BigInt(context.rodata.text(step.path).address));
    execute(context);
  } else {
    m.load("s2", 8, "s0", 0);
    searchPath(context, step.search);
  }
  m.label(failed);
  m.storeAt(8, context.cell(step.id), "r");
  m.immediate("a1", 0n);
  m.subtract("a1", "r");
  m.move("r", "a1");
  m.storeAt(4, MEMORY_BASE + HEADER.execErrno, "r");
  lowerExecStatus(context);
  context.syscall("exit_group");
}

function execute(context: Context): void {
  const m = context.machine;
  m.move("a0", "s2");
  m.move("a1", "s0");
  m.move("a2", "s1");
  context.syscall("execve");
}

/** argv[1..] in place on the initial stack. No argv[1]: there is nothing to execute. */
function ownArguments(context: Context, failed: string): void {
  const m = context.machine;
  m.move("s0", "base");
  m.addImmediate("s0", 16);
  m.immediate("r", BigInt(-ERRNO.ENOENT));
  m.load("a0", 8, "base", 0);
  m.branchImmediate("below", "a0", 2n, failed);
}

/** Constants, then argv[1..] and its NULL; the array is on the stack, its size known only here. */
function constantArguments(context: Context, constants: readonly string[]): void {
  const m = context.machine;
  const [copy, done] = [m.fresh(), m.fresh()];
  if (constants.length === 0) bug("exec with an empty argv");
  m.load("a0", 8, "base", 0);
  m.shiftLeft("a0", 3);
  m.immediate("a1", BigInt(pointers(constants.length + 1) + 16));
  m.add("a0", "a1");
  m.stackTo("s0");
  m.subtract("s0", "a0");
  m.immediate("a1", -16n);
  m.and("s0", "a1");
  m.stackFrom("s0");
  m.move("a2", "s0");
  for (const text of constants) {
    m.immediate("r", BigInt(context.rodata.text(text).address));
    m.store(8, "a2", 0, "r");
    m.addImmediate("a2", 8);
  }
  m.immediate("r", 0n);
  m.load("a0", 8, "base", 0);
  m.branchImmediate("below", "a0", 2n, done); // no argv[1]; with argc 0 not even a NULL there
  m.move("a1", "base");
  m.addImmediate("a1", 16);
  m.label(copy);
  m.load("r", 8, "a1", 0);
  m.branchImmediate("equal", "r", 0n, done);
  m.store(8, "a2", 0, "r");
  m.addImmediate("a1", 8);
  m.addImmediate("a2", 8);
  m.jump(copy);
  m.label(done);
  m.store(8, "a2", 0, "r");
}

/** execvp(3) over constant directories. Leaves the negative errno in `r` when nothing could be executed. */
function searchPath(context: Context, search: readonly string[]): void {
  const m = context.machine;
  const [scan, scanned, direct, directory, copyDirectory, copyName, last, noAccess, done] = [
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
  ];
  const prefixes = search.map((path) => {
    if (!path.startsWith("/")) bug(`the search directory "${path}" is not absolute`);
    return path.endsWith("/") ? path : `${path}/`;
  });

  m.move("a1", "s2");
  m.label(scan);
  m.load("r", 1, "a1", 0);
  m.branchImmediate("equal", "r", 0n, scanned);
  m.branchImmediate("equal", "r", 0x2fn, direct); // "/": as it is
  m.addImmediate("a1", 1);
  m.jump(scan);
  m.label(scanned);
  m.subtract("a1", "s2");
  m.immediate("r", BigInt(-ERRNO.ENOENT));
  m.branchImmediate("equal", "a1", 0n, done);
  m.immediate("r", BigInt(-ERRNO.ENAMETOOLONG));
  m.branchImmediate("aboveEqual", "a1", BigInt(NAME_MAX + 1), done);

  m.reserve(roundUp(Math.max(0, ...prefixes.map(utf8Length)) + NAME_MAX + 1));
  m.immediate("s3", 0n); // 1 once a directory had the file but refused it
  m.immediate("s4", BigInt(context.rodata.list(prefixes)));
  m.label(directory);
  m.load("r", 1, "s4", 0);
  m.branchImmediate("equal", "r", 0n, last);
  m.stackTo("a1");
  m.label(copyDirectory);
  m.load("r", 1, "s4", 0);
  m.addImmediate("s4", 1);
  m.store(1, "a1", 0, "r");
  m.addImmediate("a1", 1);
  m.branchImmediate("notEqual", "r", 0n, copyDirectory);
  m.addImmediate("a1", -1); // the name goes over the NUL
  m.move("a2", "s2");
  m.label(copyName);
  m.load("r", 1, "a2", 0);
  m.addImmediate("a2", 1);
  m.store(1, "a1", 0, "r");
  m.addImmediate("a1", 1);
  m.branchImmediate("notEqual", "r", 0n, copyName);
  m.stackTo("a0");
  m.move("a1", "s0");
  m.move("a2", "s1");
  context.syscall("execve");
  m.branchImmediate("equal", "r", BigInt(-ERRNO.EACCES), noAccess);
  for (const errno of NOT_THERE) m.branchImmediate("equal", "r", BigInt(-errno), directory);
  m.jump(done);
  m.label(noAccess);
  m.immediate("s3", 1n);
  m.jump(directory);
  m.label(last);
  m.immediate("r", BigInt(-ERRNO.ENOENT));
  m.branchImmediate("equal", "s3", 0n, done);
  m.immediate("r", BigInt(-ERRNO.EACCES));
  m.jump(done);

  m.label(direct);
  execute(context);
  m.label(done);
}

/** The environment step that an exec uses: the last one before it, in its own role or in those that spawn it. */
function environmentOf(context: Context, role: Role, exec: string): string {
  const roles = ROLES.slice(0, ROLES.indexOf(role) + 1);
  const steps = roles.flatMap((name) => roleProgram(context.program, name).steps);
  const before = steps.slice(
    0,
    steps.findIndex((step) => step.kind === "exec" && step.id === exec),
  );
  const found = before.findLast((step) => step.kind === "environment");
  return found?.id ?? bug(`${exec}: there is no environment step before it`);
}

/** Bytes for so many pointers, as the stack wants them. */
function pointers(count: number): number {
  return roundUp(count * 8);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}
