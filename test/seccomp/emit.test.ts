/** Both emitters against the meaning of random policies, and the verifier against filters that are slightly wrong. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { generate } from "../../src/compile/seccomp/codegen.ts";
import { type Backend, OWN_BACKEND } from "../../src/compile/seccomp/compile.ts";
import { decode, isJump, OP } from "../../src/compile/seccomp/decode.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { call, type FilterPolicy, judge, RET } from "../../src/compile/seccomp/ir.ts";
import { normalise } from "../../src/compile/seccomp/normalise.ts";
import { verify } from "../../src/compile/seccomp/verify.ts";
import { libseccompBackend } from "../../src/kernel/libseccomp.ts";
import { callsNear, meaning, policies } from "./policies.ts";
import { allowList, shipped, skipUnless, target, valueOf } from "./support.ts";

function emitted(backend: Backend, policy: FilterPolicy): Uint8Array {
  const bytes = backend.emit(policy);
  if (!(bytes instanceof Uint8Array)) throw new Error(bytes.reason);
  return bytes;
}

function program(bytes: Uint8Array) {
  const decoded = decode(bytes);
  if (!decoded.ok) throw new Error(`${decoded.instruction}: ${decoded.reason}`);
  return decoded.bpf;
}

const native = process.arch === "x64";
const library = native ? libseccompBackend() : null;

describe("random policies", () => {
  test("the policy's own judge, our emitter and the plain meaning agree", () => {
    const cases = policies.chain((policy) =>
      fc.tuple(fc.constant(policy), fc.array(callsNear(policy), { minLength: 20, maxLength: 20 })),
    );
    fc.assert(
      fc.property(cases, ([policy, calls]) => {
        const bpf = program(emitted(OWN_BACKEND, policy));
        for (const each of calls) {
          const words = call(each.arch, each.nr, each.args);
          expect(judge(policy, words)).toBe(meaning(policy, each));
          expect(evaluate(bpf, words)).toBe(meaning(policy, each));
        }
      }),
      { numRuns: 400, seed: 1 },
    );
  });

  test("our emitter passes the verifier", () => {
    fc.assert(
      fc.property(policies, (policy) => {
        expect(verify(emitted(OWN_BACKEND, policy), policy, target()).ok).toBe(true);
      }),
      { numRuns: 40, seed: 2 },
    );
  });

  test.skipIf(skipUnless(library !== null, "libseccomp is not installed or this is not x86-64"))(
    "whatever libseccomp gets wrong, the verifier finds",
    () => {
      if (library === null) return;
      let right = 0;
      const cases = policies.chain((policy) =>
        fc.tuple(fc.constant(policy), fc.array(callsNear(policy), { minLength: 60, maxLength: 60 })),
      );
      fc.assert(
        fc.property(cases, ([policy, calls]) => {
          const bytes = library.emit(policy);
          if (!(bytes instanceof Uint8Array)) return;
          const accepted = verify(bytes, policy, target()).ok;
          const bpf = program(bytes);
          const agrees = calls.every(
            (each) => evaluate(bpf, call(each.arch, each.nr, each.args)) === meaning(policy, each),
          );
          // A filter that answers one call wrongly must have been refused.
          expect(agrees || !accepted).toBe(true);
          if (accepted) right += 1;
        }),
        { numRuns: 150, seed: 3 },
      );
      expect(right).toBeGreaterThan(50);
    },
  );
});

describe("a filter that is slightly wrong is refused", () => {
  const { policy } = valueOf(normalise(shipped("strict"), target()));
  const good = generate(policy) as Uint8Array;

  const problemsOf = (bytes: Uint8Array) => {
    const result = verify(bytes, policy, target());
    return result.ok ? [] : result.problems;
  };

  test("the right one is accepted", () => {
    expect(problemsOf(good)).toEqual([]);
  });

  test.each(Array.from({ length: 12 }, (_, i) => i))("an instruction dropped (%i)", (i) => {
    const at = 8 * Math.floor((i * good.length) / 8 / 12);
    const bytes = Uint8Array.from([...good.subarray(0, at), ...good.subarray(at + 8)]);
    expect(problemsOf(bytes)[0]?.kind).toBe("seccomp-miscompiled");
  });

  test("any two branches swapped", () => {
    const bpf = program(good);
    for (let i = 0; i < bpf.length; i += 9) {
      if (!isJump(bpf.code[i] as number) || bpf.jt[i] === bpf.jf[i]) continue;
      const bytes = good.slice();
      bytes[8 * i + 2] = bpf.jf[i] as number;
      bytes[8 * i + 3] = bpf.jt[i] as number;
      expect(problemsOf(bytes), `instruction ${i}`).not.toEqual([]);
    }
  }, 60_000);

  test("a verdict exchanged", () => {
    const bpf = program(good);
    const returns = [...bpf.code.keys()].filter((i) => bpf.code[i] === OP.ret);
    for (const i of returns) {
      const bytes = good.slice();
      new DataView(bytes.buffer).setUint32(8 * i + 4, RET.log, true);
      expect(problemsOf(bytes), `instruction ${i}`).not.toEqual([]);
    }
  });

  // What CVE-2019-10063 and GHSA-4q85-33p6-j5g6 have in common: high words are not what they should be.
  test.each(["EQ", "NE", "LT", "LE", "GT", "GE"])("a 64-bit %s that takes the high word for zero", (op) => {
    const rule = {
      names: ["lseek"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 1, op: `SCMP_CMP_${op}`, value: "0x500000007" }],
    };
    const meant = valueOf(normalise(allowList([rule]), target())).policy;
    const whole = generate(meant) as Uint8Array;
    expect(verify(whole, meant, target()).ok).toBe(true);
    const bpf = program(whole);
    const high = [...bpf.code.keys()].filter((i) => bpf.code[i] === OP.ld && bpf.k[i] === 28);
    expect(high).toHaveLength(1);
    const bytes = whole.slice();
    const view = new DataView(bytes.buffer);
    view.setUint16(8 * (high[0] as number), OP.ldImm, true);
    view.setUint32(8 * (high[0] as number) + 4, 0, true);
    expect(verify(bytes, meant, target()).ok).toBe(false);
  });

  test("two conditions on one argument taken for alternatives", () => {
    const args = [
      { index: 0, op: "SCMP_CMP_NE", value: 1 },
      { index: 0, op: "SCMP_CMP_NE", value: 2 },
    ];
    const rule = { names: ["socket"], action: "SCMP_ACT_ALLOW" };
    const meant = valueOf(normalise(allowList([{ ...rule, args }]), target())).policy;
    const either = valueOf(
      normalise(allowList(args.map((arg) => ({ ...rule, args: [arg] }))), target()),
    ).policy;
    expect(verify(generate(meant) as Uint8Array, meant, target()).ok).toBe(true);
    expect(verify(generate(either) as Uint8Array, meant, target()).ok).toBe(false);
  });

  test("the message names the call, its arguments and both answers", () => {
    const bytes = Uint8Array.from([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]);
    expect(problemsOf(bytes)[0]?.message).toMatch(/the policy says .*, the filter allow/);
    expect(problemsOf(bytes).length).toBeLessThanOrEqual(8);
  });
});
