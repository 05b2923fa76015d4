/**
 * The log for people: records as lines of text, grouped by run.
 *
 * Takes: parsed records. Gives: strings, and what to print of a log as an async iterator. Must never: let a control
 * character of a record reach a terminal, or hide a line that is no record.
 */
import { printable } from "../printable.ts";
import { parseLine } from "./chain.ts";
import { openToRead, readLines } from "./verify.ts";

/** One line of a log as read: its record, or what is wrong with it. */
export type ShownLine =
  | { readonly line: number; readonly text: string; readonly record: Readonly<Record<string, unknown>> }
  | { readonly line: number; readonly text: null; readonly fault: "malformed" | "changed" | "torn" };

/**
 * The lines of a log as they stand now, each checked by itself (not as a chain: that is verifyLog).
 * @throws the errno error when the file cannot be read
 */
export async function* readLog(path: string): AsyncGenerator<ShownLine, void, void> {
  const file = await openToRead(path);
  try {
    for await (const raw of readLines(file)) yield readLine(raw.number, raw.bytes, raw.ended);
  } finally {
    await file.close();
  }
}

/** One line, checked by itself. */
export function readLine(line: number, bytes: Uint8Array | null, ended: boolean): ShownLine {
  if (!ended) return { line, text: null, fault: "torn" };
  const parsed = bytes === null ? "malformed" : parseLine(bytes);
  if (bytes === null || typeof parsed === "string") {
    return { line, text: null, fault: parsed === "changed" ? "changed" : "malformed" };
  }
  return { line, text: Buffer.from(bytes).toString("utf8"), record: parsed.record };
}

export interface ShowOptions {
  /** Only this run. */
  readonly run?: string | undefined;
  /** Only runs that did not end well: a failed launch, a limit, a signal, a non-zero exit, a read-back that differs, no end. */
  readonly failed?: boolean | undefined;
  /** The records as they stand in the log, instead of text. */
  readonly json?: boolean | undefined;
  readonly color: boolean;
}

/** What to print of a log, piece by piece, without trailing newlines. A run is complete when its summary was read. */
export async function* showLog(path: string, options: ShowOptions): AsyncGenerator<string, void, void> {
  const runs = new Map<string, ShownLine[]>();
  for await (const shown of readLog(path)) {
    if (shown.text === null) {
      if (options.json !== true) yield paint(renderFault(shown), "31", options.color);
      continue;
    }
    const run = field(shown.record, "run");
    if (options.run !== undefined && run !== options.run) continue;
    // Records about the log itself belong to no run.
    if (run === "") {
      if (options.failed !== true)
        yield options.json === true ? shown.text : renderRecord(shown.record, options.color);
      continue;
    }
    const lines = runs.get(run) ?? [];
    lines.push(shown);
    runs.set(run, lines);
    if (shown.record["kind"] !== "run-end") continue;
    runs.delete(run);
    yield* showRun(run, lines, options);
  }
  for (const [run, lines] of runs) yield* showRun(run, lines, options);
}

function* showRun(
  run: string,
  lines: readonly ShownLine[],
  options: ShowOptions,
): Generator<string, void, void> {
  const records = lines.flatMap((shown) => (shown.text === null ? [] : [shown]));
  const failed =
    records.every(({ record }) => record["kind"] !== "run-end") ||
    records.some(({ record }) => isFailure(record));
  if (options.failed === true && !failed) return;
  if (options.json === true) {
    for (const { text } of records) yield text;
    return;
  }
  yield paint(`run ${printable(run)}`, "1", options.color);
  for (const { record } of records) yield `  ${renderRecord(record, options.color)}`;
  if (records.every(({ record }) => record["kind"] !== "run-end")) {
    yield paint("  no end: the run is still going on, or was cut off", "33", options.color);
  }
}

