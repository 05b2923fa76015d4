/** The filters of the shipped profiles: they compile, are proved, and answer as their description says. */
import { describe, expect, test } from "vitest";
import { AUDIT_ARCH } from "../../src/compile/seccomp/abi.ts";
import { generate } from "../../src/compile/seccomp/codegen.ts";
import { decode } from "../../src/compile/seccomp/decode.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { call, formatVerdict, judge } from "../../src/compile/seccomp/ir.ts";
import { normalise } from "../../src/compile/seccomp/normalise.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { verify } from "../../src/compile/seccomp/verify.ts";
import { libseccompBackend } from "../../src/kernel/libseccomp.ts";
import { Diagrams } from "../../src/prove/diagram.ts";
import { deadInstructions } from "../../src/prove/program.ts";
import { shipped, skipUnless, target, valueOf } from "./support.ts";

const PROFILES = ["strict", "standard"] as const;
const ARCHES = ["x86_64", "aarch64"] as const;

/** Instructions that no call reaches. */
function deadOf(bytes: Uint8Array): readonly number[] {
  const decoded = decode(bytes);
  if (!decoded.ok) throw new Error(decoded.reason);
  return deadInstructions(new Diagrams(), decoded.bpf);
}

describe.each(PROFILES)("%s", (name) => {
  test.each(ARCHES)("on %s our filter is proved, every instruction of it", (arch) => {
    const { policy, notes } = valueOf(normalise(shipped(name), target(arch)));
    const bytes = generate(policy) as Uint8Array;
    const proof = valueOf(verify(bytes, policy, target(arch)));
    expect(deadOf(bytes)).toEqual([]);
    expect(notes).toEqual(
      arch === "aarch64" ? ["left out, as aarch64 has no such calls: chmod, creat, mknod, open"] : [],
    );
    // A surprise in size is to be looked at.
    expect(proof.instructions).toBeLessThan(name === "strict" ? 500 : 300);
  });

  const library = process.arch === "x64" ? libseccompBackend() : null;
  test.skipIf(skipUnless(library !== null, "libseccomp is not installed or this is not x86-64"))(
    "libseccomp's filter is proved, every instruction of it",
    () => {
      const { policy } = valueOf(normalise(shipped(name), target()));
      const bytes = library?.emit(policy);
      if (!(bytes instanceof Uint8Array)) throw new Error(bytes?.reason);
      const { instructions } = valueOf(verify(bytes, policy, target()));
      // The library ends with a return of its own that nothing jumps to.
      expect(deadOf(bytes).filter((i) => i !== instructions - 1)).toEqual([]);
    },
  );
});

const ONES = 0xffffffffffffffffn;

/** What a profile answers, by the emitted program and not only by the policy. */
function answer(profile: string, name: string, ...args: readonly bigint[]): string {
  const { policy } = valueOf(normalise(shipped(profile), target()));
  const decoded = decode(generate(policy) as Uint8Array);
  if (!decoded.ok) throw new Error(decoded.reason);
  const words = call(AUDIT_ARCH.x86_64, syscallTable("x86_64").numbers.get(name) as number, args);
  const verdict = evaluate(decoded.bpf, words);
  expect(verdict).toBe(judge(policy, words));
  return formatVerdict(verdict);
}

describe.each(PROFILES)("%s and the host's files and pid 1", (profile) => {
  const AT_FDCWD = 0xffffff9cn;
  test.each([
    ["chmod", 0n, 0o4755n],
    ["fchmod", 3n, 0o2755n],
    ["fchmodat", AT_FDCWD, 0n, 0o4755n],
    ["fchmodat2", AT_FDCWD, 0n, 0o6755n],
    ["creat", 0n, 0o4755n],
    ["open", 0n, 0o101n, 0o4755n],
    ["openat", AT_FDCWD, 0n, 0o101n, 0o2755n],
    ["openat", AT_FDCWD, 0n, 0o20200001n, 0o4755n],
    ["mknod", 0n, 0o104755n],
    ["mknodat", AT_FDCWD, 0n, 0o104755n],
    ["prlimit64", 0n, 4n, 1n],
    ["setrlimit", 4n, 1n],
    ["prlimit64", 1n, 7n, 1n],
    ["sched_setscheduler", 1n, 5n, 0n],
    ["setpriority", 0n, 1n, 19n],
    ["setpriority", 2n, 0n, 19n],
    ["ioprio_set", 1n, 1n, 0n],
    ["ioprio_set", 3n, 1000n, 0n],
    ["setsockopt", 3n, 1n, 26n],
    ["setsockopt", 3n, 1n, 52n],
    ["ioctl", 0n, 0x540cn],
  ] as const)("refuses %s(%s, %s, ...)", (...attempt) => {
    const [name, ...args]: readonly [string, ...bigint[]] = attempt;
    expect(answer(profile, name, ...args)).toBe("errno(1)");
  });

  test.each([
    ["chmod", 0n, 0o755n],
    ["open", 0n, 0n, 0o4755n],
    ["openat", AT_FDCWD, 0n, 0n, 0o6777n],
    ["openat", AT_FDCWD, 0n, 0o101n, 0o644n],
    ["prlimit64", 0n, 4n, 0n],
    ["prlimit64", 0n, 7n, 1n],
    ["prlimit64", 1n, 7n, 0n],
    ["setpriority", 0n, 0n, 19n],
    ["setsockopt", 3n, 1n, 2n],
  ] as const)("allows %s(%s, %s, ...)", (...attempt) => {
    const [name, ...args]: readonly [string, ...bigint[]] = attempt;
    expect(answer(profile, name, ...args)).toBe("allow");
  });

  test("openat2 is not there: its mode is out of sight", () => {
    expect(answer(profile, "openat2", AT_FDCWD, 0n, 0n, 24n)).toBe("errno(38)");
  });
});

