/**
 * What another tool's document says of a sandbox, in the shape of a Spec: a field that the document does not decide is not there, and asking for it
 * throws. So no reader can take a gap for a value, however it asks. Pure.
 */
import type { Spec } from "./spec.ts";

/** The part of a Spec that a document states: whole sections, or some fields of one. */
export type StatedSpec = {
  readonly [S in keyof Spec]?: Spec[S] extends readonly unknown[] | string | boolean | null
    ? Spec[S]
    : Partial<Spec[S]>;
};

/** Asked for what the document does not say, or for what cannot be found out from it. Whoever asks for many things catches it and says so (`stated`). */
export class NotStated extends Error {
  override readonly name = "NotStated";
  /** JSON pointer of the field. */
  readonly pointer: string;

  /** `message`: who does not say what, as a clause. */
  constructor(pointer: string, message: string) {
    super(message);
    this.pointer = pointer;
  }
}

/** `by`: the document, as in "an OCI config.json". */
const missing = (pointer: string, by: string): NotStated =>
  new NotStated(pointer, `${by} does not say ${WORDS[pointer.split("/")[1] ?? ""] ?? pointer}`);

/** What each section is about, after "does not say". */
const WORDS: Readonly<Record<string, string>> = {
  namespaces: "which namespaces there are",
  identity: "who runs it",
  filesystem: "which files there are",
  capabilities: "which capabilities there are",
  noNewPrivileges: "whether executing a file gives rights",
  seccomp: "which rules the filter was made of",
  lsm: "whether a security module confines it",
  landlock: "whether Landlock confines it",
  resources: "what is limited",
  network: "which network there is",
  environment: "which variables are set",
  process: "how it is started",
  audit: "whether it is recorded",
  require: "what a host must give",
};

/** Sections whose fields are known one by one. The others are there as a whole or not at all. */
const DIVIDED: readonly (keyof Spec)[] = [
  "namespaces",
  "identity",
  "filesystem",
  "capabilities",
  "lsm",
  "resources",
  "process",
];

/** A Spec of what is known; a missing field throws NotStated when it is read. */
export function specOf(known: StatedSpec, by: string): Spec {
  const sections = Object.fromEntries(
    DIVIDED.map((section) => [section, guarded((known[section] ?? {}) as object, `/${section}`, by)]),
  );
  return guarded({ ...known, ...sections }, "", by) as Spec;
}

function guarded(values: object, pointer: string, by: string): object {
  return new Proxy(values, {
    get(target, key) {
      if (typeof key === "symbol" || Object.hasOwn(target, key)) return Reflect.get(target, key) as unknown;
      throw missing(`${pointer}/${key}`, by);
    },
    // Listing the fields would pass over those that are missing.
    ownKeys() {
      throw missing(pointer, by);
    },
  });
}

/** What `ask` gives, or what it asked for in vain. */
export function stated<T>(ask: () => T): T | NotStated {
  try {
    return ask();
  } catch (error) {
    if (error instanceof NotStated) return error;
    throw error;
  }
}
