/**
 * `report`: one line per failure on descriptor 2, for launchers that nobody supervises. The texts are made here and
 * kept in the read-only data; at run time they are only looked up.
 */
import { printable } from "../../printable.ts";
import { ERRNO } from "../../program/errno.ts";
import { FLAGS, HEADER, MEMORY_BASE } from "../../program/program.ts";
import type { ActiveStep, Context, StepOf } from "../context.ts";
import type { Machine } from "../machine.ts";
import { utf8Length } from "../rodata.ts";
import { APPEND, APPEND_DECIMAL } from "../routines.ts";

const STDERR = 2n;
/** Longest name of a command that a line shows in full. */
const NAME_SHOWN = 1024;

export function lowerReport(context: Context): void {
  const m = context.machine;
  const messages = context.order.map(describe);
  const size = Math.ceil((Math.max(NAME_SHOWN, ...messages.map(utf8Length)) + 64) / 16) * 16;
  const text = (value: string): string => {
    const span = context.rodata.text(value);
    m.immediate("a0", BigInt(span.address));
    m.immediate("a1", BigInt(span.address + span.length));
    m.call(APPEND);
    return value;
  };
  const begin = () => {
    m.stackTo("s1");
    m.move("s2", "s1");
    m.addImmediate("s2", size - 1);
    m.immediate("s3", 0n);
  };
  const end = () => {
    m.immediate("r", 0x0an);
    m.store(1, "s1", 0, "r"); // `s2` leaves room for it
    m.addImmediate("s1", 1);
    m.stackTo("a1");
    m.move("a2", "s1");
    m.subtract("a2", "a1");
    m.immediate("a0", STDERR);
    context.syscall("write");
  };
  m.reserve(size);

  const [failed, inTime] = [m.fresh(), m.fresh()];
  m.loadAt("s4", 4, MEMORY_BASE + HEADER.failedStep);
  m.branchImmediate("equal", "s4", 0n, failed);
  begin();
  lookUp(context, messages, "s4", -1);
  appendErrno(context, HEADER.failedErrno);
  end();
  m.label(failed);

  m.loadAt("r", 4, MEMORY_BASE + HEADER.flags);
  m.immediate("a1", BigInt(FLAGS.timedOut));
  m.and("r", "a1");
  m.branchImmediate("equal", "r", 0n, inTime);
  begin();
  text("sandbox: wall-time limit reached");
  end();
  m.label(inTime);

  for (const step of context.order) {
    if (step.kind !== "exec") continue;
    const [fine, found, verdict] = [m.fresh(), m.fresh(), m.fresh()];
    m.loadAt("r", 8, context.cell(step.id));
    m.branchImmediate("equal", "r", 0n, fine);
    begin();
    text("sandbox: ");
    appendName(context, step, text);
    m.loadAt("r", 4, MEMORY_BASE + HEADER.execErrno);
    m.branchImmediate("equal", "r", BigInt(ERRNO.ENOENT), found);
    m.branchImmediate("equal", "r", BigInt(ERRNO.ENOTDIR), found);
    text(": not executable (");
    m.jump(verdict);
    m.label(found);
    text(": not found (");
    m.label(verdict);
    appendErrno(context, HEADER.execErrno);
    text(")");
    end();
    m.label(fine);
  }
  m.release(size);
}

/** Like `sandbox: mount /usr read-only: open_tree /usr: `. */
function describe(step: ActiveStep): string {
  const call = step.kind === "call" ? step.call : step.kind;
  const target = (step.kind === "call" || step.kind === "expect") && step.target ? ` ${step.target}` : "";
  return printable(`sandbox: ${step.why}: ${call}${target}: `);
}

/** Append the text number `index + bias` of a table. */
function lookUp(context: Context, texts: readonly string[], index: "s4" | "r", bias: number): void {
  const m = context.machine;
  const pointers = new Uint8Array(texts.length * 8);
  const view = new DataView(pointers.buffer);
  for (const [at, value] of texts.entries())
    view.setBigUint64(at * 8, BigInt(context.rodata.text(value).address), true);
  m.move("a0", index);
  m.shiftLeft("a0", 3);
  m.immediate("a1", BigInt(context.rodata.bytes(pointers, 8) + bias * 8));
  m.add("a0", "a1");
  m.load("a0", 8, "a0", 0);
  m.immediate("a1", -1n); // ends at its NUL
  m.call(APPEND);
}

/** The name of the errno in a header field, or "E" and the number. */
function appendErrno(context: Context, field: number): void {
  const m = context.machine;
  const names: string[] = [];
  for (const [name, value] of Object.entries(ERRNO)) names[value] = name;
  const texts = Array.from(names, (name, value) => name ?? `E${value}`);
  const [unknown, done] = [m.fresh(), m.fresh()];
  m.loadAt("r", 4, MEMORY_BASE + field);
  m.branchImmediate("aboveEqual", "r", BigInt(texts.length), unknown);
  lookUp(context, texts, "r", 0);
  m.jump(done);
  m.label(unknown);
  const letter = context.rodata.text("E");
  m.immediate("a0", BigInt(letter.address));
  m.immediate("a1", BigInt(letter.address + letter.length));
  m.call(APPEND);
  m.loadAt("r", 4, MEMORY_BASE + field);
  m.call(APPEND_DECIMAL);
  m.label(done);
}

/** Of the text from `from` to the cursor, control characters become "?": a command's name must not drive a terminal. */
function hideControls(m: Machine, from: "s4"): void {
  const [next, hide, shown, done] = [m.fresh(), m.fresh(), m.fresh(), m.fresh()];
  m.move("a0", from);
  m.label(next);
  m.branch("aboveEqual", "a0", "s1", done);
  m.load("r", 1, "a0", 0);
  m.branchImmediate("below", "r", 0x20n, hide);
  m.branchImmediate("notEqual", "r", 0x7fn, shown);
  m.label(hide);
  m.immediate("r", 0x3fn);
  m.store(1, "a0", 0, "r");
  m.label(shown);
  m.addImmediate("a0", 1);
  m.jump(next);
  m.label(done);
}

function appendName(context: Context, step: StepOf<"exec">, text: (value: string) => string): void {
  const m = context.machine;
  if (step.path !== null) {
    text(step.path);
    return;
  }
  const constant = step.argv?.[0];
  if (constant !== undefined) {
    text(constant);
    return;
  }
  const [named, done] = [m.fresh(), m.fresh()];
  m.load("r", 8, "base", 0);
  m.branchImmediate("aboveEqual", "r", 2n, named);
  text("no command given");
  m.jump(done);
  m.label(named);
  m.load("a0", 8, "base", 16);
  m.move("a1", "a0");
  m.addImmediate("a1", NAME_SHOWN);
  m.move("s4", "s1");
  m.call(APPEND);
  hideControls(m, "s4");
  m.label(done);
}
