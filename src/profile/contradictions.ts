/**
 * Fields that are each right but not together. One function per control, in the order of the Spec; each looks at a
 * complete Spec and reports at the field that its author would change.
 */
import { isWithin } from "./paths.ts";
import { asksForPortRules } from "./port-rules.ts";
import type { Report } from "./report.ts";
import type { Spec } from "./spec.ts";

export function checkContradictions(spec: Spec, report: Report): void {
  namespaces(spec, report);
  identity(spec, report);
  filesystem(spec, report);
  capabilities(spec, report);
  lsm(spec, report);
  landlock(spec, report);
  resources(spec, report);
  requirements(spec, report);
}

function namespaces({ namespaces: own, network, filesystem: fs, process }: Spec, report: Report): void {
  const needs = (namespace: keyof typeof own, pointer: string, what: string): void => {
    if (!own[namespace])
      report.add("profile-contradiction", pointer, `${what} needs the ${namespace} namespace, which is off`, {
        others: [`/namespaces/${namespace}`],
        hint: `set namespaces.${namespace} to true`,
      });
  };
  if (network.mode === "none") needs("network", "/network/mode", "no network");
  else if (own.network) {
    report.add(
      "profile-contradiction",
      "/network/mode",
      "the host's network cannot be had in a network namespace of its own",
      {
        others: ["/namespaces/network"],
        hint: "set namespaces.network to false",
      },
    );
  }
  if (!own.mount) {
    report.add(
      "profile-contradiction",
      "/namespaces/mount",
      "without a mount namespace there is no root of the sandbox's own",
      {
        expected: "true",
      },
    );
  }
  if (fs.proc !== "none") needs("pid", "/filesystem/proc", "a private /proc");
  if (fs.devices.includes("mqueue")) needs("ipc", "/filesystem/devices", "a private mqueue");
  const { monotonic, boottime } = process.timeOffsets;
  if ([monotonic.secs, monotonic.nanosecs, boottime.secs, boottime.nanosecs].some((part) => part !== 0))
    needs("time", "/process/timeOffsets", "a clock offset");
}

function identity({ identity: id, namespaces: own }: Spec, report: Report): void {
  if (!own.user && id.map !== "auto") {
    report.add("profile-contradiction", "/identity/map", "ids are mapped, but the user namespace is off", {
      others: ["/namespaces/user"],
      hint: "set namespaces.user to true",
    });
  }
  if (id.map === "subordinate") {
    for (const field of ["uid", "gid"] as const) {
      if (id[field] > 65_535)
        report.add(
          "profile-contradiction",
          `/identity/${field}`,
          `${field} ${id[field]} is outside the subordinate range`,
          {
            others: ["/identity/map"],
            expected: "0 to 65535",
          },
        );
    }
  }
  if (typeof id.map === "string") return;
  for (const [field, ranges] of [
    ["uid", id.map.uidMappings],
    ["gid", id.map.gidMappings],
  ] as const) {
    if (!ranges.some(({ containerID, size }) => id[field] >= containerID && id[field] < containerID + size)) {
      report.add("profile-contradiction", `/identity/${field}`, `${field} ${id[field]} is in no mapping`, {
        others: ["/identity/map"],
        hint: `map it in identity.map.${field}Mappings`,
      });
    }
  }
}

function filesystem({ filesystem: fs }: Spec, report: Report): void {
  const seen = new Map<string, number>();
  for (const [index, mount] of fs.mounts.entries()) {
    const place = `/filesystem/mounts/${index}`;
    const target = mount.target;
    if (target === "/") {
      report.add("profile-contradiction", `${place}/target`, "a mount cannot replace the root", {
        hint: "use filesystem.root",
      });
      continue;
    }
    const earlier = seen.get(target);
    if (earlier !== undefined) {
      report.add(
        "profile-contradiction",
        `${place}/target`,
        `mount ${earlier} has the target ${target} too`,
        {
          expected: "each target once",
        },
      );
    }
    seen.set(target, earlier ?? index);
    // Later mounts cover earlier ones: what lies below a target must come after it.
    if (mount.type === "bind" || mount.type === "tmpfs") {
      const covered = fs.mounts
        .slice(0, index)
        .findIndex((other) => other.target !== target && isWithin(other.target, target));
      if (covered !== -1) {
        report.add(
          "profile-contradiction",
          `${place}/target`,
          `it would cover mount ${covered} at ${fs.mounts[covered]?.target}`,
          {
            hint: "put the outer mount first",
          },
        );
      }
    } else {
      const above = fs.mounts.findIndex(
        (other) =>
          other.type === "file" &&
          other !== mount &&
          isWithin(target, other.target) &&
          target !== other.target,
      );
      if (above !== -1)
        report.add("profile-contradiction", `${place}/target`, `it lies below the file of mount ${above}`, {
          expected: "a target below directories",
        });
    }
    for (const own of ["/proc", "/dev"]) {
      if (target === own && (own === "/dev" || fs.proc !== "none")) {
        report.add("profile-contradiction", `${place}/target`, `${own} is made by the sandbox`, {
          hint: own === "/dev" ? "use filesystem.devices" : "use filesystem.proc",
        });
      }
    }
  }
  if (fs.devices.includes("fd") && fs.proc === "none") {
    report.add(
      "profile-contradiction",
      "/filesystem/devices",
      "the links of fd lead into /proc, which is off",
      {
        others: ["/filesystem/proc"],
        hint: 'leave out "fd", or set filesystem.proc to "pids"',
      },
    );
  }
  for (const [field, list] of [
    ["masked", fs.masked],
    ["readOnly", fs.readOnly],
  ] as const) {
    if (list.includes("/"))
      report.add("profile-contradiction", `/filesystem/${field}`, "the root itself is in the list", {
        hint:
          field === "masked"
            ? "use filesystem.root"
            : 'set filesystem.write to "none", and name the mounts that are to be read-only',
      });
  }
}

