/**
 * inotify(7) through koffi: a descriptor, and watches for the opening of files in a directory. Node's own fs.watch knows changes only. The
 * calls return at once, and so does reading the descriptor: EAGAIN when there is nothing (yet).
 */
import { getSystemErrorName } from "node:util";
import koffi from "koffi";

const IN_CLOEXEC = 0o2000000;
/** A read that waits would hold one of libuv's threads, which are waited for when the process ends. */
const IN_NONBLOCK = 0o4000;
/** Opened, also to be executed; of directories alone, and of no link that somebody put in the place of one. */
const IN_OPEN = 0x20;
const IN_ONLYDIR = 0x0100_0000;
const IN_DONT_FOLLOW = 0x0200_0000;

export const IN_ISDIR = 0x4000_0000;
export const IN_Q_OVERFLOW = 0x4000;

/** struct inotify_event { int wd; uint32_t mask, cookie, len; char name[]; } without the name. */
export const EVENT_BYTES = 16;

export interface Inotify {
  /** Close-on-exec. */
  readonly descriptor: number;
  /** Watch descriptor, or the name of the errno. */
  watch(directory: Buffer): number | string;
}

/** A new instance, or the name of the errno (EMFILE: max_user_instances). */
export function openInotify(): Inotify | string {
  const libc = koffi.load(null);
  const init = libc.func("int inotify_init1(int flags)") as (flags: number) => number;
  // The path is read during the call only.
  const add = libc.func("int inotify_add_watch(int fd, const uint8_t *pathname, uint32_t mask)") as (
    fd: number,
    pathname: Uint8Array,
    mask: number,
  ) => number;
  const descriptor = init(IN_CLOEXEC | IN_NONBLOCK);
  if (descriptor < 0) return errnoName();
  return {
    descriptor,
    watch: (directory) => {
      const watch = add(
        descriptor,
        Buffer.concat([directory, Buffer.alloc(1)]),
        (IN_OPEN | IN_ONLYDIR | IN_DONT_FOLLOW) >>> 0,
      );
      return watch < 0 ? errnoName() : watch;
    },
  };
}

const errnoName = (): string => getSystemErrorName(-koffi.errno());
