import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type DoctorReport, examine } from "../../src/host/doctor.ts";
import type { HostFacts } from "../../src/host/facts.ts";
import { probeHost } from "../../src/host/probe.ts";
import { renderDoctor } from "../../src/host/render-doctor.ts";
import { recorded } from "./recorded.ts";
import { DELEGATED, DOCKER, LOGIN, ROOT_HYBRID, ROOT_V2, TERMINAL } from "./trees.ts";

const HOSTS = new URL("../golden/hosts/", import.meta.url);
const golden = (name: string): HostFacts => JSON.parse(readFileSync(new URL(`${name}.json`, HOSTS), "utf8"));
const names = readdirSync(HOSTS).map((file) => file.replace(/\.json$/, ""));
const of = (report: DoctorReport, control: string) =>
  report.examinations.find((entry) => entry.control === control);

describe("recorded hosts are host facts", () => {
  /** The shape of a value: keys and types, with the keys of free-form records and array elements left open. */
  const OPEN = new Set([
    "controllers",
    "hardLimits",
    "systemRoot",
    "systemEtc",
    "missing",
    "prepare",
    "apparmor",
    "selinux",
  ]);
  const ABILITIES = ["userNamespaces", "overlay", "proc", "idmappedMounts", "seccomp"] as const;
  const NULLABLE = new Set(["idBase", "newuidmap", "newgidmap", "libseccomp", "timezone"]);
  const shape = (value: unknown): unknown => {
    if (Array.isArray(value)) return "array";
    if (value === null || typeof value !== "object") return typeof value;
    return Object.fromEntries(
      Object.entries(value)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, inner]) => [
          key,
          OPEN.has(key) || ABILITIES.some((ability) => ability === key) || NULLABLE.has(key)
            ? "open"
            : shape(inner),
        ]),
    );
  };
  const expected = shape(probeHost(recorded(LOGIN), "x86_64"));

  test.each(names)("%s has the fields that a probe gives", (name) => {
    const facts = golden(name);
    expect(shape(facts)).toEqual(expected);
    for (const key of ABILITIES) {
      const ability = facts[key];
      const keys = ability.available ? ["available"] : ["available", "fix", "reason"];
      expect(Object.keys(ability).toSorted()).toEqual(keys);
    }
    for (const entry of Object.values(facts.cgroup.controllers)) {
      expect([1, 2]).toContain(entry.version);
      expect(entry.parent).toMatch(/^\/sys\/fs\/cgroup/);
    }
  });

  test("the hosts that plans are recorded for are all here", () => {
    expect(names.toSorted()).toEqual([
      "aarch64-root-v2",
      "debian-root-v1-hybrid",
      "docker-masked-proc",
      "fedora-root-selinux",
      "no-userns",
      "user-no-delegation",
      "user-v2-delegated",
    ]);
  });
});

describe("the doctor", () => {
  test.each([
    ["debian-root-v1-hybrid", "strict", true],
    ["aarch64-root-v2", "strict", true],
    ["user-v2-delegated", "strict", true],
    ["user-no-delegation", "strict", false],
    ["no-userns", null, false],
    ["docker-masked-proc", null, false],
  ] as const)("%s: strongest profile %s, judge runs: %s", (name, strongest, judge) => {
    const report = examine(golden(name));
    expect(report.strongest).toBe(strongest);
    expect(report.profiles.judge.runs).toBe(judge);
  });

  test.each([
    ...names.map(golden),
    ...[LOGIN, DELEGATED, TERMINAL, DOCKER, ROOT_V2, ROOT_HYBRID].map((tree) =>
      probeHost(recorded(tree), "x86_64"),
    ),
  ])("whatever is not full has a way out that can be followed", (facts) => {
    const { examinations } = examine(facts);
    expect(examinations.filter(({ detail }) => detail === "")).toEqual([]);
    expect(examinations.filter(({ status, fix }) => status !== "full" && fix === null)).toEqual([]);
  });

  test("a user without ranges is told the line that gives them", () => {
    const facts = { ...golden("user-v2-delegated") };
    const without = { ...facts, subordinate: { ...facts.subordinate, uid: [] } };
    expect(of(examine(without), "identity")?.fix).toBe(
      "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 anna",
    );
  });

  test("a missing libseccomp names the package of each distribution, and stops nothing", () => {
    const report = examine({ ...golden("debian-root-v1-hybrid"), libseccomp: null });
    expect(of(report, "libseccomp")?.fix).toContain("apt install libseccomp2");
    expect(report.profiles.strict).toEqual({ runs: true, blockedBy: [] });
  });

  test("the report is JSON as it is", () => {
    const report = examine(golden("docker-masked-proc"));
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  test("the text says for every control how much, why and what to do, and without colour no escape", () => {
    const report = examine(golden("docker-masked-proc"));
    const text = renderDoctor(report, { color: false });
    for (const { title, detail, fix } of report.examinations) {
      expect(text).toContain(title);
      expect(text).toContain(detail);
      expect(text).toContain(fix ?? "");
    }
    expect(text).not.toContain("\u001B");
    expect(renderDoctor(report, { color: true })).toContain("\u001B[31m");
    expect(text).toContain("No built-in profile runs here");
  });
});
