/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a pipeline, and generation. */
#include "infer/infer.h"

/* ---- opening ---- */

/* An encoder-decoder. */
static bool is_pair(const sc_pipeline *p)
{
    sc_model_info info;
    sc_model_describe(p->model, &info);
    return info.source_vocab > 0;
}

static int64_t vocab_of(const sc_pipeline *p)
{
    sc_model_info info;
    sc_model_describe(p->model, &info);
    return info.vocab;
}

sc_status sc_pipeline_open(sc_pipeline **out, sc_context *ctx, const char *path, const sc_session_options *options)
{
    return sc_pipeline_open_with(out, ctx, path, NULL, options);
}

sc_status sc_pipeline_open_with(sc_pipeline **out, sc_context *ctx, const char *path, const sc_model_options *model,
                                const sc_session_options *options)
{
    sc_pipeline *p = sc_calloc(1, sizeof *p);
    if (!p) return sc_nomem();
    p->ctx = ctx;
    sc_status s = sc_model_open(&p->model, ctx, path, model);
    if (!s) s = sc_tokenizer_load(&p->tokenizer, path);
    if (!s && (s = sc_template_load(&p->chat, path, NULL, false)) == SC_ENOTFOUND) s = SC_OK;
    if (!s) s = sc_chat_format_new(&p->format, p->tokenizer, p->chat);
    if (!s && is_pair(p))
        s = sc_forced_read(&p->forced, &p->forbidden, ctx, sc_model_generation_config(p->model), vocab_of(p));
    if (!s) s = sc_session_new(&p->session, p->model, options);
    if (s)
        sc_pipeline_free(p);
    else
        *out = p;
    return s;
}

void sc_pipeline_free(sc_pipeline *p)
{
    if (!p) return;
    sc_drafter_free(p->drafter);
    sc_session_free(p->draft_session);
    sc_model_free(p->draft_model);
    sc_session_free(p->session);
    sc_template_free(p->chat);
    sc_tokenizer_free(p->tokenizer);
    sc_model_free(p->model);
    sc_chat_format_free(&p->format);
    sc_free(p->held);
    sc_free(p->end);
    sc_free(p->forbidden);
    sc_free(p);
}

const sc_model *sc_pipeline_model(const sc_pipeline *p) { return p->model; }
const sc_tokenizer *sc_pipeline_tokenizer(const sc_pipeline *p) { return p->tokenizer; }
bool sc_pipeline_has_template(const sc_pipeline *p) { return p->chat != NULL; }
sc_session *sc_pipeline_session(sc_pipeline *p) { return p->session; }

/* ---- speculation ---- */

static sc_status same_tokens(const sc_tokenizer *a, const sc_tokenizer *b)
{
    int64_t n = sc_tokenizer_vocab_size(a), m = sc_tokenizer_vocab_size(b);
    if (n != m)
        return sc_fail(SC_EINVAL, "the draft model has %lld tokens, the model %lld", (long long)m, (long long)n);
    for (int32_t i = 0; i < n; i++) {
        int64_t la = 0, lb = 0;
        const char *x = sc_tokenizer_token(a, i, &la), *y = sc_tokenizer_token(b, i, &lb);
        if (!x != !y || (x && (la != lb || memcmp(x, y, (size_t)la) != 0)))
            return sc_fail(SC_EINVAL, "token %d is \"%s\" in the draft model and \"%s\" in the model", i,
                           y ? y : "", x ? x : "");
    }
    return SC_OK;
}

sc_status sc_pipeline_speculate(sc_pipeline *p, const char *draft, const sc_session_options *options,
                                int64_t tokens)
{
    sc_tokenizer *t = NULL;
    sc_model *m = NULL;
    sc_session *session = NULL;
    sc_drafter *d = NULL;
    sc_status s = SC_OK;
    if (is_pair(p)) return sc_fail(SC_EUNSUPPORTED, "no speculative decoding for encoder-decoders");
    if (draft) {
        s = sc_tokenizer_load(&t, draft);
        if (!s) s = same_tokens(p->tokenizer, t);
        sc_tokenizer_free(t);
        if (!s) s = sc_model_open(&m, p->ctx, draft, NULL);
        if (!s) s = sc_session_new(&session, m, options);
    }
    if (!s) s = sc_drafter_new(&d, p->model, session, tokens);
    if (s) {
        sc_session_free(session);
        sc_model_free(m);
        return s;
    }
    sc_drafter_free(p->drafter);
    sc_session_free(p->draft_session);
    sc_model_free(p->draft_model);
    p->drafter = d;
    p->draft_session = session;
    p->draft_model = m;
    return SC_OK;
}

