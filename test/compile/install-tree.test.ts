/** A system root that takes writes takes programs: /usr/local is the payload's, and the host's stays as it is. */
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { probeInstallTree } from "../../src/host/install-tree.ts";
import { make, scratch } from "../library/support.ts";
import { planFor } from "./plan.ts";

const INSTALL = [
  "install: ; mkdir -p $(DESTDIR)/usr/local/bin /usr/local/share/doc/tool",
  "\tprintf '#!/bin/sh\\necho installed\\n' > /usr/local/bin/tool-of-a-test",
  "\tchmod 755 /usr/local/bin/tool-of-a-test",
].join("\n");

describe("/usr/local of a root that takes writes", () => {
  test("takes what is installed, at every level, beside what the host has there", async () => {
    const before = readdirSync("/usr/local/bin").toSorted();
    const { sandbox } = await make({}, { profile: "standard" });
    const script = [
      "cd /tmp && cat > Makefile && make -s install && tool-of-a-test",
      "for d in bin lib share sbin; do touch /usr/local/$d/new && rm /usr/local/$d/new || exit 1; done",
      "ls /usr/local/bin",
    ].join("\n");
    const outcome = await sandbox.run(["sh", "-ec", script], { stdin: INSTALL });
    expect(outcome.stderr).toBe("");
    expect(outcome.stdout?.split("\n").filter((line) => line !== "")).toEqual([
      "installed",
      ...[...before, "tool-of-a-test"].toSorted(),
    ]);
    expect(readdirSync("/usr/local/bin").toSorted()).toEqual(before);
  });

  test("keeps it where writes are kept, whatever the payload left there before", async () => {
    const values = { "/filesystem/write": { directory: scratch() } };
    const run = async (script: string) => {
      const { sandbox } = await make(values, { profile: "standard" });
      const outcome = await sandbox.run(["sh", "-c", script]);
      expect(outcome.launchError).toBeNull();
      return `${outcome.stdout}${outcome.stderr}`;
    };
    await run(
      "echo one > /usr/local/bin/kept; rm -rf /usr/local/src /usr/local/share; ln -s /tmp /usr/local/share; touch /usr/local/src",
    );
    expect(await run("cat /usr/local/bin/kept; readlink /usr/local/share; stat -c %F /usr/local/src")).toBe(
      "one\n/tmp\nregular empty file\n",
    );
  });

  test("is read-only where nothing is written", async () => {
    const { sandbox } = await make();
    const outcome = await sandbox.run(["touch", "/usr/local/bin/new"]);
    expect(outcome.stderr).toContain("Read-only file system");
  });

  test("costs a root that takes no writes nothing", () => {
    const steps = (values: Readonly<Record<string, unknown>>) => {
      const plan = planFor({ host: "debian-root-v1-hybrid", overrides: values, installTree: ["bin"] });
      if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
      return plan.value.program.roles.init.steps.filter((step) => "id" in step && step.id.startsWith("own:"));
    };
    expect(steps({})).toEqual([]);
    expect(steps({ "/filesystem/write": "ephemeral" })).toHaveLength(6);
  });
});

describe("the directories that are given to the payload", () => {
  test("are the standard ones that anybody may read, parents first, without links", () => {
    const top = scratch();
    chmodSync(top, 0o755);
    for (const path of ["bin", "lib/python3/dist-packages/deep", "share", "cuda-1/bin", "etc/private/below"])
      mkdirSync(join(top, path), { recursive: true });
    chmodSync(join(top, "etc/private"), 0o700);
    symlinkSync("share", join(top, "man"));
    writeFileSync(join(top, "src"), "");
    expect(probeInstallTree(top)).toEqual([
      "bin",
      "etc",
      "lib",
      "share",
      "lib/python3",
      "lib/python3/dist-packages",
    ]);
    expect(probeInstallTree(join(top, "nowhere"))).toEqual([]);
  });

  test("are not without number", () => {
    const top = scratch();
    chmodSync(top, 0o755);
    for (let index = 0; index < 100; index += 1)
      mkdirSync(join(top, "share", `${index}`), { recursive: true });
    expect(probeInstallTree(top)).toHaveLength(64);
  });
});
