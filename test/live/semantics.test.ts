/** What the command line promises to scripts: exit statuses, signals, streams, options. */
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  finish,
  hostile,
  pause,
  sandbox,
  sandboxArgv,
  scratch,
  start,
  tool,
  USERS,
  written,
} from "./harness.ts";

describe.each(USERS)("run by %s", (user) => {
  it.for([
    ["success", ["/bin/true"], 0, {}],
    ["the payload's own status", ["/bin/sh", "-c", "exit 7"], 7, { exitCode: 7, reason: "exited" }],
    [
      "a status that looks like ours",
      ["/bin/sh", "-c", "exit 125"],
      125,
      { exitCode: 125, reason: "exited" },
    ],
    ["128 and the signal", ["/bin/sh", "-c", "kill -9 $$"], 137, { signal: "SIGKILL", reason: "signalled" }],
    ["128 and another signal", ["/bin/sh", "-c", "kill -TERM $$"], 143, { signal: "SIGTERM" }],
    ["not found by name", ["no-such-program-here"], 127, { reason: "launch-failed" }],
    ["not found by path", ["/usr/bin/no-such-program-here"], 127, { reason: "launch-failed" }],
    ["found but not executable", ["/etc/passwd"], 126, { reason: "launch-failed" }],
    ["a directory", ["/usr"], 126, { reason: "launch-failed" }],
  ] as const)("exit status: %s", async ([, command, code, report]) => {
    const ran = await sandbox(user, command);
    expect(ran).toMatchObject({ code, report });
    expect(ran.stderr).not.toMatch(/\n\s+at /);
  });

  it("exit status: 125 for wrong arguments, profiles and limits, with a located message and no stack trace", async () => {
    for (const flags of [
      ["--memory", "lots"],
      ["--profile", "no-such-profile"],
      ["--bind", "/no/such/path"],
      ["--rootfs", "/no/such/path"],
      ["--timeout", "-1s"],
      ["--no-such-option"],
      ["--set", "/no/such/field=1"],
      ["--set", "not-a-pointer"],
      ["--write", "/no/such/directory/at/all"],
    ]) {
      const ran = await sandbox(user, ["/bin/true"], { flags });
      expect({ flags, code: ran.code }).toEqual({ flags, code: 125 });
      expect(ran.stderr.trim()).not.toBe("");
      expect(ran.stderr).not.toMatch(/\n\s+at |node:internal/);
    }
    expect((await tool(user, ["run", "--"])).code).toBe(125);
  });

  it("a relative path runs that program, alone and read-only", async (context) => {
    const directory = scratch(user);
    const { copyFileSync } = await import("node:fs");
    copyFileSync(hostile(context, "attempt"), join(directory, "untrusted"));
    chmodSync(join(directory, "untrusted"), 0o755);
    writeFileSync(join(directory, "neighbour"), "x");
    const ran = await sandbox(user, ["./untrusted", "read:/proc/self/exe", `read:${directory}/neighbour`], {
      cwd: directory,
    });
    expect(ran).toMatchObject({
      code: 0,
      stdout: `read:/proc/self/exe ok\nread:${directory}/neighbour ENOENT\n`,
    });
    expect(JSON.stringify(ran.audit)).toContain(`${directory}/untrusted`);
  });

  it("a script is found by its first line", async () => {
    const directory = scratch(user);
    const path = join(directory, "script");
    writeFileSync(path, '#!/bin/sh -e\necho "$# $1"\n');
    chmodSync(path, 0o755);
    expect(await sandbox(user, [path, "one two"])).toMatchObject({ code: 0, stdout: "1 one two\n" });
  });

  it("arguments arrive byte for byte, whatever they look like", async () => {
    const odd = ["--help", "-p", "--", "", "a b", "$(id)", "\n", "ünïcödé", "-n", "@file", "x".repeat(5000)];
    const ran = await sandbox(user, ["/usr/bin/printf", "[%s]", ...odd]);
    expect(ran.stdout).toBe(odd.map((text) => `[${text}]`).join(""));
  });

  it("values that look like options are values or refused, never options", async () => {
    for (const flags of [
      ["--hostname", "--uid=0"],
      ["--env", "--profile=standard"],
      ["--workdir", "--rootfs=/"],
      ["--bind", "-v:/mnt"],
      ["--tmpfs", "-o exec"],
    ]) {
      const ran = await sandbox(user, ["/bin/sh", "-c", "id -u; test -r /proc/meminfo && echo weak"], {
        flags,
      });
      expect(ran.stdout).not.toContain("weak");
      expect(ran.stdout).not.toMatch(/^0$/m);
      expect([0, 1, 125]).toContain(ran.code);
    }
  });

  it.for([
    "4294967295",
    "4294967296",
    "-1",
    "0x0",
    "1e3",
    " 1000",
    "1000 ",
    "root",
    "",
    "00",
    "1000:0",
    "99999999999999999999",
  ])("an id of %j is refused", async (id) => {
    for (const option of ["--uid", "--gid"]) {
      const ran = await sandbox(user, ["/usr/bin/id"], { flags: [`${option}=${id}`] });
      expect({ option, code: ran.code, stdout: ran.stdout }).toEqual({ option, code: 125, stdout: "" });
    }
  });

  it("an id that is valid is the id inside", async () => {
    const ran = await sandbox(user, ["/bin/sh", "-c", "id -u; id -g"], {
      flags: ["--uid", "4242", "--gid", "4343"],
    });
    expect(ran).toMatchObject({ code: 0, stdout: "4242\n4343\n" });
  });

  it("a sysctl cannot be smuggled in by a profile or a flag", async () => {
    // CVE-2022-0811: only a closed set of fields exists, so any such field is an unknown one.
    for (const flag of [
      '/sysctl={"kernel.core_pattern":"|/bin/sh"}',
      '/linux={"sysctl":{}}',
      "/__proto__/x=1",
      "/constructor=1",
    ]) {
      const ran = await sandbox(user, ["/bin/true"], { flags: ["--set", flag] });
      expect({ flag, code: ran.code }).toEqual({ flag, code: 125 });
    }
  });

  it("streams pass through whole: 8 MB in, 8 MB out, both at once", async () => {
    const data = Buffer.alloc(8 * 2 ** 20, "0123456789abcdef\n");
    const ran = await sandbox(user, ["/bin/cat"], { stdin: data });
    expect(ran.code).toBe(0);
    expect(Buffer.compare(Buffer.from(ran.stdout), data)).toBe(0);
  });

  it("stdout and stderr stay apart", async () => {
    const ran = await sandbox(user, ["/bin/sh", "-c", "echo out; echo err >&2"]);
    expect(ran).toMatchObject({ code: 0, stdout: "out\n", stderr: "err\n" });
  });

  it("a closed stdout ends the payload with SIGPIPE, as without a sandbox", async () => {
    const directory = scratch(user);
    const argv = sandboxArgv(user, directory, ["/usr/bin/yes"]);
    const ran = await finish(
      start(["/bin/bash", "-c", '"$@" | head -n 1; exit ${PIPESTATUS[0]}', "bash", ...argv], { directory }),
    );
    expect(ran).toMatchObject({ code: 128 + 13, stdout: "y\n", hung: false });
  });

  it("a report and an audit log are written, and only where asked", async () => {
    const ran = await sandbox(user, ["/bin/sh", "-c", "exit 3"]);
    expect(ran.report).toMatchObject({ exitCode: 3, signal: null, reason: "exited", launchError: null });
    expect(ran.audit.length).toBeGreaterThan(10);
    const verified = await tool(user, ["audit", "verify", join(ran.directory, "audit.jsonl")], {
      cwd: ran.directory,
    });
    expect(verified).toMatchObject({ code: 0 });
  });

  it("a log that cannot be written stops a strict run before it starts", async () => {
    for (const audit of ["/dev/full", "/dev/null/audit.jsonl", "/proc/no-such/audit.jsonl"]) {
      const directory = scratch(user);
      const ran = await tool(
        user,
        ["run", "--profile", "strict", "--audit", audit, "--", "/bin/sh", "-c", "echo ran"],
        { cwd: directory },
      );
      expect({ audit, code: ran.code, stdout: ran.stdout }).toEqual({ audit, code: 125, stdout: "" });
    }
  });

  it("an audit file that is a symbolic link is refused", async () => {
    const directory = scratch(user);
    writeFileSync(join(directory, "victim"), "");
    chmodSync(join(directory, "victim"), 0o666);
    symlinkSync(join(directory, "victim"), join(directory, "link"));
    const ran = await tool(user, ["run", "--audit", join(directory, "link"), "--", "/bin/true"], {
      cwd: directory,
    });
    expect(ran.code).toBe(125);
    expect(readFileSync(join(directory, "victim"), "utf8")).toBe("");
  });

  it.for(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const)(
    "%s to the supervisor reaches the payload",
    async (signal) => {
      const directory = scratch(user);
      const short = signal.slice(3);
      const child = start(
        sandboxArgv(user, directory, [
          "/bin/sh",
          "-c",
          `trap 'echo got ${short}; exit 5' ${short}; echo ready; while :; do sleep 0.05; done`,
        ]),
        { directory },
      );
      const done = finish(child, { stdin: "" });
      if (child.stdout === null || child.pid === undefined) throw new Error("not started");
      await once(child.stdout, "data");
      process.kill(child.pid, signal);
      expect(await done).toMatchObject({ code: 5, stdout: `ready\ngot ${short}\n`, hung: false });
    },
  );

  it("a payload that does not handle SIGTERM ends by it: 143", async () => {
    const directory = scratch(user);
    const child = start(sandboxArgv(user, directory, ["/bin/sh", "-c", "echo ready; exec sleep 60"]), {
      directory,
    });
    const done = finish(child);
    if (child.stdout === null || child.pid === undefined) throw new Error("not started");
    await once(child.stdout, "data");
    await pause(100);
    process.kill(child.pid, "SIGTERM");
    expect(await done).toMatchObject({ code: 143, hung: false });
    expect(written(directory).report).toMatchObject({ signal: "SIGTERM" });
  });

  it("orphans do not outlive the payload", async () => {
    const ran = await sandbox(user, ["/bin/sh", "-c", "(setsid sleep 66 >/dev/null 2>&1 &) ; exit 4"]);
    expect(ran).toMatchObject({ code: 4, hung: false });
  });

  it("--write ephemeral discards, --write DIR keeps, --write none refuses", async () => {
    const command = ["/bin/sh", "-c", "echo kept > /usr/kept && cat /usr/kept"];
    expect(await sandbox(user, command)).toMatchObject({ stdout: "" });
    expect(await sandbox(user, command, { flags: ["--write", "ephemeral"] })).toMatchObject({
      stdout: "kept\n",
    });
    const keep = scratch(user);
    mkdirSync(join(keep, "upper"));
    const { chownSync, statSync } = await import("node:fs");
    chownSync(join(keep, "upper"), statSync(keep).uid, statSync(keep).gid);
    const kept = await sandbox(user, command, { flags: ["--write", join(keep, "upper")] });
    expect(kept).toMatchObject({ code: 0, stdout: "kept\n" });
    expect(readFileSync(join(keep, "upper/usr.upper/kept"), "utf8")).toBe("kept\n");
  });

  it("--bind is read-only unless rw, recursive, and never a device or a setuid program", async () => {
    const directory = scratch(user);
    writeFileSync(join(directory, "file"), "content\n");
    chmodSync(directory, 0o755);
    chmodSync(join(directory, "file"), 0o644);
    const read = await sandbox(user, ["/bin/sh", "-c", "cat /data/file; echo x > /data/new"], {
      flags: ["--bind", `${directory}:/data`],
    });
    expect(read.stdout).toBe("content\n");
    expect(read.stderr).toMatch(/Read-only/);
    const options = await sandbox(user, ["/bin/sh", "-c", "grep ' /data ' /proc/self/mountinfo"], {
      flags: ["--bind", `${directory}:/data:rw`],
    });
    expect(options.stdout).toMatch(/nosuid/);
    expect(options.stdout).toMatch(/nodev/);
  });
});
