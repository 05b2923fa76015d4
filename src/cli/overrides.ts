/**
 * Flags of run, plan and compile → overrides of the profile, in the order in which they were given.
 * Takes the flags as written and the directory they are relative to; gives overrides, or every flag that is wrong.
 * Pure: never looks at the machine. What a value means is the profile's business; here only its form is checked.
 */
import { resolve } from "node:path";
import type { Problem } from "../problems.ts";
import type { Override } from "../profile/spec.ts";
import { parseId, parseSize, parseTime } from "../profile/units.ts";

/** One flag as given: `--memory 256M` is { flag: "--memory", value: "256M" }. */
export interface GivenFlag {
  readonly flag: string;
  readonly value: string;
}

type Change = Pick<Override, "pointer" | "value">;

/** What one flag asks for, or why it cannot be. */
type Reading =
  | { readonly changes: readonly Change[] }
  | { readonly wrong: { readonly message: string; readonly expected?: string; readonly hint?: string } };

type Reader = (value: string, cwd: string) => Reading;

/** A reader and the field it is about, for messages. */
interface FlagRule {
  readonly pointer: string;
  readonly read: Reader;
}

const change = (pointer: string, value: unknown): Reading => ({ changes: [{ pointer, value }] });

const wrong = (message: string, expected?: string, hint?: string): Reading => ({
  wrong: {
    message,
    ...(expected === undefined ? {} : { expected }),
    ...(hint === undefined ? {} : { hint }),
  },
});

const quote = (text: string): string => JSON.stringify(text);

/** A token of a JSON pointer (RFC 6901). */
const escapeToken = (token: string): string => token.replaceAll("~", "~0").replaceAll("/", "~1");

/** A limit: what `valid` accepts, passed on as `form` makes it, or `none` for no limit. */
function limit(
  pointer: string,
  expected: string,
  valid: (value: string) => boolean,
  form: (value: string) => unknown = (value) => value,
): FlagRule {
  return {
    pointer,
    read: (value) => {
      if (value === "none") return change(pointer, null);
      return valid(value)
        ? change(pointer, form(value))
        : wrong(`${quote(value)} is not a limit`, `${expected}, or none`);
    },
  };
}

/** Without a limit of memory there is none of swap either: a profile that has one would contradict. */
function readMemory(value: string, cwd: string): ReturnType<FlagRule["read"]> {
  const reading = limit("/resources/memory", SIZE, isSize).read(value, cwd);
  if (value !== "none" || !("changes" in reading)) return reading;
  return { changes: [...reading.changes, { pointer: "/resources/swap", value: null }] };
}

function id(pointer: string): FlagRule {
  return {
    pointer,
    read: (value) => {
      const number = parseId(value);
      return number === null
        ? wrong(`${quote(value)} is not an id`, "a decimal number from 0 to 4294967294")
        : change(pointer, number);
    },
  };
}

function choice(pointer: string, choices: readonly string[]): FlagRule {
  return {
    pointer,
    read: (value) =>
      choices.includes(value)
        ? change(pointer, value)
        : wrong(`${quote(value)} is not a choice`, choices.join(", ")),
  };
}

/** A path of the host: made absolute, so that it means the same wherever the plan is read. */
function directory(pointer: string, form: (path: string) => unknown): FlagRule {
  return {
    pointer,
    read: (value, cwd) =>
      value === "" ? wrong("the path is empty", "a directory") : change(pointer, form(resolve(cwd, value))),
  };
}

/** Splits at colons; `\:` is a colon of the path itself and `\\` a backslash. */
export function splitColons(text: string): readonly string[] {
  const parts = [""];
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? "";
    const next = text[at + 1];
    if (character === "\\" && (next === ":" || next === "\\")) {
      parts.push((parts.pop() ?? "") + next);
      at += 1;
    } else if (character === ":") parts.push("");
    else parts.push((parts.pop() ?? "") + character);
  }
  return parts;
}

function readBind(value: string, cwd: string): Reading {
  const form = "SRC[:DST][:ro|rw]";
  const parts = [...splitColons(value)];
  const last = parts.at(-1);
  const mode = parts.length > 1 && (last === "ro" || last === "rw") ? (parts.pop(), last) : "ro";
  const [source, target] = parts;
  if (parts.length > 2) {
    return parts.length === 3 && parts[2] !== undefined && !parts[2].includes("/")
      ? wrong(`${quote(parts[2])} is not a mode`, "ro or rw", String.raw`a colon in a path is written \:`)
      : wrong(`${quote(value)} has too many parts`, form, String.raw`a colon in a path is written \:`);
  }
  if (source === undefined || source === "") return wrong(`${quote(value)} has no source`, form);
  if (target !== undefined && !target.startsWith("/")) {
    return target === ""
      ? wrong(`${quote(value)} has an empty destination`, form)
      : wrong(`the destination ${quote(target)} is not absolute`, "a path inside the sandbox such as /data");
  }
  const absolute = resolve(cwd, source);
  return change("/filesystem/mounts/-", {
    type: "bind",
    source: absolute,
    target: target === undefined ? absolute : resolve(target),
    options: [mode],
  });
}

