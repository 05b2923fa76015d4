/** Which files a profile opens: host paths that are shown inside, and what inside can be written and executed. Pure. */
import type { Spec } from "../profile/spec.ts";

export interface OpenPath {
  /** Where it is inside. */
  readonly inside: string;
  /** What is shown there: a path of the host; WORKING_DIRECTORY, whose name is not known before the run; null: nothing of the host. */
  readonly host: string | null;
  readonly writable: boolean;
  readonly executable: boolean;
  /** What is written outlives the run, on the host. */
  readonly kept: boolean;
  /** JSON pointer of what opens it. */
  readonly pointer: string;
}

export const WORKING_DIRECTORY = "working directory";

export function openPaths({ filesystem }: Spec): readonly OpenPath[] {
  const { root, write, mounts, workdir, devices } = filesystem;
  const paths: OpenPath[] = [];
  const host = root.type === "directory" && isOfHost(root.path) ? root.path : null;
  // A bundle's own root, written in place, is no part of the host.
  const kept = typeof write === "object" && isOfHost(write.directory);
  if (host !== null || write !== "none") {
    paths.push({
      inside: "/",
      host: kept && host === null ? write.directory : host,
      writable: write !== "none",
      executable: true,
      kept,
      pointer: write === "none" ? "/filesystem/root" : "/filesystem/write",
    });
  }
  for (const [index, mount] of mounts.entries()) {
    const pointer = `/filesystem/mounts/${index}`;
    if (mount.type === "bind")
      paths.push({
        inside: mount.target,
        host: mount.source,
        writable: !mount.readOnly,
        executable: !mount.noExec,
        kept: !mount.readOnly,
        pointer,
      });
    if (mount.type === "tmpfs" && !mount.readOnly)
      paths.push({
        inside: mount.target,
        host: null,
        writable: true,
        executable: !mount.noExec,
        kept: false,
        pointer,
      });
  }
  if (workdir !== "none")
    paths.push({
      inside: WORKING_DIRECTORY,
      host: WORKING_DIRECTORY,
      writable: workdir === "rw",
      executable: true,
      kept: workdir === "rw",
      pointer: "/filesystem/workdir",
    });
  // Its own instance, nosuid, nodev and noexec.
  if (devices.includes("shm"))
    paths.push({
      inside: "/dev/shm",
      host: null,
      writable: true,
      executable: false,
      kept: false,
      pointer: "/filesystem/devices",
    });
  return paths;
}

/** A relative path is one beside the document that names it: a bundle's root. */
const isOfHost = (path: string): boolean => path.startsWith("/") || path.split("/").includes("..");

/** The same path or one above or below it: whoever has one has a part of the other. */
export function overlaps(a: string, b: string): boolean {
  const inside = (path: string, directory: string): boolean =>
    directory === "/" || path === directory || path.startsWith(`${directory}/`);
  return inside(a, b) || inside(b, a);
}
