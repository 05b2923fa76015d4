/**
 * A Landlock ruleset as data, and what becomes of it on a kernel that knows less. Pure; nothing here looks at a kernel:
 * its ABI is an argument.
 */

import {
  FS_RIGHTS,
  type FsRight,
  type LandlockScope,
  LOG_FLAGS_SINCE,
  NET_RIGHTS,
  type NetRight,
  SCOPES,
} from "../../program/landlock.ts";

/** Rights at a path inside, and below it. */
export interface PathRule {
  readonly path: string;
  readonly rights: readonly FsRight[];
  /** The author named the path: when it is not there that is a mistake, and no reason to go on without it. */
  readonly listed: boolean;
}

export interface PortRule {
  readonly port: number;
  readonly rights: readonly NetRight[];
}

/** What is handled is denied wherever no rule grants it; what is not handled is as if Landlock were not there. */
export interface Ruleset {
  readonly fs: readonly FsRight[];
  readonly paths: readonly PathRule[];
  readonly net: readonly NetRight[];
  readonly ports: readonly PortRule[];
  readonly scoped: readonly LandlockScope[];
  /** Whether denials are to leave records. */
  readonly log: boolean;
}

/** What was wanted and is not there. */
export type Lost = Pick<Ruleset, "fs" | "net" | "scoped" | "log">;

export interface Downgraded {
  readonly kept: Ruleset;
  readonly lost: Lost;
}

/**
 * What a kernel with this ABI (0: no Landlock) can keep of a ruleset. Never grants more than was wanted; what it cannot deny is lost.
 *
 * ABI 1 denies moving files between directories in every ruleset and cannot grant it (the kernel's documentation, "Previous
 * limitations"). A ruleset that grants it somewhere would break there what works without Landlock: its part on files is lost as a whole.
 */
export function downgrade(wanted: Ruleset, abi: number): Downgraded {
  const breaks = abi < FS_RIGHTS.refer.since && wanted.paths.some(({ rights }) => rights.includes("refer"));
  const [fs, lostFs] = split(wanted.fs, (right) => !breaks && FS_RIGHTS[right].since <= abi);
  const [net, lostNet] = split(wanted.net, (right) => NET_RIGHTS[right].since <= abi);
  const [scoped, lostScoped] = split(wanted.scoped, (scope) => SCOPES[scope].since <= abi);
  // Handled or not, ABI 1 denies it.
  const denied = fs.length > 0 && abi < FS_RIGHTS.refer.since;
  return {
    kept: {
      fs,
      paths: wanted.paths.flatMap((rule) => within(rule, fs)),
      net,
      ports: wanted.ports.flatMap((rule) => within(rule, net)),
      scoped,
      log: wanted.log && abi >= LOG_FLAGS_SINCE,
    },
    lost: {
      fs: denied ? lostFs.filter((right) => right !== "refer") : lostFs,
      net: lostNet,
      scoped: lostScoped,
      log: wanted.log && abi < LOG_FLAGS_SINCE,
    },
  };
}

/** Nothing is handled: no call is made, and nothing is restricted. */
export function isEmpty({ fs, net, scoped }: Ruleset): boolean {
  return fs.length === 0 && net.length === 0 && scoped.length === 0;
}

/** The rule with those of its rights that are handled; none when none is left, which landlock_add_rule(2) refuses (ENOMSG). */
function within<Right, Rule extends { readonly rights: readonly Right[] }>(
  rule: Rule,
  handled: readonly Right[],
): readonly Rule[] {
  const rights = rule.rights.filter((right) => handled.includes(right));
  return rights.length === 0 ? [] : [{ ...rule, rights }];
}

function split<T>(
  all: readonly T[],
  known: (one: T) => boolean,
): readonly [kept: readonly T[], lost: readonly T[]] {
  return [all.filter(known), all.filter((one) => !known(one))];
}
