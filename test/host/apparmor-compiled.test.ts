/** Compiled AppArmor profiles: kept under everything that the parser goes by, and believed to the last byte or not at all. */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Compiling, compilePolicy, readCompiled } from "../../src/host/apparmor-compiled.ts";
import { has, need } from "./needs.ts";

const PARSER = "/usr/sbin/apparmor_parser";
const base = mkdtempSync(join(tmpdir(), "sandbox-apparmor-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let made = 0;
/** A request of its own: cache, parser and kernel features that a test may change. */
function request(): Compiling & { readonly cache: string; readonly features: string } {
  const place = join(base, `${(made += 1)}`);
  mkdirSync(join(place, "features/domain"), { recursive: true });
  mkdirSync(join(place, "cache"), { mode: 0o700 });
  writeFileSync(join(place, "features/domain/stack"), "yes\n");
  copyFileSync(PARSER, join(place, "parser"));
  return {
    parser: join(place, "parser"),
    text: "profile sandbox-test-0123456789ab { /usr/bin/true r, }",
    cache: join(place, "cache"),
    features: join(place, "features"),
  };
}
const entryOf = ({ cache }: { cache: string }): string => join(cache, readdirSync(cache)[0] ?? "");

describe("a compiled profile", () => {
  test("is what the parser makes, and kept as that", (context) => {
    need(context, has(PARSER), "apparmor_parser is not installed");
    const asked = request();
    expect(readCompiled(asked)).toBeNull();
    const { stdout } = spawnSync(PARSER, ["-QKS"], { input: asked.text });
    expect(stdout.length).toBeGreaterThan(100);
    expect(compilePolicy(asked)).toEqual(stdout);
    expect(readCompiled(asked)).toEqual(stdout);
    expect(readCompiled({ ...asked, cache: null })).toBeNull();
  });

  test.for<[string, (asked: ReturnType<typeof request>) => Compiling]>([
    ["other rules", (asked) => ({ ...asked, text: `${asked.text}\n` })],
    [
      "another parser",
      (asked) => {
        copyFileSync(PARSER, `${asked.parser}-2`);
        return { ...asked, parser: `${asked.parser}-2` };
      },
    ],
    [
      "a parser that was replaced",
      (asked) => {
        writeFileSync(asked.parser, "#!/bin/sh\n");
        return asked;
      },
    ],
    [
      "a kernel that enforces something else",
      (asked) => {
        writeFileSync(join(asked.features, "domain/stack"), "no\n");
        return asked;
      },
    ],
    [
      "a kernel that enforces more",
      (asked) => {
        writeFileSync(join(asked.features, "signal"), "");
        return asked;
      },
    ],
  ])("is not that of %s", ([, change], context) => {
    need(context, has(PARSER), "apparmor_parser is not installed");
    const asked = request();
    compilePolicy(asked);
    expect(readCompiled(change(asked))).toBeNull();
  });

  test("that was damaged, or is another one's, is not there", (context) => {
    need(context, has(PARSER), "apparmor_parser is not installed");
    const asked = request();
    compilePolicy(asked);
    const whole = readFileSync(entryOf(asked));
    const damaged = Buffer.from(whole);
    damaged[whole.length - 1] = (whole.at(-1) ?? 0) ^ 1;
    for (const content of [damaged, whole.subarray(0, -1), whole.subarray(0, 10), Buffer.alloc(0)]) {
      writeFileSync(entryOf(asked), content);
      expect(readCompiled(asked)).toBeNull();
    }
    const other = request();
    compilePolicy({ ...other, text: other.text.replace("true", "false") });
    writeFileSync(entryOf(asked), readFileSync(entryOf(other)));
    expect(readCompiled(asked)).toBeNull();
    writeFileSync(entryOf(asked), whole);
    expect(readCompiled(asked)).not.toBeNull();
  });

  test("that cannot be made is what the parser says in one line, and nothing is kept", (context) => {
    need(context, has(PARSER), "apparmor_parser is not installed");
    const asked = request();
    expect(compilePolicy({ ...asked, text: "profile x { nonsense }" })).toMatch(/^[^\n]*syntax error[^\n]*$/);
    expect(compilePolicy({ ...asked, parser: join(base, "none") })).toMatch(/ENOENT/);
    expect(readdirSync(asked.cache)).toEqual([]);
  });
});
