/**
 * Takes a parsed ELF file, gives how it was hardened when it was built, and what it takes from libraries. What cannot be known from the
 * file (a static program does not say whether it has canaries) is null, never a guess.
 */
import { type Dynamic, type Elf, fieldsOf, offsetOf, type Slice } from "./parse.ts";

export interface Hardening {
  /** Loaded at a random address. */
  readonly pie: boolean;
  /** Relocation tables read-only: before the first call (full), partly, not at all. */
  readonly relro: "full" | "partial" | "none";
  /** The stack is not executable. */
  readonly nx: boolean;
  /** Calls the stack protector; null when that says nothing: imports are unknown, or there may be nothing to protect. */
  readonly canary: boolean | null;
  /** Calls checked variants of C functions (_FORTIFY_SOURCE); null when imports are unknown, or when none has such a variant. */
  readonly fortify: boolean | null;
}

export interface Symbols {
  readonly imported: readonly string[];
  readonly exported: readonly string[];
}

const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
const PT_GNU_RELRO = 0x6474e552;
const PF_X = 1;
const ET_DYN = 3;
const DF_BIND_NOW = 8;
const DF_1_NOW = 1;
const MAX_SYMBOLS = 1 << 18;

/** Whether the file is a program rather than a library, as file(1) and ld.so tell: by its interpreter, DT_FLAGS_1 or type. */
export function isProgram(elf: Elf): boolean {
  const DF_1_PIE = 0x08000000;
  return (
    elf.fileType === 2 ||
    elf.interpreter !== null ||
    ((elf.dynamic?.flags1 ?? 0) & DF_1_PIE) !== 0 ||
    (elf.dynamic?.debug === true && elf.dynamic.soname === null)
  );
}

/** `go`: built by Go's compiler, which checks bounds instead of guarding the stack. */
export function hardeningOf(elf: Elf, symbols: Symbols | null, go: boolean): Hardening {
  const stack = elf.segments.find(({ type }) => type === PT_GNU_STACK);
  const now =
    elf.dynamic !== null &&
    (elf.dynamic.bindNow || (elf.dynamic.flags & DF_BIND_NOW) !== 0 || (elf.dynamic.flags1 & DF_1_NOW) !== 0);
  const relro = elf.segments.some(({ type }) => type === PT_GNU_RELRO);
  const imported = symbols === null ? null : new Set(symbols.imported);
  return {
    pie: elf.fileType === ET_DYN,
    relro: relro ? (now || elf.dynamic === null ? "full" : "partial") : "none",
    // Without the header the kernel makes the stack executable (elf_read_implies_exec) on most machines.
    nx: stack !== undefined && (stack.flags & PF_X) === 0,
    canary: symbols === null || go ? null : canaryOf(elf, symbols),
    fortify: imported === null ? null : fortified(imported),
  };
}

/**
 * Bytes of code from which on no call of the stack protector means that there is none. -fstack-protector-strong guards functions with arrays
 * only: of Debian 12's programs that are built with it, one in five has no call below this size, and none above.
 */
const ENOUGH_CODE = 16 << 10;

function canaryOf(elf: Elf, { imported, exported }: Symbols): boolean | null {
  const isCheck = (name: string): boolean => name === "__stack_chk_fail" || name === "__stack_chk_guard";
  if (imported.some(isCheck)) return true;
  // A C library has it, and need not import it. A static program has all that it calls.
  if (imported.length === 0 || exported.some(isCheck)) return null;
  const code = elf.segments
    .filter(({ type, flags }) => type === PT_LOAD && (flags & PF_X) !== 0)
    .reduce((sum, { fileSize }) => sum + fileSize, 0);
  return code < ENOUGH_CODE ? null : false;
}

/** Functions that both exist plainly and as __NAME_chk in glibc; the common ones. */
const CHECKED =
  /^(?:mem(?:cpy|move|set|pcpy)|st[rp]n?cpy|str(?:n?cat)|v?s?n?printf|v?[fd]printf|v?asprintf|fgets|gets|read|pread|recv|readlink|getcwd|realpath|poll|fread|longjmp)$/;

