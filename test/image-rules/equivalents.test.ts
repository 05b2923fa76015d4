/** What the benchmark and dockle find, the policies named after them find: one image that breaks everything, and one that breaks nothing. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { policyFiles } from "../../src/gate/files.ts";
import { loadPolicy } from "../../src/gate/policy.ts";
import { factsOf } from "../../src/image/facts/facts.ts";
import { type CheckedImage, toChecked } from "../../src/image-rules/checked-image.ts";
import { IMAGE_RULES } from "../../src/image-rules/registry.ts";
import { unwrap } from "../../src/problems.ts";
import { dockerArchive, onDisk, readGood } from "../image/layout.ts";
import { directory, file, type Member, tar } from "../image/tar-writer.ts";

const run = { mode: 0o755 };
const DATABASE: readonly Member[] = [
  file("var/lib/dpkg/status.d/app", "Package: app\nVersion: 1\n"),
  file("var/lib/dpkg/status.d/app.md5sums", `${"0".repeat(32)}  app\n`),
];

interface Made {
  readonly layers: readonly (readonly [createdBy: string, members: readonly Member[]])[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly tag: string;
  readonly created: string;
}

async function image({ layers, config, tag, created }: Made): Promise<CheckedImage> {
  const made = layers.map(([createdBy, members]) => ({ createdBy, tar: tar(...members) }));
  const path = onDisk(dockerArchive({ layers: made, config, top: { created } }, [tag]));
  return toChecked(await factsOf(await readGood(path)), null, "2026-01-01");
}

function broken(policy: string, of: CheckedImage): readonly string[] {
  const request = { policy, cwd: "/", source: { kind: "default" } } as const;
  const { settings } = unwrap(loadPolicy(request, IMAGE_RULES, policyFiles()));
  return IMAGE_RULES.rules
    .filter((rule) => {
      const setting = settings.get(rule.id);
      if (setting === undefined || setting.severity === "off") return false;
      return [...rule.check(of, setting.options)].length > 0;
    })
    .map(({ id }) => id);
}

const BAD: Made = {
  tag: "app:latest",
  created: "2020-01-01T00:00:00Z",
  layers: [
    [
      "/bin/sh -c #(nop) ADD file:0123 in / ",
      [file("etc/os-release", "ID=debian\nVERSION_ID=8\n"), file("opt/tool", readFileSync("/bin/true"), run)],
    ],
    [
      "RUN /bin/sh -c apt-get update # buildkit",
      [directory("var/lib/apt/lists"), file("var/lib/apt/lists/index", "x")],
    ],
    [
      "RUN /bin/sh -c sudo apt-get -y dist-upgrade # buildkit",
      [file("usr/bin/gcc", "#!/x\n", run), file("usr/bin/curl", "#!/x\n", run)],
    ],
    [
      "RUN /bin/sh -c apt-get install -y --allow-unauthenticated x # buildkit",
      [file("bin/su", "x", { mode: 0o4755 })],
    ],
    [
      "ADD https://example.org/x /x # buildkit",
      [
        file("x", "y", {
          pax: [
            [
              "SCHILY.xattr.security.capability",
              Buffer.from("0100000200200000000000000000000000000000", "hex"),
            ],
          ],
        }),
      ],
    ],
    [
      "COPY . / # buildkit",
      [
        file("etc/passwd", "a::0:0::/:/x\nb:x:0:0::/:/x\n"),
        file("root/.ssh/id_rsa", "x"),
        file("Dockerfile", "FROM x"),
        file("big", Buffer.concat([readFileSync("/bin/true"), Buffer.alloc(2 ** 24)]), run),
      ],
    ],
  ],
  config: { User: "root", Env: ["DB_PASSWORD=hunter22"], Volumes: { "/proc": {} }, Entrypoint: ["/none"] },
};
const GOOD: Made = {
  tag: "app:1",
  created: "2025-12-31T00:00:00Z",
  layers: [
    [
      "/bin/sh -c #(nop) ADD file:0123 in / ",
      [file("etc/os-release", "ID=debian\nVERSION_ID=12\n"), ...DATABASE],
    ],
    [
      "RUN /bin/sh -c apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/* # buildkit",
      [file("app", "#!/app\n", run)],
    ],
  ],
  config: {
    User: "1000:1000",
    Entrypoint: ["/app"],
    Healthcheck: { Test: ["CMD", "/app"] },
    Labels: {
      "org.opencontainers.image.base.name": "debian:12",
      "org.opencontainers.image.base.digest": `sha256:${"a".repeat(64)}`,
    },
  },
};

describe.each(["cis-docker-4", "dockle-equivalent"])("%s", (name) => {
  const { settings } = unwrap(
    loadPolicy({ policy: name, cwd: "/", source: { kind: "default" } }, IMAGE_RULES, policyFiles()),
  );

  test("finds each of its rules broken in an image that breaks all of them", async () => {
    const always = ["nothing-unknown", "unambiguous-layers"];
    const expected = IMAGE_RULES.rules
      .map(({ id }) => id)
      .filter((id) => settings.has(id) && !always.includes(id));
    expect(broken(name, await image(BAD))).toEqual(expected);
  });

  test("finds nothing in an image that breaks none", async () => {
    expect(broken(name, await image(GOOD))).toEqual([]);
  });

  test("is listed in the document, rule by rule", () => {
    const document = readFileSync(new URL("../../docs/image-gate.md", import.meta.url), "utf8");
    const asked = [...settings.keys()].filter(
      (id) => id !== "nothing-unknown" && id !== "unambiguous-layers",
    );
    expect(asked.filter((id) => !document.includes(`\`${id}\``))).toEqual([]);
  });
});

test("every checkpoint of dockle has a line in the document", () => {
  const document = readFileSync(new URL("../../docs/image-gate.md", import.meta.url), "utf8");
  const codes = [
    "CIS-DI-0001",
    "CIS-DI-0005",
    "CIS-DI-0006",
    "CIS-DI-0007",
    "CIS-DI-0008",
    "CIS-DI-0009",
    "CIS-DI-0010",
    "DKL-DI-0001",
    "DKL-DI-0002",
    "DKL-DI-0003",
    "DKL-DI-0004",
    "DKL-DI-0005",
    "DKL-DI-0006",
    "DKL-LI-0001",
    "DKL-LI-0002",
    "DKL-LI-0003",
  ];
  expect(codes.filter((code) => !document.includes(code))).toEqual([]);
});
