/**
 * What a proof costs, each in a process of its own: from the loaded code to the conclusion, cold. Prints JSON: milliseconds of time and of CPU time, and the
 * process's peak memory. Run by run.mjs; `node bench/prove.mjs QUESTION` for one.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const top = resolve(fileURLToPath(new URL("..", import.meta.url)));
const { comparePolicies, profileFiles, programOf, provePolicies, readPolicy } = await import(
  join(top, "dist/toolkit.js")
);

const PODMAN = "/usr/share/containers/seccomp.json";
const circumstances = { cwd: top, capabilities: null, kernel: { major: 99, minor: 0 } };
const two = (first, second) => ({ ...circumstances, first, second, machines: ["x86_64"] });
const files = profileFiles();

/** Question -> what answers it; true when the answer is the one that is known. */
const QUESTIONS = {
  "strict's own filter equals its rules": () => {
    const read = readPolicy({ ...circumstances, name: "strict", arch: "x86_64" }, files);
    return read.ok && programOf(read.value.filter).ok;
  },
  "strict at most standard, system calls": () =>
    provePolicies(two("strict", "standard"), "at-most", files).value?.calls[0]?.result.kind === "proved",
  "a container engine's default against Podman's, every difference": () =>
    comparePolicies(two("test/seccomp/container-default.json", PODMAN), files).ok,
};

const [question] = process.argv.slice(2);
if (question === undefined) {
  console.log(
    JSON.stringify(Object.keys(QUESTIONS).filter((name) => !name.includes("Podman") || existsSync(PODMAN))),
  );
} else {
  const before = performance.now();
  const used = process.cpuUsage();
  if (!QUESTIONS[question]?.()) throw new Error(`${question}: not the answer that is known`);
  const milliseconds = performance.now() - before;
  const { user, system } = process.cpuUsage(used);
  const cpu = (user + system) / 1000;
  console.log(JSON.stringify({ milliseconds, cpu, megabytes: process.resourceUsage().maxRSS / 1024 }));
}
