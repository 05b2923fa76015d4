/**
 * Author forms → Spec forms, section by section: units become numbers, options become flags, names are looked up.
 * Takes a profile whose shape was checked; reports values that make no sense and puts something harmless in their
 * place so that one run finds them all. Whether fields contradict each other is contradictions.ts.
 */
import type { AuthorProfile } from "./author.ts";
import { CAPABILITIES } from "./capability-names.ts";
import { normaliseFilesystem } from "./normalise-filesystem.ts";
import { normaliseLandlock } from "./normalise-landlock.ts";
import { normaliseSeccomp } from "./normalise-seccomp.ts";
import { checkAbsolute } from "./paths.ts";
import { withPortRules } from "./port-rules.ts";
import type { Report } from "./report.ts";
import { CAPABILITY_SETS, type IdMap, type Resources, RLIMITS, type Rlimit, type Spec } from "./spec.ts";
import { escapeToken } from "./tree.ts";
import { MAX_ID, parseMode, parseSize, parseTime } from "./units.ts";

export function normalise(author: AuthorProfile, name: string, report: Report): Spec {
  const { seccomp, namespaces, capabilities, lsm, require } = author;
  const landlock = author.landlock === null ? null : normaliseLandlock(author.landlock, report);
  return {
    name: author.name ?? name,
    description: author.description,
    namespaces: pick(namespaces),
    identity: {
      uid: author.identity.uid,
      gid: author.identity.gid,
      map: idMap(author.identity.map, report),
      allowRoot: author.identity.allowRoot,
      hostname: hostname(author.identity.hostname, report),
    },
    filesystem: normaliseFilesystem(author.filesystem, report),
    capabilities: Object.fromEntries(
      CAPABILITY_SETS.map((set) => [set, capabilityNames(capabilities[set], `/capabilities/${set}`, report)]),
    ) as unknown as Spec["capabilities"],
    noNewPrivileges: author.noNewPrivileges,
    seccomp:
      seccomp === null || seccomp === undefined
        ? null
        : withPortRules(normaliseSeccomp(seccomp, report), landlock),
    lsm: pick(lsm),
    landlock,
    resources: resources(author.resources, report),
    network: { mode: author.network.mode },
    environment: environment(author.environment, report),
    process: process(author.process, report),
    audit: {
      require: author.audit.require,
      onFailure: author.audit.onFailure,
      redact: redact(author.audit.redact, report),
    },
    require: pick(require),
  };
}

/** A copy without "$comment". */
function pick<T extends object>(section: T): T {
  return Object.fromEntries(Object.entries(section).filter(([key]) => key !== "$comment")) as T;
}

function idMap(map: AuthorProfile["identity"]["map"], report: Report): IdMap {
  if (typeof map === "string") return map;
  for (const side of ["uidMappings", "gidMappings"] as const) {
    const ranges = map[side];
    const place = `/identity/map/${side}`;
    if (ranges.length === 0)
      report.add("profile-value", place, "no id is mapped", { expected: "at least one mapping" });
    // user_namespaces(7): at most 340 lines.
    if (ranges.length > 340)
      report.add("profile-value", place, `${ranges.length} mappings are too many`, {
        expected: "at most 340",
      });
    const overlaps = (a: number, b: number, one: number, other: number): boolean =>
      a < b + other && b < a + one;
    for (const [index, range] of ranges.entries()) {
      for (const [field, start] of [
        ["containerID", range.containerID],
        ["hostID", range.hostID],
      ] as const) {
        if (start + range.size - 1 > MAX_ID) {
          report.add(
            "profile-value",
            `${place}/${index}/size`,
            `${range.size} ids from ${start} end above ${MAX_ID}`,
            {
              expected: `at most ${MAX_ID - start + 1}`,
            },
          );
        }
        const earlier = ranges
          .slice(0, Math.min(index, 340))
          .findIndex((other) => overlaps(start, other[field], range.size, other.size));
        if (earlier !== -1) {
          report.add(
            "profile-contradiction",
            `${place}/${index}/${field}`,
            `the range overlaps that of mapping ${earlier}`,
            {
              expected: "ranges that do not overlap",
            },
          );
        }
      }
    }
  }
  const range = (ranges: typeof map.uidMappings) =>
    ranges.map(({ containerID, hostID, size }) => ({ containerID, hostID, size }));
  return { uidMappings: range(map.uidMappings), gidMappings: range(map.gidMappings) };
}

