/** Package URLs (the purl specification, ECMA-427): one name for a package across tools, which vulnerability databases are asked by. */
import type { Distribution } from "../facts/facts.ts";
import type { PackageFacts } from "../packages/find.ts";
import type { Manager } from "../packages/package.ts";

const TYPES: Readonly<Record<Manager, string>> = {
  dpkg: "deb",
  chisel: "deb",
  apk: "apk",
  rpm: "rpm",
  pacman: "alpm",
  opkg: "opkg",
  npm: "npm",
  python: "pypi",
  go: "golang",
  java: "maven",
};

/** Types whose namespace is the distribution. */
const OF_DISTRIBUTION = new Set<Manager>(["dpkg", "chisel", "apk", "rpm", "pacman", "opkg"]);

export function purlOf(one: PackageFacts, distribution: Distribution | null): string {
  const type = TYPES[one.manager];
  const system = OF_DISTRIBUTION.has(one.manager);
  const { epoch, version } = versionOf(one);
  const name = one.manager === "python" ? one.name.toLowerCase().replaceAll("_", "-") : one.name;
  // Maven's group and artifact are namespace and name.
  const path = name
    .split(one.manager === "java" ? ":" : "/")
    .map(encode)
    .join("/");
  const namespace = system && distribution !== null ? `${encode(distribution.id.toLowerCase())}/` : "";
  const distro =
    distribution === null || distribution.version === ""
      ? null
      : `${distribution.id}-${distribution.version}`;
  // In the order of their keys, as the canonical form wants it.
  const qualifiers = Object.entries({
    arch: one.architecture,
    distro: system ? distro : null,
    epoch,
    upstream: system && one.source !== null && one.source !== one.name ? one.source : null,
  }).flatMap(([key, value]) => (value === null || value === "" ? [] : [`${key}=${encode(value)}`]));
  return `pkg:${type}/${namespace}${path}${version === "" ? "" : `@${encode(version)}`}${qualifiers.length === 0 ? "" : `?${qualifiers.join("&")}`}`;
}

/** The epoch of an RPM is a qualifier of its own. */
function versionOf({ manager, version }: PackageFacts): {
  readonly epoch: string | null;
  readonly version: string;
} {
  const match = manager === "rpm" ? /^([0-9]+):(.*)$/.exec(version) : null;
  return match === null ? { epoch: null, version } : { epoch: match[1] ?? null, version: match[2] ?? "" };
}

/** Letters, digits and `-._~` stand for themselves, and a colon may. */
function encode(text: string): string {
  return encodeURIComponent(text.replaceAll(/\p{Cs}/gu, "\uFFFD")).replaceAll(/[!'()*]|%3A/g, (part) =>
    part === "%3A" ? ":" : `%${part.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
