/** Bills of materials are valid by their schemas, name packages by URLs that others understand, and do not claim to be complete when they are not. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { factsOf, type ImageFacts } from "../../src/image/facts/facts.ts";
import { toCycloneDx } from "../../src/image/sbom/cyclonedx.ts";
import { purlOf } from "../../src/image/sbom/purl.ts";
import { toSpdx } from "../../src/image/sbom/spdx.ts";
import { layoutOf, readGood } from "./layout.ts";
import { file, type Member, tar } from "./tar-writer.ts";

const TIME = new Date("2026-01-02T03:04:05.678Z");

async function debian(...more: readonly Member[]): Promise<ImageFacts> {
  const image = await readGood(
    layoutOf(
      tar(
        file("etc/os-release", 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'),
        file(
          "var/lib/dpkg/status",
          "Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.2.0-14+deb12u1\nSource: gcc-12\n\nPackage: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 2024a-0\n\n",
        ),
        file("var/lib/dpkg/info/tzdata.list", "/usr/share/zoneinfo/UTC\n"),
        ...more,
      ),
    ),
  );
  return await factsOf(image);
}

const LOOSE = file("opt/tool", readFileSync("/bin/true"), { mode: 0o755 });

const SCHEMAS = fileURLToPath(
  new URL("../../node_modules/@cyclonedx/cyclonedx-library/res/schema/", import.meta.url),
);
const schema = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(`${SCHEMAS}${name}.SNAPSHOT.schema.json`, "utf8")) as Record<string, unknown>;

describe("CycloneDX", () => {
  test("is valid by the official schema, with packages, loose files and none of both", async () => {
    const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
    for (const name of ["jsf-0.82", "spdx"])
      ajv.addSchema({ ...schema(name), $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json` });
    const validate = ajv.compile(schema("bom-1.6"));
    for (const facts of [
      await debian(LOOSE),
      await debian(),
      await factsOf(await readGood(layoutOf(tar(file("a"))))),
    ]) {
      const valid = validate(toCycloneDx(facts, TIME));
      expect(validate.errors ?? []).toEqual([]);
      expect(valid).toBe(true);
    }
    // The judge judges.
    expect(validate({ ...toCycloneDx(await debian(), TIME), specVersion: 7 })).toBe(false);
  });

  test("lists packages with their layer, and programs of no package with their digest", async () => {
    const document = toCycloneDx(await debian(LOOSE), TIME);
    expect(document).toMatchObject({
      metadata: { timestamp: "2026-01-02T03:04:05Z", component: { type: "container" } },
      components: [
        { type: "operating-system", name: "debian", version: "12" },
        {
          purl: "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12",
        },
        { purl: "pkg:deb/debian/tzdata@2024a-0?arch=all&distro=debian-12" },
        { type: "file", name: "/opt/tool", hashes: [{ alg: "SHA-256" }] },
      ],
      compositions: [{ aggregate: "incomplete" }],
    });
    expect(toCycloneDx(await debian(), TIME)).toMatchObject({ compositions: [{ aggregate: "complete" }] });
  });

  test("of the same image is the same text, of another one has another number", async () => {
    const one = JSON.stringify(toCycloneDx(await debian(), TIME)).replaceAll(
      /"name":"sandbox-image-\w+"/g,
      "",
    );
    const again = JSON.stringify(toCycloneDx(await debian(), TIME)).replaceAll(
      /"name":"sandbox-image-\w+"/g,
      "",
    );
    const number = (text: string): string | undefined => /urn:uuid:[0-9a-f-]{36}/.exec(text)?.[0];
    expect(one.replace(number(one) ?? "", "")).toBe(again.replace(number(again) ?? "", ""));
    expect(number(one)).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(number(JSON.stringify(toCycloneDx(await debian(LOOSE), TIME)))).not.toBe(number(one));
  });
});

/** What SPDX 2.3 requires of the parts that are used here (its clauses 6, 7 and 11), no more fields than these. */
const text = { type: "string", minLength: 1 };
const id = { type: "string", pattern: "^SPDXRef-[A-Za-z0-9.-]+$" };
const noAssertion = { const: "NOASSERTION" };
const SPDX = {
  type: "object",
  required: [
    "spdxVersion",
    "dataLicense",
    "SPDXID",
    "name",
    "documentNamespace",
    "creationInfo",
    "packages",
    "relationships",
  ],
  additionalProperties: false,
  properties: {
    spdxVersion: { const: "SPDX-2.3" },
    dataLicense: { const: "CC0-1.0" },
    SPDXID: { const: "SPDXRef-DOCUMENT" },
    name: text,
    comment: text,
    documentNamespace: { type: "string", pattern: "^[a-z]+:[^#]+$" },
    creationInfo: {
      type: "object",
      required: ["created", "creators"],
      additionalProperties: false,
      properties: {
        created: { type: "string", pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$" },
        creators: {
          type: "array",
          minItems: 1,
          items: { type: "string", pattern: "^(Tool|Person|Organization): " },
        },
      },
    },
    packages: {
      type: "array",
      items: {
        type: "object",
        required: ["SPDXID", "name", "downloadLocation"],
        additionalProperties: false,
        properties: {
          SPDXID: id,
          name: text,
          versionInfo: { type: "string" },
          downloadLocation: noAssertion,
          filesAnalyzed: { const: false },
          licenseConcluded: noAssertion,
          licenseDeclared: noAssertion,
          copyrightText: noAssertion,
          licenseComments: text,
          sourceInfo: text,
          primaryPackagePurpose: { enum: ["CONTAINER", "FILE"] },
          checksums: {
            type: "array",
            items: {
              type: "object",
              required: ["algorithm", "checksumValue"],
              properties: {
                algorithm: { const: "SHA256" },
                checksumValue: { type: "string", pattern: "^[0-9a-f]{64}$" },
              },
            },
          },
          externalRefs: {
            type: "array",
            items: {
              type: "object",
              required: ["referenceCategory", "referenceType", "referenceLocator"],
              additionalProperties: false,
              properties: {
                referenceCategory: { const: "PACKAGE-MANAGER" },
                referenceType: { const: "purl" },
                referenceLocator: { type: "string", pattern: "^pkg:[a-z]+/[^\\s]+$" },
              },
            },
          },
        },
      },
    },
    relationships: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        required: ["spdxElementId", "relatedSpdxElement", "relationshipType"],
        additionalProperties: false,
        properties: {
          spdxElementId: id,
          relatedSpdxElement: id,
          relationshipType: { enum: ["DESCRIBES", "CONTAINS"] },
        },
      },
    },
  },
};

