/** ProfileFiles in memory, over the shipped profiles: what a test writes is all that changes. */
import { formatProblem } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { type ProfileFiles, resolveProfile } from "../../src/profile/resolve.ts";
import type { Override, ResolvedProfile } from "../../src/profile/spec.ts";

export const shipped = profileFiles();

/** `files` by their path below /here. */
export function memoryFiles(files: Readonly<Record<string, string | Uint8Array>>): ProfileFiles {
  return {
    builtin: (name) => shipped.builtin(name),
    names: () => shipped.names?.() ?? [],
    read: (path) => {
      const content = path.startsWith("/here/") ? files[path.slice("/here/".length)] : undefined;
      if (content !== undefined)
        return typeof content === "string" ? new TextEncoder().encode(content) : content;
      return shipped.read(path);
    },
  };
}

/** A flag's override. */
export function flag(name: string, pointer: string, value: unknown): Override {
  return { pointer, value, source: { kind: "flag", flag: name } };
}

/** Resolves p.json with this content. */
export function resolveText(text: string | Uint8Array, overrides: readonly Override[] = [], more = {}) {
  return resolveProfile(
    { profile: "./p.json", overrides, cwd: "/here" },
    memoryFiles({ "p.json": text, ...more }),
  );
}

/** The problems as they are printed; none when it resolves. */
export function problemsOf(
  text: string | Uint8Array,
  overrides: readonly Override[] = [],
  more = {},
): readonly string[] {
  const result = resolveText(text, overrides, more);
  return result.ok ? [] : result.problems.map(formatProblem);
}

/** A profile on base with these members; must resolve. */
export function resolveMembers(members: object, overrides: readonly Override[] = []): ResolvedProfile {
  const result = resolveText(JSON.stringify({ extends: "base", ...members }), overrides);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.value;
}
