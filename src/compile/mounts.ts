/**
 * What the author mounts: binds, tmpfs, files and links; the generated /etc of a system root; masks and read-only paths.
 */

import type { PathFact } from "../host/facts.ts";
import type { Mount, Status } from "../profile/spec.ts";
import { result } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_PATH,
  O_WRONLY,
  OPEN_FLAGS,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import { cloneNode } from "./devices.ts";
import type { Draft } from "./draft.ts";
import { generatedEtc, hostEtc } from "./etc.ts";
import type { Check } from "./plan.ts";
import { linkSystemDirectories } from "./root.ts";
import { cloneOwnedTree, needsTranslation } from "./translate.ts";
import {
  type Attributes,
  attach,
  attributeNames,
  makeDirectories,
  makeFileSystem,
  OPEN_HOW_SIZE,
  openHostFile,
  openHow,
  parentOf,
  setAttributes,
} from "./trees.ts";
import { isBelow, isShown, placesInside } from "./visible.ts";

/** A mount with the field that asked for it. */
interface Wanted {
  readonly mount: Mount;
  readonly pointer: string;
  readonly reason: string;
}

export function mountAll(draft: Draft): void {
  const { root } = draft.spec.filesystem;
  if (root.type === "system") {
    linkSystemDirectories(draft, "filesystem.root");
    for (const mount of generatedEtc(draft))
      mountOne(draft, { mount, pointer: "/filesystem/root", reason: "part of a system root" });
    for (const path of hostEtc(draft, "file")) copyFile(draft, path);
  }
  const wanted = draft.spec.filesystem.mounts.map((mount, index) => ({
    mount,
    pointer: `/filesystem/mounts/${index}`,
    reason: "",
  }));
  // A mount below another one comes after it, whatever order they were written in.
  for (const entry of [
    ...wanted,
    ...workdirMount(draft),
    ...closureMounts(draft),
    ...commandMount(draft),
  ].toSorted(byDepth))
    mountOne(draft, entry);
}

function byDepth(a: Wanted, b: Wanted): number {
  return a.mount.target.split("/").length - b.mount.target.split("/").length;
}

function mountOne(draft: Draft, wanted: Wanted): void {
  switch (wanted.mount.type) {
    case "bind":
      bind(draft, wanted, wanted.mount);
      return;
    case "tmpfs":
      tmpfs(draft, wanted, wanted.mount);
      return;
    case "file":
      writeFile(draft, wanted, wanted.mount);
      return;
    case "symlink":
      link(draft, wanted, wanted.mount);
      return;
  }
}

function bind(draft: Draft, { pointer, reason }: Wanted, mount: Extract<Mount, { type: "bind" }>): void {
  const fact = draft.request.paths[mount.source];
  const attributes = { readOnly: mount.readOnly, noExec: mount.noExec, noDev: true };
  const setting = `${mount.source} ${mount.readOnly ? "read-only" : "read-write"}${mount.noExec ? ", no execution" : ""}`;
  const id = draft.unique(`mount:${mount.target}`);
  if (fact === undefined || fact.type === "missing") {
    if (mount.optional) {
      draft.decide({
        id,
        control: "filesystem",
        setting: "not shown",
        pointer,
        status: "full",
        reason: `${mount.source} does not exist on this host, and is optional`,
      });
    } else {
      draft.problem({
        kind: "path-missing",
        pointer,
        message: `${mount.source} does not exist on this host`,
        hint: 'set "optional": true to go on without it',
      });
    }
    return;
  }
  if (fact.type === "device" || fact.type === "other") {
    draft.problem({
      kind: "profile-value",
      pointer,
      message: `${mount.source} is neither a file nor a directory`,
      expected: "a file or a directory; devices come with filesystem.devices",
    });
    return;
  }
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting,
    pointer,
    ...explainOwner(draft, mount.readOnly, fact, reason),
    check: mountCheck(draft, mount.target, null, attributes),
  });
  const tree = cloneOwnedTree(draft, decision, id, fact, attributes);
  attach(draft, "init.mounts", decision, id, tree, mount.target, fact.type, "in-root");
}

