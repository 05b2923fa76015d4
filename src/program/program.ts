/**
 * The launch program: what a launcher does, as data. Three roles, each an ordered list of steps from a closed set.
 * JSON-serialisable (bigints as decimal strings through `programToJson`), frozen, same input → same program.
 *
 *   monitor  outside the sandbox: makes the cgroup, spawns init into new namespaces, writes its id maps,
 *            forwards signals, keeps the wall-time limit, removes the cgroup
 *   mapper   lives for a moment, to hold a user namespace whose id map an id-mapped mount takes; most programs have none
 *   init     pid 1 inside: builds the mounts, drops its privileges, spawns the payload, reaps, forwards
 *   payload  last restrictions, then execve
 *
 * Memory. All roles share one mapping (MAP_SHARED at MEMORY_BASE): a header, one 8-byte result cell per step that has
 * one, and the named buffers. A supervisor that passed the mapping as descriptor 3 reads everything from there, without
 * a system call on the launcher's side. Constants (`data`) are in the read-only image. All addresses are fixed at
 * encode time.
 */
import type { Arch } from "../host/facts.ts";
import type { SyscallName } from "./syscalls.ts";

export const ROLES = ["monitor", "mapper", "init", "payload"] as const;
export type Role = (typeof ROLES)[number];

/** A 64-bit operand. */
export type Operand =
  /** An immediate; negative values in two's complement (AT_FDCWD is -100n). */
  | { readonly kind: "value"; readonly value: bigint }
  /** Address of a constant. */
  | { readonly kind: "data"; readonly name: string }
  /** Address of a shared buffer, plus offset. */
  | { readonly kind: "buffer"; readonly name: string; readonly offset: number }
  /** What an earlier step returned (any role: the cells are shared; only use what happens-before). */
  | { readonly kind: "result"; readonly step: string }
  /** Bytes loaded from a shared buffer, zero-extended. */
  | { readonly kind: "load"; readonly name: string; readonly offset: number; readonly width: 1 | 2 | 4 | 8 };

/**
 * What a failed system call (result in -4095..-1) means.
 * - `fail`: record step and errno in the header and leave by the role's failure path.
 * - `continue`: keep the result in its cell (the supervisor reports the degradation) and go on.
 * - `errnos`: for the errnos named, go on at the label (a later one in the same role, or `"next"`); else fail.
 */
export type OnError = "fail" | "continue" | { readonly errnos: Readonly<Record<string, string>> };

/** A piece of text made at run time; numbers in decimal unless said. */
export type TextPart =
  | { readonly text: string }
  /** `value + plus`, unsigned decimal. */
  | { readonly decimal: Operand; readonly plus?: bigint }
  /** `bytes` bytes of a buffer as lower-case hex. */
  | { readonly hex: string; readonly bytes: number }
  /** The NUL-terminated text in a buffer. */
  | { readonly buffer: string };

interface StepBase {
  /** Unique in the program: "mount-usr.open". */
  readonly id: string;
  /** The decision that asked for this step. */
  readonly decision: string;
  /** Why, for people: one short phrase. */
  readonly why: string;
}

