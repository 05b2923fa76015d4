/**
 * The launchers of one sandbox that are kept ready, one for each way to run it: planned and encoded when first asked for, let go of when
 * there are too many or what they rest on has changed.
 */
import { recordDecision } from "./audit/record.ts";
import type { DecisionRecord } from "./audit/records.ts";
import type { Redactor } from "./audit/redact.ts";
import type { Decision, SupervisorPlan } from "./compile/plan.ts";
import { usePolicy } from "./host/apparmor-use.ts";
import { type PreparedLaunch, prepareSheet } from "./launch/request.ts";
import type { Preparation } from "./prepare.ts";
import { Shared } from "./shared.ts";

/** One way to run a sandbox: with this command's needs and these terminals. */
export interface Variant {
  readonly decisions: readonly DecisionRecord[];
  readonly planDigest: string;
  readonly launcherDigest: string;
  readonly prepared: PreparedLaunch;
  /** The launcher, and the policy that its payloads run under: taken away from a payload, it would leave that unconfined. */
  readonly held: Shared;
}

/** Each is a descriptor, and commands given as paths have one of their own. */
const MOST_VARIANTS = 64;

/** Whoever gets a variant begins to use it (`held`) in the same turn: then letting go of it waits for the end of that. */
export class Variants {
  readonly #preparation: Preparation;
  readonly #redactor: Redactor;
  readonly #ready = new Map<string, Promise<Variant>>();

  constructor(preparation: Preparation, redactor: Redactor) {
    this.#preparation = preparation;
    this.#redactor = redactor;
  }

  /** Rejects with ProfileError when this command cannot be planned, or its policy not be loaded. */
  get(argv: readonly string[], terminals: readonly number[]): Promise<Variant> {
    const key = this.#key(argv, terminals);
    const known = this.#ready.get(key);
    // Found or made, it becomes the newest.
    this.#ready.delete(key);
    const variant = known ?? this.#prepare(argv, terminals);
    this.#ready.set(key, variant);
    if (known !== undefined) return known;
    this.#dropOldest();
    // What could not be planned now may be later: a path that was missing.
    variant.catch(() => this.drop(variant));
    return variant;
  }

  /** What this variant rests on has changed: the next run of the command is planned anew. */
  drop(variant: Promise<Variant>): void {
    for (const [key, ready] of this.#ready) if (ready === variant) this.#remove(key, variant);
  }

  /** Let go of all of them. Runs that use one go on. */
  close(): void {
    for (const [key, variant] of this.#ready) this.#remove(key, variant);
  }

  /** Commands that are looked up inside share a launcher. */
  #key(argv: readonly string[], terminals: readonly number[]): string {
    const { root } = this.#preparation.brief.spec.filesystem;
    const [name] = argv;
    const particular = name !== undefined && (name.includes("/") || root.type === "closure") ? name : "";
    return `${terminals.join()} ${particular}`;
  }

  #dropOldest(): void {
    for (const [key, variant] of this.#ready) {
      if (this.#ready.size <= MOST_VARIANTS) return;
      this.#remove(key, variant);
    }
  }

  #remove(key: string, variant: Promise<Variant>): void {
    this.#ready.delete(key);
    closeWhenReady(variant);
  }

  async #prepare(argv: readonly string[], terminals: readonly number[]): Promise<Variant> {
    const { sheet, image, planDigest, launcherDigest } = await this.#preparation.parts(argv, terminals);
    const { decisions, supervisor } = sheet.plan;
    const prepared = prepareSheet(sheet, image);
    const letGo = this.#usePolicy(supervisor.apparmor, decisions, () => prepared.close());
    return {
      decisions: decisions.map((decision) => recordDecision(decision, this.#redactor)),
      planDigest,
      launcherDigest,
      prepared,
      held: new Shared(() => {
        prepared.close();
        letGo();
      }),
    };
  }

  /** The policy that a plan names is in force before its first launch. `failed` is called when it cannot be. */
  #usePolicy(
    policy: SupervisorPlan["apparmor"],
    decisions: readonly Decision[],
    failed: () => void,
  ): () => void {
    if (policy === null) return () => undefined;
    const where = decisions.find(({ id }) => id === "lsm")?.provenance ?? { kind: "default" };
    try {
      return usePolicy({ policy, host: this.#preparation.host, where, cache: this.#preparation.cacheOption });
    } catch (error) {
      failed();
      throw error;
    }
  }
}

function closeWhenReady(variant: Promise<Variant>): void {
  variant.then(
    ({ held }) => held.close(),
    // Its run was told.
    () => undefined,
  );
}
