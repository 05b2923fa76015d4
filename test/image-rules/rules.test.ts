/** Every rule for images finds what it is about, nothing in an image that is clean, and what a policy allows does not count. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { policyFiles } from "../../src/gate/files.ts";
import { defaultsOf } from "../../src/gate/options.ts";
import { shippedPolicies } from "../../src/gate/rule-page.ts";
import { gateImages } from "../../src/gate-images.ts";
import { factsOf } from "../../src/image/facts/facts.ts";
import { type CheckedImage, toChecked } from "../../src/image-rules/checked-image.ts";
import { IMAGE_RULES } from "../../src/image-rules/registry.ts";
import { layout, layoutOf, readGood } from "../image/layout.ts";
import { directory, file, type Member, symlink, tar } from "../image/tar-writer.ts";

const ELF = readFileSync("/bin/true");
const DASH = readFileSync("/bin/dash");
const run = { mode: 0o755 };

/** A package that owns what is in it, and a program that is the image's own. */
const CLEAN: readonly Member[] = [
  file("etc/passwd", "app:x:1000:1000::/:/usr/sbin/nologin\n"),
  file("var/lib/dpkg/status.d/app", "Package: app\nVersion: 1\n"),
  file(
    "var/lib/dpkg/status.d/app.md5sums",
    ["usr/bin/dash", "usr/bin/gcc", "usr/bin/wget", "usr/bin/su", "usr/bin/apt", "usr/bin/perl"]
      .map((path) => `${"0".repeat(32)}  ${path}\n`)
      .join(""),
  ),
];
const CONFIG = { User: "1000:1000", Healthcheck: { Test: ["CMD", "/app"] }, Entrypoint: ["/app"] };

const TODAY = "2026-01-01";
const ANNOTATIONS = {
  "org.opencontainers.image.base.name": "registry.example/base:1",
  "org.opencontainers.image.base.digest": `sha256:${"a".repeat(64)}`,
  "org.opencontainers.image.source": "https://example.org/app",
  "org.opencontainers.image.revision": "1",
};

async function facts(
  layers: readonly (readonly Member[])[],
  config: Readonly<Record<string, unknown>> = {},
  history: readonly string[] = [],
  top: Readonly<Record<string, unknown>> = {},
): Promise<CheckedImage> {
  const all = [[...CLEAN, file("app", "#!/none\n", run), ...(layers[0] ?? [])], ...layers.slice(1)];
  const built = all.map((members, index) => ({
    tar: tar(...members),
    createdBy: history[index] ?? "COPY . /",
  }));
  const spec = {
    layers: built,
    config: { ...CONFIG, ...config },
    top: { created: "2025-12-31T00:00:00Z", ...top },
    annotations: ANNOTATIONS,
  };
  return toChecked(await factsOf(await readGood(layout(spec))), null, TODAY);
}

function ask(
  id: string,
  of: CheckedImage,
  options: Readonly<Record<string, unknown>> = {},
): readonly string[] {
  const rule = IMAGE_RULES.rules.find((candidate) => candidate.id === id);
  if (rule === undefined) throw new Error(`no rule ${id}`);
  return [...rule.check(of, { ...defaultsOf(rule.options), ...options })].map(({ object }) => object);
}

/** Rules that other files try: build-rules.test.ts, inherited.test.ts, and of structure tests test/cli/check-image.test.ts. */
const ELSEWHERE = [
  "base-fits",
  "structure-files",
  "structure-contents",
  "structure-metadata",
  "no-lone-update",
  "no-distribution-upgrade",
  "no-sudo-in-build",
  "copy-not-add",
  "verified-installs",
  "pinned-base",
  "trusted-base",
  "supported-distribution",
  "recent-build",
  "no-latest-tag",
  "labels",
];

type Breaking = readonly [
  id: string,
  layers: readonly (readonly Member[])[],
  config: Readonly<Record<string, unknown>>,
  found: readonly string[],
];
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
const TOKEN = `ghp_${"a1B2c3D4e5F6".repeat(3)}`;

