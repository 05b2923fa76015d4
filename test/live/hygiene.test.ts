/** Nothing leaks in: privileges, descriptors, environment, limits, keyrings, working directory. */

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { needRoot } from "../host/needs.ts";
import {
  as,
  environment,
  finish,
  hostile,
  installed,
  need,
  type RunOptions,
  sandbox,
  sandboxArgv,
  scratch,
  start,
  USERS,
  type User,
} from "./harness.ts";

/** "key=value" lines of programs/probe.c, values of one key in order. */
function valuesOf(stdout: string, key: string): readonly string[] {
  return stdout
    .split("\n")
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));
}
function statusOf(stdout: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    valuesOf(stdout, "status").map((line) => {
      const [name = "", value = ""] = line.split(":");
      return [name, value.trim()];
    }),
  );
}

/** Runs with descriptors 3 to `last` open in the parent: a directory of the host, again and again. */
async function runWithDescriptors(user: User, program: string, last: number, options: RunOptions = {}) {
  const directory = scratch(user);
  const [head = "", ...rest] = sandboxArgv(user, directory, [program], options);
  const leak = openSync("/", "r");
  const child = spawn(head, rest, {
    cwd: directory,
    env: environment(directory, options.env),
    stdio: ["pipe", "pipe", "pipe", ...Array.from({ length: last - 2 }, () => leak)],
    detached: true,
  });
  closeSync(leak);
  return finish(child);
}

