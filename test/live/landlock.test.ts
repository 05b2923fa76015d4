/**
 * Landlock, each right by itself: a directory that the mount shows writable and executable, and a profile that leaves one right out. What
 * is denied then is denied by Landlock alone: the same program goes through with `landlock: null`, and with the derived rules.
 */
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { FS_RIGHT_NAMES, FS_RIGHTS, type FsRight, NET_RIGHTS, SCOPES } from "../../src/program/landlock.ts";
import {
  LANDLOCK_ABI as ABI,
  as,
  finish,
  hostile,
  need,
  needKernel,
  ordinaryUid,
  resultsOf,
  type SandboxRan,
  sandbox,
  sandboxArgv,
  scratch,
  start,
  USERS,
  type User,
  written,
} from "./harness.ts";

/** A kernel without Landlock cannot run these tests; one with an older ABI leaves out what it does not know, wherever that is. */
function needAbi(context: TestContext, abi: number): void {
  need(context, ABI > 0, "this kernel has no Landlock");
  needKernel(context, abi <= ABI, `this kernel has Landlock ABI ${ABI}, and ${abi} is needed`);
}

/** What the program finds below its directory; owned by who runs the sandbox. */
function prepare(user: User, program: string): string {
  const data = join(scratch(user), "data");
  for (const directory of ["", "from", "to", "empty"]) mkdirSync(join(data, directory));
  for (const file of ["file", "victim", "from/moved"]) writeFileSync(join(data, file), "content");
  copyFileSync(program, join(data, "run"));
  const all = ["", "from", "to", "empty", "file", "victim", "from/moved", "run"].map((name) =>
    join(data, name),
  );
  for (const path of all) {
    chmodSync(path, 0o755);
    if (user === "user" && process.getuid?.() === 0) chownSync(path, ordinaryUid(), ordinaryUid());
  }
  return data;
}

/** A list of ports wants a filter, whatever that lets through. */
const OPEN = { "/seccomp": { defaultAction: "SCMP_ACT_ALLOW", syscalls: [] } };

/** Landlock alone is on trial: no filter, and the directory shown with all that a mount can allow. */
const flagsFor = (data: string, program: string): readonly string[] => [
  "--set",
  "/seccomp=null",
  "--set",
  `/filesystem/mounts/-=${JSON.stringify({ type: "bind", source: data, target: "/data", options: ["rw", "exec"] })}`,
  "--bind",
  `${program}:/prog/landlock`,
];

async function attempts(
  context: TestContext,
  user: User,
  set: Readonly<Record<string, unknown>>,
  names: readonly string[] = [],
): Promise<{ readonly ran: SandboxRan; readonly results: ReadonlyMap<string, string> }> {
  const program = hostile(context, "landlock");
  const data = prepare(user, program);
  const ran = await sandbox(user, ["/prog/landlock", "/data", ...names], {
    flags: [
      ...flagsFor(data, program),
      ...Object.entries(set).flatMap(([pointer, value]) => ["--set", `${pointer}=${JSON.stringify(value)}`]),
    ],
  });
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: "" });
  return { ran, results: resultsOf(ran.stdout) };
}

/** Everything goes through: the mount alone allows it. A device needs a capability that nobody here has. */
const ALLOWED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    FS_RIGHT_NAMES.filter((right) => right !== "resolve_unix").map((right) => [right, "ok"]),
  ),
  make_char: "EPERM",
  make_block: "EPERM",
};
/** No derived rule makes a device. */
const DERIVED = { ...ALLOWED, make_char: "EACCES", make_block: "EACCES" };

/**
 * Without this right at /data, what else fails, and how: what is moved is made in one directory and removed in the other; what is executed
 * is read.
 */
const BESIDE: Readonly<Partial<Record<FsRight, Readonly<Record<string, string>>>>> = {
  refer: { refer: "EXDEV" },
  read_file: { read_file: "EACCES", execute: "EACCES" },
  make_reg: { make_reg: "EACCES", refer: "EACCES" },
  remove_file: { remove_file: "EACCES", refer: "EACCES" },
};

