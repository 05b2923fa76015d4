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
import { jsonWords, type Piece, splitDockerfile, splitFlags } from "./split.ts";

/** Arguments that a builder sets by itself, for FROM lines and for stages that declare them (Dockerfile reference, "ARG"). */
const OF_THE_BUILDER = ["BUILD", "TARGET"]
  .flatMap((of) => ["PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT"].map((what) => `${of}${what}`))
  .concat("TARGETSTAGE");

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
  const { escape, pieces, syntax, mistake } = splitDockerfile(text);
  if (mistake !== null) report(mistake.line, mistake.message, mistake.hint);
  if (syntax !== null && !isDockerfileFrontend(syntax.name))
    report(
      syntax.line,
      `the file is for the frontend ${JSON.stringify(syntax.name.slice(0, 200))}, whose language is not known`,
      "only the language of docker/dockerfile is read: leave --dockerfile out",
    );
  const stages: (Stage & { readonly instructions: Instruction[] })[] = [];
  const named = new Map<string, number>();
  /** Arguments before the first FROM: known to FROM lines, and to a stage that declares them again. */
  const globals = new Map<string, string | null>(OF_THE_BUILDER.map((name) => [name, null]));
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
      const [wanted = "", as = "", name = ""] = splitFlags(content, escape).rest.split(/\s+/);
      const base = knownText(expand(wanted, { values: globals, otherwise: "" }, escape));
      const parent = named.get(base?.toLowerCase() ?? "") ?? null;
      scopes.push(new Map(parent === null ? [] : scopes[parent]));
      const called = as.toLowerCase() === "as" && name !== "" ? name.toLowerCase() : null;
      if (called !== null && named.has(called))
        report(
          place.line,
          `there is already a stage ${JSON.stringify(called.slice(0, 200))}, and builders differ about which one counts`,
          "give each stage a name of its own",
        );
      else if (called !== null) named.set(called, stages.length);
      stages.push({ name: called, base, parent, place, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    const scope = scopes.at(-1) ?? globals;
    const instruction = read(piece, keyword, place, { values: scope, otherwise: null }, escape);
    if (keyword === "ARG" || keyword === "ENV") declare(instruction, scope, globals, escape);
    if (stage !== undefined) stage.instructions.push(instruction);
    else if (keyword !== "ARG") report(place.line, `${keyword} stands before the first FROM`);
  }
  if (stages.length === 0) report(0, "it has no FROM", "give the Dockerfile that the image was built from");
  if (problems.length > 0) return { ok: false, problems };
  const frontend =
    syntax === null || !isOfAnotherRegistry(syntax.name)
      ? null
      : { name: syntax.name, place: { file, line: syntax.line, column: 1 } };
  return { ok: true, value: { file, stages, frontend } };
}

/** Of any registry: mirrors are common. */
const isDockerfileFrontend = (name: string): boolean =>
  /^(?:[^@]*\/)?docker\/dockerfile(?:-upstream)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$/.test(name);

/** The part before the first slash is a host when it has a dot or a port (distribution/reference). */
const isOfAnotherRegistry = (name: string): boolean => {
  const [host = ""] = name.split("/");
  return (/[.:]/.test(host) || host === "localhost") && host !== "docker.io";
};

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
  const { flags, rest } = splitFlags(content, escape);
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
    const seen = { values: scope, otherwise: scope === globals ? "" : null } as const;
    if (keyword === "ENV") scope.set(name, knownText(expand(value ?? "", seen, escape)));
    else if (value === null) scope.set(name, globals.get(name) ?? null);
    else scope.set(name, knownText(expand(value, seen, escape)));
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
