/**
 * The memory that supervisor and launcher share: a file without a name, mapped by the launcher.
 *
 * Takes the program's layout and the inputs; gives the descriptor to pass, and after the run everything the launcher
 * left there, read once. Never reads while the launcher runs: no locks, no half-written values.
 */
import { closeSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { bug } from "../problems.ts";
import { FLAGS, HEADER, type Layout, type Program } from "../program/program.ts";
import { openAnonymousFile } from "./anonymous-file.ts";

/** The header, decoded. */
export interface Header {
  /** 1 + index of the failed step, 0: none. */
  readonly failedStep: number;
  readonly failedErrno: number;
  readonly execErrno: number;
  readonly payloadStatus: number;
  readonly initStatus: number;
  readonly flags: Readonly<Record<keyof typeof FLAGS, boolean>>;
  readonly initRusage: Rusage;
  readonly payloadRusage: Rusage;
}

/** The fields of struct rusage (getrusage(2)) that Linux fills and we use. */
export interface Rusage {
  /** Milliseconds. */
  readonly userTime: number;
  readonly systemTime: number;
  /** Bytes: of the largest process among those reaped. */
  readonly maxRss: number;
}

/** What was in the shared memory when the run was over. */
export interface MemoryImage {
  readonly header: Header;
  /** What step number `index` (in `stepOrder`) returned; 0 when it did not run. */
  resultAt(index: number): bigint;
  /** Text up to the first NUL; "" when the program has no such buffer or nothing was written to it. */
  text(buffer: string): string;
  /** The whole buffer, null when the program has none of that name. */
  bytes(buffer: string): Buffer | null;
}

/** Of a program and its layout only the buffers matter here. */
type Inside = Pick<Program, "buffers">;
type Place = Pick<Layout, "buffers" | "size">;

export type Inputs = Readonly<Record<string, string | Uint8Array>>;

/**
 * Makes the memory and fills the input buffers that the program declares; other inputs are ignored.
 * Throws the system's error when there is no place for it; it is a bug when an input does not fit its buffer.
 * The caller closes the descriptor.
 */
export function createMemory(program: Inside, layout: Place, inputs: Inputs): number {
  const fd = openAnonymousFile("plain", 0o600);
  try {
    ftruncateSync(fd, layout.size);
    writeInputs(fd, program, layout, inputs);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

/** Declared inputs lie close together: one write over all of them. */
function writeInputs(fd: number, program: Inside, layout: Place, inputs: Inputs): void {
  const areas = program.buffers.flatMap(({ name, input }) => {
    if (input !== true) return [];
    const area = layout.buffers.get(name) ?? bug(`no place for buffer ${name}`);
    const value = inputs[name];
    if (value === undefined) return [];
    const bytes = typeof value === "string" ? Buffer.from(`${value}\0`) : value;
    if (bytes.length > area.size) bug(`input ${name} of ${bytes.length} bytes in a buffer of ${area.size}`);
    return [{ offset: area.offset, bytes }];
  });
  const first = Math.min(...areas.map(({ offset }) => offset));
  const end = Math.max(...areas.map(({ offset, bytes }) => offset + bytes.length));
  if (areas.length === 0) return;
  const block = Buffer.alloc(end - first);
  for (const { offset, bytes } of areas) block.set(bytes, offset - first);
  for (let done = 0; done < block.length; ) {
    done += writeSync(fd, block, done, block.length - done, first + done);
  }
}

/** One read of all of it, after the launcher has ended. */
export function readMemory(fd: number, layout: Place): MemoryImage {
  const bytes = Buffer.allocUnsafe(layout.size);
  const count = readSync(fd, bytes, 0, layout.size, 0);
  if (count !== layout.size) bug(`shared memory is ${count} bytes instead of ${layout.size}`);
  return viewMemory(bytes, layout);
}

/** Decodes bytes laid out by `layoutMemory`. */
export function viewMemory(bytes: Buffer, layout: Place): MemoryImage {
  const area = (name: string): Buffer | null => {
    const place = layout.buffers.get(name);
    return place === undefined ? null : bytes.subarray(place.offset, place.offset + place.size);
  };
  return {
    header: readHeader(bytes),
    resultAt: (index) => bytes.readBigInt64LE(HEADER.size + 8 * index),
    text(name) {
      const content = area(name);
      if (content === null) return "";
      const end = content.indexOf(0);
      return content.toString("utf8", 0, end === -1 ? content.length : end);
    },
    bytes: area,
  };
}

function readHeader(bytes: Buffer): Header {
  const flags = bytes.readUInt32LE(HEADER.flags);
  return {
    failedStep: bytes.readUInt32LE(HEADER.failedStep),
    failedErrno: bytes.readUInt32LE(HEADER.failedErrno),
    execErrno: bytes.readUInt32LE(HEADER.execErrno),
    payloadStatus: bytes.readUInt32LE(HEADER.payloadStatus),
    initStatus: bytes.readUInt32LE(HEADER.initStatus),
    flags: {
      timedOut: (flags & FLAGS.timedOut) !== 0,
      parentDied: (flags & FLAGS.parentDied) !== 0,
      payloadEnded: (flags & FLAGS.payloadEnded) !== 0,
      initEnded: (flags & FLAGS.initEnded) !== 0,
      execReached: (flags & FLAGS.execReached) !== 0,
      sealed: (flags & FLAGS.sealed) !== 0,
    },
    initRusage: readRusage(bytes, HEADER.initRusage),
    payloadRusage: readRusage(bytes, HEADER.payloadRusage),
  };
}

/** struct rusage on 64-bit Linux: two timevals (seconds, microseconds: i64 each), then ru_maxrss in kB. */
function readRusage(bytes: Buffer, at: number): Rusage {
  const word = (index: number): number => Number(bytes.readBigInt64LE(at + 8 * index));
  return {
    userTime: word(0) * 1000 + word(1) / 1000,
    systemTime: word(2) * 1000 + word(3) / 1000,
    maxRss: word(4) * 1024,
  };
}

/** struct itimerval (setitimer(2)) that fires once after `milliseconds`; zero, which is off, for null. */
export function encodeTimer(milliseconds: number | null): Uint8Array {
  const bytes = Buffer.alloc(32);
  if (milliseconds === null) return bytes;
  // A timer of zero would be off: what is too short to express becomes one microsecond.
  const micros = Math.max(1, Math.round(milliseconds * 1000));
  bytes.writeBigInt64LE(BigInt(Math.floor(micros / 1_000_000)), 16);
  bytes.writeBigInt64LE(BigInt(micros % 1_000_000), 24);
  return bytes;
}

/** A 32-bit input. */
export function encodeWord(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Milliseconds of a struct timespec buffer; null when it is absent or was never written. */
export function readTimespec(memory: MemoryImage, buffer: string): number | null {
  const bytes = memory.bytes(buffer);
  if (bytes === null || bytes.length < 16) return null;
  const milliseconds = Number(bytes.readBigInt64LE(0)) * 1000 + Number(bytes.readBigInt64LE(8)) / 1e6;
  return milliseconds === 0 ? null : milliseconds;
}
