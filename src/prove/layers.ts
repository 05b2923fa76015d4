/**
 * Two profiles compared on every layer but system calls: for each field, whether the second permits more, less, or something else, with an example. Takes
 * resolved specs, or what another tool's document states of one; looks at no host. The table of fields is exhaustive: a new field of Spec does not compile until it says here what stricter means.
 */
import {
  CAPABILITY_SETS,
  type IdMap,
  type Mount,
  NAMESPACES,
  type Root,
  type Spec,
  type Write,
} from "../profile/spec.ts";
import {
  type Difference,
  each,
  fields,
  flag,
  free,
  limit,
  names,
  type Order,
  ordered,
  same,
} from "./orders.ts";

export type { Difference } from "./orders.ts";

type Fields = Omit<Spec, "seccomp">;

/** Every difference of the second profile from the first, in the order of the fields. */
export function compareLayers(first: Spec, second: Spec): readonly Difference[] {
  return LAYERS(first, second, "");
}

/** Whether a difference of the second profile shows that the first permits something that the second forbids, or may. */
export function refutesAtMost({ direction }: Difference): boolean {
  return direction === "stricter" || direction === "incomparable";
}

const namespace = flag(true, "the host's own is shared");

/** Ids inside that map to ids outside: one, a range, or what is written. */
const idMap: Order<IdMap> = (a, b, at) =>
  typeof a === "string" && typeof b === "string"
    ? ordered<string>(["auto", "subordinate"], "ids are mapped")(a, b, at)
    : same("host ids are mapped")(a, b, at);

/** A root shows more than another of its kind; a directory holds what nobody knows. */
const root: Order<Root> = (a, b, at) => {
  const kind = (value: Exclude<Root, { readonly type: "directory" }>) =>
    value.type === "system" ? (`system, ${value.etc} /etc` as const) : value.type;
  if (a.type === "directory" || b.type === "directory") return same("another root is shown")(a, b, at);
  return ordered(["empty", "closure", "system, minimal /etc", "system, tools /etc"], "the root shows")(
    kind(a),
    kind(b),
    at,
  );
};

const write: Order<Write> = (a, b, at) => {
  const kind = (value: Write) => (typeof value === "string" ? value : "kept");
  const bothKept = typeof a === "object" && typeof b === "object";
  if (bothKept) return same("writes are kept in another directory")(a.directory, b.directory, at);
  return ordered(["none", "ephemeral", "kept"], "writes to the root are")(kind(a), kind(b), at);
};

/** What a mount lets the payload do, as words that a larger set contains. */
function abilities(mount: Mount): readonly string[] {
  switch (mount.type) {
    case "bind":
      return [
        `see ${mount.source}`,
        ...(mount.readOnly ? [] : [`write to ${mount.source}`]),
        ...(mount.noExec ? [] : [`execute below ${mount.target}`]),
      ];
    case "tmpfs":
      return [
        ...(mount.readOnly ? [] : [`write to memory at ${mount.target}`]),
        ...(mount.noExec ? [] : [`execute below ${mount.target}`]),
      ];
    case "file":
      return [`read a file of the profile at ${mount.target}`];
    case "symlink":
      return [`follow a link from ${mount.target} to ${mount.link}`];
  }
}

const mounts: (a: readonly Mount[], b: readonly Mount[], at: string) => readonly Difference[] = (
  a,
  b,
  at,
) => {
  const found = [...names("permits to")(a.flatMap(abilities), b.flatMap(abilities), at)];
  // Of the same place, how much memory it holds and what is written there.
  for (const one of a) {
    const other = b.find(({ target, type }) => target === one.target && type === one.type);
    if (other === undefined) continue;
    const place = `${at}/${b.indexOf(other)}`;
    if (one.type === "file" && other.type === "file")
      found.push(...same("another file is shown")(one.content, other.content, `${place}/content`));
    if (one.type !== "tmpfs" || other.type !== "tmpfs") continue;
    found.push(
      ...limit("bytes in memory")(one.size, other.size, `${place}/size`),
      ...limit("inodes in memory")(one.inodes, other.inodes, `${place}/inodes`),
    );
  }
  return found;
};

/** Bits that a file mode loses: more of them are stricter. */
const umask: Order<number> = (a, b, at) => {
  const bits = (mask: number) =>
    Array.from({ length: 9 }, (_, i) => 1 << i).flatMap((bit) =>
      mask & bit ? [`mode bit 0${bit.toString(8)}`] : [],
    );
  return names("is taken from new files:", "stricter")(bits(a), bits(b), at);
};

const numbers =
  (about: string): Order<"any" | readonly number[]> =>
  (a, b, at) =>
    a === "any" || b === "any"
      ? ordered(["some", "any"], about)(a === "any" ? a : "some", b === "any" ? b : "some", at)
      : names(about)(a.map(String), b.map(String), at);

