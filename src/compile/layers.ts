/**
 * Layers of the root: overlays over host directories, read-only or with an upper layer for writes. Everything is named by descriptor.
 */

import type { Operand } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { hostEtc } from "./etc.ts";
import { ownDirectories } from "./install-tree.ts";
import {
  type Attributes,
  attach,
  cloneHostTree,
  type FileSystemOption,
  makeBeneath,
  makeFileSystem,
  openHostPath,
} from "./trees.ts";
import { isBelow } from "./visible.ts";
export const DATA = { readOnly: false, noExec: false, noDev: true } as const;

/** A piece of the root that is mounted into it: an overlay over, or a clone of, a host directory. */
interface Layer {
  readonly id: string;
  readonly source: string;
  readonly target: string;
}

/** Directories of the host's /etc that a system root shows. */
export function etcLayers(draft: Draft): readonly Layer[] {
  return hostEtc(draft, "directory").map((path) => ({
    id: `etc:${path}`,
    source: draft.request.paths[path]?.real ?? path,
    target: path,
  }));
}

/** Host directories of a `system` root; links such as /bin → usr/bin are made as links. */
export function systemLayers(draft: Draft): readonly Layer[] {
  if (draft.spec.filesystem.root.type !== "system") return [];
  return Object.entries(draft.host.systemRoot)
    .filter(([, link]) => link === null)
    .map(([path]) => ({ id: `system:${path}`, source: path, target: path }));
}

export function addReadOnlyLayer(draft: Draft, layer: Layer, empty: Operand): void {
  const attributes = { readOnly: true, noExec: false, noDev: true };
  const below = mountsBelow(draft, layer.source);
  const shared = !draft.host.overlay.available || below.length > 0;
  const own = draft.decide({
    id: `mount:${layer.target}`,
    control: "filesystem",
    setting: shared ? "recursive read-only bind" : "read-only overlay",
    pointer: "/filesystem/root",
    status: shared ? "partial" : "full",
    reason: shared ? explainSharing(below) : "",
    check: {
      kind: "mount",
      target: layer.target,
      fsType: shared ? null : "overlay",
      options: ["ro", "nosuid", "nodev"],
    },
  });
  if (shared) {
    const tree = cloneHostTree(draft, own, layer.id, layer.source, attributes);
    attach(draft, "init.mounts", own, layer.id, tree, layer.target, "directory", "no-links");
    return;
  }
  const lower = openHostPath(draft, draft.phase("init.sources", own), layer.id, layer.source);
  const tree = overlayWithoutWrites(draft, own, layer.id, lower, empty, attributes);
  attach(draft, "init.mounts", own, layer.id, tree, layer.target, "directory", "no-links");
}

/** An overlay of `lower` without an upper layer: the kernel wants a second one, which is empty. */
export function overlayWithoutWrites(
  draft: Draft,
  decision: string,
  id: string,
  lower: Operand,
  empty: Operand,
  attributes: Attributes,
): Operand {
  const text = draft.buffer(`lower.${id}`, 256);
  draft
    .phase("init.root", decision)
    .format(`${id}.lower`, BY_DESCRIPTOR, text, [
      { text: "/proc/self/fd/" },
      { decimal: lower },
      { text: ":/proc/self/fd/" },
      { decimal: empty },
    ]);
  const layers = [["lowerdir", { buffer: text }]] as const;
  return makeFileSystem(draft, "init.root", decision, `${id}.fs`, "overlay", layers, attributes, "content");
}

const BY_DESCRIPTOR = "by descriptor: no path to race, none to escape from";

/** The kernel makes no overlay that would show what a mount below the directory covers. */
export function mountsBelow(draft: Draft, directory: string): readonly string[] {
  return draft.host.mountPoints.filter((point) => point !== directory && isBelow(point, directory));
}

function explainSharing(below: readonly string[]): string {
  const cause = below.length > 0 ? `${below.join(", ")} is mounted below it` : "no overlay file systems here";
  return `${cause}, so it is a bind: inodes, and with them file locks, are shared with the host`;
}

export function addWritableLayer(draft: Draft, layer: Layer, above: Operand): void {
  const own = draft.decide({
    id: `mount:${layer.target}`,
    control: "filesystem",
    setting:
      draft.spec.filesystem.write === "ephemeral" ? "overlay, writes discarded" : "overlay, writes kept",
    pointer: "/filesystem/write",
    status: "full",
    check: { kind: "mount", target: layer.target, fsType: "overlay", options: ["rw", "nosuid", "nodev"] },
  });
  const lower = openHostPath(draft, draft.phase("init.sources", own), layer.id, layer.source);
  const name = layer.target.slice(1).replaceAll("/", "-");
  const { installTree } = draft.request;
  const tree = makeOverlay(draft, own, layer.id, lower, above, name, (upper) => {
    if (layer.target === "/usr" && installTree.length > 0) ownDirectories(draft, own, upper, installTree);
  });
  attach(draft, "init.mounts", own, layer.id, tree, layer.target, "directory", "no-links");
}

/** An overlay of `lower` with upper and work directories made below `above`. */
export function makeOverlay(
  draft: Draft,
  decision: string,
  id: string,
  lower: Operand,
  above: Operand,
  name: string,
  /** What is to be in the upper layer before the overlay is made: afterwards it may not be changed from outside. */
  fill: (upper: Operand) => void = () => undefined,
): Operand {
  const at = draft.phase("init.root", decision);
  const options: FileSystemOption[] = [];
  const upper = makeBeneath(draft, at, `${id}.upper`, above, `${name}.upper`);
  fill(upper);
  const parts = [
    ["lowerdir", lower],
    ["upperdir", upper],
    ["workdir", makeBeneath(draft, at, `${id}.work`, above, `${name}.work`)],
  ] as const;
  for (const [key, descriptor] of parts) {
    const text = draft.buffer(`${key}.${id}`, 160);
    at.format(`${id}.${key}`, BY_DESCRIPTOR, text, [{ text: "/proc/self/fd/" }, { decimal: descriptor }]);
    options.push([key, { buffer: text }]);
  }
  return makeFileSystem(
    draft,
    "init.root",
    decision,
    `${id}.fs`,
    "overlay",
    [...options, ["userxattr", null]],
    DATA,
    draft.spec.filesystem.write === "none" ? "content" : "scratch",
  );
}
