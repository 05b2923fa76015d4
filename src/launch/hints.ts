/**
 * What to do when the kernel refuses: advice by call and errno.
 *
 * Pure. Advice names a command, a setting or a field of the profile; "" when there is nothing better to say than
 * the errno itself.
 */

/** What failed, as far as advice depends on it. */
export interface Failure {
  /** Id of the step, "spawn" for the start of the launcher itself. */
  readonly step: string;
  readonly call: string;
  readonly errno: string;
  readonly target: string;
}

interface Rule {
  readonly call: readonly string[] | null;
  readonly errno: readonly string[];
  /** Matched against the step's id and its target. */
  readonly about?: RegExp;
  readonly hint: string;
}

const CLONE = ["clone", "clone3", "unshare"];
const MOUNT = ["mount", "fsopen", "fsconfig", "fsmount", "move_mount", "open_tree", "mount_setattr"];
const FILE = ["openat", "openat2", "mkdirat", "unlinkat", "write", "pwrite64"];

/** First match wins: the particular before the general. */
const RULES: readonly Rule[] = [
  {
    call: CLONE,
    errno: ["EPERM", "EACCES"],
    hint: "this host blocks user namespaces for you; `sandbox doctor` names the setting that does and how to change it",
  },
  {
    call: CLONE,
    errno: ["ENOSPC", "EUSERS"],
    hint: "the limit of namespaces is reached; see `sysctl user.max_user_namespaces` and its siblings, or nest less deeply (32 levels)",
  },
  {
    call: [...CLONE, "spawn"],
    errno: ["EAGAIN"],
    hint: "the limit of processes is reached; see `ulimit -u`, the pids limit of your cgroup and `sysctl kernel.threads-max`",
  },
  {
    call: CLONE,
    errno: ["EINVAL"],
    hint: "the kernel lacks one of the namespaces asked for; `sandbox doctor` says which",
  },
  {
    call: ["clone3"],
    errno: ["EBUSY"],
    hint: "the cgroup has child groups with controllers enabled and can hold no process; give the sandbox a cgroup of its own",
  },
  {
    call: ["clone3"],
    errno: ["ENOSYS"],
    hint: "something between you and the kernel (an outer sandbox or an old container runtime) blocks clone3",
  },
  {
    call: ["fsconfig"],
    errno: ["EINVAL", "EACCES", "EPERM"],
    about: /\.option\.context /,
    hint: "the SELinux policy does not let the caller label a mount so; load the profile's module again, or see `lsm.mountLabel` and the kernel's audit log (ausearch -m avc)",
  },
  {
    call: ["write", "openat"],
    errno: ["EPERM", "EINVAL", "EACCES"],
    about: /[ug]id_?map/,
    hint: "the id mapping is not permitted; an ordinary user may map its own ids only, or ranges of /etc/subuid and /etc/subgid through newuidmap and newgidmap",
  },
  {
    call: ["newuidmap", "newgidmap"],
    errno: ["ECHILD"],
    hint: "it said why on standard error; your ranges are in /etc/subuid and /etc/subgid, and the program must be set-user-id root",
  },
  {
    call: ["expect"],
    errno: ["EISDIR"],
    hint: "standard input, output or error is a directory, and the payload could walk the host from it; redirect a file or a pipe instead",
  },
  {
    call: ["flock"],
    errno: ["EAGAIN"],
    hint: "another sandbox keeps its writes there; wait for its end, or keep these in another directory",
  },
  {
    call: ["openat2", "expect"],
    errno: ["ENOENT", "ELOOP", "EPERM", "EACCES"],
    about: /^writes\./,
    hint: "the mark of a directory that keeps writes is gone, or is not a file of mode 0600 that is yours; choose an empty directory",
  },
  {
    call: ["expect"],
    errno: ["ESTALE"],
    hint: "it was replaced, or its owner changed, after the launch was prepared; run it again, and see who else may rename on the way to it",
  },
  {
    call: ["mkdirat", "openat2"],
    errno: ["EACCES"],
    about: /^\/(proc|dev|tmp|etc)?$/,
    hint: "the sandbox's ids may not search the root file system's directory; chmod a+rx it",
  },
  {
    call: ["setresuid", "setresgid", "setgroups"],
    errno: ["EPERM", "EINVAL"],
    hint: "the id is not mapped into the sandbox; check `identity.uid`, `identity.gid` and `identity.map`",
  },
  {
    call: FILE,
    errno: ["EPERM"],
    about: /^cgroup\.prepare .*\/cgroup\.(procs|subtree_control)$/,
    hint: "a process in that cgroup has privileges that you do not have, such as sudo or another set-user-id program, and you may give it no cpuset (sched_setaffinity(2)); end it, start the sandbox in a scope of its own, or do without `resources.cpuset`",
  },
  {
    call: FILE,
    errno: ["EACCES", "EPERM", "EROFS"],
    about: /cgroup/,
    hint: "the cgroup is not yours to write; run under `systemd-run --user --scope -p Delegate=yes`, or see `sandbox doctor`",
  },
  {
    call: FILE,
    errno: ["ENOENT"],
    about: /cgroup/,
    hint: "the controller is not enabled in the parent cgroup, or the parent was removed; see `sandbox doctor`",
  },
  {
    call: FILE,
    errno: ["EBUSY"],
    about: /cgroup/,
    hint: "other processes live in the cgroup that should be divided; start the sandbox in a scope of its own",
  },
  {
    call: FILE,
    errno: ["EINVAL", "ERANGE", "ENODEV"],
    about: /cgroup/,
    hint: "the kernel does not take this limit; check the value under `resources`",
  },
  {
    call: FILE,
    errno: ["ENOSPC", "EAGAIN"],
    about: /cgroup/,
    hint: "the parent cgroup has no room for another group, or its cpuset is empty; see cgroup.max.descendants and cpuset.cpus there",
  },
  {
    call: ["fsmount", "fsconfig", "mount", "fsopen"],
    errno: ["EPERM", "EACCES"],
    about: /proc/,
    hint: "parts of /proc are masked, as inside another container, so the kernel allows no new procfs; unmask it there or set `filesystem.proc` to none",
  },
  {
    call: ["fsconfig"],
    errno: ["EINVAL", "ENOTSUP", "EOPNOTSUPP"],
    about: /overlay/,
    hint: "overlayfs does not take one of the directories: its file system cannot be a layer, or overlays are stacked more than two deep; dmesg says which, and a copy on ext4, xfs, btrfs or tmpfs serves",
  },
  {
    call: ["mount_setattr"],
    errno: ["EINVAL"],
    about: /\.translate /,
    hint: "its file system cannot translate owners (id-mapped mounts); copy it to one that can, such as ext4, xfs or btrfs (or tmpfs, since Linux 6.3), or run the sandbox as its owner",
  },
  {
    call: ["openat2"],
    errno: ["ENOENT", "ENOTDIR", "EACCES", "ELOOP"],
    about: /^landlock:/,
    hint: "`landlock.fs` lists a path that the payload cannot reach inside the sandbox; leave it out, or show it with a mount",
  },
  {
    // The first mount call of a launch, which needs nothing but the namespaces that were just made.
    call: ["mount"],
    errno: ["EPERM"],
    about: /^mounts\.private /,
    hint: "something around this process forbids every mount: a Landlock domain that restricts files, or a security module; start it from outside of that",
  },
  {
    call: MOUNT,
    errno: ["ENODEV"],
    hint: "the kernel does not have this file system; load its module or do without it",
  },
  {
    call: MOUNT,
    errno: ["ENOSPC"],
    hint: "the limit of mounts is reached; see `sysctl fs.mount-max`",
  },
  {
    call: MOUNT,
    errno: ["EPERM", "EACCES"],
    hint: "the kernel or a security module refuses this mount; `sandbox doctor` says what this host allows",
  },
  {
    call: MOUNT,
    errno: ["ENOSYS"],
    hint: "the kernel is older than 5.12 or something blocks the mount API; see `sandbox doctor`",
  },
  {
    call: ["openat2"],
    errno: ["ENOENT", "ENOTDIR", "EACCES"],
    about: /^workdir\./,
    hint: "no such directory is visible inside; choose another with --workdir, or show it with --bind",
  },
  {
    call: ["openat2"],
    errno: ["ENOENT"],
    about: /\.point /,
    hint: "there is no such place inside, and where the root is read-only none can be made; choose another target, or let the root take writes with --write ephemeral",
  },
  {
    call: [...MOUNT, "openat", "openat2"],
    errno: ["ENOENT"],
    hint: "the path does not exist (any more); create it or mark the mount as optional",
  },
  {
    call: ["openat2", "openat"],
    errno: ["ELOOP", "EXDEV"],
    hint: "the path leads through a link that leaves the root; name the real path",
  },
  {
    call: ["mkdirat", "openat", "openat2"],
    errno: ["ENOTDIR", "EEXIST"],
    hint: "a file is in the way where a directory must be; choose another target",
  },
  {
    call: ["chdir", "fchdir"],
    errno: ["ENOENT", "ENOTDIR", "EACCES"],
    hint: "the working directory is not visible inside; choose another with --workdir or show it with --bind",
  },
  {
    call: ["write"],
    errno: ["ENOENT"],
    about: /^label\.set (exec|stack) /,
    hint: "no AppArmor profile of that name is loaded; `sudo apparmor_parser --replace FILE` loads one, and `sandbox profile export` prints the one made from a profile",
  },
  {
    call: ["write"],
    errno: ["EACCES", "EPERM"],
    about: /^label\.set (exec|stack) /,
    hint: "what confines the caller does not let it enter this AppArmor profile (change_profile); `lsm.type` none leaves the payload to the caller's alone",
  },
  {
    call: ["landlock_add_rule"],
    errno: ["EINVAL"],
    hint: "a file has no entries: of the rights of `landlock.fs` only execute, write_file, read_file, truncate, ioctl_dev and resolve_unix can name one",
  },
  {
    call: ["landlock_restrict_self"],
    errno: ["E2BIG"],
    hint: "16 Landlock domains are around this process already; nest less deeply, or set `landlock` to null",
  },
  {
    call: ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"],
    errno: ["EINVAL", "ENOSYS", "EOPNOTSUPP", "E2BIG", "EPERM", "EACCES"],
    hint: "this kernel does not give the Landlock that the plan was made for; `sandbox doctor` asks it anew, and `--set /landlock=null` does without",
  },
  {
    call: ["expect"],
    errno: ["EPROTO"],
    about: /^landlock\./,
    hint: "the kernel took the Landlock ruleset and does not enforce it; please report this with its version",
  },
  {
    call: ["write"],
    errno: ["EINVAL", "EACCES", "EPERM"],
    about: /^label\.set /,
    hint: "the SELinux policy has no such label any more, or does not let the caller ask for one (setexec); load the profile's module again: `sandbox profile export` prints it",
  },
  {
    call: ["seccomp"],
    errno: ["EINVAL", "ENOSYS", "EACCES", "ENOMEM"],
    hint: "the kernel does not take the filter; `sandbox doctor` says what it supports",
  },
  {
    call: ["setpriority", "prlimit64"],
    errno: ["EPERM", "EACCES"],
    hint: "only a privileged user may raise this; lower the value, or raise the hard limit of the calling shell (`ulimit -H`)",
  },
  {
    call: ["write"],
    errno: ["EACCES", "EPERM"],
    about: /oom_?score/i,
    hint: "only a privileged user may lower oom_score_adj; raise `process.oomScoreAdj`",
  },
  {
    call: ["execve"],
    errno: ["ENOENT", "ENOTDIR"],
    hint: "no such program inside the sandbox, or the loader or interpreter it needs is not there; show it with --bind",
  },
  {
    call: ["execve"],
    errno: ["EACCES"],
    hint: "it is not an executable file, or lies where `noexec`, `landlock.fs.execute` or a security module forbids it; check its permission bits and its mount, and the kernel's audit log",
  },
  {
    call: ["execve"],
    errno: ["EPERM"],
    hint: "the sandbox or a security module does not let this program run; a set-user-id or capability program cannot gain anything here",
  },
  {
    call: ["execve"],
    errno: ["ENOEXEC"],
    hint: "it is no program for this machine; a script needs a first line such as #!/bin/sh",
  },
  {
    call: ["execve", "spawn"],
    errno: ["E2BIG"],
    hint: "arguments and environment are too long together; pass data on standard input or in a file",
  },
  {
    call: ["execve"],
    errno: ["ELOOP"],
    hint: "links or interpreters lead in a circle",
  },
  {
    call: ["spawn"],
    errno: ["EACCES", "EPERM"],
    hint: "the launcher may not be executed here: no directory for it without `noexec`, or a security module forbids it; point XDG_RUNTIME_DIR to one that allows it, or remount /dev/shm so if you are root",
  },
  {
    call: ["spawn"],
    errno: ["ENOENT"],
    hint: "/proc is not mounted or shows other processes than ours, or the working directory does not exist, or the AppArmor profile that confines the caller has no mediate_deleted, without which no sealed program can be executed",
  },
  {
    call: ["spawn"],
    errno: ["ENOEXEC"],
    hint: "the launcher was made for another architecture",
  },
  {
    call: null,
    errno: ["EMFILE", "ENFILE"],
    hint: "no descriptor is left; raise `ulimit -n` or run fewer sandboxes at once",
  },
  {
    call: null,
    errno: ["ENOMEM"],
    hint: "the kernel has no memory left for this; free some or raise the limit",
  },
  { call: null, errno: ["ENOSPC", "EDQUOT"], hint: "no space is left where this is written" },
  {
    call: null,
    errno: ["ENOSYS"],
    hint: "the kernel is too old or something blocks the call; see `sandbox doctor`",
  },
  {
    call: null,
    errno: ["EPERM", "EACCES"],
    hint: "`sandbox doctor` says what this host allows and what blocks the rest",
  },
];

/** One sentence of advice, no trailing full stop; "" when there is none. */
export function hintFor({ step, call, errno, target }: Failure): string {
  const subject = `${step} ${target}`;
  const rule = RULES.find(
    (each) =>
      (each.call === null || each.call.includes(call)) &&
      each.errno.includes(errno) &&
      (each.about === undefined || each.about.test(subject)),
  );
  return rule?.hint ?? "";
}