function hostname(value: string, report: Report): string {
  const ok = /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/.test(
    value,
  );
  if (ok && value.length <= 64) return value;
  report.add(
    "profile-value",
    "/identity/hostname",
    value.length > 64
      ? `the host name has ${value.length} characters`
      : `${JSON.stringify(value)} is not a host name`,
    {
      expected: "letters, digits, dashes and dots, at most 64",
    },
  );
  return "sandbox";
}

/** Known capabilities in the kernel's order, each once. */
export function capabilityNames(names: readonly string[], place: string, report: Report): readonly string[] {
  const known: readonly string[] = CAPABILITIES;
  for (const [index, name] of names.entries()) {
    if (known.includes(name)) continue;
    const suggestion = report.nearest(name, known) ?? report.nearest(`CAP_${name}`, known);
    report.add(
      "profile-value",
      `${place}/${index}`,
      `${JSON.stringify(name.slice(0, 60))} is not a capability`,
      {
        expected:
          suggestion === undefined ? "a name of capabilities(7) such as CAP_NET_BIND_SERVICE" : undefined,
        suggestion,
      },
    );
  }
  return known.filter((name) => names.includes(name));
}

function resources(author: AuthorProfile["resources"], report: Report): Resources {
  const size = (field: "memory" | "swap" | "fileSize" | "coreSize" | "outputSize"): number | null =>
    sizeOf(author[field], `/resources/${field}`, report);
  const time = (field: "cpuTime" | "wallTime"): number | null => {
    const value = author[field];
    if (value === null) return null;
    const parsed = parseTime(value);
    if (parsed === null || parsed < 1) {
      report.add(
        "profile-value",
        `/resources/${field}`,
        `${JSON.stringify(value)} is no time that can be kept`,
        {
          expected: "1 millisecond to 100 years, in whole milliseconds; null for no limit",
        },
      );
      return null;
    }
    return parsed;
  };
  const memory = size("memory");
  if (memory !== null && memory < 4 * 1024 * 1024) {
    report.add(
      "profile-value",
      "/resources/memory",
      `${JSON.stringify(author.memory)} is too little for any program`,
      {
        expected: 'at least "4M"',
      },
    );
  }
  return {
    memory,
    swap: size("swap"),
    cpus: author.cpus,
    cpuset: cpuset(author.cpuset, report),
    pids: author.pids,
    io: author.io.map((limit, index) => ({
      device: limit.device,
      readBps: sizeOf(limit.readBps ?? null, `/resources/io/${index}/readBps`, report),
      writeBps: sizeOf(limit.writeBps ?? null, `/resources/io/${index}/writeBps`, report),
      readIops: limit.readIops ?? null,
      writeIops: limit.writeIops ?? null,
    })),
    cpuTime: time("cpuTime"),
    wallTime: time("wallTime"),
    fileSize: size("fileSize"),
    openFiles: author.openFiles,
    coreSize: size("coreSize"),
    outputSize: size("outputSize"),
    rlimits: rlimits(author.rlimits, report),
  };
}

/** Bytes; the shape is right, so only a size beyond 2^53 can fail. */
function sizeOf(value: string | number | null, place: string, report: Report): number | null {
  if (value === null) return null;
  const bytes = parseSize(value);
  if (bytes === null) {
    report.add("profile-value", place, `${JSON.stringify(value)} is more than any machine has`, {
      expected: "less than 8192T; null for no limit",
    });
  }
  return bytes;
}

function cpuset(value: string | null, report: Report): string | null {
  for (const range of value?.split(",") ?? []) {
    const [first, last] = range.split("-").map(Number);
    if (first !== undefined && last !== undefined && first > last) {
      report.add("profile-value", "/resources/cpuset", `the range ${range} ends before it starts`, {
        suggestion: `${last}-${first}`,
      });
    }
  }
  return value;
}

/** Rlimits that have a field of their own, which must be used. */
const OWN_FIELDS: Readonly<Partial<Record<Rlimit, string>>> = {
  core: "coreSize",
  cpu: "cpuTime",
  fsize: "fileSize",
  nofile: "openFiles",
};

