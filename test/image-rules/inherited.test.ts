/** What is proved to be the base image's is told apart from what an image adds, and nothing of its own passes for the base's. */
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import type { Report } from "../../src/gate/finding.ts";
import { exitStatusOf } from "../../src/gate/finding.ts";
import { gateImages, type ImageGateRequest } from "../../src/gate-images.ts";
import { formatProblem } from "../../src/problems.ts";
import { dockerArchive, type ImageSpec, layout, manifestBlobs, onDisk } from "../image/layout.ts";
import { file, hardlink, type Member, tar } from "../image/tar-writer.ts";

const DASH = readFileSync("/bin/dash");
const setuid = { mode: 0o4755 };
const TOKEN = `ghp_${"a1B2c3D4e5F6".repeat(3)}`;

const BASE: readonly (readonly Member[])[] = [
  [
    file("etc/passwd", "root::0:0::/:/bin/sh\n"),
    file("bin/sh", DASH, { mode: 0o755 }),
    file("bin/su", "su", setuid),
    file("var/cache/a", "x".repeat(2000)),
    file("etc/token", TOKEN),
  ],
  [file("usr/lib/os-release", "ID=debian\nVERSION_ID=9\n"), file("opt/one", "1", setuid)],
];

const made = (created_by: string) => ({ created_by });

function spec(layers: readonly (readonly Member[])[], more: Partial<ImageSpec> = {}): ImageSpec {
  const history = layers.map((_, index) => made(index < BASE.length ? `base ${index}` : `RUN own ${index}`));
  return {
    layers: layers.map((members) => ({ tar: tar(...members) })),
    top: { history, created: "2020-01-01T00:00:00Z" },
    config: { Env: ["API_TOKEN=of-the-base-image"] },
    ...more,
  };
}

let base = "";
beforeEach(() => {
  base = layout(spec(BASE));
});
const POLICY = "cis-docker-4";

async function check(own: string, more: Partial<ImageGateRequest> = {}): Promise<Report> {
  const request: ImageGateRequest = {
    images: [own],
    base: { path: base, platform: "linux/amd64", tag: null },
    reading: { platform: "linux/amd64", tag: null },
    policy: POLICY,
    waivers: [],
    baseline: null,
    updateBaseline: false,
    cwd: "/",
    today: "2026-01-01",
    ...more,
  };
  const gated = await gateImages(request);
  if (!gated.ok) throw new Error(gated.problems.map(formatProblem).join("\n"));
  return gated.value.report;
}

/** Objects of a rule, by whose they are. */
function objects({ findings }: Report, rule: string): Readonly<Record<string, readonly string[]>> {
  const of = findings.filter((finding) => finding.rule.id === rule);
  return Object.fromEntries(
    [...new Set(of.map(({ origin }) => origin ?? "unknown"))].map((origin) => [
      origin,
      of.filter((finding) => (finding.origin ?? "unknown") === origin).map(({ object }) => object),
    ]),
  );
}

