/**
 * The file rules of an AppArmor profile: what may be done where, from the mounts. Paths are those that the payload sees: after the pivot
 * its root is the root of the mount namespace, and that is where AppArmor's paths begin. Rules only add up, and a deny beats them all, so what
 * is mounted tighter than what it lies in gets a deny, unless something looser lies below it.
 */
import type { Spec } from "../../profile/spec.ts";
import { isBelow } from "../visible.ts";
import type { Wanted } from "../wanted-mounts.ts";

/** A mount, and the field that asked for it. */
export type PlacedMount = Pick<Wanted, "mount" | "pointer">;

/** Links into /usr on most systems now, and AppArmor sees where a link leads: what lies below has a rule for both. */
const LINKED = /^\/(bin|sbin|lib|lib32|lib64|libx32)(?=\/)/;

/** Rules with what they come from: a pointer into the profile, and a word for people. */
export interface RuleGroup {
  readonly pointer: string;
  readonly why: string;
  readonly rules: readonly string[];
}

/** Letters of apparmor.d(5): map executable, read, write, link, lock, execute. */
const ORDER = "mrwlkx";
const READ = "rk";
const RUN = "mrkx";
const WRITE = "rwlk";
const ALL = ORDER;

/** A place in the root, and the letters that hold there. */
interface Area {
  readonly path: string;
  /** A directory with all below it, a file, or either (a bind: the profile does not say). */
  readonly type: "tree" | "file" | "either";
  readonly letters: string;
  readonly pointer: string;
  readonly why: string;
}

/** The directories that a `system` root takes from the host, wherever they are real ones. */
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

export function fileRules(spec: Spec, mounts: readonly PlacedMount[]): readonly RuleGroup[] {
  const mounted = mounts.flatMap(mountArea);
  const areas = [
    ...rootAreas(spec).filter(({ path }) => !mounted.some((area) => area.path === path)),
    ...mounted,
  ];
  const groups = [
    ...areas.map((area) => areaRules(area, areas)),
    ...procRules(spec),
    deviceRules(spec),
    ...coverRules(spec, areas),
    LISTING,
  ];
  return joinEqual(groups.filter(({ rules }) => rules.length > 0));
}

/** What is shown is decided by what is mounted. */
const LISTING: RuleGroup = {
  pointer: "/filesystem",
  why: "directories may be listed",
  rules: ["/{,**/} r,"],
};

/** Neighbours that were asked for by the same line, for the same reason, are one group. */
function joinEqual(groups: readonly RuleGroup[]): readonly RuleGroup[] {
  return groups.reduce<readonly RuleGroup[]>((joined, group) => {
    const last = joined.at(-1);
    if (last?.pointer !== group.pointer || last.why !== group.why) return [...joined, group];
    return [...joined.slice(0, -1), { ...last, rules: [...last.rules, ...group.rules] }];
  }, []);
}

function rootAreas({ filesystem: { root, write } }: Spec): readonly Area[] {
  const pointer = "/filesystem/root";
  const whole = (letters: string, why: string): Area => ({ path: "/", type: "tree", letters, pointer, why });
  if (write !== "none") return [whole(ALL, "the whole root, writable")];
  if (root.type === "directory") return [whole(RUN, "the whole root, read-only")];
  if (root.type !== "system") return [];
  return [
    ...SYSTEM.map(
      (path): Area => ({ path, type: "tree", letters: RUN, pointer, why: "the host's system directories" }),
    ),
    {
      path: "/etc",
      type: "tree",
      letters: READ,
      pointer,
      why: "generated files, and the host's without secrets",
    },
  ];
}

function mountArea({ mount, pointer }: PlacedMount): readonly Area[] {
  const letters = (readOnly: boolean, noExec: boolean): string =>
    inOrder((readOnly ? READ : WRITE) + (noExec ? "" : RUN));
  const base = { path: mount.target, pointer };
  switch (mount.type) {
    case "bind":
      return [
        {
          ...base,
          type: "either",
          letters: letters(mount.readOnly, mount.noExec),
          why: `bind of ${mount.source}`,
        },
      ];
    case "tmpfs":
      return [{ ...base, type: "tree", letters: letters(mount.readOnly, mount.noExec), why: "tmpfs" }];
    case "file":
      return [
        { ...base, type: "file", letters: (mount.mode & 0o111) === 0 ? READ : RUN, why: "generated file" },
      ];
    case "symlink":
      // AppArmor sees where a link leads, never the link.
      return [];
  }
}

function areaRules(area: Area, areas: readonly Area[]): RuleGroup {
  const { path, type, letters, pointer, why } = area;
  const allowed = path === "/" ? `/{,${ROOT_BUT_DEV_AND_PROC}}` : globOf(path, type);
  const denied = tightened(area, areas);
  return {
    pointer,
    why,
    rules: [
      `${quote(allowed)} ${allowing(letters)},`,
      ...(denied === "" ? [] : [`deny ${quote(globOf(path, type))} ${denied},`]),
    ],
  };
}

/** What rules around it allow and this area does not; without what an area below it needs. */
function tightened(area: Area, areas: readonly Area[]): string {
  const around = areas.filter(
    (other) => other !== area && other.type !== "file" && isBelow(area.path, other.path),
  );
  const below = areas.filter((other) => other !== area && isBelow(other.path, area.path));
  const granted = around.map(({ letters }) => letters).join("");
  const needed = area.letters + below.map(({ letters }) => letters).join("");
  return inOrder(
    Array.from(granted)
      .filter((letter) => !needed.includes(letter))
      .join(""),
  );
}

