/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as token ids, each text followed by the tokenizer's end-of-text token where it has one. */
#include "data/data.h"

static sc_status tokens_open(void **self, const sc_stage_setup *x)
{
    if (!x->tokenizer) return sc_fail(SC_EINVAL, "the stage tokens needs a tokenizer");
    *self = (void *)x->tokenizer;
    return SC_OK;
}

static sc_status tokens_apply(const void *self, void *room, sc_document *d, sc_verdict *v)
{
    const sc_tokenizer *t = self;
    int32_t *ids, eos = sc_tokenizer_eos(t);
    int64_t n;
    (void)room;
    if (!sc_utf8_valid(d->text.p ? d->text.p : "", d->text.len)) {
        sc_drop(v, "not_utf8");
        return SC_OK;
    }
    sc_status s = sc_tokenizer_encode(t, d->text.p ? d->text.p : "", d->text.len, 0, &ids, &n);
    if (s == SC_ENOMEM) return s;
    if (s || n == 0) {
        sc_drop(v, s ? "not_in_vocabulary" : "no_tokens");
        if (s) sc_verdict_detail(v, sc_error(), (int64_t)strlen(sc_error()));
        if (!s) sc_free(ids);
        return SC_OK;
    }
    s = sc_grow(&d->ids, &d->cap_ids, n + 1, sizeof *d->ids) ? SC_OK : sc_nomem();
    if (!s) {
        memcpy(d->ids, ids, (size_t)n * sizeof *ids);
        d->n_ids = n;
        if (eos >= 0) d->ids[d->n_ids++] = eos;
        sc_verdict_add(v, "tokens", d->n_ids);
    }
    sc_free(ids);
    return s;
}

const sc_stage sc_stage_tokens = {.name = "tokens",
                                  .summary = "turns texts into tokens; comes by itself, before mix or at the end",
                                  .open = tokens_open,
                                  .apply = tokens_apply};
