import { existsSync, readdirSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  acquireLock,
  isDead,
  LockError,
  type LockOwner,
  parseOwner,
  withLock,
} from "../../src/audit/lock.ts";
import { temporary } from "./fixture.ts";
import { start, work } from "./processes.ts";

function format(owner: LockOwner): string {
  return [owner.pid, owner.startTime, owner.boot, owner.namespaces, owner.host, owner.nonce].join(":");
}

function ourselves(): LockOwner {
  const path = join(temporary(), "lock");
  const owner = withLock(path, () => parseOwner(readlinkSync(path)));
  if (owner === null) throw new Error("no owner");
  return owner;
}

describe("lock", () => {
  test("says who holds it, and is gone after release", () => {
    const path = join(temporary(), "lock");
    const release = acquireLock(path);
    expect(parseOwner(readlinkSync(path))?.pid).toBe(process.pid);
    release();
    expect(existsSync(path)).toBe(false);
    expect(() => withLock(path, () => JSON.parse("{"))).toThrow(SyntaxError);
    expect(readdirSync(join(path, ".."))).toEqual([]);
  });

  test("its text is short enough to lie in the inode, whatever the pid and the time since boot", () => {
    const longest = { ...ourselves(), pid: 4_194_304, startTime: "9999999999" };
    expect(format(longest).length).toBeLessThanOrEqual(59);
    expect(parseOwner(format(longest))).toEqual(longest);
  });

  test("a living owner is waited for, then named", () => {
    const path = join(temporary(), "lock");
    const other = { ...ourselves(), nonce: "012345" };
    symlinkSync(format(other), path);
    expect(() => acquireLock(path, { timeout: 20 })).toThrow(LockError);
    expect(() => acquireLock(path, { timeout: 20 })).toThrow(`process ${process.pid} holds it`);
    expect(readlinkSync(path)).toBe(format(other));
  });

  test("who is dead, and who cannot be judged", async () => {
    const own = ourselves();
    const { child, ended } = start("true", []);
    await ended;
    const table: [string, Partial<LockOwner>, boolean][] = [
      ["ourselves", {}, false],
      ["our pid with another start time", { startTime: "1" }, true],
      ["a pid that is gone", { pid: child.pid ?? 0 }, true],
      ["another boot of this host", { boot: "00000000" }, true],
      ["another host", { boot: "00000000", host: "ffffff" }, false],
      ["another pid namespace", { namespaces: "1.1", pid: child.pid ?? 0 }, false],
      [
        "another time namespace, where start times differ",
        { namespaces: `${own.namespaces.split(".")[0]}.1`, startTime: "1" },
        false,
      ],
    ];
    for (const [name, change, dead] of table)
      expect([name, isDead({ ...own, ...change })]).toEqual([name, dead]);
  });

  test("a dead owner's lock is broken, and so is the marker of a dead breaker", () => {
    const directory = temporary();
    const path = join(directory, "lock");
    const dead = { ...ourselves(), startTime: "1" };
    symlinkSync(format({ ...dead, nonce: "aaaaaa" }), path);
    symlinkSync(format({ ...dead, nonce: "bbbbbb" }), `${path}.break-aaaaaa`);
    symlinkSync(format({ ...dead, nonce: "cccccc" }), `${path}.break-bbbbbb`);
    symlinkSync(format({ ...dead, nonce: "dddddd" }), `${path}.break-ffffff`);
    expect(withLock(path, () => parseOwner(readlinkSync(path))?.pid, { timeout: 2000 })).toBe(process.pid);
    expect(readdirSync(directory)).toEqual([]);
  });

  test("what is no lock of ours is never removed", () => {
    const path = join(temporary(), "lock");
    symlinkSync("somewhere", path);
    expect(() => acquireLock(path, { timeout: 5 })).toThrow("something that is not a lock of ours");
    expect(readlinkSync(path)).toBe("somewhere");
  });

  test("processes that are killed at any moment never share it", async () => {
    const directory = temporary();
    const path = join(directory, "token");
    const end = performance.now() + 2500;
    let killed = 0;
    const one = async (): Promise<string[]> => {
      const outputs: string[] = [];
      while (performance.now() < end || killed <= 5) {
        const { child, ended } = work("lock", path, "10000");
        // From its first taking of the lock, however long a busy machine takes to get there.
        child.stdout?.once("data", () => setTimeout(() => child.kill("SIGKILL"), Math.random() * 150));
        // oxlint-disable-next-line no-await-in-loop -- one life after the other
        const { stdout, stderr, signal } = await ended;
        if (signal === "SIGKILL") killed += 1;
        outputs.push(stdout + stderr);
      }
      return outputs;
    };
    const outputs = (await Promise.all([one(), one(), one()])).flat();
    expect(outputs.filter((output) => !/^\.*$/.test(output))).toEqual([]);
    expect(outputs.join("").length).toBeGreaterThan(20);
    expect(killed).toBeGreaterThan(5);
    expect(withLock(`${path}.lock`, () => "had", { timeout: 1000 })).toBe("had");
    expect(readdirSync(directory)).toEqual(["token"]);
  });
});
