/** sandbox image, as a user types it: what it prints, how it ends, and that nothing an image holds reaches the terminal raw. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { has, need } from "../host/needs.ts";
import { dockerArchive } from "../image/layout.ts";
import { file, tar } from "../image/tar-writer.ts";
import { zip } from "../image/zip-writer.ts";
import { messages, sandbox } from "./command.ts";

let cwd = "";
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "sandbox-image-cli-"));
  const layer = tar(
    file("usr/bin/sh", readFileSync("/bin/dash"), { mode: 0o755 }),
    file("evil\u001B[31mred\u202E", "x", { mode: 0o4755 }),
  );
  writeFileSync(
    join(cwd, "app.tar"),
    dockerArchive({ layers: [{ tar: layer, createdBy: "COPY \u001B]0;x\u0007 ." }] }),
  );
  writeFileSync(join(cwd, "bad.tar"), tar(file("../x", "y")));
});
afterAll(() => rmSync(cwd, { recursive: true }));

const image = (...args: readonly string[]) => sandbox(["image", ...args], { cwd });

describe("sandbox image inspect", () => {
  it("prints facts for people, with nothing that a terminal would obey", async () => {
    const { status, stdout, stderr } = await image("inspect", "app.tar");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^image {5}app\.tar \(docker-archive\)\nnames {5}app:1\n/);
    expect(stdout).toContain("shell            /usr/bin/sh");
    expect(stdout).toContain("4755 0:0 /evil\\x1b[31mred\\u{202e}");
    expect(stdout.match(/(?!\n)\p{Cc}/gu)).toBeNull();
  });

  it("does not print a history line that holds a secret", async () => {
    const createdBy = "RUN |1 DEPLOY_TOKEN=hunter2hunter2 /bin/sh -c make # buildkit";
    writeFileSync(
      join(cwd, "told.tar"),
      dockerArchive({ layers: [{ tar: tar(file("a", "x")), createdBy }] }),
    );
    const { stdout } = await image("inspect", "told.tar");
    expect(stdout).toContain("RUN ... (not shown: it holds a secret)");
    expect(stdout).not.toContain("hunter2");
  });

  it("reads what is compressed by each of the compressions", async (context) => {
    need(context, has("/usr/bin/zstd"), "zstd is not installed");
    const body = "groupId=org.app\nartifactId=app\nversion=7\n";
    const jar = zip([{ name: "META-INF/maven/a/b/pom.properties", body, deflate: true }]);
    const layer = tar(file("app.jar", jar));
    for (const [name, bytes] of [
      ["plain", layer],
      ["gzip", gzipSync(layer)],
      ["zstd", execFileSync("zstd", ["-c"], { input: layer })],
    ] as const) {
      writeFileSync(join(cwd, `${name}.tar`), bytes);
      const { status, stdout, stderr } = await image("inspect", "--json", `${name}.tar`);
      expect({ name, status, stderr }).toEqual({ name, status: 0, stderr: "" });
      expect(stdout).toContain('"org.app:app"');
    }
  });

  it("prints all facts as JSON", async () => {
    const { status, stdout } = await image("inspect", "--json", "app.tar");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      kind: "docker-archive",
      programs: [{ path: "usr/bin/sh", kinds: ["shell"] }],
    });
  });

  it.each<readonly [string, readonly string[], number, RegExp]>([
    ["no image", ["inspect"], 2, /IMAGE is missing/],
    [
      "an image that is not there",
      ["inspect", "none"],
      3,
      /^none: there is no such file or directory; images are read from disk/,
    ],
    [
      "one named as other tools name it, with a tag",
      ["inspect", "app.tar:latest"],
      3,
      /^app\.tar:latest: there is no such file or directory; tags are an option: give app\.tar --tag latest/,
    ],
    [
      "one with a transport",
      ["inspect", "docker-archive:app.tar"],
      3,
      /; formats are recognised: give app\.tar$/m,
    ],
    [
      "a hostile one",
      ["inspect", "bad.tar"],
      3,
      /^bad\.tar: the name \.\.\/x leads out of its directory; do not unpack/,
    ],
    [
      "another platform",
      ["inspect", "app.tar", "--platform", "linux/s390x"],
      3,
      /choose with --platform: linux\/amd64/,
    ],
    [
      "a package that it has not",
      ["inspect", "app.tar", "--why", "perl"],
      2,
      /^--why: the image has no package, program or library "perl"; expected a package's name/,
    ],
    [
      "a limit that is reached",
      ["inspect", "app.tar", "--limit", "unpacked=1K"],
      3,
      /raise the limit: --limit unpacked=/,
    ],
    [
      "a limit that does not exist",
      ["inspect", "app.tar", "--limit", "unpaked=1"],
      2,
      /^--limit: "unpaked" is not a limit; .*did you mean unpacked/,
    ],
    [
      "a limit without a value",
      ["inspect", "app.tar", "--limit", "ratio"],
      2,
      /^--limit: "" is not a limit's value/,
    ],
  ])("says what is wrong with %s, and ends with its status", async (_name, args, status, message) => {
    const ended = await image(...args);
    expect(ended).toMatchObject({ status, stdout: "" });
    expect(messages(ended.stderr)).toHaveLength(1);
    expect(ended.stderr).toMatch(message);
  });

  it("compares images, and ends with 1 only when the new one is more permissive", async () => {
    writeFileSync(join(cwd, "less.tar"), dockerArchive({ layers: [{ tar: tar(file("app", "x")) }] }));
    const worse = await image("diff", "less.tar", "app.tar");
    expect(worse).toMatchObject({ status: 1, stderr: "" });
    expect(worse.stdout).toContain("  + shell               /usr/bin/sh  (content, name, layer 1)\n");
    const better = await image("diff", "app.tar", "less.tar");
    expect(better.status).toBe(0);
    expect(better.stdout).toContain("  - shell               /usr/bin/sh");
    expect(await image("diff", "app.tar", "app.tar")).toMatchObject({
      status: 0,
      stdout: "nothing that the images expose differs\n",
    });
    expect((await image("diff", "app.tar", "bad.tar")).status).toBe(3);
    expect((await image("diff", "app.tar", "app.tar", "--max-growth", "x")).status).toBe(2);
  });

  it("writes bills of materials, with a time that can be fixed", async () => {
    const env = { SOURCE_DATE_EPOCH: "86400" };
    const bill = async (format: string): Promise<unknown> =>
      JSON.parse((await sandbox(["image", "sbom", "app.tar", "--format", format], { cwd, env })).stdout);
    expect(await bill("cyclonedx")).toMatchObject({ metadata: { timestamp: "1970-01-02T00:00:00Z" } });
    expect(await bill("spdx")).toMatchObject({
      creationInfo: { created: "1970-01-02T00:00:00Z" },
      name: "app:1",
    });
  });

  it("loads nothing native", async () => {
    const guard = join(cwd, "guard.cjs");
    const asked = join(cwd, "asked");
    writeFileSync(
      guard,
      `const Module = require("node:module"); const load = Module._load;
       Module._load = function (name, ...rest) {
         if (/koffi/.test(name)) require("node:fs").writeFileSync(${JSON.stringify(asked)}, name);
         return load.call(this, name, ...rest);
       };`,
    );
    const { status } = await sandbox(["image", "inspect", "app.tar"], {
      cwd,
      env: { NODE_OPTIONS: `--require ${guard}` },
    });
    expect([status, existsSync(asked)]).toEqual([0, false]);
  });
});

describe("sandbox image profile", () => {
  it("prints a profile and nothing else, and says on stderr what was proved and how to go on", async () => {
    const { status, stdout, stderr } = await image("profile", "app.tar");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ name: "app", extends: "strict" });
    expect(messages(stderr)[0]).toMatch(/^proved: it permits no system call that strict forbids/);
    expect(messages(stderr).at(-1)).toBe("run it: sandbox run --rootfs DIR -p ./app.json -- CMD");
    expect(stderr.match(/(?!\n)\p{Cc}/gu)).toBeNull();
  });

  it.each<readonly [string, readonly string[], number, RegExp]>([
    [
      "a base that is not there",
      ["app.tar", "--base", "strit"],
      3,
      /--base: there is no shipped profile "strit".*"strict"/,
    ],
    ["a name that is none", ["app.tar", "--name", "a b"], 2, /--name: "a b" is not a profile's name/],
    ["an output that is none", ["app.tar", "-o", "-"], 2, /--output: "-" is not a file/],
    ["a hostile image", ["bad.tar"], 3, /leads out of its directory/],
  ])("ends with what is wrong: %s", async (_, args, status, message) => {
    const ended = await image("profile", ...args);
    expect({ status: ended.status, stdout: ended.stdout }).toEqual({ status, stdout: "" });
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toMatch(/\n\s+at /);
  });
});