const BREAKING: readonly Breaking[] = [
  ["nothing-unknown", [[symlink("var/lib/rpm/rpmdb.sqlite", "/app")]], {}, ["/var/lib/rpm/rpmdb.sqlite"]],
  ["unambiguous-layers", [[file("x", "1"), file("x", "2")]], {}, ["named-twice x"]],
  ["non-root-user", [[]], { User: "" }, ["no user"]],
  ["non-root-user", [[]], { User: "0:0" }, ["0:0"]],
  ["non-root-user", [[]], { User: "root" }, ["root"]],
  ["non-root-user", [[]], { User: "nobody-knows" }, ["nobody-knows"]],
  ["non-root-user", [[file("etc/passwd", "toor:x:0:0::/:/none\n")]], { User: "toor:5" }, ["toor:5"]],
  [
    "no-setuid-programs",
    [[file("a", "", { mode: 0o4755 }), file("b", "", { mode: 0o2755 })]],
    {},
    ["/a", "/b"],
  ],
  [
    "no-file-capabilities",
    [[file("p", "", { pax: [["SCHILY.xattr.security.capability", capability]] })]],
    {},
    ["/p: CAP_NET_RAW"],
  ],
  ["no-device-nodes", [[{ name: "dev/mem", type: "3", major: 1, minor: 1 }]], {}, ["/dev/mem"]],
  ["no-world-writable", [[file("conf", "", { mode: 0o666 })]], {}, ["/conf"]],
  ["no-secrets", [[file("t", TOKEN)], [file(".wh.t")]], {}, ["github-token in hidden-file t"]],
  ["no-empty-passwords", [[file("etc/passwd", "a::1:1::/:/bin/false\n")]], {}, ["a"]],
  ["unique-ids", [[file("etc/group", "a:x:1:\nb:x:1:\n")]], {}, ["group 1"]],
  ["no-shell", [[file("usr/bin/dash", DASH, run)]], {}, ["/usr/bin/dash"]],
  ["no-shell", [[file("opt/healthd", DASH, run)]], {}, ["/opt/healthd"]],
  ["no-package-manager", [[file("usr/bin/apt", "#!/x\n", run)]], {}, ["/usr/bin/apt"]],
  [
    "no-build-tools",
    [[file("usr/bin/gcc", "#!/x\n", run), file("usr/bin/git", "#!/x\n", run)]],
    {},
    ["/usr/bin/gcc", "/usr/bin/git"],
  ],
  ["no-network-tools", [[file("usr/bin/wget", "#!/x\n", run)]], {}, ["/usr/bin/wget"]],
  ["no-privilege-tools", [[file("usr/bin/su", "#!/x\n", run)]], {}, ["/usr/bin/su"]],
  ["no-unused-interpreters", [[file("usr/bin/perl", "#!/x\n", run)]], {}, ["/usr/bin/perl"]],
  ["no-unowned-programs", [[file("opt/miner", ELF, run)]], {}, ["/opt/miner", "/app"]],
  ["health-check", [[]], { Healthcheck: null }, ["image"]],
  ["no-leftovers", [[file("var/lib/apt/lists/x", "1")]], {}, ["package-cache"]],
  ["numeric-user", [[]], { User: "app" }, ["app"]],
  ["numeric-user", [[]], { User: "1000:staff" }, ["1000:staff"]],
  ["protected-programs", [[file("app", "#!/none\n", { mode: 0o755, uid: 1000 })]], {}, ["/app"]],
  [
    "protected-programs",
    [[directory("opt", { mode: 0o777 }), file("opt/app", "#!/none\n", run)]],
    { Entrypoint: ["/opt/app"] },
    ["/opt/app"],
  ],
  [
    "no-login-users",
    [[file("usr/bin/dash", DASH, run), file("etc/passwd", "ops:$6$x:7:7::/:/usr/bin/dash\n")]],
    {},
    ["ops"],
  ],
  [
    "reached-programs",
    [[file("opt/big", Buffer.concat([ELF, Buffer.alloc(2 ** 24)]), run)]],
    {},
    ["unreached"],
  ],
  [
    "no-package-indexes",
    [[file("var/lib/apt/lists/x", "1")], [file("var/lib/apt/lists/.wh.x")]],
    {},
    ["apt"],
  ],
  ["no-package-indexes", [[file("var/cache/apk/APKINDEX.tar.gz", "1")]], {}, ["apk"]],
  [
    "no-credential-files",
    [
      [file("root/.ssh/id_rsa", "x"), file("app.jks", "x"), file("usr/share/doc/a/settings.py", "x")],
      [file(".wh.app.jks")],
    ],
    {},
    ["/root/.ssh/id_rsa", "/app.jks"],
  ],
  [
    "no-sensitive-volumes",
    [[]],
    { Volumes: { "/data": {}, "/proc/": {}, "//dev/shm": {}, "/a/../../proc/x": {} } },
    ["/proc/", "//dev/shm", "/a/../../proc/x"],
  ],
  [
    "no-login-ports",
    [[]],
    { ExposedPorts: { "22": {}, "443/tcp": {}, "22/udp": {}, "20-25/TCP": {} } },
    ["22", "20-25/TCP"],
  ],
  ["no-leftovers", [[file("home/a/.aws/config", "x")]], {}, ["cloud-settings"]],
  ["no-waste", [[file("big", "x".repeat(2 ** 21))], [file(".wh.big")]], {}, ["waste"]],
];

