/**
 * Takes the name of an entry, gives its path from the root of the image: components joined by "/", "" for the root itself.
 * A leading "/" or "./" means the root, as runtimes take it. ".." is refused, not resolved: honest writers have no use for it.
 */
import type { Limits } from "../limits.ts";
import { hostile, tooLarge } from "../refusal.ts";

/** NAME_MAX of every file system that a container's root can be on. */
const NAME_MAX = 255;

export function entryPath(name: string, limits: Limits): string {
  // Two bytes of a name are never shorter than one unit of text, so this bounds the work below too.
  if (name.length > limits.path) throw tooLarge(`a name is longer than ${limits.path} bytes`, "path");
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length > limits.depth) throw tooLarge(`a path has more than ${limits.depth} components`, "depth");
  for (const part of parts) {
    if (part === "..") throw hostile(`the name ${name} leads out of its directory`);
    if (part.includes("\0")) throw hostile(`the name ${name} has a NUL byte`);
    if (part.length > NAME_MAX || Buffer.byteLength(part) > NAME_MAX)
      throw hostile(
        `the name ${part.slice(0, 40)}... is longer than ${NAME_MAX} bytes, which no file system holds`,
      );
  }
  return parts.join("/");
}
