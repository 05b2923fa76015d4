/**
 * Mount trees: opening what is on the host, making file systems, and attaching them inside the new root.
 * Everything goes through descriptors. Host paths are opened before the identity changes; mount points are looked up only after
 * the host's tree is detached, so that no path of the payload's root, however hostile, can lead outside.
 */
import { buffer, type Listing, packed, result } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MNT_DETACH,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  MS_PRIVATE,
  O_CLOEXEC,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  OPEN_FLAGS,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import type { Draft, Phase } from "./draft.ts";
import { type Holds, mountContext } from "./lsm/selinux-labels.ts";
import { isBelow } from "./visible.ts";

/** What a mount forbids; nosuid holds everywhere. */
export interface Attributes {
  readonly readOnly: boolean;
  readonly noExec: boolean;
  /** False only for device nodes, which are nothing without it. */
  readonly noDev: boolean;
}

export function attributeBits({ readOnly, noExec, noDev }: Attributes): bigint {
  return (
    MOUNT_ATTR_NOSUID |
    (readOnly ? MOUNT_ATTR_RDONLY : 0n) |
    (noExec ? MOUNT_ATTR_NOEXEC : 0n) |
    (noDev ? MOUNT_ATTR_NODEV : 0n)
  );
}

/** As mountinfo(5) shows them. */
export function attributeNames({ readOnly, noExec, noDev }: Attributes): readonly string[] {
  return [readOnly ? "ro" : "rw", "nosuid", ...(noDev ? ["nodev"] : []), ...(noExec ? ["noexec"] : [])];
}

/**
 * A detached clone of a host path and everything mounted below it; the attributes hold for all of it. `check`: steps that look at
 * what was opened.
 */
export function cloneHostTree(
  draft: Draft,
  decision: string,
  id: string,
  path: string,
  attributes: Attributes,
  check: (at: Listing, opened: Operand) => void = () => undefined,
): Operand {
  const at = draft.phase("init.sources", decision);
  const opened = openHostPath(draft, at, id, path);
  check(at, opened);
  const tree = at.call(
    `${id}.clone`,
    "a private copy of the mount",
    "open_tree",
    [opened, draft.text(""), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH],
    { target: path },
  );
  setAttributes(draft, at, id, tree, attributes, path);
  return tree;
}

/** Open a host path whose links were resolved before: a component that became a link since is refused (ELOOP). */
export function openHostPath(draft: Draft, at: Listing, id: string, path: string): Operand {
  draft.hostDescriptors.add(`${id}.open`);
  return at.call(
    `${id}.open`,
    "no component may have become a link since it was resolved",
    "openat2",
    [
      AT_FDCWD,
      draft.text(path),
      openHow(draft, O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS),
      OPEN_HOW_SIZE,
    ],
    { target: path },
  );
}

