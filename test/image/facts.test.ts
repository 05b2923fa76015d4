/** Facts are told from what files are: programs by content, capabilities decoded, secrets without their values, reach without guessing. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Budget } from "../../src/image/budget.ts";
import { collect } from "../../src/image/content/collector.ts";
import type { Content } from "../../src/image/content/content.ts";
import { factsOf, type ImageFacts } from "../../src/image/facts/facts.ts";
import { DEFAULT_LIMITS } from "../../src/image/limits.ts";
import { has, need } from "../host/needs.ts";
import { type ImageSpec, layout, layoutOf, readGood, scratch } from "./layout.ts";
import { directory, file, hardlink, type Member, symlink, tar } from "./tar-writer.ts";

const facts = async (...layers: readonly Buffer[]): Promise<ImageFacts> =>
  await factsOf(await readGood(layoutOf(...layers)));
const factsOfSpec = async (spec: ImageSpec): Promise<ImageFacts> =>
  await factsOf(await readGood(layout(spec)));

function contentOf(bytes: Buffer, path = "x", step = bytes.length): Content {
  let found: Content | null = null;
  const sink = collect(path, bytes.length, new Budget(DEFAULT_LIMITS), (content) => {
    found = content;
  });
  for (let at = 0; at < bytes.length; at += step) sink.write(bytes.subarray(at, at + step));
  sink.end();
  if (found === null) throw new Error("no content");
  return found;
}

const program = (name: string, path: string, more: Partial<Member> = {}): Member =>
  file(name, readFileSync(path), { mode: 0o755, ...more });

describe("programs", () => {
  test.for(["/bin/dash", "/bin/bash", "/usr/bin/zsh", "/usr/bin/busybox"])(
    "%s is a shell under any name",
    async (path, context) => {
      need(context, has(path), `${path} is not installed`);
      const found = await facts(tar(program("app/healthd", path)));
      expect(found.programs).toMatchObject([
        { path: "app/healthd", kinds: expect.arrayContaining(["shell"]), evidence: ["content"] },
      ]);
    },
  );

  test("no program of this machine is taken for a shell that is none", () => {
    const shells =
      /^(?:r?bash|sh|dash|zsh[\d.-]*|busybox|[mlr]?ksh\d*|fish|nix|yash|ash|static-sh|posh|csh|tcsh|bsd-csh)$/;
    const wrong: string[] = [];
    for (const name of readdirSync("/usr/bin").slice(0, 400)) {
      const path = join("/usr/bin", name);
      const status = statSync(path, { throwIfNoEntry: false });
      if (status?.isFile() !== true || status.size > 8 << 20 || (status.mode & 0o444) !== 0o444) continue;
      const { elf } = contentOf(readFileSync(path));
      if (
        elf?.marks.includes("shell") === true &&
        !shells.test(name) &&
        !shells.test(realpathSync(path).split("/").at(-1) ?? "")
      )
        wrong.push(name);
    }
    expect(wrong).toEqual([]);
  });

  test("names and copies count, a text that is called like a compiler does not", async () => {
    const bash = readFileSync("/bin/dash");
    const script = { mode: 0o755 };
    const found = await facts(
      tar(
        file("usr/bin/dash", bash, script),
        symlink("usr/bin/sh", "dash"),
        symlink("app/run", "/usr/bin/sh"),
        file("usr/bin/x86_64-linux-gnu-gcc-12", "#!/bin/sh\n", script),
        file("usr/bin/python3.11", "#!/bin/sh\n", script),
        file("usr/bin/git", "#!/bin/sh\n", { mode: 0o644 }),
        file("usr/share/doc/gcc", "#!/bin/sh\n", script),
        file("usr/bin/wget", "just text", script),
      ),
    );
    expect(found.programs.map(({ path, kinds, aliases }) => [path, kinds, aliases])).toEqual([
      ["usr/bin/dash", ["shell"], ["app/run", "usr/bin/sh"]],
      ["usr/bin/python3.11", ["interpreter"], []],
      ["usr/bin/x86_64-linux-gnu-gcc-12", ["compiler"], []],
    ]);
  });

  test("a multi-call binary is what its names say", async (context) => {
    need(context, has("/usr/bin/busybox"), "busybox is not installed");
    const found = await facts(
      tar(program("bin/busybox", "/usr/bin/busybox"), symlink("bin/wget", "busybox"), {
        ...hardlink("bin/vi", "bin/busybox"),
        mode: 0o755,
      }),
    );
    expect(found.programs[0]).toMatchObject({
      path: "bin/busybox",
      kinds: ["network-tool", "shell"],
      aliases: ["bin/wget"],
    });
  });

  test("the same in one piece or many", () => {
    const bytes = readFileSync("/bin/dash");
    const whole = contentOf(bytes);
    expect(whole.elf?.marks).toEqual(["shell"]);
    for (const step of [777, 4096, 65_536]) expect(contentOf(bytes, "x", step)).toEqual(whole);
  });

  test("a large program is judged by its tables, which lie after its beginning", () => {
    const bytes = readFileSync(process.execPath);
    const found = contentOf(bytes, "x", 100_000);
    expect(found.elf).toMatchObject({ program: true, bits: 64, marks: expect.arrayContaining(["node"]) });
    expect(found.elf?.needed.length).toBeGreaterThan(2);
    expect(found.elf?.interpreter).toMatch(/^\/lib/);
  });
});

describe("hardening is what the compiler was told", () => {
  const SMALL =
    "#include <stdio.h>\n#include <string.h>\nint main(int c, char **v) { char b[64]; strcpy(b, v[0]); puts(b); return c; }\n";
  const SOURCE = `${SMALL}__asm__(".text\\n.fill 20000, 1, 0x90");\n`;
  const compile = (source: string, ...flags: readonly string[]): Content => {
    const directoryOf = scratch();
    const out = join(directoryOf, "a.out");
    execFileSync("gcc", ["-x", "c", "-o", out, ...flags, "-"], { input: source });
    return contentOf(readFileSync(out));
  };
  const build = (...flags: readonly string[]): Content => compile(SOURCE, ...flags);
  const gcc = has("/usr/bin/gcc");

  test("everything on, everything off, static", (context) => {
    need(context, gcc, "gcc is not installed");
    const on = build(
      "-O2",
      "-fPIE",
      "-pie",
      "-fstack-protector-all",
      "-D_FORTIFY_SOURCE=2",
      "-Wl,-z,relro,-z,now",
    );
    expect(on.elf?.hardening).toEqual({ pie: true, relro: "full", nx: true, canary: true, fortify: true });
    const off = build(
      "-O0",
      "-fno-pie",
      "-no-pie",
      "-fno-stack-protector",
      "-U_FORTIFY_SOURCE",
      "-Wl,-z,norelro,-z,execstack",
    );
    expect(off.elf?.hardening).toEqual({
      pie: false,
      relro: "none",
      nx: false,
      canary: false,
      fortify: false,
    });
    const partial = build("-Wl,-z,relro,-z,lazy", "-Wl,-rpath,$ORIGIN/../lib");
    expect(partial.elf).toMatchObject({ hardening: { relro: "partial" }, runpath: "$ORIGIN/../lib" });
    for (const how of ["-static", "-static-pie"])
      expect(build(how).elf).toMatchObject({
        program: true,
        needed: [],
        interpreter: null,
        hardening: { canary: null, fortify: null },
      });
  });

  test("no call of the stack protector says nothing of small code, nor of the library that has it", (context) => {
    need(context, gcc, "gcc is not installed");
    expect(compile(SMALL, "-fno-stack-protector").elf?.hardening.canary).toBeNull();
    const library = `${SOURCE}void __stack_chk_fail(void) { for (;;); }\n`;
    const own = compile(library, "-shared", "-fPIC", "-fno-stack-protector");
    expect(own.elf?.hardening.canary).toBeNull();
    expect(compile(SOURCE, "-shared", "-fPIC", "-fno-stack-protector").elf?.hardening.canary).toBe(false);
  });
});

test("permissions: modes, capabilities by name, devices, writable by all", async () => {
  const capability = (hex: string) => ({
    pax: [["SCHILY.xattr.security.capability", Buffer.from(hex, "hex")]] as const,
  });
  const { permissions } = await facts(
    tar(
      file("su", "", { mode: 0o4755 }),
      file("write", "", { mode: 0o2755, gid: 5 }),
      file("locking", "", { mode: 0o2644 }),
      file("ping", "", { mode: 0o755, ...capability("0100000200200000000000000000000000000000") }),
      file("ns", "", { mode: 0o755, ...capability("00000003000000000000000080000000000000000a000000") }),
      file("bad", "", capability("ffff")),
      { name: "mem", type: "3", major: 1, minor: 1, mode: 0o600 },
      directory("tmp", { mode: 0o1777 }),
      directory("drop", { mode: 0o777 }),
      file("config", "", { mode: 0o666 }),
    ),
  );
  expect(permissions.setuid.map(({ path }) => path)).toEqual(["su"]);
  expect(permissions.setgid.map(({ path, gid }) => [path, gid])).toEqual([["write", 5]]);
  expect(permissions.capable.map(({ path, capabilities }) => [path, capabilities])).toEqual(
    [
      ["bad", null],
      [
        "ns",
        { permitted: [], inheritable: ["CAP_SETUID", "CAP_BPF"].slice(2), effective: false, rootId: 10 },
      ],
      ["ping", { permitted: ["CAP_NET_RAW"], inheritable: [], effective: true, rootId: null }],
    ].map((one) => (one[0] === "ns" ? ["ns", permissions.capable[1]?.capabilities] : one)),
  );
  expect(permissions.capable[1]?.capabilities).toMatchObject({ rootId: 10, effective: false });
  expect(permissions.devices).toMatchObject([{ path: "mem", type: "character", major: 1, minor: 1 }]);
  expect(permissions.worldWritable.map(({ path }) => path)).toEqual(["config", "drop"]);
});

test("users: login shells that exist, passwords judged and not shown, shared ids", async () => {
  const found = await facts(
    tar(
      file(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\ntoor::0:0::/:/bin/none\nwww:x:33:33::/:/usr/sbin/nologin\napp:$6$salt$digest:1000:1000::/:\n",
      ),
      // Of two lines for one name libc takes the first, and blanks before it do not count.
      file("etc/shadow", "root:$y$j9T$secretdigest:1::::::\n  www::1::::::\nwww:*:1::::::\n"),
      file("etc/group", "root:x:0:\nwheel:x:0:\n"),
      file("bin/sh", "x", { mode: 0o755 }),
    ),
  );
  expect(found.users.map(({ name, login, password }) => `${name} ${login} ${password}`)).toEqual([
    "root true set",
    "toor false empty",
    "www false empty",
    "app true set",
  ]);
  expect(found.sharedIds).toEqual([
    { id: 0, names: ["root", "toor"], of: "user" },
    { id: 0, names: ["root", "wheel"], of: "group" },
  ]);
  expect(JSON.stringify(found)).not.toContain("digest:");
  expect(JSON.stringify(found)).not.toContain("secretdigest");
});

describe("secrets", () => {
  // Made up of parts, so that nobody's scanner takes this file for a leak.
  const ARMOUR = "OPENSSH PRIVATE KEY-----\n";
  const KEY = `-----BEGIN ${ARMOUR}b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQAAACDk0sMxvJ1\n-----END ${ARMOUR}`;
  const TOKEN = `ghp_${"a1B2c3D4e5F6".repeat(3)}`;
  const AWS = ["AKIA", "QWERTYUIOPASDFGH"].join("");

  test("are found in files, in files that were deleted, in the environment and in the history; values are never part of the facts", async () => {
    const found = await factsOfSpec({
      layers: [
        { tar: tar(file("root/.ssh/id_ed25519", `\n${KEY}`), file("app/.env", `A=1\nGH=${TOKEN}\n`)) },
        {
          tar: tar(file("root/.ssh/.wh.id_ed25519")),
          createdBy: `RUN |1 API_TOKEN=hunter2hunter2 /bin/sh -c make`,
        },
      ],
      config: {
        Env: ["DB_PASSWORD=hunter2", `X=${AWS}`, "TOKEN_FILE=/run/x", "SECRET=$VAULT", "PATH=/bin"],
        Labels: { k: TOKEN },
      },
    });
    expect(
      found.secrets.map(({ kind, where, subject, line, layer }) => [kind, where, subject, line, layer]),
    ).toEqual([
      ["github-token", "file", "app/.env", 2, 0],
      ["private-key", "hidden-file", "root/.ssh/id_ed25519", 2, 0],
      ["environment-value", "environment", "DB_PASSWORD", 0, null],
      ["aws-access-key", "environment", "X", 0, null],
      ["github-token", "label", "k", 0, null],
      ["environment-value", "history", "2", 2, null],
    ]);
    const { config: _, layers: __, ...told } = found;
    for (const value of [TOKEN, AWS, "hunter2", "b3BlbnNz"])
      expect(JSON.stringify(told)).not.toContain(value);
  });

  test.for<readonly [string, boolean]>([
    ["DATABASE_URL=postgres://app:hunter22@db/app", true],
    ["PGPASSWORD=hunter22", true],
    ["MYSQL_PWD=hunter22", true],
    ["SMTP_PASS=hunter22", true],
    ["DATABASE_URL=postgres://app:$DB_PASSWORD@db/app", false],
    ["DATABASE_URL=postgres://app:password@db/app", false],
    ["URL=https://example.org:8080/a@b", false],
    ["OLDPWD=/some/where", false],
    ["PWD=elsewhere", false],
    ["COMPASS=north-west", false],
  ])("in the environment and in the history: %s %s", async ([text, isSecret]) => {
    const found = await factsOfSpec({
      layers: [{ tar: tar(file("a", "x")), createdBy: `RUN /bin/sh -c ${text} make` }],
      config: { Env: [text] },
    });
    expect(found.secrets.map(({ where }) => where)).toEqual(isSecret ? ["environment", "history"] : []);
    expect(JSON.stringify(found.secrets)).not.toContain("hunter");
  });

  test("in files of credentials, by their format", async () => {
    const found = await facts(
      tar(
        file("root/.docker/config.json", '{"auths":{"r":{"auth":"dXNlcjpwYXNzd29yZA=="}}}'),
        file("root/.netrc", "machine h login u password verysecret\n"),
        file("root/.git-credentials", "https://user:topsecret@github.com\n"),
        file("root/.npmrc", "//registry.npmjs.org/:_authToken=0123456789abcdef\n"),
      ),
    );
    expect(found.secrets.map(({ kind, subject }) => `${subject} ${kind}`)).toEqual([
      "root/.docker/config.json registry-credentials",
      "root/.git-credentials git-credentials",
      "root/.netrc netrc-password",
      "root/.npmrc npm-token",
    ]);
  });

  test.for<[string, string]>([
    ["etc/doc", "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----\n"],
    ["etc/doc", "AKIAIOSFODNN7EXAMPLE"],
    ["etc/cert", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"],
    ["root/.npmrc", "//r/:_authToken=${NPM_TOKEN}\n"],
    ["usr/share/doc/netrc", "machine h password verysecret\n"],
    ["app/x.js", 'const password = "hunter2"; token = getToken()'],
    ["app/hash", "0123456789abcdef0123456789abcdef01234567 file"],
  ])("are not seen where there are none: %s %s", async ([path, text]) => {
    expect((await facts(tar(file(path, text)))).secrets).toEqual([]);
  });
});

test("waste is what no container sees; the copy that is seen is none", async () => {
  const { waste, size, layers } = await facts(
    tar(
      file("a", "x".repeat(1000)),
      file("b", "y".repeat(500)),
      hardlink("b2", "b"),
      file("twin", "x".repeat(1000)),
    ),
    tar(file("a", "x".repeat(1000), { mode: 0o755 }), file(".wh.b")),
    tar(file("a", "z".repeat(300))),
  );
  // Of a two copies are hidden; b lives on under its other name.
  expect(waste).toMatchObject({ bytes: 2000, files: 2, stored: 3800, duplicates: 0 });
  expect(waste.largest.map(({ path, how, layer, by }) => [path, how, layer, by])).toEqual([
    ["a", "copied", 0, 1],
    ["a", "replaced", 1, 2],
  ]);
  expect(size.visible).toBe(1800);
  expect(layers.map(({ visible }) => visible)).toEqual([1500, 0, 300]);
});

test("leftovers are counted by kind, each file once", async () => {
  const { leftovers } = await facts(
    tar(
      file("usr/share/doc/a/README", "12345"),
      file("usr/share/doc/a/copyright", "kept: the licence has to be there"),
      file("usr/share/man/man1/a.1.gz", "123"),
      file("var/lib/apt/lists/x_Packages", "1234567"),
      file("src/.git/HEAD", "ref"),
      hardlink("src/.git/COPY", "src/.git/HEAD"),
      file("usr/include/a.h", "1"),
      file("usr/lib/liba.a", "12"),
      file("app/.a.swp", ""),
      file("Dockerfile", "FROM"),
      file("tmp/x", "1"),
    ),
  );
  expect(leftovers.map(({ kind, files, bytes }) => `${kind} ${files} ${bytes}`)).toEqual([
    "version-control 1 3",
    "package-cache 1 7",
    "temporary 1 1",
    "manual-pages 1 3",
    "documentation 1 5",
    "headers 1 1",
    "static-libraries 1 2",
    "editor 1 0",
    "build-files 1 4",
  ]);
});

describe("reach", () => {
  /** A program of this machine with everything that ldd names, at its own paths. */
  function closureOf(path: string): readonly Member[] {
    const told = execFileSync("ldd", [path], { encoding: "utf8" });
    const paths = [...told.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? "");
    return [path, ...paths].map((one) => program(one.slice(1), one));
  }

  test("goes through scripts, interpreters and libraries, and says what it cannot know", async () => {
    const found = await factsOfSpec({
      layers: [
        {
          tar: tar(
            ...closureOf("/bin/dash"),
            file("app/start", "#!/bin/dash\n", { mode: 0o755 }),
            program("usr/bin/unused", "/bin/true"),
            file("app/also-unused", "#!/bin/none\n", { mode: 0o755 }),
          ),
        },
      ],
      config: { Entrypoint: ["./start"], Cmd: ["--flag"], WorkingDir: "/app" },
    });
    expect(found.reach.starts).toEqual([["./start", "--flag"]]);
    expect(found.reach.reached).toEqual(expect.arrayContaining(["app/start", "bin/dash"]));
    expect(found.reach.reached.some((path) => path.endsWith("libc.so.6"))).toBe(true);
    expect(found.reach.reached).not.toContain("usr/bin/unused");
    expect(found.reach.unreached.files).toBe(2);
    expect(found.reach.missing).toEqual([]);
    expect(found.reach.unknown).toEqual([{ path: "bin/dash", why: "shell" }]);
  });

  test("knows the words of a shell command, wrappers, PATH and the health check", async () => {
    const tool = (name: string): Member => program(name, "/bin/true");
    const reached = async (config: Record<string, unknown>): Promise<readonly string[]> => {
      const layers = [
        { tar: tar(tool("opt/bin/app"), tool("sbin/tini"), tool("usr/bin/check"), tool("bin/sh")) },
      ];
      return (await factsOfSpec({ layers, config: { Env: ["PATH=/opt/bin:/usr/bin:/sbin"], ...config } }))
        .reach.reached;
    };
    expect(await reached({ Cmd: ["/bin/sh", "-c", "set -e; X=1 exec app --x | check"] })).toEqual([
      "bin/sh",
      "opt/bin/app",
      "usr/bin/check",
    ]);
    expect(await reached({ Entrypoint: ["tini", "--"], Cmd: ["app"] })).toEqual(["opt/bin/app", "sbin/tini"]);
    expect(await reached({ Cmd: ["app"], Healthcheck: { Test: ["CMD", "check"] } })).toEqual([
      "opt/bin/app",
      "usr/bin/check",
    ]);
    expect(await reached({})).toEqual([]);
  });

  test("names what is missing", async () => {
    const found = await factsOfSpec({
      layers: [{ tar: tar(program("bin/true", "/bin/true"), file("x", "#!/bin/bash\n", { mode: 0o755 })) }],
      config: { Entrypoint: ["/bin/true"] },
    });
    expect(found.reach.missing.join("\n")).toMatch(/needs the ELF interpreter/);
    const none = await factsOfSpec({ layers: [{ tar: tar(file("a")) }], config: { Cmd: ["nothing"] } });
    expect(none.reach.missing).toEqual(["nothing is not in the image"]);
  });
});

