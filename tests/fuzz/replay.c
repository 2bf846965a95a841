/* replay.c: runs a fuzz target over a folder of inputs, once each, for builds without libFuzzer. The name of the file
 * that is being run is on stderr when it crashes. */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1: it was an input; 0: not a file; -1: it cannot be read. */
static int run_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) return -1;
    if (!S_ISREG(st.st_mode)) return 0;
    size_t n = (size_t)st.st_size;
    uint8_t *data = malloc(n ? n : 1);
    FILE *in = fopen(path, "rb");
    int result = -1;
    if (data && in && fread(data, 1, n, in) == n) {
        LLVMFuzzerTestOneInput(data, n);
        result = 1;
    }
    if (in) fclose(in);
    free(data);
    return result;
}

int main(int argc, char **argv)
{
    int count = 0;
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: %s FOLDER-OF-INPUTS\n", argv[0]);
        return 1;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[PATH_MAX];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        fprintf(stderr, "%s\n", path);
        int result = run_file(path);
        if (result < 0) {
            fprintf(stderr, "%s: cannot be read\n", path);
            closedir(dir);
            return 1;
        }
        count += result;
    }
    closedir(dir);
    fprintf(stderr, "%d inputs\n", count);
    return count ? 0 : 1;
}
