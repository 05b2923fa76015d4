import { describe, expect, it } from "vitest";
import type { Check, Decision } from "../../src/compile/plan.ts";
import { viewMemory } from "../../src/launch/memory.ts";
import { mismatches, readBack, UNREAD } from "../../src/launch/read-back.ts";
import type { Status } from "../../src/profile/spec.ts";

/** Memory with these texts in buffers of their own. */
function memoryOf(texts: Readonly<Record<string, string>>) {
  const buffers = new Map<string, { offset: number; size: number }>();
  let offset = 320;
  for (const [name, text] of Object.entries(texts)) {
    buffers.set(name, { offset, size: Buffer.byteLength(text) + 1 });
    offset += Buffer.byteLength(text) + 1;
  }
  const bytes = Buffer.alloc(offset);
  for (const [name, text] of Object.entries(texts)) bytes.write(text, buffers.get(name)?.offset ?? 0);
  return viewMemory(bytes, { buffers, size: offset });
}

const decide = (check: Check | null, status: Status = "full"): Decision => ({
  id: "it",
  control: "resources",
  setting: "",
  provenance: { kind: "default" },
  status,
  reason: "",
  check,
});

const TEXTS = {
  "read.status":
    "Name:\tsh\nUid:\t1000\t1000\t1000\t1000\nGroups:\t \nNoNewPrivs:\t1\nSeccomp:\t2\nCapEff:\t0000000000000000\n",
  "read.limits": [
    "Limit                     Soft Limit           Hard Limit           Units     ",
    "Max cpu time              30                   35                   seconds   ",
    "Max core file size        0                    0                    bytes     ",
    "Max open files            256                  256                  files     ",
    "Max processes             unlimited            unlimited            processes ",
  ].join("\n"),
  "read.mountinfo": [
    "30 29 0:40 / / ro,nosuid,nodev,relatime - tmpfs sandbox rw,size=4k,mode=755,uid=100000",
    "31 30 0:41 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw,size=65536k,nr_inodes=1024",
    "32 30 8:1 /usr /usr ro,nosuid,nodev,relatime master:1 - ext4 /dev/vda rw",
    "33 30 0:42 / /with\\040space rw,nosuid - tmpfs tmpfs ro",
    "34 30 0:43 / /proc rw - proc proc rw,subset=pid",
    "35 30 0:43 / /proc rw,nosuid,nodev,noexec - proc proc rw,subset=pid",
  ].join("\n"),
  "read.label": "sandbox-strict//&docker-default (enforce)\n",
  "read.ns.pid": "pid:[4026532000]",
  "read.ns.net": "net:[4026531000]",
  "read.cgroup.memory.memory.max": "268435456\n",
  "read.cgroup.memory.memory.limit_in_bytes": "9223372036854771712\n",
  "read.cgroup.cpu.cpu.max": "50000 100000\n",
  "read.cgroup.pids.pids.max": "65\n",
  "read.cgroup.cpuset.cpuset.cpus": "0-1,3\n",
  "read.cgroup.io.io.max": "8:16 rbps=max wbps=5\n8:0 rbps=1000 wbps=max riops=max wiops=7\n",
};
const OWN = { pid: "pid:[4026531836]", net: "net:[4026531000]", ipc: "ipc:[1]" };

const look = (check: Check) => readBack([decide(check)], memoryOf(TEXTS), OWN)[0];

describe("what the kernel confirms", () => {
  it.each<[Check]>([
    [{ kind: "status", field: "CapEff", expected: "0000000000000000" }],
    [{ kind: "status", field: "Uid", expected: "1000 1000 1000 1000" }],
    [{ kind: "status", field: "Groups", expected: "" }],
    [{ kind: "namespace", name: "pid", expected: "own" }],
    [{ kind: "namespace", name: "net", expected: "host" }],
    [{ kind: "mount", target: "/", fsType: "tmpfs", options: ["ro", "nosuid", "nodev"] }],
    [{ kind: "mount", target: "/tmp", fsType: "tmpfs", options: ["rw", "size=67108864"] }],
    [{ kind: "mount", target: "/tmp", fsType: null, options: ["size=64m", "nr_inodes=1024"] }],
    [{ kind: "mount", target: "/with space", fsType: null, options: ["ro"] }],
    [{ kind: "mount", target: "/proc", fsType: "proc", options: ["noexec", "subset=pid"] }],
    [{ kind: "cgroup", controller: "memory", file: "memory.max", expected: "268435456" }],
    [{ kind: "cgroup", controller: "memory", file: "memory.max", expected: "268435999" }],
    [{ kind: "cgroup", controller: "memory", file: "memory.limit_in_bytes", expected: "max" }],
    [{ kind: "cgroup", controller: "cpu", file: "cpu.max", expected: "50000 100000" }],
    [{ kind: "cgroup", controller: "cpuset", file: "cpuset.cpus", expected: "0,1,3" }],
    [{ kind: "cgroup", controller: "io", file: "io.max", expected: "8:0 rbps=1000 wiops=7" }],
    [{ kind: "label", expected: "docker-default//&sandbox-strict (enforce)" }],
    [{ kind: "rlimit", name: "core", expected: "0 0" }],
    [{ kind: "rlimit", name: "cpu", expected: "30 35" }],
    [{ kind: "rlimit", name: "nproc", expected: "unlimited unlimited" }],
  ])("%o", (check) => {
    expect(look(check)).toMatchObject({ matches: true });
  });
});

