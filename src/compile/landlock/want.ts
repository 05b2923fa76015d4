/** The ruleset that a profile asks for, on a kernel that knows everything: what its author listed, and what is derived for the rest. */

import type { LandlockSpec } from "../../profile/spec.ts";
import {
  FS_RIGHT_NAMES,
  type FsRight,
  NET_RIGHT_NAMES,
  type NetRight,
  SCOPE_NAMES,
} from "../../program/landlock.ts";
import type { Draft } from "../draft.ts";
import { isBelow } from "../visible.ts";
import { type Places, WRITE } from "./derive.ts";
import type { PathRule, PortRule, Ruleset } from "./ruleset.ts";

export function wantedRuleset(spec: LandlockSpec, derived: Places): Ruleset {
  // Of sockets made outside only those that a mount shows can be reached, and a mount shows them on purpose: nothing to derive.
  const fs = FS_RIGHT_NAMES.filter((right) => right !== "resolve_unix" || spec.fs[right] !== "derived");
  const net = NET_RIGHT_NAMES.filter((right) => spec.net[right] !== "any");
  return {
    fs,
    paths: pathRules(spec, derived, fs),
    net,
    ports: portRules(spec),
    scoped: SCOPE_NAMES.filter((scope) => spec.scope[scope]),
    log: spec.log,
  };
}

/** One rule for each path, with all its rights. */
function pathRules(spec: LandlockSpec, derived: Places, handled: readonly FsRight[]): readonly PathRule[] {
  const rules = new Map<string, { rights: FsRight[]; listed: boolean }>();
  for (const right of handled) {
    const own = spec.fs[right];
    for (const path of own === "derived" ? derived[right].map((place) => place.path) : own) {
      const rule = rules.get(path) ?? { rights: [], listed: false };
      rules.set(path, { rights: [...rule.rights, right], listed: rule.listed || own !== "derived" });
    }
  }
  return [...rules].map(([path, rule]) => ({ path, ...rule })).toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function portRules(spec: LandlockSpec): readonly PortRule[] {
  const listed = (right: NetRight): readonly number[] => {
    const own = spec.net[right];
    return own === "any" ? [] : own;
  };
  const ports = new Set(NET_RIGHT_NAMES.flatMap(listed));
  return [...ports]
    .toSorted((a, b) => a - b)
    .map((port) => ({ port, rights: NET_RIGHT_NAMES.filter((right) => listed(right).includes(port)) }));
}

/** Rights that only some mounts give, and where those are; reading and connecting need no more than that a path is there. */
const GIVEN: Readonly<Partial<Record<FsRight, FsRight>>> = {
  ...Object.fromEntries(WRITE.map((right) => [right, right])),
  make_char: "make_reg",
  make_block: "make_reg",
  execute: "execute",
  ioctl_dev: "ioctl_dev",
};

/** A path that is listed for a right that no mount there gives: one of the two layers is not what the author thinks. */
export function refuseEmptyPromises(draft: Draft, spec: LandlockSpec, derived: Places): void {
  for (const right of FS_RIGHT_NAMES) {
    const own = spec.fs[right];
    const given = GIVEN[right];
    if (own === "derived" || given === undefined) continue;
    for (const [index, path] of own.entries()) {
      if (derived[given].some((place) => isBelow(path, place.path) || isBelow(place.path, path))) continue;
      draft.problem({
        kind: "profile-contradiction",
        pointer: `/landlock/fs/${right}/${index}`,
        message: `Landlock would allow ${right} at ${path}, but no mount there does`,
        hint: `leave it out, or see filesystem.mounts and filesystem.write`,
      });
    }
  }
}
