/** The profile that gives one program user namespaces: for that program, and nothing else, whatever its path is called. */
import { describe, expect, it } from "vitest";
import { writeUserNamespaceProfile } from "../../../src/compile/lsm/apparmor-userns.ts";

/** What is in it that is no comment. */
const rulesOf = (path: string): readonly string[] =>
  writeUserNamespaceProfile(path)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));

describe("the profile for a program", () => {
  it("is attached to its path, and allows user namespaces alone", () => {
    expect(rulesOf("/usr/local/bin/strict")).toEqual([
      "abi <abi/4.0>,",
      "profile sandbox-userns.usr.local.bin.strict /usr/local/bin/strict flags=(unconfined) {",
      "  userns,",
      "}",
    ]);
  });

  it("says where to put it, and how it is loaded", () => {
    expect(writeUserNamespaceProfile("/opt/x")).toContain(
      "# Save this as /etc/apparmor.d/sandbox-userns.opt.x, then: sudo apparmor_parser --replace /etc/apparmor.d/sandbox-userns.opt.x\n",
    );
  });

  it.each([
    '/a" { capability, } #',
    "/a\n  capability,\n",
    "/a\r#include <x>",
    "/@{HOME}/{a,b}*",
    "/a b, userns,",
  ])("has no other rule for %j", (path) => {
    const rules = rulesOf(path);
    expect(rules).toHaveLength(4);
    expect(rules[1]).toMatch(/^profile sandbox-userns\.[\w.+-]+ "[^"]+" flags=\(unconfined\) \{$/);
    expect(rules.slice(2)).toEqual(["  userns,", "}"]);
  });

  it("has a name that no other path's has: loading one would take the other away", () => {
    const paths = ["/a-b/c", "/a/b-c", "/a/b/c", "/a.b/c", "/a+2eb/c", "/a_b/c", "/a/b/c-", "/ä", "/+c3+a4"];
    const names = paths.map((path) => /^profile (\S+) /.exec(rulesOf(path)[1] ?? "")?.[1]);
    expect(new Set(names).size).toBe(paths.length);
    expect(names).not.toContain(undefined);
  });
});
