/** Statements about two policies: proved, refuted with a call that the evaluator confirms, or not decided. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differencesJson, renderDifferences } from "../../src/cli/render-difference.ts";
import { type Comparison, comparePolicies, provePolicies } from "../../src/compare-policies.ts";
import { AUDIT_ARCH, SKIPPED, X32_BIT } from "../../src/compile/seccomp/abi.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { call, effective, formatVerdict, strictness } from "../../src/compile/seccomp/ir.ts";
import { programOf } from "../../src/policy-input/meaning.ts";
import { readPolicy } from "../../src/policy-input/read.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { specOf } from "../../src/profile/stated.ts";
import { exampleOf } from "../../src/prove/call-bits.ts";
import { differencesOf, overall } from "../../src/prove/difference.ts";
import { formatCall } from "../../src/prove/format-call.ts";
import { compareLayers } from "../../src/prove/layers.ts";
import { Prover } from "../../src/prove/prover.ts";
import { callsNear, policies } from "../seccomp/policies.ts";
import { valueOf } from "../seccomp/support.ts";
import { AS_WRITTEN, filesWith, noPodmanDefault, PODMAN_DEFAULT } from "./files.ts";

const pair = (first: string, second: string): Comparison => ({
  ...AS_WRITTEN,
  first,
  second,
  machines: ["x86_64", "aarch64"],
});
const kinds = (first: string, second: string, relation: "at-most" | "equal", files = profileFiles()) =>
  valueOf(provePolicies(pair(first, second), relation, files)).calls.map(({ result }) => result.kind);

describe("the shipped profiles", () => {
  test.each([
    ["strict", "standard"],
    ["base", "strict"],
    ["judge", "strict"],
    ["strict", "judge"],
    ["build", "standard"],
  ])("%s permits nothing that %s forbids", (first, second) => {
    expect(kinds(first, second, "at-most")).toEqual(["proved", "proved"]);
  });

  test("standard permits what strict forbids, and the call that shows it is confirmed by both programs", () => {
    for (const { first, second, result } of valueOf(
      provePolicies(pair("standard", "strict"), "at-most", profileFiles()),
    ).calls) {
      if (result.kind !== "refuted") throw new Error(result.kind);
      const { witness } = result;
      const answers = [first, second].map(({ filter }) =>
        effective(evaluate(valueOf(programOf(filter)), witness.call)),
      );
      expect(answers).toEqual([witness.first, witness.second]);
      expect(formatVerdict(witness.first)).toBe("allow");
      expect(formatVerdict(witness.second)).toMatch(/^errno/);
    }
  });

  test("strict and judge have one filter", () => {
    expect(kinds("strict", "judge", "equal")).toEqual(["proved", "proved"]);
    expect(kinds("strict", "standard", "equal")).toEqual(["refuted", "refuted"]);
  });
});

describe("filters of others", () => {
  const container = readFileSync(new URL("../seccomp/container-default.json", import.meta.url), "utf8");

  test.skipIf(noPodmanDefault)(
    "Docker's and Podman's defaults are decided against each other, within time and memory",
    () => {
      const files = filesWith({ "/docker.json": container });
      // Once before: what is measured is the question, not the compilation of this program's own code.
      kinds("/docker.json", "strict", "at-most", files);
      const before = performance.now();
      const [compared] = valueOf(
        comparePolicies({ ...pair("/docker.json", PODMAN_DEFAULT), machines: ["x86_64"] }, files),
      ).calls;
      expect(performance.now() - before).toBeLessThan(2000);
      if (compared === undefined || "kind" in compared.result) throw new Error("not decided");
      const loosened = compared.result
        .filter(({ abi, direction }) => abi === "x86_64" && direction === "looser")
        .map(({ name }) => name);
      expect(loosened).toEqual(
        expect.arrayContaining(["mount", "unshare", "pivot_root", "clone", "clone3", "keyctl"]),
      );
      expect(kinds("/docker.json", PODMAN_DEFAULT, "at-most", files)[0]).toBe("refuted");
      expect(kinds(PODMAN_DEFAULT, PODMAN_DEFAULT, "equal", files)).toEqual(["proved", "proved"]);
    },
  );

  test("no filter permits everything, and is more than any", () => {
    const files = filesWith({ "/none.json": '{"ociVersion":"1.0.2","linux":{}}' });
    expect(kinds("strict", "/none.json", "at-most", files)).toEqual(["proved", "proved"]);
    expect(kinds("/none.json", "strict", "at-most", files)).toEqual(["refuted", "refuted"]);
  });

  test("a supervisor that may allow a call is more than a refusal and less than leave", () => {
    const rule = (action: string) =>
      JSON.stringify({ defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: ["read"], action }] });
    const files = filesWith({
      "/no.json": rule("SCMP_ACT_KILL_PROCESS"),
      "/ask.json": rule("SCMP_ACT_NOTIFY"),
      "/log.json": rule("SCMP_ACT_LOG"),
      "/yes.json": rule("SCMP_ACT_ALLOW"),
    });
    const order = ["/no.json", "/ask.json", "/log.json"];
    for (const [i, lower] of order.entries())
      for (const [j, upper] of order.entries())
        expect(kinds(lower, upper, "at-most", files)[0]).toBe(i <= j ? "proved" : "refuted");
    // What is logged happens.
    expect([
      kinds("/log.json", "/yes.json", "at-most", files)[0],
      kinds("/yes.json", "/log.json", "at-most", files)[0],
    ]).toEqual(["proved", "proved"]);
  });

  test("mistakes in both are found at once", () => {
    const files = filesWith({ "/one.json": '{"defaultAction":"X"}', "/two.json": '{"defaultAction":"Y"}' });
    const refused = provePolicies(pair("/one.json", "/two.json"), "equal", files);
    expect(refused.ok ? [] : refused.problems.map(({ message }) => message)).toEqual([
      "X is not a seccomp action",
      "Y is not a seccomp action",
    ]);
  });
});

describe("differences", () => {
  test("of random filters are those that trying calls finds, in the right direction", {
    timeout: 60_000,
  }, () => {
    const cases = fc
      .tuple(policies, policies)
      .chain(([one, other]) =>
        fc.tuple(
          fc.constant([one, other] as const),
          fc.array(fc.oneof(callsNear(one), callsNear(other)), { minLength: 40, maxLength: 40 }),
        ),
      );
    let found = 0;
    fc.assert(
      fc.property(cases, ([[one, other], calls]) => {
        const prover = new Prover();
        const [a, b] = [prover.rules(one), prover.rules(other)];
        if ("kind" in a || "kind" in b) throw new Error("rules are decided");
        const differences = differencesOf(prover, a, b, ["x86_64"]);
        if ("kind" in differences) throw new Error(differences.reason);
        const changes = differences.flatMap((each) => each.changes);
        found += changes.length;
        expect(changes.map(({ example }) => [a.ask(example), b.ask(example)])).toEqual(
          changes.map(({ from, to }) => [from, to]),
        );
        const steps = changes.map(({ from, to }) => Math.sign(strictness(to) - strictness(from)));
        expect(changes.map(({ direction }) => direction)).toEqual(
          steps.map((step) => (step === 0 ? "only-errno" : step > 0 ? "looser" : "stricter")),
        );
        const missed = calls.filter(({ arch, nr, args }) => {
          if (arch !== AUDIT_ARCH.x86_64 || (nr >= X32_BIT && nr !== SKIPPED)) return false;
          const words = call(arch, nr, args);
          const [from, to] = [a.ask(words), b.ask(words)];
          const difference = differences.find(({ first, last }) => first <= nr && nr <= last);
          const listed = difference?.changes.some((change) => change.from === from && change.to === to);
          return from !== to && listed !== true;
        });
        expect(missed).toEqual([]);
      }),
      { numRuns: 60, seed: 41 },
    );
    expect(found).toBeGreaterThan(300);
  });

  test("of strict and standard as text and as Markdown", async () => {
    const [compared] = valueOf(comparePolicies(pair("strict", "standard"), profileFiles())).calls;
    if (compared === undefined) throw new Error("nothing compared");
    const text = renderDifferences(compared, "text").split("\n");
    expect(text[0]).toBe("x86_64: standard is looser than strict");
    expect(text).toContain("looser (x86_64): seccomp");
    expect(text).toContain("    errno(1) -> allow where arg1 & 0xa == 0x0");
    const markdown = renderDifferences(compared, "markdown").split("\n");
    expect(markdown.slice(0, 4)).toEqual([
      "### System calls on x86_64: standard is looser than strict",
      "",
      "| | ABI | calls | change | for example |",
      "|---|---|---|---|---|",
    ]);
    // A bar inside a cell would end it.
    for (const row of markdown.slice(4))
      expect(row.replaceAll(String.raw`\|`, "").split("|")).toHaveLength(7);
    expect(differencesJson(compared)).toMatchObject({ machine: "x86_64", conclusion: "looser" });
  });

  test("each has its word", () => {
    const changed = (rules: object[]) => JSON.stringify({ defaultAction: "SCMP_ACT_ERRNO", syscalls: rules });
    const read = { names: ["read"], action: "SCMP_ACT_ALLOW" };
    const some = (value: number) => ({ ...read, args: [{ index: 0, value, op: "SCMP_CMP_EQ" }] });
    const files = filesWith({
      "/all": changed([read]),
      "/none": changed([]),
      "/one": changed([some(1)]),
      "/two": changed([some(2)]),
      "/other": changed([{ ...read, action: "SCMP_ACT_ERRNO", errnoRet: 5 }]),
    });
    const word = (first: string, second: string) => {
      const [compared] = valueOf(comparePolicies(pair(first, second), files)).calls;
      return compared === undefined || "kind" in compared.result
        ? null
        : overall(compared.result.map(({ direction }) => direction));
    };
    expect([
      word("/none", "/all"),
      word("/all", "/none"),
      word("/one", "/two"),
      word("/none", "/other"),
      word("/one", "/one"),
    ]).toEqual(["looser", "stricter", "incomparable", "only-errno", null]);
  });
});

test("an example is the least call that there is", () => {
  const prover = new Prover();
  const least = exampleOf(prover.diagrams, prover.callsOn("aarch64"));
  expect(least === null ? "" : formatCall(least)).toBe(
    "restart_syscall (arm) with arguments 0x0, 0x0, 0x0, 0x0, 0x0, 0x0",
  );
});

describe("the other layers of an OCI config.json", () => {
  const CAPABILITIES = { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"] };
  const BUNDLE = {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 1000, gid: 1000 },
      args: ["sh"],
      env: ["PATH=/bin"],
      cwd: "/",
      capabilities: CAPABILITIES,
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore"],
      sysctl: { "net.ipv4.ip_forward": "0" },
    },
  };
  const { process, linux } = BUNDLE;
  const otherCapabilities = { ...CAPABILITIES, bounding: ["CAP_KILL", "CAP_SYS_ADMIN"] };
  /** Directions and pointers of what the second does otherwise. */
  const told = (second: object | string, first: object | string = BUNDLE): readonly string[] => {
    const named = typeof first === "string" ? first : "/first/config.json";
    const other = typeof second === "string" ? second : "/second/config.json";
    const files = filesWith({
      "/first/config.json": JSON.stringify(first),
      "/second/config.json": JSON.stringify(second),
    });
    const { layers } = valueOf(comparePolicies(pair(named, other), files));
    return (layers ?? ["none are compared"]).map((each) =>
      typeof each === "string" ? each : `${each.direction} ${each.pointer}`,
    );
  };

  test.each<readonly [string, object, readonly string[]]>([
    ["nothing", BUNDLE, []],
    [
      "a namespace less",
      { ...BUNDLE, linux: { ...linux, namespaces: linux.namespaces.filter(({ type }) => type !== "ipc") } },
      ["looser /namespaces/ipc"],
    ],
    [
      "a capability more",
      { ...BUNDLE, process: { ...process, capabilities: otherCapabilities } },
      ["looser /capabilities/bounding"],
    ],
    ["a path unmasked", { ...BUNDLE, linux: { ...linux, maskedPaths: [] } }, ["looser /filesystem/masked"]],
    [
      "a limit",
      { ...BUNDLE, linux: { ...linux, resources: { pids: { limit: 5 } } } },
      ["stricter /resources/pids"],
    ],
    ["a hook, which no layer has a word for", { ...BUNDLE, hooks: { poststart: [] } }, ["undecided /hooks"]],
    [
      "another value of what is not judged",
      { ...BUNDLE, linux: { ...linux, sysctl: { "net.ipv4.ip_forward": "1" } } },
      ["undecided /linux/sysctl", "undecided /linux/sysctl"],
    ],
  ])("are compared field by field: %s", (_what, second, expected) => {
    expect(told(second)).toEqual(expected);
  });

  test("beside a profile: what only one of the two says is undecided, never a pass", () => {
    const found = told(BUNDLE, "strict");
    expect(found).toContain("undecided /audit");
    expect(found).toContain("looser /namespaces/user");
    expect(told("strict", BUNDLE)).toContain("stricter /namespaces/user");
  });

  test("a document that says nothing differs from a profile in nothing but what is undecided", () => {
    const { profile } = valueOf(
      readPolicy({ ...AS_WRITTEN, name: "strict", arch: "x86_64" }, profileFiles()),
    );
    if (profile === null) throw new Error("strict is no profile");
    const silent = specOf({}, "it");
    for (const found of [compareLayers(silent, profile.spec), compareLayers(profile.spec, silent)]) {
      expect(found.length).toBeGreaterThan(30);
      expect(new Set(found.map(({ direction }) => direction))).toEqual(new Set(["undecided"]));
    }
    expect(compareLayers(silent, silent)).toEqual([]);
  });

  test("of a filter alone there are none", () => {
    expect(told("strict", { defaultAction: "SCMP_ACT_ALLOW" })).toEqual(["none are compared"]);
  });
});
