import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { formatProblem } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import { showProfile } from "../../src/profile/show.ts";
import type { Override } from "../../src/profile/spec.ts";
import { flag, problemsOf, resolveMembers, resolveText, shipped } from "./memory-files.ts";

const SHIPPED = ["base", "build", "judge", "standard", "strict"];
const resolveShipped = (profile: string, overrides: readonly Override[] = []) => {
  const result = resolveProfile({ profile, overrides, cwd: "/" }, shipped);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.value;
};

describe("the shipped profiles", () => {
  test("are these", () => {
    expect(shipped.names?.()).toEqual(SHIPPED);
  });

  test.each(SHIPPED)("%s resolves under its own name", (name) => {
    expect(resolveShipped(name).spec.name).toBe(name);
  });

  test.each(SHIPPED)("%s shown as one file resolves to the same spec", (name) => {
    const { spec } = resolveShipped(name);
    const shown = showProfile(resolveShipped(name));
    const again = resolveText(JSON.stringify(shown.profile));
    if (!again.ok) throw new Error(again.problems.map(formatProblem).join("\n"));
    expect(again.value.spec).toEqual(spec);
  });

  test("all isolate, drop every capability and forbid new privileges", () => {
    for (const name of SHIPPED) {
      const { spec } = resolveShipped(name);
      expect(Object.values(spec.namespaces)).toEqual(Array.from({ length: 8 }, () => true));
      expect(Object.values(spec.capabilities).flat()).toEqual([]);
      expect(spec.noNewPrivileges).toBe(true);
      expect(spec.network.mode).toBe("none");
      expect(spec.seccomp).not.toBeNull();
      expect(spec.identity.uid).toBe(1000);
    }
  });

  test.each([
    ["base", "minimal", false],
    ["strict", "minimal", false],
    ["judge", "minimal", false],
    ["standard", "tools", true],
    ["build", "tools", true],
  ])("%s has a %s /etc, and allows uid 0: %s", (name, etc, allowRoot) => {
    const { spec } = resolveShipped(name);
    expect(spec.filesystem.root).toEqual({ type: "system", etc });
    expect(spec.identity.allowRoot).toBe(allowRoot);
  });

  test("none binds anything of the host", () => {
    for (const name of SHIPPED) {
      const mounts = resolveShipped(name).spec.filesystem.mounts;
      expect(mounts.filter(({ type }) => type === "bind")).toEqual([]);
    }
  });

  test("strict limits everything and lets nothing that is written run", () => {
    const { spec } = resolveShipped("strict");
    expect(spec.filesystem.write).toBe("none");
    expect(spec.filesystem.proc).toBe("pids");
    for (const mount of spec.filesystem.mounts) expect(mount.type === "tmpfs" && mount.noExec).toBe(true);
    expect(spec.resources).toMatchObject({
      memory: 256 * 1024 ** 2,
      swap: 0,
      cpus: 1,
      pids: 64,
      cpuTime: 30_000,
      wallTime: 60_000,
      fileSize: 64 * 1024 ** 2,
      openFiles: 256,
      coreSize: 1,
    });
    expect(spec.audit).toEqual({ require: true, onFailure: "refuse", redact: [] });
    expect(spec.require.resources).toBe("partial");
    expect(spec.require.identity).toBe("partial");
    expect(spec.require.lsm).toBe("none");
    expect(spec.require.landlock).toBe("none");
    const others = Object.entries(spec.require).filter(
      ([control]) => !["resources", "identity", "filesystem", "lsm", "landlock"].includes(control),
    );
    expect(others.every(([, status]) => status === "full")).toBe(true);
  });
});

