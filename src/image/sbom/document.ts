/** What both forms of a bill of materials say: what the image is, what was installed into it, and programs that nothing accounts for. */
import { hash } from "node:crypto";
import type { ImageFacts } from "../facts/facts.ts";
import { purlOf } from "./purl.ts";

export interface Part {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  /** As its database writes it. */
  readonly license: string | null;
  readonly manager: string;
  readonly database: string;
  /** 1-based. */
  readonly layer: number;
}

export interface LooseFile {
  readonly path: string;
  readonly sha256: string;
  readonly layer: number;
}

export interface Bill {
  readonly name: string;
  /** A digest, when there is one. */
  readonly version: string;
  readonly parts: readonly Part[];
  readonly files: readonly LooseFile[];
  /** Everything that was installed is known: there is a package database and nothing of it was unreadable. */
  readonly complete: boolean;
  /** Follows from the content: the same image gives the same id. */
  readonly uuid: string;
}

export function billOf(facts: ImageFacts): Bill {
  const parts = facts.packages.map((one) => ({
    name: one.name,
    version: one.version,
    purl: purlOf(one, facts.distribution),
    license: one.license,
    manager: one.manager,
    database: one.database,
    layer: one.layer + 1,
  }));
  const files = facts.elf.files
    .filter((file) => file.package === null)
    .map(({ path, sha256, layer }) => ({ path, sha256, layer: layer + 1 }));
  const name = facts.names[0] ?? facts.path.replace(/^.*\//, "");
  const version = facts.manifestDigest ?? facts.configDigest ?? "";
  const databaseGap = facts.gaps.some(({ path }) => path !== "" && path !== "etc/shadow");
  const content = JSON.stringify([name, version, facts.layers.map(({ diffId }) => diffId), parts, files]);
  return {
    name,
    version,
    parts,
    files,
    complete: facts.managers.length > 0 && files.length === 0 && !databaseGap,
    uuid: uuidOf(hash("sha256", content)),
  };
}

/** A UUID of version 8 (RFC 9562, section 5.8): its bits are of our choosing. */
function uuidOf(hex: string): string {
  const variant = ((Number.parseInt(hex[16] ?? "0", 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** "2024-05-01T10:00:00Z": both forms want seconds. */
export const formatTime = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;
