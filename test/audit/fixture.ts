/** Records, logs and processes for the audit tests. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import { type AuditLog, type OpenAuditOptions, openAudit } from "../../src/audit/log.ts";
import { recordDecision, recordEnd, recordRunStart } from "../../src/audit/record.ts";
import type { AuditRecord } from "../../src/audit/records.ts";
import { NO_REDACTION, type Redactor } from "../../src/audit/redact.ts";
import type { Decision } from "../../src/compile/plan.ts";
import type { HostFacts } from "../../src/host/facts.ts";
import type { Outcome } from "../../src/launch/outcome.ts";
import { formatProblem } from "../../src/problems.ts";

const directories: string[] = [];
/** A directory of this test alone, gone afterwards. */
export function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-audit-"));
  directories.push(directory);
  return directory;
}
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** Open a log that must open. */
export async function open(options: OpenAuditOptions): Promise<AuditLog> {
  const opened = await openAudit(options);
  if (!opened.ok) throw new Error(opened.problems.map(formatProblem).join("\n"));
  return opened.value;
}

/** The problem of a log that must not open. */
export async function refusal(options: OpenAuditOptions): Promise<string> {
  const opened = await openAudit(options);
  if (opened.ok) {
    opened.value.close();
    throw new Error("the log opened");
  }
  return opened.problems.map((problem) => `${problem.kind} ${formatProblem(problem)}`).join("\n");
}

export function lines(path: string): string[] {
  return readFileSync(path, "utf8").split("\n").slice(0, -1);
}

export const FACTS: HostFacts = {
  arch: "x86_64",
  kernel: { release: "6.18.0", major: 6, minor: 18 },
  user: { uid: 1000, gid: 1000, groups: [1000], name: "ada" },
  capabilities: [],
  hardLimits: {},
  lastCapability: 40,
  userNamespaces: { available: true },
  namespaces: {
    user: true,
    mount: true,
    pid: true,
    network: true,
    ipc: true,
    uts: true,
    cgroup: true,
    time: true,
  },
  idBase: null,
  pidMax: 4_194_304,
  subordinate: { uid: [], gid: [], newuidmap: null, newgidmap: null },
  cgroup: { layout: "none", controllers: {}, prepare: null, swapAccounting: false, missing: null },
  overlay: { available: true },
  proc: { available: true },
  idmappedMounts: { available: false, reason: "not root", fix: "run as root" },
  seccomp: { available: true },
  libseccomp: "2.5.4",
  lsms: ["capability", "landlock"],
  lsm: { apparmor: null, selinux: null },
  landlockAbi: 7,
  cpus: 2,
  memory: 4_294_967_296,
  systemRoot: {},
  systemEtc: {},
  mountPoints: [],
  timezone: null,
};

export function decision(id: string, change: Partial<Decision> = {}): Decision {
  return {
    id,
    control: "namespaces",
    setting: `${id} is on`,
    provenance: {
      kind: "profile",
      file: "profiles/strict.json",
      pointer: `/namespaces/${id}`,
      line: 14,
      column: 9,
    },
    status: "full",
    reason: "",
    check: null,
    ...change,
  };
}

export const OUTCOME: Outcome = {
  runId: "r1",
  exitCode: null,
  signal: "SIGKILL",
  reason: "memory-limit",
  launchError: {
    step: "mount:/usr.open",
    call: "open_tree",
    errno: "EPERM",
    target: "/usr",
    hint: "mount it",
  },
  usage: {
    wallTime: 12.5,
    cpuTime: 3,
    userTime: 1,
    systemTime: 2,
    peakMemory: 1_000_000,
    peakMemorySource: "cgroup",
    outputSize: null,
    oomKills: 1,
    pidsLimitHits: 2,
    outsideOomKills: 0,
    outsidePidsHits: 0,
  },
  enforcement: [
    { decision: "namespaces.user", expected: "own", actual: "own", matches: true, status: "full" },
    { decision: "resources.memory", expected: "4096", actual: "max", matches: false, status: "none" },
  ],
  files: { root: "/srv/root", opened: ["/bin/app", "/etc/x"], complete: false, missed: ["some were lost"] },
  stdout: null,
  stderr: null,
};

/** All that one run says: `count` decisions between its start and its end. */
export function runRecords(count = 3, redactor: Redactor = NO_REDACTION): readonly AuditRecord[] {
  const decisions = Array.from({ length: count }, (_, index) => decision(`namespaces.n${index}`));
  return [
    recordRunStart(
      {
        tool: { name: "sandbox", version: "0.1.0" },
        started: "12345",
        facts: FACTS,
        cwd: "/home/ada",
        argv: ["/usr/bin/python3", "-c", "print(1)"],
        profile: {
          spec: { name: "strict" },
          sources: [{ file: "profiles/strict.json", sha256: "a".repeat(64) }],
        },
        plan: "b".repeat(64),
        launcher: "c".repeat(64),
        mode: "supervised",
      },
      redactor,
    ),
    ...decisions.map((each) => recordDecision(each, redactor)),
    ...recordEnd(OUTCOME, decisions, 137, redactor),
  ];
}

/** One short record that carries a number. */
export function numbered(number: number | string): AuditRecord {
  return recordDecision(decision("numbered", { setting: `number ${number}` }), NO_REDACTION);
}

/** A skip that says why, and is a failure where everything must work. */
export function skipReason(condition: boolean, reason: string): boolean {
  if (!condition) return false;
  if (process.env.SANDBOX_MUST_WORK === "1") throw new Error(`cannot test: ${reason}`);
  console.warn(`skipped: ${reason}`);
  return true;
}
