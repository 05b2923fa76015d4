/**
 * The root that the payload sees: host system, closure, directory or empty; and where writes to it go.
 *
 * Read-only parts are overlays without an upper layer rather than plain binds: an overlay has inodes of its own, so that no file lock, no
 * inotify watch and no device number is shared with the host or with another sandbox. Discarded writes go to one size-capped
 * tmpfs; kept ones to the author's directory.
 */
import type { PathFact } from "../host/facts.ts";
import { type Listing, result } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  MNT_DETACH,
  O_CLOEXEC,
  O_PATH,
  OPEN_FLAGS,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { takeKeptWrites } from "./kept-writes.ts";
import { checkRootDirectory, checkWriteDirectory } from "./layer-checks.ts";
import {
  addReadOnlyLayer,
  addWritableLayer,
  DATA,
  etcLayers,
  makeOverlay,
  mountsBelow,
  systemLayers,
} from "./layers.ts";
import { isClosed, layersTranslate, needsTranslation, translateTree } from "./translate.ts";
import {
  closeMount,
  makeBeneath,
  makeFileSystem,
  openHostPath,
  placeFor,
  popRoot,
  stackOnRoot,
} from "./trees.ts";

/** Bytes and inodes of a root that nobody writes to: mount points, links, generated files. */
const SKELETON = { size: 4 << 20, inodes: 4096 } as const;

export function buildRoot(draft: Draft): void {
  const { root, write } = draft.spec.filesystem;
  const decision = draft.decide({
    id: "filesystem.root",
    control: "filesystem",
    setting: describe(draft),
    pointer: "/filesystem/root",
    status: "full",
    check: {
      kind: "mount",
      target: "/",
      // A kept root is a directory of whatever file system the author keeps it on.
      fsType: root.type === "directory" ? "overlay" : typeof write === "object" ? null : "tmpfs",
      options: [write === "none" ? "ro" : "rw", "nosuid", "nodev"],
    },
  });
  if (!draft.host.overlay.available && (root.type === "directory" || write !== "none")) {
    const { reason, fix } = draft.host.overlay;
    draft.problem({
      kind: "host-cannot",
      pointer: "/filesystem/root",
      message: `overlay file systems are not available: ${reason}`,
      hint: fix,
    });
    return;
  }
  if (root.type === "directory") buildDirectoryRoot(draft, decision, root.path);
  else buildSkeleton(draft, decision);
}

function describe(draft: Draft): string {
  const { root, write } = draft.spec.filesystem;
  const kind = {
    system: "the host's system directories, read-only, and a generated /etc",
    closure: "the program and its libraries alone",
    directory: `overlay over ${root.type === "directory" ? root.path : ""}`,
    empty: "empty",
  }[root.type];
  const writes =
    write === "none"
      ? "read-only"
      : write === "ephemeral"
        ? "writes discarded after the run"
        : `writes kept in ${write.directory}`;
  return `${kind}; ${writes}`;
}

/** system, closure and empty: a tmpfs of ours; the host's directories become layers mounted into it. */
function buildSkeleton(draft: Draft, decision: string): void {
  const { write, writeSize } = draft.spec.filesystem;
  const at = draft.phase("init.root", decision);
  if (write === "none") {
    makeFileSystem(
      draft,
      "init.root",
      decision,
      "root.fs",
      "tmpfs",
      [
        ["size", `${SKELETON.size}`],
        ["nr_inodes", `${SKELETON.inodes}`],
        ["mode", "0755"],
      ],
      DATA,
      "content",
    );
    stackRoot(draft, at, result("root.fs.mount"), "/");
    // Still empty, and nobody's but ours: the second layer that an overlay without writes needs.
    const empty = makeBeneath(draft, at, "empty", result("root"), "proc");
    draft.directories.add("proc");
    for (const layer of [...systemLayers(draft), ...etcLayers(draft)]) addReadOnlyLayer(draft, layer, empty);
    return;
  }
  // One tmpfs (or the author's directory) holds the root and the upper layers, so that one limit covers all writes.
  const above = openUpper(draft, decision, typeof write === "object" ? write.directory : null, writeSize);
  const own = makeBeneath(draft, at, "root.files", above, "root");
  // Not in the root: what an earlier run left in a kept one may be links, and the host's tree is still here.
  const empty = makeBeneath(draft, at, "empty", above, "empty");
  for (const layer of systemLayers(draft)) {
    if (mountsBelow(draft, layer.source).length === 0) addWritableLayer(draft, layer, above);
    else addReadOnlyLayer(draft, layer, empty);
  }
  for (const layer of etcLayers(draft)) addReadOnlyLayer(draft, layer, empty);
  at.call(
    "root.clone",
    "the root is a directory of it, so that upper layers stay out of sight",
    "open_tree",
    [own, draft.text(""), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH],
    { target: "/" },
  );
  popRoot(draft, at, "upper.pop");
  stackRoot(draft, at, result("root.clone"), "/");
}