function rlimits(author: AuthorProfile["resources"]["rlimits"], report: Report): Resources["rlimits"] {
  const known: readonly string[] = RLIMITS;
  const limits: Partial<Record<Rlimit, { soft: number | "unlimited"; hard: number | "unlimited" }>> = {};
  for (const [name, { soft, hard }] of Object.entries(author)) {
    if (report.full) break;
    const place = `/resources/rlimits/${escapeToken(name)}`;
    if (!known.includes(name)) {
      const bare = name.toLowerCase().replace(/^rlimit_/, "");
      const suggestion = known.includes(bare) ? JSON.stringify(bare) : report.nearest(bare, known);
      report.add("profile-unknown-key", place, `${JSON.stringify(name.slice(0, 60))} is not a limit`, {
        key: true,
        expected: suggestion === undefined ? `one of ${known.join(", ")}` : undefined,
        suggestion,
      });
      continue;
    }
    const own = OWN_FIELDS[name as Rlimit];
    if (own !== undefined) {
      report.add("profile-contradiction", place, `the limit ${name} has a field of its own`, {
        key: true,
        expected: `resources.${own}`,
      });
    }
    const read = (value: string | number, side: string): number | "unlimited" => {
      if (value === "unlimited") return value;
      return sizeOf(value, `${place}/${side}`, report) ?? "unlimited";
    };
    const limit = { soft: read(soft, "soft"), hard: read(hard, "hard") };
    if (limit.hard !== "unlimited" && (limit.soft === "unlimited" || limit.soft > limit.hard)) {
      report.add(
        "profile-contradiction",
        `${place}/soft`,
        `the soft limit ${soft} is above the hard limit ${hard}`,
        {
          expected: `at most ${hard}`,
        },
      );
    }
    limits[name as Rlimit] = limit;
  }
  return Object.fromEntries(
    RLIMITS.filter((name) => limits[name] !== undefined).map((name) => [name, limits[name]]),
  );
}

function environment(author: AuthorProfile["environment"], report: Report): Spec["environment"] {
  const check = (name: string, place: string, key: boolean): void => {
    if (name !== "" && !/[=\0]/.test(name)) return;
    report.add("profile-value", place, `${JSON.stringify(name.slice(0, 60))} is not the name of a variable`, {
      key,
      expected: "at least one character, none of them = or NUL",
    });
  };
  for (const [index, name] of author.pass.entries()) check(name, `/environment/pass/${index}`, false);
  for (const [name, value] of Object.entries(author.set)) {
    const place = `/environment/set/${escapeToken(name)}`;
    check(name, place, true);
    if (value.includes("\0"))
      report.add("profile-value", place, "the value has a NUL character", { expected: "a text without one" });
  }
  return { pass: [...new Set(author.pass)], set: { ...author.set } };
}

function process(author: AuthorProfile["process"], report: Report): Spec["process"] {
  const umask = parseMode(author.umask) ?? 0o7777;
  if (umask > 0o777) {
    report.add("profile-value", "/process/umask", `${JSON.stringify(author.umask)} is not a umask`, {
      expected: 'octal "000" to "777"',
    });
  }
  const workdir = author.workdir === null ? null : checkAbsolute(author.workdir, "/process/workdir", report);
  const { monotonic, boottime } = author.timeOffsets;
  return {
    workdir,
    umask: umask & 0o777,
    nice: author.nice,
    oomScoreAdj: author.oomScoreAdj,
    terminal: author.terminal,
    memoryDenyWriteExecute: author.memoryDenyWriteExecute,
    speculationMitigations: author.speculationMitigations,
    timeOffsets: {
      monotonic: { secs: monotonic.secs, nanosecs: monotonic.nanosecs },
      boottime: { secs: boottime.secs, nanosecs: boottime.nanosecs },
    },
  };
}

function redact(patterns: readonly string[], report: Report): readonly string[] {
  if (patterns.length > 1000) {
    report.add("profile-value", "/audit/redact", `${patterns.length} patterns are too many`, {
      expected: "at most 1000",
    });
    return [];
  }
  for (const [index, pattern] of patterns.entries()) {
    try {
      void new RegExp(pattern, "u");
    } catch {
      report.add(
        "profile-value",
        `/audit/redact/${index}`,
        `${JSON.stringify(pattern.slice(0, 60))} is not a regular expression`,
        {
          expected: "a name, or a JavaScript regular expression",
        },
      );
    }
  }
  return [...patterns];
}
