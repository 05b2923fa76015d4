/**
 * Bytes of a Dockerfile → its stages and instructions, variables expanded. A file that is not understood whole is a problem: half a
 * Dockerfile would put findings on wrong lines. Never follows a path, never fetches what `# syntax=` names.
 */
import type { Place } from "../gate/rule.ts";
import { printable } from "../printable.ts";
import type { Checked, Problem } from "../problems.ts";
import { MAX_PROBLEMS } from "../profile/report.ts";
import { type Dockerfile, type Expanded, type Instruction, isKeyword, type Stage } from "./dockerfile.ts";
import { expand, knownText, type Scope } from "./expand.ts";
import { type Piece, splitDockerfile } from "./split.ts";

/** Bytes; BuildKit reads no longer ones either. */
export const LONGEST = 1 << 20;

export function parseDockerfile(bytes: Uint8Array, file: string): Checked<Dockerfile> {
  const problems: Problem[] = [];
  const report = (line: number, message: string, hint?: string): void => {
    if (problems.length >= MAX_PROBLEMS) return;
    const where = { kind: "profile", file, pointer: "", line, column: line === 0 ? 0 : 1 } as const;
    const more = hint === undefined ? {} : { hint };
    problems.push({ kind: "dockerfile-invalid", where, pointer: "", message: printable(message), ...more });
  };
  const text = decode(bytes);
  if (text === null) {
    report(
      0,
      `it is not text of at most ${LONGEST} bytes`,
      "give the Dockerfile that the image was built from",
    );
    return { ok: false, problems };
  }
  const { escape, pieces, open } = splitDockerfile(text);
  if (open !== null) report(open, "its heredoc has no end");
  const stages: { -readonly [K in keyof Stage]: Stage[K] }[] = [];
  /** Arguments before the first FROM: known to FROM lines, and to a stage that declares them again. */
  const globals = new Map<string, string | null>();
  const scopes: Map<string, string | null>[] = [];
  for (const piece of pieces) {
    const { keyword, content } = piece;
    const place: Place = { file, line: piece.line, column: piece.column };
    if (!isKeyword(keyword)) {
      const shown = JSON.stringify(keyword.slice(0, 40));
      report(
        place.line,
        `${shown} is no instruction`,
        "everything after it may be on other lines than it seems",
      );
      continue;
    }
    if (keyword === "FROM") {
      const [wanted = "", as = "", name = ""] = content.split(/\s+/).filter((word) => !word.startsWith("--"));
      const base = knownText(expand(wanted, globals, escape));
      const parent = stages.findIndex((stage) => stage.name !== null && stage.name === base?.toLowerCase());
      scopes.push(new Map(parent < 0 ? [] : scopes[parent]));
      stages.push({
        name: as.toLowerCase() === "as" && name !== "" ? name.toLowerCase() : null,
        base,
        parent: parent < 0 ? null : parent,
        place,
        instructions: [],
      });
      continue;
    }
    const stage = stages.at(-1);
    const scope = scopes.at(-1) ?? globals;
    const instruction = read(piece, keyword, place, scope, escape);
    if (keyword === "ARG" || keyword === "ENV") declare(instruction, scope, globals, escape);
    if (stage !== undefined) stage.instructions = [...stage.instructions, instruction];
    else if (keyword !== "ARG") report(place.line, `${keyword} stands before the first FROM`);
  }
  if (stages.length === 0) report(0, "it has no FROM", "give the Dockerfile that the image was built from");
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: { file, stages } };
}

function decode(bytes: Uint8Array): string | null {
  if (bytes.length > LONGEST) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

function read(
  { content, heredocs }: Piece,
  keyword: Instruction["keyword"],
  place: Place,
  scope: Scope,
  escape: string,
): Instruction {
  const { flags, rest } = splitFlags(content);
  const words = jsonWords(rest);
  const [only, another] = heredocs;
  const isAlone = only !== undefined && another === undefined && /^\S+$/.test(rest);
  return {
    keyword,
    flags,
    text: [rest, ...heredocs.map(({ name, text }) => `${text}${name}`)].join("\n"),
    heredoc: isAlone ? only.text : null,
    words,
    expected: expectedOf(keyword, rest, heredocs, words, scope, escape),
    place,
  };
}

/** Leading `--name=value` words. */
function splitFlags(content: string): { readonly flags: readonly string[]; readonly rest: string } {
  const flags: string[] = [];
  const flag = /\s*(--[a-z]\S*)/y;
  let at = 0;
  for (let found = flag.exec(content); found !== null; found = flag.exec(content)) {
    flags.push(found[1] ?? "");
    at = flag.lastIndex;
  }
  return { flags, rest: content.slice(at).trimStart() };
}

function jsonWords(text: string): readonly string[] | null {
  if (!text.startsWith("[")) return null;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((word) => typeof word === "string") ? value : null;
  } catch {
    // Not JSON is the shell form (Dockerfile reference): "[" is a command.
    return null;
  }
}

/** What the arguments become; only some instructions expand variables, and RUN, CMD and ENTRYPOINT never. */
function expectedOf(
  keyword: Instruction["keyword"],
  text: string,
  heredocs: Piece["heredocs"],
  words: readonly string[] | null,
  scope: Scope,
  escape: string,
): readonly Expanded[] {
  const line = words === null ? text : words.join(" ");
  switch (keyword) {
    case "RUN":
      return [[[line, ...heredocs.map((one) => `${one.text}${one.name}`)].join("\n")]];
    case "CMD":
    case "ENTRYPOINT":
    case "SHELL":
    case "HEALTHCHECK":
    case "ONBUILD":
      return [[line]];
    case "ENV":
    case "LABEL": {
      // `ENV NAME the rest` is the old form of `ENV NAME="the rest"`.
      const old = /^([^\s=]+)\s+([^]*)$/.exec(text);
      if (old === null) return [expand(text, scope, escape)];
      return [[`${old[1]}=`, ...expand(old[2] ?? "", scope, escape)]];
    }
    case "ADD":
    case "COPY":
    case "ARG":
    case "EXPOSE":
    case "FROM":
    case "MAINTAINER":
    case "STOPSIGNAL":
    case "USER":
    case "VOLUME":
    case "WORKDIR":
      return [expand(line, scope, escape)];
  }
  return keyword satisfies never;
}

/** What later instructions of the stage see. An argument's value may be another one on the command line of the build. */
function declare(
  { keyword, text }: Instruction,
  scope: Map<string, string | null>,
  globals: ReadonlyMap<string, string | null>,
  escape: string,
): void {
  for (const { name, value } of assignments(text)) {
    if (keyword === "ENV") scope.set(name, knownText(expand(value ?? "", scope, escape)));
    else if (value === null) scope.set(name, globals.get(name) ?? null);
    else scope.set(name, knownText(expand(value, scope, escape)));
  }
}

/** `A=1 B="x y" C`; or, of ENV, `A the rest`. */
function assignments(text: string): readonly { readonly name: string; readonly value: string | null }[] {
  const old = /^([A-Za-z_]\w*)\s+([^=]*)$/.exec(text);
  if (old?.[1] !== undefined) return [{ name: old[1], value: old[2] ?? "" }];
  return [
    ...text.matchAll(/(?:^|\s)([A-Za-z_]\w*)(?:=((?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])*))?(?=\s|$)/g),
  ].map(([, name = "", value]) => ({ name, value: value ?? null }));
}
