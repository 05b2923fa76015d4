/**
 * Checks a log, line by line, in constant memory, and names the first bad line.
 *
 * Takes: a file, and what was exported from it earlier: signed heads. Must never: write, or take the lock (a writer
 * may append while we read; we read up to the size that we found).
 *
 * What the bare chain shows: any change, removal, insertion or reordering that was not re-chained to the end. What it
 * cannot show: a tail cut off, or a file rewritten as a whole. A head that was kept elsewhere shows both.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Checked, Problem } from "../problems.ts";
import { EMPTY_HEAD, FIRST_PREV, type Head, MAX_LINE, type ParsedLine, parseLine } from "./chain.ts";
import { type ExportedHead, type HeadFault, verifyHead, verifySignature } from "./head.ts";

export type BadReason =
  /** The line's own hash does not fit its content, or the next line does not fit this one. */
  | "changed"
  /** Records are missing before this line. */
  | "removed"
  /** A record that belongs further up stands below: lines were exchanged. */
  | "reordered"
  /** A record number that was there already. */
  | "repeated"
  /** Not a record. */
  | "malformed"
  /** The last line has no end: a write was cut off. The next append repairs it and says so. */
  | "torn"
  /** The exported head is further than the file. */
  | "truncated-tail"
  /** The chain is sound, but is not the one whose head was exported. */
  | "rewritten"
  /** A signature in the log, or that of the exported head, is wrong. */
  | "signature";

export interface BadLine {
  /** 1-based; one more than the lines there are when the tail is missing. */
  readonly line: number;
  /** The record number there, or the one that should be there. */
  readonly seq: number;
  readonly reason: BadReason;
  /** One sentence for people. */
  readonly detail: string;
}

export interface Verification {
  readonly ok: boolean;
  /** Good records before the first bad line. */
  readonly records: number;
  readonly firstBad: BadLine | null;
  /** Head of the good part. */
  readonly head: Head;
  /** SHA-256 of the first line: the log's name for itself. */
  readonly first: string | null;
  /** Signatures inside the log that were checked against the key. */
  readonly signatures: number;
}

export interface VerifyOptions {
  /** PEM, SubjectPublicKeyInfo: heads must be signed by its owner, those inside the log too. */
  readonly publicKey?: string | undefined;
  /** A head exported earlier: the file must contain it. */
  readonly head?: ExportedHead | undefined;
}

const NEWLINE = 0x0a;

/** A line as it stands in the file. `bytes` is null when it is too long to be one of ours. */
export interface RawLine {
  readonly number: number;
  readonly bytes: Uint8Array | null;
  /** Bytes, newline not included. */
  readonly length: number;
  /** Whether a newline ended it. */
  readonly ended: boolean;
}

/**
 * The lines of a file from `start` to the size that it has now. Constant memory, whatever the lines are.
 * The bytes of a line are only valid until the next is asked for.
 */
export async function* readLines(
  file: FileHandle,
  start = 0,
  firstNumber = 1,
): AsyncGenerator<RawLine, void, void> {
  const { size } = await file.stat();
  const block = Buffer.allocUnsafe(1 << 18);
  let rest = Buffer.alloc(0);
  let tooLong = false;
  let before = 0;
  let number = firstNumber;
  for (let offset = start; offset < size; ) {
    // oxlint-disable-next-line no-await-in-loop -- one block after the other is the point
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, size - offset), offset);
    if (bytesRead === 0) break;
    offset += bytesRead;
    let from = 0;
    for (;;) {
      const end = block.subarray(0, bytesRead).indexOf(NEWLINE, from);
      const part = block.subarray(from, end < 0 ? bytesRead : end);
      tooLong ||= rest.length + part.length >= MAX_LINE;
      if (end < 0) {
        before += part.length;
        rest = tooLong ? Buffer.alloc(0) : Buffer.concat([rest, part]);
        break;
      }
      const bytes = rest.length === 0 ? part : Buffer.concat([rest, part]);
      yield { number, bytes: tooLong ? null : bytes, length: before + part.length, ended: true };
      before = 0;
      number += 1;
      rest = Buffer.alloc(0);
      tooLong = false;
      from = end + 1;
    }
  }
  if (tooLong || rest.length > 0)
    yield { number, bytes: tooLong ? null : rest, length: before, ended: false };
}

/** What one line says against the one before; null when it fits. */
function judge(line: RawLine, head: Head): { readonly parsed: ParsedLine } | { readonly bad: BadLine } {
  const expected = head.seq + 1;
  const bad = (reason: BadReason, detail: string, at = line.number, seq = expected) => ({
    bad: { line: at, seq, reason, detail },
  });
  if (!line.ended) return bad("torn", "the last line has no end: a write was cut off");
  const parsed = line.bytes === null ? "malformed" : parseLine(line.bytes);
  if (parsed === "malformed") return bad("malformed", "this line is not a record");
  if (parsed === "changed") return bad("changed", "the content of this line does not fit its hash");
  if (parsed.seq > expected) {
    return bad("removed", `record ${expected} should be here, and is record ${parsed.seq}`);
  }
  if (parsed.seq < expected) {
    return bad("repeated", `record ${parsed.seq} comes a second time, record ${expected} should be here`);
  }
  if (parsed.prev === head.hash) return { parsed };
  // This line is what its writer wrote, so the one before is not.
  return line.number === 1
    ? bad("changed", "the first line goes on from something that is not there")
    : bad("changed", "the next line goes on from another content", line.number - 1, expected - 1);
}

