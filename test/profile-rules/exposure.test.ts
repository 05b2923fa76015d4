/** The exposure score never rises when something is taken away. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SeccompRule, SeccompSpec } from "../../src/profile/spec.ts";
import { type Exposure, exposureOf } from "../../src/profile-rules/exposure.ts";
import { type ProfileFacts, profileFacts } from "../../src/profile-rules/facts.ts";
import { type Change, factsOf, filterOf, resolved } from "./facts.ts";

const LISTS = ["bounding", "permitted", "effective"] as const;
const capability = (...names: readonly string[]): readonly Change[] =>
  LISTS.map((set) => [`/capabilities/${set}`, names] as const);

/** strict with a filter that is compiled in no time. */
const SMALL: Change = filterOf("SCMP_ACT_ERRNO", {
  names: ["@basic-io", "execve"],
  action: "SCMP_ACT_ALLOW",
});
const small = (changes: readonly Change[] = []): ProfileFacts => factsOf("strict", [SMALL, ...changes]);

/** Changes that each permit more and never less, and that do not hinder one another. */
const LOOSER: readonly (readonly Change[])[] = [
  [
    ["/namespaces/network", false],
    ["/network/mode", "host"],
  ],
  [["/namespaces/user", false]],
  [["/namespaces/ipc", false]],
  [["/namespaces/time", false]],
  [["/lsm/type", "none"]],
  capability("CAP_CHOWN", "CAP_SYS_ADMIN"),
  [
    ["/identity/allowRoot", true],
    ["/identity/uid", 0],
  ],
  [["/filesystem/write", "ephemeral"]],
  [["/filesystem/workdir", "rw"]],
  [["/filesystem/proc", "full"]],
  [["/filesystem/mounts/0/options", ["exec"]]],
  [["/filesystem/mounts/-", { type: "bind", source: "/srv", target: "/srv", options: ["rw"] }]],
  [["/seccomp/syscalls/-", { names: ["@debug", "@io-uring", "@bpf"], action: "SCMP_ACT_ALLOW" }]],
  [
    [
      "/seccomp/syscalls/-",
      { names: ["@namespaces"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, op: "SCMP_CMP_LT", value: 9 }] },
    ],
  ],
  [["/seccomp/architectures", ["SCMP_ARCH_X32", "SCMP_ARCH_ARM"]]],
  [["/resources/memory", "2G"]],
  [["/resources/pids", 1000]],
  [["/resources/wallTime", null]],
  [["/resources/openFiles", null]],
  [["/resources/coreSize", "1M"]],
];

function expectAtMost(tighter: Exposure, looser: Exposure): void {
  expect(tighter.score).toBeLessThanOrEqual(looser.score);
  for (const [index, part] of tighter.parts.entries())
    expect([part.about, part.points <= (looser.parts[index]?.points ?? 0)]).toEqual([part.about, true]);
}

describe("exposure", () => {
  it("rises or stays with every change that permits more, whatever else is permitted", () => {
    const known = new Map<string, Exposure>();
    const scoreOf = (chosen: readonly number[]): Exposure => {
      const key = chosen.join();
      const found = known.get(key) ?? exposureOf(small(chosen.flatMap((index) => LOOSER[index] ?? [])));
      known.set(key, found);
      return found;
    };
    const subset = fc.subarray([...LOOSER.keys()]);
    fc.assert(
      fc.property(subset, fc.integer({ min: 0, max: LOOSER.length - 1 }), (some, one) => {
        const without = some.filter((index) => index !== one);
        expectAtMost(scoreOf(without), scoreOf([...without, one].toSorted((a, b) => a - b)));
      }),
      { numRuns: 30, seed: 7 },
    );
  });

  it.each(LOOSER.map((changes) => [JSON.stringify(changes), changes] as const))(
    "notices %s",
    (_text, changes) => {
      expect(exposureOf(small(changes)).score).toBeGreaterThanOrEqual(exposureOf(small()).score);
      const points = (facts: ProfileFacts): number =>
        exposureOf(facts).parts.reduce((sum, part) => sum + part.points, 0);
      expect(points(small(changes))).toBeGreaterThan(points(small()));
    },
  );

  it("of a filter that is proved to permit at most what another one does is at most that one's", () => {
    const profile = resolved("strict");
    const factsWith = (seccomp: SeccompSpec): ProfileFacts => {
      const facts = profileFacts({ ...profile, spec: { ...profile.spec, seccomp } });
      if (!facts.ok) throw new Error(JSON.stringify(facts.problems));
      return facts.value;
    };
    const rule: fc.Arbitrary<SeccompRule> = fc.record({
      names: fc.subarray(["socket", "clone", "unshare", "bpf", "ptrace", "ioctl", "mmap", "memfd_create"], {
        minLength: 1,
      }),
      action: fc.constantFrom("SCMP_ACT_ALLOW", "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG"),
      args: fc.array(
        fc.record({
          index: fc.constantFrom(0, 1, 2),
          op: fc.constantFrom("SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LE", "SCMP_CMP_GE"),
          value: fc.constantFrom(1n, 2n, 16n, 38n, 0x5412n, 0x10000000n),
          valueTwo: fc.constant(0n),
        }),
        { maxLength: 2 },
      ),
    });
    const filter: fc.Arbitrary<SeccompSpec> = fc.record({
      defaultAction: fc.constantFrom("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"),
      architectures: fc.subarray(["SCMP_ARCH_X86"]),
      syscalls: fc.array(rule, { minLength: 1, maxLength: 4 }),
    });
    let proved = 0;
    fc.assert(
      fc.property(filter, rule, fc.nat(3), (base, more, at) => {
        // Neighbours: one rule more, or one less; which of them is looser is for the proof to say.
        const other = { ...base, syscalls: [...base.syscalls.filter((_, index) => index !== at), more] };
        const [a, b] = [factsWith(base), factsWith(other)];
        const atMost = a.filters.every(({ asked }, index) => {
          const policy = b.filters[index]?.rules?.policy;
          if (policy === undefined) return false;
          const { prover, meaning } = asked;
          return prover.atMost(meaning, prover.rules(policy)).kind === "proved";
        });
        if (!atMost) return;
        proved += 1;
        expectAtMost(exposureOf(a), exposureOf(b));
      }),
      { numRuns: 60, seed: 11 },
    );
    expect(proved).toBeGreaterThan(5);
  });

  it("is between 0 and 10, and the sum of its parts", () => {
    for (const facts of [factsOf("strict"), factsOf("build", [["/seccomp", null]])]) {
      const { score, parts } = exposureOf(facts);
      const sum = parts.reduce((points, part) => points + part.points, 0);
      expect(score).toBeGreaterThanOrEqual(sum - 1e-6);
      expect(score).toBeLessThan(sum + 0.1);
      expect(parts.reduce((points, part) => points + part.most, 0)).toBeCloseTo(10, 9);
      for (const { points, most } of parts) expect(points >= 0 && points <= most + 1e-12).toBe(true);
    }
  });
});
