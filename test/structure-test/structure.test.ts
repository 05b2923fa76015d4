/** Structure tests pass and fail as container-structure-test says; whatever is not carried over is refused with its line. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatProblem } from "../../src/problems.ts";
import { fromGoPattern } from "../../src/structure-test/go-pattern.ts";
import {
  countTests,
  judgeStructure,
  needsAnotherReading,
  wantedPaths,
} from "../../src/structure-test/judge.ts";
import { readStructureTests } from "../../src/structure-test/read.ts";
import type { StructureTests } from "../../src/structure-test/structure-test.ts";
import { layout, readGood } from "../image/layout.ts";
import { directory, file, symlink, tar } from "../image/tar-writer.ts";

function tests(text: string): StructureTests {
  const read = readStructureTests(Buffer.from(text), "test.yaml");
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join("\n"));
  return read.value;
}
const problems = (text: string | Uint8Array): readonly string[] => {
  const read = readStructureTests(typeof text === "string" ? Buffer.from(text) : text, "test.yaml");
  return read.ok ? [] : read.problems.map(formatProblem);
};

const CONFIG = {
  User: "app",
  WorkingDir: "/srv",
  Entrypoint: ["/bin/app"],
  Cmd: ["--port", "80"],
  Env: ["PATH=/bin", "HOME=/srv", "VERSION=1.2.3"],
  Labels: { vendor: "ACME", date: "2026-01-02" },
  ExposedPorts: { "8080/tcp": {}, "53/udp": {} },
  Volumes: { "/data": {} },
};
const LAYER = tar(
  directory("srv", { mode: 0o1777 }),
  directory("bin"),
  file("bin/app", "#!/bin/sh\n", { mode: 0o4750, uid: 7, gid: 8 }),
  file("usr/lib/os-release", "ID=debian\nNAME=x\n"),
  file("srv/settings", "listen = 80\nmode = safe\n"),
  file("srv/empty"),
  symlink("etc/settings", "/srv/settings"),
  symlink("etc/gone", "nowhere"),
);

/** What an image of `LAYER` and `CONFIG` does not pass. */
async function failed(text: string): Promise<readonly string[]> {
  const all = tests(text);
  const path = layout({ layers: [{ tar: LAYER }], config: CONFIG });
  let image = await readGood(path, { keep: wantedPaths(all, null) });
  if (needsAnotherReading(all, image)) image = await readGood(path, { keep: wantedPaths(all, image) });
  return judgeStructure(all, image).map(({ message, place }) => `${place.line}: ${message}`);
}

const head = "schemaVersion: 2.0.0\n";

describe("fileExistenceTests", () => {
  test("pass where the files are as they say", async () => {
    expect(
      await failed(`${head}fileExistenceTests:
- {name: root, path: /, permissions: drwxr-xr-x}
- {name: app, path: /bin/app, shouldExist: true, permissions: "urwxr-x---", uid: 7, gid: 8, isExecutableBy: group}
- {name: as ls, path: /bin/app, permissions: "-rwsr-x---"}
- {name: sticky, path: /srv, permissions: dtrwxrwxrwx}
- {name: sticky as ls, path: /srv, permissions: drwxrwxrwt}
- {name: link, path: /etc/settings, permissions: Lrwxrwxrwx}
- {name: dangling, path: /etc/gone}
- {name: variable, path: "$HOME/settings"}
- {name: below a link, path: /etc/../srv/settings}
- {name: none, path: /usr/bin/gcc, shouldExist: false}
`),
    ).toEqual([]);
  });

  test("fail where they are not, each condition by itself", async () => {
    expect(
      await failed(`${head}fileExistenceTests:
- name: gone
  path: /bin/gone
- name: there
  path: /bin/app
  shouldExist: false
- {name: all, path: /bin/app, permissions: "-rwxr-xr-x", uid: 0, gid: 0, isExecutableBy: other}
`),
    ).toEqual([
      "3: gone: /bin/gone does not exist",
      "5: there: /bin/app exists, and should not",
      "8: all: /bin/app has the permissions urwxr-x--- or -rwsr-x---, not -rwxr-xr-x",
      "8: all: /bin/app belongs to user 7, not 0",
      "8: all: /bin/app belongs to group 8, not 0",
      "8: all: /bin/app cannot be executed by other (-rwsr-x---)",
    ]);
  });
});