describe("SPDX", () => {
  test("has what the specification requires, and relations only between what is there", async () => {
    // The official schema (schemas/spdx-schema.json of the spdx-spec repository, branch support/2.3) is CC-BY and not carried here.
    const official = process.env["SPDX_SCHEMA"];
    const judge =
      official === undefined
        ? null
        : new Ajv({ strict: false, validateFormats: false }).compile(
            JSON.parse(readFileSync(official, "utf8")),
          );
    const validate = new Ajv().compile<{
      readonly packages: readonly { readonly SPDXID: string }[];
      readonly relationships: readonly {
        readonly spdxElementId: string;
        readonly relatedSpdxElement: string;
      }[];
    }>(SPDX);
    for (const facts of [
      await debian(LOOSE),
      await debian(),
      await factsOf(await readGood(layoutOf(tar(file("a"))))),
    ]) {
      const document: unknown = toSpdx(facts, TIME);
      if (!validate(document)) throw new Error(JSON.stringify(validate.errors));
      expect([judge?.(document) ?? true, judge?.errors ?? null]).toEqual([true, null]);
      const ids = document.packages.map(({ SPDXID }) => SPDXID);
      expect(new Set(ids).size).toBe(ids.length);
      const named = document.relationships.flatMap((one) => [one.spdxElementId, one.relatedSpdxElement]);
      expect(new Set(named)).toEqual(new Set(["SPDXRef-DOCUMENT", ...ids]));
    }
  });
});

describe("package URLs", () => {
  const part = {
    architecture: null,
    source: null,
    license: null,
    database: "x",
    claimed: 0,
    present: 0,
    size: 0,
    layer: 0,
  } as const;
  const alpine = { id: "alpine", version: "3.19.1", name: "" };

  test.for([
    ["apk", "musl", "1.2.4-r2", "pkg:apk/alpine/musl@1.2.4-r2?distro=alpine-3.19.1"],
    ["rpm", "bash", "4:5.1-3", "pkg:rpm/alpine/bash@5.1-3?distro=alpine-3.19.1&epoch=4"],
    ["npm", "@scope/name", "1.0.0", "pkg:npm/%40scope/name@1.0.0"],
    ["python", "Typing_Extensions", "4.1", "pkg:pypi/typing-extensions@4.1"],
    ["go", "golang.org/x/net", "v0.17.0", "pkg:golang/golang.org/x/net@v0.17.0"],
    ["go", "example.org/app", "", "pkg:golang/example.org/app"],
    ["dpkg", "odd \u001B name", "1:2~3", "pkg:deb/alpine/odd%20%1B%20name@1:2~3?distro=alpine-3.19.1"],
  ] as const)("of %s: %s %s", ([manager, name, version, url]) => {
    expect(purlOf({ ...part, manager, name, version }, alpine)).toBe(url);
  });
});
