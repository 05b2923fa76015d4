/**
 * Sandboxes on a kernel that enforces AppArmor: which profile holds the payload, what nothing else would have refused, and that no
 * profile stays behind. Every refusal stands next to the same attempt under the same profile without AppArmor.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  cli,
  eventually,
  finish,
  type RunOptions,
  type SandboxRan,
  sandbox,
  sandboxArgv,
  scratch,
  start,
  tool,
  written,
} from "../../../live/harness.ts";

/** Without AppArmor, everything else as it is. */
const OFF = ["--set", '/lsm/type="none"'];
const REQUIRED = ["--set", '/require/lsm="full"'];
const NAMED = "sandbox-bench-tool";

const loaded = (): readonly string[] =>
  readdirSync("/sys/kernel/security/apparmor/policy/profiles")
    .map((name) => name.replace(/\.\d+$/, ""))
    .filter((name) => name.startsWith("sandbox-") && name !== NAMED);
const parser = (action: string, text: string): void => {
  execFileSync("apparmor_parser", [action], { input: text });
};
const shell = (script: string): readonly string[] => ["/bin/sh", "-c", script];
const lsmOf = ({ report }: SandboxRan) => report?.enforcement.find(({ decision }) => decision === "lsm");
const decisionOf = ({ audit }: SandboxRan) =>
  audit.find((record) => record["id"] === "lsm") ?? audit.find((record) => record["decision"] === "lsm");

/** Everything a sandbox needs of the profile around it, and `more`. */
const outer = (name: string, more: string): string =>
  `profile ${name} flags=(attach_disconnected, mediate_deleted) {
    file, network, unix, capability, signal, ptrace, mount, umount, pivot_root,
    ${more}
  }`;

/** `sandbox run` under a profile of AppArmor. */
async function confined(
  profile: string,
  command: readonly string[],
  options: RunOptions = {},
): Promise<SandboxRan> {
  const directory = scratch("root");
  const enter = `echo 'exec ${profile}' > /proc/self/attr/apparmor/exec && exec "$@"`;
  const argv = ["/bin/sh", "-c", enter, "sh", ...sandboxArgv("root", directory, command, options)];
  const ran = await finish(start(argv, { ...options, directory }), options);
  return { ...ran, ...written(directory), directory };
}

const NAMED_TEXT = `profile ${NAMED} flags=(attach_disconnected, mediate_deleted) {
  file, network, unix, signal,
  deny /etc/hostname r,
}`;
beforeAll(() => parser("--replace", NAMED_TEXT));
afterAll(() => parser("--remove", NAMED_TEXT));

