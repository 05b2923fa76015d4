/**
 * Which file system a path lies on, as far as it matters for overlays: statfs(2), magic numbers of linux/magic.h and the
 * file systems' own sources. Takes a path, gives a name; changes nothing.
 */
import { statfsSync } from "node:fs";
import { errorCode } from "./files.ts";

/** File systems that the kernel makes up: what lies in them describes the system, and none is a root or takes writes. */
const KERNEL_MADE: Readonly<Record<string, number>> = {
  proc: 0x9fa0,
  sysfs: 0x62656572,
  cgroup: 0x27e0eb,
  cgroup2: 0x63677270,
  devpts: 0x1cd1,
  mqueue: 0x19800202,
  securityfs: 0x73636673,
  debugfs: 0x64626720,
  tracefs: 0x74726163,
  bpf: 0xcafe4a11,
  pstore: 0x6165676c,
  configfs: 0x62656570,
  selinuxfs: 0xf97cff8c,
  efivarfs: 0xde5e81e4,
  binfmt_misc: 0x42494e4d,
  hugetlbfs: 0x958458f6,
  autofs: 0x187,
};

/** File systems that an overlay reads from and cannot keep its writes on: no whiteouts, no extended attributes, names checked elsewhere, or read-only by nature. */
const NO_UPPER: Readonly<Record<string, number>> = {
  overlay: 0x794c7630,
  nfs: 0x6969,
  cifs: 0xff534d42,
  smb2: 0xfe534d42,
  "9p": 0x01021997,
  fuse: 0x65735546,
  vfat: 0x4d44,
  exfat: 0x2011bab0,
  ntfs3: 0x7366746e,
  iso9660: 0x9660,
  squashfs: 0x73717368,
  erofs: 0xe0f5e1e2,
};

/** A file system of which overlays take less than everything. */
export interface FileSystemFact {
  readonly name: string;
  /** "reads": it can be what is shown, not what takes the writes. */
  readonly layers: "reads" | "none";
}

const FACTS = new Map<number, FileSystemFact>([
  ...Object.entries(KERNEL_MADE).map(([name, magic]) => [magic, { name, layers: "none" }] as const),
  ...Object.entries(NO_UPPER).map(([name, magic]) => [magic, { name, layers: "reads" }] as const),
]);

/** Null for any other file system, and for what cannot be looked at: opening it will say why. */
export function probeFileSystem(path: string): FileSystemFact | null {
  try {
    // f_type is a signed word on some architectures.
    return FACTS.get(statfsSync(path).type >>> 0) ?? null;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return null;
  }
}
