/*
 * What is in force for this process, one "key=value" a line, ended by "end=". Made for runs whose system calls are
 * failed on purpose: freestanding, and with calls that the launcher does not use (open, pread64, readlink, writev),
 * so that a fault aimed at the launcher does not blind the probe. A value that cannot be read is "?ERRNO".
 *
 * Built with: -static -nostdlib -ffreestanding -fno-stack-protector
 */
#include <asm/unistd.h>
#include <stddef.h>

static long call(long number, long a, long b, long c, long d) {
  long result;
#if defined(__x86_64__)
  register long fourth __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long eighth __asm__("x8") = number, zero __asm__("x0") = a, one __asm__("x1") = b, two __asm__("x2") = c, three __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(zero) : "r"(eighth), "r"(one), "r"(two), "r"(three) : "memory");
  result = zero;
#else
#error "no system calls for this architecture"
#endif
  return result;
}

#define AT_FDCWD -100L
static long open_path(const char *path, long flags) {
#ifdef __NR_open
  return call(__NR_open, (long)path, flags, 0600, 0);
#else
  return call(__NR_openat, AT_FDCWD, (long)path, flags, 0600);
#endif
}
static long read_link(const char *path, char *to, long size) {
#ifdef __NR_readlink
  return call(__NR_readlink, (long)path, (long)to, size, 0);
#else
  return call(__NR_readlinkat, AT_FDCWD, (long)path, (long)to, size);
#endif
}

static char out[1 << 16];
static size_t used;
static void flush(void) {
  struct { char *base; size_t length; } piece = {out, used};
  while (piece.length > 0) {
    long count = call(__NR_writev, 1, (long)&piece, 1, 0);
    if (count <= 0) call(__NR_exit_group, 99, 0, 0, 0);
    piece.base += count;
    piece.length -= (size_t)count;
  }
  used = 0;
}
static void character(char value) {
  if (used == sizeof out) flush();
  out[used++] = value;
}
static void text(const char *value) {
  while (*value != 0) character(*value++);
}
static void number(long value) {
  char digits[24];
  int at = 0;
  if (value < 0) { character('-'); value = -value; }
  do digits[at++] = (char)('0' + value % 10); while ((value /= 10) > 0);
  while (at > 0) character(digits[--at]);
}
static void result_line(const char *key, long value) {
  text(key);
  character('=');
  if (value < 0) { character('?'); number(-value); } else number(value);
  character('\n');
}

static char chunk[4096];
/* Every line of a file as "key=line". */
static void lines(const char *key, const char *path) {
  long fd = open_path(path, 0);
  if (fd < 0) { result_line(key, fd); return; }
  int start = 1;
  long offset = 0, count;
  while ((count = call(__NR_pread64, fd, (long)chunk, sizeof chunk, offset)) > 0) {
    for (long at = 0; at < count; at++) {
      if (start) { text(key); character('='); start = 0; }
      character(chunk[at]);
      if (chunk[at] == '\n') start = 1;
    }
    offset += count;
  }
  if (!start) character('\n');
  if (count < 0) result_line(key, count);
  call(__NR_close, fd, 0, 0, 0);
}
static void link_line(const char *key, const char *path) {
  char to[512];
  long count = read_link(path, to, sizeof to - 1);
  if (count < 0) { result_line(key, count); return; }
  to[count] = 0;
  text(key);
  character('=');
  text(to);
  character('\n');
}
/* Opened and closed again: 0, or why not. */
static void tried_open(const char *key, const char *path, long flags) {
  long fd = open_path(path, flags);
  if (fd >= 0) call(__NR_close, fd, 0, 0, 0);
  result_line(key, fd < 0 ? fd : 0);
}
static size_t copy(char *to, const char *from) {
  size_t length = 0;
  while ((to[length] = from[length]) != 0) length++;
  return length;
}

void probe(long *stack) {
  long count = stack[0];
  char **environment = (char **)(stack + 1 + count + 1);

  lines("status", "/proc/self/status");
  static const char *const namespaces[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"};
  for (size_t at = 0; at < sizeof namespaces / sizeof *namespaces; at++) {
    char key[32], path[64];
    copy(key + copy(key, "ns-"), namespaces[at]);
    copy(path + copy(path, "/proc/self/ns/"), namespaces[at]);
    link_line(key, path);
  }
  lines("limit", "/proc/self/limits");
  lines("mount", "/proc/self/mountinfo");
  lines("uid-map", "/proc/self/uid_map");
  lines("gid-map", "/proc/self/gid_map");
  result_line("securebits", call(__NR_prctl, 27, 0, 0, 0));
  link_line("cwd", "/proc/self/cwd");
  result_line("session-leader-of", call(__NR_getsid, 0, 0, 0, 0));

  tried_open("create-root", "/probe-was-here", 0101);
  tried_open("create-usr", "/usr/probe-was-here", 0101);
  tried_open("create-etc", "/etc/probe-was-here", 0101);
  tried_open("read-shadow", "/etc/shadow", 0);
  tried_open("list-root-home", "/root", 0);
  tried_open("list-sys", "/sys/kernel", 0);
  tried_open("read-meminfo", "/proc/meminfo", 0);
  /* Whether a Landlock domain ends here: pid 1 has the same uid. */
  result_line("signal-init", call(__NR_tkill, 1, 0, 0, 0));
  result_line("nested-user-namespace", call(__NR_unshare, 0x10000000, 0, 0, 0));

  long directory = open_path("/proc/self/fd", 0200000);
  if (directory < 0) result_line("fd", directory);
  long length = 0;
  while (directory >= 0 && (length = call(__NR_getdents64, directory, (long)chunk, sizeof chunk, 0)) > 0)
    for (long at = 0; at < length;) {
      char *entry = chunk + at;
      at += *(unsigned short *)(entry + 16);
      char *name = entry + 19;
      if (name[0] == '.') continue;
      long fd = 0;
      for (char *digit = name; *digit != 0; digit++) fd = fd * 10 + (*digit - '0');
      if (fd == directory) continue;
      char path[64];
      copy(path + copy(path, "/proc/self/fd/"), name);
      char to[512];
      long size = read_link(path, to, sizeof to - 1);
      to[size < 0 ? 0 : size] = 0;
      text("fd=");
      text(name);
      character(' ');
      text(to);
      character('\n');
    }

  for (; *environment != NULL; environment++) {
    text("env=");
    text(*environment);
    character('\n');
  }
  text("end=\n");
  flush();
  call(__NR_exit_group, 0, 0, 0, 0);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call probe\n");
#else
__asm__(".globl _start\n_start: mov x0, sp\n bl probe\n");
#endif
