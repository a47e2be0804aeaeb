/* SPDX-License-Identifier: Apache-2.0 */
/* What generation_config.json demands of single steps. */
#include "infer/infer.h"

#include <math.h>

static const char what[] = "generation_config.json";

/* An id, or the first of several; -1: none. */
static sc_status read_id(const json_t *o, const char *key, int64_t vocab, int32_t *id)
{
    const json_t *v = json_object_get(o, key);
    *id = -1;
    if (json_is_array(v)) v = json_array_get(v, 0);
    if (!v || json_is_null(v)) return SC_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= vocab)
        return sc_fail(SC_EFORMAT, "%s: %s is not a token id below %lld", what, key, (long long)vocab);
    *id = (int32_t)json_integer_value(v);
    return SC_OK;
}

/* bad_words_ids, a list of lists, and suppress_tokens, a list. */
static sc_status read_forbidden(sc_forced *f, int32_t *to, sc_context *ctx, const json_t *list, const char *key,
                                int64_t vocab)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (json_is_array(v) && json_array_size(v) != 1) {
            sc_log(ctx, SC_LOG_WARNING, "%s: %s[%zu] is not one id and is passed over", what, key, i);
            continue;
        }
        if (json_is_array(v)) v = json_array_get(v, 0);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= vocab)
            return sc_fail(SC_EFORMAT, "%s: %s[%zu] is not a token id below %lld", what, key, i, (long long)vocab);
        to[f->n_forbidden++] = (int32_t)json_integer_value(v);
    }
    return SC_OK;
}

sc_status sc_forced_read(sc_forced *out, int32_t **forbidden, sc_context *ctx, const char *json, int64_t vocab)
{
    json_t *o;
    int32_t *ids = NULL;
    sc_forced f = {0};
    sc_status s = sc_json_parse(&o, json, (int64_t)strlen(json), what);
    if (s) return s;
    const json_t *words = json_object_get(o, "bad_words_ids"), *suppressed = json_object_get(o, "suppress_tokens");
    size_t n = json_array_size(words) + json_array_size(suppressed);
    if (n && !(ids = sc_malloc(sizeof *ids * n))) s = sc_nomem();
    if (!s) s = read_id(o, "forced_bos_token_id", vocab, &f.first);
    if (!s) s = read_id(o, "forced_eos_token_id", vocab, &f.last);
    if (!s) s = sc_json_int(o, what, "min_length", 0, 1 << 24, &f.min_new_tokens);
    if (f.min_new_tokens > 0) f.min_new_tokens--; /* it counts the id that the decoder begins with */
    if (!s) s = sc_json_int(o, what, "min_new_tokens", 0, 1 << 24, &f.min_new_tokens);
    if (!s && words) s = read_forbidden(&f, ids, ctx, words, "bad_words_ids", vocab);
    if (!s && suppressed) s = read_forbidden(&f, ids, ctx, suppressed, "suppress_tokens", vocab);
    json_decref(o);
    if (s) {
        sc_free(ids);
        return s;
    }
    f.forbidden = *forbidden = ids;
    *out = f;
    return SC_OK;
}

static void only(float *scores, int64_t vocab, int32_t id)
{
    for (int64_t i = 0; i < vocab; i++) scores[i] = -INFINITY;
    scores[id] = 0;
}

void sc_forced_apply(const sc_forced *f, int64_t step, int64_t most, const int32_t *eos, int64_t n_eos,
                     float *scores, int64_t vocab)
{
    for (int64_t i = 0; i < f->n_forbidden; i++) {
        bool end = false; /* an end stays possible */
        for (int64_t k = 0; k < n_eos; k++) end = end || eos[k] == f->forbidden[i];
        if (!end) scores[f->forbidden[i]] = -INFINITY;
    }
    for (int64_t k = 0; step < f->min_new_tokens && k < n_eos; k++)
        if (eos[k] >= 0 && eos[k] < vocab) scores[eos[k]] = -INFINITY;
    if (step == 0 && f->first >= 0) only(scores, vocab, f->first);
    if (step == most - 1 && f->last >= 0) only(scores, vocab, f->last);
}
