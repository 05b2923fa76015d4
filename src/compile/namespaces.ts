/**
 * Namespaces: which are new, made with the clone of init or, where the kernel wants it otherwise, by init itself.
 */

import { NAMESPACES, type Namespace } from "../profile/spec.ts";
import { result } from "../program/build.ts";
import {
  AT_FDCWD,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  MS_PRIVATE,
  MS_REC,
  O_CLOEXEC,
  O_WRONLY,
} from "../program/constants.ts";
import type { Draft } from "./draft.ts";
import type { Check } from "./plan.ts";

interface Kind {
  readonly flag: bigint;
  /** Name under /proc/PID/ns. */
  readonly link: Extract<Check, { kind: "namespace" }>["name"];
  /** Made by init after it joined its cgroup (cgroup), or for its children only (time). */
  readonly byInit: boolean;
}

const KINDS: Readonly<Record<Namespace, Kind>> = {
  user: { flag: CLONE_NEWUSER, link: "user", byInit: false },
  mount: { flag: CLONE_NEWNS, link: "mnt", byInit: false },
  pid: { flag: CLONE_NEWPID, link: "pid", byInit: false },
  network: { flag: CLONE_NEWNET, link: "net", byInit: false },
  ipc: { flag: CLONE_NEWIPC, link: "ipc", byInit: false },
  uts: { flag: CLONE_NEWUTS, link: "uts", byInit: false },
  // A cgroup namespace is rooted where its maker is: init must be in the run's cgroup first.
  cgroup: { flag: CLONE_NEWCGROUP, link: "cgroup", byInit: true },
  // A time namespace takes effect for children, so that its offsets can be set before anyone is in it.
  time: { flag: CLONE_NEWTIME, link: "time", byInit: true },
};

const ESSENTIAL = ["user", "mount", "pid"] as const satisfies readonly Namespace[];

/** Decide all eight; give the flags of the clone that makes init. */
export function separateNamespaces(draft: Draft): bigint {
  let clone = 0n;
  let own = 0n;
  let decision = "";
  for (const name of NAMESPACES) {
    const { flag, link, byInit } = KINDS[name];
    const wanted = draft.spec.namespaces[name] && !(name === "network" && draft.spec.network.mode === "host");
    const possible = draft.host.namespaces[name];
    const id = draft.decide({
      id: `namespaces.${name}`,
      control: "namespaces",
      setting: wanted && possible ? "own" : "shared with the host",
      pointer: `/namespaces/${name}`,
      status: wanted && !possible ? "none" : "full",
      reason: wanted && !possible ? `this kernel has no ${name} namespaces` : "",
      check: { kind: "namespace", name: link, expected: wanted && possible ? "own" : "host" },
    });
    if (!wanted || !possible) continue;
    if (byInit) own |= flag;
    else clone |= flag;
    if (name === "cgroup" || decision === "") decision = id;
  }
  for (const name of ESSENTIAL) {
    if (draft.spec.namespaces[name]) continue;
    draft.problem({
      kind: "profile-value",
      pointer: `/namespaces/${name}`,
      message: `the ${name} namespace cannot be turned off: everything else stands on it`,
      expected: "true",
    });
  }
  if (draft.spec.namespaces.user && !draft.host.userNamespaces.available) {
    const { reason, fix } = draft.host.userNamespaces;
    draft.problem({
      kind: "host-cannot",
      pointer: "/namespaces/user",
      message: `user namespaces are not available: ${reason}`,
      hint: fix,
    });
  }
  if (own !== 0n) {
    const at = draft.phase("init.namespaces", decision);
    at.call(
      "init.unshare",
      "cgroup namespace rooted at the run's cgroup; time namespace for the payload",
      "unshare",
      [own],
    );
    shiftClocks(draft, own);
  }
  draft
    .phase("init.namespaces", "namespaces.mount")
    .call(
      "mounts.private",
      "no mount made here reaches the host, nor the other way round",
      "mount",
      [0, draft.text("/"), 0, MS_REC | MS_PRIVATE, 0],
      { target: "/" },
    );
  return clone;
}

function shiftClocks(draft: Draft, own: bigint): void {
  if ((own & CLONE_NEWTIME) === 0n) return;
  const { monotonic, boottime } = draft.spec.process.timeOffsets;
  const lines = [
    ["monotonic", monotonic],
    ["boottime", boottime],
  ] as const;
  const content = lines
    .filter(([, offset]) => offset.secs !== 0 || offset.nanosecs !== 0)
    .map(([clock, offset]) => `${clock} ${offset.secs} ${offset.nanosecs}\n`)
    .join("");
  if (content === "") return;
  const decision = draft.decide({
    id: "process.timeOffsets",
    control: "process",
    setting: content.trim().replaceAll("\n", ", "),
    pointer: "/process/timeOffsets",
    status: "full",
  });
  const at = draft.phase("init.namespaces", decision);
  at.call(
    "time.offsets.open",
    "the payload's clocks",
    "openat",
    [AT_FDCWD, draft.text("/proc/self/timens_offsets"), O_WRONLY | O_CLOEXEC, 0],
    {
      target: "/proc/self/timens_offsets",
    },
  );
  at.call(
    "time.offsets.write",
    "before anyone is in the namespace",
    "write",
    [result("time.offsets.open"), draft.text(content), content.length],
    {
      target: "/proc/self/timens_offsets",
    },
  );
  at.call("time.offsets.close", "done with it", "close", [result("time.offsets.open")]);
}
