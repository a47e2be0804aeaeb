/* SPDX-License-Identifier: Apache-2.0 */
#include "vocab/vocab.h"

typedef struct writer {
    sc_word_stream *out;
    const sc_train_words *w;
    const sc_characters *c;
    sc_stream_options o;
    int64_t open; /* where the word being written begins, or -1 */
} writer;

static void end_word(writer *x, int64_t count)
{
    sc_word_stream *s = x->out;
    if (x->open < 0) return;
    int64_t len = s->n - x->open - SC_WORD_HEAD;
    if (len < x->o.least) {
        s->n = x->open;
    } else {
        s->u[x->open] = (uint32_t)count;
        s->u[x->open + 1] = (uint32_t)((uint64_t)count >> 32);
        s->u[x->open + 2] = (uint32_t)len;
        s->words++;
    }
    x->open = -1;
}

static sc_status put_symbol(writer *x, int32_t id)
{
    sc_word_stream *s = x->out;
    if (s->n + SC_WORD_HEAD + 1 >= UINT32_MAX)
        return sc_fail(SC_ELIMIT, "the different words of the text have more than 2^32 characters");
    if (!sc_grow(&s->u, &s->cap, s->n + SC_WORD_HEAD + 1, sizeof *s->u)) return sc_nomem();
    if (x->open < 0) {
        x->open = s->n;
        s->n += SC_WORD_HEAD;
    }
    s->u[s->n++] = (uint32_t)id;
    return SC_OK;
}

static sc_status put_word(void *user, const sc_census_word *w)
{
    writer *x = user;
    sc_status s = SC_OK;
    if (w->count < x->o.rare) return SC_OK;
    for (int32_t i = 0; i < w->n && !s;) {
        int k;
        uint32_t cp = sc_word_symbol(w->p + i, w->n - i, x->w->bytes, &k);
        int32_t id = (i ? x->c->next : x->c->first)[cp];
        i += k;
        if (id >= 0) {
            s = put_symbol(x, id);
            if (!s && x->o.most && x->out->n - x->open - SC_WORD_HEAD == x->o.most) end_word(x, w->count);
        } else if (x->o.breaks) {
            end_word(x, w->count);
        }
    }
    if (!s) end_word(x, w->count);
    return s;
}

sc_status sc_word_stream_make(sc_word_stream *out, const sc_train_words *w, const sc_characters *c,
                              const sc_stream_options *o)
{
    *out = (sc_word_stream){0};
    writer x = {.out = out, .w = w, .c = c, .o = *o, .open = -1};
    sc_status s = sc_train_words_each(w, put_word, &x);
    if (s) sc_free(out->u);
    return s;
}
