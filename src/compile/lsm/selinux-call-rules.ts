/** SELinux rules of what the payload may ask of the kernel: processes, sockets, capabilities, and calls with classes of their own. Pure. */
import { CAPABILITIES } from "../../profile/capability-names.ts";
import {
  SOCKET_FAMILIES,
  SOCKET_TYPES,
  type SocketFamily,
  type SocketType,
  socketKinds,
} from "../seccomp/socket-kinds.ts";
import { allow, type CilGroup, optional } from "./cil.ts";
import { PAYLOAD } from "./selinux-names.ts";
import { because, IPC, SOCKET, type View, WRITE_FILE } from "./selinux-view.ts";

export function ownProcesses(view: View): readonly CilGroup[] {
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

/**
 * The class that the kernel gives a socket (socket_type_to_security_class), with more of its permissions than all have. `protocol`: the rule is
 * for this one alone.
 */
interface SocketClass {
  readonly name: string;
  readonly family: SocketFamily;
  readonly type: SocketType;
  readonly protocol?: number;
  readonly kind: string;
  readonly more?: string;
  /** Its addresses have types. */
  readonly addressed?: true;
}

const SOCKETS: readonly SocketClass[] = [
  { name: "AF_UNIX", family: "unix", type: "stream", kind: "unix_stream_socket", more: " connectto" },
  { name: "AF_UNIX", family: "unix", type: "dgram", kind: "unix_dgram_socket", more: " sendto" },
  { name: "TCP", family: "inet", type: "stream", kind: "tcp_socket", addressed: true },
  { name: "UDP", family: "inet", type: "dgram", kind: "udp_socket", addressed: true },
  { name: "TCP over IPv6", family: "inet6", type: "stream", kind: "tcp_socket", addressed: true },
  { name: "UDP over IPv6", family: "inet6", type: "dgram", kind: "udp_socket", addressed: true },
  { name: "SCTP", family: "inet", type: "stream", protocol: 132, kind: "sctp_socket", addressed: true },
  { name: "ICMP", family: "inet", type: "dgram", protocol: 1, kind: "icmp_socket", addressed: true },
  { name: "raw IP", family: "inet", type: "raw", kind: "rawip_socket", addressed: true },
  {
    name: "routing netlink",
    family: "netlink",
    type: "raw",
    protocol: 0,
    kind: "netlink_route_socket",
    more: " nlmsg_read",
  },
  { name: "audit netlink", family: "netlink", type: "raw", protocol: 9, kind: "netlink_audit_socket" },
  {
    name: "netfilter netlink",
    family: "netlink",
    type: "raw",
    protocol: 12,
    kind: "netlink_netfilter_socket",
  },
  { name: "generic netlink", family: "netlink", type: "raw", protocol: 16, kind: "netlink_generic_socket" },
  { name: "packets", family: "packet", type: "raw", kind: "packet_socket" },
  { name: "kernel cryptography", family: "alg", type: "seqpacket", kind: "alg_socket" },
  { name: "virtual machines", family: "vsock", type: "stream", kind: "vsock_socket" },
];

function socketClasses({ profile, admits }: View): readonly SocketClass[] {
  const made = socketKinds(profile);
  return SOCKETS.filter(
    ({ family, type, protocol }) =>
      made.some((each) => each.family === family && each.type === type) &&
      (protocol === undefined || admits("socket", SOCKET_FAMILIES[family], SOCKET_TYPES[type], protocol)),
  );
}

/** Classes whose ports have types. */
export const WITH_PORTS = ["tcp_socket", "udp_socket", "sctp_socket"];
/** Datagrams of UDP are connected to no port that anything asks about. */
export const CONNECTED = ["tcp_socket", "sctp_socket"];

export function sockets(view: View): readonly CilGroup[] {
  const classes = socketClasses(view);
  if (classes.length === 0) return [];
  const kinds = [...new Map(classes.map((each) => [each.kind, each])).values()];
  const addressed = kinds.filter((each) => each.addressed).map(({ kind }) => kind);
  const names = [...new Set(classes.map(({ name }) => name))];
  const { mode } = view.profile.spec.network;
  const where = mode === "none" ? "its own loopback device" : "the host's network";
  return [
    {
      comment: because(view, `Sockets that the filter lets be made: ${names.join(", ")}`, "/seccomp"),
      statements: kinds.flatMap(({ kind, more = "" }) =>
        allow(PAYLOAD, PAYLOAD, { [kind]: `${SOCKET}${more}` }),
      ),
    },
    {
      comment: because(view, `Addresses and ports of ${where}`, "/network/mode"),
      statements: addressed.flatMap((kind) => [
        ...allow(PAYLOAD, "node_type", { [kind]: "node_bind" }),
        ...(WITH_PORTS.includes(kind)
          ? allow(PAYLOAD, "port_type", {
              [kind]: CONNECTED.includes(kind) ? "name_bind name_connect" : "name_bind",
            })
          : []),
      ]),
    },
    {
      comment: because(view, "Packets, where the host labels them", "/network/mode"),
      statements:
        addressed.length === 0
          ? []
          : [
              ...allow(PAYLOAD, "node_type", { node: "recvfrom sendto" }),
              ...allow(PAYLOAD, "netif_type", { netif: "egress ingress" }),
            ],
    },
  ];
}

/** Capabilities from 32 on are of a class of their own. */
export const SECOND_WORD = 32;

export function capabilities(view: View): readonly CilGroup[] {
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

export const CLONE_NEWUSER = 0x10000000;

/** Calls that have classes of their own: nothing is allowed unless the filter lets the call through. */
export function rareCalls(view: View): readonly CilGroup[] {
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