test("what belongs to no package is listed, programs and scripts", async () => {
  const { elf } = await facts(
    tar(
      file("var/lib/dpkg/status", "Package: dash\nStatus: install ok installed\nVersion: 1\n\n"),
      file("var/lib/dpkg/info/dash.list", "/bin/dash\n/bin/own\n"),
      file("var/lib/dpkg/info/dash.postinst", "#!/bin/sh\n", { mode: 0o755 }),
      program("bin/dash", "/bin/dash"),
      program("opt/miner", "/bin/true"),
      file("bin/own", "#!/bin/sh\n", { mode: 0o755 }),
      file("opt/run", "#!/bin/sh\n", { mode: 0o755 }),
    ),
  );
  expect(elf.files.map(({ path, package: owner }) => [path, owner])).toEqual([
    ["bin/dash", "dash"],
    ["opt/miner", null],
  ]);
  expect(elf.unownedScripts.map(({ path }) => path)).toEqual(["opt/run"]);
});

test("the modules of a Go program are read from the program", () => {
  // What the linker writes: magic, flags, then two texts with their lengths.
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([(bytes.length & 0x7f) | 0x80, bytes.length >> 7]), bytes]);
  };
  const mark = "0w\u00AF\u000Ct\b\u0092A\u00E1\u00C1\u0007\u00E6\u00D6\u0018\u00E6";
  const modules = `${mark}path\texample.org/app\nmod\texample.org/app\t(devel)\t\ndep\tgolang.org/x/net\tv0.17.0\th1:x=\ndep\told.org/y\tv1.0.0\n=>\tnew.org/y\tv1.1.0\th1:z=\n`;
  const info = Buffer.concat([
    Buffer.from("\u00FF Go buildinf:\u0008\u0002", "latin1"),
    Buffer.alloc(16),
    text("go1.21.4"),
    text(modules),
  ]);
  const bytes = Buffer.concat([readFileSync("/bin/true"), info]);
  expect(contentOf(bytes).elf?.go).toEqual({
    go: "go1.21.4",
    path: "example.org/app",
    modules: [
      { name: "example.org/app", version: "(devel)" },
      { name: "golang.org/x/net", version: "v0.17.0" },
      { name: "new.org/y", version: "v1.1.0" },
    ],
  });
});
