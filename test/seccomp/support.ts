/** What the tests of this directory share: specs from profile JSON, targets, and skips that say why. */
import { readFileSync } from "node:fs";
import type { FilterTarget } from "../../src/compile/seccomp/target.ts";
import type { Arch } from "../../src/host/facts.ts";
import type { Checked } from "../../src/problems.ts";
import type { SeccompRule, SeccompSpec } from "../../src/profile/spec.ts";

export function target(arch: Arch = "x86_64", capabilities: readonly string[] = []): FilterTarget {
  return { arch, capabilities, kernel: { major: 6, minor: 1 } };
}

interface JsonArg {
  readonly index: number;
  readonly op: string;
  readonly value: string | number;
  readonly valueTwo?: string | number;
}
type JsonRule = Omit<SeccompRule, "args"> & { readonly args?: readonly JsonArg[] };

/** The `seccomp` member of a shipped profile. */
export function shipped(name: string): SeccompSpec {
  const file = new URL(`../../profiles/${name}.json`, import.meta.url);
  const { seccomp } = JSON.parse(readFileSync(file, "utf8")) as {
    seccomp: SeccompSpec & { readonly syscalls: readonly JsonRule[] };
  };
  return allowList(seccomp.syscalls, seccomp);
}

/** A spec that answers EPERM but for the rules given. */
export function allowList(rules: readonly JsonRule[], more: Partial<SeccompSpec> = {}): SeccompSpec {
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    ...more,
    syscalls: rules.map((rule) => ({
      ...rule,
      args: (rule.args ?? []).map((arg) => ({
        ...arg,
        value: BigInt(arg.value),
        valueTwo: BigInt(arg.valueTwo ?? 0),
      })),
    })),
  };
}

export function valueOf<T>(checked: Checked<T>): T {
  if (!checked.ok) throw new Error(checked.problems.map((problem) => problem.message).join("; "));
  return checked.value;
}

/** Whether to skip; says so, and fails instead where everything must work. */
export function skipUnless(present: boolean, reason: string): boolean {
  if (present) return false;
  if (process.env["SANDBOX_MUST_WORK"] === "1") throw new Error(`must work here: ${reason}`);
  console.log(`skipped: ${reason}`);
  return true;
}
