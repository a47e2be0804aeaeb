/* SPDX-License-Identifier: Apache-2.0 */
/* Inside those who answer: what a local model and an endpoint have in common. */
#ifndef SC_ASK_INTERNAL_H
#define SC_ASK_INTERNAL_H

#include "base/base.h"
#include "socle/ask.h"

/* One kind of answerer. Requests have been checked; `samples` is at least 1. `first[i]` is where request i's samples
 * begin among the answers. */
typedef struct sc_asker_kind {
    sc_status (*generate)(sc_asker *a, const sc_ask_request *r, int64_t n, const int64_t *first,
                          sc_ask_answer *answers, sc_ask_done done, void *user);
    sc_status (*score)(sc_asker *a, const sc_ask_continuation *r, int64_t n, sc_ask_score *out, sc_ask_done done,
                       void *user);
    sc_status (*score_texts)(sc_asker *a, const sc_text *texts, int64_t n, sc_ask_score *out, sc_ask_done done,
                             void *user);
    void (*close)(sc_asker *a);
} sc_asker_kind;

struct sc_asker {
    const sc_asker_kind *kind;
    sc_context *ctx;
    char *name;
    sc_ask_counts counts;
    /* a local model */
    sc_pipeline *p;
    int64_t context; /* tokens of a prompt with its answer */
    int64_t room;    /* tokens that the cache holds in all */
    int batch;
    float *first; /* (vocab) logits behind the prompt that sequence 0 holds */
    /* an endpoint */
    struct sc_ask_endpoint *api;
};

extern const sc_asker_kind sc_asker_local, sc_asker_endpoint;

void sc_ask_progress(const sc_asker *a, const char *what, int64_t done, int64_t total);
/* SC_ECANCELLED with its message, where the caller's `done` said so. */
sc_status sc_ask_stopped(void);
/* n bytes as a text with a NUL (owned). */
sc_status sc_ask_keep(sc_ask_answer *to, const char *text, int64_t len);

/* ---- local models (local.c, local_score.c) ---- */

/* The ids of a prompt or a context, without `begin`. */
sc_status sc_ask_prompt_ids(const sc_asker *a, sc_text prompt, sc_text messages, bool bare, int32_t **ids,
                            int64_t *n);
/* Makes sequence 0 hold ids[0..n), and a->first the logits behind them. Of an encoder-decoder they are the source, and begin
 * what its decoder begins with; others have none. */
sc_status sc_ask_read(sc_asker *a, const int32_t *ids, int64_t n, const int32_t *begin, int64_t n_begin);
sc_status sc_ask_score_local(sc_asker *a, const sc_ask_continuation *r, int64_t n, sc_ask_score *out,
                             sc_ask_done done, void *user);
sc_status sc_ask_score_texts_local(sc_asker *a, const sc_text *texts, int64_t n, sc_ask_score *out,
                                   sc_ask_done done, void *user);

#endif
