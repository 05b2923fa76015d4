/**
 * The SELinux module of a profile: types, and what the payload may do with them, as far as the profile says so. Pure: the same
 * profile gives the same text on any machine, to be read, reviewed and loaded by whoever runs the host (semodule(8)).
 *
 * Names. `payload` is what runs. What the sandbox mounts is `content` where nobody writes and `scratch` where the payload may. The base
 * policy gives the constraint that keeps sandboxes of one profile apart by their categories. Nothing here names a category: each
 * run has its own.
 *
 * Only names that every policy derived from the reference policy has stand outside of optional blocks.
 */
import { CAPABILITIES } from "../../profile/capability-names.ts";
import { locate } from "../../profile/provenance.ts";
import type { Device, ResolvedProfile } from "../../profile/spec.ts";
import { type Admits, admittedBy } from "../seccomp/admits.ts";
import { allow, block, type CilGroup, optional, withoutComments } from "./cil.ts";
import { SHARED_TYPES, SYSTEM_TYPES, typesAt } from "./selinux-types.ts";

export interface SelinuxModule {
  /** The name of the module, and of the block that every name in it begins with: "sandbox_strict". */
  readonly name: string;
  /** CIL. */
  readonly text: string;
}

/** Gives the SHA-256 of a text, lower-case hex. The pure stages have none of their own. */
export type Digest = (text: string) => string;

/** Names inside of the module's block. */
export const PAYLOAD = "payload";
export const CONTENT = "content";
export const SCRATCH = "scratch";

/** "sandbox_minimal-image": what CIL takes as a name (letters, digits, "_" and "-"), of any profile's. */
export function moduleName(profile: string): string {
  return `sandbox_${profile.replaceAll(".", "_")}`;
}

/** Another name of `payload` that no other rules have: it tells a loaded module of this profile from one of an older version. */
export function versionName(digest: string): string {
  return `rules_${digest.slice(0, 16)}`;
}

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
    `; SELinux module of the sandbox profile "${spec.name}": what its payload may do, and nothing else.`,
    `; load:    semodule -i ${name}.cil`,
    `; unload:  semodule -r ${name}`,
  ].join("\n");
  return { name, digest, text: `${head}\n\n${block(name, [version, ...groups])}` };
}

interface View {
  readonly profile: ResolvedProfile;
  readonly admits: Admits;
}

/** "a private /proc (base.json:38 /filesystem/proc)" */
function because({ profile }: View, what: string, ...pointers: readonly string[]): string {
  const places = pointers.map((pointer) => {
    const where = locate(profile, pointer);
    switch (where.kind) {
      case "profile":
        return `${where.file.slice(where.file.lastIndexOf("/") + 1)}:${where.line} ${pointer}`;
      case "flag":
        return `${where.flag}, ${pointer}`;
      case "option":
        return `option ${where.option}, ${pointer}`;
      case "default":
        return `default, ${pointer}`;
    }
    return where satisfies never;
  });
  return `${what} (${places.join("; ")})`;
}

const READ_FILE = "getattr ioctl lock map open read";
const READ_DIRECTORY = "getattr ioctl lock open read search";
const WRITE_FILE = "append create link rename setattr unlink write";
const EXECUTE = "entrypoint execute execute_no_trans";
/** Through a descriptor that somebody else opened: no `open`. */
const INHERITED = "append getattr ioctl read write";
const DEVICE = "append getattr ioctl lock open read write";
const SOCKET =
  "accept append bind connect create getattr getopt ioctl listen read setattr setopt shutdown write";
const IPC = "associate create destroy getattr read setattr unix_read unix_write write";

const READ_TREE = {
  dir: READ_DIRECTORY,
  file: READ_FILE,
  lnk_file: "getattr read",
  fifo_file: "getattr open read",
  sock_file: "getattr",
};
const WRITE_TREE = {
  dir: `${READ_DIRECTORY} add_name create link remove_name rename reparent rmdir setattr unlink write`,
  file: `${READ_FILE} ${WRITE_FILE}`,
  lnk_file: "create getattr link read rename setattr unlink",
  fifo_file: `getattr ioctl lock open read ${WRITE_FILE}`,
  sock_file: `getattr open read ${WRITE_FILE}`,
};

/** In the order in which a reader wants them: who, what is shown, what may be asked of the kernel. */
const RULES: readonly ((view: View) => readonly CilGroup[])[] = [
  declare,
  launch,
  standardStreams,
  root,
  writable,
  binds,
  devices,
  proc,
  ownProcesses,
  sockets,
  capabilities,
  rareCalls,
];

