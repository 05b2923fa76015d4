/** The supervisor's own namespaces, to compare the payload's with. */
import { readlinkSync } from "node:fs";
import { errorCode } from "./errors.ts";
import type { NamespaceName, OwnNamespaces } from "./read-back.ts";

const NAMESPACE_LINKS: readonly NamespaceName[] = [
  "user",
  "mnt",
  "pid",
  "net",
  "ipc",
  "uts",
  "cgroup",
  "time",
];
let namespaces: OwnNamespaces | null = null;

/** Read once: nothing in this process changes them. */
export function ownNamespaces(): OwnNamespaces {
  namespaces ??= Object.fromEntries(
    NAMESPACE_LINKS.flatMap((name) => {
      try {
        return [[name, readlinkSync(`/proc/self/ns/${name}`)] as const];
      } catch (error) {
        if (errorCode(error) === "ENOENT") return []; // A kernel without this kind.
        throw error;
      }
    }),
  );
  return namespaces;
}
