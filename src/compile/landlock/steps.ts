/**
 * The ruleset as steps of the payload: after no_new_privs, which landlock_restrict_self(2) asks for; before the filter, which then need not
 * allow these calls. Paths are looked up inside the root that is in force. What cannot be made fails the launch; a derived path that is
 * not there grants nothing and needs no rule.
 */

import { buffer, type Listing, packed, result, value } from "../../program/build.ts";
import {
  AT_FDCWD,
  O_CLOEXEC,
  O_PATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
} from "../../program/constants.ts";
import {
  bitsOf,
  FS_RIGHTS,
  type FsRight,
  LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON,
  LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF,
  LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF,
  LANDLOCK_RULE_NET_PORT,
  LANDLOCK_RULE_PATH_BENEATH,
  LOG_FLAGS_SINCE,
  NET_RIGHTS,
  rulesetAttrSize,
  SCOPES,
} from "../../program/landlock.ts";
import type { Operand } from "../../program/program.ts";
import type { Draft } from "../draft.ts";
import type { Check } from "../plan.ts";
import { OPEN_HOW_SIZE, openHow } from "../trees.ts";
import type { PathRule, Ruleset } from "./ruleset.ts";

/** struct landlock_path_beneath_attr, filled for one rule after the other. */
const RULE = { buffer: "landlock.rule", size: 16 } as const;

/** `abi`: the kernel's, from 1. */
export function enforce(draft: Draft, decision: string, ruleset: Ruleset, abi: number): void {
  const at = draft.phase("payload.landlock", decision);
  const ruling = create(draft, at, ruleset, abi);
  if (ruleset.fs.length > 0) {
    draft.buffer(RULE.buffer, RULE.size);
    const root = at.call(
      "landlock.root",
      "the root that is in force",
      "openat",
      [AT_FDCWD, draft.text("/"), O_PATH | O_CLOEXEC, 0],
      { target: "/" },
    );
    for (const rule of ruleset.paths) addPath(draft, at, ruling, root, rule);
    addStreams(at, ruling, ruleset);
  }
  for (const { port, rights } of ruleset.ports)
    at.call(
      `landlock.port.${port}`,
      rights.join(" "),
      "landlock_add_rule",
      [ruling, LANDLOCK_RULE_NET_PORT, draft.bytes(packed([bitsOf(NET_RIGHTS, rights), 8], [port, 8]), 8), 0],
      { target: `port ${port}` },
    );
  at.call("landlock.restrict", "from here on, and for all that comes of it", "landlock_restrict_self", [
    ruling,
    restrictFlags(abi, ruleset),
  ]);
  if (canProve(ruleset)) prove(draft, at);
}

function create(draft: Draft, at: Listing, { fs, net, scoped }: Ruleset, abi: number): Operand {
  const size = rulesetAttrSize(abi);
  const attr = packed(
    [bitsOf(FS_RIGHTS, fs), 8],
    [bitsOf(NET_RIGHTS, net), 8],
    [bitsOf(SCOPES, scoped), 8],
  ).slice(0, size * 2);
  return at.call(
    "landlock.create",
    "what is denied unless a rule grants it",
    "landlock_create_ruleset",
    [draft.bytes(attr, 8), size, 0],
    { target: `Landlock ABI ${abi}` },
  );
}

function addPath(
  draft: Draft,
  at: Listing,
  ruleset: Operand,
  root: Operand,
  { path, rights, listed }: PathRule,
): void {
  const id = `landlock:${path}`;
  if (path === "/") {
    addRule(at, id, ruleset, root, rights, path);
    return;
  }
  const end = `${id}.end`;
  const place = at.call(
    `${id}.open`,
    "looked up inside the root",
    "openat2",
    [
      root,
      draft.text(path.slice(1)),
      openHow(draft, O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS),
      OPEN_HOW_SIZE,
    ],
    {
      target: path,
      // A place that the payload cannot reach needs no right.
      ...(listed ? {} : { onError: { errnos: { ENOENT: end, ENOTDIR: end, EACCES: end } } }),
    },
  );
  addRule(at, id, ruleset, place, rights, path);
  if (!listed) at.label(end);
}

function addRule(
  at: Listing,
  id: string,
  ruleset: Operand,
  place: Operand,
  rights: readonly FsRight[],
  target: string,
  onError: { readonly errnos: Readonly<Record<string, string>> } | "fail" = "fail",
): void {
  at.store(`${id}.rights`, rights.join(" "), RULE.buffer, 0, 8, value(bitsOf(FS_RIGHTS, rights)));
  at.store(`${id}.place`, "of this", RULE.buffer, 8, 4, place);
  at.call(
    id,
    rights.join(" "),
    "landlock_add_rule",
    [ruleset, LANDLOCK_RULE_PATH_BENEATH, buffer(RULE.buffer), 0],
    { target, onError },
  );
}

/**
 * The caller's files, terminals and devices at 0, 1 and 2 lie in no mount of the sandbox, and could not be opened again through
 * /proc/self/fd, which `cat /dev/stdin` and `tee /dev/stderr` do. Each gets the rights that its number stands for, and no more:
 * input is not opened for writing. EBADFD: a pipe or a socket, which Landlock does not restrict. EBADF: closed.
 */
const STREAMS: readonly (readonly [name: string, rights: readonly FsRight[]])[] = [
  ["stdin", ["read_file", "ioctl_dev"]],
  ["stdout", ["write_file", "truncate", "ioctl_dev"]],
  ["stderr", ["write_file", "truncate", "ioctl_dev"]],
];

function addStreams(at: Listing, ruleset: Operand, { fs }: Ruleset): void {
  for (const [descriptor, [name, wanted]] of STREAMS.entries()) {
    const rights = wanted.filter((right) => fs.includes(right));
    addRule(at, `landlock.${name}`, ruleset, value(descriptor), rights, name, {
      errnos: { EBADFD: "next", EBADF: "next" },
    });
  }
}

/** The payload may make domains of its own, but not fill the host's audit log with them; nor does the proof below. */
function restrictFlags(abi: number, { log }: Ruleset): bigint {
  if (abi < LOG_FLAGS_SINCE) return 0n;
  return (
    LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF |
    LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF |
    (log ? LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON : 0n)
  );
}

/** What only Landlock denies: init has the payload's uid, and is outside the domain. The answer goes to the buffer. */
export const PROOF: Check = {
  kind: "answer",
  buffer: "landlock.proof",
  question: "signal 0 to init",
  expected: "EPERM",
};
const INIT = 1;

/** procfs says nothing of Landlock. Where signals end at the domain, one to init tells whether there is a domain. */
export function canProve({ scoped }: Ruleset): boolean {
  return scoped.includes("signal");
}

function prove(draft: Draft, at: Listing): void {
  draft.buffer("landlock.proof", 8);
  const answer = at.call(
    "landlock.probe",
    "init is outside: not even signal 0 may reach it",
    "kill",
    [INIT, 0],
    {
      target: "init",
      onError: { errnos: { EPERM: "next" } },
    },
  );
  at.store("landlock.answer", "for the read-back", "landlock.proof", 0, 8, answer);
  at.expect("landlock.proved", "the domain is in force", result("landlock.probe"), -1n, "EPROTO");
}
