/* SPDX-License-Identifier: Apache-2.0 */
/* Test items answered by one method: by the likelihood of choices, or by a text; after reasoning, or without. */
#include "compare/compare.h"

#include <math.h>

void sc_compare_asked_free(sc_compare_asked *a)
{
    sc_free(a->said);
    sc_free(a->thought);
    *a = (sc_compare_asked){0};
}

/* One prompt on its way: several of them belong to one item where reasonings are sampled. */
typedef struct prompt {
    const sc_compare_item *item;
    char *text;    /* plain or messages */
    char *thought; /* that it concludes from; owned */
    double weight; /* of the reasoning: its mean log probability */
    char *said;    /* the answer, owned */
    int choice;    /* -1: it names none */
} prompt;

static sc_text text_of(const char *p) { return (sc_text){p, p ? (int64_t)strlen(p) : 0}; }

/* ---- by likelihood ---- */

static sc_status choose(const sc_compare_asking *a, prompt *p, int64_t n)
{
    const sc_compare_task *t = a->prompter->task;
    bool chat = a->prompter->o->chat;
    int64_t all = 0, k = 0;
    for (int64_t i = 0; i < n; i++) all += p[i].item->n_choices;
    sc_ask_continuation *c = sc_calloc((size_t)all, sizeof *c);
    sc_ask_score *score = sc_calloc((size_t)all, sizeof *score);
    sc_arena *arena = sc_arena_new();
    sc_status s = c && score && arena ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++)
        for (int j = 0; j < p[i].item->n_choices; j++, k++) {
            const char *text = sc_arena_printf(arena, "%s%s", chat ? "" : p[i].item->delimiter,
                                               sc_compare_choice(t, p[i].item, j));
            if (!text) s = sc_nomem();
            c[k] = (sc_ask_continuation){.continuation = text_of(text)};
            *(chat ? &c[k].messages : &c[k].context) = text_of(p[i].text);
        }
    if (!s) s = sc_asker_score(a->asker, c, all, score, NULL, NULL);
    k = 0;
    for (int64_t i = 0; !s && i < n; i++) {
        double best = -INFINITY;
        p[i].choice = 0;
        for (int j = 0; j < p[i].item->n_choices; j++, k++) {
            /* Choices of one set are labels; those of an item are texts of any length, which counts against them. */
            double per = t->own_choices && !t->lists ? (double)c[k].continuation.len : 1,
                   v = score[k].logprob / per;
            if (v > best) best = v, p[i].choice = j;
        }
        if (!(p[i].said = sc_strdup(sc_compare_choice(t, p[i].item, p[i].choice)))) s = sc_nomem();
    }
    sc_arena_free(arena);
    sc_free(score);
    sc_free(c);
    return s;
}

/* ---- by text ---- */

static sc_status generate(const sc_compare_asking *a, prompt *p, int64_t n)
{
    const sc_compare_task *t = a->prompter->task;
    const sc_compare_options *o = a->prompter->o;
    const char *stop[] = {sc_compare_stop(t)};
    sc_ask_request *r = sc_calloc((size_t)n, sizeof *r);
    sc_ask_answer *y = sc_calloc((size_t)n, sizeof *y);
    sc_status s = r && y ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        r[i] = (sc_ask_request){
            .sampling = SC_SAMPLING_INIT, .max_new_tokens = o->max_tokens, .stop = stop, .n_stop = 1, .cut = true};
        /* A chat answers in its own form, and says when it is done. */
        if (o->chat) r[i].n_stop = 0;
        *(o->chat ? &r[i].messages : &r[i].prompt) = text_of(p[i].text);
    }
    if (!s) s = sc_asker_generate(a->asker, r, n, y, NULL, NULL);
    for (int64_t i = 0; !s && i < n; i++) {
        p[i].choice = -1;
        p[i].said = y[i].text;
        y[i].text = NULL;
        if (t->metric == SC_COMPARE_CHOICE) p[i].choice = sc_compare_named(t, p[i].item, p[i].said);
        sc_compare_extract(t, p[i].said);
    }
    if (y) sc_ask_answers_free(y, n);
    sc_free(y);
    sc_free(r);
    return s;
}

static sc_status answer(sc_compare_asking *a, prompt *p, int64_t n)
{
    if (a->prompter->task->metric != SC_COMPARE_CHOICE || a->no_scores) return generate(a, p, n);
    sc_status s = choose(a, p, n);
    if (s != SC_EUNSUPPORTED) return s;
    a->no_scores = true; /* an endpoint that gives no likelihoods: what it writes must name a choice */
    return generate(a, p, n);
}

/* ---- reasoning ---- */

