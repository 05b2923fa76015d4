/**
 * The system-call conventions (ABIs) that a kernel may offer one process, and how a filter tells them apart.
 * Facts only; numbers are not here (tables.ts), so that naming an ABI costs nothing.
 */
import type { Arch } from "../../host/facts.ts";

export const ABIS = ["x86_64", "x32", "i386", "aarch64", "arm"] as const;
export type Abi = (typeof ABIS)[number];

/** Bit 30 of the number marks an x32 call; the arch field is that of x86-64 (arch/x86/include/uapi/asm/unistd.h). */
export const X32_BIT = 0x40000000;

/** What a tracer writes into the number to have a call skipped; filters see it since Linux 4.8 (seccomp(2)). */
export const SKIPPED = 0xffffffff;

/** seccomp_data.arch: AUDIT_ARCH_* of linux/audit.h, the ELF machine with the 64-bit and little-endian flags. */
export const AUDIT_ARCH: Readonly<Record<Abi, number>> = {
  x86_64: 0xc000003e,
  x32: 0xc000003e,
  i386: 0x40000003,
  aarch64: 0xc00000b7,
  arm: 0x40000028,
};

/** OCI and libseccomp names. */
export const SCMP_ARCH: Readonly<Record<Abi, string>> = {
  x86_64: "SCMP_ARCH_X86_64",
  x32: "SCMP_ARCH_X32",
  i386: "SCMP_ARCH_X86",
  aarch64: "SCMP_ARCH_AARCH64",
  arm: "SCMP_ARCH_ARM",
};

/** The ABIs that a kernel of an architecture may serve, native first. */
export const SERVED: Readonly<Record<Arch, readonly Abi[]>> = {
  x86_64: ["x86_64", "x32", "i386"],
  aarch64: ["aarch64", "arm"],
};

/** Names of architectures in Docker's `includes.arches`: Go's. */
export const GO_ARCH: Readonly<Record<Arch, string>> = { x86_64: "amd64", aarch64: "arm64" };

/** The highest number of calls common to every architecture that the tables know; see NEWER in the generator. */
export const NEWEST = 470;

/** Numbers above this are newer than the tables: ENOSYS, so that libc falls back. */
export const NEWEST_OF: Readonly<Record<Abi, number>> = {
  x86_64: NEWEST,
  // 512 to 547 are x32's own forms of older calls.
  x32: X32_BIT + 547,
  i386: NEWEST,
  aarch64: NEWEST,
  arm: NEWEST,
};
