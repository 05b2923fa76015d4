/**
 * Keeps what is ours out of the payload's reach: the cache holds launchers that later runs execute on the host, and the log is evidence. A
 * directory on the way to them is as good as they themselves: who writes there can put another in its place. Pure; adds no step.
 */
import type { OwnPlace } from "../host/facts.ts";
import type { Spec } from "../profile/spec.ts";
import type { Draft } from "./draft.ts";
import { isBelow } from "./visible.ts";
import { authorMounts } from "./wanted-mounts.ts";

/** Where the payload could write to, or replace, a place of ours; null: nowhere. */
export interface Exposure {
  /** The place of ours. */
  readonly place: string;
  /** The host path that is writable inside, and the field that asked for it. */
  readonly writable: string;
  readonly pointer: string;
}

export function findExposure(draft: Draft, use: OwnPlace["use"]): Exposure | null {
  for (const { path: place, way } of draft.request.ownPlaces.filter((own) => own.use === use)) {
    for (const { path, pointer } of writablePaths(draft.spec, draft.request.cwd)) {
      const real = draft.request.paths[path]?.real ?? path;
      if (way.some((directory) => isBelow(directory, real))) return { place, writable: path, pointer };
    }
  }
  return null;
}

/** A forged entry of the cache would be run on the host, by the next run of anything. */
export function keepCacheOut(draft: Draft): void {
  const exposed = findExposure(draft, "cache");
  if (exposed === null) return;
  draft.problem({
    kind: "profile-contradiction",
    pointer: exposed.pointer,
    message: `${exposed.writable} would be writable inside, and with it ${exposed.place}, which holds the launchers of later runs`,
    hint: "make a narrower directory writable, or keep the cache elsewhere (XDG_CACHE_HOME)",
  });
}

/** Host paths that the payload may write to, each with the field that asked for it. */
export function writablePaths(
  spec: Pick<Spec, "filesystem">,
  cwd: string,
): readonly { readonly path: string; readonly pointer: string }[] {
  const { write } = spec.filesystem;
  const binds = authorMounts(spec, cwd).flatMap(({ mount, pointer }) =>
    mount.type === "bind" && !mount.readOnly ? [{ path: mount.source, pointer }] : [],
  );
  return typeof write === "object"
    ? [...binds, { path: write.directory, pointer: "/filesystem/write" }]
    : binds;
}
