/**
 * Root directories made to betray their launcher: every standard mount point a symbolic link, a pipe, a loop, a plain
 * file, or exchanged while the launch runs. The launch may refuse (125) or go on inside the root; the host's tree must
 * be untouched, nothing may hang, and what goes on must have a real /proc.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import {
  giveTo,
  hostile,
  mounts,
  outside,
  type RunOptions,
  resultsOf,
  SLOWNESS,
  sandbox,
  scratch,
  USERS,
  type User,
} from "./harness.ts";

const STANDARD = ["proc", "dev", "etc", "tmp", "sys", "run", "usr", "var", "home"];

/** Launches into a tree that changes meanwhile: fewer where each shares its processor with those who change it. */
const ROUNDS = SLOWNESS > 1 ? 3 : 8;

interface Trap {
  readonly root: string;
  readonly victim: string;
}

/** A root with the program at /attempt, and next to it, outside of the root, a tree that must not change. */
function trap(user: User, program: string): Trap {
  const base = scratch(user);
  chmodSync(base, 0o755);
  const root = join(base, "root");
  const victim = join(base, "victim");
  mkdirSync(root);
  for (const name of ["", "pts", "shm", "self", "self/fd", "sys", "sys/kernel", "mqueue"])
    mkdirSync(join(victim, name));
  for (const name of [
    "null",
    "passwd",
    "sysrq-trigger",
    "sys/kernel/core_pattern",
    "self/uid_map",
    "resolv.conf",
    "hosts",
  ])
    writeFileSync(join(victim, name), "untouched\n", { mode: 0o666 });
  copyFileSync(program, join(root, "attempt"));
  chmodSync(join(root, "attempt"), 0o755);
  return { root, victim };
}

/** Names, types, modes and contents below a directory. */
function snapshot(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true })
    .map(String)
    .toSorted()
    .map((name) => {
      const path = join(directory, name);
      const about = lstatSync(path);
      return `${name} ${about.mode.toString(8)} ${about.uid} ${about.isFile() ? readFileSync(path, "utf8") : ""}`;
    });
}

/** Springs the trap: what the launch did, and whether the host is as it was. */
async function spring(user: User, { root, victim }: Trap, options: RunOptions = {}, handOver = true) {
  if (handOver) giveTo(user, dirname(root));
  const before = { victim: snapshot(victim), host: readdirSync("/").toSorted(), mounts: mounts() };
  const ran = await sandbox(
    user,
    ["/attempt", "readlink:/proc/self/ns/user", "read:/proc/self/status", `read:${victim}/passwd`],
    { ...options, flags: ["--rootfs", root, ...(options.flags ?? [])], patience: 10_000 },
  );
  const after = { victim: snapshot(victim), host: readdirSync("/").toSorted(), mounts: mounts() };
  const results = resultsOf(ran.stdout);
  return {
    hung: ran.hung,
    ended:
      ran.code === 125
        ? "refused"
        : ran.code === 0 && results.get("readlink:/proc/self/ns/user") === "ok"
          ? "ran"
          : ran,
    leaked: results.get(`read:${victim}/passwd`) === "ok",
    untouched: JSON.stringify(before) === JSON.stringify(after),
  };
}
const SAFE = { hung: false, ended: expect.stringMatching(/^(ran|refused)$/), leaked: false, untouched: true };

