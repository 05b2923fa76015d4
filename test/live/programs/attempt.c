/*
 * Hostile attempts, one per argument; each is made in a child of its own and its result printed as "NAME RESULT":
 * "ok", an errno name, or a signal name. The program itself always exits 0, so a run that says nothing is a failure.
 *
 * An attempt that would harm a machine when it goes through is made with arguments that the kernel refuses after
 * its permission checks: EINVAL, EBADF, EFAULT or ENOENT outside then proves that the call reached the kernel.
 *
 *   NAME              one of the table below
 *   VERB:ARGUMENT     read, write, create, list, exec, unix, abstract, kill, mem: see `verbs`
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HIGH (1UL << 32)

/* System calls newer than the headers of an old distribution. */
enum { NR_OPEN_TREE = 428, NR_MOVE_MOUNT, NR_FSOPEN, NR_FSCONFIG, NR_FSMOUNT, NR_FSPICK, NR_PIDFD_OPEN, NR_CLONE3 };
enum { NR_PIDFD_GETFD = 438, NR_MOUNT_SETATTR = 442, NR_QUOTACTL_FD = 443, NR_MEMFD_SECRET = 447 };
enum { NR_SET_MEMPOLICY_HOME_NODE = 450, NR_STATMOUNT = 457, NR_LISTMOUNT = 458 };

static long call(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e) {
  return syscall(number, a, b, c, d, e, 0UL);
}

/* ---- other ABIs: x86-64 only ---- */
#ifdef __x86_64__
static long call32(long number, long b, long c, long d) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(b), "c"(c), "d"(d) : "memory", "r8", "r9", "r10", "r11");
  if (result < 0 && result > -4096) { errno = (int)-result; return -1; }
  return result;
}
#define X32 0x40000000L
static long i386_getpid(void) { return call32(20, 0, 0, 0); }
static long i386_unshare(void) { return call32(310, CLONE_NEWUSER, 0, 0); }
static long i386_socket(void) { return call32(359, 38, SOCK_SEQPACKET, 0); }
static long i386_socketcall(void) { return call32(102, 1, 0, 0); }
static long i386_mount(void) { return call32(21, 0, 0, 0); }
static long i386_keyctl(void) { return call32(288, KEYCTL_GET_KEYRING_ID, -3, 0); }
static long x32_getpid(void) { return call(X32 | 39, 0, 0, 0, 0, 0); }
static long x32_unshare(void) { return call(X32 | 272, CLONE_NEWUSER, 0, 0, 0, 0); }
static long x32_socket(void) { return call(X32 | 41, 38, SOCK_SEQPACKET, 0, 0, 0); }
static long x32_io_uring(void) { return call(X32 | 425, 1, 0, 0, 0, 0); }
static long x32_ptrace(void) { return call(X32 | 521, PTRACE_SEIZE, (unsigned long)getppid(), 0, 0, 0); }
static long x32_bare_ptrace(void) { return call(521, PTRACE_SEIZE, (unsigned long)getppid(), 0, 0, 0); }
#endif

/* ---- numbers that no kernel knows ---- */
static long unknown_near(void) { return call(600, 0, 0, 0, 0, 0); }
static long unknown_far(void) { return call(99999, 0, 0, 0, 0, 0); }

