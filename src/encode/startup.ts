/**
 * What happens before the monitor's first step: remember the initial stack, run from a sealed copy, map the shared memory.
 */
import { FLAGS, HEADER, MEMORY_BASE } from "../program/program.ts";
import { type Context, SETUP_FAILED } from "./context.ts";

const AT_FDCWD = -100n;
const AT_EMPTY_PATH = 0x1000n;
const O_RDONLY_CLOEXEC = 0x8_0000n;
const F_ADD_SEALS = 1033n;
const F_GET_SEALS = 1034n;
/** F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE. Any file on tmpfs has the first one: all four must be there. */
const SEALS = 15n;
/** MFD_CLOEXEC | MFD_ALLOW_SEALING */
const MFD_FLAGS = 3n;
/** Kernels from 6.3 want it said (vm.memfd_noexec); older ones answer EINVAL. */
const MFD_EXEC = 0x10n;
const EINVAL = 22n;
const PROT_READ_WRITE = 3n;
const MAP_SHARED = 1n;
const MAP_ANONYMOUS = 0x20n;
const MAP_FIXED_NOREPLACE = 0x10_0000n;
const STDERR = 2n;

export function lowerStartup(context: Context): void {
  const m = context.machine;
  m.stackTo("base");
  m.immediate("s4", 0n); // becomes 1 when running sealed
  if (context.program.seal) lowerSeal(context);
  mapMemory(context);
  if (context.program.seal) {
    const file = m.fresh();
    m.branchImmediate("equal", "s4", 0n, file);
    m.atomicOr(MEMORY_BASE + HEADER.flags, FLAGS.sealed);
    m.label(file);
  }
}

/**
 * Replace this process by a copy of its image that nobody can write (what a payload reaches through
 * /proc/PID/exe). It cannot loop: the copy is executed only after its seals were accepted, and then finds them.
 * Any refusal (no /proc, no memfd, vm.memfd_noexec=2, ...): go on from the file.
 */
function lowerSeal(context: Context): void {
  const m = context.machine;
  const [copy, again, retried, refused, closeImage, done] = [
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
    m.fresh(),
  ];
  m.immediate("a0", AT_FDCWD);
  m.immediate("a1", BigInt(context.rodata.text("/proc/self/exe").address));
  m.immediate("a2", O_RDONLY_CLOEXEC);
  m.immediate("a3", 0n);
  context.syscall("openat");
  m.branchImmediate("less", "r", 0n, done);
  m.move("s0", "r");

  m.move("a0", "s0");
  m.immediate("a1", F_GET_SEALS);
  m.immediate("a2", 0n);
  context.syscall("fcntl");
  m.branchImmediate("less", "r", 0n, copy); // EINVAL: not a file that can have seals
  m.immediate("a1", SEALS);
  m.and("r", "a1");
  m.branch("notEqual", "r", "a1", copy);
  m.immediate("s4", 1n);
  m.jump(closeImage);

  m.label(copy);
  const name = BigInt(context.rodata.text("sandbox").address);
  m.immediate("a0", name);
  m.immediate("a1", MFD_FLAGS | MFD_EXEC);
  context.syscall("memfd_create");
  m.branchImmediate("notEqual", "r", -EINVAL, retried);
  m.immediate("a0", name);
  m.immediate("a1", MFD_FLAGS);
  context.syscall("memfd_create");
  m.label(retried);
  m.branchImmediate("less", "r", 0n, closeImage);
  m.move("s1", "r");

  m.label(again);
  m.move("a0", "s1");
  m.move("a1", "s0");
  m.immediate("a2", 0n);
  m.immediate("a3", 1n << 20n);
  context.syscall("sendfile");
  m.branchImmediate("less", "r", 0n, refused);
  m.branchImmediate("notEqual", "r", 0n, again); // short counts are allowed; 0 is the end of the file

  m.move("a0", "s1");
  m.immediate("a1", F_ADD_SEALS);
  m.immediate("a2", SEALS);
  context.syscall("fcntl");
  m.branchImmediate("less", "r", 0n, refused);

  m.move("a0", "s1");
  m.immediate("a1", BigInt(context.rodata.text("").address));
  m.move("a2", "base"); // argv is at base + 8, envp behind its NULL at base + 16 + 8 * argc
  m.addImmediate("a2", 8);
  m.load("a3", 8, "base", 0);
  m.shiftLeft("a3", 3);
  m.add("a3", "a2");
  m.addImmediate("a3", 8);
  m.immediate("a4", AT_EMPTY_PATH);
  context.syscall("execveat");

  m.label(refused);
  m.move("a0", "s1");
  context.syscall("close");
  m.label(closeImage);
  m.move("a0", "s0");
  context.syscall("close");
  m.label(done);
}

/** Without the shared memory there is nowhere to record a failure: exit, and without a supervisor say so. */
function mapMemory(context: Context): void {
  const m = context.machine;
  const { memory } = context.program;
  const failed = m.fresh();
  const anonymous = memory === "anonymous";
  m.immediate("a0", BigInt(MEMORY_BASE));
  m.immediate("a1", BigInt(context.memorySize));
  m.immediate("a2", PROT_READ_WRITE);
  m.immediate("a3", MAP_SHARED | MAP_FIXED_NOREPLACE | (anonymous ? MAP_ANONYMOUS : 0n));
  m.immediate("a4", anonymous ? -1n : BigInt(memory.descriptor));
  m.immediate("a5", 0n);
  context.syscall("mmap");
  // A kernel before 4.17 takes the address as a hint: any other place is a failure too.
  m.branchImmediate("notEqual", "r", BigInt(MEMORY_BASE), failed);
  context.later(() => {
    m.label(failed);
    if (anonymous) {
      const message = context.rodata.text("sandbox: shared memory: mmap failed\n");
      m.immediate("a0", STDERR);
      m.immediate("a1", BigInt(message.address));
      m.immediate("a2", BigInt(message.length));
      context.syscall("write");
    }
    context.exit(SETUP_FAILED);
  });
}
