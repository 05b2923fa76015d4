/** A line of the history leads to the line of the Dockerfile that made it, in the words of each builder, or is said not to. */
import { describe, expect, test } from "vitest";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { type Trace, traceHistory } from "../../src/dockerfile/trace.ts";
import { stageOf } from "../../src/image-rules/checked-image.ts";
import { formatProblem } from "../../src/problems.ts";

function trace(text: string, history: readonly string[], target: string | null = null): Trace {
  const parsed = parseDockerfile(Buffer.from(text), "Dockerfile");
  if (!parsed.ok) throw new Error(parsed.problems.map(formatProblem).join("\n"));
  const stage = stageOf(parsed.value, target);
  const traced = stage === null ? null : traceHistory(parsed.value, stage, history);
  if (traced === null) throw new Error("no trace");
  return traced;
}

/** For each line of the history the line of the Dockerfile, "base" with the FROM line, or "?". */
function lines(text: string, history: readonly string[], target: string | null = null): readonly string[] {
  return trace(text, history, target).lines.map(({ origin, place }) =>
    origin === "here" ? String(place?.line) : origin === "base" ? `base ${place?.line}` : "?",
  );
}

const DOCKERFILE = `# syntax=docker/dockerfile:1
ARG VERSION=12
FROM debian:\${VERSION} AS build
RUN make
FROM debian:\${VERSION}-slim
ARG COMMIT
ENV APP=/app MODE="a b"
LABEL org.opencontainers.image.revision=$COMMIT
RUN apt-get update \\
 # a comment between
 && apt-get install -y \\

    ca-certificates
COPY --from=build --chown=0:0 /out/app $APP/bin/
WORKDIR $APP
RUN ["/app/bin/check", "--all"]
EXPOSE 8080 8443/tcp
VOLUME ["/data"]
HEALTHCHECK --interval=30s CMD /app/bin/check
USER 65532:65532
ENTRYPOINT ["/app/bin/app"]
CMD serve --port 8080
`;
const BASE = [`/bin/sh -c #(nop) ADD file:${"0".repeat(64)} in / `, '/bin/sh -c #(nop)  CMD ["bash"]'];
const OWN = ["6", "7", "8", "9", "14", "15", "16", "17", "18", "19", "20", "21", "22"];
const INSTALL = "apt-get update  && apt-get install -y     ca-certificates";

const BUILDERS: Readonly<Record<string, readonly string[]>> = {
  BuildKit: [
    "ARG COMMIT=abc",
    "ENV APP=/app MODE=a b",
    "LABEL org.opencontainers.image.revision=abc",
    `RUN |1 COMMIT=abc /bin/sh -c ${INSTALL} # buildkit`,
    "COPY --chown=0:0 /out/app /app/bin/ # buildkit",
    "WORKDIR /app",
    "RUN |1 COMMIT=abc /app/bin/check --all # buildkit",
    "EXPOSE map[8080/tcp:{} 8443/tcp:{}]",
    "VOLUME [/data]",
    'HEALTHCHECK &{["CMD-SHELL" "/app/bin/check"] "30s" "0s" "0s" "0s" \'\\x00\'}',
    "USER 65532:65532",
    'ENTRYPOINT ["/app/bin/app"]',
    'CMD ["/bin/sh" "-c" "serve --port 8080"]',
  ],
  "the classic builder": [
    "/bin/sh -c #(nop)  ARG COMMIT",
    "/bin/sh -c #(nop)  ENV APP=/app MODE=a b",
    "|1 COMMIT=abc /bin/sh -c #(nop)  LABEL org.opencontainers.image.revision=abc",
    `|1 COMMIT=abc /bin/sh -c ${INSTALL}`,
    `/bin/sh -c #(nop) COPY --chown=0:0 file:${"1".repeat(64)} in /app/bin/ `.replace("--chown=0:0 ", ""),
    "/bin/sh -c #(nop) WORKDIR /app",
    "|1 COMMIT=abc /app/bin/check --all",
    "/bin/sh -c #(nop)  EXPOSE 8080 8443",
    "/bin/sh -c #(nop)  VOLUME [/data]",
    '/bin/sh -c #(nop)  HEALTHCHECK &{["CMD-SHELL" "/app/bin/check"] "30s" "0s" "0s" \'\\x00\'}',
    "/bin/sh -c #(nop)  USER 65532:65532",
    '/bin/sh -c #(nop)  ENTRYPOINT ["/app/bin/app"]',
    '/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "serve --port 8080"]',
  ],
};

describe("the history of", () => {
  test.for(Object.entries(BUILDERS))("%s leads to the lines that made it", ([, own]) => {
    expect(lines(DOCKERFILE, [...BASE, ...own])).toEqual(["base 5", "base 5", ...OWN]);
    expect(trace(DOCKERFILE, [...BASE, ...own]).found).toBe(OWN.length);
  });

  test("kaniko leads to the lines that left one", () => {
    const text = "FROM a\nARG X=1\nRUN apk add --no-cache curl\nCOPY --from=0 a /b\nUSER app\n";
    expect(lines(text, ["base", "RUN apk add --no-cache curl", "COPY --from=0 a /b", "USER app"])).toEqual([
      "base 1",
      "3",
      "4",
      "5",
    ]);
  });
});

