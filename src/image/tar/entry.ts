/** One entry of a layer, whatever it came from: a tar file or a directory on disk. */

export type EntryType = "file" | "directory" | "symlink" | "hardlink" | "character" | "block" | "fifo";

export interface Entry {
  /** From the root of the image, see path.ts. */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits with set-user-id, set-group-id and sticky (07777). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a file with its holes; 0 for everything else. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** What a symbolic link says; the path of what a hard link is another name of. */
  readonly link: string;
  readonly device: { readonly major: number; readonly minor: number } | null;
  /** By name. Empty but for security.capability, of which nothing beyond what a kernel takes is there. */
  readonly xattrs: ReadonlyMap<string, Buffer> | null;
}

/** Receives a file's content, in order and complete. The buffers belong to the caller: what is kept must be copied. */
export interface Sink {
  readonly write: (bytes: Buffer) => void;
  readonly end: () => void;
}

/** Receives the entries of a layer in its order. */
export type EntryHandler = (entry: Entry) => Sink | null;
