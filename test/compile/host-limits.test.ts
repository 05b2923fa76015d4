/** What this host or this caller cannot give is refused before anything runs, at the field that asked for it, with what could be had. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { probeHost } from "../../src/host/probe.ts";
import { formatProblem, type Problem } from "../../src/problems.ts";
import { need, needRoot } from "../host/needs.ts";
import { make, problemsOf, scratch } from "../library/support.ts";
import { cli, environment } from "../live/harness.ts";
import { type Case, planFor, recordedHost } from "./plan.ts";

const refused = (values: Readonly<Record<string, unknown>>): Promise<readonly Problem[]> =>
  problemsOf(make(values));
const first = (problems: readonly Problem[]): string =>
  formatProblem(problems[0] ?? expect.fail("no problem"));

describe("a limit above the caller's own hard limit", () => {
  const host = { ...recordedHost("debian-root-v1-hybrid"), hardLimits: { nofile: 100, stack: 1000, cpu: 5 } };
  const asking = (more: Readonly<Record<string, unknown>>): Case => ({
    host,
    overrides: { "/resources/openFiles": 101, ...more },
  });

  test("is refused where the profile requires limits in full: what could be had, and how to get more", () => {
    const plan = planFor(asking({ "/require/resources": "full" }));
    expect(plan.ok ? [] : plan.problems).toContainEqual({
      kind: "host-cannot",
      where: { kind: "option", option: "test" },
      pointer: "/resources/openFiles",
      message: "RLIMIT_NOFILE 101 is above the caller's own hard limit",
      expected: "at most 100",
      hint: "raise it first (as root: prlimit --pid $$ --nofile=101), or take what there is with --set /require/resources='\"partial\"'",
    });
  });

  test("is lowered to it, as partial, where the profile accepts that", () => {
    const plan = planFor(
      asking({
        "/resources/rlimits/stack": { soft: 10, hard: "unlimited" },
        "/require/resources": "partial",
      }),
    );
    if (!plan.ok) throw new Error(plan.problems.map(formatProblem).join("\n"));
    const decision = (id: string) => plan.value.decisions.find((each) => each.id === `resources.${id}`);
    expect(decision("openFiles")).toMatchObject({
      status: "partial",
      setting: "RLIMIT_NOFILE 100",
      check: { expected: "100 100" },
    });
    expect(decision("rlimits.stack")).toMatchObject({ status: "partial", check: { expected: "10 1000" } });
    expect(decision("cpuTime")).toMatchObject({ status: "partial", check: { expected: "5 5" } });
    expect(decision("fileSize")).toMatchObject({ status: "full" });
  });

  test("does not stop a run: the payload has what the caller has, and the kernel confirms it", () => {
    const directory = scratch();
    const ran = spawnSync(
      "prlimit",
      [
        "--nofile=200",
        process.execPath,
        cli("user"),
        "run",
        "--profile=standard",
        `--audit=${join(directory, "log")}`,
        `--report=${join(directory, "report")}`,
        "--",
        "sh",
        "-c",
        "ulimit -Hn",
      ],
      { encoding: "utf8", env: environment(directory), cwd: directory },
    );
    expect(ran).toMatchObject({ status: 0, stdout: "200\n", stderr: "" });
    const { enforcement } = JSON.parse(readFileSync(join(directory, "report"), "utf8"));
    expect(enforcement).toContainEqual({
      decision: "resources.openFiles",
      expected: "nofile: 200 200",
      actual: "200 200",
      matches: true,
      status: "partial",
    });
  });

  test("is known from the caller's own limits", () => {
    const shown = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
    expect(`${probeHost().hardLimits.nofile ?? "unlimited"}`).toBe(shown);
  });
});

describe("a disk that is to be throttled", () => {
  test("must be one of this machine's", async () => {
    const problems = await refused({ "/resources/io": [{ device: "4095:7", readBps: "1M" }] });
    expect(first(problems)).toBe(
      "option test: this machine has no block device 4095:7; expected major:minor of a disk, as lsblk shows it",
    );
    expect(problems[0]?.pointer).toBe("/resources/io/0/device");
  });

  test("must be a whole one", () => {
    const plan = planFor({
      host: "debian-root-v1-hybrid",
      overrides: { "/resources/io": [{ device: "8:2", readBps: "1M" }] },
      paths: {
        "/sys/dev/block/8:2": { type: "directory", real: "/sys/devices/pci0000:00/block/sda/sda2" },
        "/sys/dev/block/8:2/partition": { type: "file" },
      },
    });
    expect(plan.ok ? "" : first(plan.problems)).toBe(
      "option test: 8:2 is sda2, a partition, and only whole disks can be limited; expected major:minor of sda, as lsblk shows it",
    );
  });

  test("is throttled where there is one", async (context) => {
    needRoot(context);
    const [device] = readdirSync("/sys/dev/block").filter((name) => !name.startsWith("7:"));
    need(context, device !== undefined, "this machine shows no disk");
    need(context, probeHost().cgroup.controllers.io !== undefined, "no io controller");
    const { sandbox } = await make({ "/resources/io": [{ device, readBps: 1048576, writeIops: 7 }] });
    const outcome = await sandbox.run(["true"]);
    expect(outcome).toMatchObject({ exitCode: 0, launchError: null });
    const read = outcome.enforcement.filter(({ decision }) => decision.startsWith("resources.io"));
    expect(read.map(({ matches }) => matches)).not.toContain(false);
    expect(read.length).toBeGreaterThan(0);
  });
});

describe("a directory that cannot be a layer", () => {
  test.each([
    ["/proc/sys", "proc"],
    ["/sys/kernel/mm", "sysfs"],
  ])("%s is no root, because the kernel makes it up", async (path, name) => {
    const problems = await refused({ "/filesystem/root": { type: "directory", path } });
    expect(first(problems)).toBe(
      `option test: ${path} lies on ${name}, which the kernel makes up: it is no root file system; expected a directory with a root file system`,
    );
  });

  test("/proc/sys keeps no writes", async () => {
    const problems = await refused({ "/filesystem/write": { directory: "/proc/sys" } });
    expect(first(problems)).toContain("/proc/sys lies on proc, which cannot take the writes of an overlay");
  });

  test("/ is no root, and the mounts below it do not fill the screen", async () => {
    const problems = await refused({ "/filesystem/root": { type: "directory", path: "/" } });
    expect(first(problems)).toMatch(/\/ cannot be a root: \/\S+ and \d+ more are mounted below it/);
  });

  describe("in a mount namespace with overlays", () => {
    /** Overlays of two depths over a root of busybox, then a run of the script. */
    function amongOverlays(
      script: string,
    ): ReturnType<typeof spawnSync> & { stdout: string; stderr: string } {
      const AT = scratch();
      const prepare = [
        'cd "$AT"; mkdir -p base/bin u1 w1 one u2 w2 two kept e1 e2; cp "$BUSYBOX" base/bin/sh; chmod -R a+rX .',
        'mount -t overlay none -o lowerdir="$AT/base",upperdir="$AT/u1",workdir="$AT/w1" "$AT/one"',
        // Two overlays deep is as far as the kernel goes.
        'mount -t overlay none -o lowerdir="$AT/one:$AT/e1" "$AT/two"',
        'run() { "$NODE" "$CLI" run --audit "$AT/log" "$@"; }',
      ].join("\n");
      return spawnSync(
        "unshare",
        ["--mount", "--propagation", "private", "/bin/sh", "-c", `set -e\n${prepare}\nset +e\n${script}`],
        {
          encoding: "utf8",
          timeout: 30_000,
          env: { ...environment(AT), NODE: process.execPath, CLI: cli("root"), AT, BUSYBOX },
        },
      );
    }
    const BUSYBOX = ["/usr/bin/busybox", "/bin/busybox"].find(existsSync) ?? "";

    test("an overlay, and the upper layer of one, are roots like others; one too many says so", (context) => {
      needRoot(context);
      need(context, BUSYBOX !== "", "busybox is not installed");
      const ran = amongOverlays(
        'for root in one two; do run --rootfs "$AT/$root" -- /bin/sh -c "echo in $root"; echo "$?"; done; touch "$AT/u1/new"; mkdir "$AT/u1/bin"; cp "$BUSYBOX" "$AT/u1/bin/sh"; run --rootfs "$AT/u1" -- /bin/sh -c "echo upper"',
      );
      expect(ran).toMatchObject({
        stdout: "in one\n0\n125\nupper\n",
        stderr: expect.stringMatching(/^sandbox: .*overlays are stacked more than two deep.*\n$/),
      });
    });

    test("an overlay keeps no writes of another", (context) => {
      needRoot(context);
      need(context, BUSYBOX !== "", "busybox is not installed");
      const ran = amongOverlays('mkdir "$AT/one/kept"; run --write "$AT/one/kept" -- true; echo "$?"');
      expect(ran.stdout).toBe("125\n");
      expect(ran.stderr).toMatch(/^--write: .*lies on overlay, which cannot take the writes/);
    });
  });
});

