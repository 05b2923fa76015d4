/*
 * One attempt for each Landlock right, below a directory that the test prepared; prints "NAME ok" or "NAME ERRNO" for each.
 * Every attempt goes through where mounts, modes and capabilities alone decide, but make_char and make_block, which take a capability
 * on the host: there only the errno tells who refused.
 *
 *   landlock DIRECTORY [NAME...]   the attempts named; none: all that need nothing but the directory
 *   landlock serve NAME            listen on an abstract socket until standard input ends
 *   landlock within fs|net COMMAND [ARGUMENT...]   the command inside a Landlock domain of the caller's own
 *
 * DIRECTORY holds: file, victim, from/moved, to/, empty/, run (this program).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *directory;

static const char *at(const char *name) {
  static char paths[4][512];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", directory, name);
  return path;
}

static int opened(int fd) { return fd < 0 ? -1 : close(fd); }

/* execve's errno comes through a pipe that a successful execve closes. */
static int execute(void) {
  int channel[2], error = 0;
  if (pipe2(channel, O_CLOEXEC)) return -1;
  pid_t child = fork();
  if (child == 0) {
    execl(at("run"), "run", "nothing", (char *)0);
    error = errno;
    if (write(channel[1], &error, sizeof error)) _exit(1);
    _exit(1);
  }
  close(channel[1]);
  if (read(channel[0], &error, sizeof error) <= 0) error = 0;
  close(channel[0]);
  waitpid(child, NULL, 0);
  errno = error;
  return error ? -1 : 0;
}
static int write_file(void) { return opened(open(at("file"), O_WRONLY)); }
static int read_file(void) { return opened(open(at("file"), O_RDONLY)); }
static int read_dir(void) { return opened(open(directory, O_RDONLY | O_DIRECTORY)); }
static int remove_dir(void) { return rmdir(at("empty")); }
static int remove_file(void) { return unlink(at("victim")); }
static int make_char(void) { return mknod(at("char"), S_IFCHR | 0600, makedev(1, 3)); }
/* Looks like a device and is none: what an overlay leaves for a file that was removed. Takes no capability. */
static int whiteout(void) { return mknod(at("whiteout"), S_IFCHR | 0600, makedev(0, 0)); }
static int make_dir(void) { return mkdir(at("directory"), 0700); }
static int make_reg(void) { return mknod(at("regular"), S_IFREG | 0600, 0); }
static int make_fifo(void) { return mkfifo(at("fifo"), 0600); }
static int make_block(void) { return mknod(at("block"), S_IFBLK | 0600, makedev(7, 0)); }
static int make_sym(void) { return symlink("file", at("link")); }
static int refer(void) { return rename(at("from/moved"), at("to/moved")); }
static int cut(void) { return truncate(at("file"), 1); }

static socklen_t unix_address(struct sockaddr_un *address, const char *path, int abstract) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  snprintf(address->sun_path + abstract, sizeof address->sun_path - (size_t)abstract, "%s", path);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)abstract + strlen(path) + (abstract ? 0 : 1));
}
static int make_sock(void) {
  struct sockaddr_un address;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  return bind(fd, (struct sockaddr *)&address, unix_address(&address, at("s"), 0));
}
static int connect_unix(const char *path, int abstract) {
  struct sockaddr_un address;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  return connect(fd, (struct sockaddr *)&address, unix_address(&address, path, abstract));
}
/* Served by the test, outside. */
static int resolve_unix(void) { return connect_unix(at("outside"), 0); }
static int abstract_unix_socket(void) { return connect_unix(getenv("ABSTRACT") ? getenv("ABSTRACT") : "", 1); }

static int serve(const char *name) {
  struct sockaddr_un address;
  char end;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&address, unix_address(&address, name, 1)) || listen(fd, 8)) return perror(name), 1;
  puts("ready");
  fflush(stdout);
  while (read(0, &end, 1) > 0) continue;
  return 0;
}

static int ioctl_dev(void) {
  unsigned number;
  int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  return fd < 0 ? -1 : ioctl(fd, TIOCGPTN, &number);
}
static int signal_init(void) { return kill(1, 0); }

