/** Importing a filter gives a profile that answers as the original is written, or says why not. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { NEWEST_KERNEL } from "../../src/compile/seccomp/target.ts";
import { exportProfile } from "../../src/export.ts";
import { importPolicy } from "../../src/import-policy.ts";
import { INHERITED_VARIABLES } from "../../src/policy-input/oci-profile.ts";
import { formatProblem, unwrap } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import { profileFacts } from "../../src/profile-rules/facts.ts";
import { compareLayers } from "../../src/prove/layers.ts";
import { need } from "../host/needs.ts";
import { factsOf } from "../profile-rules/facts.ts";

let cwd = "";
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "sandbox-import-"));
});
afterAll(() => rmSync(cwd, { recursive: true }));

const take = (name: string) =>
  importPolicy({ name, profileName: "imported", cwd, arch: "x86_64", kernel: NEWEST_KERNEL });
const write = (name: string, value: unknown): string => {
  const file = join(cwd, name);
  writeFileSync(file, typeof value === "string" ? value : JSON.stringify(value));
  return file;
};
const factsAt = (file: string) =>
  unwrap(profileFacts(unwrap(resolveProfile({ profile: file, overrides: [], cwd }, profileFiles()))));

/** OCI has no time namespace before 1.1, no limits on a run; system directories are mounts of a bundle. */
const LEFT_BY_OCI = ["/filesystem/mounts", "/namespaces/time", "/resources/cpuTime", "/resources/wallTime"];

