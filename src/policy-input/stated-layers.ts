/**
 * What a policy says beside its filter. Takes what was read; gives a Spec of it, of which asking for what is not said throws (NotStated). Pure.
 */
import { dirname, resolve } from "node:path";
import type { Checked, Provenance } from "../problems.ts";
import type { Spec } from "../profile/spec.ts";
import { type StatedSpec, specOf } from "../profile/stated.ts";
import { nearestNode, toPlain } from "../profile/tree.ts";
import { Fields, type Note } from "./fields.ts";
import { readOciLayers } from "./oci-config.ts";
import { FORMS, type PolicyInput } from "./read.ts";

export interface StatedLayers {
  readonly stated: StatedSpec;
  readonly pointers: ReadonlyMap<string, string>;
  readonly place: (pointer: string) => Provenance;
  readonly notes: readonly Note[];
}

/** What a document says beside its filter. Only an OCI config.json says anything. */
export function layersOf({ document, form, name }: PolicyInput, directory: string): Checked<StatedLayers> {
  const nothing = { stated: {}, pointers: new Map<string, string>(), notes: [] };
  if (document === null) return { ok: true, value: { ...nothing, place: () => wholeFile(name) } };
  const fields = new Fields(document);
  const place = (pointer: string): Provenance => fields.place(pointer);
  if (form !== "oci") return { ok: true, value: { ...nothing, place } };
  const { stated, pointers } = readOciLayers(fields, directory);
  if (fields.problems.length > 0) return { ok: false, problems: fields.problems };
  return { ok: true, value: { stated, pointers, place, notes: fields.notes } };
}

export const wholeFile = (file: string): Provenance => ({
  kind: "profile",
  file,
  pointer: "",
  line: 0,
  column: 0,
});

/** A policy's layers beside the filter, to be compared with another's. */
export interface ComparableLayers {
  readonly spec: Spec;
  readonly notes: readonly Note[];
  /** What stands in the document and in no Spec: the same text where the same is said. */
  readonly unjudged: readonly { readonly pointer: string; readonly text: string }[];
}

/** Of a profile or an OCI config.json; null: the document has no other layer than its filter. */
export function comparableLayers(input: PolicyInput, cwd: string): Checked<ComparableLayers | null> {
  const { profile, document, form, name } = input;
  if (profile !== null) return { ok: true, value: { spec: profile.spec, notes: [], unjudged: [] } };
  if (form !== "oci" || document === null) return { ok: true, value: null };
  const layers = layersOf(input, dirname(resolve(cwd, name)));
  if (!layers.ok) return layers;
  const { stated, notes } = layers.value;
  const unjudged = notes.map(({ where, message }) => {
    const pointer = where.kind === "profile" ? where.pointer : "";
    return { pointer, text: `${message}: ${JSON.stringify(toPlain(nearestNode(document, pointer)))}` };
  });
  return { ok: true, value: { spec: specOf(stated, FORMS.oci), notes, unjudged } };
}