export type Step =
  | (StepBase & {
      readonly kind: "call";
      readonly call: SyscallName;
      /** Up to six. */
      readonly args: readonly Operand[];
      readonly onError: OnError;
      /** What it acts on, for messages: a path, an option. */
      readonly target?: string;
    })
  /** Compose NUL-terminated text into a buffer; result: its length without the NUL. Too long for the buffer: fail with ENAMETOOLONG. */
  | (StepBase & { readonly kind: "format"; readonly into: string; readonly parts: readonly TextPart[] })
  /** Store a value (low `width` bytes) into a buffer. */
  | (StepBase & {
      readonly kind: "store";
      readonly into: string;
      readonly offset: number;
      readonly width: 1 | 2 | 4 | 8;
      readonly value: Operand;
    })
  /** `(value & mask) == equals`, else fail with `errno`. Verifies what was mounted, read, or set. */
  | (StepBase & {
      readonly kind: "expect";
      readonly value: Operand;
      readonly mask: bigint;
      readonly equals: Operand;
      readonly errno: string;
      readonly target?: string;
    })
  /** If `(value & mask) == equals` go on at the label (later in this role). */
  | (StepBase & {
      readonly kind: "branch";
      readonly value: Operand;
      readonly mask: bigint;
      readonly equals: Operand;
      readonly to: string;
    })
  /** Target of branches and errnos. */
  | { readonly kind: "label"; readonly name: string }
  /**
   * Start a role in a child. Result in the parent: its pid; 0 when it failed, never an errno. clone(2) with `flags | SIGCHLD`, or, with `cgroup` (a v2
   * cgroup directory descriptor), clone3(2) with CLONE_INTO_CGROUP. The child goes on at the role's first step.
   */
  | (StepBase & {
      readonly kind: "spawn";
      readonly role: Role;
      readonly flags: bigint;
      readonly cgroup?: Operand;
    })
  /**
   * Run a host program and wait for it: clone(SIGCHLD), in the child execve(path, argv, empty environment), in the parent wait4.
   * The child starts with no signal blocked. Argv entries are constants or the text of buffers. Any end but exit status 0 fails the
   * step with ECHILD; a failed execve as well.
   */
  | (StepBase & {
      readonly kind: "run";
      readonly path: string;
      readonly argv: readonly ({ readonly text: string } | { readonly buffer: string })[];
    })
  /**
   * Block until `child` has ended, handling signals (all must be blocked before). Loop over rt_sigtimedwait:
   * - SIGCHLD: wait4. `reap: "all"` reaps any child until `child` itself is gone; `reap: "child"` waits for it alone.
   *   The child's wait status goes to header.<statusField>, its rusage to header.<rusage of role>.
   *   A stopped child (WUNTRACED): when `stopNotify` is given, one byte "T" is written to that descriptor.
   * - SIGALRM from the kernel (ITIMER_REAL, wall-time limit): sets FLAG_TIMED_OUT, SIGKILLs the child.
   * - PARENT_DEATH_SIGNAL: sets FLAG_PARENT_DIED, SIGKILLs the child.
   * - SIGTSTP: init: SIGSTOP to the child's process group. Monitor: forwards SIGTSTP, then stops itself with SIGSTOP
   *   (so that a shell's job control sees it); SIGCONT is forwarded when it comes.
   * - SIGINT, SIGQUIT, SIGHUP, SIGCONT, SIGWINCH: init sends them to the child's process group (-child); monitor to the child.
   * - SIGWINCH in the monitor with `winsize`: copies the window size (TIOCGWINSZ from → TIOCSWINSZ to), then forwards.
   * - anything else: sent to the child.
   */
  | (StepBase & {
      readonly kind: "supervise";
      readonly child: Operand;
      readonly reap: "all" | "child";
      readonly stopNotify?: Operand;
      readonly winsize?: { readonly from: Operand; readonly to: Operand };
    })
  /** Build the environment: `set` entries ("K=V") and, of the launcher's own environment, the variables named in `pass` that are not in `set`. */
  | (StepBase & {
      readonly kind: "environment";
      readonly set: readonly string[];
      readonly pass: readonly string[];
    })
  /**
   * execve. `path` names the file; or null: argv[0] as it is when it contains "/", else searched in `search` (absolute
   * directories) as execvp(3) does: ENOENT, ENOTDIR, EACCES go on to the next; EACCES is what remains if it was seen.
   * `argv` null: the launcher's own argv[1..]; else these constants followed by the launcher's argv[1..].
   * Needs an `environment` step before. On failure: header.execErrno is set, exit 127 (ENOENT, ENOTDIR) or 126.
   */
  | (StepBase & {
      readonly kind: "exec";
      readonly path: string | null;
      readonly search: readonly string[];
      readonly argv: readonly string[] | null;
    })
  /** Write one line per failure to descriptor 2, from the header and the table of step messages (standalone launchers). */
  | (StepBase & { readonly kind: "report" })
  /**
   * Leave. A number, or `outcome`: 125 when a step failed; 124 when timed out; 126/127 by header.execErrno; the payload's exit
   * status, or 128 + its signal (header.payloadStatus; header.initStatus when init died before it could tell).
   */
  | (StepBase & { readonly kind: "exit"; readonly code: number | "outcome" });

export interface RoleProgram {
  /** Where a failing step of this role goes on: a label in this role; null: exit_group(125) at once. Steps after that label must not fail into it again: a second failure exits at once. */
  readonly onFailure: string | null;
  readonly steps: readonly Step[];
}

/** A read-only constant of the image. `text` gets a terminating NUL. */
export type Data =
  | { readonly name: string; readonly text: string }
  | { readonly name: string; readonly hex: string; readonly align?: number }
  /** 64-bit little-endian words; a string word is the address of that constant (argv arrays, sock_fprog). */
  | { readonly name: string; readonly words: readonly (bigint | { readonly addressOf: string })[] };

