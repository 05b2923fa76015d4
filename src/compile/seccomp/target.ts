/** What a filter is compiled for, next to the spec: everything else that may change its bytes or its messages. */
import type { Arch } from "../../host/facts.ts";
import type { Provenance } from "../../problems.ts";

/** A kernel that has everything: rules for newer kernels count. */
export const NEWEST_KERNEL = { major: 99, minor: 0 };

export interface FilterTarget {
  readonly arch: Arch;
  /** The payload's bounding set, names: what `includes.caps` and `excludes.caps` ask about (as in Docker). */
  readonly capabilities: readonly string[];
  readonly kernel: { readonly major: number; readonly minor: number };
  /**
   * The rules were written for other programs that load filters: calls for a supervisor or tracer keep their meaning, and names of calls that no
   * kernel has are left out with a note. In a profile of ours both are mistakes.
   */
  readonly foreign?: boolean;
  /** Where a field of the resolved profile was written; pointers such as `/seccomp/syscalls/3/names/0`. */
  readonly locate?: (pointer: string) => Provenance;
}

/** Provenance of a pointer, or the default when the caller keeps none. */
export function locate(target: FilterTarget, pointer: string): Provenance {
  return target.locate?.(pointer) ?? { kind: "default" };
}