/** Open a host file for reading, with the same care; never waits on what turned out to be a fifo. */
export function openHostFile(draft: Draft, decision: string, id: string, path: string): Operand {
  const how = openHow(draft, O_RDONLY | O_NONBLOCK | O_CLOEXEC, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  return draft
    .phase("init.sources", decision)
    .call(
      `${id}.open`,
      "with the caller's rights, before the identity changes",
      "openat2",
      [AT_FDCWD, draft.text(path), how, OPEN_HOW_SIZE],
      { target: path },
    );
}

/**
 * mount_setattr(2), recursive: read-only holds for submounts as well. Private: a clone of a shared mount is its peer, and what is
 * mounted on it would appear on the host.
 */
export function setAttributes(
  draft: Draft,
  at: Listing,
  id: string,
  tree: Operand,
  attributes: Attributes,
  target: string,
): void {
  const names = attributeNames(attributes).join(",");
  at.call(
    `${id}.attributes`,
    names,
    "mount_setattr",
    [
      tree,
      draft.text(""),
      AT_EMPTY_PATH | AT_RECURSIVE,
      mountAttr(draft, attributeBits(attributes), MS_PRIVATE),
      MOUNT_ATTR_SIZE,
    ],
    { target },
  );
}

/** Make a mount of ours read-only once everything in it is made; what is mounted below keeps its own attributes. */
export function closeMount(draft: Draft, decision: string, id: string, mount: Operand, target: string): void {
  const attr = mountAttr(draft, MOUNT_ATTR_RDONLY, 0n);
  draft
    .phase("init.close", decision)
    .call(
      id,
      "read-only: the last mount point in it is made",
      "mount_setattr",
      [mount, draft.text(""), AT_EMPTY_PATH, attr, MOUNT_ATTR_SIZE],
      { target },
    );
}

/**
 * Make a directory with one name in a directory of ours or the author's, and open it. What an earlier run, or whoever owns the place, put
 * there under that name may be a link or a mount: refused.
 */
export function makeBeneath(draft: Draft, at: Listing, id: string, above: Operand, name: string): Operand {
  at.call(`${id}.make`, "a directory of the launch", "mkdirat", [above, draft.text(name), 0o755], {
    target: name,
    onError: { errnos: { EEXIST: "next" } },
  });
  draft.hostDescriptors.add(`${id}.open`);
  const { O_DIRECTORY } = OPEN_FLAGS[draft.host.arch];
  const how = openHow(
    draft,
    O_PATH | O_DIRECTORY | O_CLOEXEC,
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
  );
  return at.call(
    `${id}.open`,
    "that very directory, no link",
    "openat2",
    [above, draft.text(name), how, OPEN_HOW_SIZE],
    { target: name },
  );
}

/** A parameter of a file system: a text, a bare flag, or text made at run time in a buffer. */
export type FileSystemOption = readonly [key: string, value: string | null | { readonly buffer: string }];

/** A new file system, mounted but attached nowhere yet. */
export function makeFileSystem(
  draft: Draft,
  phase: Phase,
  decision: string,
  id: string,
  type: string,
  parameters: readonly FileSystemOption[],
  attributes: Attributes,
  holds: Holds,
): Operand {
  const at = draft.phase(phase, decision);
  const options = [...parameters, ...mountContext(draft, holds)];
  const context = at.call(`${id}.new`, `a new ${type}`, "fsopen", [draft.text(type), FSOPEN_CLOEXEC], {
    target: type,
  });
  for (const [key, option] of options) {
    const shown = `${type} ${key}${option === null ? "" : `=${typeof option === "string" ? option : `<${option.buffer}>`}`}`;
    const content =
      option === null ? 0n : typeof option === "string" ? draft.text(option) : buffer(option.buffer);
    at.call(
      `${id}.option.${key}`,
      shown,
      "fsconfig",
      [context, option === null ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, draft.text(key), content, 0],
      { target: shown },
    );
  }
  at.call(`${id}.create`, `make the ${type}`, "fsconfig", [context, FSCONFIG_CMD_CREATE, 0, 0, 0], {
    target: type,
  });
  return at.call(
    `${id}.mount`,
    attributeNames(attributes).join(","),
    "fsmount",
    [context, FSMOUNT_CLOEXEC, attributeBits(attributes)],
    { target: type },
  );
}

/** Attach a detached tree on top of the current root, so that paths through it count as mounted. */
export function stackOnRoot(draft: Draft, at: Listing, id: string, tree: Operand): void {
  at.call(
    id,
    "attached for now on top of the host's root, in our own mount namespace",
    "move_mount",
    [tree, draft.text(""), AT_FDCWD, draft.text("/"), MOVE_MOUNT_F_EMPTY_PATH],
    { target: "/" },
  );
}

/** Take the topmost mount off the root; descriptors, and overlays made over it, keep it. */
export function popRoot(draft: Draft, at: Listing, id: string): void {
  at.call(
    id,
    "what needs it keeps it; no path leads to it any more",
    "umount2",
    [draft.text("/"), MNT_DETACH],
    {
      target: "/",
    },
  );
}

/** A file system with nothing in it, stacked on the root: the second layer that an overlay without writes needs. */
export function makeEmptyLayer(draft: Draft, decision: string, id: string): Operand {
  const nothing = { readOnly: true, noExec: true, noDev: true };
  const size = ["nr_inodes", "1"] as const;
  const empty = makeFileSystem(
    draft,
    "init.root",
    decision,
    `${id}.empty`,
    "tmpfs",
    [size],
    nothing,
    "content",
  );
  stackOnRoot(draft, draft.phase("init.root", decision), `${id}.empty.stack`, empty);
  return empty;
}

/** How strictly a mount point's path is looked up inside the new root. */
export type Lookup =
  /** No symbolic link anywhere: for the mount points that are ours (/proc, /dev, /tmp). */
  | "no-links"
  /** Links are followed inside the root: for the author's own targets, such as /var/run/x. */
  | "in-root";

/** Attach a tree at a path inside the root, making the mount point where it does not exist. Phase: after the pivot. */
export function attach(
  draft: Draft,
  phase: Phase,
  decision: string,
  id: string,
  tree: Operand,
  target: string,
  kind: "directory" | "file",
  lookup: Lookup,
): void {
  const at = draft.phase(phase, decision);
  makeDirectories(draft, at, id, kind === "directory" ? target : parentOf(target));
  if (kind === "file") {
    const place = placeFor(draft, at, `${id}.touch`, target);
    at.call(`${id}.touch`, "its mount point", "mknodat", [...place, REGULAR_FILE | 0o644n, 0], {
      onError: EXISTS,
      target,
    });
  }
  const point = at.call(
    `${id}.point`,
    "look up the mount point inside the root",
    "openat2",
    [
      result("root"),
      draft.text(target.slice(1)),
      openHow(
        draft,
        O_PATH | O_CLOEXEC,
        RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (lookup === "no-links" ? RESOLVE_NO_SYMLINKS : 0n),
      ),
      OPEN_HOW_SIZE,
    ],
    { target },
  );
  at.call(
    `${id}.attach`,
    "mount it there",
    "move_mount",
    [tree, draft.text(""), point, draft.text(""), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH],
    { target },
  );
}

/** Make a directory and its parents inside the root, each once per launch; what exists (or is read-only) stays as it is. */
export function makeDirectories(draft: Draft, at: Listing, id: string, path: string): void {
  const parts = path.split("/").filter((part) => part !== "");
  for (const [depth] of parts.entries()) {
    const directory = parts.slice(0, depth + 1).join("/");
    if (draft.directories.has(directory)) continue;
    draft.directories.add(directory);
    const place = placeFor(draft, at, `${id}.mkdir.${depth}`, `/${directory}`);
    at.call(`${id}.mkdir.${depth}`, "a directory on the way", "mkdirat", [...place, 0o755], {
      onError: EXISTS,
      target: `/${directory}`,
    });
  }
}

function isBelowBind({ spec }: Draft, path: string): boolean {
  return spec.filesystem.mounts.some((mount) => mount.type === "bind" && isBelow(path, mount.target));
}

/**
 * A directory descriptor and a name: where to make something inside the root. In a tree of our own the path will do. In one that somebody
 * else filled, its directory is looked up first, so that no link in it, and no magic link of procfs, leads out.
 */
export function placeFor(draft: Draft, at: Listing, id: string, path: string): readonly [Operand, Operand] {
  const parent = parentOf(path).slice(1);
  if (parent === "" || !(draft.hostileRoot || isBelowBind(draft, path)))
    return [result("root"), draft.text(path.slice(1))];
  const how = openHow(draft, O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  const directory = at.call(
    `${id}.in`,
    "its directory, looked up inside the root",
    "openat2",
    [result("root"), draft.text(parent), how, OPEN_HOW_SIZE],
    { target: `/${parent}` },
  );
  return [directory, draft.text(path.slice(parent.length + 2))];
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** A read-only root has the mount point or the look-up that follows says that it has not. */
const EXISTS = { errnos: { EEXIST: "next", EROFS: "next" } } as const;
const REGULAR_FILE = 0o100000n;
export const OPEN_HOW_SIZE = 24;
export const MOUNT_ATTR_SIZE = 32;

/** struct open_how */
export function openHow(draft: Draft, flags: bigint, resolve: bigint): Operand {
  return draft.bytes(packed([flags, 8], [0, 8], [resolve, 8]), 8);
}

/** struct mount_attr: attributes to set, none to clear, propagation (0: as it is), no user namespace. */
function mountAttr(draft: Draft, set: bigint, propagation: bigint): Operand {
  return draft.bytes(packed([set, 8], [0, 8], [propagation, 8], [0, 8]), 8);
}
