/** Text made at run time equals the text JavaScript makes; a buffer is never overrun. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/program/errno.ts";
import { layoutMemory, type TextPart } from "../../src/program/program.ts";
import { ARCHES, type DraftStep, exit, load, program, run, text, value } from "./harness.ts";

const TWO_64 = 1n << 64n;
const edge = fc.constantFrom(0n, 1n, 9n, 10n, 99n, 100n, (1n << 32n) - 1n, 1n << 32n, 1n << 63n, TWO_64 - 1n);
const number = fc.oneof(edge, fc.bigInt({ min: 0n, max: TWO_64 - 1n }));

describe.each(ARCHES)("%s", (arch) => {
  test("decimal and hex equal JavaScript's, for 300 random values", async () => {
    const values = fc.sample(fc.tuple(number, number), { numRuns: 300, seed: 42 });
    const made = program({
      arch,
      buffers: [
        { name: "in", size: 8 * values.length, input: true },
        ...values.map((_, index) => ({ name: `out${index}`, size: 64 })),
        ...values.map((_, index) => ({ name: `in${index}`, size: 8, input: true })),
      ],
      monitor: [
        ...values.map(
          ([, plus], index): DraftStep => ({
            kind: "format",
            into: `out${index}`,
            parts: [
              { text: "v=" },
              { decimal: load("in", index * 8, 8), plus },
              { text: "," },
              { hex: `in${index}`, bytes: 8 },
            ],
          }),
        ),
        exit(0),
      ],
    });
    const ended = await run(made, {
      input: (memory) => {
        const { buffers } = layoutMemory(made);
        for (const [index, [given]] of values.entries()) {
          memory.writeBigUInt64LE(given, (buffers.get("in")?.offset ?? 0) + index * 8);
          memory.writeBigUInt64BE(given, buffers.get(`in${index}`)?.offset ?? 0);
        }
      },
    });
    expect(ended).toMatchObject({ code: 0, failed: null });
    for (const [index, [given, plus]] of values.entries()) {
      const want = `v=${(given + plus) % TWO_64},${given.toString(16).padStart(16, "0")}`;
      expect(text(ended.buffer(`out${index}`))).toBe(want);
      expect(ended.cell(`monitor.${index}`)).toBe(BigInt(want.length));
    }
  });

  test("text that fills the buffer to the last byte fits; one more fails with ENAMETOOLONG and is cut off", async () => {
    const parts: TextPart[] = [{ text: "ab" }, { decimal: value(123) }, { buffer: "source" }];
    for (const [size, fits] of [
      [9, true],
      [8, false],
      [6, false],
      [3, false],
      [1, false],
    ] as const) {
      const ended = await run(
        program({
          arch,
          buffers: [
            { name: "source", size: 16 },
            { name: "into", size },
            { name: "guard", size: 16 },
          ],
          monitor: [
            { kind: "store", into: "source", offset: 0, width: 4, value: value(0x7a7978) },
            { kind: "store", into: "guard", offset: 0, width: 8, value: value(-1) },
            { kind: "format", id: "format", into: "into", parts },
            exit(0),
          ],
        }),
      );
      expect(text(ended.buffer("into"))).toBe("ab123xyz".slice(0, size - 1));
      expect(ended.memory.readBigInt64LE(ended.offset("guard"))).toBe(-1n);
      expect(ended.failed).toEqual(fits ? null : { step: "format", errno: ERRNO.ENAMETOOLONG });
      expect(ended.cell("format")).toBe(fits ? 8n : -36n);
    }
  });

  test("an input buffer without a NUL is read to its end and no further", async () => {
    const ended = await run(
      program({
        arch,
        buffers: [
          { name: "source", size: 16 },
          { name: "behind", size: 16 },
          { name: "into", size: 64 },
        ],
        monitor: [
          ...[0, 8, 16].map(
            (offset): DraftStep => ({
              kind: "store",
              into: offset < 16 ? "source" : "behind",
              offset: offset % 16,
              width: 8,
              value: value(0x6161616161616161n),
            }),
          ),
          { kind: "format", into: "into", parts: [{ buffer: "source" }] },
          exit(0),
        ],
      }),
    );
    expect(text(ended.buffer("into"))).toBe("a".repeat(16));
  });
});