function capabilities({ capabilities: sets }: Spec, report: Report): void {
  const within = (inner: keyof typeof sets, outer: keyof typeof sets): void => {
    for (const name of sets[inner]) {
      if (!sets[outer].includes(name)) {
        report.add(
          "profile-contradiction",
          `/capabilities/${inner}`,
          `${name} is ${inner} but not ${outer}`,
          {
            others: [`/capabilities/${outer}`],
            hint: `add it to capabilities.${outer}, or leave it out`,
          },
        );
      }
    }
  };
  within("effective", "permitted");
  within("permitted", "bounding");
  within("inheritable", "bounding");
  within("ambient", "permitted");
  within("ambient", "inheritable");
}

/** What belongs to a module that the profile does not take would be dead text. */
function lsm({ lsm: { type, ...names }, require }: Spec, report: Report): void {
  const other = (field: keyof typeof names, module: "apparmor" | "selinux"): void => {
    if (names[field] === null || type === "any" || type === module) return;
    report.add("profile-contradiction", `/lsm/${field}`, `it needs ${module}, and lsm.type is "${type}"`, {
      others: ["/lsm/type"],
      hint: `set lsm.type to "${module}", or leave it out`,
    });
  };
  other("apparmorProfile", "apparmor");
  other("selinuxLabel", "selinux");
  other("mountLabel", "selinux");
  if (type === "none" && require.lsm !== "none") {
    report.add(
      "profile-contradiction",
      "/require/lsm",
      `no security module is asked for, but require.lsm is ${JSON.stringify(require.lsm)}`,
      { others: ["/lsm/type"], hint: 'set lsm.type to "any", or require.lsm to "none"' },
    );
  }
}

function resources({ resources: limits }: Spec, report: Report): void {
  if (limits.swap !== null && limits.memory === null) {
    report.add("profile-contradiction", "/resources/swap", "swap is limited, but memory is not", {
      others: ["/resources/memory"],
      hint: "set resources.memory, or resources.swap to null",
    });
  }
  const devices = new Set<string>();
  for (const [index, { device, ...throttles }] of limits.io.entries()) {
    if (devices.has(device))
      report.add("profile-contradiction", `/resources/io/${index}/device`, `${device} is limited twice`, {
        expected: "each device once",
      });
    devices.add(device);
    if (Object.values(throttles).every((limit) => limit === null))
      report.add("profile-value", `/resources/io/${index}`, "no limit is given", {
        expected: "at least one of readBps, writeBps, readIops, writeIops",
      });
  }
}

function landlock({ landlock: rules, noNewPrivileges, seccomp }: Spec, report: Report): void {
  // landlock_restrict_self(2): a process without no_new_privs and without CAP_SYS_ADMIN gets EPERM.
  if (rules !== null && !noNewPrivileges)
    report.add("profile-contradiction", "/noNewPrivileges", "Landlock needs no_new_privs, which is off", {
      others: ["/landlock"],
      expected: "true, or landlock: null",
    });
  const right = asksForPortRules(rules);
  if (right !== null && seccomp === null)
    report.add(
      "profile-contradiction",
      `/landlock/net/${right}`,
      "ports are listed, and there is no system-call filter: Landlock sees neither TCP Fast Open nor multipath TCP, and other ports can be had by both",
      {
        others: ["/seccomp"],
        hint: 'a filter that lets everything else through will do: { "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] }',
      },
    );
}

function requirements({ audit, require, seccomp, noNewPrivileges }: Spec, report: Report): void {
  if (!audit.require && require.audit !== "none") {
    report.add(
      "profile-contradiction",
      "/audit/require",
      `the log may be missing, but require.audit is ${JSON.stringify(require.audit)}`,
      {
        others: ["/require/audit"],
        hint: 'set audit.require to true, or require.audit to "none"',
      },
    );
  }
  if (seccomp !== null && !noNewPrivileges && require.seccomp !== "none") {
    // seccomp(2): without no_new_privs an unprivileged caller gets EACCES, and execve(2) of a set-user-ID file
    // under a filter of the caller's choice is how filters become exploits.
    report.add("profile-contradiction", "/noNewPrivileges", "a filter needs no_new_privs, which is off", {
      others: ["/seccomp"],
      expected: "true, or seccomp: null",
    });
  }
}
