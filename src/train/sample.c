/* SPDX-License-Identifier: Apache-2.0 */
#include "socle/session.h"
#include "train/run.h"

typedef struct taken {
    int32_t *ids;
    int64_t n, cap;
    bool oom;
} taken;

static bool take(void *user, int32_t id, float logprob)
{
    taken *x = user;
    (void)logprob;
    if (!sc_grow(&x->ids, &x->cap, x->n + 1, sizeof *x->ids)) {
        x->oom = true;
        return false;
    }
    x->ids[x->n++] = id;
    return true;
}

/* The prompt's ids as the data has them; of nothing, what a text of the data follows. */
static sc_status read_prompt(const sc_tokenizer *t, const char *prompt, int64_t most, int32_t **ids, int64_t *n)
{
    sc_status s = sc_tokenizer_encode(t, prompt, (int64_t)strlen(prompt), 0, ids, n);
    if (s) return s;
    if (*n == 0) {
        int32_t first = sc_tokenizer_eos(t) >= 0 ? sc_tokenizer_eos(t) : SC_MAX(sc_tokenizer_bos(t), 0);
        sc_free(*ids);
        if (!(*ids = sc_malloc(sizeof **ids))) return sc_nomem();
        (*ids)[0] = first;
        *n = 1;
    }
    if (*n > most) { /* its end */
        memmove(*ids, *ids + *n - most, (size_t)most * sizeof **ids);
        *n = most;
    }
    return SC_OK;
}

sc_status sc_train_sample(char **text, const sc_model *m, const sc_tokenizer *t, const char *prompt, int64_t tokens,
                          uint64_t seed, uint64_t stream)
{
    sc_sampling how = SC_SAMPLING_INIT;
    int64_t context = m->info.context ? m->info.context : 512, n, len, made;
    int32_t *ids = NULL, eos = sc_tokenizer_eos(t);
    sc_session *session = NULL;
    sc_sampler *sampler = NULL;
    const float *logits;
    sc_stop_reason why;
    taken out = {0};
    how.do_sample = true;
    how.temperature = 0.8;
    how.seed = seed;
    how.stream = stream;
    tokens = SC_MIN(tokens, context - 1);
    sc_status s = read_prompt(t, prompt, context - tokens, &ids, &n);
    sc_session_options o = {.context = n + tokens, .chunk = SC_MIN(n, 64)};
    if (s) return s;
    s = sc_session_new(&session, m, &o);
    if (!s) s = sc_sampler_new(&sampler, &how, m->info.vocab);
    if (!s) s = sc_sampler_prompt(sampler, ids, n);
    if (!s) s = sc_session_eval(session, 0, ids, n, &logits);
    sc_generate g = {.max_new_tokens = tokens, .eos = &eos, .n_eos = eos >= 0, .token = take, .user = &out};
    if (!s) s = sc_session_generate(session, 0, logits, sampler, &g, &why, &made);
    if (!s && out.oom) s = sc_nomem();
    if (!s) s = sc_tokenizer_decode(t, out.ids, out.n, SC_DETOKENIZE_REPLACE_INVALID, text, &len);
    if (!s && memchr(*text, 0, (size_t)len)) /* JSON's texts end there */
        for (int64_t i = 0; i < len; i++)
            if (!(*text)[i]) (*text)[i] = ' ';
    sc_sampler_free(sampler);
    sc_session_free(session);
    sc_free(out.ids);
    sc_free(ids);
    return s;
}
