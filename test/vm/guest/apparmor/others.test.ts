/** Profiles of ours that others have a hand in: loaded by an administrator, used where not all processes are seen; and names that are links. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { eventually, finish, sandbox, sandboxArgv, scratch, start } from "../../../live/harness.ts";
import { library, load, loaded, overrides, unload } from "./policy.ts";

const { cleanLeftovers, createSandbox, exportProfile, probeHost } = library;

const USES = "/run/sandbox/apparmor";

it("one that an administrator has loaded in complain mode is not taken for one that holds: the run is refused", async () => {
  const exported = exportProfile({ profile: "strict", overrides: [], cwd: "/" }, "apparmor");
  if (!exported.ok) throw new Error("not exported");
  const lenient = exported.value.text.replace("flags=(", "flags=(complain, ");
  load(lenient);
  try {
    const name = loaded()[0] ?? "";
    const refused = await sandbox("root", ["/bin/true"]);
    expect(refused).toMatchObject({ code: 125, stdout: "" });
    expect(refused.stderr).toContain(`the AppArmor profile ${name} is loaded already, in mode complain`);
    // As the message says, it can be taken for what it is.
    const named = await sandbox("root", ["/bin/cat", "/proc/self/attr/current"], {
      flags: ["--set", `/lsm/apparmorProfile="${name}"`],
    });
    expect(named).toMatchObject({ code: 0, stdout: `${name} (complain)\n` });
    expect(loaded()).toEqual([name]);
  } finally {
    unload(lenient);
  }
});

it("one whose loading was cut short by a kill leaves nothing, and the next run loads it", async () => {
  const [parser, own] = ["/usr/sbin/apparmor_parser", "/usr/sbin/apparmor_parser.own"];
  const directory = scratch("root");
  const reached = join(directory, "reached");
  renameSync(parser, own);
  writeFileSync(parser, `#!/bin/sh\n: > ${reached}\nexec sleep 600\n`, { mode: 0o755 });
  const child = start(sandboxArgv("root", directory, ["/bin/true"]), { directory });
  try {
    expect(await eventually(() => existsSync(reached), 60_000)).toBe(true);
    expect(readdirSync(USES).filter((name) => name.endsWith(".loaded"))).toHaveLength(1);
  } finally {
    // The parser is in its process group.
    process.kill(-(child.pid ?? 0), "SIGKILL");
    renameSync(own, parser);
  }
  await new Promise((done) => child.once("close", done));
  expect(loaded()).toEqual([]);
  expect(cleanLeftovers(probeHost()).removed).toEqual([]);
  expect(readdirSync(USES)).toEqual([]);
  expect((await sandbox("root", ["/bin/cat", "/proc/self/attr/current"])).stdout).toMatch(/ \(enforce\)\n$/);
});

it("however first and last runs of several processes overlap, each payload is held", async () => {
  const script = `const { createSandbox } = require("/project/dist/index.js");
    (async () => {
      for (let run = 0; run < 6; run += 1) {
        const made = await createSandbox({ audit: { file: null } });
        const { stdout } = await made.run(["/bin/cat", "/proc/self/attr/current"]);
        process.stdout.write(stdout);
        made.close();
        await new Promise(setImmediate);
      }
    })();`;
  const runs = await Promise.all(
    [1, 2].map(async () => {
      const directory = scratch("root");
      return finish(start([process.execPath, "-e", script], { directory }), { patience: 60_000 });
    }),
  );
  for (const { code, stderr, stdout } of runs) {
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^(sandbox-strict-[0-9a-f]{32} \(enforce\)\n){6}$/);
  }
  expect(loaded()).toEqual([]);
});

/** A run that says its label when its input ends; `wrap`: what it is started through. */
async function hold(wrap: readonly string[] = []) {
  const directory = scratch("root");
  const script = "echo started; cat > /dev/null; cat /proc/self/attr/current";
  const argv = [...wrap, ...sandboxArgv("root", directory, ["/bin/sh", "-c", script])];
  const child = start(argv, { directory });
  await new Promise((done) => child.stdout?.once("data", done));
  return child;
}

it("one that was loaded in a container is not taken from those who use it outside, whom nobody sees there", async () => {
  const container = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"];
  const ownRun = ["sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"];
  const inside = await hold([...container, ...ownRun]);
  const [name = ""] = loaded();
  const outside = await hold();
  expect((await finish(inside)).stdout).toContain(`${name} (enforce)\n`);
  expect((await finish(outside)).stdout).toContain(`${name} (enforce)\n`);
  unload(`profile ${name} { }`);
});

it("what is bound or masked below a link into /usr may be used, or not, by the name that AppArmor sees", async () => {
  const directory = mkdtempSync("/var/tmp/bench-");
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, "data"));
  chmodSync(join(directory, "data"), 0o777);
  const made = await createSandbox({
    overrides: overrides({
      "/filesystem/mounts/-": {
        type: "bind",
        source: join(directory, "data"),
        target: "/lib/modules",
        options: ["rw"],
      },
      "/filesystem/masked": ["/bin/perl"],
    }),
    audit: { file: null },
  });
  try {
    const script = "echo x > /lib/modules/file && cat /usr/lib/modules/file; cat /usr/bin/perl";
    const outcome = await made.run(["/bin/sh", "-c", script]);
    expect(outcome).toMatchObject({ stdout: "x\n", stderr: "cat: /usr/bin/perl: Permission denied\n" });
  } finally {
    made.close();
  }
});
