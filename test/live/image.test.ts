/**
 * From an image to a sandbox: the profile that `sandbox image profile` writes runs the image's command as both users, lets it do what it
 * needs, and refuses what its base would have let through. The root is a real one: a program of this machine with its libraries.
 */

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { findClosure } from "../../src/host/closure.ts";
import { configOf, sha256 } from "../image/layout.ts";
import { giveTo, need, sandbox, scratch, tool, USERS, type User } from "./harness.ts";

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
