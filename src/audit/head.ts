/**
 * The head of the chain, exported and signed: what makes the chain prove something.
 *
 * A chain that starts from nothing can be computed anew by whoever can write the file. A head that was taken away
 * earlier (number and hash of the last record) cannot be met by a rewritten or shortened file; its signature shows that
 * the head itself is ours. Keys are Ed25519, PEM (PKCS8 and SubjectPublicKeyInfo), as `openssl genpkey -algorithm
 * ed25519` writes them. The signature names the log (by the hash of its first line) and the key, so that neither a head
 * of another log nor one signed later with another key passes for this one.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type Head, isObject, sha256 } from "./chain.ts";
import type { HeadSigned } from "./records.ts";

/** A head as it is exported: JSON. */
export interface ExportedHead {
  readonly type: "sandbox-audit-head";
  readonly v: 1;
  /** The file it was taken from, for people. */
  readonly file: string;
  /** SHA-256 of the first line; 64 zeros for an empty log. */
  readonly first: string;
  readonly seq: number;
  readonly hash: string;
  /** RFC 3339, UTC, when it was exported. */
  readonly time: string;
  readonly signature?: {
    /** SHA-256 of the public key (SubjectPublicKeyInfo, DER). */
    readonly key: string;
    /** Ed25519, base64. */
    readonly value: string;
  };
}

export type HeadFault = "unsigned" | "other-key" | "bad-signature";

/** The key's name: SHA-256 of its public half in DER. */
export function keyFingerprint(key: KeyObject): string {
  const half = key.type === "public" ? key : createPublicKey(key);
  return sha256(half.export({ type: "spki", format: "der" }));
}

/** Read a private key; only Ed25519 will do. @throws Error that says what is wrong with the text */
function readPrivateKey(pem: string): KeyObject {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== "ed25519") throw new Error("the key is not an Ed25519 private key");
  return key;
}

function readPublicKey(pem: string): KeyObject {
  const key = createPublicKey(pem);
  if (key.asymmetricKeyType !== "ed25519") throw new Error("the key is not an Ed25519 public key");
  return key;
}

/** The bytes that are signed: one JSON array, fields in a fixed order. */
function headBytes(head: Omit<ExportedHead, "signature">, key: string): Buffer {
  const { type, v, file, first, seq, hash, time } = head;
  return Buffer.from(JSON.stringify([type, v, file, first, seq, hash, time, key]));
}

/** The bytes that a head-signed record signs. Its place in the chain is its time. */
function recordBytes(first: string, head: Head, key: string): Buffer {
  return Buffer.from(JSON.stringify(["sandbox-audit-record", 1, first, head.seq, head.hash, key]));
}

/** Sign an exported head. @throws Error when the key is not an Ed25519 private key in PEM */
export function signHead(head: ExportedHead, privateKeyPem: string): ExportedHead {
  const key = readPrivateKey(privateKeyPem);
  const name = keyFingerprint(key);
  return {
    ...head,
    signature: { key: name, value: sign(null, headBytes(head, name), key).toString("base64") },
  };
}

/** What is wrong with the signature of a head; null when nothing. @throws Error when the key is not one */
export function verifyHead(head: ExportedHead, publicKeyPem: string): HeadFault | null {
  const key = readPublicKey(publicKeyPem);
  const name = keyFingerprint(key);
  if (head.signature === undefined) return "unsigned";
  if (head.signature.key !== name) return "other-key";
  const good = verify(null, headBytes(head, name), key, Buffer.from(head.signature.value, "base64"));
  return good ? null : "bad-signature";
}

/**
 * A record that signs the head inside the log: append it while nobody else appends, or it will not verify.
 * @param first SHA-256 of the first line of the log
 */
export function recordHeadSigned(head: Head, first: string, privateKeyPem: string): HeadSigned {
  const key = readPrivateKey(privateKeyPem);
  const name = keyFingerprint(key);
  return {
    kind: "head-signed",
    head: { seq: head.seq, hash: head.hash },
    key: name,
    signature: sign(null, recordBytes(first, head, name), key).toString("base64"),
  };
}

/** Whether a head-signed record fits the chain before it and was signed by this key. */
export function verifySignature(
  record: Readonly<Record<string, unknown>>,
  before: Head,
  first: string,
  publicKeyPem: string,
): boolean {
  const key = readPublicKey(publicKeyPem);
  const name = keyFingerprint(key);
  const { head, signature } = record;
  if (record["key"] !== name || typeof signature !== "string" || !isObject(head)) return false;
  if (head["seq"] !== before.seq || head["hash"] !== before.hash) return false;
  return verify(null, recordBytes(first, before, name), key, Buffer.from(signature, "base64"));
}

/** Read an exported head; null when the text is not one. */
export function parseHead(text: string): ExportedHead | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not JSON: not a head, and the caller says so.
    return null;
  }
  if (!isObject(value) || value["type"] !== "sandbox-audit-head" || value["v"] !== 1) return null;
  const { file, first, seq, hash, time, signature } = value;
  if (typeof file !== "string" || typeof first !== "string" || typeof time !== "string") return null;
  if (typeof seq !== "number" || !Number.isSafeInteger(seq) || seq < 0 || typeof hash !== "string")
    return null;
  const head: ExportedHead = { type: "sandbox-audit-head", v: 1, file, first, seq, hash, time };
  if (signature === undefined) return head;
  if (!isObject(signature)) return null;
  const { key, value: bytes } = signature;
  if (typeof key !== "string" || typeof bytes !== "string") return null;
  return { ...head, signature: { key, value: bytes } };
}
