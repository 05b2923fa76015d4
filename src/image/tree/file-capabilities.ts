/**
 * File capabilities of files that lie open in a directory. They are extended attributes, which Node cannot read: koffi is loaded, for
 * directories alone. What could not be read is a gap and never "none": where koffi does not load, on other systems than Linux, and in a
 * user namespace to which the attribute has no meaning (EOVERFLOW, user_namespaces(7)).
 */
import type { ReadAttribute } from "../../kernel/attributes.ts";
import type { Gap } from "../packages/package.ts";

export interface CapabilityReader {
  /** The attribute of the file that is open; null when there is none. */
  readonly read: (descriptor: number, path: string) => Buffer | null;
  /** Of all that was read so far. */
  readonly gaps: () => readonly Gap[];
}

const NAME = "security.capability";

export async function capabilityReader(
  open: () => Promise<ReadAttribute> = openHere,
): Promise<CapabilityReader> {
  let attribute: ReadAttribute;
  try {
    attribute = await open();
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    const gap = {
      path: "",
      reason: `file capabilities are extended attributes, which cannot be read here (${reason}): give a tar file`,
      of: "file-capabilities" as const,
    };
    return { read: () => null, gaps: () => [gap] };
  }
  const unread: string[] = [];
  let first = "";
  return {
    read: (descriptor, path) => {
      const value = attribute(descriptor, NAME);
      if (typeof value !== "string") return value;
      if (unread.length === 0) first = value;
      unread.push(path);
      return null;
    },
    gaps: () => {
      const [path] = unread;
      if (path === undefined) return [];
      const others = unread.length === 1 ? "" : `, nor those of ${unread.length - 1} other files`;
      const of = "file-capabilities";
      return [
        { path, of, reason: `its file capabilities cannot be read (${first})${others}: give a tar file` },
      ];
    },
  };
}

async function openHere(): Promise<ReadAttribute> {
  if (process.platform !== "linux") throw new Error(`this is ${process.platform}, not Linux`);
  return (await import("../../kernel/attributes.ts")).openAttributes();
}
