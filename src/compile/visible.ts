/**
 * Which host paths the payload's root shows at their own place. Pure; used for the command, the working directory, and messages.
 */
import type { Draft } from "./draft.ts";

/** True when `path` is at, or below, `directory`. */
export function isBelow(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** True when the host's `path` is seen inside at the same path. */
export function isShown(draft: Draft, path: string): boolean {
  const { root, mounts, workdir } = draft.spec.filesystem;
  const hidden = mounts.some((mount) => mount.type === "tmpfs" && isBelow(path, mount.target));
  const bound = mounts.some(
    (mount) => mount.type === "bind" && mount.source === mount.target && isBelow(path, mount.target),
  );
  if (bound) return true;
  if (workdir !== "none" && isBelow(path, draft.request.cwd)) return true;
  if (hidden) return false;
  if (root.type === "directory") return false;
  return root.type === "system" && Object.keys(draft.host.systemRoot).some((top) => isBelow(path, top));
}

/** Where the payload starts. */
export function workingDirectory(draft: Draft): string {
  const { cwd } = draft.request;
  return draft.spec.process.workdir ?? (isShown(draft, cwd) ? cwd : "/");
}
