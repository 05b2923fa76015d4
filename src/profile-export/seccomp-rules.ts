/**
 * A profile's filter as rules that every container runtime loads as they are written. Takes the meaning of the filter and not its rules, because
 * runtimes read the same words otherwise: two conditions on one argument become alternatives, overlapping rules are ordered in their own way,
 * a rule equal to the default is dropped. Each rule here has one condition an argument at most, and no two rules overlap, so that none of this
 * matters. What is made is read again and proved equal before it is given out.
 */
import { type Abi, GO_ARCH, SCMP_ARCH, SERVED } from "../compile/seccomp/abi.ts";
import { ALL_ONES, CALL_WORDS, RET, type Verdict, WORD } from "../compile/seccomp/ir.ts";
import { normalise } from "../compile/seccomp/normalise.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import type { Arch } from "../host/facts.ts";
import { bug, type Checked } from "../problems.ts";
import { locate } from "../profile/provenance.ts";
import type { ResolvedProfile, SeccompArg, SeccompRule, SeccompSpec } from "../profile/spec.ts";
import { lets } from "../profile-rules/ask.ts";
import { type CompiledFilter, filterFacts } from "../profile-rules/filter-facts.ts";
import { setBit } from "../prove/call-bits.ts";
import { type Diagram, type Diagrams, FALSE, TRUE } from "../prove/diagram.ts";
import { meaningOfCondition } from "../prove/rules.ts";
import type { Left } from "./exported.ts";

/** In the shape of OCI `linux.seccomp`; rules that hold on one architecture only have `includes.arches`. */
export interface PortableFilter {
  readonly spec: SeccompSpec;
  /** OCI names of the native conventions it is for. */
  readonly architectures: readonly string[];
  /** Calls of which less gets through than the profile allows, because to say all of it takes too many rules. */
  readonly tightened: readonly string[];
}

/** Rules for one answer of one call: a filter has 4096 instructions, and libseccomp takes some six for each comparison of an argument. */
const MOST_RULES = 80;

/** The filter of a profile; null: it has none. Problems: its rules are wrong. */
export function portableFilter(profile: ResolvedProfile): Checked<PortableFilter | null> {
  const { seccomp, capabilities } = profile.spec;
  if (seccomp === null) return { ok: true, value: null };
  const filters = filterFacts(seccomp, capabilities.bounding, (pointer) => locate(profile, pointer));
  if (!filters.ok) return filters;
  const perArch: { readonly filter: CompiledFilter; readonly rules: ArchRules }[] = [];
  for (const filter of filters.value) {
    const rules = rulesOf(filter);
    if (typeof rules === "string")
      return {
        ok: false,
        problems: [
          {
            kind: "seccomp-rule",
            where: locate(profile, "/seccomp"),
            pointer: "/seccomp",
            message: `container runtimes cannot be told what the filter says of ${rules} in fewer than ${MOST_RULES} rules`,
            hint: "refuse by default, and allow with simpler conditions",
          },
        ],
      };
    perArch.push({ filter, rules });
  }
  const fallback = filters.value[0]?.rules.policy.fallback ?? RET.killProcess;
  const keys = perArch.map(({ rules: { rules } }) => new Set(rules.keys()));
  const syscalls = perArch.flatMap(({ filter, rules }, index) =>
    [...rules.rules].flatMap(([key, rule]): readonly SeccompRule[] => {
      const others = keys.filter((_, other) => other !== index);
      const everywhere = others.every((known) => known.has(key));
      // Said once, by the first architecture that has it.
      if (everywhere) return index === 0 ? [rule] : [];
      return [{ ...rule, includes: { arches: [GO_ARCH[filter.arch]] } }];
    }),
  );
  const spec: SeccompSpec = { ...actionOf(fallback, "default"), syscalls: grouped(syscalls) };
  const tightened = [...new Set(perArch.flatMap(({ rules }) => [...rules.tightened]))];
  for (const filter of filters.value) prove(spec, filter, tightened);
  return {
    ok: true,
    value: {
      spec,
      architectures: filters.value.map(({ arch }) => SCMP_ARCH[SERVED[arch][0] as Abi]),
      tightened,
    },
  };
}

/** The rules that hold on one kind of machine, without conditions on it: for targets that have no such conditions. */
export function machineRules(
  filter: PortableFilter,
  arch: Arch,
): Pick<SeccompSpec, "architectures" | "syscalls"> {
  return {
    architectures: [SCMP_ARCH[SERVED[arch][0] as Abi]],
    syscalls: filter.spec.syscalls.flatMap(({ includes, ...rule }) =>
      includes?.arches === undefined || includes.arches.includes(GO_ARCH[arch]) ? [rule] : [],
    ),
  };
}

interface ArchRules {
  /** By a text that is equal for equal rules. */
  readonly rules: ReadonlyMap<string, SeccompRule>;
  /** Calls of which less gets through than the profile allows. */
  readonly tightened: ReadonlySet<string>;
}