/** What mountinfo must say, unless a mask covers it; a path made read-only later is read-only in the end. */
function mountCheck(
  draft: Draft,
  target: string,
  fsType: string | null,
  attributes: Attributes,
): Check | null {
  const { masked, readOnly } = draft.spec.filesystem;
  if (masked.some((path) => isBelow(target, path))) return null;
  const closed = readOnly.some((path) => isBelow(target, path));
  return {
    kind: "mount",
    target,
    fsType,
    options: attributeNames({ ...attributes, readOnly: attributes.readOnly || closed }),
  };
}

/** Whether the payload, which as root's guest owns nothing on the host, can write to what it is shown. */
function explainOwner(
  draft: Draft,
  readOnly: boolean,
  fact: PathFact,
  reason: string,
): { readonly status: Status; readonly reason: string } {
  if (readOnly || !draft.privileged || draft.spec.identity.map !== "auto") return { status: "full", reason };
  if (needsTranslation(draft))
    return {
      status: "full",
      reason: `the payload stands for its owner, uid ${fact.uid} and gid ${fact.gid}`,
    };
  return {
    status: "partial",
    reason: "ids cannot be translated here, so the payload writes only where anyone may",
  };
}

function tmpfs(draft: Draft, { pointer, reason }: Wanted, mount: Extract<Mount, { type: "tmpfs" }>): void {
  const attributes = { readOnly: mount.readOnly, noExec: mount.noExec, noDev: true };
  const id = draft.unique(`mount:${mount.target}`);
  const decision = draft.decide({
    id,
    control: "filesystem",
    pointer,
    status: "full",
    reason,
    setting: `tmpfs of ${mount.size} bytes and ${mount.inodes} inodes${mount.noExec ? ", no execution" : ""}`,
    check: mountCheck(draft, mount.target, "tmpfs", attributes),
  });
  const tree = makeFileSystem(
    draft,
    "init.mounts",
    decision,
    `${id}.fs`,
    "tmpfs",
    [
      ["size", `${mount.size}`],
      ["nr_inodes", `${mount.inodes}`],
      ["mode", `0${mount.mode.toString(8)}`],
    ],
    attributes,
  );
  const ours =
    draft.spec.filesystem.root.type === "directory" && ["/tmp", "/run", "/var/tmp"].includes(mount.target);
  attach(draft, "init.mounts", decision, id, tree, mount.target, "directory", ours ? "no-links" : "in-root");
}

/** A generated file. What a kept or foreign root already has at that place stays. */
function writeFile(draft: Draft, { pointer, reason }: Wanted, mount: Extract<Mount, { type: "file" }>): void {
  const id = draft.unique(`file:${mount.target}`);
  const bytes = new TextEncoder().encode(mount.content).length;
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting: `generated, ${bytes} bytes`,
    pointer,
    status: "full",
    reason,
  });
  const at = draft.phase("init.mounts", decision);
  makeDirectories(draft, at, id, parentOf(mount.target));
  const { O_NOFOLLOW } = OPEN_FLAGS[draft.host.arch];
  const file = at.call(
    `${id}.make`,
    "a file of our own",
    "openat",
    [
      result("root"),
      draft.text(mount.target.slice(1)),
      O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
      mount.mode,
    ],
    { target: mount.target, onError: { errnos: { EEXIST: `${id}.done`, EROFS: `${id}.done` } } },
  );
  if (bytes > 0) {
    const written = at.call(`${id}.write`, "its content", "write", [file, draft.text(mount.content), bytes], {
      target: mount.target,
    });
    at.expect(`${id}.whole`, "written to the last byte", written, bytes, "ENOSPC", { target: mount.target });
  }
  at.call(`${id}.close`, "done with it", "close", [file]);
  at.label(`${id}.done`);
}

/** Far more than any of these files has; sendfile(2) takes no more than that at once. */
const COPY_LIMIT = 0x7fff_f000;

