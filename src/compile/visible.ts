/**
 * Which host paths the payload's root shows, and where. Pure; used for the command, the working directory, and messages.
 */
import type { Spec } from "../profile/spec.ts";
import type { Draft } from "./draft.ts";

/** True when `path` is at, or below, `directory`. */
export function isBelow(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** True when the host's `path` is seen inside at the same path. */
export function isShown(draft: Draft, path: string): boolean {
  const { root, mounts, workdir } = draft.spec.filesystem;
  const above = mounts
    .filter((mount) => (mount.type === "bind" || mount.type === "tmpfs") && isBelow(path, mount.target))
    .toSorted((a, b) => b.target.length - a.target.length)[0];
  if (above?.type === "bind" && above.source === above.target) return true;
  if (workdir !== "none" && isBelow(path, draft.request.cwd)) return true;
  if (above !== undefined) return false;
  return root.type === "system" && Object.keys(draft.host.systemRoot).some((top) => isBelow(path, top));
}

/**
 * Host paths where a command's path may lie when the root is not the host's: in the rootfs, or under a bind that covers it. The request's
 * facts must include them.
 */
export function placesInside({ filesystem }: Pick<Spec, "filesystem">, path: string): readonly string[] {
  const binds = filesystem.mounts.flatMap((mount) =>
    mount.type === "bind" && isBelow(path, mount.target)
      ? [`${mount.source}${path.slice(mount.target.length)}`]
      : [],
  );
  return [...binds, ...(filesystem.root.type === "directory" ? [`${filesystem.root.path}${path}`] : [])];
}

/** Where the payload starts. */
export function workingDirectory(draft: Draft): string {
  const { cwd } = draft.request;
  return draft.spec.process.workdir ?? (isShown(draft, cwd) ? cwd : "/");
}
