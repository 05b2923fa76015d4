/**
 * Which system calls of a base profile an image can do without. Only rules that refuse are added, so the result lets through no call that
 * the base does not: of several rules for one call the strictest answers (compile/seccomp/normalise.ts). Pure.
 */
import { GROUPS } from "../compile/seccomp/groups.ts";
import type { CallNeed } from "../elf/call-needs.ts";
import type { CallsNeeded } from "../image/facts/reach.ts";
import { printable } from "../image/names.ts";
import { showSeccomp } from "../profile/show.ts";
import type { SeccompSpec } from "../profile/spec.ts";

const words = (text: string): readonly string[] => text.split(" ");
const group = (name: string): readonly string[] => GROUPS[name]?.calls ?? [];

/** What each kind of need is about. Calls that the C library makes on its own account, such as tgkill for abort(3), are in none. */
const CALLS: Readonly<Record<CallNeed, readonly string[]>> = {
  network: [...group("@socket"), ...group("@network-io")],
  processes: words("fork vfork clone clone3"),
  signals: words("kill tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal"),
  credentials: group("@credentials"),
  scheduling: words(
    "sched_setparam sched_setscheduler sched_setaffinity sched_setattr setpriority nice ioprio_set",
  ),
  "file-changes": words(
    "mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat mknod mknodat truncate ftruncate fallocate utime utimes utimensat futimesat setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat",
  ),
  watches: words("inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_init fanotify_mark"),
};

/** No function of a C library makes them: who wants them calls syscall(2) or the kernel itself. */
const UNWRAPPED = words("landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp");

export interface LeftOut {
  /** As an author writes it; null: the base's own. */
  readonly seccomp: unknown;
  readonly sentence: string;
}

/** @param permitted - calls that the base lets through at all. */
export function leaveOut(
  { needs, because }: CallsNeeded,
  base: SeccompSpec | null,
  permitted: ReadonlySet<string>,
): LeftOut {
  const [first = "nothing is known of what starts"] = because;
  if (base === null) return { seccomp: null, sentence: "all of them: the base has no filter" };
  if (needs === null)
    return { seccomp: null, sentence: `those of the base; fewer cannot be decided: ${printable(first)}` };
  const kinds = (Object.keys(CALLS) as CallNeed[]).filter((need) => !needs.includes(need));
  const names = [...new Set([...kinds.flatMap((need) => CALLS[need]), ...UNWRAPPED])].filter((name) =>
    permitted.has(name),
  );
  if (names.length === 0) return { seccomp: null, sentence: "those of the base: all of them are needed" };
  const shown = showSeccomp(base) as { readonly syscalls: readonly unknown[] };
  const rule = {
    comment: "No program or library that the image's command reaches can ask its C library for these",
    names,
    action: "SCMP_ACT_ERRNO",
    errnoRet: 1,
  };
  return {
    seccomp: { ...shown, syscalls: [...shown.syscalls, rule] },
    sentence: `${names.length} fewer than the base: nothing that is reached asks for ${kinds.join(", ")}`,
  };
}
