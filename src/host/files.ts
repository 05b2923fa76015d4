/**
 * What the probes may ask of the machine: five synchronous questions about files, so that a recorded tree can answer
 * them as well as the live kernel. Never writes, never starts a process, never opens a fifo or a device.
 */
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
} from "node:fs";

export interface FileStatus {
  readonly type: "file" | "directory" | "device" | "other";
  readonly uid: number;
  readonly gid: number;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** Device and inode as one key: equal keys are the same file. */
  readonly key: string;
}

/** Every answer is null (or empty) when the file is not there or the caller may not look. */
export interface HostFiles {
  /** Text of a file of /proc, /sys or /etc. */
  readonly read: (path: string) => string | null;
  /** Names in a directory, unsorted. */
  readonly list: (path: string) => readonly string[];
  /** Target of a symbolic link, as written. */
  readonly link: (path: string) => string | null;
  /** stat(2): links followed. */
  readonly status: (path: string) => FileStatus | null;
  /** access(2) W_OK: capabilities and read-only mounts count. */
  readonly writable: (path: string) => boolean;
}

/** The errno name of a failed system call, undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** An absent or forbidden file is an answer; anything else (EIO, EMFILE) must not pass for one. */
function orNull<T>(ask: () => T): T | null {
  try {
    return ask();
  } catch (error) {
    const code = errorCode(error);
    if (code !== undefined && ABSENT.has(code)) return null;
    throw error;
  }
}

const ABSENT = new Set([
  "ENOENT",
  "ENOTDIR",
  "EACCES",
  "EPERM",
  "EROFS",
  "EINVAL",
  "ELOOP",
  "EISDIR",
  "ESRCH",
  "EOPNOTSUPP",
  "ENXIO",
  "ENODEV",
  "ENAMETOOLONG",
]);

/** The running kernel's own files. */
export const liveFiles: HostFiles = {
  read: (path) => orNull(() => readFileSync(path, "utf8")),
  list: (path) => orNull(() => readdirSync(path)) ?? [],
  link: (path) => orNull(() => readlinkSync(path)),
  status: (path) =>
    orNull(() => {
      // An exception costs more than the system call, and most candidates are absent.
      const s = statSync(path, { throwIfNoEntry: false });
      if (s === undefined) return null;
      return {
        type: s.isFile()
          ? "file"
          : s.isDirectory()
            ? "directory"
            : s.isCharacterDevice() || s.isBlockDevice()
              ? "device"
              : "other",
        uid: s.uid,
        gid: s.gid,
        mode: s.mode & 0o7777,
        key: `${s.dev}:${s.ino}`,
      };
    }),
  writable: (path) =>
    orNull(() => {
      accessSync(path, constants.W_OK);
      return true;
    }) ?? false,
};

/**
 * The bytes of a regular file of at most `limit` bytes, else null. Opened without blocking and checked on the
 * descriptor, so that a fifo, a device or a file swapped in the meantime cannot make the caller wait.
 */
export function readRegular(path: string, limit: number): Buffer | null {
  const fd = orNull(() => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY));
  if (fd === null) return null;
  try {
    const status = fstatSync(fd);
    if (!status.isFile() || status.size > limit) return null;
    const bytes = Buffer.alloc(status.size);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(fd, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}
