/**
 * Where this tool keeps what decides about later runs, and what tells of earlier ones: a payload that may write there could run its own
 * launcher next time, or change the log. Takes paths, gives how they are reached; opens nothing.
 */
import { realpathSync } from "node:fs";
import type { OwnPlace } from "./facts.ts";
import { errorCode } from "./files.ts";

/** The place with the real path of every directory on the way to it: links on the way lead through more than its name says. */
export function probeOwnPlace(use: OwnPlace["use"], path: string): OwnPlace {
  const way = new Set<string>();
  for (let end = path.indexOf("/", 1); ; end = path.indexOf("/", end + 1)) {
    const real = realPath(end === -1 ? path : path.slice(0, end));
    // What is not there yet is made in what is.
    if (real === null) break;
    for (let at = real; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) way.add(at);
    if (end === -1) break;
  }
  return { use, path, way: [...way].toSorted() };
}

function realPath(path: string): string | null {
  try {
    return realpathSync.native(path);
  } catch (error) {
    // Nor can a bind of this caller's show what this caller does not reach.
    if (errorCode(error) === undefined) throw error;
    return null;
  }
}
