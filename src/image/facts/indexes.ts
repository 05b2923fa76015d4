/**
 * Indexes and downloads of package managers, in every layer: those that a later layer deletes are still stored and pulled. By path, counted
 * for each layer that holds some.
 */
import type { ImageTree } from "../tree/apply.ts";
import type { Inode } from "../tree/tree.ts";

export interface PackageIndex {
  readonly manager: "apt" | "apk" | "dnf" | "zypper" | "pacman" | "opkg";
  /** Index of the layer that holds it. */
  readonly layer: number;
  readonly files: number;
  readonly bytes: number;
  /** The largest file. */
  readonly example: string;
}

const PLACES: readonly (readonly [PackageIndex["manager"], RegExp])[] = [
  ["apt", /^var\/(?:lib\/apt\/lists|cache\/apt)\/(?!(?:.*\/)?lock$)/],
  ["apk", /^(?:var\/cache\/apk|etc\/apk\/cache)\//],
  ["dnf", /^var\/cache\/(?:dnf|yum|libdnf5)\//],
  ["zypper", /^var\/cache\/zypp\//],
  ["pacman", /^var\/(?:cache\/pacman\/pkg|lib\/pacman\/sync)\//],
  ["opkg", /^(?:var|usr\/lib\/opkg|var\/lib\/opkg)\/(?:opkg-)?lists\//],
];

export function findIndexes(image: ImageTree): readonly PackageIndex[] {
  const found = new Map<
    string,
    { -readonly [K in keyof PackageIndex]: PackageIndex[K] } & { largest: number }
  >();
  const counted = new Set<Inode>();
  const add = (path: string, inode: Inode): void => {
    if (inode.type !== "file" || inode.size === 0 || counted.has(inode)) return;
    const manager = PLACES.find(([, pattern]) => pattern.test(path))?.[0];
    if (manager === undefined) return;
    counted.add(inode);
    const key = `${manager} ${inode.layer}`;
    const one = found.get(key) ?? {
      manager,
      layer: inode.layer,
      files: 0,
      bytes: 0,
      example: path,
      largest: 0,
    };
    found.set(key, one);
    one.files++;
    one.bytes += inode.size;
    if (inode.size > one.largest) [one.largest, one.example] = [inode.size, path];
  };
  for (const { path, node } of image.tree.walk()) add(path, node.inode);
  for (const { path, inode } of image.shadowed) add(path, inode);
  return [...found.values()]
    .map(({ manager, layer, files, bytes, example }) => ({ manager, layer, files, bytes, example }))
    .toSorted((a, b) => a.layer - b.layer || (a.manager < b.manager ? -1 : 1));
}
