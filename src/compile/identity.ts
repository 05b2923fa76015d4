/**
 * Identity: the id maps, written by the monitor from outside; the ids that init and the payload take; groups.
 *
 * Run by root, ids inside map to host ids that own nothing: `idBase + pid of the monitor`. The pid is unique among everything
 * that runs, so concurrent sandboxes never share an id, without any bookkeeping. Run by an ordinary user they map to
 * the user's own ids.
 */

import type { IdMapping } from "../profile/spec.ts";
import { buffer, load, result } from "../program/build.ts";
import { AT_FDCWD, O_CLOEXEC, O_PATH, OPEN_FLAGS, PROC_SUPER_MAGIC } from "../program/constants.ts";
import type { TextPart } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { MAP_SIZE, writeProcFile } from "./proc-files.ts";

/** Ids of a range map: 0 to 65535 inside. */
export const RANGE_SIZE = 65536;

/** How a map is written. */
type Maps =
  | { readonly kind: "foreign" }
  | { readonly kind: "own" }
  | { readonly kind: "explicit"; readonly uid: readonly IdMapping[]; readonly gid: readonly IdMapping[] }
  | { readonly kind: "helpers"; readonly uid: readonly IdMapping[]; readonly gid: readonly IdMapping[] }
  | { readonly kind: "claimed" };

export function mapIdentity(draft: Draft): Maps {
  const { uid, gid } = draft.spec.identity;
  refuseRoot(draft);
  const maps = chooseMaps(draft);
  const decision = draft.decide({
    id: "identity.map",
    control: "identity",
    setting: describe(draft, maps),
    pointer: "/identity/map",
    status: "full",
    reason: maps.kind === "foreign" ? "host ids that own nothing, different for every sandbox that runs" : "",
  });
  writeMaps(draft, decision, maps);

  const groupsLeft = draft.host.user.groups.filter((group) => group !== draft.host.user.gid);
  const dropped = draft.privileged || groupsLeft.length === 0;
  const groups = draft.decide({
    id: "identity.groups",
    control: "identity",
    setting: dropped
      ? "no supplementary groups; setgroups denied"
      : "supplementary groups of the caller remain, unmapped; setgroups denied",
    pointer: "/identity",
    status: dropped ? "full" : "partial",
    reason: dropped
      ? ""
      : "an ordinary user cannot drop its own groups: the kernel keeps them, in case one of them takes a right away",
  });
  if (draft.privileged) {
    draft
      .phase("monitor.start", groups)
      .call("groups.drop", "no group of the caller's goes in", "setgroups", [0, 0]);
  }

  const ids = draft.decide({
    id: "identity.ids",
    control: "identity",
    setting: `uid ${uid}, gid ${gid}`,
    pointer: "/identity/uid",
    status: "full",
    check: { kind: "status", field: "Uid", expected: `${uid}\t${uid}\t${uid}\t${uid}` },
  });
  draft.decide({
    id: "identity.gid",
    control: "identity",
    setting: `gid ${gid}`,
    pointer: "/identity/gid",
    status: "full",
    check: { kind: "status", field: "Gid", expected: `${gid}\t${gid}\t${gid}\t${gid}` },
  });
  const at = draft.phase("init.identity", ids);
  // From here on init owns what it makes, and reads only what the payload could read.
  at.call("identity.gid.set", "the payload's group", "setresgid", [gid, gid, gid], { target: `gid ${gid}` });
  at.call(
    "identity.uid.set",
    "the payload's user; what is made from here on belongs to it",
    "setresuid",
    [uid, uid, uid],
    { target: `uid ${uid}` },
  );
  return maps;
}

/** Capabilities or not: many programs, and many bugs, treat uid 0 as something special. */
function refuseRoot(draft: Draft): void {
  const { allowRoot } = draft.spec.identity;
  for (const name of ["uid", "gid"] as const) {
    if (allowRoot || draft.spec.identity[name] !== 0) continue;
    draft.problem({
      kind: "profile-contradiction",
      pointer: `/identity/${name}`,
      message: `${name} 0 is not allowed by this profile`,
      expected: "an id from 1 to 4294967294",
      hint: "another id, or --set /identity/allowRoot=true",
    });
  }
}

function chooseMaps(draft: Draft): Maps {
  const { map, uid, gid } = draft.spec.identity;
  if (map === "auto") return draft.privileged ? { kind: "foreign" } : { kind: "own" };
  if (map !== "subordinate") {
    if (!draft.privileged) {
      const single = [map.uidMappings, map.gidMappings].every(
        (entries) => entries.length === 1 && entries[0]?.size === 1,
      );
      const own =
        map.uidMappings[0]?.hostID === draft.host.user.uid &&
        map.gidMappings[0]?.hostID === draft.host.user.gid;
      if (!(single && own)) return helpers(draft, map.uidMappings, map.gidMappings);
    }
    return { kind: "explicit", uid: map.uidMappings, gid: map.gidMappings };
  }
  for (const [name, id] of [
    ["uid", uid],
    ["gid", gid],
  ] as const) {
    if (id >= RANGE_SIZE) {
      draft.problem({
        kind: "profile-value",
        pointer: `/identity/${name}`,
        message: `${name} ${id} is outside the mapped range`,
        expected: `0 to ${RANGE_SIZE - 1}`,
      });
    }
  }
  if (draft.privileged) {
    if (!draft.supervised) {
      draft.problem({
        kind: "compile-cannot",
        pointer: "/identity/map",
        message: "a launcher without a supervisor cannot claim a free range of ids",
        hint: 'give explicit uidMappings and gidMappings, or map "auto"',
      });
    }
    return { kind: "claimed" };
  }
  const first = { uid: draft.host.subordinate.uid[0], gid: draft.host.subordinate.gid[0] };
  if (first.uid === undefined || first.gid === undefined) {
    draft.problem({
      kind: "host-cannot",
      pointer: "/identity/map",
      message: `${draft.host.user.name} has no subordinate ids`,
      hint: `as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${draft.host.user.name}`,
    });
    return { kind: "own" };
  }
  return helpers(
    draft,
    [{ containerID: 0, hostID: first.uid.start, size: Math.min(first.uid.count, RANGE_SIZE) }],
    [{ containerID: 0, hostID: first.gid.start, size: Math.min(first.gid.count, RANGE_SIZE) }],
  );
}

