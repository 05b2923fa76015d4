/** The prover against trying every call: random filters, small enough for that. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Bpf, OP, X } from "../../src/compile/seccomp/decode.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { call, effective, RET, type Verdict, WORD } from "../../src/compile/seccomp/ir.ts";
import { answerTo } from "../../src/prove/call-bits.ts";
import { Diagrams } from "../../src/prove/diagram.ts";
import { deadInstructions } from "../../src/prove/program.ts";
import { type Meaning, Prover, permission, type Unknown } from "../../src/prove/prover.ts";
import { callsNear, meaning, policies } from "../seccomp/policies.ts";
import { CALLS, exoticPrograms, type Instruction, plainPrograms, program } from "./programs.ts";

const said = (bpf: Bpf, words: Uint32Array) => effective(evaluate(bpf, words));

function known(made: Meaning | Unknown): Meaning {
  if ("kind" in made) throw new Error(made.reason);
  return made;
}

/** Looks at the given words only through their lowest three bits, so that CALLS are all the calls there are. */
function narrowed(instructions: readonly Instruction[]): readonly Instruction[] {
  const places: number[] = [];
  let length = 0;
  for (const { code } of instructions) {
    places.push(length);
    length += code === OP.ld ? 2 : 1;
  }
  const after = (i: number, distance: number) =>
    (places[i + 1 + distance] as number) - (places[i] as number) - 1;
  return instructions.flatMap((instruction, i) => {
    const { code, jt = 0, jf = 0, k = 0 } = instruction;
    if (code === OP.ld) return [instruction, { code: OP.and, k: 7 }];
    if (code === OP.ja) return [{ code, k: after(i, k) }];
    const jumps = [OP.jeq, OP.jgt, OP.jge, OP.jset].some((each) => (code & ~X) === each);
    return [jumps ? { code, jt: after(i, jt), jf: after(i, jf), k } : instruction];
  });
}

describe("what the diagram of a filter answers is what the evaluator answers", () => {
  test("for what compilers emit, which is always decided", () => {
    fc.assert(
      fc.property(plainPrograms, (instructions) => {
        const bpf = program(instructions);
        const prover = new Prover();
        const { root } = known(prover.filter(bpf));
        const wrong = CALLS.find((words) => answerTo(prover.diagrams, root, words) !== said(bpf, words));
        expect(wrong).toBeUndefined();
      }),
      { numRuns: 1500, seed: 11 },
    );
  });

  test("for everything that the kernel takes, or it is unknown", { timeout: 60_000 }, () => {
    let unknown = 0;
    fc.assert(
      fc.property(
        exoticPrograms,
        fc.array(fc.nat({ max: 0xffffffff }), { minLength: 48, maxLength: 48 }),
        (instructions, random) => {
          const bpf = program(instructions);
          const prover = new Prover();
          const made = prover.filter(bpf);
          if ("kind" in made) {
            unknown += 1;
            return;
          }
          const wild = [0, 1, 2].map((i) => Uint32Array.from(random.slice(16 * i, 16 * i + 16)));
          const calls = [...CALLS.filter((__, i) => i % 5 === 0), ...wild];
          const wrong = calls.find(
            (words) => answerTo(prover.diagrams, made.root, words) !== said(bpf, words),
          );
          expect(wrong).toBeUndefined();
        },
      ),
      { numRuns: 1500, seed: 12 },
    );
    expect(unknown).toBeLessThan(150);
  });
});

describe("a comparison of two filters is what trying every call says", () => {
  const relations: readonly [string, "equal" | "atMost", (a: Verdict, b: Verdict) => boolean][] = [
    ["equal", "equal", (a, b) => a === b],
    ["at most", "atMost", (a, b) => permission(a) <= permission(b)],
  ];
  test.each(relations)("%s", (_, relation, holds) => {
    let proved = 0;
    fc.assert(
      fc.property(plainPrograms, plainPrograms, (one, other) => {
        const a = program(narrowed(one));
        const b = program(narrowed(other));
        const prover = new Prover();
        const conclusion = prover[relation](prover.filter(a), prover.filter(b));
        const truth = CALLS.every((words) => holds(said(a, words), said(b, words)));
        expect(conclusion.kind).toBe(truth ? "proved" : "refuted");
        if (truth) proved += 1;
        if (conclusion.kind !== "refuted") return;
        const { call: words, first, second } = conclusion.witness;
        expect([first, second]).toEqual([said(a, words), said(b, words)]);
        expect(holds(first, second)).toBe(false);
      }),
      { numRuns: 2000, seed: 13 },
    );
    // Neither outcome is so rare that it was not tested.
    expect(proved).toBeGreaterThan(100);
    expect(proved).toBeLessThan(1900);
  });
});

