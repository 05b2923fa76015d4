/**
 * The pure stages, for one profile on one host. Nothing is done before it is asked for, and nothing twice.
 *
 *   profile --resolve--> spec --compile--> launch plan --encode--> launcher
 */
import { hash } from "node:crypto";
import { compile } from "./compile/index.ts";
import { writeSelinuxModule } from "./compile/lsm/selinux-cil.ts";
import { takesSelinuxModule } from "./compile/lsm/selinux-names.ts";
import type { LaunchPlan } from "./compile/plan.ts";
import { encodeProgram } from "./encode/index.ts";
import type { RequestFacts } from "./host/facts.ts";
import { type CompiledFilter, compileFilter } from "./kernel/filter.ts";
import { makeSheet } from "./launch/sheet.ts";
import type { PreparationOptions } from "./prepare.ts";
import type { PreparedParts, ProfileBrief } from "./prepared-cache.ts";
import { type Checked, unwrap } from "./problems.ts";
import { locate } from "./profile/provenance.ts";
import { type ProfileFiles, resolveProfile } from "./profile/resolve.ts";
import type { ResolvedProfile } from "./profile/spec.ts";
import { toCanonicalJson } from "./program/json.ts";

const digest = (text: string): string => hash("sha256", text, "hex");

export class Stages {
  readonly #options: PreparationOptions;
  readonly #files: ProfileFiles;
  #resolved: ResolvedProfile | null = null;
  #filter: Promise<Checked<CompiledFilter> | null> | null = null;

  constructor(options: PreparationOptions, files: ProfileFiles) {
    this.#options = options;
    this.#files = files;
  }

  get profile(): ResolvedProfile {
    this.#resolved ??= unwrap(resolveProfile(this.#options.request, this.#files));
    return this.#resolved;
  }

  get brief(): ProfileBrief {
    const { spec, sources } = this.profile;
    const { seccomp: _, ...rest } = spec;
    return {
      spec: rest,
      sources,
      audit: locate(this.profile, "/audit"),
      redact: locate(this.profile, "/audit/redact"),
      write: locate(this.profile, "/filesystem/write"),
      selinuxDigest: this.#selinuxDigest(),
    };
  }

  /** The module is written only where its digest will be asked for. */
  #selinuxDigest(): string {
    if (!takesSelinuxModule(this.profile.spec, this.#options.host.lsm.selinux)) return "";
    return writeSelinuxModule(this.profile, (text) => hash("sha256", text, "hex")).digest;
  }

  async plan(
    argv: readonly string[] | null,
    request: RequestFacts,
    terminal: readonly number[],
  ): Promise<LaunchPlan> {
    const { profile } = this;
    const { host, mode } = this.#options;
    this.#filter ??= buildFilter(profile, this.#options);
    const filter = await this.#filter;
    const proved = filter === null ? null : unwrap(filter);
    return unwrap(compile(profile, { host, request, mode, terminal, filter: proved, command: argv, digest }));
  }

  async launcher(
    ...request: Parameters<Stages["plan"]>
  ): Promise<{ readonly image: Uint8Array; readonly plan: LaunchPlan }> {
    const plan = await this.plan(...request);
    return { image: encodeProgram(plan.program), plan };
  }

  async parts(...request: Parameters<Stages["plan"]>): Promise<PreparedParts> {
    const { image, plan } = await this.launcher(...request);
    return {
      sheet: makeSheet(plan),
      image,
      planDigest: hash("sha256", toCanonicalJson(plan), "hex"),
      launcherDigest: hash("sha256", image, "hex"),
    };
  }
}

async function buildFilter(
  profile: ResolvedProfile,
  { host, cache }: PreparationOptions,
): Promise<Checked<CompiledFilter> | null> {
  const { spec } = profile;
  if (spec.seccomp === null) return null;
  const target = {
    arch: host.arch,
    capabilities: spec.capabilities.bounding,
    kernel: host.kernel,
    locate: (pointer: string) => locate(profile, pointer),
  };
  return compileFilter(spec.seccomp, target, cache === undefined ? {} : { cache });
}