describe("what a base brought", () => {
  test("is told from what was added, file by file", async () => {
    const report = await check(layout(spec([...BASE, [file("opt/two", "2", setuid)]])));
    expect(objects(report, "no-setuid-programs")).toEqual({
      base: ["/bin/su", "/opt/one"],
      own: ["/opt/two"],
    });
    expect(objects(report, "supported-distribution")).toEqual({ base: ["debian 9"] });
    expect(objects(report, "no-secrets")["base"]).toContain("github-token in file etc/token");
    const su = report.findings.find(({ object }) => object === "/bin/su");
    expect(su?.message).toContain("from layer 1 of the base image (base 0)");
    expect(su?.rule.remediation).toMatch(/^The base image has it: build on a newer one/);
  });

  test("is no longer the base's when an own layer touched it", async () => {
    const own = [
      file("bin/su", "another su", setuid),
      { ...hardlink("opt/three", "opt/one"), ...setuid },
      file("etc/passwd", "root::0:0::/:/bin/sh\nevil::5:5::/:/bin/sh\n"),
      file("var/cache/b", "y"),
    ];
    const report = await check(layout(spec([...BASE, own])), { policy: "base" });
    const setuids = await check(layout(spec([...BASE, own])));
    expect(objects(setuids, "no-setuid-programs")).toEqual({
      base: ["/opt/one"],
      own: ["/bin/su", "/opt/three"],
    });
    expect(objects(report, "no-empty-passwords")).toEqual({ base: ["root"], own: ["evil"] });
    // One own file among those of the base: the amount cannot be the base's alone.
    expect(objects(report, "no-leftovers")).toEqual({ own: ["cache"] });
  });

  test("is not the base's when an own layer makes it set-user-id through a link", async () => {
    const plain = [...BASE.slice(0, 1), [file("opt/plain", "1", { mode: 0o755 })]];
    const given = { base: { path: layout(spec(plain)), platform: "linux/amd64", tag: null } };
    const own = [{ ...hardlink("opt/link", "opt/plain"), ...setuid }];
    const found = objects(await check(layout(spec([...plain, own])), given), "no-setuid-programs");
    expect(found).toEqual({ base: ["/bin/su"], own: ["/opt/link", "/opt/plain"] });
  });

  test("is not what the image itself decides, however alike: its user, its age, its name", async () => {
    const report = await check(layout(spec([...BASE, [file("a", "1")]])));
    expect(objects(report, "non-root-user")).toEqual({ own: ["no user"] });
    expect(objects(report, "recent-build")).toEqual({ own: ["created"] });
    expect(objects(report, "health-check")).toEqual({ own: ["image"] });
  });

  test("is a variable only with the value that it has there", async () => {
    const object = "environment-value in environment API_TOKEN";
    const history = [made("base 0"), made("ENV API_TOKEN=of-the-base-image"), made("COPY . /")];
    const top = { history, created: "2020-01-01T00:00:00Z" };
    const of = layout(spec(BASE, { top: { ...top, history: history.slice(0, 2) } }));
    const given = { base: { path: of, platform: "linux/amd64", tag: null } };
    const kept = await check(layout(spec([...BASE, [file("a", "1")]], { top })), given);
    expect(objects(kept, "no-secrets")["base"]).toContain(object);
    const config = { Env: ["API_TOKEN=of-this-image-itself"] };
    const changed = await check(layout(spec([...BASE, [file("a", "1")]], { top, config })), given);
    expect(objects(changed, "no-secrets")["own"]).toContain(object);
  });

  test("does not count when it is held apart; what was added does", async () => {
    const same = spec([...BASE, [file("a", "1")]], {
      config: { User: "1:1", Healthcheck: { Test: ["CMD", "/a"] } },
    });
    const apart = await check(layout(same), { policy: "runtime", inherited: "apart" });
    const counted = apart.findings.filter(({ state }) => state === "new");
    expect(counted.every(({ origin }) => origin === "own")).toBe(true);
    expect(counted.map(({ rule }) => rule.id)).not.toContain("no-setuid-programs");
    expect(apart.findings.find(({ object }) => object === "/bin/su")).toMatchObject({
      state: "inherited",
      because: "inherited: the base image has it as well",
    });
    const more = await check(layout(spec([...BASE, [file("a", "1", setuid)]])), { inherited: "apart" });
    const found = more.findings.filter(
      ({ rule, state }) => rule.id === "no-setuid-programs" && state === "new",
    );
    expect(found.map(({ object }) => object)).toEqual(["/a"]);
    expect(exitStatusOf(more, "error")).toBe(1);
  });

  test("is covered by a waiver for what is the base's, and by none what was added", async () => {
    const waiver = {
      rule: "no-setuid-programs",
      subject: "**",
      object: "**",
      origin: "base",
      reason: "the base will be replaced",
      owner: "images@example.org",
      expires: "2030-01-01",
    };
    const waivers = [onDisk(Buffer.from(JSON.stringify({ waivers: [waiver] })), "waivers.json")];
    const report = await check(layout(spec([...BASE, [file("a", "1", setuid)]])), { waivers });
    const states = report.findings.filter(({ rule }) => rule.id === "no-setuid-programs");
    expect(states.map(({ object, state }) => `${object} ${state}`)).toEqual([
      "/a new",
      "/bin/su waived",
      "/opt/one waived",
    ]);
  });
});

