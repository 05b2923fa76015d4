/**
 * `supervise`: wait for the child, pass signals on, keep the wall-time limit. Everything arrives by
 * rt_sigtimedwait(2), because all signals are blocked: no handler, no race between a check and a sleep.
 *
 * The loop reaps first and sleeps after, so a child that ended before the loop began is seen; SIGCHLD carries no
 * count, so after each one everything that ended is reaped.
 */
import { ERRNO } from "../../program/errno.ts";
import { FLAGS, HEADER, MEMORY_BASE, PARENT_DEATH_SIGNAL, type Role } from "../../program/program.ts";
import { SIGNAL } from "../../program/signal.ts";
import { type Context, type StepOf } from "../context.ts";

/** What the loop keeps on the stack, by offset. */
const FRAME = { info: 0, set: 128, status: 136, winsize: 144, rusage: 160, size: 304 } as const;
/** siginfo_t (sigaction(2)): fields by offset. */
const INFO = { code: 8, pid: 16 } as const;
/** Bytes of the kernel's sigset_t. */
const SIGSET_SIZE = 8n;
const SI_USER = 0n;
const SI_KERNEL = 0x80n;

const WNOHANG = 1n;
const WUNTRACED = 2n;
/** Low byte of the wait status of a stopped child. */
const STOPPED = 0x7fn;
const TIOCGWINSZ = 0x5413n;
const TIOCSWINSZ = 0x5414n;

/** Signals that job control or a terminal sends: they mean the whole job, not one process. */
const FOR_THE_GROUP = [SIGNAL.SIGINT, SIGNAL.SIGQUIT, SIGNAL.SIGHUP, SIGNAL.SIGCONT, SIGNAL.SIGWINCH];

/** `s0` the child, `s1` the signal being handled. */
export function lowerSupervise(
  context: Context,
  role: Role,
  step: StepOf<"supervise">,
  final: boolean,
): void {
  const m = context.machine;
  const labels = {
    reap: m.fresh(),
    wait: m.fresh(),
    ended: m.fresh(),
    forward: m.fresh(),
    group: m.fresh(),
    kill: m.fresh(),
    failure: context.failure(role, step.id, final),
  };
  context.operand("s0", step.child);
  m.reserve(FRAME.size);
  m.stackTo("s2");
  m.immediate("r", -1n);
  m.store(8, "s2", FRAME.set, "r");

  lowerReap(context, step, labels);

  m.label(labels.wait);
  m.stackTo("a1");
  m.move("a0", "a1");
  m.addImmediate("a0", FRAME.set);
  m.immediate("a2", 0n); // no time limit: ITIMER_REAL is the clock
  m.immediate("a3", SIGSET_SIZE);
  context.syscall("rt_sigtimedwait");
  m.branchImmediate("equal", "r", BigInt(-ERRNO.EINTR), labels.reap);
  m.branchImmediate("equal", "r", BigInt(-ERRNO.EAGAIN), labels.reap);
  m.branchImmediate("less", "r", 0n, labels.failure);
  m.branchImmediate("equal", "r", BigInt(SIGNAL.SIGCHLD), labels.reap);
  m.move("s1", "r");

  lowerAlarm(context, labels);
  lowerParentDeath(context, role, labels);
  lowerJobControl(context, role, step, labels);

  m.label(labels.forward);
  m.move("a0", "s0");
  m.move("a1", "s1");
  context.syscall("kill");
  m.jump(labels.wait);

  m.label(labels.kill);
  m.immediate("s1", BigInt(SIGNAL.SIGKILL));
  m.jump(labels.forward);

  m.label(labels.ended);
  lowerEnded(context, role, step);
  m.release(FRAME.size);
}

interface Labels {
  /** Reap what has ended, then wait. */
  readonly reap: string;
  /** Wait for the next signal. */
  readonly wait: string;
  /** The child is gone, its status and rusage in the frame. */
  readonly ended: string;
  /** Send `s1` to the child. */
  readonly forward: string;
  /** Send `s1` to the child's process group. */
  readonly group: string;
  /** SIGKILL the child. */
  readonly kill: string;
  readonly failure: string;
}

function lowerReap(context: Context, step: StepOf<"supervise">, labels: Labels): void {
  const m = context.machine;
  const stopped = m.fresh();
  m.label(labels.reap);
  if (step.reap === "all") m.immediate("a0", -1n);
  else m.move("a0", "s0");
  m.stackTo("a1");
  m.move("a3", "a1");
  m.addImmediate("a1", FRAME.status);
  m.addImmediate("a3", FRAME.rusage);
  m.immediate("a2", step.stopNotify === undefined ? WNOHANG : WNOHANG | WUNTRACED);
  context.syscall("wait4");
  m.branchImmediate("equal", "r", 0n, labels.wait);
  m.branchImmediate("equal", "r", BigInt(-ERRNO.EINTR), labels.reap);
  m.branchImmediate("less", "r", 0n, labels.failure);
  if (step.stopNotify !== undefined) {
    m.load("a1", 1, "s2", FRAME.status);
    m.branchImmediate("equal", "a1", STOPPED, stopped);
  }
  m.branch("equal", "r", "s0", labels.ended);
  m.jump(labels.reap); // an orphan
  if (step.stopNotify !== undefined) {
    m.label(stopped);
    m.branch("notEqual", "r", "s0", labels.reap);
    context.operand("a0", step.stopNotify);
    m.immediate("a1", BigInt(context.rodata.text("T").address));
    m.immediate("a2", 1n);
    context.syscall("write"); // nobody reading is nobody to tell
    m.jump(labels.reap);
  }
}

