/** Controls as a payload meets them: each compiled, run, and looked at from inside and from outside. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { need } from "../host/needs.ts";
import { hasCgroups, isRoot, make, scratch } from "../library/support.ts";

const BUSYBOX = ["/usr/bin/busybox", "/bin/busybox"].find(existsSync);
const haveBusybox = BUSYBOX !== undefined || process.env["SANDBOX_MUST_WORK"] === "1";
if (!haveBusybox) console.log("skipped: busybox is not installed, so there is no root file system to run on");
const GCC = existsSync("/usr/bin/gcc");

/** What a shell says inside: standard output, and standard error below it. */
async function inside(
  script: string,
  values: Readonly<Record<string, unknown>> = {},
  profile = "strict",
): Promise<string> {
  const { sandbox } = await make(values, { profile });
  const outcome = await sandbox.run(["sh", "-c", script]);
  expect(outcome.launchError).toBeNull();
  expect(outcome.enforcement.filter(({ matches }) => !matches)).toEqual([]);
  return `${outcome.stdout}${outcome.stderr}`;
}
const mount = (entry: Readonly<Record<string, unknown>>) => ({ "/filesystem/mounts/-": entry });

/** A root file system of busybox alone. */
function busyboxRoot(busybox: string): string {
  const root = scratch();
  chmodSync(root, 0o755);
  for (const directory of ["bin", "etc", "tmp"]) mkdirSync(join(root, directory));
  copyFileSync(busybox, join(root, "bin/busybox"));
  for (const name of ["sh", "cat", "touch", "ls", "mkdir"]) symlinkSync("busybox", join(root, "bin", name));
  writeFileSync(join(root, "etc/marker"), "of this root\n");
  return root;
}

describe("a directory root", () => {
  test.runIf(haveBusybox).each(["sh", "/bin/sh"])(
    "shows its own programs: %s is the directory's, not the host's",
    async (shell) => {
      const root = busyboxRoot(BUSYBOX ?? "");
      const { sandbox } = await make({ "/filesystem/root": { type: "directory", path: root } });
      const outcome = await sandbox.run([
        shell,
        "-c",
        "cat /etc/marker; exec /bin/busybox readlink /proc/self/exe",
      ]);
      expect(outcome).toMatchObject({ stdout: "of this root\n/bin/busybox\n", exitCode: 0 });
    },
  );

  test("is not written to; discarded writes are seen by one run only", async (context) => {
    need(context, BUSYBOX !== undefined, "busybox is not installed");
    const path = busyboxRoot(BUSYBOX ?? "");
    const root = { "/filesystem/root": { type: "directory", path } };
    expect(await inside("touch /x", root)).toContain("Read-only file system");
    const ephemeral = { ...root, "/filesystem/write": "ephemeral" };
    expect(await inside("touch /x && echo made", ephemeral)).toBe("made\n");
    expect(await inside("ls /x", ephemeral)).toContain("No such file");
    expect(existsSync(join(path, "x"))).toBe(false);
  });
});

describe("kept writes", () => {
  test.runIf(haveBusybox).each(["system", "directory"])(
    "over a %s root are there in the second run",
    async (type) => {
      const kept = scratch();
      const root = type === "system" ? { type } : { type, path: busyboxRoot(BUSYBOX ?? "") };
      const values = { "/filesystem/root": root, "/filesystem/write": { directory: kept } };
      expect(await inside("mkdir -p /made && echo one > /made/file && cat /made/file", values)).toBe("one\n");
      expect(await inside("echo two >> /made/file; cat /made/file", values)).toBe("one\ntwo\n");
    },
  );
});

describe("a closure root", () => {
  const closure = { "/filesystem/root": { type: "closure" } };

  test("of a program shows its libraries and nothing else", async () => {
    const { sandbox } = await make(closure);
    const outcome = await sandbox.run(["ls", "/usr/bin"]);
    expect(outcome).toMatchObject({ stdout: "ls\n", exitCode: 0 });
  });

  test("of a script shows its interpreter", async () => {
    const { sandbox, directory } = await make(closure);
    const script = join(directory, "script");
    writeFileSync(script, "#!/bin/sh\necho from $1\n", { mode: 0o755 });
    expect(await sandbox.run([script, "here"])).toMatchObject({ stdout: "from here\n", exitCode: 0 });
  });

  test("of a program that finds its library by $ORIGIN shows the library", async (context) => {
    need(context, GCC, "gcc is not installed");
    const { sandbox, directory } = await make(closure);
    mkdirSync(join(directory, "lib"));
    writeFileSync(join(directory, "own.c"), "int own(void) { return 42; }");
    writeFileSync(join(directory, "main.c"), "int own(void); int main(void) { return own(); }");
    const gcc = (...args: readonly string[]) => execFileSync("gcc", args, { cwd: directory });
    gcc("-shared", "-fPIC", "-o", "lib/libown.so", "own.c");
    gcc("-o", "main", "main.c", "-Llib", "-lown", "-Wl,-rpath,$ORIGIN/lib");
    expect(await sandbox.run([join(directory, "main")])).toMatchObject({ exitCode: 42, launchError: null });
  });
});

test("an empty root runs a static binary, and shows it alone", async (context) => {
  need(context, BUSYBOX !== undefined, "busybox is not installed");
  const { sandbox, directory } = await make({ "/filesystem/root": { type: "empty" } });
  const program = join(directory, "busybox");
  copyFileSync(BUSYBOX ?? "", program);
  const outcome = await sandbox.run([program, "ls", directory]);
  expect(outcome).toMatchObject({ stdout: "busybox\n", exitCode: 0 });
});

