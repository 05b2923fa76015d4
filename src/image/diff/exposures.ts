/**
 * Facts → what the image exposes, as a flat list in which every item is worse to have than not to have. Two images are compared by it: what
 * is new is more permissive, what is gone is less.
 */
import type { ElfFile } from "../facts/elf.ts";
import type { ImageFacts } from "../facts/facts.ts";
import type { ProgramKind } from "../facts/programs.ts";

export type ExposureKind =
  | ProgramKind
  | "root-user"
  | "set-user-id"
  | "set-group-id"
  | "capability"
  | "device"
  | "world-writable"
  | "package"
  | "no-package-database"
  | "unowned-program"
  | "weak-program"
  | "login-user"
  | "empty-password"
  | "shared-id"
  | "secret"
  | "port"
  | "no-healthcheck"
  | "missing-library"
  | "anomaly"
  | "gap";

export interface Exposure {
  readonly kind: ExposureKind;
  /** What it is about, the same in both images when it is the same thing. */
  readonly subject: string;
  /** More to say; not compared. */
  readonly detail: string;
  /** Index of the layer, when it came with one. */
  readonly layer: number | null;
}

export function exposuresOf(facts: ImageFacts): readonly Exposure[] {
  const { permissions } = facts;
  const found: Exposure[] = [];
  const add = (kind: ExposureKind, subject: string, detail = "", layer: number | null = null): void => {
    found.push({ kind, subject, detail, layer });
  };
  const mode = (file: { readonly mode: number; readonly uid: number; readonly gid: number }): string =>
    `${file.mode.toString(8).padStart(4, "0")} ${file.uid}:${file.gid}`;

  if (facts.config !== null) {
    const { user } = facts.config;
    if (runsAsRoot(facts)) add("root-user", user === "" ? "no user" : user, ", which is root");
    else if (!isKnown(facts, user)) add("root-user", user, ", whom etc/passwd of the image does not have");
    if (facts.config.healthcheck === null) add("no-healthcheck", "image");
    for (const port of facts.config.ports) add("port", port);
  } else add("root-user", "a user that is not known", ": there is no configuration");
  for (const file of permissions.setuid) add("set-user-id", `/${file.path}`, mode(file), file.layer);
  for (const file of permissions.setgid) add("set-group-id", `/${file.path}`, mode(file), file.layer);
  for (const file of permissions.capable) {
    const held =
      file.capabilities === null
        ? ["unreadable"]
        : [...file.capabilities.permitted, ...file.capabilities.inheritable];
    for (const name of new Set(held)) add("capability", `/${file.path}: ${name}`, mode(file), file.layer);
  }
  for (const file of permissions.devices)
    add("device", `/${file.path}`, `${file.type} ${file.major}:${file.minor}`, file.layer);
  for (const file of permissions.worldWritable)
    add("world-writable", `/${file.path}`, mode(file), file.layer);
  for (const one of facts.packages) add("package", `${one.manager}: ${one.name}`, one.version, one.layer);
  if (facts.managers.length === 0) add("no-package-database", "image");
  for (const program of facts.programs)
    for (const kind of program.kinds)
      add(kind, `/${program.path}`, program.evidence.join(", "), program.layer);
  for (const file of facts.elf.files) {
    if (file.package === null) add("unowned-program", `/${file.path}`, "", file.layer);
    for (const weakness of weaknesses(file))
      add("weak-program", `/${file.path}: ${weakness}`, "", file.layer);
  }
  for (const { path, layer } of facts.elf.unownedScripts) add("unowned-program", `/${path}`, "script", layer);
  for (const { name, login, password, shell } of facts.users) {
    if (login && password !== "locked") add("login-user", name, shell);
    if (password === "empty") add("empty-password", name);
  }
  for (const { of, id, names } of facts.sharedIds) add("shared-id", `${of} ${id}`, names.join(", "));
  for (const { kind, where, subject, layer } of facts.secrets)
    add("secret", `${kind} in ${where} ${subject}`, "", layer);
  for (const message of facts.reach.missing) add("missing-library", message);
  for (const { path, what, layer } of facts.anomalies) add("anomaly", `${what} ${path}`, "", layer);
  for (const { path, reason } of facts.gaps) add("gap", path === "" ? "image" : `/${path}`, reason);
  return found;
}

/** A number is its own meaning; a name has none without a line in etc/passwd. */
function isKnown({ users }: ImageFacts, user: string): boolean {
  const [name = ""] = user.split(":");
  return /^\d+$/.test(name) || users.some((one) => one.name === name);
}

/** By number or by name; a name is looked up in the image's own etc/passwd, as runtimes do. */
export function runsAsRoot({ config, users }: Pick<ImageFacts, "config" | "users">): boolean {
  if (config === null) return false;
  const [user = ""] = config.user.split(":");
  if (user === "" || user === "root" || /^0+$/.test(user)) return true;
  return users.find(({ name }) => name === user)?.uid === 0;
}

export function weaknesses({
  program,
  static: isStatic,
  hardening,
  rpath,
  runpath,
}: ElfFile): readonly string[] {
  const search = rpath ?? runpath;
  return [
    ...(program && !hardening.pie ? ["not position-independent"] : []),
    ...(hardening.nx ? [] : ["executable stack"]),
    ...(hardening.relro === "none" && !isStatic ? ["no RELRO"] : []),
    ...(hardening.canary === false && program ? ["no stack protector"] : []),
    // $ORIGIN stays where the file is; anything relative is the caller's directory.
    ...(search?.split(":").some((part) => part === "" || !/^(?:\/|\$ORIGIN|\$\{ORIGIN\})/.test(part)) === true
      ? ["searches libraries in the current directory"]
      : []),
  ];
}
