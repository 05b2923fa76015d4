/** A profile fits its image, is no looser than its base, and says what it leaves open. */
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { provePolicies } from "../../src/compare-policies.ts";
import { NEWEST_KERNEL } from "../../src/compile/seccomp/target.ts";
import { findClosure } from "../../src/host/closure.ts";
import { overlay } from "../../src/import-policy.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { type ProfileOfImage, profileOfImage } from "../../src/profile-of-image.ts";
import { refutesAtMost } from "../../src/prove/layers.ts";
import { dockerArchive, onDisk } from "../image/layout.ts";
import { directory, file, type Member, tar } from "../image/tar-writer.ts";
import { valueOf } from "../seccomp/support.ts";

const PASSWD = file("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1234:1235::/:\n");
const GROUP = file("etc/group", "root:x:0:\napp:x:1235:\nextra:x:77:app\n");

/** /bin/cat with what it needs, at the places where it is found here. */
const CAT: readonly Member[] = [...new Set(findClosure("/bin/cat", "/bin", { kind: "default" }).files)].map(
  (path) => file(path.slice(1), readFileSync(path), { mode: 0o755 }),
);
const SHELL: readonly Member[] = [file("bin/dash", readFileSync("/bin/dash"), { mode: 0o755 })];

type Made = Readonly<Record<string, unknown>> & {
  readonly filesystem?: {
    readonly mounts: readonly { readonly target: string; readonly options: unknown }[];
  };
};

async function fitted(
  members: readonly Member[],
  config: Readonly<Record<string, unknown>>,
  base = "strict",
): Promise<ProfileOfImage & { readonly profile: Made }> {
  const path = onDisk(
    dockerArchive({ layers: [{ tar: tar(...members) }], config }, ["reg.example/team/app:1"]),
  );
  const made = valueOf(
    await profileOfImage({ image: { path, platform: null, tag: null }, base, name: null, cwd: "/" }),
  );
  return { ...made, profile: JSON.parse(made.text) };
}

/** As `sandbox profile prove` says it. */
function prove(text: string, base: string): readonly string[] {
  const comparison = {
    first: "/made.json",
    second: base,
    cwd: "/",
    machines: ["x86_64"] as const,
    capabilities: null,
    kernel: NEWEST_KERNEL,
  };
  const { calls, layers } = valueOf(
    provePolicies(comparison, "at-most", overlay(profileFiles(), "/made.json", text)),
  );
  return [
    ...calls.map(({ result }) => result.kind),
    ...(layers ?? []).filter(refutesAtMost).map(({ pointer }) => pointer),
  ];
}

