/**
 * Where a run's cgroup is made on pure cgroup v2, and what becomes of the limits: in a scope below a slice as a login has it, in a
 * delegated cgroup that the caller's own processes are in, in one made by systemd-run, and where nothing was delegated. And that
 * nothing stays, whoever is killed.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, pause, processesWith } from "../../../live/harness.ts";
import {
  type Answer,
  delegate,
  HOG,
  handOn,
  leftCgroups,
  makeCgroup,
  NOBODY,
  PERSON,
  type Request,
  readControl,
  removeCgroupTree,
  resourceStatus,
  TREE,
  Worker,
} from "./place.ts";

/** What a run in strict says of its own place: its cgroup as the host sees it, while it runs. */
const WAIT = { argv: ["/bin/sleep", "2.5"] } as const;
const QUICK = { argv: ["/bin/true"] } as const;
const HOG_MEMORY: Request = {
  argv: [HOG, "memory", "200"],
  values: { "/resources/memory": "48M", "/resources/swap": 0 },
};

const workers: Worker[] = [];
function worker(directory: string, uid: number): Worker {
  const started = new Worker(directory, uid);
  workers.push(started);
  return started;
}
afterEach(async () => {
  // What a failed test left running would otherwise be waited for.
  for (const each of workers.splice(0)) await each.end("SIGKILL");
  if (leftCgroups().length > 0) throw new Error(`left behind: ${leftCgroups().join(", ")}`);
});

/** Where the run that this worker now has was put: directories of runs, while it lasts. */
async function placeOf(at: Worker): Promise<{ readonly parent: readonly string[]; readonly answer: Answer }> {
  // A first run takes as long as it takes a machine under load to compile; the second one is there at once.
  await at.ask(QUICK);
  const answer = at.ask(WAIT);
  expect(await eventually(() => leftCgroups().length > 0, 90_000)).toBe(true);
  const parent = leftCgroups().map(dirname);
  return { parent, answer: await answer };
}

const allFull = (answer: Answer) =>
  expect(new Set(Object.values(resourceStatus(answer)))).toEqual(new Set(["full"]));

describe("root in the scope of a login", () => {
  it("runs beside the scope, below the slice that hands controllers on, within its limits", async () => {
    const scope = makeCgroup("/login.slice/session.scope");
    const at = worker(scope, 0);
    try {
      const { parent, answer } = await placeOf(at);
      expect(parent).toEqual([join(TREE, "login.slice")]);
      allFull(answer);
      // The limit around the sandbox is the one that is met: some of it are the threads of Node.
      writeFileSync(join(TREE, "login.slice/pids.max"), "40");
      const forks = await at.ask({ argv: [HOG, "processes"] });
      expect(forks.outcome.stdout).toMatch(/^processes ([1-9]|[12][0-9]) EAGAIN$/m);
      writeFileSync(join(TREE, "login.slice/pids.max"), "max");
      expect((await at.ask(HOG_MEMORY)).outcome.reason).toBe("memory-limit");
    } finally {
      await at.end();
      removeCgroupTree("/login.slice/session.scope", "/login.slice");
    }
  });
});