/** Every answer but the default; the name of a call that cannot be told in few rules. */
function rulesOf({ arch, rules: { policy }, asked }: CompiledFilter): ArchRules | string {
  const abi = SERVED[arch][0] as Abi;
  const d = asked.prover.diagrams;
  const rules = new Map<string, SeccompRule>();
  const tightened = new Set<string>();
  const known = new Map<Diagram, ReturnType<typeof cubesOf>>();
  const cubesWhere = (where: Diagram): ReturnType<typeof cubesOf> => {
    const before = known.get(where);
    if (before !== undefined) return before;
    const cubes = cubesOf(d, where);
    known.set(where, cubes);
    return cubes;
  };
  for (const [name, nr] of syscallTable(abi).numbers) {
    const rest = asked.ofCall(abi, nr);
    for (const verdict of d.answers(rest)) {
      if (verdict === policy.fallback) continue;
      const where = d.where(rest, rest, (each) => each === verdict);
      const exact = cubesWhere(where);
      if (exact === null) tightened.add(name);
      // A refusal with another error number gives way to the default, if that refuses as well.
      const cubes = exact ?? (lets(verdict) ? narrowed(d, where) : lets(policy.fallback) ? null : []);
      if (cubes === null) return name;
      for (const args of cubes) {
        const rule: SeccompRule = {
          names: [name],
          ...actionOf(verdict, "rule"),
          ...(args.length === 0 ? {} : { args }),
        };
        rules.set(keyOf(rule), rule);
      }
    }
  }
  return { rules, tightened };
}

/** As much of a condition as few rules can say: with one argument zero, which is "the caller itself" where it is a process. */
function narrowed(d: Diagrams, condition: Diagram): readonly (readonly SeccompArg[])[] | null {
  const choices = [0, 1, 2, 3, 4, 5].flatMap((index) => {
    const zero = meaningOfCondition(d, { index, operator: "eq", mask: 0xffffffffn, value: 0n });
    const cubes = cubesOf(d, d.and(condition, zero));
    return cubes === null || cubes.length === 0 ? [] : [cubes];
  });
  // The widest that fits: the fewest bits fixed in all.
  const fixed = (cubes: readonly (readonly SeccompArg[])[]): number =>
    cubes.reduce((sum, args) => sum + args.length, 0) / cubes.length;
  return choices.toSorted((a, b) => fixed(a) - fixed(b) || a.length - b.length)[0] ?? null;
}

const keyOf = (rule: SeccompRule): string =>
  JSON.stringify(rule, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value));

/**
 * Masked comparisons that together hold where the condition does. Each begins as a path to TRUE, which fixes bits, and then gives up every bit
 * that it can without holding anywhere else: few wide rules instead of many narrow ones. They may overlap, since all get the same answer. Null:
 * it takes more than MOST_RULES.
 */
function cubesOf(d: Diagrams, condition: Diagram): readonly (readonly SeccompArg[])[] | null {
  const found: (readonly SeccompArg[])[] = [];
  // By level: the value of a fixed bit, or FREE.
  const fixed = new Int8Array(32 * CALL_WORDS).fill(FREE);
  let left = condition;
  while (left !== FALSE) {
    if (found.length === MOST_RULES) return null;
    const path = pathOf(d, left);
    for (const { level, value } of path) fixed[level] = Number(value);
    for (const { level, value } of path) {
      fixed[level] = FREE;
      if (!isWithin(d, fixed, condition)) fixed[level] = Number(value);
    }
    const bits = path.filter(({ level }) => fixed[level] !== FREE);
    left = d.and(left, d.not(toDiagram(d, bits)));
    found.push(toArgs(bits));
    for (const { level } of bits) fixed[level] = FREE;
  }
  return found;
}

const FREE = -1;

/** A bit of the arguments and its value; by level, highest bits of the first argument first. */
interface FixedBit {
  readonly level: number;
  readonly value: boolean;
}

function pathOf(d: Diagrams, condition: Diagram): readonly FixedBit[] {
  const bits: FixedBit[] = [];
  let node = condition;
  while (node !== TRUE) {
    const level = d.levelOf(node);
    const value = d.branch(node, level, false) === FALSE;
    bits.push({ level, value });
    node = d.branch(node, level, value);
  }
  return bits;
}

/** Whether a condition holds wherever these bits are so. Walks; makes nothing. */
function isWithin(d: Diagrams, fixed: Int8Array, condition: Diagram): boolean {
  const seen = new Set<Diagram>();
  const visit = (node: Diagram): boolean => {
    if (node === TRUE || seen.has(node)) return true;
    if (node === FALSE) return false;
    const level = d.levelOf(node);
    const value = fixed[level];
    if (value !== 1 && !visit(d.branch(node, level, false))) return false;
    if (value !== 0 && !visit(d.branch(node, level, true))) return false;
    seen.add(node);
    return true;
  };
  return visit(condition);
}