/* Where a model that goes on by itself begins the next question: what stands before {input}, or an empty line. */
static char *next_question(const sc_compare_options *o)
{
    const char *form = o->prompt ? o->prompt : "Question:", *end = strstr(form, "{input}");
    int64_t n = end ? end - form : (int64_t)strlen(form);
    while (n && (form[n - 1] == ' ' || form[n - 1] == '\n')) n--;
    sc_str s = {0};
    sc_str_puts(&s, "\n");
    if (n)
        sc_str_append(&s, form, n);
    else
        sc_str_puts(&s, "\n");
    return sc_str_take(&s, NULL);
}

/* Fills p (n * samples) with conclusions to answer: the reasonings, and the prompts behind them. */
static sc_status reason(const sc_compare_asking *a, const sc_compare_item *const *item, int64_t n, int samples,
                        int64_t first, prompt *p)
{
    const sc_compare_options *o = a->prompter->o;
    char *next = next_question(o);
    const char *stop[] = {next};
    sc_ask_request *r = sc_calloc((size_t)n, sizeof *r);
    sc_ask_answer *y = sc_calloc((size_t)(n * samples), sizeof *y);
    char **text = sc_calloc((size_t)n, sizeof *text);
    sc_status s = next && r && y && text ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        if (!(text[i] = sc_compare_prompt(a->prompter, item[i], a->shot, a->shots, SC_COMPARE_THINKS, NULL)))
            s = sc_nomem();
        r[i] = (sc_ask_request){.sampling = SC_SAMPLING_INIT,
                                .max_new_tokens = o->think_tokens,
                                .stop = stop,
                                .n_stop = 1,
                                .samples = samples,
                                .cut = true};
        r[i].sampling.do_sample = samples > 1;
        r[i].sampling.temperature = 0.7;
        r[i].sampling.seed = a->seed;
        r[i].sampling.stream = (uint64_t)(first + i) << 16;
        *(o->chat ? &r[i].messages : &r[i].prompt) = text_of(text[i]);
    }
    if (!s) s = sc_asker_generate(a->asker, r, n, y, NULL, NULL);
    for (int64_t k = 0; !s && k < n * samples; k++) {
        p[k].item = item[k / samples];
        p[k].weight = y[k].logprob / (double)SC_MAX(y[k].tokens, 1);
        p[k].thought = y[k].text;
        y[k].text = NULL;
        p[k].text =
            sc_compare_prompt(a->prompter, p[k].item, a->shot, a->shots, SC_COMPARE_CONCLUDES, p[k].thought);
        if (!p[k].text) s = sc_nomem();
    }
    for (int64_t i = 0; text && i < n; i++) sc_free(text[i]);
    if (y) sc_ask_answers_free(y, n * samples);
    sc_free(text);
    sc_free(y);
    sc_free(r);
    sc_free(next);
    return s;
}

/* Of an item's samples the one that counts: the likeliest, or the first of those with the answer that most have. */
static sc_status elect(const sc_compare_asking *a, const prompt *p, int samples, int *out)
{
    int most = 0;
    *out = 0;
    for (int k = 0; k < samples && a->method->likeliest; k++) {
        if (isnan(p[k].weight))
            return sc_fail(SC_EUNSUPPORTED, "the endpoint gives no log probabilities to choose by");
        if (p[k].weight > p[*out].weight) *out = k;
    }
    for (int k = 0; k < samples && !a->method->likeliest; k++) {
        int votes = 0;
        for (int j = 0; j < samples; j++) votes += strcmp(p[j].said, p[k].said) == 0;
        if (votes > most) most = votes, *out = k;
    }
    return SC_OK;
}

sc_status sc_compare_ask(sc_compare_asking *a, const sc_compare_item *const *item, int64_t n, int64_t first,
                         sc_compare_asked *out)
{
    const sc_compare_task *t = a->prompter->task;
    int samples = a->method->samples ? (int)a->prompter->o->samples : 1;
    prompt *p = sc_calloc((size_t)(n * samples), sizeof *p);
    sc_status s = p ? SC_OK : sc_nomem();
    if (!s && a->method->thinks) s = reason(a, item, n, samples, first, p);
    for (int64_t i = 0; !s && !a->method->thinks && i < n; i++) {
        p[i].item = item[i];
        if (!(p[i].text = sc_compare_prompt(a->prompter, item[i], a->shot, a->shots, SC_COMPARE_ASKS, NULL)))
            s = sc_nomem();
    }
    if (!s) s = answer(a, p, n * samples);
    for (int64_t i = 0; !s && i < n; i++) {
        int best;
        if ((s = elect(a, p + i * samples, samples, &best))) break;
        prompt *q = &p[i * samples + best];
        out[i].score = q->choice == item[i]->target;
        if (t->metric != SC_COMPARE_CHOICE && (s = sc_compare_grade(&out[i].score, t, item[i], q->said))) break;
        out[i].said = q->said;
        out[i].thought = q->thought;
        q->said = q->thought = NULL;
    }
    for (int64_t k = 0; p && k < n * samples; k++) {
        sc_free(p[k].text);
        sc_free(p[k].thought);
        sc_free(p[k].said);
    }
    sc_free(p);
    return s;
}