describe("an ordinary user whose own cgroup was delegated", () => {
  it("moves itself to a leaf, divides it, and runs below; so do those who come later", async () => {
    const own = makeCgroup("/people/person");
    delegate(own, PERSON);
    const first = worker(own, PERSON);
    const { outcome, ...answer } = await first.ask(QUICK);
    expect(outcome).toMatchObject({ exitCode: 0, launchError: null });
    allFull({ outcome, ...answer });
    expect(readControl(own, "cgroup.procs")).toBe("");
    expect(readControl(join(own, "sandbox-supervisor"), "cgroup.procs")).toBe(String(first.pid));
    const later = worker(join(own, "sandbox-supervisor"), PERSON);
    const place = await placeOf(later);
    expect(place.parent).toEqual([own]);
    allFull(place.answer);
    expect((await later.ask(HOG_MEMORY)).outcome.reason).toBe("memory-limit");
    for (const each of [first, later]) await each.end();
    removeCgroupTree("/people/person/sandbox-supervisor", "/people/person", "/people");
  });

  it("runs beside its own leaf where the cgroup above hands on already, as below a user's systemd", async () => {
    const above = makeCgroup("/people/manager/app.scope");
    for (const path of [dirname(above), above]) delegate(path, PERSON);
    const at = worker(above, PERSON);
    const { parent, answer } = await placeOf(at);
    expect(parent).toEqual([dirname(above)]);
    allFull(answer);
    await at.end();
    removeCgroupTree("/people/manager/app.scope", "/people/manager", "/people");
  });

  it("divides the scope that systemd-run made for it, though the cgroup above would do", async () => {
    const scope = makeCgroup("/people/manager/run-u7.scope");
    for (const path of [dirname(scope), scope]) delegate(path, PERSON);
    const at = worker(scope, PERSON);
    const { parent, answer } = await placeOf(at);
    expect(parent).toEqual([scope]);
    allFull(answer);
    await at.end();
    removeCgroupTree(
      "/people/manager/run-u7.scope/sandbox-supervisor",
      "/people/manager/run-u7.scope",
      "/people/manager",
      "/people",
    );
  });

  it("divides such a scope beside a process of root's, which only a cpuset cannot be given", async () => {
    const scope = makeCgroup("/people/manager/run-u9.scope");
    for (const path of [dirname(scope), scope]) delegate(path, PERSON);
    // As sudo leaves one in the scope that it was started in.
    const privileged = spawn("/bin/sh", ["-c", `echo 0 > ${scope}/cgroup.procs; exec sleep 600`], {
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => privileged.once("close", resolve));
    try {
      expect(await eventually(() => readControl(scope, "cgroup.procs") !== "", 10_000)).toBe(true);
      const at = worker(scope, PERSON);
      const refused = await at.ask({ ...QUICK, values: { "/resources/cpuset": "0" } });
      expect(refused.outcome.launchError).toMatchObject({
        step: "cgroup.prepare",
        errno: "EPERM",
        target: `${scope}/cgroup.subtree_control`,
        hint: expect.stringContaining("you may give it no cpuset"),
      });
      const answer = await at.ask(QUICK);
      expect(answer.outcome).toMatchObject({ exitCode: 0, launchError: null });
      allFull(answer);
      await at.end();
    } finally {
      privileged.kill("SIGKILL");
      await ended;
      for (const each of workers) await each.end("SIGKILL");
      removeCgroupTree(
        "/people/manager/run-u9.scope/sandbox-supervisor",
        "/people/manager/run-u9.scope",
        "/people/manager",
        "/people",
      );
    }
  });

  it("divides such a scope while a shell in it starts one process after the other, and another run does the same", async () => {
    const scope = makeCgroup("/people/manager/run-u8.scope");
    for (const path of [dirname(scope), scope]) delegate(path, PERSON);
    const restless = spawn(
      "/bin/sh",
      [
        "-c",
        `echo 0 > ${scope}/cgroup.procs; exec setpriv --reuid=${PERSON} --regid=${PERSON} --clear-groups sh -c 'while :; do (:); done'`,
      ],
      { stdio: "ignore" },
    );
    const ended = new Promise((resolve) => restless.once("close", resolve));
    try {
      const answers = await Promise.all(
        [worker(scope, PERSON), worker(scope, PERSON)].map((each) => each.ask(QUICK)),
      );
      for (const answer of answers) {
        expect(answer.outcome).toMatchObject({ exitCode: 0, launchError: null });
        allFull(answer);
      }
      expect(readControl(scope, "cgroup.procs")).toBe("");
    } finally {
      restless.kill("SIGKILL");
      await ended;
      for (const each of workers) await each.end("SIGKILL");
      removeCgroupTree(
        "/people/manager/run-u8.scope/sandbox-supervisor",
        "/people/manager/run-u8.scope",
        "/people/manager",
        "/people",
      );
    }
  });

  it("has in full what was delegated, and in part what was not", async () => {
    const own = join(makeCgroup("/people"), "person");
    writeFileSync(join(TREE, "people/cgroup.subtree_control"), "+memory +pids");
    mkdirSync(own);
    delegate(own, PERSON);
    const at = worker(own, PERSON);
    const answer = await at.ask(QUICK);
    expect(answer.outcome).toMatchObject({ exitCode: 0 });
    expect(resourceStatus(answer)).toMatchObject({
      "resources.memory": "full",
      "resources.pids": "full",
      "resources.cpus": "none",
    });
    expect((await at.ask(HOG_MEMORY)).outcome.reason).toBe("memory-limit");
    await at.end();
    removeCgroupTree("/people/person/sandbox-supervisor", "/people/person", "/people");
  });

  it("is refused its own cgroup while strangers are in it, and told so", async () => {
    const own = makeCgroup("/people/person");
    delegate(own, PERSON);
    const stranger = spawn("/bin/sh", ["-c", `echo 0 > ${own}/cgroup.procs; exec sleep 300`], {
      stdio: "ignore",
    });
    try {
      await eventually(() => readControl(own, "cgroup.procs") !== "", 10_000);
      const answer = await worker(own, PERSON).ask({ ...QUICK, profile: "judge" });
      expect(answer.problems?.join("\n")).toContain(`other processes live in ${own}`);
    } finally {
      stranger.kill("SIGKILL");
      await new Promise((resolve) => stranger.once("close", resolve));
      for (const each of workers) await each.end();
      removeCgroupTree("/people/person", "/people");
    }
  });
});

describe("an ordinary user to whom nothing was delegated", () => {
  it.each([PERSON, NOBODY])(
    "(%i) runs with rlimits in part, which the profile accepts, and judge is refused",
    async (uid) => {
      const at = worker(makeCgroup("/plain"), uid);
      const answer = await at.ask({ argv: [HOG, "memory", "400"] });
      expect(resourceStatus(answer)).toMatchObject({
        "resources.memory": "partial",
        "resources.pids": "partial",
        "resources.cpus": "none",
      });
      expect(answer.outcome).toMatchObject({ exitCode: 1, reason: "exited" });
      expect(answer.outcome.stdout).toMatch(/^memory \d+ ENOMEM$/m);
      expect(answer.outcome.usage.peakMemorySource).toBe("rusage");
      const refused = await at.ask({ ...QUICK, profile: "judge" });
      expect(refused.problems?.join("\n")).toContain("was not delegated");
      await at.end();
      removeCgroupTree("/plain");
    },
  );
});

describe("whoever is killed", () => {
  const SLEEP = "987654";
  const sleeping = () => processesWith(SLEEP).filter((pid) => existsSync(`/proc/${pid}/exe`));

  it.each([
    ["root", "/", 0],
    ["an ordinary user", "/people/person", PERSON],
  ] as const)(
    "no process of the sandbox lives on, and the next run removes the cgroup: %s",
    async (_who, path, uid) => {
      const directory = makeCgroup(path);
      if (uid !== 0) delegate(directory, uid);
      const killed = worker(directory, uid);
      await killed.ask(QUICK);
      killed.send({ argv: ["/bin/sh", "-c", `sleep ${SLEEP} & sleep ${SLEEP}`] });
      expect(await eventually(() => sleeping().length >= 3, 90_000)).toBe(true);
      await killed.end("SIGKILL");
      expect(await eventually(() => sleeping().length === 0, 20_000)).toBe(true);
      const next = worker(uid === 0 ? directory : join(directory, "sandbox-supervisor"), uid);
      expect((await next.ask(QUICK)).outcome.exitCode).toBe(0);
      expect(leftCgroups()).toEqual([]);
      await next.end();
      if (uid !== 0) removeCgroupTree("/people/person/sandbox-supervisor", "/people/person", "/people");
    },
  );
});

describe("a launcher by itself, without Node", () => {
  /** The tree hands on nothing, as at boot. */
  function reset(): void {
    for (const name of readControl(TREE, "cgroup.subtree_control").split(" "))
      if (name !== "") writeFileSync(join(TREE, "cgroup.subtree_control"), `-${name}`);
  }
  const asUser = (uid: number, cgroup: string, argv: readonly string[]) =>
    spawnSync(
      "/bin/sh",
      [
        "-c",
        `echo 0 > ${cgroup}/cgroup.procs && exec "$@"`,
        "sh",
        "setpriv",
        `--reuid=${uid}`,
        `--regid=${uid}`,
        "--clear-groups",
        "--inh-caps=-all",
        ...argv,
      ],
      { encoding: "utf8", env: { PATH: "/usr/bin" }, timeout: 60_000 },
    );

  it("of root's holds its limits from any cgroup, in a tree that hands on nothing yet", async () => {
    const session = makeCgroup("/login.slice/session.scope");
    const file = "/tmp/launcher-root";
    const { decisions } = await worker(session, 0).ask({ ...HOG_MEMORY, standalone: file });
    expect(decisions.filter(({ id, status }) => id === "resources.memory" && status === "full")).toHaveLength(
      1,
    );
    for (const each of workers) await each.end();
    removeCgroupTree("/login.slice/session.scope", "/login.slice");
    reset();
    const run = (argv: readonly string[]) => spawnSync(file, argv, { encoding: "utf8", timeout: 60_000 });
    expect(run(["/bin/cat", "/proc/self/cgroup"])).toMatchObject({ status: 0, stdout: "0::/\n", stderr: "" });
    expect(run(HOG_MEMORY.argv).status).toBe(128 + 9);
    const forks = run([HOG, "processes"]);
    expect(forks.stdout).toBe("processes 63 EAGAIN\n");
    expect(leftCgroups()).toEqual([]);
  });

  it("of an ordinary user's holds its limits in the cgroup that was delegated", async () => {
    const own = makeCgroup("/people/person");
    delegate(own, PERSON);
    // As a login manager leaves it: the person's processes in a leaf, the cgroup above handing on.
    handOn(own);
    mkdirSync(join(own, "shell"));
    delegate(join(own, "shell"), PERSON);
    const file = "/tmp/launcher-person";
    await worker(join(own, "shell"), PERSON).ask({ ...HOG_MEMORY, standalone: file });
    const run = (argv: readonly string[]) => asUser(PERSON, join(own, "shell"), [file, ...argv]);
    expect(run(["/bin/cat", "/proc/self/cgroup"])).toMatchObject({ status: 0, stdout: "0::/\n", stderr: "" });
    expect(run(HOG_MEMORY.argv).status).toBe(128 + 9);
    expect(leftCgroups()).toEqual([]);
    for (const each of workers) await each.end();
    await pause(100);
    removeCgroupTree("/people/person/shell", "/people/person", "/people");
  });

  it("of an ordinary user's whose cgroup would first have to be divided has rlimits instead, and says so", async () => {
    const own = makeCgroup("/people/person");
    delegate(own, PERSON);
    const file = "/tmp/launcher-undivided";
    const answer = await worker(own, PERSON).ask({ ...HOG_MEMORY, standalone: file });
    expect(resourceStatus(answer)).toMatchObject({ "resources.memory": "partial" });
    const ran = asUser(PERSON, own, [file, ...HOG_MEMORY.argv]);
    expect(ran.stdout).toMatch(/^memory \d+ ENOMEM\n$/);
    for (const each of workers) await each.end();
    removeCgroupTree("/people/person", "/people");
  });
});