/** Where upper layers live: a size-capped tmpfs, or the author's directory. Attached only while overlays are made over it. */
function openUpper(draft: Draft, decision: string, directory: string | null, size: number): Operand {
  const at = draft.phase("init.root", decision);
  if (directory === null) {
    const scratch = makeFileSystem(
      draft,
      "init.root",
      decision,
      "upper.fs",
      "tmpfs",
      [
        ["size", `${size}`],
        ["mode", "0755"],
      ],
      DATA,
      draft.spec.filesystem.write === "none" ? "content" : "scratch",
    );
    stackOnRoot(draft, at, "upper.stack", scratch);
    return scratch;
  }
  const fact = checkWriteDirectory(draft, directory);
  if (fact === null) return result("upper.clone");
  const tree = takeKeptWrites(draft, decision, fact);
  stackOnRoot(draft, at, "upper.stack", tree);
  return tree;
}

export function linkSystemDirectories(draft: Draft, decision: string): void {
  const at = draft.phase("init.mounts", decision);
  for (const [path, link] of Object.entries(draft.host.systemRoot)) {
    if (link === null) continue;
    at.call(
      `system:${path}.link`,
      `as on the host: ${path} → ${link}`,
      "symlinkat",
      [draft.text(link), ...placeFor(draft, at, `system:${path}.link`, path)],
      // A kept root has it from the run before.
      typeof draft.spec.filesystem.write === "object"
        ? { target: path, onError: { errnos: { EEXIST: "next" } } }
        : { target: path },
    );
    draft.directories.add(path.slice(1));
  }
}

/** A directory with somebody's root file system, content assumed hostile: always an overlay with an upper layer, so that mount points can be made. */
function buildDirectoryRoot(draft: Draft, decision: string, path: string): void {
  const { write, writeSize } = draft.spec.filesystem;
  const fact = checkRootDirectory(draft, path);
  if (fact === null) return;
  const at = draft.phase("init.root", decision);
  const lower = openLower(draft, decision, fact);
  const above = openUpper(
    draft,
    decision,
    typeof write === "object" ? write.directory : null,
    write === "none" ? SKELETON.size : writeSize,
  );
  makeOverlay(draft, decision, "rootfs", lower, above, "root");
  popRoot(draft, at, "upper.pop");
  if (lowerTranslates(draft, fact)) popRoot(draft, at, "rootfs.pop");
  stackRoot(draft, at, result("rootfs.fs.mount"), path);
}

/** A directory that is closed to others is nobody's whom the payload could be, unless its owner is translated. */
function lowerTranslates(draft: Draft, fact: PathFact): boolean {
  return isClosed(fact) && needsTranslation(draft) && layersTranslate(draft);
}

/** The directory as a layer; a translated one has to be attached while the overlay is made. */
function openLower(draft: Draft, decision: string, fact: PathFact): Operand {
  if (!lowerTranslates(draft, fact))
    return openHostPath(draft, draft.phase("init.sources", decision), "rootfs", fact.real);
  const tree = translateTree(draft, decision, "rootfs", fact, { ...DATA, readOnly: true });
  draft.hostDescriptors.add("rootfs.clone");
  stackOnRoot(draft, draft.phase("init.root", decision), "rootfs.stack", tree);
  return tree;
}

/** Attach what was built, and hold it: every later look-up starts from there. */
function stackRoot(draft: Draft, at: Listing, mount: Operand, target: string): void {
  const flags = O_PATH | OPEN_FLAGS[draft.host.arch].O_DIRECTORY | O_CLOEXEC;
  at.call("root", "what the payload will see as /", "openat", [mount, draft.text("."), flags, 0], { target });
  stackOnRoot(draft, at, "root.stack", mount);
}

/** Enter the new root and let go of the host's tree; from here on no path leads to the host. */
export function enterRoot(draft: Draft, decision: string): void {
  const at = draft.phase("init.pivot", decision);
  at.call("pivot.enter", "stand in the new root", "fchdir", [result("root")], { target: "/" });
  at.call(
    "pivot",
    "it becomes /, the old one is on top of it",
    "pivot_root",
    [draft.text("."), draft.text(".")],
    { target: "/" },
  );
  at.call("pivot.detach", "the host's tree is gone for good", "umount2", [draft.text("."), MNT_DETACH], {
    target: "old root",
  });
  at.call("pivot.leave", "nothing of the old tree as working directory", "chdir", [draft.text("/")], {
    target: "/",
  });
}

/**
 * Close every directory of the host that is still open, right after its tree is detached: ".." in one of them would still lead through
 * that tree, for init and for whoever inherits it (CVE-2024-21626).
 */
export function closeHostDescriptors(draft: Draft, decision: string): void {
  const at = draft.phase("init.pivot", decision);
  for (const step of draft.hostDescriptors) {
    at.call(`${step}.drop`, "nothing of the host stays open", "close", [result(step)], { target: step });
  }
}

/** Read-only from here on, when nothing is to be written. */
export function closeRoot(draft: Draft): void {
  if (draft.spec.filesystem.write === "none")
    closeMount(draft, "filesystem.root", "root.close", result("root"), "/");
}
