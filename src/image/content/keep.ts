/**
 * Which files' bytes are kept in memory while layers stream past: those that facts are read from, and no others. Paths are those of the
 * entry; a database that is reached through a link of a lower layer is found to be missing later, and reported as a gap.
 */

const EXACT = new Set([
  "etc/passwd",
  "etc/group",
  "etc/shadow",
  "etc/os-release",
  "usr/lib/os-release",
  "etc/shells",
  "etc/ld.so.conf",
  "etc/ld.so.cache",
  "etc/ld.so.preload",
  "etc/nsswitch.conf",
  "var/lib/dpkg/status",
  "var/lib/dpkg/diversions",
  "lib/apk/db/installed",
  "usr/lib/apk/db/installed",
  "var/lib/chisel/manifest.wall",
  "usr/lib/opkg/status",
  "lib/opkg/status",
  "var/lib/opkg/status",
  "var/lib/rpmmanifest/container-manifest-2",
]);

const PATTERNS: readonly RegExp[] = [
  /^etc\/ld\.so\.conf\.d\/[^/]+\.conf$/,
  /^etc\/ld-musl-[^/]+\.path$/,
  /^var\/lib\/dpkg\/info\/[^/]+\.list$/,
  /^var\/lib\/dpkg\/status\.d\/[^/]+$/,
  /^(?:var\/lib|usr\/share|usr\/lib\/sysimage)\/rpm\/(?:Packages|Packages\.db|rpmdb\.sqlite|rpmdb\.sqlite-wal)$/,
  /^var\/lib\/pacman\/local\/[^/]+\/(?:desc|files)$/,
  /^(?:usr\/lib|lib|var\/lib)\/opkg\/info\/[^/]+\.(?:control|list)$/,
  /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/,
  /(?:^|\/)[^/]+\.dist-info\/(?:METADATA|RECORD)$/,
  /(?:^|\/)[^/]+\.egg-info(?:\/PKG-INFO)?$/,
];

/** Longest single file that is kept; a package database of 50,000 packages is shorter. */
export const LONGEST_KEPT = 96 * 2 ** 20;

export function isKept(path: string): boolean {
  return EXACT.has(path) || PATTERNS.some((pattern) => pattern.test(path));
}