describe("an image that was not built on the base that is given", () => {
  test.each([
    [
      "of which a layer differs",
      [BASE[0] ?? [], [file("other", "1")], [file("a", "1")]],
      "of its 2 layers only the lowest 1 are in it",
    ],
    ["that has its layers in another order", [BASE[1] ?? [], BASE[0] ?? []], "none of its layers is in it"],
    ["that has fewer layers", [BASE[0] ?? []], "of its 2 layers only the lowest 1 are in it"],
  ] as const)("%s is said to be so, and nothing of it counts as inherited", async (_, layers, words) => {
    for (const policy of [POLICY, "dockle-equivalent"]) {
      const report = await check(layout(spec(layers)), { policy, inherited: "apart" });
      const fits = report.findings.find(({ rule }) => rule.id === "base-fits");
      expect(fits?.message).toBe(`the image was not built on ${base}: ${words}`);
      expect(fits?.severity).toBe("error");
      expect(report.findings.every(({ state, origin }) => state === "new" && origin === undefined)).toBe(
        true,
      );
      expect(exitStatusOf(report, "error")).toBe(1);
      expect(report.subjects[0]?.notes).toContain(
        `not built on ${base}: what is the base's is not known, and all findings count`,
      );
    }
  });

  test("cannot be told of a root file system, which has no layers: neither as image nor as base", async () => {
    const bare = onDisk(tar(...(BASE[0] ?? [])));
    expect((await check(bare)).findings.map(({ rule }) => rule.id)).toContain("base-fits");
    const given = { base: { path: bare, platform: null, tag: null } };
    await expect(check(layout(spec(BASE)), given)).rejects.toThrow("it has no layers that an image could");
  });
});

describe("the report", () => {
  const notes = async (annotations: Readonly<Record<string, string>>, more: Partial<ImageGateRequest> = {}) =>
    (await check(layout(spec([...BASE, [file("bin/su", "x")]], { annotations })), more)).subjects[0]?.notes ??
    [];
  const name = { "org.opencontainers.image.base.name": "registry.example/base:1" };
  const [manifest] = manifestBlobs(spec(BASE));

  test("says whose layers, bytes and packages are", async () => {
    expect((await notes({})).join("\n")).toMatch(
      /built on \S+: 2 of 3 layers, [\d.]+ KiB of [\d.]+ KiB, 0 of 0 packages are the base's; own layers hide 2 B of it/,
    );
  });

  test("compares the base with the one that the image names", async () => {
    const digest = "org.opencontainers.image.base.digest";
    expect((await notes({ ...name, [digest]: manifest.digest })).join("\n")).toContain(
      ", the one that the image names: 2 of 3 layers",
    );
    const other = `sha256:${"a".repeat(64)}`;
    expect((await notes({ ...name, [digest]: other })).join("\n")).toContain(
      `, while the image names registry.example/base:1@${other} (annotation): 2 of 3 layers`,
    );
  });

  test("says what is known and what is not when the base is named and not given", async () => {
    const lines = await notes(
      { ...name, "org.opencontainers.image.base.digest": manifest.digest },
      { base: null },
    );
    expect(lines).toContain(
      `built on registry.example/base:1@${manifest.digest}, as its annotations say; which layers are the base's is not known unless it is given (--base)`,
    );
  });

  test("works with what docker save writes", async () => {
    const given = { base: { path: onDisk(dockerArchive(spec(BASE))), platform: null, tag: null } };
    const image = onDisk(dockerArchive(spec([...BASE, [file("a", "1", setuid)]])));
    expect(objects(await check(image, given), "no-setuid-programs")).toEqual({
      base: ["/bin/su", "/opt/one"],
      own: ["/a"],
    });
  });
});
