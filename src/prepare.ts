/**
 * One profile on one host: from the cache what it holds, else from the stages, which are loaded only then. Host facts and the bytes
 * of profiles are read every time: the cache is asked by them.
 */

import { resolve } from "node:path";
import { blockDevicePath, partitionMark } from "./compile/cgroup-limits.ts";
import { foreignWrites } from "./compile/foreign-writes.ts";
import type { Mode } from "./compile/index.ts";
import { domainAsked, labelsAsked, takesSelinuxModule } from "./compile/lsm/selinux-names.ts";
import { writablePaths } from "./compile/own-places.ts";
import type { LaunchPlan } from "./compile/plan.ts";
import { placesInside } from "./compile/visible.ts";
import { probeMode } from "./host/apparmor-mode.ts";
import type { HostFacts, OwnPlace, RequestFacts } from "./host/facts.ts";
import { errorCode } from "./host/files.ts";
import { probeInstallTree } from "./host/install-tree.ts";
import { claimForWrites } from "./host/kept-writes.ts";
import { probeOwnPlace } from "./host/own-places.ts";
import { type Layers, probeCommand, probePaths } from "./host/request.ts";
import { probeLabels, probePermissive } from "./host/selinux.ts";
import { cacheDirectory } from "./kernel/private-directory.ts";
import { PreparedCache, type PreparedParts, type ProfileBrief } from "./prepared-cache.ts";
import { ProfileError, type Provenance, unwrap } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import type { ProfileFiles, ProfileRequest } from "./profile/resolve.ts";
import type { Stages } from "./stages.ts";

export interface PreparationOptions {
  readonly request: ProfileRequest;
  readonly host: HostFacts;
  readonly mode: Mode;
  /** Directory of the caches; null: none; undefined: our own. */
  readonly cache: string | null | undefined;
  /** The file of the audit log; null: none. */
  readonly log: string | null;
}

/** A profile that is known to be sound on this host. */
export class Preparation {
  readonly brief: ProfileBrief;
  readonly host: HostFacts;
  readonly mode: Mode;
  readonly cwd: string;
  readonly #options: PreparationOptions;
  readonly #stages: () => Promise<Stages>;
  readonly #cache: PreparedCache | null;
  readonly #key: string;

  private constructor(
    options: PreparationOptions,
    stages: () => Promise<Stages>,
    cache: PreparedCache | null,
    key: string,
    brief: ProfileBrief,
  ) {
    this.#options = options;
    this.host = options.host;
    this.mode = options.mode;
    this.cwd = options.request.cwd;
    this.#stages = stages;
    this.#cache = cache;
    this.#key = key;
    this.brief = brief;
  }

  /** As it was asked for: see PreparationOptions. */
  get cacheOption(): string | null | undefined {
    return this.#options.cache;
  }

  /** Rejects with ProfileError: every problem of the profile, and what it requires and this host cannot give. */
  static async open(options: PreparationOptions): Promise<Preparation> {
    const { request, host, mode } = options;
    const files = readOnce(profileFiles());
    let loaded: Promise<Stages> | null = null;
    const stages = (): Promise<Stages> => {
      loaded ??= import("./stages.ts").then(({ Stages }) => new Stages(options, files));
      return loaded;
    };
    const cache = PreparedCache.open(options.cache);
    const key = cache?.profileKey(request, host, mode) ?? "";
    const known = cache?.readProfile(key, request, files) ?? null;
    if (known !== null) return new Preparation(options, stages, cache, key, known);
    const made = new Preparation(options, stages, cache, key, (await stages()).brief);
    await made.plan(null, []);
    cache?.writeProfile(key, made.brief);
    return made;
  }

