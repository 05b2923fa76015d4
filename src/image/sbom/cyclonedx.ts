/** A bill of materials in CycloneDX 1.6 (ECMA-424), JSON. */

import { TOOL } from "../../version.ts";
import type { ImageFacts } from "../facts/facts.ts";
import { billOf, formatTime } from "./document.ts";

export function toCycloneDx(facts: ImageFacts, time: Date): object {
  const bill = billOf(facts);
  const seen = new Map<string, number>();
  const packages = bill.parts.map(({ name, version, purl, license, manager, database, layer }) => ({
    type: "library",
    "bom-ref": unique(purl, seen),
    name,
    version,
    ...(license === null || license === "" ? {} : { licenses: [{ license: { name: license } }] }),
    purl,
    properties: [
      { name: "sandbox:manager", value: manager },
      { name: "sandbox:database", value: `/${database}` },
      { name: "sandbox:layer", value: String(layer) },
    ],
  }));
  const files = bill.files.map(({ path, sha256, layer }) => ({
    type: "file",
    "bom-ref": unique(`file:/${path}`, seen),
    name: `/${path}`,
    hashes: [{ alg: "SHA-256", content: sha256 }],
    properties: [{ name: "sandbox:layer", value: String(layer) }],
  }));
  const { distribution } = facts;
  const system =
    distribution === null
      ? []
      : [
          {
            type: "operating-system",
            "bom-ref": "operating-system",
            name: distribution.id,
            version: distribution.version,
            description: distribution.name,
          },
        ];
  const components = [...system, ...packages, ...files];
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${bill.uuid}`,
    version: 1,
    metadata: {
      timestamp: formatTime(time),
      tools: { components: [{ type: "application", name: TOOL.name, version: TOOL.version }] },
      component: {
        type: "container",
        "bom-ref": "image",
        name: bill.name,
        ...(bill.version === "" ? {} : { version: bill.version }),
      },
    },
    components,
    dependencies: [{ ref: "image", dependsOn: components.map((one) => one["bom-ref"]) }],
    // What no database accounts for may have more in it than its name.
    compositions: [{ aggregate: bill.complete ? "complete" : "incomplete", assemblies: ["image"] }],
  };
}

/** Two versions of a database may list one package twice. */
function unique(reference: string, seen: Map<string, number>): string {
  const count = (seen.get(reference) ?? 0) + 1;
  seen.set(reference, count);
  return count === 1 ? reference : `${reference}#${count}`;
}
