/**
 * Which Landlock this kernel has. No file says it: a distribution can bring an ABI to an older version, a boot parameter can turn
 * Landlock off, and a container's filter can refuse its calls. So landlock_create_ruleset(2) is asked, by a program of a few hundred
 * bytes that makes this one call and exits with the answer. It costs some milliseconds, so the answer is kept for as long as it must
 * hold: this boot, this kernel, this number of filters around us. A wrong one is never worse than seen: rights that are not there fail the
 * launch. "No Landlock" would not be seen, and another filter of the same number may let the question through: under filters it is not kept.
 */
import { readFileSync } from "node:fs";
import { cachePlace, readPrivate, writePrivate } from "../kernel/private-directory.ts";
import type { Arch } from "./facts.ts";

/**
 * 0: none; null: it could not be asked, twice. `cache`: the directory to keep the answer in; null: none; undefined: our own, for built code only. `renew`: what is kept
 * does not count.
 */
export async function findLandlockAbi(
  arch: Arch,
  { cache, renew = false }: { readonly cache?: string | null | undefined; readonly renew?: boolean },
): Promise<number | null> {
  const directory = cachePlace(cache);
  const filters = countFilters();
  const circumstances = describeCircumstances(arch, filters);
  const lasts = (answer: number): boolean => answer > 0 || filters.startsWith(UNFILTERED);
  const kept = directory === null || renew ? null : readAnswer(directory, circumstances);
  if (kept !== null && lasts(kept)) return kept;
  const { askKernel } = await import("./landlock-trial.ts");
  // What killed the first one may be over.
  const answer = askKernel(arch) ?? askKernel(arch);
  if (directory !== null && answer !== null && lasts(answer))
    writePrivate(directory, NAME, Buffer.from(`${circumstances}${answer}\n`));
  return answer;
}

const NAME = "landlock-abi";
const MAX_BYTES = 512;

/** Everything that the answer depends on, in a line. */
function describeCircumstances(arch: Arch, filters: string): string {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const release = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  return `sandbox-landlock-1 ${boot} ${release} ${arch} ${filters} `;
}

/** Mode and number of the seccomp filters that hold this process, as proc_pid_status(5) has them: "2/1". */
function countFilters(): string {
  const fields = readFileSync("/proc/self/status", "utf8").matchAll(/^Seccomp(?:_filters)?:\s*(\d+)$/gm);
  return [...fields].map(([, count]) => count).join("/");
}

/** SECCOMP_MODE_DISABLED */
const UNFILTERED = "0";

function readAnswer(directory: string, circumstances: string): number | null {
  const text = readPrivate(directory, NAME, MAX_BYTES)?.toString("utf8") ?? "";
  const answer = text.startsWith(circumstances) ? text.slice(circumstances.length) : "";
  return /^\d{1,3}\n$/.test(answer) ? Number(answer) : null;
}
