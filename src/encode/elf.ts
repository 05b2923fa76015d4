/**
 * The ELF64 container: text and read-only data in, a static ET_EXEC file out.
 *
 *   file 0      ELF header, program headers, read-only data   R--
 *   file page   text                                          R-X
 *   GNU_STACK   RW-, no memory of its own
 *
 * No segment is writable: a launcher writes to its stack and to the shared mapping only. Text begins on its own page,
 * so that no constant (paths, BPF) is executable.
 */
import type { Arch } from "../host/facts.ts";

/** Where the file begins in memory: above any vm.mmap_min_addr, below the shared memory. */
export const IMAGE_BASE = 0x40_0000;

const HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;
const SEGMENTS = 3;

/** Address of the first byte of read-only data. */
export const RODATA_BASE = IMAGE_BASE + HEADER_SIZE + SEGMENTS * PROGRAM_HEADER_SIZE;

const PAGE = 4096;
/** Largest page size an aarch64 kernel may have: segments must not share such a page. */
const LARGEST_PAGE = 0x1_0000;

const MACHINE: Readonly<Record<Arch, number>> = { x86_64: 62, aarch64: 183 };

const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474_e551;
const EXECUTE = 1;
const WRITE = 2;
const READ = 4;

/** The executable file. `rodata` starts at RODATA_BASE; execution at the first byte of `text`. */
export function writeElf(arch: Arch, rodata: Uint8Array, text: Uint8Array): Uint8Array<ArrayBuffer> {
  const rodataEnd = HEADER_SIZE + SEGMENTS * PROGRAM_HEADER_SIZE + rodata.length;
  const textOffset = Math.ceil(rodataEnd / PAGE) * PAGE;
  // One largest page further than in the file: distinct pages at any page size, same offset within the page.
  const textAddress = IMAGE_BASE + LARGEST_PAGE + textOffset;
  const file = new Uint8Array(textOffset + text.length);
  const view = new DataView(file.buffer);
  const u16 = (at: number, value: number) => view.setUint16(at, value, true);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  const u64 = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true);

  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]); // magic, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE
  u16(16, 2); // e_type ET_EXEC
  u16(18, MACHINE[arch]);
  u32(20, 1); // e_version
  u64(24, textAddress); // e_entry
  u64(32, HEADER_SIZE); // e_phoff
  u16(52, HEADER_SIZE); // e_ehsize
  u16(54, PROGRAM_HEADER_SIZE);
  u16(56, SEGMENTS);
  u16(58, 64); // e_shentsize; no sections

  const segment = (index: number, type: number, flags: number, offset: number, at: number, size: number) => {
    const header = HEADER_SIZE + index * PROGRAM_HEADER_SIZE;
    u32(header, type);
    u32(header + 4, flags);
    u64(header + 8, offset);
    u64(header + 16, at);
    u64(header + 24, at);
    u64(header + 32, size);
    u64(header + 40, size);
    u64(header + 48, type === PT_LOAD ? LARGEST_PAGE : 16);
  };
  segment(0, PT_LOAD, READ, 0, IMAGE_BASE, rodataEnd);
  segment(1, PT_LOAD, READ | EXECUTE, textOffset, textAddress, text.length);
  segment(2, PT_GNU_STACK, READ | WRITE, 0, 0, 0);

  file.set(rodata, HEADER_SIZE + SEGMENTS * PROGRAM_HEADER_SIZE);
  file.set(text, textOffset);
  return file;
}
