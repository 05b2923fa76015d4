/**
 * Takes a file's bytes as they stream past, gives its Content. Holds no more of a file than facts need: a few megabytes of a program and the
 * tables its headers point to, half a megabyte of a text, all of a package database, nothing of anything else.
 */
import { createHash, type Hash, hash } from "node:crypto";
import { callNeeds } from "../../elf/call-needs.ts";
import { hardeningOf, isProgram, readSymbols } from "../../elf/hardening.ts";
import { classify, type Elf, parseSegments } from "../../elf/parse.ts";
import type { Budget } from "../budget.ts";
import type { Sink } from "../tar/entry.ts";
import type { Content, ElfContent, LibraryService } from "./content.ts";
import { readGoBuild } from "./go-build.ts";
import { isJarName, LONGEST_JAR, readJar } from "./jar.ts";
import { isKept, LONGEST_KEPT } from "./keep.ts";
import { findMarks } from "./marks.ts";
import { findSecrets, LONGEST_SEARCHED, type SecretHit } from "./secrets.ts";

/** Symbols and strings come before code, so the beginning has them. */
const ELF_PREFIX = 8 << 20;
const MAX_RANGE = 1 << 20;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const PF_W = 2;

/** A part of the file that is held. */
interface Held {
  readonly start: number;
  readonly bytes: Buffer;
  /** How much of `bytes` has arrived. */
  filled: number;
}

const EMPTY_SHA256 = hash("sha256", "");
const EMPTY: Content = {
  sha256: EMPTY_SHA256,
  kind: "empty",
  elf: null,
  jar: null,
  script: null,
  secrets: [],
  bytes: null,
  gap: null,
};

/** `done` gets the content when the file has ended. `size` is what the entry promised; the reader holds it to that. */
export function collect(path: string, size: number, budget: Budget, done: (content: Content) => void): Sink {
  if (size === 0) return { write: () => undefined, end: () => done(EMPTY) };
  const kept = isKept(path) || budget.wanted.has(path);
  const isJar = isJarName(path);
  let state: Hash | null = null;
  let held: Held[] = [];
  let kind: Content["kind"] = "binary";
  let position = 0;
  let whole: Content | null = null;
  let gap: string | null = null;

  const begin = (start: Buffer): void => {
    kind = kindOf(start);
    const wanted = kept ? size : kind === "elf" ? ELF_PREFIX : kind === "binary" ? 0 : LONGEST_SEARCHED;
    let length = Math.min(size, wanted);
    if (kept && (length > LONGEST_KEPT || !budget.keep(length))) {
      gap = "it is too long to be kept";
      length = 0;
    }
    if (isJar && size > LONGEST_JAR) gap = "it is too long to be looked into";
    else if (isJar) length = size;
    if (length > 0) held = [{ start: 0, bytes: Buffer.allocUnsafe(length), filled: 0 }];
    else held = [];
  };

  return {
    write: (bytes) => {
      if (position === 0 && bytes.length === size) {
        // Nearly always: the file is in one piece, and nothing of it need be copied but what is kept.
        if (kept && !budget.keep(size)) gap = "it is too long to be kept";
        const jar = isJar && size <= LONGEST_JAR ? readJar(bytes, (count) => budget.unpack(count)) : null;
        whole = {
          sha256: hash("sha256", bytes),
          ...analyse(path, kindOf(bytes), size, [{ start: 0, bytes, filled: size }]),
          jar: jar?.libraries ?? null,
          bytes: kept && gap === null ? Buffer.from(bytes) : null,
          gap: gap ?? jar?.gap ?? null,
        };
        return;
      }
      if (position === 0) begin(bytes);
      state ??= createHash("sha256");
      state.update(bytes);
      for (const part of held) fill(part, bytes, position);
      const before = position;
      position += bytes.length;
      const [first] = held;
      if (kind === "elf" && before < 65_536 && position >= Math.min(size, 65_536) && first !== undefined)
        held.push(...tables(first.bytes.subarray(0, first.filled), size, first.bytes.length));
    },
    end: () => {
      if (whole !== null) {
        done(whole);
        return;
      }
      const [first] = held;
      const jar =
        isJar && first?.filled === size ? readJar(first.bytes, (count) => budget.unpack(count)) : null;
      done({
        sha256: state?.digest("hex") ?? EMPTY_SHA256,
        ...analyse(path, kind, size, held),
        jar: jar?.libraries ?? null,
        bytes: kept && first !== undefined ? first.bytes : null,
        gap: gap ?? jar?.gap ?? null,
      });
    },
  };
}

function fill(part: Held, bytes: Buffer, position: number): void {
  const from = part.start + part.filled - position;
  if (from < 0 || from >= bytes.length || part.filled === part.bytes.length) return;
  part.filled += bytes.copy(part.bytes, part.filled, from);
}