describe("an imported profile", () => {
  it("of a container engine resolves, and lets its calls through", () => {
    const made = unwrap(take(fileURLToPath(new URL("../seccomp/container-default.json", import.meta.url))));
    const facts = factsAt(write("default.json", made.text));
    expect(facts.allowed({ names: ["openat"] })?.name).toBe("openat");
    expect(facts.allowed({ names: ["kexec_load"] })).toBe(null);
  });

  it("of Podman's default, as Debian ships it, notes what no kernel has", (context) => {
    const file = "/usr/share/containers/seccomp.json";
    need(context, existsSync(file), "golang-github-containers-common is not installed");
    const { text, notes } = unwrap(take(file));
    expect(factsAt(write("podman.json", text)).allowed({ names: ["unshare"] })?.name).toBe("unshare");
    expect(notes.length).toBeGreaterThan(0);
  });

  it("of what was exported is the profile's filter again", { timeout: 60_000 }, () => {
    const request = { profile: "strict", overrides: [], cwd };
    const exported = unwrap(exportProfile(request, "docker-seccomp"));
    const made = unwrap(take(write("exported.json", exported.text)));
    const [ours, theirs] = [factsOf("strict"), factsAt(write("again.json", made.text))];
    const [a, b] = [ours.filters[0], theirs.filters[0]];
    if (a === undefined || b?.rules == null) throw new Error("no filter");
    const { prover } = a.asked;
    const again = prover.rules(b.rules.policy);
    if ("reason" in again) throw new Error(again.reason);
    const differing = [...syscallTable("x86_64").numbers].filter(
      ([, nr]) => prover.ofCall(again, "x86_64", nr) !== a.asked.ofCall("x86_64", nr),
    );
    // Those that the export tightened, and says so.
    const names = differing.map(([name]) => name).toSorted();
    expect(names).toEqual(["ioprio_set", "prlimit64", "setpriority"]);
    const left = exported.left.map(({ what }) => what).join();
    for (const name of names) expect(left).toContain(`of ${name}:`);
  });

  const BUNDLE = {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 7, gid: 8, umask: 0o77 },
      args: ["sh"],
      env: ["A=1", "PATH=/bin"],
      cwd: "/srv",
      capabilities: {
        bounding: ["CAP_KILL", "CAP_CHOWN"],
        permitted: ["CAP_KILL"],
        effective: ["CAP_KILL"],
        inheritable: [],
        ambient: ["CAP_KILL"],
      },
      rlimits: [
        { type: "RLIMIT_NOFILE", soft: 64, hard: 128 },
        { type: "RLIMIT_STACK", soft: 65_536, hard: 65_536 },
      ],
      noNewPrivileges: false,
      oomScoreAdj: 100,
    },
    root: { path: "rootfs" },
    hostname: "box",
    mounts: [
      { destination: "/proc", type: "proc" },
      { destination: "/dev/shm", type: "tmpfs", options: ["size=1m"] },
      { destination: "/tmp", type: "tmpfs", options: ["nosuid", "noexec", "size=4096k", "mode=700"] },
      { destination: "/data", type: "bind", source: "data", options: ["rbind", "ro"] },
      { destination: "/sys", type: "sysfs", options: ["rw"] },
    ],
    linux: {
      namespaces: ["pid", "mount", "ipc", "uts", "user", "network"].map((type) => ({ type })),
      uidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
      gidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
      resources: {
        memory: { limit: 134_217_728, swap: 134_217_728 },
        cpu: { quota: 50_000, period: 100_000, cpus: "0-1" },
        pids: { limit: 32 },
        blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1024 }] },
      },
      maskedPaths: ["/proc/kcore"],
      readonlyPaths: ["/proc/sys"],
      sysctl: { "net.ipv4.ip_forward": "0" },
      seccomp: {
        defaultAction: "SCMP_ACT_ERRNO",
        syscalls: [{ names: ["kill"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_CHOWN"] } }],
      },
    },
  };

  it("of an OCI bundle says every layer of it", () => {
    const file = write("config.json", BUNDLE);
    const made = unwrap(take(file));
    const path = write("bundle.json", made.text);
    const { spec } = unwrap(resolveProfile({ profile: path, overrides: [], cwd }, profileFiles()));
    expect(spec).toMatchObject({
      namespaces: { user: true, network: true, cgroup: false, time: false },
      identity: { uid: 7, gid: 8, hostname: "box", map: { uidMappings: [{ hostID: 100_000 }] } },
      filesystem: {
        root: { type: "directory", path: join(cwd, "rootfs") },
        write: "ephemeral",
        proc: "full",
        masked: ["/proc/kcore"],
        readOnly: ["/proc/sys"],
        shmSize: 1_048_576,
        mounts: [
          { type: "tmpfs", target: "/tmp", size: 4_194_304, mode: 0o700, noExec: true, readOnly: false },
          { type: "bind", target: "/data", source: join(cwd, "data"), readOnly: true, noExec: false },
        ],
      },
      capabilities: { bounding: ["CAP_CHOWN", "CAP_KILL"], effective: ["CAP_KILL"], ambient: [] },
      noNewPrivileges: true,
      resources: {
        memory: 134_217_728,
        swap: 0,
        cpus: 0.5,
        cpuset: "0-1",
        pids: 32,
        openFiles: 128,
        rlimits: { stack: { soft: 65_536, hard: 65_536 } },
        io: [{ device: "8:0", readBps: 1024 }],
      },
      environment: { pass: [], set: { A: "1", PATH: "/bin", HOME: "/tmp" } },
      process: { workdir: "/srv", umask: 0o77, oomScoreAdj: 100 },
    });
    // Its filter has a condition on a capability that the profile gives.
    expect(factsAt(path).allowed({ names: ["kill"] })?.name).toBe("kill");
    const said = made.notes.map(({ where, message }) =>
      where.kind === "profile" ? `${where.pointer} ${message}` : message,
    );
    for (const note of [
      '/linux/sysctl "sysctl" is not carried over',
      "/mounts/4 /sys is not carried over: a profile has its own /dev and /proc, and no other kernel file systems",
      "/root what is written to the root is discarded after the run, and not kept in it",
      "/process/capabilities/ambient without effect, since not permitted and inheritable as well: CAP_KILL",
      "/process/noNewPrivileges executing a file gives no rights: a filter and Landlock need that here",
      "/process/rlimits no core files are written",
      "/process/env HOME is /tmp for programs that look for it",
      "/process/cwd process.args is not carried over: the command is given to sandbox run",
    ])
      expect(said).toContain(note);
  });

  it("of an OCI bundle without a filter has none, and says so", () => {
    const made = unwrap(
      take(
        write("bare.json", {
          ociVersion: "1.0.2",
          linux: { namespaces: [{ type: "mount" }, { type: "pid" }] },
        }),
      ),
    );
    expect(JSON.parse(made.text)).toMatchObject({ seccomp: null, namespaces: { user: false } });
    expect(made.notes.map(({ message }) => message)).toContain(
      "there is no seccomp object: every call is allowed",
    );
  });

  it("of what was exported as a bundle permits nothing that the profile forbids, but what the bundle has no words for", {
    timeout: 60_000,
  }, () => {
    const request = { profile: "strict", overrides: [], cwd };
    const exported = unwrap(exportProfile(request, "oci"));
    const made = unwrap(take(write("oci.json", exported.text)));
    const again = unwrap(
      resolveProfile({ profile: write("back.json", made.text), overrides: [], cwd }, profileFiles()),
    );
    const looser = compareLayers(factsOf("strict").spec, again.spec).filter(
      ({ direction }) => direction === "looser",
    );
    expect(looser.map(({ pointer }) => pointer).toSorted()).toEqual(LEFT_BY_OCI);
  });

  it("a bundle that cannot be a profile is refused at its own lines", () => {
    const made = take(
      write("shared.json", { ociVersion: "1.0.2", process: { user: { uid: 1, gid: 1 } }, linux: {} }),
    );
    expect(
      made.ok ? "made" : made.problems.map(({ where }) => (where.kind === "profile" ? where.file : "")),
    ).toContain(join(cwd, "shared.json"));
  });

  it("what the base sets and no bundle can take away is what is noted", () => {
    expect(factsOf("base").spec.environment.set).toEqual(INHERITED_VARIABLES);
  });

  it.each<readonly [string, unknown, RegExp]>([
    [
      "a supervisor's answer",
      { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: ["read"], action: "SCMP_ACT_NOTIFY" }] },
      /SCMP_ACT_NOTIFY/,
    ],
    [
      "a profile of ours",
      { extends: "strict", name: "x", description: "x" },
      /it is a profile of ours already/,
    ],
    ["what is not JSON", "{", /./],
  ])("is not made of %s", (_what, value, expected) => {
    const made = take(write("wrong.json", value));
    expect(made.ok ? "made" : made.problems.map(formatProblem).join("\n")).toMatch(expected);
    expect(made.ok).toBe(false);
  });
});
