/**
 * Checking an image next to what one does without us to see its files: skopeo copy and umoci unpack. The same OCI layout of about 10,000
 * files of this machine, made by umoci; interleaved rounds, medians. Then the peak memory of checking it, and of checking an image of 1 GiB
 * in 50,000 files. Prints; judges nothing.
 *
 *   node bench/image.mjs [--quick]
 */
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const cli = resolve(dirname(fileURLToPath(import.meta.url)), "../dist/bin/sandbox.cjs");
const ROUNDS = process.argv.includes("--quick") ? 3 : 9;
const FILES = 10_000;
const BYTES = 300 * 2 ** 20;

for (const program of ["umoci", "skopeo"])
  if (spawnSync(program, ["--version"]).status !== 0) {
    console.log(`bench: ${program} is not installed: images are left out`);
    process.exit(0);
  }
if (!existsSync(cli)) {
  console.error("bench: dist/bin/sandbox.cjs is not built: run `npm run build`");
  process.exit(1);
}

const work = mkdtempSync(join(tmpdir(), "sandbox-bench-image-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

/** Copies files of this machine until there are enough. */
function fill(root) {
  let files = 0;
  let bytes = 0;
  const visit = (directory) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (files >= FILES || bytes >= BYTES) return;
      const path = join(directory, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile() || entry.isSymbolicLink()) {
        const { size, mode } = lstatSync(path);
        if (size > 2 ** 18 || (entry.isFile() && (mode & 0o444) !== 0o444)) continue;
        mkdirSync(join(root, directory), { recursive: true });
        cpSync(path, join(root, path), { verbatimSymlinks: true });
        files++;
        bytes += size;
      }
    }
  };
  for (const directory of ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/share", "/usr/lib"])
    if (existsSync(directory)) visit(directory);
  return { files, bytes };
}

const run = (program, ...args) => execFileSync(program, args, { cwd: work, stdio: "ignore" });
const { files, bytes } = fill(join(work, "root"));
run("umoci", "init", "--layout", "image");
run("umoci", "new", "--image", "image:base");
run("umoci", "insert", "--rootless", "--image", "image:base", "root", "/");

/** Findings are no failure; status 3, not analysed, is one. */
function check(image, ...node) {
  const env = { ...process.env, PEAK_MEMORY: join(work, "peak") };
  const { status } = spawnSync(process.execPath, [...node, cli, "check", "image", image], {
    cwd: work,
    env,
    stdio: "ignore",
  });
  if (status !== 0 && status !== 1) throw new Error(`check image ended with ${status}`);
}

/** A root file system as a tar file: names, sizes and bytes as they come, a third of it text. */
function writeLarge(path, count, size) {
  const fd = openSync(path, "w");
  const pool = randomBytes(1 << 20);
  for (let index = 0; index < count; index++) {
    const block = Buffer.alloc(512);
    block.write(`usr/share/package-${index % 500}/file-${index}.dat`);
    block.write(
      `0000644\0${"0000000\0".repeat(2)}${size.toString(8).padStart(11, "0")}\0${"0".repeat(11)}\0`,
      100,
    );
    block.write("        0", 148);
    block.write("ustar\u000000", 257);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    const at = (index * 4099) % (pool.length - size);
    const body = Buffer.from(pool.subarray(at, at + size));
    body.writeUInt32LE(index);
    if (index % 3 === 0) for (let i = 0; i < size; i++) body[i] = 32 + (body[i] & 63);
    writeSync(fd, Buffer.concat([block, body, Buffer.alloc((512 - (size % 512)) % 512)]));
  }
  writeSync(fd, Buffer.alloc(1024));
  closeSync(fd);
}

function timed(action) {
  const from = performance.now();
  action();
  return performance.now() - from;
}
const times = { "sandbox check image": [], "skopeo copy": [], "umoci unpack": [] };
for (let round = 0; round <= ROUNDS; round++) {
  const measured = {
    "sandbox check image": timed(() => check("image")),
    "skopeo copy": timed(() => run("skopeo", "copy", "-q", "oci:image:base", "oci:copy:base")),
    "umoci unpack": timed(() => run("umoci", "unpack", "--rootless", "--image", "copy:base", "bundle")),
  };
  for (const name of ["copy", "bundle"]) rmSync(join(work, name), { recursive: true, force: true });
  // The first round warms caches.
  if (round > 0) for (const [name, time] of Object.entries(measured)) times[name].push(time);
}
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
console.log(
  `\nan image of ${files} files, ${Math.round(bytes / 2 ** 20)} MiB, medians of ${ROUNDS} interleaved rounds`,
);
for (const [name, values] of Object.entries(times))
  console.log(`  ${name.padEnd(40)} ${median(values).toFixed(0).padStart(6)} ms`);
const ratio =
  median(times["sandbox check image"]) / (median(times["skopeo copy"]) + median(times["umoci unpack"]));
console.log(
  `  ${"check / (skopeo copy + umoci unpack)".padEnd(40)} ${ratio.toFixed(2).padStart(6)}×  ≤ 0.50×`,
);

const preload = ["--import", join(dirname(fileURLToPath(import.meta.url)), "peak-memory.mjs")];
const peak = (image) => {
  check(image, ...preload);
  return Number(readFileSync(join(work, "peak"), "utf8")) / 1024;
};
console.log("\npeak memory of sandbox check image");
console.log(`  ${"that image".padEnd(40)} ${peak("image").toFixed(0).padStart(6)} MiB`);
if (!process.argv.includes("--quick")) {
  writeLarge(join(work, "large.tar"), 50_000, 20_900);
  console.log(
    `  ${"1 GiB in 50,000 files".padEnd(40)} ${peak("large.tar").toFixed(0).padStart(6)} MiB  ≤ 300 MiB`,
  );
}
