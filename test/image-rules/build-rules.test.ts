/** Rules about the build judge commands, not words: each finds what breaks it, in every builder's history and in a Dockerfile, and nothing that only looks alike. */
import { describe, expect, test } from "vitest";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { defaultsOf } from "../../src/gate/options.ts";
import type { Violation } from "../../src/gate/rule.ts";
import { isDay } from "../../src/gate/waivers.ts";
import { factsOf } from "../../src/image/facts/facts.ts";
import { stageOf, toChecked } from "../../src/image-rules/checked-image.ts";
import { DISTRIBUTIONS, OWN_DAY, TABLE_DAY } from "../../src/image-rules/end-of-life.ts";
import { IMAGE_RULES } from "../../src/image-rules/registry.ts";
import { describeSupport } from "../../src/image-rules/supported-distribution.ts";
import { dockerArchive, type ImageSpec, layout, onDisk, readGood } from "../image/layout.ts";
import { file, tar } from "../image/tar-writer.ts";

interface Asked extends Partial<Omit<ImageSpec, "layers">> {
  readonly history?: readonly string[];
  readonly dockerfile?: string;
  readonly target?: string;
  readonly today?: string;
  readonly os?: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** What a rule says of an image with these lines of history, each of which made a layer. */
async function ask(id: string, asked: Asked): Promise<readonly Violation[]> {
  const { history = ["COPY a /"], dockerfile, target, today = "2026-01-01", os, options, ...rest } = asked;
  const layers = history.map((createdBy, index) => ({
    tar: tar(file(`f${index}`, "x"), ...(os === undefined ? [] : [file("etc/os-release", os)])),
    createdBy,
  }));
  const facts = await factsOf(await readGood(layout({ layers, ...rest })));
  const rule = IMAGE_RULES.rules.find((candidate) => candidate.id === id);
  if (rule === undefined) throw new Error(`no rule ${id}`);
  const parsed = dockerfile === undefined ? null : parseDockerfile(Buffer.from(dockerfile), "Dockerfile");
  if (parsed?.ok === false) throw new Error(JSON.stringify(parsed.problems));
  const from =
    parsed === null ? null : { dockerfile: parsed.value, stage: stageOf(parsed.value, target ?? null) ?? 0 };
  return [...rule.check(toChecked(facts, from, today), { ...defaultsOf(rule.options), ...options })];
}

const objects = async (id: string, asked: Asked): Promise<readonly string[]> =>
  (await ask(id, asked)).map(({ object }) => object);
const placed = async (id: string, asked: Asked): Promise<readonly string[]> =>
  (await ask(id, asked)).map(({ places: [first] }) => `${first?.file}:${first?.line}`);

const BROKEN: readonly (readonly [string, readonly string[]])[] = [
  [
    "no-lone-update",
    [
      "apt-get update",
      "apt update -qq; rm -rf /tmp/x",
      "set -eux; apk update",
      "sudo apt-get -o A=b update",
      "bash -c 'apt-get update'",
      "apt-get update && apk add curl",
      "timeout -k 5 600 apt-get update",
      "sudo -u root nice -n 5 /usr/bin/env -u A B=1 apt-get update",
    ],
  ],
  [
    "no-distribution-upgrade",
    [
      "apt-get update && apt-get -y dist-upgrade",
      "apt full-upgrade -y",
      "do-release-upgrade",
      "dnf -y distro-sync",
      "zypper dup",
    ],
  ],
  [
    "no-sudo-in-build",
    [
      "sudo make install",
      "cd /x && A=1 sudo -E make",
      "(/usr/bin/sudo x)",
      "doas x",
      "true | sudo tee /x",
      "env -i sudo x",
      "timeout 5 sudo x",
    ],
  ],
  [
    "verified-installs",
    [
      "apt-get install -y --allow-unauthenticated x",
      "apt-get -o APT::Get::AllowUnauthenticated=true install x",
      "apk add --allow-untrusted ./x.apk",
      "yum install -y --nogpgcheck x",
      "curl -fsSL https://example.org/install | sh",
      "wget -qO- https://example.org/x | gunzip | sudo bash -s -- --yes",
      "curl -fsSk https://example.org/x -o x",
      "pip install --trusted-host example.org x",
      "echo 'deb [trusted=yes] https://example.org x main' > /etc/apt/sources.list",
      "printf 'Types: deb\\nURIs: https://example.org\nTrusted: yes\n' > /etc/apt/sources.list.d/x.sources",
      'sh -c "$(curl -fsSL https://example.org/install)"',
      "bash <(curl -fsSL https://example.org/install)",
      'eval "$(wget -qO- https://example.org/x)"',
      "/bin/bash -c `curl https://example.org/x`",
      "curl https://example.org/x | sudo -u root bash",
      "curl https://example.org/x | timeout 60 sh",
      "dnf install --setopt=mine.gpgcheck=0 x",
    ],
  ],
];

const FINE: Readonly<Record<string, readonly string[]>> = {
  "no-lone-update": [
    "apt-get update && apt-get install -y x",
    "apt-get update && apt upgrade -y",
    "echo apt-get update",
    "apk add --no-cache x",
    "git submodule update",
    "dnf -y update",
    "echo 'apt-get update' > /x.sh",
  ],
  "no-distribution-upgrade": ["apt-get upgrade -y", "echo dist-upgrade", "npm run dist-upgrade"],
  "no-sudo-in-build": ["echo sudo", "apt-get install -y sudo", "cat /etc/sudoers", "# sudo x"],
  "verified-installs": [
    "curl -fsSL https://example.org/x -o x && sha256sum -c x.sum && sh x",
    "apt-get install -y x",
    "curl https://example.org/x | tar xz; sh /x/install",
    "curl https://example.org/x || sh fallback",
    'VERSION="$(curl -fsS https://example.org/version)"; sh x "$VERSION"',
    'sh -c "echo trusted"; curl https://example.org/x -o "$(mktemp)"',
    "grep -k x",
  ],
};

const FORMS: readonly (readonly [string, (script: string) => string])[] = [
  ["BuildKit", (script) => `RUN |1 V=a b /bin/sh -c ${script} # buildkit`],
  ["the classic builder", (script) => `/bin/sh -c ${script}`],
  ["another shell", (script) => `RUN /bin/bash -o pipefail -c ${script} # buildkit`],
];

describe.each(BROKEN)("%s", (id, broken) => {
  test.for(FORMS)("finds every form of it, as written by %s", async ([, write]) => {
    for (const script of broken)
      expect([script, (await ask(id, { history: [write(script)] })).length]).toEqual([script, 1]);
  });
  test("finds nothing in what only looks like it", async () => {
    for (const script of FINE[id] ?? [])
      expect([script, await objects(id, { history: [`RUN ${script}`] })]).toEqual([script, []]);
  });
  test("finds it in a stage that left no history, and lets pass what the policy allows", async () => {
    const [script = ""] = broken;
    const dockerfile = `FROM a AS build\nRUN ${script}\nFROM scratch\nCOPY --from=build /x /\n`;
    const asked = { dockerfile, history: ["COPY /x / # buildkit"] };
    expect(await placed(id, asked)).toEqual(["Dockerfile:2"]);
    expect(await objects(id, { ...asked, options: { allow: [`RUN ${script}`] } })).toEqual([]);
  });
});

test("what later builds are made to do counts as well", async () => {
  const dockerfile =
    "FROM scratch\nONBUILD RUN curl -k https://example.org/x | sudo sh\nonbuild add https://example.org/x /\n";
  expect(await placed("verified-installs", { dockerfile })).toEqual(["Dockerfile:2"]);
  expect(await placed("copy-not-add", { dockerfile })).toEqual(["Dockerfile:3"]);
  expect(await objects("no-sudo-in-build", { history: ["ONBUILD RUN sudo x"] })).toHaveLength(1);
});

test("secrets in stages that left no history are found on their lines, and not shown", async () => {
  const dockerfile = `FROM a AS build
ENV API_TOKEN=hunter2hunter2
ENV DB_PASSWORD hunter2hunter2
ARG NPM_TOKEN
RUN pip install --index-url https://ci:hunter2hunter2@pypi.example/simple x
RUN --mount=type=secret,id=token make
FROM scratch
COPY a /
`;
  const found = await ask("no-secrets", { dockerfile });
  expect(found.map(({ places: [first] }) => first?.line)).toEqual([2, 3, 5]);
  expect(found[0]?.object).toBe("environment-value in Dockerfile ENV ... (not shown: it holds a secret)");
  expect(JSON.stringify(found)).not.toContain("hunter2");
});

describe("copy-not-add", () => {
  const ROOT = `/bin/sh -c #(nop) ADD file:${"0".repeat(64)} in / `;
  test("finds ADD, but not the root file system of a base", async () => {
    expect(
      await objects("copy-not-add", {
        history: [ROOT, "ADD https://example.org/x /x # buildkit", "COPY a b"],
      }),
    ).toEqual(["ADD https://example.org/x /x"]);
    expect(await objects("copy-not-add", { history: ["ADD rootfs.tar.gz / # buildkit"] })).toEqual([]);
    for (const first of [
      "ADD https://example.org/x /x",
      "ADD x.tar /opt/",
      "ADD https://example.org/root.tar /",
    ])
      expect(await objects("copy-not-add", { history: [`${first} # buildkit`] })).toEqual([first]);
  });
  test("blames no author for what the base did", async () => {
    const dockerfile = "FROM a\nADD x /y\n";
    const history = [ROOT, "ADD base /b # buildkit", "ADD x /y # buildkit"];
    expect(await placed("copy-not-add", { history, dockerfile })).toEqual(["Dockerfile:2"]);
  });
});

describe("bases", () => {
  const DIGEST = `@sha256:${"a".repeat(64)}`;
  const dockerfile = `ARG V\nFROM debian:12 AS one\nFROM one\nCOPY --from=busybox /x /\nRUN --mount=type=bind,from=tools:1,target=/t x\nFROM alpine${DIGEST}\nFROM app:$V\nFROM scratch\n`;
  test("are named by digest", async () => {
    expect(await ask("pinned-base", { dockerfile })).toMatchObject([
      { object: "debian:12", places: [{ file: "Dockerfile", line: 2 }, {}] },
      { object: "busybox", places: [{ line: 4 }, {}] },
      { object: "tools:1", places: [{ line: 5 }, {}] },
      { object: "a base that depends on a build argument", places: [{ line: 7 }, {}] },
    ]);
    expect(await objects("pinned-base", { dockerfile, options: { allow: ["*", "*:*"] } })).toEqual([
      "a base that depends on a build argument",
    ]);
  });
  test("are those that were chosen", async () => {
    const options = { allow: ["debian:*", "alpine"] };
    expect(await objects("trusted-base", { dockerfile, options })).toEqual([
      "busybox",
      "tools:1",
      "a base that depends on a build argument",
    ]);
  });
  test("are known from annotations; where nothing says, that is a finding", async () => {
    const annotations = { "org.opencontainers.image.base.name": "debian:12" };
    expect(await objects("pinned-base", { annotations })).toEqual(["debian:12"]);
    const digest = { "org.opencontainers.image.base.digest": `sha256:${"b".repeat(64)}` };
    expect(await objects("pinned-base", { annotations: { ...annotations, ...digest } })).toEqual([]);
    expect(await objects("pinned-base", {})).toEqual(["base"]);
    // A history that was cut off is no proof of scratch.
    expect(await objects("trusted-base", { top: { history: [] } })).toEqual(["base"]);
    expect(await objects("pinned-base", { dockerfile: "FROM scratch\nCOPY a /\n" })).toEqual([]);
  });
  test("are of the frontend as well, when another registry has it", async () => {
    const from = (syntax: string) => ({ dockerfile: `# syntax=${syntax}\nFROM scratch\nCOPY a /\n` });
    const mirror = "mirror.example:5000/docker/dockerfile:1";
    expect(await placed("trusted-base", from(mirror))).toEqual(["Dockerfile:1"]);
    expect(
      await objects("trusted-base", { ...from(mirror), options: { allow: ["mirror.example:*/**"] } }),
    ).toEqual([]);
    expect(await objects("pinned-base", from(`${mirror}@sha256:${"a".repeat(64)}`))).toEqual([]);
    for (const own of ["docker/dockerfile:1", "docker.io/docker/dockerfile-upstream:master"])
      expect(await objects("pinned-base", from(own))).toEqual([]);
  });
  test("in a mount that is written as CSV", async () => {
    const mount = 'FROM scratch\nRUN --mount=type=bind,"FROM=evil:1",target=/x y\n';
    expect(await objects("pinned-base", { dockerfile: mount })).toEqual(["evil:1"]);
  });
});

describe("age", () => {
  const os = (id: string, version: string): string => `ID=${id}\nVERSION_ID="${version}"\n`;
  test.for<readonly [string, string, string, boolean]>([
    ["debian", "10", "2026-01-01", true],
    ["debian", "12", "2026-01-01", false],
    ["debian", "12", "2028-06-30", false],
    ["debian", "12", "2028-07-01", true],
    ["alpine", "3.15.11", "2026-01-01", true],
    ["ubuntu", "24.04", "2026-01-01", false],
    ["rhel", "7.9", "2026-01-01", true],
    ["debian", "5", "2026-01-01", true],
    ["alpine", "3.2.3", "2026-01-01", true],
    ["ubuntu", "21.10", "2026-01-01", true],
    ["fedora", "30", "2026-01-01", true],
    ["opensuse-leap", "42.2", "2026-01-01", true],
    ["debian", "99", "2026-01-01", false],
    ["wolfi", "20230201", "2026-01-01", false],
    ["constructor", "name", "2026-01-01", false],
    ["debian", "__proto__", "2026-01-01", false],
  ])("%s %s on %s", async ([id, version, today, isOver]) => {
    const found = await objects("supported-distribution", { os: os(id, version), today });
    expect(found).toEqual(isOver ? [`${id} ${version}`] : []);
  });
  test.for<readonly [string, string, Readonly<Record<string, unknown>>, RegExp | null]>([
    // Nobody knows: a release that the table does not have, and any once the table is old.
    ["debian", "99", {}, null],
    [
      "debian",
      "99",
      { unknown: "refuse" },
      /^whether debian 99 .* not known: the table of \S+ does not have it$/,
    ],
    ["debian", "13", { unknown: "refuse" }, null],
    ["debian", "13", { unknown: "refuse", today: "2026-12-30" }, null],
    ["debian", "13", { unknown: "refuse", today: "2026-12-31" }, /says 2030-06-30, and is 12 months old/],
    ["debian", "13", { unknown: "refuse", today: "2026-12-31", months: 13 }, null],
    // What is over stays over, however old the table is.
    ["debian", "9", { today: "2040-01-01" }, /since 2022-06-30, by the table of/],
    ["arch", "", { unknown: "refuse", today: "2040-01-01" }, null],
    // The policy's own day comes first, and does not age.
    ["debian", "9", { days: ["debian 9=2027-06-30"] }, null],
    ["debian", "13", { days: ["debian 13=2025-06-30"] }, /since 2025-06-30, as the policy says$/],
    ["mylinux", "1.2", { days: ["mylinux 1=2090-01-01"], unknown: "refuse", today: "2040-01-01" }, null],
    [
      "mylinux",
      "1.2",
      { days: ["mylinux 1=2026-01-01"] },
      /^mylinux 1.2 gets no security updates since 2026-01-01/,
    ],
  ])("%s %s with %j", async ([id, version, { today = "2026-11-22", ...options }, message]) => {
    const found = await ask("supported-distribution", { os: os(id, version), today: String(today), options });
    expect(found.map((one) => message?.test(one.message) ?? one.message)).toEqual(
      message === null ? [] : [true],
    );
  });

  test("is named in every report, with the day of the table; what is not known is said to be so", () => {
    const said = (id: string, version: string, today: string, options = {}): string | null =>
      describeSupport({ distribution: { id, version, name: "" }, today }, options);
    expect(said("debian", "12", "2026-11-22")).toBe(
      `debian 12: security updates until 2028-06-30, by the table of ${TABLE_DAY}`,
    );
    expect(said("debian", "9", "2026-11-22")).toMatch(/^debian 9: no security updates since 2022-06-30/);
    expect(said("debian", "12", "2027-01-31")).toBe(
      `whether debian 12 gets security updates is not known: the table says 2028-06-30, and is 13 months old (${TABLE_DAY})`,
    );
    expect(said("mylinux", "1", "2026-11-22")).toBe(
      `whether mylinux 1 gets security updates is not known: the table of ${TABLE_DAY} does not have it`,
    );
    expect(said("mylinux", "1", "2026-11-22", { days: ["mylinux 1=2030-01-01"] })).toBe(
      "mylinux 1: security updates until 2030-01-01, as the policy says",
    );
    expect(said("wolfi", "20230201", "2040-01-01")).toMatch(/^wolfi 20230201 has no releases/);
    expect(describeSupport({ distribution: null, today: "2026-11-22" })).toBeNull();
  });

  test("has a source for each distribution, and days that are days", () => {
    for (const [id, { source, ends }] of Object.entries(DISTRIBUTIONS)) {
      expect([id, source]).toEqual([id, expect.stringMatching(/^https:\/\/[^ ]+$/)]);
      for (const [release, day] of Object.entries(ends))
        expect([id, release, isDay(day)]).toEqual([id, release, true]);
    }
    expect(isDay(TABLE_DAY)).toBe(true);
  });

  test.for(["debian=2026-01-01", "debian 12", "debian 12=soon", "debian 12=2026-13-01", " 12=2026-01-01"])(
    "is not taken from a policy that writes it as %j",
    (day) => expect(OWN_DAY.fits(day)).toBe(false),
  );

  test("of an image, by its own word", async () => {
    const built = (created: string) => ({ top: { created }, today: "2026-04-01" });
    expect(await objects("recent-build", built("2026-01-01T00:00:00Z"))).toEqual([]);
    expect(await ask("recent-build", built("2025-12-31T00:00:00Z"))).toMatchObject([
      { object: "created", amount: 91 },
    ]);
    expect(
      await objects("recent-build", { ...built("2025-12-31T00:00:00Z"), options: { days: 91 } }),
    ).toEqual([]);
    expect(await objects("recent-build", built("1970-01-01T00:00:00Z"))).toEqual(["created"]);
    expect(await objects("recent-build", {})).toEqual(["created"]);
    expect(await objects("recent-build", built("2026-04-02T01:00:00Z"))).toEqual([]);
    expect(await objects("recent-build", built("2099-01-01T00:00:00Z"))).toEqual(["created"]);
  });
});

describe("names", () => {
  test("no-latest-tag finds latest, given or implied", async () => {
    const tags = [
      "app:latest",
      "reg.example:5000/app",
      "reg.example/app:1",
      `reg.example/app@sha256:${"a".repeat(64)}`,
    ];
    const path = onDisk(dockerArchive({ layers: [{ tar: tar(file("a", "x")) }] }, tags));
    const rule = IMAGE_RULES.rules.find(({ id }) => id === "no-latest-tag");
    const image = toChecked(await factsOf(await readGood(path)), null, "2026-01-01");
    expect([...(rule?.check(image, {}) ?? [])].map(({ object }) => object)).toEqual([
      "app:latest",
      "reg.example:5000/app",
    ]);
  });
  test("labels that are missing or empty, each", async () => {
    expect(
      await objects("labels", { config: { Labels: { "org.opencontainers.image.source": " " } } }),
    ).toEqual(["org.opencontainers.image.source", "org.opencontainers.image.revision"]);
    expect(await objects("labels", { config: { Labels: { a: "1" } }, options: { required: ["a"] } })).toEqual(
      [],
    );
    const inherited = ["__proto__", "constructor", "toString"];
    expect(await objects("labels", { config: { Labels: {} }, options: { required: inherited } })).toEqual(
      inherited,
    );
  });
});

describe("a long step", () => {
  const step = (end: string): string => `RUN sudo ${"install ".repeat(20)}${end}`;
  test("is named by all of it: what is accepted is not accepted with another end", async () => {
    const [accepted = ""] = await objects("no-sudo-in-build", { history: [step("a")] });
    expect(accepted).toMatch(/^RUN sudo install .*\.\.\. sha256:[0-9a-f]{16}$/);
    const options = { allow: [accepted] };
    expect(await objects("no-sudo-in-build", { history: [step("a")], options })).toEqual([]);
    expect(await objects("no-sudo-in-build", { history: [step("b")], options })).toHaveLength(1);
  });
});

describe("places", () => {
  const dockerfile = "FROM a\nENV DB_PASSWORD=hunter22\nRUN x\nUSER 0\n";
  const history = ["base", "ENV DB_PASSWORD=hunter22", "RUN x", "USER 0"];
  test("of configuration are its instructions; what is missing is missing in the stage", async () => {
    expect(await placed("non-root-user", { dockerfile, history, config: { User: "0" } })).toEqual([
      "Dockerfile:4",
    ]);
    expect(await placed("health-check", { dockerfile, history })).toEqual(["Dockerfile:1"]);
    expect(
      await placed("no-secrets", { dockerfile, history, config: { Env: ["DB_PASSWORD=hunter22"] } }),
    ).toEqual(["Dockerfile:2", "Dockerfile:2"]);
  });
  test("never show the secret", async () => {
    const line = "RUN |1 API_TOKEN=hunter2hunter2 /bin/sh -c sudo curl # buildkit";
    for (const id of ["no-sudo-in-build", "no-secrets", "layer-size-limit"]) {
      const found = await ask(id, { history: [line], options: { limit: 1 } });
      expect(found.length).toBeGreaterThan(0);
      expect(JSON.stringify(found)).not.toContain("hunter2");
    }
  });
  test("that are not known are the Dockerfile as a whole", async () => {
    const found = await placed("layer-size-limit", {
      dockerfile: "FROM a\nRUN y\n",
      history: ["RUN z"],
      options: { limit: 1 },
    });
    expect(found).toEqual(["Dockerfile:0"]);
  });
});

describe("a hostile history", () => {
  const LONG = 200_000;
  test.for<readonly [string, string]>([
    ["one long word", "a".repeat(LONG)],
    ["pipes", "curl|".repeat(LONG / 5)],
    ["letters of an option", `curl -${"k".repeat(LONG)}!`],
    ["brackets", "[".repeat(LONG)],
    ["shells in shells", "sh -c '".repeat(LONG / 7)],
    ["names", "A_KEY".repeat(LONG / 5)],
    ["assignments", "A=".repeat(LONG / 2)],
    ["paths of shells", " /sh".repeat(LONG / 4)],
    ["parentheses", "(".repeat(LONG)],
    ["shells and substitutions", "sh $(".repeat(LONG / 5)],
    ["shells by path", " /a/sh `/".repeat(LONG / 9)],
    ["wrappers", "env -u ".repeat(LONG / 7)],
  ])("of %s takes no more time than its length", async ([, script]) => {
    const started = process.cpuUsage();
    const layers = [{ tar: tar(file("a", "x")), createdBy: `RUN /bin/sh -c ${script} # buildkit` }];
    const image = toChecked(await factsOf(await readGood(layout({ layers }))), null, "2026-01-01");
    for (const rule of IMAGE_RULES.rules)
      expect(Array.from(rule.check(image, defaultsOf(rule.options)))).toBeDefined();
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(6000);
  });
});
