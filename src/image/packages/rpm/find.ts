/** RPM's databases, in the places and forms of the last twenty years; and the manifest that distroless images of Azure Linux have instead. */
import type { Tree } from "../../tree/tree.ts";
import { type ClaimedPackage, type Found, type Gap, keptBytes, keptText } from "../package.ts";
import { bdbValues } from "./bdb.ts";
import { parseHeader } from "./header.ts";
import { ndbBlobs } from "./ndb.ts";
import { sqliteBlobs } from "./sqlite.ts";

const PLACES = ["var/lib/rpm", "usr/share/rpm", "usr/lib/sysimage/rpm"];
const FORMS: Readonly<Record<string, (file: Buffer) => readonly Buffer[] | null>> = {
  "rpmdb.sqlite": sqliteBlobs,
  "Packages.db": ndbBlobs,
  Packages: bdbValues,
};
const MANIFEST = "var/lib/rpmmanifest/container-manifest-2";

export function findRpm(tree: Tree): Found {
  const gaps: Gap[] = [];
  const packages: ClaimedPackage[] = [];
  const seen = new Set<string>();
  for (const place of PLACES)
    for (const [name, blobsOf] of Object.entries(FORMS)) {
      const path = `${place}/${name}`;
      const real = tree.resolve(path)?.path;
      if (real === undefined || seen.has(real)) continue;
      seen.add(real);
      const bytes = keptBytes(tree, path, gaps);
      if (bytes === null || bytes.length === 0) continue;
      const blobs = blobsOf(bytes);
      if (blobs === null) {
        gaps.push({ path, reason: "it is not the database that its name says, or it is damaged" });
        continue;
      }
      let damaged = 0;
      for (const blob of blobs) {
        const header = parseHeader(blob, path);
        if (header !== null) packages.push(header);
        // Berkeley DB's first value is a number.
        else if (blob.length > 4) damaged++;
      }
      if (damaged > 0) gaps.push({ path, reason: `${damaged} of its headers are damaged` });
      const log = keptBytes(tree, `${path}-wal`, gaps);
      if (log !== null && log.length > 0)
        gaps.push({ path: `${path}-wal`, reason: "it holds changes that were not written to the database" });
    }
  const manifest = keptText(tree, MANIFEST, gaps);
  const listed = manifest === null ? [] : fromManifest(manifest);
  // Keys of rpm's own, imported to check signatures, are stored as packages.
  return { packages: [...packages, ...listed].filter(({ name }) => name !== "gpg-pubkey"), gaps };
}

/** name, version-release, two times, vendor, epoch, size, architecture, epoch number, source; separated by tabs. */
function fromManifest(text: string): readonly ClaimedPackage[] {
  return text.split("\n").flatMap((line): readonly ClaimedPackage[] => {
    const [name, version, , , , , , architecture, , source] = line.split("\t");
    if (name === undefined || name === "" || version === undefined) return [];
    return [
      {
        manager: "rpm",
        name,
        version,
        architecture: architecture ?? null,
        source: source?.replace(/-[^-]+-[^-]+\.src\.rpm$/, "") ?? null,
        license: null,
        database: MANIFEST,
        files: null,
      },
    ];
  });
}
