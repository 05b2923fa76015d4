/**
 * What the author mounts: binds, tmpfs, files and links; the generated /etc of a system root; masks and read-only paths.
 */

import type { PathFact } from "../host/facts.ts";
import type { Mount, Status } from "../profile/spec.ts";
import type { Draft } from "./draft.ts";
import { generatedEtc, hostEtc } from "./etc.ts";
import { copyFile, link, writeFile } from "./files.ts";
import type { Check } from "./plan.ts";
import { linkSystemDirectories } from "./root.ts";
import { chooseShowing, isClosed, needsTranslation, showHostTree } from "./translate.ts";
import { type Attributes, attach, attributeNames, makeFileSystem } from "./trees.ts";
import { isBelow, isShown, placesInside } from "./visible.ts";
import { authorMounts, RESERVED, type Wanted } from "./wanted-mounts.ts";

export function mountAll(draft: Draft): void {
  const { root } = draft.spec.filesystem;
  if (root.type === "system") {
    linkSystemDirectories(draft, "filesystem.root");
    for (const mount of generatedEtc(draft))
      mountOne(draft, { mount, pointer: "/filesystem/root", reason: "part of a system root" });
    for (const path of hostEtc(draft, "file")) copyFile(draft, path);
  }
  checkWorkdir(draft);
  const wanted = authorMounts(draft.spec, draft.request.cwd);
  // A mount below another one comes after it, whatever order they were written in.
  draft.mounts.push(...[...wanted, ...closureMounts(draft), ...commandMount(draft)].toSorted(byDepth));
  for (const entry of draft.mounts) mountOne(draft, entry);
}

function byDepth(a: Wanted, b: Wanted): number {
  return a.mount.target.split("/").length - b.mount.target.split("/").length;
}

function mountOne(draft: Draft, wanted: Wanted): void {
  if (wanted.mount.target !== "/proc" && isBelow(wanted.mount.target, "/proc")) {
    draft.problem({
      kind: "profile-contradiction",
      pointer: wanted.pointer,
      message: `${wanted.mount.target} is in /proc, which shows the truth or is not there`,
      hint: "mask it with filesystem.masked, or mount elsewhere",
    });
    return;
  }
  if (wanted.mount.target !== "/dev" && isBelow(wanted.mount.target, "/dev")) {
    draft.problem({
      kind: "profile-contradiction",
      pointer: wanted.pointer,
      message: `${wanted.mount.target} is in /dev, which the sandbox makes itself`,
      hint: "choose devices with filesystem.devices and the size of /dev/shm with filesystem.shmSize, or mount elsewhere",
    });
    return;
  }
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
  const showing = chooseShowing(draft, fact, mount.readOnly);
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting,
    pointer,
    ...explainOwner(draft, mount.readOnly, fact, reason),
    check: mountCheck(draft, mount.target, showing === "overlay" ? "overlay" : null, attributes),
  });
  const tree = showHostTree(draft, decision, id, fact, attributes);
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

/** Whether the payload, which as root's guest owns nothing on the host, can use what it is shown. */
function explainOwner(
  draft: Draft,
  readOnly: boolean,
  fact: PathFact,
  reason: string,
): { readonly status: Status; readonly reason: string } {
  if (!draft.privileged || draft.spec.identity.map !== "auto") return { status: "full", reason };
  const owner = `uid ${fact.uid} and gid ${fact.gid}`;
  if (!readOnly) {
    return needsTranslation(draft)
      ? { status: "full", reason: `the payload stands for its owner, ${owner}` }
      : {
          status: "partial",
          reason: "ids cannot be translated here, so the payload writes only where anyone may",
        };
  }
  if (!isClosed(fact)) return { status: "full", reason };
  const why = reason === "" ? "" : `${reason}; `;
  return {
    status: "full",
    reason:
      chooseShowing(draft, fact, true) === "as-is"
        ? `${why}closed to others, and its owner cannot be translated here, so the payload cannot read it`
        : `${why}closed to others: the payload reads it as its owner, ${owner}`,
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
    mount.readOnly ? "content" : "scratch",
  );
  const ours =
    draft.spec.filesystem.root.type === "directory" && ["/tmp", "/run", "/var/tmp"].includes(mount.target);
  attach(draft, "init.mounts", decision, id, tree, mount.target, "directory", ours ? "no-links" : "in-root");
}

function checkWorkdir(draft: Draft): void {
  const path = draft.request.cwd;
  if (draft.spec.filesystem.workdir === "none" || !RESERVED.includes(path)) return;
  draft.problem({
    kind: "profile-contradiction",
    pointer: "/filesystem/workdir",
    message: `the working directory is ${path}, which the sandbox makes itself`,
    hint: "start it in the directory that the command works in",
  });
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
