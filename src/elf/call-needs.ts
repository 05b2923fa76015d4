/**
 * Takes what an ELF file imports from libraries, and its code; gives the kinds of system calls that it can ask its C library for. Not a
 * fence: a file that makes its calls by itself, or says so little of what it imports that it could, has no answer (null), and neither
 * has what it loads or starts. The fence is the filter that is made from this; here is only decided which calls nobody would miss.
 */
import type { Symbols } from "./hardening.ts";
import type { Elf, Slice } from "./parse.ts";

/** Kinds of calls that many programs never make, and that a filter can do without then. */
export const CALL_NEEDS = [
  "network",
  "processes",
  "signals",
  "credentials",
  "scheduling",
  "file-changes",
  "watches",
] as const;
export type CallNeed = (typeof CALL_NEEDS)[number];

/** Functions of the C library (glibc and musl; sections 2 and 3 of the manual) that make such calls, with their variants. */
const IMPORTS: Readonly<Record<CallNeed, RegExp>> = {
  network:
    /^(?:socket|socketpair|bind|connect|listen|accept4?|getsockname|getpeername|sendto|sendmm?sg|recvmm?sg|(?:__)?recv(?:from)?(?:_chk)?|send|shutdown|[gs]etsockopt|sockatmark|isfdtype|getaddrinfo(?:_a)?|getnameinfo|gethostby\w+|getnetby\w+|getservby\w+|getprotoby\w+|(?:get|set)(?:host|net|serv|proto)ent\w*|getifaddrs|if_\w+|v?syslog|__v?syslog_chk|openlog|(?:__)?res_\w+|ns_\w+|rcmd\w*|rexec\w*|ruserok\w*|clnt\w*|svc\w*|pmap\w*|inet6_\w+|setipv4sourcefilter|setsourcefilter|innetgr|getnetgrent\w*)$/,
  processes:
    /^(?:_?_?v?fork|_Fork|__libc_fork|(?:__)?clone[23]?|pthread_create|__pthread_create_\w+|thrd_create|posix_spawnp?|system|popen|wordexp|daemon|forkpty|timer_create|mq_notify|aio_\w+|lio_listio\w*|getaddrinfo_a|rcmd\w*|grantpt)$/,
  signals:
    /^(?:kill|killpg|sigqueue|tgkill|tkill|pthread_kill|pthread_sigqueue|pthread_cancel|pidfd_send_signal|gsignal)$/,
  credentials:
    /^(?:set(?:e|re|res|fs)?[ug]id|setgroups|initgroups|capset|capsetp|cap_set\w*|setlogin|seteuid|setegid)$/,
  scheduling:
    /^(?:sched_set\w+|pthread_set(?:affinity|sched)\w*|pthread_attr_set(?:affinity|sched|inheritsched)\w*|pthread_mutex(?:attr)?_setprio\w*|pthread_create|setpriority|nice|ioprio_set|posix_spawn\w*|thrd_create)$/,
  "file-changes":
    /^(?:mkdir(?:at)?|rmdir|unlink(?:at)?|remove|rename(?:at2?)?|link(?:at)?|symlink(?:at)?|(?:l|f)?chmod(?:at)?|fchmodat|(?:l|f)?chown(?:at)?|fchownat|(?:__x)?mknod(?:at)?|mkfifo(?:at)?|f?truncate(?:64)?|(?:posix_)?fallocate(?:64)?|l?utimes?|futimes(?:at)?|futimens|utimensat|tmpfile(?:64)?|mk[ods]?stemps?(?:64)?|mkostemps?(?:64)?|mkdtemp|mktemp|shm_(?:open|unlink)|sem_(?:open|unlink)|grantpt|(?:l|f)?(?:set|remove)xattr)$/,
  watches: /^(?:inotify_\w+|fanotify_\w+)$/,
};

/** `syscall(2)` takes the number of any call. */
const ANY_CALL = /^(?:syscall|__syscall\w*)$/;

const PT_LOAD = 1;
const PF_X = 1;
const X86_64 = 62;
const AARCH64 = 183;

/** What it needs; null: anything, because that cannot be told from the file. */
export function callNeeds(elf: Elf, symbols: Symbols | null, slice: Slice): readonly CallNeed[] | null {
  if (symbols === null || symbols.imported.some((name) => ANY_CALL.test(name))) return null;
  for (const { type, flags, offset, fileSize } of elf.segments) {
    if (type !== PT_LOAD || (flags & PF_X) === 0) continue;
    const code = slice(offset, fileSize);
    if (code === null || makesCalls(code, elf.machine)) return null;
  }
  return CALL_NEEDS.filter((need) => symbols.imported.some((name) => IMPORTS[need].test(name)));
}

/** Whether there is an instruction that enters the kernel. Bytes that only look like one make the answer "anything" once too often. */
function makesCalls(code: Buffer, machine: number): boolean {
  if (machine === AARCH64) return hasSupervisorCall(code);
  if (machine !== X86_64) return true;
  for (let at = code.indexOf(SYSCALL); at >= 0; at = code.indexOf(SYSCALL, at + 2))
    if (!isDistance(code, at) && setsNumber(code.subarray(Math.max(0, at - 32), at))) return true;
  return false;
}

/**
 * Whether the two bytes are within the 32-bit distance of a jump, a call or an address relative to rip, as they are by chance: the last byte of
 * such a distance is 0 or 0xff, and no compiler has an instruction that begins so after a system call.
 */
function isDistance(code: Buffer, at: number): boolean {
  const isSign = (byte: number | undefined): boolean => byte === 0 || byte === 0xff;
  if (isSign(code[at + 2])) return true;
  const [opcode = 0, byte = 0] = code.subarray(Math.max(0, at - 2), at);
  const begins =
    byte === 0xe8 || byte === 0xe9 || (byte & 0xc7) === 0x05 || (opcode === 0x0f && (byte & 0xf0) === 0x80);
  return begins && isSign(code[at + 3]);
}

const SYSCALL = Buffer.from([0x0f, 0x05]);

/**
 * Any longer program has these two bytes by chance. The number of the call is in eax: what enters the kernel sets it shortly before, by
 * `mov eax, imm32`, `mov rax, imm32`, `xor eax, eax`, or a move from another register or from memory.
 */
function setsNumber(before: Buffer): boolean {
  for (let at = 0; at + 2 <= before.length; at++) {
    const [first = 0, second = 0] = before.subarray(at, at + 2);
    if (first === 0xb8 && at + 5 <= before.length && before.readUInt32LE(at + 1) < 1024) return true;
    if (first === 0xc7 && second === 0xc0) return true;
    if ((first === 0x31 || first === 0x33) && second === 0xc0) return true;
    // mov eax, reg; and mov, movsxd and lea into eax from anywhere (ModRM: register field 0).
    if (first === 0x89 && (second & 0xc7) === 0xc0) return true;
    if ((first === 0x8b || first === 0x63 || first === 0x8d) && (second & 0x38) === 0) return true;
  }
  return false;
}

/** `svc #0`, which is aligned as every instruction is. */
function hasSupervisorCall(code: Buffer): boolean {
  const call = Buffer.from([0x01, 0x00, 0x00, 0xd4]);
  for (let at = code.indexOf(call); at >= 0; at = code.indexOf(call, at + 1)) if (at % 4 === 0) return true;
  return false;
}
