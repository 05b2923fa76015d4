/**
 * The cells of AppArmor and SELinux in docs/layers.md, held against what the modules' own compilers make of the policies: the automaton that the
 * kernel would walk for a path, and rules that SELinux's compiler checks against the module and Debian's policy together.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exportProfile } from "../../src/export.ts";
import { unwrap } from "../../src/problems.ts";
import { BasePolicy, missingTools } from "../compile/lsm/base-policy.ts";
import { need } from "../host/needs.ts";
import { factsOf, layersOf, PROFILES, ROWS, type Row } from "./layers.ts";

const CELLS = PROFILES.flatMap((profile) => {
  const facts = factsOf(profile);
  return ROWS.flatMap((row) => {
    const layers = layersOf(row, facts);
    return layers === null ? [] : [{ profile, row, layers }];
  });
});
const cellsOf = (layer: "AppArmor" | "SELinux") =>
  CELLS.filter(({ row }) => row.compiled?.[layer] !== undefined);
const textOf = (profile: string, format: "apparmor" | "selinux"): string =>
  unwrap(exportProfile({ profile, overrides: [], cwd: "/" }, format)).text;

describe("AppArmor: what is named is refused by the compiled profile, and nothing else is named", () => {
  const PARSER = "/usr/sbin/apparmor_parser";
  const ACCESS = { x: 1, w: 2, r: 4 } as const;

  /** What the owner of a path may do there: states of the parser's automaton by number, each with where a byte leads and what it grants. */
  function automaton(profile: string): (path: string) => number {
    const { stdout, stderr } = spawnSync(PARSER, ["-QKT", "-D", "dfa-states"], {
      input: textOf(profile, "apparmor"),
      encoding: "latin1",
    });
    const states = new Map<
      string,
      { grants: number; to: Map<number, string>; other: (byte: number) => string | undefined }
    >();
    for (const part of (stdout + stderr).split(/^(?=\{\d+\} perms:)/m).slice(1)) {
      const [head = "", ...lines] = part.split("\n");
      const [, number = "", allowed = "0"] = /^\{(\d+)\} perms:(?:.*\(0x (\w+)\/)?/.exec(head) ?? [];
      const steps = lines.flatMap((line) => {
        const [, byte, to] = /^ +.*? ?0x([0-9a-f]+) -> \{(\d+)\}/.exec(line) ?? [];
        return byte === undefined || to === undefined ? [] : [[Number.parseInt(byte, 16), to] as const];
      });
      // "[^\\x0/] -> {3}": any other byte but these.
      const [, but = "", rest] =
        lines.map((line) => /^ +\[(?:\^(.*))?\] -> \{(\d+)\}/.exec(line)).find((found) => found !== null) ??
        [];
      const none = [...but.matchAll(/\\x([0-9a-f]+)|(.)/g)].map(([, hex, character]) =>
        hex === undefined ? (character ?? "").charCodeAt(0) : Number.parseInt(hex, 16),
      );
      const other = (byte: number): string | undefined => (none.includes(byte) ? undefined : rest);
      states.set(number, { grants: Number.parseInt(allowed, 16), to: new Map(steps), other });
    }
    return (path) => {
      let state = states.get("1");
      for (const byte of Buffer.from(path))
        state = states.get(state?.to.get(byte) ?? state?.other(byte) ?? "no state");
      return state?.grants ?? 0;
    };
  }

  it.for(PROFILES)("%s", (profile, context) => {
    need(context, existsSync(PARSER), "apparmor_parser is not installed");
    const grants = automaton(profile);
    // It was read as it was meant: the root is shown, and runs.
    expect(grants("/usr/bin/env") & (ACCESS.r | ACCESS.x)).toBe(ACCESS.r | ACCESS.x);
    const refused = cellsOf("AppArmor")
      .filter((cell) => cell.profile === profile)
      .map(({ row, layers }) => {
        const asked = row.compiled?.AppArmor ?? [];
        const all = asked.every(([path, access]) => (grants(path) & ACCESS[access]) === 0);
        return { what: row.what, all, named: layers.includes("AppArmor") };
      });
    expect(refused.filter(({ all, named }) => all !== named)).toEqual([]);
    expect(refused.length).toBeGreaterThan(0);
  });
});

describe("SELinux: what is named is refused by the module and Debian's policy together, and nothing else is named", () => {
  const missing = missingTools();
  let base: BasePolicy | null = null;
  beforeAll(() => {
    if (missing === null) base = new BasePolicy();
  }, 60_000);
  afterAll(() => base?.remove());

  it.for(PROFILES)("%s", { timeout: 60_000 }, (profile, context) => {
    need(context, missing === null, missing ?? "");
    const cells = cellsOf("SELinux").filter((cell) => cell.profile === profile);
    const ruleOf = ({ compiled }: Row): string =>
      compiled?.SELinux?.replaceAll("X.", `sandbox_${profile}.`) ?? "";
    // One rule a line, so that a line number names it.
    const said =
      base?.judge(textOf(profile, "selinux"), cells.map(({ row }) => ruleOf(row)).join("\n")) ?? "";
    const broken = new Set(
      [...said.matchAll(/neverallow check failed at \S*module-1\.cil:(\d+)/g)].map(([, line]) =>
        Number(line),
      ),
    );
    // Whatever else it says is not about a rule of ours: a name that is not there, for example.
    expect(said === "" || broken.size > 0 ? "" : said).toBe("");
    const wrong = cells.filter(({ layers }, index) => broken.has(index + 1) === layers.includes("SELinux"));
    expect(wrong.map(({ row }) => row.what)).toEqual([]);
  });
});
