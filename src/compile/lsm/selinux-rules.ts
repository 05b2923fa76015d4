/** SELinux rules of a launch: types, who may start the payload and watch it, what keeps sandboxes apart, what is passed on. Pure. */
import { allow, type CilGroup, optional } from "./cil.ts";
import { CONTENT, PAYLOAD, SCRATCH } from "./selinux-names.ts";
import {
  because,
  DEVICE,
  INHERITED,
  INHERITED_READ,
  INHERITED_WRITE,
  IPC,
  showsSystem,
  type View,
  WRITE_TREE,
} from "./selinux-view.ts";

export function declare(): readonly CilGroup[] {
  return [
    {
      comment: "The payload: a process",
      statements: [`(type ${PAYLOAD})`, `(typeattributeset domain (${PAYLOAD}))`],
    },
    {
      comment: "What the sandbox mounts: read-only parts of its root, and what the payload may write",
      statements: [
        `(type ${CONTENT})`,
        `(type ${SCRATCH})`,
        `(typeattributeset file_type (${CONTENT} ${SCRATCH}))`,
        `(typeattribute mounted)`,
        `(typeattributeset mounted (${CONTENT} ${SCRATCH}))`,
      ],
    },
  ];
}

/** Domains that start sandboxes, with the role that goes with each. Which of them a policy has differs. */
export const LAUNCHERS = [
  ["unconfined_t", "unconfined_r"],
  ["unconfined_service_t", "system_r"],
  ["initrc_t", "system_r"],
  ["sysadm_t", "sysadm_r"],
  ["staff_t", "staff_r"],
  ["user_t", "user_r"],
] as const;

export function launch(view: View): readonly CilGroup[] {
  return [
    {
      comment: "Who may launch it",
      statements: [
        "(typeattribute launcher)",
        ...LAUNCHERS.map(([domain, role]) =>
          optional(
            `launched_by_${domain}`,
            `(typeattributeset launcher (${domain}))`,
            `(roletype ${role} ${PAYLOAD})`,
          ),
        ),
      ],
    },
    {
      comment: because(
        view,
        "The launch: limits and environment are the launcher's to set, so they are kept",
        "/environment",
        "/resources",
      ),
      statements: allow("launcher", PAYLOAD, { process: "noatsecure rlimitinh siginh transition" }),
    },
    {
      comment: because(
        view,
        "no_new_privs and nosuid mounts would keep the label from changing at execve",
        "/noNewPrivileges",
      ),
      statements: allow("launcher", PAYLOAD, { process2: "nnp_transition nosuid_transition" }),
    },
    {
      comment: "Watching over it: signals, and what is read back of it",
      statements: [
        ...allow("launcher", PAYLOAD, {
          process: "getattr getpgid getsched setpgid sigkill signal signull sigstop",
          dir: "getattr open read search",
          file: "getattr open read",
          lnk_file: "getattr read",
        }),
        ...allow(PAYLOAD, "launcher", { process: "sigchld" }),
      ],
    },
    {
      comment: "Building the root: the launcher mounts, fills and labels it",
      statements: [
        ...allow("launcher", "mounted", {
          filesystem: "getattr mount relabelfrom relabelto remount unmount",
          dir: `${WRITE_TREE.dir} mounton`,
          file: `${WRITE_TREE.file} execute mounton`,
          lnk_file: WRITE_TREE.lnk_file,
          chr_file: `${DEVICE} create mounton setattr unlink`,
        }),
        ...allow("mounted", "mounted", { filesystem: "associate" }),
      ],
    },
  ];
}

export const EVERY_FILE =
  "append create execute getattr ioctl link lock map open read relabelfrom relabelto rename setattr unlink write";
export const EVERY_SOCKET =
  "accept append bind connect create getattr getopt ioctl listen lock read setattr setopt shutdown write";

/**
 * What categories hold apart. The base policy has the same for types of its attribute mcs_constrained_type, but without exception: a shell's pipe
 * has all the categories that the shell may use, so no payload could read its standard input.
 */
export function keepApart(): readonly CilGroup[] {
  const own = `(or (neq t1 ${PAYLOAD}) (dom h1 h2))`;
  const passed = `(or (neq t1 ${PAYLOAD}) (or (dom h1 h2) (eq t2 launcher)))`;
  const constrain = (expression: string, kinds: Readonly<Record<string, string>>): readonly string[] =>
    Object.entries(kinds).map(([kind, names]) => `(mlsconstrain (${kind} (${names})) ${expression})`);
  return [
    {
      comment: "Apart: the payload reaches only what has no categories but those of its own run",
      statements: [
        ...constrain(own, {
          file: `${EVERY_FILE} entrypoint execute_no_trans`,
          dir: "add_name create getattr ioctl link lock open read relabelfrom relabelto remove_name rename reparent rmdir search setattr unlink write",
          lnk_file: "create getattr link read relabelfrom relabelto rename setattr unlink",
          sock_file: EVERY_FILE,
          chr_file: EVERY_FILE,
          blk_file: EVERY_FILE,
          process:
            "getattr getcap getpgid getsched getsession ptrace setpgid setrlimit setsched sigkill signal signull sigstop transition",
          unix_stream_socket: "connectto",
          unix_dgram_socket: `${EVERY_SOCKET} sendto`,
          tcp_socket: EVERY_SOCKET,
          udp_socket: EVERY_SOCKET,
          key: "create link read search setattr view write",
          msg: "receive send",
          msgq: `${IPC} enqueue`,
          sem: IPC,
          shm: `${IPC} lock`,
        }),
      ],
    },
    {
      comment:
        "but for the pipes and sockets that the launcher passes on: they have the categories of whoever made them",
      statements: constrain(passed, { fifo_file: EVERY_FILE, unix_stream_socket: EVERY_SOCKET }),
    },
  ];
}

export function standardStreams(view: View): readonly CilGroup[] {
  return [
    {
      comment: because(
        view,
        "Standard streams: what the launcher opened and passed on, never opened anew",
        "/process/terminal",
      ),
      statements: [
        ...allow(PAYLOAD, "launcher", {
          fd: "use",
          fifo_file: INHERITED,
          unix_stream_socket: "append getattr getopt ioctl read shutdown write",
        }),
        "(typeattribute passed)",
        "(typeattributeset passed (and non_security_file_type non_auth_file_type))",
        ...allow(PAYLOAD, "passed", { file: INHERITED_READ, fifo_file: INHERITED }),
        // Rules add up: with leave to open a type for reading, leave to write what is passed would be leave to open it for writing.
        "(typeattribute written)",
        `(typeattributeset written ${showsSystem(view) ? "(and passed (not system))" : "(passed)"})`,
        ...allow(PAYLOAD, "written", { file: INHERITED_WRITE }),
        "(typeattribute terminal)",
        "(typeattributeset terminal (or ptynode ttynode))",
        ...allow(PAYLOAD, "terminal", { chr_file: INHERITED }),
      ],
    },
  ];
}