function readTmpfs(value: string): Reading {
  const [target, size, ...rest] = splitColons(value);
  if (rest.length > 0) {
    return wrong(
      `${quote(value)} has too many parts`,
      "DST[:SIZE]",
      String.raw`a colon in a path is written \:`,
    );
  }
  if (target === undefined || !target.startsWith("/")) {
    return wrong(
      `the destination ${quote(target ?? "")} is not absolute`,
      "a path inside the sandbox such as /scratch",
    );
  }
  if (size !== undefined && parseSize(size) === null) {
    return wrong(`${quote(size)} is not a size`, "a number of bytes such as 64M");
  }
  return change("/filesystem/mounts/-", {
    type: "tmpfs",
    target: resolve(target),
    ...(size === undefined ? {} : { size }),
  });
}

function readEnv(value: string): Reading {
  const at = value.indexOf("=");
  const name = at === -1 ? value : value.slice(0, at);
  if (name === "")
    return wrong(`${quote(value)} names no variable`, "NAME=VALUE, or NAME to pass it through");
  return at === -1
    ? change("/environment/pass/-", name)
    : change(`/environment/set/${escapeToken(name)}`, value.slice(at + 1));
}

/** The host's network is not a namespace of our own, and the other way round: both fields change together. */
function readNet(value: string): Reading {
  if (value !== "none" && value !== "host") return wrong(`${quote(value)} is not a choice`, "none, host");
  return {
    changes: [
      { pointer: "/network/mode", value },
      { pointer: "/namespaces/network", value: value === "none" },
    ],
  };
}

function readSet(value: string): Reading {
  const at = value.indexOf("=");
  const form = "JSON-POINTER=JSON, for example /resources/pids=64";
  if (at === -1) return wrong(`${quote(value)} has no "="`, form);
  const pointer = value.slice(0, at);
  if (!/^(\/([^~/]|~[01])*)+$/.test(pointer)) {
    return wrong(`${quote(pointer)} is not a JSON pointer`, "a path of fields such as /resources/memory");
  }
  const text = value.slice(at + 1);
  try {
    return change(pointer, JSON.parse(text));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const asText = `${pointer}=${JSON.stringify(text)}`;
    return wrong(
      `${quote(text)} is not JSON`,
      "a JSON value",
      `a text needs its own quotes: --set '${asText}'`,
    );
  }
}

const SIZE = "a size such as 256M";
const TIME = "a time such as 10s, 500ms or 2m";
const isSize = (value: string): boolean => parseSize(value) !== null;
const isTime = (value: string): boolean => parseTime(value) !== null;
const isCount = (value: string): boolean =>
  /^[1-9][0-9]{0,15}$/.test(value) && Number.isSafeInteger(Number(value));
const isCpus = (value: string): boolean => /^[0-9]{1,5}(\.[0-9]{1,3})?$/.test(value) && Number(value) > 0;

/** Every flag that changes the profile. */
export const FLAG_RULES = {
  "--rootfs": directory("/filesystem/root", (path) => ({ type: "directory", path })),
  "--write": {
    pointer: "/filesystem/write",
    read: (value, cwd) => {
      if (value === "none" || value === "ephemeral") return change("/filesystem/write", value);
      return value === ""
        ? wrong("the path is empty", "none, ephemeral, or a directory")
        : change("/filesystem/write", { directory: resolve(cwd, value) });
    },
  },
  "--bind": { pointer: "/filesystem/mounts", read: readBind },
  "--tmpfs": { pointer: "/filesystem/mounts", read: readTmpfs },
  "--env": { pointer: "/environment", read: readEnv },
  "--workdir": directory("/process/workdir", (path) => path),
  "--hostname": {
    pointer: "/identity/hostname",
    read: (value) =>
      value === ""
        ? wrong("the host name is empty", "a name such as sandbox")
        : change("/identity/hostname", value),
  },
  "--uid": id("/identity/uid"),
  "--gid": id("/identity/gid"),
  "--net": { pointer: "/network/mode", read: readNet },
  "--memory": { pointer: "/resources/memory", read: readMemory },
  "--cpus": limit("/resources/cpus", "a number above 0 such as 0.5", isCpus, Number),
  "--pids": limit("/resources/pids", "a whole number above 0", isCount, Number),
  "--timeout": limit("/resources/wallTime", TIME, isTime),
  "--tty": choice("/process/terminal", ["auto", "always", "never"]),
  "--set": { pointer: "", read: readSet },
} as const satisfies Record<string, FlagRule>;

const RULES: ReadonlyMap<string, FlagRule> = new Map(Object.entries(FLAG_RULES));

/** The overrides in the order given, and one problem per wrong flag. `cwd` must be absolute. */
export function readOverrides(
  given: readonly GivenFlag[],
  cwd: string,
): { readonly overrides: readonly Override[]; readonly problems: readonly Problem[] } {
  const overrides: Override[] = [];
  const problems: Problem[] = [];
  for (const { flag, value } of given) {
    const rule = RULES.get(flag);
    if (rule === undefined) continue;
    const source = { kind: "flag", flag } as const;
    const reading = rule.read(value, cwd);
    if ("changes" in reading) {
      overrides.push(...reading.changes.map((made) => ({ ...made, source })));
    } else {
      problems.push({ kind: "flag-invalid", where: source, pointer: rule.pointer, ...reading.wrong });
    }
  }
  return { overrides, problems };
}
