/** The command on a kernel that enforces AppArmor: several processes, ordinary users, callers that are confined, and terminals. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  cli,
  eventually,
  finish,
  type RunOptions,
  type SandboxRan,
  sandbox,
  sandboxArgv,
  scratch,
  start,
  written,
} from "../../../live/harness.ts";
import { library, load, loaded, NAMED, NAMED_TEXT, outer, unload } from "./policy.ts";

const { cleanLeftovers, createSandbox, probeHost, writeUserNamespaceProfile } = library;

const REQUIRED = ["--set", '/require/lsm="full"'];
const shell = (script: string): readonly string[] => ["/bin/sh", "-c", script];
const lsmOf = ({ report }: SandboxRan) => report?.enforcement.find(({ decision }) => decision === "lsm");

describe("profiles of ours in the kernel", () => {
  /** A run of another process that lasts until its input ends. */
  const hold = async () => {
    const directory = scratch("root");
    const child = start(sandboxArgv("root", directory, shell("echo started; cat > /dev/null")), {
      directory,
    });
    await new Promise((done) => child.stdout?.once("data", done));
    return child;
  };

  it("are shared by the runs of all processes, and go with the last one", async () => {
    const child = await hold();
    expect(loaded()).toHaveLength(1);
    const own = await createSandbox({ audit: { file: null } });
    expect(await own.run(["/bin/true"])).toMatchObject({ exitCode: 0 });
    own.close();
    await new Promise(setImmediate);
    expect(loaded()).toHaveLength(1);
    expect(await finish(child)).toMatchObject({ code: 0 });
    expect(loaded()).toEqual([]);
  });

  it("stay when their supervisor is killed, until the doctor or the next run removes them", async () => {
    const child = await hold();
    const exit = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await exit;
    const [left] = loaded();
    expect(left).toMatch(/^sandbox-strict-/);
    await eventually(
      () => cleanLeftovers(probeHost()).removed.includes(`the AppArmor profile ${left}`),
      5000,
    );
    expect(loaded()).toEqual([]);
    expect(existsSync("/run/sandbox/apparmor") ? readdirSync("/run/sandbox/apparmor") : []).toEqual([]);
  });
});

it("apparmor_parser compiles a profile once, and starts for it no more; what is damaged is compiled again", async () => {
  const [parser, own] = ["/usr/sbin/apparmor_parser", "/usr/sbin/apparmor_parser.own"];
  const [log, cache] = [join(scratch("root"), "started"), join(scratch("root"), "cache")];
  const started = () => readFileSync(log, "utf8").length;
  const run = async () => {
    const made = await createSandbox({ audit: { file: null }, cache });
    const { stdout } = await made.run(["/bin/cat", "/proc/self/attr/current"]);
    made.close();
    await new Promise(setImmediate);
    expect(stdout).toMatch(/^sandbox-strict-[0-9a-f]{32} \(enforce\)\n$/);
    expect(loaded()).toEqual([]);
    return started();
  };
  renameSync(parser, own);
  writeFileSync(log, "");
  writeFileSync(parser, `#!/bin/sh\nprintf x >> ${log}\nexec ${own} "$@"\n`, { mode: 0o755 });
  try {
    expect([await run(), await run(), await run()]).toEqual([1, 1, 1]);
    const [entry = ""] = readdirSync(cache).filter((name) => name.startsWith("apparmor-"));
    // Whole by its digest, and nothing that the kernel takes: another program of the same owner wrote it.
    const kept = readFileSync(join(cache, entry), "latin1");
    const forged = `not a profile${"\0".repeat(200)}`;
    const [magic, key] = kept.split(" ");
    const digest = createHash("sha256").update(forged).digest("hex");
    writeFileSync(join(cache, entry), `${magic} ${key} ${digest}\n${forged}`);
    expect([await run(), await run()]).toEqual([2, 2]);
  } finally {
    renameSync(own, parser);
  }
});

