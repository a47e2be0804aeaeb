/* SPDX-License-Identifier: Apache-2.0 */
/* What task files take from Python: lists that a template writes as Python prints them, and the random numbers that choose
 * worked examples and bootstrap samples, so that a task gives the same prompts and the same errors as elsewhere. */
#include "eval/eval.h"

#include <stdlib.h>

/* ---- literals ---- */

enum { LITERAL_DEPTH = 32, LITERAL_BYTES = 1 << 20 };

typedef struct literal {
    const char *p, *end, *what;
    int depth;
    sc_status status;
} literal;

static json_t *no_literal(literal *l)
{
    if (!l->status) l->status = sc_fail(SC_EFORMAT, "%s: not a list, text or number as Python writes it", l->what);
    return NULL;
}

static void blanks(literal *l)
{
    while (l->p < l->end && strchr(" \t\r\n", *l->p)) l->p++;
}

static bool word(literal *l, const char *w)
{
    size_t n = strlen(w);
    if ((size_t)(l->end - l->p) < n || memcmp(l->p, w, n) != 0) return false;
    l->p += n;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_escape(literal *l, int digits, sc_str *s)
{
    uint32_t c = 0;
    for (int i = 0; i < digits; i++, l->p++) {
        int v = l->p < l->end ? hex_value(*l->p) : -1;
        if (v < 0) return false;
        c = c * 16 + (uint32_t)v;
    }
    if (!c) return false; /* texts of documents have no NUL */
    sc_str_utf8(s, c);
    return true;
}

static bool string_escape(literal *l, sc_str *s)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = *l->p++;
    const char *hit = c ? strchr(from, c) : NULL;
    if (hit)
        sc_str_putc(s, to[hit - from]);
    else if (c == 'x' || c == 'u' || c == 'U')
        return hex_escape(l, c == 'x' ? 2 : c == 'u' ? 4 : 8, s);
    else if (c != '\n')
        sc_str_putc(s, '\\'), sc_str_putc(s, c);
    return true;
}

static json_t *literal_string(literal *l)
{
    sc_str s = {0};
    char quote = *l->p++;
    bool good = true;
    while (good && l->p < l->end && *l->p != quote) {
        char c = *l->p++;
        if (c != '\\')
            sc_str_putc(&s, c);
        else
            good = l->p < l->end && string_escape(l, &s);
    }
    json_t *v = NULL;
    if (!good || l->p == l->end || *l->p != quote || s.oom)
        no_literal(l);
    else if (!(v = json_stringn(s.p ? s.p : "", (size_t)s.len)))
        no_literal(l);
    l->p++;
    sc_str_free(&s);
    return v;
}

static json_t *literal_number(literal *l)
{
    char text[64];
    size_t n = 0;
    while (l->p < l->end && n + 1 < sizeof text && strchr("+-.0123456789eE_", *l->p)) {
        if (*l->p != '_') text[n++] = *l->p;
        l->p++;
    }
    text[n] = 0;
    char *end;
    if (!n) return no_literal(l);
    if (!strpbrk(text, ".eE")) {
        long long i = strtoll(text, &end, 10);
        return *end ? no_literal(l) : json_integer(i);
    }
    double d = strtod(text, &end);
    json_t *v = *end ? NULL : json_real(d);
    return v ? v : no_literal(l);
}

static json_t *literal_value(literal *l);

static json_t *literal_list(literal *l, char close)
{
    json_t *list = json_array();
    bool comma = true;
    for (;;) {
        blanks(l);
        if (l->p == l->end) break;
        if (*l->p == close) {
            l->p++;
            return list;
        }
        json_t *v = comma ? literal_value(l) : NULL;
        if (!v || json_array_append_new(list, v)) break;
        blanks(l);
        comma = word(l, ",");
    }
    json_decref(list);
    return no_literal(l);
}

static json_t *literal_dict(literal *l)
{
    json_t *o = json_object();
    bool comma = true;
    for (;;) {
        blanks(l);
        if (l->p == l->end) break;
        if (word(l, "}")) return o;
        json_t *k = comma ? literal_value(l) : NULL;
        blanks(l);
        json_t *v = k && word(l, ":") ? literal_value(l) : NULL;
        bool ok = json_is_string(k) && v && !json_object_set(o, json_string_value(k), v);
        json_decref(k);
        json_decref(v);
        if (!ok) break;
        blanks(l);
        comma = word(l, ",");
    }
    json_decref(o);
    return no_literal(l);
}