describe("run by root", () => {
  it("the payload runs under the profile made from its own, and the kernel confirms it", async () => {
    const ran = await sandbox("root", ["/bin/cat", "/proc/self/attr/current"], { flags: REQUIRED });
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toMatch(/^sandbox-strict-[0-9a-f]{12} \(enforce\)\n$/);
    const label = ran.stdout.trim();
    expect(lsmOf(ran)).toEqual({
      decision: "lsm",
      expected: label,
      actual: label,
      matches: true,
      status: "full",
    });
    expect(JSON.stringify(decisionOf(ran))).toContain(label.split(" ")[0]);
    expect(loaded()).toEqual([]);
  });

  it("what only AppArmor refuses is refused", async () => {
    // Each line: a name, and whether it could be done.
    const script = `
      try() { name=$1; shift; if "$@" 2>/dev/null >/dev/null; then echo "$name done"; else echo "$name refused"; fi; }
      try masked cat /proc/keys
      try init kill -0 1
      try label sh -c 'echo "changeprofile unconfined" > /proc/self/attr/current'
      try memory sh -c ': >> /proc/self/mem'
      try tmp sh -c 'echo "#!/bin/sh" > /tmp/x && chmod +x /tmp/x && /tmp/x'
      try own kill -0 $$
      try read cat /etc/passwd /usr/bin/env /proc/cpuinfo
    `;
    const run = async (flags: readonly string[]) =>
      Object.fromEntries(
        (await sandbox("root", shell(script), { profile: "standard", flags })).stdout
          .trim()
          .split("\n")
          .map((line) => line.split(" ")),
      );
    const possible = { tmp: "done", own: "done", read: "done" };
    expect(await run(OFF)).toEqual({
      ...possible,
      masked: "done",
      init: "done",
      label: "done",
      memory: "done",
    });
    expect(await run([])).toEqual({
      ...possible,
      masked: "refused",
      init: "refused",
      label: "refused",
      memory: "refused",
    });
  });

  it("a profile that is loaded already is used instead, and enforced", async () => {
    const named = ["--set", `/lsm/apparmorProfile="${NAMED}"`];
    const command = shell("cat /proc/self/attr/current; cat /etc/hostname");
    expect(await sandbox("root", command, { flags: OFF })).toMatchObject({
      code: 0,
      stdout: "unconfined\nsandbox\n",
    });
    const ran = await sandbox("root", command, { flags: [...named, ...REQUIRED] });
    expect(ran).toMatchObject({ code: 1, stdout: `${NAMED} (enforce)\n` });
    expect(ran.stderr).toContain("cat: /etc/hostname: Permission denied");
    expect(lsmOf(ran)).toMatchObject({ matches: true, status: "full" });
  });

  it("a profile that is not loaded is a launch that fails, and says what to do", async () => {
    const ran = await sandbox("root", ["/bin/true"], {
      flags: ["--set", '/lsm/apparmorProfile="not-loaded"'],
    });
    expect(ran.code).toBe(125);
    expect(ran.stderr).toMatch(/exec not-loaded: ENOENT; no AppArmor profile of that name is loaded/);
  });

  it("a bind with any name is what the payload may use, and its neighbours are not", async () => {
    const directory = scratch("root");
    chmodSync(directory, 0o755);
    const odd = `${directory}/a b*?[x]{y,z}^@{HOME}\\t"ü`;
    execFileSync("mkdir", [odd]);
    writeFileSync(`${odd}/file`, "seen\n");
    const target = '/odd {a,b}*?^@{HOME}"\\x';
    const mount = JSON.stringify({ type: "bind", source: odd, target });
    const command = [...shell('cat "$1"/file && ls -d "$1"'), "sh", target];
    const ran = await sandbox("root", command, { flags: ["--set", `/filesystem/mounts/-=${mount}`] });
    expect(ran).toMatchObject({ code: 0, stdout: `seen\n${target}\n` });
  });
});

describe("profiles of ours in the kernel", () => {
  /** A run that lasts until its input ends. */
  const held = () => {
    const directory = scratch("root");
    const child = start(sandboxArgv("root", directory, shell("echo started; cat > /dev/null")), {
      directory,
    });
    const output = new Promise<void>((done) => child.stdout?.once("data", () => done()));
    return { child, started: output };
  };

  it("are shared by runs at the same time, and go with the last one", async () => {
    const first = held();
    await first.started;
    expect(loaded()).toHaveLength(1);
    expect(await sandbox("root", ["/bin/true"])).toMatchObject({ code: 0 });
    expect(loaded()).toHaveLength(1);
    const ended = finish(first.child);
    expect(await ended).toMatchObject({ code: 0 });
    expect(loaded()).toEqual([]);
  });

  it("stay when their supervisor is killed, until the doctor or the next run removes them", async () => {
    const killed = held();
    await killed.started;
    const exit = new Promise((done) => killed.child.once("exit", done));
    killed.child.kill("SIGKILL");
    await exit;
    expect(loaded()).toHaveLength(1);
    const { stderr } = await tool("root", ["doctor", "--clean"]);
    expect(stderr).toMatch(/removed the AppArmor profile sandbox-strict-/);
    expect(await eventually(() => loaded().length === 0, 1000)).toBe(true);
    expect(existsSync("/run/sandbox/apparmor") ? readdirSync("/run/sandbox/apparmor") : []).toEqual([]);
  });
});

describe("run by who is confined", () => {
  const allowing = outer("bench-allowing", "change_profile,");
  const refusing = outer("bench-refusing", "");
  beforeAll(() => parser("--replace", `${allowing}\n${refusing}`));
  afterAll(() => parser("--remove", `${allowing}\n${refusing}`));
  const show = ["/bin/cat", "/proc/self/attr/current"];

  it("the payload is held by both profiles", async () => {
    const ran = await confined("bench-allowing", show, { flags: REQUIRED });
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toMatch(/^bench-allowing\/\/&sandbox-strict-[0-9a-f]{12} \(enforce\)\n$/);
    expect(lsmOf(ran)).toMatchObject({ matches: true, status: "full" });
  });

  it("processes of a stack may signal and talk to each other", async () => {
    const script = `sleep 100 & kill $! && wait $!; [ $? = 143 ] && echo killed
      python3 -c 'import socket; a, b = socket.socketpair(); a.send(b"x"); print(b.recv(1))'`;
    expect(await confined("bench-allowing", shell(script))).toMatchObject({
      code: 0,
      stdout: "killed\nb'x'\n",
    });
  });

  it("where that one does not allow it, it alone holds the payload, as the decision says; or the run is refused", async () => {
    const ran = await confined("bench-refusing", show);
    expect(ran).toMatchObject({ code: 0, stdout: "bench-refusing (enforce)\n" });
    expect(lsmOf(ran)).toMatchObject({ matches: false, status: "partial" });
    const refused = await confined("bench-refusing", show, { flags: REQUIRED });
    expect(refused).toMatchObject({ code: 125, stdout: "" });
    expect(refused.stderr).toMatch(/: EACCES; .*change_profile/);
    expect(loaded()).toEqual([]);
  });
});