describe.each(USERS)("run by %s", (user) => {
  it("an ordinary root directory works, so that a refusal below means something", async (context) => {
    const { root, victim } = trap(user, hostile(context, "attempt"));
    for (const name of STANDARD) mkdirSync(join(root, name));
    expect(await spring(user, { root, victim })).toEqual({ ...SAFE, ended: "ran" });
  });

  it("a root directory without a single mount point works too", async (context) => {
    expect(await spring(user, trap(user, hostile(context, "attempt")))).toEqual({ ...SAFE, ended: "ran" });
  });

  it.for(["absolute", "upwards", "host"])(
    "mount points that are %s symbolic links",
    async (kind, context) => {
      const { root, victim } = trap(user, hostile(context, "attempt"));
      for (const name of STANDARD) {
        const target = {
          absolute: victim,
          upwards: join("../../../../../../../..", relative("/", victim)),
          host: name === "usr" ? "/" : `/${name}`,
        }[kind];
        symlinkSync(target ?? "", join(root, name));
      }
      expect(await spring(user, { root, victim })).toEqual(SAFE);
    },
  );

  it.for(STANDARD)("/%s alone a symbolic link out", async (name, context) => {
    const { root, victim } = trap(user, hostile(context, "attempt"));
    for (const other of STANDARD) if (other !== name) mkdirSync(join(root, other));
    symlinkSync(victim, join(root, name));
    expect(await spring(user, { root, victim })).toEqual(SAFE);
  });

  it.for(["loops", "pipes", "files", "self", "magic"])("mount points that are %s", async (kind, context) => {
    const { root, victim } = trap(user, hostile(context, "attempt"));
    for (const name of STANDARD) {
      const path = join(root, name);
      if (kind === "loops") {
        symlinkSync(`/${name}-again`, path);
        symlinkSync(`/${name}`, `${path}-again`);
      } else if (kind === "pipes") execFileSync("mkfifo", [path]);
      else if (kind === "files") writeFileSync(path, "");
      else if (kind === "self") symlinkSync(name, path);
      else symlinkSync("/proc/self/cwd", path);
    }
    expect(await spring(user, { root, victim })).toEqual(SAFE);
  });

  it("/dev full of links: null, console, ptmx, pts, shm, mqueue", async (context) => {
    const { root, victim } = trap(user, hostile(context, "attempt"));
    for (const name of STANDARD) mkdirSync(join(root, name));
    for (const name of ["null", "zero", "console", "tty", "ptmx", "random"])
      symlinkSync(join(victim, "null"), join(root, "dev", name));
    for (const name of ["pts", "shm", "mqueue", "fd"])
      symlinkSync(join(victim, "pts"), join(root, "dev", name));
    expect(await spring(user, { root, victim })).toEqual(SAFE);
  });

  it("/etc full of links and pipes: passwd, group, hosts, resolv.conf, ld.so.cache", async (context) => {
    const { root, victim } = trap(user, hostile(context, "attempt"));
    for (const name of STANDARD) mkdirSync(join(root, name));
    for (const name of ["passwd", "hosts", "resolv.conf"])
      symlinkSync(join(victim, name), join(root, "etc", name));
    for (const name of ["group", "ld.so.cache", "nsswitch.conf", "localtime"])
      execFileSync("mkfifo", [join(root, "etc", name)]);
    expect(await spring(user, { root, victim })).toEqual(SAFE);
  });

  it("a bind and a tmpfs onto links that lead out", async (context) => {
    const { root, victim } = trap(user, hostile(context, "attempt"));
    for (const name of STANDARD) mkdirSync(join(root, name));
    symlinkSync(victim, join(root, "data"));
    mkdirSync(join(root, "deep"));
    symlinkSync(join("../../..", relative("/", victim)), join(root, "deep", "er"));
    const source = scratch(user);
    chmodSync(source, 0o755);
    const flags = [
      "--bind",
      `${source}:/data/mounted`,
      "--tmpfs",
      "/deep/er/fs",
      "--bind",
      `${source}:/data`,
    ];
    expect(await spring(user, { root, victim }, { flags })).toEqual(SAFE);
  });

  it("kept writes go through no link of the root", async (context) => {
    const { root, victim } = trap(user, hostile(context, "attempt"));
    for (const name of STANDARD.filter((entry) => entry !== "etc")) mkdirSync(join(root, name));
    symlinkSync(victim, join(root, "etc"));
    const flags = ["--write", "ephemeral"];
    expect(await spring(user, { root, victim }, { flags })).toEqual(SAFE);
  });

  it("a masked path stays masked when the root's /dev/null is a link or a file with content", async (context) => {
    for (const fake of ["link", "file"]) {
      const { root, victim } = trap(user, hostile(context, "attempt"));
      for (const name of STANDARD) mkdirSync(join(root, name));
      mkdirSync(join(root, "secrets"));
      writeFileSync(join(root, "secret"), "content\n", { mode: 0o644 });
      writeFileSync(join(root, "secrets", "one"), "content\n", { mode: 0o644 });
      if (fake === "link") symlinkSync(join(victim, "null"), join(root, "dev", "null"));
      else writeFileSync(join(root, "dev", "null"), "content\n");
      giveTo(user, dirname(root));
      const before = snapshot(victim);
      const ran = await sandbox(user, ["/attempt", "list:/secrets", "read:/secrets/one", "write:/secret"], {
        flags: ["--rootfs", root, "--set", '/filesystem/masked=["/secret","/secrets"]'],
      });
      expect(snapshot(victim)).toEqual(before);
      const results = resultsOf(ran.stdout);
      const open = [...results].filter(([name, result]) => result === "ok" && name !== "write:/secret");
      expect({ fake, open, refusedOrRan: [0, 125].includes(ran.code ?? -1) }).toEqual({
        fake,
        open: [],
        refusedOrRan: true,
      });
    }
  });

  it("mount points exchanged with links while launches run", async (context) => {
    const flip = hostile(context, "flip");
    const { root, victim } = trap(user, hostile(context, "attempt"));
    for (const name of STANDARD) mkdirSync(join(root, name));
    for (const name of ["tmp", "proc", "data"]) {
      rmSync(join(root, name), { recursive: true, force: true });
      mkdirSync(join(root, name));
      symlinkSync(victim, join(root, `${name}-link`));
    }
    const source = scratch(user);
    giveTo(user, dirname(root));
    const flippers = ["tmp", "proc", "data"].map((name) =>
      spawn(flip, [join(root, name), join(root, `${name}-link`)], { stdio: "ignore" }),
    );
    try {
      const seen = [];
      for (let round = 0; round < ROUNDS; round++)
        seen.push(
          await spring(
            user,
            { root, victim },
            { flags: ["--bind", `${source}:/data/here`, "--tmpfs", "/tmp"] },
            // The tree is the user's already, and changes under our hands.
            false,
          ),
        );
      // A race may also end as a launch error of any step; what counts is that nothing outside was touched.
      expect(seen.map(({ hung, leaked, untouched }) => ({ hung, leaked, untouched }))).toEqual(
        seen.map(() => ({ hung: false, leaked: false, untouched: true })),
      );
    } finally {
      for (const flipper of flippers) flipper.kill("SIGKILL");
    }
  });

  it("the trap is real: a launcher that follows paths falls into it", async (context) => {
    const { root, victim } = trap(user, hostile(context, "attempt"));
    symlinkSync(victim, join(root, "tmp"));
    giveTo(user, dirname(root));
    const naive = await outside("userns", [
      "/bin/sh",
      "-c",
      `mount -t tmpfs none "${root}/tmp" && touch "${root}/tmp/fallen" && grep -c "${victim}" /proc/self/mountinfo`,
    ]);
    expect(naive.stdout.trim()).toBe("1");
  });
});