it("nothing is launched when the profile cannot be loaded, and nothing stays of the attempt", async () => {
  const [parser, own] = ["/usr/sbin/apparmor_parser", "/usr/sbin/apparmor_parser.own"];
  const directory = scratch("root");
  const made = await createSandbox({ audit: { file: null }, cache: join(directory, "cache") });
  renameSync(parser, own);
  writeFileSync(parser, "#!/bin/sh\necho 'no memory' >&2; exit 1\n", { mode: 0o755 });
  try {
    await expect(made.run(["/bin/true"])).rejects.toThrow(
      /the AppArmor profile sandbox-strict-\S+ cannot be loaded: no memory/,
    );
    expect(loaded()).toEqual([]);
    expect(existsSync("/run/sandbox/apparmor") ? readdirSync("/run/sandbox/apparmor") : []).toEqual([]);
  } finally {
    renameSync(own, parser);
    made.close();
  }
});

describe("run by who is confined", () => {
  const both = `${outer("bench-allowing", "change_profile,")}\n${outer("bench-refusing", "")}`;
  beforeAll(() => load(both));
  afterAll(() => unload(both));

  /** `sandbox run` under a profile. */
  async function confined(
    profile: string,
    command: readonly string[],
    options: RunOptions = {},
  ): Promise<SandboxRan> {
    const directory = scratch("root");
    const enter = `echo 'exec ${profile}' > /proc/self/attr/apparmor/exec && exec "$@"`;
    const argv = ["/bin/sh", "-c", enter, "sh", ...sandboxArgv("root", directory, command, options)];
    const ran = await finish(start(argv, { ...options, directory }), options);
    return { ...ran, ...written(directory), directory };
  }

  it("the payload is held by both profiles, and its processes can signal and talk to each other", async () => {
    const script = `cat /proc/self/attr/current; sleep 100 & kill $! && wait $!; echo "ended with $?"
      python3 -c 'import socket; a, b = socket.socketpair(); a.send(b"x"); print(b.recv(1))'`;
    const ran = await confined("bench-allowing", shell(script), { flags: REQUIRED });
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stdout).toMatch(
      /^bench-allowing\/\/&sandbox-strict-[0-9a-f]{32} \(enforce\)\nended with 143\nb'x'\n$/,
    );
    expect(lsmOf(ran)).toMatchObject({ matches: true, status: "full" });
  });

  it("standard streams that are files of the caller's are read and written", async () => {
    const directory = scratch("root");
    writeFileSync(join(directory, "in"), "from a file\n");
    const argv = sandboxArgv("root", directory, ["/bin/cat"]);
    const script = `echo 'exec bench-allowing' > /proc/self/attr/apparmor/exec && exec "$@" < ${directory}/in > ${directory}/out`;
    const ran = await finish(start(["/bin/sh", "-c", script, "sh", ...argv], { directory }));
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(join(directory, "out"), "utf8")).toBe("from a file\n");
  });

  it("where that one does not allow it, it alone holds the payload, as the decision says; or the run is refused", async () => {
    const show = ["/bin/cat", "/proc/self/attr/current"];
    const ran = await confined("bench-refusing", show);
    expect(ran).toMatchObject({ code: 0, stdout: "bench-refusing (enforce)\n" });
    expect(lsmOf(ran)).toMatchObject({ matches: false, status: "partial" });
    const refused = await confined("bench-refusing", show, { flags: REQUIRED });
    expect(refused).toMatchObject({ code: 125, stdout: "" });
    expect(refused.stderr).toMatch(/: EACCES; .*change_profile/);
    expect(loaded()).toEqual([]);
  });
});