  /** The plan for a command, or for none in particular. Rejects with ProfileError. */
  async plan(argv: readonly string[] | null, terminals: readonly number[]): Promise<LaunchPlan> {
    return (await this.#stages()).plan(argv, this.#facts(argv), terminals);
  }

  /** A launcher that has its command, or takes it from its arguments. Rejects with ProfileError. */
  async launcher(
    argv: readonly string[] | null,
  ): Promise<{ readonly image: Uint8Array; readonly plan: LaunchPlan }> {
    // A closure is found from the command: a launcher that takes any command would show none of them.
    const { root } = this.brief.spec.filesystem;
    const known = argv ?? (root.type === "closure" && this.mode === "standalone" ? [] : null);
    const launcher = await (await this.#stages()).launcher(argv, this.#facts(known), []);
    claimWrites(this.brief);
    return launcher;
  }

  /** All that a run of this command with these terminals takes. Rejects with ProfileError. */
  async parts(argv: readonly string[], terminals: readonly number[]): Promise<PreparedParts> {
    const facts = this.#facts(argv);
    const key = this.#cache?.launchKey(this.#key, this.brief, facts, terminals) ?? "";
    const kept = this.#cache?.readLaunch(key);
    const parts = kept ?? (await (await this.#stages()).parts(argv, facts, terminals));
    if (kept == null) this.#cache?.writeLaunch(key, parts);
    claimWrites(this.brief);
    return parts;
  }

  /** What the compiler must know of this host's paths and of the command. */
  #facts(argv: readonly string[] | null): RequestFacts {
    const { brief, host, cwd } = this;
    const { root } = brief.spec.filesystem;
    const where: Provenance = { kind: "option", option: "command" };
    const searchPath = brief.spec.environment.set["PATH"] ?? "/usr/bin:/bin";
    const command = argv === null ? null : unwrap(probeCommand(argv, { cwd, root, searchPath, where }));
    const more = [
      ...(command?.closure ?? []),
      ...(command?.hostPath == null ? [] : [command.hostPath, ...placesInside(brief.spec, command.hostPath)]),
    ];
    const { write } = brief.spec.filesystem;
    const installTree = root.type === "system" && write !== "none" ? probeInstallTree() : [];
    const paths = probePaths(namedPaths(brief, host, cwd, more), layers(brief));
    return {
      cwd,
      paths,
      installTree,
      ownPlaces: this.#ownPlaces(),
      command,
      selinux: this.#labels(),
      apparmorMode: this.#apparmorMode(),
    };
  }

  #ownPlaces(): readonly OwnPlace[] {
    // Looked at only where it matters: most runs show the payload nothing of the host's that it may write to.
    if (writablePaths(this.brief.spec, this.cwd).length === 0) return [];
    const { cache, log } = this.#options;
    const directory = cache === undefined ? cacheDirectory() : cache;
    return [
      ...(directory === null ? [] : [probeOwnPlace("cache", resolve(directory))]),
      ...(log === null ? [] : [probeOwnPlace("log", log)]),
    ];
  }

  /** How the profile is held that is named: loaded, changed and removed by others. */
  #apparmorMode(): RequestFacts["apparmorMode"] {
    const { type, apparmorProfile } = this.brief.spec.lsm;
    const asked = apparmorProfile !== null && (type === "any" || type === "apparmor");
    return asked && this.host.lsm.apparmor !== null ? probeMode(apparmorProfile) : null;
  }

  /** What the loaded SELinux policy knows of the labels that this profile may use: modules come and go. */
  #labels(): RequestFacts["selinux"] {
    const { spec, selinuxDigest: digest } = this.brief;
    const { selinux } = this.host.lsm;
    if (!takesSelinuxModule(spec, selinux)) return null;
    return {
      digest,
      known: probeLabels(labelsAsked(spec, selinux, digest)),
      permissive: probePermissive(domainAsked(spec, selinux, digest)),
    };
  }
}

/** What was compared with the cache is what is resolved: each file is read once. */
function readOnce(files: ProfileFiles): ProfileFiles {
  const seen = new Map<string, ReturnType<ProfileFiles["read"]>>();
  return {
    ...files,
    read(path) {
      const known = seen.get(path);
      if (known !== undefined) return known;
      const content = files.read(path);
      seen.set(path, content);
      return content;
    },
  };
}

/** Every host path that the compiler will ask about. */
function namedPaths(
  { spec }: ProfileBrief,
  host: HostFacts,
  cwd: string,
  more: readonly string[],
): readonly string[] {
  const { mounts, masked } = spec.filesystem;
  return [
    cwd,
    "/etc/resolv.conf",
    ...masked,
    ...Object.keys(host.systemEtc),
    ...spec.resources.io.map(({ device }) => blockDevicePath(device)),
    ...spec.resources.io.map(({ device }) => partitionMark(device)),
    ...mounts.flatMap((mount) => (mount.type === "bind" ? [mount.source] : [])),
    ...more,
  ];
}

/** Of these, the directories that become layers of an overlay. */
function layers({ spec }: ProfileBrief): Layers {
  const { root, write } = spec.filesystem;
  return {
    root: root.type === "directory" ? root.path : null,
    writes: typeof write === "object" ? write.directory : null,
  };
}

/** Before a launcher that keeps writes is made: its directory is empty or ours, and bears our mark from then on. */
function claimWrites(brief: ProfileBrief): void {
  const { writes } = layers(brief);
  if (writes === null) return;
  const problem = { where: brief.write, pointer: "/filesystem/write" };
  let ours: boolean;
  try {
    ours = claimForWrites(writes);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    const message = `${writes} cannot be marked as a directory that keeps writes: ${code}`;
    const hint = "choose a directory that you may write to";
    throw new ProfileError([{ ...problem, kind: "path-missing", message, hint }]);
  }
  if (!ours) throw new ProfileError([{ ...problem, ...foreignWrites(writes) }]);
}
