/**
 * What an OCI config.json states, as an author of a profile would write it. Takes the layers that were read and the directory of the bundle; gives the
 * sections of a profile and a note for all that a profile says otherwise or not at all. Nothing is tightened without one. Pure.
 */
import { dirname, resolve } from "node:path/posix";
import { nearestPointer } from "../profile/provenance.ts";
import type { StatedSpec } from "../profile/stated.ts";
import { escapeToken } from "../profile/tree.ts";
import { formatMode, formatSize } from "../profile/units.ts";
import type { OciLayers } from "./oci-config.ts";
import type { OciMount } from "./oci-mounts.ts";

export interface OciProfile {
  /** Sections of a profile: fields that stand here take the place of those of the base. */
  readonly sections: Readonly<Record<string, unknown>>;
  /** Of the stated fields, those that the profile says as they are; a note has each of the others. */
  readonly said: StatedSpec;
  /** By pointer into config.json. */
  readonly notes: readonly { readonly pointer: string; readonly message: string }[];
}

/** `configFile`: absolute; what it names relatively lies beside it. */
export function toProfile({ stated, pointers, mounts }: OciLayers, configFile: string): OciProfile {
  const notes: { pointer: string; message: string }[] = [];
  const note = (pointer: string, message: string): void => {
    notes.push({ pointer: nearestPointer(pointers, pointer) ?? "", message });
  };
  const bundle = dirname(configFile);
  const { identity = {}, filesystem = {}, resources = {}, process = {}, lsm = {} } = stated;
  const { root, write, proc, masked, readOnly, devices = [] } = filesystem;
  if (typeof write === "object")
    note("/filesystem/write", "what is written to the root is discarded after the run, and not kept in it");
  const shm = mounts.find(({ mount }) => mount.type === "tmpfs" && mount.target === "/dev/shm")?.mount;
  const carried = mounts.filter(({ mount }) => mount.target !== "/dev/shm");
  for (const { mount, pointer, portable } of carried)
    if (!portable)
      notes.push({
        pointer,
        message: `${mount.target} is not carried over: a profile has its own /dev and /proc, and no other kernel file systems`,
      });
  if (!Object.hasOwn(stated, "capabilities"))
    note("/capabilities", "no capabilities are given: config.json leaves them to the runtime");
  if (lsm.type === "none")
    note("/lsm", "a security module of the host confines it, if there is one: config.json names none");
  for (const [name, value] of Object.entries(INHERITED_VARIABLES))
    if (stated.environment?.set?.[name] === undefined)
      note("/environment", `${name} is ${value} for programs that look for it`);
  note("/process", "process.args is not carried over: the command is given to sandbox run");
  const { map } = identity;
  const { coreSize, ...limits } = resources;
  if (coreSize === null) note("/resources/coreSize", "no core files are written");
  const kept = coreSize == null ? limits : resources;
  const { namespaces, network, capabilities, environment } = stated;
  if (stated.noNewPrivileges === false)
    note("/noNewPrivileges", "executing a file gives no rights: a filter and Landlock need that here");
  return {
    said: {
      ...(namespaces === undefined ? {} : { namespaces }),
      ...(network === undefined ? {} : { network }),
      ...(capabilities === undefined ? {} : { capabilities }),
      ...(environment === undefined ? {} : { environment }),
      resources: kept,
    },
    sections: {
      ...(stated.namespaces === undefined ? {} : { namespaces: stated.namespaces }),
      ...(stated.network === undefined ? {} : { network: stated.network }),
      identity: {
        ...identity,
        ...(typeof map === "object" && (map.uidMappings.length === 0 || map.gidMappings.length === 0)
          ? { map: "auto" }
          : {}),
      },
      filesystem: {
        ...(root?.type === "directory" ? { root: { ...root, path: resolve(bundle, root.path) } } : {}),
        ...(write === undefined ? {} : { write: write === "none" ? "none" : "ephemeral" }),
        ...(proc === undefined ? {} : { proc }),
        ...(masked === undefined ? {} : { masked }),
        ...(readOnly === undefined ? {} : { readOnly }),
        mounts: carried.filter(({ portable }) => portable).map((each) => toMount(each, bundle)),
        // Their links lead into /proc.
        devices: [
          ...devices.filter((name) => name !== "fd" || proc !== "none"),
          ...(shm === undefined ? [] : ["shm"]),
        ],
        ...(shm?.type === "tmpfs" && shm.size > 0 ? { shmSize: formatSize(shm.size) } : {}),
      },
      ...(stated.capabilities === undefined ? {} : { capabilities: stated.capabilities }),
      ...(lsm.type === "none" ? {} : { lsm }),
      resources: toResources(kept),
      environment: stated.environment ?? { pass: [] },
      process: toProcess(process),
    },
    notes,
  };
}

/** What the base sets: a profile cannot take a variable away. A test holds them to it. */
export const INHERITED_VARIABLES: Readonly<Record<string, string>> = {
  PATH: "/usr/local/bin:/usr/bin:/bin",
  HOME: "/tmp",
};

function toMount({ mount }: OciMount, bundle: string): unknown {
  if (mount.type === "bind") {
    const { readOnly, noExec, optional: _, ...rest } = mount;
    const options = [readOnly ? "ro" : "rw", noExec ? "noexec" : "exec"];
    return { ...rest, source: resolve(bundle, mount.source), options };
  }
  if (mount.type === "tmpfs") {
    const { readOnly, noExec, size, inodes, mode, ...rest } = mount;
    return {
      ...rest,
      ...(size === 0 ? {} : { size: formatSize(size) }),
      ...(inodes === 0 ? {} : { inodes }),
      mode: formatMode(mode),
      options: [readOnly ? "ro" : "rw", noExec ? "noexec" : "exec"],
    };
  }
  return mount;
}

type Stated = OciLayers["stated"];

function toResources({
  memory,
  swap,
  fileSize,
  coreSize,
  ...rest
}: NonNullable<Stated["resources"]>): unknown {
  const sizes = Object.entries({ memory, swap, fileSize, coreSize }).flatMap(([name, bytes]) =>
    bytes === undefined ? [] : [[name, bytes === null ? null : formatSize(bytes)] as const],
  );
  return { ...rest, ...Object.fromEntries(sizes) };
}

function toProcess({ umask, terminal: _terminal, ...rest }: NonNullable<Stated["process"]>): unknown {
  return { ...rest, ...(umask === undefined ? {} : { umask: formatMode(umask) }) };
}

/** Every value of an object by its pointer: what is compared to see that a profile says what was stated. */
export function leaves(value: unknown, pointer = ""): ReadonlyMap<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return new Map([[pointer, value]]);
  return new Map(
    Object.entries(value).flatMap(([key, inner]) => [...leaves(inner, `${pointer}/${escapeToken(key)}`)]),
  );
}
