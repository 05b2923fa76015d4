/*
 * Milliseconds from fork to the end of a command, once per line of input that names it; so that what is measured is the
 * command and not Node, whose spawn costs as much as a whole sandbox.
 *   timer FILE   FILE: one command per line, words separated by tabs; stdin: line numbers to run, one each
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS 32
#define WORDS 128

extern char **environ;

int main(int argc, char **argv) {
  static char *commands[COMMANDS][WORDS];
  int known = 0;
  FILE *list = argc > 1 ? fopen(argv[1], "r") : NULL;
  if (list == NULL) return 64;
  char *line = NULL;
  size_t size = 0;
  while (known < COMMANDS && getline(&line, &size, list) > 0) {
    line[strcspn(line, "\n")] = 0;
    int word = 0;
    for (char *part = strtok(strdup(line), "\t"); part != NULL && word < WORDS - 1; part = strtok(NULL, "\t"))
      commands[known][word++] = part;
    known++;
  }
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  while (getline(&line, &size, stdin) > 0) {
    int which = atoi(line);
    if (which < 0 || which >= known) return 64;
    struct timespec from, to;
    pid_t pid;
    int status = 0;
    clock_gettime(CLOCK_MONOTONIC, &from);
    if (posix_spawn(&pid, commands[which][0], &quiet, NULL, commands[which], environ) != 0) return 127;
    waitpid(pid, &status, 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.4f %d\n", (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    fflush(stdout);
  }
  return 0;
}
