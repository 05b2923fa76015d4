/** Policies in memory, and the container profiles that this machine has. */
import { existsSync } from "node:fs";
import type { Arch } from "../../src/host/facts.ts";
import { type PolicyInput, readPolicy } from "../../src/policy-input/read.ts";
import type { Checked } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import type { ProfileFiles } from "../../src/profile/resolve.ts";
import { skipUnless } from "../seccomp/support.ts";

/** The shipped profiles and these files, by absolute path. */
export function filesWith(content: Readonly<Record<string, string | Uint8Array>>): ProfileFiles {
  const real = profileFiles();
  return {
    ...real,
    read: (path) => {
      const found = content[path];
      return found === undefined
        ? real.read(path)
        : typeof found === "string"
          ? new TextEncoder().encode(found)
          : found;
    },
  };
}

export const AS_WRITTEN = {
  cwd: "/",
  capabilities: null,
  kernel: { major: 99, minor: 0 },
} as const;

/** A policy as text or bytes. */
export function readOne(
  content: string | Uint8Array | object,
  more: {
    readonly arch?: Arch;
    readonly capabilities?: readonly string[];
    readonly kernel?: { major: number; minor: number };
  } = {},
): Checked<PolicyInput> {
  const plain =
    typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content);
  return readPolicy(
    { ...AS_WRITTEN, arch: "x86_64", ...more, name: "/policy" },
    filesWith({ "/policy": plain }),
  );
}

export const PODMAN_DEFAULT = "/usr/share/containers/seccomp.json";
/** Whether Podman's default profile is missing here; says so. */
export const noPodmanDefault = skipUnless(
  existsSync(PODMAN_DEFAULT),
  `${PODMAN_DEFAULT} is missing (Debian: golang-github-containers-common)`,
);
