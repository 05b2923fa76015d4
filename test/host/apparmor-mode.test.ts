/** The mode of an AppArmor profile, as a tree like the kernel's has it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { probeMode } from "../../src/host/apparmor-mode.ts";

const base = mkdtempSync(join(tmpdir(), "sandbox-modes-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Directories have mangled names with a number; the name itself is in a file. */
function profile(path: string, name: string, mode: string): void {
  mkdirSync(join(base, path, "profiles"), { recursive: true });
  writeFileSync(join(base, path, "name"), `${name}\n`);
  writeFileSync(join(base, path, "mode"), `${mode}\n`);
}
profile("usr.bin.tool.1", "/usr/bin/tool", "enforce");
profile("lenient.2", "lenient", "complain");
profile("lenient.2/profiles/child.3", "child", "enforce");
profile("odd.4", "odd", "a mode of the future");

it.each([
  ["/usr/bin/tool", "enforce"],
  ["lenient", "complain"],
  ["lenient//child", "enforce"],
  ["lenient//other", "absent"],
  ["/usr/bin/tool//child", "absent"],
  ["usr.bin.tool", "absent"],
  ["child", "absent"],
  ["odd", null],
  [":other:lenient", null],
  ["/usr/bin/tool//&lenient", null],
] as const)("%s: %s", (name, mode) => {
  expect(probeMode(name, base)).toBe(mode);
});

it("where there is no AppArmor there is nobody to ask", () => {
  expect(probeMode("lenient", join(base, "absent"))).toBeNull();
});