enum { PORT = 4711 };
static struct sockaddr_in port_address(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
static int bind_port(int type) {
  struct sockaddr_in address = port_address();
  return bind(socket(AF_INET, type, 0), (struct sockaddr *)&address, sizeof address);
}
static int connect_port(int type) {
  struct sockaddr_in address = port_address();
  return connect(socket(AF_INET, type, 0), (struct sockaddr *)&address, sizeof address);
}
static int bind_tcp(void) { return bind_port(SOCK_STREAM); }
/* Nobody listens: the refusal comes from the network, after everyone who may say no. */
static int connect_tcp(void) {
  int result = connect_port(SOCK_STREAM);
  return result < 0 && errno == ECONNREFUSED ? 0 : result;
}
/* TCP without connect(2). Nobody listens here either. */
static int unheard(ssize_t result) { return result < 0 && errno != ECONNREFUSED ? -1 : 0; }
static int send_fast(int how) {
  struct sockaddr_in address = port_address();
  struct iovec data = {.iov_base = "x", .iov_len = 1};
  struct mmsghdr message = {
    .msg_hdr = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &data, .msg_iovlen = 1}};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (how == 0) return unheard(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address));
  if (how == 1) return unheard(sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN));
  return unheard(sendmmsg(fd, &message, 1, MSG_FASTOPEN));
}
static int fast_sendto(void) { return send_fast(0); }
static int fast_sendmsg(void) { return send_fast(1); }
static int fast_sendmmsg(void) { return send_fast(2); }
static int multipath(int (*take)(int, const struct sockaddr *, socklen_t)) {
  struct sockaddr_in address = port_address();
  int fd = socket(AF_INET, SOCK_STREAM, 262);
  return fd < 0 ? -1 : unheard(take(fd, (struct sockaddr *)&address, sizeof address));
}
static int mptcp_connect(void) { return multipath(connect); }
static int mptcp_bind(void) { return multipath(bind); }
static int tcp_ulp(void) {
  /* What a kernel without it says, and one that was not asked for it yet: there is no such protocol. */
  int result = setsockopt(socket(AF_INET, SOCK_STREAM, 0), 6, 31, "tls", 4);
  return result < 0 && errno == ENOTCONN ? 0 : result;
}
static int ring(void) {
  char params[120] = {0};
  return opened((int)syscall(425, 1, params));
}
/* The kernel picks the port. */
static int listen_anywhere(void) { return listen(socket(AF_INET, SOCK_STREAM, 0), 1); }
static int bind_udp(void) { return bind_port(SOCK_DGRAM); }
static int connect_send_udp(void) { return connect_port(SOCK_DGRAM); }
/* Standard input, again, for writing: the mode of the file is all that says no. */
static int rewrite_stdin(void) { return opened(open("/proc/self/fd/0", O_WRONLY)); }
static int reread_stdin(void) { return opened(open("/proc/self/fd/0", O_RDONLY)); }
static int rewrite_stdout(void) { return opened(open("/proc/self/fd/1", O_WRONLY)); }
static int reread_stdout(void) { return opened(open("/proc/self/fd/1", O_RDONLY)); }
static int own_memory(void) { return opened(open("/proc/self/mem", O_RDWR)); }

static const struct {
  const char *name;
  int (*attempt)(void);
  int plain;
} ATTEMPTS[] = {
  {"execute", execute, 1}, {"write_file", write_file, 1}, {"read_file", read_file, 1},
  {"read_dir", read_dir, 1}, {"remove_dir", remove_dir, 1}, {"remove_file", remove_file, 1},
  {"make_char", make_char, 1}, {"whiteout", whiteout, 0}, {"make_dir", make_dir, 1}, {"make_reg", make_reg, 1},
  {"make_sock", make_sock, 1}, {"make_fifo", make_fifo, 1}, {"make_block", make_block, 1},
  {"make_sym", make_sym, 1}, {"refer", refer, 1}, {"truncate", cut, 1},
  {"ioctl_dev", ioctl_dev, 1}, {"resolve_unix", resolve_unix, 0}, {"bind_tcp", bind_tcp, 0},
  {"connect_tcp", connect_tcp, 0}, {"bind_udp", bind_udp, 0}, {"connect_send_udp", connect_send_udp, 0},
  {"fast-sendto", fast_sendto, 0}, {"fast-sendmsg", fast_sendmsg, 0}, {"fast-sendmmsg", fast_sendmmsg, 0},
  {"mptcp-connect", mptcp_connect, 0}, {"mptcp-bind", mptcp_bind, 0}, {"tcp-ulp", tcp_ulp, 0}, {"ring", ring, 0},
  {"listen-anywhere", listen_anywhere, 0},
  {"abstract_unix_socket", abstract_unix_socket, 0}, {"signal", signal_init, 0},
  {"rewrite-stdin", rewrite_stdin, 0}, {"reread-stdin", reread_stdin, 0},
  {"rewrite-stdout", rewrite_stdout, 0}, {"reread-stdout", reread_stdout, 0}, {"own-memory", own_memory, 0},
};
enum { COUNT = sizeof ATTEMPTS / sizeof *ATTEMPTS };

/* A domain as a caller might be in already: everything below / allowed, or no TCP connection at all. */
static int within(const char *what, char **command) {
  struct { uint64_t fs, net; } ruleset = {0, 0};
  struct { uint64_t rights; int32_t fd; } __attribute__((packed)) rule = {0x1fff, open("/", O_PATH)};
  if (strcmp(what, "fs") == 0) ruleset.fs = rule.rights;
  else ruleset.net = 2;
  long fd = syscall(444, &ruleset, sizeof ruleset, 0);
  if (fd < 0) return perror("landlock_create_ruleset"), 1;
  if (ruleset.fs != 0 && syscall(445, fd, 1, &rule, 0)) return perror("landlock_add_rule"), 1;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(446, fd, 0)) return perror("landlock_restrict_self"), 1;
  execvp(command[0], command);
  return perror(command[0]), 1;
}

static void attempt(int index) {
  const int result = ATTEMPTS[index].attempt();
  printf("%s %s\n", ATTEMPTS[index].name, result < 0 ? strerrorname_np(errno) : "ok");
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc > 3 && strcmp(argv[1], "within") == 0) return within(argv[2], argv + 3);
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
  if (argc < 2) return 1;
  if (strcmp(argv[1], "nothing") == 0) return 0;
  directory = argv[1];
  for (int index = 0; argc == 2 && index < COUNT; index++)
    if (ATTEMPTS[index].plain) attempt(index);
  for (int word = 2; word < argc; word++)
    for (int index = 0; index < COUNT; index++)
      if (strcmp(argv[word], ATTEMPTS[index].name) == 0) attempt(index);
  return 0;
}
