/**
 * Where a user's own files of this tool lie, by the XDG base directory specification: the one place that asks for a home directory.
 * Gives absolute paths or null, never one that depends on the working directory, which may be a payload's to write.
 */
import { userInfo } from "node:os";

export type Environment = Readonly<Record<string, string | undefined>>;

/** HOME where it is absolute, else the home directory of the user database; null: neither knows one. */
function homeDirectory({ HOME: home }: Environment): string | null {
  if (home?.startsWith("/") === true) return home;
  try {
    const { homedir } = userInfo();
    return homedir.startsWith("/") ? homedir : null;
  } catch (error) {
    // Ids without an entry, as in a container that is run as any user.
    if (error instanceof Error && "code" in error && error.code === "ERR_SYSTEM_ERROR") return null;
    throw error;
  }
}

/** A relative path in such a variable is to be ignored, says the specification. */
function base(named: string | undefined, below: string, environment: Environment): string | null {
  if (named?.startsWith("/") === true) return named;
  const home = homeDirectory(environment);
  return home === null ? null : `${home}/${below}`;
}

/** $XDG_CACHE_HOME, else ~/.cache. */
export const cacheBase = (environment: Environment = process.env): string | null =>
  base(environment["XDG_CACHE_HOME"], ".cache", environment);

/** $XDG_STATE_HOME, else ~/.local/state. */
export const stateBase = (environment: Environment = process.env): string | null =>
  base(environment["XDG_STATE_HOME"], ".local/state", environment);

/** $XDG_RUNTIME_DIR, which has no substitute. */
export function runtimeBase({ XDG_RUNTIME_DIR: named }: Environment = process.env): string | null {
  return named?.startsWith("/") === true ? named : null;
}
