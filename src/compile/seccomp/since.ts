/**
 * When system calls came. Since Linux 5.1 a new call has one number on every architecture, 424 and up; two below that are x86-64's own. From syscalls(2) and
 * the tables of the kernel's releases.
 */
import type { Abi } from "./abi.ts";
import { type SyscallTable, syscallTable } from "./tables.ts";

/** [first number, release that brought it and those after it up to the next entry]. */
const RELEASES: readonly (readonly [number: number, release: string])[] = [
  [424, "5.1"],
  [428, "5.2"],
  [434, "5.3"],
  [436, "5.9"],
  [437, "5.6"],
  [439, "5.8"],
  [440, "5.10"],
  [441, "5.11"],
  [442, "5.12"],
  [443, "5.14"],
  [444, "5.13"],
  [447, "5.14"],
  [448, "5.15"],
  [449, "5.16"],
  [450, "5.17"],
  [451, "6.5"],
  [452, "6.6"],
  [454, "6.7"],
  [457, "6.8"],
  [462, "6.10"],
  [463, "6.13"],
  [467, "6.15"],
  [468, "6.17"],
  [470, "6.19"],
];

/** Trampolines of uprobes, x86-64 alone. */
const OWN: Readonly<Record<string, string>> = { uretprobe: "6.11", uprobe: "6.18" };

/** Calls of releases before this one are told apart by no list here. */
export const OLDEST_RELEASE = "5.1";
/** What a later release brought is not known here. */
export const NEWEST_RELEASE = "6.19";

export interface Release {
  readonly major: number;
  readonly minor: number;
}

/** "6.1" or "6.1.0-13-amd64"; null for anything else. */
export function parseRelease(text: string): Release | null {
  const match = /^(\d{1,3})\.(\d{1,3})(?:[.-][\w.+~-]*)?$/.exec(text);
  return match === null ? null : { major: Number(match[1]), minor: Number(match[2]) };
}

const isBefore = (a: Release, b: Release): boolean =>
  a.major < b.major || (a.major === b.major && a.minor < b.minor);

/** Whether the calls of a release are known. */
export function isKnownRelease(release: Release): boolean {
  const [oldest, newest] = [parseRelease(OLDEST_RELEASE), parseRelease(NEWEST_RELEASE)];
  return oldest !== null && newest !== null && !isBefore(release, oldest) && !isBefore(newest, release);
}

/** The calls of an ABI that a kernel of a release has. */
export function callsOfRelease(abi: Abi, release: Release): SyscallTable["numbers"] {
  const { numbers } = syscallTable(abi);
  return new Map([...numbers].filter(([name, nr]) => !isBefore(release, sinceOf(name, nr))));
}

function sinceOf(name: string, nr: number): Release {
  // x32 marks its numbers with bit 30; its own calls and arm's private ones are older than any of these.
  const common = nr & 0xffff;
  const isCommon = common >= 424 && common < 512;
  const text = OWN[name] ?? (isCommon ? RELEASES.findLast(([first]) => first <= common)?.[1] : undefined);
  return parseRelease(text ?? "0.0") as Release;
}
