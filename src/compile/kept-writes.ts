/**
 * A directory that keeps the writes belongs to one run at a time: the monitor checks the mark that makes it ours and holds a lock on it
 * (flock(2)) until it ends. The lock dies with its holder, and is the same for a supervised run and a launcher that runs by itself.
 */
import { type PathFact, WRITES_MARK } from "../host/facts.ts";
import { buffer, load } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  LOCK_EX,
  LOCK_NB,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  S_IFREG,
  STATX_MODE,
  STATX_MODE_OFFSET,
  STATX_SIZE,
  STATX_TYPE,
  STATX_UID,
  STATX_UID_OFFSET,
} from "../program/constants.ts";
import type { Draft } from "./draft.ts";
import { WRITES_LOCK_STEP } from "./foreign-writes.ts";
import { OPEN_HOW_SIZE, openHostPath, openHow } from "./trees.ts";

export function lockWrites(draft: Draft, decision: string, { real }: PathFact): void {
  const at = draft.phase("monitor.writes", decision);
  const target = `${real}/${WRITES_MARK}`;
  const directory = openHostPath(draft, at, "writes", real);
  const beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const mark = at.call(
    "writes.mark",
    "the mark of a directory that keeps writes",
    "openat2",
    [
      directory,
      draft.text(WRITES_MARK),
      openHow(draft, O_RDONLY | O_NONBLOCK | O_CLOEXEC, beneath),
      OPEN_HOW_SIZE,
    ],
    { target },
  );
  const statx = draft.buffer("statx", STATX_SIZE);
  at.call(
    "writes.stat",
    "whose mark is it?",
    "statx",
    [mark, draft.text(""), AT_EMPTY_PATH, STATX_TYPE | STATX_MODE | STATX_UID, buffer(statx)],
    { target },
  );
  at.expect(
    "writes.mode",
    "a file for its owner alone",
    load(statx, STATX_MODE_OFFSET, 2),
    S_IFREG | 0o600,
    "EPERM",
    { target },
  );
  at.expect("writes.owner", "ours", load(statx, STATX_UID_OFFSET, 4), draft.host.user.uid, "EPERM", {
    target,
  });
  at.call(
    WRITES_LOCK_STEP,
    "one sandbox at a time keeps its writes there",
    "flock",
    [mark, LOCK_EX | LOCK_NB],
    { target: real },
  );
}
