/*
 * Two processes that try to find each other. `hold TOKEN` opens one end of every channel, says "ready" and keeps all
 * open until its standard input ends; `seek TOKEN` looks for the other ends: "CHANNEL seen", "CHANNEL absent", or
 * "CHANNEL absent ERRNO" when the channel itself is refused.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SHARED "/usr/bin/env"
#define SHARED_FLOCK "/usr/bin/cat"
#define SHARED_OFD "/usr/bin/ls"
#define SHARED_ETC "/etc/ld.so.cache"
#define SHARED_CERTS "/etc/ssl/certs"
#define SHARED_ALTERNATIVES "/etc/alternatives"

static const char *token;
static key_t key;
static char slashed[256], path[512];

static int shared(const char *file) { return open(file, O_RDONLY | O_CLOEXEC); }

static int abstract_socket(struct sockaddr_un *address, socklen_t *length) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path + 1, token, strlen(token));
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(token));
  return socket(AF_UNIX, SOCK_STREAM, 0);
}
static struct sockaddr_in loopback(void) {
  return (struct sockaddr_in){
    .sin_family = AF_INET, .sin_port = htons((uint16_t)(20000 + key % 10000)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}
static struct flock whole(short type) { return (struct flock){.l_type = type, .l_whence = SEEK_SET}; }
static int made(const char *directory) {
  snprintf(path, sizeof path, "%s/%s", directory, token);
  return open(path, O_WRONLY | O_CREAT, 0666) < 0 ? -1 : 0;
}
static int found(const char *directory) {
  snprintf(path, sizeof path, "%s/%s", directory, token);
  return access(path, F_OK);
}

/* Each channel: open one end; look for the other (0: seen). */
static int tmp_hold(void) { return made("/tmp"); }
static int tmp_seek(void) { return found("/tmp"); }
static int dev_shm_hold(void) { return made("/dev/shm"); }
static int dev_shm_seek(void) { return found("/dev/shm"); }
static int posix_shm_hold(void) { return shm_open(slashed, O_CREAT | O_RDWR, 0666) < 0 ? -1 : 0; }
static int posix_shm_seek(void) { return shm_open(slashed, O_RDONLY, 0) < 0 ? -1 : 0; }
static int mqueue_hold(void) { return mq_open(slashed, O_CREAT | O_RDWR, 0666, NULL) == (mqd_t)-1 ? -1 : 0; }
static int mqueue_seek(void) { return mq_open(slashed, O_RDONLY) == (mqd_t)-1 ? -1 : 0; }
static int sysv_shm_hold(void) { return shmget(key, 4096, IPC_CREAT | 0666) < 0 ? -1 : 0; }
static int sysv_shm_seek(void) { return shmget(key, 0, 0) < 0 ? -1 : 0; }
static int sysv_msg_hold(void) { return msgget(key, IPC_CREAT | 0666) < 0 ? -1 : 0; }
static int sysv_msg_seek(void) { return msgget(key, 0) < 0 ? -1 : 0; }
static int sysv_sem_hold(void) { return semget(key, 1, IPC_CREAT | 0666) < 0 ? -1 : 0; }
static int sysv_sem_seek(void) { return semget(key, 1, 0) < 0 ? -1 : 0; }
static int abstract_hold(void) {
  struct sockaddr_un address;
  socklen_t length;
  int fd = abstract_socket(&address, &length);
  return fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 1) < 0 ? -1 : 0;
}
static int abstract_seek(void) {
  struct sockaddr_un address;
  socklen_t length;
  int fd = abstract_socket(&address, &length);
  return fd < 0 || connect(fd, (struct sockaddr *)&address, length) < 0 ? -1 : 0;
}
static int tcp_hold(void) {
  struct sockaddr_in address = loopback();
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0 ? -1 : 0;
}
static int tcp_seek(void) {
  struct sockaddr_in address = loopback();
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -1 : 0;
}
static int key_hold(void) { return syscall(SYS_add_key, "user", token, "x", 1, -4) < 0 ? -1 : 0; }
static int key_seek(void) { return syscall(SYS_keyctl, 10, -4, "user", token, 0) < 0 ? -1 : 0; }
static int session_key_hold(void) { return syscall(SYS_add_key, "user", token, "x", 1, -3) < 0 ? -1 : 0; }
static int session_key_seek(void) { return syscall(SYS_keyctl, 10, -3, "user", token, 0) < 0 ? -1 : 0; }
static int flock_on(const char *file) {
  int fd = shared(file);
  return fd < 0 ? -1 : flock(fd, LOCK_EX | LOCK_NB);
}
static int flock_seen(const char *file) {
  int fd = shared(file);
  if (fd < 0) return -1;
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) return errno == EWOULDBLOCK ? 0 : -1;
  errno = 0;
  return -1;
}
static int flock_hold(void) { return flock_on(SHARED_FLOCK); }
static int flock_seek(void) { return flock_seen(SHARED_FLOCK); }
static int flock_etc_hold(void) { return flock_on(SHARED_ETC); }
static int flock_etc_seek(void) { return flock_seen(SHARED_ETC); }
static int flock_certs_hold(void) { return flock_on(SHARED_CERTS); }
static int flock_certs_seek(void) { return flock_seen(SHARED_CERTS); }
static int flock_alternatives_hold(void) { return flock_on(SHARED_ALTERNATIVES); }
static int flock_alternatives_seek(void) { return flock_seen(SHARED_ALTERNATIVES); }
static int lock_hold(int command, const char *file) {
  int fd = shared(file);
  struct flock range = whole(F_RDLCK);
  return fd < 0 ? -1 : fcntl(fd, command, &range);
}
static int lock_seek(int command, const char *file) {
  int fd = shared(file);
  struct flock range = whole(F_WRLCK);
  if (fd < 0 || fcntl(fd, command, &range) < 0) return -1;
  errno = 0;
  return range.l_type == F_UNLCK ? -1 : 0;
}
static int posix_lock_hold(void) { return lock_hold(F_SETLK, SHARED); }
static int posix_lock_seek(void) { return lock_seek(F_GETLK, SHARED); }
static int posix_lock_etc_hold(void) { return lock_hold(F_SETLK, SHARED_ETC); }
static int posix_lock_etc_seek(void) { return lock_seek(F_GETLK, SHARED_ETC); }
static int ofd_lock_hold(void) { return lock_hold(F_OFD_SETLK, SHARED_OFD); }
static int ofd_lock_seek(void) { return lock_seek(F_OFD_GETLK, SHARED_OFD); }
/* A process whose command line has the token, other than this one. */
static int process_hold(void) { return 0; }
static int process_seek(void) {
  DIR *directory = opendir("/proc");
  if (directory == NULL) return -1;
  const struct dirent *entry;
  while ((entry = readdir(directory)) != NULL) {
    if (atoi(entry->d_name) <= 0 || atoi(entry->d_name) == getpid()) continue;
    char line[4096];
    snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    if (fd >= 0) close(fd);
    for (ssize_t at = 0; at < length; at++)
      if (line[at] == 0) line[at] = ' ';
    if (length > 0 && memmem(line, (size_t)length, "hold ", 5) != NULL &&
        memmem(line, (size_t)length, token, strlen(token)) != NULL) return 0;
  }
  errno = 0;
  return -1;
}