/* ---- sockets ---- */
static long tried_socket(unsigned long family, unsigned long type, unsigned long protocol) {
  return call(SYS_socket, family, type, protocol, 0, 0);
}
static long socket_alg(void) { return tried_socket(38, SOCK_SEQPACKET, 0); }
static long socket_alg_high(void) { return tried_socket(38 | HIGH, SOCK_SEQPACKET, 0); }
static long socket_vsock(void) { return tried_socket(40, SOCK_STREAM, 0); }
static long socket_packet(void) { return tried_socket(AF_PACKET, SOCK_RAW, 0); }
static long socket_packet_high(void) { return tried_socket(AF_PACKET | HIGH, SOCK_RAW, 0); }
static long socket_raw(void) { return tried_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static long socket_raw6(void) { return tried_socket(AF_INET6, SOCK_RAW, 58); }
static long socket_can(void) { return tried_socket(29, SOCK_RAW, 1); }
static long socket_tipc(void) { return tried_socket(30, SOCK_DGRAM, 0); }
static long socket_bluetooth(void) { return tried_socket(31, SOCK_RAW, 0); }
static long socket_kcm(void) { return tried_socket(41, SOCK_DGRAM, 0); }
static long socket_xdp(void) { return tried_socket(44, SOCK_RAW, 0); }
static long socket_rds(void) { return tried_socket(21, SOCK_SEQPACKET, 0); }
static long socket_smc(void) { return tried_socket(43, SOCK_STREAM, 0); }
static long socket_uevent(void) { return tried_socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT); }
static long socket_audit(void) { return tried_socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT); }
static long socket_nftables(void) { return tried_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER); }
static long socketpair_alg(void) {
  int pair[2];
  return call(SYS_socketpair, 38, SOCK_SEQPACKET, 0, (unsigned long)pair, 0);
}
/* Ask rtnetlink to take loopback down: a write, so it must not be possible whatever the socket itself may do. */
static long netlink_write(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (fd < 0) return -1;
  struct { struct nlmsghdr head; struct ifinfomsg link; } ask = {
    .head = {.nlmsg_len = sizeof ask, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
    .link = {.ifi_family = AF_UNSPEC, .ifi_index = 1, .ifi_change = 0x4 /* IFF_DEBUG */, .ifi_flags = 0x4},
  };
  if (send(fd, &ask, sizeof ask, 0) < 0) return -1;
  struct { struct nlmsghdr head; struct nlmsgerr error; char rest[512]; } answer;
  if (recv(fd, &answer, sizeof answer, 0) < 0) return -1;
  if (answer.error.error != 0) { errno = -answer.error.error; return -1; }
  return 0;
}

/* ---- namespaces ---- */
static long unshared(unsigned long flags) { return call(SYS_unshare, flags, 0, 0, 0, 0); }
static long unshare_user(void) { return unshared(CLONE_NEWUSER); }
static long unshare_user_high(void) { return unshared(CLONE_NEWUSER | HIGH); }
static long unshare_mount(void) { return unshared(CLONE_NEWNS); }
static long unshare_pid(void) { return unshared(CLONE_NEWPID); }
static long unshare_net(void) { return unshared(CLONE_NEWNET); }
static long unshare_ipc(void) { return unshared(CLONE_NEWIPC); }
static long unshare_uts(void) { return unshared(CLONE_NEWUTS); }
static long unshare_cgroup(void) { return unshared(CLONE_NEWCGROUP); }
static long unshare_time(void) { return unshared(CLONE_NEWTIME); }
static long cloned(unsigned long flags) {
  long pid = call(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  if (pid > 0) waitpid((pid_t)pid, NULL, 0);
  return pid;
}
static long clone_user(void) { return cloned(CLONE_NEWUSER); }
static long clone_user_high(void) { return cloned(CLONE_NEWUSER | HIGH); }
static long clone_mount(void) { return cloned(CLONE_NEWNS); }
static long clone_pid(void) { return cloned(CLONE_NEWPID); }
static long clone_net(void) { return cloned(CLONE_NEWNET); }
static long clone3_user(void) {
  uint64_t args[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
  long pid = call(NR_CLONE3, (unsigned long)args, sizeof args, 0, 0, 0);
  if (pid == 0) _exit(0);
  if (pid > 0) waitpid((pid_t)pid, NULL, 0);
  return pid;
}
static long setns_uts(void) {
  int fd = open("/proc/self/ns/uts", O_RDONLY);
  return fd < 0 ? -1 : call(SYS_setns, (unsigned long)fd, 0, 0, 0, 0);
}
static long setns_init(void) {
  int fd = (int)call(NR_PIDFD_OPEN, (unsigned long)getppid(), 0, 0, 0, 0);
  return fd < 0 ? -1 : call(SYS_setns, (unsigned long)fd, CLONE_NEWUTS, 0, 0, 0);
}

/* ---- mounts ---- */
/* A target that every root has and that no other attempt uses. */
#define MOUNT_TARGET "/usr/lib"
static long mount_tmpfs(void) { return mount("none", MOUNT_TARGET, "tmpfs", 0, NULL); }
static long mount_bind(void) { return mount("/", MOUNT_TARGET, NULL, MS_BIND | MS_REC, NULL); }
static long mount_proc(void) { return mount("proc", MOUNT_TARGET, "proc", 0, NULL); }
static long mount_cgroup(void) { return mount("none", MOUNT_TARGET, "cgroup2", 0, NULL); }
static long remount_rw(void) { return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long umount_root(void) { return call(SYS_umount2, (unsigned long)"/", 0x40000000, 0, 0, 0); }
static long pivot_root_here(void) { return call(SYS_pivot_root, (unsigned long)".", (unsigned long)".", 0, 0, 0); }
static long chroot_here(void) { return chroot("/"); }
static long fsopen_tmpfs(void) { return call(NR_FSOPEN, (unsigned long)"tmpfs", 0, 0, 0, 0); }
static long fsopen_cgroup(void) { return call(NR_FSOPEN, (unsigned long)"cgroup2", 0, 0, 0, 0); }
static long fsconfig_none(void) { return call(NR_FSCONFIG, (unsigned long)-1, 6, 0, 0, 0); }
static long fsmount_none(void) { return call(NR_FSMOUNT, (unsigned long)-1, 0, 0, 0, 0); }
static long fspick_root(void) { return call(NR_FSPICK, (unsigned long)AT_FDCWD, (unsigned long)"/", 0, 0, 0); }
static long open_tree_clone(void) { return call(NR_OPEN_TREE, (unsigned long)AT_FDCWD, (unsigned long)"/", 1, 0, 0); }
static long move_mount_none(void) {
  return call(NR_MOVE_MOUNT, (unsigned long)-1, (unsigned long)"", (unsigned long)-1, (unsigned long)"", 4);
}
static long mount_setattr_root(void) {
  uint64_t attributes[4] = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
  return call(NR_MOUNT_SETATTR, (unsigned long)AT_FDCWD, (unsigned long)"/", 0, (unsigned long)attributes, 0);
}

/* ---- other processes ---- */
static long ptrace_on(pid_t pid, unsigned long high) { return call(SYS_ptrace, PTRACE_SEIZE | high, (unsigned long)pid, 0, 0, 0); }
static long ptrace_parent(void) { return ptrace_on(getppid(), 0); }
static long ptrace_parent_high(void) { return ptrace_on(getppid(), HIGH); }
static long ptrace_init(void) { return ptrace_on(1, 0); }
static long vm_on(long number, pid_t pid) {
  static char here[1], there[1];
  struct iovec mine = {here, 1}, other = {there, 1};
  return syscall(number, pid, &mine, 1UL, &other, 1UL, 0UL);
}
static long vm_read_parent(void) { return vm_on(SYS_process_vm_readv, getppid()); }
static long vm_read_init(void) { return vm_on(SYS_process_vm_readv, 1); }
static long vm_write_parent(void) { return vm_on(SYS_process_vm_writev, getppid()); }
static long pidfd_steal_on(pid_t pid) {
  long fd = call(NR_PIDFD_OPEN, (unsigned long)pid, 0, 0, 0, 0);
  return fd < 0 ? -1 : call(NR_PIDFD_GETFD, (unsigned long)fd, 1, 0, 0, 0);
}
static long pidfd_steal(void) { return pidfd_steal_on(getppid()); }
static long pidfd_steal_init(void) { return pidfd_steal_on(1); }
static long kcmp_parent(void) { return call(SYS_kcmp, (unsigned long)getpid(), (unsigned long)getppid(), 0, 1, 1); }
static long kill_init(void) { return kill(1, 0); }

/* ---- big kernel interfaces ---- */
static long io_uring(void) {
  static char parameters[256];
  return call(425, 1, (unsigned long)parameters, 0, 0, 0);
}
static long io_uring_enter_none(void) { return call(426, (unsigned long)-1, 0, 0, 0, 0); }
static long io_uring_register_none(void) { return call(427, (unsigned long)-1, 99, 0, 0, 0); }
static long userfault(void) { return call(SYS_userfaultfd, 1 /* user mode only */, 0, 0, 0, 0); }
static long bpf_map(void) {
  uint32_t attributes[32] = {2 /* array */, 4, 4, 1};
  return call(SYS_bpf, 0, (unsigned long)attributes, sizeof attributes, 0, 0);
}
static long perf_event(void) {
  struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes, .config = PERF_COUNT_SW_CPU_CLOCK};
  return call(SYS_perf_event_open, (unsigned long)&attributes, 0, (unsigned long)-1, (unsigned long)-1, 0);
}
static long memfd_secret(void) { return call(NR_MEMFD_SECRET, 0, 0, 0, 0, 0); }
static long add_key_user(void) {
  return call(SYS_add_key, (unsigned long)"user", (unsigned long)"sandbox-live", (unsigned long)"x", 1, (unsigned long)-1);
}
static long request_key_user(void) {
  return call(SYS_request_key, (unsigned long)"user", (unsigned long)"sandbox-live-none", 0, 0, 0);
}
static long keyctl_session(void) { return call(SYS_keyctl, KEYCTL_GET_KEYRING_ID, (unsigned long)-3, 0, 0, 0); }
static long keyctl_join(void) { return call(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); }
static long personality_layout(void) { return call(SYS_personality, 0x0040000, 0, 0, 0, 0); }
static long personality_layout_high(void) { return call(SYS_personality, 0x0040000 | HIGH, 0, 0, 0, 0); }
static long personality_read_implies_exec(void) { return call(SYS_personality, 0x0400000, 0, 0, 0, 0); }
static long personality_query(void) { return call(SYS_personality, 0xffffffff, 0, 0, 0, 0); }
static long fanotify(void) { return call(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, 0, 0, 0, 0); }
static long handle_open(void) { return call(SYS_open_by_handle_at, (unsigned long)AT_FDCWD, 0, 0, 0, 0); }
static long kernel_log(void) { return call(SYS_syslog, 10, 0, 0, 0, 0); }
static long lookup_cookie(void) { return call(212, 0, 0, 0, 0, 0); }

/* ---- the machine ---- */
static long module_load(void) { return call(SYS_init_module, 0, 0, 0, 0, 0); }
static long module_load_file(void) { return call(SYS_finit_module, (unsigned long)-1, 0, 0, 0, 0); }
static long module_remove(void) { return call(SYS_delete_module, (unsigned long)"sandbox_live_none", 0, 0, 0, 0); }
static long kexec(void) { return call(SYS_kexec_load, 0, 9999, 0, 0xffff, 0); }
static long kexec_file(void) { return call(SYS_kexec_file_load, (unsigned long)-1, (unsigned long)-1, 0, 0, 0xffff); }
static long reboot_bad_magic(void) { return call(SYS_reboot, 1, 2, 3, 0, 0); }
static long time_set(void) {
  struct timeval bad = {0, -1};
  return call(SYS_settimeofday, (unsigned long)&bad, 0, 0, 0, 0);
}
static long clock_set(void) {
  struct timespec bad = {0, -1};
  return call(SYS_clock_settime, CLOCK_REALTIME, (unsigned long)&bad, 0, 0, 0);
}
static long clock_adjust(void) { return call(SYS_clock_adjtime, CLOCK_REALTIME, 0, 0, 0, 0); }
static long swap_on(void) { return call(SYS_swapon, (unsigned long)"/sandbox-live-none", 0, 0, 0, 0); }
static long swap_off(void) { return call(SYS_swapoff, (unsigned long)"/sandbox-live-none", 0, 0, 0, 0); }
static long accounting(void) { return call(SYS_acct, (unsigned long)"/sandbox-live-none", 0, 0, 0, 0); }
static long quota(void) { return call(SYS_quotactl, 0x800001UL << 8, 0, 0, 0, 0); }
static long quota_fd(void) { return call(NR_QUOTACTL_FD, (unsigned long)-1, 0, 0, 0, 0); }
static long hostname_set(void) { return sethostname("escaped", 7); }
static long domainname_set(void) { return setdomainname("escaped", 7); }
static long hang_up(void) { return call(SYS_vhangup, 0, 0, 0, 0, 0); }
#ifdef __x86_64__
static long io_privilege(void) { return call(SYS_iopl, 3, 0, 0, 0, 0); }
static long io_permission(void) { return call(SYS_ioperm, 0x80, 1, 1, 0, 0); }
static long ldt(void) { return call(SYS_modify_ldt, 0, 0, 0, 0, 0); }
#endif
static long device_memory(void) {
  unlink("/tmp/sandbox-live-mem");
  long result = mknod("/tmp/sandbox-live-mem", S_IFCHR | 0600, makedev(1, 1));
  int saved = errno;
  unlink("/tmp/sandbox-live-mem");
  errno = saved;
  return result;
}
static long device_memory_at(void) {
  unlink("/tmp/sandbox-live-mem2");
  long result = mknodat(AT_FDCWD, "/tmp/sandbox-live-mem2", S_IFBLK | 0600, makedev(254, 0));
  int saved = errno;
  unlink("/tmp/sandbox-live-mem2");
  errno = saved;
  return result;
}

/* ---- identity and privileges ---- */
static long become_root(void) { return call(SYS_setuid, 0, 0, 0, 0, 0); }
static long become_root_group(void) { return call(SYS_setgid, 0, 0, 0, 0, 0); }
static long become_root_res(void) { return call(SYS_setresuid, 0, 0, 0, 0, 0); }
static long become_overflow(void) { return call(SYS_setuid, 65533, 0, 0, 0, 0); }
static long add_groups(void) {
  gid_t group = 0;
  return call(SYS_setgroups, 1, (unsigned long)&group, 0, 0, 0);
}
static long drop_groups(void) { return call(SYS_setgroups, 0, 0, 0, 0, 0); }
static long raise_capabilities(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{1u << CAP_SYS_ADMIN, 1u << CAP_SYS_ADMIN, 0}, {0, 0, 0}};
  return call(SYS_capset, (unsigned long)&header, (unsigned long)data, 0, 0, 0);
}
static long raise_inheritable(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (call(SYS_capget, (unsigned long)&header, (unsigned long)data, 0, 0, 0) < 0) return -1;
  data[0].inheritable |= 1u << CAP_CHOWN;
  return call(SYS_capset, (unsigned long)&header, (unsigned long)data, 0, 0, 0);
}
static long raise_ambient(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (call(SYS_capget, (unsigned long)&header, (unsigned long)data, 0, 0, 0) == 0) {
    data[0].inheritable |= data[0].permitted & (1u << CAP_CHOWN);
    (void)call(SYS_capset, (unsigned long)&header, (unsigned long)data, 0, 0, 0);
  }
  return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0);
}
static long securebits_clear(void) { return prctl(PR_SET_SECUREBITS, 0, 0, 0, 0); }
static long keepcaps(void) { return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0); }
static long no_new_privs_clear(void) { return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0); }
static long mm_exe_file(void) { return call(SYS_prctl, PR_SET_MM, PR_SET_MM_EXE_FILE, 0, 0, 0); }
static long mm_exe_file_high(void) { return call(SYS_prctl, PR_SET_MM | HIGH, PR_SET_MM_EXE_FILE, 0, 0, 0); }
static long priority_raise(void) { return setpriority(PRIO_PROCESS, 0, -19); }
static long realtime(void) {
  struct sched_param parameters = {.sched_priority = 1};
  return sched_setscheduler(0, SCHED_FIFO, &parameters);
}
static long raised_limit(int which) {
  struct rlimit limit;
  if (getrlimit(which, &limit) < 0) return -1;
  if (limit.rlim_max == RLIM_INFINITY) return 0;
  limit.rlim_max += 1;
  return setrlimit(which, &limit);
}
static long limit_files(void) { return raised_limit(RLIMIT_NOFILE); }
static long limit_core(void) { return raised_limit(RLIMIT_CORE); }
static long oom_score(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  return fd < 0 ? -1 : write(fd, "-1000", 5);
}