describe.each(USERS)("strict, run by %s", (user) => {
  it("holds no capability in any of the five sets, locked securebits, no_new_privs and a filter", async (context) => {
    const ran = await sandbox(user, [hostile(context, "probe")]);
    const status = statusOf(ran.stdout);
    const none = "0000000000000000";
    expect(status).toMatchObject({
      CapInh: none,
      CapPrm: none,
      CapEff: none,
      CapBnd: none,
      CapAmb: none,
      NoNewPrivs: "1",
      Seccomp: "2",
      Uid: "1000\t1000\t1000\t1000",
      Gid: "1000\t1000\t1000\t1000",
      TracerPid: "0",
    });
    // SECBIT_NOROOT, NO_SETUID_FIXUP, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE and their locks: capabilities(7).
    const securebits = Number(valuesOf(ran.stdout, "securebits")[0]);
    expect(securebits & 0xaf).toBe(0xaf);
  });

  it("is in namespaces of its own, all eight", async (context) => {
    const ran = await sandbox(user, [hostile(context, "probe")]);
    const { readlinkSync } = await import("node:fs");
    for (const name of ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"]) {
      const [inside = ""] = valuesOf(ran.stdout, `ns-${name}`);
      expect(inside).toMatch(new RegExp(`^${name}:\\[[0-9]+\\]$`));
      expect(inside).not.toBe(readlinkSync(`/proc/self/ns/${name}`));
    }
  });

  it("has its addresses randomised, also where the caller has not", async (context) => {
    need(context, installed("setarch"), "setarch is not installed");
    const directory = scratch(user);
    const read = ["/bin/cat", "/proc/self/personality"];
    const run = async (argv: readonly string[]) => (await finish(start(argv, { directory }))).stdout;
    expect(await run(["setarch", "--addr-no-randomize", ...as(user, read)])).toBe("00040000\n");
    expect(await run(["setarch", "--addr-no-randomize", ...sandboxArgv(user, directory, read)])).toBe(
      "00000000\n",
    );
  });

  it("inherits descriptors 0, 1 and 2 and nothing else, of fifty that were open", async (context) => {
    const ran = await runWithDescriptors(user, hostile(context, "probe"), 52);
    expect(valuesOf(ran.stdout, "fd").map((line) => line.split(" ")[0])).toEqual(["0", "1", "2"]);
    expect(ran.code).toBe(0);
  });

  it("inherits no variable that the profile does not name", async (context) => {
    const secrets = {
      SECRET: "hunter2",
      AWS_SECRET_ACCESS_KEY: "hunter2",
      LD_PRELOAD: "/tmp/evil.so",
      LD_LIBRARY_PATH: "/tmp",
      GCONV_PATH: "/tmp",
      PYTHONPATH: "/tmp",
      SSH_AUTH_SOCK: "/tmp/agent",
      DBUS_SESSION_BUS_ADDRESS: "unix:path=/run/user/0/bus",
      LANG: "C.UTF-8",
      TERM: "dumb",
    };
    // LD_PRELOAD names a file that is not there: the loader says so on stderr for Node itself, which is not of interest.
    const ran = await sandbox(user, [hostile(context, "probe")], { env: secrets });
    expect(valuesOf(ran.stdout, "env").toSorted()).toEqual([
      "HOME=/tmp",
      "LANG=C.UTF-8",
      "PATH=/usr/bin:/bin",
      "TERM=dumb",
    ]);
  });

  it("passes exactly the variables asked for", async (context) => {
    const ran = await sandbox(user, [hostile(context, "probe")], {
      env: { WANTED: "one", UNWANTED: "two" },
      flags: ["--env", "WANTED", "--env", "GIVEN=a=b c", "--env", "MISSING"],
    });
    expect(valuesOf(ran.stdout, "env").toSorted()).toEqual([
      "GIVEN=a=b c",
      "HOME=/tmp",
      "PATH=/usr/bin:/bin",
      "WANTED=one",
    ]);
  });

  it("has every limit of the profile, soft and hard, and no core dump", async (context) => {
    const ran = await sandbox(user, [hostile(context, "probe")]);
    const limits = new Map(
      valuesOf(ran.stdout, "limit").map((line) => {
        const [, name = "", soft = "", hard = ""] = /^(.{26})(\S+)\s+(\S+)/.exec(line) ?? [];
        return [name.trim(), `${soft} ${hard}`] as const;
      }),
    );
    expect(limits.get("Max file size")).toBe(`${64 << 20} ${64 << 20}`);
    expect(limits.get("Max open files")).toBe("256 256");
    // Not 0: with that the kernel writes no file but still starts the handler of a piped core_pattern (core(5)).
    expect(limits.get("Max core file size")).toBe("1 1");
  });

  it("starts inside its root, whatever the caller's directory is", async () => {
    const ran = await sandbox(user, ["/bin/sh", "-c", "pwd; readlink /proc/self/cwd"], {
      cwd: "/proc/self/fd",
    });
    expect(ran.code).toBe(0);
    expect(ran.stdout).toBe("/\n/\n");
  });

  it("refuses a working directory that leads out through /proc", async () => {
    for (const workdir of ["/proc/self/fd/3", "/proc/1/root", "/proc/self/cwd/../..", "/proc/1/cwd"]) {
      const ran = await sandbox(user, ["/bin/sh", "-c", "pwd -P"], {
        flags: ["--workdir", workdir],
      });
      if (ran.code === 125) continue;
      // Accepted: then it is a directory of the sandbox.
      expect({ workdir, code: ran.code, inside: /^\/(proc)?$/.test(ran.stdout.trim()) }).toEqual({
        workdir,
        code: 0,
        inside: true,
      });
    }
  });

  it.for(["fifo", "rr", "idle"])(
    "inherits the caller's scheduling policy %s only where it shares the CPU",
    async (policy, context) => {
      needRoot(context);
      need(context, installed("chrt"), "chrt (util-linux) is not installed");
      const directory = scratch(user);
      const payload = ["/usr/bin/chrt", "--pid", "0"];
      const priority = policy === "idle" ? "0" : "10";
      const argv = [`--${policy}`, priority, ...sandboxArgv(user, directory, payload)];
      const options = { cwd: directory, env: environment(directory), detached: true };
      const ran = await finish(spawn("chrt", argv, { ...options, stdio: ["pipe", "pipe", "pipe"] }));
      expect(ran.stdout).toContain(`SCHED_${policy === "idle" ? "IDLE" : "OTHER"}`);
    },
  );

  it("writes no core file, also where the payload asks for one", async (context) => {
    const ran = await sandbox(user, [
      "/bin/sh",
      "-c",
      "ulimit -c unlimited 2>&1; cd /tmp; sh -c 'kill -SEGV $$'; ls -A /tmp",
    ]);
    expect(ran.stdout).not.toMatch(/core/);
    const crash = await sandbox(user, [hostile(context, "hog"), "crash"]);
    expect(crash).toMatchObject({ code: 128 + 6, report: { signal: "SIGABRT", reason: "signalled" } });
  });

  it("runs #!/proc/self/exe as a program of the sandbox, never as ours", async () => {
    // CVE-2019-5736: a script whose interpreter is the runtime itself.
    const directory = scratch(user);
    const { writeFileSync, chmodSync } = await import("node:fs");
    const path = join(directory, "script");
    writeFileSync(path, "#!/proc/self/exe\n");
    chmodSync(path, 0o755);
    const ran = await sandbox(user, [path]);
    expect(ran.hung).toBe(false);
    expect(ran.code).not.toBe(0);
    expect(ran.report?.reason).toMatch(/launch-failed|exited|signalled|seccomp-kill/);
  });
});