describe("refused by strict and standard alike", () => {
  const calls =
    `unshare setns mount umount2 pivot_root chroot open_tree move_mount fsopen fsmount mount_setattr ptrace
    process_vm_readv process_vm_writev kcmp pidfd_getfd add_key request_key keyctl bpf perf_event_open io_uring_setup io_uring_enter
    io_uring_register userfaultfd name_to_handle_at open_by_handle_at fanotify_init init_module finit_module delete_module
    kexec_load kexec_file_load reboot swapon swapoff acct quotactl syslog vhangup sethostname setdomainname settimeofday
    clock_settime clock_adjtime adjtimex lookup_dcookie iopl ioperm modify_ldt memfd_secret uselib ustat sysfs nfsservctl`.split(
      /\s+/,
    );
  test.each(calls)("%s", (name) => {
    for (const profile of PROFILES) {
      expect(answer(profile, name)).toBe("errno(1)");
      expect(answer(profile, name, ONES, ONES, ONES, ONES, ONES, ONES)).toBe("errno(1)");
    }
  });

  test.each([
    ["clone", [0x11n], "allow"],
    ["clone", [0x3d0f00n], "allow"],
    ...[0x20000n, 0x02000000n, 0x04000000n, 0x08000000n, 0x10000000n, 0x20000000n, 0x40000000n].map(
      (flag) => ["clone", [0x11n | flag], "errno(1)"] as const,
    ),
    ["clone3", [], "errno(38)"],
    // TIOCSTI as it is, and with bits that the kernel drops (CVE-2019-10063).
    ["ioctl", [0n, 0x5412n], "errno(1)"],
    ["ioctl", [0n, 0x1_0000_5412n], "errno(1)"],
    ["ioctl", [0n, 0xffffffff_00005412n], "errno(1)"],
    ["ioctl", [0n, 0x541cn], "errno(1)"],
    ["ioctl", [0n, 0x1_0000_541cn], "errno(1)"],
    ["ioctl", [0n, 0x5423n], "errno(1)"],
    ["ioctl", [0n, 0x5401n], "allow"],
    ["ioctl", [0n, 0x5413n], "allow"],
    ["ioctl", [0n, 0x541bn], "allow"],
    ["personality", [0n], "allow"],
    ["personality", [0xffffffffn], "allow"],
    ["personality", [ONES], "allow"],
    ["personality", [0x40000n], "errno(1)"],
    ["personality", [8n], "errno(1)"],
    ["socket", [1n, 1n, 0n], "allow"],
    ["socket", [2n, 0x80001n, 6n], "allow"],
    ["socket", [10n, 2n, 17n], "allow"],
    ["socket", [17n, 3n, 0n], "errno(97)"],
    ["socket", [38n, 5n, 0n], "errno(97)"],
    ["socket", [40n, 1n, 0n], "errno(97)"],
    ["socket", [0x1_0000_0026n, 5n, 0n], "errno(97)"],
    ["socketpair", [1n, 1n, 0n], "allow"],
    ["socketpair", [30n, 1n, 0n], "errno(97)"],
    ["execve", [], "allow"],
    ["exit_group", [], "allow"],
  ] as readonly (readonly [string, readonly bigint[], string])[])("%s (%s)", (name, args, expected) => {
    for (const profile of PROFILES) expect(answer(profile, name, ...args)).toBe(expected);
  });
});

describe("where strict is stricter than standard", () => {
  test.each([
    ["memfd_create", [], "errno(1)", "allow"],
    ["seccomp", [], "errno(1)", "allow"],
    ["shmget", [], "errno(1)", "allow"],
    ["io_setup", [], "errno(1)", "allow"],
    ["setxattr", [], "errno(1)", "allow"],
    ["mbind", [], "errno(1)", "allow"],
    ["sync", [], "errno(1)", "allow"],
    ["socket", [16n, 3n, 0n], "errno(97)", "allow"],
    ["socket", [16n, 3n, 9n], "errno(97)", "errno(1)"],
    ["socket", [2n, 3n, 1n], "errno(1)", "allow"],
    ["socket", [2n, 1n, 132n], "errno(1)", "errno(93)"],
    ["prctl", [35n], "errno(1)", "allow"],
    ["prctl", [22n], "errno(1)", "allow"],
    ["ioctl", [0n, 0x4b47n], "errno(1)", "allow"],
  ] as readonly (readonly [string, readonly bigint[], string, string])[])(
    "%s (%s)",
    (name, args, strict, standard) => {
      expect(answer("strict", name, ...args)).toBe(strict);
      expect(answer("standard", name, ...args)).toBe(standard);
    },
  );

  test("at least 60 calls are refused whatever their arguments", () => {
    for (const profile of PROFILES) {
      const { policy } = valueOf(normalise(shipped(profile), target()));
      const never = [...syscallTable("x86_64").names.keys()].filter((nr) => {
        const rules = policy.abis[0]?.calls.get(nr) ?? [];
        return rules.every((rule) => formatVerdict(rule.verdict) !== "allow");
      });
      expect(never.length).toBeGreaterThan(60);
    }
  });
});
