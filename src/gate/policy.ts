/**
 * A policy's name or file → which rules are asked, how bad a violation is, and with which options. Later wins: what a policy says is
 * applied over what it extends, in order. A rule given by severity alone keeps its options; a rule nobody names is off.
 *
 * Reads nothing itself. Unknown rules, options and words are refused with the nearest right one: a misspelt rule would be a hole.
 */
import type { Checked, Problem, Provenance } from "../problems.ts";
import { nearest } from "../profile/nearest.ts";
import type { ProfileFiles } from "../profile/resolve.ts";
import { toProvenance } from "../profile/tree.ts";
import { DocumentReader, type Field, placeOf } from "./document.ts";
import { defaultsOf, readOptions } from "./options.ts";
import { GATE_RULES } from "./own-rules.ts";
import { directoryOf, joinPath } from "./paths.ts";
import { KINDS, type Place, type Registry, type RuleText, SEVERITIES, type Severity } from "./rule.ts";

/** Shipped policies by name, files by path: the same as for profiles. */
export type PolicyFiles = ProfileFiles;

export interface Setting {
  readonly severity: Severity;
  readonly options: Readonly<Record<string, unknown>>;
  /** Where the severity was written last. */
  readonly place: Place;
}

export interface Policy {
  readonly name: string;
  readonly description: string;
  /** Rules that some policy named. */
  readonly settings: ReadonlyMap<string, Setting>;
}

export interface PolicyRequest {
  /** A shipped policy's name; a path when it has a slash or ends in .json. */
  readonly policy: string;
  /** Absolute; relative paths are relative to it. */
  readonly cwd: string;
  readonly source: Provenance;
}

/** How many policies may extend each other, one below the other. */
const MAX_DEPTH = 8;

const isPath = (policy: string): boolean => policy.includes("/") || policy.endsWith(".json");

export function loadPolicy<F>(
  request: PolicyRequest,
  registry: Registry<F>,
  files: PolicyFiles,
): Checked<Policy> {
  const settings = new Map<string, Setting>();
  const problems: Problem[] = [];
  let name = request.policy;
  let description = "";

  const load = (wanted: string, directory: string, where: Provenance, above: readonly string[]): void => {
    const fail = (
      kind: Problem["kind"],
      message: string,
      more: Pick<Problem, "expected" | "suggestion"> = {},
    ) => void problems.push({ kind, where, pointer: "", message, ...more });
    const builtin = isPath(wanted) ? null : files.builtin(wanted);
    const file = builtin ?? joinPath(directory, wanted);
    const bytes = builtin === null && !isPath(wanted) ? null : files.read(joinPath(request.cwd, file));
    if (bytes === null) {
      const names = files.names?.() ?? [];
      const suggestion = isPath(wanted) ? undefined : nearest(wanted, names);
      fail(
        "policy-not-found",
        isPath(wanted)
          ? `there is no file ${JSON.stringify(wanted)}`
          : `there is no shipped policy ${JSON.stringify(wanted)}`,
        suggestion !== undefined
          ? { suggestion: JSON.stringify(suggestion) }
          : isPath(wanted)
            ? {}
            : { expected: `one of ${names.join(", ")}, or the path of a file such as ./${wanted}.json` },
      );
      return;
    }
    if (!(bytes instanceof Uint8Array)) {
      fail("policy-not-found", `${JSON.stringify(wanted)}: ${bytes.reason}`);
      return;
    }
    if (above.includes(file)) {
      fail("policy-invalid", `the policies extend each other in a circle: ${[...above, file].join(" → ")}`);
      return;
    }
    if (above.length >= MAX_DEPTH) {
      fail("policy-invalid", `more than ${MAX_DEPTH} policies extend each other`);
      return;
    }
    const reader = new DocumentReader("policy-invalid", file);
    const document = reader.parse(bytes);
    if (document !== null) {
      const fields = reader.object(
        document,
        ["name", "description", "checks", "extends", "rules"],
        ["description", "checks", "rules"],
      );
      const checks = reader.text(fields["checks"], KINDS);
      if (checks !== undefined && fields["checks"] !== undefined && checks !== registry.kind) {
        reader.report(fields["checks"], `this policy is for ${checks}s, and ${registry.kind}s are checked`, {
          hint: `sandbox check rules lists the policies for ${registry.kind}s`,
        });
      }
      for (const parent of readExtends(fields["extends"], reader))
        load(parent.name, directoryOf(file), toProvenance(parent.field.node.origin, parent.field.pointer), [
          ...above,
          file,
        ]);
      if (above.length === 0) {
        name = reader.text(fields["name"]) ?? wanted;
        description = reader.text(fields["description"]) ?? "";
      }
      // The rules of another kind would all be unknown.
      const isOther = checks !== undefined && checks !== registry.kind;
      if (fields["rules"] !== undefined && !isOther) readRules(fields["rules"], registry, settings, reader);
    }
    problems.push(...reader.problems);
  };
  load(request.policy, "", request.source, []);
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, value: { name, description, settings } };
}

function readExtends(
  field: Field | undefined,
  reader: DocumentReader,
): readonly { readonly name: string; readonly field: Field }[] {
  if (field === undefined) return [];
  const items = field.node.type === "array" ? reader.items(field) : [field];
  return items.flatMap((item) => {
    const name = reader.text(item);
    return name === undefined ? [] : [{ name, field: item }];
  });
}

/** `"error"`, or `["error", { options }]`, by rule. */
function readRules<F>(
  field: Field,
  registry: Registry<F>,
  settings: Map<string, Setting>,
  reader: DocumentReader,
): void {
  const known = new Map<string, RuleText & { options: Parameters<typeof defaultsOf>[0] }>(
    [...registry.rules, ...GATE_RULES].map((rule) => [rule.id, rule]),
  );
  for (const [id, inner] of reader.members(field, [...known.keys()])) {
    const rule = known.get(id);
    if (rule === undefined) continue;
    const listed = inner.node.type === "array";
    const items = listed ? reader.items(inner) : [inner];
    const [first, second, third] = items;
    if (first === undefined || third !== undefined) {
      reader.report(inner, `${listed ? items.length : 0} values do not fit`, {
        expected: `a severity, or an array of a severity and options`,
      });
      continue;
    }
    const severity = reader.text(first, SEVERITIES) as Severity | undefined;
    const before = settings.get(id)?.options ?? defaultsOf(rule.options);
    const options = second === undefined ? before : readOptions(rule.options, second, before, reader);
    if (severity !== undefined) settings.set(id, { severity, options, place: placeOf(inner) });
  }
}
