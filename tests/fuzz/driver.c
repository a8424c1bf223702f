/*
 * Runs a fuzz target's LLVMFuzzerTestOneInput() once on each file of the folders given, and once on
 * no bytes at all: what libFuzzer's own main does with a corpus, for builds without libFuzzer. Each
 * input is an allocation of exactly its size, so that AddressSanitizer sees a read beyond it.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_SIZE_MAX = 16 * 1024 * 1024 };

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return -errno;
    int r = 0;
    uint8_t *data = NULL;
    if (fseek(file, 0, SEEK_END) < 0) {
        r = -errno;
        goto done;
    }
    long size = ftell(file);
    if (size < 0 || size > INPUT_SIZE_MAX) {
        r = -EFBIG;
        goto done;
    }
    rewind(file);
    data = malloc(size ? (size_t)size : 1);
    if (!data) {
        r = -ENOMEM;
        goto done;
    }
    if (fread(data, 1, (size_t)size, file) != (size_t)size) {
        r = -EIO;
        goto done;
    }
    LLVMFuzzerTestOneInput(data, (size_t)size);
done:
    free(data);
    fclose(file);
    return r;
}

static int run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return -errno;
    int r = 0, count = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path) {
            r = -ENAMETOOLONG;
            break;
        }
        printf("%s\n", path);
        fflush(stdout);
        r = run_file(path);
        count++;
    }
    closedir(dir);
    return r < 0 ? r : count;
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        int r = run_folder(argv[i]);
        if (r <= 0) {
            fprintf(stderr, "%s: %s\n", argv[i], r < 0 ? strerror(-r) : "no input in it");
            return 1;
        }
    }
    return 0;
}
