/**
 * A policy on two kernels: which calls of the one that the other does not have it exposes, breaks or hides. Takes names of a policy and of two kernels, each a
 * release or a file with a kernel's calls; gives every new call, or every mistake. Needs neither kernel.
 */
import { resolve } from "node:path";
import type { Abi } from "./compile/seccomp/abi.ts";
import { GROUPS } from "./compile/seccomp/groups.ts";
import {
  callsOfRelease,
  isKnownRelease,
  NEWEST_RELEASE,
  OLDEST_RELEASE,
  parseRelease,
} from "./compile/seccomp/since.ts";
import { type NewCalls, newCallsOf } from "./divergence/new-calls.ts";
import { meaningOf } from "./policy-input/meaning.ts";
import { type InputQuestion, type PolicyInput, readPolicy } from "./policy-input/read.ts";
import { readSyscallTable } from "./policy-input/syscall-table.ts";
import type { Checked, Problem } from "./problems.ts";
import type { ProfileFiles } from "./profile/resolve.ts";
import { Prover, type Unknown } from "./prove/prover.ts";
import { machineOf } from "./simulate.ts";

export interface KernelComparison extends Omit<InputQuestion, "arch"> {
  /** A release such as "6.1", or a file. */
  readonly from: string;
  readonly to: string;
  readonly abi: Abi;
}

export interface ComparedKernels {
  readonly policy: PolicyInput;
  readonly result: NewCalls | Unknown;
}

/** What the policy makes of the calls by which the second kernel differs from the first. */
export function compareKernels(question: KernelComparison, files: ProfileFiles): Checked<ComparedKernels> {
  const { abi, cwd } = question;
  const policy = readPolicy({ ...question, arch: machineOf(abi) }, files);
  const from = readKernel(question.from, "--from", abi, cwd, files);
  const to = readKernel(question.to, "--to", abi, cwd, files);
  if (!policy.ok || !from.ok || !to.ok) {
    const problems = [policy, from, to].flatMap((read) => (read.ok ? [] : read.problems));
    return { ok: false, problems };
  }
  const prover = new Prover();
  const meaning = meaningOf(prover, policy.value.filter);
  const tables = { from: from.value, to: to.value, named: namedBy(policy.value.filter) };
  const result = newCallsOf(prover, meaning, abi, tables);
  return {
    ok: true,
    value: { policy: policy.value, result },
  };
}

/** The calls that rules speak of; a program speaks of numbers only. */
function namedBy(filter: PolicyInput["filter"]): ReadonlySet<string> {
  const names = filter.kind === "rules" ? filter.spec.syscalls.flatMap((rule) => rule.names) : [];
  return new Set(
    names.flatMap((name) => (Object.hasOwn(GROUPS, name) ? (GROUPS[name]?.calls ?? []) : [name])),
  );
}

function readKernel(
  name: string,
  flag: string,
  abi: Abi,
  cwd: string,
  files: ProfileFiles,
): Checked<ReadonlyMap<string, number>> {
  const refuse = (message: string, more: Pick<Problem, "expected" | "hint">): Checked<never> => {
    const where = { kind: "flag", flag } as const;
    return { ok: false, problems: [{ kind: "flag-invalid", where, pointer: "", message, ...more }] };
  };
  const release = parseRelease(name);
  if (release !== null) {
    if (isKnownRelease(release)) return { ok: true, value: callsOfRelease(abi, release) };
    return refuse(`the calls of Linux ${name} are not known here`, {
      expected: `${OLDEST_RELEASE} to ${NEWEST_RELEASE}`,
      hint: "or the kernel's own table, such as arch/x86/entry/syscalls/syscall_64.tbl",
    });
  }
  const bytes = files.read(resolve(cwd, name));
  if (bytes instanceof Uint8Array) return readSyscallTable(bytes, name, abi);
  return refuse(
    bytes === null ? `there is no file ${JSON.stringify(name)}` : `${JSON.stringify(name)}: ${bytes.reason}`,
    {
      expected: "a release such as 6.1, or a file with a kernel's system calls",
    },
  );
}
