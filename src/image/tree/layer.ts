/** A layer that was read: its entries in order, each file with what is known of its content. Not applied to anything yet. */

import type { Budget } from "../budget.ts";
import { collect } from "../content/collector.ts";
import type { Content } from "../content/content.ts";
import type { Entry, EntryHandler } from "../tar/entry.ts";

export interface LayerEntry {
  readonly entry: Entry;
  /** Of a regular file. */
  readonly content: Content | null;
}

/** A handler for a reader of entries, and the list that it fills. */
export function gather(budget: Budget): { readonly handler: EntryHandler; readonly entries: LayerEntry[] } {
  const entries: LayerEntry[] = [];
  const handler: EntryHandler = (entry) => {
    if (entry.type !== "file") {
      entries.push({ entry, content: null });
      return null;
    }
    const index = entries.length;
    // Its place in the order is where it begins.
    return collect(entry.path, entry.size, budget, (content) => {
      entries[index] = { entry, content };
    });
  };
  return { handler, entries };
}
