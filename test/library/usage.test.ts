/** What is measured and what is in force: figures next to loads of known size, and every control read back as asked. */
import { describe, expect, test } from "vitest";
import { createSandbox } from "../../src/index.ts";
import { has, need } from "../host/needs.ts";
import { hasCgroups, make, problemsOf, scratch } from "./support.ts";

const PYTHON = "/usr/bin/python3";
const SPIN = "import time\nwhile time.process_time() < 0.3: pass";
const ALLOCATE = "b = bytearray(50 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1";

describe.each(["strict", "standard", "build", "judge"])("under %s", (profile) => {
  test("everything that the plan holds to be in force is in force", async (context) => {
    if (profile === "judge" && !hasCgroups) context.skip("judge is refused without cgroups, see below");
    const { sandbox } = await make({}, { profile, cwd: scratch() });
    const outcome = await sandbox.run(["/bin/true"]);
    expect(outcome).toMatchObject({ reason: "exited", exitCode: 0, launchError: null, degraded: [] });
    expect(outcome.enforcement.filter(({ matches }) => !matches)).toEqual([]);
    expect(outcome.enforcement.length).toBeGreaterThan(30);
  });

  test("the devices of every program work", async (context) => {
    if (profile === "judge" && !hasCgroups) context.skip("judge is refused without cgroups, see below");
    const { sandbox } = await make({}, { profile, cwd: scratch() });
    const outcome = await sandbox.run([
      "/bin/sh",
      "-c",
      "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x > /dev/shm/a && cat /dev/shm/a",
    ]);
    expect(outcome).toMatchObject({ stdout: "3\n3\nx\n", stderr: "" });
  });
});

describe("usage", () => {
  test("counts a CPU spin of 0.3 s", async (context) => {
    need(context, has(PYTHON), "python3 is not installed");
    const { sandbox } = await make();
    const { usage } = await sandbox.run([PYTHON, "-c", SPIN]);
    expect(usage.cpuTime).toBeGreaterThanOrEqual(290);
    expect(usage.cpuTime).toBeLessThan(1500);
    expect(usage.userTime + usage.systemTime).toBeCloseTo(usage.cpuTime, 0);
    expect(usage.wallTime).toBeGreaterThanOrEqual(usage.cpuTime * 0.9);
  });

  test("counts children, also those that nobody waited for", async (context) => {
    need(context, has(PYTHON), "python3 is not installed");
    const { sandbox } = await make();
    const { usage } = await sandbox.run([
      "/bin/sh",
      "-c",
      `${PYTHON} -c '${SPIN}' & ${PYTHON} -c '${SPIN}'; wait`,
    ]);
    expect(usage.cpuTime).toBeGreaterThanOrEqual(580);
  });

  test("counts an allocation of 50 MiB as the peak", async (context) => {
    need(context, has(PYTHON), "python3 is not installed");
    const { sandbox } = await make();
    const { usage } = await sandbox.run([PYTHON, "-c", ALLOCATE]);
    expect(usage.peakMemory).toBeGreaterThanOrEqual(50 << 20);
    expect(usage.peakMemory).toBeLessThan(80 << 20);
    expect(usage.peakMemorySource).toBe(hasCgroups ? "cgroup" : "rusage");
  });

  test("starts anew with every run of one sandbox", async (context) => {
    need(context, has(PYTHON), "python3 is not installed");
    const { sandbox } = await make();
    await sandbox.run([PYTHON, "-c", `${ALLOCATE}\n${SPIN}`]);
    const { usage } = await sandbox.run(["/bin/true"]);
    expect(usage.cpuTime).toBeLessThan(200);
    expect(usage.peakMemory).toBeLessThan(20 << 20);
  });
});

describe("judge", () => {
  test.runIf(!hasCgroups)("is refused, with every reason and its way out, without cgroups", async () => {
    const problems = await problemsOf(createSandbox({ profile: "judge", cwd: "/", audit: { file: null } }));
    expect(problems.length).toBeGreaterThan(1);
    for (const problem of problems) {
      expect(problem.kind).toBe("host-cannot");
      expect(problem.where.kind).toBe("profile");
      expect(problem.hint).toContain("sandbox doctor");
    }
  });

  test.runIf(hasCgroups).each([
    ["cpu-time-limit", "cpuTime", { "/resources/cpuTime": "1s" }, "while :; do :; done"],
    ["memory-limit", "memory", { "/resources/memory": "32M" }, `exec ${PYTHON} -c 'bytearray(100 << 20)'`],
    ["output-limit", "outputSize", { "/resources/outputSize": "10K" }, "while :; do echo 0123456789; done"],
    ["wall-time-limit", "wallTime", { "/resources/wallTime": "300ms" }, "sleep 30"],
    [
      "file-size-limit",
      "fileSize",
      { "/resources/fileSize": "10K" },
      "exec dd if=/dev/zero of=/tmp/x bs=100K count=1",
    ],
    ["pids-limit", "pids", { "/resources/pids": 4 }, "for i in 1 2 3 4 5 6; do sleep 1 & done; wait"],
  ])("names a %s, also in the log", async (reason, limit, values, script) => {
    const { sandbox, records } = await make(values, { profile: "judge" });
    const outcome = await sandbox.run(["/bin/sh", "-c", script]);
    expect(outcome.reason).toBe(reason);
    expect(records().filter(({ kind }) => kind === "limit")).toMatchObject([{ limit, ended: true }]);
  });

  test.runIf(hasCgroups)("keeps exactly the output that the limit allows", async () => {
    const { sandbox } = await make({ "/resources/outputSize": 1000 }, { profile: "judge" });
    const outcome = await sandbox.run(["/bin/sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x"]);
    expect(outcome).toMatchObject({ reason: "output-limit", stdout: "x".repeat(1000) });
    expect(outcome.usage.outputSize).toBe(1000);
  });

  test.runIf(hasCgroups)("measures CPU time as the program itself does", async () => {
    const { sandbox } = await make({}, { profile: "judge" });
    const { stdout, usage } = await sandbox.run([PYTHON, "-c", `${SPIN}\nprint(time.process_time())`]);
    const own = Number(stdout) * 1000;
    expect(usage.cpuTime).toBeGreaterThanOrEqual(own - 1);
    // The launch itself and the interpreter's end are the rest.
    expect(usage.cpuTime - own).toBeLessThan(100);
  });
});

test("an override is what is in force", async () => {
  const { sandbox } = await make({
    "/resources/openFiles": 33,
    "/identity/uid": 4321,
    "/process/umask": "077",
  });
  const outcome = await sandbox.run(["/bin/sh", "-c", "ulimit -n; id -u; umask"]);
  expect(outcome.stdout).toBe("33\n4321\n0077\n");
});