function toDiagram(d: Diagrams, bits: readonly FixedBit[]): Diagram {
  return bits.reduceRight(
    (rest, { level, value }) => (value ? d.node(level, FALSE, rest) : d.node(level, rest, FALSE)),
    TRUE,
  );
}

function toArgs(path: readonly FixedBit[]): readonly SeccompArg[] {
  const mask = new Uint32Array(CALL_WORDS);
  const value = new Uint32Array(CALL_WORDS);
  for (const bit of path) {
    setBit(mask, bit.level, true);
    setBit(value, bit.level, bit.value);
  }
  const wide = (words: Uint32Array, index: number): bigint => {
    const at = WORD.args + 2 * index;
    return (BigInt((words[at + 1] as number) >>> 0) << 32n) | BigInt((words[at] as number) >>> 0);
  };
  return [0, 1, 2, 3, 4, 5].flatMap((index): readonly SeccompArg[] => {
    const bits = wide(mask, index);
    if (bits === 0n) return [];
    const wanted = wide(value, index);
    if (bits === ALL_ONES) return [{ index, op: "SCMP_CMP_EQ", value: wanted, valueTwo: 0n }];
    return [{ index, op: "SCMP_CMP_MASKED_EQ", value: bits, valueTwo: wanted }];
  });
}

const ACTIONS: ReadonlyMap<number, string> = new Map([
  [RET.killProcess, "SCMP_ACT_KILL_PROCESS"],
  [RET.killThread, "SCMP_ACT_KILL_THREAD"],
  [RET.trap, "SCMP_ACT_TRAP"],
  [RET.errno, "SCMP_ACT_ERRNO"],
  [RET.log, "SCMP_ACT_LOG"],
  [RET.allow, "SCMP_ACT_ALLOW"],
]);

function actionOf(verdict: Verdict, of: "rule"): Pick<SeccompRule, "action" | "errnoRet">;
function actionOf(verdict: Verdict, of: "default"): Pick<SeccompSpec, "defaultAction" | "defaultErrnoRet">;
function actionOf(verdict: Verdict, of: "rule" | "default"): unknown {
  const base = (verdict & 0xffff0000) >>> 0;
  const action = ACTIONS.get(base) ?? bug(`no action is called 0x${base.toString(16)}`);
  const number = base === RET.errno ? verdict & 0xffff : undefined;
  if (of === "default")
    return { defaultAction: action, ...(number === undefined ? {} : { defaultErrnoRet: number }) };
  return { action, ...(number === undefined ? {} : { errnoRet: number }) };
}

/** Rules that differ in their names only become one. */
function grouped(rules: readonly SeccompRule[]): readonly SeccompRule[] {
  const byRest = new Map<string, SeccompRule>();
  for (const rule of rules) {
    const key = keyOf({ ...rule, names: [] });
    const known = byRest.get(key);
    byRest.set(key, known === undefined ? rule : { ...known, names: [...known.names, ...rule.names] });
  }
  return [...byRest.values()].map((rule) => ({ ...rule, names: rule.names.toSorted() }));
}

/**
 * What is given out answers every known call of the native convention as the profile does; those that were tightened let nothing through that the
 * profile refuses. Or it is not given out.
 */
function prove(
  spec: SeccompSpec,
  { arch, rules: { target }, asked }: CompiledFilter,
  tightened: readonly string[],
): void {
  const abi = SERVED[arch][0] as Abi;
  const again = normalise(spec, target);
  if (!again.ok) return bug(`the exported rules cannot be read: ${again.problems[0]?.message}`);
  const meaning = asked.prover.rules(again.value.policy);
  if ("reason" in meaning) return bug(`the exported rules cannot be decided: ${meaning.reason}`);
  const d = asked.prover.diagrams;
  for (const [name, nr] of syscallTable(abi).numbers) {
    const made = asked.prover.ofCall(meaning, abi, nr);
    const meant = asked.ofCall(abi, nr);
    const wrong = tightened.includes(name)
      ? d.where(made, meant, (a, b) => lets(a) && !lets(b)) !== FALSE
      : made !== meant;
    if (wrong) return bug(`the exported rules are not the profile's for ${name} on ${arch}`);
  }
}

/** What the exported filter refuses although the profile allows it. */
export function tightenedLeft({ tightened }: PortableFilter): readonly Left[] {
  return tightened.map((name) => ({
    pointer: "/seccomp/syscalls",
    what: `all that the profile allows of ${name}: with other arguments than the common ones it is refused, since runtimes cannot be told it in few rules`,
  }));
}

/** JSON whose whole numbers of 64 bits are numbers, as runtimes read them. */
export function toExactJson(value: unknown): string {
  const marked = JSON.stringify(
    value,
    (_, inner: unknown) => (typeof inner === "bigint" ? `\u0000${inner}\u0000` : inner),
    2,
  );
  return marked.replaceAll(/"\\u0000(\d+)\\u0000"/g, "$1");
}
