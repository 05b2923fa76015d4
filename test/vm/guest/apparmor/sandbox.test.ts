/**
 * Sandboxes of root on a kernel that enforces AppArmor: which profile holds the payload, what nothing else would have refused, and that no
 * profile stays behind. Every refusal stands next to the same attempt without AppArmor.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Outcome } from "../../../../src/launch/outcome.ts";
import { scratch } from "../../../live/harness.ts";
import { library, load, loaded, NAMED, NAMED_TEXT, overrides, unload } from "./policy.ts";

const { createSandbox, exportProfile } = library;

type Values = Readonly<Record<string, unknown>>;
const OFF: Values = { "/lsm/type": "none" };
const REQUIRED: Values = { "/require/lsm": "full" };
const LABEL = ["/bin/cat", "/proc/self/attr/current"];

/** A sandbox for one run. */
async function run(argv: readonly string[], values: Values = {}, profile = "strict"): Promise<Outcome> {
  const sandbox = await createSandbox({ profile, overrides: overrides(values), audit: { file: null } });
  try {
    return await sandbox.run(argv);
  } finally {
    sandbox.close();
  }
}
const shell = (script: string, ...args: readonly string[]): readonly string[] => [
  "/bin/sh",
  "-c",
  script,
  "sh",
  ...args,
];
const lsmOf = ({ enforcement }: Outcome) => enforcement.find(({ decision }) => decision === "lsm");

beforeAll(() => load(NAMED_TEXT));
afterAll(() => unload(NAMED_TEXT));

it("the payload runs under the profile made from its own, and the kernel confirms it", async () => {
  const outcome = await run(LABEL, REQUIRED);
  expect(outcome).toMatchObject({ exitCode: 0, stderr: "" });
  expect(outcome.stdout).toMatch(/^sandbox-strict-[0-9a-f]{32} \(enforce\)\n$/);
  const label = outcome.stdout?.trim();
  expect(lsmOf(outcome)).toEqual({
    decision: "lsm",
    expected: label,
    actual: label,
    matches: true,
    status: "full",
  });
  expect(loaded()).toEqual([]);
});

it("what only AppArmor refuses is refused", async () => {
  // Each line: a name, and whether it could be done.
  const script = `
    try() { name=$1; shift; if "$@" 2>/dev/null >/dev/null; then echo "$name done"; else echo "$name refused"; fi; }
    try masked cat /proc/keys
    try label sh -c 'echo "changeprofile unconfined" > /proc/self/attr/current'
    try memory sh -c ': >> /proc/self/mem'
    try tmp sh -c 'echo "#!/bin/sh" > /tmp/x && chmod +x /tmp/x && /tmp/x'
    try own kill -0 $$
    try read cat /etc/passwd /usr/bin/env /proc/cpuinfo
  `;
  const tried = async (values: Values) => {
    const { stdout } = await run(shell(script), { ...values, "/landlock": null }, "standard");
    return Object.fromEntries(
      (stdout ?? "")
        .trim()
        .split("\n")
        .map((line) => line.split(" ")),
    );
  };
  const possible = { tmp: "done", own: "done", read: "done" };
  expect(await tried(OFF)).toEqual({ ...possible, masked: "done", label: "done", memory: "done" });
  expect(await tried({})).toEqual({ ...possible, masked: "refused", label: "refused", memory: "refused" });
});

it("a mount that was made too open is held by the profile of the mount that was meant", async () => {
  // The plan's own policy, and a launcher whose mount layer is wrong: the same bind, writable.
  // On a disk: this kernel does not translate the owners of a tmpfs, which a writable bind of root takes.
  const directory = mkdtempSync("/var/tmp/bench-");
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, "data"), { mode: 0o777 });
  chmodSync(join(directory, "data"), 0o777);
  const bind = (...options: readonly string[]) => [
    { type: "bind", source: join(directory, "data"), target: "/data", options },
  ];
  const meant = await createSandbox({
    overrides: overrides({ "/filesystem/mounts": bind("ro", "noexec"), "/lsm/type": "apparmor" }),
    audit: { file: null },
    mode: "standalone",
  });
  const { plan } = await meant.compile(null);
  meant.close();
  const name =
    /AppArmor profile (\S+)/.exec(plan.decisions.find(({ id }) => id === "lsm")?.setting ?? "")?.[1] ?? "";
  const file = join(directory, "profile.json");
  writeFileSync(
    file,
    JSON.stringify({ name: "strict", extends: "strict", filesystem: { mounts: bind("ro", "noexec") } }),
  );
  const exported = exportProfile({ profile: file, overrides: [], cwd: "/" }, "apparmor");
  if (!exported.ok) throw new Error("not exported");
  expect(exported.value.text).toContain(`profile ${name} `);
  load(exported.value.text);
  try {
    const attempt = shell("echo x > /data/file && cp /bin/true /data/tool && /data/tool && echo done");
    const open = { "/filesystem/mounts": bind("rw", "exec") };
    expect(await run(attempt, { ...open, ...OFF })).toMatchObject({ exitCode: 0, stdout: "done\n" });
    const held = await run(attempt, { ...open, "/lsm/apparmorProfile": name });
    expect(held).toMatchObject({ stdout: "" });
    expect(held.stderr).toMatch(/cannot create \/data\/file: Permission denied/);
  } finally {
    unload(exported.value.text);
  }
});

