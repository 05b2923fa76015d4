/**
 * A directory that keeps the writes belongs to one run at a time: the monitor checks the mark that makes it ours and holds a lock on it
 * (flock(2)) until it ends; init holds it too, so that a monitor that is killed does not let go of it before the payload is being killed.
 * The lock dies with its holders, and is the same for a supervised run and a launcher that runs by itself.
 *
 * What is written to is what was locked: whoever may rename the directory could put another one in its place in between. So the monitor's
 * descriptor is used where that can be, and what init opens by the path again must be the same directory.
 */
import { type PathFact, WRITES_MARK } from "../host/facts.ts";
import { buffer, type Listing, load } from "../program/build.ts";
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
  STATX_DEV_OFFSET,
  STATX_INO,
  STATX_INO_OFFSET,
  STATX_MODE,
  STATX_MODE_OFFSET,
  STATX_SIZE,
  STATX_TYPE,
  STATX_UID,
  STATX_UID_OFFSET,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { WRITES_LOCK_STEP } from "./foreign-writes.ts";
import { DATA } from "./layers.ts";
import { chooseShowing, translateTree } from "./translate.ts";
import { cloneHostTree, OPEN_HOW_SIZE, openHostPath, openHow } from "./trees.ts";

/** The step that opens the mark: its descriptor bears the lock. */
export const WRITES_MARK_STEP = "writes.mark";

export const keepsWrites = ({ spec }: Draft): boolean => typeof spec.filesystem.write === "object";

/** A detached tree of the directory, of which the monitor holds the lock. */
export function takeKeptWrites(draft: Draft, decision: string, fact: PathFact): Operand {
  const locked = lockWrites(draft, decision, fact);
  if (chooseShowing(draft, fact, false) === "translated")
    return translateTree(draft, decision, "upper", fact, DATA, locked);
  // A mount can be cloned in its own mount namespace only (open_tree(2)), and init has another one than the monitor.
  return cloneHostTree(draft, decision, "upper", fact.real, DATA, (at, opened) =>
    expectSame(draft, at, opened, locked, fact.real),
  );
}

/** Both are open, so no inode number has been given to another file meanwhile. */
function expectSame(draft: Draft, at: Listing, opened: Operand, locked: Operand, target: string): void {
  const [is, was] = [draft.buffer("statx", STATX_SIZE), draft.buffer("writes.statx", STATX_SIZE)];
  const look = (id: string, why: string, descriptor: Operand, into: string): void => {
    const args = [descriptor, draft.text(""), AT_EMPTY_PATH, STATX_INO, buffer(into)];
    at.call(id, why, "statx", args, { target });
  };
  look("writes.locked", "what was locked", locked, was);
  look("writes.opened", "what has its path now", opened, is);
  for (const [id, offset] of [
    ["writes.inode", STATX_INO_OFFSET],
    ["writes.device", STATX_DEV_OFFSET],
  ] as const)
    at.expect(id, "the same directory", load(is, offset, 8), load(was, offset, 8), "ESTALE", { target });
}

/** Gives the monitor's descriptor of the directory. */
function lockWrites(draft: Draft, decision: string, { real }: PathFact): Operand {
  const at = draft.phase("monitor.writes", decision);
  const target = `${real}/${WRITES_MARK}`;
  const directory = openHostPath(draft, at, "writes", real);
  const beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const mark = at.call(
    WRITES_MARK_STEP,
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
  return directory;
}
