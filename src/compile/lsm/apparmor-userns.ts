/**
 * The AppArmor profile that lets one program make user namespaces where the kernel takes them from unconfined programs (Ubuntu 23.10
 * and later), and gives it nothing else: in mode unconfined a profile takes nothing away. Pure text.
 */
import { quotePath } from "./apparmor-files.ts";

/** For the program at an absolute path without links: the profile is attached to the path that the kernel resolved. */
export function writeUserNamespaceProfile(path: string): string {
  const name = `sandbox-userns${nameOf(path)}`;
  const file = `/etc/apparmor.d/${name}`;
  return `# Lets the program at the path below make user namespaces, and nothing else.
# Save this as ${file}, then: sudo apparmor_parser --replace ${file}
abi <abi/4.0>,

profile ${name} ${quotePath(path)} flags=(unconfined) {
  userns,
}
`;
}

/** ".usr.local.bin.strict", as AppArmor's own files are called. No two paths have one name: the profile of one would take the other's away. */
const nameOf = (path: string): string =>
  path
    .replaceAll(/[^A-Za-z0-9_/-]/gu, (character) =>
      Array.from(
        new TextEncoder().encode(character),
        (byte) => `+${byte.toString(16).padStart(2, "0")}`,
      ).join(""),
    )
    .replaceAll("/", ".");