/** Parts of a large program that lie after its beginning: what its program headers point to, and where Go writes about itself. */
function tables(start: Buffer, size: number, prefix: number): readonly Held[] {
  if (size <= prefix) return [];
  const wanted: Held[] = [];
  for (const { type, flags, offset, fileSize } of parseSegments(start) ?? []) {
    const isTable = type === PT_DYNAMIC || type === PT_INTERP;
    if (!isTable && !(type === PT_LOAD && (flags & PF_W) !== 0)) continue;
    const length = Math.min(fileSize, MAX_RANGE, size - offset);
    if (offset >= prefix && length > 0 && wanted.length < 8)
      wanted.push({ start: offset, bytes: Buffer.allocUnsafe(length), filled: 0 });
  }
  return wanted;
}

function kindOf(start: Buffer): Content["kind"] {
  if (start.length >= 4 && start.readUInt32BE(0) === 0x7f454c46) return "elf";
  if (start.length >= 2 && start.readUInt16BE(0) === 0x2321) return "script";
  return start.subarray(0, 4096).includes(0) ? "binary" : "text";
}

const NO_SECRETS: readonly SecretHit[] = [];

function analyse(
  path: string,
  kind: Content["kind"],
  size: number,
  held: readonly Held[],
): Pick<Content, "kind" | "elf" | "script" | "secrets"> {
  const [first] = held;
  const start = first?.bytes.subarray(0, first.filled) ?? Buffer.alloc(0);
  const slice = (offset: number, length: number): Buffer | null => {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0) return null;
    const part = held.find((one) => offset >= one.start && offset + length <= one.start + one.filled);
    return part === undefined ? null : part.bytes.subarray(offset - part.start, offset - part.start + length);
  };
  if (kind === "elf" || kind === "script") {
    const found = classify(Math.min(size, start.length), slice);
    if (found.kind === "elf")
      return { kind, elf: elfContent(found.elf, slice, held), script: null, secrets: NO_SECRETS };
    if (found.kind === "script")
      return {
        kind,
        elf: null,
        script: found.line,
        secrets: findSecrets(start.subarray(0, LONGEST_SEARCHED), path),
      };
    return { kind: "binary", elf: null, script: null, secrets: NO_SECRETS };
  }
  const secrets = kind === "text" ? findSecrets(start.subarray(0, LONGEST_SEARCHED), path) : NO_SECRETS;
  return { kind, elf: null, script: null, secrets };
}

const STARTERS = /^(?:execv[pe]*|execl[pe]?|execveat|fexecve|posix_spawnp?|system|popen|wordexp)$/;

const LOADERS = /^(?:dlm?open|__libc_dlopen_mode)$/;

/** Functions for which glibc loads a library of its own (nsswitch.conf(5), iconv(3), pthread_exit(3)). */
const SERVICES: Readonly<Record<LibraryService, RegExp>> = {
  names:
    /^(?:[gs]et(?:pw|gr|sp|sg|host|net|netgr|proto|serv|rpc|alias)(?:ent|nam|uid|gid|by\w+)\w*|get(?:addr|name)info(?:_a)?|getgrouplist|initgroups|innetgr|ether_(?:ntohost|hostton)|gethostid|getpw)$/,
  "character-sets": /^iconv_open$/,
  locales: /^(?:setlocale|newlocale)$/,
  unwinder: /^(?:pthread_(?:cancel|exit)|thrd_exit|backtrace)$/,
};

const servicesOf = (imported: readonly string[]): readonly LibraryService[] =>
  (Object.keys(SERVICES) as LibraryService[]).filter((service) =>
    imported.some((name) => SERVICES[service].test(name)),
  );

function elfContent(
  elf: Elf,
  slice: (offset: number, length: number) => Buffer | null,
  held: readonly Held[],
): ElfContent {
  const named = readSymbols(slice, elf);
  const program = isProgram(elf);
  // A static program that is position-independent has a table of symbols too, with nothing in it: it imports nothing, and does all by itself.
  const isStatic = program && elf.interpreter === null && elf.needed.length === 0;
  const symbols = isStatic ? null : named;
  const bytes = held[0]?.bytes.subarray(0, held[0].filled) ?? Buffer.alloc(0);
  const go = held.reduce<ElfContent["go"]>(
    (found, part) => found ?? (program ? readGoBuild(part.bytes.subarray(0, part.filled)) : null),
    null,
  );
  return {
    bits: elf.bits,
    machine: elf.machine,
    program,
    interpreter: elf.interpreter,
    needed: elf.needed,
    optional: elf.optional,
    rpath: elf.rpath,
    runpath: elf.runpath,
    soname: elf.dynamic?.soname ?? null,
    hardening: hardeningOf(elf, symbols, go !== null),
    loads: symbols === null ? null : symbols.imported.some((name) => LOADERS.test(name)),
    starts: symbols === null ? null : symbols.imported.some((name) => STARTERS.test(name)),
    services: symbols === null ? null : servicesOf(symbols.imported),
    calls: callNeeds(elf, symbols, slice),
    marks: program ? findMarks(bytes, named, elf.needed) : [],
    go,
  };
}
