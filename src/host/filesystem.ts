/**
 * What of the host's own tree a `system` root shows. Only names and kinds are read, never a content.
 */
import type { HostFacts } from "./facts.ts";
import type { HostFiles } from "./files.ts";

const TOP_LEVEL = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/** "/bin" → "usr/bin" when a link, null when a directory of its own (no merged /usr). */
export function probeSystemRoot(files: HostFiles): HostFacts["systemRoot"] {
  const root: Record<string, string | null> = {};
  for (const path of TOP_LEVEL) {
    const target = files.link(path);
    if (target !== null) root[path] = target;
    else if (files.status(path)?.type === "directory") root[path] = null;
  }
  return root;
}

/**
 * Configuration that ordinary programs need and that holds no secret. A list of what is shown, not of what is hidden:
 * shadow, ssh, sudoers, machine-id, ssl/private, krb5 and whatever a package adds tomorrow stay out by not being here.
 */
const ETC_FILES = new Set([
  "ethertypes",
  "inputrc",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "locale.alias",
  "locale.conf",
  "magic",
  "magic.mime",
  "mailcap",
  "mime.types",
  "os-release",
  "debian_version",
  "protocols",
  "rpc",
  "services",
  "shells",
  "alternatives",
  "fonts",
  "perl",
  "terminfo",
  "xml",
  "sgml",
  "ca-certificates.conf",
]);
const ETC_PATTERNS = [/^java(-[a-z0-9.]+)*-openjdk$/, /^python[0-9.]*$/];
/** Certificates are public; their keys lie beside them in ssl/private and pki/tls/private. */
const ETC_NESTED = [
  "/etc/ssl/certs",
  "/etc/ssl/openssl.cnf",
  "/etc/pki/tls/certs",
  "/etc/pki/ca-trust/extracted",
];

export function probeSystemEtc(files: HostFiles): HostFacts["systemEtc"] {
  const present = files.list("/etc");
  const chosen = present.filter(
    (name) => ETC_FILES.has(name) || ETC_PATTERNS.some((pattern) => pattern.test(name)),
  );
  const found: Record<string, "file" | "directory"> = {};
  for (const path of [...chosen.toSorted().map((name) => `/etc/${name}`), ...ETC_NESTED]) {
    const type = files.status(path)?.type;
    if (type === "file" || type === "directory") found[path] = type;
  }
  return found;
}

const ZONES = "/usr/share/zoneinfo/";

/** "Europe/Berlin", or null when /etc/localtime is a copy, elsewhere, or climbs out of the zone directory. */
export function probeTimezone(files: HostFiles): string | null {
  const target = files.link("/etc/localtime");
  if (target === null) return null;
  const absolute = target.startsWith("../") ? `/${target.slice(3)}` : target;
  const zone = absolute.startsWith(ZONES) ? absolute.slice(ZONES.length) : "";
  return /^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/.test(zone) ? zone : null;
}
