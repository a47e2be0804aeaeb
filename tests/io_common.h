/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the file formats share. */
#ifndef IO_COMMON_H
#define IO_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/io.h"

#define DATA SOCLE_SOURCE_DIR "/tests/data/io/"

#define ok(call)                                                                                                   \
    do {                                                                                                           \
        if ((call) != SC_OK) fail_msg("%s: %s", #call, sc_error());                                                \
    } while (0)

/* The call must fail with this code and a message that holds this text. */
#define fails(code, text, call)                                                                                    \
    do {                                                                                                           \
        sc_status got_ = (call);                                                                                   \
        if (got_ != (code))                                                                                        \
            fail_msg("%s: %s, not %s: %s", #call, sc_status_text(got_), sc_status_text(code), sc_error());         \
        if (!strstr(sc_error(), text)) fail_msg("%s: '%s' does not say '%s'", #call, sc_error(), text);            \
        if (strchr(sc_error(), '\n')) fail_msg("%s: more than one line", #call);                                   \
    } while (0)

/* A directory of this test's own; removed by drop_dir with the plain files and one level of folders in it. */
static inline char *make_dir(void)
{
    char *dir = strdup("/tmp/socle_test_XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void drop_dir(char *dir)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
    free(dir);
}

static inline char *in_dir(const char *dir, const char *name)
{
    static char path[8][512];
    static int at;
    char *p = path[at++ % 8];
    snprintf(p, 512, "%s/%s", dir, name);
    return p;
}

/* Exactly n bytes on the heap, so that a sanitizer sees the first byte read past them. */
static inline void free_bytes(sc_buffer *b) { free(b->data); }

static inline sc_buffer *bytes_of(const void *p, size_t n)
{
    sc_buffer *b;
    void *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n) memcpy(copy, p, n);
    ok(sc_buffer_wrap(&b, copy, (int64_t)n, free_bytes, NULL));
    return b;
}

static inline char *read_all_of(const char *path, int64_t *n)
{
    char *p;
    ok(sc_file_read(&p, n, path, 1 << 24));
    return p;
}

#endif
