/**
 * The AppArmor profile that lets one program make user namespaces where the kernel takes them from unconfined programs (Ubuntu 23.10
 * and later), and gives it nothing else: in mode unconfined a profile takes nothing away. Pure text.
 */
import { quotePath } from "./apparmor-files.ts";

/** For the program at an absolute path without links: the profile is attached to the path that the kernel resolved. */
export function writeUserNamespaceProfile(path: string): string {
  const name = `sandbox-userns${path.replaceAll(/[^A-Za-z0-9]+/g, "-").replace(/-$/, "")}`;
  const file = `/etc/apparmor.d/${name}`;
  return `# Lets the program at the path below make user namespaces, and nothing else.
# Save this as ${file}, then: sudo apparmor_parser --replace ${file}
abi <abi/4.0>,

profile ${name} ${quotePath(path)} flags=(unconfined) {
  userns,
}
`;
}
