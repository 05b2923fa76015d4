// What src/build-id.ts becomes in a build: the digest of all sources, so that nothing kept outlives the code that made it.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../src/", import.meta.url));

export function buildIdModule() {
  const digest = createHash("sha256");
  const files = readdirSync(source, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  for (const file of files.map((entry) => `${entry.parentPath}/${entry.name}`).toSorted()) {
    const content = readFileSync(file);
    digest.update(`${file.slice(source.length)}\0${content.length}\0`).update(content);
  }
  return `export const BUILD_ID = "${digest.digest("hex")}";\n`;
}
