/*
 * Runs a command under a filter of one instruction, "allow": what any filter costs, however short.
 *   floor none|plain|spec-allow COMMAND...   spec-allow: with SECCOMP_FILTER_FLAG_SPEC_ALLOW
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv, char **envp) {
  if (argc < 3) return 64;
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {1, &allow};
  unsigned flags = strcmp(argv[1], "spec-allow") == 0 ? SECCOMP_FILTER_FLAG_SPEC_ALLOW : 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      (strcmp(argv[1], "none") != 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) != 0)) {
    perror("floor");
    return 125;
  }
  execve(argv[2], argv + 2, envp);
  return 127;
}