/* ---- terminal: descriptor 0, whatever it is ---- */
static long terminal(unsigned long request) {
  char byte = 'X';
  return call(SYS_ioctl, 0, request, (unsigned long)&byte, 0, 0);
}
static long tiocsti(void) { return terminal(0x5412); }
static long tiocsti_high(void) { return terminal(0x5412 | HIGH); }
static long tiocsti_all_high(void) { return terminal(0x5412 | (0xffffffffUL << 32)); }
static long tioclinux(void) { return terminal(0x541C); }
static long tioclinux_high(void) { return terminal(0x541C | HIGH); }
static long tioccons(void) { return terminal(0x541D); }

/* ---- the network ---- */
static long tcp(const char *address, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to);
}
static long outer_network(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to);
}
static long loopback(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof at;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  if (server < 0 || bind(server, (struct sockaddr *)&at, sizeof at) < 0 || listen(server, 1) < 0) return -1;
  if (getsockname(server, (struct sockaddr *)&at, &length) < 0) return -1;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&at, sizeof at);
}

static const struct { const char *name; long (*make)(void); } attempts[] = {
#ifdef __x86_64__
  {"i386-getpid", i386_getpid}, {"i386-unshare", i386_unshare}, {"i386-socket", i386_socket},
  {"i386-socketcall", i386_socketcall}, {"i386-mount", i386_mount}, {"i386-keyctl", i386_keyctl},
  {"x32-getpid", x32_getpid}, {"x32-unshare", x32_unshare}, {"x32-socket", x32_socket},
  {"x32-io-uring", x32_io_uring}, {"x32-ptrace", x32_ptrace}, {"x32-bare-ptrace", x32_bare_ptrace},
  {"iopl", io_privilege}, {"ioperm", io_permission}, {"modify-ldt", ldt},
#endif
  {"unknown-near", unknown_near}, {"unknown-far", unknown_far},
  {"socket-alg", socket_alg}, {"socket-alg-high", socket_alg_high}, {"socket-vsock", socket_vsock},
  {"socket-packet", socket_packet}, {"socket-packet-high", socket_packet_high}, {"socket-raw", socket_raw},
  {"socket-raw6", socket_raw6}, {"socket-can", socket_can}, {"socket-tipc", socket_tipc},
  {"socket-bluetooth", socket_bluetooth}, {"socket-kcm", socket_kcm}, {"socket-xdp", socket_xdp},
  {"socket-rds", socket_rds}, {"socket-smc", socket_smc}, {"socket-uevent", socket_uevent},
  {"socket-audit", socket_audit}, {"socket-nftables", socket_nftables}, {"socketpair-alg", socketpair_alg},
  {"netlink-write", netlink_write},
  {"unshare-user", unshare_user}, {"unshare-user-high", unshare_user_high}, {"unshare-mount", unshare_mount},
  {"unshare-pid", unshare_pid}, {"unshare-net", unshare_net}, {"unshare-ipc", unshare_ipc},
  {"unshare-uts", unshare_uts}, {"unshare-cgroup", unshare_cgroup}, {"unshare-time", unshare_time},
  {"clone-user", clone_user}, {"clone-user-high", clone_user_high}, {"clone-mount", clone_mount},
  {"clone-pid", clone_pid}, {"clone-net", clone_net}, {"clone3-user", clone3_user},
  {"setns-uts", setns_uts}, {"setns-init", setns_init},
  {"mount-tmpfs", mount_tmpfs}, {"mount-bind", mount_bind}, {"mount-proc", mount_proc},
  {"mount-cgroup", mount_cgroup}, {"remount-rw", remount_rw}, {"umount-root", umount_root},
  {"pivot-root", pivot_root_here}, {"chroot", chroot_here}, {"fsopen-tmpfs", fsopen_tmpfs},
  {"fsopen-cgroup", fsopen_cgroup}, {"fsconfig", fsconfig_none}, {"fsmount", fsmount_none}, {"fspick", fspick_root},
  {"open-tree", open_tree_clone}, {"move-mount", move_mount_none}, {"mount-setattr", mount_setattr_root},
  {"ptrace-parent", ptrace_parent}, {"ptrace-parent-high", ptrace_parent_high}, {"ptrace-init", ptrace_init},
  {"vm-read-parent", vm_read_parent}, {"vm-read-init", vm_read_init}, {"vm-write-parent", vm_write_parent},
  {"pidfd-steal", pidfd_steal}, {"pidfd-steal-init", pidfd_steal_init}, {"kcmp-parent", kcmp_parent},
  {"kill-init", kill_init},
  {"io-uring", io_uring}, {"io-uring-enter", io_uring_enter_none}, {"io-uring-register", io_uring_register_none},
  {"userfaultfd", userfault}, {"bpf", bpf_map}, {"perf", perf_event}, {"memfd-secret", memfd_secret},
  {"add-key", add_key_user}, {"request-key", request_key_user}, {"keyctl-session", keyctl_session},
  {"keyctl-join", keyctl_join}, {"personality-layout", personality_layout},
  {"personality-layout-high", personality_layout_high},
  {"personality-read-implies-exec", personality_read_implies_exec}, {"personality-query", personality_query},
  {"fanotify", fanotify}, {"open-by-handle", handle_open}, {"syslog", kernel_log},
  {"lookup-dcookie", lookup_cookie},
  {"init-module", module_load}, {"finit-module", module_load_file}, {"delete-module", module_remove},
  {"kexec-load", kexec}, {"kexec-file-load", kexec_file}, {"reboot", reboot_bad_magic}, {"settimeofday", time_set},
  {"clock-settime", clock_set}, {"clock-adjtime", clock_adjust}, {"swapon", swap_on}, {"swapoff", swap_off},
  {"acct", accounting}, {"quotactl", quota}, {"quotactl-fd", quota_fd}, {"sethostname", hostname_set},
  {"setdomainname", domainname_set}, {"vhangup", hang_up}, {"mknod-mem", device_memory},
  {"mknodat-disk", device_memory_at},
  {"setuid-0", become_root}, {"setgid-0", become_root_group}, {"setresuid-0", become_root_res},
  {"setuid-65533", become_overflow}, {"setgroups-0", add_groups}, {"setgroups-none", drop_groups},
  {"capset-sys-admin", raise_capabilities}, {"capset-inheritable", raise_inheritable},
  {"ambient-raise", raise_ambient}, {"securebits-clear", securebits_clear}, {"keepcaps", keepcaps},
  {"no-new-privs-clear", no_new_privs_clear}, {"prctl-mm", mm_exe_file}, {"prctl-mm-high", mm_exe_file_high},
  {"priority-raise", priority_raise}, {"realtime", realtime}, {"limit-files-raise", limit_files},
  {"limit-core-raise", limit_core}, {"oom-score-lower", oom_score},
  {"tiocsti", tiocsti}, {"tiocsti-high", tiocsti_high}, {"tiocsti-all-high", tiocsti_all_high},
  {"tioclinux", tioclinux}, {"tioclinux-high", tioclinux_high}, {"tioccons", tioccons},
  {"outer-network", outer_network}, {"loopback", loopback},
};

