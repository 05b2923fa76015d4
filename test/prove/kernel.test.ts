/** The running kernel confirms witnesses: what the prover says two filters answer differently, they do answer differently. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AUDIT_ARCH } from "../../src/compile/seccomp/abi.ts";
import { generate } from "../../src/compile/seccomp/codegen.ts";
import { ENOSYS, RET, type Verdict, WORD } from "../../src/compile/seccomp/ir.ts";
import { argumentsOf } from "../../src/prove/format-call.ts";
import { Prover, permission } from "../../src/prove/prover.ts";
import { perform, skip } from "../seccomp/driver.ts";
import { HARMLESS, policies } from "../seccomp/policies.ts";
import { program } from "./programs.ts";

/** The errno of a harmless call under a filter: the filter's, or the kernel's for a call without an implementation. */
const expected = (verdict: Verdict) => (permission(verdict) === 2 ? ENOSYS : verdict & 0xffff);

describe.skipIf(skip)("in the kernel", () => {
  test("a refutation's call is answered as its witness says, by both filters", () => {
    let refuted = 0;
    const allowing = policies.filter(({ fallback }) => fallback === RET.allow);
    fc.assert(
      fc.property(allowing, allowing, (one, other) => {
        const filters = [one, other].map((policy) => generate(policy) as Uint8Array);
        const prover = new Prover();
        const [a, b] = filters.map((bytes) => prover.filter(program(bytes)));
        if (a === undefined || b === undefined) throw new Error("two filters make two meanings");
        const differences = prover.differences(a, b, 20);
        if ("kind" in differences) throw new Error(differences.reason);
        const harmless = differences.filter(
          ({ call }) => call[WORD.arch] === AUDIT_ARCH.x86_64 && HARMLESS.includes(call[WORD.nr] as number),
        );
        if (harmless.length === 0) return;
        refuted += harmless.length;
        const calls = harmless.map(({ call }) => [call[WORD.nr] as number, ...argumentsOf(call)] as const);
        const answers = filters.map((bytes) => perform(bytes, calls));
        expect(answers.map(({ stderr }) => stderr)).toEqual(["", ""]);
        expect(answers.map(({ stdout }) => stdout.trim().split(" ").map(Number))).toEqual([
          harmless.map(({ first }) => expected(first)),
          harmless.map(({ second }) => expected(second)),
        ]);
      }),
      { numRuns: 8, seed: 21 },
    );
    expect(refuted).toBeGreaterThan(8);
  });
});
