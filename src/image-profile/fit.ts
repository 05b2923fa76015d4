/**
 * Takes what is known of an image and a base profile, gives a profile that fits the image: who runs, where it may write, what it is
 * told, which system calls nobody would miss. It opens nothing that the base closes but what the image declares to need, and says what
 * that is: `declared` are those changes, as overrides of the base, so that a proof can be made of the rest. Pure; reads nothing.
 */

import type { ImageFacts } from "../image/facts/facts.ts";
import type { Identity } from "../image/facts/identity.ts";
import type { WritableDirectory } from "../image/facts/writable.ts";
import { printable } from "../image/names.ts";
import { showProfile } from "../profile/show.ts";
import type { Override, ResolvedProfile } from "../profile/spec.ts";
import { ABI_KERNELS, NET_RIGHTS } from "../program/landlock.ts";
import { leaveOut } from "./leave-out.ts";

export interface FitQuestion {
  readonly facts: ImageFacts;
  /** Null: the configuration names a user whom the image does not know. */
  readonly identity: Identity | null;
  readonly writable: readonly WritableDirectory[];
  /** The base as it is named in `extends`. */
  readonly base: string;
  readonly resolved: ResolvedProfile;
  /** System calls that the base lets through for some arguments, on any machine. */
  readonly permitted: ReadonlySet<string>;
  readonly name: string;
}

export interface Fitted {
  /** The profile, as data for JSON. */
  readonly document: Readonly<Record<string, unknown>>;
  /** What the image asks for beyond the base, or beside it. */
  readonly declared: readonly Override[];
  /** The same in words, a line each. */
  readonly changes: readonly string[];
  /** System calls: what was left out, or why nothing was. */
  readonly calls: string;
  /** What the image wants and the profile does not give, and what else its user should know. */
  readonly notes: readonly string[];
  /** What starts: ENTRYPOINT and CMD. */
  readonly command: readonly string[];
}

type Draft = Record<string, unknown>;

/** Room for what a volume holds, unless its author says more. */
const VOLUME_SIZE = "64M";
/** Beyond this a mount for each is no help to anybody. */
const MOST_DIRECTORIES = 32;
const ROOT_USER = 0;
/** What neither the kernel nor JSON takes as text: NUL, and bytes that are no UTF-8 (image/names.ts). */
const isText = (text: string): boolean => !text.includes("\0") && !/\p{Cs}/u.test(text);

export function fitProfile(question: FitQuestion): Fitted {
  const { facts, base, resolved, name } = question;
  const notes: string[] = [];
  const declared: Override[] = [];
  const changes: string[] = [];
  const declare = (pointer: string, value: unknown): void => {
    declared.push({ pointer, value, source: { kind: "option", option: "image" } });
  };
  const config = facts.config;
  const identity = fitIdentity(question, notes);
  if (identity !== null) {
    declare("/identity/uid", identity.uid);
    declare("/identity/gid", identity.gid);
    changes.push(`runs as ${identity.uid}:${identity.gid}, the image's user`);
  }
  const mounts = fitMounts(question, notes);
  if (mounts.added.length > 0) {
    declare("/filesystem/mounts", mounts.all);
    for (const { target, why } of mounts.added)
      changes.push(`may write to memory at ${printable(target)}${why === "volume" ? ", a volume" : ""}`);
  }
  const ports = fitPorts(facts, resolved, notes);
  const environment = fitEnvironment(facts, notes);
  const { seccomp, sentence } = leaveOut(facts.reach.calls, resolved.spec.seccomp, question.permitted);
  const command = config === null ? [] : [...config.entrypoint, ...config.command];
  const workdir = fitDirectory(config?.workingDirectory ?? "", notes);
  noteOthers(facts, notes);
  const document: Draft = {
    $comment: `Fitted to an image${facts.manifestDigest === null ? "" : ` (${facts.manifestDigest})`} by sandbox image profile. Use it with --rootfs.`,
    name,
    description: `For the image ${printable(facts.names[0] ?? name)}`,
    extends: base,
    ...(identity === null ? {} : { identity }),
    ...(mounts.added.length === 0 ? {} : { filesystem: { mounts: mounts.all } }),
    ...(seccomp === null ? {} : { seccomp }),
    ...(ports === null ? {} : { landlock: { net: ports } }),
    ...(Object.keys(environment).length === 0 ? {} : { environment: { set: environment } }),
    process: { workdir },
  };
  return { document, declared, changes, calls: sentence, notes, command };
}

