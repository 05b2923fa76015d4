/** Whether a host directory can be a layer of an overlay: what the kernel would refuse without a reason is refused here with one. */
import type { PathFact } from "../host/facts.ts";
import type { Draft } from "./draft.ts";
import { foreignWrites } from "./foreign-writes.ts";
import { mountsBelow } from "./layers.ts";
import { isBelow } from "./visible.ts";

/** The directory root's own directory; null after a problem. */
export function checkRootDirectory(draft: Draft, path: string): PathFact | null {
  const pointer = "/filesystem/root";
  const fact = draft.request.paths[path];
  if (fact?.type !== "directory") {
    draft.problem({
      kind: "path-missing",
      pointer,
      message: `${path} is not a directory on this host`,
      expected: "a directory with a root file system",
    });
    return null;
  }
  const { fileSystem } = fact;
  if (fileSystem?.layers === "none") {
    draft.problem({
      kind: "profile-value",
      pointer,
      message: `${path} lies on ${fileSystem.name}, which the kernel makes up: it is no root file system`,
      expected: "a directory with a root file system",
    });
    return null;
  }
  const below = mountsBelow(draft, fact.real);
  if (below.length > 0) {
    draft.problem({
      kind: "host-cannot",
      pointer,
      message: `${path} cannot be a root: ${nameSome(below)} mounted below it, and an overlay takes no directory with mounts below`,
      hint: "unmount it, or bind it into the sandbox by itself",
    });
    return null;
  }
  return fact;
}

/** The directory that keeps the writes; null after a problem. */
export function checkWriteDirectory(draft: Draft, directory: string): PathFact | null {
  const pointer = "/filesystem/write";
  const fact = draft.request.paths[directory];
  if (fact?.type !== "directory") {
    draft.problem({
      kind: "path-missing",
      pointer,
      message: `${directory} is not a directory on this host`,
      expected: "a directory to keep writes in",
      ...(fact === undefined || fact.type === "missing" ? { hint: `mkdir -p ${directory}` } : {}),
    });
    return null;
  }
  if (fact.fileSystem != null) {
    draft.problem({
      kind: "host-cannot",
      pointer,
      message: `${directory} lies on ${fact.fileSystem.name}, which cannot take the writes of an overlay`,
      expected: "a directory on a file system such as ext4, xfs, btrfs or tmpfs",
    });
    return null;
  }
  if (refuseShown(draft, fact.real)) return null;
  if (fact.foreign === true) {
    draft.problem({ pointer, ...foreignWrites(directory) });
    return null;
  }
  return fact;
}

/** overlayfs does not say what happens when an upper layer is changed from outside of it, and the payload would be outside. */
function refuseShown(draft: Draft, directory: string): boolean {
  if (directory === "/") {
    draft.problem({
      kind: "profile-contradiction",
      pointer: "/filesystem/write",
      message:
        "writes cannot be kept in /: the sandbox's root is kept in its directory root, which is the home of the host's root",
      hint: "keep the writes in a directory of their own",
    });
    return true;
  }
  const { mounts, workdir } = draft.spec.filesystem;
  const writable = mounts.flatMap((mount) =>
    mount.type === "bind" && !mount.readOnly ? [draft.request.paths[mount.source]?.real ?? mount.source] : [],
  );
  const shown = [...writable, ...(workdir === "rw" ? [draft.request.cwd] : [])].find(
    (source) => isBelow(directory, source) || isBelow(source, directory),
  );
  if (shown === undefined) return false;
  draft.problem({
    kind: "profile-contradiction",
    pointer: "/filesystem/write",
    message: `${directory} keeps the writes, and ${shown} shows it to the payload, writable`,
    hint: "keep the writes in a directory that the sandbox does not show",
  });
  return true;
}

/** Of a long list the first few: "/proc and 3 more are". */
function nameSome(paths: readonly string[]): string {
  const [first, ...others] = paths;
  return others.length === 0 ? `${first} is` : `${first} and ${others.length} more are`;
}