describe("masked paths", () => {
  test("are empty and cannot be written: a file, a directory, and none where nothing is", async () => {
    const masked = ["/etc/passwd", "/usr/share", "/usr/nowhere/at/all"];
    const script = "cat /etc/passwd; ls /usr/share; touch /usr/share/x; ls -d /usr/nowhere";
    const said = await inside(script, { "/filesystem/masked": masked });
    expect(said).not.toContain("root:");
    expect(said).toMatch(/^touch: .*Read-only file system\nls: .*No such file or directory\n$/);
  });
});

describe("read-only paths", () => {
  test("hold over what could be written before: a directory, a file, and none where nothing is", async () => {
    const values = { "/filesystem/readOnly": ["/tmp", "/etc/passwd", "/nowhere"] };
    const said = await inside(
      "touch /tmp/x; echo x >> /etc/passwd; touch /free && echo free",
      values,
      "standard",
    );
    expect(said.match(/Read-only file system/g)).toHaveLength(2);
    expect(said).toContain("free\n");
  });
});

describe("a tmpfs", () => {
  const target = "/data";
  test("holds no more bytes than its size", async () => {
    const said = await inside(
      "head -c 2000000 /dev/zero > /data/x; wc -c < /data/x",
      mount({ type: "tmpfs", target, size: "1M" }),
    );
    expect(said).toContain("1048576\n");
    expect(said).toContain("No space left on device");
  });

  test("holds no more files than its inodes", async () => {
    const said = await inside(
      "cd /data; for i in 1 2 3 4 5; do : > $i; done; ls | wc -l",
      mount({ type: "tmpfs", target, inodes: 4 }),
    );
    expect(said).toContain("No space left on device");
  });

  test("runs nothing where data lies, and something where it is asked to", async () => {
    const script = "cp /bin/true /data/t && /data/t && echo ran";
    expect(await inside(script, mount({ type: "tmpfs", target }))).toContain("Permission denied");
    expect(await inside(script, mount({ type: "tmpfs", target, options: ["exec"] }))).toBe("ran\n");
  });
});

describe("a bind", () => {
  test("is read-only unless asked otherwise, for a file and a directory", async () => {
    const source = scratch();
    chmodSync(source, 0o755);
    writeFileSync(join(source, "file"), "content\n");
    const values = {
      "/filesystem/mounts": [
        { type: "bind", source, target: "/data" },
        { type: "bind", source: join(source, "file"), target: "/one" },
      ],
    };
    const said = await inside(
      "cat /data/file /one; echo x > /data/new; echo x > /data/file; echo x > /one",
      values,
    );
    expect(said.startsWith("content\ncontent\n")).toBe(true);
    expect(readFileSync(join(source, "file"), "utf8")).toBe("content\n");
    expect(existsSync(join(source, "new"))).toBe(false);
  });

  test("that is read-write hands over what is written, owned by the caller", async () => {
    const source = scratch();
    const values = mount({ type: "bind", source, target: "/data", options: ["rw"] });
    expect(await inside("echo new > /data/new && cat /data/new", values)).toBe("new\n");
    expect(readFileSync(join(source, "new"), "utf8")).toBe("new\n");
    expect(statSync(join(source, "new")).uid).toBe(process.getuid?.());
  });
});

describe("the process", () => {
  test("has the umask, priority and OOM score asked for", async () => {
    const values = { "/process/umask": "027", "/process/nice": 19, "/process/oomScoreAdj": 500 };
    expect(await inside("umask; nice; cat /proc/self/oom_score_adj", values)).toBe("0027\n19\n500\n");
  });

  test("lives at another time by the offsets of its clocks", async () => {
    const values = { "/process/timeOffsets/boottime/secs": 100_000_000, "/filesystem/proc": "full" };
    expect(Number((await inside("cut -d. -f1 /proc/uptime", values)).trim())).toBeGreaterThan(100_000_000);
  });

  test("cannot make memory writable and executable", async (context) => {
    need(context, existsSync("/usr/bin/python3"), "python3 is not installed");
    const script = "python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)' 2>&1 | tail -1";
    expect(await inside(script, { "/process/memoryDenyWriteExecute": true })).toContain("Permission denied");
    expect(await inside(script)).toBe("");
  });

  test("is uid 0 inside only by request, and nobody outside", async () => {
    const { sandbox } = await make({ "/identity/uid": 0, "/identity/gid": 0, "/identity/allowRoot": true });
    const outcome = await sandbox.run([
      "sh",
      "-c",
      "id -u; read a b c < /proc/self/uid_map; echo $b; grep CapEff /proc/self/status",
    ]);
    const [uid, outside, capabilities] = (outcome.stdout ?? "").split("\n");
    expect(uid).toBe("0");
    expect(Number(outside)).not.toBe(0);
    expect(capabilities).toMatch(/\t0{16}$/);
  });

  test("has the limits asked for, soft and hard", async () => {
    const values = {
      "/resources/rlimits": { stack: { soft: 1_048_576, hard: 2_097_152 } },
      "/resources/openFiles": 40,
      "/resources/fileSize": "8K",
    };
    expect(await inside("ulimit -Ss; ulimit -Hs; ulimit -n; ulimit -f", values)).toBe("1024\n2048\n40\n16\n");
  });
});

describe("a cgroup", () => {
  test.runIf(hasCgroups && isRoot)("keeps the payload on the CPUs asked for", async () => {
    expect(await inside("nproc", { "/resources/cpuset": "0" })).toBe("1\n");
  });

  test.runIf(hasCgroups && isRoot)("refuses CPUs that the host has not, before anything runs", async () => {
    await expect(
      make({ "/resources/cpuset": "4000" }).then(({ sandbox }) => sandbox.run(["true"])),
    ).rejects.toThrow("4000");
  });
});
