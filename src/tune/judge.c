/* SPDX-License-Identifier: Apache-2.0 */
/* Rewards that others give: a model with one score, and a command that is asked line by line. */
#include "infer/infer.h"
#include "sandbox/sandbox.h"
#include "tune/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a model ---- */

enum { MOST_TOKENS = 1 << 13 };

typedef struct scorer {
    sc_model *m;
    sc_tokenizer *tokenizer;
    sc_batch batch; /* of `tokens` in `texts` */
    int64_t tokens, texts;
} scorer;

static void close_model(sc_judge *j)
{
    scorer *x = j->self;
    if (x->tokens) sc_batch_free(&x->batch);
    sc_tokenizer_free(x->tokenizer);
    sc_model_free(x->m);
    sc_free(x);
}

static sc_status open_model(sc_judge *j, sc_context *ctx, const sc_rl_options *o, const char *argument)
{
    (void)o;
    scorer *x = j->self = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    sc_status s = sc_model_open(&x->m, ctx, argument, NULL);
    if (!s && (x->m->info.head != SC_HEAD_CLASSES || x->m->info.labels != 1))
        s = sc_fail(SC_EUNSUPPORTED, "%s: a reward model is one for sequences with one label", argument);
    if (!s) s = sc_tokenizer_load(&x->tokenizer, argument);
    if (s) close_model(j);
    return s;
}

/* The prompt's and the answer's texts as the scorer's tokenizer has them: where it is the learner's these are the same ids. */
static sc_status ids_of(const scorer *x, const sc_answer *a, int32_t **ids, int64_t *n)
{
    int64_t context = x->m->info.context;
    *n = a->prompt->n + a->n;
    if (!(*ids = sc_malloc(sizeof **ids * (size_t)*n))) return sc_nomem();
    memcpy(*ids, a->prompt->ids, sizeof **ids * (size_t)a->prompt->n);
    memcpy(*ids + a->prompt->n, a->ids, sizeof **ids * (size_t)a->n);
    for (int64_t i = 0; i < *n; i++)
        if ((*ids)[i] >= x->m->info.vocab)
            return sc_fail(SC_EINVAL, "%s has no token %d: a reward model must have the learner's tokens",
                           x->m->info.path, (*ids)[i]);
    if (context && *n > context) { /* its end is what is judged */
        memmove(*ids, *ids + *n - context, sizeof **ids * (size_t)context);
        *n = context;
    }
    return SC_OK;
}

static sc_status score_texts(scorer *x, const sc_batch_text *text, int64_t texts, float *score)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < texts; i++) tokens += text[i].n;
    sc_status s = SC_OK;
    if (x->tokens != tokens || x->texts != texts) {
        if (x->tokens) sc_batch_free(&x->batch);
        x->tokens = 0;
        s = sc_batch_new(&x->batch, x->m, tokens, texts, 0, 0);
        if (!s) x->tokens = tokens, x->texts = texts;
    }
    if (!s) s = sc_batch_run(&x->batch, text, texts);
    if (!s) memcpy(score, sc_plan_data(x->batch.plan, x->batch.t.logits), sizeof *score * (size_t)texts);
    return s;
}

static sc_status judge_model(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed)
{
    (void)failed;
    scorer *x = j->self;
    sc_batch_text *text = sc_calloc((size_t)n, sizeof *text);
    sc_status s = text ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        int32_t *ids = NULL;
        s = ids_of(x, &a[i], &ids, &text[i].n);
        text[i].ids = ids;
    }
    for (int64_t from = 0; !s && from < n;) {
        int64_t to = from, tokens = 0;
        while (to < n && (to == from || tokens + text[to].n <= MOST_TOKENS)) tokens += text[to++].n;
        s = score_texts(x, text + from, to - from, score + from);
        from = to;
        sc_progress(j->ctx, "rewards", from, n);
    }
    for (int64_t i = 0; text && i < n; i++) sc_free((void *)(uintptr_t)text[i].ids);
    sc_free(text);
    return s;
}
const sc_judge_kind sc_judge_model = {.name = "model",
                                      .about = "what a reward model says (a folder, of `socle tune reward`)",
                                      .argument = true,
                                      .open = open_model,
                                      .judge = judge_model,
                                      .free = close_model};

/* ---- a command ---- */

static sc_status open_cmd(sc_judge *j, sc_context *ctx, const sc_rl_options *o, const char *argument)
{
    sc_partner *p;
    sc_status s = sc_partner_new(&p, ctx, argument, o->reward_seconds > 0 ? o->reward_seconds : 10);
    if (!s) j->self = p;
    return s;
}

static void close_cmd(sc_judge *j) { sc_partner_free(j->self); }

/* {"prompt": …, "completion": …, "record": {…}}; owned. */
static char *question(const sc_answer *a)
{
    json_t *o = json_pack("{s:s, s:s%, s:O}", "prompt", a->prompt->text, "completion", a->text, (size_t)a->len,
                          "record", a->prompt->record);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return text;
}

/* A number, or an object with one as "reward". false: it is something else. */
static bool read_reply(const char *text, int64_t n, float *score)
{
    char *end;
    json_t *o = NULL;
    double x = strtod(text, &end);
    while (*end == ' ' || *end == '\t' || *end == '\r') end++;
    if (end != text && *end == 0) {
        *score = (float)x;
        return true;
    }
    bool ok = sc_json_parse(&o, text, n, "the reply") == SC_OK && json_is_number(json_object_get(o, "reward"));
    if (ok) *score = (float)json_number_value(json_object_get(o, "reward"));
    json_decref(o);
    return ok;
}

static sc_status judge_cmd(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed)
{
    int64_t told = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *reply;
        int64_t len;
        char *text = question(&a[i]);
        if (!text) return sc_nomem();
        sc_status s = sc_partner_ask(j->self, text, (int64_t)strlen(text), &reply, &len);
        sc_free(text);
        if (s == SC_ECANCELLED || s == SC_ENOMEM) return s;
        if (!s && !read_reply(reply, len, &score[i]))
            s = sc_fail(SC_EFORMAT, "the reward command answers '%.60s', which is no number", reply);
        failed[i] = s != SC_OK;
        if (s && !told++) sc_log(j->ctx, SC_LOG_WARNING, "%s", sc_error());
        sc_progress(j->ctx, "rewards", i + 1, n);
    }
    return SC_OK;
}
const sc_judge_kind sc_judge_cmd = {
    .name = "cmd",
    .about =
        "what a command answers: it reads a line of JSON with prompt, completion and record, and writes a number",
    .argument = true,
    .open = open_cmd,
    .judge = judge_cmd,
    .free = close_cmd};