/** Where the right is left: what the program needs to run at all. */
const LEFT: Readonly<Partial<Record<FsRight, readonly string[]>>> = {
  execute: ["/prog"],
  read_file: ["/prog", "/usr", "/dev"],
  read_dir: ["/usr"],
  write_file: ["/dev"],
};

describe.each(USERS)("with no filter, run by %s", (user) => {
  it("everything is allowed without Landlock", async (context) => {
    const { results } = await attempts(context, user, { "/landlock": null });
    expect(Object.fromEntries(results)).toEqual(ALLOWED);
  });

  it("the derived rules allow what the mount allows, and no device", async (context) => {
    needAbi(context, FS_RIGHTS.make_char.since);
    const { results } = await attempts(context, user, {});
    expect(Object.fromEntries(results)).toEqual(DERIVED);
  });

  it.for(FS_RIGHT_NAMES.filter((right) => !/^(make_char|make_block|resolve_unix)$/.test(right)))(
    "%s is denied where no rule grants it, and nothing else",
    async (right, context) => {
      needAbi(context, FS_RIGHTS[right].since);
      const { results } = await attempts(context, user, {
        [`/landlock/fs/${right}`]: LEFT[right] ?? ["/tmp"].slice(right === "ioctl_dev" ? 1 : 0),
      });
      expect(Object.fromEntries(results)).toEqual({
        ...DERIVED,
        ...(BESIDE[right] ?? { [right]: "EACCES" }),
      });
    },
  );

  it("a device is no longer Landlock's to refuse where a rule grants it", async (context) => {
    needAbi(context, FS_RIGHTS.make_char.since);
    const { results } = await attempts(context, user, { "/landlock/fs/make_char": ["/data"] });
    expect(results.get("make_char")).toBe("EPERM");
  });

  it("a whiteout is made where devices and files may be made, and nowhere else", async (context) => {
    needAbi(context, FS_RIGHTS.make_char.since);
    // A device to most kernels, a regular file to corrected ones, such as Linux 6.1.192.
    const whiteout = async (set: Readonly<Record<string, unknown>>) =>
      (await attempts(context, user, set, ["whiteout"])).ran.stdout;
    expect(await whiteout({ "/landlock/fs/make_char": ["/data"] })).toBe("whiteout ok\n");
    expect(await whiteout({ "/landlock/fs/make_reg": ["/tmp"] })).toBe("whiteout EACCES\n");
  });

  it("a socket of somebody else's is reached only where a rule grants it", async (context) => {
    needAbi(context, FS_RIGHTS.resolve_unix.since);
    const program = hostile(context, "landlock");
    const data = prepare(user, program);
    const server = createServer().listen(join(data, "outside"));
    try {
      const connect = (fs: readonly string[]) =>
        sandbox(user, ["/prog/landlock", "/data", "resolve_unix"], {
          flags: [...flagsFor(data, program), "--set", `/landlock/fs/resolve_unix=${JSON.stringify(fs)}`],
        });
      expect((await connect([])).stdout).toBe("resolve_unix EACCES\n");
      expect((await connect(["/data"])).stdout).toBe("resolve_unix ok\n");
    } finally {
      server.close();
    }
  });

  it.for(["bind_tcp", "connect_tcp", "bind_udp", "connect_send_udp"] as const)(
    "%s is denied for a port that no rule names",
    async (right, context) => {
      needAbi(context, NET_RIGHTS[right].since);
      const result = async (value: unknown) =>
        (await attempts(context, user, { ...OPEN, [`/landlock/net/${right}`]: value }, [right])).ran.stdout;
      expect(await result("any")).toBe(`${right} ok\n`);
      expect(await result([4711])).toBe(`${right} ok\n`);
      expect(await result([4710, 4712])).toBe(`${right} EACCES\n`);
      expect(await result([])).toBe(`${right} EACCES\n`);
    },
  );

  it("other ports are not had past Landlock either: by Fast Open, multipath TCP, a ring, another protocol on top", async (context) => {
    needAbi(context, NET_RIGHTS.connect_tcp.since);
    const refused = {
      "fast-sendto": "EOPNOTSUPP",
      "fast-sendmsg": "EOPNOTSUPP",
      "fast-sendmmsg": "EOPNOTSUPP",
      "mptcp-connect": "EPROTONOSUPPORT",
      "mptcp-bind": "EPROTONOSUPPORT",
      "tcp-ulp": "ENOENT",
      ring: "ENOSYS",
    };
    const names = Object.keys(refused);
    const open = (await attempts(context, user, OPEN, names)).results;
    // Whether a kernel has the last two is its own affair; what it has not needs no refusal.
    const sure = names.filter((name) => open.get(name) === "ok" || !/^(tcp-ulp|ring)$/.test(name));
    expect(sure.map((name) => open.get(name))).toEqual(sure.map(() => "ok"));
    const ports = { "/landlock/net/connect_tcp": [4710], "/landlock/net/bind_tcp": [] };
    const held = (await attempts(context, user, { ...OPEN, ...ports }, names)).results;
    expect(Object.fromEntries(held)).toEqual(refused);
  });

  it("a port that nobody names can be listened on, as the decision says", async (context) => {
    needAbi(context, NET_RIGHTS.bind_tcp.since);
    const { ran } = await attempts(context, user, { ...OPEN, "/landlock/net/bind_tcp": [] }, [
      "bind_tcp",
      "listen-anywhere",
    ]);
    expect(ran.stdout).toBe("bind_tcp EACCES\nlisten-anywhere ok\n");
    expect(ran.audit.find(({ id }) => id === "landlock.net")).toMatchObject({
      status: "partial",
      reason: expect.stringContaining("listen(2)"),
    });
  });

  it("a signal to pid 1, which has the payload's uid, is denied", async (context) => {
    needAbi(context, SCOPES.signal.since);
    const names = ["signal"];
    expect((await attempts(context, user, {}, names)).ran.stdout).toBe("signal EPERM\n");
    const open = { "/landlock/scope/signal": false };
    expect((await attempts(context, user, open, names)).ran.stdout).toBe("signal ok\n");
  });

  it("an abstract socket of the host's is denied even in the host's network", async (context) => {
    needAbi(context, SCOPES.abstract_unix_socket.since);
    const name = `sandbox-live-${process.pid}-${user}`;
    const server = spawn(hostile(context, "landlock"), ["serve", name], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      await new Promise((ready) => server.stdout.once("data", ready));
      const host = {
        "/namespaces/network": false,
        "/network/mode": "host",
        "/environment/set/ABSTRACT": name,
      };
      const names = ["abstract_unix_socket"];
      const open = { ...host, "/landlock/scope/abstract_unix_socket": false };
      expect((await attempts(context, user, open, names)).ran.stdout).toBe("abstract_unix_socket ok\n");
      expect((await attempts(context, user, host, names)).ran.stdout).toBe("abstract_unix_socket EPERM\n");
    } finally {
      server.stdin.end();
    }
  });

  it("what strict does not make writable is not written in /proc: not even the own memory", async (context) => {
    needAbi(context, FS_RIGHTS.write_file.since);
    const open = await attempts(context, user, { "/landlock": null }, ["own-memory"]);
    expect(open.ran.stdout).toBe("own-memory ok\n");
    expect((await attempts(context, user, {}, ["own-memory"])).ran.stdout).toBe("own-memory EACCES\n");
  });

  it("a listed path that is not there refuses the launch, and is named", async (context) => {
    needAbi(context, FS_RIGHTS.execute.since);
    const ran = await sandbox(user, ["true"], {
      flags: ["--set", '/landlock/fs/read_file=["/usr", "/nowhere"]'],
    });
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 125, stdout: "" });
    expect(ran.stderr).toMatch(/\/nowhere.*ENOENT.*landlock\.fs/);
  });

  it("a right that only entries of a directory have is refused for a file, with the reason", async (context) => {
    needAbi(context, FS_RIGHTS.execute.since);
    const ran = await sandbox(user, ["true"], {
      flags: ["--set", '/landlock/fs/read_dir=["/usr", "/etc/passwd"]'],
    });
    expect(ran.code).toBe(125);
    expect(ran.stderr).toMatch(/\/etc\/passwd.*EINVAL.*a file has no entries/);
  });

  it("what was read back of it matches", async (context) => {
    needAbi(context, SCOPES.signal.since);
    const { ran } = await attempts(context, user, {}, ["signal"]);
    const lines = ran.report?.enforcement.filter(({ decision }) => decision.startsWith("landlock."));
    const line = { expected: "signal 0 to init: EPERM", actual: "EPERM", matches: true, status: "full" };
    expect(lines).toEqual([
      { decision: "landlock.fs", ...line },
      { decision: "landlock.scope", ...line },
    ]);
  });
});

