/** SELinux rules of what the payload sees: the root, what may be written, binds, the command, devices, /proc. Pure. */
import type { Device } from "../../profile/spec.ts";
import { allow, type CilGroup } from "./cil.ts";
import { CONTENT, PAYLOAD, SCRATCH } from "./selinux-names.ts";
import { SHARED_TYPES, SYSTEM_TYPES, typesAt } from "./selinux-types.ts";
import {
  because,
  DEVICE,
  EXECUTE,
  READ_DIRECTORY,
  READ_FILE,
  READ_TREE,
  showsSystem,
  type View,
  WRITE_TREE,
} from "./selinux-view.ts";

export function root(view: View): readonly CilGroup[] {
  const { root: shown } = view.profile.spec.filesystem;
  const groups: CilGroup[] = [
    {
      comment: because(view, "The root: read and executed", "/filesystem/root"),
      statements: [
        ...allow(PAYLOAD, CONTENT, { ...READ_TREE, file: `${READ_FILE} ${EXECUTE}` }),
        ...allow(PAYLOAD, "filesystem_type", { filesystem: "getattr" }),
        ...allow(PAYLOAD, "mounted", { filesystem: "getattr" }),
      ],
    },
  ];
  if (showsSystem(view)) {
    groups.push({
      comment: because(
        view,
        shown.type === "system"
          ? "The system where it cannot be an overlay: the host's own files, read and executed"
          : "The program and its libraries: the host's own files, read and executed",
        "/filesystem/root",
      ),
      statements: [
        "(typeattribute system)",
        `(typeattributeset system (${SYSTEM_TYPES.join(" ")}))`,
        "(typeattributeset system exec_type)",
        ...allow(PAYLOAD, "system", { ...READ_TREE, file: `${READ_FILE} ${EXECUTE}` }),
      ],
    });
  }
  return groups;
}

export function writable(view: View): readonly CilGroup[] {
  const { write, mounts, devices: nodes } = view.profile.spec.filesystem;
  const places = mounts.flatMap((mount, index) =>
    mount.type === "tmpfs" && !mount.readOnly ? [{ ...mount, pointer: `/filesystem/mounts/${index}` }] : [],
  );
  const executed = [
    ...(write === "none" ? [] : ["/filesystem/write"]),
    ...places.flatMap(({ noExec, pointer }) => (noExec ? [] : [pointer])),
  ];
  const groups: CilGroup[] = [
    {
      comment: because(
        view,
        "What may be written: discarded or kept writes, tmpfs, shared memory",
        "/filesystem/write",
        ...places.map(({ pointer }) => pointer),
        ...(nodes.includes("shm") ? ["/filesystem/devices"] : []),
      ),
      statements: allow(PAYLOAD, SCRATCH, WRITE_TREE),
    },
    {
      comment: "Files without a name: memfd_create(2), System V and POSIX shared memory",
      statements: [
        `(typetransition ${PAYLOAD} tmpfs_t file ${SCRATCH})`,
        ...allow(SCRATCH, "tmpfs_t", { filesystem: "associate" }),
      ],
    },
  ];
  if (typeof write === "object")
    groups.push({
      comment: because(
        view,
        `Writes kept in ${write.directory}: the types that files have at such a place`,
        "/filesystem/write",
      ),
      statements: share("kept", typesAt(write.directory), false, false),
    });
  if (executed.length > 0 || view.admits("memfd_create"))
    groups.push({
      comment: because(
        view,
        "And executed",
        ...executed,
        ...(view.admits("memfd_create") ? ["/seccomp"] : []),
      ),
      statements: allow(PAYLOAD, SCRATCH, { file: EXECUTE }),
    });
  return groups;
}

