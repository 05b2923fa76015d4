/**
 * The AppArmor profile of a sandbox profile, as text: what the mounts, the capabilities and the filter let through, and nothing that they do
 * not. Takes a resolved profile, what is mounted and what the filter lets through; gives the same text for the same input. Stands for the
 * payload alone: nothing enters it but by the launcher's word at execve.
 */
import { printable } from "../../printable.ts";
import { locate } from "../../profile/provenance.ts";
import type { ResolvedProfile } from "../../profile/spec.ts";
import { type Admits, admittedBy } from "../seccomp/admits.ts";
import { SOCKET_TYPES, type SocketFamily, socketKinds } from "../seccomp/socket-kinds.ts";
import { fileRules, type PlacedMount, type RuleGroup } from "./apparmor-files.ts";
import { placeOf } from "./place.ts";

export interface AppArmorPolicy {
  /** `sandbox-<profile>-<digest>`: equal names are equal rules. */
  readonly name: string;
  readonly text: string;
}

/** Version of the policy language: apparmor_parser 3 knows the first, 4 knows both. */
export type AppArmorAbi = "3.0" | "4.0";

export interface PolicyRequest {
  readonly profile: ResolvedProfile;
  /** Everything that is mounted into the root. */
  readonly mounts: readonly PlacedMount[];
  readonly abi: AppArmorAbi;
  /** SHA-256 of a text in hexadecimal. */
  readonly digest: (text: string) => string;
}

/** Of the digest in a name: enough that nobody makes a second profile with the name of a loaded one, which would be taken in its place. */
const DIGITS = 32;

/** The profile itself as a peer: alone, or in a stack with what held the caller already. */
const OWN = "@{own}";

export function writeAppArmor(request: PolicyRequest): AppArmorPolicy {
  const { profile, abi, digest } = request;
  const groups = [
    ...fileRules(profile.spec, request.mounts),
    capabilityRules(request),
    ...callRules(request),
    networkRules(request),
    SIGNALS,
  ];
  // Comments name places in files, which are not the same everywhere.
  const meaning = [abi, ...groups.flatMap(({ rules }) => rules)].join("\n");
  const name = `sandbox-${slug(profile.spec.name)}-${digest(meaning).slice(0, DIGITS)}`;
  const text = `# What the profile ${JSON.stringify(profile.spec.name)} lets a program do, as AppArmor enforces it. What has no rule here is refused.
# Made from the profile: change it there. Each group says what it is for, and which line asked for it.
abi <abi/${abi}>,

${OWN}=${name} ${name}//&** **//&${name}

profile ${name} flags=(attach_disconnected, mediate_deleted) {
${groups.map((group) => describe(profile, group)).join("\n")}}
`;
  return { name, text };
}

function describe(profile: ResolvedProfile, { pointer, why, rules }: RuleGroup): string {
  const head = printable(`  # ${why} (${placeOf(locate(profile, pointer), pointer)})`);
  return `${[head, ...rules.map((rule) => `  ${rule}`)].join("\n")}\n`;
}

/** Names of profiles are taken by parsers and shells: letters, digits and dashes. */
const slug = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 32);

function capabilityRules({ profile }: PolicyRequest): RuleGroup {
  const { bounding } = profile.spec.capabilities;
  return {
    pointer: "/capabilities/bounding",
    why: bounding.length === 0 ? "no capability" : "capabilities that can ever be had",
    rules: bounding.map((name) => `capability ${name.replace("CAP_", "").toLowerCase()},`),
  };
}

const CLONE_NEWUSER = 0x1000_0000;
const TRACING_CALLS = ["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"];
const MOUNT_CALLS = ["mount", "fsmount", "open_tree", "move_mount", "mount_setattr"];

/** Rules that stand for system calls: there when the filter lets the call through and the profile gives what it takes. */
function callRules({ profile, abi }: PolicyRequest): readonly RuleGroup[] {
  const group = (why: string, rules: readonly string[]): RuleGroup => ({ pointer: "/seccomp", why, rules });
  const admits: Admits = admittedBy(profile);
  const lets = (names: readonly string[]): boolean => names.some((name) => admits(name));
  const admin = profile.spec.capabilities.bounding.includes("CAP_SYS_ADMIN");
  const namespaces = admits("unshare", CLONE_NEWUSER) || admits("clone", CLONE_NEWUSER) || admits("clone3");
  // Classes that the older language does not know are not mediated under it.
  const newer = (rule: string): readonly string[] => (abi === "3.0" ? [] : [rule]);
  return [
    group("executable memory without a file", lets(["memfd_create"]) ? ["/memfd:* mrwkix,"] : []),
    group("own mounts", admin && lets(MOUNT_CALLS) ? ["mount,", "umount,", "pivot_root,"] : []),
    group(
      "own user namespaces",
      namespaces ? [...newer("userns,"), "/proc/[0-9]*/{uid_map,gid_map,projid_map,setgroups} w,"] : [],
    ),
    group("message queues", lets(["mq_open"]) ? newer("mqueue,") : []),
    group("rings of asynchronous calls", lets(["io_uring_setup"]) ? newer("io_uring,") : []),
    group(
      "own processes may be looked at",
      lets(TRACING_CALLS)
        ? [`ptrace peer=${OWN},`, "/proc/[0-9]*/{,task/[0-9]*/}mem rw,"]
        : [`ptrace (read, readby) peer=${OWN},`],
    ),
  ].filter(({ rules }) => rules.length > 0);
}

/** Sockets of the kinds that the filter lets be made. Local ones reach own processes; what was inherited may be used to the end. */
function networkRules({ profile }: PolicyRequest): RuleGroup {
  const families = new Map<SocketFamily, string[]>();
  for (const { family, type } of socketKinds(profile))
    families.set(family, [...(families.get(family) ?? []), type]);
  const all = Object.keys(SOCKET_TYPES).length;
  const rules = [...families].flatMap(([family, types]) =>
    types.length === all ? [`network ${family},`] : types.map((type) => `network ${family} ${type},`),
  );
  return {
    pointer: "/seccomp",
    why: "sockets of the kinds that the filter lets be made",
    rules: [
      ...rules,
      // Standard streams may be sockets of the caller's.
      ...(families.has("unix") ? [] : ["network unix stream,"]),
      "unix (create, bind, listen, getattr, setattr, getopt, setopt, shutdown),",
      `unix (connect, accept, send, receive) peer=(label=${OWN}),`,
      "unix (send, receive) type=stream,",
    ],
  };
}

/** pid 1 of the sandbox ends it, whatever that runs under. */
const SIGNALS: RuleGroup = {
  pointer: "/process",
  why: "signals to own processes, from whoever may",
  rules: [`signal (send) peer=${OWN},`, "signal (receive),"],
};
