/** Two images → what got more permissive, what less, and what is merely different. Pure. */
import type { ImageFacts } from "../facts/facts.ts";
import { type Exposure, exposuresOf } from "./exposures.ts";

export interface Change {
  readonly direction: "worse" | "better" | "different";
  readonly kind: Exposure["kind"] | "size" | "waste" | "version" | "configuration";
  readonly subject: string;
  readonly detail: string;
  /** Of the image that has it: the new one for what is worse. */
  readonly layer: number | null;
}

export interface Comparison {
  readonly changes: readonly Change[];
  /** Bytes of visible files, new minus old. */
  readonly growth: number;
}

/** `maxGrowth`: bytes by which an image may grow before that is worse; null: any. */
export function compareImages(before: ImageFacts, after: ImageFacts, maxGrowth: number | null): Comparison {
  const old = byIdentity(exposuresOf(before));
  const now = byIdentity(exposuresOf(after));
  const only = (these: typeof old, others: typeof old, direction: "worse" | "better"): readonly Change[] =>
    [...these].flatMap(([key, exposure]) => (others.has(key) ? [] : [{ direction, ...exposure }]));
  const growth = after.size.visible - before.size.visible;
  return {
    growth,
    changes: [
      ...only(now, old, "worse"),
      ...sizes(before, after, growth, maxGrowth),
      ...only(old, now, "better"),
      ...versions(before, after),
      ...configuration(before, after),
    ],
  };
}

const byIdentity = (all: readonly Exposure[]): ReadonlyMap<string, Exposure> =>
  new Map(all.map((one) => [`${one.kind}\0${one.subject}`, one]));

function sizes(
  before: ImageFacts,
  after: ImageFacts,
  growth: number,
  maxGrowth: number | null,
): readonly Change[] {
  const change = (
    kind: "size" | "waste",
    subject: string,
    bytes: number,
    limit: number | null,
  ): readonly Change[] =>
    bytes === 0
      ? []
      : [
          {
            direction: bytes < 0 ? "better" : limit !== null && bytes > limit ? "worse" : "different",
            kind,
            subject,
            detail: `${bytes > 0 ? "+" : ""}${bytes} bytes`,
            layer: null,
          },
        ];
  return [
    ...change("size", "files that a container sees", growth, maxGrowth),
    ...change("size", "layers as stored", after.size.stored - before.size.stored, null),
    ...change("waste", "bytes that no container sees", after.waste.bytes - before.waste.bytes, null),
  ];
}

function versions(before: ImageFacts, after: ImageFacts): readonly Change[] {
  const old = new Map(before.packages.map((one) => [`${one.manager}: ${one.name}`, one.version]));
  return after.packages.flatMap((one): readonly Change[] => {
    const subject = `${one.manager}: ${one.name}`;
    const version = old.get(subject);
    if (version === undefined || version === one.version) return [];
    return [
      {
        direction: "different",
        kind: "version",
        subject,
        detail: `${version} -> ${one.version}`,
        layer: one.layer,
      },
    ];
  });
}

const FIELDS = [
  "user",
  "entrypoint",
  "command",
  "workingDirectory",
  "volumes",
  "healthcheck",
  "stopSignal",
] as const;

function configuration(before: ImageFacts, after: ImageFacts): readonly Change[] {
  const fields = FIELDS.flatMap((field): readonly Change[] => {
    const was = JSON.stringify(before.config?.[field] ?? null);
    const is = JSON.stringify(after.config?.[field] ?? null);
    if (was === is) return [];
    return [
      {
        direction: "different",
        kind: "configuration",
        subject: field,
        detail: `${was} -> ${is}`,
        layer: null,
      },
    ];
  });
  // Names only: a value may be a secret.
  const names = (facts: ImageFacts): ReadonlyMap<string, string> =>
    new Map((facts.config?.env ?? []).map((one) => [one.split("=", 1)[0] ?? one, one]));
  const old = names(before);
  const now = names(after);
  const variables = [...new Set([...old.keys(), ...now.keys()])].flatMap((name): readonly Change[] => {
    if (old.get(name) === now.get(name)) return [];
    const detail = old.has(name) ? (now.has(name) ? "changed" : "removed") : "added";
    return [
      { direction: "different", kind: "configuration", subject: `environment ${name}`, detail, layer: null },
    ];
  });
  return [...fields, ...variables];
}
