/**
 * The second kernel as a test bench: boots Debian's kernel in an emulator and runs tests there. TAP on standard
 * output; exit status 0 when every bench reported completely and no test failed, 1 otherwise.
 *
 *   npm run test:vm -- [--only NAME,...] [--jobs N] [--console] [--list] [-- ARGUMENTS OF VITEST]
 *
 * A test file among those arguments takes the place of the bench's own.
 *
 * Needs apt-get and dpkg-deb, qemu, e2fsprogs and gcc. Where one is missing it says so in one line and succeeds;
 * with SANDBOX_MUST_WORK=1 that is a failure. Caches in $XDG_CACHE_HOME/sandbox-vm.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BENCHES, MACHINES } from "./host/benches.mjs";
import { kernelOf, projectImage, rootImage } from "./host/image.mjs";
import { boot } from "./host/machine.mjs";
import { collect } from "./host/results.mjs";

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), "../..");

const { values: options, positionals: forVitest } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string" },
    jobs: { type: "string" },
    console: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

if (options.list) {
  for (const [name, { about }] of Object.entries(BENCHES)) console.log(`${name.padEnd(10)} ${about}`);
  process.exit(0);
}

const names = options.only?.split(",") ?? Object.keys(BENCHES);
const unknown = names.filter((name) => BENCHES[name] === undefined);
if (unknown.length > 0)
  refuse(`there is no bench ${unknown.join(", ")}; there are ${Object.keys(BENCHES).join(", ")}`);
if (!existsSync(join(PROJECT, "dist/bin/sandbox.cjs"))) refuse("dist is not built: run `npm run build`");

const missing = missingTools();
if (missing.length > 0) {
  const line = `test:vm cannot run: install ${missing.join(", ")}`;
  if (process.env.SANDBOX_MUST_WORK === "1") refuse(line);
  console.log(line);
  process.exit(0);
}

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "sandbox-vm");
mkdirSync(cache, { recursive: true });
const work = mkdtempSync(join(tmpdir(), "sandbox-vm-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

const prepared = new Map();
for (const key of new Set(names.map((name) => BENCHES[name].machine))) {
  const machine = MACHINES[key];
  const kernel = kernelOf(cache, machine);
  prepared.set(key, { machine, kernel, root: rootImage(cache, machine, kernel) });
}
const vitestRuns = names.filter((name) => BENCHES[name].tests !== undefined);
const launchers = names.some((name) => BENCHES[name].launchers)
  ? await import("./host/launchers.mjs")
  : undefined;
const project = await projectImage(
  work,
  Object.fromEntries(
    vitestRuns.map((name) => [
      name,
      [...testsOf(name), ...patternOf(name), "--passWithNoTests=false", ...forVitest],
    ]),
  ),
  async (directory) => launchers?.compileLaunchers(join(directory, "launchers")),
);

console.log("TAP version 14");
// A third of the time of a guest is spent waiting.
const jobs = Number(options.jobs ?? availableParallelism() + 1);
const waiting = [...names];
const verdicts = new Map();
await Promise.all(
  Array.from({ length: jobs }, async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
      verdicts.set(name, await run(name));
  }),
);
const successful = [...verdicts.values()].every(
  (verdict) => verdict.failed + verdict.complaints.length === 0,
);
const total = [...verdicts.values()].reduce(
  (sum, verdict) => sum + verdict.passed + verdict.failed + verdict.skipped,
  0,
);
console.log(`1..${total}`);
process.exit(successful ? 0 : 1);

/** Files that are named are run in the place of the bench's own. */
function testsOf(name) {
  return forVitest.some((argument) => argument.startsWith("test/")) ? [] : BENCHES[name].tests;
}

/** What the bench leaves out, unless somebody says what to run. */
function leftOutOf(name) {
  return forVitest.length === 0 ? (BENCHES[name].leftOut ?? {}) : {};
}

/** The same for vitest: names without any of these. */
function patternOf(name) {
  const parts = Object.keys(leftOutOf(name)).map((part) => part.replaceAll(/[^\w ]/g, "."));
  return parts.length === 0 ? [] : [`--testNamePattern=^(?!.*(${parts.join("|")}))`];
}

async function run(name) {
  const bench = BENCHES[name];
  const { machine, kernel, root } = prepared.get(bench.machine);
  const results = collect(name, (line) => console.log(line), {
    judge: launchers?.judge,
    leftOut: leftOutOf(name),
  });
  const {
    ended,
    seconds,
    processor,
    console: consoleLog,
  } = await boot({
    machine,
    processors: bench.processors ?? 1,
    kernel: kernel.image,
    disks: [root, project],
    kernelArguments: [
      `console=${machine.console} root=/dev/nvme0n1 rw init=/sbin/boot panic=-1 quiet`,
      `mitigations=off random.trust_cpu=on sandbox.port=${machine.port} sandbox.name=${name}`,
      ...machine.kernelArguments,
      ...bench.kernelArguments,
    ],
    work,
    name,
    limit: bench.limit,
    onLine: results.take,
  });
  const verdict = results.end(ended);
  const { passed, failed, skipped, ready, complaints } = verdict;
  for (const complaint of complaints) console.log(`# ${name}: ${complaint}`);
  if (options.console || complaints.length > 0)
    for (const line of readFileSync(consoleLog, "utf8")
      .trimEnd()
      .split("\n")
      .slice(options.console ? 0 : -40))
      console.log(`# ${name} console: ${line.trimEnd()}`);
  console.log(
    `# ${name}: ${passed} passed, ${failed} failed, ${skipped} skipped; first test after ${ready ?? "?"} s, ${seconds.toFixed(0)} s in all, ${processor.toFixed(0)} s of a processor`,
  );
  return verdict;
}

function missingTools() {
  const wanted = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    mke2fs: "e2fsprogs",
    gcc: "gcc",
    setpriv: "util-linux",
  };
  for (const name of names) {
    const { emulator, emulatorPackage } = MACHINES[BENCHES[name].machine];
    wanted[emulator] = emulatorPackage;
  }
  const directories = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];
  return Object.entries(wanted)
    .filter(([program]) => !directories.some((directory) => existsSync(join(directory, program))))
    .map(([, debianPackage]) => debianPackage);
}

function refuse(line) {
  console.error(line);
  process.exit(1);
}