static json_t *literal_value(literal *l)
{
    blanks(l);
    if (l->p == l->end || l->depth >= LITERAL_DEPTH) return no_literal(l);
    if (*l->p == '\'' || *l->p == '"') return literal_string(l);
    json_t *v = NULL;
    l->depth++;
    if (word(l, "["))
        v = literal_list(l, ']');
    else if (word(l, "("))
        v = literal_list(l, ')');
    else if (word(l, "{"))
        v = literal_dict(l);
    else if (word(l, "True"))
        v = json_true();
    else if (word(l, "False"))
        v = json_false();
    else if (word(l, "None"))
        v = json_null();
    else
        v = literal_number(l);
    l->depth--;
    return v;
}

sc_status sc_py_literal(json_t **out, const char *p, int64_t n, const char *what)
{
    literal l = {.p = p, .end = p + n, .what = what};
    if (n > LITERAL_BYTES) return sc_fail(SC_ELIMIT, "%s: longer than %d bytes", what, LITERAL_BYTES);
    json_t *v = literal_value(&l);
    blanks(&l);
    if (v && l.p != l.end) no_literal(&l);
    if (l.status || !v) {
        json_decref(v);
        return l.status ? l.status : sc_nomem();
    }
    *out = v;
    return SC_OK;
}

/* ---- MT19937 (Matsumoto and Nishimura 1998), seeded and drawn from as Python's random.Random ---- */

enum { N = 624, M = 397 };

static void seed_array(sc_py_random *r, const uint32_t *key, int n)
{
    uint32_t *mt = r->state;
    mt[0] = 19650218u;
    for (int i = 1; i < N; i++) mt[i] = 1812433253u * (mt[i - 1] ^ (mt[i - 1] >> 30)) + (uint32_t)i;
    int i = 1, j = 0;
    for (int k = N > n ? N : n; k; k--) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1664525u)) + key[j] + (uint32_t)j;
        if (++i >= N) mt[0] = mt[N - 1], i = 1;
        if (++j >= n) j = 0;
    }
    for (int k = N - 1; k; k--) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1566083941u)) - (uint32_t)i;
        if (++i >= N) mt[0] = mt[N - 1], i = 1;
    }
    mt[0] = 0x80000000u;
    r->at = N;
}

void sc_py_seed(sc_py_random *r, uint64_t seed)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    seed_array(r, key, key[1] ? 2 : 1);
}

static uint32_t next_word(sc_py_random *r)
{
    uint32_t *mt = r->state;
    if (r->at >= N) {
        for (int i = 0; i < N; i++) {
            uint32_t y = (mt[i] & 0x80000000u) | (mt[(i + 1) % N] & 0x7fffffffu);
            mt[i] = mt[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
        }
        r->at = 0;
    }
    uint32_t y = mt[r->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

double sc_py_uniform(sc_py_random *r)
{
    uint32_t a = next_word(r) >> 5, b = next_word(r) >> 6;
    return (a * 67108864.0 + b) * (1.0 / 9007199254740992.0);
}

/* Below n, n <= 2^32: as many bits as n needs, again until they are below it. */
static int64_t below(sc_py_random *r, int64_t n)
{
    int bits = 0;
    while (n >> bits) bits++;
    int64_t v;
    do v = next_word(r) >> (32 - bits);
    while (v >= n);
    return v;
}

/* random.sample: from a pool that shrinks where a set of what is taken would be larger, else by trying again. */
sc_status sc_py_sample(sc_py_random *r, int64_t n, int64_t k, int64_t *out)
{
    int64_t set_size = 21;
    if (k > 5) { /* 4 to the power of the ceiling of log base 4 of 3k */
        int64_t power = 1;
        while (power < 3 * k) power *= 4;
        set_size += power;
    }
    if (n <= set_size) {
        int64_t *pool = sc_malloc((size_t)SC_MAX(n, 1) * sizeof *pool);
        if (!pool) return sc_nomem();
        for (int64_t i = 0; i < n; i++) pool[i] = i;
        for (int64_t i = 0; i < k; i++) {
            int64_t j = below(r, n - i);
            out[i] = pool[j];
            pool[j] = pool[n - i - 1];
        }
        sc_free(pool);
        return SC_OK;
    }
    for (int64_t i = 0; i < k; i++) {
        bool taken = true;
        while (taken) {
            out[i] = below(r, n);
            taken = false;
            for (int64_t j = 0; j < i && !taken; j++) taken = out[j] == out[i];
        }
    }
    return SC_OK;
}
