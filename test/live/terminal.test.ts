/** On a terminal: nothing can be typed into the caller's, and job control works as without a sandbox. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  as,
  finish,
  hostile,
  installed,
  marker,
  need,
  processesWith,
  type RunOptions,
  SLOWNESS,
  sandboxArgv,
  scratch,
  script,
  start,
  USERS,
  type User,
} from "./harness.ts";

interface Session {
  readonly failed: number | null;
  readonly why: string;
  readonly output: string;
  readonly status: number | null;
  readonly shells: readonly string[];
}
type Step = readonly (string | number)[];

/** Follows the script on a terminal of its own. */
async function onTerminal(
  user: User,
  directory: string,
  steps: readonly Step[],
  command: readonly string[],
): Promise<Session> {
  const argv = as(user, ["/usr/bin/python3", "-c", script("terminal.py"), JSON.stringify(steps), ...command]);
  const ran = await finish(
    start(argv, {
      directory,
      env: { TERM: "dumb", PS1: "prompt$ ", ENV: "", HISTFILE: "", SLOWNESS: `${SLOWNESS}` },
    }),
    {
      patience: 40_000,
    },
  );
  if (ran.code !== 0) throw new Error(`terminal driver: ${ran.stderr}`);
  const session: Session = JSON.parse(ran.stdout);
  return session;
}

const quote = (words: readonly string[]): string =>
  words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
const shell = ["/bin/bash", "--norc", "--noprofile", "-i"];
/** A command line for the interactive shell. As `user` the shell itself runs as that user already. */
function typed(user: User, directory: string, command: readonly string[], options: RunOptions = {}): string {
  const argv = sandboxArgv(user, directory, command, options);
  return `${quote(argv.slice(argv.indexOf(process.execPath)))}\n`;
}

/** Prints what waits in the terminal's input queue. */
const DRAIN = 'stty -icanon -echo min 0 time 3; typed=$(head -c 100); echo "queue=[$typed]"';

describe("without a sandbox", () => {
  it("a program types into the terminal it was started on", async (context) => {
    need(context, installed("python3"), "python3 is not installed");
    need(context, legacyTiocsti(), "this kernel refuses TIOCSTI to everyone (dev.tty.legacy_tiocsti=0)");
    const program = hostile(context, "attempt");
    const session = await onTerminal(
      "user",
      scratch("user"),
      [["expect", "queue=\\[(.*?)\\]"], ["exit"]],
      ["/bin/sh", "-c", `stty -echo; '${program}' tiocsti tiocsti-high; ${DRAIN}`],
    );
    expect(session.output).toContain("tiocsti ok");
    expect(session.output).toMatch(/queue=\[X+\]/);
  });
});

function legacyTiocsti(): boolean {
  // Before Linux 6.2 there is no such switch, and everyone may.
  const path = "/proc/sys/dev/tty/legacy_tiocsti";
  return !existsSync(path) || readFileSync(path, "utf8").trim() === "1";
}

