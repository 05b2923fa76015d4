/**
 * An image → a profile that fits it, with a proof that it is no looser than its base but where the image asks for more. The one file that
 * knows images, profiles and the prover; reads the image and the profiles, runs nothing.
 */
import { resolve } from "node:path";
import { SERVED } from "./compile/seccomp/abi.ts";
import { NEWEST_KERNEL } from "./compile/seccomp/target.ts";
import type { Arch } from "./host/facts.ts";
import { factsOf, type ImageFacts } from "./image/facts/facts.ts";
import { identityOf } from "./image/facts/identity.ts";
import { findWritable } from "./image/facts/writable.ts";
import { type ImageRequest, readImage } from "./image/read-image.ts";
import { type Fitted, fitProfile } from "./image-profile/fit.ts";
import { overlay } from "./import-policy.ts";
import { meaningOf } from "./policy-input/meaning.ts";
import { type PolicyInput, readPolicy } from "./policy-input/read.ts";
import { bug, type Checked, type Problem } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { type ProfileFiles, resolveProfile } from "./profile/resolve.ts";
import type { ResolvedProfile } from "./profile/spec.ts";
import { compareLayers, refutesAtMost } from "./prove/layers.ts";
import { Prover } from "./prove/prover.ts";
import { reachableSyscalls } from "./prove/reachable.ts";

export interface ProfileOfImageRequest {
  readonly image: ImageRequest;
  /** A shipped profile, or a file. */
  readonly base: string;
  /** Null: after the image. */
  readonly name: string | null;
  readonly cwd: string;
}

export interface ProfileOfImage extends Omit<Fitted, "document" | "declared"> {
  /** The profile, as JSON. */
  readonly text: string;
  readonly name: string;
  /** Machines for which it was proved that every system call it lets through is let through by the base. */
  readonly proved: readonly Arch[];
}

const MACHINES: readonly Arch[] = ["x86_64", "aarch64"];

/** The profile, or why there is none: the image cannot be read, the base is wrong, or a proof cannot be had. */
export async function profileOfImage(request: ProfileOfImageRequest): Promise<Checked<ProfileOfImage>> {
  const { base, cwd } = request;
  const files = profileFiles();
  const source = { kind: "flag", flag: "--base" } as const;
  const resolved = resolveProfile({ profile: base, overrides: [], cwd, source }, files);
  if (!resolved.ok) return resolved;
  const image = await readImage(request.image);
  if (!image.ok) return image;
  const facts = await factsOf(image.value);
  const { tree } = image.value;
  const identity = facts.config === null ? null : identityOf(tree, facts.config.user);
  const nobody = { uid: 0, gid: 0, groups: [] };
  const writable = findWritable(tree, identity ?? nobody, facts.config?.volumes ?? []);
  const name = request.name ?? nameOf(facts);
  // In the profile itself the base is named so that the file means the same wherever it is put.
  const extended = files.builtin(base) === null ? resolve(cwd, base) : base;
  const proving = new Proving(files, cwd);
  const permitted = proving.permitted(extended);
  if (!permitted.ok) return permitted;
  const fitted = fitProfile({
    facts,
    identity,
    writable,
    base: extended,
    resolved: resolved.value,
    permitted: permitted.value,
    name,
  });
  const text = `${JSON.stringify(fitted.document, null, 2)}\n`;
  const proof = proving.prove(text, extended, fitted);
  if (!proof.ok) return proof;
  const { changes, calls, notes, command } = fitted;
  return { ok: true, value: { text, name, proved: proof.value, changes, calls, notes, command } };
}

/** Letters that a profile's name may have, of the last part of the image's name. */
function nameOf({ names, path }: ImageFacts): string {
  const whole = (names[0] ?? path).replace(/\/+$/, "");
  const last = whole.slice(whole.lastIndexOf("/") + 1).replace(/(?:@|:).*$|\.(?:tar|oci)(?:\.\w+)?$/g, "");
  const word = last.replaceAll(/[^A-Za-z0-9._-]/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  return word.slice(0, 64) || "image";
}

class Proving {
  readonly #prover = new Prover();
  readonly #files: ProfileFiles;
  readonly #cwd: string;

  constructor(files: ProfileFiles, cwd: string) {
    this.#files = files;
    this.#cwd = cwd;
  }

  #read(name: string, arch: Arch, files: ProfileFiles): Checked<PolicyInput> {
    return readPolicy({ name, cwd: this.#cwd, arch, capabilities: null, kernel: NEWEST_KERNEL }, files);
  }

  /** Names of the calls that a profile lets through on any machine. */
  permitted(name: string): Checked<ReadonlySet<string>> {
    const names = new Set<string>();
    for (const arch of MACHINES) {
      const read = this.#read(name, arch, this.#files);
      if (!read.ok) return read;
      const meaning = meaningOf(this.#prover, read.value.filter);
      if ("reason" in meaning) return undecided(meaning.reason);
      for (const abi of SERVED[arch]) {
        const calls = reachableSyscalls(this.#prover, meaning, abi);
        if ("kind" in calls) return undecided(calls.reason);
        for (const call of calls) if (call.name !== null) names.add(call.name);
      }
    }
    return { ok: true, value: names };
  }

  /** That the profile permits no more than its base with what the image declares. Gives the machines. */
  prove(text: string, base: string, { declared }: Fitted): Checked<readonly Arch[]> {
    const path = resolve(this.#cwd, ".image-profile.json");
    const files = overlay(this.#files, path, text);
    const source = { kind: "flag", flag: "sandbox image profile" } as const;
    const asked = { overrides: [], cwd: this.#cwd, source };
    const fitted = resolveProfile({ ...asked, profile: path }, files);
    if (!fitted.ok) return fitted;
    const limit = resolveProfile({ ...asked, profile: base, overrides: declared }, files);
    if (!limit.ok) return limit;
    for (const arch of MACHINES) {
      const [ours, theirs] = [this.#read(path, arch, files), this.#read(base, arch, files)];
      if (!ours.ok) return ours;
      if (!theirs.ok) return theirs;
      const prover = this.#prover;
      const proof = prover.atMost(
        meaningOf(prover, ours.value.filter),
        meaningOf(prover, theirs.value.filter),
        prover.callsOn(arch),
      );
      if (proof.kind === "unknown") return undecided(proof.reason);
      if (proof.kind === "refuted") return bug("a profile of an image lets through what its base does not");
    }
    mustBeAtMost(fitted.value, limit.value);
    return { ok: true, value: MACHINES };
  }
}

function mustBeAtMost({ spec }: ResolvedProfile, limit: ResolvedProfile): void {
  const [looser] = compareLayers(spec, limit.spec).filter(refutesAtMost);
  if (looser !== undefined)
    bug(`a profile of an image is looser than its base at ${looser.pointer}: ${looser.witness}`);
}

function undecided(reason: string): Checked<never> {
  const problem: Problem = {
    kind: "flag-invalid",
    where: { kind: "flag", flag: "--base" },
    pointer: "/seccomp",
    message: `it cannot be proved that a profile is no looser than this one: ${reason}`,
    hint: "choose a base with a simpler filter, such as strict",
  };
  return { ok: false, problems: [problem] };
}
