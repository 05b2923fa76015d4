/** sandbox check image as continuous integration calls it: findings on lines of the Dockerfile, in every report. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dockerArchive, type ImageSpec, sha256 } from "../image/layout.ts";
import { directory, file, tar } from "../image/tar-writer.ts";
import { messages, sandbox } from "./command.ts";

// In two parts, so that scanners of repositories do not take this file for a leak.
const KEY = ["AKIA", "Q3EGKBM4NZ7RWT5X"].join("");
const DOCKERFILE = `FROM debian:12 AS build
RUN sudo make
FROM debian:12
ARG TOKEN
COPY settings \\
     /etc/
RUN apt-get update
USER root
`;

const spec = (settings: string): ImageSpec => {
  const layers = [
    {
      tar: tar(
        directory("etc"),
        file("etc/passwd", "root:x:0:0::/:/none\n"),
        file("bin/su", "x", { mode: 0o4755 }),
      ),
    },
    { tar: tar(file("etc/settings", settings)) },
    { tar: tar(file("var/log/x", "y")) },
  ];
  const made = (text: string, empty = false) => ({ created_by: text, empty_layer: empty });
  const history = [
    made("/bin/sh -c #(nop) ADD file:0123 in / "),
    made('/bin/sh -c #(nop)  CMD ["bash"]', true),
    made("ARG TOKEN=hunter2hunter2", true),
    made("COPY settings /etc/ # buildkit"),
    made("RUN |1 TOKEN=hunter2hunter2 /bin/sh -c apt-get update # buildkit"),
    made("USER root", true),
  ];
  return { layers, config: { User: "root" }, top: { history, created: "2026-01-01T00:00:00Z" } };
};

let cwd = "";
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "sandbox-check-image-"));
  writeFileSync(join(cwd, "app.tar"), dockerArchive(spec(`key ${KEY}\n`), ["app:1"]));
  writeFileSync(join(cwd, "clean.tar"), dockerArchive(spec("none\n"), ["app:1"]));
  writeFileSync(join(cwd, "Dockerfile"), DOCKERFILE);
});
afterAll(() => rmSync(cwd, { recursive: true }));

const check = (...args: readonly string[]) =>
  sandbox(["check", "image", "--platform", "linux/amd64", "--today", "2026-01-02", ...args], { cwd });
const WITH = ["app.tar", "--policy", "cis-docker-4", "--dockerfile", "Dockerfile"];

interface Result {
  readonly ruleId: string;
}

interface Sarif {
  readonly runs: readonly {
    readonly results: readonly {
      readonly ruleId: string;
      readonly locations: readonly {
        readonly physicalLocation: {
          readonly artifactLocation: { readonly uri: string };
          readonly region: { readonly startLine: number };
        };
      }[];
    }[];
  }[];
}

describe("supported-distribution", () => {
  const policy = (days: readonly string[]): string => {
    const rules = { "supported-distribution": ["error", { days }] };
    writeFileSync(join(cwd, "days.json"), JSON.stringify({ description: "x", checks: "image", rules }));
    return "./days.json";
  };
  const image = dockerArchive({
    layers: [{ tar: tar(file("etc/os-release", "ID=mylinux\nVERSION_ID=1\n")) }],
  });

  it("goes by the days of the policy, and says so", async () => {
    writeFileSync(join(cwd, "mine.tar"), image);
    const { status, stdout } = await check("mine.tar", "--policy", policy(["mylinux 1=2026-01-01"]));
    expect({ status, note: stdout.split("\n")[2] }).toEqual({
      status: 1,
      note: "  mylinux 1: no security updates since 2026-01-01, as the policy says",
    });
    const unknown = await check("mine.tar", "--policy", policy([]));
    expect(unknown.stdout).toContain("whether mylinux 1 gets security updates is not known");
  });

  it("refuses days that are none, at their line", async () => {
    const { status, stderr } = await check("mine.tar", "--policy", policy(["mylinux 1=soon"]));
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^days\.json:1:\d+ .*"mylinux 1=soon" does not fit; expected an ID and a VERSION_ID/,
    );
  });
});

describe("--base", () => {
  const base = (): ImageSpec => {
    const { layers, top, config } = spec("none\n");
    const history = [top?.["history"]].flat().slice(0, 2);
    return { layers: layers.slice(0, 1), config: config ?? {}, top: { ...top, history } };
  };

  it("puts what the base brought at FROM, says whose it is, and counts it unless it is held apart", async () => {
    writeFileSync(join(cwd, "base.tar"), dockerArchive(base(), ["debian:12"]));
    const counted = await check(...WITH, "--base", "base.tar");
    expect(counted.stdout).toMatch(/^app\.tar: \d+ found \(\d+ of the base image\)\n/);
    expect(counted.stdout).toContain(
      "/bin/su is set-user-id (4755 0:0), from layer 1 of the base image (/bin/sh -c #(nop) ADD file:0123 in /)  no-setuid-programs\n          at Dockerfile:3:1",
    );
    const apart = await check(...WITH, "--base", "base.tar", "--inherited", "apart", "--format", "sarif");
    expect(apart.status).toBe(1);
    const [run] = (JSON.parse(apart.stdout) as { runs: { results: Result[] }[] }).runs;
    const of = (rule: string) => run?.results.find(({ ruleId }) => ruleId === rule);
    expect(of("no-setuid-programs")).toMatchObject({
      properties: { origin: "base" },
      suppressions: [{ justification: "inherited: the base image has it as well" }],
    });
    expect(of("no-secrets")).toMatchObject({ properties: { origin: "own" }, suppressions: [] });
  });

  it.each<readonly [string, readonly string[], number, RegExp]>([
    ["nothing to inherit from", ["--inherited", "apart"], 2, /^--inherited: no base is given that something/],
    ["a tag of no base", ["--base-tag", "1"], 2, /^--base-tag: there is no base whose tag/],
    ["a base that is not there", ["--base", "none.tar"], 3, /none\.tar: there is no such file/],
  ])("says that there is %s", async (_name, args, status, message) => {
    const ended = await check(...WITH, ...args);
    expect(ended).toMatchObject({ status, stdout: "" });
    expect(ended.stderr).toMatch(message);
  });
});

describe("what is given by mistake is said to be so, and is never a pass", () => {
  const IMAGE = /neither a tar file nor a directory; give what docker save/;
  it.for<readonly [string, readonly string[], number, RegExp]>([
    ["an empty file", ["empty.tar"], 3, /empty\.tar: the file is empty; look whether the command/],
    ["an archive of nothing", ["nothing.tar"], 3, /nothing\.tar: the file is empty/],
    ["a Dockerfile", ["Dockerfile"], 3, IMAGE],
    ["a policy", ["no-image.json"], 3, IMAGE],
    ["a variable that is not set", [""], 2, /an image's path is empty; .*a variable of the script not set/],
    [
      "no structure tests",
      ["app.tar", "--policy", "structure-tests"],
      2,
      /--structure-test: .* there are none; give --structure-test FILE/,
    ],
    [
      "a policy for profiles",
      ["app.tar", "--policy", "hardened"],
      2,
      /^[^\n]*hardened\.json:\d+:\d+ \/checks: this policy is for profiles[^\n]*\n$/,
    ],
    [
      "a directory for a report",
      ["app.tar", "--format", "json", "--output", "."],
      2,
      /^--output: "\S+" is a directory/,
    ],
    [
      "a report in no directory",
      ["app.tar", "--format", "json", "--output", "no/x.json"],
      2,
      /^--output: the directory of "\S+no\/x\.json" does not exist/,
    ],
    [
      "an image as structure tests",
      ["app.tar", "--structure-test", "app.tar"],
      2,
      /^app\.tar: it is not text/,
    ],
  ])("%s", async ([, args, status, message]) => {
    writeFileSync(join(cwd, "empty.tar"), "");
    writeFileSync(join(cwd, "nothing.tar"), Buffer.alloc(10_240));
    writeFileSync(join(cwd, "no-image.json"), "{}");
    const ended = await check(...args);
    expect([ended.status, `${ended.stdout}${ended.stderr}`]).toEqual([
      status,
      expect.stringMatching(message),
    ]);
  });
});

describe("--dockerfile", () => {
  it("puts SARIF results on the lines that brought what was found", async () => {
    const { status, stdout, stderr } = await check(...WITH, "--format", "sarif");
    expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
    const [run] = (JSON.parse(stdout) as Sarif).runs;
    const at = run?.results.map(({ ruleId, locations: [first] }) => {
      const { artifactLocation, region } = first?.physicalLocation ?? {
        artifactLocation: null,
        region: null,
      };
      return `${ruleId} ${artifactLocation?.uri}:${region?.startLine}`;
    });
    expect(at).toEqual(
      expect.arrayContaining([
        "no-secrets Dockerfile:5",
        "no-secrets Dockerfile:4",
        "no-setuid-programs Dockerfile:3",
        "no-lone-update Dockerfile:7",
        "non-root-user Dockerfile:8",
        "health-check Dockerfile:3",
        "pinned-base Dockerfile:1",
        "pinned-base Dockerfile:3",
      ]),
    );
    expect(stdout).not.toMatch(/hunter2|AKIAQ3/);
  });

  it("puts annotations and code quality there as well", async () => {
    const github = await check(...WITH, "--format", "github");
    expect(github.stdout).toMatch(
      /^::error file=Dockerfile,line=5,col=1,title=[^\n]*no-secrets\)::app\.tar: /m,
    );
    const gitlab = await check(...WITH, "--format", "gitlab");
    const issues = JSON.parse(gitlab.stdout) as {
      check_name: string;
      location: { path: string; lines: { begin: number } };
    }[];
    expect(issues.find(({ check_name: name }) => name === "no-lone-update")?.location).toEqual({
      path: "Dockerfile",
      lines: { begin: 7 },
    });
  });

  it("says how much of the Dockerfile the history has, and what it would mean if that is nothing", async () => {
    expect((await check(...WITH)).stdout).toContain(
      "  4 of 4 instructions of Dockerfile are in the history\n",
    );
    writeFileSync(join(cwd, "other"), "FROM x\nRUN other\n");
    const { stdout } = await check("app.tar", "--dockerfile", "other");
    expect(stdout).toContain(
      "  0 of 1 instructions of other are in the history: it may be another image's, or the image was squashed\n",
    );
    expect(stdout).toMatch(/there is a secret[^\n]*\n {10}at other\n/);
  });

  it("knows stages by --target", async () => {
    const { stdout } = await check(...WITH, "--target", "BUILD");
    expect(stdout).toContain("  0 of 1 instructions of Dockerfile are in the history");
  });

  it.each<readonly [string, readonly string[], RegExp]>([
    ["a file that is not there", ["--dockerfile", "none"], /^--dockerfile: there is no file "none"/],
    ["a directory", ["--dockerfile", "."], /^--dockerfile: "\.": it is a directory/],
    ["a file that is no Dockerfile", ["--dockerfile", "app.tar"], /^app\.tar: it is not text/],
    [
      "a stage that is none",
      ["--dockerfile", "Dockerfile", "--target", "x"],
      /^--target: "x" is no stage of Dockerfile; expected one of build, 1/,
    ],
    [
      "a stage without a file",
      ["--target", "x"],
      /^--target: there is no Dockerfile .*; give --dockerfile FILE/,
    ],
  ])("ends with 2 for %s", async (_what, args, expected) => {
    const { status, stdout, stderr } = await check("app.tar", ...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(messages(stderr)).toHaveLength(1);
    expect(stderr).toMatch(expected);
  });
});

describe("the ratchet, for images", () => {
  it("lets pass what was there, counts what is new, and shrinks", async () => {
    const args = ["--policy", "cis-docker-4", "--baseline", "known.json"];
    // Whatever the image is called, it is the same subject: the path that is checked.
    writeFileSync(join(cwd, "now.tar"), readFileSync(join(cwd, "clean.tar")));
    expect((await check("now.tar", ...args, "--update-baseline")).status).toBe(0);
    const known = readFileSync(join(cwd, "known.json"), "utf8");
    expect(known).toContain('"rule":"no-setuid-programs","subject":"now.tar","object":"/bin/su"');
    writeFileSync(join(cwd, "now.tar"), readFileSync(join(cwd, "app.tar")));
    const worse = await check("now.tar", ...args, "--update-baseline");
    expect(worse.status).toBe(1);
    expect(worse.stdout).toContain("there is a secret: aws-access-key in file etc/settings");
    expect(readFileSync(join(cwd, "known.json"), "utf8")).toBe(known);
    const fixed = spec("none\n");
    const [, ...rest] = fixed.layers;
    const layers = [{ tar: tar(directory("etc"), file("bin/su", "x")) }, ...rest];
    writeFileSync(join(cwd, "now.tar"), dockerArchive({ ...fixed, layers }, ["app:1"]));
    const stale = await check("now.tar", ...args);
    expect(stale.stdout).toContain(
      "no-setuid-programs no longer finds /bin/su in now.tar, but the baseline still has it",
    );
    await check("now.tar", ...args, "--update-baseline");
    expect(readFileSync(join(cwd, "known.json"), "utf8")).not.toContain("/bin/su");
    expect((await check("now.tar", ...args)).status).toBe(0);
  });
});

describe("waivers, for images", () => {
  const image = (first: string, second: string) =>
    dockerArchive({
      layers: [{ tar: tar(file("etc/one", first)) }, { tar: tar(file("etc/two", second)) }],
      config: { User: "1" },
    });
  const waive = (more: Readonly<Record<string, unknown>>): void =>
    writeFileSync(
      join(cwd, "layer.json"),
      JSON.stringify({
        waivers: [
          {
            rule: "no-secrets",
            subject: "w.tar",
            object: "aws-access-key in file **",
            reason: "a test account",
            owner: "ops",
            expires: "2026-02-01",
            ...more,
          },
        ],
      }),
    );
  const secrets = async (today = "2026-01-02"): Promise<readonly string[]> => {
    const args = [
      "w.tar",
      "--policy",
      "base",
      "--waivers",
      "layer.json",
      "--format",
      "json",
      "--today",
      today,
    ];
    const { stdout } = await sandbox(["check", "image", ...args, "--platform", "linux/amd64"], { cwd });
    const { findings } = JSON.parse(stdout) as {
      findings: { rule: string; object: string; state: string }[];
    };
    return findings
      .filter(({ rule }) => rule === "no-secrets" || rule.startsWith("waiver-"))
      .map(({ rule, object, state }) =>
        rule === "no-secrets" ? `${object.split(" ").at(-1)} ${state}` : rule,
      );
  };

  it("cover what lies in the layer they are limited to, until their day, and nothing else", async () => {
    writeFileSync(join(cwd, "w.tar"), image(KEY, KEY));
    waive({});
    expect(await secrets()).toEqual(["etc/one waived", "etc/two waived"]);
    waive({ within: sha256(tar(file("etc/one", KEY))) });
    expect(await secrets()).toEqual(["etc/one waived", "etc/two new"]);
    expect((await secrets("2026-02-02")).toSorted()).toEqual([
      "etc/one new",
      "etc/two new",
      "waiver-expired",
    ]);
    // The layer was built again: what was accepted is not there any more.
    writeFileSync(join(cwd, "w.tar"), image(`${KEY} `, "x"));
    expect((await secrets()).toSorted()).toEqual(["etc/one new", "waiver-unused"]);
  });

  it("are refused with a digest that is none", async () => {
    waive({ within: "sha256:12" });
    const { status, stderr } = await check("w.tar", "--waivers", "layer.json");
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^layer\.json:1:\d+ \/waivers\/0\/within: "sha256:12" is not a digest; expected sha256: and 64/,
    );
  });
});

describe("--structure-test", () => {
  const STRUCTURE = `schemaVersion: 2.0.0
fileExistenceTests:
  - name: no compiler
    path: /usr/bin/gcc
    shouldExist: false
fileContentTests:
  - name: settings
    path: /etc/settings
    expectedContents: ["^none$"]
metadataTest:
  user: app
`;

  it("counts with every policy, at the line of the test", async () => {
    writeFileSync(join(cwd, "structure.yaml"), STRUCTURE);
    const { status, stdout, stderr } = await check(
      "app.tar",
      "--structure-test",
      "structure.yaml",
      "--policy",
      "structure-tests",
    );
    expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
    expect(stdout).toContain("  1 of 3 structure tests pass\n");
    expect(stdout).toMatch(
      /settings: \/etc\/settings has no "\^none\$" {2}structure-contents\n {10}at structure\.yaml:7:5\n/,
    );
    expect(stdout).toMatch(/user is "root", not "app" {2}structure-metadata\n {10}at structure\.yaml:11:9\n/);
    expect(stdout).not.toContain(KEY);
    const base = await check(
      "app.tar",
      "--structure-test",
      "structure.yaml",
      "--policy",
      "base",
      "--format",
      "json",
    );
    const found = (JSON.parse(base.stdout) as { findings: { rule: string; severity: string }[] }).findings;
    expect(found.filter(({ rule }) => rule.startsWith("structure-")).map(({ severity }) => severity)).toEqual(
      ["error", "error"],
    );
  });

  it("leaves their severity to a policy that names them, and findings to waivers", async () => {
    const rules = { "structure-contents": "off", "structure-metadata": "error" };
    writeFileSync(join(cwd, "ours.json"), JSON.stringify({ description: "ours", checks: "image", rules }));
    const waiver = {
      rule: "structure-metadata",
      subject: "app.tar",
      object: "user value",
      reason: "until the release",
      owner: "ops",
      expires: "2026-02-01",
    };
    writeFileSync(join(cwd, "waivers.json"), JSON.stringify({ waivers: [waiver] }));
    const args = ["app.tar", "--structure-test", "structure.yaml", "--policy", "./ours.json"];
    expect((await check(...args)).status).toBe(1);
    expect((await check(...args, "--waivers", "waivers.json")).status).toBe(0);
    const late = await check(...args, "--waivers", "waivers.json", "--today", "2026-02-02");
    expect(late.status).toBe(1);
    expect(late.stdout).toContain(
      "the waiver of structure-metadata for user value ended on 2026-02-01; its owner is ops",
    );
  });

  it("ends with 2 for what is not carried over, with its line", async () => {
    writeFileSync(
      join(cwd, "commands.yaml"),
      "schemaVersion: 2.0.0\ncommandTests:\n  - name: x\n    command: ls\n",
    );
    const { status, stdout, stderr } = await check("app.tar", "--structure-test", "commands.yaml");
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(/^commands\.yaml:3:3 \/commandTests: this needs a running container/);
    expect((await check("app.tar", "--structure-test", "none.yaml")).stderr).toBe(
      '--structure-test: there is no file "none.yaml"\n',
    );
  });
});
