/** A long reading shows how far it is where somebody looks, and leaves nothing behind in a log. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { has, need } from "../host/needs.ts";
import { file, tar } from "../image/tar-writer.ts";
import { COMMAND } from "./command.ts";

let cwd = "";
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "sandbox-progress-"));
  const policy = { name: "quick", description: "nothing", checks: "image", rules: {} };
  writeFileSync(join(cwd, "quick.json"), JSON.stringify(policy));
  writeFileSync(join(cwd, "big.tar"), tar(file("big", Buffer.alloc(72 * 2 ** 20))));
});
afterAll(() => rmSync(cwd, { recursive: true }));

/** What a terminal got, with stdout and stderr on it; `redirect` takes one away. */
function onTerminal(env: Readonly<Record<string, string>>, redirect = ""): string {
  const command = `'${process.execPath}' '${COMMAND}' check image big.tar --policy quick.json ${redirect}`;
  const ended = spawnSync("script", ["-qec", command, "typescript"], {
    cwd,
    env: { PATH: "/usr/bin:/bin", HOME: cwd, TERM: "xterm", ...env },
    stdio: ["ignore", "ignore", "ignore"],
  });
  expect(ended.error).toBeUndefined();
  return readFileSync(join(cwd, "typescript"), "utf8");
}

const ERASE = "\r\u001B[K";

describe("on a terminal", () => {
  it("a line says how far reading is, and is gone before the report", (context) => {
    need(context, has("/usr/bin/script"), "script (util-linux) is not installed");
    const shown = onTerminal({});
    expect(shown).toContain(`${ERASE}sandbox: "big.tar": `);
    expect(shown.lastIndexOf("MiB read")).toBeLessThan(shown.lastIndexOf(ERASE));
    expect(shown.lastIndexOf(ERASE)).toBeLessThan(shown.indexOf("policy quick:"));
  });

  it.for<readonly [string, Readonly<Record<string, string>>, string]>([
    ["continuous integration records it", { CI: "true" }, ""],
    ["it obeys nothing", { TERM: "dumb" }, ""],
    ["messages go elsewhere", {}, "2>&1 >typed | tee messages"],
  ])("there is none when %s", ([, env, redirect], context) => {
    need(context, has("/usr/bin/script"), "script (util-linux) is not installed");
    expect(onTerminal(env, redirect)).not.toContain("MiB read");
  });
});
