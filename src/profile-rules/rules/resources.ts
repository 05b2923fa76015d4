/** Rules about limits: what one run can take from the host. */
import { formatSize, formatTime } from "../../profile/units.ts";
import type { ProfileFacts } from "../facts.ts";
import { cis, man, type ProfileRule, profileRule, violation } from "../profile-rule.ts";

/** A limit that is missing or larger than the policy accepts; 0 accepts any. */
function* limit(
  facts: ProfileFacts,
  name: string,
  value: number | null,
  max: number,
  format: (value: number) => string,
) {
  const pointer = `/resources/${name}`;
  if (value === null)
    yield { ...violation(facts, pointer, `${name} has no limit`, pointer), amount: Number.MAX_SAFE_INTEGER };
  else if (max > 0 && value > max)
    yield {
      ...violation(facts, pointer, `${name} is ${format(value)}, more than ${format(max)}`, pointer),
      amount: value,
    };
}

export const RESOURCES: readonly ProfileRule[] = [
  profileRule({
    id: "memory-limit",
    title: "Memory is limited",
    rationale: "Without a limit one run takes the host's memory, and the kernel ends something else for it.",
    remediation: "Set resources.memory.",
    references: [cis("5.11"), man("cgroups", 7)],
    options: { max: { type: "size", default: 0, about: "the largest limit accepted; 0: any" } },
    *check(facts, { max }) {
      yield* limit(facts, "memory", facts.spec.resources.memory, max, formatSize);
    },
  }),
  profileRule({
    id: "process-limit",
    title: "Processes are limited",
    rationale: "Without a limit a loop that forks takes every process number of the host.",
    remediation: "Set resources.pids.",
    references: [cis("5.29"), man("cgroups", 7)],
    options: { max: { type: "integer", default: 0, about: "the largest limit accepted; 0: any" } },
    *check(facts, { max }) {
      yield* limit(facts, "pids", facts.spec.resources.pids, max, String);
    },
  }),
  profileRule({
    id: "cpu-limit",
    title: "CPU is limited",
    rationale: "Without a limit one run slows everything else on the host for as long as it lasts.",
    remediation: "Set resources.cpus, or resources.cpuTime where a run ends.",
    references: [cis("5.12"), man("cgroups", 7)],
    options: {},
    *check(facts) {
      const { cpus, cpuTime } = facts.spec.resources;
      if (cpus === null && cpuTime === null)
        yield violation(facts, "/resources/cpus", "neither cpus nor cpuTime has a limit", "/resources/cpus");
    },
  }),
  profileRule({
    id: "time-limit",
    title: "A run ends",
    rationale: "Whatever waits forever holds its memory, its place and whoever waits for it.",
    remediation: "Set resources.wallTime.",
    references: [],
    options: { max: { type: "time", default: 0, about: "the longest limit accepted; 0: any" } },
    *check(facts, { max }) {
      yield* limit(facts, "wallTime", facts.spec.resources.wallTime, max, formatTime);
    },
  }),
  profileRule({
    id: "open-file-limit",
    title: "Open files are limited",
    rationale: "The table of open files is one for the whole host.",
    remediation: "Set resources.openFiles.",
    references: [cis("5.19"), man("setrlimit", 2)],
    options: { max: { type: "integer", default: 0, about: "the largest limit accepted; 0: any" } },
    *check(facts, { max }) {
      yield* limit(facts, "openFiles", facts.spec.resources.openFiles, max, String);
    },
  }),
  profileRule({
    id: "no-core-dumps",
    title: "No core files are written",
    rationale:
      "A core file holds the memory of the program, with every secret in it, and the handler in core_pattern runs as root on the host.",
    remediation: "Set resources.coreSize to 0, or to 1 which also keeps a handler from being started.",
    references: [man("core", 5)],
    options: {},
    *check(facts) {
      const { coreSize } = facts.spec.resources;
      if (coreSize === null || coreSize > 1)
        yield violation(
          facts,
          "/resources/coreSize",
          `core files ${coreSize === null ? "of any size" : `of up to ${formatSize(coreSize)}`} are written`,
          "/resources/coreSize",
        );
    },
  }),
  profileRule({
    id: "limits-in-force",
    title: "Limits are required to be in force",
    rationale: "A limit that a host may ignore protects nothing on the host where it matters.",
    remediation: 'Set require.resources to "full", or to "partial" where rlimits may stand in for cgroups.',
    references: [cis("5.25")],
    options: {
      least: {
        type: "choice",
        choices: ["partial", "full"],
        default: "partial",
        about: "how much of the limits must be in force",
      },
    },
    *check(facts, { least }) {
      const given = facts.spec.require.resources;
      if (given === "none" || (least === "full" && given === "partial"))
        yield violation(
          facts,
          "/require/resources",
          `a run starts with limits in force to the degree "${given}"`,
          "/require/resources",
        );
    },
  }),
];