describe.each(USERS)("standard streams that are files of the caller's, run by %s", (user) => {
  /** Files of the caller's, as a shell would redirect them. */
  async function redirected(context: TestContext, set: readonly string[], names: readonly string[]) {
    const program = hostile(context, "landlock");
    const directory = scratch(user);
    const [input, output] = ["input", "output"].map((name) => {
      const path = join(directory, name);
      writeFileSync(path, "");
      // Whoever the payload is on the host: modes do not say no.
      chmodSync(path, 0o666);
      return path;
    }) as [string, string];
    chmodSync(directory, 0o711);
    const [head = "", ...rest] = sandboxArgv(user, directory, ["/prog/landlock", "/", ...names], {
      flags: ["--bind", `${program}:/prog/landlock`, ...set],
    });
    const child = spawn(head, rest, {
      cwd: directory,
      env: { PATH: process.env["PATH"] ?? "", HOME: directory },
      stdio: [openSync(input, "r"), openSync(output, "w"), "inherit"],
    });
    const code = await new Promise((done) => child.once("close", done));
    expect(code).toBe(0);
    return readFileSync(output, "utf8");
  }

  const NAMES = ["reread-stdin", "rewrite-stdin", "reread-stdout", "rewrite-stdout"];

  it("are opened again only as they were opened: input is not written, output is not read", async (context) => {
    needAbi(context, FS_RIGHTS.write_file.since);
    expect(resultsOf(await redirected(context, [], NAMES))).toEqual(
      new Map([
        ["reread-stdin", "ok"],
        ["rewrite-stdin", "EACCES"],
        ["reread-stdout", "EACCES"],
        ["rewrite-stdout", "ok"],
      ]),
    );
  });

  it("could be opened for anything without Landlock", async (context) => {
    expect([...resultsOf(await redirected(context, ["--set", "/landlock=null"], NAMES)).values()]).toEqual(
      NAMES.map(() => "ok"),
    );
  });
});

