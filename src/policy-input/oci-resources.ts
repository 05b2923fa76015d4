/**
 * The limits of an OCI config.json in the shape of a Spec: cgroup limits of `linux.resources`, rlimits of `process`. A limit that is missing or -1 is none,
 * which is what the kernel makes of it. How long a run may take and how much it may write out is its caller's to say: not stated.
 */
import { RLIMITS, type Rlimit } from "../profile/spec.ts";
import type { StatedSpec } from "../profile/stated.ts";
import type { Field, Fields } from "./fields.ts";

type Members = ReadonlyMap<string, Field>;
type StatedResources = NonNullable<StatedSpec["resources"]>;
type Writable<T> = { -readonly [K in keyof T]: T[K] };

const RESOURCES = ["memory", "cpu", "pids", "blockIO", "devices", "unified"];
const MEMORY = ["limit", "swap", "reservation", "checkBeforeUpdate"];
const CPU = ["quota", "period", "cpus", "shares"];
const RLIM_INFINITY = (1n << 64n) - 1n;

export function readResources(
  fields: Fields,
  resources: Members,
  rlimits: Field | undefined,
  pointers: Map<string, string>,
): StatedResources {
  fields.others(resources, RESOURCES);
  const inside = (key: string): Members => {
    const field = resources.get(key);
    return field === undefined ? new Map() : (fields.members(field, key) ?? new Map());
  };
  const from = (name: string, field: Field | undefined, otherwise = "/linux/resources"): void => {
    pointers.set(`/resources/${name}`, field?.pointer ?? otherwise);
  };
  pointers.set("/resources", "/linux/resources");
  const unified = resources.get("unified");
  if (unified !== undefined) fields.note(unified, "limits in the kernel's own words are not judged");
  const memory = inside("memory");
  fields.others(memory, MEMORY);
  const cpu = inside("cpu");
  fields.others(cpu, CPU);
  const pids = inside("pids");
  fields.others(pids, ["limit"]);
  const most = (members: Members, key: string): number | null => {
    const value = fields.integer(members.get(key), key);
    return value === undefined || value < 0 ? null : value;
  };
  const limit = most(memory, "limit");
  // OCI counts memory and swap together.
  const both = most(memory, "swap");
  const quota = most(cpu, "quota");
  const period = most(cpu, "period") ?? 100_000;
  const count = most(pids, "limit");
  for (const [name, members, key] of [
    ["memory", memory, "limit"],
    ["swap", memory, "swap"],
    ["cpus", cpu, "quota"],
    ["cpuset", cpu, "cpus"],
    ["pids", pids, "limit"],
    ["io", resources, "blockIO"],
  ] as const)
    from(name, members.get(key));
  return {
    memory: limit,
    swap: limit === null || both === null ? null : Math.max(0, both - limit),
    cpus: quota === null || quota === 0 || period === 0 ? null : quota / period,
    cpuset: fields.text(cpu.get("cpus"), "cpus") || null,
    pids: count === 0 ? null : count,
    io: readThrottles(fields, inside("blockIO")),
    cpuTime: null,
    ...readRlimits(fields, rlimits, from),
  };
}

/** Limits that have a field of their own in a Spec. */
const OWN: Readonly<Partial<Record<Rlimit, "openFiles" | "fileSize" | "coreSize">>> = {
  nofile: "openFiles",
  fsize: "fileSize",
  core: "coreSize",
};

function readRlimits(
  fields: Fields,
  field: Field | undefined,
  from: (name: string, field: Field | undefined, otherwise?: string) => void,
): Pick<StatedResources, "openFiles" | "fileSize" | "coreSize" | "rlimits"> {
  const own: Record<"openFiles" | "fileSize" | "coreSize", number | null> = {
    openFiles: null,
    fileSize: null,
    coreSize: null,
  };
  for (const name of [...Object.keys(own), "rlimits"]) from(name, field, "/process");
  const rlimits: Partial<Writable<NonNullable<StatedResources["rlimits"]>>> = {};
  for (const item of fields.items(field, "rlimits")) {
    const members = fields.members(item, "a limit");
    if (members === null) continue;
    fields.others(members, ["type", "soft", "hard"]);
    const type = fields.text(members.get("type"), "type") ?? "";
    const name = RLIMITS.find((each) => `RLIMIT_${each.toUpperCase()}` === type);
    if (name === undefined) {
      fields.report(item, `${JSON.stringify(type)} is not a limit`, "a name such as RLIMIT_NOFILE");
      continue;
    }
    const [soft, hard] = (["soft", "hard"] as const).map((side) =>
      numberOf(fields.unsigned(members.get(side), side) ?? RLIM_INFINITY),
    );
    if (soft === undefined || hard === undefined) continue;
    const direct = OWN[name];
    if (direct !== undefined) {
      // The program may raise the soft limit to the hard one.
      own[direct] = hard === "unlimited" ? null : hard;
      from(direct, item);
    } else if (name === "cpu") fields.note(item, "CPU time of each process alone is not judged");
    else {
      rlimits[name] = { soft, hard };
      from(`rlimits/${name}`, item);
    }
  }
  return { ...own, rlimits };
}

const numberOf = (value: bigint): number | "unlimited" =>
  value > BigInt(Number.MAX_SAFE_INTEGER) ? "unlimited" : Number(value);

/** The four lists of throttles and the field of ours that each is. */
const THROTTLES = {
  throttleReadBpsDevice: "readBps",
  throttleWriteBpsDevice: "writeBps",
  throttleReadIOPSDevice: "readIops",
  throttleWriteIOPSDevice: "writeIops",
} as const;

function readThrottles(fields: Fields, block: Members): NonNullable<StatedResources["io"]> {
  fields.others(block, Object.keys(THROTTLES));
  const devices = new Map<string, Writable<NonNullable<StatedResources["io"]>[number]>>();
  for (const [key, name] of Object.entries(THROTTLES)) {
    for (const item of fields.items(block.get(key), key)) {
      const members = fields.members(item, "a throttle");
      if (members === null) continue;
      const [major = 0, minor = 0] = ["major", "minor"].map((each) =>
        fields.integer(members.get(each), each),
      );
      const rate = fields.integer(members.get("rate"), "rate");
      const device = `${major}:${minor}`;
      const known = devices.get(device) ?? {
        device,
        readBps: null,
        writeBps: null,
        readIops: null,
        writeIops: null,
      };
      known[name] = rate ?? null;
      devices.set(device, known);
    }
  }
  return [...devices.values()];
}
