/** `landlock`: every right is there, paths are made canonical, ports are each there once and in order. */

import {
  FS_RIGHT_NAMES,
  type FsRight,
  NET_RIGHT_NAMES,
  type NetRight,
  SCOPE_NAMES,
} from "../program/landlock.ts";
import type { AuthorLandlock } from "./author.ts";
import { checkAbsolute } from "./paths.ts";
import type { Report } from "./report.ts";
import type { LandlockSpec } from "./spec.ts";

export function normaliseLandlock(author: AuthorLandlock, report: Report): LandlockSpec {
  const paths = (right: FsRight): "derived" | readonly string[] => {
    const listed = author.fs?.[right] ?? "derived";
    if (listed === "derived") return listed;
    return [
      ...new Set(listed.map((path, index) => checkAbsolute(path, `/landlock/fs/${right}/${index}`, report))),
    ];
  };
  const ports = (right: NetRight): "any" | readonly number[] => {
    const listed = author.net?.[right] ?? "any";
    return listed === "any" ? listed : [...new Set(listed)].toSorted((a, b) => a - b);
  };
  return {
    fs: record(FS_RIGHT_NAMES, paths),
    net: record(NET_RIGHT_NAMES, ports),
    scope: record(SCOPE_NAMES, (scope) => author.scope?.[scope] ?? true),
    log: author.log ?? false,
  };
}

function record<Name extends string, T>(
  names: readonly Name[],
  of: (name: Name) => T,
): Readonly<Record<Name, T>> {
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, T>;
}