describe("extends", () => {
  test("merges objects by key and replaces arrays and scalars", () => {
    const { spec } = resolveMembers({
      extends: "strict",
      resources: { pids: 7 },
      environment: { pass: ["X"] },
    });
    expect(spec.resources.pids).toBe(7);
    expect(spec.resources.memory).toBe(256 * 1024 ** 2);
    expect(spec.environment.pass).toEqual(["X"]);
    expect(spec.environment.set["PATH"]).toBe("/usr/bin:/bin");
  });

  test("null puts the default back, and takes a variable away", () => {
    const { spec } = resolveMembers({
      extends: "strict",
      resources: { pids: null },
      filesystem: { devices: null },
      environment: { set: { HOME: null } },
    });
    expect(spec.resources.pids).toBeNull();
    expect(spec.filesystem.devices).toEqual(["null", "zero", "full", "random", "urandom"]);
    expect(spec.environment.set).toEqual({ PATH: "/usr/bin:/bin" });
  });

  test("seccomp, root, write and map replace as wholes", () => {
    const directory = JSON.stringify({
      extends: "base",
      filesystem: { root: { type: "directory", path: "/r" } },
    });
    const result = resolveText('{"extends": "./d.json", "filesystem": {"root": {"type": "empty"}}}', [], {
      "d.json": directory,
    });
    expect(result.ok && result.value.spec.filesystem.root).toEqual({ type: "empty" });
    const pasted = resolveMembers({ seccomp: { defaultAction: "SCMP_ACT_ALLOW" } });
    expect(pasted.spec.seccomp).toEqual({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [] });
  });

  test("a system root without etc has the minimal one, whatever was inherited", () => {
    const { spec } = resolveMembers({ extends: "standard", filesystem: { root: { type: "system" } } });
    expect(spec.filesystem.root).toEqual({ type: "system", etc: "minimal" });
  });

  test("nobody who says nothing is root", () => {
    const result = resolveText('{"seccomp": null}');
    expect(result).toMatchObject({
      ok: true,
      value: { spec: { identity: { uid: 1000, gid: 1000, allowRoot: false } } },
    });
  });

  test("seccomp: null turns the filter off, and leaving it out is refused", () => {
    expect(resolveMembers({ seccomp: null }).spec.seccomp).toBeNull();
    expect(problemsOf("{}")).toEqual([
      'p.json:1:1 /seccomp: "seccomp" is missing; expected an OCI linux.seccomp object, or null for no filter; add "extends": "base" to inherit one',
    ]);
  });

  test("name, description and comments are not inherited", () => {
    const { spec } = resolveMembers({});
    expect([spec.name, spec.description]).toEqual(["p", ""]);
  });

  test("a circle is named", () => {
    expect(
      problemsOf('{"extends": "./b.json"}', [], {
        "b.json": '{\n "extends": "./c.json"}',
        "c.json": '{"extends": "./b.json"}',
      }),
    ).toEqual(["c.json:1:13 /extends: the profiles extend each other in a circle: b.json → c.json → b.json"]);
    expect(problemsOf('{"extends": "./p.json"}')).toEqual([
      "p.json:1:13 /extends: the profiles extend each other in a circle: p.json → p.json",
    ]);
  });

  test("a ninth profile is refused", () => {
    const chain = (length: number) =>
      Object.fromEntries(
        Array.from({ length }, (_, index) => [
          `${index}.json`,
          index === length - 1 ? '{"seccomp": null}' : `{"extends": "./${index + 1}.json"}`,
        ]),
      );
    expect(problemsOf('{"extends": "./0.json"}', [], chain(7))).toEqual([]);
    expect(problemsOf('{"extends": "./0.json"}', [], chain(8))).toEqual([
      "6.json:1:13 /extends: more than 8 profiles extend each other; expected at most 8",
    ]);
  });

  test("paths are relative to the file that has them", () => {
    const result = resolveText('{"extends": "./sub/a.json"}', [], {
      "sub/a.json": '{"extends": "../b.json"}',
      "b.json": '{"seccomp": null}',
    });
    expect(result.ok && result.value.sources.map(({ file }) => file)).toEqual([
      "b.json",
      "sub/a.json",
      "p.json",
    ]);
  });
});

