/**
 * What an image is stored in, as named files: a directory on disk or a tar file. Names are looked up in a table, never on a file system
 * with "..": a manifest cannot name a file outside.
 */
import type { Budget } from "../budget.ts";
import { malformed, tooLarge } from "../refusal.ts";

export interface Container {
  readonly has: (name: string) => boolean;
  /** Bytes as stored; null when there is no such file. */
  readonly size: (name: string) => number | null;
  /** The content; the pieces may be reused by the reader. */
  readonly stream: (name: string) => AsyncIterable<Buffer>;
}

/** All of a small file. Throws when it is missing or longer than a document may be. */
export async function readDocument(container: Container, name: string, budget: Budget): Promise<Buffer> {
  const size = container.size(name);
  if (size === null) throw malformed(`there is no file ${name}`);
  const longest = budget.limits.document;
  if (size > longest) throw tooLarge(`${name} is longer than ${longest} bytes`, "document");
  const parts: Buffer[] = [];
  for await (const chunk of container.stream(name)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}
