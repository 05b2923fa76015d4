/** /usr/local of a system root that takes writes: the payload's own, so that it can install programs there. */
import { bug } from "../problems.ts";
import {
  O_CLOEXEC,
  O_PATH,
  OPEN_FLAGS,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { OPEN_HOW_SIZE, openHow } from "./trees.ts";

/** /usr/local, as the layer of /usr sees it. */
const INSTALL_TOP = "local";

/**
 * Directories of /usr/local belong to root, and an overlay shows them so: the payload could write to /usr and not there. One of the
 * same name in the upper layer, made by the payload's own id, has its owner and mode shown instead, and the content of both. Where a payload of an
 * earlier run left something else of that name, it stays.
 */
export function ownDirectories(
  draft: Draft,
  decision: string,
  upper: Operand,
  paths: readonly string[],
): void {
  const at = draft.phase("init.root", decision);
  const { O_DIRECTORY } = OPEN_FLAGS[draft.host.arch];
  const how = openHow(
    draft,
    O_PATH | O_DIRECTORY | O_CLOEXEC,
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
  );
  const opened = new Map<string, Operand>();
  for (const path of [INSTALL_TOP, ...paths.map((below) => `${INSTALL_TOP}/${below}`)]) {
    const cut = path.lastIndexOf("/");
    const parent = cut === -1 ? upper : (opened.get(path.slice(0, cut)) ?? bug(`no parent of ${path}`));
    const name = draft.text(path.slice(cut + 1));
    const target = `/usr/${path}`;
    // A parent that is none is a descriptor that is none.
    at.call(`own:${path}.make`, "the payload may install here", "mkdirat", [parent, name, 0o755], {
      target,
      onError: { errnos: { EEXIST: "next", EBADF: "next" } },
    });
    const directory = at.call(
      `own:${path}.open`,
      "that very directory",
      "openat2",
      [parent, name, how, OPEN_HOW_SIZE],
      {
        target,
        onError: { errnos: { ENOTDIR: "next", ELOOP: "next", ENOENT: "next", EBADF: "next" } },
      },
    );
    opened.set(path, directory);
  }
  for (const [path, directory] of opened)
    at.call(`own:${path}.close`, "done with it", "close", [directory], { onError: "continue" });
}
