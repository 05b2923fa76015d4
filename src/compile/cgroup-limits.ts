/** Which file of which controller holds which limit, in cgroup v1 and v2: the one place for these names. */

import type { Controller } from "../host/facts.ts";
import type { Draft } from "./draft.ts";

/** CFS period in microseconds: short enough that a throttled program is not seen to stutter. */
const PERIOD = 100_000;

export interface Request {
  readonly resource: "memory" | "swap" | "cpus" | "pids" | "cpuset" | "io";
  readonly controller: Controller;
  readonly shown: string;
  /** [file, content, only with swap accounting]. */
  readonly files: (version: 1 | 2) => readonly (readonly [string, string, boolean?])[];
}

export function requestedLimits(draft: Draft): readonly Request[] {
  const { memory, swap, cpus, pids, cpuset, io } = draft.spec.resources;
  const requests: Request[] = [];
  if (memory !== null) {
    requests.push({
      resource: "memory",
      controller: "memory",
      shown: `${memory} bytes`,
      files: (version) => [
        version === 1 ? ["memory.limit_in_bytes", `${memory}`] : ["memory.max", `${memory}`],
      ],
    });
    if (swap !== null) {
      // v1 counts memory and swap together; without swap accounting nothing can be swapped to the account of a cgroup.
      requests.push({
        resource: "swap",
        controller: "memory",
        shown: `${swap} bytes`,
        files: (version) => [
          version === 1
            ? ["memory.memsw.limit_in_bytes", `${memory + swap}`, true]
            : ["memory.swap.max", `${swap}`, true],
        ],
      });
    }
  }
  if (cpus !== null) {
    const quota = Math.max(1000, Math.round(cpus * PERIOD));
    requests.push({
      resource: "cpus",
      controller: "cpu",
      shown: `${cpus} CPUs`,
      files: (version) =>
        version === 1
          ? [
              ["cpu.cfs_period_us", `${PERIOD}`],
              ["cpu.cfs_quota_us", `${quota}`],
            ]
          : [["cpu.max", `${quota} ${PERIOD}`]],
    });
  }
  if (pids !== null) {
    // init is one of them, and it is ours.
    requests.push({
      resource: "pids",
      controller: "pids",
      shown: `${pids} processes and threads`,
      files: () => [["pids.max", `${pids + 1}`]],
    });
  }
  if (cpuset !== null) {
    checkCpus(draft, cpuset);
    requests.push({
      resource: "cpuset",
      controller: "cpuset",
      shown: `CPUs ${cpuset}`,
      files: () => [["cpuset.cpus", cpuset]],
    });
  }
  if (io.length > 0) {
    for (const [index, { device }] of io.entries()) checkDevice(draft, device, index);
    requests.push({
      resource: "io",
      controller: "io",
      shown: `${io.length} devices`,
      files: (version) =>
        io.flatMap((throttle): (readonly [string, string])[] => {
          const limits = [
            ["rbps", "blkio.throttle.read_bps_device", throttle.readBps],
            ["wbps", "blkio.throttle.write_bps_device", throttle.writeBps],
            ["riops", "blkio.throttle.read_iops_device", throttle.readIops],
            ["wiops", "blkio.throttle.write_iops_device", throttle.writeIops],
          ] as const;
          const set = limits.filter(([, , limit]) => limit !== null);
          return version === 1
            ? set.map(([, file, limit]) => [file, `${throttle.device} ${limit}`] as const)
            : [
                [
                  "io.max",
                  `${throttle.device} ${set.map(([name, , limit]) => `${name}=${limit}`).join(" ")}`,
                ] as const,
              ];
        }),
    });
  }
  return requests;
}

function checkCpus(draft: Draft, cpuset: string): void {
  const highest = Math.max(...cpuset.split(/[,-]/).map(Number));
  if (highest < draft.host.cpus) return;
  draft.problem({
    kind: "host-cannot",
    pointer: "/resources/cpuset",
    message: `CPU ${highest} is not on this machine`,
    expected: `CPUs from 0 to ${draft.host.cpus - 1}`,
  });
}

/** Where the kernel lists a block device by its numbers, and what only a partition has there (sysfs(5)): asked for as facts of the request. */
export const blockDevicePath = (device: string): string => `/sys/dev/block/${device}`;
export const partitionMark = (device: string): string => `${blockDevicePath(device)}/partition`;

/** The controller counts what reaches a whole disk, and takes nothing else. */
function checkDevice(draft: Draft, device: string, index: number): void {
  const pointer = `/resources/io/${index}/device`;
  const { paths } = draft.request;
  const found = paths[blockDevicePath(device)];
  if (found === undefined || found.type === "missing") {
    draft.problem({
      kind: "host-cannot",
      pointer,
      message: `this machine has no block device ${device}`,
      expected: "major:minor of a disk, as lsblk shows it",
    });
  } else if (paths[partitionMark(device)]?.type === "file") {
    const [disk, partition] = found.real.split("/").slice(-2);
    draft.problem({
      kind: "host-cannot",
      pointer,
      message: `${device} is ${partition}, a partition, and only whole disks can be limited`,
      expected: `major:minor of ${disk}, as lsblk shows it`,
    });
  }
}
