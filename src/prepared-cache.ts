/**
 * What it takes to run a profile again without reading, compiling and encoding it again. The stages are pure, so their results
 * can be kept by the digest of everything that went in; docs/decisions/0006-prepared-cache.md says why that weakens nothing.
 *
 *   profile entry  by tool, host facts and request; counts only while every file it was read from still has the same bytes
 *   launch entry   by all of that, those bytes, and the facts of the paths and of the command
 *
 * Takes digests and values; gives them back as they were. Never an error: what cannot be trusted to the last byte is not there.
 */
import { hash } from "node:crypto";
import { resolve } from "node:path";
import { BUILD_ID } from "./build-id.ts";
import type { HostFacts, RequestFacts } from "./host/facts.ts";
import { cachePlace, readPrivate, writePrivate } from "./kernel/private-directory.ts";
import { type LaunchSheet, sheetFromJson, sheetToJson } from "./launch/sheet.ts";
import type { Provenance } from "./problems.ts";
import { builtinDirectory } from "./profile/files.ts";
import type { ProfileFiles, ProfileRequest } from "./profile/resolve.ts";
import type { ResolvedProfile, Spec } from "./profile/spec.ts";
import { TOOL } from "./version.ts";

/** What runs need to know of a profile. The filter is in the launcher. */
export interface ProfileBrief {
  readonly spec: Omit<Spec, "seccomp">;
  readonly sources: ResolvedProfile["sources"];
  /** Origins of `/audit`, `/audit/redact` and `/filesystem/write`. */
  readonly audit: Provenance;
  readonly redact: Provenance;
  readonly write: Provenance;
  /** Digest of the profile's SELinux module, where SELinux is active and the profile takes it; else "". */
  readonly selinuxDigest: string;
}

/** One way to run it, ready to be made executable. */
export interface PreparedParts {
  readonly sheet: LaunchSheet;
  readonly image: Uint8Array;
  /** SHA-256 of the whole plan and of the image, lower-case hex. */
  readonly planDigest: string;
  readonly launcherDigest: string;
}

/** Newest entries of a kind that stay: one is a few hundred kilobytes. */
const MOST_ENTRIES = 64;
const MAX_ENTRY_BYTES = 4 * 1024 * 1024;

export class PreparedCache {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** In a directory; by default in our own, but then for built code only, which knows what it was built from. */
  static open(directory: string | null | undefined): PreparedCache | null {
    const place = cachePlace(directory);
    return place === null ? null : new PreparedCache(place);
  }

  /** The name of what a request for a profile becomes on a host. */
  profileKey(request: ProfileRequest, host: HostFacts, mode: string): string {
    return digest([TOOL, BUILD_ID, builtinDirectory(), request, host, mode]);
  }

  /** The profile, if it would be read from the same bytes. */
  readProfile(key: string, { cwd }: ProfileRequest, files: ProfileFiles): ProfileBrief | null {
    const entry = this.#read("profile", key);
    if (entry === null) return null;
    const brief = entry.json as ProfileBrief;
    const unchanged = brief.sources.every(({ file, sha256 }) => {
      const bytes = files.read(resolve(cwd, file));
      return bytes instanceof Uint8Array && hash("sha256", bytes, "hex") === sha256;
    });
    return unchanged ? brief : null;
  }

  writeProfile(key: string, brief: ProfileBrief): void {
    this.#write("profile", key, brief, new Uint8Array());
  }

  /** The name of what a profile becomes for a command and these terminals. */
  launchKey(
    profileKey: string,
    { sources }: ProfileBrief,
    { cwd, paths, installTree, ownPlaces, command, selinux, apparmorMode }: RequestFacts,
    terminals: readonly number[],
  ): string {
    // A command that is searched for inside is the run's business: by its name it is in no plan.
    const shown = command === null ? null : [command.hostPath, command.closure];
    const host = [paths, installTree, ownPlaces, selinux, apparmorMode];
    return digest([profileKey, sources, cwd, shown, host, terminals]);
  }

  readLaunch(key: string): PreparedParts | null {
    const entry = this.#read("launch", key);
    if (entry === null) return null;
    const { sheet, ...digests } = entry.json as Omit<PreparedParts, "sheet" | "image"> & {
      readonly sheet: object;
    };
    return { ...digests, sheet: sheetFromJson(sheet), image: entry.bytes };
  }

  writeLaunch(key: string, { sheet, image, ...digests }: PreparedParts): void {
    this.#write("launch", key, { ...digests, sheet: sheetToJson(sheet) }, image);
  }

  #read(kind: string, key: string): { readonly json: object; readonly bytes: Uint8Array } | null {
    const content = readPrivate(this.#directory, `${kind}-${key}`, MAX_ENTRY_BYTES);
    if (content === null) return null;
    const body = content.subarray(content.indexOf(NEWLINE) + 1);
    const expected = headOf(kind, key, body);
    if (!content.subarray(0, content.length - body.length).equals(expected)) return null;
    const end = body.indexOf(NEWLINE);
    return { json: JSON.parse(body.toString("utf8", 0, end)) as object, bytes: body.subarray(end + 1) };
  }

  /** Written or not: the next run finds out. */
  #write(kind: string, key: string, json: object, bytes: Uint8Array): void {
    const body = Buffer.concat([Buffer.from(`${JSON.stringify(json)}\n`), bytes]);
    const content = Buffer.concat([headOf(kind, key, body), body]);
    writePrivate(this.#directory, `${kind}-${key}`, content, { prefix: `${kind}-`, most: MOST_ENTRIES });
  }
}

const NEWLINE = 0x0a;

/** The first line: kind and key, so that a valid entry moved to another name is none, and the digest of the rest. */
function headOf(kind: string, key: string, body: Uint8Array): Buffer {
  return Buffer.from(`sandbox-${kind}-1 ${key} ${hash("sha256", body, "hex")}\n`);
}

function digest(parts: readonly unknown[]): string {
  return hash("sha256", JSON.stringify(parts, tagBigint), "hex");
}

/** An override may hold one, and JSON has no word for it. */
function tagBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? { bigint: value.toString() } : value;
}
