/** What is known of a file's content after it streamed past. Shared by all names of the file; null for an empty one's parts. */
import type { CallNeed } from "../../elf/call-needs.ts";
import type { Hardening } from "../../elf/hardening.ts";
import type { GoBuild } from "./go-build.ts";
import type { JarLibrary } from "./jar.ts";
import type { Mark } from "./marks.ts";
import type { SecretHit } from "./secrets.ts";

export interface Content {
  /** SHA-256, in hexadecimal digits. */
  readonly sha256: string;
  readonly kind: "elf" | "script" | "text" | "binary" | "empty";
  readonly elf: ElfContent | null;
  /** What a Java archive says it is and holds; null for what is none. */
  readonly jar: readonly JarLibrary[] | null;
  /** The first line without its `#!`. */
  readonly script: string | null;
  readonly secrets: readonly SecretHit[];
  /** Kept only of the files that facts are read from (keep.ts). */
  readonly bytes: Buffer | null;
  /** Why facts may be missing: the file was too long to be kept or searched. */
  readonly gap: string | null;
}

/** Names of users, hosts and services by modules of nsswitch.conf(5); character sets by those of iconv(3); the unwinder of threads. */
export type LibraryService = "names" | "character-sets" | "locales" | "unwinder";

export interface ElfContent {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly program: boolean;
  readonly interpreter: string | null;
  readonly needed: readonly string[];
  readonly optional: readonly string[];
  readonly rpath: string | null;
  readonly runpath: string | null;
  readonly soname: string | null;
  readonly hardening: Hardening;
  /** Imports dlopen(3): it may load what no table names. Null when imports are unknown. */
  readonly loads: boolean | null;
  /** Imports a way to start programs. Null when imports are unknown. */
  readonly starts: boolean | null;
  /** Kinds of system calls that it can ask for. Null: any, because it makes its calls itself or its imports are unknown. */
  readonly calls: readonly CallNeed[] | null;
  /** What the C library loads by itself for its caller. Null when imports are unknown. */
  readonly services: readonly LibraryService[] | null;
  readonly marks: readonly Mark[];
  readonly go: GoBuild | null;
}