describe("rules for images", () => {
  test.for(BREAKING.filter(([, , , found]) => found.length > 0))(
    "%s finds %s",
    async ([id, layers, config, found]) => {
      const clean = await facts([[]]);
      const broken = await facts(layers, config);
      const before = ask(id, clean);
      expect(ask(id, broken)).toEqual(found);
      expect(before.every((object) => found.includes(object))).toBe(true);
      expect(before.length).toBeLessThan(found.length);
    },
  );

  test("leave alone what the user of the image may not change", async () => {
    const sticky = [directory("tmp", { mode: 0o1777 }), file("tmp/app", "#!/none\n", run)];
    expect(ask("protected-programs", await facts([sticky], { Entrypoint: ["/tmp/app"] }))).toEqual([]);
    const group = [file("app", "#!/none\n", { mode: 0o775, gid: 1000 })];
    expect(ask("protected-programs", await facts([group]))).toEqual(["/app"]);
    expect(ask("protected-programs", await facts([group], { User: "1000:5" }))).toEqual([]);
    // By name, through the image's own etc/passwd.
    expect(ask("protected-programs", await facts([group], { User: "app" }))).toEqual(["/app"]);
  });

  test("take amounts: layers", async () => {
    const image = await facts([[], [file("b", "x".repeat(5000))]]);
    expect(ask("layer-limit", image)).toEqual([]);
    expect(ask("layer-limit", image, { limit: 1 })).toEqual(["layers"]);
    expect(ask("layer-size-limit", image)).toEqual([]);
    expect(ask("layer-size-limit", image, { limit: 5000 })).toContain("layer 2");
  });

  test("say that reach is not the whole truth where it is not", async () => {
    const rule = IMAGE_RULES.rules.find(({ id }) => id === "reached-programs");
    const image = await facts([[file("usr/bin/dash", DASH, run), file("opt/other", ELF, run)]], {
      Entrypoint: ["/usr/bin/dash"],
    });
    const [found] = [...(rule?.check(image, { limit: 0 }) ?? [])];
    expect(found?.message).toMatch(
      / that nothing reaches.*; 1 reached program may reach more than can be seen$/,
    );
    expect(ask("reached-programs", await facts([[]], { Entrypoint: [], Healthcheck: null }))).toEqual([
      "entry point",
    ]);
  });

  test("take amounts: size and packages", async () => {
    const one = await facts([[]]);
    expect(ask("size-limit", one, { limit: 10 })).toEqual(["size"]);
    expect(ask("size-limit", one)).toEqual([]);
    expect(ask("package-limit", one, { limit: 0 })).toEqual(["packages"]);
    expect(ask("package-limit", one)).toEqual([]);
  });

  test("know what is missing, not hardened, and in no database", async () => {
    const missing = await facts([[]], { Entrypoint: ["/gone"] });
    expect(ask("complete-programs", missing)).toContain("/gone is not in the image");
    const bare = toChecked(await factsOf(await readGood(layoutOf(tar(file("app", ELF, run))))), null, TODAY);
    expect(ask("known-packages", bare)).toEqual(["image"]);
    expect(ask("known-packages", await facts([[]]))).toEqual([]);
    const weak = Buffer.from(ELF);
    // e_type: a program at fixed addresses.
    weak.writeUInt16LE(2, 16);
    expect(ask("hardened-programs", await facts([[file("opt/weak", weak, run)]]))).toEqual([
      "/opt/weak: not position-independent",
    ]);
    expect(ask("hardened-programs", await facts([[file("opt/good", ELF, run)]]))).toEqual([]);
  });

  test("let an interpreter pass that the entry point reaches", async () => {
    const used = await facts([[file("usr/bin/perl", "#!/x\n", run)]], { Entrypoint: ["/usr/bin/perl"] });
    expect(ask("no-unused-interpreters", used)).toEqual([]);
  });

  test("do not count what a policy allows, by pattern", async () => {
    const image = await facts([[file("opt/a", ELF, run), file("opt/b", ELF, run)]]);
    expect(ask("no-unowned-programs", image, { allow: ["/opt/*", "/app"] })).toEqual([]);
    expect(ask("no-unowned-programs", image, { allow: ["/*"] })).toEqual(["/opt/a", "/opt/b"]);
  });

  test("judge what runs opened, and nothing when no run was recorded", async () => {
    const members = [file("tool", "#!/none\nx", run), file("data", "x")];
    const image = await readGood(
      layout({ layers: [{ tar: tar(file("app", "#!/none\n", run), ...members) }], config: CONFIG }),
    );
    const opened = new Set(["/tool", "/data", "/elsewhere"]);
    const evidence = { runs: 1, opened, missed: ["some were lost"] };
    const judged = toChecked(await factsOf(image, evidence), null, TODAY);
    const none = toChecked(await factsOf(image), null, TODAY);
    const expected: readonly (readonly [string, readonly string[]])[] = [
      ["evidence-fits", ["missed", "/elsewhere"]],
      ["no-unreached-opens", ["/tool"]],
      ["no-unused-programs", ["/app"]],
    ];
    for (const [id, found] of expected) {
      expect([id, ...ask(id, judged)]).toEqual([id, ...found]);
      expect(ask(id, none)).toEqual([]);
    }
    expect(ask("no-unreached-opens", judged, { allow: ["/to*"] })).toEqual([]);
    const elsewhere = new Set(Array.from({ length: 5000 }, (_, index) => `/other/${index}`));
    const foreign = toChecked(await factsOf(image, { runs: 1, opened: elsewhere, missed: [] }), null, TODAY);
    expect(ask("evidence-fits", foreign)).toHaveLength(101);
    expect(ask("evidence-fits", foreign).at(-1)).toBe("more");
    expect(ask("no-unused-programs", judged, { allow: ["/app"] })).toEqual([]);
  });

  test("are all tried here", () => {
    const tried = new Set(BREAKING.map(([id]) => id));
    const elsewhere = [
      ...ELSEWHERE,
      "layer-limit",
      "layer-size-limit",
      "complete-programs",
      "size-limit",
      "package-limit",
      "known-packages",
      "hardened-programs",
      "evidence-fits",
      "no-unreached-opens",
      "no-unused-programs",
    ];
    expect(
      IMAGE_RULES.rules.map(({ id }) => id).filter((id) => !tried.has(id) && !elsewhere.includes(id)),
    ).toEqual([]);
  });
});

