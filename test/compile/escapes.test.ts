/**
 * Ways out that a review found or that runtimes of the past had, each tried for real: links, magic links and shared mounts that would lead a
 * launch, or the payload after it, to the host.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { WRITES_MARK } from "../../src/host/facts.ts";
import { need } from "../host/needs.ts";
import { isRoot, make, scratch } from "../library/support.ts";

const BUSYBOX = ["/usr/bin/busybox", "/bin/busybox"].find(existsSync);
const DESCRIPTORS = Array.from({ length: 60 }, (_, number) => number + 3);

/** A directory that a payload may use, whoever it is mapped to. */
function open(): string {
  const directory = scratch();
  chmodSync(directory, 0o755);
  return directory;
}

/** A rootfs with a link for every descriptor that a launcher might have open: up and up, then down to a host directory. */
function hostileRoot(target: string): string {
  const root = open();
  for (const directory of ["bin", "tmp"]) mkdirSync(join(root, directory));
  copyFileSync(BUSYBOX ?? "", join(root, "bin/sh"));
  for (const number of DESCRIPTORS)
    symlinkSync(`/proc/self/fd/${number}/${"../".repeat(12)}${target}`, join(root, `app${number}`));
  return root;
}

describe("a hostile rootfs with magic links", () => {
  test("does not make a host directory the working directory (CVE-2024-21626)", async (context) => {
    need(context, BUSYBOX !== undefined, "busybox is not installed");
    const root = hostileRoot("");
    for (const number of [3, 4, 5, 6, 7, 8, 9, 12, 20]) {
      const { sandbox } = await make({
        "/filesystem/root": { type: "directory", path: root },
        "/process/workdir": `/app${number}`,
      });
      const outcome = await sandbox.run(["/bin/sh", "-c", "pwd; ls"]);
      expect(outcome).toMatchObject({
        reason: "launch-failed",
        launchError: { step: "workdir.open" },
        stdout: "",
      });
    }
  });

  test("gets no directory, file or link made on the host (CVE-2024-45310)", async (context) => {
    need(context, BUSYBOX !== undefined, "busybox is not installed");
    const victim = open();
    chmodSync(victim, 0o777);
    const root = hostileRoot(victim.slice(1));
    for (const number of [3, 4, 5, 6, 7, 8, 9, 12, 20]) {
      for (const mount of [
        { type: "tmpfs", target: `/app${number}/directory` },
        { type: "file", target: `/app${number}/file`, content: "planted" },
        { type: "symlink", target: `/app${number}/link`, link: "/" },
      ]) {
        const { sandbox } = await make({
          "/filesystem/root": { type: "directory", path: root },
          "/filesystem/mounts/-": mount,
        });
        expect(await sandbox.run(["/bin/sh", "-c", "true"])).toMatchObject({ reason: "launch-failed" });
      }
    }
    expect(readdirSync(victim)).toEqual([]);
  });
});

describe("a kept write directory in which somebody planted links", () => {
  test.each(["root", "usr.upper", "usr.work", "empty"])(
    "a link as %s is refused, and what it names stays untouched",
    async (name) => {
      const kept = open();
      writeFileSync(join(kept, WRITES_MARK), "", { mode: 0o600 });
      chmodSync(kept, 0o777);
      const victim = open();
      writeFileSync(join(victim, "f"), "of the host\n");
      symlinkSync(victim, join(kept, name));
      const { sandbox } = await make({ "/filesystem/write": { directory: kept } });
      const outcome = await sandbox.run(["sh", "-c", "cat /f; echo x >> /f; echo x > /usr/planted"]);
      expect(outcome).toMatchObject({ reason: "launch-failed", launchError: { errno: "ELOOP" } });
      expect(readdirSync(victim)).toEqual(["f"]);
      expect(readFileSync(join(victim, "f"), "utf8")).toBe("of the host\n");
    },
  );

  test("the host's / is refused: its directory root is somebody's home", async () => {
    const values = { "/filesystem/write": { directory: "/" } };
    await expect(make(values).then(({ sandbox }) => sandbox.run(["true"]))).rejects.toThrow(
      /writes cannot be kept in \//,
    );
  });

  test("a directory that the payload is shown, writable, is refused before anything runs", async () => {
    const shown = open();
    const kept = join(shown, "state");
    mkdirSync(kept);
    const values = {
      "/filesystem/write": { directory: kept },
      "/filesystem/mounts/-": { type: "bind", source: shown, target: "/w", options: ["rw"] },
    };
    await expect(make(values).then(({ sandbox }) => sandbox.run(["true"]))).rejects.toThrow(
      /keeps the writes, and .* shows it to the payload/,
    );
  });
});

test.each([0, 1, 2])(
  "a directory as descriptor %i is refused: the payload could walk the host from it",
  async (descriptor) => {
    const directory = openSync(open(), "r");
    try {
      const { sandbox } = await make({});
      const streams = [
        { stdin: { fd: directory } },
        { stdout: { fd: directory } },
        { stderr: { fd: directory } },
      ];
      const outcome = await sandbox.run(["true"], streams[descriptor]);
      expect(outcome).toMatchObject({
        reason: "launch-failed",
        launchError: { errno: "EISDIR", hint: expect.stringContaining("is a directory") },
      });
    } finally {
      closeSync(directory);
    }
  },
);

const TAMPER = `
import os, resource
attempts = [
  lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)),
  lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
  lambda: os.setpriority(os.PRIO_USER, 0, 19),
  lambda: os.sched_setaffinity(1, {0}),
  lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
]
for attempt in attempts:
  try:
    attempt()
    print("done")
  except OSError as error:
    print(error.errno)
resource.prlimit(0, resource.RLIMIT_NOFILE, (100, 100))
`;

test.each(["strict", "standard"])(
  "%s: limits and scheduling of pid 1 are out of reach, its own are not",
  async (profile) => {
    const { sandbox } = await make({}, { profile });
    const outcome = await sandbox.run(["python3", "-c", TAMPER]);
    expect(outcome).toMatchObject({ exitCode: 0, stdout: "1\n".repeat(5), stderr: "" });
  },
);

test("what is mounted on a shared bind inside never appears on the host", (context) => {
  need(context, isRoot, "needs root: a private copy of the host's mounts, shared within itself");
  const host = open();
  const other = open();
  mkdirSync(join(host, "bound/sub"), { recursive: true });
  const index = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
  need(context, existsSync(index), "not built: npm run build");
  const script = `
    import { readFileSync } from "node:fs";
    import { createSandbox } from ${JSON.stringify(index)};
    const source = { kind: "option", option: "test" };
    const bind = (source, target, mode) => ({ type: "bind", source, target, options: [mode] });
    const mounts = [bind(${JSON.stringify(join(host, "bound"))}, "/w", "rw"), bind(${JSON.stringify(other)}, "/w/sub", "ro")];
    const overrides = mounts.map((value) => ({ pointer: "/filesystem/mounts/-", value, source }));
    const sandbox = await createSandbox({ profile: "strict", audit: { file: null }, overrides });
    const outcome = await sandbox.run(["sh", "-c", "grep -c ' /w/sub ' /proc/self/mountinfo"]);
    console.log(outcome.stdout.trim(), readFileSync("/proc/self/mountinfo", "utf8").includes("bound/sub"));`;
  const command = `mount --bind ${host} ${host} && mount --make-shared ${host} && exec ${process.execPath} --input-type=module -`;
  const output = execFileSync("unshare", ["--mount", "--propagation", "shared", "sh", "-c", command], {
    input: script,
    encoding: "utf8",
  });
  expect(output).toBe("1 false\n");
});
