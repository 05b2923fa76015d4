/**
 * Speed and size next to the peers, from one interleaved run: medians, and the ratios that the targets are about.
 * Prints; judges nothing. Needs gcc for the timer; a peer that is missing is named and left out.
 *
 *   node bench/run.mjs [--quick] [--json]
 */
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const top = resolve(here, "..");
const cli = join(top, "dist/bin/sandbox.cjs");
const quick = process.argv.includes("--quick");
const asJson = process.argv.includes("--json");
const work = mkdtempSync(join(tmpdir(), "sandbox-bench-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

const ROUNDS = quick ? 15 : 150;
const NODE_ROUNDS = quick ? 5 : 25;
const PARALLEL = 64;
const SEQUENCE = quick ? 50 : 1000;
const BWRAP =
  "--unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp --cap-drop ALL /bin/true".split(" ");

if (!existsSync(cli)) {
  console.error("bench: dist/bin/sandbox.cjs is not built: run `npm run build`");
  process.exit(1);
}
const notes = [];

function find(program) {
  const path = (process.env.PATH ?? "")
    .split(":")
    .map((directory) => join(directory, program))
    .find((file) => existsSync(file));
  if (path === undefined) notes.push(`${program} is not installed: left out`);
  return path;
}

function compileC(name) {
  const target = join(work, name);
  execFileSync("gcc", ["-O2", "-static", "-o", target, join(here, `${name}.c`)]);
  chmodSync(target, 0o755);
  return target;
}

/** A standalone launcher; its name and what it was asked. */
function compileLauncher(name, flags, command = []) {
  const target = join(work, name);
  const result = tryRun(process.execPath, [
    cli,
    "compile",
    ...flags,
    "-o",
    target,
    ...(command.length > 0 ? ["--", ...command] : []),
  ]);
  if (result.ok) return target;
  notes.push(`the launcher "${name}" cannot be compiled here: ${result.text}`);
  return undefined;
}

function tryRun(program, args, options = {}) {
  try {
    return {
      ok: true,
      text: execFileSync(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options }).toString(),
    };
  } catch (error) {
    return {
      ok: false,
      text: String(error.stderr ?? error.message)
        .trim()
        .split("\n")
        .slice(0, 2)
        .join(" "),
    };
  }
}

const sorted = (values) => values.toSorted((a, b) => a - b);
const median = (values) => sorted(values)[Math.floor(values.length / 2)] ?? Number.NaN;
const percentile = (values, share) =>
  sorted(values)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;

/** Runs every command `rounds` times in an order shuffled anew each round; milliseconds per command. */
async function interleave(timer, commands, rounds) {
  const list = join(work, "commands");
  writeFileSync(
    list,
    commands
      .map(({ argv }) => argv.join("\t"))
      .join("\n")
      .concat("\n"),
  );
  const child = spawn(timer, [list], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const times = commands.map(() => []);
  const failed = new Set();
  // The first round warms caches and is thrown away.
  for (let round = 0; round <= rounds; round++)
    for (const index of shuffled(commands.length)) {
      if (failed.has(index)) continue;
      child.stdin.write(`${index}\n`);
      const { value = "" } = await lines.next();
      const [time, status] = value.split(" ");
      if (status !== "0") {
        failed.add(index);
        notes.push(`${commands[index].name}: exit status ${status}: left out`);
      } else if (round > 0) times[index].push(Number(time));
    }
  child.stdin.end();
  return new Map(commands.map(({ name }, index) => [name, failed.has(index) ? [] : times[index]]));
}

function shuffled(length) {
  const order = Array.from({ length }, (_, index) => index);
  for (let at = length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [order[at], order[other]] = [order[other], order[at]];
  }
  return order;
}

// ---- peers ----

/**
 * What `runc spec` writes, on a root of its own like the others': the host's /usr, read-only, private /proc /dev /sys /tmp, no capability.
 * A cgroup namespace more than the default; no user namespace and no filter, which it leaves to its caller.
 */
function runcBundle(runc) {
  if (process.getuid() !== 0) {
    notes.push("runc is measured by root only: left out");
    return undefined;
  }
  const bundle = join(work, "runc");
  const root = join(bundle, "rootfs");
  mkdirSync(root, { recursive: true });
  const made = tryRun(runc, ["spec"], { cwd: bundle });
  if (!made.ok) {
    notes.push(`runc spec: ${made.text}: left out`);
    return undefined;
  }
  for (const name of ["usr", "etc", "proc", "dev", "sys", "tmp"]) mkdirSync(join(root, name));
  for (const name of ["bin", "sbin", "lib", "lib64"])
    if (lstatSync(`/${name}`, { throwIfNoEntry: false })?.isSymbolicLink())
      symlinkSync(readlinkSync(`/${name}`), join(root, name));
  const file = join(bundle, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  const { process: payload, linux, mounts } = config;
  payload.terminal = false;
  payload.args = ["/bin/true"];
  for (const set of Object.keys(payload.capabilities)) payload.capabilities[set] = [];
  linux.namespaces.push({ type: "cgroup" });
  config.root = { path: "rootfs", readonly: true };
  const options = ["nosuid", "nodev"];
  config.mounts = [
    ...mounts.filter(({ type }) => type !== "cgroup"),
    { destination: "/usr", type: "none", source: "/usr", options: ["rbind", "ro", ...options] },
    { destination: "/tmp", type: "tmpfs", source: "tmpfs", options },
  ];
  writeFileSync(file, JSON.stringify(config));
  return bundle;
}

// ---- what is left behind ----

function cgroups(directory = "/sys/fs/cgroup", depth = 0) {
  if (depth > 6) return [];
  let entries;
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (["EACCES", "ENOENT", "ENODEV"].includes(error.code)) return [];
    throw error;
  }
  return entries
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      return entry.name.startsWith("sandbox-") ? [path] : cgroups(path, depth + 1);
    });
}