static const struct { const char *name; int (*hold)(void); int (*seek)(void); } channels[] = {
  {"tmp", tmp_hold, tmp_seek}, {"dev-shm", dev_shm_hold, dev_shm_seek}, {"posix-shm", posix_shm_hold, posix_shm_seek},
  {"mqueue", mqueue_hold, mqueue_seek}, {"sysv-shm", sysv_shm_hold, sysv_shm_seek},
  {"sysv-msg", sysv_msg_hold, sysv_msg_seek}, {"sysv-sem", sysv_sem_hold, sysv_sem_seek},
  {"abstract", abstract_hold, abstract_seek}, {"tcp", tcp_hold, tcp_seek}, {"user-key", key_hold, key_seek},
  {"session-key", session_key_hold, session_key_seek}, {"flock", flock_hold, flock_seek},
  {"flock-etc", flock_etc_hold, flock_etc_seek}, {"flock-certs", flock_certs_hold, flock_certs_seek},
  {"flock-alternatives", flock_alternatives_hold, flock_alternatives_seek},
  {"posix-lock-etc", posix_lock_etc_hold, posix_lock_etc_seek},
  {"posix-lock", posix_lock_hold, posix_lock_seek}, {"ofd-lock", ofd_lock_hold, ofd_lock_seek},
  {"process", process_hold, process_seek},
};
#define CHANNELS (sizeof channels / sizeof *channels)

/* System V objects and message queues and keys outlive their maker; outside a sandbox they must be taken away again. */
static void clean(void) {
  int id;
  if ((id = shmget(key, 0, 0)) >= 0) shmctl(id, IPC_RMID, NULL);
  if ((id = msgget(key, 0)) >= 0) msgctl(id, IPC_RMID, NULL);
  if ((id = semget(key, 1, 0)) >= 0) semctl(id, 0, IPC_RMID);
  long ring = syscall(SYS_keyctl, 10, -4, "user", token, 0);
  if (ring >= 0) syscall(SYS_keyctl, 9, ring, -4);
  mq_unlink(slashed);
  shm_unlink(slashed);
  snprintf(path, sizeof path, "/tmp/%s", token);
  unlink(path);
}

int main(int argc, char **argv) {
  if (argc != 3 || strlen(argv[2]) > 60) return 64;
  token = argv[2];
  snprintf(slashed, sizeof slashed, "/%s", token);
  for (const char *at = token; *at != 0; at++) key = key * 31 + *at;
  key &= 0x3fffffff;
  int holding = strcmp(argv[1], "hold") == 0;
  int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  const char *const watched[] = {SHARED, SHARED_ETC, SHARED_CERTS, SHARED_ALTERNATIVES};
  int watching[sizeof watched / sizeof *watched];
  for (size_t at = 0; at < sizeof watched / sizeof *watched; at++)
    watching[at] = holding ? inotify_add_watch(watch, watched[at], IN_OPEN) : -1;
  for (size_t at = 0; at < CHANNELS; at++) {
    errno = 0;
    int result = holding ? channels[at].hold() : channels[at].seek();
    const char *error = result < 0 && errno != 0 ? strerrorname_np(errno) : "";
    printf("%s %s %s\n", channels[at].name, result < 0 ? (holding ? "refused" : "absent") : (holding ? "held" : "seen"), error);
  }
  if (!holding) return 0;
  _Alignas(struct inotify_event) char events[4096];
  while (read(watch, events, sizeof events) > 0) {} /* our own opens */
  printf("ready\n");
  fflush(stdout);
  while (read(0, events, sizeof events) > 0) {}
  for (ssize_t length = 0, from = 0; from < length || (from = 0, length = read(watch, events, sizeof events)) > 0;) {
    const struct inotify_event *event = (const struct inotify_event *)(events + from);
    from += (ssize_t)(sizeof *event + event->len);
    for (size_t at = 0; at < sizeof watched / sizeof *watched; at++)
      if (watching[at] == event->wd) watching[at] = -2;
  }
  for (size_t at = 0; at < sizeof watched / sizeof *watched; at++)
    printf("inotify:%s %s\n", watched[at], watching[at] == -2 ? "seen" : "absent");
  clean();
  return 0;
}