function fitIdentity(
  { facts, identity, resolved, base }: FitQuestion,
  notes: string[],
): { readonly uid: number; readonly gid: number } | null {
  if (facts.config === null) {
    notes.push("the image has no configuration: user, command, environment and volumes are not known");
    return null;
  }
  const { uid, gid, allowRoot } = { ...resolved.spec.identity };
  if (identity === null) {
    notes.push(
      `the image's user ${JSON.stringify(printable(facts.config.user))} is not in its etc/passwd and etc/group: ${uid} runs it`,
    );
    return null;
  }
  if (identity.uid === ROOT_USER && !allowRoot) {
    notes.push(
      `the image runs as root: ${base} does not, so ${uid}:${gid} runs it. What needs uid 0 itself: --set /identity/allowRoot=true --uid 0 --gid 0, still without privileges`,
    );
    return null;
  }
  if (identity.groups.some((group) => group !== identity.gid))
    notes.push(`supplementary groups are not given: ${identity.groups.join(", ")}`);
  if (identity.gid === ROOT_USER && !allowRoot) {
    notes.push(`the image runs with group 0: ${base} does not, so it is group ${identity.uid}`);
    return { uid: identity.uid, gid: identity.uid };
  }
  return { uid: identity.uid, gid: identity.gid };
}

interface FittedMounts {
  /** Those of the base with those that were added, as an author writes them; what is below another one comes after it. */
  readonly all: readonly unknown[];
  readonly added: readonly { readonly target: string; readonly why: WritableDirectory["why"] }[];
}

function fitMounts({ facts, writable, resolved, identity }: FitQuestion, notes: string[]): FittedMounts {
  const filesystem = showProfile(resolved).profile["filesystem"] as {
    readonly mounts: readonly { readonly target: string }[];
  };
  const isGiven = (path: string): boolean =>
    filesystem.mounts.some(({ target }) => path === target || path.startsWith(`${target}/`));
  const added: { readonly target: string; readonly why: WritableDirectory["why"] }[] = [];
  const kept: string[] = [];
  const asRoot = identity === null || identity.uid === ROOT_USER;
  for (const { path, why, empty } of writable) {
    const target = `/${path}`;
    if (isGiven(target)) continue;
    if (!isText(target)) {
      notes.push(`${printable(target)} cannot be named in a profile, and stays read-only`);
      continue;
    }
    if (why === "owner" && asRoot) continue;
    // A runtime copies what the image has there into a new volume; an empty directory in its place would start nothing.
    const isRun = facts.reach.reached.some((file) => file.startsWith(`${path}/`));
    if (!empty && (why !== "volume" || isRun)) {
      kept.push(target);
      continue;
    }
    if (!empty) notes.push(`what the image has in the volume ${target} is hidden by an empty one`);
    if (added.length < MOST_DIRECTORIES) added.push({ target, why });
    else kept.push(target);
  }
  if (kept.length > 0)
    notes.push(
      `read-only, though its user may write there in a container: ${kept.slice(0, 5).map(printable).join(", ")}${kept.length > 5 ? ` and ${kept.length - 5} more` : ""}; --bind or --write ephemeral opens it`,
    );
  const mounts = added.map(({ target }) => ({
    type: "tmpfs",
    target,
    size: VOLUME_SIZE,
    mode: "1777",
    options: ["noexec"],
  }));
  const all = [...filesystem.mounts, ...mounts].toSorted((a, b) => (a.target < b.target ? -1 : 1));
  return { all, added };
}