/** Only the kernel's own code counts: si_code < 0, SI_TIMER too, can be forged with rt_sigqueueinfo(2). */
function lowerAlarm(context: Context, labels: Labels): void {
  const m = context.machine;
  const other = m.fresh();
  m.branchImmediate("notEqual", "s1", BigInt(SIGNAL.SIGALRM), other);
  m.load("r", 4, "s2", INFO.code);
  m.branchImmediate("notEqual", "r", SI_KERNEL, labels.forward);
  m.atomicOr(MEMORY_BASE + HEADER.flags, FLAGS.timedOut);
  m.jump(labels.kill);
  m.label(other);
}

/**
 * The kernel sends it as if the dying parent had (SI_USER, its pid). Seen from a pid 1 the real parent is outside
 * and has no pid: one that has is a process of the sandbox that pretends, and its signal is passed on like any other.
 */
function lowerParentDeath(context: Context, role: Role, labels: Labels): void {
  const m = context.machine;
  const [other, real] = [m.fresh(), m.fresh()];
  m.branchImmediate("notEqual", "s1", BigInt(PARENT_DEATH_SIGNAL), other);
  m.load("r", 4, "s2", INFO.code);
  m.branchImmediate("notEqual", "r", SI_USER, labels.forward);
  if (role === "init") {
    m.load("r", 4, "s2", INFO.pid);
    m.branchImmediate("equal", "r", 0n, real);
    context.syscall("getpid");
    m.branchImmediate("equal", "r", 1n, labels.forward);
  }
  m.label(real);
  m.atomicOr(MEMORY_BASE + HEADER.flags, FLAGS.parentDied);
  m.jump(labels.kill);
  m.label(other);
}

/** Falls through to `forward`. */
function lowerJobControl(context: Context, role: Role, step: StepOf<"supervise">, labels: Labels): void {
  const m = context.machine;
  const notStop = m.fresh();
  if (role === "init") {
    m.branchImmediate("notEqual", "s1", BigInt(SIGNAL.SIGTSTP), notStop);
    // A pid 1 that took SIGTSTP has no terminal to stop for; the job has, and SIGSTOP reaches it in an orphaned group too.
    m.immediate("s1", BigInt(SIGNAL.SIGSTOP));
    m.jump(labels.group);
    m.label(notStop);
    for (const signal of FOR_THE_GROUP) m.branchImmediate("equal", "s1", BigInt(signal), labels.group);
    context.later(() => {
      m.label(labels.group);
      m.immediate("a0", 0n);
      m.subtract("a0", "s0");
      m.move("a1", "s1");
      context.syscall("kill");
      // Before the child has made its group there is none: then the child is all there is.
      m.branchImmediate("equal", "r", BigInt(-ERRNO.ESRCH), labels.forward);
      m.jump(labels.wait);
    });
    return;
  }
  m.branchImmediate("notEqual", "s1", BigInt(SIGNAL.SIGTSTP), notStop);
  m.move("a0", "s0");
  m.move("a1", "s1");
  context.syscall("kill");
  context.syscall("getpid");
  m.move("a0", "r");
  m.immediate("a1", BigInt(SIGNAL.SIGSTOP));
  context.syscall("kill");
  m.jump(labels.wait); // continued: SIGCONT is pending and is passed on
  m.label(notStop);
  const { winsize } = step;
  if (winsize === undefined) return;
  const copy = m.fresh();
  m.branchImmediate("equal", "s1", BigInt(SIGNAL.SIGWINCH), copy);
  context.later(() => {
    m.label(copy);
    context.operand("a0", winsize.from);
    m.immediate("a1", TIOCGWINSZ);
    m.stackTo("a2");
    m.addImmediate("a2", FRAME.winsize);
    context.syscall("ioctl");
    m.branchImmediate("less", "r", 0n, labels.forward);
    context.operand("a0", winsize.to);
    m.immediate("a1", TIOCSWINSZ);
    context.syscall("ioctl"); // a2 is kept
    m.jump(labels.forward);
  });
}

function lowerEnded(context: Context, role: Role, step: StepOf<"supervise">): void {
  const m = context.machine;
  const [status, rusage, flag] =
    role === "init"
      ? [HEADER.payloadStatus, HEADER.payloadRusage, FLAGS.payloadEnded]
      : [HEADER.initStatus, HEADER.initRusage, FLAGS.initEnded];
  m.load("r", 4, "s2", FRAME.status);
  m.storeAt(4, MEMORY_BASE + status, "r");
  m.storeAt(8, context.cell(step.id), "r");
  for (let offset = 0; offset < 144; offset += 8) {
    m.load("r", 8, "s2", FRAME.rusage + offset);
    m.storeAt(8, MEMORY_BASE + rusage + offset, "r");
  }
  m.atomicOr(MEMORY_BASE + HEADER.flags, flag); // last: it says that the rest is valid
}
