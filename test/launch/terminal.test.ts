import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const python = spawnSync("python3", ["-c", "import pty"]).status === 0;
if (!python) console.log("skipped: terminals (no python3 to play the person at the terminal)");

type Action = ["send" | "expect", string] | ["resize", number, number] | ["pause", number] | ["modes"];

interface Session {
  readonly transcript: string;
  readonly modes: readonly string[];
  readonly status: number;
  readonly failure: string | null;
}

const directory = mkdtempSync(join(tmpdir(), "sandbox-test-terminal-"));
const driver = join(directory, "driver.mjs");

beforeAll(async () => {
  const bundle = await rolldown({ input: join(import.meta.dirname, "programs/driver.ts"), platform: "node" });
  await bundle.write({ file: driver, format: "esm" });
});
afterAll(() => rmSync(directory, { recursive: true }));

function play(script: readonly Action[], command: readonly string[]): Promise<Session> {
  const player = join(import.meta.dirname, "programs/terminal.py");
  const child = spawn("python3", [player, JSON.stringify(script), ...command], {
    env: { ...process.env, TERM: "dumb" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve(JSON.parse(text)));
  });
}

/** The driver alone on a terminal. */
const drive = (script: readonly Action[], ...command: readonly string[]) =>
  play(script, [process.execPath, driver, ...command]);

/** A shell with job control on the terminal, in which the script types. */
const inShell = (script: readonly Action[]) =>
  play(
    [["send", "PS1='READY> '\n"], ["expect", "READY> (?!')"], ...script],
    ["bash", "--norc", "--noprofile", "-i"],
  );
const DRIVER = `${process.execPath} ${driver}`;

describe.skipIf(!python && process.env.SANDBOX_MUST_WORK !== "1")("the payload's terminal", () => {
  it("is a terminal of its own, which it controls", async () => {
    const session = await drive(
      [],
      "sh",
      "-c",
      "test -t 0 && test -t 1 && test -t 2 && : </dev/tty && echo yes; exit 4",
    );
    expect(session).toMatchObject({ failure: null, transcript: "yes\r\n", status: 4 });
  });

  it("passes keys to the payload and its echo back", async () => {
    const session = await drive(
      [
        ["expect", "name\\?"],
        ["send", "Ada\n"],
        ["expect", "hello Ada"],
      ],
      "sh",
      "-c",
      "printf name?; read x; echo hello $x",
    );
    expect(session).toMatchObject({ failure: null, status: 0 });
    expect(session.transcript).toBe("name?Ada\r\nhello Ada\r\n");
  });

  it("makes Ctrl-C a signal inside only", async () => {
    const session = await drive(
      [["expect", "ready"], ["modes"], ["send", "\u0003"], ["expect", "caught"]],
      "sh",
      "-c",
      "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done",
    );
    expect(session).toMatchObject({ failure: null, status: 9, modes: ["raw"] });
  });

  it("ends input at Ctrl-D", async () => {
    const session = await drive(
      [
        ["expect", "ready"],
        ["send", "x\n\u0004"],
      ],
      "sh",
      "-c",
      "echo ready; cat; echo end",
    );
    expect(session).toMatchObject({ failure: null, status: 0 });
    expect(session.transcript).toMatch(/end\r\n$/);
  });

  it("has the size of ours, at the start and after a change", async () => {
    const session = await drive(
      [
        ["pause", 0],
        ["expect", "ready"],
        ["resize", 33, 77],
        ["expect", "33 77"],
      ],
      "sh",
      "-c",
      "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done",
    );
    expect(session).toMatchObject({ failure: null, status: 0 });
  });

  it("shows all of a long output", async () => {
    const session = await drive([], "seq", "1", "20000");
    expect(session.transcript.split("\r\n").slice(0, -1)).toEqual(
      Array.from({ length: 20_000 }, (_, index) => `${index + 1}`),
    );
  });
});

describe.skipIf(!python && process.env.SANDBOX_MUST_WORK !== "1")("our terminal", () => {
  const END: Action[] = [["send", "exit 0\n"]];

  it("has its modes back after a run", async () => {
    const session = await inShell([
      ["send", `${DRIVER} sh -c 'echo ra''n'; stty -a | tr ' ' '\\n' | grep -x -e icanon -e -icanon\n`],
      ["expect", "\\nran\r\n"],
      ["expect", "(?<!-)icanon\r\n"],
      ["expect", "READY> "],
      ...END,
    ]);
    expect(session).toMatchObject({ failure: null });
  });

  it("stops with the payload at Ctrl-Z, and both go on with fg", async () => {
    const session = await inShell([
      ["send", `${DRIVER} sh -c 'echo star''ted; read x; echo got $x; exit 6'; echo status $?\n`],
      ["expect", "\\nstarted\r\n"],
      ["send", "\u001a"],
      ["expect", "Stopped"],
      ["expect", "READY> "],
      ["send", "echo in''between; fg; echo status $?\n"],
      ["expect", "\\ninbetween\r\n"],
      ["pause", 0.5],
      ["send", "more\n"],
      ["expect", "got more"],
      ["expect", "status 6"],
      ...END,
    ]);
    expect(session).toMatchObject({ failure: null });
  });

  it("is not taken by a job in the background", async () => {
    const session = await inShell([
      ["send", `${DRIVER} sh -c 'echo from ba''ck; sleep 0.5; echo don''e' &\n`],
      ["expect", "from back"],
      ["send", "echo still''typing\n"],
      ["expect", "\\nstilltyping\r\n"],
      ["expect", "done\r+\n"],
      ...END,
    ]);
    expect(session).toMatchObject({ failure: null });
  });

  it("keeps its modes in a pipeline", async () => {
    const session = await inShell([
      ["send", `${DRIVER} sh -c 'echo pip''ed; sleep 1' | cat\n`],
      ["expect", "\\npiped\r\n"],
      ["modes"],
      ["expect", "READY> "],
      ...END,
    ]);
    expect(session).toMatchObject({ failure: null, modes: ["canonical"] });
  });

  it("has its modes back when the payload is killed", async () => {
    const session = await inShell([
      ["send", `${DRIVER} sh -c 'kill -9 $$'; stty -a | tr ' ' '\\n' | grep -x -e icanon -e -icanon\n`],
      ["expect", "(?<!-)icanon\r\n"],
      ["expect", "READY> "],
      ...END,
    ]);
    expect(session).toMatchObject({ failure: null });
  });
});

describe("signals to the command line", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const)(
    "%s reaches the payload once",
    async (signal) => {
      const script = `trap 'echo got; exit 7' ${signal.slice(3)}; echo ready; while :; do sleep 0.02; done`;
      const child = spawn(process.execPath, [driver, "--pipe", "sh", "-c", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => {
        if (output === "") child.kill(signal);
        output += chunk.toString();
      });
      const code = await new Promise((resolve) => child.once("close", resolve));
      expect({ code, output }).toEqual({ code: 7, output: "ready\ngot\n" });
    },
  );

  it("the payload dies with a killed command line", async () => {
    const argument = `97531${process.pid}`;
    const child = spawn(process.execPath, [driver, "--pipe", "sh", "-c", `echo ready; sleep ${argument}`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    // The pipe closes when the last process that holds it is gone.
    child.stdout.once("data", () => child.kill("SIGKILL"));
    const signal = await new Promise((resolve) => child.once("close", (_code, name) => resolve(name)));
    expect(signal).toBe("SIGKILL");
    expect(spawnSync("pgrep", ["-f", `^sleep ${argument}`]).status).toBe(1);
  });
});
