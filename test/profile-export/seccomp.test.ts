/** The exported filter is the profile's: as it is written, and as libseccomp loads it for a container runtime. */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode } from "../../src/compile/seccomp/decode.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import type { Arch } from "../../src/host/facts.ts";
import type { SeccompRule, SeccompSpec } from "../../src/profile/spec.ts";
import {
  machineRules,
  type PortableFilter,
  portableFilter,
  toExactJson,
} from "../../src/profile-export/seccomp-rules.ts";
import { lets } from "../../src/profile-rules/ask.ts";
import { filterFacts } from "../../src/profile-rules/filter-facts.ts";
import { need } from "../host/needs.ts";
import { resolved } from "../profile-rules/facts.ts";

const LOADER = fileURLToPath(new URL("load.py", import.meta.url));

const known = new Map<string, PortableFilter>();
const exported = (name: string): PortableFilter => {
  const before = known.get(name);
  if (before !== undefined) return before;
  const made = portableFilter(resolved(name));
  if (!made.ok || made.value === null) throw new Error("no filter");
  known.set(name, made.value);
  return made.value;
};

describe("exported rules", () => {
  it.each(["strict", "standard"])(
    "of %s have one condition an argument at most, and fit into a filter",
    (name) => {
      const { spec } = exported(name);
      for (const { args = [] } of spec.syscalls)
        expect(new Set(args.map(({ index }) => index)).size).toBe(args.length);
      expect(spec.syscalls.length).toBeLessThan(400);
    },
  );

  it("are for both architectures, with what differs conditional", () => {
    const filter = exported("strict");
    expect(filter.architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]);
    const names = (arch: Arch) => new Set(machineRules(filter, arch).syscalls.flatMap((rule) => rule.names));
    expect([names("x86_64").has("open"), names("aarch64").has("open")]).toEqual([true, false]);
    expect([names("x86_64").has("openat"), names("aarch64").has("openat")]).toEqual([true, true]);
  });

  it("have numbers of 64 bits as numbers, to the last digit", () => {
    expect(toExactJson({ value: 0xfffffffffffffffen, other: 1n })).toBe(
      '{\n  "value": 18446744073709551614,\n  "other": 1\n}',
    );
  });

  it("of random filters are the filter again, or refuse more and say so", { timeout: 60_000 }, () => {
    const base = resolved("strict");
    const rule: fc.Arbitrary<SeccompRule> = fc.record({
      names: fc.subarray(["socket", "clone", "ioctl", "read", "prctl"], { minLength: 1 }),
      action: fc.constantFrom("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"),
      errnoRet: fc.constantFrom(1, 97),
      args: fc.array(
        fc.record({
          index: fc.constantFrom(0, 1),
          op: fc.constantFrom(
            "SCMP_CMP_EQ",
            "SCMP_CMP_NE",
            "SCMP_CMP_LE",
            "SCMP_CMP_GT",
            "SCMP_CMP_MASKED_EQ",
          ),
          value: fc.constantFrom(0xffn, 0xffffffffn, 38n, 0x5412n, 0x7e020000n),
          valueTwo: fc.constantFrom(0n, 2n),
        }),
        { maxLength: 3 },
      ),
    });
    const filter: fc.Arbitrary<SeccompSpec> = fc.record({
      defaultAction: fc.constantFrom("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"),
      syscalls: fc.array(rule, { maxLength: 5 }),
    });
    let exact = 0;
    fc.assert(
      fc.property(filter, (seccomp) => {
        // What it gives out is proved, or it throws. Conditions that can never hold, and what takes too many rules, are problems.
        const made = portableFilter({ ...base, spec: { ...base.spec, seccomp } });
        if (made.ok && made.value?.tightened.length === 0) exact += 1;
        const kinds = made.ok ? [] : made.problems.map(({ kind }) => kind);
        expect(kinds.filter((kind) => kind !== "seccomp-rule")).toEqual([]);
      }),
      { numRuns: 16, seed: 5 },
    );
    expect(exact).toBeGreaterThan(4);
  });
});

describe("loaded by libseccomp as a container runtime does", () => {
  it.for(["strict", "standard"])(
    "%s is proved to be the profile's filter",
    { timeout: 60_000 },
    (name, context) => {
      need(context, existsSync("/usr/bin/python3"), "python3 is not installed");
      const bindings = spawnSync("/usr/bin/python3", ["-c", "import seccomp"]);
      need(context, bindings.status === 0, "python3-seccomp is not installed");
      const profile = resolved(name);
      const loaded = spawnSync("/usr/bin/python3", [LOADER], {
        input: toExactJson(exported(name).spec),
        maxBuffer: 1 << 22,
      });
      expect([loaded.status, loaded.status === 0 ? "" : loaded.stderr.toString()]).toEqual([0, ""]);
      const unknown = new Set(loaded.stderr.toString().trim().split(" "));
      const decoded = decode(loaded.stdout);
      if (!decoded.ok || profile.spec.seccomp === null) throw new Error("not a filter");
      expect(decoded.bpf.length).toBeLessThan(4096);
      const facts = filterFacts(profile.spec.seccomp, [], () => ({ kind: "default" }));
      const own = facts.ok ? facts.value.find(({ arch }) => arch === "x86_64") : undefined;
      if (own === undefined) throw new Error("no filter");
      const { prover } = own.asked;
      const theirs = prover.filter(decoded.bpf);
      if ("reason" in theirs) throw new Error(theirs.reason);
      const { tightened } = exported(name);
      const differing: string[] = [];
      const looser: string[] = [];
      for (const [call, nr] of syscallTable("x86_64").numbers) {
        const [a, b] = [prover.ofCall(theirs, "x86_64", nr), own.asked.ofCall("x86_64", nr)];
        if (a !== b) differing.push(call);
        const nowhere = prover.diagrams.where(a, b, (one, other) => lets(one) && !lets(other));
        if (prover.diagrams.isEnd(nowhere) ? prover.diagrams.valueOf(nowhere) !== 0 : true) looser.push(call);
      }
      expect(looser).toEqual([]);
      expect(differing.filter((call) => !unknown.has(call) && !tightened.includes(call))).toEqual([]);
    },
  );
});
