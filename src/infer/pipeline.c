/* SPDX-License-Identifier: Apache-2.0 */
#include "socle/pipeline.h"

#include "base/base.h"

#include <math.h>

struct sc_pipeline {
    sc_context *ctx;
    sc_model *model;
    sc_tokenizer *tokenizer;
    sc_template *chat; /* NULL: the model has none */
    sc_session *session;
    int32_t *held; /* the ids of sequence 0 */
    int64_t n_held, cap_held;
};

/* ---- opening ---- */

sc_status sc_pipeline_open(sc_pipeline **out, sc_context *ctx, const char *path, const sc_session_options *options)
{
    sc_pipeline *p = sc_calloc(1, sizeof *p);
    if (!p) return sc_nomem();
    p->ctx = ctx;
    sc_status s = sc_model_open(&p->model, ctx, path, NULL);
    if (!s) s = sc_tokenizer_load(&p->tokenizer, path);
    if (!s && (s = sc_template_load(&p->chat, path, NULL, false)) == SC_ENOTFOUND) s = SC_OK;
    if (!s) s = sc_session_new(&p->session, p->model, options);
    if (s) sc_pipeline_free(p);
    else *out = p;
    return s;
}

void sc_pipeline_free(sc_pipeline *p)
{
    if (!p) return;
    sc_session_free(p->session);
    sc_template_free(p->chat);
    sc_tokenizer_free(p->tokenizer);
    sc_model_free(p->model);
    sc_free(p->held);
    sc_free(p);
}

const sc_model *sc_pipeline_model(const sc_pipeline *p) { return p->model; }
const sc_tokenizer *sc_pipeline_tokenizer(const sc_pipeline *p) { return p->tokenizer; }
bool sc_pipeline_has_template(const sc_pipeline *p) { return p->chat != NULL; }
sc_session *sc_pipeline_session(sc_pipeline *p) { return p->session; }

/* ---- prompts ---- */

sc_status sc_pipeline_text_ids(const sc_pipeline *p, const char *text, int64_t len, int32_t **ids, int64_t *n)
{
    return sc_tokenizer_encode(p->tokenizer, text, len, SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL, ids, n);
}

/* Put into a message behind the first byte of what spells a special token, so that it can be told from the template's
 * own after rendering: a noncharacter, which no text has (and is dropped from one that has). */
static const char mark[] = "\xef\xb7\x90"; /* U+FDD0 */
enum { MARK = 3 };

/* The special token that p[0..n) begins with; 0: none. The longest one. */
static int64_t special_at(const sc_tokenizer *t, const char *p, int64_t n)
{
    int64_t best = 0;
    for (int64_t id = 0, len; id < sc_tokenizer_vocab_size(t); id++) {
        if (!sc_tokenizer_is_special(t, (int32_t)id)) continue;
        const char *token = sc_tokenizer_token(t, (int32_t)id, &len);
        if (token && len > best && len <= n && memcmp(token, p, (size_t)len) == 0) best = len;
    }
    return best;
}

/* Which bytes begin a special token, so that most text costs nothing. */
static void special_starts(const sc_tokenizer *t, bool starts[256])
{
    memset(starts, 0, 256);
    for (int64_t id = 0, len; id < sc_tokenizer_vocab_size(t); id++) {
        if (!sc_tokenizer_is_special(t, (int32_t)id)) continue;
        const char *token = sc_tokenizer_token(t, (int32_t)id, &len);
        if (token && len > 1) starts[(unsigned char)token[0]] = true;
    }
}

/* Marks special tokens in every text of a JSON value, in place. */
static sc_status guard(const sc_tokenizer *t, const bool starts[256], json_t *v)
{
    sc_status s = SC_OK;
    if (json_is_string(v)) {
        const char *p = json_string_value(v);
        int64_t n = (int64_t)json_string_length(v), len;
        sc_str marked = {0};
        bool changed = false;
        for (int64_t i = 0; i < n; i++) {
            if (n - i >= MARK && memcmp(p + i, mark, MARK) == 0) {
                changed = true;
                i += MARK - 1;
                continue;
            }
            sc_str_putc(&marked, p[i]);
            if (!starts[(unsigned char)p[i]] || !(len = special_at(t, p + i, n - i))) continue;
            sc_str_append(&marked, mark, MARK);
            changed = true;
        }
        if (marked.oom || (changed && json_string_setn(v, marked.p, (size_t)marked.len) != 0)) s = sc_nomem();
        sc_str_free(&marked);
    } else if (json_is_array(v)) {
        for (size_t i = 0; !s && i < json_array_size(v); i++) s = guard(t, starts, json_array_get(v, i));
    } else if (json_is_object(v)) {
        for (void *it = json_object_iter(v); !s && it; it = json_object_iter_next(v, it)) s = guard(t, starts, json_object_iter_value(it));
    }
    return s;
}