/** A copy of a host file, made at every launch: what a bind would share stays apart. */
function copyFile(draft: Draft, path: string): void {
  const id = `copy:${path}`;
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting: "a copy of the host's file",
    pointer: "/filesystem/root",
    status: "full",
    reason: "part of a system root",
  });
  const real = draft.request.paths[path]?.real ?? path;
  const source = openHostFile(draft, decision, id, real);
  const at = draft.phase("init.mounts", decision);
  const { O_NOFOLLOW } = OPEN_FLAGS[draft.host.arch];
  makeDirectories(draft, at, id, parentOf(path));
  const file = at.call(
    `${id}.make`,
    "a file of our own",
    "openat",
    [result("root"), draft.text(path.slice(1)), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0o444],
    {
      target: path,
      onError: { errnos: { EEXIST: `${id}.done` } },
    },
  );
  at.call(`${id}.copy`, "its content", "sendfile", [file, source, 0, COPY_LIMIT], { target: path });
  const rest = at.call(`${id}.rest`, "nothing of it is left", "sendfile", [file, source, 0, COPY_LIMIT], {
    target: path,
  });
  at.expect(`${id}.whole`, "copied to the last byte", rest, 0, "ENOSPC", { target: path });
  at.call(`${id}.close`, "done with it", "close", [file]);
  at.label(`${id}.done`);
}

function link(draft: Draft, { pointer, reason }: Wanted, mount: Extract<Mount, { type: "symlink" }>): void {
  const id = draft.unique(`link:${mount.target}`);
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting: `link to ${mount.link}`,
    pointer,
    status: "full",
    reason,
  });
  const at = draft.phase("init.mounts", decision);
  makeDirectories(draft, at, id, parentOf(mount.target));
  at.call(
    `${id}.make`,
    "a link inside the root",
    "symlinkat",
    [draft.text(mount.link), result("root"), draft.text(mount.target.slice(1))],
    {
      target: mount.target,
      onError: { errnos: { EEXIST: "next", EROFS: "next" } },
    },
  );
}

/** `filesystem.workdir`: the caller's directory at its own path. */
function workdirMount(draft: Draft): readonly Wanted[] {
  const { workdir } = draft.spec.filesystem;
  if (workdir === "none") return [];
  const path = draft.request.cwd;
  const mount: Mount = {
    type: "bind",
    source: path,
    target: path,
    readOnly: workdir === "ro",
    noExec: false,
    optional: false,
  };
  return [{ mount, pointer: "/filesystem/workdir", reason: "the working directory, at its own path" }];
}

/** Links are shown as links: a program finds its own libraries by the place it really lies in ($ORIGIN). */
function closureMounts(draft: Draft): readonly Wanted[] {
  if (draft.spec.filesystem.root.type !== "closure") return [];
  return (draft.request.command?.closure ?? []).map((path): Wanted => {
    const real = draft.request.paths[path]?.real ?? path;
    const mount: Mount =
      real === path
        ? { type: "bind", source: path, target: path, readOnly: true, noExec: false, optional: false }
        : { type: "symlink", target: path, link: real };
    return { mount, pointer: "/filesystem/root", reason: "needed by the command" };
  });
}

/** A command given as a path that the root would not show is made visible, alone. */
function commandMount(draft: Draft): readonly Wanted[] {
  const path = draft.request.command?.hostPath ?? null;
  if (path === null || draft.spec.filesystem.root.type === "closure" || isShown(draft, path)) return [];
  const exists = (place: string): boolean => (draft.request.paths[place]?.type ?? "missing") !== "missing";
  // The root has a file of its own there; or nobody has, and execve will say so.
  if (placesInside(draft.spec, path).some(exists) || !exists(path)) return [];
  return [
    {
      mount: { type: "bind", source: path, target: path, readOnly: true, noExec: false, optional: false },
      pointer: "/filesystem/root",
      reason: "the command itself, which the root would not show otherwise",
    },
  ];
}

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
  const empty = makeFileSystem(draft, "init.masks", decision, `${id}.fs`, "tmpfs", options, attributes);
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