/** What the profile can say of ports: by Landlock, which may be listened on. Whether anybody reaches them is the network's matter. */
function fitPorts(
  { config, reach }: ImageFacts,
  { spec }: ResolvedProfile,
  notes: string[],
): Readonly<Record<string, readonly number[]>> | null {
  const exposed = (config?.ports ?? []).flatMap((port) => {
    const [, number = "", protocol = "tcp"] = /^([0-9]{1,5})(?:\/(tcp|udp))?$/.exec(port) ?? [];
    if (number !== "" && Number(number) <= 65_535) return [{ number: Number(number), protocol }];
    notes.push(`the port ${JSON.stringify(printable(port))} is not one that a profile can name`);
    return [];
  });
  if (exposed.length === 0) return null;
  if (reach.calls.needs?.includes("network") === false) {
    notes.push("the image names ports, and nothing that its command reaches can make a socket");
    return null;
  }
  if (spec.network.mode === "none")
    notes.push(
      "its ports are on a loopback device of its own, which nobody else reaches; --net host shares the host's network",
    );
  const low = exposed.filter(({ number }) => number < 1024);
  if (low.length > 0 && !spec.capabilities.effective.includes("CAP_NET_BIND_SERVICE"))
    notes.push(
      `ports below 1024 (${low.map(({ number }) => number).join(", ")}) cannot be listened on without CAP_NET_BIND_SERVICE: configure a higher one`,
    );
  if (spec.landlock === null) return null;
  const { net } = spec.landlock;
  const of = (protocol: string): readonly number[] =>
    [...new Set(exposed.filter((one) => one.protocol === protocol).map(({ number }) => number))].toSorted(
      (a, b) => a - b,
    );
  const [tcp, udp] = [of("tcp"), of("udp")];
  // A list is a promise: what cannot keep it refuses the run, which is not for an image to ask for.
  if (udp.length > 0 && net.bind_udp === "any")
    notes.push(
      `ports of UDP are not limited: before Linux ${(ABI_KERNELS[NET_RIGHTS.bind_udp.since] ?? []).join(".")} no kernel can, and would refuse to run this; landlock.net.bind_udp ${JSON.stringify(udp)} asks for it`,
    );
  if (tcp.length > 0 && spec.seccomp === null)
    notes.push("ports of TCP are not limited: without a system-call filter they cannot be");
  return tcp.length > 0 && net.bind_tcp === "any" && spec.seccomp !== null ? { bind_tcp: tcp } : null;
}

function fitEnvironment({ config, secrets }: ImageFacts, notes: string[]): Readonly<Record<string, string>> {
  const set: [string, string][] = [];
  const secret = new Set(
    secrets.filter(({ where }) => where === "environment").map(({ subject }) => subject),
  );
  for (const variable of config?.env ?? []) {
    const at = variable.indexOf("=");
    const name = variable.slice(0, Math.max(at, 0));
    if (secret.has(name))
      notes.push(
        `${printable(name)} looks like a secret and is left out: -e ${printable(name)} passes yours`,
      );
    else if (at < 1 || !isText(variable))
      notes.push(`${JSON.stringify(printable(variable))} is not a variable that can be set`);
    else set.push([name, variable.slice(at + 1)]);
  }
  // Not by assignment: a variable may be called __proto__.
  return Object.fromEntries(set);
}

/** Absolute, and inside: runtimes take ".." away by the text (filepath.Join of Go), not by what links lead to. */
function fitDirectory(directory: string, notes: string[]): string {
  if (!isText(directory)) {
    notes.push(`the working directory ${JSON.stringify(printable(directory))} is not one that can be named`);
    return "/";
  }
  const parts: string[] = [];
  for (const part of directory.split("/"))
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  return `/${parts.join("/")}`;
}

/** What has no effect inside, so that nobody waits for it. */
function noteOthers({ permissions, reach }: ImageFacts, notes: string[]): void {
  const reached = new Set(reach.reached);
  const privileged = [...permissions.setuid, ...permissions.setgid, ...permissions.capable]
    .map(({ path }) => path)
    .filter((path) => reached.has(path));
  if (privileged.length > 0)
    notes.push(
      `${[...new Set(privileged)].map((path) => `/${printable(path)}`).join(", ")}: set-user-id, set-group-id and file capabilities have no effect inside`,
    );
  for (const missing of reach.missing) notes.push(printable(missing));
}
