/** Every field of a profile has an order: what is looser, stricter, incomparable or of no matter is said with an example. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { profileFiles } from "../../src/profile/files.ts";
import type { Spec } from "../../src/profile/spec.ts";
import { compareLayers, refutesAtMost } from "../../src/prove/layers.ts";
import { resolved } from "../profile/resolved.ts";

const made = new Map<string, Spec>();

/** strict with fields changed; the same once. */
function spec(changes: Readonly<Record<string, unknown>> = {}): Spec {
  const key = JSON.stringify(changes);
  const known = made.get(key) ?? resolved("strict", changes).spec;
  made.set(key, known);
  return known;
}

const told = (changes: Readonly<Record<string, unknown>>, before: Readonly<Record<string, unknown>> = {}) =>
  compareLayers(spec(before), spec(changes)).map(
    ({ pointer, direction, witness }) => `${direction} ${pointer}: ${witness}`,
  );

/** What is changed in strict, and all that is said of it. */
const CHANGES: readonly (readonly [Readonly<Record<string, unknown>>, readonly string[]])[] = [
  [{ "/namespaces/ipc": false }, ["looser /namespaces/ipc: the host's own is shared"]],
  [{ "/identity/uid": 1001 }, ["incomparable /identity/uid: the user inside is another"]],
  [{ "/identity/map": "subordinate" }, ["looser /identity/map: ids are mapped subordinate"]],
  [{ "/identity/allowRoot": true }, ["looser /identity/allowRoot: it may be uid or gid 0 inside"]],
  [{ "/identity/hostname": "other" }, ["other /identity/hostname: "]],
  [
    { "/filesystem/root": { type: "closure" } },
    ["stricter /filesystem/root: the root shows system, minimal /etc"],
  ],
  [
    { "/filesystem/root": { type: "directory", path: "/srv" } },
    ["incomparable /filesystem/root: another root is shown"],
  ],
  [{ "/filesystem/write": "ephemeral" }, ["looser /filesystem/write: writes to the root are ephemeral"]],
  [
    { "/filesystem/writeSize": 1 << 20 },
    ["stricter /filesystem/writeSize: 1048577 bytes of discarded writes"],
  ],
  [{ "/filesystem/proc": "full" }, ["looser /filesystem/proc: /proc shows full"]],
  [
    { "/filesystem/mounts/-": { type: "bind", source: "/srv/data", target: "/data", options: ["ro"] } },
    ["looser /filesystem/mounts: permits to see /srv/data, execute below /data"],
  ],
  [{ "/filesystem/mounts": [] }, ["stricter /filesystem/mounts: permits to write to memory at /tmp"]],
  [{ "/filesystem/masked/-": "/etc/motd" }, ["stricter /filesystem/masked: is masked: /etc/motd"]],
  [{ "/filesystem/readOnly/-": "/srv" }, ["stricter /filesystem/readOnly: is read-only: /srv"]],
  [{ "/filesystem/devices/-": "mqueue" }, ["looser /filesystem/devices: device mqueue"]],
  [{ "/filesystem/shmSize": "64M" }, ["looser /filesystem/shmSize: 33554433 bytes in /dev/shm"]],
  [{ "/filesystem/workdir": "ro" }, ["looser /filesystem/workdir: the working directory is shown ro"]],
  [{ "/capabilities/bounding": ["CAP_NET_RAW"] }, ["looser /capabilities/bounding: capability CAP_NET_RAW"]],
  [
    { "/noNewPrivileges": false, "/seccomp": null, "/landlock": null },
    ["looser /noNewPrivileges: execve may gain privileges", "looser /landlock: Landlock is off"],
  ],
  [{ "/resources/memory": "128M" }, ["stricter /resources/memory: 134217729 bytes of memory"]],
  [
    { "/resources/memory": null, "/resources/swap": null },
    ["looser /resources/memory: 268435457 bytes of memory", "looser /resources/swap: 1 bytes of swap"],
  ],
  [{ "/resources/cpus": 0.5 }, ["stricter /resources/cpus: more than 0.5 CPUs"]],
  [{ "/resources/cpuset": "0" }, ["stricter /resources/cpuset: runs on all CPUs"]],
  [{ "/resources/pids": 65 }, ["looser /resources/pids: 65 processes"]],
  [
    { "/resources/rlimits": { memlock: { soft: 0, hard: 4096 } } },
    [
      "stricter /resources/rlimits/memlock/soft: 1 RLIMIT_MEMLOCK",
      "stricter /resources/rlimits/memlock/hard: 4097 RLIMIT_MEMLOCK",
    ],
  ],
  [
    { "/resources/io": [{ device: "8:0", readBps: 1000 }] },
    ["incomparable /resources/io: block I/O is limited otherwise"],
  ],
  [
    { "/network/mode": "host", "/namespaces/network": false },
    ["looser /namespaces/network: the host's own is shared", "looser /network/mode: the network is host"],
  ],
  [{ "/environment/pass/-": "HOME_PHONE" }, ["looser /environment/pass: the caller's variable HOME_PHONE"]],
  [{ "/environment/set/EDITOR": "ed" }, ["other /environment/set: "]],
  [
    { "/process/umask": "077" },
    [
      "stricter /process/umask: is taken from new files: mode bit 01, mode bit 04, mode bit 010, mode bit 040",
    ],
  ],
  [{ "/process/nice": 5 }, ["stricter /process/nice: -4 priority"]],
  [
    { "/process/memoryDenyWriteExecute": true },
    ["stricter /process/memoryDenyWriteExecute: memory may be written and then executed"],
  ],
  [
    { "/audit/require": false, "/require/audit": "none" },
    ["looser /audit/require: it runs without a log", "looser /require/audit: at least in force none"],
  ],
  [{ "/landlock": null }, ["looser /landlock: Landlock is off"]],
];