describe("overrides", () => {
  test("apply in order and are located at their flag", () => {
    const { spec, provenance } = resolveMembers({}, [
      flag("--memory", "/resources/memory", "1G"),
      flag("--set", "/resources/memory", "2G"),
    ]);
    expect(spec.resources.memory).toBe(2 * 1024 ** 3);
    expect(provenance["/resources/memory"]).toEqual({ kind: "flag", flag: "--set" });
  });

  test.each<readonly [Override, string]>([
    [
      flag("--memory", "/resources/memory", "10 potatoes"),
      '--memory: "10 potatoes" does not fit; expected a size such as "256M" (K, M, G, T are powers of 1024) or a number of bytes',
    ],
    [flag("--uid", "/identity/uid", "0"), '--uid: "0" is a text; expected a user id from 0 to 4294967294'],
    [
      flag("--set", "resources", 1),
      '--set: "resources" is not a JSON pointer; expected one such as /resources/memory (RFC 6901)',
    ],
    [flag("--set", "/resources/memroy", 1), '--set: "memroy" is not known here; did you mean "memory"?'],
    [
      flag("--set", "/filesystem/mounts/9/size", 1),
      "--set: /filesystem/mounts/9 names no item; expected an index below 0, or - to append",
    ],
    [
      flag("--set", "/network/mode/x", 1),
      "--set: /network/mode holds no object, so /network/mode/x names no field",
    ],
    [flag("--set", "/network/-", 1), "--set: /network is not an array; expected a key"],
    [
      flag("--set", "/extends", "base"),
      "--set: /extends cannot be set from outside; expected a profile file with it",
    ],
    [flag("--set", "/resources/pids", Number.NaN), "--set: the value has the number NaN; expected JSON data"],
    [flag("--set", "/resources/pids", () => 1), "--set: the value has a function; expected JSON data"],
    [
      flag("--set", "/__proto__/x", 1),
      '--set: "__proto__" is not known here; expected one of "name", "description", "extends", "namespaces", "identity", "filesystem", "capabilities", "noNewPrivileges", "seccomp", "lsm", "landlock", "resources", "network", "environment", "process", "audit", "require"',
    ],
    [
      flag("--net", "/network/mode", "host"),
      "--net: the host's network cannot be had in a network namespace of its own; set namespaces.network to false",
    ],
  ])("%j is refused at the flag", (override, problem) => {
    expect(problemsOf('{"extends": "base"}', [override])).toEqual([problem]);
    expect("x" in {}).toBe(false);
  });

  test("a value that holds itself is refused", () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(problemsOf('{"extends": "base"}', [flag("--set", "/resources", circle)])).toEqual([
      "--set: the value nests deeper than 64 levels; expected JSON data",
    ]);
  });

  test("/- appends, and a mount takes the place of the profile's on the same target", () => {
    const { spec } = resolveMembers({ extends: "strict" }, [
      flag("--bind", "/filesystem/mounts/-", { type: "bind", source: "/data", target: "/data" }),
      flag("--tmpfs", "/filesystem/mounts/-", { type: "tmpfs", target: "/tmp/", size: "1G" }),
    ]);
    expect(
      spec.filesystem.mounts.map((mount) => [mount.type, mount.target, "size" in mount ? mount.size : 0]),
    ).toEqual([
      ["tmpfs", "/tmp", 1024 ** 3],
      ["bind", "/data", 0],
    ]);
    const twice = flag("--tmpfs", "/filesystem/mounts/-", { type: "tmpfs", target: "/x" });
    expect(problemsOf('{"extends": "base"}', [twice, twice])).toEqual([
      "--tmpfs: mount 0 has the target /x too; expected each target once",
    ]);
  });

  test("null puts the default back", () => {
    expect(
      resolveShipped("strict", [
        flag("--set", "/resources/memory", null),
        flag("--set", "/resources/swap", null),
      ]).spec.resources.memory,
    ).toBeNull();
  });
});

describe("provenance", () => {
  test("names the line of the profile, the flag or the default", () => {
    const result = resolveText('{\n  "extends": "strict",\n  "resources": { "pids": 9 }\n}', [
      flag("--cpus", "/resources/cpus", 2),
    ]);
    if (!result.ok) throw new Error("must resolve");
    const { provenance } = result.value;
    expect(provenance["/resources/pids"]).toEqual({
      kind: "profile",
      file: "p.json",
      pointer: "/resources/pids",
      line: 3,
      column: 26,
    });
    expect(provenance["/resources/cpus"]).toEqual({ kind: "flag", flag: "--cpus" });
    expect(provenance["/resources/outputSize"]).toEqual({ kind: "default" });
    expect(provenance["/resources/memory"]).toMatchObject({
      kind: "profile",
      file: shipped.builtin("strict"),
    });
    expect(provenance["/seccomp"]).toMatchObject({ kind: "profile" });
  });
});