describe.each(USERS)("inside a Landlock domain of the caller's, run by %s", (user) => {
  async function within(context: TestContext, what: "fs" | "net", names: readonly string[]) {
    const program = hostile(context, "landlock");
    const directory = scratch(user);
    const argv = sandboxArgv(user, directory, ["/prog/landlock", "/", ...names], {
      flags: ["--bind", `${program}:/prog/landlock`],
    });
    const [setpriv, command] = user === "user" && as(user, []).length > 0 ? split(argv) : [[], argv];
    const ran = await finish(start([...setpriv, program, "within", what, ...command], { directory }));
    return { ...ran, ...written(directory) };
  }
  /** Who it is run by first, then the domain. */
  const split = (argv: readonly string[]): readonly [readonly string[], readonly string[]] => {
    const cut = as(user, []).length;
    return [argv.slice(0, cut), argv.slice(cut)];
  };

  it("that restricts ports both hold, one on top of the other", async (context) => {
    needAbi(context, NET_RIGHTS.connect_tcp.since);
    const ran = await within(context, "net", ["connect_tcp", "bind_tcp", "signal"]);
    expect({ code: ran.code, stderr: ran.stderr, stdout: ran.stdout }).toEqual({
      code: 0,
      stderr: "",
      // The outer one says no to the first, the inner one to the last.
      stdout: `connect_tcp EACCES\nbind_tcp ok\nsignal ${ABI >= SCOPES.signal.since ? "EPERM" : "ok"}\n`,
    });
  });

  it("that restricts files no mount can be made: refused, and said why", async (context) => {
    needAbi(context, FS_RIGHTS.write_file.since);
    const ran = await within(context, "fs", ["signal"]);
    expect(ran.code).toBe(125);
    expect(ran.stdout).toBe("");
    expect(ran.stderr).toMatch(/Landlock/);
  });
});
