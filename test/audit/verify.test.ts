import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HASH_TAIL, parseLine, sha256 } from "../../src/audit/chain.ts";
import { type ExportedHead, parseHead, recordHeadSigned, signHead } from "../../src/audit/head.ts";
import { readLog } from "../../src/audit/show.ts";
import { tailLog } from "../../src/audit/tail.ts";
import { exportHead, type Verification, verifyLog } from "../../src/audit/verify.ts";
import { lines, numbered, open, temporary } from "./fixture.ts";

const COUNT = 100;

async function hundred(): Promise<{ file: string; all: string[] }> {
  const file = join(temporary(), "audit.jsonl");
  const log = await open({ file });
  log.append(
    "r1",
    Array.from({ length: COUNT }, (_, index) => numbered(index + 1)),
  );
  log.close();
  return { file, all: lines(file) };
}

function keys(): { publicKey: string; privateKey: string } {
  return generateKeyPairSync("ed25519", {
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
}

/** What someone who can rewrite the file can do: compute all hashes from `from` on anew. */
function rechain(
  all: readonly string[],
  from: number,
  change: (record: Record<string, unknown>) => void,
): string[] {
  const result = all.slice(0, from);
  for (let index = from; index < all.length; index += 1) {
    const record: Record<string, unknown> = JSON.parse(all[index] ?? "");
    if (index === from) change(record);
    record["prev"] = index === 0 ? "0".repeat(64) : sha256(result[index - 1] ?? "");
    delete record["hash"];
    const body = JSON.stringify(record).slice(0, -1);
    result.push(`${body},"hash":"${sha256(body)}"}`);
  }
  return result;
}

async function exported(file: string): Promise<ExportedHead> {
  const head = await exportHead(file);
  if (!head.ok) throw new Error("no head");
  return head.value;
}

const text = (all: readonly string[]): string => all.map((line) => `${line}\n`).join("");
const where = ({ firstBad }: Verification): unknown[] => [firstBad?.line, firstBad?.seq, firstBad?.reason];

function forge(line: string): string {
  const body = line.slice(0, -HASH_TAIL).replace(/"prev":"0+"/, `"prev":"${"1".repeat(64)}"`);
  return `${body},"hash":"${sha256(body)}"}`;
}

test("what is no regular file is no log, and not a sound one", async () => {
  const fifo = join(temporary(), "fifo");
  execFileSync("mkfifo", [fifo]);
  for (const path of ["/dev/null", "/dev/zero", fifo]) {
    const refused = { code: "EINVAL", message: expect.stringContaining(path) };
    await expect(verifyLog(path)).rejects.toMatchObject(refused);
    await expect(readLog(path).next()).rejects.toMatchObject(refused);
    await expect(tailLog(path, { follow: false }).next()).rejects.toMatchObject(refused);
  }
});

describe("verify", () => {
  test("every flipped bit of a hundred records is found, in its line", async () => {
    const { file } = await hundred();
    const bytes = readFileSync(file);
    const ends = [...bytes.keys()].filter((index) => bytes[index] === 10);
    // Every bit of every line against the pure check of a line ...
    let start = 0;
    for (const end of ends) {
      const line = Buffer.from(bytes.subarray(start, end));
      // ... where hashing dominates: all bits of some lines, one bit of each byte of the others.
      const all = start === 0 || end === ends.at(-1);
      for (let index = 0; index < line.length; index += 1) {
        for (let bit = all ? 0 : index % 8; bit < 8; bit += all ? 1 : 8) {
          line[index] = (line[index] ?? 0) ^ (1 << bit);
          const verdict = parseLine(line);
          if (typeof verdict !== "string") throw new Error(`bit ${bit} of byte ${index} in line at ${start}`);
          line[index] = (line[index] ?? 0) ^ (1 << bit);
        }
      }
      start = end + 1;
    }
    // ... and through the file: a bit of every line, and every bit of some newlines.
    start = 0;
    for (const [number, end] of ends.entries()) {
      const index = start + ((number * 37) % (end - start));
      bytes[index] = (bytes[index] ?? 0) ^ 1;
      writeFileSync(file, bytes);
      // oxlint-disable-next-line no-await-in-loop -- one file, changed in between
      expect((await verifyLog(file)).firstBad?.line).toBe(number + 1);
      bytes[index] = (bytes[index] ?? 0) ^ 1;
      start = end + 1;
    }
    for (const number of [0, 50, COUNT - 1]) {
      for (let bit = 0; bit < 8; bit += 1) {
        const index = ends[number] ?? 0;
        bytes[index] = 10 ^ (1 << bit);
        writeFileSync(file, bytes);
        // oxlint-disable-next-line no-await-in-loop -- one file, changed in between
        expect((await verifyLog(file)).firstBad?.line).toBe(number + 1);
        bytes[index] = 10;
      }
    }
    writeFileSync(file, bytes);
    expect((await verifyLog(file)).ok).toBe(true);
  });

  const edits: readonly [string, (all: string[]) => string[], unknown[]][] = [
    ["a removed line", (all) => all.toSpliced(41, 1), [42, 42, "removed"]],
    ["the first line removed", (all) => all.slice(1), [1, 1, "removed"]],
    [
      "exchanged neighbours",
      (all) => all.toSpliced(41, 2, all[42] ?? "", all[41] ?? ""),
      [42, 42, "reordered"],
    ],
    [
      "distant lines exchanged",
      (all) => all.with(10, all[80] ?? "").with(80, all[10] ?? ""),
      [11, 11, "reordered"],
    ],
    ["a line twice", (all) => all.toSpliced(41, 0, all[40] ?? ""), [42, 42, "repeated"]],
    ["an empty line", (all) => all.toSpliced(41, 0, ""), [42, 42, "malformed"]],
    ["a foreign line", (all) => all.toSpliced(41, 0, '{"seq":42}'), [42, 42, "malformed"]],
    ["a line of a megabyte", (all) => all.with(41, "x".repeat(1 << 20)), [42, 42, "malformed"]],
    [
      "a line with its own hash made anew",
      (all) => {
        const body = (all[41] ?? "").slice(0, -HASH_TAIL).replace("number 42", "number 43");
        return all.with(41, `${body},"hash":"${sha256(body)}"}`);
      },
      [42, 42, "changed"],
    ],
    [
      "a first line that goes on from nowhere",
      (all) => rechain(all, 0, () => {}).with(0, forge(all[0] ?? "")),
      [1, 1, "changed"],
    ],
  ];
  test.each(edits)("%s is named", async (_name, edit, expected) => {
    const { file, all } = await hundred();
    writeFileSync(file, text(edit(all)));
    expect(where(await verifyLog(file))).toEqual(expected);
  });

  test("a line without its end is torn", async () => {
    const { file, all } = await hundred();
    writeFileSync(file, text(all).slice(0, -100));
    expect(where(await verifyLog(file))).toEqual([100, 100, "torn"]);
  });

  test("a cut tail passes the bare chain, and not an exported head", async () => {
    const { file, all } = await hundred();
    const head = await exported(file);
    writeFileSync(file, text(all.slice(0, 90)));
    expect((await verifyLog(file)).ok).toBe(true);
    expect(where(await verifyLog(file, { head }))).toEqual([91, 91, "truncated-tail"]);
    writeFileSync(file, "");
    expect(where(await verifyLog(file, { head }))).toEqual([1, 1, "truncated-tail"]);
  });

  test("a log chained anew passes the bare chain, and not an exported head", async () => {
    const { file, all } = await hundred();
    const head = await exported(file);
    writeFileSync(file, text(rechain(all, 41, (record) => Object.assign(record, { setting: "harmless" }))));
    expect((await verifyLog(file)).ok).toBe(true);
    expect(where(await verifyLog(file, { head }))).toEqual([100, 100, "rewritten"]);
    writeFileSync(file, text(rechain(all, 0, (record) => Object.assign(record, { setting: "harmless" }))));
    expect(where(await verifyLog(file, { head }))).toEqual([1, 1, "rewritten"]);
  });

  test("a head still holds when the log has grown", async () => {
    const { file } = await hundred();
    const head = await exported(file);
    const log = await open({ file });
    log.append("r2", [numbered("more")]);
    log.close();
    expect(await verifyLog(file, { head })).toMatchObject({ ok: true, records: 101 });
  });

  test("a head signed with another key, with a wrong signature or without one is refused", async () => {
    const { file, all } = await hundred();
    const ours = keys();
    const newer = keys();
    const head = signHead(await exported(file), ours.privateKey);
    expect((await verifyLog(file, { head, publicKey: ours.publicKey })).ok).toBe(true);
    // Rewritten, exported again and sealed with a newer key: sound in itself, and not by the key we trust.
    writeFileSync(file, text(rechain(all, 41, (record) => Object.assign(record, { setting: "harmless" }))));
    const resealed = signHead(await exported(file), newer.privateKey);
    expect((await verifyLog(file, { head: resealed, publicKey: newer.publicKey })).ok).toBe(true);
    expect(where(await verifyLog(file, { head: resealed, publicKey: ours.publicKey }))).toEqual([
      0,
      100,
      "signature",
    ]);
    writeFileSync(file, text(all));
    const { signature: _signature, ...unsigned } = head;
    expect(where(await verifyLog(file, { head: unsigned, publicKey: ours.publicKey }))).toEqual([
      0,
      100,
      "signature",
    ]);
    for (const lie of [
      { seq: 99 },
      { hash: "0".repeat(64) },
      { time: "2030-01-01T00:00:00.000Z" },
      { file: "x" },
    ]) {
      const forged = { ...head, ...lie };
      // oxlint-disable-next-line no-await-in-loop -- a short table
      expect(where(await verifyLog(file, { head: forged, publicKey: ours.publicKey }))[2]).toBe("signature");
    }
    expect(parseHead(JSON.stringify(head))).toEqual(head);
    expect(parseHead("{}")).toBeNull();
  });

  test("a signature inside the log is checked, in its place", async () => {
    const { file } = await hundred();
    const ours = keys();
    const newer = keys();
    const { first } = await verifyLog(file);
    const log = await open({ file });
    log.append("", (head) => [recordHeadSigned(head, first ?? "", ours.privateKey)]);
    log.append("r2", [numbered("after")]);
    log.close();
    expect(await verifyLog(file, { publicKey: ours.publicKey })).toMatchObject({ ok: true, signatures: 1 });
    expect(where(await verifyLog(file, { publicKey: newer.publicKey }))).toEqual([101, 101, "signature"]);
    const sound = lines(file);
    writeFileSync(file, text(rechain(sound, 41, (record) => Object.assign(record, { setting: "harmless" }))));
    expect((await verifyLog(file)).ok).toBe(true);
    expect(where(await verifyLog(file, { publicKey: ours.publicKey }))).toEqual([101, 101, "signature"]);
  });

  test("a broken log has no head to export", async () => {
    const { file, all } = await hundred();
    writeFileSync(file, text(all.toSpliced(41, 1)));
    expect(await exportHead(file)).toMatchObject({ ok: false, problems: [{ kind: "audit-corrupt" }] });
  });
});