describe("a profile of an image", () => {
  test("has the image's user, places, ports, variables and directory, and permits nothing else", async () => {
    const { profile, text, changes, notes, command, name, calls } = await fitted(
      [...CAT, PASSWD, GROUP, directory("srv", { uid: 1234 }), directory("var/tmp", { mode: 0o1777 })],
      {
        User: "app",
        Entrypoint: ["/bin/cat"],
        Cmd: ["-n", "/etc/passwd"],
        Env: ["PATH=/bin", "MODE=fast", "DB_PASSWORD=hunter2-hunter2"],
        WorkingDir: "etc/",
        Volumes: { "/data": {} },
      },
    );
    expect(name).toBe("app");
    expect(profile).toMatchObject({
      name: "app",
      extends: "strict",
      identity: { uid: 1234, gid: 1235 },
      environment: { set: { PATH: "/bin", MODE: "fast" } },
      process: { workdir: "/etc" },
    });
    expect(profile.filesystem?.mounts.map(({ target, options }) => [target, options])).toEqual([
      ["/data", ["noexec"]],
      ["/srv", ["noexec"]],
      ["/tmp", ["rw", "noexec"]],
      ["/var/tmp", ["noexec"]],
    ]);
    expect(command).toEqual(["/bin/cat", "-n", "/etc/passwd"]);
    expect(calls).toMatch(/^\d+ fewer than the base: .*network, processes/);
    expect(changes).toEqual([
      "runs as 1234:1235, the image's user",
      "may write to memory at /data, a volume",
      "may write to memory at /srv",
      "may write to memory at /var/tmp",
    ]);
    expect(notes.join("\n")).toMatch(/groups are not given: 77/);
    expect(notes.join("\n")).toMatch(/DB_PASSWORD looks like a secret and is left out/);
    expect(text).not.toContain("hunter2");
    // What a second prover's run finds is what was declared.
    expect(prove(text, "strict")).toEqual(["proved", "/identity/uid", "/identity/gid", "/filesystem/mounts"]);
  });

  test("begins in a directory inside, whatever the image calls it", async () => {
    const workdir = async (WorkingDir: string) => {
      const { profile, notes } = await fitted(CAT, { Entrypoint: ["/bin/cat"], WorkingDir });
      return [profile["process"], notes.filter((note) => note.includes("working directory")).length];
    };
    expect(await workdir("/../../etc/./x/..//y")).toEqual([{ workdir: "/etc/y" }, 0]);
    expect(await workdir("..")).toEqual([{ workdir: "/" }, 0]);
    expect(await workdir("/a\0b")).toEqual([{ workdir: "/" }, 1]);
  });

  test("hides no program and no library of the image's command behind an empty volume", async () => {
    const { profile, notes, text } = await fitted(CAT, {
      User: "5:5",
      Entrypoint: ["/bin/cat"],
      Volumes: { "/bin": {}, "/": {}, "/proc": {}, "/etc/..": {}, "/new": {} },
    });
    expect(profile.filesystem?.mounts.map(({ target }) => target)).toEqual(["/new", "/tmp"]);
    expect(notes.join("\n")).toMatch(/read-only, though its user may write there in a container: \/bin;/);
    expect(prove(text, "strict")).toEqual(["proved", "/identity/uid", "/identity/gid", "/filesystem/mounts"]);
  });

  test("of an image that runs as root runs as the base does, and says so", async () => {
    const { profile, notes, text } = await fitted(CAT, { Entrypoint: ["/bin/cat"] });
    expect(profile["identity"]).toBeUndefined();
    expect(notes[0]).toMatch(/^the image runs as root: strict does not, so 1000:1000 runs it/);
    expect(prove(text, "strict")).toEqual(["proved"]);
  });

  test("with a base that lets root in runs as root", async () => {
    const { profile } = await fitted(CAT, { Entrypoint: ["/bin/cat"] }, "standard");
    expect(profile).toMatchObject({ extends: "standard", identity: { uid: 0, gid: 0 } });
  });

  test("of a user whom the image does not know runs as the base does", async () => {
    const { profile, notes } = await fitted([...CAT, PASSWD], { User: "nobody-here", Cmd: ["cat"] });
    expect(profile["identity"]).toBeUndefined();
    expect(notes[0]).toBe(
      'the image\'s user "nobody-here" is not in its etc/passwd and etc/group: 1000 runs it',
    );
  });

  test("of a user with group 0 has no group 0", async () => {
    const { profile, notes } = await fitted(CAT, { User: "4000", Cmd: ["/bin/cat"] });
    expect(profile["identity"]).toEqual({ uid: 4000, gid: 4000 });
    expect(notes[0]).toMatch(/group 0/);
  });

  test("keeps the base's system calls where a shell can start anything, and says why", async () => {
    const { profile, calls } = await fitted(SHELL, { User: "1000:1000", Cmd: ["/bin/dash", "run.sh"] });
    expect(profile["seccomp"]).toBeUndefined();
    expect(calls).toMatch(/^those of the base; fewer cannot be decided: /);
  });

  test("names ports for what can listen, and none for what cannot", async () => {
    const ports = { "8080/tcp": {}, "53/udp": {}, "9/sctp": {} };
    const shell = await fitted(SHELL, { User: "1:1", Cmd: ["/bin/dash"], ExposedPorts: ports });
    expect(shell.profile["landlock"]).toEqual({ net: { bind_tcp: [8080] } });
    expect(shell.notes.join("\n")).toMatch(/"9\/sctp" is not one[^]*loopback[^]*below 1024 \(53\)/);
    // A list that no kernel of today can keep would refuse every run.
    expect(shell.notes.join("\n")).toContain("landlock.net.bind_udp [53] asks for it");
    const cat = await fitted(CAT, { User: "1:1", Cmd: ["/bin/cat"], ExposedPorts: ports });
    expect(cat.profile["landlock"]).toBeUndefined();
    expect(cat.notes.join("\n")).toMatch(/nothing that its command reaches can make a socket/);
  });

  test("hides nothing of the image but in volumes, and says what stays read-only", async () => {
    const { profile, notes } = await fitted(
      [...CAT, directory("srv", { uid: 5 }), file("srv/page", "x"), directory("vol"), file("vol/seed", "x")],
      {
        User: "5:5",
        Cmd: ["/bin/cat"],
        Volumes: { "/vol/": {}, "/../../up": {}, "/proc/x": {}, "/bin/cat": {} },
      },
    );
    expect(profile.filesystem?.mounts.map(({ target }) => target)).toEqual(["/tmp", "/vol"]);
    expect(notes).toContain("what the image has in the volume /vol is hidden by an empty one");
    expect(notes.join("\n")).toMatch(/read-only, though its user may write there in a container: \/srv;/);
  });

  test("of a bare root file system is the base with a filter of its own if anything is known, and says what is not", async () => {
    const path = onDisk(tar(...CAT));
    const made = valueOf(
      await profileOfImage({
        image: { path, platform: null, tag: null },
        base: "strict",
        name: "bare",
        cwd: "/",
      }),
    );
    expect(JSON.parse(made.text)).toMatchObject({
      name: "bare",
      extends: "strict",
      process: { workdir: "/" },
    });
    expect(made.notes[0]).toMatch(/^the image has no configuration/);
  });

  test.for<readonly [string, Readonly<Record<string, unknown>>]>([
    [
      "variables without a name or with bytes that are no text",
      { Env: ["=x", "A", "B=\u0000", "__proto__=y"] },
    ],
    [
      "volumes by the hundred",
      { Volumes: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`/v/${i}`, {}])) },
    ],
    ["volumes in volumes", { Volumes: { "/a/b/c": {}, "/a": {}, "/tmp/x": {}, "/": {}, relative: {} } }],
    ["a working directory that is none", { WorkingDir: "//a/./b//" }],
    ["users beyond numbers", { User: "99999999999:4294967295" }],
  ])("is a valid profile for an image with %s", async ([, config]) => {
    const { text } = await fitted(CAT, { User: "7:7", Cmd: ["/bin/cat"], ...config });
    expect(prove(text, "strict")[0]).toBe("proved");
  });

  test("finds its base wherever it is written to", async () => {
    const strict = profileFiles().builtin("strict") ?? "";
    const { profile } = await fitted(CAT, { Cmd: ["/bin/cat"] }, join(dirname(strict), basename(strict)));
    expect(profile["extends"]).toBe(strict);
  });
});
