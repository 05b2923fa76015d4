/**
 * Proof, not hope: what the kernel said about the running payload next to what was asked.
 *
 * Pure. Takes the decisions with their checks and the texts that the launcher read; gives one line per check. What
 * could not be read does not match: a control counts as in force only when the kernel confirmed it.
 */
import type { Check, Decision } from "../compile/plan.ts";
import { parseLimits } from "../host/limits.ts";
import { unescapeOctal } from "../host/mountinfo.ts";
import { parseStatus, type StatusFields } from "../host/user.ts";
import { errnoName } from "../program/errno.ts";
import type { MemoryImage } from "./memory.ts";
import type { Enforcement } from "./outcome.ts";

/** Links of the supervisor's own namespaces: "pid" → "pid:[4026531836]". */
export type OwnNamespaces = Readonly<Partial<Record<NamespaceName, string>>>;
export type NamespaceName = Extract<Check, { kind: "namespace" }>["name"];

/** Said where the launcher left nothing to compare. */
export const UNREAD = "not read back";

/** In the order of the decisions; those without a check have no line. */
export function readBack(
  decisions: readonly Decision[],
  memory: MemoryImage,
  own: OwnNamespaces,
): readonly Enforcement[] {
  const source = parseSource(memory, own);
  return decisions.flatMap(({ id, check, status }) => {
    if (check === null) return [];
    const { expected, actual, matches } = compare(check, source);
    return [
      { decision: id, expected, actual: actual ?? UNREAD, matches: actual !== null && matches, status },
    ];
  });
}

/** Controls that should be in force in full and are not: a reason to distrust the run. */
export function mismatches(enforcement: readonly Enforcement[]): readonly Enforcement[] {
  return enforcement.filter(({ matches, status }) => !matches && status === "full");
}

interface Source {
  readonly memory: MemoryImage;
  readonly own: OwnNamespaces;
  readonly status: StatusFields;
  readonly limits: ReturnType<typeof parseLimits>;
  readonly mounts: ReadonlyMap<string, MountLine>;
}

interface MountLine {
  readonly fsType: string;
  readonly options: readonly string[];
  readonly superOptions: readonly string[];
}

function parseSource(memory: MemoryImage, own: OwnNamespaces): Source {
  return {
    memory,
    own,
    status: parseStatus(memory.text("read.status")),
    limits: parseLimits(memory.text("read.limits")),
    mounts: parseMounts(pagedText(memory, "read.mountinfo")),
  };
}

/** procfs is read a page at a time: text, zeros to the end of the page, text. Most pages are empty. */
function pagedText(memory: MemoryImage, buffer: string): string {
  const bytes = memory.bytes(buffer) ?? Buffer.alloc(0);
  const texts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] === 0) {
      // The next text begins with a page of the size that the launcher reads at a time, whatever the machine's is.
      at += PAGE - (at % PAGE);
      continue;
    }
    const end = bytes.indexOf(0, at);
    texts.push(bytes.subarray(at, end === -1 ? bytes.length : end));
    at = end === -1 ? bytes.length : end;
  }
  return Buffer.concat(texts).toString("utf8");
}

const PAGE = 4096;

interface Comparison {
  readonly expected: string;
  readonly actual: string | null;
  readonly matches: boolean;
}

function compare(check: Check, source: Source): Comparison {
  switch (check.kind) {
    case "status": {
      const field = source.status.get(check.field);
      const actual = field === undefined ? null : squeeze(field);
      const expected = squeeze(check.expected);
      return { expected: `${check.field}: ${expected}`, actual, matches: actual === expected };
    }
    case "namespace":
      return compareNamespace(check, source);
    case "mount":
      return compareMount(check, source.mounts);
    case "cgroup": {
      const text = source.memory.text(`read.cgroup.${check.controller}.${check.file}`).trim();
      return {
        expected: `${check.file}: ${check.expected}`,
        actual: text === "" ? null : text,
        matches: sameCgroupValue(check.file, check.expected.trim(), text),
      };
    }
    case "label": {
      const actual = source.memory.text("read.label").trim();
      const expected = check.from === undefined ? check.expected : source.memory.text(check.from);
      const matches = sortStack(actual) === sortStack(expected);
      return { expected, actual: actual === "" ? null : actual, matches };
    }
    case "answer": {
      const bytes = source.memory.bytes(check.buffer);
      // Zero before the step ran, and "ok" after: neither is what a proof waits for.
      const result = bytes === null ? 0n : bytes.readBigInt64LE(0);
      const actual = result < 0n ? errnoName(Number(-result)) : "ok";
      return {
        expected: `${check.question}: ${check.expected}`,
        actual: bytes === null ? null : actual,
        matches: actual === check.expected,
      };
    }
    case "rlimit": {
      const row = source.limits.get(check.name);
      const actual = row === undefined ? null : `${row.soft} ${row.hard}`;
      const { expected } = check;
      return { expected: `${check.name}: ${expected}`, actual, matches: actual === expected };
    }
  }
}

function compareNamespace(check: Extract<Check, { kind: "namespace" }>, { memory, own }: Source): Comparison {
  const link = memory.text(`read.ns.${check.name}`);
  const ours = own[check.name] ?? "";
  const known = link !== "" && ours !== "";
  return {
    expected: `${check.name}: ${check.expected === "own" ? `other than ${ours}` : ours}`,
    actual: known ? link : null,
    matches: known && (link !== ours) === (check.expected === "own"),
  };
}

