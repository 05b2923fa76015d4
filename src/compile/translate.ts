/**
 * Host paths whose owner the payload stands for, when root runs the sandbox: the payload's host id owns nothing, so the mount translates the
 * owner of the source to it and back (mount_setattr(2), MOUNT_ATTR_IDMAP). Nothing else on the host becomes reachable.
 *
 *   writable            a translated bind: what the payload makes there belongs to that owner on the host
 *   closed file         a translated bind, read-only: its owner can read it and others cannot
 *   closed directory    an overlay without an upper layer over a translated bind: a read-only mount alone would let the payload, as their
 *                       owner, connect to the sockets and write to the fifos in it; an overlay has inodes of its own
 *
 * The kernel takes the translation from a user namespace: the mapper role holds one for the moment that it takes to open it.
 */
import type { PathFact } from "../host/facts.ts";
import { buffer, load, result } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  CLONE_NEWUSER,
  MOUNT_ATTR_IDMAP,
  O_CLOEXEC,
  O_RDONLY,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  STATX_GID,
  STATX_MODE_OFFSET,
  STATX_SIZE,
  STATX_TYPE,
  STATX_UID,
  STATX_UID_OFFSET,
  WALL,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { mountsBelow, overlayWithoutWrites } from "./layers.ts";
import { writeProcFile } from "./proc-files.ts";
import {
  type Attributes,
  cloneHostTree,
  MOUNT_ATTR_SIZE,
  makeEmptyLayer,
  openHostPath,
  popRoot,
  setAttributes,
  stackOnRoot,
} from "./trees.ts";

const SIGKILL = 9;

/** How a host path is shown: as it is, with its owner translated, or through an overlay over that. */
export type Showing = "as-is" | "translated" | "overlay";

/** What the payload needs to use a path that somebody named for it, and no more. */
export function chooseShowing(draft: Draft, fact: PathFact, readOnly: boolean): Showing {
  if (!needsTranslation(draft)) return "as-is";
  if (!readOnly) return "translated";
  if (!isClosed(fact)) return "as-is";
  if (fact.type === "file") return "translated";
  return draft.host.overlay.available && layersTranslate(draft) && mountsBelow(draft, fact.real).length === 0
    ? "overlay"
    : "as-is";
}

/** Whether its owner may read or search what others may not: 0700, 0640. */
export function isClosed({ mode }: PathFact): boolean {
  return ((mode >> 6) & ~mode & 0o5) !== 0;
}

/** overlayfs takes id-mapped layers since Linux 5.19. */
export function layersTranslate({ host: { kernel } }: Draft): boolean {
  return kernel.major > 5 || (kernel.major === 5 && kernel.minor >= 19);
}

/** Gives a detached tree of a host path, whose steps begin with `id`. */
type Show = (draft: Draft, decision: string, id: string, fact: PathFact, attributes: Attributes) => Operand;

/** A detached tree of a host path as `chooseShowing` says. */
export const showHostTree: Show = (draft, decision, id, fact, attributes) => {
  switch (chooseShowing(draft, fact, attributes.readOnly)) {
    case "as-is":
      return cloneHostTree(draft, decision, id, fact.real, attributes);
    case "translated":
      return translateTree(draft, decision, id, fact, attributes);
    case "overlay":
      return overlayTranslated(draft, decision, id, fact, attributes);
  }
};

const overlayTranslated: Show = (draft, decision, id, fact, attributes) => {
  const lower = translateTree(draft, decision, id, fact, attributes);
  const at = draft.phase("init.root", decision);
  const empty = makeEmptyLayer(draft, decision, id);
  draft.hostDescriptors.add(`${id}.clone`);
  stackOnRoot(draft, at, `${id}.stack`, lower);
  const tree = overlayWithoutWrites(draft, decision, id, lower, empty, attributes);
  popRoot(draft, at, `${id}.pop`);
  popRoot(draft, at, `${id}.empty.pop`);
  return tree;
};

/** A detached clone of a host tree in which the payload is the owner that the source has. `from`: what the monitor has open of it already. */
export function translateTree(
  draft: Draft,
  decision: string,
  id: string,
  fact: PathFact,
  attributes: Attributes,
  from?: Operand,
): Operand {
  const namespace = holdNamespace(draft, decision, fact.uid, fact.gid);
  const at = draft.phase("monitor.translate", decision);
  const opened = from ?? openHostPath(draft, at, id, fact.real);
  expectOwner(draft, decision, id, opened, fact);
  const tree = at.call(
    `${id}.clone`,
    "a private copy of the mount",
    "open_tree",
    [opened, draft.text(""), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH],
    { target: fact.real },
  );
  // struct mount_attr with its userns_fd, which is known at run time only.
  const attr = draft.buffer("mount-attr", MOUNT_ATTR_SIZE);
  at.store(`${id}.translate.set`, "translate ids", attr, 0, 8, { kind: "value", value: MOUNT_ATTR_IDMAP });
  at.store(`${id}.translate.by`, "as this namespace maps them", attr, 24, 8, namespace);
  // Not recursive: a file system mounted below may know no translation, and then keeps its ids.
  at.call(
    `${id}.translate`,
    `uid ${fact.uid} and gid ${fact.gid} of the host are the payload's in it`,
    "mount_setattr",
    [tree, draft.text(""), AT_EMPTY_PATH, buffer(attr), MOUNT_ATTR_SIZE],
    { target: fact.real },
  );
  setAttributes(draft, at, id, tree, attributes, fact.real);
  return tree;
}

