/** A disk that fills up under the audit log of a running sandbox: what the profile says about that is what happens. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { verifyLog } from "../../src/index.ts";
import { cli, finish, need, scratch, start, written } from "./harness.ts";

const isRoot = process.getuid?.() === 0;
/** As root, or with a user namespace: a file system of our own to fill. */
const UNSHARE = isRoot ? ["unshare", "--mount"] : ["unshare", "--user", "--map-root-user", "--mount"];

/** A run of so many seconds on whose log's file system no block and no inode is left after the start: the last page of the log may have room. */
async function runOnFullDisk(onFailure: string, seconds: number) {
  const directory = scratch(isRoot ? "root" : "user");
  const script = `
    mkdir log; mount -t tmpfs -o size=256k,nr_inodes=16,mode=700 none log || exit 99
    "$NODE" "$CLI" run --audit log/audit --report report.json --set "/audit/onFailure=\\"$1\\"" -- \
      /bin/sh -c 'echo started; sleep '"$2"'; echo ended' > out 2> err &
    while ! grep -q started out; do sleep 0.05; done
    mkdir log/full; dd if=/dev/zero of=log/full/bytes bs=4096 2> /dev/null
    i=0; while touch log/full/$i; do i=$((i + 1)); done 2> /dev/null
    wait $!; echo "status $?"; cat out err
    rm -r log/full; cp log/audit audit.jsonl`;
  const ran = await finish(
    start([...UNSHARE, "sh", "-c", script, "sh", onFailure, `${seconds}`], {
      directory,
      env: { NODE: process.execPath, CLI: cli(isRoot ? "root" : "user") },
    }),
    { patience: 30_000 },
  );
  return { ran, ...written(directory), log: join(directory, "audit.jsonl") };
}

const privateMounts = spawnSync(UNSHARE[0] ?? "", [...UNSHARE.slice(1), "true"]).status === 0;

describe("a log that cannot be written while the sandbox runs", () => {
  it("ends it under kill, and the outcome says so", async (context) => {
    need(context, privateMounts, "no private mount namespace");
    const { ran, report, log } = await runOnFullDisk("kill", 20);
    expect(ran.stdout).toContain("status 125\nstarted\n");
    expect(ran.stdout).not.toContain("ended");
    expect(ran.stdout).toContain("killed because the audit log could not be written");
    expect(report).toMatchObject({ reason: "audit-failed", signal: "SIGKILL", exitCode: null });
    expect(report?.usage.wallTime).toBeLessThan(19_000);
    // What was written stays whole.
    expect(await verifyLog(log)).toMatchObject({ ok: true });
  });

  it("lets it end by itself under refuse, and the outcome says that its end is not in the log", async (context) => {
    need(context, privateMounts, "no private mount namespace");
    const { ran, report } = await runOnFullDisk("refuse", 2);
    expect(ran.stdout).toContain("status 125\nstarted\nended\n");
    expect(report).toMatchObject({ reason: "audit-failed", exitCode: 0 });
  });

  it("is proved meanwhile by records of the run", async () => {
    const directory = scratch(isRoot ? "root" : "user");
    const ran = await finish(
      start(
        [
          process.execPath,
          cli(isRoot ? "root" : "user"),
          "run",
          "--audit=audit.jsonl",
          '--set=/audit/onFailure="kill"',
          "--",
          "sleep",
          "2.5",
        ],
        { directory },
      ),
    );
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    const { audit } = written(directory);
    const running = audit.filter(({ kind }) => kind === "running").map(({ elapsed }) => Number(elapsed));
    expect(running).toHaveLength(2);
    expect(running[0]).toBeGreaterThanOrEqual(1000);
    expect(running[1]).toBeGreaterThanOrEqual(2 * (running[0] ?? 0));
    expect(await verifyLog(join(directory, "audit.jsonl"))).toMatchObject({ ok: true });
  });
});
