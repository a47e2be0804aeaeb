/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files and standard input, for verbs that take text. */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* NULL with errno set; EFBIG where there is more than max. */
static char *read_all(FILE *f, int64_t max, int64_t *len)
{
    char *data = NULL;
    int64_t n = 0, cap = 0;
    for (;;) {
        if (n + 1 >= cap) {
            cap = cap ? 2 * cap : 1 << 16;
            char *grown = realloc(data, (size_t)cap);
            if (!grown) goto fail;
            data = grown;
        }
        errno = 0;
        size_t got = fread(data + n, 1, (size_t)(cap - 1 - n), f);
        n += (int64_t)got;
        if (n > max) {
            errno = EFBIG;
            goto fail;
        }
        if (got == 0) {
            if (ferror(f)) goto fail;
            break;
        }
    }
    data[n] = 0;
    *len = n;
    return data;
fail:
    if (!errno) errno = EIO;
    free(data);
    return NULL;
}

char *sc_cmd_read(const sc_cmd *c, const char *path, int64_t max, int64_t *len)
{
    bool from_stdin = !path || strcmp(path, "-") == 0;
    const char *name = from_stdin ? "standard input" : path;
    FILE *f = from_stdin ? stdin : fopen(path, "rb");
    if (!f) {
        sc_cmd_error(c, "%s: %s", name, strerror(errno));
        return NULL;
    }
    char *data = read_all(f, max, len);
    int code = errno;
    if (!from_stdin) fclose(f);
    if (!data && code == EFBIG)
        sc_cmd_error(c, "%s: more than %lld bytes", name, (long long)max);
    else if (!data)
        sc_cmd_error(c, "%s: %s", name, strerror(code));
    return data;
}
