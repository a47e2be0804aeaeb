/* SPDX-License-Identifier: Apache-2.0 */
/* Questions and choices, by way of what was answered before. */
#include "synth/synth.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

/* ---- keys, and lines of answers.jsonl ---- */

static void add_key(sc_str *s, const char *name, const char *value)
{
    sc_str_printf(s, "%s %zu\n%s\n", name, value ? strlen(value) : 0, value ? value : "");
}

static void add_model(sc_str *s, const sc_speaker *who)
{
    add_key(s, "model", sc_asker_name(who->a));
    sc_str_printf(s, "%llu\n", (unsigned long long)who->files);
}

/* 128 bits of all that an answer depends on. */
static const char *key_of(sc_synth *w, sc_str *s)
{
    if (s->oom) return NULL;
    uint64_t a = sc_hash(s->p, s->len);
    sc_str_puts(s, "again");
    if (s->oom) return NULL;
    return sc_arena_printf(w->arena, "%016llx%016llx", (unsigned long long)a,
                           (unsigned long long)sc_hash(s->p, s->len));
}

static uint64_t stream_of(const sc_question *q)
{
    return sc_hash(q->stage, (int64_t)strlen(q->stage)) + (uint64_t)q->index * 4096;
}

static int64_t most_of(const sc_synth *w, const sc_question *q) { return q->most ? q->most : w->o.max_new_tokens; }

static const char *question_key(sc_synth *w, const sc_speaker *who, const sc_question *q)
{
    sc_str s = {0};
    add_model(&s, who);
    add_key(&s, q->stage, q->text);
    add_key(&s, "begin", q->begin);
    add_key(&s, "stop", q->stop);
    sc_str_printf(&s, "%lld %lld %d %d %d %.17g %.17g %llu", (long long)q->index, (long long)most_of(w, q),
                  q->samples, q->talk, who->chats, w->o.temperature, w->o.top_p, (unsigned long long)w->o.seed);
    const char *key = key_of(w, &s);
    sc_str_free(&s);
    return key;
}

/* Takes the line. */
static sc_status log_line(sc_synth *w, const char *key, json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    sc_str s = {0};
    sc_status status = SC_OK;
    if (text) sc_str_printf(&s, "%s\n", text);
    if (!text || s.oom || json_object_set(w->cache, key, line) != 0)
        status = sc_nomem();
    else if (write(w->log, s.p, (size_t)s.len) != (ssize_t)s.len)
        status = sc_fail(SC_EIO, "cannot write %s/answers.jsonl: %s", w->o.out, strerror(errno));
    sc_free(text);
    sc_str_free(&s);
    json_decref(line);
    return status;
}

/* ---- questions ---- */

typedef struct asking {
    sc_synth *w;
    const sc_question *q;
    const char **key;
    int64_t *which; /* of the questions, that request i is */
    sc_status failed;
} asking;

static bool keep_answers(void *user, int64_t i, const void *result)
{
    asking *x = user;
    const sc_ask_answer *a = result;
    const sc_question *q = &x->q[x->which[i]];
    json_t *list = json_array();
    for (int k = 0; list && k < SC_MAX(q->samples, 1); k++)
        json_array_append_new(list, json_pack("{s:s%, s:s, s:I}", "text", a[k].text, (size_t)a[k].len, "finish",
                                              a[k].finish_reason, "tokens", (json_int_t)a[k].tokens));
    json_t *line = list ? json_pack("{s:s, s:s, s:I, s:o}", "key", x->key[x->which[i]], "stage", q->stage, "index",
                                    (json_int_t)q->index, "answers", list)
                        : NULL;
    x->failed = log_line(x->w, x->key[x->which[i]], line);
    return !x->failed;
}

static sc_sampling sampling_of(const sc_synth *w, const sc_question *q)
{
    sc_sampling s = SC_SAMPLING_INIT;
    s.do_sample = w->o.temperature > 0;
    s.temperature = SC_MAX(w->o.temperature, 0);
    s.top_k = 0;
    s.top_p = w->o.top_p;
    s.seed = w->o.seed;
    s.stream = stream_of(q);
    return s;
}

/* A conversation of one message; what is plain is written as such. */
static const char *messages_of(sc_synth *w, const char *text)
{
    json_t *o = json_pack("[{s:s, s:s}]", "role", "user", "content", text);
    char *dump = o ? json_dumps(o, JSON_COMPACT) : NULL;
    const char *own = dump ? sc_arena_strndup(w->arena, dump, strlen(dump)) : NULL;
    sc_free(dump);
    json_decref(o);
    return own;
}

static sc_text text_of(const char *z) { return (sc_text){z, z ? (int64_t)strlen(z) : 0}; }