describe("a change of strict", () => {
  test.each(CHANGES)("%j", (changes, said) => {
    expect(told(changes)).toEqual(said);
  });

  test.each(CHANGES)("%j seen from the other side is the opposite", (changes) => {
    const opposite = {
      looser: "stricter",
      stricter: "looser",
      incomparable: "incomparable",
      undecided: "undecided",
      other: "other",
    } as const;
    const forth = compareLayers(spec(), spec(changes)).map(
      ({ pointer, direction }) => `${opposite[direction]} ${pointer}`,
    );
    const back = compareLayers(spec(changes), spec()).map(
      ({ pointer, direction }) => `${direction} ${pointer}`,
    );
    expect(back.toSorted()).toEqual(forth.toSorted());
  });
});

test("a mount that becomes writable or executable permits more, in words", () => {
  const bind = (options: readonly string[]) => ({
    "/filesystem/mounts/-": { type: "bind", source: "/srv/data", target: "/data", options },
  });
  expect(told(bind(["rw", "exec"]), bind(["ro", "noexec"]))).toEqual([
    "looser /filesystem/mounts: permits to write to /srv/data, execute below /data",
  ]);
});

test("a profile is the same as itself and at most itself", () => {
  for (const name of profileFiles().names?.() ?? []) {
    const { spec: own } = resolved(name);
    expect(compareLayers(own, own)).toEqual([]);
  }
});

test("what is at most something that is at most a third is at most the third", () => {
  const profiles = fc.record({
    "/filesystem/shmSize": fc.constantFrom("32M", "128M"),
    "/resources/fileSize": fc.constantFrom("32M", "64M", null),
    "/filesystem/devices": fc.subarray(["null", "tty"]),
    "/capabilities/bounding": fc.subarray(["CAP_KILL"]),
  });
  let chains = 0;
  fc.assert(
    fc.property(profiles, profiles, profiles, (one, two, three) => {
      const [a, b, c] = [spec(one), spec(two), spec(three)];
      const atMost = (x: Spec, y: Spec) => !compareLayers(x, y).some(refutesAtMost);
      if (!atMost(a, b) || !atMost(b, c)) return;
      chains += 1;
      expect(atMost(a, c)).toBe(true);
    }),
    { numRuns: 1500, seed: 51 },
  );
  expect(chains).toBeGreaterThan(10);
});
