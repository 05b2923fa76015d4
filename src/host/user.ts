/**
 * Who is asking: ids, capabilities, and which other ids the caller may map. Takes the text of /proc/self and of /etc,
 * gives facts; asks nothing of the kernel beyond reading.
 */
import { CAPABILITIES } from "../profile/capability-names.ts";
import type { HostFacts, SubordinateRange } from "./facts.ts";
import type { HostFiles } from "./files.ts";

/** The fields of /proc/PID/status (proc_pid_status(5)), values trimmed. */
export type StatusFields = ReadonlyMap<string, string>;

export function parseStatus(text: string): StatusFields {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return fields;
}

/** A hexadecimal capability mask as names; numbers newer than this table become `CAP_<number>`. */
export function capabilityNames(mask: string): readonly string[] {
  if (!/^[0-9a-f]{1,16}$/i.test(mask)) return [];
  const bits = BigInt(`0x${mask}`);
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (((bits >> BigInt(bit)) & 1n) === 1n) names.push(CAPABILITIES[bit] ?? `CAP_${bit}`);
  }
  return names;
}

/** Effective ids and the name that /etc/passwd gives the uid; `fallbackName` answers for users of a directory service. */
export function probeUser(
  files: HostFiles,
  status: StatusFields,
  fallbackName: (uid: number) => string,
): HostFacts["user"] {
  // Real, effective, saved, filesystem: the effective one is what the kernel asks when a namespace is made.
  const uid = Number(status.get("Uid")?.split(/\s+/)[1] ?? "65534");
  const gid = Number(status.get("Gid")?.split(/\s+/)[1] ?? "65534");
  const groups = (status.get("Groups") ?? "").split(/\s+/).filter((text) => text !== "");
  return {
    uid,
    gid,
    groups: groups.map(Number),
    name: passwdName(files.read("/etc/passwd") ?? "", uid) ?? fallbackName(uid),
  };
}

function passwdName(passwd: string, uid: number): string | null {
  for (const line of passwd.split("\n")) {
    const [name, , id] = line.split(":");
    if (name !== undefined && name !== "" && id === String(uid)) return name;
  }
  return null;
}

/** Lines `first-inside first-outside count` of /proc/PID/uid_map, by their inside numbers: what exists for the caller. */
export function parseIdMap(text: string): readonly SubordinateRange[] {
  const ranges: SubordinateRange[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*(\d+)\s+\d+\s+(\d+)\s*$/.exec(line);
    if (match !== null) ranges.push({ start: Number(match[1]), count: Number(match[2]) });
  }
  return ranges.toSorted((a, b) => a.start - b.start);
}

/** Above what shadow-utils (100000-600100000) and systemd (524288-1879048191) hand out, below 2^31. */
const PREFERRED_ID_BASE = 0x70000000;

/**
 * First of `count` ids, as uid and as gid, that exist for the caller and that nobody was given: the preferred base, else
 * the top of the highest range that both maps cover, kept clear of the 16-bit ids that systems own and of /etc/subuid.
 */
export function findIdBase(
  uidMap: readonly SubordinateRange[],
  gidMap: readonly SubordinateRange[],
  taken: readonly SubordinateRange[],
  count: number,
): number | null {
  const fits = (base: number, map: readonly SubordinateRange[]): boolean =>
    map.some((range) => range.start <= base && base + count <= range.start + range.count);
  const free = (base: number): boolean =>
    base >= 0x10000 &&
    taken.every((range) => base + count <= range.start || range.start + range.count <= base);
  const tops = [...uidMap, ...gidMap]
    .map((range) => range.start + range.count - count)
    .toSorted((a, b) => b - a);
  for (const base of [PREFERRED_ID_BASE, ...tops]) {
    // 4294967295 is "no id", and many programs keep ids in 31 bits.
    if (base + count <= 0x80000000 && free(base) && fits(base, uidMap) && fits(base, gidMap)) return base;
  }
  return null;
}

/** The ranges of subuid(5) or subgid(5) text for a user, by name or by number. */
export function parseSubordinate(text: string, owners: readonly string[]): readonly SubordinateRange[] {
  const ranges: SubordinateRange[] = [];
  for (const line of text.split("\n")) {
    const match = /^([^:#]+):(\d{1,10}):(\d{1,10})$/.exec(line.trim());
    if (match === null || !owners.includes(match[1] ?? "")) continue;
    const start = Number(match[2]);
    const count = Number(match[3]);
    if (count > 0 && start + count <= 0xffffffff) ranges.push({ start, count });
  }
  return ranges;
}

function allSubordinate(text: string): readonly SubordinateRange[] {
  const owners = text.split("\n").map((line) => line.trim().split(":")[0] ?? "");
  return parseSubordinate(text, [...new Set(owners)]);
}

const HELPER_DIRECTORIES = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"];

/**
 * newuidmap or newgidmap, owned by root and executable. Whether file capabilities stand in for the setuid bit (Fedora,
 * Arch) is not visible to stat(2), so a plain executable counts. Under no_new_privs neither works: null.
 */
function findMapHelper(files: HostFiles, name: string, noNewPrivileges: boolean): string | null {
  if (noNewPrivileges) return null;
  for (const directory of HELPER_DIRECTORIES) {
    const path = `${directory}/${name}`;
    const status = files.status(path);
    if (status?.type === "file" && status.uid === 0 && (status.mode & 0o111) !== 0) return path;
  }
  return null;
}

export function probeIds(
  files: HostFiles,
  user: HostFacts["user"],
  capabilities: readonly string[],
  noNewPrivileges: boolean,
  pidMax: number,
): Pick<HostFacts, "idBase" | "subordinate"> {
  const subuid = files.read("/etc/subuid") ?? "";
  const subgid = files.read("/etc/subgid") ?? "";
  const owners = [user.name, String(user.uid)];
  const mapsOthers = capabilities.includes("CAP_SETUID") && capabilities.includes("CAP_SETGID");
  const idMap = (name: string): readonly SubordinateRange[] =>
    parseIdMap(files.read(`/proc/self/${name}`) ?? "");
  return {
    idBase: mapsOthers
      ? findIdBase(
          idMap("uid_map"),
          idMap("gid_map"),
          [...allSubordinate(subuid), ...allSubordinate(subgid)],
          pidMax,
        )
      : null,
    subordinate: {
      uid: parseSubordinate(subuid, owners),
      gid: parseSubordinate(subgid, owners),
      newuidmap: findMapHelper(files, "newuidmap", noNewPrivileges),
      newgidmap: findMapHelper(files, "newgidmap", noNewPrivileges),
    },
  };
}