static sc_status make_request(sc_synth *w, const sc_speaker *who, const sc_question *q, sc_ask_request *out)
{
    const char **stop = sc_arena_alloc(w->arena, 2 * sizeof *stop);
    if (!stop) return sc_nomem();
    *out = (sc_ask_request){.sampling = sampling_of(w, q),
                            .max_new_tokens = most_of(w, q),
                            .stop = stop,
                            .samples = SC_MAX(q->samples, 1),
                            .cut = true};
    if (q->stop) stop[out->n_stop++] = q->stop;
    const char *text;
    if (who->chats) {
        text = messages_of(w, q->text);
        out->messages = text_of(text);
        if (q->begin) out->begin = text_of(q->begin);
        return text ? SC_OK : sc_nomem();
    }
    if (q->talk) stop[out->n_stop++] = "\n\nHuman:";
    const char *begin = q->begin ? q->begin : "";
    text = q->talk ? sc_arena_printf(w->arena, "Human: %s\n\nAssistant:%s%s", q->text, *begin ? " " : "", begin)
                   : sc_arena_printf(w->arena, "%s%s%s", q->text, *begin ? "\n\n" : "", begin);
    out->prompt = text_of(text);
    return text ? SC_OK : sc_nomem();
}

static sc_status take_replies(sc_synth *w, const sc_question *q, const char *key, sc_reply *out)
{
    const json_t *list = json_object_get(json_object_get(w->cache, key), "answers");
    for (int k = 0; k < SC_MAX(q->samples, 1); k++) {
        const json_t *a = json_array_get(list, (size_t)k);
        const char *text = json_string_value(json_object_get(a, "text")),
                   *finish = json_string_value(json_object_get(a, "finish"));
        if (!text || !finish) return sc_fail(SC_EFORMAT, "%s/answers.jsonl: no answer %s", w->o.out, key);
        /* What is behind a NUL is no text that anything here could use. */
        if (!(text = sc_synth_trimmed(w->arena, text, (int64_t)strlen(text)))) return sc_nomem();
        out[k] = (sc_reply){text, strcmp(finish, "stop") == 0};
    }
    return SC_OK;
}

/* Those that answers.jsonl lacks. */
static sc_status ask_missing(sc_synth *w, const sc_speaker *who, asking *x, int64_t n)
{
    sc_ask_request *r = sc_calloc((size_t)n + 1, sizeof *r);
    int64_t missing = 0, answers = 0;
    sc_status s = r ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        int samples = SC_MAX(x->q[i].samples, 1);
        if (!(x->key[i] = question_key(w, who, &x->q[i]))) s = sc_nomem();
        if (!s && json_object_get(w->cache, x->key[i])) {
            w->result.before += samples;
            continue;
        }
        if (!s) s = make_request(w, who, &x->q[i], &r[missing]);
        x->which[missing++] = i;
        answers += samples;
    }
    sc_ask_answer *a = s ? NULL : sc_calloc((size_t)answers + 1, sizeof *a);
    if (!s && !a) s = sc_nomem();
    if (!s && missing) {
        s = sc_asker_generate(who->a, r, missing, a, keep_answers, x);
        if (!s) w->result.asked += answers;
        if (!s) sc_ask_answers_free(a, answers);
        if (x->failed) s = x->failed;
    }
    sc_free(a);
    sc_free(r);
    return s;
}

sc_status sc_synth_ask(sc_synth *w, const sc_speaker *who, const sc_question *q, int64_t n, sc_reply *out)
{
    asking x = {.w = w, .q = q};
    x.key = sc_calloc((size_t)n + 1, sizeof *x.key);
    x.which = sc_calloc((size_t)n + 1, sizeof *x.which);
    sc_status s = x.key && x.which ? ask_missing(w, who, &x, n) : sc_nomem();
    for (int64_t i = 0, at = 0; !s && i < n; at += SC_MAX(q[i].samples, 1), i++)
        s = take_replies(w, &q[i], x.key[i], out + at);
    sc_free(x.key);
    sc_free(x.which);
    return s;
}

/* ---- choices ---- */

static const char *choice_key(sc_synth *w, const sc_speaker *who, const sc_choice *c)
{
    sc_str s = {0};
    add_model(&s, who);
    add_key(&s, c->stage, c->text);
    add_key(&s, "begin", c->begin);
    for (int k = 0; k < c->n; k++) add_key(&s, "option", c->option[k]);
    sc_str_printf(&s, "%lld %d", (long long)c->index, who->chats);
    const char *key = key_of(w, &s);
    sc_str_free(&s);
    return key;
}

/* The conversation, with the answer's beginning left to the model, or plain text that ends in it. */
static sc_status make_continuation(sc_synth *w, const sc_speaker *who, const sc_choice *c, int k,
                                   sc_ask_continuation *out)
{
    const char *context = who->chats ? messages_of(w, c->text)
                                     : sc_arena_printf(w->arena, "%s\n\n%s", c->text, c->begin ? c->begin : ""),
               *said = sc_arena_printf(w->arena, "%s%s%s", who->chats && c->begin ? c->begin : "",
                                       who->chats && !c->begin ? "" : " ", c->option[k]);
    *out = (sc_ask_continuation){.continuation = text_of(said)};
    if (who->chats)
        out->messages = text_of(context);
    else
        out->context = text_of(context);
    return context && said ? SC_OK : sc_nomem();
}