/* ---- verbs ---- */
static long do_read(const char *path) {
  char byte;
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  return fd < 0 ? -1 : read(fd, &byte, 1);
}
static long do_write(const char *path) { return open(path, O_WRONLY | O_NONBLOCK); }
static long do_create(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd >= 0) unlink(path);
  return fd;
}
static long do_list(const char *path) {
  DIR *directory = opendir(path);
  if (directory == NULL) return -1;
  const struct dirent *entry;
  long count = 0;
  while ((entry = readdir(directory)) != NULL) count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  if (count == 0) { errno = ENODATA; return -1; }
  return 0;
}
/* Copies itself to PATH and executes that: data directories must not run what was put there. */
static long do_exec(const char *path) {
  int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
  if (from < 0 || to < 0) return -1;
  static char buffer[65536];
  for (ssize_t count; (count = read(from, buffer, sizeof buffer)) > 0;) if (write(to, buffer, (size_t)count) != count) return -1;
  close(to);
  char *const argv[] = {"attempt", NULL}, *const envp[] = {NULL};
  execve(path, argv, envp);
  int saved = errno;
  unlink(path);
  errno = saved;
  return -1;
}
static long do_mmap_exec(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT, 0700);
  if (fd < 0 || ftruncate(fd, 4096) < 0) return -1;
  return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0;
}
static long unix_connect(const char *name, int abstract) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  size_t length = strlen(name);
  if (length >= sizeof to.sun_path) { errno = ENAMETOOLONG; return -1; }
  memcpy(to.sun_path + abstract, name, length);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  /* An abstract name is all its bytes; some servers, Node among them, count the zeros up to the end. */
  if (abstract && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return 0;
  return connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)abstract + length + !abstract));
}
static long do_unix(const char *path) { return unix_connect(path, 0); }
static long do_abstract(const char *name) { return unix_connect(name, 1); }
static long do_tcp(const char *port) { return tcp("127.0.0.1", atoi(port)); }
static long do_kill(const char *pid) { return kill(atoi(pid), 0); }
static long do_readlink(const char *path) { char to[4096]; return readlink(path, to, sizeof to); }
static long do_stat(const char *path) { struct stat about; return stat(path, &about); }
static long do_chdir(const char *path) { return chdir(path); }
static long do_unlink(const char *path) { return unlink(path); }
static long do_mkdir(const char *path) {
  long result = mkdir(path, 0700);
  if (result == 0) rmdir(path);
  return result;
}
static long do_link(const char *path) {
  unlink("/tmp/sandbox-live-link");
  return link(path, "/tmp/sandbox-live-link");
}
static long do_setuid_bit(const char *path) { return chmod(path, 04755); }

