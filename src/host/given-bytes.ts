/**
 * What Node changed of what this process was given. The kernel's arguments and variables are bytes; Node's are text, and a byte that is
 * not UTF-8 becomes U+FFFD without a word. Takes the text, gives which of it is no longer what was given (proc_pid_cmdline(5),
 * proc_pid_environ(5)); looks at /proc only where U+FFFD shows.
 */
import { readFileSync } from "node:fs";

const REPLACEMENT = "\u{fffd}";

/** Indices of the arguments that are not what the caller gave. `argv`: the last arguments of this process. */
export function changedArguments(argv: readonly string[]): readonly number[] {
  if (!argv.some((argument) => argument.includes(REPLACEMENT))) return [];
  const given = readEntries("/proc/self/cmdline").slice(-argv.length);
  return argv.flatMap((argument, index) => (isSame(argument, given[index]) ? [] : [index]));
}

/** Those of the named variables whose values are not what the caller set. What was set since by this process is its own text. */
export function changedVariables(
  names: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const doubtful = names.filter((name) => environment[name]?.includes(REPLACEMENT) === true);
  if (doubtful.length === 0) return [];
  const given = readEntries("/proc/self/environ");
  return doubtful.filter((name) => {
    const entry = `${name}=${environment[name]}`;
    const raw = given.find((bytes) => bytes.toString() === entry);
    return raw !== undefined && !isSame(entry, raw);
  });
}

const isSame = (text: string, bytes: Buffer | undefined): boolean =>
  bytes?.equals(Buffer.from(text)) === true;

/** Strings that end in a NUL byte each. */
function readEntries(path: string): readonly Buffer[] {
  const bytes = readFileSync(path);
  const entries: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start);
    entries.push(bytes.subarray(start, end === -1 ? bytes.length : end));
    start = end === -1 ? bytes.length : end + 1;
  }
  return entries;
}
