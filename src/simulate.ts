/**
 * One call put to a policy's filter: the program that a kernel would run, run by our evaluator. Takes a policy's name and a call by name or number; gives
 * the verdict through every ABI asked for and the instructions that led to it, or every mistake.
 */
import { type Abi, AUDIT_ARCH, SERVED } from "./compile/seccomp/abi.ts";
import type { Bpf } from "./compile/seccomp/decode.ts";
import { evaluate } from "./compile/seccomp/evaluate.ts";
import { type Call, call, effective, type Verdict } from "./compile/seccomp/ir.ts";
import { allSyscalls, isSyscall, syscallTable } from "./compile/seccomp/tables.ts";
import type { Arch } from "./host/facts.ts";
import { programOf } from "./policy-input/meaning.ts";
import { type InputQuestion, type PolicyInput, readPolicy } from "./policy-input/read.ts";
import type { Checked, Problem } from "./problems.ts";
import { nearest } from "./profile/nearest.ts";
import type { ProfileFiles } from "./profile/resolve.ts";
import { disassemble, type Line } from "./prove/disassemble.ts";

export interface Simulation extends Omit<InputQuestion, "arch"> {
  /** A name of the tables, or a number, decimal or hexadecimal. */
  readonly call: string;
  /** Up to six, 64 bits each. */
  readonly args: readonly bigint[];
  /** Address of the instruction that makes the call. */
  readonly ip: bigint;
  readonly abis: readonly Abi[];
}

export interface Simulated {
  readonly abi: Abi;
  readonly policy: PolicyInput;
  readonly call: Call;
  readonly verdict: Verdict;
  /** The instructions that ran, in their order. */
  readonly trace: readonly Line[];
}

/** The machine whose kernel serves an ABI. */
export function machineOf(abi: Abi): Arch {
  return SERVED.x86_64.includes(abi) ? "x86_64" : "aarch64";
}

/** The verdict for each ABI that has the call. */
export function simulate(simulation: Simulation, files: ProfileFiles): Checked<readonly Simulated[]> {
  const { call: name, args, ip, abis, ...question } = simulation;
  const numbered = abis.flatMap((abi) => {
    const nr = numberOf(name, abi);
    return nr === null ? [] : [{ abi, nr }];
  });
  if (numbered.length === 0) return { ok: false, problems: [noSuchCall(name, abis)] };
  const results: Simulated[] = [];
  for (const { abi, nr } of numbered) {
    const policy = readPolicy({ ...question, arch: machineOf(abi) }, files);
    if (!policy.ok) return policy;
    const program = programOf(policy.value.filter);
    if (!program.ok) return program;
    const words = call(AUDIT_ARCH[abi], nr, args, ip);
    results.push({ abi, policy: policy.value, call: words, ...run(program.value, words) });
  }
  return { ok: true, value: results };
}

function run(bpf: Bpf, words: Call): Pick<Simulated, "verdict" | "trace"> {
  const seen = new Uint8Array(bpf.length);
  const verdict = effective(evaluate(bpf, words, seen));
  // Jumps only lead forward: what ran, ran in this order.
  return { verdict, trace: disassemble(bpf, words).filter(({ pc }) => seen[pc] === 1) };
}

/** The number of a call on an ABI; null where it has none of that name. */
function numberOf(name: string, abi: Abi): number | null {
  if (/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(name)) {
    const number = Number(name);
    return number <= 0xffffffff ? number : null;
  }
  return syscallTable(abi).numbers.get(name) ?? null;
}

function noSuchCall(name: string, abis: readonly Abi[]): Problem {
  const suggestion = isSyscall(name) ? undefined : nearest(name, allSyscalls());
  return {
    kind: "flag-invalid",
    where: { kind: "flag", flag: "CALL" },
    pointer: "",
    message: `${name} is not a call of ${abis.join(" or ")}`,
    expected: "a name, or a number of 32 bits",
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}
