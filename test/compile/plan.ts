/** Plans for recorded machines: the compiler fed with fixed facts, so that the result depends on nothing of the machine at hand. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compile, type Mode } from "../../src/compile/index.ts";
import type { LaunchPlan } from "../../src/compile/plan.ts";
import type { HostFacts, PathFact, RequestFacts } from "../../src/host/facts.ts";
import type { Checked, Provenance } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import type { FilterCertificate } from "../../src/prove/certificate.ts";
import { toOverrides } from "../profile/resolved.ts";

export const HOSTS = [
  "debian-root-v1-hybrid",
  "user-no-delegation",
  "user-v2-delegated",
  "no-userns",
  "aarch64-root-v2",
  "docker-masked-proc",
  "fedora-root-selinux",
] as const;

export function recordedHost(name: string): HostFacts {
  return JSON.parse(
    readFileSync(new URL(`../golden/hosts/${name}.json`, import.meta.url), "utf8"),
  ) as HostFacts;
}

/** BPF_RET | BPF_K, SECCOMP_RET_ALLOW: a filter is bytes to the compiler. */
export const ALLOW_ALL = Uint8Array.of(6, 0, 0, 0, 0, 0, 0xff, 0x7f);

/** To the compiler a certificate is data too. */
const CERTIFICATE: FilterCertificate = {
  engine: "sandbox-prove/1",
  filter: "f".repeat(64),
  rules: "1".repeat(64),
  meaning: "2".repeat(64),
  instructions: 1,
  regions: 1,
  replayed: 8,
  digest: "c".repeat(64),
};

export interface Case {
  readonly host: string | HostFacts;
  readonly profile?: string;
  readonly overrides?: Readonly<Record<string, unknown>>;
  readonly mode?: Mode;
  readonly terminal?: readonly number[];
  readonly command?: string;
  readonly cwd?: string;
  readonly paths?: Readonly<Record<string, Partial<PathFact>>>;
  readonly installTree?: readonly string[];
  readonly ownPlaces?: RequestFacts["ownPlaces"];
  readonly selinux?: RequestFacts["selinux"];
  /** Of the AppArmor profile that is named; by default it is loaded and enforced. */
  readonly apparmorMode?: RequestFacts["apparmorMode"];
}

const OPTION: Provenance = { kind: "option", option: "test" };
const TOP = fileURLToPath(new URL("../..", import.meta.url));

export function planFor(request: Case): Checked<LaunchPlan> {
  const host = typeof request.host === "string" ? recordedHost(request.host) : request.host;
  const overrides = toOverrides(request.overrides ?? {}, OPTION);
  const files = profileFiles();
  const resolved = resolveProfile({ profile: request.profile ?? "strict", overrides, cwd: "/" }, files);
  if (!resolved.ok) return resolved;
  return compile(shortenPlaces(resolved.value), {
    host,
    request: facts(request, host),
    mode: request.mode ?? "supervised",
    terminal: request.terminal ?? [],
    filter: resolved.value.spec.seccomp === null ? null : { bytes: ALLOW_ALL, certificate: CERTIFICATE },
    command: request.command === undefined ? null : [request.command],
    digest: (text) => createHash("sha256").update(text).digest("hex"),
  });
}

/** Where the project lies is not part of a plan that is compared. */
function shortenPlaces<T>(value: T): T {
  const shorten = (member: unknown): unknown => {
    if (typeof member === "string") return member.replaceAll(TOP, "");
    if (Array.isArray(member)) return member.map(shorten);
    if (typeof member !== "object" || member === null) return member;
    return Object.fromEntries(Object.entries(member).map(([key, inner]) => [key, shorten(inner)]));
  };
  return shorten(value) as T;
}

function facts(request: Case, host: HostFacts): RequestFacts {
  const cwd = request.cwd ?? "/home/user/work";
  const present: Record<string, Partial<PathFact>> = {
    [cwd]: { type: "directory" },
    ...Object.fromEntries(Object.entries(host.systemEtc).map(([path, type]) => [path, { type }])),
    ...request.paths,
  };
  const paths = new Proxy<Record<string, PathFact>>(
    {},
    {
      get: (_target, path: string): PathFact => ({
        type: "missing",
        real: path,
        uid: 0,
        gid: 0,
        mode: 0o755,
        ...present[path],
      }),
    },
  );
  const command =
    request.command === undefined
      ? null
      : {
          name: request.command,
          hostPath: request.command.includes("/") ? request.command : null,
          closure: [],
        };
  const { installTree = [], ownPlaces = [], selinux = null, apparmorMode = "enforce" } = request;
  return { cwd, paths, installTree, ownPlaces, command, selinux, apparmorMode };
}