/* ---- generation ---- */

/* Passes text through the stop texts to the caller. */
static bool emit(sc_text_writer *w, const char *text, int64_t len)
{
    int64_t which;
    if ((w->status = sc_stop_push(w->stop, text, len, &text, &len, &which))) return false;
    if (len && !w->request->text(w->request->user, text, len)) w->refused = true;
    w->stopped = which >= 0;
    return !w->stopped && !w->refused;
}

bool sc_text_take(void *user, int32_t id, float logprob)
{
    sc_text_writer *w = user;
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

sc_status sc_text_flush(sc_text_writer *w)
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

sc_status sc_text_writer_open(sc_text_writer *w, const sc_pipeline *p, const sc_text_request *r,
                              sc_text_result *result)
{
    *w = (sc_text_writer){.request = r, .result = result};
    sc_status s = sc_stop_new(&w->stop, r->stop, r->n_stop);
    if (!s)
        s = sc_detokenizer_new(&w->detokenizer, p->tokenizer,
                               SC_DETOKENIZE_SKIP_SPECIAL | SC_DETOKENIZE_REPLACE_INVALID);
    return s;
}

void sc_text_writer_close(sc_text_writer *w)
{
    sc_detokenizer_free(w->detokenizer);
    sc_stop_free(w->stop);
}

/* Encodes the source and evaluates what the decoder begins with, which sequence 0 then holds. */
static sc_status read_source(sc_pipeline *p, const sc_text_request *r, const float **logits)
{
    int32_t first = sc_model_decoder_start(p->model);
    if (first < 0) return sc_fail(SC_EFORMAT, "neither configuration has decoder_start_token_id");
    if (!sc_grow(&p->held, &p->cap_held, 1 + r->n_decoder_ids + r->max_new_tokens, sizeof *p->held))
        return sc_nomem();
    p->held[0] = first;
    if (r->n_decoder_ids) memcpy(p->held + 1, r->decoder_ids, sizeof first * (size_t)r->n_decoder_ids);
    p->n_held = 1 + r->n_decoder_ids;
    sc_status s = sc_session_encode(p->session, 0, r->ids, r->n_ids);
    return s ? s : sc_session_eval(p->session, 0, p->held, p->n_held, logits);
}

sc_status sc_pipeline_read_prompt(sc_pipeline *p, const sc_text_request *r, sc_text_result *result,
                                  const float **logits)
{
    int64_t same = 0;
    if (is_pair(p)) return read_source(p, r, logits);
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

sc_status sc_pipeline_find_ends(sc_pipeline *p, const sc_text_request *r)
{
    int64_t n;
    const int32_t *eos = sc_model_eos(p->model, &n);
    int32_t own = sc_tokenizer_eos(p->tokenizer);
    if (n == 0 && own >= 0) eos = &own, n = 1;
    if (r->ignore_eos) n = 0;
    p->n_end = 0;
    if (!sc_grow(&p->end, &p->cap_end, n + r->n_end_ids, sizeof *p->end)) return sc_nomem();
    for (int64_t i = 0; i < n; i++) p->end[p->n_end++] = eos[i];
    for (int64_t i = 0; i < r->n_end_ids; i++) p->end[p->n_end++] = r->end_ids[i];
    return SC_OK;
}

sc_forced sc_pipeline_forced(const sc_pipeline *p)
{
    sc_forced f = p->forced;
    if (p->n_held > 1) f.first = -1;
    return f;
}

static sc_status sample(sc_pipeline *p, const sc_text_request *r, const float *logits, sc_text_writer *w)
{
    sc_model_info info;
    sc_sampler *sampler;
    sc_stop_reason why;
    sc_generate how = {
        .max_new_tokens = r->max_new_tokens, .token = sc_text_take, .user = w, .drafter = p->drafter};
    sc_forced forced = sc_pipeline_forced(p);
    int64_t begin = p->n_held; /* ids of the prompt in sequence 0 */
    if (is_pair(p)) how.forced = &forced;
    sc_model_describe(p->model, &info);
    sc_status s = sc_pipeline_find_ends(p, r);
    if (!s) s = sc_sampler_new(&sampler, &r->sampling, info.vocab);
    if (s) return s;
    how.eos = p->end;
    how.n_eos = p->n_end;
    s = sc_sampler_prompt(sampler, p->held, begin);
    if (!s && p->drafter) s = sc_drafter_start(p->drafter, &r->sampling, r->ids, r->n_ids);
    if (!s) s = sc_session_generate(p->session, 0, logits, sampler, &how, &why, &w->result->generated_tokens);
    int64_t evaluations;
    if (p->drafter)
        sc_drafter_counts(p->drafter, &w->result->drafted_tokens, &w->result->accepted_tokens, &evaluations);
    sc_sampler_free(sampler);
    /* What the sequence holds by now: the answer, but for an id that was not evaluated any more. */
    int64_t more = SC_MIN(w->result->n_ids, sc_session_length(p->session, 0) - begin);
    if (more > 0) memcpy(p->held + begin, w->result->ids, sizeof *p->held * (size_t)more);
    p->n_held = begin + SC_MAX(more, 0);
    if (!s) s = w->status;
    if (!s)
        w->result->finish_reason = w->stopped || why == SC_STOP_EOS ? "stop"
                                   : why == SC_STOP_LENGTH          ? "length"
                                   : why == SC_STOP_CONTEXT         ? "context"
                                                                    : "cancelled";
    return s;
}

/* What generation_config.json says of searching. */
static sc_status read_search(sc_beam_options *o, const sc_pipeline *p)
{
    static const char what[] = "generation_config.json";
    const char *text = sc_model_generation_config(p->model);
    json_t *j;
    sc_status s = sc_json_parse(&j, text, (int64_t)strlen(text), what);
    if (s) return s;
    const json_t *early = json_object_get(j, "early_stopping");
    s = sc_json_num(j, what, "length_penalty", -100, 100, &o->length_penalty);
    if (json_is_true(early)) o->early_stopping = SC_BEAM_EARLY;
    if (json_is_string(early) && strcmp(json_string_value(early), "never") == 0) o->early_stopping = SC_BEAM_NEVER;
    json_decref(j);
    return s;
}

static sc_status beams(sc_pipeline *p, const sc_text_request *r, const float *logits, sc_text_writer *w)
{
    sc_beam_search search = {
        .options = SC_BEAM_INIT, .processors = &r->sampling, .prompt = p->held, .n_prompt = p->n_held};
    sc_beam_options *o = &search.options;
    sc_beam_answer best;
    int n;
    sc_forced forced = sc_pipeline_forced(p);
    if (is_pair(p)) search.forced = &forced;
    sc_status s = read_search(o, p);
    if (!s) s = sc_pipeline_find_ends(p, r);
    if (s) return s;
    o->num_beams = r->num_beams;
    o->max_new_tokens = r->max_new_tokens;
    o->eos = p->end;
    o->n_eos = p->n_end;
    s = sc_session_beam(p->session, logits, &search, &best, &n);
    p->n_held = 0; /* the search used every sequence */
    if (s) return s;
    w->result->finish_reason = "length";
    w->result->generated_tokens = best.n;
    for (int64_t i = 0; i < best.n; i++) {
        bool end = false;
        for (int64_t e = 0; e < o->n_eos; e++) end = end || o->eos[e] == best.ids[i];
        if (end || !sc_text_take(w, best.ids[i], 0)) {
            w->result->finish_reason = "stop";
            break;
        }
    }
    sc_free(best.ids);
    return w->status;
}

sc_status sc_pipeline_generate(sc_pipeline *p, const sc_text_request *r, sc_text_result *result)
{
    sc_text_writer w = {0};
    const float *logits;
    *result = (sc_text_result){.finish_reason = "cancelled", .prompt_tokens = r->n_ids};
    if (r->n_ids < 1) return sc_fail(SC_EINVAL, "an empty prompt");
    if (r->max_new_tokens < 1 || r->max_new_tokens > (int64_t)1 << 24)
        return sc_fail(SC_EINVAL, "max_new_tokens is %lld, outside 1 to 2^24", (long long)r->max_new_tokens);
    sc_status s = sc_sampling_check(&r->sampling);
    if (!s) s = sc_text_writer_open(&w, p, r, result);
    double start = sc_now();
    if (!s) s = sc_pipeline_read_prompt(p, r, result, &logits);
    result->prompt_seconds = sc_now() - start;
    if (!s) s = r->num_beams > 1 ? beams(p, r, logits, &w) : sample(p, r, logits, &w);
    result->decode_seconds = sc_now() - start - result->prompt_seconds;
    if (s == SC_ECANCELLED) s = SC_OK;
    if (!s && w.stop && w.detokenizer) s = sc_text_flush(&w);
    sc_text_writer_close(&w);
    if (s) {
        sc_free(result->ids);
        result->ids = NULL;
        result->n_ids = 0;
    }
    return s;
}