describe("run by an ordinary user", () => {
  it("a loaded profile can be named, and holds", async () => {
    const named = ["--set", `/lsm/apparmorProfile="${NAMED}"`];
    const ran = await sandbox("user", shell("cat /proc/self/attr/current; cat /etc/hostname"), {
      flags: [...named, ...REQUIRED],
    });
    expect(ran).toMatchObject({ code: 1, stdout: `${NAMED} (enforce)\n` });
    expect(ran.stderr).toContain("cat: /etc/hostname: Permission denied");
  });

  it("none is made, which is recorded, or refused where it is required", async () => {
    const ran = await sandbox("user", ["/bin/cat", "/proc/self/attr/current"]);
    expect(ran).toMatchObject({ code: 0, stdout: "unconfined\n" });
    expect(JSON.stringify(decisionOf(ran))).toMatch(/"none".*CAP_MAC_ADMIN/);
    const refused = await sandbox("user", ["/bin/true"], { flags: REQUIRED });
    expect(refused.code).toBe(125);
    expect(refused.stderr).toContain("loading an AppArmor profile needs CAP_MAC_ADMIN on the host");
  });
});

it("a compiled launcher takes the exported profile by the name that both have, once it is loaded", async () => {
  const directory = scratch("root");
  chmodSync(directory, 0o755);
  const launcher = join(directory, "launcher");
  const asked = ["--set", '/lsm/type="apparmor"'];
  expect(await tool("root", ["compile", ...asked, "-o", launcher], { cwd: directory })).toMatchObject({
    code: 0,
  });
  const run = () => finish(start([launcher, "/bin/cat", "/proc/self/attr/current"], { directory }));
  const before = await run();
  expect(before).toMatchObject({ code: 125, stdout: "" });
  expect(before.stderr).toContain("exec sandbox-strict-");
  const exported = await tool("root", ["profile", "export", "strict", "--to", "apparmor"], {
    cwd: directory,
  });
  parser("--replace", exported.stdout);
  try {
    const after = await run();
    expect(after).toMatchObject({ code: 0, stderr: "" });
    expect(exported.stdout).toContain(`profile ${after.stdout.replace(" (enforce)\n", "")} flags=`);
  } finally {
    parser("--remove", exported.stdout);
  }
});

it("programs, pipelines and terminals work under the profiles", async () => {
  const script = `
    perl -e 'open(F, ">", "/tmp/f") or die; print F "perl\\n"; close F; link("/tmp/f", "/tmp/g") or die; print \`cat /tmp/g\`'
    find /usr/bin -name 'l*' | sort | head -1 | tr a-z A-Z
    mkdir /dev/shm/d && mv /dev/shm/d /dev/shm/e && ls /dev/shm
    ps -e -o comm= | sort -u | head -2; readlink /proc/self/exe; test -r /dev/null && echo y > /dev/null && head -c 1 /dev/zero | wc -c
  `;
  const expected = "perl\n/USR/BIN/";
  for (const profile of ["strict", "standard"]) {
    const off = await sandbox("root", shell(script), { profile, flags: OFF });
    const on = await sandbox("root", shell(script), { profile, flags: REQUIRED });
    expect(off.stdout).toContain(expected);
    expect(on).toMatchObject({ code: off.code, stdout: off.stdout, stderr: off.stderr });
  }
  const directory = scratch("root");
  const command = `${process.execPath} ${cli("root")} run --audit ${directory}/log -- sh -c 'tty; stty size; echo typed > /dev/tty'`;
  const relayed = await finish(start(["script", "-qec", command, "/dev/null"], { directory }));
  expect(relayed.stdout).toMatch(/\/dev\/pts\/\d+|typed/);
  expect(relayed.code).toBe(0);
  expect(readFileSync("/sys/module/apparmor/parameters/enabled", "utf8").trim()).toBe("Y");
});