static json_t *shares_of(const double *logprob, int n)
{
    double most = -INFINITY, sum = 0;
    json_t *list = json_array();
    for (int k = 0; k < n; k++) most = fmax(most, logprob[k]);
    for (int k = 0; k < n; k++) sum += exp(logprob[k] - most);
    for (int k = 0; list && k < n; k++) {
        double share = exp(logprob[k] - most) / sum;
        json_array_append_new(list, isfinite(share) ? json_real(share) : json_null());
    }
    return list;
}

static sc_status keep_shares(sc_synth *w, const sc_choice *c, const char *key, json_t *list)
{
    json_t *line = list ? json_pack("{s:s, s:s, s:I, s:o}", "key", key, "stage", c->stage, "index",
                                    (json_int_t)c->index, "shares", list)
                        : NULL;
    return log_line(w, key, line);
}

static sc_status by_likelihood(sc_synth *w, const sc_speaker *who, const sc_choice *const *c,
                               const char *const *key, int64_t n)
{
    sc_ask_continuation *r = sc_calloc((size_t)n * SC_CHOICES + 1, sizeof *r);
    sc_ask_score *score = sc_calloc((size_t)n * SC_CHOICES + 1, sizeof *score);
    int64_t all = 0;
    sc_status s = r && score ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++)
        for (int k = 0; !s && k < c[i]->n; k++) s = make_continuation(w, who, c[i], k, &r[all++]);
    if (!s) s = sc_asker_score(who->a, r, all, score, NULL, NULL);
    for (int64_t i = 0, at = 0; !s && i < n; at += c[i]->n, i++) {
        double logprob[SC_CHOICES];
        for (int k = 0; k < c[i]->n; k++) logprob[k] = score[at + k].logprob;
        s = keep_shares(w, c[i], key[i], shares_of(logprob, c[i]->n));
    }
    sc_free(r);
    sc_free(score);
    return s;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* Whether a text has a word, without regard to case. */
static bool says(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; *p; p++) {
        bool begins = p == text || !is_word(p[-1]);
        size_t k = 0;
        while (begins && k < n && (p[k] | 32) == (word[k] | 32)) k++;
        if (begins && k == n && !is_word(p[n])) return true;
    }
    return false;
}

static sc_status in_words(sc_synth *w, const sc_speaker *who, const sc_choice *const *c, const char *const *key,
                          int64_t n)
{
    sc_question *q = sc_calloc((size_t)n + 1, sizeof *q);
    sc_reply *a = sc_calloc((size_t)n + 1, sizeof *a);
    sc_status s = q && a ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        const char *text = sc_arena_printf(w->arena, "%s\n\nAnswer with one word.", c[i]->text);
        if (!text) s = sc_nomem();
        q[i] = (sc_question){.stage = c[i]->stage, .index = c[i]->index, .text = text, .most = 16};
    }
    if (!s) s = sc_synth_ask(w, who, q, n, a);
    for (int64_t i = 0; !s && i < n; i++) {
        int said = 0;
        json_t *list = json_array();
        for (int k = 0; k < c[i]->n; k++) said += says(a[i].text, c[i]->option[k]);
        for (int k = 0; list && k < c[i]->n; k++)
            json_array_append_new(list, said == 1 ? json_real(says(a[i].text, c[i]->option[k])) : json_null());
        s = keep_shares(w, c[i], key[i], list);
    }
    sc_free(q);
    sc_free(a);
    return s;
}

static sc_status take_shares(sc_synth *w, const sc_choice *c, const char *key, double share[SC_CHOICES])
{
    const json_t *list = json_object_get(json_object_get(w->cache, key), "shares");
    if ((int)json_array_size(list) != c->n)
        return sc_fail(SC_EFORMAT, "%s/answers.jsonl: no choice %s", w->o.out, key);
    for (int k = 0; k < c->n; k++) {
        const json_t *v = json_array_get(list, (size_t)k);
        share[k] = json_is_number(v) ? json_number_value(v) : NAN;
    }
    return SC_OK;
}

sc_status sc_synth_choose(sc_synth *w, sc_speaker *who, const sc_choice *c, int64_t n, double (*share)[SC_CHOICES])
{
    const sc_choice **lacks = sc_calloc((size_t)n + 1, sizeof *lacks);
    const char **key = sc_calloc((size_t)n + 1, sizeof *key), **lacking = sc_calloc((size_t)n + 1, sizeof *lacking);
    int64_t missing = 0;
    sc_status s = lacks && key && lacking ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        if (!(key[i] = choice_key(w, who, &c[i]))) s = sc_nomem();
        if (!s && json_object_get(w->cache, key[i])) {
            w->result.before++;
            continue;
        }
        lacks[missing] = &c[i];
        lacking[missing++] = key[i];
    }
    if (!s && missing && !who->by_text) {
        s = by_likelihood(w, who, lacks, lacking, missing);
        if (!s) w->result.asked += missing;
        who->by_text = s == SC_EUNSUPPORTED;
    }
    if (missing && who->by_text && (!s || s == SC_EUNSUPPORTED)) s = in_words(w, who, lacks, lacking, missing);
    for (int64_t i = 0; !s && i < n; i++) s = take_shares(w, &c[i], key[i], share[i]);
    sc_free(lacks);
    sc_free(key);
    sc_free(lacking);
    return s;
}
