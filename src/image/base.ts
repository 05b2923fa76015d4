/**
 * The image that an image was built on: what annotations and labels declare, the one that somebody gives, whether its layers are the lowest
 * ones of the image, and what of the image is then whose. Layers are told by the digests of their unpacked bytes, which reading verifies:
 * a name, a history line or an annotation is never proof of it.
 */
import { humanSize } from "../amounts.ts";
import type { Checked } from "../problems.ts";
import { Budget } from "./budget.ts";
import type { ImageConfig } from "./formats/config.ts";
import type { ImageSource } from "./formats/source.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { type ImageName, withSource } from "./open-image.ts";
import { Refusal, unsupported } from "./refusal.ts";
import type { Shadowed } from "./tree/apply.ts";

/** An image that another one was built on, as far as its documents say; its layers are those of the other, or it is not the base. */
export interface GivenBase {
  readonly path: string;
  /** Its layers cannot be read any more. */
  readonly source: ImageSource & { readonly config: ImageConfig };
}

/** What the image specification (annotations) has for it. */
export interface DeclaredBase {
  readonly name: string | null;
  readonly digest: string | null;
  /** Labels are inherited with the base: one may be about the base of the base. */
  readonly by: "annotation" | "label";
}

export interface Fit {
  /** How many of the lowest layers of both are the same. */
  readonly shared: number;
  /** All layers of the base are. */
  readonly fits: boolean;
}

/** What one side brings. */
export interface Part {
  readonly layers: number;
  /** Bytes of its layers as stored. */
  readonly stored: number;
  /** Bytes of its files that a container sees. */
  readonly visible: number;
  readonly packages: number;
  /** Bytes that it stores and hides itself. */
  readonly waste: number;
}

export interface BaseFacts {
  /** Null when the image says nothing. */
  readonly declared: DeclaredBase | null;
  /** Null when no base was given. */
  readonly given:
    | (Fit & {
        readonly path: string;
        readonly names: readonly string[];
        readonly digest: string | null;
        readonly layers: number;
        /** It has the declared digest; null when none is declared or its format has none. */
        readonly declared: boolean | null;
      })
    | null;
  /** Null when it is not known what is whose: no base was given, or it is not this image's. */
  readonly split: {
    readonly base: Part;
    readonly own: Part;
    /** Bytes of the base that own layers delete or replace. */
    readonly overlaid: number;
  } | null;
}

/** Reads the documents of a base. Problems are of the kinds `image-*`. */
export async function readBase(
  name: ImageName & { readonly limits?: Partial<Limits> },
): Promise<Checked<GivenBase>> {
  const { path } = name;
  try {
    const budget = new Budget({ ...DEFAULT_LIMITS, ...name.limits });
    return {
      ok: true,
      value: await withSource(name, budget, (source): GivenBase => {
        const config = source?.config ?? null;
        if (source === null || config === null || config.diffIds.length === 0)
          throw unsupported(
            "it has no layers that an image could have been built on",
            "give the base as an image: an OCI layout or archive, or what docker save writes",
          );
        return { path, source: { ...source, config } };
      }),
    };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ok: false, problems: [error.problem(path)] };
  }
}

/** `diffIds`: those of the image. */
export function fitBase({ source }: GivenBase, diffIds: readonly string[]): Fit {
  const own = source.config.diffIds;
  const differs = own.findIndex((digest, index) => digest !== diffIds[index]);
  const shared = differs < 0 ? own.length : differs;
  return { shared, fits: shared === own.length };
}

const NAME = "org.opencontainers.image.base.name";
const DIGEST = "org.opencontainers.image.base.digest";

export function declaredBase(
  annotations: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): DeclaredBase | null {
  const places = [
    ["annotation", annotations],
    ["label", labels],
  ] as const;
  for (const [by, table] of places) {
    const of = (key: string): string | null => {
      const text = Object.hasOwn(table, key) ? (table[key] ?? "").trim() : "";
      return text === "" ? null : text;
    };
    const [name, digest] = [of(NAME), of(DIGEST)];
    if (name !== null || digest !== null) return { name, digest, by };
  }
  return null;
}

/** A name with its digest, as an image is referred to; null when the name is not known. */
export function referenceOf({ name, digest }: DeclaredBase): string | null {
  return name === null || name.includes("@") || digest === null ? name : `${name}@${digest}`;
}

/** What is known of the base, in one line for a report; nothing when nothing is. What is not known is said, not guessed. */
export function describeBase({ declared, given, split }: BaseFacts): readonly string[] {
  const reference = declared === null ? null : (referenceOf(declared) ?? declared.digest);
  const source =
    declared?.by === "label" ? "a label says, which may be the base's own" : "its annotations say";
  if (given === null)
    return reference === null
      ? []
      : [
          `built on ${reference}, as ${source}; which layers are the base's is not known unless it is given (--base)`,
        ];
  const claim =
    given.declared === null
      ? ""
      : given.declared
        ? ", the one that the image names"
        : `, while the image names ${reference} (${declared?.by})`;
  if (split === null)
    return [`not built on ${given.path}${claim}: what is the base's is not known, and all findings count`];
  const { base, own, overlaid } = split;
  const hidden = overlaid === 0 ? "" : `; own layers hide ${humanSize(overlaid)} of it`;
  return [
    `built on ${given.path}${claim}: ${base.layers} of ${base.layers + own.layers} layers, ${humanSize(base.visible)} of ${humanSize(base.visible + own.visible)}, ${base.packages} of ${base.packages + own.packages} packages are the base's${hidden}`,
  ];
}

/** What is whose, of what came in with a layer; `count`: how many layers are the base's. */
export function splitAt(
  count: number,
  layers: readonly { readonly size: number; readonly visible: number }[],
  packages: readonly { readonly layer: number }[],
  shadowed: readonly Shadowed[],
): NonNullable<BaseFacts["split"]> {
  const waste = { base: 0, own: 0, overlaid: 0 };
  for (const { inode, by } of shadowed)
    waste[by < count ? "base" : inode.layer < count ? "overlaid" : "own"] += inode.size;
  const part = (from: number, to: number, wasted: number): Part => {
    const own = layers.slice(from, to);
    return {
      layers: own.length,
      stored: own.reduce((sum, { size }) => sum + size, 0),
      visible: own.reduce((sum, { visible }) => sum + visible, 0),
      packages: packages.filter(({ layer }) => layer >= from && layer < to).length,
      waste: wasted,
    };
  };
  return {
    base: part(0, count, waste.base),
    own: part(count, layers.length, waste.own),
    overlaid: waste.overlaid,
  };
}