/** A named area in shared memory. */
export interface SharedBuffer {
  readonly name: string;
  /** Bytes; placed 16-byte aligned, zero at start. */
  readonly size: number;
  /** Filled by the supervisor before launch (run id, maps). */
  readonly input?: boolean;
}

export interface Program {
  readonly arch: Arch;
  /** Where the shared memory comes from: a descriptor passed by the supervisor, or made by the launcher itself. */
  readonly memory: { readonly descriptor: number } | "anonymous";
  /**
   * Before anything else, copy the own image (/proc/self/exe) into a sealed memfd and execute that, unless it already is one;
   * where the host refuses, go on from the file and leave FLAGS.sealed clear.
   */
  readonly seal: boolean;
  readonly data: readonly Data[];
  readonly buffers: readonly SharedBuffer[];
  readonly roles: Readonly<Record<Exclude<Role, "mapper">, RoleProgram>> & { readonly mapper?: RoleProgram };
}

const NO_STEPS: RoleProgram = { onFailure: null, steps: [] };

/** The program of a role; one without steps when the launch has no such role. */
export function roleProgram(program: Program, role: Role): RoleProgram {
  return program.roles[role] ?? NO_STEPS;
}

/** Fixed address of the shared mapping; below any mapping the kernel chooses for a static non-PIE image. */
export const MEMORY_BASE = 0x1000_0000;

/** Sent by the kernel to the monitor when its supervisor dies (PR_SET_PDEATHSIG); SIGRTMAX. */
export const PARENT_DEATH_SIGNAL = 64;

/** Layout of the header at MEMORY_BASE. Offsets in bytes, little-endian. */
export const HEADER = {
  /** u32: 1 + index of the failed step in layout order (see `stepOrder`), 0: none. First failure wins. */
  failedStep: 0,
  /** u32 errno of the failed step. */
  failedErrno: 4,
  /** u32 bits: FLAGS. */
  flags: 8,
  /** u32 errno of a failed execve, 0: none. */
  execErrno: 12,
  /** u32 wait status of the payload, as init saw it; valid with FLAG_PAYLOAD_ENDED. */
  payloadStatus: 16,
  /** u32 wait status of init, as the monitor saw it; valid with FLAG_INIT_ENDED. */
  initStatus: 20,
  /** struct rusage (144 bytes) of init and all it reaped, from the monitor's wait4. */
  initRusage: 32,
  /** struct rusage of the payload, from init's wait4. */
  payloadRusage: 176,
  size: 320,
} as const;

export const FLAGS = {
  timedOut: 1,
  parentDied: 2,
  payloadEnded: 4,
  initEnded: 8,
  /** Set by the payload role immediately before its execve. */
  execReached: 16,
  /** The launcher runs from a sealed memfd. */
  sealed: 32,
} as const;

/** A step that does something: all but labels. */
export type ActiveStep = Exclude<Step, { kind: "label" }>;

/** Every step that has a result cell or can fail, in layout order: by role as in ROLES; index = result cell. */
export function stepOrder(program: Program): readonly ActiveStep[] {
  return ROLES.flatMap((role) => roleProgram(program, role).steps.filter((step) => step.kind !== "label"));
}

/** Offsets in shared memory, from MEMORY_BASE. Pure function of the program; encoder and supervisor both use it. */
export interface Layout {
  /** Result cell of each step, by id; 8 bytes, signed; 0 until the step ran. */
  readonly results: ReadonlyMap<string, number>;
  readonly buffers: ReadonlyMap<string, { readonly offset: number; readonly size: number }>;
  /** Total bytes, a multiple of 4096. */
  readonly size: number;
}

export function layoutMemory(program: Program): Layout {
  const results = new Map<string, number>();
  let offset: number = HEADER.size;
  for (const role of ROLES)
    for (const step of roleProgram(program, role).steps) {
      if (step.kind === "label") continue;
      results.set(step.id, offset);
      offset += 8;
    }
  const buffers = new Map<string, { offset: number; size: number }>();
  for (const buffer of program.buffers) {
    offset = (offset + 15) & ~15;
    buffers.set(buffer.name, { offset, size: buffer.size });
    offset += buffer.size;
  }
  return { results, buffers, size: (offset + 4095) & ~4095 };
}
