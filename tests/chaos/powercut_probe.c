/* powercut_probe.c: does to files what its arguments say, for powercut_test.sh.
 *     write:FILE:AT:TEXT  dwrite:… (O_DSYNC)  append:FILE:TEXT  sync:FILE  syncdir:DIR  trunc:FILE:N  create:FILE
 *     rename:A:B  unlink:FILE  mkdir:DIR  exit:CODE (through _exit)  truncopen:FILE */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int with_file(const char *path, int flags, const char *verb, const char *a, const char *b)
{
    int fd = open(path, flags | O_CLOEXEC, 0600), r = -1;
    if (fd < 0) return -1;
    if (strcmp(verb, "write") == 0 || strcmp(verb, "dwrite") == 0)
        r = pwrite(fd, b, strlen(b), strtol(a, NULL, 10)) == (ssize_t)strlen(b) ? 0 : -1;
    else if (strcmp(verb, "append") == 0)
        r = write(fd, a, strlen(a)) == (ssize_t)strlen(a) ? 0 : -1;
    else if (strcmp(verb, "sync") == 0)
        r = fdatasync(fd);
    else if (strcmp(verb, "syncdir") == 0)
        r = fsync(fd);
    else if (strcmp(verb, "trunc") == 0)
        r = ftruncate(fd, strtol(a, NULL, 10));
    else if (strcmp(verb, "create") == 0 || strcmp(verb, "truncopen") == 0)
        r = 0;
    close(fd);
    return r;
}

static int flags_of(const char *verb)
{
    if (strcmp(verb, "syncdir") == 0) return O_RDONLY | O_DIRECTORY;
    if (strcmp(verb, "dwrite") == 0) return O_RDWR | O_CREAT | O_DSYNC;
    if (strcmp(verb, "append") == 0) return O_WRONLY | O_CREAT | O_APPEND;
    if (strcmp(verb, "truncopen") == 0) return O_WRONLY | O_TRUNC;
    return O_RDWR | O_CREAT;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *save, *verb = strtok_r(argv[i], ":", &save), *path = strtok_r(NULL, ":", &save);
        const char *a = strtok_r(NULL, ":", &save), *b = strtok_r(NULL, ":", &save);
        int r;
        if (!verb || !path) return 2;
        if (strcmp(verb, "exit") == 0) _exit((int)strtol(path, NULL, 10));
        if (strcmp(verb, "rename") == 0)
            r = rename(path, a);
        else if (strcmp(verb, "unlink") == 0)
            r = unlink(path);
        else if (strcmp(verb, "mkdir") == 0)
            r = mkdir(path, 0700);
        else
            r = with_file(path, flags_of(verb), verb, a, b);
        if (r != 0) {
            perror(argv[i]);
            return 1;
        }
    }
    return 0;
}
