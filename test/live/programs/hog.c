/*
 * Takes as much of one resource as it can, and says on stdout how far it came: "KIND AMOUNT ERRNO|end".
 *   memory MB | files PATH MB | file PATH MB | descriptors | processes | bomb | threads N | cpu | output MB | wait | crash
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MB (1024L * 1024L)
static char block[65536];

static int said(const char *kind, long amount, int error) {
  printf("%s %ld %s\n", kind, amount, error == 0 ? "end" : strerrorname_np(error));
  fflush(stdout);
  return error == 0 ? 0 : 1;
}

static int memory(long limit) {
  for (long done = 0; done < limit; done += MB) {
    char *page = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return said("memory", done, errno);
    memset(page, 1, MB);
  }
  return said("memory", limit, 0);
}

/* One file, or many of 4 MB so that a limit on one file is not what is met. */
static int files(const char *path, long limit, long each) {
  char name[4096];
  long done = 0;
  for (int count = 0; done < limit; count++) {
    snprintf(name, sizeof name, "%s-%d", path, count);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return said("files", done, errno);
    for (long size = 0; size < each && done < limit;) {
      ssize_t wrote = write(fd, block, sizeof block);
      if (wrote < 0) return said("files", done, errno);
      size += wrote;
      done += wrote;
    }
    close(fd);
  }
  return said("files", done, 0);
}

static int descriptors(void) {
  long count = 0;
  while (open("/dev/null", O_RDONLY) >= 0) count++;
  return said("descriptors", count, errno);
}

static int processes(void) {
  for (long count = 0; count < 100000; count++) {
    pid_t child = fork();
    if (child < 0) return said("processes", count, errno);
    if (child == 0) for (;;) pause();
  }
  return said("processes", 100000, 0);
}

static void *idle(void *nothing) {
  pause();
  return nothing;
}
static int threads(long limit) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (long count = 0; count < limit; count++) {
    pthread_t thread;
    int error = pthread_create(&thread, &small, idle, NULL);
    if (error != 0) return said("threads", count, error);
  }
  return said("threads", limit, 0);
}

static int output(long limit) {
  memset(block, 'x', sizeof block);
  for (long done = 0; done < limit;) {
    ssize_t wrote = write(1, block, sizeof block);
    if (wrote < 0) return 1;
    done += wrote;
  }
  return 0;
}

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "";
  if (strcmp(kind, "memory") == 0 && argc == 3) return memory(atol(argv[2]) * MB);
  if (strcmp(kind, "files") == 0 && argc == 4) return files(argv[2], atol(argv[3]) * MB, 4 * MB);
  if (strcmp(kind, "file") == 0 && argc == 4) return files(argv[2], atol(argv[3]) * MB, atol(argv[3]) * MB);
  if (strcmp(kind, "descriptors") == 0) return descriptors();
  if (strcmp(kind, "processes") == 0) return processes();
  if (strcmp(kind, "bomb") == 0) for (;;) fork();
  if (strcmp(kind, "threads") == 0 && argc == 3) return threads(atol(argv[2]));
  if (strcmp(kind, "cpu") == 0) for (volatile unsigned long spin = 0;; spin++) {}
  if (strcmp(kind, "output") == 0 && argc == 3) return output(atol(argv[2]) * MB);
  if (strcmp(kind, "wait") == 0) { said("wait", 0, 0); for (;;) pause(); }
  if (strcmp(kind, "crash") == 0) abort();
  fprintf(stderr, "hog: what should I take?\n");
  return 64;
}