function census() {
  return {
    processes: childrenOf(process.pid).length,
    mounts: readFileSync("/proc/self/mountinfo", "utf8").split("\n").length,
    cgroups: cgroups().length,
    descriptors: readdirSync("/proc/self/fd").length,
    files: readdirSync(work).length,
  };
}

function childrenOf(pid) {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}

function residentKb(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
  return { rss: field("Rss"), own: field("Private_Clean") + field("Private_Dirty") };
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const report = [];
const section = (title) => report.push({ title, rows: [] });
const row = (what, value, target = "", detail = "") =>
  report.at(-1).rows.push({ what, value, target, detail });
const ms = (value) => (Number.isNaN(value) ? "-" : `${value.toFixed(2)} ms`);
const ratio = (value) => (Number.isNaN(value) ? "-" : `${value.toFixed(2)}×`);

// ---- 1. start-up ----

const timer = compileC("timer");
const bare = compileC("bare");
const bwrap = find("bwrap");
const runc = find("runc");
const firejail = find("firejail");
const bundle = runc === undefined ? undefined : runcBundle(runc);
const strict = compileLauncher("strict", ["--profile", "strict"]);
const noLandlock = compileLauncher("no-landlock", ["--profile", "strict", "--set", "/landlock=null"]);
const noLimits = compileLauncher("no-limits", ["--profile", join(here, "launch.json")]);

const start = [
  { name: "/bin/true alone", argv: ["/bin/true"] },
  { name: "bare: clone + exec", argv: [bare, "/bin/true"] },
  ...(bwrap === undefined ? [] : [{ name: "bwrap", argv: [bwrap, ...BWRAP] }]),
  ...(noLimits === undefined ? [] : [{ name: "launcher", argv: [noLimits, "/bin/true"] }]),
  ...(strict === undefined ? [] : [{ name: "launcher, strict", argv: [strict, "/bin/true"] }]),
  ...(noLandlock === undefined
    ? []
    : [{ name: "launcher, strict, no Landlock", argv: [noLandlock, "/bin/true"] }]),
  ...(firejail === undefined
    ? []
    : [
        {
          name: "firejail",
          argv: [
            firejail,
            "--quiet",
            "--noprofile",
            "--net=none",
            "--caps.drop=all",
            "--seccomp",
            "--private-dev",
            "--private-tmp",
            "--read-only=/",
            "/bin/true",
          ],
        },
      ]),
  ...(bundle === undefined
    ? []
    : [
        {
          name: "runc",
          argv: [runc, "--root", join(work, "runc-state"), "run", "--bundle", bundle, "bench"],
        },
      ]),
];
const times = await interleave(timer, start, ROUNDS);
const timed = (name) => median(times.get(name) ?? []);
section(`start-up of /bin/true, medians of ${ROUNDS} interleaved rounds`);
for (const { name } of start) {
  const values = times.get(name) ?? [];
  row(name, ms(median(values)), "", `95 % below ${ms(percentile(values, 0.95))}`);
}
row(
  "launcher / bwrap",
  ratio(timed("launcher") / timed("bwrap")),
  "≤ 0.45×",
  "the same namespaces; also a root and an /etc of its own and a filter",
);
row("launcher / bare", ratio(timed("launcher") / timed("bare: clone + exec")), "≤ 1.30×");
row(
  "launcher, strict / bwrap",
  ratio(timed("launcher, strict") / timed("bwrap")),
  "",
  "with limits and, where it may, a cgroup of its own",
);
if (bundle !== undefined)
  row(
    "launcher, strict / runc",
    ratio(timed("launcher, strict") / timed("runc")),
    "",
    "runc run: a cgroup of its own too; no user namespace, no filter",
  );

// What it adds is less than what medians of a busy machine differ by: the fastest round of each.
const fastest = (name) => Math.min(...(times.get(name) ?? []));
row(
  "launcher, strict / the same without Landlock",
  ratio(fastest("launcher, strict") / fastest("launcher, strict, no Landlock")),
  "≤ 1.15×",
  "the fastest round of each",
);

// ---- 2. the command line ----

const nodeStart = [
  { name: "node -e 0", argv: [process.execPath, "-e", "0"] },
  {
    name: "sandbox run",
    argv: [process.execPath, cli, "run", "--audit", join(work, "audit.jsonl"), "--", "/bin/true"],
  },
];
const nodeTimes = await interleave(timer, nodeStart, NODE_ROUNDS);
section(`command line, medians of ${NODE_ROUNDS} interleaved rounds`);
for (const { name } of nodeStart) row(name, ms(median(nodeTimes.get(name) ?? [])));
row(
  "sandbox run / node -e 0",
  ratio(median(nodeTimes.get("sandbox run")) / median(nodeTimes.get("node -e 0"))),
  "≤ 1.30×",
);

// ---- 3. the library ----

const { createSandbox } = await import(join(top, "dist/index.js"));
const sandbox = await createSandbox({
  profile: "strict",
  audit: { file: join(work, "library-audit.jsonl") },
});
async function viaLibrary() {
  const outcome = await sandbox.run(["/bin/true"]);
  if (outcome.exitCode !== 0) throw new Error(`library run: ${JSON.stringify(outcome)}`);
}
function viaSpawn(argv) {
  return new Promise((done, failed) => {
    const child = spawn(argv[0], argv.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    child.once("error", failed);
    child.once("close", (code) =>
      code === 0 ? done() : failed(new Error(`${argv[0]}: exit status ${code}`)),
    );
  });
}
const library = { library: [], bwrap: [], true: [] };
for (let round = 0; round <= ROUNDS; round++)
  for (const [name, run] of [
    ["library", viaLibrary],
    ...(bwrap === undefined ? [] : [["bwrap", () => viaSpawn([bwrap, ...BWRAP])]]),
    ["true", () => viaSpawn(["/bin/true"])],
  ]) {
    const from = performance.now();
    await run();
    if (round > 0) library[name].push(performance.now() - from);
  }
section(`from Node, medians of ${ROUNDS} interleaved rounds`);
row("spawn /bin/true", ms(median(library.true)));
row("spawn bwrap", ms(median(library.bwrap)));
row("sandbox.run, strict, cgroup and audit included", ms(median(library.library)));
row("sandbox.run / spawn bwrap", ratio(median(library.library) / median(library.bwrap)), "≤ 1.00×");

// ---- 4. memory ----

section("resident memory while the payload sleeps");
if (strict !== undefined) {
  const child = spawn(strict, ["/bin/sleep", "2"], { stdio: "ignore" });
  await pause(200);
  const monitor = child.pid;
  const [init] = childrenOf(monitor);
  for (const [role, pid] of [
    ["monitor", monitor],
    ["init", init],
  ]) {
    if (pid === undefined) continue;
    const { rss, own } = residentKb(pid);
    row(role, `${rss} kB`, "< 200 kB", `${own} kB of it its own`);
  }
  const ended = new Promise((done) => child.once("close", done));
  child.kill("SIGTERM");
  await ended;
}

// ---- 5. system calls ----

section("cost of getppid(2), best of interleaved rounds");
const getppid = compileC("getppid");
const floor = compileC("floor");
const filtered = compileLauncher("getppid-launcher", ["--profile", "strict"], [getppid]);
const calls = quick ? "200000" : "2000000";
const callers = [
  ["unfiltered", [floor, "none", getppid, calls]],
  ["one instruction, allow", [floor, "plain", getppid, calls]],
  ["the same, SPEC_ALLOW", [floor, "spec-allow", getppid, calls]],
  ...(filtered === undefined ? [] : [["the strict filter", [filtered, calls]]]),
];
const cheapest = new Map(callers.map(([name]) => [name, Number.POSITIVE_INFINITY]));
for (let round = 0; round < (quick ? 4 : 8); round++)
  for (const at of shuffled(callers.length)) {
    const [name, argv] = callers[at];
    const { ok, text } = tryRun(argv[0], argv.slice(1));
    if (ok) cheapest.set(name, Math.min(cheapest.get(name), Number(text)));
    else notes.push(name + ": " + text);
  }
for (const [name, best] of cheapest) row(name, `${best.toFixed(1)} ns`);
const [unfiltered, one, , full = Number.NaN] = cheapest.values();
row(
  "any filter / unfiltered",
  ratio(one / unfiltered),
  "",
  "the slow way into the kernel: not ours to avoid",
);
row("strict / any filter", ratio(full / one), "≤ 1.05×", "what the rules themselves cost");

// ---- 6. many ----

section("proofs about filters, medians of new processes; node's own memory is about 45 MB of each");
const prove = (...question) =>
  JSON.parse(execFileSync(process.execPath, [join(here, "prove.mjs"), ...question], { encoding: "utf8" }));
for (const question of prove()) {
  const answers = Array.from({ length: quick ? 3 : 9 }, () => prove(question));
  row(
    question,
    ms(median(answers.map(({ milliseconds }) => milliseconds))),
    question.includes("equals") ? "under 100 ms" : "under 2 s",
    `CPU time ${ms(median(answers.map(({ cpu }) => cpu)))}, peak memory ${median(answers.map(({ megabytes }) => megabytes)).toFixed(0)} MB`,
  );
}

section("many");
const before = census();
let from = performance.now();
await Promise.all(Array.from({ length: PARALLEL }, viaLibrary));
row(`${PARALLEL} at once`, ms(performance.now() - from));
from = performance.now();
for (let count = 0; count < SEQUENCE; count++) await viaLibrary();
row(
  `${SEQUENCE} in a row`,
  ms(performance.now() - from),
  "",
  `${ms((performance.now() - from) / SEQUENCE)} each`,
);
await pause(500);
const after = census();
for (const kind of Object.keys(before)) row(`left behind: ${kind}`, `${after[kind] - before[kind]}`, "0");

// ---- print ----

if (asJson) console.log(JSON.stringify({ node: process.version, report, notes }, null, 2));
else {
  for (const { title, rows } of report) {
    console.log(`\n${title}`);
    const widths = ["what", "value", "target"].map((key) =>
      Math.max(...rows.map((entry) => entry[key].length)),
    );
    for (const { what, value, target, detail } of rows)
      console.log(
        `  ${what.padEnd(widths[0])}  ${value.padStart(widths[1])}  ${target.padEnd(widths[2])}  ${detail}`.trimEnd(),
      );
  }
  for (const note of notes) console.log(`\nnote: ${note}`);
}
