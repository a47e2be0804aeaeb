/* SPDX-License-Identifier: Apache-2.0 */
/* Stop strings in a stream: the automaton of Aho and Corasick (1975, "Efficient string matching: an aid to
 * bibliographic search"). Its state is the longest end of the text so far that begins a stop string, so its depth
 * is what must be held back, and the time is linear in the text whatever the strings. */
#include "base/base.h"
#include "socle/sampling.h"

#define MAX_BYTES ((int64_t)64 << 10)
#define MAX_PUSH  ((int64_t)1 << 30)

typedef struct node {
    int32_t child, sibling; /* 0: none; the root is nobody's child */
    int32_t fallback;       /* the state of the longest proper end that is a state */
    int32_t depth;
    int32_t ends; /* the longest stop string that ends here, or -1 */
    uint8_t byte;
} node;

struct sc_stop {
    node *nodes;
    int32_t n_nodes;
    int32_t *ends_depth; /* bytes of each stop string */
    int32_t state;
    int64_t found;
    char *text; /* what was handed on by the last call, then what is held back */
    int64_t len, cap;
    int64_t shown; /* bytes handed on, a NUL follows them; -1: no call yet */
};

static int32_t child_of(const sc_stop *s, int32_t at, uint8_t byte)
{
    int32_t c = s->nodes[at].child;
    while (c && s->nodes[c].byte != byte) c = s->nodes[c].sibling;
    return c;
}

static void add_string(sc_stop *s, const char *z, int32_t index)
{
    int32_t at = 0;
    for (const char *p = z; *p; p++) {
        int32_t c = child_of(s, at, (uint8_t)*p);
        if (!c) {
            c = s->n_nodes++;
            s->nodes[c] = (node){
                .sibling = s->nodes[at].child, .depth = s->nodes[at].depth + 1, .ends = -1, .byte = (uint8_t)*p};
            s->nodes[at].child = c;
        }
        at = c;
    }
    s->ends_depth[index] = s->nodes[at].depth;
    if (s->nodes[at].ends < 0) s->nodes[at].ends = index;
}

static int32_t next_state(const sc_stop *s, int32_t at, uint8_t byte)
{
    int32_t c;
    while (!(c = child_of(s, at, byte)) && at) at = s->nodes[at].fallback;
    return c;
}

/* Breadth first, because a fallback is always less deep. */
static sc_status link_fallbacks(sc_stop *s)
{
    int32_t *queue = sc_malloc((size_t)s->n_nodes * sizeof *queue);
    if (!queue) return sc_nomem();
    int32_t head = 0, tail = 0;
    queue[tail++] = 0;
    while (head < tail) {
        int32_t at = queue[head++];
        for (int32_t c = s->nodes[at].child; c; c = s->nodes[c].sibling) {
            node *n = &s->nodes[c];
            n->fallback = at ? next_state(s, s->nodes[at].fallback, n->byte) : 0;
            if (n->ends < 0) n->ends = s->nodes[n->fallback].ends;
            queue[tail++] = c;
        }
    }
    sc_free(queue);
    return SC_OK;
}

sc_status sc_stop_new(sc_stop **out, const char *const *strings, int64_t n)
{
    int64_t bytes = 0;
    if (n < 0 || n > MAX_BYTES)
        return sc_fail(SC_ELIMIT, "stop strings: %lld of them, allowed is 0 to %lld", (long long)n,
                       (long long)MAX_BYTES);
    for (int64_t i = 0; i < n; i++) {
        int64_t len = (int64_t)strlen(strings[i]);
        if (!len) return sc_fail(SC_EINVAL, "stop string %lld is empty", (long long)i);
        if (!sc_utf8_valid(strings[i], len))
            return sc_fail(SC_EINVAL, "stop string %lld is not UTF-8", (long long)i);
        if ((bytes += len) > MAX_BYTES)
            return sc_fail(SC_ELIMIT, "stop strings: more than %lld bytes in all", (long long)MAX_BYTES);
    }
    sc_stop *s = sc_calloc(1, sizeof *s);
    if (!s) return sc_nomem();
    s->nodes = sc_calloc((size_t)bytes + 1, sizeof *s->nodes);
    s->ends_depth = sc_calloc((size_t)n + 1, sizeof *s->ends_depth);
    sc_status st = s->nodes && s->ends_depth ? SC_OK : sc_nomem();
    if (st == SC_OK) {
        s->nodes[0].ends = -1;
        s->n_nodes = 1;
        for (int64_t i = 0; i < n; i++) add_string(s, strings[i], (int32_t)i);
        st = link_fallbacks(s);
    }
    if (st != SC_OK) {
        sc_stop_free(s);
        return st;
    }
    sc_stop_reset(s);
    *out = s;
    return SC_OK;
}

void sc_stop_free(sc_stop *s)
{
    if (!s) return;
    sc_free(s->nodes);
    sc_free(s->ends_depth);
    sc_free(s->text);
    sc_free(s);
}

void sc_stop_reset(sc_stop *s)
{
    s->state = 0;
    s->found = -1;
    s->len = 0;
    s->shown = -1;
}

/* The text in front of `end` is handed on. A NUL takes the place of the byte after it until the next call. */
static void hand_on(sc_stop *s, int64_t end, const char **text, int64_t *len)
{
    s->shown = end;
    memmove(s->text + end + 1, s->text + end, (size_t)(s->len - end));
    s->text[end] = '\0';
    *text = s->text;
    *len = end;
}

/* Drops what the last call handed on, with its NUL. */
static void drop_shown(sc_stop *s)
{
    if (s->shown < 0) return;
    s->len -= s->shown;
    memmove(s->text, s->text + s->shown + 1, (size_t)s->len);
    s->shown = -1;
}

sc_status sc_stop_push(sc_stop *s, const char *p, int64_t n, const char **text, int64_t *len, int64_t *which)
{
    if (n < 0 || n > MAX_PUSH)
        return sc_fail(SC_ELIMIT, "stop strings: a piece of %lld bytes, allowed is %lld", (long long)n,
                       (long long)MAX_PUSH);
    bool over = s->found >= 0;
    if (over) n = 0;
    /* The text, the piece, and one byte for the NUL. */
    if (!sc_grow(&s->text, &s->cap, s->len + n + 2, 1)) return sc_nomem();
    drop_shown(s);
    int64_t end = s->len;
    if (n) memcpy(s->text + s->len, p, (size_t)n);
    s->len += n;
    for (; end < s->len && s->found < 0; end++) {
        s->state = next_state(s, s->state, (uint8_t)s->text[end]);
        s->found = s->nodes[s->state].ends;
    }
    if (s->found >= 0 && !over) s->len = end - s->ends_depth[s->found]; /* it and what follows is gone */
    int64_t held = s->found >= 0 ? 0 : SC_MAX(s->nodes[s->state].depth, sc_utf8_unfinished(s->text, s->len));
    hand_on(s, s->len - held, text, len);
    *which = s->found;
    return SC_OK;
}

void sc_stop_flush(sc_stop *s, const char **text, int64_t *len)
{
    *text = "";
    *len = 0;
    if (!s->text) return;
    drop_shown(s);
    s->state = 0;
    hand_on(s, s->len, text, len);
}
