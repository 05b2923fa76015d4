/**
 * The SELinux module of a profile: types, and what the payload may do with them, as far as the profile says so. Pure: the same
 * profile gives the same text on any machine, to be read, reviewed and loaded by whoever runs the host (semodule(8)).
 *
 * Names. `payload` is what runs. What the sandbox mounts is `content` where nobody writes and `scratch` where the payload may. Sandboxes
 * of one profile are kept apart by their categories; nothing here names one: each run has its own.
 *
 * Only names that every policy derived from the reference policy has stand outside of optional blocks.
 */
import type { ResolvedProfile } from "../../profile/spec.ts";
import { admittedBy } from "../seccomp/admits.ts";
import { block, type CilGroup, note, withoutComments } from "./cil.ts";
import { capabilities, ownProcesses, rareCalls, sockets } from "./selinux-call-rules.ts";
import { binds, command, devices, proc, root, writable } from "./selinux-file-rules.ts";
import { moduleName, PAYLOAD, versionName } from "./selinux-names.ts";
import { declare, keepApart, launch, standardStreams } from "./selinux-rules.ts";
import type { View } from "./selinux-view.ts";

export interface SelinuxModule {
  /** The name of the module, and of the block that every name in it begins with: "sandbox_strict". */
  readonly name: string;
  /** CIL. */
  readonly text: string;
}

/** Gives the SHA-256 of a text, lower-case hex. The pure stages have none of their own. */
export type Digest = (text: string) => string;

export function writeSelinuxModule(
  profile: ResolvedProfile,
  sha256: Digest,
): SelinuxModule & { readonly digest: string } {
  const { spec } = profile;
  const name = moduleName(spec.name);
  const view: View = { profile, admits: admittedBy(profile) };
  const groups = RULES.flatMap((rules) => rules(view)).filter(({ statements }) => statements.length > 0);
  const digest = sha256(withoutComments(block(name, groups)));
  const version: CilGroup = {
    comment: "The version of these rules: a launcher that was compiled from other ones says so",
    statements: [`(typealias ${versionName(digest)})`, `(typealiasactual ${versionName(digest)} ${PAYLOAD})`],
  };
  const head = [
    note(`SELinux module of the sandbox profile "${spec.name}": what its payload may do, and nothing else.`),
    `; load:    semodule -i ${name}.cil`,
    `; unload:  semodule -r ${name}`,
  ].join("\n");
  return { name, digest, text: `${head}\n\n${block(name, [version, ...groups])}` };
}

/** In the order in which a reader wants them: who, what is shown, what may be asked of the kernel. */
const RULES: readonly ((view: View) => readonly CilGroup[])[] = [
  declare,
  launch,
  keepApart,
  standardStreams,
  root,
  writable,
  binds,
  command,
  devices,
  proc,
  ownProcesses,
  sockets,
  capabilities,
  rareCalls,
];