describe("run by an ordinary user", () => {
  beforeAll(() => load(NAMED_TEXT));
  afterAll(() => unload(NAMED_TEXT));

  it("a loaded profile can be named, and holds", async () => {
    const ran = await sandbox("user", shell("cat /proc/self/attr/current; cat /etc/hostname"), {
      flags: ["--set", `/lsm/apparmorProfile="${NAMED}"`, ...REQUIRED],
    });
    expect(ran).toMatchObject({ code: 1, stdout: `${NAMED} (enforce)\n` });
    expect(ran.stderr).toContain("cat: /etc/hostname: Permission denied");
  });

  it("one that is not enforced, or not loaded, is said to be that, and refused where more is required", async () => {
    const flags = (name: string): readonly string[] => ["--set", `/lsm/apparmorProfile="${name}"`];
    const others = `profile bench-lenient flags=(complain, attach_disconnected, mediate_deleted) { }
      profile bench-deadly flags=(kill, attach_disconnected, mediate_deleted) { file, network, unix, signal, }`;
    load(others);
    try {
      const lenient = await sandbox(
        "user",
        shell("cat /proc/self/attr/current; cat /etc/hostname > /dev/null && echo read"),
        {
          flags: flags("bench-lenient"),
        },
      );
      expect(lenient).toMatchObject({ code: 0, stdout: "bench-lenient (complain)\nread\n" });
      expect(lsmOf(lenient)).toMatchObject({ matches: true, status: "none" });
      for (const [name, said] of [
        ["bench-lenient", "in mode complain: what it would refuse is let through"],
        ["bench-absent", "no AppArmor profile bench-absent is loaded on this host"],
      ] as const) {
        const refused = await sandbox("user", ["/bin/true"], { flags: [...flags(name), ...REQUIRED] });
        expect(refused).toMatchObject({ code: 125, stdout: "", stderr: expect.stringContaining(said) });
      }
      const deadly = await sandbox("user", ["/bin/cat", "/proc/self/attr/current"], {
        flags: [...flags("bench-deadly"), ...REQUIRED],
      });
      expect(deadly).toMatchObject({ code: 0, stdout: "bench-deadly (kill)\n" });
      expect(lsmOf(deadly)).toMatchObject({ matches: true, status: "full" });
    } finally {
      unload(others);
    }
  });

  it("none is made, which is recorded, or refused where it is required", async () => {
    const ran = await sandbox("user", ["/bin/cat", "/proc/self/attr/current"]);
    expect(ran).toMatchObject({ code: 0, stdout: "unconfined\n" });
    expect(JSON.stringify(ran.audit.find(({ id }) => id === "lsm"))).toMatch(/"none".*CAP_MAC_ADMIN/);
    const refused = await sandbox("user", ["/bin/true"], { flags: REQUIRED });
    expect(refused.code).toBe(125);
    expect(refused.stderr).toContain("loading an AppArmor profile needs CAP_MAC_ADMIN on the host");
  });
});

it("the doctor's profile for user namespaces is taken by the command and all that it starts", async () => {
  // This kernel and parser are older than the rule that it is for: what is left of it is what it is attached to.
  const text = writeUserNamespaceProfile(cli("user"))
    .replace("abi <abi/4.0>,\n", "")
    .replace("  userns,\n", "");
  load(text);
  try {
    const directory = scratch("user");
    const argv = sandboxArgv("user", directory, ["/bin/cat", "/proc/self/attr/current"]);
    // As people start it: by its own path, not as an argument of node.
    const ran = await finish(
      start(
        argv.filter((word) => word !== process.execPath),
        { directory },
      ),
    );
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toMatch(/^sandbox-userns\.\S+ \(unconfined\)\n$/);
  } finally {
    unload(text);
  }
});

it("the relayed terminal works under the profile", async () => {
  const directory = scratch("root");
  const command = `${process.execPath} ${cli("root")} run --audit ${join(directory, "log")} -- sh -c 'tty; stty size; echo typed > /dev/tty'`;
  const relayed = await finish(start(["script", "-qec", command, "/dev/null"], { directory }));
  // script(1) hands the end of its own input on, whose echo ("^@" or "^D") lands anywhere between the payload's lines.
  expect(relayed.stdout.replaceAll(/[\r\b]|\^[@D]/g, "")).toMatch(/\/dev\/console\n\d+ \d+\ntyped\n/);
  expect(relayed.code).toBe(0);
});
