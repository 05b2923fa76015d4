/**
 * The payload's standard streams on our side: fed, captured, handed on, counted.
 *
 * Takes what the caller wants for each stream; gives what spawn needs and, after the run, the captured text. A stream
 * that is passed through is never touched: its flags stay as they are, and no byte is copied.
 */
import { constants } from "node:buffer";
import type { ChildProcess, StdioOptions } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { errorCode } from "./errors.ts";

/** An open descriptor of this process, or one of its own standard streams. */
export type PassThrough = "inherit" | "ignore" | { readonly fd: number };

/** Text and bytes are written and the stream is closed; a readable is piped until it ends. */
export type Input = PassThrough | { readonly data: string | Uint8Array } | Readable;

/** "capture" collects the bytes; a writable gets them with backpressure and is left open at the end. */
export type Output = PassThrough | "capture" | Writable;

type StdioEntry = Exclude<StdioOptions, string>[number];

/** What spawn puts at descriptor `fd` of the launcher. */
export function stdioEntry(stream: Input | Output, fd: number): StdioEntry {
  if (stream === "inherit") return fd;
  if (stream === "ignore") return "ignore";
  return isDescriptor(stream) ? stream.fd : "pipe";
}

/** File streams have an `fd` too, but must be read and written as streams: they have buffers. */
const isDescriptor = (stream: Input | Output): stream is { readonly fd: number } =>
  typeof stream === "object" && "fd" in stream && !("on" in stream);

/**
 * Feeds standard input. A payload that closes it, or ends, before all is read is no error.
 * `failed` is called when the caller's own stream breaks.
 */
export function feedInput(child: ChildProcess, input: Input, failed: (error: unknown) => void): void {
  const { stdin } = child;
  if (stdin === null || typeof input === "string" || isDescriptor(input)) return;
  stdin.on("error", (error) => {
    if (!["EPIPE", "ECONNRESET", "ERR_STREAM_DESTROYED"].includes(errorCode(error))) failed(error);
  });
  if ("data" in input) {
    stdin.end(input.data);
    return;
  }
  const source = input;
  source.once("error", failed);
  source.pipe(stdin);
  child.once("exit", () => {
    source.unpipe(stdin);
    source.off("error", failed);
    stdin.destroy();
  });
}

/** Both output streams of a run. */
export interface Outputs {
  /** Bytes seen by us, null when every stream was passed through. */
  size(): number | null;
  /** Captured text, null for a stream that was not captured. Call once, after the streams are closed. */
  text(stream: "stdout" | "stderr"): string | null;
}

export interface OutputRequest {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Bytes of both together; null: no limit. */
  readonly limit: number | null;
  /** Called once when the payload has written more; what is within the limit is kept, the rest is dropped. */
  readonly exceeded: () => void;
  /** Called when a writable of the caller breaks for another reason than that nobody reads it. */
  readonly failed: (error: unknown) => void;
}

/** Captured text is one string, and a string cannot be longer. */
const MAX_CAPTURE = constants.MAX_STRING_LENGTH;

export function collectOutputs(child: ChildProcess, request: OutputRequest): Outputs {
  const limit = request.limit ?? Number.POSITIVE_INFINITY;
  const captured = { stdout: captureOf(request.stdout), stderr: captureOf(request.stderr) };
  let size = 0;
  let counted = false;
  let full = false;

  for (const name of ["stdout", "stderr"] as const) {
    const source = child[name];
    const target = request[name];
    if (source === null || source === undefined) continue;
    counted = true;
    const chunks = captured[name];
    let kept = 0;
    const admit = (chunk: Buffer): Buffer => {
      const most = Math.max(0, Math.min(limit - size, chunks === null ? limit : MAX_CAPTURE - kept));
      const within = chunk.length <= most ? chunk : chunk.subarray(0, most);
      size += within.length;
      kept += within.length;
      if (within.length < chunk.length && !full) {
        full = true;
        request.exceeded();
      }
      return within;
    };
    if (chunks !== null) {
      source.on("data", (chunk: Buffer) => chunks.push(admit(chunk)));
    } else if (isWritable(target)) {
      handOn(source, target, admit, request.failed);
    }
  }
  return {
    size: () => (counted ? size : null),
    text(name) {
      const chunks = captured[name];
      if (chunks === null) return null;
      const [only] = chunks;
      return chunks.length === 1 && only !== undefined
        ? only.toString("utf8")
        : Buffer.concat(chunks).toString("utf8");
    },
  };
}

const captureOf = (output: Output): Buffer[] | null => (output === "capture" ? [] : null);

const isWritable = (output: Output): output is Writable => typeof output === "object" && "write" in output;

/** As `pipe`, but counting, and without ending the target: it may be the process's own stdout. */
function handOn(
  source: Readable,
  target: Writable,
  admit: (chunk: Buffer) => Buffer,
  failed: (error: unknown) => void,
): void {
  const resume = (): void => {
    source.resume();
  };
  const broken = (error: unknown): void => {
    // Nobody reads any more: the payload learns it at its next write, by SIGPIPE or ECONNRESET (the pipe is a socket).
    source.destroy();
    if (errorCode(error) !== "EPIPE") failed(error);
  };
  source.on("data", (chunk: Buffer) => {
    if (target.write(admit(chunk))) return;
    source.pause();
    target.once("drain", resume);
  });
  target.once("error", broken);
  source.once("close", () => {
    target.off("drain", resume);
    // The last write may still fail in the background; a listener that stays keeps that from being thrown.
    if (target.writableLength === 0) target.off("error", broken);
  });
}