describe("fileContentTests", () => {
  test("look into files, also through links, and only there", async () => {
    expect(
      await failed(`${head}fileContentTests:
- name: link
  path: /etc/settings
  expectedContents: ['listen = \\d+', '(?m)^mode = safe$']
  excludedContents: ['mode = debug']
- name: both
  path: /srv/settings
  expectedContents: ['^mode']
  excludedContents: ['listen']
- {name: empty, path: /srv/empty, expectedContents: ['^$']}
- {name: none, path: /none, expectedContents: [x]}
- {name: directory, path: /srv, excludedContents: [x]}
- {name: dangling, path: /etc/gone}
`),
    ).toEqual([
      '7: both: /srv/settings has no "^mode"',
      '7: both: /srv/settings has "listen", and should not',
      "12: none: /none does not exist",
      "13: directory: /srv is a directory, not a file",
      "14: dangling: /etc/gone does not exist",
    ]);
  });

  test("fail when a text keeps an expression busy, and soon", async () => {
    const text = `${head}fileContentTests:\n- {name: slow, path: /srv/evil, excludedContents: ['^(a+)+$']}\n`;
    const all = tests(text);
    const path = layout({ layers: [{ tar: tar(file("srv/evil", `${"a".repeat(64)}!`)) }] });
    const image = await readGood(path, { keep: wantedPaths(all, null) });
    const started = Date.now();
    expect(judgeStructure(all, image).map(({ message }) => message)).toEqual([
      'slow: whether /srv/evil has "^(a+)+$" was not found out in time',
    ]);
    expect(Date.now() - started).toBeLessThan(10_000);
  });
});

describe("metadataTest", () => {
  test("passes where the configuration is as it says", async () => {
    expect(
      await failed(`${head}metadataTest:
  envVars: [{key: HOME, value: /srv}, {key: VERSION, value: '^\\d+\\.\\d+', isRegex: true}]
  unboundEnvVars: [{key: DEBUG}]
  labels: [{key: vendor, value: ACME}, {key: date, value: '^[[:digit:]]{4}-', isRegex: true}]
  exposedPorts: [8080, "53/udp"]
  unexposedPorts: ["22"]
  volumes: [/data]
  unmountedVolumes: [/x]
  entrypoint: [/bin/app]
  cmd: ["--port", 80]
  workdir: /srv
  user: app
`),
    ).toEqual([]);
  });

  test("fails where it is not", async () => {
    expect(
      await failed(`${head}metadataTest:
  env: [{key: HOME, value: /}, {key: NONE, value: x}, {key: VERSION, value: '^2', isRegex: true}]
  unboundEnv: [{key: HOME}]
  labels: [{key: constructor, value: x}]
  exposedPorts: ["80"]
  unexposedPorts: ["8080"]
  volumes: [/x]
  unmountedVolumes: [/data]
  entrypoint: []
  cmd: [a]
  workdir: /
  user: root
`),
    ).toEqual([
      "3: the variable HOME has another value than the test says",
      "3: the variable NONE is not set",
      '3: the variable VERSION does not match "^2"',
      "4: the variable HOME is set, and should not be",
      "5: the label constructor is not set",
      '10: entrypoint is ["/bin/app"], not []',
      '11: cmd is ["--port","80"], not ["a"]',
      "6: port 80 is not exposed",
      "7: port 8080 is exposed, and should not be",
      "8: /x is no volume",
      "9: /data is a volume, and should not be",
      '12: workdir is "/srv", not "/"',
      '13: user is "app", not "root"',
    ]);
  });
});