/** /dev and /proc have rules of their own. */
const ROOT_BUT_DEV_AND_PROC = `{${everythingBut(["dev", "proc"]).join(",")}}`;

/** Globs of every name but these, with all below: AppArmor has no exception but a deny, and a deny has none. */
function everythingBut(names: readonly string[]): readonly string[] {
  const prefixes = [
    ...new Set(names.flatMap((name) => Array.from(name, (_, length) => name.slice(0, length)))),
  ].toSorted();
  const whole = new Set(names);
  return [
    ...prefixes.flatMap((prefix) => {
      const next = [
        ...new Set(names.filter((name) => name.startsWith(prefix)).map((name) => name[prefix.length])),
      ].join("");
      // A prefix may be a name itself; "/" after it is a directory of that name.
      return prefix === "" ? [`[^${next}]**`] : [prefix, `${prefix}[^${next}]**`];
    }),
    ...[...whole].map((name) => `${name}[^/]**`),
  ];
}

/** Own processes, or what procfs tells as well. A process may change of itself what changes nobody else's lot. */
function procRules({ filesystem }: Spec): readonly RuleGroup[] {
  const { proc, masked, readOnly } = filesystem;
  if (proc === "none") return [];
  const closed = [...masked, ...readOnly].some((path) => isBelow("/proc/sys", path));
  return [
    {
      pointer: "/filesystem/proc",
      why: proc === "full" ? "own processes, and what procfs tells about the machine" : "own processes",
      rules: [
        proc === "full" ? "/proc/{,**} rk," : "/proc/{,[0-9]*/{,**}} rk,",
        "/proc/[0-9]*/{,task/[0-9]*/}{comm,coredump_filter,oom_score_adj,timerslack_ns} w,",
        ...(proc === "full" && !closed ? ["/proc/sys/** w,"] : []),
      ],
    },
  ];
}

/** Nodes by name; a terminal is the caller's through our relay, or one of the sandbox's own. */
function deviceRules({ filesystem, process }: Spec): RuleGroup {
  const { devices } = filesystem;
  const nodes = devices.filter((device) => !["pts", "shm", "mqueue", "fd"].includes(device));
  const terminals = devices.includes("pts") || process.terminal !== "never";
  return {
    pointer: "/filesystem/devices",
    why: "devices",
    rules: [
      ...(nodes.length === 0 ? [] : [`/dev/{${nodes.join(",")}} rw,`]),
      ...(terminals ? ["/dev/{console,pts/{ptmx,[0-9]*}} rw,"] : []),
      ...(devices.includes("shm") ? ["/dev/shm/{,**} rwlk,"] : []),
      ...(devices.includes("mqueue") ? ["/dev/mqueue/{,*} rwlk,"] : []),
    ],
  };
}

/** What is masked, and what is read-only where a rule would let it be written. */
function coverRules({ filesystem }: Spec, areas: readonly Area[]): readonly RuleGroup[] {
  const { masked, readOnly, proc } = filesystem;
  const granted = (path: string): string =>
    (isBelow(path, "/proc") ? (proc === "full" ? READ : "") : "") +
    areas
      .filter((area) => area.type !== "file" && isBelow(path, area.path) && !hasRulesOfItsOwn(path))
      .map(({ letters }) => letters)
      .join("");
  const cover = (paths: readonly string[], letters: string): readonly string[] =>
    paths.flatMap((path) => {
      const denied = Array.from(letters).some((letter) => granted(path).includes(letter));
      return denied ? [`deny ${quote(globOf(path, "either"))} ${letters},`] : [];
    });
  return [
    { pointer: "/filesystem/masked", why: "masked", rules: cover(masked, ALL) },
    { pointer: "/filesystem/readOnly", why: "read-only", rules: cover(readOnly, "wl") },
  ];
}

const hasRulesOfItsOwn = (path: string): boolean => isBelow(path, "/dev") || isBelow(path, "/proc");

/** A directory's path ends with a slash where AppArmor looks at it. */
function globOf(path: string, type: Area["type"]): string {
  if (path === "/") return "/{,**}";
  const name = escapeGlob(path).replace(LINKED, "/{,usr/}$1");
  return { tree: `${name}/{,**}`, file: name, either: `${name}{,/,/**}` }[type];
}

const allowing = (letters: string): string => inOrder(letters).replace("x", "ix");
const inOrder = (letters: string): string =>
  Array.from(ORDER)
    .filter((letter) => letters.includes(letter))
    .join("");

/** Only what is a word to the parser may stand without quotes. */
const quote = (glob: string): string => (/^[\w/.,{}[\]^*+:-]+$/.test(glob) ? glob : `"${glob}"`);

/** A path as the parser takes it, meaning only itself. */
export const quotePath = (path: string): string => quote(escapeGlob(path));

/** A path as a pattern that means only itself (apparmor.d(5), Globbing). "@" would begin a variable, a quote end the text. */
function escapeGlob(path: string): string {
  return path.replaceAll(/./gsu, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20 || code === 0x7f || character === '"') return `\\${code.toString(8).padStart(3, "0")}`;
    return SPECIAL.includes(character) ? `\\${character}` : character;
  });
}

const SPECIAL = "\\*?[]{}^,@";
