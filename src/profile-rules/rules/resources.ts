/** Rules about limits: what one run can take from the host. */
import type { Reference } from "../../gate/rule.ts";
import { formatSize, formatTime } from "../../profile/units.ts";
import { cis, man, type ProfileRule, profileRule, violation } from "../profile-rule.ts";

interface LimitText {
  readonly id: string;
  readonly title: string;
  readonly rationale: string;
  readonly field: "memory" | "pids" | "wallTime" | "openFiles";
  readonly references: readonly Reference[];
  readonly unit: "size" | "time" | "integer";
}

const FORMATS: Readonly<Record<LimitText["unit"], (value: number) => string>> = {
  size: formatSize,
  time: formatTime,
  integer: String,
};

/** A limit that must be there, and no larger than a policy accepts. */
function limitRule({ field, unit, ...text }: LimitText): ProfileRule {
  const pointer = `/resources/${field}`;
  const most = {
    type: unit,
    default: 0,
    about: `the ${unit === "time" ? "longest" : "largest"} limit accepted; 0: any`,
  };
  return profileRule({
    ...text,
    remediation: `Set resources.${field}.`,
    options: { max: most },
    *check(facts, { max }) {
      const value = facts.spec.resources[field];
      const format = FORMATS[unit];
      if (value === null) {
        const amount = Number.MAX_SAFE_INTEGER;
        yield { ...violation(facts, pointer, `${field} has no limit`, pointer), amount };
      } else if (max > 0 && value > max) {
        const message = `${field} is ${format(value)}, more than ${format(max)}`;
        yield { ...violation(facts, pointer, message, pointer), amount: value };
      }
    },
  });
}

export const RESOURCES: readonly ProfileRule[] = [
  limitRule({
    id: "memory-limit",
    title: "Memory is limited",
    rationale: "Without a limit one run takes the host's memory, and the kernel ends something else for it.",
    field: "memory",
    references: [cis("5.11"), man("cgroups", 7)],
    unit: "size",
  }),
  limitRule({
    id: "process-limit",
    title: "Processes are limited",
    rationale: "Without a limit a loop that forks takes every process number of the host.",
    field: "pids",
    references: [cis("5.29"), man("cgroups", 7)],
    unit: "integer",
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
  limitRule({
    id: "time-limit",
    title: "A run ends",
    rationale: "Whatever waits forever holds its memory, its place and whoever waits for it.",
    field: "wallTime",
    references: [],
    unit: "time",
  }),
  limitRule({
    id: "open-file-limit",
    title: "Open files are limited",
    rationale: "The table of open files is one for the whole host.",
    field: "openFiles",
    references: [cis("5.19"), man("setrlimit", 2)],
    unit: "integer",
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
