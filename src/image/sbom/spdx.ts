/** A bill of materials in SPDX 2.3 (the ISO/IEC 5962 line), JSON. */

import { TOOL } from "../../version.ts";
import type { ImageFacts } from "../facts/facts.ts";
import { billOf, formatTime } from "./document.ts";

const UNKNOWN = "NOASSERTION";
const IMAGE = "SPDXRef-image";

export function toSpdx(facts: ImageFacts, time: Date): object {
  const bill = billOf(facts);
  const common = {
    downloadLocation: UNKNOWN,
    filesAnalyzed: false,
    licenseConcluded: UNKNOWN,
    licenseDeclared: UNKNOWN,
    copyrightText: UNKNOWN,
  };
  const packages = bill.parts.map(({ name, version, purl, license, manager, database, layer }, index) => ({
    SPDXID: `SPDXRef-package-${index + 1}`,
    name,
    versionInfo: version,
    ...common,
    // Databases write licences in words of their own; SPDX wants expressions of its list here and nothing else.
    ...(license === null || license === ""
      ? {}
      : { licenseComments: `The package database says: ${license}` }),
    sourceInfo: `${manager} database /${database}, layer ${layer}`,
    externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: purl }],
  }));
  // Not as files: those must have a SHA-1, which is no evidence of anything any more.
  const files = bill.files.map(({ path, sha256, layer }, index) => ({
    SPDXID: `SPDXRef-file-${index + 1}`,
    name: `/${path}`,
    ...common,
    checksums: [{ algorithm: "SHA256", checksumValue: sha256 }],
    sourceInfo: `in no package database, layer ${layer}`,
    primaryPackagePurpose: "FILE",
  }));
  const contained = [...packages, ...files].map(({ SPDXID }) => ({
    spdxElementId: IMAGE,
    relationshipType: "CONTAINS",
    relatedSpdxElement: SPDXID,
  }));
  return {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name: bill.name,
    documentNamespace: `urn:uuid:${bill.uuid}`,
    creationInfo: { created: formatTime(time), creators: [`Tool: ${TOOL.name}-${TOOL.version}`] },
    ...(bill.complete
      ? {}
      : { comment: "Incomplete: there are files that no package database accounts for, or no database." }),
    packages: [
      {
        SPDXID: IMAGE,
        name: bill.name,
        ...(bill.version === "" ? {} : { versionInfo: bill.version }),
        ...common,
        primaryPackagePurpose: "CONTAINER",
      },
      ...packages,
      ...files,
    ],
    relationships: [
      { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: IMAGE },
      ...contained,
    ],
  };
}