function declare(): readonly CilGroup[] {
  return [
    {
      comment: "The payload: a process of any role that may launch one, and one that categories hold",
      statements: [
        `(type ${PAYLOAD})`,
        `(typeattributeset domain (${PAYLOAD}))`,
        `(typeattributeset mcs_constrained_type (${PAYLOAD}))`,
      ],
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
const LAUNCHERS = [
  ["unconfined_t", "unconfined_r"],
  ["unconfined_service_t", "system_r"],
  ["initrc_t", "system_r"],
  ["sysadm_t", "sysadm_r"],
  ["staff_t", "staff_r"],
  ["user_t", "user_r"],
] as const;

function launch(view: View): readonly CilGroup[] {
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

function standardStreams(view: View): readonly CilGroup[] {
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
        ...allow(PAYLOAD, "passed", { file: INHERITED, fifo_file: INHERITED }),
        "(typeattribute terminal)",
        "(typeattributeset terminal (or ptynode ttynode))",
        ...allow(PAYLOAD, "terminal", { chr_file: INHERITED }),
      ],
    },
  ];
}

function root(view: View): readonly CilGroup[] {
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
  if (shown.type === "system" || shown.type === "closure") {
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

function writable(view: View): readonly CilGroup[] {
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

function binds(view: View): readonly CilGroup[] {
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

function share(
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

function devices(view: View): readonly CilGroup[] {
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

function proc(view: View): readonly CilGroup[] {
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

function ownProcesses(view: View): readonly CilGroup[] {
  const { memoryDenyWriteExecute } = view.profile.spec.process;
  const traced = view.admits("ptrace") || view.admits("process_vm_readv");
  return [
    {
      comment: "Processes of the same sandbox",
      statements: [
        ...allow(PAYLOAD, PAYLOAD, {
          process:
            "fork getattr getcap getpgid getrlimit getsched getsession setcap setpgid setrlimit setsched sigchld sigkill signal signull sigstop",
          fifo_file: `getattr ioctl lock open read ${WRITE_FILE}`,
          msg: "receive send",
          msgq: `${IPC} enqueue`,
          sem: IPC,
          shm: `${IPC} lock`,
        }),
      ],
    },
    ...(memoryDenyWriteExecute
      ? []
      : [
          {
            comment: because(view, "Code made at run time", "/process/memoryDenyWriteExecute"),
            statements: allow(PAYLOAD, PAYLOAD, { process: "execmem" }),
          },
        ]),
    ...(traced
      ? [
          {
            comment: because(view, "Tracing one another", "/seccomp"),
            statements: allow(PAYLOAD, PAYLOAD, { process: "ptrace" }),
          },
        ]
      : []),
  ];
}

/** socket(2) arguments and the class that the kernel gives such a socket (socket_type_to_security_class), with more of its permissions. */
const SOCKETS: readonly (readonly [
  name: string,
  args: readonly [number, number, number],
  kind: string,
  more: string,
])[] = [
  ["AF_UNIX", [1, 1, 0], "unix_stream_socket", " connectto"],
  ["AF_UNIX", [1, 2, 0], "unix_dgram_socket", " sendto"],
  ["TCP", [2, 1, 0], "tcp_socket", " node_bind"],
  ["UDP", [2, 2, 0], "udp_socket", " node_bind"],
  ["TCP over IPv6", [10, 1, 0], "tcp_socket", " node_bind"],
  ["UDP over IPv6", [10, 2, 0], "udp_socket", " node_bind"],
  ["SCTP", [2, 1, 132], "sctp_socket", " node_bind"],
  ["ICMP", [2, 2, 1], "icmp_socket", " node_bind"],
  ["raw IP", [2, 3, 1], "rawip_socket", " node_bind"],
  ["routing netlink", [16, 3, 0], "netlink_route_socket", " nlmsg_read"],
  ["audit netlink", [16, 3, 9], "netlink_audit_socket", ""],
  ["netfilter netlink", [16, 3, 12], "netlink_netfilter_socket", ""],
  ["generic netlink", [16, 3, 16], "netlink_generic_socket", ""],
  ["packets", [17, 3, 0], "packet_socket", ""],
  ["kernel cryptography", [38, 5, 0], "alg_socket", ""],
  ["virtual machines", [40, 1, 0], "vsock_socket", ""],
];

/** Classes whose ports have types. */
const WITH_PORTS = ["tcp_socket", "udp_socket", "sctp_socket"];
/** Datagrams of UDP are connected to no port that anything asks about. */
const CONNECTED = ["tcp_socket", "sctp_socket"];

function sockets(view: View): readonly CilGroup[] {
  const admitted = SOCKETS.filter(([, args]) => view.admits("socket", ...args));
  const kinds = [...new Set(admitted.map(([, , kind]) => kind))];
  const { mode } = view.profile.spec.network;
  if (kinds.length === 0) return [];
  const names = [...new Set(admitted.map(([name]) => name))];
  const inet = kinds.some((kind) => WITH_PORTS.includes(kind));
  return [
    {
      comment: because(view, `Sockets that the filter lets be made: ${names.join(", ")}`, "/seccomp"),
      statements: kinds.flatMap((kind) => {
        const more = admitted.find(([, , each]) => each === kind)?.[3] ?? "";
        return allow(PAYLOAD, PAYLOAD, { [kind]: `${SOCKET}${more.replace(" node_bind", "")}` });
      }),
    },
    ...(inet
      ? [
          {
            comment: because(
              view,
              `Addresses and ports of ${mode === "none" ? "its own loopback device" : "the host's network"}`,
              "/network/mode",
            ),
            statements: [
              ...kinds
                .filter((kind) =>
                  admitted.some(([, , each, more]) => each === kind && more.includes("node_bind")),
                )
                .flatMap((kind) => allow(PAYLOAD, "node_type", { [kind]: "node_bind" })),
              ...kinds
                .filter((kind) => WITH_PORTS.includes(kind))
                .flatMap((kind) =>
                  allow(PAYLOAD, "port_type", {
                    [kind]: CONNECTED.includes(kind) ? "name_bind name_connect" : "name_bind",
                  }),
                ),
              ...allow(PAYLOAD, "node_type", { node: "recvfrom sendto" }),
              ...allow(PAYLOAD, "netif_type", { netif: "egress ingress" }),
            ],
          },
        ]
      : []),
  ];
}

/** Capabilities from 32 on are of a class of their own. */
const SECOND_WORD = 32;

function capabilities(view: View): readonly CilGroup[] {
  const { capabilities: sets, namespaces } = view.profile.spec;
  const permissions = (from: number, to: number): string =>
    sets.bounding
      .filter((name) => {
        const number = CAPABILITIES.indexOf(name as (typeof CAPABILITIES)[number]);
        return number >= from && number < to;
      })
      .map((name) => name.slice("CAP_".length).toLowerCase())
      .toSorted()
      .join(" ");
  const suffix = namespaces.user ? "_userns" : "";
  const kinds = namespaces.user ? ["cap_userns", "cap2_userns"] : ["capability", "capability2"];
  const [first, second] = [permissions(0, SECOND_WORD), permissions(SECOND_WORD, CAPABILITIES.length)];
  return [
    {
      comment: because(
        view,
        `Capabilities, ${suffix === "" ? "on the host" : "in its user namespace"}`,
        "/capabilities/bounding",
      ),
      statements: [
        ...(first === "" ? [] : allow(PAYLOAD, PAYLOAD, { [kinds[0] as string]: first })),
        ...(second === "" ? [] : allow(PAYLOAD, PAYLOAD, { [kinds[1] as string]: second })),
      ],
    },
  ];
}

const CLONE_NEWUSER = 0x10000000;

/** Calls that have classes of their own: nothing is allowed unless the filter lets the call through. */
function rareCalls(view: View): readonly CilGroup[] {
  const { admits } = view;
  const group = (comment: string, ...statements: readonly string[]): CilGroup => ({
    comment: because(view, comment, "/seccomp"),
    statements,
  });
  const self = (kind: string, permissions: string): string =>
    allow(PAYLOAD, PAYLOAD, { [kind]: permissions }).join("");
  return [
    ...(admits("unshare", CLONE_NEWUSER) || admits("clone", CLONE_NEWUSER) || admits("clone3")
      ? [group("User namespaces of its own", optional("user_namespaces", self("user_namespace", "create")))]
      : []),
    ...(admits("bpf")
      ? [
          group(
            "BPF programs",
            optional("bpf", self("bpf", "map_create map_read map_write prog_load prog_run")),
          ),
        ]
      : []),
    ...(admits("perf_event_open")
      ? [group("Performance counters", optional("perf", self("perf_event", "cpu kernel open read write")))]
      : []),
    ...(admits("io_uring_setup") || admits("userfaultfd")
      ? [
          group(
            "io_uring and userfaultfd",
            optional("anonymous_inodes", self("anon_inode", "create getattr ioctl map read write")),
          ),
        ]
      : []),
  ];
}
