/**
 * `format`: text made at run time, NUL-terminated, cut off at the buffer's end and then a failure.
 */
import { ERRNO } from "../../program/errno.ts";
import type { Role, TextPart } from "../../program/program.ts";
import { type Context, type StepOf } from "../context.ts";
import { APPEND, APPEND_DECIMAL, APPEND_HEX } from "../routines.ts";

export function lowerFormat(context: Context, role: Role, step: StepOf<"format">, final: boolean): void {
  const m = context.machine;
  const into = context.buffer(step.into);
  const tooLong = m.fresh();
  m.immediate("s1", BigInt(into.address));
  m.immediate("s2", BigInt(into.address + into.size - 1)); // the last byte is for the NUL
  m.immediate("s3", 0n);
  for (const part of step.parts) lowerPart(context, part);
  m.immediate("r", 0n);
  m.store(1, "s1", 0, "r");
  m.immediate("a1", BigInt(into.address));
  m.subtract("s1", "a1");
  m.branchImmediate("notEqual", "s3", 0n, tooLong);
  m.storeAt(8, context.cell(step.id), "s1");
  const failure = context.failure(role, step.id, final);
  context.later(() => {
    m.label(tooLong);
    m.immediate("r", BigInt(-ERRNO.ENAMETOOLONG));
    m.storeAt(8, context.cell(step.id), "r");
    m.jump(failure);
  });
}

function lowerPart(context: Context, part: TextPart): void {
  const m = context.machine;
  const span = (address: number, length: number) => {
    m.immediate("a0", BigInt(address));
    m.immediate("a1", BigInt(address + length));
  };
  if ("text" in part) {
    const text = context.rodata.text(part.text);
    span(text.address, text.length);
    m.call(APPEND);
  } else if ("decimal" in part) {
    context.operand("r", part.decimal);
    if (part.plus !== undefined && part.plus !== 0n) {
      m.immediate("a0", part.plus);
      m.add("r", "a0");
    }
    m.call(APPEND_DECIMAL);
  } else if ("hex" in part) {
    span(context.buffer(part.hex).address, part.bytes);
    m.call(APPEND_HEX);
  } else {
    const from = context.buffer(part.buffer);
    span(from.address, from.size);
    m.call(APPEND);
  }
}
