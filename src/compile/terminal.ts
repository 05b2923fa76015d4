/** The payload's terminal: none, or a PTY of ours. */
import { buffer } from "../program/build.ts";
import {
  O_CLOEXEC,
  O_NOCTTY,
  O_RDWR,
  TIOCGPTPEER,
  TIOCGWINSZ,
  TIOCSCTTY,
  TIOCSPTLCK,
  TIOCSWINSZ,
} from "../program/constants.ts";
import type { Draft } from "./draft.ts";
import { PTY_MASTER } from "./monitor.ts";

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
  const session = draft.phase("payload.session", decision);
  for (const descriptor of terminal) {
    session.call(`pty.stdio.${descriptor}`, "the terminal takes its place", "dup3", [peer, descriptor, 0]);
  }
}