describe("a file", () => {
  test("may be JSON, and may use anchors", () => {
    expect(
      countTests(tests('{"schemaVersion": "2.0.0", "fileExistenceTests": [{"name": "a", "path": "/a"}]}')),
    ).toBe(1);
    const anchors = `${head}fileExistenceTests:\n- &one {name: a, path: /a}\n- *one\n`;
    expect(countTests(tests(anchors))).toBe(2);
  });

  const laughs = [
    "a: &a [x,x,x,x,x,x,x,x,x,x]",
    ..."bcdefgh"
      .split("")
      .map((key, index) => `${key}: &${key} [${Array(10).fill(`*${"abcdefgh"[index]}`).join(",")}]`),
  ].join("\n");
  test.for<readonly [string, string | Uint8Array, RegExp]>([
    [
      "commandTests",
      `${head}commandTests:\n- name: x\n  command: ls\n`,
      /^test\.yaml:3:1 \/commandTests: this needs a running container, .*; keep these tests with container-structure-test/,
    ],
    ["licenseTests", `${head}licenseTests: [{debian: true}]\n`, /this needs a list of licences/],
    ["containerRunOptions", `${head}containerRunOptions: {user: root}\n`, /this is for a running container/],
    ["a field that is misspelt", `${head}fileExistanceTests: []\n`, /did you mean "fileExistenceTests"/],
    ["another version", "schemaVersion: 1.0.0\n", /"1\.0\.0" is not a choice; did you mean "2\.0\.0"/],
    ["no tests", head, /there is no test in it/],
    ["a test without a path", `${head}fileContentTests: [{name: x}]\n`, /"path" is missing/],
    [
      "permissions that are none",
      `${head}fileExistenceTests: [{name: x, path: /, permissions: "0755"}]\n`,
      /"0755" are no permissions; expected "-rwxr-xr-x"/,
    ],
    [
      "permissions of nothing",
      `${head}fileExistenceTests: [{name: x, path: /, shouldExist: false, uid: 0}]\n`,
      /has no permissions and no owner/,
    ],
    [
      "an expression that Go has and JavaScript not",
      `${head}fileContentTests: [{name: x, path: /x, expectedContents: ['(?i:a)b']}]\n`,
      /cannot be carried over: \(\?i: has no counterpart/,
    ],
    [
      "a look-ahead",
      `${head}fileContentTests: [{name: x, path: /x, expectedContents: ['a(?=b)']}]\n`,
      /cannot be carried over/,
    ],
    [
      "a broken expression",
      `${head}fileContentTests: [{name: x, path: /x, expectedContents: ['(a']}]\n`,
      /cannot be carried over/,
    ],
    ["an alias without an anchor", `${head}x: *y\n`, /an alias has no anchor/],
    ["an alias in its own anchor", `${head}metadataTest: &a [*a]\n`, /nests deeper than/],
    ["a billion laughs", `${laughs}\n`, /stands for more than 100000 values/],
    ["a tag", `${head}metadataTest: !!js/function "x"\n`, /tag/i],
    ["a merge key", `${head}metadataTest: {<<: {user: a}}\n`, /merge keys are not read/],
    ["a key twice", `${head}metadataTest: {user: a, user: b}\n`, /"user" is given twice/],
    ["a key that is no text", `${head}1: x\n`, /a key is not a text/],
    ["two documents", `${head}---\n${head}`, /multiple documents/],
    [
      "a number that is none",
      `${head}fileExistenceTests: [{name: x, path: /, uid: .inf}]\n`,
      /no number of JSON/,
    ],
    ["brackets without end", "[".repeat(200_000), /nests too deep|Flow sequence/],
    ["bytes that are no text", new Uint8Array([0x61, 0x3a, 0x20, 0xff]), /it is not UTF-8/],
    ["a prototype", `${head}__proto__: {}\n`, /"__proto__" is not known here/],
    ["a prototype in JSON", '{"schemaVersion": "2.0.0", "__proto__": {}}', /"__proto__" is not known here/],
  ])("is refused for %s", ([, text, message]) => {
    const found = problems(text);
    expect(found[0]).toMatch(/^test\.yaml/);
    expect(found.join("\n")).toMatch(message);
    expect(found.length).toBeLessThan(101);
  });

  test("of any text is read or refused, never half", () => {
    const word = fc.constantFrom(
      "schemaVersion: 2.0.0\n",
      "fileContentTests:",
      "- ",
      "{",
      "}",
      "[",
      "]",
      "&a ",
      "*a",
      "!!x ",
      "? ",
      ": ",
      "|\n",
      "'",
      '"',
      "#",
      "\n",
      "  ",
      "\t",
      "%YAML 1.1\n",
      "---\n",
      "name: x",
      "path: /",
      "<<: ",
      "0x1",
      "~",
      "\0",
      "\u2028",
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        const read = readStructureTests(Buffer.from(words.join("")), "test.yaml");
        expect(read.ok ? countTests(read.value) : read.problems.length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });

  test.for<readonly [string, string]>([
    ["dashes", "- ".repeat(100_000)],
    ["question marks", "? ".repeat(50_000)],
    ["anchors", `[${"&a ".repeat(50_000)}]`],
    ["an open quote", `a: "${"x\n ".repeat(100_000)}`],
    ["keys", Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join("\n")],
    ["blanks", `a:${" ".repeat(500_000)}b`],
  ])("of many %s is refused in time", ([, text]) => {
    const started = process.cpuUsage();
    expect(problems(text).length).toBeGreaterThan(0);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(8000);
  });
});

describe("an expression of Go", () => {
  test.for<readonly [string, readonly string[], readonly string[]]>([
    ["a.c", ["abc", "a\rc"], ["a\nc"]],
    ["(?s)a.c", ["a\nc"], ["ac"]],
    ["(?i)ABC", ["abc"], ["ab"]],
    ["(?m)^b$", ["a\nb"], ["ab"]],
    ["^b$", ["b"], ["a\nb", "b\n"]],
    ["\\Ab\\z", ["b"], ["ab", "b\n"]],
    ["\\s", [" ", "\t"], ["\u00a0", "\v"]],
    ["[\\s]", [" "], ["\u00a0"]],
    ["[[:alpha:]_]+", ["ab_"], ["12"]],
    ["[]a]", ["]", "a"], ["b"]],
    ["[^]a]", ["b"], ["]", "a"]],
    ["a{2}b{,3}", ["aab{,3}"], ["aab"]],
    ["{{ x }}", ["{{ x }}"], ["x"]],
    ["(?P<y>\\d+)\\.", ["12."], ["12"]],
    ["\\Qa.b\\E.", ["a.bc"], ["axbc"]],
    ['\\-\\/\\_\\"', ['-/_"'], ["-/"]],
    ["\\x{41}\\x42\\103", ["ABC"], ["x"]],
    ["\\pL+\\p{Greek}", ["aω"], ["1ω"]],
    ["deb https?://[^/]+/ stable", ["deb https://x/ stable"], ["deb x"]],
  ])("%s", ([source, yes, no]) => {
    const pattern = fromGoPattern(source);
    if (typeof pattern === "string") throw new Error(pattern);
    expect(yes.filter((text) => !pattern.test(text))).toEqual([]);
    expect(no.filter((text) => pattern.test(text))).toEqual([]);
  });

  test.for([
    "(?U)a*",
    "a(?!b)",
    "(?<=a)b",
    "(a)\\1",
    "\\C",
    "[[:^alpha:]]",
    "a**",
    "\\",
    "(?i:a)",
    "\\Z",
    "[[:nope:]]",
  ])("%s is refused", (source) => {
    expect(fromGoPattern(source)).toBeTypeOf("string");
  });
});
