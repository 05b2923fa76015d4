/** Arguments and variables are bytes: what Node would change on the way is refused, what it would not is handed on as it is. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { examine } from "../../src/host/doctor.ts";
import { probeHost } from "../../src/host/probe.ts";
import { make, scratch } from "../library/support.ts";
import { COMMAND } from "./command.ts";

const runs = examine(probeHost()).profiles.strict.runs || process.env["SANDBOX_MUST_WORK"] === "1";

/** Runs shell code in which $SANDBOX runs the command; only a shell can give bytes that are not UTF-8. */
function shell(script: string) {
  const directory = scratch();
  const ran = spawnSync("/bin/sh", ["-c", script], {
    cwd: directory,
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      HOME: directory,
      SANDBOX: `${process.execPath} ${COMMAND}`,
      LOG: join(directory, "log"),
    },
  });
  return { status: ran.status, stdout: ran.stdout.toString("latin1"), stderr: ran.stderr.toString() };
}

describe.skipIf(!runs)("bytes", () => {
  test("that are UTF-8 come as they are, U+FFFD itself too", () => {
    const ran = shell(`$SANDBOX run --audit "$LOG" -- printf %s "$(printf '\\303\\244\\357\\277\\275')"`);
    expect(ran).toMatchObject({ status: 0, stdout: "\xc3\xa4\xef\xbf\xbd", stderr: "" });
  });

  test("that are not UTF-8 in a variable that is passed are refused; not in one that is not", () => {
    const printed = (flags: string) =>
      shell(`K=$(printf '\\377') $SANDBOX run --audit "$LOG" ${flags} -- /bin/sh -c 'printf %s "$K"'`);
    expect(printed("--env K")).toMatchObject({ status: 125, stdout: "" });
    expect(printed("--env K").stderr).toMatch(/value of K is not UTF-8.*--env K=VALUE/);
    expect(printed("")).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(printed("--env K=own")).toMatchObject({ status: 0, stdout: "own" });
  });

  test("that no text of the library stands for are refused", async () => {
    const { sandbox } = await make();
    await expect(sandbox.run(["/bin/echo", "\ud800"])).rejects.toThrow(
      "argument 1 has half of a surrogate pair",
    );
    await expect(sandbox.run(["/bin/echo", "a\0b"])).rejects.toThrow("argument 1 has a NUL byte");
  });
});
