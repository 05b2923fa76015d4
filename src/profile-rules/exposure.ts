/**
 * The exposure score: 0 when a profile permits nothing that is looked at here, 10 when it permits all of it. A weighted sum of parts, each of
 * which grows with what is permitted and with nothing else. So a profile that permits at most what another one does never scores worse:
 * every part must stay such a function, and a property test holds it to that.
 *
 * A score ranks and shows a trend. Whether a profile is good enough is for a policy to say.
 */
import { ABIS, type Abi, SERVED } from "../compile/seccomp/abi.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import { CAPABILITIES } from "../profile/capability-names.ts";
import { NotStated, stated } from "../profile/stated.ts";
import {
  CODE_AT_RUN_TIME,
  DANGEROUS,
  FAMILIES,
  makesNamespace,
  makesSocket,
  NEW_NAMESPACE,
  ORDINARY_FAMILIES,
  TERMINAL_INJECTION,
} from "./calls.ts";
import type { ProfileFacts } from "./facts.ts";
import type { Question } from "./filter-facts.ts";
import { mapsHostRoot } from "./properties.ts";

/** One thing that is looked at. */
interface Part {
  readonly about: string;
  readonly weight: number;
  /** 0 nothing of it is permitted, 1 all of it. */
  readonly measure: (facts: ProfileFacts) => number;
}

export interface ExposurePart {
  readonly group: string;
  readonly about: string;
  /** What it adds to the score. */
  readonly points: number;
  /** What it could add at most. */
  readonly most: number;
  /** False: the document does not say, and it counts in full. */
  readonly decided: boolean;
}

export interface Exposure {
  /** 0 to 10, one decimal, rounded up: nothing is rounded away. */
  readonly score: number;
  readonly band: "low" | "moderate" | "high" | "extreme";
  /** The document does not say everything: the score is at most this. */
  readonly atMost: boolean;
  /** In the order of the groups; parts without points are there too. */
  readonly parts: readonly ExposurePart[];
}

const yes = (permitted: boolean): number => (permitted ? 1 : 0);
const any = (facts: ProfileFacts, questions: readonly Question[]): number =>
  yes(questions.some((question) => facts.allowed(question) !== null));
const share = <T>(items: readonly T[], permitted: (item: T) => boolean): number =>
  items.length === 0 ? 0 : items.filter(permitted).length / items.length;

/** How much of a resource: none 0, `least` and below 0, `most` and above 0.75, no limit 1; by the logarithm between. */
const amount = (limit: number | null, least: number, most: number): number =>
  limit === null
    ? 1
    : Math.min(0.75, Math.max(0, (0.75 * Math.log2(Math.max(limit, 1) / least)) / Math.log2(most / least)));

const namespace = (name: keyof ProfileFacts["spec"]["namespaces"], weight: number): Part => ({
  about: `the host's ${name} namespace`,
  weight,
  measure: ({ spec }) => yes(!spec.namespaces[name] || (name === "network" && spec.network.mode === "host")),
});

/** Those that are next to root over whatever they are over; the others count a quarter. */
const GREAT: ReadonlySet<string> = new Set(
  "SYS_ADMIN SYS_MODULE SYS_RAWIO SYS_PTRACE SYS_BOOT DAC_OVERRIDE DAC_READ_SEARCH SETUID SETGID SETFCAP SETPCAP CHOWN FOWNER NET_ADMIN BPF PERFMON MAC_ADMIN MAC_OVERRIDE MKNOD CHECKPOINT_RESTORE"
    .split(" ")
    .map((name) => `CAP_${name}`),
);
const weightOf = (name: string): number => (GREAT.has(name) ? 4 : 1);
const ALL_CAPABILITIES = CAPABILITIES.reduce((sum, name) => sum + weightOf(name), 0);

const RARE = Object.keys(FAMILIES).filter((name) => !(ORDINARY_FAMILIES as readonly string[]).includes(name));
const FOREIGN: readonly Abi[] = ABIS.filter(
  (abi) => !Object.values(SERVED).some(([native]) => native === abi),
);

/** Of the calls of the native convention, the share that gets through with some arguments; the greater one of the architectures. */
function reachable(facts: ProfileFacts): number {
  if (facts.filters.length === 0) return 1;
  return Math.max(
    ...facts.filters.map(({ arch }) => {
      const abi = SERVED[arch][0] as Abi;
      const names = [...syscallTable(abi).numbers.keys()];
      return share(names, (name) => facts.allowed({ names: [name], abis: [abi] }) !== null);
    }),
  );
}

