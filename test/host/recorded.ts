/**
 * A recorded tree that answers as a machine would: text is a file, an object says more. Directories above an entry exist.
 */
import type { FileStatus, HostFiles } from "../../src/host/files.ts";

export type Entry =
  | string
  | {
      readonly text?: string;
      readonly link?: string;
      readonly type?: FileStatus["type"];
      readonly mode?: number;
      readonly uid?: number;
      readonly writable?: boolean;
      readonly key?: string;
    };
export type Tree = Readonly<Record<string, Entry>>;

export function recorded(tree: Tree): HostFiles {
  const entries = new Map(Object.entries(tree));
  const below = (path: string): readonly string[] =>
    [...entries.keys()].filter((key) => key.startsWith(`${path === "/" ? "" : path}/`));
  return {
    read: (path) => {
      const entry = entries.get(path);
      return typeof entry === "string" ? entry : (entry?.text ?? null);
    },
    list: (path) => [...new Set(below(path).map((key) => key.slice(path.length + 1).split("/")[0] ?? ""))],
    link: (path) => {
      const entry = entries.get(path);
      return typeof entry === "object" ? (entry.link ?? null) : null;
    },
    status: (path) => {
      const entry = entries.get(path);
      if (entry === undefined && below(path).length === 0) return null;
      const more = typeof entry === "object" ? entry : {};
      return {
        type: more.type ?? (entry === undefined ? "directory" : "file"),
        uid: more.uid ?? 0,
        gid: 0,
        mode: more.mode ?? 0o644,
        key: more.key ?? path,
      };
    },
    writable: (path) => {
      const entry = entries.get(path);
      return typeof entry === "object" && entry.writable === true;
    },
  };
}

/** A cgroup v2 directory: its files, and whether the caller may write it. */
export function cgroup2(
  path: string,
  options: { controllers?: string; subtree?: string; procs?: string; writable?: boolean; root?: boolean },
): Tree {
  const writable = options.writable ?? false;
  return {
    [path]: { type: "directory", writable },
    [`${path}/cgroup.procs`]: { text: options.procs ?? "", writable },
    [`${path}/cgroup.subtree_control`]: { text: `${options.subtree ?? ""}\n`, writable },
    [`${path}/cgroup.controllers`]: `${options.controllers ?? ""}\n`,
    ...(options.root === true
      ? {}
      : {
          [`${path}/cgroup.type`]: "domain\n",
          [`${path}/memory.max`]: "max\n",
          [`${path}/memory.swap.max`]: "max\n",
        }),
  };
}

export const NAMESPACE_LINKS: Tree = Object.fromEntries(
  ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"].map((name) => [
    `/proc/self/ns/${name}`,
    { link: `${name}:[4026531837]` },
  ]),
);

/** The text of a recorded file. */
export function textOf(tree: Tree, path: string): string {
  const entry = tree[path];
  return typeof entry === "string" ? entry : (entry?.text ?? "");
}
