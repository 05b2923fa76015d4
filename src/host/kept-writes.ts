/**
 * Directories that keep the writes of runs: ours by a mark in them, so that nobody's files are taken for an upper layer, changed and
 * deleted through one. Takes a path; everything is looked at and made through descriptors. Never marks a directory that holds anything.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from "node:fs";
import { WRITES_MARK } from "./facts.ts";
import { errorCode } from "./files.ts";

/** What a new file system has in it. */
const NOBODYS = new Set(["lost+found"]);

/** Whether something lies there that is not ours; false for what cannot be looked at: using it will say why. */
export function holdsForeignFiles(path: string): boolean {
  try {
    return within(path, (base) => !isMarked(base) && !isEmpty(base));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}

/** Makes an empty directory ours; what is ours already stays as it is. False when it is neither. Throws the system's error. */
export function claimForWrites(path: string): boolean {
  return within(path, (base) => {
    if (isMarked(base)) return true;
    if (!isEmpty(base)) return false;
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    try {
      const fd = openSync(`${base}/${WRITES_MARK}`, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        // Whatever the caller's umask has taken away.
        fchmodSync(fd, 0o600);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      // Two first runs at once: the other one made it.
      if (errorCode(error) !== "EEXIST") throw error;
    }
    return isMarked(base);
  });
}

/** The process whose launcher holds the lock of a run on the mark, as /proc/locks shows it (proc_locks(5)); null when nobody that we see does. */
export function findWriter(directory: string): number | null {
  const mark = statSync(`${directory}/${WRITES_MARK}`, { throwIfNoEntry: false });
  if (mark === undefined) return null;
  for (const line of readFileSync("/proc/locks", "utf8").split("\n")) {
    const [, kind, , , pid, file] = line.split(/\s+/);
    const inode = file?.split(":").at(2);
    // Device numbers there are the kernel's own, which stat(2) does not show for every file system: the inode has to do.
    if (kind === "FLOCK" && Number(pid) > 0 && inode === String(mark.ino)) return Number(pid);
  }
  return null;
}

function within<T>(path: string, use: (base: string) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return use(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

const isEmpty = (base: string): boolean => readdirSync(base).every((name) => NOBODYS.has(name));

/** A file of ours that nobody else may even read; its content does not matter. */
function isMarked(base: string): boolean {
  let fd: number;
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    fd = openSync(`${base}/${WRITES_MARK}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
  try {
    const { uid, mode } = fstatSync(fd);
    return uid === process.geteuid?.() && mode === (constants.S_IFREG | 0o600);
  } finally {
    closeSync(fd);
  }
}
