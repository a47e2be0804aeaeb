/* SPDX-License-Identifier: Apache-2.0 */
/* GNU gettext's .mo files ("The Format of GNU MO Files" in its manual): two tables of strings, messages and their translations, in
 * the byte order of the machine that wrote them. */
#include "data/languages.h"

enum { MAGIC = (int)0x950412de, HEADER = 28, FORMS = 8 };

typedef struct mo {
    const char *p, *name;
    int64_t n;
    bool swapped;
} mo;

static uint32_t number(const mo *m, int64_t at)
{
    uint32_t x;
    memcpy(&x, m->p + at, sizeof x);
    return m->swapped ? __builtin_bswap32(x) : x;
}

/* The i-th string of the table at `table`. */
static bool string(const mo *m, int64_t table, int64_t i, const char **p, int64_t *len)
{
    int64_t entry = table + i * 8;
    if (entry > m->n - 8) return false;
    int64_t bytes = number(m, entry), at = number(m, entry + 4);
    if (at > m->n || bytes > m->n - at) return false;
    *p = m->p + at;
    *len = bytes;
    return true;
}

/* Up to the next NUL; *p and *len become what is behind it. */
static const char *cut(const char **p, int64_t *len, int64_t *n)
{
    const char *from = *p, *nul = memchr(from, 0, (size_t)*len);
    *n = nul ? nul - from : *len;
    *p += *n + (nul != NULL);
    *len -= *n + (nul != NULL);
    return from;
}

static bool is_utf8(const char *header, int64_t len)
{
    const char *set = memmem(header, (size_t)len, "charset=", 8);
    if (!set) return true;
    set += 8;
    int64_t left = header + len - set;
    return (left >= 5 && strncasecmp(set, "utf-8", 5) == 0) || (left >= 4 && strncasecmp(set, "utf8", 4) == 0) ||
           (left >= 5 && strncasecmp(set, "ascii", 5) == 0);
}

static sc_status put_forms(sc_mo_put put, void *user, const char *message, int64_t len, const char *to,
                           int64_t len_to)
{
    const char *context = memchr(message, 4, (size_t)len);
    if (context) len -= context + 1 - message, message = context + 1;
    int64_t n, n_to;
    sc_status s = SC_OK;
    const char *one = cut(&message, &len, &n);
    for (int i = 0; i < FORMS && len_to > 0 && !s; i++) {
        const char *form = cut(&to, &len_to, &n_to);
        /* The plural message stands for all forms but the first. */
        if (i == 1 && len > 0) one = cut(&message, &len, &n);
        if (n && n_to && sc_utf8_valid(one, n) && sc_utf8_valid(form, n_to)) s = put(user, one, n, form, n_to);
    }
    return s;
}

sc_status sc_mo_read(const char *p, int64_t n, const char *name, sc_mo_put put, void *user)
{
    mo m = {p, name, n, false};
    if (n < HEADER) return sc_fail(SC_EFORMAT, "%s: too short for a file of messages", name);
    m.swapped = number(&m, 0) != (uint32_t)MAGIC;
    if (number(&m, 0) != (uint32_t)MAGIC) return sc_fail(SC_EFORMAT, "%s: no file of messages", name);
    int64_t strings = number(&m, 8), messages = number(&m, 12), translations = number(&m, 16);
    for (int64_t i = 0; i < strings; i++) {
        const char *from, *to;
        int64_t len, len_to;
        if (!string(&m, messages, i, &from, &len) || !string(&m, translations, i, &to, &len_to))
            return sc_fail(SC_EFORMAT, "%s: ends within message %lld of %lld", name, (long long)i + 1,
                           (long long)strings);
        if (!len && !is_utf8(to, len_to)) return sc_fail(SC_EUNSUPPORTED, "%s: its charset is not UTF-8", name);
        sc_status s = len ? put_forms(put, user, from, len, to, len_to) : SC_OK;
        if (s) return s;
    }
    return SC_OK;
}
