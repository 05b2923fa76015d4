/**
 * One boot: starts the emulator, hands on every line that the guest writes to its second serial port, and ends it by
 * its own process id when the guest has switched itself off, has been silent, or has taken too long.
 *
 * Always `-accel tcg`: a machine that offers KVM to some of its guests may hang in it, and what is measured here is not speed.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Seconds without a line after which a guest counts as hung: longer than a test and its hooks may take. */
const SILENCE = 380;

/** Seconds on the clock that no boot may take. */
const LONGEST = 5400;

/** Seconds of processor time that the emulator has used, in all its threads; 0 when it has ended. */
function processorTime(pid) {
  let stat;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ESRCH") return 0;
    throw error;
  }
  // utime and stime, in ticks of 10 ms; the name in parentheses may hold anything (proc_pid_stat(5)).
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .map(Number);
  return (user + system) / 100;
}

const words = (text) => text.split(" ");

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));

/**
 * @param {object} options
 * @param {import("./benches.mjs").Machine} options.machine
 * @param {number} options.processors
 * @param {string} options.kernel - path.
 * @param {readonly string[]} options.disks - raw images; the first one is the root.
 * @param {readonly string[]} options.kernelArguments
 * @param {string} options.work - directory for the console and for what the guest writes to its disks.
 * @param {string} options.name
 * @param {number} options.limit - seconds of processor time.
 * @param {(line: string) => void} options.onLine
 * @returns {Promise<{ ended: "off" | "silent" | "late" | "failed", seconds: number, processor: number, console: string }>}
 */
export async function boot({
  machine,
  processors,
  kernel,
  disks,
  kernelArguments,
  work,
  name,
  limit,
  onLine,
}) {
  const consoleLog = join(work, `${name}.console`);
  closeSync(openSync(consoleLog, "w"));
  const drives = disks.flatMap((image, index) => [
    "-drive",
    `file=${image},if=none,id=disk${index},format=raw,snapshot=on`,
    "-device",
    `nvme,drive=disk${index},serial=disk${index}`,
  ]);
  const command = [machine.emulator, ...machine.emulatorArguments, ...words("-accel tcg,thread=multi")];
  const parts = words(`-smp ${processors} -m 1536 -nodefaults -display none -no-reboot`);
  const ports = [
    "-chardev",
    `file,id=console,path=${consoleLog}`,
    ...words("-chardev stdio,id=results,signal=off"),
    ...machine.emulatorPorts,
  ];
  const started = ["-kernel", kernel, "-append", kernelArguments.join(" ")];
  const began = performance.now();
  // A bench that is killed takes its emulator with it.
  const child = spawn(
    "setpriv",
    ["--pdeathsig", "KILL", ...command, ...parts, ...ports, ...drives, ...started],
    { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env.PATH, TMPDIR: work } },
  );
  running.add(child);
  let ended = "off";
  let processor = 0;
  const stop = (reason) => {
    ended = reason;
    child.kill("SIGKILL");
  };
  // Processor time, so that a busy machine is not taken for a guest that hangs.
  const late = setInterval(() => {
    const wall = (performance.now() - began) / 1000;
    processor = Math.max(processor, processorTime(child.pid));
    if (processor > limit || wall > LONGEST) stop("late");
  }, 2000);
  let silent = setTimeout(stop, SILENCE * 1000, "silent");
  createInterface({ input: child.stdout }).on("line", (line) => {
    clearTimeout(silent);
    silent = setTimeout(stop, SILENCE * 1000, "silent");
    onLine(line.trimEnd());
  });
  let complaint = "";
  child.stderr.on("data", (chunk) => {
    complaint += chunk;
  });
  try {
    const status = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    if (ended === "off" && status !== 0) ended = "failed";
  } finally {
    clearInterval(late);
    clearTimeout(silent);
    running.delete(child);
  }
  if (complaint !== "") process.stderr.write(complaint);
  return { ended, seconds: (performance.now() - began) / 1000, processor, console: consoleLog };
}