typedef struct id_list { int32_t *p; int64_t n, cap; } id_list;

static sc_status add_ids(const sc_pipeline *p, id_list *out, const char *text, int64_t len, unsigned flags)
{
    int32_t *ids;
    int64_t n;
    if (len == 0) return SC_OK;
    sc_status s = sc_tokenizer_encode(p->tokenizer, text, len, flags, &ids, &n);
    if (s) return s;
    if (!sc_grow(&out->p, &out->cap, out->n + n, sizeof *out->p)) s = sc_nomem();
    else if (n) memcpy(out->p + out->n, ids, sizeof *ids * (size_t)n);
    if (!s) out->n += n;
    sc_free(ids);
    return s;
}

/* Encodes a rendered prompt: the template's special tokens are understood, the marked ones stay text. */
static sc_status encode_marked(const sc_pipeline *p, char *text, int64_t len, int32_t **ids, int64_t *n)
{
    id_list list = {0};
    sc_status s = SC_OK;
    int64_t from = 0;
    while (!s) {
        char *at = memmem(text + from, (size_t)(len - from), mark, MARK);
        if (!at) {
            s = add_ids(p, &list, text + from, len - from, SC_TOKENIZE_PARSE_SPECIAL);
            break;
        }
        int64_t first = at - text - 1; /* the token's first byte is before the mark */
        s = add_ids(p, &list, text + from, first - from, SC_TOKENIZE_PARSE_SPECIAL);
        at[MARK - 1] = text[first]; /* over the mark's last byte, so that the token is in one piece */
        int64_t start = first + MARK, spelled = special_at(p->tokenizer, text + start, len - start);
        if (!s) s = add_ids(p, &list, text + start, spelled, 0);
        from = start + spelled;
    }
    if (s) {
        sc_free(list.p);
        return s;
    }
    *ids = list.p;
    *n = list.n;
    return SC_OK;
}

/* What templates expect and callers need not say. */
static sc_status add_usual(const sc_pipeline *p, json_t *v)
{
    const struct { const char *name; int32_t id; } tokens[] = {{"bos_token", sc_tokenizer_bos(p->tokenizer)},
                                                               {"eos_token", sc_tokenizer_eos(p->tokenizer)},
                                                               {"unk_token", sc_tokenizer_unk(p->tokenizer)},
                                                               {"pad_token", sc_tokenizer_pad(p->tokenizer)}};
    if (!json_object_get(v, "add_generation_prompt") && json_object_set_new(v, "add_generation_prompt", json_true())) return sc_nomem();
    for (int i = 0; i < SC_COUNT(tokens); i++) {
        const char *text = tokens[i].id >= 0 ? sc_tokenizer_token(p->tokenizer, tokens[i].id, NULL) : NULL;
        if (text && !json_object_get(v, tokens[i].name) && json_object_set_new(v, tokens[i].name, json_string(text))) return sc_nomem();
    }
    return SC_OK;
}

sc_status sc_pipeline_chat_ids(const sc_pipeline *p, const char *variables, int64_t len, int32_t **ids, int64_t *n)
{
    json_t *v = NULL;
    char *json = NULL, *text = NULL;
    int64_t text_len;
    bool starts[256];
    if (!p->chat) return sc_fail(SC_ENOTFOUND, "the model has no chat template");
    sc_status s = sc_json_parse(&v, variables, len, "the template's variables");
    if (!s && !json_is_object(v)) s = sc_fail(SC_EFORMAT, "the template's variables are not a JSON object");
    special_starts(p->tokenizer, starts);
    if (!s) s = guard(p->tokenizer, starts, v);
    if (!s) s = add_usual(p, v);
    if (!s && !(json = json_dumps(v, JSON_COMPACT))) s = sc_nomem();
    if (!s) s = sc_template_render(&text, &text_len, p->chat, json, (int64_t)strlen(json), NULL);
    if (!s) s = encode_marked(p, text, text_len, ids, n);
    json_decref(v);
    sc_free(json);
    sc_free(text);
    return s;
}