const GROUPS: Readonly<Record<string, readonly Part[]>> = {
  isolation: [
    namespace("user", 20),
    namespace("network", 20),
    namespace("pid", 12),
    namespace("mount", 12),
    namespace("ipc", 6),
    namespace("cgroup", 2),
    namespace("uts", 1),
    namespace("time", 1),
    { about: "an id that is the host's root", weight: 20, measure: (facts) => yes(mapsHostRoot(facts)) },
    {
      about: "no security module",
      weight: 4,
      measure: ({ spec }) => (spec.lsm.type === "none" ? 1 : spec.require.lsm === "none" ? 0.5 : 0),
    },
  ],
  privileges: [
    {
      about: "capabilities that can be had",
      weight: 24,
      measure: ({ capabilities, spec }) => {
        const had = [...capabilities.keys()].reduce((sum, name) => sum + weightOf(name), 0);
        const portion = Math.sqrt(had / ALL_CAPABILITIES);
        // Over a user namespace of its own they open kernel code, but nothing of the host.
        return spec.namespaces.user ? portion / 2 : portion;
      },
    },
    {
      about: "rights by executing files",
      weight: 10,
      measure: ({ spec }) => yes(!spec.noNewPrivileges),
    },
    { about: "user 0 inside", weight: 3, measure: ({ spec }) => yes(spec.identity.uid === 0) },
  ],
  files: [
    {
      about: "host files that can be written",
      weight: 12,
      measure: ({ paths }) => yes(paths.some((p) => p.kept)),
    },
    {
      about: "host files that can be seen",
      weight: 4,
      measure: ({ paths }) => yes(paths.some((p) => p.host !== null)),
    },
    {
      about: "the host's whole tree",
      weight: 12,
      measure: ({ paths }) => yes(paths.some((p) => p.host === "/")),
    },
    {
      about: "a root that can be written",
      weight: 3,
      measure: ({ spec }) => yes(spec.filesystem.write !== "none"),
    },
    {
      about: "programs of its own",
      weight: 5,
      measure: (facts) =>
        Math.max(
          yes(facts.paths.some((p) => p.writable && p.executable)),
          any(facts, [{ names: ["memfd_create"] }]),
        ),
    },
    {
      about: "facts of the machine in /proc",
      weight: 2,
      measure: ({ spec }) => yes(spec.filesystem.proc === "full"),
    },
  ],
  "system calls": [
    { about: "calls that get through", weight: 16, measure: reachable },
    {
      about: "calls that reach beyond the sandbox",
      weight: 16,
      measure: (facts) => share(Object.keys(DANGEROUS), (name) => facts.allowed({ names: [name] }) !== null),
    },
    {
      about: "new namespaces",
      weight: 10,
      measure: (facts) => any(facts, Object.values(NEW_NAMESPACE).flatMap(makesNamespace)),
    },
    {
      about: "operations that pass no filter (io_uring)",
      weight: 6,
      measure: (facts) => any(facts, [{ names: ["io_uring_setup"] }]),
    },
    {
      about: "sockets of rare families",
      weight: 8,
      measure: (facts) => share(RARE, (name) => any(facts, makesSocket(FAMILIES[name] ?? 0n)) === 1),
    },
    {
      about: "other calling conventions",
      weight: 5,
      measure: (facts) =>
        share(
          FOREIGN,
          (abi) => facts.allowed({ names: [...syscallTable(abi).numbers.keys()], abis: [abi] }) !== null,
        ),
    },
    { about: "typing into a terminal", weight: 2, measure: (facts) => any(facts, TERMINAL_INJECTION) },
    {
      about: "code made at run time",
      weight: 2,
      measure: (facts) => (facts.spec.process.memoryDenyWriteExecute ? 0 : any(facts, CODE_AT_RUN_TIME)),
    },
  ],
  resources: [
    {
      about: "memory",
      weight: 3,
      measure: ({ spec }) => amount(spec.resources.memory, 2 ** 26, 2 ** 36),
    },
    { about: "processes", weight: 3, measure: ({ spec }) => amount(spec.resources.pids, 16, 32_768) },
    {
      about: "CPU",
      weight: 2,
      measure: ({ spec }) =>
        Math.min(amount(spec.resources.cpus, 0.5, 64), amount(spec.resources.cpuTime, 1000, 86_400_000)),
    },
    { about: "time", weight: 2, measure: ({ spec }) => amount(spec.resources.wallTime, 1000, 86_400_000) },
    {
      about: "open files",
      weight: 1,
      measure: ({ spec }) => amount(spec.resources.openFiles, 64, 1_048_576),
    },
    {
      about: "core files",
      weight: 1,
      measure: ({ spec }) => yes(spec.resources.coreSize === null || spec.resources.coreSize > 1),
    },
  ],
};

const TOTAL = Object.values(GROUPS)
  .flat()
  .reduce((sum, { weight }) => sum + weight, 0);

const known = new WeakMap<ProfileFacts, Exposure>();

/** "0.7 of 10 (low)", with a word about what is not said. */
export function formatExposure({ score, band, atMost, parts }: Exposure): string {
  const unsaid = parts.filter(({ decided }) => !decided).length;
  const rest = atMost ? `: ${unsaid} of its ${parts.length} parts are not said here and count in full` : "";
  return `${atMost ? "at most " : ""}${score.toFixed(1)} of 10 (${band})${rest}`;
}

/** The score of a profile and what it is made of. */
export function exposureOf(facts: ProfileFacts): Exposure {
  const before = known.get(facts);
  if (before !== undefined) return before;
  const parts = Object.entries(GROUPS).flatMap(([group, items]) =>
    items.map(({ about, weight, measure }): ExposurePart => {
      const most = (10 * weight) / TOTAL;
      // What is not said may be permitted: the score is then the worst that can be.
      const measured = stated(() => measure(facts));
      const decided = !(measured instanceof NotStated);
      return { group, about, points: most * (decided ? measured : 1), most, decided };
    }),
  );
  const sum = parts.reduce((points, part) => points + part.points, 0);
  // A sum that is a whole number of tenths but for the last bit stays it.
  const score = Math.ceil(sum * 10 - 1e-9) / 10;
  const band = score <= 1.5 ? "low" : score <= 3.5 ? "moderate" : score <= 6.5 ? "high" : "extreme";
  const exposure: Exposure = { score, band, atMost: parts.some(({ decided }) => !decided), parts };
  known.set(facts, exposure);
  return exposure;
}