describe("a place inside that cannot be had says what to do", () => {
  test.each([
    [{ type: "tmpfs", target: "/dev/shm", size: "1M" }],
    [{ type: "bind", source: "/etc", target: "/dev/x" }],
  ])("%o: /dev is the sandbox's own", async (mount) => {
    const problems = await refused({ "/filesystem/mounts/-": mount });
    expect(first(problems)).toMatch(
      /is in \/dev, which the sandbox makes itself; choose devices .*filesystem\.shmSize/,
    );
  });

  test("a mount point in a read-only directory", async () => {
    const { sandbox } = await make({ "/filesystem/mounts/-": { type: "tmpfs", target: "/usr/nowhere" } });
    const { launchError } = await sandbox.run(["true"]);
    expect(launchError).toMatchObject({ errno: "ENOENT", target: "/usr/nowhere" });
    expect(launchError?.hint).toContain("--write ephemeral");
  });

  test("a working directory that is not shown", async () => {
    const { sandbox } = await make({ "/process/workdir": "/nowhere" });
    const { launchError } = await sandbox.run(["true"]);
    expect(launchError).toMatchObject({ errno: "ENOENT", target: "/nowhere" });
    expect(launchError?.hint).toContain("--workdir");
  });

  test("a directory for writes that is a file is not one to be made", async () => {
    const problems = await refused({ "/filesystem/write": { directory: "/etc/passwd" } });
    expect(first(problems)).not.toContain("mkdir");
    expect(first(await refused({ "/filesystem/write": { directory: "/nowhere/at/all" } }))).toContain(
      "mkdir -p",
    );
  });
});

describe("circumstances that nothing can be run in say what to do", () => {
  test.each([
    [
      'mkdir here && cd here && rmdir ../here && exec "$@"',
      /the current directory does not exist any more; cd to/,
    ],
    // Which open comes too late depends on what Node has open itself.
    ['ulimit -n 20 && exec "$@"', /EMFILE.*; raise .*ulimit -n/],
    ['ulimit -f 0 && exec "$@"', /raise the file-size limit \(`ulimit -f`\)/],
  ])("%s", (circumstance, said) => {
    const directory = scratch();
    const command = [process.execPath, cli("user"), "run", `--audit=${join(directory, "log")}`, "--", "true"];
    const ran = spawnSync("/bin/sh", ["-c", circumstance, "sh", ...command], {
      encoding: "utf8",
      env: environment(directory),
      cwd: directory,
    });
    expect(ran).toMatchObject({ status: 125, stdout: "" });
    expect(ran.stderr).toMatch(said);
  });
});
