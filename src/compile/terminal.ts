/** The payload's terminal: none, or a PTY of ours. Takes descriptors of the launch, gives steps; no path to the caller's own terminal is looked up. */
import { buffer, load, value } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  O_CLOEXEC,
  O_NOCTTY,
  O_PATH,
  O_RDWR,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  STATX_DEV_OFFSET,
  STATX_INO,
  STATX_INO_OFFSET,
  STATX_SIZE,
  TIOCGPTN,
  TIOCGPTPEER,
  TIOCGWINSZ,
  TIOCSCTTY,
  TIOCSPTLCK,
  TIOCSWINSZ,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { PTY_MASTER } from "./monitor.ts";
import { attach, OPEN_HOW_SIZE, openHow, setAttributes } from "./trees.ts";

/** The payload's terminal is a PTY of ours: what it types into it never reaches the caller's own terminal. */
export function provideTerminal(draft: Draft): void {
  const { terminal } = draft.target;
  const decision = draft.decide({
    id: "process.terminal",
    control: "process",
    setting:
      terminal.length === 0
        ? "no controlling terminal"
        : `own pseudo terminal for descriptors ${terminal.join(", ")}`,
    pointer: "/process/terminal",
    status: "full",
    reason: "nothing can be typed into the caller's terminal (TIOCSTI, TIOCLINUX)",
  });
  draft.phase("init.terminal", decision).call("session.new", "away from the caller's terminal", "setsid", []);
  const first = terminal[0];
  if (first === undefined) return;
  const before = draft.phase("monitor.terminal", decision);
  before.call(
    "pty.unlock",
    "the other end may be opened",
    "ioctl",
    [PTY_MASTER, TIOCSPTLCK, draft.bytes("00000000", 4)],
    { target: "/dev/ptmx" },
  );
  const peer = before.call(
    "pty.peer",
    "by descriptor: no path to a terminal is ever looked up",
    "ioctl",
    [PTY_MASTER, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC],
    { target: "/dev/ptmx" },
  );
  draft.buffer("pty-number", 8);
  before.call("pty.number", "its number", "ioctl", [PTY_MASTER, TIOCGPTN, buffer("pty-number")], {
    target: "/dev/ptmx",
  });
  draft.buffer("winsize", 8);
  before.call("pty.size.get", "the caller's window size", "ioctl", [first, TIOCGWINSZ, buffer("winsize")], {
    onError: "continue",
  });
  before.call("pty.size.set", "is the payload's", "ioctl", [PTY_MASTER, TIOCSWINSZ, buffer("winsize")], {
    onError: "continue",
  });
  draft
    .phase("init.terminal", decision)
    .call("pty.control", "the session's controlling terminal", "ioctl", [peer, TIOCSCTTY, 0]);
  nameTerminal(draft, decision, peer);
  const session = draft.phase("payload.session", decision);
  for (const descriptor of terminal) {
    session.call(`pty.stdio.${descriptor}`, "the terminal takes its place", "dup3", [peer, descriptor, 0]);
  }
}

/**
 * The terminal is of the host's devpts, which the payload does not see: isatty(3) says yes, and ttyname(3) finds no name. The way of
 * consoles gives it one: the terminal's own node, mounted at /dev/console, which a C library finds when it looks through /dev. Where it
 * lies elsewhere than under its usual name, it stays without one.
 */
function nameTerminal(draft: Draft, decision: string, peer: Operand): void {
  const at = draft.phase("init.sources", decision);
  const target = "/dev/pts/<own>";
  const path = draft.buffer("pty-path", 32);
  at.format("pty.path", "where its node should be", path, [
    { text: "/dev/pts/" },
    { decimal: load("pty-number", 0, 4) },
  ]);
  const how = openHow(draft, O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  const elsewhere = { ENOENT: UNNAMED, ENOTDIR: UNNAMED, ELOOP: UNNAMED, EACCES: UNNAMED };
  const named = at.call(
    "pty.named",
    "what has that name",
    "openat2",
    [AT_FDCWD, buffer(path), how, OPEN_HOW_SIZE],
    { target, onError: { errnos: elsewhere } },
  );
  const statx = draft.buffer("statx", STATX_SIZE);
  const other = draft.buffer("statx.pty", STATX_SIZE);
  for (const [id, descriptor, into] of [
    ["pty.named.stat", named, statx],
    ["pty.peer.stat", peer, other],
  ] as const) {
    at.call(
      id,
      "is it the payload's terminal?",
      "statx",
      [descriptor, draft.text(""), AT_EMPTY_PATH, STATX_INO, buffer(into)],
      { target },
    );
  }
  for (const [id, offset] of [
    ["pty.inode", STATX_INO_OFFSET],
    ["pty.device", STATX_DEV_OFFSET],
  ] as const) {
    at.branch(`${id}.same`, "the same", load(statx, offset, 8), load(other, offset, 8), id);
    at.branch(`${id}.other`, "another one", value(0), 0, UNNAMED);
    at.label(id);
  }
  const node = at.call(
    NODE,
    "the node alone",
    "open_tree",
    [named, draft.text(""), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH],
    { target },
  );
  setAttributes(draft, at, "pty.node", node, { readOnly: false, noExec: true, noDev: false }, target);
  at.label(UNNAMED);

  const inside = draft.phase("init.devices", decision);
  inside.branch("pty.nameless", "it has no name to give", node, 0, ATTACHED);
  attach(draft, "init.devices", decision, "console", node, "/dev/console", "file", "no-links");
  inside.label(ATTACHED);
}

const NODE = "pty.node.clone";
const UNNAMED = "pty.unnamed";
const ATTACHED = "pty.attached";
