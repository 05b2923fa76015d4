import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { verifyLog } from "../../src/audit/verify.ts";
import { lines, skipReason, temporary } from "./fixture.ts";
import { start, work, workerFile } from "./processes.ts";

const root = process.geteuid?.() === 0;
/** A private mount namespace: as root, or with a user namespace. */
const unshare = root ? ["-m"] : ["-U", "-r", "-m"];

function acknowledged(stdout: string): string[] {
  return stdout.split("\n").slice(0, -1);
}
function ids(file: string): string[] {
  return lines(file)
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind === "decision")
    .map(({ id }) => id);
}

describe("faults", () => {
  test("eight processes that append at once make one valid chain, and no record is lost", async () => {
    const directory = temporary();
    const file = join(directory, "audit.jsonl");
    const count = 60;
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, index) => work("append", file, `p${index}`, String(count)).ended),
    );
    expect(all.map(({ code, stderr }) => [code, stderr])).toEqual(all.map(() => [0, ""]));
    expect(await verifyLog(file)).toMatchObject({ ok: true, records: 8 * count });
    const expected = Array.from({ length: 8 }, (_, index) => acknowledged(all[index]?.stdout ?? "")).flat();
    expect(ids(file).toSorted()).toEqual(expected.toSorted());
    // Each writer's own records stand in its own order.
    expect(ids(file).filter((id) => id.startsWith("p3."))).toEqual(acknowledged(all[3]?.stdout ?? ""));
    expect(readdirSync(directory)).toEqual(["audit.jsonl"]);
  });

  test("writers killed at any moment lose no acknowledged record, and the chain goes on", async () => {
    const directory = temporary();
    const file = join(directory, "audit.jsonl");
    const seen: string[] = [];
    let killed = 0;
    let number = 0;
    const one = async (): Promise<void> => {
      // Lives, not seconds: a busy machine takes longer for as many.
      while (killed < 24 && number < 200) {
        number += 1;
        const { child, ended } = work("append", file, `k${number}`, "1000000");
        let timer: NodeJS.Timeout | undefined;
        // From its first record on, so that the moment is inside of the writing.
        child.stdout?.once("data", () => {
          timer = setTimeout(() => child.kill("SIGKILL"), Math.random() * 60);
        });
        // oxlint-disable-next-line no-await-in-loop -- one life after the other
        const { stdout, stderr, signal } = await ended;
        clearTimeout(timer);
        expect(stderr).toBe("");
        if (signal === "SIGKILL") killed += 1;
        seen.push(...acknowledged(stdout));
      }
    };
    await Promise.all([one(), one(), one()]);
    expect(killed).toBeGreaterThanOrEqual(24);
    const last = await work("append", file, "last", "1").ended;
    expect(last).toMatchObject({ code: 0, stderr: "" });
    expect((await verifyLog(file)).firstBad).toBeNull();
    const inFile = new Set(ids(file));
    expect(seen.filter((id) => !inFile.has(id))).toEqual([]);
    expect(readdirSync(directory)).toEqual(["audit.jsonl"]);
  });

  test("a full disk is an error, and leaves whole lines only", async () => {
    const mount = temporary();
    if (skipReason(spawnSync("unshare", [...unshare, "true"]).status !== 0, "no private mount namespace"))
      return;
    // The file is copied out before the namespace, and the file system with it, is gone.
    const out = temporary();
    const script = `mount -t tmpfs -o size=64k,mode=700 none "$1" || exit 99
      "$2" "$3" append "$1/audit.jsonl" full 1000; code=$?; cp "$1"/audit.jsonl "$4"; ls -A "$1" >"$4/names"; exit $code`;
    const args = [...unshare, "sh", "-c", script, "sh", mount, process.execPath, workerFile(), out];
    const { code, stdout, stderr } = await start("unshare", args).ended;
    expect([code, stderr]).toEqual([
      4,
      expect.stringMatching(/^ENOSPC .*(took \d+ of|be locked).*free space/),
    ]);
    expect(acknowledged(stdout).length).toBeGreaterThan(20);
    const file = join(out, "audit.jsonl");
    expect(await verifyLog(file)).toMatchObject({ ok: true, records: acknowledged(stdout).length });
    expect(ids(file)).toEqual(acknowledged(stdout));
    expect(lines(join(out, "names"))).toEqual(["audit.jsonl"]);
  });

  test("a file-size limit is an error, and leaves whole lines only", async () => {
    const file = join(temporary(), "audit.jsonl");
    const script = 'ulimit -f 8; exec "$@"';
    const args = ["-c", script, "sh", process.execPath, workerFile(), "append", file, "limit", "1000"];
    const { code, stdout, stderr } = await start("bash", args).ended;
    expect([code, stderr]).toEqual([
      4,
      expect.stringMatching(/^EFBIG .*took \d+ of \d+ bytes: EFBIG; .*ulimit -f/),
    ]);
    expect(acknowledged(stdout).length).toBeGreaterThan(5);
    expect(await verifyLog(file)).toMatchObject({ ok: true, records: acknowledged(stdout).length });
    // With the limit gone, the chain goes on.
    expect((await work("append", file, "more", "3").ended).code).toBe(0);
    expect(await verifyLog(file)).toMatchObject({ ok: true, records: acknowledged(stdout).length + 3 });
  });

  test("a directory or file that may not be written is refused before anything is run", async () => {
    const directory = temporary();
    chmodSync(directory, 0o755);
    const other = root ? { uid: 65534, gid: 65534 } : {};
    mkdirSync(join(directory, "closed"));
    writeFileSync(join(directory, "closed/audit.jsonl"), "", { mode: 0o400 });
    chmodSync(join(directory, "closed"), 0o555);
    try {
      for (const name of ["closed/audit.jsonl", "closed/new.jsonl"]) {
        const args = [workerFile(), "append", join(directory, name), "closed", "1"];
        // oxlint-disable-next-line no-await-in-loop -- a short table
        const { code, stderr } = await start(process.execPath, args, other).ended;
        expect([name, code, stderr]).toEqual([
          name,
          3,
          expect.stringMatching(/: EACCES; choose .* --audit FILE/),
        ]);
      }
    } finally {
      chmodSync(join(directory, "closed"), 0o755);
      rmSync(join(directory, "closed"), { recursive: true });
    }
  });

  test("a file of another user is refused, by root too", async () => {
    if (skipReason(!root, "only root can make a file of another user")) return;
    const directory = temporary();
    const file = join(directory, "audit.jsonl");
    writeFileSync(file, "", { mode: 0o600 });
    spawnSync("chown", ["65534", file]);
    const { code, stderr } = await work("append", file, "foreign", "1").ended;
    expect([code, stderr]).toEqual([3, expect.stringMatching(/belongs to user 65534, not to you \(0\)/)]);
  });
});