function helpers(draft: Draft, uid: readonly IdMapping[], gid: readonly IdMapping[]): Maps {
  if (draft.host.subordinate.newuidmap === null || draft.host.subordinate.newgidmap === null) {
    draft.problem({
      kind: "host-cannot",
      pointer: "/identity/map",
      message:
        "newuidmap and newgidmap are not installed: an ordinary user cannot map more than its own ids without them",
      hint: "as root: apt-get install uidmap (Debian, Ubuntu) or dnf install shadow-utils (Fedora)",
    });
  }
  return { kind: "helpers", uid, gid };
}

function describe(draft: Draft, maps: Maps): string {
  const { uid, gid } = draft.spec.identity;
  switch (maps.kind) {
    case "foreign":
      return `uid ${uid} and gid ${gid} to ${draft.host.idBase} + pid of the monitor`;
    case "own":
      return `uid ${uid} to ${draft.host.user.uid}, gid ${gid} to ${draft.host.user.gid}`;
    case "claimed":
      return `0..${RANGE_SIZE - 1} to a free range claimed for the run`;
    case "explicit":
    case "helpers":
      return `uids ${lines(maps.uid).replaceAll("\n", "; ")} gids ${lines(maps.gid).replaceAll("\n", "; ")}`;
  }
}

/** The text of a uid_map or gid_map. */
function lines(mappings: readonly IdMapping[]): string {
  return mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");
}

function writeMaps(draft: Draft, decision: string, maps: Maps): void {
  openHostProc(draft, decision);
  if (maps.kind === "helpers") {
    runMapHelper(draft, decision, "newuidmap", draft.host.subordinate.newuidmap ?? "", maps.uid);
    runMapHelper(draft, decision, "newgidmap", draft.host.subordinate.newgidmap ?? "", maps.gid);
    return;
  }
  const at = draft.phase("monitor.ids", decision);
  const init = { pid: result("init.spawn"), shown: "init" };
  writeProcFile(draft, at, "setgroups", "setgroups", init, "the payload can never take other groups", [
    { text: "deny" },
  ]);
  for (const [file, inside] of [
    ["gid_map", draft.spec.identity.gid],
    ["uid_map", draft.spec.identity.uid],
  ] as const) {
    const text = mapText(draft, maps, file, inside);
    writeProcFile(draft, at, file, file, init, "ids inside to ids outside", text);
  }
}

/** The host's procfs, checked to be one: writes meant for it must not land anywhere else (CVE-2019-19921, CVE-2025-52881). */
function openHostProc(draft: Draft, decision: string): void {
  const { O_DIRECTORY } = OPEN_FLAGS[draft.host.arch];
  const at = draft.phase("monitor.proc", decision);
  draft.buffer("statfs", 128);
  draft.buffer("path", 64);
  draft.hostDescriptors.add("proc.host");
  const proc = at.call(
    "proc.host",
    "init's maps are files in it",
    "openat",
    [AT_FDCWD, draft.text("/proc"), O_PATH | O_DIRECTORY | O_CLOEXEC, 0],
    { target: "/proc" },
  );
  at.call("proc.host.stat", "is it really procfs?", "fstatfs", [proc, buffer("statfs")], { target: "/proc" });
  at.expect(
    "proc.host.magic",
    "writes meant for procfs go to procfs",
    load("statfs", 0, 8),
    PROC_SUPER_MAGIC,
    "EOPNOTSUPP",
    { target: "/proc" },
  );
}

function mapText(
  draft: Draft,
  maps: Exclude<Maps, { kind: "helpers" }>,
  file: "uid_map" | "gid_map",
  inside: number,
): readonly TextPart[] {
  switch (maps.kind) {
    case "foreign":
      return [
        { text: `${inside} ` },
        { decimal: result("monitor.pid"), plus: BigInt(draft.host.idBase ?? 0) },
        { text: " 1\n" },
      ];
    case "own":
      return [{ text: `${inside} ${file === "uid_map" ? draft.host.user.uid : draft.host.user.gid} 1\n` }];
    case "explicit":
      return [{ text: lines(file === "uid_map" ? maps.uid : maps.gid) }];
    case "claimed":
      return [{ buffer: draft.buffer(file.replace("_", "-"), MAP_SIZE, true) }];
  }
}

/** newuidmap(1) PID INSIDE OUTSIDE SIZE ...: the setuid helper of the shadow suite checks /etc/subuid and writes the map. */
function runMapHelper(
  draft: Draft,
  decision: string,
  name: string,
  path: string,
  mappings: readonly IdMapping[],
): void {
  const at = draft.phase("monitor.ids", decision);
  at.format(`${name}.pid`, "whose map", "path", [{ decimal: result("init.spawn") }]);
  at.step(
    {
      kind: "run",
      path,
      argv: [
        { text: name },
        { buffer: "path" },
        ...mappings.flatMap(({ containerID, hostID, size }) =>
          [containerID, hostID, size].map((number) => ({ text: `${number}` })),
        ),
      ],
    },
    `${name}.run`,
    "an ordinary user's ranges are checked and written by it",
  );
}

export type { Maps };
