/**
 * fgetxattr(2) through koffi: what a file that is open carries beside its bytes. By descriptor only: what a name leads to may have changed
 * since the file was opened.
 */
import { getSystemErrorName } from "node:util";
import koffi from "koffi";

/** The longest value that is read; ERANGE beyond. */
const LONGEST = 4096;

/** The value; null when the file has none or its file system knows none; otherwise the name of the errno. */
export type ReadAttribute = (descriptor: number, name: string) => Buffer | null | string;

/** Throws when the C library of the process has no such function. */
export function openAttributes(): ReadAttribute {
  // ssize_t and size_t are a machine word on every Linux. The value is written during the call only.
  const get = koffi
    .load(null)
    .func("intptr_t fgetxattr(int fd, const char *name, _Out_ uint8_t *value, size_t size)") as (
    fd: number,
    name: string,
    value: Uint8Array,
    size: number,
  ) => number;
  const value = Buffer.alloc(LONGEST);
  return (descriptor, name) => {
    const length = get(descriptor, name, value, LONGEST);
    if (length >= 0) return Buffer.from(value.subarray(0, length));
    const errno = getSystemErrorName(-koffi.errno());
    return errno === "ENODATA" || errno === "EOPNOTSUPP" || errno === "ENOTSUP" ? null : errno;
  };
}
