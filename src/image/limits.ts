/**
 * How much of an image is read before reading stops. An image is somebody else's: without bounds, a file of a few kilobytes could
 * fill memory or keep a machine busy for days. Reaching one ends the reading with a problem; what was read until then is not used.
 */
export interface Limits {
  /** Entries of all layers together. */
  readonly entries: number;
  /** Bytes of all layers after decompression. */
  readonly unpacked: number;
  /** Unpacked size of a layer over its size as stored, counted after the first 64 MiB. */
  readonly ratio: number;
  /** Bytes of a decompressor's window. Tools that write images stay at or below 8 MiB. */
  readonly window: number;
  /** Length of all names, targets of links and names of attributes together: they stay in memory. */
  readonly names: number;
  /** Bytes of a name, as a path from the root (PATH_MAX, path_resolution(7)). */
  readonly path: number;
  /** Components of a path, and of a link's target. */
  readonly depth: number;
  readonly layers: number;
  /** Bytes of a manifest, an index or a configuration; more than 1 MiB is never parsed. */
  readonly document: number;
  /** Bytes of package databases and other files whose content facts are read from, of all layers together. */
  readonly kept: number;
}

export const DEFAULT_LIMITS: Limits = {
  entries: 1_000_000,
  unpacked: 64 * 2 ** 30,
  ratio: 200,
  window: 32 * 2 ** 20,
  names: 128 * 2 ** 20,
  path: 4096,
  depth: 128,
  layers: 512,
  document: 2 ** 20,
  kept: 128 * 2 ** 20,
};

/** A ratio says nothing about a few pages of zeros. */
export const RATIO_COUNTS_FROM = 64 * 2 ** 20;