/* ---- generation ---- */

typedef struct writer {
    const sc_text_request *request;
    sc_text_result *result;
    sc_detokenizer *detokenizer;
    sc_stop *stop;
    int64_t cap_ids;
    sc_status status;
    bool stopped; /* a stop text was found */
    bool refused; /* the caller wants no more */
} writer;

/* Passes text through the stop texts to the caller. */
static bool emit(writer *w, const char *text, int64_t len)
{
    int64_t which;
    if ((w->status = sc_stop_push(w->stop, text, len, &text, &len, &which))) return false;
    if (len && !w->request->text(w->request->user, text, len)) w->refused = true;
    w->stopped = which >= 0;
    return !w->stopped && !w->refused;
}

static bool take(void *user, int32_t id, float logprob)
{
    writer *w = user;
    const char *text;
    int64_t len;
    (void)logprob;
    if (!sc_grow(&w->result->ids, &w->cap_ids, w->result->n_ids + 1, sizeof id)) {
        w->status = sc_nomem();
        return false;
    }
    w->result->ids[w->result->n_ids++] = id;
    if ((w->status = sc_detokenizer_push(w->detokenizer, id, &text, &len))) return false;
    return emit(w, text, len);
}

static sc_status flush(writer *w)
{
    const char *text;
    int64_t len;
    if (w->stopped || w->refused) return SC_OK;
    sc_status s = sc_detokenizer_flush(w->detokenizer, &text, &len);
    if (s || !emit(w, text, len)) return s ? s : w->status;
    sc_stop_flush(w->stop, &text, &len);
    if (len) w->request->text(w->request->user, text, len);
    return SC_OK;
}

/* Evaluates what sequence 0 does not hold of the prompt yet; at least its last id, whose logits are needed. */
static sc_status read_prompt(sc_pipeline *p, const sc_text_request *r, sc_text_result *result, const float **logits)
{
    int64_t same = 0;
    int64_t length = SC_MIN(p->n_held, sc_session_length(p->session, 0));
    while (same < length && same < r->n_ids - 1 && p->held[same] == r->ids[same]) same++;
    sc_status s = sc_session_trim(p->session, 0, same);
    p->n_held = same;
    result->cached_tokens = same;
    if (!s && !sc_grow(&p->held, &p->cap_held, r->n_ids + r->max_new_tokens, sizeof *p->held)) s = sc_nomem();
    if (!s) s = sc_session_eval(p->session, 0, r->ids + same, r->n_ids - same, logits);
    if (s) return s;
    memcpy(p->held, r->ids, sizeof *r->ids * (size_t)r->n_ids);
    p->n_held = r->n_ids;
    return SC_OK;
}

static sc_status sample(sc_pipeline *p, const sc_text_request *r, const float *logits, writer *w)
{
    sc_model_info info;
    sc_sampler *sampler;
    sc_stop_reason why;
    sc_generate how = {.max_new_tokens = r->max_new_tokens, .token = take, .user = w};
    sc_model_describe(p->model, &info);
    if (!r->ignore_eos) how.eos = sc_model_eos(p->model, &how.n_eos);
    int32_t own = sc_tokenizer_eos(p->tokenizer);
    if (!r->ignore_eos && how.n_eos == 0 && own >= 0) how.eos = &own, how.n_eos = 1;
    sc_status s = sc_sampler_new(&sampler, &r->sampling, info.vocab);
    if (s) return s;
    s = sc_sampler_prompt(sampler, r->ids, r->n_ids);
    if (!s) s = sc_session_generate(p->session, 0, logits, sampler, &how, &why, &w->result->generated_tokens);
    sc_sampler_free(sampler);
    /* What the sequence holds by now: the answer, but for an id that was not evaluated any more. */
    int64_t more = SC_MIN(w->result->n_ids, sc_session_length(p->session, 0) - r->n_ids);
    if (more > 0) memcpy(p->held + r->n_ids, w->result->ids, sizeof *p->held * (size_t)more);
    p->n_held = r->n_ids + SC_MAX(more, 0);
    if (!s) s = w->status;
    if (!s) w->result->finish_reason = w->stopped || why == SC_STOP_EOS ? "stop" : why == SC_STOP_LENGTH ? "length"
                                       : why == SC_STOP_CONTEXT ? "context" : "cancelled";
    return s;
}

