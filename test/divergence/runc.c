/* Makes the calls that its arguments say, seven numbers each, and prints the errno of each or 0. Static: it runs in an empty root. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  for (int i = 1; i + 6 < argc; i += 7) {
    long word[7];
    for (int j = 0; j < 7; j++) word[j] = (long)strtoull(argv[i + j], NULL, 0);
    errno = 0;
    long result = syscall(word[0], word[1], word[2], word[3], word[4], word[5], word[6]);
    printf("%d ", result == -1 ? errno : 0);
  }
  return 0;
}