test("instructions called dead are those that no call reaches", () => {
  fc.assert(
    fc.property(plainPrograms, (instructions) => {
      const bpf = program(narrowed(instructions));
      const seen = new Uint8Array(bpf.length);
      for (const words of CALLS) evaluate(bpf, words, seen);
      expect(deadInstructions(new Diagrams(), bpf)).toEqual([...seen.keys()].filter((i) => seen[i] === 0));
    }),
    { numRuns: 500, seed: 14 },
  );
});

test("rules mean to the prover what they say", { timeout: 60_000 }, () => {
  const cases = policies.chain((policy) =>
    fc.tuple(fc.constant(policy), fc.array(callsNear(policy), { minLength: 20, maxLength: 20 })),
  );
  fc.assert(
    fc.property(cases, ([policy, calls]) => {
      const prover = new Prover();
      const { root } = known(prover.rules(policy));
      for (const each of calls)
        expect(answerTo(prover.diagrams, root, call(each.arch, each.nr, each.args))).toBe(
          meaning(policy, each),
        );
    }),
    { numRuns: 500, seed: 15 },
  );
});

describe("what cannot be decided is unknown, with the reason", () => {
  const ret = { code: OP.ret, k: RET.allow };
  const nr = { code: OP.ld, k: 4 * WORD.nr };
  const unknown: readonly [string, readonly Instruction[], RegExp][] = [
    [
      "a product of two words",
      [nr, { code: OP.tax }, { code: OP.mul | X }, { code: OP.jeq, k: 9 }, ret],
      /multiplies by a part of the call/,
    ],
    [
      "a shift by a word",
      [nr, { code: OP.tax }, { code: OP.lsh | X }, { code: OP.jeq, k: 9 }, ret],
      /shifts by a part of the call/,
    ],
    ["a word returned", [nr, { code: OP.retA }], /returns a part of the call/],
  ];
  test.each(unknown)("%s", (_, instructions, reason) => {
    const prover = new Prover();
    const made = prover.filter(program(instructions));
    expect(made).toEqual({ kind: "unknown", reason: expect.stringMatching(reason) as string });
    expect(prover.equal(made, made)).toBe(made);
    expect(prover.atMost(made, prover.filter(program([ret])))).toBe(made);
  });

  test("a mixture of words in a graph that would not end", () => {
    // Every word summed with shifted others: no order of the bits keeps such a graph small.
    const mix = [4, 6, 8, 10, 12, 14].flatMap((word) => [
      { code: OP.st, k: 0 },
      { code: OP.ld, k: 4 * word },
      { code: OP.mul, k: 0x9e3779b1 },
      { code: OP.tax },
      { code: OP.ldMem, k: 0 },
      { code: OP.xor | X },
      { code: OP.mul, k: 0x85ebca6b },
    ]);
    const made = new Prover().filter(program([nr, ...mix, { code: OP.jeq, k: 12345, jt: 0, jf: 0 }, ret]));
    expect(made).toMatchObject({ kind: "unknown" });
  }, 60_000);
});

test("a filter of the longest kind, and one that is one long chain, are decided", () => {
  const chain = Array.from({ length: 4093 }, (_, i) => ({ code: OP.jeq, k: i, jt: 0, jf: 0 }));
  const prover = new Prover();
  const bpf = program([
    { code: OP.ld, k: 0 },
    ...chain,
    { code: OP.ret, k: RET.allow },
    { code: OP.ret, k: RET.errno | 1 },
  ]);
  expect(prover.equal(prover.filter(bpf), prover.filter(program([{ code: OP.ret, k: RET.allow }])))).toEqual({
    kind: "proved",
  });
});