describe.each(USERS)("run by %s", (user) => {
  it.for(["auto", "always", "never"])(
    "--tty %s: nothing can be typed into the caller's terminal",
    async (mode, context) => {
      need(context, installed("python3"), "python3 is not installed");
      const program = hostile(context, "attempt");
      const directory = scratch(user);
      const attempts = ["tiocsti", "tiocsti-high", "tiocsti-all-high", "tioclinux", "tioclinux-high"];
      const run = typed(user, directory, [program, ...attempts], { flags: ["--tty", mode] }).trim();
      const session = await onTerminal(
        user,
        directory,
        [["expect", "queue=\\[(.*?)\\]"], ["exit"]],
        ["/bin/sh", "-c", `stty -echo; ${run}; ${DRAIN}`],
      );
      for (const attempt of attempts) expect(session.output).toContain(`${attempt} EPERM`);
      expect(session.output).toContain("queue=[]");
    },
  );

  it("the payload's terminal is its own, with the caller's size, and follows a resize", async (context) => {
    need(context, installed("python3"), "python3 is not installed");
    const directory = scratch(user);
    const session = await onTerminal(
      user,
      directory,
      [
        ["expect", "\\$ "],
        [
          "send",
          typed(user, directory, [
            "/bin/sh",
            "-c",
            "stty size; trap 'stty size; exit' WINCH; echo rea''dy; while :; do sleep 0.05; done",
          ]),
        ],
        ["expect", "ready"],
        ["size", 50, 132],
        ["expect", "50 132"],
        ["expect", "\\$ "],
        ["send", "exit\n"],
        ["exit"],
      ],
      shell,
    );
    expect(session).toMatchObject({ failed: null, why: "" });
    expect(session.output).toContain("24 80");
  });

  it("the payload's terminal has a name, which leads to it and to no other", async (context) => {
    need(context, installed("python3"), "python3 is not installed");
    const directory = scratch(user);
    const look = "import os; print('same', os.stat(os.ttyname(0)).st_rdev == os.fstat(0).st_rdev)";
    const session = await onTerminal(
      user,
      directory,
      [["expect", "same (True|False)"], ["expect", "\\$ |$"], ["exit"]],
      [
        "/bin/sh",
        "-c",
        typed(user, directory, ["/bin/sh", "-c", `tty; /usr/bin/python3 -c "${look}"`]).trim(),
      ],
    );
    expect(session).toMatchObject({ failed: null, status: 0 });
    expect(session.output).toContain("/dev/console\r\nsame True");
  });

  it("Ctrl-C ends the payload with 130 and the shell goes on", async (context) => {
    need(context, installed("python3"), "python3 is not installed");
    const directory = scratch(user);
    const session = await onTerminal(
      user,
      directory,
      [
        ["expect", "\\$ "],
        ["send", typed(user, directory, ["/bin/sh", "-c", "echo rea''dy; exec sleep 60"])],
        ["expect", "ready\r"],
        ["sleep", 0.2],
        ["send", "\u0003"],
        ["expect", "\\$ "],
        ["send", "echo status=$?\n"],
        ["expect", "status=130"],
        ["send", "exit\n"],
        ["exit"],
      ],
      shell,
    );
    expect(session).toMatchObject({ failed: null, why: "" });
  });

  it("Ctrl-Z stops the whole sandbox, fg resumes it, bg and kill work", async (context) => {
    need(context, installed("python3"), "python3 is not installed");
    const directory = scratch(user);
    const word = marker();
    const session = await onTerminal(
      user,
      directory,
      [
        ["expect", "\\$ "],
        [
          "send",
          typed(user, directory, [
            "/bin/sh",
            "-c",
            "echo rea''dy; read line; echo \"read=[$line]\"; read more; exit 9",
            word,
          ]),
        ],
        ["expect", "ready\r"],
        ["sleep", 0.2],
        ["send", "\u001a"],
        ["expect", "Stopped.*?\\$ "],
        [
          "shell",
          `grep -l ${word} /proc/[0-9]*/cmdline 2>/dev/null | while read f; do d=$(dirname $f); cut -d' ' -f3 $d/stat; done | sort | uniq -c`,
        ],
        ["send", "fg\n"],
        ["sleep", 0.4],
        ["send", "hello\n"],
        ["expect", "read=\\[hello\\]"],
        ["send", "\u001a"],
        ["expect", "Stopped.*?\\$ "],
        ["send", "fg\n"],
        ["sleep", 0.4],
        ["send", "\n"],
        ["expect", "\\$ "],
        ["send", "echo status=$?\n"],
        ["expect", "status=9"],
        ["send", "exit\n"],
        ["exit"],
      ],
      shell,
    );
    expect(session).toMatchObject({ failed: null, why: "" });
    // Every process of the run that the shell must see stopped is stopped (T).
    expect(session.shells[0]).toMatch(/ T/);
    expect(processesWith(word)).toEqual([]);
  });

  it("leaves the terminal as it was, also when the payload changed it or was killed", async (context) => {
    need(context, installed("python3"), "python3 is not installed");
    const directory = scratch(user);
    const raw = typed(user, directory, ["/bin/sh", "-c", "stty raw -echo 2>/dev/null; kill -9 $$"]).trim();
    const session = await onTerminal(
      user,
      directory,
      [["expect", "same|different"], ["exit"]],
      [
        "/bin/sh",
        "-c",
        `before=$(stty -g); ${raw}; test "$before" = "$(stty -g)" && echo sa""me || echo differ""ent`,
      ],
    );
    expect(session.output).toContain("same");
  });

  it("a terminal that hangs up ends the sandbox", async (context) => {
    need(context, installed("python3"), "python3 is not installed");
    const directory = scratch(user);
    const word = marker();
    const argv = sandboxArgv(user, directory, [
      "/bin/sh",
      "-c",
      "echo ready; while :; do sleep 0.1; done",
      word,
    ]);
    await onTerminal(
      user,
      directory,
      [["expect", "ready"], ["close"], ["exit"]],
      argv.slice(argv.indexOf(process.execPath)),
    );
    expect(processesWith(word)).toEqual([]);
  });

  it("stays out of the way in a pipeline: no terminal is made for a pipe", async () => {
    const directory = scratch(user);
    const out = await finish(
      start(sandboxArgv(user, directory, ["/bin/sh", "-c", "test -t 0; echo $?; test -t 1; echo $?"]), {
        directory,
      }),
    );
    expect(out.stdout).toBe("1\n1\n");
  });
});
