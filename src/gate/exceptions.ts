/** The files beside a policy: waivers and the baseline, read through the same interface as policies. */
import type { Checked, Problem, Provenance } from "../problems.ts";
import { type Baseline, readBaseline } from "./baseline.ts";
import { GATE_RULES } from "./own-rules.ts";
import { joinPath } from "./paths.ts";
import type { PolicyFiles } from "./policy.ts";
import type { Registry } from "./rule.ts";
import { readWaivers, type Waiver } from "./waivers.ts";

export interface ExceptionFiles {
  readonly waivers: readonly string[];
  readonly baseline: string | null;
  /** A baseline that does not exist yet is empty-handed, not a mistake: it will be made. */
  readonly baselineMayBeMissing: boolean;
}

export interface Exceptions {
  readonly waivers: readonly Waiver[];
  /** null: none was asked for, or it does not exist yet. */
  readonly baseline: Baseline | null;
}

export function readExceptions<F>(
  { waivers, baseline, baselineMayBeMissing }: ExceptionFiles,
  registry: Registry<F>,
  cwd: string,
  files: PolicyFiles,
): Checked<Exceptions> {
  const problems: Problem[] = [];
  const rules = [...registry.rules, ...GATE_RULES].map(({ id }) => id);
  const take = <T>(checked: Checked<T>): T | null => {
    if (checked.ok) return checked.value;
    problems.push(...checked.problems);
    return null;
  };
  const read = (
    path: string,
    kind: Problem["kind"],
    flag: string,
    mayBeMissing: boolean,
  ): Uint8Array | null => {
    const bytes = files.read(joinPath(cwd, path));
    if (bytes instanceof Uint8Array) return bytes;
    const where: Provenance = { kind: "flag", flag };
    const shown = JSON.stringify(path);
    if (bytes !== null) problems.push({ kind, where, pointer: "", message: `${shown}: ${bytes.reason}` });
    else if (!mayBeMissing) {
      const hint = kind === "baseline-invalid" ? { hint: "--update-baseline makes it" } : {};
      problems.push({ kind, where, pointer: "", message: `there is no file ${shown}`, ...hint });
    }
    return null;
  };
  const granted = waivers.flatMap((path) => {
    const bytes = read(path, "waiver-invalid", "--waivers", false);
    return bytes === null ? [] : (take(readWaivers(bytes, path, rules)) ?? []);
  });
  const bytes =
    baseline === null ? null : read(baseline, "baseline-invalid", "--baseline", baselineMayBeMissing);
  const known = bytes === null || baseline === null ? null : take(readBaseline(bytes, baseline));
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, value: { waivers: granted, baseline: known } };
}
