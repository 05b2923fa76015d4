/** Random programs of stores, loads, comparisons and branches do what a plain reading of the steps says. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/program/errno.ts";
import { layoutMemory, type Operand, type Program, type Step } from "../../src/program/program.ts";
import { ARCHES, buffer, type DraftStep, exit, load, program, run, value } from "./harness.ts";

const SIZE = 64;
const U64 = (number: bigint): bigint => BigInt.asUintN(64, number);

/** What the program means: the final buffer, the exit status, and the failure. */
function interpret(made: Program): { memory: Buffer; code: number; failedStep: string | null } {
  const layout = layoutMemory(made);
  const memory = Buffer.alloc(layout.size);
  const place = (name: string) => layout.buffers.get(name)?.offset ?? Number.NaN;
  const read = (operand: Operand): bigint => {
    switch (operand.kind) {
      case "value":
        return U64(operand.value);
      case "buffer":
        return BigInt(0x1000_0000 + place(operand.name) + operand.offset);
      case "load": {
        const at = place(operand.name) + operand.offset;
        return memory
          .subarray(at, at + operand.width)
          .reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
      }
      case "data":
      case "result":
        throw new Error(`not in these programs: ${operand.kind}`);
      default:
        return operand satisfies never;
    }
  };
  const { steps } = made.roles.monitor;
  const holds = (step: Extract<Step, { mask: bigint }>) =>
    (read(step.value) & U64(step.mask)) === read(step.equals);
  for (let index = 0; index < steps.length; index += 1) {
    const step = steps[index];
    if (step?.kind === "store") {
      const at = place(step.into) + step.offset;
      const bits = read(step.value);
      for (let byte = 0; byte < step.width; byte += 1)
        memory[at + byte] = Number((bits >> BigInt(byte * 8)) & 0xffn);
    } else if (step?.kind === "expect") {
      if (!holds(step)) return { memory, code: 125, failedStep: step.id };
    } else if (step?.kind === "branch") {
      if (holds(step)) index = steps.findIndex((other) => other.kind === "label" && other.name === step.to);
    } else if (step?.kind === "exit" && typeof step.code === "number")
      return { memory, code: step.code, failedStep: null };
  }
  return { memory, code: 125, failedStep: null };
}

const width = fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const);
const place = fc.tuple(width, fc.nat(SIZE - 8));
const constant = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, 127n, 128n, -128n, -129n, 4095n, 4096n, -4095n, -4096n, 65535n, 65536n),
  fc.constantFrom(
    0x7fffffffn,
    0x80000000n,
    -0x80000000n,
    -0x80000001n,
    0xffffffffn,
    0x100000000n,
    0xffff0000ffff0000n,
  ),
  fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }),
);
const operand: fc.Arbitrary<Operand> = fc.oneof(
  constant.map(value),
  place.map(([bytes, offset]) => load("area", offset, bytes)),
  fc.nat(SIZE).map((offset) => buffer("area", offset)),
);
const mask = fc.oneof(fc.constantFrom(-1n, 0n, 1n, 0xffn, 0xffffffffn), constant);

/** Blocks, each maybe jumping to the start of a later one. */
const blocks = fc.array(
  fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("store" as const), at: place, value: operand }) },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("branch" as const),
          value: operand,
          mask,
          equals: operand,
          ahead: fc.nat(3),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("expect" as const), value: operand, mask }) },
    ),
    { maxLength: 6 },
  ),
  { minLength: 1, maxLength: 5 },
);

describe.each(ARCHES)("%s", (arch) => {
  test("random programs leave the memory, the status and the failure that the interpreter says", async () => {
    await fc.assert(
      fc.asyncProperty(blocks, fc.nat(200), async (drafts, code) => {
        const steps: DraftStep[] = [];
        for (const [number, block] of drafts.entries()) {
          steps.push({ kind: "label", name: `b${number}` });
          for (const step of block)
            if (step.kind === "store")
              steps.push({
                kind: "store",
                into: "area",
                offset: step.at[1],
                width: step.at[0],
                value: step.value,
              });
            else if (step.kind === "branch")
              steps.push({
                kind: "branch",
                value: step.value,
                mask: step.mask,
                // Half of them taken: compared with itself, unmasked.
                equals: step.ahead % 2 === 0 ? step.value : step.equals,
                to: `b${Math.min(number + 1 + step.ahead, drafts.length)}`,
              });
            else
              steps.push({
                kind: "expect",
                value: step.value,
                mask: step.mask,
                equals: step.value,
                errno: "EDOM",
              });
        }
        const made = program({
          arch,
          buffers: [{ name: "area", size: SIZE }],
          monitor: [...steps, { kind: "label", name: `b${drafts.length}` }, exit(code)],
        });
        const want = interpret(made);
        const ended = await run(made);
        expect(ended.code).toBe(want.code);
        expect(ended.failed).toEqual(
          want.failedStep === null ? null : { step: want.failedStep, errno: ERRNO.EDOM },
        );
        const { offset } = layoutMemory(made).buffers.get("area") ?? { offset: Number.NaN };
        expect(ended.buffer("area").toString("hex")).toBe(
          want.memory.subarray(offset, offset + SIZE).toString("hex"),
        );
      }),
      { numRuns: 100, seed: 1 },
    );
  });
});
