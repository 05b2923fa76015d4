/** The judge itself: a weaker sandbox is called weaker. Then the sweep over a real launcher. */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  hostile,
  installed,
  marker,
  mounts,
  need,
  sandbox,
  sandboxCgroups,
  scratch,
  tool,
  USERS,
} from "../live/harness.ts";
import {
  abandonedCgroups,
  callsOf,
  type Finding,
  type Injection,
  injectArgs,
  injections,
  judge,
  leaksOf,
  ownNamespaces,
  sweep,
  trace,
  VERDICTS,
  weaknesses,
} from "./inject.ts";

const OWN = ownNamespaces();
/** Every occurrence of every call; otherwise the first few of each. */
const FULL = process.env["SANDBOX_FAULTS"] === "full";

describe("the judge", () => {
  const clean = [
    "status=CapEff:\t0000000000000000",
    "status=NoNewPrivs:\t1",
    "ns-user=user:[1]",
    "mount=64 90 254:0 / /usr ro,nosuid - ext4 x rw",
    "uid-map=1000 99999 1",
    "fd=0 /dev/null",
    "fd=1 pipe:[17]",
    "create-root=?30",
    "signal-init=?1",
    "end=",
  ].join("\n");
  it.for([
    ["a capability", "0000000000000000", "0000000000000001"],
    ["no_new_privs", "NoNewPrivs:\t1", "NoNewPrivs:\t0"],
    ["a mount that is writable", "/usr ro,nosuid", "/usr rw,nosuid"],
    ["a mount that is missing", "mount=64 90 254:0 / /usr ro,nosuid - ext4 x rw\n", ""],
    ["a wider id map", "1000 99999 1", "0 0 4294967295"],
    ["a descriptor more", "fd=0 /dev/null", "fd=0 /dev/null\nfd=9 /"],
    ["a writable root", "create-root=?30", "create-root=0"],
    ["no Landlock domain", "signal-init=?1", "signal-init=0"],
    ["a namespace of the host", "user:[1]", OWN.get("user") ?? ""],
  ] as const)("calls %s weaker", ([, from, to]) => {
    const weak = clean.replace(from, to);
    expect(weak).not.toBe(clean);
    expect(weaknesses(clean, weak, OWN)).not.toBe("");
    expect(judge(clean, { code: 0, stdout: weak, stderr: "", hung: false }, OWN).verdict).toBe("weaker");
  });

  it("does not call another run of the same sandbox weaker", () => {
    const again = clean
      .replace("user:[1]", "user:[2]")
      .replace("mount=64 90", "mount=71 99")
      .replace("99999", "88888")
      .replace("[17]", "[18]");
    expect(weaknesses(clean, again, OWN)).toBe("");
    expect(judge(clean, { code: 0, stdout: again, stderr: "", hung: false }, OWN).verdict).toBe("unaffected");
  });

  it("calls a refusal closed only when the exit status says so", () => {
    expect(judge(clean, { code: 125, stdout: "", stderr: "", hung: false }, OWN).verdict).toBe("closed");
    expect(judge(clean, { code: 0, stdout: "", stderr: "", hung: false }, OWN).verdict).toBe("weaker");
    expect(judge(clean, { code: null, stdout: "", stderr: "", hung: true }, OWN).verdict).toBe("hang");
  });

  it("reads the launcher's calls, not the payload's, from a trace", () => {
    const log = [
      '7 execve("/launcher", ["/launcher"], []) = 0',
      '7 openat(3, "x") = 4',
      '7 openat(3, "y") = 5',
      '8 openat(3, "z") = 4',
      "8 execve(0x40045e, 0x7ffff3476ed0, 0x7ffff3476f00) = 0",
      '8 write(1, "", 1) = 1',
    ];
    expect([...callsOf(log.join("\n"))]).toEqual([
      ["openat", 2],
      ["execve", 1],
    ]);
  });
});

/** Who is killed, or refused the removal itself, cannot clean up: the next run does. */
const cannotClean = ({ fault, call }: Injection): boolean =>
  fault === "KILL" || call === "rmdir" || call === "unlinkat";

describe.each(USERS)("a standalone launcher under strict, run by %s", (user) => {
  it(
    "fails closed under every fault: never weaker, never a hang, nothing left",
    async (context) => {
      need(context, installed("strace"), "strace is not installed");
      const probe = hostile(context, "probe");
      const directory = scratch(user);
      const launcher = join(directory, "launcher");
      const compiled = await tool(user, ["compile", "--profile", "strict", "-o", launcher, "--", probe], {
        cwd: directory,
      });
      expect({ code: compiled.code, stderr: compiled.code === 0 ? "" : compiled.stderr }).toEqual({
        code: 0,
        stderr: "",
      });

      const log = join(directory, "trace");
      const clean = await trace(user, directory, [], log, [launcher]);
      expect({ code: clean.code, complete: clean.stdout.includes("end=") }).toEqual({
        code: 0,
        complete: true,
      });
      const calls = callsOf(readFileSync(log, "utf8"));
      const all = injections(calls, FULL ? Number.POSITIVE_INFINITY : 6);
      expect(all.length).toBeGreaterThan(300);

      const files = readdirSync(directory);
      const cgroups = new Set(sandboxCgroups());
      const table = mounts();
      const findings: Finding[] = [];
      const run = async (injection: Injection) => {
        const word = marker();
        const traced = await trace(user, directory, injectArgs(injection), "/dev/null", [launcher, word]);
        findings.push({
          injection,
          ...judge(clean.stdout, traced, OWN),
          leaks: await leaksOf(word, directory, files),
        });
      };
      const width = Math.min(4, availableParallelism());
      await sweep(
        all.filter((injection) => !cannotClean(injection)),
        width,
        run,
      );
      const left = await abandonedCgroups(cgroups);
      await sweep(all.filter(cannotClean), width, run);
      const next = await sandbox(user, ["/bin/true"]);
      const leftAtLast = await abandonedCgroups(cgroups);

      const counts = VERDICTS.map(
        (verdict) => `${findings.filter((one) => one.verdict === verdict).length} ${verdict}`,
      );
      console.log(`faults, ${user}: ${findings.length} injections: ${counts.join(", ")}`);
      const wrong = findings.filter(
        ({ verdict, leaks }) => verdict === "weaker" || verdict === "hang" || leaks.length > 0,
      );
      expect({ wrong, left, leftAtLast, next: next.code, mounts: mounts() === table }).toEqual({
        wrong: [],
        left: [],
        leftAtLast: [],
        next: 0,
        mounts: true,
      });
      expect(findings.length).toBe(all.length);
    },
    FULL ? 1_800_000 : 120_000,
  );
});
