/* SPDX-License-Identifier: Apache-2.0 */
/* Files of text as units that threads take. */
#include "vectors/vectors.h"

/* A unit is small enough that threads end together and a stop is soon, and large enough that a long line is seldom cut. */
enum { SMALLEST_UNIT = 16 << 10, LARGEST_UNIT = 256 << 10, UNITS = 256, LINE_WITHIN = 64 << 10 };

/* Where a unit of about `size` bytes from p on ends. */
static const char *unit_end(const char *p, const char *end, int64_t size)
{
    if (end - p <= size) return end;
    const char *at = p + size, *line = memchr(at, '\n', (size_t)SC_MIN(end - at, LINE_WITHIN));
    if (line) return line + 1;
    while (at < end && !sc_word_space_byte((unsigned char)*at)) at++;
    return at;
}

static sc_status cut(sc_word_text *t)
{
    int64_t cap = 0, size = SC_MAX(SMALLEST_UNIT, SC_MIN(LARGEST_UNIT, t->bytes / UNITS));
    for (int64_t f = 0; f < t->n_files; f++) {
        const char *p = t->file[f].map->data, *end = p + t->file[f].map->size;
        while (p < end) {
            const char *to = unit_end(p, end, size);
            if (!sc_grow(&t->unit, &cap, t->n_units + 1, sizeof *t->unit)) return sc_nomem();
            t->unit[t->n_units++] = (struct sc_word_unit){p, to, (int32_t)f};
            p = to;
        }
    }
    return SC_OK;
}

static sc_status new_text(sc_word_text **out, int64_t n)
{
    sc_word_text *t = sc_calloc(1, sizeof *t);
    if (!t || !(t->file = sc_calloc((size_t)n, sizeof *t->file))) {
        sc_free(t);
        return sc_nomem();
    }
    *out = t;
    return SC_OK;
}

static sc_status finish(sc_word_text **out, sc_word_text *t, sc_status s)
{
    if (!s) s = cut(t);
    if (s)
        sc_word_text_free(t);
    else
        *out = t;
    return s;
}

sc_status sc_word_text_open(sc_word_text **out, const char *const *path, int64_t n)
{
    sc_word_text *t;
    if (n < 1 || n > 1 << 20) return sc_fail(SC_EINVAL, "%lld files of text", (long long)n);
    sc_status s = new_text(&t, n);
    if (s) return s;
    for (int64_t i = 0; !s && i < n; i++) {
        char *name = sc_strdup(path[i]);
        s = name ? sc_file_map(&t->file[i].map, path[i]) : sc_nomem();
        t->file[i].name = name;
        t->n_files = i + 1;
        if (!s) t->bytes += t->file[i].map->size;
    }
    return finish(out, t, s);
}

static void not_ours(sc_buffer *b) { (void)b; }

sc_status sc_word_text_over(sc_word_text **out, const char *p, int64_t n)
{
    sc_word_text *t;
    sc_status s = new_text(&t, 1);
    if (s) return s;
    t->n_files = 1;
    t->bytes = n;
    char *name = sc_strdup("text");
    t->file[0].name = name;
    s = name ? sc_buffer_wrap(&t->file[0].map, (void *)(uintptr_t)p, n, not_ours, NULL) : sc_nomem();
    return finish(out, t, s);
}

void sc_word_text_free(sc_word_text *t)
{
    if (!t) return;
    for (int64_t i = 0; i < t->n_files; i++) {
        sc_buffer_unref(t->file[i].map);
        sc_free((char *)(uintptr_t)t->file[i].name);
    }
    sc_free(t->file);
    sc_free(t->unit);
    sc_free(t);
}

void sc_word_text_done(const sc_word_text *t, int64_t i)
{
    const struct sc_word_unit *u = &t->unit[i];
    sc_file_forget(t->file[u->file].map, u->p, u->end - u->p);
}