it("a stack on unconfined is the profile alone: hosts that restrict unconfined programs make one of every change", () => {
  const says = (label: string, expected: string) =>
    readBack([decide({ kind: "label", expected })], memoryOf({ "read.label": `${label}\n` }), OWN)[0]
      ?.matches;
  expect(says("sandbox-strict//&unconfined (enforce)", "sandbox-strict (enforce)")).toBe(true);
  expect(says("sandbox-strict//&unconfined (complain)", "sandbox-strict (enforce)")).toBe(false);
  expect(says("unconfined", "sandbox-strict (enforce)")).toBe(false);
  expect(says("unconfined//&other (enforce)", "sandbox-strict (enforce)")).toBe(false);
});

describe("what the kernel contradicts", () => {
  it.each<[Check, string]>([
    [{ kind: "status", field: "NoNewPrivs", expected: "0" }, "1"],
    [{ kind: "namespace", name: "pid", expected: "host" }, "pid:[4026532000]"],
    [{ kind: "namespace", name: "net", expected: "own" }, "net:[4026531000]"],
    [
      { kind: "label", expected: "docker-default//&sandbox-strict (complain)" },
      "sandbox-strict//&docker-default (enforce)",
    ],
    [{ kind: "label", expected: "sandbox-strict (enforce)" }, "sandbox-strict//&docker-default (enforce)"],
    [
      { kind: "mount", target: "/usr", fsType: null, options: ["noexec"] },
      "/usr ext4 ro nosuid nodev relatime rw",
    ],
    [
      { kind: "mount", target: "/usr", fsType: null, options: ["rw"] },
      "/usr ext4 ro nosuid nodev relatime rw",
    ],
    [
      { kind: "mount", target: "/with space", fsType: null, options: ["rw"] },
      "/with space tmpfs rw nosuid ro",
    ],
    [
      { kind: "mount", target: "/tmp", fsType: "ext4", options: [] },
      "/tmp tmpfs rw nosuid nodev size=65536k nr_inodes=1024",
    ],
    [
      { kind: "mount", target: "/tmp", fsType: null, options: ["size=32m"] },
      "/tmp tmpfs rw nosuid nodev size=65536k nr_inodes=1024",
    ],
    [{ kind: "mount", target: "/sys", fsType: null, options: [] }, "not mounted"],
    [{ kind: "cgroup", controller: "memory", file: "memory.max", expected: "134217728" }, "268435456"],
    [
      { kind: "cgroup", controller: "memory", file: "memory.limit_in_bytes", expected: "1" },
      "9223372036854771712",
    ],
    [{ kind: "cgroup", controller: "pids", file: "pids.max", expected: "64" }, "65"],
    [{ kind: "cgroup", controller: "cpuset", file: "cpuset.cpus", expected: "0-3" }, "0-1,3"],
    [
      { kind: "cgroup", controller: "io", file: "io.max", expected: "8:16 rbps=1000" },
      TEXTS["read.cgroup.io.io.max"].trim(),
    ],
    [{ kind: "rlimit", name: "nofile", expected: "256 512" }, "256 256"],
  ])("%o", (check, actual) => {
    expect(look(check)).toMatchObject({ matches: false, actual });
  });
});

describe("what was not read", () => {
  it.each<[Check]>([
    [{ kind: "status", field: "Seccomp_filters", expected: "1" }],
    [{ kind: "namespace", name: "ipc", expected: "own" }],
    [{ kind: "namespace", name: "uts", expected: "host" }],
    [{ kind: "cgroup", controller: "pids", file: "pids.weird", expected: "1" }],
    [{ kind: "rlimit", name: "as", expected: "1 1" }],
  ])("does not match: %o", (check) => {
    expect(look(check)).toMatchObject({ matches: false, actual: UNREAD });
  });

  it("does not match when there is no text at all", () => {
    const check: Check = { kind: "mount", target: "/", fsType: null, options: [] };
    expect(readBack([decide(check)], memoryOf({}), OWN)[0]).toMatchObject({ matches: false, actual: UNREAD });
  });
});

describe("what a call of the launch answered", () => {
  const answered = (result: bigint) => {
    const bytes = Buffer.alloc(328);
    bytes.writeBigInt64LE(result, 320);
    const memory = viewMemory(bytes, { buffers: new Map([["proof", { offset: 320, size: 8 }]]), size: 328 });
    const check: Check = { kind: "answer", buffer: "proof", question: "signal 0 to init", expected: "EPERM" };
    return readBack([decide(check)], memory, OWN)[0];
  };

  it("is the errno that only the control gives", () => {
    expect(answered(-1n)).toMatchObject({
      expected: "signal 0 to init: EPERM",
      actual: "EPERM",
      matches: true,
    });
  });

  it("does not match when the call went through, was never made, or said something else", () => {
    expect(answered(0n)).toMatchObject({ actual: "ok", matches: false });
    expect(answered(-3n)).toMatchObject({ actual: "ESRCH", matches: false });
  });

  it("does not match when the launcher has no such answer", () => {
    const check: Check = { kind: "answer", buffer: "proof", question: "", expected: "EPERM" };
    expect(readBack([decide(check)], memoryOf({}), OWN)[0]).toMatchObject({ actual: UNREAD, matches: false });
  });
});

describe("mismatches", () => {
  it("are those of controls that should hold in full", () => {
    const wrong: Check = { kind: "status", field: "Seccomp", expected: "0" };
    const right: Check = { kind: "status", field: "Seccomp", expected: "2" };
    const list = readBack(
      [decide(wrong), decide(wrong, "partial"), decide(right), decide(null)],
      memoryOf(TEXTS),
      OWN,
    );
    expect(list).toHaveLength(3);
    expect(mismatches(list)).toEqual([list[0]]);
  });
});
