/**
 * Which AppArmor profile of ours is in use: loaded before the first launch that needs it, removed after the last one, however many
 * sandboxes of however many processes share it. A use is a lock file, so that it ends with its owner, however that ends.
 *
 * Why nothing is removed under somebody: every use is taken, and the last one is found out, under one lock per profile, and a
 * profile is looked for after its use was taken.
 */
import { existsSync, mkdirSync, readlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { acquireLock, isDead, parseOwner, withLock } from "../audit/lock.ts";
import { cachePlace } from "../kernel/private-directory.ts";
import { ProfileError, type Provenance } from "../problems.ts";
import { loadedPolicies, loadPolicy, mayBeHeld, names, removePolicy } from "./apparmor.ts";
import { PATIENCE } from "./apparmor-compiled.ts";
import { probeMode } from "./apparmor-mode.ts";
import type { HostFacts } from "./facts.ts";

const DIRECTORY = "/run/sandbox/apparmor";

/** Uses of this process have numbers: it may have several of one profile. */
let taken = 0;

/** What must be loaded, by whom, and who asked for it. */
export interface PolicyUse {
  readonly policy: { readonly name: string; readonly text: string };
  readonly host: HostFacts;
  readonly where: Provenance;
  /** Directory for what was compiled; null: none; undefined: our own. */
  readonly cache: string | null | undefined;
}

/** Have a policy loaded until the function that is returned is called. Throws ProfileError when it cannot be loaded. */
export function usePolicy(use: PolicyUse): () => void {
  const { name } = use.policy;
  makeDirectory();
  taken += 1;
  const path = `${DIRECTORY}/${name}.use-${process.pid}-${taken}`;
  const end = locked(name, () => {
    const unlock = acquireLock(path);
    try {
      load(use);
    } catch (error) {
      unlock();
      throw error;
    }
    return unlock;
  });
  return () =>
    locked(name, () => {
      end();
      removeUnused(name);
    });
}

/** Remove what dead processes left loaded; gives the names. For who may load policy. */
export function removeUnusedPolicies(): readonly string[] {
  return names(DIRECTORY)
    .filter((entry) => entry.endsWith(LOADED))
    .map((entry) => entry.slice(0, -LOADED.length))
    .filter((name) => locked(name, () => removeUnused(name)));
}

const makeDirectory = (): unknown => mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
const LOADED = ".loaded";
/** There while a profile may be loaded that we loaded: what an administrator loaded under the same name is not ours to remove. */
const loadedMark = (name: string): string => `${DIRECTORY}/${name}${LOADED}`;
/** One at a time for each profile; longer than loading may take, which is what others do under the lock. */
const locked = <T>(name: string, work: () => T): T =>
  withLock(`${DIRECTORY}/${name}.lock`, work, { timeout: PATIENCE + 10_000 });

function load({ policy, host, where, cache }: PolicyUse): void {
  const { name } = policy;
  if (loadedPolicies().includes(name)) {
    refuseIdle(name, where);
    return;
  }
  const parser = host.lsm.apparmor?.parser ?? null;
  // Before it is loaded: whoever is killed in between leaves nothing that nobody would remove.
  writeFileSync(loadedMark(name), "");
  const refused =
    parser === null
      ? "apparmor_parser is not installed"
      : loadPolicy({ ...policy, parser, cache: cachePlace(cache) });
  if (refused === null) return;
  unlinkSync(loadedMark(name));
  refuse(
    where,
    `the AppArmor profile ${name} cannot be loaded: ${refused}`,
    "sandbox profile export prints it; --set /lsm/type='\"none\"' runs without it",
  );
}

/** What an administrator loaded under the name is used as it is, but not taken for more: in mode complain it refuses nothing. */
function refuseIdle(name: string, where: Provenance): void {
  const mode = probeMode(name);
  if (mode === "enforce" || mode === "kill") return;
  refuse(
    where,
    `the AppArmor profile ${name} is loaded already, in mode ${mode ?? "unknown"}: what it should refuse is let through`,
    `sudo apparmor_parser --remove, or --replace with what sandbox profile export prints; --set /lsm/apparmorProfile='"${name}"' takes it as it is, and the decision says so`,
  );
}

function refuse(where: Provenance, message: string, hint: string): never {
  throw new ProfileError([{ kind: "host-cannot", where, pointer: "/lsm/type", message, hint }]);
}

/** With the profile's lock held. A profile that is taken from a running process would leave it unconfined. */
function removeUnused(name: string): boolean {
  const prefix = `${name}.use-`;
  const used = names(DIRECTORY).filter((entry) => entry.startsWith(prefix) && !entry.includes(".break-"));
  if (used.some((entry) => !isLeft(`${DIRECTORY}/${entry}`))) return false;
  for (const entry of used) unlinkSync(`${DIRECTORY}/${entry}`);
  // A launcher by itself, or a sandbox whose supervisor was killed a moment ago.
  if (!existsSync(loadedMark(name)) || mayBeHeld(name)) return false;
  const removed = removePolicy(name);
  unlinkSync(loadedMark(name));
  return removed;
}

/** Whether a use is over because its owner is dead. What cannot be judged is not. */
function isLeft(path: string): boolean {
  const owner = parseOwner(readlinkSync(path, "latin1"));
  return owner !== null && isDead(owner);
}
