/* SPDX-License-Identifier: Apache-2.0 */
/* From files of text to a file of vectors. */
#include "vectors/fasttext.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

void sc_vectors_result_free(sc_vectors_result *r)
{
    sc_buffer_unref(r->held[0]);
    sc_buffer_unref(r->held[1]);
    *r = (sc_vectors_result){0};
}

static sc_status check(const sc_vectors_training *o)
{
    if (!o->out || !o->data || o->n_data < 1) return sc_fail(SC_EINVAL, "no text, or no file for the vectors");
    if (o->width < 1 || o->width > SC_VECTORS_MOST_WIDTH || o->window < 1 || o->window > SC_VECTORS_MOST_WIDTH)
        return sc_fail(SC_EINVAL, "vectors of %lld numbers, a window of %lld", (long long)o->width,
                       (long long)o->window);
    if (o->epochs < 1 || o->epochs > 1 << 20 || o->negative < 0 || o->negative > 1000)
        return sc_fail(SC_EINVAL, "%lld epochs, %lld drawn words", (long long)o->epochs, (long long)o->negative);
    if (!(o->sample >= 0 && o->sample <= 1) || !(fabs(o->power) <= 4) || !(o->rate >= 0 && o->rate <= 100) ||
        !(o->last_rate >= 0))
        return sc_fail(SC_EINVAL, "sample %g, power %g, rate %g to %g", o->sample, o->power, o->rate, o->last_rate);
    if (o->phrases < 0 || o->phrases > 10 || !(o->phrase_threshold >= 0) || !(o->x_max > 0) ||
        !(fabs(o->alpha) <= 10))
        return sc_fail(SC_EINVAL, "%lld times phrases from %g, x_max %g, alpha %g", (long long)o->phrases,
                       o->phrase_threshold, o->x_max, o->alpha);
    if (o->hierarchical && (o->out_contexts || o->method == SC_VECTORS_GLOVE))
        return sc_fail(SC_EINVAL, "hierarchical softmax has no vectors of contexts, and is no way of GloVe's");
    if (o->subwords) return sc_fasttext_check(o);
    if (o->format == SC_VECTORS_FASTTEXT)
        return sc_fail(SC_EINVAL, "fastText's format is for vectors with n-grams");
    return SC_OK;
}

/* To know before the work and not after it. */
static sc_status can_write(const char *path)
{
    sc_writer *w;
    sc_status s = sc_writer_open(&w, path);
    if (!s) sc_writer_close(w);
    return s;
}

/* Everything that the bits of a result follow from, but threads. */
static char *settings_of(const sc_vectors_training *o, const sc_word_text *t, const sc_lexicon *x)
{
    uint64_t words = 0;
    sc_str s = {0};
    for (int64_t i = 0; i < x->n; i++)
        words = words * 0x9e3779b97f4a7c15u + (sc_hash(x->word[i].p, x->word[i].len) ^ (uint64_t)x->count[i]);
    sc_str_printf(
        &s, "method %d hierarchical %d width %lld window %lld whole %d negative %lld epochs %lld sample %.17g",
        o->method, o->hierarchical, (long long)o->width, (long long)o->window, o->whole_window,
        (long long)o->negative, (long long)o->epochs, o->sample);
    sc_str_printf(
        &s, " power %.17g rate %.17g to %.17g x_max %.17g alpha %.17g asymmetric %d deterministic %d seed %llu",
        o->power, o->rate, o->last_rate, o->x_max, o->alpha, o->asymmetric, o->deterministic,
        (unsigned long long)o->seed);
    if (o->subwords)
        sc_str_printf(&s, " n-grams %lld to %lld bucket %lld", (long long)o->shortest, (long long)o->longest,
                      (long long)o->bucket);
    sc_str_printf(&s, " bytes %lld words %lld %016llx", (long long)t->bytes, (long long)x->n,
                  (unsigned long long)words);
    return sc_str_take(&s, NULL);
}

static sc_status write_files(const sc_vectors_training *o, const sc_lexicon *x, const sc_vectors_result *r)
{
    sc_vectors_table t = {x->word, x->n, o->width, r->stride, r->row};
    sc_status s = sc_vectors_write(o->out, o->format, &t);
    t.row = r->context;
    if (!s && o->out_contexts) s = sc_vectors_write(o->out_contexts, o->format, &t);
    return s;
}

static sc_status train(sc_context *ctx, const sc_vectors_training *o, const sc_word_text *t, const char *state,
                       sc_vectors_trained *report)
{
    sc_lexicon *x = NULL;
    sc_vectors_result r = {0};
    char *settings = NULL;
    sc_status s = sc_lexicon_count(
        &x, ctx, t,
        &(sc_lexicon_options){.min_count = o->min_count, .max_words = o->max_words, .line_ends = o->subwords});
    if (!s && !(settings = settings_of(o, t, x))) s = sc_nomem();
    if (!s) {
        *report = (sc_vectors_trained){.words = x->n, .tokens = x->seen, .skipped = x->skipped};
        sc_log(ctx, SC_LOG_INFO, "%lld different words of %lld in the text, seen at least %lld times",
               (long long)x->n, (long long)x->seen, (long long)SC_MAX(o->min_count, 1));
        if (o->subwords)
            s = sc_fasttext_train(ctx, t, x, o, state, settings, report);
        else
            s = (o->method == SC_VECTORS_GLOVE ? sc_glove_train : sc_word2vec_train)(&r, ctx, t, x, o, state,
                                                                                     settings, report);
    }
    if (!s && !o->subwords) s = write_files(o, x, &r);
    if (!s) (void)unlink(state);
    sc_vectors_result_free(&r);
    sc_lexicon_free(x);
    sc_free(settings);
    return s;
}

sc_status sc_vectors_train(sc_context *ctx, const sc_vectors_training *o, sc_vectors_trained *out)
{
    sc_word_text *t = NULL;
    sc_vectors_trained report;
    sc_str state = {0};
    sc_status s = check(o);
    if (!s) s = can_write(o->out);
    if (!s && o->out_contexts) s = can_write(o->out_contexts);
    if (s) return s;
    sc_str_printf(&state, "%s.state", o->out);
    if (state.oom) return sc_nomem();
    s = sc_word_text_open(&t, o->data, o->n_data);
    if (!s) s = sc_phrases_join(&t, ctx, o);
    if (!s) s = train(ctx, o, t, state.p, &report);
    sc_word_text_free(t);
    sc_str_free(&state);
    if (!s) *out = report;
    return s;
}