describe("policies for images", () => {
  test("are shipped, and each asks that nothing is unknown", () => {
    const policies = shippedPolicies(IMAGE_RULES, policyFiles());
    expect(policies.map(({ name }) => name).toSorted()).toEqual([
      "base",
      "cis-docker-4",
      "distroless",
      "dockle-equivalent",
      "minimal-image",
      "runtime",
      "static",
      "structure-tests",
    ]);
    for (const policy of policies) expect(policy.settings.get("nothing-unknown")?.severity).toBe("error");
  });

  test("grow: what base refuses, runtime refuses, distroless refuses, static refuses", () => {
    const policies = new Map(
      shippedPolicies(IMAGE_RULES, policyFiles()).map((policy) => [policy.name, policy]),
    );
    const order = ["off", "note", "warning", "error"];
    const chain = ["base", "runtime", "distroless", "static"];
    for (const [index, name] of chain.slice(1).entries())
      for (const { id } of IMAGE_RULES.rules) {
        const lower = policies.get(chain[index] ?? "")?.settings.get(id)?.severity ?? "off";
        const higher = policies.get(name)?.settings.get(id)?.severity ?? "off";
        expect(order.indexOf(higher), `${name}: ${id}`).toBeGreaterThanOrEqual(order.indexOf(lower));
      }
  });

  test("fail closed: an image that cannot be read is a failure, a bare root file system has no user that is known", async () => {
    const request = {
      policy: "minimal-image",
      cwd: "/",
      today: "2026-01-01",
      waivers: [],
      baseline: null,
      updateBaseline: false,
      reading: { platform: null, tag: null },
    };
    const gone = await gateImages({ ...request, images: ["/nonexistent"] });
    expect(gone.ok && gone.value.report.failures.map(({ problems }) => problems[0]?.kind)).toEqual([
      "image-not-found",
    ]);
    const path = layout({ layers: [{ tar: tar(...CLEAN) }], config: CONFIG });
    const checked = await gateImages({ ...request, images: [path] });
    const rules = checked.ok ? checked.value.report.findings.map(({ rule }) => rule.id) : [];
    expect(rules).toEqual(["complete-programs", "labels", "labels"]);
  });
});