export function binds(view: View): readonly CilGroup[] {
  const { mounts, workdir } = view.profile.spec.filesystem;
  const shown = mounts.flatMap((mount, index) =>
    mount.type === "bind" ? [{ ...mount, pointer: `/filesystem/mounts/${index}` }] : [],
  );
  const groups = shown.map(({ source, readOnly, noExec, pointer }, index): CilGroup => {
    const attribute = `bind_${index}`;
    return {
      comment: because(
        view,
        `${source}, ${readOnly ? "read-only" : "read-write"}: the types that files have at such a place`,
        pointer,
      ),
      statements: share(attribute, typesAt(source), readOnly, noExec),
    };
  });
  if (workdir !== "none")
    groups.push({
      comment: because(
        view,
        `The working directory, ${workdir === "ro" ? "read-only" : "read-write"}: the types of places where people work`,
        "/filesystem/workdir",
      ),
      statements: share("workdir", SHARED_TYPES, workdir === "ro", false),
    });
  return groups;
}

/** Its directories are made by the launcher: no other file beside it can be reached, whatever the payload breaks out of. */
export function command(view: View): readonly CilGroup[] {
  const { root: shown } = view.profile.spec.filesystem;
  if (shown.type === "closure") return [];
  return [
    {
      comment: because(
        view,
        "The command where the root does not show it: the file alone, and none of the host's directories on the way",
        "/filesystem/root",
      ),
      statements: [
        "(typeattribute command)",
        `(typeattributeset command (${SHARED_TYPES.join(" ")}))`,
        ...allow(PAYLOAD, "command", { file: `${READ_FILE} ${EXECUTE}` }),
      ],
    },
  ];
}

export function share(
  attribute: string,
  types: readonly string[],
  readOnly: boolean,
  noExec: boolean,
): readonly string[] {
  const tree = readOnly ? READ_TREE : WRITE_TREE;
  return [
    `(typeattribute ${attribute})`,
    `(typeattributeset ${attribute} (${types.join(" ")}))`,
    ...allow(PAYLOAD, attribute, noExec ? tree : { ...tree, file: `${tree.file} ${EXECUTE}` }),
  ];
}

/** Types of the host's nodes, as the reference policy labels /dev. `fd` is links. */
const NODE_TYPES: Readonly<Partial<Record<Device, string>>> = {
  null: "null_device_t",
  zero: "zero_device_t",
  full: "null_device_t",
  random: "random_device_t",
  urandom: "urandom_device_t",
  tty: "devtty_t",
};

export function devices(view: View): readonly CilGroup[] {
  const { devices: asked } = view.profile.spec.filesystem;
  const types = new Set(asked.flatMap((device) => NODE_TYPES[device] ?? []));
  return [
    {
      comment: because(view, `Devices: ${asked.join(", ")}`, "/filesystem/devices"),
      statements: [
        ...[...types].flatMap((type) => allow(PAYLOAD, type, { chr_file: `${DEVICE} map` })),
        ...(asked.includes("pts") ? allow(PAYLOAD, SCRATCH, { chr_file: `${DEVICE} setattr` }) : []),
        // The kernel takes no label for a message-queue file system that a user namespace mounts.
        ...(asked.includes("mqueue")
          ? allow(PAYLOAD, "tmpfs_t", { dir: `${READ_DIRECTORY} add_name remove_name write` })
          : []),
      ],
    },
  ];
}

export function proc(view: View): readonly CilGroup[] {
  const { proc: mode } = view.profile.spec.filesystem;
  if (mode === "none") return [];
  return [
    {
      comment: because(view, "/proc: its own processes", "/filesystem/proc"),
      statements: [
        ...allow(PAYLOAD, "proc_t", { dir: READ_DIRECTORY, lnk_file: "getattr read" }),
        ...allow(PAYLOAD, PAYLOAD, {
          dir: READ_DIRECTORY,
          file: "append getattr ioctl lock open read write",
          lnk_file: "getattr read",
        }),
      ],
    },
    ...(mode === "pids"
      ? []
      : [
          {
            comment: because(view, "/proc: and what it tells about the machine", "/filesystem/proc"),
            statements: [
              ...allow(PAYLOAD, "proc_t", { file: "getattr ioctl lock open read" }),
              ...allow(PAYLOAD, "proc_net_t", {
                dir: READ_DIRECTORY,
                file: "getattr ioctl lock open read",
                lnk_file: "getattr read",
              }),
              ...allow(PAYLOAD, "sysctl_type", { dir: READ_DIRECTORY, file: "getattr ioctl lock open read" }),
            ],
          },
        ]),
  ];
}