/**
 * The payload becomes the owner that was looked up when the plan was made. What has the path now must still be that owner's: whoever may
 * rename on the way could have put something else there.
 */
function expectOwner(draft: Draft, decision: string, id: string, opened: Operand, fact: PathFact): void {
  const at = draft.phase("monitor.translate", decision);
  const statx = draft.buffer("statx", STATX_SIZE);
  const { real: target } = fact;
  at.call(
    `${id}.stat`,
    "whose is what was opened?",
    "statx",
    [opened, draft.text(""), AT_EMPTY_PATH, STATX_TYPE | STATX_UID | STATX_GID, buffer(statx)],
    { target },
  );
  const type = fact.type === "directory" ? S_IFDIR : S_IFREG;
  at.expect(`${id}.type`, `still a ${fact.type}`, load(statx, STATX_MODE_OFFSET, 2), type, "ESTALE", {
    mask: S_IFMT,
    target,
  });
  at.expect(
    `${id}.owner`,
    `still of uid ${fact.uid} and gid ${fact.gid}`,
    load(statx, STATX_UID_OFFSET, 8),
    (BigInt(fact.gid) << 32n) | BigInt(fact.uid),
    "ESTALE",
    { target },
  );
}

/** Ids are foreign to the host only when root runs the sandbox with single ids. */
export function needsTranslation(draft: Draft): boolean {
  return draft.privileged && draft.spec.identity.map === "auto" && draft.host.idmappedMounts.available;
}

/** A descriptor of a user namespace that maps this owner to the payload's host ids; one per owner. */
function holdNamespace(draft: Draft, decision: string, uid: number, gid: number): Operand {
  const id = `mapper.${uid}.${gid}`;
  const at = draft.phase("monitor.translate", decision);
  if (at.steps.some((step) => "id" in step && step.id === `${id}.namespace`))
    return result(`${id}.namespace`);
  const first = !at.steps.some((step) => "id" in step && step.id === "mapper.pipe");
  if (first) writeMapper(draft, decision);
  at.step({ kind: "spawn", role: "mapper", flags: CLONE_NEWUSER }, `${id}.spawn`, "holds a user namespace");
  const mapper = { pid: result(`${id}.spawn`), shown: "mapper" };
  for (const [file, owner] of [
    ["gid_map", gid],
    ["uid_map", uid],
  ] as const) {
    writeProcFile(draft, at, `${id}.${file}`, file, mapper, "the owner is the payload", [
      { text: `${owner} ` },
      { decimal: result("monitor.pid"), plus: BigInt(draft.host.idBase ?? 0) },
      { text: " 1\n" },
    ]);
  }
  at.format(`${id}.path`, "its namespace", "path", [
    { decimal: result(`${id}.spawn`) },
    { text: "/ns/user" },
  ]);
  const namespace = at.call(
    `${id}.namespace`,
    "outlives the process",
    "openat",
    [result("proc.host"), buffer("path"), O_RDONLY | O_CLOEXEC, 0],
    { target: "/proc/<mapper>/ns/user" },
  );
  at.call(`${id}.kill`, "it is not needed any more", "kill", [result(`${id}.spawn`), SIGKILL]);
  at.call(`${id}.reap`, "and gone", "wait4", [result(`${id}.spawn`), 0, WALL, 0]);
  return namespace;
}

/** The mapper does nothing but wait for its end; the monitor's death is one too. */
function writeMapper(draft: Draft, decision: string): void {
  const pipe = draft.buffer("mapper-pipe", 8);
  draft
    .phase("monitor.translate", decision)
    .call("mapper.pipe", "its end of file tells mappers that the monitor is gone", "pipe2", [
      buffer(pipe),
      O_CLOEXEC,
    ]);
  const at = draft.phase("mapper.hold", decision);
  at.call("mapper.close", "only the monitor holds the other end", "close", [load(pipe, 4, 4)]);
  at.call("mapper.wait", "until it is killed", "read", [load(pipe, 0, 4), buffer(draft.buffer("go", 8)), 1], {
    onError: "continue",
  });
  at.step({ kind: "exit", code: 0 }, "mapper.exit", "the monitor is gone");
}