function fortified(imported: ReadonlySet<string>): boolean | null {
  let could = false;
  for (const name of imported) {
    if (/^__\w+_chk$/.test(name)) return true;
    could ||= CHECKED.test(name);
  }
  return could ? false : null;
}

/** The dynamic symbols; null when there are none, or when their tables are not at hand. */
export function readSymbols(slice: Slice, elf: Elf): Symbols | null {
  const { dynamic } = elf;
  if (dynamic === null || dynamic.symbols === 0) return null;
  const entry = elf.bits === 64 ? 24 : 16;
  const count = symbolCount(slice, elf, dynamic);
  const symbolsAt = offsetOf(elf.segments, dynamic.symbols);
  const stringsAt = offsetOf(elf.segments, dynamic.strings);
  if (count === null || count > MAX_SYMBOLS || symbolsAt === null || stringsAt === null) return null;
  if (!(dynamic.stringsSize > 0 && dynamic.stringsSize <= 64 << 20)) return null;
  const table = slice(symbolsAt, count * entry);
  const strings = slice(stringsAt, dynamic.stringsSize);
  if (table === null || strings === null) return null;
  const fields = fieldsOf(table, elf.bits, elf.littleEndian);
  const imported: string[] = [];
  const exported: string[] = [];
  for (let index = 1; index < count; index++) {
    const at = index * entry;
    const name = fields.word(at);
    const end = name < strings.length ? strings.indexOf(0, name) : -1;
    if (end <= name) continue;
    const section = fields.half(at + (elf.bits === 64 ? 6 : 14));
    (section === 0 ? imported : exported).push(strings.toString("latin1", name, end));
  }
  return { imported, exported };
}

/** No field says how many symbols there are: DT_HASH has one chain entry for each, DT_GNU_HASH must be walked. */
function symbolCount(slice: Slice, elf: Elf, dynamic: Dynamic): number | null {
  const words = (address: number, index: number, count: number): readonly number[] | null => {
    const offset = offsetOf(elf.segments, address);
    const bytes = offset === null ? null : slice(offset + index * 4, count * 4);
    if (bytes === null) return null;
    const fields = fieldsOf(bytes, elf.bits, elf.littleEndian);
    return Array.from({ length: count }, (_, at) => fields.word(at * 4));
  };
  if (dynamic.hash !== 0) return words(dynamic.hash, 0, 2)?.[1] ?? null;
  if (dynamic.gnuHash === 0) return null;
  const header = words(dynamic.gnuHash, 0, 4);
  if (header === null) return null;
  const [buckets = 0, first = 0, bloom = 0] = header;
  if (buckets > MAX_SYMBOLS || bloom > MAX_SYMBOLS || first > MAX_SYMBOLS) return null;
  const bucketsAt = 4 + bloom * (elf.bits / 32);
  const starts = words(dynamic.gnuHash, bucketsAt, buckets);
  if (starts === null) return null;
  const last = starts.reduce((most, start) => Math.max(most, start), 0);
  // No bucket is used: all symbols are imports, and the table does not say how many. Linkers put the strings behind the symbols.
  if (last < first) {
    const count = Math.floor((dynamic.strings - dynamic.symbols) / (elf.bits === 64 ? 24 : 16));
    return count > 0 ? count : null;
  }
  for (let index = last; index < MAX_SYMBOLS; index += 256) {
    const rest = chainPart(words, dynamic.gnuHash, bucketsAt + buckets + index - first);
    if (rest === null) return null;
    const end = rest.findIndex((word) => (word & 1) === 1);
    if (end >= 0) return index + end + 1;
  }
  return null;
}

/** Up to 256 words of a chain: fewer where the file ends. */
function chainPart(
  words: (address: number, index: number, count: number) => readonly number[] | null,
  address: number,
  index: number,
): readonly number[] | null {
  for (const count of [256, 64, 16, 4, 1]) {
    const found = words(address, index, count);
    if (found !== null) return found;
  }
  return null;
}
