/** Paths of a root run whose owner the payload stands for: what it gets, and what it never gets. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { need, needRoot } from "../host/needs.ts";
import { make, scratch } from "../library/support.ts";
import { planFor } from "./plan.ts";

const PYTHON = "/usr/bin/python3";
const bind = (source: string, target: string, ...options: readonly string[]) => ({
  "/filesystem/mounts/-": { type: "bind", source, target, options },
});

/** A directory that only its owner may look into, with a file that only its owner may read. */
function closedDirectory(owner = 0): string {
  const directory = join(scratch(), "closed");
  mkdirSync(directory);
  writeFileSync(join(directory, "file"), "private\n");
  chmodSync(join(directory, "file"), 0o600);
  chownSync(join(directory, "file"), owner, owner);
  chmodSync(directory, 0o700);
  chownSync(directory, owner, owner);
  return directory;
}

/** What a shell inside says, standard error below standard output; the kernel confirms the plan. */
async function shell(script: string, values: Readonly<Record<string, unknown>>, profile = "strict") {
  const { sandbox } = await make(values, { profile });
  const outcome = await sandbox.run(["sh", "-c", script]);
  expect(outcome.launchError).toBeNull();
  expect(outcome.enforcement.filter(({ matches }) => !matches)).toEqual([]);
  return `${outcome.stdout}${outcome.stderr}`;
}

describe("what is closed to others and was named for the payload", () => {
  for (const owner of [0, 12_345]) {
    test(`a directory of uid ${owner} is read as its owner, and not written`, async (context) => {
      needRoot(context);
      const directory = closedDirectory(owner);
      const said = await shell(
        "cat /data/file; stat -c '%u %a' /data/file; echo x >> /data/file; chmod 777 /data/file; rm -f /data/file; mkdir /data/new",
        bind(directory, "/data"),
      );
      expect(said).toContain("private\n1000 600\n");
      expect(said.match(/Read-only file system/g)).toHaveLength(4);
      expect(statSync(join(directory, "file")).mode & 0o777).toBe(0o600);
    });
  }

  test("a single file is read, and not written", async (context) => {
    needRoot(context);
    const file = join(closedDirectory(), "file");
    const said = await shell("cat /file; echo x >> /file; chmod 777 /file", bind(file, "/file"));
    expect(said).toContain("private\n");
    expect(said.match(/Read-only file system/g)).toHaveLength(2);
  });

  test("a command that only root may execute is executed", async (context) => {
    needRoot(context);
    const program = join(closedDirectory(), "program");
    copyFileSync("/bin/true", program);
    chmodSync(program, 0o700);
    const { sandbox } = await make();
    expect(await sandbox.run([program])).toMatchObject({ launchError: null, exitCode: 0 });
  });

  test("a root directory of mode 0700 can be entered, and is not written", async (context) => {
    needRoot(context);
    const busybox = ["/usr/bin/busybox", "/bin/busybox"].find(existsSync);
    need(context, busybox !== undefined, "busybox is not installed");
    const path = closedDirectory();
    mkdirSync(join(path, "bin"));
    copyFileSync(busybox ?? "", join(path, "bin/sh"));
    const root = { "/filesystem/root": { type: "directory", path } };
    expect(await shell("echo $(read line < /file; echo $line); echo x >> /file", root)).toMatch(
      /^private\n.*Read-only file system/,
    );
    const discarded = { ...root, "/filesystem/write": "ephemeral" };
    expect(await shell("echo more >> /file && busybox cat /file || cat /file", discarded)).toContain(
      "private",
    );
    expect(statSync(join(path, "file")).size).toBe("private\n".length);
  });

  test("what is open to others stays as it is: its closed files are not shown", async (context) => {
    needRoot(context);
    const directory = closedDirectory();
    chmodSync(directory, 0o755);
    expect(await shell("ls /data; cat /data/file", bind(directory, "/data"))).toMatch(
      /^file\n.*Permission denied/,
    );
  });

  test("a socket and a fifo in it lead nowhere: reading is all that the payload gets", async (context) => {
    needRoot(context);
    need(context, existsSync(PYTHON), "python3 is not installed");
    const directory = closedDirectory();
    const server = createServer((peer) => peer.end());
    await new Promise<void>((listening) => server.listen(join(directory, "socket"), listening));
    onTestFinished(() => void server.close());
    chmodSync(join(directory, "socket"), 0o600);
    execFileSync("mkfifo", ["-m", "600", join(directory, "fifo")]);
    // A reader on the host, so that a writer finds one.
    const script = [
      "import errno, os, socket, sys",
      "at = sys.argv[1]",
      "def tell(name, call):",
      "    try: call(); print(name, 'OK')",
      "    except OSError as e: print(name, errno.errorcode[e.errno])",
      "tell('socket', lambda: socket.socket(socket.AF_UNIX).connect(at + '/socket'))",
      "tell('fifo', lambda: os.open(at + '/fifo', os.O_WRONLY | os.O_NONBLOCK))",
    ].join("\n");
    const reader = spawnSync(
      "sh",
      ["-c", `exec 9<> "$1/fifo"; ${PYTHON} -c "$2" "$1"`, "sh", directory, script],
      {
        encoding: "utf8",
        timeout: 0,
      },
    );
    expect(reader.stdout).toBe("socket OK\nfifo OK\n");
    const { sandbox } = await make(bind(directory, "/data"), { profile: "standard" });
    const outcome = await sandbox.run([PYTHON, "-c", script, "/data"]);
    expect(outcome.stdout).toBe("socket ECONNREFUSED\nfifo ENXIO\n");
  });

  test("the plan says who reads what as whom, and what cannot be read", () => {
    const closed = { "/srv/closed": { type: "directory", mode: 0o700, uid: 7, gid: 8 } } as const;
    const decide = (host: string) => {
      const plan = planFor({ host, overrides: bind("/srv/closed", "/data"), paths: closed });
      if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
      return plan.value.decisions.find(({ id }) => id === "mount:/data");
    };
    expect(decide("debian-root-v1-hybrid")).toMatchObject({
      status: "full",
      reason: "closed to others: the payload reads it as its owner, uid 7 and gid 8",
      check: { fsType: "overlay", options: ["ro", "nosuid", "nodev"] },
    });
    expect(decide("user-v2-delegated")).toMatchObject({
      status: "full",
      reason: "",
      check: { fsType: null },
    });
  });
});

describe("an owner that changed after the plan was made", () => {
  for (const options of [["rw"], []]) {
    test(`stops the launch, and the next one looks again (${options[0] ?? "read-only"})`, async (context) => {
      needRoot(context);
      const directory = closedDirectory(12_345);
      const { sandbox } = await make(bind(directory, "/data", ...options));
      const look = () => sandbox.run(["cat", "/data/file"]);
      expect(await look()).toMatchObject({ launchError: null, stdout: "private\n" });
      // As if whoever may rename here had put somebody else's directory in its place.
      chownSync(directory, 0, 0);
      const refused = await look();
      expect(refused).toMatchObject({
        exitCode: null,
        reason: "launch-failed",
        stdout: "",
        launchError: { step: "mount:/data.owner", errno: "ESTALE", target: directory },
      });
      expect(refused.launchError?.hint).toContain("changed");
      expect(await look()).toMatchObject({ launchError: null, stderr: expect.stringContaining("denied") });
    });
  }
});
