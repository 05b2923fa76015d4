/** Importing a filter gives a profile that answers as the original is written, or says why not. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { NEWEST_KERNEL } from "../../src/compile/seccomp/target.ts";
import { exportProfile } from "../../src/export.ts";
import { importPolicy } from "../../src/import-policy.ts";
import { formatProblem, unwrap } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import { profileFacts } from "../../src/profile-rules/facts.ts";
import { need } from "../host/needs.ts";
import { factsOf } from "../profile-rules/facts.ts";

let cwd = "";
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "sandbox-import-"));
});
afterAll(() => rmSync(cwd, { recursive: true }));

const take = (name: string) =>
  importPolicy({ name, profileName: "imported", cwd, arch: "x86_64", kernel: NEWEST_KERNEL });
const write = (name: string, value: unknown): string => {
  const file = join(cwd, name);
  writeFileSync(file, typeof value === "string" ? value : JSON.stringify(value));
  return file;
};
const factsAt = (file: string) =>
  unwrap(profileFacts(unwrap(resolveProfile({ profile: file, overrides: [], cwd }, profileFiles()))));

describe("an imported profile", () => {
  it("of a container engine resolves, and lets its calls through", () => {
    const made = unwrap(take(fileURLToPath(new URL("../seccomp/container-default.json", import.meta.url))));
    const facts = factsAt(write("default.json", made.text));
    expect(facts.allowed({ names: ["openat"] })?.name).toBe("openat");
    expect(facts.allowed({ names: ["kexec_load"] })).toBe(null);
  });

  it("of Podman's default, as Debian ships it, notes what no kernel has", (context) => {
    const file = "/usr/share/containers/seccomp.json";
    need(context, existsSync(file), "golang-github-containers-common is not installed");
    const { text, notes } = unwrap(take(file));
    expect(factsAt(write("podman.json", text)).allowed({ names: ["unshare"] })?.name).toBe("unshare");
    expect(notes.length).toBeGreaterThan(0);
  });

  it("of what was exported is the profile's filter again", { timeout: 60_000 }, () => {
    const request = { profile: "strict", overrides: [], cwd };
    const exported = unwrap(exportProfile(request, "docker-seccomp"));
    const made = unwrap(take(write("exported.json", exported.text)));
    const [ours, theirs] = [factsOf("strict"), factsAt(write("again.json", made.text))];
    const [a, b] = [ours.filters[0], theirs.filters[0]];
    if (a === undefined || b?.rules == null) throw new Error("no filter");
    const { prover } = a.asked;
    const again = prover.rules(b.rules.policy);
    if ("reason" in again) throw new Error(again.reason);
    const differing = [...syscallTable("x86_64").numbers].filter(
      ([, nr]) => prover.ofCall(again, "x86_64", nr) !== a.asked.ofCall("x86_64", nr),
    );
    // Those that the export tightened, and says so.
    const names = differing.map(([name]) => name).toSorted();
    expect(names).toEqual(["ioprio_set", "prlimit64", "setpriority"]);
    const left = exported.left.map(({ what }) => what).join();
    for (const name of names) expect(left).toContain(`of ${name}:`);
  });

  it("of an OCI bundle carries the filter, and says that it is all", () => {
    const made = unwrap(
      take(
        write("config.json", {
          ociVersion: "1.0.2",
          linux: { seccomp: { defaultAction: "SCMP_ACT_ERRNO", syscalls: [] } },
        }),
      ),
    );
    expect(made.notes.map(({ message }) => message)).toContain("of config.json only the filter is carried");
  });

  it.each<readonly [string, unknown, RegExp]>([
    [
      "a supervisor's answer",
      { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: ["read"], action: "SCMP_ACT_NOTIFY" }] },
      /SCMP_ACT_NOTIFY/,
    ],
    [
      "a profile of ours",
      { extends: "strict", name: "x", description: "x" },
      /it is a profile of ours already/,
    ],
    ["what is not JSON", "{", /./],
  ])("is not made of %s", (_what, value, expected) => {
    const made = take(write("wrong.json", value));
    expect(made.ok ? "made" : made.problems.map(formatProblem).join("\n")).toMatch(expected);
    expect(made.ok).toBe(false);
  });
});
