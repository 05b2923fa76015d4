/** Asking a loaded policy about labels: a write that is taken, refused as unknown, or not possible. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { probeLabels, probePermissive, saysPermissive } from "../../src/host/selinux.ts";

const directory = mkdtempSync(join(tmpdir(), "sandbox-selinux-"));
afterAll(() => rmSync(directory, { recursive: true }));

it("each label is one write of its own", () => {
  const oracle = join(directory, "context");
  writeFileSync(oracle, "");
  expect(probeLabels(["a:b:c:s0", "a:b:d:s0"], oracle)).toEqual({ "a:b:c:s0": true, "a:b:d:s0": true });
  expect(readFileSync(oracle, "utf8")).toBe("a:b:d:s0");
});

it("a label that the kernel calls invalid is not known", () => {
  // Another file of the kernel's that answers EINVAL to what it cannot read.
  expect(probeLabels(["no number"], "/proc/self/oom_score_adj")).toEqual({ "no number": false });
});

it("where nobody can be asked, nothing is known either way", () => {
  expect(probeLabels(["a:b:c:s0"], join(directory, "absent"))).toEqual({ "a:b:c:s0": null });
  expect(probeLabels(["a:b:c:s0"], join(directory, "context", "below"))).toEqual({ "a:b:c:s0": null });
  expect(probeLabels([], join(directory, "absent"))).toEqual({});
});

it.each([
  ["is told by the last word of the answer", "0 ffffffff 0 fffffffe 12 1", true],
  ["also beside other flags", "ffffffff ffffffff 0 fffffffe 12 3", true],
  ["not by the other flags", "0 ffffffff 0 fffffffe 12 2", false],
  ["nor by what is allowed", "1 ffffffff 1 ffffffff 1 0", false],
  ["and cannot be told from less", "ffffffff ffffffff 0 fffffffe 1", null],
])("whether a domain is permissive %s", (_, answer, permissive) => {
  expect(saysPermissive(answer)).toBe(permissive);
});

it("a domain that cannot be asked about is neither", () => {
  const oracle = join(directory, "access");
  expect(probePermissive("a:b:c:s0", oracle)).toBeNull();
  expect(probePermissive("no number", "/proc/self/oom_score_adj")).toBeNull();
  writeFileSync(oracle, "");
  expect(probePermissive("a:b:c:s0", oracle)).toBeNull();
  expect(readFileSync(oracle, "utf8")).toBe("a:b:c:s0 a:b:c:s0 1");
});
