/** Masked paths and read-only paths inside the root: what is there is covered, what is not there needs nothing. */

import { result } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  O_CLOEXEC,
  O_PATH,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import { cloneNode } from "./devices.ts";
import type { Draft } from "./draft.ts";
import { makeFileSystem, OPEN_HOW_SIZE, openHow, setAttributes } from "./trees.ts";
import { isBelow } from "./visible.ts";

/** Masked paths and read-only paths, over whatever is there; what is not there needs nothing. */
export function maskPaths(draft: Draft): void {
  const { masked, readOnly } = draft.spec.filesystem;
  for (const path of masked) cover(draft, path, "/filesystem/masked", maskPath);
  for (const path of readOnly) cover(draft, path, "/filesystem/readOnly", protectPath);
}

function cover(draft: Draft, path: string, pointer: string, how: (draft: Draft, path: string) => void): void {
  if (!isAbsentFromProc(draft, path)) {
    how(draft, path);
    return;
  }
  const id = draft.unique(`mask:${path}`);
  draft.decide({
    id,
    control: "filesystem",
    setting: "not there",
    pointer,
    status: "full",
    reason: "this /proc shows own processes only",
  });
}

/** With subset=pid procfs has nothing but processes: what profiles mask in it is not there to be masked. */
function isAbsentFromProc(draft: Draft, path: string): boolean {
  const { proc } = draft.spec.filesystem;
  return proc !== "full" && /^\/proc\/(?!self\b|thread-self\b|\d)/.test(path);
}

function maskPath(draft: Draft, path: string): void {
  const id = draft.unique(`mask:${path}`);
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting: "masked: an empty directory or file over it",
    pointer: "/filesystem/masked",
    status: "full",
  });
  // A supervised launch runs on the machine that was looked at: what procfs has there, it has here.
  const kind = draft.supervised && isBelow(path, "/proc") ? draft.request.paths[path]?.type : undefined;
  const at = draft.phase("init.masks", decision);
  const point = openInside(draft, decision, id, path);
  if (kind !== "file") {
    maskDirectory(draft, decision, id, path, point, kind === "directory");
    if (kind === "directory") {
      at.label(`${id}.end`);
      return;
    }
  }
  at.label(`${id}.file`);
  const nothing = cloneNull(draft, decision, id);
  at.call(
    `${id}.over`,
    "over a file: /dev/null",
    "move_mount",
    [nothing, draft.text(""), point, draft.text(""), BY_DESCRIPTORS],
    { target: path },
  );
  at.label(`${id}.end`);
}

function maskDirectory(
  draft: Draft,
  decision: string,
  id: string,
  path: string,
  point: Operand,
  certain: boolean,
): void {
  const at = draft.phase("init.masks", decision);
  const attributes = { readOnly: true, noExec: true, noDev: true };
  const options = [
    ["size", "4096"],
    ["nr_inodes", "2"],
    ["mode", "0555"],
  ] as const;
  const empty = makeFileSystem(
    draft,
    "init.masks",
    decision,
    `${id}.fs`,
    "tmpfs",
    options,
    attributes,
    "content",
  );
  const otherwise = { errnos: { EINVAL: `${id}.file`, ENOTDIR: `${id}.file` } };
  at.call(
    `${id}.directory`,
    "over a directory: an empty one",
    "move_mount",
    [empty, draft.text(""), point, draft.text(""), BY_DESCRIPTORS],
    {
      target: path,
      ...(certain ? {} : { onError: otherwise }),
    },
  );
  if (!certain) at.branch(`${id}.done`, "it was a directory", result(`${id}.directory`), 0, `${id}.end`);
}

const BY_DESCRIPTORS = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

function protectPath(draft: Draft, path: string): void {
  const id = draft.unique(`readonly:${path}`);
  const attributes = { readOnly: true, noExec: false, noDev: true };
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting: "read-only, and all mounted below",
    pointer: "/filesystem/readOnly",
    status: "full",
  });
  const at = draft.phase("init.masks", decision);
  const point = openInside(draft, decision, id, path);
  const tree = at.call(
    `${id}.clone`,
    "a clone that can be read-only",
    "open_tree",
    [point, draft.text(""), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH],
    { target: path },
  );
  setAttributes(draft, at, id, tree, attributes, path);
  at.call(
    `${id}.over`,
    "mounted over itself",
    "move_mount",
    [tree, draft.text(""), point, draft.text(""), BY_DESCRIPTORS],
    { target: path },
  );
  at.label(`${id}.end`);
}

/** Open a path inside the root; when it does not exist go on at `<id>.end`. */
function openInside(draft: Draft, decision: string, id: string, path: string): Operand {
  return draft
    .phase("init.masks", decision)
    .call(
      `${id}.open`,
      "look it up inside the root",
      "openat2",
      [
        result("root"),
        draft.text(path.slice(1)),
        openHow(draft, O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS),
        OPEN_HOW_SIZE,
      ],
      { target: path, onError: { errnos: { ENOENT: `${id}.end`, ENOTDIR: `${id}.end` } } },
    );
}

/** The host's /dev/null, cloned from outside and checked, so that nothing else can pose as it. */
function cloneNull(draft: Draft, decision: string, id: string): Operand {
  return cloneNode(draft, decision, `${id}.null`, "/dev/null", [1, 3]);
}
