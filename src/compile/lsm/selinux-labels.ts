/**
 * SELinux labels of one run: of the payload, and of the file systems that are made for it. Pure: which of them the loaded policy
 * knows is a fact of the request.
 *
 * Categories. Two runs of one profile have the same types; what keeps them apart is their categories (MCS: a domain reaches what its
 * categories include). Each run has one category for each of the three bytes of its monitor's pid, out of c0 to c255, c256 to
 * c511, c512 to c767: no two live monitors have one pid, and of two different sets of three none includes the other. So there is
 * nothing to keep books about, and a pid can be read from a label. Pairs would not do: there are 523,776 of them, and 4,194,304 pids.
 */
import type { SelinuxFacts } from "../../host/facts.ts";
import type { Spec } from "../../profile/spec.ts";
import { load, result } from "../../program/build.ts";
import type { TextPart } from "../../program/program.ts";
import type { Draft } from "../draft.ts";
import type { Label } from "./label.ts";
import {
  CONTENT,
  moduleName,
  ownLabels,
  PAYLOAD,
  SCRATCH,
  subjectOf,
  takesSelinuxModule,
  withLevel,
} from "./selinux-names.ts";

/** What a file system is for: parts of the root that nobody writes, what the payload may write, or one that the kernel labels itself. */
export type Holds = "content" | "scratch" | "kernel";

/** How the profile's own module stands in the loaded policy. */
export interface ModuleState {
  /** Loaded from these very rules, from others under the same name, not at all; unknown: the caller may not ask. */
  readonly loaded: "these" | "others" | "none" | "unknown";
  /** Categories of its own for each run. */
  readonly apart: boolean;
}

export function moduleState({ spec, host, request }: Draft): ModuleState {
  const facts = host.lsm.selinux;
  if (facts === null || request.selinux === null) return { loaded: "none", apart: false };
  const { known, digest } = request.selinux;
  const { payload, version, apart } = ownLabels(spec, facts, digest);
  const says = (label: string): boolean | null => known[label] ?? null;
  const loaded = says(version)
    ? "these"
    : says(payload)
      ? "others"
      : says(payload) === null
        ? "unknown"
        : "none";
  return { loaded, apart: facts.mls && says(apart) === true };
}

const PIDS_BYTES = "mcs";

/**
 * The label of the payload under its own module. What it makes in directories of the host is to be the next run's and the host's as well:
 * a range whose low end has no categories makes files without them.
 */
export function payloadLabel(draft: Draft, state: ModuleState): Label {
  return labelOf(draft, state, PAYLOAD, sharesFiles(draft.spec));
}

function sharesFiles({ filesystem: { workdir, write, mounts } }: Spec): boolean {
  return (
    workdir === "rw" ||
    typeof write === "object" ||
    mounts.some((mount) => mount.type === "bind" && !mount.readOnly)
  );
}

function labelOf(draft: Draft, { apart }: ModuleState, type: string, range: boolean): Label {
  const facts = draft.host.lsm.selinux;
  const { user, role, sensitivity } = subjectOf(facts as SelinuxFacts);
  const start = `${user}:${type === PAYLOAD ? role : "object_r"}:${moduleName(draft.spec.name)}.${type}`;
  if (!apart) return withLevel(start, sensitivity);
  const low = range ? `${sensitivity}-` : "";
  const name = `label.${type}`;
  const at = draft.phase("monitor.start", "lsm");
  const id = `lsm.${type}`;
  const made = result(`${id}.label`);
  if (draft.buffers.some((known) => known.name === name)) return { buffer: name, length: made };
  if (!draft.buffers.some((known) => known.name === PIDS_BYTES)) {
    draft.buffer(PIDS_BYTES, 8);
    at.store("lsm.pid", "its bytes pick the categories", PIDS_BYTES, 0, 8, result("monitor.pid"));
  }
  const category = (byte: number): readonly TextPart[] => [
    { text: byte === 0 ? "c" : ",c" },
    { decimal: load(PIDS_BYTES, byte, 1), plus: BigInt(256 * byte) },
  ];
  draft.buffer(name, 512);
  at.format(`${id}.label`, "categories that no other run has", name, [
    { text: `${start}:${low}${sensitivity}:` },
    ...category(0),
    ...category(1),
    ...category(2),
  ]);
  return { buffer: name, length: made };
}

/** The `context` parameter of a new file system, where it has one: all in it has that label, whatever is done. */
export function mountContext(
  draft: Draft,
  holds: Holds,
): readonly (readonly ["context", string | { readonly buffer: string }])[] {
  if (holds === "kernel" || !takesSelinuxModule(draft.spec, draft.host.lsm.selinux)) return [];
  const { selinuxLabel, mountLabel: named } = draft.spec.lsm;
  if (named !== null) return [["context", named]];
  const state = moduleState(draft);
  if (selinuxLabel !== null || (state.loaded !== "these" && state.loaded !== "others")) return [];
  const label = labelOf(draft, state, holds === "content" ? CONTENT : SCRATCH, false);
  return [["context", typeof label === "string" ? label : { buffer: label.buffer }]];
}
