/** What each target gets, judged by the target where it is installed. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Abi, SERVED } from "../../src/compile/seccomp/abi.ts";
import { generate } from "../../src/compile/seccomp/codegen.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { EXPORTERS, type ExportFormat } from "../../src/export.ts";
import type { Arch } from "../../src/host/facts.ts";
import type { SeccompSpec } from "../../src/profile/spec.ts";
import { filterFacts } from "../../src/profile-rules/filter-facts.ts";
import { need, needRoot } from "../host/needs.ts";
import { sandbox as runSandbox } from "../live/harness.ts";
import { type Change, filterOf, resolved } from "../profile-rules/facts.ts";
import { valueOf } from "../seccomp/support.ts";
import { readOne } from "../toolkit/files.ts";

/** Calls that a filter of ours refuses or lets through, each printed with the error number that it gets. */
const PROBE = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(each) for each in arguments])
    print(name, "ok" if result >= 0 else ctypes.get_errno())
attempt("getpid", 39)
attempt("socket unix", 41, 1, 1, 0)
attempt("socket inet", 41, 2, 1, 0)
attempt("socket alg", 41, 38, 5, 0)
attempt("socket netlink", 41, 16, 3, 0)
attempt("socket packet", 41, 17, 3, 0)
attempt("socket sctp", 41, 2, 1, 132)
attempt("unshare user", 272, 0x10000000)
attempt("clone3", 435, 0, 0)
attempt("setns", 308, -1, 0)
attempt("keyctl", 250, 0, -3, 0)
attempt("bpf", 321, 0, 0, 0)
attempt("io_uring_setup", 425, 1, 0)
attempt("personality", 135, 0x0040000)
attempt("memfd_create", 319, 0, 0)
attempt("mount", 165, 0, 0, 0, 0, 0)
attempt("userfaultfd", 323, 1)
attempt("perf_event_open", 298, 0, 0, -1, -1, 0)
attempt("process_vm_readv", 310, 1, 0, 0, 0, 0, 0)
attempt("tiocsti", 16, 0, 0x5412, 0)
attempt("tiocgwinsz", 16, 0, 0x5413, 0)
attempt("core limit of its own, read", 302, 0, 4, 0, 0)
attempt("priority of its own", 141, 0, 0, 5)
`;

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-export-"));
  // Root of a user namespace is nobody here, and has to get through.
  chmodSync(directory, 0o755);
});
afterAll(() => rmSync(directory, { recursive: true }));

function exported(
  format: ExportFormat,
  changes: readonly Change[] = [],
  profile = "strict",
  arch: Arch = "x86_64",
) {
  const made = EXPORTERS[format].write({ profile: resolved(profile, changes), cwd: "/work", arch });
  if (!made.ok) throw new Error(JSON.stringify(made.problems));
  return made.value;
}

/** A filter with a condition that takes no time to say again. */
const SMALL = filterOf("SCMP_ACT_ERRNO", {
  names: ["read", "execve"],
  action: "SCMP_ACT_ALLOW",
  args: [{ index: 0, op: "SCMP_CMP_EQ", value: 0 }],
});

describe.each<Arch>(["x86_64", "aarch64"])("what is for one kind of machine, %s", (arch) => {
  // open exists on one of them only; large filters are for the tests of the rules.
  const filter = filterOf(
    "SCMP_ACT_ERRNO",
    { names: ["read", "open", "openat"], action: "SCMP_ACT_ALLOW" },
    { names: ["socket"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, op: "SCMP_CMP_LE", value: 2 }] },
  );
  const native = arch === "x86_64" ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64";
  const ours = filterFacts(
    resolved("judge", [filter]).spec.seccomp as SeccompSpec,
    [],
    () => ({ kind: "default" }),
    {
      machines: [arch],
    },
  );

  it.each(["oci", "kubernetes"] as const)(
    "%s: has the rules of that machine alone, and they mean the profile",
    (format) => {
      const { text, left } = exported(format, [filter], "judge", arch);
      const document = // Numbers of 64 bits as text: JSON.parse would round them.
        JSON.parse(text.replaceAll(/: (\d{16,})/g, ': "$1"')) as never as {
          linux?: { seccomp: object };
          items?: readonly { spec: object }[];
        };
      const seccomp = (document.linux?.seccomp ?? document.items?.[0]?.spec) as { architectures: string[] };
      expect([seccomp.architectures, JSON.stringify(seccomp).includes("includes")]).toEqual([
        [native],
        false,
      ]);
      expect(left.map(({ what }) => what)).toContain(
        `the filter is for both architectures: this one is for ${arch}`,
      );
      const read = valueOf(readOne(seccomp, { arch, capabilities: [] }));
      if (read.filter.kind !== "rules" || !ours.ok || ours.value[0] === undefined)
        throw new Error("no rules");
      const { asked } = ours.value[0];
      const again = asked.prover.rules(read.filter.policy);
      if ("reason" in again) throw new Error(again.reason);
      const abi = SERVED[arch][0] as Abi;
      const differing = [...syscallTable(abi).numbers].flatMap(([name, nr]) =>
        asked.prover.ofCall(again, abi, nr) === asked.ofCall(abi, nr) ? [] : [name],
      );
      // Those that were tightened are listed.
      const said = left.map(({ what }) => what).join();
      expect(differing.filter((name) => !said.includes(`allows of ${name}:`))).toEqual([]);
    },
  );

  it("bubblewrap: carries the filter of that machine, byte for byte", () => {
    const { text } = exported("bubblewrap", [filter], "judge", arch);
    const carried = /^filter='\n([^']+)'/m.exec(text)?.[1] ?? "";
    if (!ours.ok || ours.value[0] === undefined) throw new Error("no filter");
    expect(Buffer.from(carried, "base64")).toEqual(Buffer.from(generate(ours.value[0].rules.policy) ?? []));
    expect(text).toContain(`The filter is for ${arch}.`);
  });
});

const answers = (stdout: string): readonly string[] => stdout.trim().split("\n");

describe("calls get the same answers as in a run of our own", () => {
  const needs = (context: Parameters<typeof need>[0], program: string): void => {
    need(context, process.arch === "x64", "the probe knows the numbers of x86-64");
    need(context, existsSync("/usr/bin/python3"), "python3 is not installed");
    need(context, existsSync(program), `${program} is not installed`);
  };
  const own = async (): Promise<readonly string[]> => {
    const ran = await runSandbox(process.getuid?.() === 0 ? "root" : "user", [
      "/usr/bin/python3",
      "-c",
      PROBE,
    ]);
    expect(ran.stderr).toBe("");
    return answers(ran.stdout);
  };

  it("outside, where most of them get others", (context) => {
    needs(context, "/usr/bin/python3");
    const ran = spawnSync("/usr/bin/python3", ["-c", PROBE], { encoding: "utf8" });
    expect(answers(ran.stdout)).toContain(
      "socket alg ".concat(/socket alg (.*)/.exec(ran.stdout)?.[1] ?? ""),
    );
    expect(answers(ran.stdout).filter((line) => / (ok|14|22|9)$/.test(line)).length).toBeGreaterThan(12);
  });

  it("under bubblewrap", { timeout: 60_000 }, async (context) => {
    needs(context, "/usr/bin/bwrap");
    const script = join(directory, "bubblewrap.sh");
    writeFileSync(script, exported("bubblewrap").text);
    const ran = spawnSync("/bin/sh", [script, "/usr/bin/python3", "-c", PROBE], {
      encoding: "utf8",
      input: "",
    });
    expect([ran.status, ran.stderr]).toEqual([0, ""]);
    expect(answers(ran.stdout)).toEqual(await own());
    const piped = spawnSync("/bin/sh", [script, "/bin/sh", "-c", "cat; id -u; exit 7"], {
      encoding: "utf8",
      input: "in\n",
    });
    expect([piped.stdout, piped.status]).toEqual(["in\n1000\n", 7]);
  });

  it("under runc", { timeout: 60_000 }, async (context) => {
    needs(context, "/usr/sbin/runc");
    needRoot(context);
    const bundle = join(directory, "bundle");
    for (const name of ["usr", "bin", "sbin", "lib", "lib64", "proc", "dev", "tmp"])
      mkdirSync(join(bundle, "rootfs", name), { recursive: true });
    const config = exported("oci").text.replace(
      '"/bin/sh"',
      `"/usr/bin/python3", "-c", ${JSON.stringify(PROBE)}`,
    );
    writeFileSync(join(bundle, "config.json"), config);
    const id = `sandbox-test-${process.pid}`;
    const ran = spawnSync(
      "/usr/sbin/runc",
      ["--root", join(directory, "runc"), "run", "--bundle", bundle, id],
      {
        encoding: "utf8",
        input: "",
      },
    );
    expect([ran.status, ran.stderr]).toEqual([0, ""]);
    expect(answers(ran.stdout)).toEqual(await own());
  });
});

describe("a drop-in for systemd", () => {
  it("is understood by systemd, which finds little exposed", { timeout: 60_000 }, (context) => {
    need(context, existsSync("/usr/bin/systemd-analyze"), "systemd-analyze is not installed");
    const unit = join(directory, "probe.service");
    writeFileSync(unit, `[Unit]\nDescription=probe\n${exported("systemd").text}ExecStart=/usr/bin/true\n`);
    const verified = spawnSync("systemd-analyze", ["verify", unit], { encoding: "utf8" });
    // A systemd older than a call does not know its name, and says so.
    const complaints = verified.stderr
      .split("\n")
      .filter(
        (line) => line.includes("probe.service") && !line.includes("Failed to parse system call, ignoring"),
      );
    expect(complaints).toEqual([]);
    const judged = spawnSync("systemd-analyze", ["security", "--offline=true", unit], { encoding: "utf8" });
    const level = Number(/exposure level for probe.service: ([\d.]+)/.exec(judged.stdout)?.[1]);
    expect(level).toBeLessThanOrEqual(1.5);
  });

  it("says in its own words what names of calls cannot", () => {
    const text = exported("systemd").text;
    expect(text).toContain("\nRestrictNamespaces=yes\n");
    expect(text).toContain("\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n");
    expect(text).toContain("\nRestrictSUIDSGID=yes\n");
    const open = exported("systemd", [["/seccomp", null]]).text;
    expect(open).not.toContain("SystemCallFilter");
  });

  it("quotes what comes from outside", () => {
    const hostile = exported("systemd", [["/environment/set", { A: 'x" "%n\ny' }]]).text;
    expect(hostile).toContain(String.raw`"A=x\" \"%%n\ny"`);
  });
});

describe("a pod for Kubernetes", () => {
  it("of strict meets the restricted level of the Pod Security Standards", { timeout: 60_000 }, () => {
    const { items } = JSON.parse(exported("kubernetes").text) as {
      items: readonly { kind: string; metadata: { name: string }; spec: Record<string, never> }[];
    };
    expect(items.map(({ kind }) => kind)).toEqual(["SeccompProfile", "Pod"]);
    expect(items[1]?.spec).toMatchObject({
      hostNetwork: false,
      hostPID: false,
      hostIPC: false,
      securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: "Localhost" } },
      containers: [
        {
          securityContext: {
            privileged: false,
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
          resources: { limits: { memory: "268435456", cpu: "1000m" } },
        },
      ],
    });
  });
});

describe("what a target cannot say", () => {
  it("is listed with the field, and only when the profile uses it", () => {
    const left = (format: ExportFormat, changes: readonly Change[] = []) =>
      exported(format, [SMALL, ...changes]).left.map(({ pointer }) => pointer);
    expect(left("bubblewrap")).toContain("/resources/memory");
    expect(
      left("bubblewrap", [
        ["/resources/memory", null],
        ["/resources/swap", null],
      ]),
    ).not.toContain("/resources/memory");
    expect(left("oci")).not.toContain("/resources/memory");
    expect(left("systemd")).toContain("/seccomp/syscalls");
    expect(left("oci", [["/filesystem/write", "ephemeral"]])).toContain("/filesystem/write");
    expect(left("docker-seccomp")).toContain("/capabilities");
  });
});
