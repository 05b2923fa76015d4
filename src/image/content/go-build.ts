/**
 * What the Go linker writes into a program about itself: version of Go, main module, modules it was built from
 * (debug/buildinfo, the inline form of Go 1.18 and later).
 */

export interface GoBuild {
  readonly go: string;
  readonly path: string;
  readonly modules: readonly { readonly name: string; readonly version: string }[];
}

const MAGIC = Buffer.from("\u00FF Go buildinf:", "latin1");
const MAX_TEXT = 1 << 20;
const MAX_MODULES = 4096;

export function readGoBuild(bytes: Buffer): GoBuild | null {
  // Aligned to 16 bytes; the linker's own copy of the magic is not followed by flags that make sense.
  for (let at = bytes.indexOf(MAGIC); at >= 0; at = bytes.indexOf(MAGIC, at + 1)) {
    if (((bytes[at + 15] ?? 0) & 2) === 0) continue;
    const version = text(bytes, at + 32);
    const info = version === null ? null : text(bytes, version.end);
    if (version !== null && info !== null && version.value.startsWith("go"))
      return { go: version.value, ...modules(info.value) };
  }
  return null;
}

/** A length of seven bits per byte, then the text. */
function text(bytes: Buffer, at: number): { readonly value: string; readonly end: number } | null {
  let length = 0;
  let next = at;
  for (let shift = 0; shift <= 21; shift += 7) {
    const byte = bytes[next++];
    if (byte === undefined) return null;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (length > MAX_TEXT || next + length > bytes.length) return null;
      return { value: bytes.toString("utf8", next, next + length), end: next + length };
    }
  }
  return null;
}

/** Lines between two sentinels of 16 bytes: `path`, `mod`, `dep`, and `=>` for what replaces the line before it. */
function modules(info: string): Pick<GoBuild, "path" | "modules"> {
  let path = "";
  const found: { name: string; version: string }[] = [];
  for (const line of info.split("\n")) {
    const [key, name = "", version = ""] = line.replace(/^[^a-z=]*(?=path\t)/, "").split("\t");
    if (key === "path" || key?.endsWith("path") === true) path ||= name;
    else if ((key === "mod" || key === "dep") && found.length < MAX_MODULES) found.push({ name, version });
    else if (key === "=>" && found.length > 0) found[found.length - 1] = { name, version };
  }
  return { path, modules: found };
}
