/** What a payload under the strict profile sees of the machine, and what it does not. */

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  hostile,
  marker,
  need,
  ordinaryUid,
  outside,
  resultsOf,
  sandbox,
  scratch,
  USERS,
  type User,
} from "./harness.ts";

/** The answers to the attempts named by the keys, all made in one sandbox. */
async function answers(user: User, program: string, wanted: Readonly<Record<string, string>>) {
  const ran = await sandbox(user, [program, ...Object.keys(wanted)]);
  if (ran.stderr !== "" || ran.code !== 0) throw new Error(`exit status ${ran.code}: ${ran.stderr}`);
  return Object.fromEntries(resultsOf(ran.stdout));
}

async function listen(address: string | { port: number; host: string }): Promise<Server> {
  const server = createServer((socket) => socket.end());
  await new Promise<void>((done, failed) => {
    server.once("error", failed);
    server.listen(address, done);
  });
  onTestFinished(() => void server.close());
  return server;
}

describe.each(USERS)("strict, run by %s", (user) => {
  it("runs the program of the README", async (context) => {
    need(context, existsSync("/usr/bin/python3"), "/usr/bin/python3 is not installed");
    const ran = await sandbox(user, [
      "/usr/bin/python3",
      "-c",
      'print("hello from", __import__("os").getuid())',
    ]);
    expect(ran).toMatchObject({ code: 0, stdout: "hello from 1000\n", stderr: "" });
  });

  it("shows no directory of people, services or administrators", async (context) => {
    const program = hostile(context, "attempt");
    const ran = await sandbox(user, [
      program,
      ..."/home /root /var /srv /opt /mnt /media /boot /run /sys /lost+found"
        .split(" ")
        .map((path) => `list:${path}`),
    ]);
    // Empty (ENODATA from the program) or not there.
    const visible = [...resultsOf(ran.stdout)].filter(
      ([, result]) => !["ENOENT", "ENODATA"].includes(result),
    );
    expect({ code: ran.code, stderr: ran.stderr, visible }).toEqual({ code: 0, stderr: "", visible: [] });
  });

  it("shows of /etc what programs need and nothing secret", async () => {
    const ran = await sandbox(user, [
      "/bin/sh",
      "-c",
      "cat /etc/passwd /etc/group /etc/hostname; echo; ls -A /etc",
    ]);
    expect(ran.code).toBe(0);
    const [accounts = "", names = ""] = ran.stdout.split("\n\n");
    const secret = names
      .split("\n")
      .filter((name) =>
        /shadow|sudo|ssh(_|d|$)|crontab|machine-id|fstab|krb5|private|docker|subuid/.test(name),
      );
    expect(secret).toEqual([]);
    const hostAccounts = readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .filter((line) => line !== "" && !/^(root|nobody|sandbox):/.test(line));
    expect(hostAccounts.filter((line) => accounts.includes(line))).toEqual([]);
    expect(accounts).not.toContain(hostname());
  });

  it("shows in /proc its own processes and no fact of the host", async (context) => {
    const wanted = {
      "read:/proc/self/status": "ok",
      "read:/proc/meminfo": "ENOENT",
      "read:/proc/cpuinfo": "ENOENT",
      "read:/proc/uptime": "ENOENT",
      "read:/proc/version": "ENOENT",
      "read:/proc/cmdline": "ENOENT",
      "read:/proc/modules": "ENOENT",
      "read:/proc/kallsyms": "ENOENT",
      "read:/proc/keys": "ENOENT",
      "read:/proc/kcore": "ENOENT",
      "write:/proc/sysrq-trigger": "ENOENT",
      "write:/proc/sys/kernel/core_pattern": "ENOENT",
      "write:/proc/sys/kernel/hostname": "ENOENT",
      "list:/proc/sys": "ENOENT",
      "list:/proc/bus": "ENOENT",
      "read:/proc/timer_list": "ENOENT",
    };
    expect(await answers(user, hostile(context, "attempt"), wanted)).toEqual(wanted);
    const ran = await sandbox(user, ["/bin/sh", "-c", "cd /proc && echo [0-9]*; :"]);
    const pids = ran.stdout.trim().split(" ").map(Number);
    expect(pids.length).toBeLessThanOrEqual(3);
    expect(Math.max(...pids)).toBeLessThan(20);
  });

  it("keeps pid 1 closed to the payload: memory, image, root, descriptors, environment", async (context) => {
    const wanted = {
      "write:/proc/1/mem": "EACCES",
      "read:/proc/1/mem": "EACCES",
      "read:/proc/1/environ": "EACCES",
      "read:/proc/1/maps": "EACCES",
      "write:/proc/1/exe": "EACCES",
      "read:/proc/1/exe": "EACCES",
      "readlink:/proc/1/exe": "EACCES",
      "readlink:/proc/1/root": "EACCES",
      "list:/proc/1/root/": "EACCES",
      "list:/proc/1/fd": "EACCES",
      "readlink:/proc/1/ns/user": "EACCES",
      "write:/proc/1/oom_score_adj": "EACCES",
    };
    expect(await answers(user, hostile(context, "attempt"), wanted)).toEqual(wanted);
  });

  it("has a minimal /dev", async () => {
    const ran = await sandbox(user, [
      "/bin/sh",
      "-c",
      "ls -A /dev; ls -A /dev/pts /dev/shm; stat -c %t:%T /dev/null /dev/full",
    ]);
    expect(ran.code).toBe(0);
    const [devices = ""] = ran.stdout.split("\n\n");
    const wanted = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero".split(" ");
    expect(devices.split("\n").filter((name) => /^[a-z]+$/.test(name) && !wanted.includes(name))).toEqual([]);
    expect(ran.stdout).toContain("1:3\n1:7\n");
  });

  it("writes nowhere but to /tmp and /dev/shm, and executes nothing from there", async (context) => {
    const wanted = {
      "create:/tmp/file": "ok",
      "write:/dev/null": "ok",
      "read:/dev/zero": "ok",
      "read:/dev/urandom": "ok",
      "create:/dev/shm/file": "ok",
      "create:/usr/file": "EROFS",
      "create:/etc/file": "EROFS",
      "create:/file": "EROFS",
      "create:/dev/file": "EROFS",
      "mkdir:/directory": "EROFS",
      "unlink:/etc/passwd": "EROFS",
      "write:/usr/bin/env": "EROFS",
      "setuid-bit:/usr/bin/env": "EPERM",
      "exec:/tmp/program": "EACCES",
      "exec:/dev/shm/program": "EACCES",
      "map-exec:/tmp/mapped": "EPERM",
      "map-exec:/dev/shm/mapped": "EPERM",
    };
    expect(await answers(user, hostile(context, "attempt"), wanted)).toEqual(wanted);
  });

  it("sees neither the caller's directory nor the files next to the program it was given", async (context) => {
    const directory = scratch(user);
    const program = join(directory, "program");
    copyFileSync(hostile(context, "attempt"), program);
    chmodSync(program, 0o777);
    const secret = join(directory, "secret");
    writeFileSync(secret, "x");
    const wanted = {
      [`read:${secret}`]: "ENOENT",
      [`read:${program}`]: "ok",
      [`setuid-bit:${program}`]: "EPERM",
    };
    expect(await answers(user, program, wanted)).toEqual(wanted);
  });

  it("reaches no socket of the host: TCP, abstract or by path", async (context) => {
    const program = hostile(context, "attempt");
    const name = marker();
    const directory = scratch(user);
    const path = join(directory, "docker.sock");
    const tcp = await listen({ port: 0, host: "127.0.0.1" });
    await listen(`\0${name}`);
    await listen(path);
    const address = tcp.address();
    if (address === null || typeof address === "string") throw new Error("no TCP port");
    const attempts = [`tcp:${address.port}`, `abstract:${name}`];
    const control = await outside("user", [program, ...attempts]);
    expect(Object.fromEntries(resultsOf(control.stdout))).toEqual(
      Object.fromEntries(attempts.map((attempt) => [attempt, "ok"])),
    );
    const wanted = {
      [`tcp:${address.port}`]: "ECONNREFUSED",
      [`abstract:${name}`]: "ECONNREFUSED",
      [`unix:${path}`]: "ENOENT",
      "unix:/run/docker.sock": "ENOENT",
      "unix:/var/run/docker.sock": "ENOENT",
      "unix:/run/containerd/containerd.sock": "ENOENT",
      "unix:/run/dbus/system_bus_socket": "ENOENT",
      "unix:/run/systemd/private": "ENOENT",
      "unix:/run/user/0/bus": "ENOENT",
    };
    expect(await answers(user, program, wanted)).toEqual(wanted);
  });

  // Only root can make a socket below /run.
  it.runIf(user === "root")("reaches no socket that a service keeps below /run", async (context) => {
    const directory = `/run/${marker()}`;
    mkdirSync(directory);
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    await listen(join(directory, "service.sock"));
    const program = hostile(context, "attempt");
    const attempt = `unix:${join(directory, "service.sock")}`;
    expect(resultsOf((await outside("root", [program, attempt])).stdout).get(attempt)).toBe("ok");
    const wanted = { [attempt]: "ENOENT" };
    expect(await answers(user, program, wanted)).toEqual(wanted);
  });

  it("has its own name, its own ids and no groups of the host", async () => {
    const ran = await sandbox(user, [
      "/bin/sh",
      "-c",
      "uname -n; id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map",
    ]);
    const lines = ran.stdout.split("\n").map((line) => line.trim().split(/\s+/));
    expect(lines.slice(0, 3)).toEqual([["sandbox"], ["1000"], ["1000"]]);
    expect(hostname()).not.toBe("sandbox");
    for (const map of lines.slice(3, 5)) expect([map[0], map[2]]).toEqual(["1000", "1"]);
    // Run by root, the id outside belongs to nobody: far above every account; else it is the user's own.
    const uid = Number(lines[3]?.[1]);
    expect(user === "root" ? uid > 65535 : uid === ordinaryUid()).toBe(true);
  });

  it("is never uid 0 or gid 0, whatever the command line asks for, and says what to do", async () => {
    for (const flag of ["--uid=0", "--gid=0", "--set=/identity/uid=0", "--set=/identity/gid=0"]) {
      const ran = await sandbox(user, ["/usr/bin/id", "-u"], { flags: [flag] });
      const [option = ""] = flag.split("=");
      expect({ flag, code: ran.code, stdout: ran.stdout }).toEqual({ flag, code: 125, stdout: "" });
      expect(ran.stderr).toMatch(new RegExp(`^${option}: [ug]id 0 is not allowed.*/identity/allowRoot=true`));
    }
  });

  it("leaves the host as it was", async () => {
    const before = readdirSync("/").toSorted();
    const ran = await sandbox(user, ["/bin/true"]);
    expect(ran.code).toBe(0);
    expect(readdirSync("/").toSorted()).toEqual(before);
    expect(
      readdirSync(ran.directory).filter((name) => !/^(audit\.jsonl|report\.json|state|cache)/.test(name)),
    ).toEqual([]);
  });
});
