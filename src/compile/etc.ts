/**
 * The /etc of a system root: a few generated files that name only the payload, and the host files that programs need and that hold no secret.
 */
import type { Mount } from "../profile/spec.ts";
import type { Draft } from "./draft.ts";

/** The shell is there for programs that ask for it; nobody logs in. */
const SHELL = "/bin/sh";

/** The generated files and links that the author does not replace with mounts of their own. */
export function generatedEtc(draft: Draft): readonly Mount[] {
  return generated(draft).filter(({ target }) => isLeftToUs(draft, target));
}

/** The host's files and directories that are shown; never as binds, so that no inode, and no lock on it, is shared with the host. */
export function hostEtc(draft: Draft, type: "file" | "directory"): readonly string[] {
  const { systemEtc } = draft.host;
  const { root } = draft.spec.filesystem;
  const all = root.type === "system" && root.etc === "tools";
  const needed = Object.keys(systemEtc).filter(
    (path) => (all || NEEDED.test(path)) && systemEtc[path] === type,
  );
  const resolver = type === "file" && draft.spec.network.mode === "host" ? ["/etc/resolv.conf"] : [];
  return [...needed, ...resolver].filter(
    (path) => draft.request.paths[path]?.type === type && isLeftToUs(draft, path),
  );
}

function isLeftToUs(draft: Draft, path: string): boolean {
  return (
    draft.spec.filesystem.root.type === "system" &&
    !draft.spec.filesystem.mounts.some(({ target }) => target === path)
  );
}

function generated(draft: Draft): readonly Mount[] {
  const { uid, gid, hostname } = draft.spec.identity;
  const home = draft.spec.environment.set["HOME"] ?? "/";
  const user = uid === 0 ? "" : `sandbox:x:${uid}:${gid}:sandbox:${home}:${SHELL}\n`;
  const group = gid === 0 ? "" : `sandbox:x:${gid}:\n`;
  const files: readonly (readonly [string, string])[] = [
    [
      "passwd",
      `root:x:0:0:root:/:/usr/sbin/nologin\n${user}nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n`,
    ],
    ["group", `root:x:0:\n${group}nogroup:x:65534:\n`],
    ["hosts", `127.0.0.1 localhost ${hostname}\n::1 localhost ${hostname}\n`],
    ["hostname", `${hostname}\n`],
    [
      "nsswitch.conf",
      "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nservices: files\nprotocols: files\n",
    ],
  ];
  const links: Mount[] =
    draft.host.timezone === null
      ? []
      : [{ type: "symlink", target: "/etc/localtime", link: `/usr/share/zoneinfo/${draft.host.timezone}` }];
  return [
    ...files.map(
      ([name, content]): Mount => ({ type: "file", target: `/etc/${name}`, content, mode: 0o644 }),
    ),
    ...links,
  ];
}

/** `minimal`: the loader's cache, certificates, and what links in /usr/bin point to. */
const NEEDED = /^\/etc\/(ld\.so\.cache|ssl\/certs|pki\/.*|alternatives)$/;
