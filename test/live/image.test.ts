/**
 * From an image to a sandbox: the profile that `sandbox image profile` writes runs the image's command as both users, lets it do what it
 * needs, and refuses what its base would have let through. The root is a real one: a program of this machine with its libraries.
 */

import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { release } from "node:os";
import { basename, dirname, join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { findClosure } from "../../src/host/closure.ts";
import { configOf, sha256 } from "../image/layout.ts";
import { giveTo, installed, need, needKernel, sandbox, scratch, tool, USERS, type User } from "./harness.ts";

/** From Linux 6.5 on what an overlay opens is seen below it. */
const [major = 0, minor = 0] = release()
  .split(".")
  .map((part) => Number.parseInt(part, 10));
const RECORDS = major > 6 || (major === 6 && minor >= 5);
const needRecord = (context: TestContext): void =>
  needKernel(context, RECORDS, `Linux ${release()} does not tell what an overlay opens`);

interface Prepared {
  readonly directory: string;
  readonly rootfs: string;
  readonly image: string;
}

/** A root directory of programs with what they load, and a docker archive of it. */
function prepare(
  user: User,
  programs: readonly string[],
  config: Readonly<Record<string, unknown>>,
): Prepared {
  const directory = scratch(user);
  chmodSync(directory, 0o755);
  const rootfs = join(directory, "rootfs");
  for (const name of ["etc", "data", "bin", "proc", "dev", "tmp"])
    mkdirSync(join(rootfs, name), { recursive: true });
  for (const program of programs)
    for (const path of findClosure(program, "/bin", { kind: "default" }).files) {
      mkdirSync(join(rootfs, dirname(path)), { recursive: true });
      copyFileSync(realpathSync(path), join(rootfs, path));
    }
  writeFileSync(join(rootfs, "etc/motd"), "hello\n");
  execFileSync("tar", ["-C", rootfs, "-cf", join(directory, "layer.tar"), "."]);
  const layer = readFileSync(join(directory, "layer.tar"));
  const made = configOf({ layers: [{ tar: layer }], config });
  const name = `${sha256(made).slice(7)}.json`;
  writeFileSync(join(directory, name), made);
  writeFileSync(
    join(directory, "manifest.json"),
    JSON.stringify([{ Config: name, RepoTags: ["app:1"], Layers: ["layer.tar"] }]),
  );
  const image = join(directory, "app.tar");
  execFileSync("tar", ["-C", directory, "-cf", image, name, "manifest.json", "layer.tar"]);
  execFileSync("chmod", ["-R", "a+rX", directory]);
  giveTo(user, directory);
  return { directory, rootfs, image };
}

describe.each(USERS)("a profile of an image, used by %s,", (user) => {
  it("runs its command, gives it its place to write, and refuses what nothing in it asks for", async () => {
    const { directory, rootfs, image } = prepare(user, ["/bin/cat", "/bin/mkdir"], {
      User: "4321:4321",
      Entrypoint: ["/bin/cat"],
      Cmd: ["motd"],
      WorkingDir: "/etc",
      Volumes: { "/data": {} },
    });
    const made = await tool(user, ["image", "profile", image, "-o", "app.json"], { cwd: directory });
    expect(made.code, made.stderr).toBe(0);
    expect(made.stderr).toContain("proved: it permits no system call that strict forbids (x86_64, aarch64)");
    expect(made.stderr).toContain("run it: sandbox run --rootfs DIR -p ./app.json -- /bin/cat motd");
    const flags = ["--rootfs", rootfs];
    const profile = join(directory, "app.json");
    const ran = await sandbox(user, ["/bin/cat", "motd"], { profile, flags });
    expect({ code: ran.code, stdout: ran.stdout, stderr: ran.stderr }).toEqual({
      code: 0,
      stdout: "hello\n",
      stderr: "",
    });
    // With the base the directory can be made; the image's command never asks for that, so its profile refuses it.
    const allowed = await sandbox(user, ["/bin/mkdir", "/tmp/new"], { profile: "strict", flags });
    expect({ code: allowed.code, stderr: allowed.stderr }).toEqual({ code: 0, stderr: "" });
    const denied = await sandbox(user, ["/bin/mkdir", "/tmp/new"], { profile, flags });
    expect(denied.code).toBe(1);
    expect(denied.stderr).toMatch(/mkdir: .*Operation not permitted/);
  });

  it("of a shell keeps what its base lets through, and writes to the image's volume and nowhere else", async (context) => {
    need(context, process.getuid !== undefined, "there are no users");
    const { directory, rootfs, image } = prepare(user, ["/bin/dash", "/bin/mkdir", "/usr/bin/id"], {
      User: "4321:4322",
      Cmd: ["/bin/dash", "-c", "id -u; id -g; pwd; echo $MODE; mkdir /data/new && echo made; mkdir /etc/new"],
      Env: ["MODE=fast", "PATH=/usr/bin:/bin"],
      WorkingDir: "/etc",
      Volumes: { "/data": {} },
    });
    const made = await tool(user, ["image", "profile", image], { cwd: directory });
    writeFileSync(join(directory, "app.json"), made.stdout);
    expect(made.stderr).toMatch(/system calls: those of the base; fewer cannot be decided/);
    const command = [
      "/bin/dash",
      "-c",
      "id -u; id -g; pwd; echo $MODE; mkdir /data/new && echo made; mkdir /etc/new",
    ];
    const ran = await sandbox(user, command, {
      profile: join(directory, "app.json"),
      flags: ["--rootfs", rootfs],
    });
    expect(ran.stdout).toBe("4321\n4322\n/etc\nfast\nmade\n");
    expect(ran.stderr).toMatch(/Read-only file system/);
  });
});

describe.each(USERS)("an image that dpkg installed and umoci packed, used by %s,", (user) => {
  it("is known by its package, gives its shell a profile, and runs in it", async (context) => {
    for (const program of ["dpkg", "dpkg-deb", "busybox", "umoci"])
      need(context, installed(program), `${program} is not installed`);
    needRecord(context);
    const directory = scratch(user);
    chmodSync(directory, 0o755);
    const [packed, rootfs] = [join(directory, "package"), join(directory, "rootfs")];
    for (const path of [
      join(packed, "DEBIAN"),
      join(packed, "bin"),
      join(packed, "srv"),
      join(rootfs, "var/lib/dpkg/updates"),
    ])
      mkdirSync(path, { recursive: true });
    mkdirSync(join(rootfs, "var/lib/dpkg/info"));
    writeFileSync(join(rootfs, "var/lib/dpkg/status"), "");
    writeFileSync(
      join(packed, "DEBIAN/control"),
      "Package: tiny-shell\nVersion: 1:2-3\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: x\n",
    );
    copyFileSync("/bin/busybox", join(packed, "bin/busybox"));
    symlinkSync("busybox", join(packed, "bin/sh"));
    const env = { ...process.env, HOME: directory };
    const run = (program: string, ...args: readonly string[]) =>
      execFileSync(program, args, { cwd: directory, env, stdio: ["ignore", "ignore", "pipe"] });
    run("dpkg-deb", "--root-owner-group", "-b", packed, "tiny.deb");
    const force = ["--force-not-root", "--force-bad-path", "--force-depends", "--force-architecture"];
    run("dpkg", `--root=${rootfs}`, ...force, "--log=/dev/null", "-i", "tiny.deb");
    run("umoci", "init", "--layout", "image");
    run("umoci", "new", "--image", "image:v1");
    run("umoci", "insert", "--rootless", "--image", "image:v1", rootfs, "/");
    const config = [
      "--config.user",
      "4321:4321",
      "--config.entrypoint",
      "/bin/sh",
      "--config.volume",
      "/srv",
    ];
    run("umoci", "config", "--image", "image:v1", ...config);
    execFileSync("chmod", ["-R", "a+rX", directory]);
    giveTo(user, directory);
    const told = await tool(user, ["image", "inspect", "--json", "image"], { cwd: directory });
    const facts: {
      readonly packages: readonly object[];
      readonly elf: { readonly files: readonly object[] };
    } = JSON.parse(told.stdout);
    expect(facts.packages).toMatchObject([
      { manager: "dpkg", name: "tiny-shell", version: "1:2-3", present: 2 },
    ]);
    expect(facts.elf.files).toMatchObject([{ path: "bin/busybox", package: "tiny-shell" }]);
    const made = await tool(user, ["image", "profile", "image", "-o", "app.json"], { cwd: directory });
    expect(made.code, made.stderr).toBe(0);
    const ran = await sandbox(
      user,
      ["/bin/sh", "-c", "busybox id -u; echo x > /srv/x && echo wrote; echo y > /y"],
      {
        profile: join(directory, "app.json"),
        flags: ["--rootfs", rootfs, "--record-files"],
      },
    );
    expect(ran.stdout).toBe("4321\nwrote\n");
    expect(ran.stderr).toMatch(/Read-only file system/);
    expect(ran.report?.files).toMatchObject({ opened: ["/bin/busybox"], complete: true });
  });
});

describe("programs whose system calls were left out", () => {
  it.for<readonly string[]>([
    ["/bin/grep", "-r", "hello", "/etc"],
    ["/usr/bin/xz", "-T2", "-c", "/etc/motd"],
    ["/usr/bin/getent", "hosts", "localhost"],
  ])("do what they did: %j", async (command, context) => {
    const user = USERS[0] ?? "user";
    const [program = ""] = command;
    need(context, installed(basename(program)), `${program} is not installed`);
    const config = { User: "1000:1000", Entrypoint: command };
    const { directory, rootfs, image } = prepare(user, ["/bin/cat", program], config);
    writeFileSync(join(rootfs, "etc/passwd"), "root:x:0:0::/:/bin/sh\n");
    const made = await tool(user, ["image", "profile", image, "-o", "app.json"], { cwd: directory });
    expect(made.stderr).toMatch(/system calls: \d+ fewer than the base/);
    const options = { flags: ["--rootfs", rootfs, "--tmpfs", "/tmp/x"] };
    const ended = async (profile: string) => {
      const { code, stdout, stderr } = await sandbox(user, command, { ...options, profile });
      return { code, stdout, stderr };
    };
    expect(await ended(join(directory, "app.json"))).toEqual(await ended("strict"));
  });
});

describe.each(USERS)("files opened by a run of %s", (user) => {
  it("are listed whether executed, loaded, read or written, under their own names, and nothing else is", async (context) => {
    needRecord(context);
    const { rootfs } = prepare(user, ["/bin/dash", "/bin/cat", "/bin/ls"], {});
    writeFileSync(join(rootfs, "bin/script"), "#!/bin/dash\ntest -e /etc/motd; exec cat /etc/link/read\n");
    mkdirSync(join(rootfs, "deep/er"), { recursive: true });
    writeFileSync(join(rootfs, "deep/er/read"), "here\n");
    writeFileSync(join(rootfs, "deep/changed"), "before\n");
    writeFileSync(join(rootfs, "deep/removed"), "");
    symlinkSync("../deep/er", join(rootfs, "etc/link"));
    execFileSync("chmod", ["-R", "a+rwX", join(rootfs, "bin"), join(rootfs, "deep")]);
    chmodSync(join(rootfs, "bin/script"), 0o755);
    giveTo(user, rootfs);
    const flags = ["--rootfs", rootfs, "--record-files", "--write", "ephemeral", "-e", "PATH=/bin"];
    // What nobody inside owns cannot be copied to be changed: root's payload is nobody's.
    const writes = user === "user" ? "echo x >> /deep/changed; echo > /deep/new; cat /deep/new;" : "";
    const script = `/bin/script; ${writes} ls /deep`;
    const ran = await sandbox(user, ["/bin/dash", "-c", script], { flags });
    expect(ran.stdout).toBe(
      user === "user" ? "here\n\nchanged\ner\nnew\nremoved\n" : "here\nchanged\ner\nremoved\n",
    );
    const { opened = [], ...rest } = ran.report?.files ?? {};
    expect(rest).toEqual({ root: rootfs, complete: true, missed: [] });
    const isLibrary = (path: string): boolean => /\.so(?:\.|$)/.test(path);
    expect(opened.filter((path) => !isLibrary(path))).toEqual(
      [
        "/bin/cat",
        "/bin/dash",
        "/bin/ls",
        "/bin/script",
        ...(user === "user" ? ["/deep/changed"] : []),
        "/deep/er/read",
      ].map((path) => realInside(rootfs, path)),
    );
    expect(opened.some((path) => /\/libc\.so/.test(path))).toBe(true);
    expect(ran.audit.filter(({ kind }) => kind === "files")).toMatchObject([
      { root: rootfs, opened: opened.length, sha256: hash("sha256", JSON.stringify(opened)), complete: true },
    ]);
    expect(readFileSync(join(rootfs, "deep/changed"), "utf8")).toBe("before\n");
  });

  it("are listed when the run is killed, and the payload has no descriptor of the record", async (context) => {
    needRecord(context);
    const { rootfs } = prepare(user, ["/bin/dash", "/bin/ls"], {});
    const flags = ["--rootfs", rootfs, "--record-files", "-e", "PATH=/bin"];
    const ran = await sandbox(user, ["/bin/dash", "-c", "ls /proc/self/fd; kill -9 $$"], { flags });
    expect(ran.stdout.trim().split("\n")).toEqual(["0", "1", "2", "3"]);
    expect(ran.report).toMatchObject({ signal: "SIGKILL", files: { complete: true } });
    expect(ran.report?.files?.opened).toContain("/bin/dash");
  });

  it("cannot be recorded without a root directory or a report, and then nothing runs", async () => {
    const ran = await sandbox(user, ["/bin/true"], { flags: ["--record-files"] });
    expect(ran.code).toBe(125);
    expect(ran.stderr).toMatch(/opened files are recorded in a root directory only; give one with --rootfs/);
    const { rootfs } = prepare(user, ["/bin/dash"], {});
    const without = await tool(user, [
      "run",
      "--rootfs",
      rootfs,
      "--record-files",
      "--",
      "/bin/dash",
      "-c",
      "echo ran",
    ]);
    expect({ code: without.code, stdout: without.stdout }).toEqual({ code: 125, stdout: "" });
    expect(without.stderr).toMatch(
      /--record-files: there is no report to list files in; expected --report FILE/,
    );
  });
});

describe.each(USERS)("evidence of a run of %s", (user) => {
  it("joins what was opened with what can be reached", async (context) => {
    needRecord(context);
    const command = ["/bin/dash", "-c", "exec /bin/cat /etc/motd"];
    const config = { User: "1000:1000", Entrypoint: command, Healthcheck: { Test: ["CMD", "/bin/ls"] } };
    const { directory, rootfs, image } = prepare(
      user,
      ["/bin/dash", "/bin/cat", "/bin/ls", "/bin/mkdir"],
      config,
    );
    const flags = ["--rootfs", rootfs, "--record-files"];
    // What the run does beside its command: nothing that the image names leads to mkdir.
    const ran = await sandbox(user, ["/bin/dash", "-c", "/bin/mkdir /tmp/x; exec /bin/cat /etc/motd"], {
      flags,
    });
    expect(ran.code, ran.stderr).toBe(0);
    const evidence = join(ran.directory, "report.json");
    const check = async (...more: readonly string[]) =>
      await tool(user, ["check", "image", image, "--policy", "base", "--format", "json", ...more], {
        cwd: directory,
      });
    const { stdout } = await check("--evidence", evidence);
    const found = findingsOf(stdout);
    expect(found.filter(([rule]) => rule === "evidence-fits")).toEqual([]);
    expect(found.filter(([rule]) => rule === "no-unreached-opens")).toEqual([
      ["no-unreached-opens", realInside(rootfs, "/bin/mkdir")],
    ]);
    const unused = found.filter(([rule]) => rule === "no-unused-programs").map(([, object]) => object);
    expect(unused).toContain(realInside(rootfs, "/bin/ls"));
    expect(unused).not.toContain(realInside(rootfs, "/bin/cat"));
    expect(stdout).toMatch(/ files opened by 1 recorded run, \d+ files of [\d.]+ MiB never opened/);
    const without = findingsOf((await check()).stdout).map(([rule]) => rule);
    expect(without.filter((rule) => /^evidence|unreached|unused/.test(rule))).toEqual([]);
  });
});

/** Rule and object of each finding of a report. */
function findingsOf(json: string): readonly (readonly [string, string])[] {
  const report: { readonly findings: readonly { readonly rule: string; readonly object: string }[] } =
    JSON.parse(json);
  return report.findings.map(({ rule, object }) => [rule, object]);
}

/** The path without links, as the root has it. */
function realInside(rootfs: string, path: string): string {
  return realpathSync(join(rootfs, path)).slice(realpathSync(rootfs).length);
}
