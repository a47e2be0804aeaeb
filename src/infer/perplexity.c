/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/infer.h"

#include <math.h>

enum { CHUNK = 128 }; /* rows of logits at once: they are wide */

/* One window: ids[0..n), the predictions of all but its first `known` ids are counted (never of the very first). */
static sc_status score_window(sc_pipeline *p, const int32_t *ids, int64_t n, int64_t known, int64_t vocab,
                              sc_perplexity *out)
{
    sc_status s = sc_session_trim(p->session, 0, 0);
    for (int64_t i = 0; !s && i < n; i += CHUNK) {
        const float *logits;
        int64_t m = SC_MIN(CHUNK, n - i);
        if ((s = sc_session_score(p->session, 0, ids + i, m, &logits))) break;
        for (int64_t k = 0; k < m && i + k + 1 < n; k++) {
            if (i + k + 1 < known) continue;
            double nll = sc_logits_nll(logits + k * vocab, vocab, ids[i + k + 1]);
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
    if (info.source_vocab)
        return sc_fail(SC_EUNSUPPORTED,
                       "%s: an encoder-decoder continues no text: it is measured on sources and targets",
                       info.path);
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

/* ---- of targets, given sources ---- */

/* What the decoder predicts of ids[0..n): it reads its start and all of them but the last. */
static sc_status score_target(sc_pipeline *p, const int32_t *ids, int64_t n, sc_perplexity *out)
{
    int64_t vocab = p->model->info.vocab;
    int32_t *read = sc_malloc(sizeof *read * (size_t)n);
    sc_status s = read ? SC_OK : sc_nomem();
    if (!s && p->model->decoder_start < 0)
        s = sc_fail(SC_EFORMAT, "%s: no decoder_start_token_id", p->model->info.path);
    if (!s) {
        read[0] = p->model->decoder_start;
        memcpy(read + 1, ids, sizeof *read * (size_t)(n - 1));
    }
    for (int64_t i = 0; !s && i < n; i += CHUNK) {
        const float *logits;
        int64_t m = SC_MIN(CHUNK, n - i);
        if ((s = sc_session_score(p->session, 0, read + i, m, &logits))) break;
        for (int64_t k = 0; k < m; k++) out->nll += sc_logits_nll(logits + k * vocab, vocab, ids[i + k]);
        out->scored += m;
    }
    sc_free(read);
    return s;
}

typedef struct lines {
    const char *at, *end;
    int64_t count;
} lines;

static lines lines_of(const char *text, int64_t len)
{
    lines l = {text, text + len, 0};
    for (const char *p = text; p < l.end; p++) l.count += *p == '\n' || p + 1 == l.end;
    return l;
}

static const char *next_line(lines *l, int64_t *n)
{
    const char *from = l->at, *stop = memchr(from, '\n', (size_t)(l->end - from));
    if (!stop) stop = l->end;
    l->at = stop < l->end ? stop + 1 : stop;
    *n = stop - from - (stop > from && stop[-1] == '\r');
    return from;
}

static sc_status score_pair(sc_pipeline *p, const char *source, int64_t sn, const char *target, int64_t tn,
                            sc_perplexity *out)
{
    int32_t *from = NULL, *to = NULL;
    int64_t n, m;
    sc_status s = sc_pipeline_text_ids(p, source, sn, &from, &n);
    if (!s) s = sc_pipeline_text_ids(p, target, tn, &to, &m);
    if (!s && (!n || !m)) s = sc_fail(SC_EINVAL, "a source or a target without tokens");
    if (!s) s = sc_session_encode(p->session, 0, from, n);
    if (!s) s = score_target(p, to, m, out);
    if (!s) out->tokens += m;
    sc_free(from);
    sc_free(to);
    return s;
}

sc_status sc_pipeline_perplexity_of(sc_pipeline *p, const char *sources, int64_t sources_len, const char *targets,
                                    int64_t targets_len, sc_perplexity *out)
{
    lines a = lines_of(sources, sources_len), b = lines_of(targets, targets_len);
    sc_model_info info;
    sc_status s = SC_OK;
    sc_model_describe(p->model, &info);
    if (!info.source_vocab)
        return sc_fail(SC_EUNSUPPORTED, "%s: only an encoder-decoder has sources and targets", info.path);
    if (a.count != b.count || !a.count)
        return sc_fail(SC_EINVAL, "%lld sources for %lld targets, one a line", (long long)a.count,
                       (long long)b.count);
    *out = (sc_perplexity){0};
    p->n_held = 0;
    for (int64_t i = 0; !s && i < a.count; i++) {
        int64_t n, m;
        const char *source = next_line(&a, &n), *target = next_line(&b, &m);
        if (!n && !m) continue;
        if ((s = score_pair(p, source, n, target, m, out))) sc_fail_in(s, "line %lld", (long long)i + 1);
        sc_progress(p->ctx, "perplexity", i + 1, a.count);
    }
    if (!s && !out->scored) s = sc_fail(SC_EINVAL, "no target has a token");
    if (!s) out->perplexity = exp(out->nll / (double)out->scored);
    return s;
}