describe("instructions", () => {
  test.for<readonly [string, string, string]>([
    [
      "a heredoc alone is the script",
      "RUN <<EOF\nset -e\necho $HOME\nEOF",
      "RUN /bin/sh -c set -e\necho $HOME\n # buildkit",
    ],
    [
      "a heredoc of a command",
      "RUN cat <<EOF >/x\na # b\nEOF",
      "RUN /bin/sh -c cat <<EOF >/x\na # b\nEOF # buildkit",
    ],
    [
      "lines of a heredoc are no instructions",
      "RUN <<'E'\nFROM b\nCOPY a b\nE",
      "RUN /bin/sh -c FROM b\nCOPY a b\n # buildkit",
    ],
    ["a copied heredoc", "COPY <<EOF /etc/motd\nhi\nEOF", "COPY <<EOF /etc/motd # buildkit"],
    ["another shell", "RUN set -o pipefail; x", "RUN /bin/bash -o pipefail -c set -o pipefail; x # buildkit"],
    ["an argument without a default", "ARG V\nENV W=a-$V", "ENV W=a-1.2.3"],
    ["an argument that was overridden", "ARG V=1\nARG V=2\nENV W=$V", "ENV W=2"],
    ["a default in place", "ENV W=${V:-x} U=${W:+set}", "ENV W=x U="],
    ["the old form of ENV", "ENV W the rest", "ENV W=the rest"],
    ["lower case", "copy --chmod=755 a /b", "COPY --chmod=755 a /b # buildkit"],
    ["a relative directory", "WORKDIR sub", "WORKDIR /app/sub"],
    ["JSON with blanks", 'COPY ["a b", "/c d/"]', "COPY a b /c d/ # buildkit"],
    ["a quoted dollar", "ENV W='$V' U=\\$V", "ENV W=$V U=$V"],
    [
      "mounts and networks of RUN",
      "RUN --mount=type=cache,target=/x --network=none make",
      "RUN /bin/sh -c make # buildkit",
    ],
  ])("%s", ([, instruction, history]) => {
    const line =
      1 +
      instruction
        .split("\n")
        .findLastIndex(
          (one) => /^(?:RUN|COPY|ENV|WORKDIR|copy) ?[^b]/.test(one) && !one.startsWith("COPY a b"),
        ) +
      1;
    expect(lines(`FROM a\n${instruction}\n`, ["base", history])).toEqual(["base 1", String(line)]);
  });

  test("stand on the lines of a file with another escape character, CRLF and a byte order mark", () => {
    const text = "\uFEFF# escape=`\r\nFROM a\r\nRUN one `\r\n  two\r\nRUN dir c:\\\r\nUSER b\r\n";
    expect(
      lines(text, [
        "x",
        "RUN /bin/sh -c one   two # buildkit",
        "RUN /bin/sh -c dir c:\\ # buildkit",
        "USER b",
      ]),
    ).toEqual(["base 2", "3", "5", "6"]);
  });
});

describe("stages", () => {
  const TEXT = "FROM a AS one\nRUN x\nFROM one AS Two\nRUN y\nFROM b\nRUN z\n";
  const [X, Y, Z] = ["x", "y", "z"].map((script) => `RUN /bin/sh -c ${script} # buildkit`) as [
    string,
    string,
    string,
  ];
  test("that begin with another one have its lines, and its base", () => {
    expect(lines(TEXT, ["base", X, Y], "two")).toEqual(["base 1", "2", "4"]);
    expect(lines(TEXT, ["base", X, Y], "1")).toEqual(["base 1", "2", "4"]);
    expect(lines(TEXT, ["base", Z])).toEqual(["base 5", "6"]);
  });
  test("without instructions are their base", () => {
    expect(lines("FROM a\n", ["p", "q"])).toEqual(["base 1", "base 1"]);
  });
});

describe("what cannot be known", () => {
  test("is not guessed: another image's Dockerfile", () => {
    expect(lines("FROM a\nRUN make\n", ["RUN /bin/sh -c cmake # buildkit", "COPY a b # buildkit"])).toEqual([
      "?",
      "?",
    ]);
  });
  test("is not taken for the base's: a step that the history has not in that form", () => {
    const text = "FROM a\nRUN changed since\nRUN same\n";
    expect(
      lines(text, ["p", "RUN /bin/sh -c as it was # buildkit", "RUN /bin/sh -c same # buildkit"]),
    ).toEqual(["?", "?", "3"]);
  });
  test("leaves the rest known: one line in the middle", () => {
    const text = "FROM a\nRUN one\nRUN changed\nRUN three\n";
    const history = ["one", "two", "three"].map((script) => `RUN /bin/sh -c ${script} # buildkit`);
    expect(lines(text, ["p", ...history])).toEqual(["base 1", "2", "?", "4"]);
  });
  test("a base with the same lines is not taken for this image's", () => {
    const run = "RUN /bin/sh -c apt-get update # buildkit";
    expect(lines("FROM a\nRUN apt-get update\n", [run, run])).toEqual(["base 1", "2"]);
  });
  test("a script that only ends alike is another one", () => {
    expect(lines("FROM a\nRUN b\n", ["RUN /bin/sh -c a && b # buildkit"])).toEqual(["?"]);
  });
});

test("a variable of the base image is not known, and is not empty", () => {
  expect(
    lines("FROM a\nENV PATH=/app/bin:$PATH\nWORKDIR ${HOME:-/x}/app\n", [
      "COPY base / # buildkit",
      "ENV PATH=/app/bin:/usr/local/sbin:/usr/bin",
      "WORKDIR /root/app",
    ]),
  ).toEqual(["base 1", "2", "3"]);
});

test("arguments that the builder sets are not empty", () => {
  const parsed = parseDockerfile(Buffer.from("FROM a:$TARGETARCH\nFROM b$UNSET\n"), "Dockerfile");
  expect(parsed.ok ? parsed.value.stages.map(({ base }) => base) : parsed.problems).toEqual([null, "b"]);
});