/**
 * A log, to be read. What is no regular file is none: a device or a pipe would pass for an empty log, which is sound.
 * @throws the errno error when it cannot be opened; EINVAL when it is no regular file
 */
export async function openToRead(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  const message = `EINVAL: a log is a regular file, and this is none, open '${path}'`;
  throw Object.assign(new Error(message), { code: "EINVAL", syscall: "open" });
}

/**
 * Check a log.
 * @throws as `openToRead` does
 */
export async function verifyLog(path: string, options: VerifyOptions = {}): Promise<Verification> {
  const file = await openToRead(path);
  try {
    return await verifyFile(file, options);
  } finally {
    await file.close();
  }
}

async function verifyFile(file: FileHandle, options: VerifyOptions): Promise<Verification> {
  let head: Head = EMPTY_HEAD;
  let first: string | null = null;
  let signatures = 0;
  let lines = 0;
  let firstBad = options.head === undefined ? null : judgeHead(options.head, options.publicKey);
  const result = (bad: BadLine | null): Verification => ({
    ok: bad === null,
    records: head.seq,
    firstBad: bad,
    head,
    first,
    signatures,
  });
  if (firstBad !== null) return result(firstBad);
  for await (const line of readLines(file)) {
    lines = line.number;
    if (firstBad !== null) {
      // Only one question is left: is the missing record further down?
      const parsed = line.bytes === null ? "malformed" : parseLine(line.bytes);
      if (typeof parsed === "string" || parsed.seq !== firstBad.seq) continue;
      const detail = `record ${firstBad.seq} should be here, and stands in line ${line.number}`;
      return result({ ...firstBad, reason: "reordered", detail });
    }
    const verdict = judge(line, head);
    if ("bad" in verdict) {
      firstBad = verdict.bad;
      if (firstBad.reason === "removed") continue;
      if (firstBad.line < line.number) head = { seq: head.seq - 1, hash: FIRST_PREV };
      return result(firstBad);
    }
    const { parsed } = verdict;
    if (options.publicKey !== undefined && parsed.record["kind"] === "head-signed") {
      if (!verifySignature(parsed.record, head, first ?? FIRST_PREV, options.publicKey)) {
        const detail = "the signature in this record is not of this key, or not of this log";
        return result({ line: line.number, seq: parsed.seq, reason: "signature", detail });
      }
      signatures += 1;
    }
    head = { seq: parsed.seq, hash: parsed.hash };
    first ??= parsed.hash;
    if (options.head !== undefined) {
      const { seq, hash, first: expectedFirst } = options.head;
      const other = head.seq === 1 ? parsed.hash !== expectedFirst : head.seq === seq && parsed.hash !== hash;
      if (other && seq > 0) {
        const detail = "this line is sound, but is not the one whose head was exported";
        return result({ line: line.number, seq: parsed.seq, reason: "rewritten", detail });
      }
    }
  }
  if (firstBad !== null) return result(firstBad);
  if (options.head !== undefined && options.head.seq > head.seq) {
    const detail = `the exported head is record ${options.head.seq}, and the log ends with record ${head.seq}`;
    return result({ line: lines + 1, seq: head.seq + 1, reason: "truncated-tail", detail });
  }
  return result(null);
}

const HEAD_DETAILS: Readonly<Record<HeadFault, string>> = {
  unsigned: "the exported head has no signature, and a key was given",
  "other-key": "the exported head was signed with another key",
  "bad-signature": "the signature of the exported head is wrong",
};

/** A head that is not signed as asked proves nothing; it is bad before any line is read. */
function judgeHead(head: ExportedHead, publicKey: string | undefined): BadLine | null {
  if (publicKey === undefined) return null;
  const fault = verifyHead(head, publicKey);
  return fault === null ? null : { line: 0, seq: head.seq, reason: "signature", detail: HEAD_DETAILS[fault] };
}

/**
 * The head of a log now. The whole chain is verified on the way: an exported head of a broken log would bless it.
 * @throws the errno error when the file cannot be read
 */
export async function exportHead(path: string, time: Date = new Date()): Promise<Checked<ExportedHead>> {
  const { firstBad, head, first } = await verifyLog(path);
  if (firstBad !== null) {
    const problem: Problem = {
      kind: "audit-corrupt",
      where: { kind: "default" },
      pointer: "/audit",
      message: `line ${firstBad.line} of ${path}: ${firstBad.detail}`,
      hint: "a broken log has no head to export: move it away, and keep it as evidence",
    };
    return { ok: false, problems: [problem] };
  }
  const value: ExportedHead = {
    type: "sandbox-audit-head",
    v: 1,
    file: path,
    first: first ?? FIRST_PREV,
    seq: head.seq,
    hash: head.hash,
    time: time.toISOString(),
  };
  return { ok: true, value };
}
