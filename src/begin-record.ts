/**
 * Begins the record of opened files that a run was asked to make, or says why there can be none: such a run is not run without.
 */
import type { HostFacts } from "./host/facts.ts";
import type { FileRecord } from "./launch/record-files.ts";
import type { ProfileBrief } from "./prepared-cache.ts";
import { ProfileError, type Provenance } from "./problems.ts";

/** From here on opening a file of an overlay is seen on the directory below it ("ovl: enable fsnotify events on underlying real files"). */
const FIRST_KERNEL = { major: 6, minor: 5 } as const;

/** To be called before the launch. Throws ProfileError, kind host-cannot. */
export async function beginRecord({
  brief,
  host,
}: {
  readonly brief: ProfileBrief;
  readonly host: HostFacts;
}): Promise<FileRecord> {
  const { root, write } = brief.spec.filesystem;
  if (root.type !== "directory")
    throw refusal(
      `the root is ${root.type}, and opened files are recorded in a root directory only`,
      "give one with --rootfs",
    );
  const { major, minor, release } = host.kernel;
  if (major < FIRST_KERNEL.major || (major === FIRST_KERNEL.major && minor < FIRST_KERNEL.minor))
    throw refusal(
      `Linux ${release} does not tell which files an overlay opens`,
      `record on Linux ${FIRST_KERNEL.major}.${FIRST_KERNEL.minor} or later`,
    );
  // Most runs need none of it.
  const { recordFiles } = await import("./launch/record-files.ts");
  const kept = typeof write === "object" ? write.directory : null;
  const record = recordFiles(root.path, kept);
  if ("reason" in record) throw refusal(`opened files cannot be recorded: ${record.reason}`, record.hint);
  return record;
}

function refusal(message: string, hint: string): ProfileError {
  const where: Provenance = { kind: "option", option: "recordFiles" };
  return new ProfileError([{ kind: "host-cannot", where, pointer: "/filesystem/root", message, hint }]);
}