/** Whether a record says that something did not go as it should. */
function isFailure(record: Readonly<Record<string, unknown>>): boolean {
  switch (record["kind"]) {
    case "step":
      return record["effect"] === "failed";
    case "enforcement":
      return record["matches"] === false;
    case "outcome":
      return record["reason"] !== "exited" || record["exitCode"] !== 0;
    default:
      return false;
  }
}

/** One record as one line of text, control characters escaped. */
export function renderRecord(record: Readonly<Record<string, unknown>>, color: boolean): string {
  const time = paint(printable(field(record, "time")), "2", color);
  const kind = field(record, "kind");
  const bad = isFailure(record) || kind === "limit" || kind === "log-repaired";
  const weak =
    record["status"] === "partial" || record["status"] === "none" || record["effect"] === "degraded";
  const text = printable(`${kind.padEnd(12)} ${describeRecord(record)}`);
  return `${time} ${bad ? paint(text, "31", color) : weak ? paint(text, "33", color) : text}`;
}

function after(mark: string, text: string): string {
  return text === "" ? "" : `${mark}${text}`;
}

function describeRecord(record: Readonly<Record<string, unknown>>): string {
  const get = (name: string): string => field(record, name);
  switch (record["kind"]) {
    case "run-start":
      return `${json(record["argv"])} in ${get("cwd")}, profile ${json(record["profile"], "name")}, user ${json(record["user"], "name")}, plan ${get("plan").slice(0, 12)}`;
    case "decision":
      return `[${get("status")}] ${get("id")}: ${get("setting")}${after("; ", get("reason"))} (${place(record["provenance"])})`;
    case "step":
      return `${get("effect")} at ${get("step")}: ${get("call")} ${get("errno")}${after(" on ", get("target"))}${after("; ", get("hint"))}`;
    case "enforcement":
      return record["matches"] === true
        ? `${get("decision")}: ${get("actual")}, as asked`
        : `${get("decision")}: ${get("actual")}, not ${get("expected")} as asked`;
    case "running":
      return `for ${get("elapsed")} ms, monitor ${get("monitor")}`;
    case "limit":
      return `${get("limit")}, ${get("times")} times${record["ended"] === true ? ", ended the run" : ""}`;
    case "files":
      return `${get("opened")} opened in ${get("root")}${record["complete"] === true ? "" : `, not all: ${json(record["missed"])}`}`;
    case "outcome":
      return `${get("reason")}, exit ${json(record["exitCode"])}, signal ${json(record["signal"])}, ${json(record["usage"], "wallTime")} ms`;
    case "run-end":
      return `${get("reason")}, exit status ${get("exitStatus")}, decisions ${json(record["decisions"])}, ${get("mismatched")} read back differently`;
    case "log-repaired":
      return `${get("bytes")} bytes of a torn line were cut off, SHA-256 ${get("sha256")}`;
    case "head-signed":
      return `up to record ${json(record["head"], "seq")} with key ${get("key").slice(0, 16)}`;
    default:
      return json(record);
  }
}

function place(provenance: unknown): string {
  const part = (name: string): string => json(provenance, name);
  switch (part("kind")) {
    case "profile":
      return `${part("file")}:${part("line")}:${part("column")} ${part("pointer")}`;
    case "flag":
      return part("flag");
    case "option":
      return `option ${part("option")}`;
    default:
      return part("kind");
  }
}

/** A field as text. */
function field(record: Readonly<Record<string, unknown>>, name: string): string {
  return json(record, name);
}

/** A value, or one of its fields: texts as they are, all else as JSON. */
function json(value: unknown, name?: string): string {
  let chosen = value;
  if (name !== undefined) {
    const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
    chosen = entries.find(([key]) => key === name)?.[1];
  }
  if (typeof chosen === "string") return chosen;
  return chosen === undefined ? "" : JSON.stringify(chosen);
}

export function renderFault(shown: Extract<ShownLine, { text: null }>): string {
  return `line ${shown.line} is ${shown.fault}: see sandbox audit verify`;
}

function paint(text: string, style: string, color: boolean): string {
  return color ? `\u001b[${style}m${text}\u001b[0m` : text;
}
