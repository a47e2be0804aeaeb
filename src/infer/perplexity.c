/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/infer.h"

#include <math.h>

/* -log softmax(logits)[id], in double. */
static double nll_of(const float *logits, int64_t vocab, int32_t id)
{
    double top = logits[0], sum = 0;
    for (int64_t i = 1; i < vocab; i++) top = fmax(top, logits[i]);
    for (int64_t i = 0; i < vocab; i++) sum += exp(logits[i] - top);
    return top + log(sum) - logits[id];
}

/* One window: ids[0..n), the predictions of all but its first `known` ids are counted (never of the very first). */
static sc_status score_window(sc_pipeline *p, const int32_t *ids, int64_t n, int64_t known, int64_t vocab,
                              sc_perplexity *out)
{
    enum { CHUNK = 128 }; /* rows of logits at once: they are wide */
    sc_status s = sc_session_trim(p->session, 0, 0);
    for (int64_t i = 0; !s && i < n; i += CHUNK) {
        const float *logits;
        int64_t m = SC_MIN(CHUNK, n - i);
        if ((s = sc_session_score(p->session, 0, ids + i, m, &logits))) break;
        for (int64_t k = 0; k < m && i + k + 1 < n; k++) {
            if (i + k + 1 < known) continue;
            double nll = nll_of(logits + k * vocab, vocab, ids[i + k + 1]);
            if (!isfinite(nll))
                return sc_fail(SC_EINVAL, "the model gives a token of the text %s",
                               isnan(nll) ? "a probability that is not a number" : "the probability 0");
            out->nll += nll;
            out->scored++;
        }
    }
    return s;
}

sc_status sc_pipeline_perplexity(sc_pipeline *p, const char *text, int64_t len, int64_t window, int64_t stride,
                                 sc_perplexity *out)
{
    int32_t *ids;
    int64_t n;
    sc_model_info info;
    sc_model_describe(p->model, &info);
    if (info.source_vocab) return sc_fail(SC_EUNSUPPORTED, "%s: an encoder-decoder continues no text", info.path);
    if (window < 2 || stride < 1 || stride > window || window > sc_session_context(p->session))
        return sc_fail(SC_EINVAL, "windows of %lld tokens every %lld in a context of %lld", (long long)window,
                       (long long)stride, (long long)sc_session_context(p->session));
    sc_status s = sc_pipeline_text_ids(p, text, len, &ids, &n);
    if (s) return s;
    *out = (sc_perplexity){.tokens = n};
    p->n_held = 0;
    if (n < 2) s = sc_fail(SC_EINVAL, "a text of %lld tokens has nothing to predict", (long long)n);
    for (int64_t at = 0, seen = 1; !s && seen < n; at += stride) {
        int64_t end = SC_MIN(at + window, n);
        s = score_window(p, ids + at, end - at, SC_MAX(seen - at, 1), info.vocab, out);
        seen = end;
        sc_progress(p->ctx, "perplexity", end, n);
    }
    if (!s) out->perplexity = exp(out->nll / (double)out->scored);
    sc_free(ids);
    return s;
}
