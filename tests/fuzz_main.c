/* SPDX-License-Identifier: Apache-2.0 */
/* Replays a fuzz target over every file of the folders and files named on the command line, and over no bytes. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    size_t size = 0, cap = 1 << 16;
    uint8_t *data = malloc(cap);
    while (data) {
        size_t n = fread(data + size, 1, cap - size, f);
        size += n;
        if (n == 0) break;
        if (size == cap) data = realloc(data, cap *= 2);
    }
    fclose(f);
    if (!data) return -1;
    /* A copy of exactly this size, so that a sanitizer sees one byte past the end. */
    uint8_t *exact = malloc(size ? size : 1);
    if (exact) {
        memcpy(exact, data, size);
        LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
    free(data);
    return exact ? 1 : -1;
}

static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode)) return replay_file(path);
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort), total = 0;
    if (n < 0) {
        perror(path);
        return -1;
    }
    for (int i = 0; i < n; i++) {
        char child[4096];
        if (entries[i]->d_name[0] != '.' && total >= 0 &&
            snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name) < (int)sizeof child) {
            int got = replay(child);
            total = got < 0 ? -1 : total + got;
        }
        free(entries[i]);
    }
    free(entries);
    return total;
}

int main(int argc, char **argv)
{
    int total = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        int got = replay(argv[i]);
        if (got < 0) return 1;
        total += got;
    }
    printf("%d inputs replayed\n", total);
    if (total == 0) {
        fprintf(stderr, "no corpus: a fuzz target needs seeds\n");
        return 1;
    }
    return 0;
}