/** Paths with all below them: what one list reaches and the other does not. */
const paths: Order<"derived" | readonly string[]> = (a, b, at) => {
  if (a === "derived" || b === "derived")
    return ordered(["some paths", "derived"], "is allowed at")(
      a === "derived" ? a : "some paths",
      b === "derived" ? b : "some paths",
      at,
    );
  const below = (path: string, above: readonly string[]) =>
    above.some((top) => top === "/" || path === top || path.startsWith(`${top}/`));
  const beyond = (list: readonly string[], other: readonly string[]) =>
    list.filter((path) => !below(path, other));
  return names("is allowed at")(beyond(a, b), beyond(b, a), at);
};

const landlock = fields<NonNullable<Spec["landlock"]>>({
  fs: each(paths),
  net: each(numbers("port")),
  scope: each(flag(true, "it reaches out of the sandbox")),
  log: free,
});

const LAYERS = fields<Fields>({
  name: null,
  description: null,
  namespaces: each(namespace, NAMESPACES),
  identity: fields<Spec["identity"]>({
    uid: same("the user inside is another"),
    gid: same("the group inside is another"),
    map: idMap,
    allowRoot: flag(false, "it may be uid or gid 0 inside"),
    hostname: free,
  }),
  filesystem: fields<Spec["filesystem"]>({
    root,
    write,
    writeSize: limit("bytes of discarded writes"),
    proc: ordered(["none", "pids", "full"], "/proc shows"),
    mounts,
    masked: names("is masked:", "stricter"),
    readOnly: names("is read-only:", "stricter"),
    devices: names("device"),
    shmSize: limit("bytes in /dev/shm"),
    workdir: ordered(["none", "ro", "rw"], "the working directory is shown"),
  }),
  capabilities: each(names("capability"), CAPABILITY_SETS),
  noNewPrivileges: flag(true, "execve may gain privileges"),
  lsm: fields<Spec["lsm"]>({
    type: (a, b, at) =>
      a === "none" || b === "none"
        ? ordered(["confined", "none"], "by a security module")(
            a === "none" ? a : "confined",
            b === "none" ? b : "confined",
            at,
          )
        : same("another security module confines it")(a, b, at),
    apparmorProfile: same("another AppArmor profile confines it"),
    selinuxLabel: same("another SELinux label confines it"),
    mountLabel: same("what it mounts is labelled otherwise"),
  }),
  landlock: (a, b, at) =>
    a === null || b === null
      ? ordered(["on", "off"], "Landlock is")(a === null ? "off" : "on", b === null ? "off" : "on", at)
      : landlock(a, b, at),
  resources: fields<Spec["resources"]>({
    memory: limit("bytes of memory"),
    swap: limit("bytes of swap"),
    cpus: limit("CPUs"),
    cpuset: (a, b, at) =>
      a === null || b === null
        ? ordered(["some CPUs", "all CPUs"], "runs on")(
            a === null ? "all CPUs" : "some CPUs",
            b === null ? "all CPUs" : "some CPUs",
            at,
          )
        : same("runs on other CPUs")(a, b, at),
    pids: limit("processes"),
    io: same("block I/O is limited otherwise"),
    cpuTime: limit("milliseconds of CPU time"),
    wallTime: limit("milliseconds"),
    fileSize: limit("bytes in one file"),
    openFiles: limit("open files"),
    coreSize: limit("bytes of core dump"),
    outputSize: limit("bytes of output"),
    rlimits: (a, b, at) => rlimits(a, b, at),
  }),
  network: fields<Spec["network"]>({ mode: ordered(["none", "host"], "the network is") }),
  environment: fields<Spec["environment"]>({ pass: names("the caller's variable"), set: free }),
  process: fields<Spec["process"]>({
    workdir: free,
    umask,
    nice: (a, b, at) => limit("priority")(-a, -b, at),
    oomScoreAdj: (a, b, at) => limit("to survive when memory is short")(-a, -b, at),
    terminal: free,
    memoryDenyWriteExecute: flag(true, "memory may be written and then executed"),
    speculationMitigations: flag(true, "it speculates without mitigations"),
    timeOffsets: free,
  }),
  audit: fields<Spec["audit"]>({
    require: flag(true, "it runs without a log"),
    onFailure: ordered(["refuse", "kill", "continue"], "without a log it is"),
    redact: free,
  }),
  require: each(ordered(["full", "partial", "none"], "at least in force")),
});

type Rlimits = Spec["resources"]["rlimits"];

/** A limit that is not set is the caller's, of which nothing is known here: more than any. */
function rlimits(a: Rlimits, b: Rlimits, at: string): readonly Difference[] {
  const kinds = [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted() as readonly (keyof Rlimits)[];
  const value = (given: number | "unlimited" | undefined) => (typeof given === "number" ? given : null);
  return kinds.flatMap((kind) =>
    (["soft", "hard"] as const).flatMap((which) =>
      limit(`RLIMIT_${kind.toUpperCase()}`)(
        value(a[kind]?.[which]),
        value(b[kind]?.[which]),
        `${at}/${kind}/${which}`,
      ),
    ),
  );
}
