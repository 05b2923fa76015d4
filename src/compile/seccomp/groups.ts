/**
 * Named groups of system calls, for `names` in a profile's seccomp rules. A group says what its calls are for, not whether they are
 * harmless; calls whose danger is in their arguments (clone, ioctl, socket, prctl, personality) have groups of their own, so that
 * allowing a family never allows them by the way. Names of all architectures together: those absent on one are left out there.
 */

export interface Group {
  readonly about: string;
  readonly calls: readonly string[];
}

function group(about: string, calls: string): Group {
  return { about, calls: calls.split(/\s+/) };
}

export const GROUPS: Readonly<Record<string, Group>> = {
  "@basic-io": group(
    "Reading and writing descriptors that are already open",
    `read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek close close_range dup dup2 dup3
     fcntl fcntl64 pipe pipe2 splice tee vmsplice sendfile sendfile64 copy_file_range`,
  ),
  "@io-event": group(
    "Waiting for descriptors",
    `poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait
     epoll_pwait2 eventfd eventfd2 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch`,
  ),
  "@file-system": group(
    "Files and directories by name and descriptor: open, look, make, rename, remove, change mode, owner and times",
    `open openat openat2 creat stat lstat fstat stat64 lstat64 fstat64 fstatat64 newfstatat statx oldstat oldlstat oldfstat
     access faccessat faccessat2 getdents getdents64 readdir readlink readlinkat getcwd chdir fchdir
     mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
     chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat chown32 fchown32 lchown32
     utime utimes utimensat utimensat_time64 futimesat umask truncate ftruncate truncate64 ftruncate64 fallocate
     statfs fstatfs statfs64 fstatfs64 flock fsync fdatasync sync_file_range sync_file_range2 fadvise64 fadvise64_64 arm_fadvise64_64
     readahead cachestat mknod mknodat file_getattr getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat`,
  ),
  "@file-attributes": group(
    "Changing extended attributes and inode flags",
    "setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr",
  ),
  "@sync": group("Writing whole file systems back", "sync syncfs"),
  "@aio": group(
    "The older asynchronous I/O (not io_uring)",
    "io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64",
  ),
  "@process": group(
    "Programs and processes: execute, end, wait, ask for ids, sessions, own limits and usage",
    `execve execveat exit exit_group fork vfork wait4 waitid waitpid getpid getppid gettid getpgid getpgrp getsid setpgid setsid
     getuid geteuid getgid getegid getresuid getresgid getgroups getuid32 geteuid32 getgid32 getegid32 getresuid32 getresgid32
     getgroups32 getrlimit ugetrlimit setrlimit prlimit64 getrusage times getpriority capget pidfd_open set_tid_address set_robust_list
     get_robust_list rseq membarrier arch_prctl set_thread_area get_thread_area set_tls get_tls restart_syscall getcpu uretprobe uprobe`,
  ),
  "@clone": group("New threads and processes; their flags can also make namespaces", "clone clone3"),
  "@namespaces": group("Making and entering namespaces", "unshare setns"),
  "@process-control": group("Per-process switches, by number in the first argument", "prctl"),
  "@scheduling": group(
    "Scheduling of own threads: policy, priority, CPU affinity, I/O priority",
    `sched_yield sched_getparam sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min
     sched_rr_get_interval sched_rr_get_interval_time64 sched_getaffinity sched_setaffinity sched_getattr sched_setattr setpriority
     nice ioprio_get ioprio_set`,
  ),
  "@credentials": group(
    "Changing user ids, group ids and capability sets",
    `setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset setuid32 setgid32 setreuid32 setregid32
     setresuid32 setresgid32 setfsuid32 setfsgid32 setgroups32`,
  ),
  "@sandboxing": group(
    "Giving up rights for good",
    `seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self lsm_get_self_attr lsm_set_self_attr lsm_list_modules`,
  ),
  "@signal": group(
    "Signals: handlers, masks, sending, waiting",
    `rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_sigqueueinfo
     rt_tgsigqueueinfo sigaltstack kill tkill tgkill pause signalfd signalfd4 pidfd_send_signal signal sigaction sigprocmask sigreturn
     sigpending sigsuspend sgetmask ssetmask`,
  ),
  "@memory": group(
    "Own memory: map, protect, advise, lock, protection keys, anonymous files",
    `brk mmap mmap2 munmap mremap mprotect madvise msync mincore mlock mlock2 munlock mlockall munlockall pkey_alloc pkey_free
     pkey_mprotect memfd_create mseal map_shadow_stack remap_file_pages cacheflush`,
  ),
  "@numa": group(
    "Placement of memory on nodes",
    "mbind get_mempolicy set_mempolicy set_mempolicy_home_node migrate_pages move_pages",
  ),
  "@secret-memory": group(
    "Memory hidden from the kernel itself; it cannot be swapped or hibernated",
    "memfd_secret",
  ),
  "@futex": group(
    "Locks and condition variables",
    "futex futex_time64 futex_wait futex_wake futex_requeue futex_waitv",
  ),
  "@socket": group(
    "Making sockets; the first argument is the address family",
    "socket socketpair socketcall",
  ),
  "@network-io": group(
    "Using sockets that exist",
    `bind connect listen accept accept4 getsockname getpeername sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg recvmmsg_time64
     shutdown setsockopt getsockopt send recv`,
  ),
  "@ipc": group(
    "System V and POSIX queues, semaphores and shared memory",
    `shmget shmat shmdt shmctl semget semop semtimedop semtimedop_time64 semctl msgget msgsnd msgrcv msgctl ipc mq_open mq_unlink
     mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64 mq_notify mq_getsetattr`,
  ),
  "@timer": group(
    "Reading clocks, sleeping, timers",
    `clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64 nanosleep gettimeofday time
     alarm getitimer setitimer timer_create timer_settime timer_settime64 timer_gettime timer_gettime64 timer_getoverrun timer_delete
     timerfd_create timerfd_settime timerfd_settime64 timerfd_gettime timerfd_gettime64`,
  ),
  "@clock": group(
    "Setting or steering the clock",
    "settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex stime",
  ),
  "@system-info": group(
    "Facts about the system: name, load, random numbers",
    "uname olduname oldolduname sysinfo getrandom",
  ),
  "@ioctl": group("Device and terminal requests, by number in the second argument", "ioctl"),
  "@personality": group("Execution domain flags, such as switching address randomisation off", "personality"),
  "@debug": group(
    "Looking into or steering other processes, and into the kernel",
    `ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd perf_event_open lookup_dcookie
     userfaultfd`,
  ),
  "@keyring": group("Kernel keyrings, which are not namespaced", "add_key request_key keyctl"),
  "@io-uring": group(
    "io_uring: its operations pass no seccomp filter",
    "io_uring_setup io_uring_enter io_uring_register",
  ),
  "@bpf": group("Loading BPF programs", "bpf"),
  "@mount": group(
    "Mounting, changing and looking into the mount tree, changing the root",
    `mount umount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr statmount
     listmount listns`,
  ),
  "@file-handle": group(
    "Files by handle, past all path permissions, and watching whole file systems",
    "name_to_handle_at open_by_handle_at fanotify_init fanotify_mark",
  ),
  "@module": group("Kernel modules", "init_module finit_module delete_module"),
  "@raw-io": group("Hardware ports and PCI", "iopl ioperm pciconfig_iobase pciconfig_read pciconfig_write"),
  "@reboot": group("Restarting, and loading another kernel", "reboot kexec_load kexec_file_load"),
  "@swap": group("Swap areas", "swapon swapoff"),
  "@privileged": group(
    "Administration of the host: names, log, accounting, quotas, terminal hang-up",
    "sethostname setdomainname syslog acct quotactl quotactl_fd vhangup nfsservctl",
  ),
  "@cpu-emulation": group("Segments and 16-bit modes", "modify_ldt vm86 vm86old"),
  "@obsolete": group(
    "Calls without an implementation, or kept for ancient programs only",
    `_sysctl afs_syscall break create_module ftime get_kernel_syms getpmsg gtty idle lock mpx prof profil putpmsg query_module
     security sysfs stty tuxcall ulimit uselib ustat vserver epoll_ctl_old epoll_wait_old bdflush usr26 usr32 breakpoint`,
  ),
};

/** Calls of architectures that have no table here: known names, so not mistakes, but never in force. */
export const FOREIGN_SYSCALLS: ReadonlySet<string> = new Set(
  `arm_sync_file_range atomic_barrier atomic_cmpxchg_32 cachectl getpagesize multiplexer or1k_atomic
   riscv_flush_icache riscv_hwprobe rtas s390_guarded_storage s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr
   s390_sthyi spu_create spu_run subpage_prot swapcontext switch_endian sys_debug_setcontext sysmips timerfd
   mmap_pgoff kern_features memory_ordering utrap_install`.split(/\s+/),
);