it("a profile that is loaded already is used instead, and enforced", async () => {
  const command = shell("cat /proc/self/attr/current; cat /etc/hostname");
  expect(await run(command, OFF)).toMatchObject({ exitCode: 0, stdout: "unconfined\nsandbox\n" });
  const outcome = await run(command, { "/lsm/apparmorProfile": NAMED, ...REQUIRED });
  expect(outcome).toMatchObject({ exitCode: 1, stdout: `${NAMED} (enforce)\n` });
  expect(outcome.stderr).toContain("cat: /etc/hostname: Permission denied");
  expect(lsmOf(outcome)).toMatchObject({ matches: true, status: "full" });
});

it("a profile that is not loaded is refused, and says what to do", async () => {
  const refused = run(["/bin/true"], { "/lsm/apparmorProfile": "not-loaded" });
  await expect(refused).rejects.toThrow(/no AppArmor profile not-loaded is loaded on this host/);
});

it("a bind with any name is what the payload may use", async () => {
  const directory = scratch("root");
  chmodSync(directory, 0o755);
  const source = `${directory}/a b*?[x]{y,z}^@{HOME}\\t"ü`;
  mkdirSync(source);
  writeFileSync(`${source}/file`, "seen\n");
  const target = '/odd {a,b}*?^@{HOME}"\\x';
  const command = shell('cat "$1"/file && ls -d "$1"', target);
  expect(await run(command, { "/filesystem/mounts/-": { type: "bind", source, target } })).toMatchObject({
    exitCode: 0,
    stdout: `seen\n${target}\n`,
  });
});

it.each(["strict", "standard"])("programs and pipelines work under the profile of %s", async (profile) => {
  const script = `
    perl -e 'open(F, ">", "/tmp/f") or die; print F "perl\\n"; close F; link("/tmp/f", "/tmp/g") or die; print \`cat /tmp/g\`'
    find /usr/bin -name 'l*' | sort | head -1 | tr a-z A-Z
    mkdir /dev/shm/d && mv /dev/shm/d /dev/shm/e && ls /dev/shm
    readlink /proc/self/exe; echo y > /dev/null && head -c 1 /dev/zero | wc -c
    sleep 100 & kill $! && wait $!; echo "ended with $?"
    python3 -c 'import socket; a, b = socket.socketpair(); a.send(b"x"); print(b.recv(1)); socket.socket().bind(("127.0.0.1", 0))'
  `;
  const off = await run(shell(script), OFF, profile);
  expect(off.stdout).toContain("perl\n/USR/BIN/");
  expect(off.stdout).toContain("ended with 143\nb'x'\n");
  const { stdout, stderr } = await run(shell(script), REQUIRED, profile);
  expect({ stdout, stderr }).toEqual({ stdout: off.stdout, stderr: off.stderr });
});

describe("a compiled launcher", () => {
  it("takes the exported profile by the name that both have, once it is loaded", async () => {
    const directory = scratch("root");
    const values = overrides({ "/lsm/type": "apparmor" });
    const sandbox = await createSandbox({ overrides: values, audit: { file: null }, mode: "standalone" });
    const launcher = join(directory, "launcher");
    writeFileSync(launcher, (await sandbox.compile(null)).image, { mode: 0o755 });
    sandbox.close();
    expect(() => execFileSync(launcher, LABEL, { stdio: "pipe" })).toThrow(/exec sandbox-strict-/);
    const exported = exportProfile({ profile: "strict", overrides: [], cwd: "/" }, "apparmor");
    if (!exported.ok) throw new Error("not exported");
    load(exported.value.text);
    try {
      const label = execFileSync(launcher, LABEL, { encoding: "utf8" });
      expect(exported.value.text).toContain(`profile ${label.replace(" (enforce)\n", "")} flags=`);
    } finally {
      unload(exported.value.text);
    }
  });
});