function compareMount(
  { target, fsType, options, without = [] }: Extract<Check, { kind: "mount" }>,
  mounts: ReadonlyMap<string, MountLine>,
): Comparison {
  const expected = [
    target,
    ...(fsType === null ? [] : [fsType]),
    ...options,
    ...without.map((option) => `!${option}`),
  ].join(" ");
  const line = mounts.get(target);
  if (line === undefined)
    return { expected, actual: mounts.size === 0 ? null : "not mounted", matches: false };
  const has = (option: string): boolean => {
    // "rw" holds only when neither the mount nor its file system says otherwise; "ro" when either does.
    if (option === "rw") return line.options.includes("rw") && line.superOptions.includes("rw");
    return [...line.options, ...line.superOptions].some((each) => sameOption(each, option));
  };
  return {
    expected,
    actual: [target, line.fsType, ...new Set([...line.options, ...line.superOptions])].join(" "),
    matches:
      (fsType === null || fsType === line.fsType) &&
      options.every(has) &&
      !without.some((option) => line.options.includes(option)),
  };
}

/** Equal, or both the same number of bytes: tmpfs shows `size=65536k` for what was asked as `size=64m`. */
function sameOption(actual: string, expected: string): boolean {
  if (actual === expected) return true;
  const [name, value] = actual.split("=");
  const [otherName, otherValue] = expected.split("=");
  if (name !== otherName || name !== "size" || value === undefined || otherValue === undefined) return false;
  return roundedUp(parseSize(otherValue)).includes(parseSize(value));
}

function parseSize(text: string): number {
  const [, digits, unit] = /^(\d+)([kmg]?)$/i.exec(text) ?? [];
  const scale = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[(unit ?? "").toLowerCase()];
  return digits === undefined || scale === undefined ? Number.NaN : Number(digits) * scale;
}

const PAGE_SIZES = [4096, 16_384, 65_536];
const roundedUp = (bytes: number): number[] => PAGE_SIZES.map((page) => Math.ceil(bytes / page) * page);
const roundedDown = (bytes: number): number[] => PAGE_SIZES.map((page) => Math.floor(bytes / page) * page);

/** What v1 memory files show for "no limit": LONG_MAX in whole pages. */
const V1_UNLIMITED = PAGE_SIZES.map((page) => String(2n ** 63n - BigInt(page)));

function sameCgroupValue(file: string, expected: string, actual: string): boolean {
  if (squeeze(actual) === squeeze(expected)) return true;
  if (file.startsWith("cpuset.")) return cpuList(expected) === cpuList(actual);
  if (expected === "max" || expected === "-1") return ["max", "-1", ...V1_UNLIMITED].includes(actual);
  // Memory is counted in pages; the kernel rounds a limit down to whole ones.
  if (file.startsWith("memory.") && /^\d+$/.test(expected) && /^\d+$/.test(actual)) {
    return roundedDown(Number(expected)).includes(Number(actual));
  }
  // One line per device; a line shows every key, also those that were not written.
  if (file.startsWith("io.") || file.startsWith("blkio.")) {
    const lines = actual.split("\n").map((line) => line.trim().split(/\s+/));
    const [device = "", ...wanted] = squeeze(expected).split(" ");
    return lines.some(
      ([name, ...values]) => name === device && wanted.every((each) => values.includes(each)),
    );
  }
  return false;
}

/** "0,1,2" and "0-2" are the same set. */
function cpuList(text: string): string {
  const members = text
    .trim()
    .split(",")
    .flatMap((part) => {
      const [from, to] = part.split("-").map(Number);
      if (from === undefined || Number.isNaN(from)) return [];
      return Array.from({ length: (to ?? from) - from + 1 }, (_, index) => from + index);
    });
  return [...new Set(members)].toSorted((a, b) => a - b).join(",");
}

/**
 * AppArmor writes the profiles of a stack ("a//&b (enforce)") in an order of its own. Where it restricts unconfined programs
 * (kernel.apparmor_restrict_unprivileged_unconfined) it stacks what they ask for on `unconfined`, which refuses nothing and takes nothing back.
 */
function sortStack(label: string): string {
  const [, names = "", mode = ""] = /^(.*?)( \([a-z]+\))?$/s.exec(label) ?? [];
  const stack = names.split("//&");
  const holding = stack.length === 1 ? stack : stack.filter((name) => name !== "unconfined");
  return holding.toSorted().join("//&") + mode;
}

const squeeze = (text: string): string => text.trim().replace(/\s+/g, " ");

/** The topmost mount at each point: later lines cover earlier ones (proc_pid_mountinfo(5)). */
function parseMounts(text: string): ReadonlyMap<string, MountLine> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const [before, after] = line.split(" - ");
      const [, , , , point, options] = before?.split(" ") ?? [];
      const [fsType, , superOptions] = after?.split(" ") ?? [];
      if (point === undefined || options === undefined || fsType === undefined) return [];
      return [
        [
          unescapeOctal(point),
          { fsType, options: options.split(","), superOptions: (superOptions ?? "").split(",") },
        ] as const,
      ];
    }),
  );
}