describe("seccomp as containers ship it", () => {
  test("pastes in", () => {
    const { spec } = resolveMembers({
      seccomp: {
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrnoRet: 38,
        defaultErrno: "ENOSYS",
        archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] }],
        flags: ["SECCOMP_FILTER_FLAG_LOG"],
        syscalls: [
          {
            names: ["read", "@basic-io"],
            action: "SCMP_ACT_ALLOW",
            args: [],
            comment: "",
            includes: {},
            excludes: {},
          },
          { name: "ptrace", action: "SCMP_ACT_ALLOW", args: null, includes: { minKernel: "4.8" } },
          {
            names: ["clone"],
            action: "SCMP_ACT_ALLOW",
            args: [{ index: 0, value: 2114060288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
            excludes: { caps: ["CAP_SYS_ADMIN"], arches: ["s390", "s390x"] },
          },
          {
            names: ["socket"],
            action: "SCMP_ACT_ERRNO",
            errno: "EINVAL",
            args: [{ index: 0, value: "0xffffffffffffffff", op: "SCMP_CMP_EQ" }],
          },
        ],
      },
    });
    expect(spec.seccomp).toEqual({
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 38,
      flags: ["SECCOMP_FILTER_FLAG_LOG"],
      syscalls: [
        { names: ["read", "@basic-io"], action: "SCMP_ACT_ALLOW" },
        { names: ["ptrace"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
        {
          names: ["clone"],
          action: "SCMP_ACT_ALLOW",
          args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: 2114060288n, valueTwo: 0n }],
          excludes: { caps: ["CAP_SYS_ADMIN"], arches: ["s390", "s390x"] },
        },
        {
          names: ["socket"],
          action: "SCMP_ACT_ERRNO",
          errnoRet: 22,
          args: [{ index: 0, op: "SCMP_CMP_EQ", value: 0xffffffffffffffffn, valueTwo: 0n }],
        },
      ],
    });
  });

  test("a number that JSON cannot keep is refused by its source text", () => {
    expect(
      problemsOf(
        '{"extends":"base","seccomp":{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"op":"SCMP_CMP_EQ","value":9007199254740993}]}]}}',
      ),
    ).toEqual([
      'p.json:1:162 /seccomp/syscalls/0/args/0/value: 9007199254740993 is not a number that JSON readers keep exactly; expected the same as a text: "9007199254740993"',
    ]);
  });
});

describe("files", () => {
  const directory = mkdtempSync(join(tmpdir(), "profile-files-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const refused = (profile: string) => {
    const result = resolveProfile({ profile, overrides: [], cwd: directory }, profileFiles());
    return result.ok ? [] : result.problems.map(formatProblem);
  };

  test("a fifo is refused without waiting for its writer", () => {
    execFileSync("mkfifo", [join(directory, "pipe.json")]);
    expect(refused("pipe.json")).toEqual([
      '--profile: "pipe.json": it is not a regular file; copy its content to one',
    ]);
  });

  test("a directory, a device and a loop are refused", () => {
    symlinkSync("loop.json", join(directory, "loop.json"));
    expect(refused("./")).toEqual(['--profile: "./": it is a directory; name the file in it']);
    expect(refused("/dev/zero")).toEqual([
      '--profile: "/dev/zero": it is not a regular file; copy its content to one',
    ]);
    expect(refused("loop.json")).toEqual(['--profile: "loop.json": too many symbolic links']);
  });

  test("a large file is not read to its end", () => {
    writeFileSync(join(directory, "large.json"), Buffer.alloc(2 * 1024 * 1024, 0x20));
    expect(refused("large.json")).toEqual([
      '--profile: "large.json": it has more than 1048576 bytes; a profile is a few kilobytes of JSON',
    ]);
  });

  test("what is not there is said with the nearest name", () => {
    expect(refused("gone.json")).toEqual(['--profile: there is no file "gone.json"']);
    expect(refused("strct")).toEqual([
      '--profile: there is no shipped profile "strct"; did you mean "strict"?',
    ]);
    expect(refused("")).toEqual([
      '--profile: "" is not the name of a profile; expected the name of a shipped profile or the path of a file',
    ]);
    expect(refused("a\0b")).toEqual([
      '--profile: "a\\u0000b" is not the name of a profile; expected the name of a shipped profile or the path of a file',
    ]);
  });

  test("a file of the current directory never stands in for a shipped profile", () => {
    writeFileSync(join(directory, "strict"), "{}");
    const result = resolveProfile({ profile: "strict", overrides: [], cwd: directory }, profileFiles());
    expect(result.ok && result.value.sources.at(-1)?.file).toBe(shipped.builtin("strict"));
  });
});
