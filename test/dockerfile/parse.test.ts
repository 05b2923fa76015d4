/** A Dockerfile is understood whole or refused with its line, however hostile it is, and in time that grows with its length. */
import { DockerfileParser } from "dockerfile-ast";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LONGEST, parseDockerfile } from "../../src/dockerfile/parse.ts";
import { splitDockerfile } from "../../src/dockerfile/split.ts";
import { traceHistory } from "../../src/dockerfile/trace.ts";
import { formatProblem } from "../../src/problems.ts";

const parse = (text: string | Uint8Array) =>
  parseDockerfile(typeof text === "string" ? Buffer.from(text) : text, "Dockerfile");
const problems = (text: string | Uint8Array): readonly string[] => {
  const parsed = parse(text);
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};
const stages = (text: string) => {
  const parsed = parse(text);
  return parsed.ok ? parsed.value.stages : [];
};

describe("a file that is refused", () => {
  test.for<readonly [string, string | Uint8Array, RegExp]>([
    ["is empty", "", /^Dockerfile: it has no FROM/],
    ["has a word that is no instruction", "FROM a\nRUNN x\n", /^Dockerfile:2:1 \/: "RUNN" is no instruction/],
    [
      "begins with an instruction of a stage",
      "RUN x\nFROM a\n",
      /^Dockerfile:1:1 \/: RUN stands before the first FROM/,
    ],
    ["is not text", new Uint8Array([0x46, 0xff, 0xfe]), /it is not text/],
    ["has a zero byte", "FROM a\0", /it is not text/],
    ["is too long", `FROM a\n${"#".repeat(LONGEST)}`, /it is not text of at most 1048576 bytes/],
    ["has a heredoc without an end", "FROM a\nRUN <<E\nx\n", /^Dockerfile:2:1 \/: its heredoc has no end/],
    ["has control characters", "FROM a\n\u001B]0;x\u0007 b\n", /^Dockerfile:2:1 \/: "\\u001b/],
  ])("%s", ([, text, message]) => {
    const [first = "", ...others] = problems(text);
    expect(first).toMatch(message);
    expect(first).not.toMatch(/\p{Cc}/u);
    expect(others).toEqual([]);
  });

  test("tells no more mistakes than somebody reads", () => {
    expect(problems(`FROM a\n${"x\n".repeat(5000)}`).length).toBeLessThanOrEqual(100);
  });
});

/** Each would hide `RUN evil`, or show one that no builder runs, from a reader that is not as exact as the builders. */
describe("what builders read, and nothing else", () => {
  const runs = (text: string): readonly string[] | string => {
    const parsed = parse(text);
    if (!parsed.ok) return parsed.problems.map(({ message }) => message).join();
    return parsed.value.stages.flatMap(({ instructions }) =>
      instructions.map((one) => `${one.keyword} ${one.text}`),
    );
  };
  test.for<readonly [string, string, unknown]>([
    [
      "an escaped quote begins no quote: it hides a heredoc",
      'RUN a \\" <<E\nRUN b\nE\nUSER x',
      ['RUN a \\" <<E\nRUN b\nE', "USER x"],
    ],
    [
      "nor ends one: no heredoc begins in it",
      'RUN a "\\" <<E "\nRUN evil\nRUN b \\\nE',
      ['RUN a "\\" <<E "', "RUN evil", "RUN b E"],
    ],
    [
      "a quote without an end: there is no heredoc",
      "RUN a <<E it's\nRUN evil\nRUN b \\\nE",
      ["RUN a <<E it's", "RUN evil", "RUN b E"],
    ],
    [
      "the JSON form has no heredocs",
      'RUN [ "a", "b" ]\nRUN --mount=type=cache,target=/x ["c"]',
      ['RUN [ "a", "b" ]', 'RUN ["c"]'],
    ],
    ["a name in parts", "RUN a <<E'O'\\F\nRUN b\nEOF\nUSER x", ["RUN a <<E'O'\\F\nRUN b\nEOF", "USER x"]],
    ["a name with a hyphen", "RUN <<-A-B\nb\n\tA-B\nUSER x", ["RUN <<-A-B\nb\nA-B", "USER x"]],
    ["a name with a blank", 'RUN <<"A B"\nb\nA B\nUSER x', ['RUN <<"A B"\nb\nA B', "USER x"]],
    [
      "a blank after << is a heredoc for some",
      "RUN a << E\nRUN evil\nRUN b \\\nE",
      expect.stringMatching(/differ about whether a heredoc/),
    ],
    ["and for none when it has no end", "RUN a $((1 << 2))\nRUN b", ["RUN a $((1 << 2))", "RUN b"]],
    [
      "a name that depends on a variable",
      "RUN a <<$E\nb\n$E",
      expect.stringMatching(/differ about whether a heredoc/),
    ],
    [
      "a form of variable that some refuse",
      "RUN a <<E ${A^^}\nRUN evil\nRUN b \\\nE",
      expect.stringMatching(/differ about whether a heredoc/),
    ],
    ["a no-break space after a backslash", "RUN a \\\u00a0\nRUN evil", ["RUN a \\", "RUN evil"]],
    ["one before a comment", "RUN a; \\\n\u00a0# b\nevil", ["RUN a; evil"]],
    [
      "the escape directive after another with blanks",
      "# check = skip=all; error=true\n# escape=`\nFROM b\nRUN a \\\nRUN evil",
      ["RUN a \\", "RUN evil"],
    ],
    ["and after blanks", " # escape=`\nFROM b\nRUN a \\\nRUN evil", ["RUN a \\", "RUN evil"]],
    [
      "it counts for some after an unknown one",
      "# made=by hand\n# escape=`\nFROM b\nRUN a \\\nRUN evil",
      expect.stringMatching(/differ about whether this directive/),
    ],
    ["flags with quotes", 'RUN --mount=type=cache,target="/a b" evil', ["RUN evil"]],
    ["flags end at --", "RUN -- --evil", ["RUN --evil"]],
    ["many ends of a line", "RUN a \\\r\r\n b\r\r\nUSER x", ["RUN a  b", "USER x"]],
    [
      "another language",
      "# syntax=evil.example/frontend\nFROM a\nRUN b",
      expect.stringMatching(/for the frontend "evil.example\/frontend"/),
    ],
    [
      "another language after a shebang",
      "#!/usr/bin/env x\n# syntax=evil/frontend:1\nFROM a",
      expect.stringMatching(/for the frontend "evil\/frontend:1"/),
    ],
    [
      "a frontend that reads no heredocs",
      "# syntax=docker/dockerfile:1.2\nFROM a\nRUN <<E\nb\nE",
      expect.stringMatching(/reads no heredocs/),
    ],
    ["one that does", "# syntax=docker/dockerfile:1.20\nFROM a\nRUN <<E\nb\nE", ["RUN <<E\nb\nE"]],
    [
      "two stages of one name",
      "FROM evil AS a\nFROM good AS A\nFROM a",
      expect.stringMatching(/already a stage "a"/),
    ],
  ])("%s", ([, text, expected]) => {
    const found = runs(text.includes("FROM") ? text : `FROM a\n${text}`);
    expect(found).toEqual(expected);
  });
});

describe("stages", () => {
  test("know base, parent and name; names of JavaScript's own are names", () => {
    const found = stages(
      "ARG B=debian:12\nFROM --platform=$BUILDPLATFORM $B AS __proto__\nENV constructor=x\nFROM __PROTO__ as constructor\nFROM $UNKNOWN\n",
    );
    expect(found.map(({ name, base, parent }) => [name, base, parent])).toEqual([
      ["__proto__", "debian:12", null],
      ["constructor", "__PROTO__", 0],
      [null, "", null],
    ]);
  });
});

describe("another parser", () => {
  const line = fc.constantFrom(
    "RUN a && \\",
    "  b",
    "# comment",
    "",
    "RUN <<EOF",
    "EOF",
    "COPY a b",
    "COPY <<-A <<B /x",
    "\tA",
    "B",
    'RUN echo "<<EOF"',
    "RUN echo $((1<<2)) <<<x",
    "ENV X=<<EOF",
    'CMD ["a", \\',
    '  "b"]',
    "  USER x",
    "onbuild RUN y",
  );
  test("sees the same instructions on the same lines", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.boolean(), (all, crlf) => {
        const text = ["FROM a", ...all, "WORKDIR /end", ""].join(crlf ? "\r\n" : "\n");
        const { pieces, mistake } = splitDockerfile(text);
        // Without an end of a heredoc nobody knows what the rest is.
        if (mistake !== null) return;
        const theirs = DockerfileParser.parse(text).getInstructions();
        expect(pieces.map((piece) => [piece.keyword, piece.line])).toEqual(
          theirs.map((one) => [one.getKeyword(), one.getRange().start.line + 1]),
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe("hostile files", () => {
  const LONG = 300_000;
  test.for<readonly [string, string]>([
    ["continuations", `FROM a\nRUN x ${"\\\n".repeat(LONG / 2)}`],
    ["backslashes in ENV", `FROM a\nENV A=${"\\".repeat(LONG)}'\n`],
    ["quotes in ENV", `FROM a\nENV ${"A='".repeat(LONG / 3)}\n`],
    ["variables", `FROM a\nENV A=${"$A${A}".repeat(LONG / 8)}\n`],
    ["open braces", `FROM a\nENV A=${"${".repeat(LONG / 2)}\n`],
    ["an endless heredoc", `FROM a\nRUN <<E\n${"x\n".repeat(LONG / 2)}`],
    ["one long line in a heredoc", `FROM a\nRUN <<E\n${"x".repeat(LONG)}\nE\n`],
    ["returns", `FROM a\nRUN ${"\r".repeat(LONG)}x\n`],
    ["signs of heredocs", `FROM a\n${"RUN << x\n".repeat(LONG / 9)}`],
    ["open quotes and signs", `FROM a\nRUN ${`"<<E" `.repeat(LONG / 6)}\nE`],
    ["blanks", `FROM a\nRUN ${" ".repeat(LONG)}x\n`],
    ["flags", `FROM a\nCOPY ${"--a ".repeat(LONG / 4)}b c\n`],
    ["instructions", `FROM a\n${"RUN x\n".repeat(LONG / 6)}`],
    ["stages", "FROM a AS b\n".repeat(LONG / 12)],
    ["stages with names", Array.from({ length: LONG / 15 }, (_, index) => `FROM a AS s${index}\n`).join("")],
    ["brackets", `FROM a\nCMD ${"[".repeat(LONG)}\n`],
  ])("%s take no more time than their length", ([, text]) => {
    const started = process.cpuUsage();
    const parsed = parse(text);
    if (parsed.ok) traceHistory(parsed.value, 0, [`RUN ${" ".repeat(LONG)}#`, `ENV A=${"x".repeat(LONG)}`]);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(4000);
  });

  test("many instructions against a long history", () => {
    const parsed = parse(`FROM a\n${"RUN same\n".repeat(4000)}`);
    const started = process.cpuUsage();
    const traced = parsed.ok
      ? traceHistory(
          parsed.value,
          0,
          Array.from({ length: 4000 }, () => "RUN same"),
        )
      : null;
    expect(traced?.lines.at(-1)?.place?.line).toBe(4001);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(4000);
  });

  // The lines of a history are 1 MiB together at most: an image's configuration is no longer.
  const ALIKE = "x".repeat(450);
  test.for<readonly [string, (index: number) => string, string]>([
    ["variables", (index) => `ENV A=$B$C${ALIKE}${index}$D`, `ENV A=${"x".repeat(1000)}`],
    ["destinations", (index) => `COPY ${index} /${ALIKE}`, `COPY file:abc in /${"x".repeat(2000)}`],
    ["directories", () => `WORKDIR ${"./".repeat(240)}`, `WORKDIR ${"./".repeat(1000)}${"/".repeat(1000)}x`],
  ])("%s that are long and alike cost no minutes", ([, instruction, line]) => {
    const parsed = parse(
      `FROM a\n${Array.from({ length: 2000 }, (_, index) => instruction(index)).join("\n")}\n`,
    );
    const started = process.cpuUsage();
    const history = Array.from({ length: 2000 }, () => line);
    expect(parsed.ok && traceHistory(parsed.value, 0, history)?.lines).toHaveLength(2000);
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(10);
  });

  test("values that grow by doubling are cut off, not expanded", () => {
    const text = `FROM a\nENV V0=${"x".repeat(100)}\n${Array.from({ length: 60 }, (_, i) => `ENV V${i + 1}=$V${i}$V${i}`).join("\n")}\n`;
    expect(parse(text).ok).toBe(true);
  });

  test("any text is parsed or refused", () => {
    const word = fc.constantFrom(
      "FROM a",
      "RUN",
      "ENV A=",
      "ARG",
      "COPY <<E",
      "\\",
      "\n",
      "$",
      "${",
      "}",
      "'",
      '"',
      "E",
      "[",
      "#",
      " ",
      "x",
      "--from=",
      "\r",
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        const parsed = parse(`FROM a\n${words.join("")}`);
        const traced = parsed.ok ? traceHistory(parsed.value, 0, [words.join("")])?.lines : parsed.problems;
        expect(traced?.length).toBeGreaterThan(0);
      }),
    );
  });
});