static sc_status beams(sc_pipeline *p, const sc_text_request *r, const float *logits, writer *w)
{
    sc_beam_options o = SC_BEAM_INIT;
    sc_beam_answer best;
    int n;
    o.num_beams = r->num_beams;
    o.max_new_tokens = r->max_new_tokens;
    int32_t own = sc_tokenizer_eos(p->tokenizer);
    if (!r->ignore_eos) o.eos = sc_model_eos(p->model, &o.n_eos);
    if (!r->ignore_eos && o.n_eos == 0 && own >= 0) o.eos = &own, o.n_eos = 1;
    p->n_held = 0; /* the search uses every sequence */
    sc_status s = sc_session_beam(p->session, logits, &o, &best, &n);
    if (s) return s;
    w->result->finish_reason = "length";
    w->result->generated_tokens = best.n;
    for (int64_t i = 0; i < best.n; i++) {
        bool end = false;
        for (int64_t e = 0; e < o.n_eos; e++) end = end || o.eos[e] == best.ids[i];
        if (end || !take(w, best.ids[i], 0)) {
            w->result->finish_reason = "stop";
            break;
        }
    }
    sc_free(best.ids);
    return w->status;
}

sc_status sc_pipeline_generate(sc_pipeline *p, const sc_text_request *r, sc_text_result *result)
{
    writer w = {.request = r, .result = result};
    const float *logits;
    *result = (sc_text_result){.finish_reason = "cancelled", .prompt_tokens = r->n_ids};
    if (r->n_ids < 1) return sc_fail(SC_EINVAL, "an empty prompt");
    if (r->max_new_tokens < 1 || r->max_new_tokens > (int64_t)1 << 24)
        return sc_fail(SC_EINVAL, "max_new_tokens is %lld, outside 1 to 2^24", (long long)r->max_new_tokens);
    sc_status s = sc_sampling_check(&r->sampling);
    if (!s) s = sc_stop_new(&w.stop, r->stop, r->n_stop);
    if (!s) s = sc_detokenizer_new(&w.detokenizer, p->tokenizer, SC_DETOKENIZE_SKIP_SPECIAL | SC_DETOKENIZE_REPLACE_INVALID);
    double start = sc_now();
    if (!s) s = read_prompt(p, r, result, &logits);
    result->prompt_seconds = sc_now() - start;
    if (!s) s = r->num_beams > 1 ? beams(p, r, logits, &w) : sample(p, r, logits, &w);
    result->decode_seconds = sc_now() - start - result->prompt_seconds;
    if (s == SC_ECANCELLED) s = SC_OK;
    if (!s && w.stop && w.detokenizer) s = flush(&w);
    sc_detokenizer_free(w.detokenizer);
    sc_stop_free(w.stop);
    if (s) {
        sc_free(result->ids);
        result->ids = NULL;
    }
    return s;
}

/* ---- perplexity ---- */

/* -log softmax(logits)[id], in double. */
static double nll_of(const float *logits, int64_t vocab, int32_t id)
{
    double top = logits[0], sum = 0;
    for (int64_t i = 1; i < vocab; i++) top = fmax(top, logits[i]);
    for (int64_t i = 0; i < vocab; i++) sum += exp(logits[i] - top);
    return top + log(sum) - logits[id];
}

/* One window: ids[0..n), the predictions of all but its first `known` ids are counted (never of the very first). */
static sc_status score_window(sc_pipeline *p, const int32_t *ids, int64_t n, int64_t known, int64_t vocab, sc_perplexity *out)
{
    enum { CHUNK = 128 }; /* rows of logits at once: they are wide */
    sc_status s = sc_session_trim(p->session, 0, 0);
    for (int64_t i = 0; !s && i < n; i += CHUNK) {
        const float *logits;
        int64_t m = SC_MIN(CHUNK, n - i);
        if ((s = sc_session_score(p->session, 0, ids + i, m, &logits))) break;
        for (int64_t k = 0; k < m && i + k + 1 < n; k++) {
            if (i + k + 1 < known) continue;
            out->nll += nll_of(logits + k * vocab, vocab, ids[i + k + 1]);
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
    if (window < 2 || stride < 1 || stride > window || window > sc_session_context(p->session))
        return sc_fail(SC_EINVAL, "windows of %lld tokens every %lld in a context of %lld", (long long)window, (long long)stride,
                       (long long)sc_session_context(p->session));
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