static const struct { const char *name; long (*make)(const char *); } verbs[] = {
  {"read", do_read}, {"write", do_write}, {"create", do_create}, {"list", do_list}, {"exec", do_exec},
  {"map-exec", do_mmap_exec}, {"unix", do_unix}, {"abstract", do_abstract}, {"tcp", do_tcp}, {"kill", do_kill},
  {"readlink", do_readlink}, {"stat", do_stat}, {"chdir", do_chdir}, {"unlink", do_unlink}, {"mkdir", do_mkdir},
  {"link", do_link}, {"setuid-bit", do_setuid_bit},
};

static int make(const char *what) {
  for (size_t at = 0; at < sizeof attempts / sizeof *attempts; at++)
    if (strcmp(attempts[at].name, what) == 0) return attempts[at].make() < 0 ? errno : 0;
  for (size_t at = 0; at < sizeof verbs / sizeof *verbs; at++) {
    size_t length = strlen(verbs[at].name);
    if (strncmp(verbs[at].name, what, length) == 0 && what[length] == ':')
      return verbs[at].make(what + length + 1) < 0 ? errno : 0;
  }
  return 255;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 1) return 0; /* what do_exec started: its success */
  for (int at = 1; at < argc; at++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(5);
      _exit(make(argv[at]));
    }
    int status = 0;
    if (child < 0) printf("%s fork:%s\n", argv[at], strerrorname_np(errno));
    else if (waitpid(child, &status, 0) < 0) printf("%s wait:%s\n", argv[at], strerrorname_np(errno));
    else if (WIFSIGNALED(status)) printf("%s SIG%s\n", argv[at], sigabbrev_np(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 255) printf("%s unknown-attempt\n", argv[at]);
    else printf("%s %s\n", argv[at], WEXITSTATUS(status) == 0 ? "ok" : strerrorname_np(WEXITSTATUS(status)));
  }
  return 0;
}
