/* SPDX-License-Identifier: Apache-2.0 */
/* The answer itself, behind the prompt and whatever was reasoned: compared choices, or a few words. */
#include "ask/asking.h"

#include <math.h>

/* ---- choices by their likelihood ---- */

/* Texts that requests borrow, freed together. */
typedef struct texts {
    char **p;
    int64_t n, cap;
} texts;

static sc_status keep_text(texts *t, sc_str *s, sc_text *out)
{
    if (!s->oom && !s->p) sc_str_puts(s, "");
    if (s->oom || !sc_grow(&t->p, &t->cap, t->n + 1, sizeof *t->p)) {
        sc_str_free(s);
        return sc_nomem();
    }
    out->p = t->p[t->n] = sc_str_take(s, &out->len);
    t->n++;
    return SC_OK;
}

static void free_texts(texts *t)
{
    for (int64_t i = 0; i < t->n; i++) sc_free(t->p[i]);
    sc_free(t->p);
}

/* The continuations of one candidate: its prompt, what was said, the call, and each choice. */
static sc_status add_choices(const sc_ask_run *r, const sc_ask_candidate *c, bool calls, texts *t,
                             sc_ask_continuation *to)
{
    const sc_ask_question *q = c->prompt->question;
    sc_text begin, context = c->prompt->plain;
    sc_str s = {0};
    if (!r->chat) sc_str_append(&s, context.p, context.len);
    sc_str_append(&s, c->said.p, c->said.len);
    if (calls) sc_str_puts(&s, r->conclude);
    sc_status status = keep_text(t, &s, &begin);
    for (int64_t k = 0; !status && k < q->n_choices; k++) {
        sc_text choice;
        if (!r->chat || begin.len) sc_str_putc(&s, ' ');
        sc_str_append(&s, q->choices[k].p, q->choices[k].len);
        status = keep_text(t, &s, &choice);
        to[k] = r->chat
                    ? (sc_ask_continuation){.messages = c->prompt->messages, .begin = begin, .continuation = choice}
                    : (sc_ask_continuation){.context = begin, .continuation = choice};
    }
    return status;
}

/* Long choices have more to lose: unless they are labels, their likelihoods are compared per byte. The shares are of what that
 * gives. */
static sc_status best_choice(const sc_ask_run *r, sc_ask_candidate *c, const sc_ask_score *score)
{
    const sc_ask_question *q = c->prompt->question;
    int64_t best = 0;
    double top = -INFINITY, sum = 0;
    for (int64_t k = 0; k < q->n_choices; k++) {
        double x = score[k].logprob / (r->t->labels ? 1 : (double)SC_MAX(q->choices[k].len, 1));
        if (x > top) top = x, best = k;
    }
    for (int64_t k = 0; k < q->n_choices; k++) sum += exp(score[k].logprob - score[best].logprob);
    sc_free(c->answer);
    c->answer = sc_strndup(q->choices[best].p, (size_t)q->choices[best].len);
    c->share = 1 / sum;
    c->logprob += score[best].logprob;
    c->tokens += score[best].tokens;
    return c->answer ? SC_OK : sc_nomem();
}

static sc_status compare_choices(sc_ask_run *r, sc_ask_candidate **c, int64_t n, bool calls)
{
    int64_t total = 0, at = 0;
    texts t = {0};
    for (int64_t i = 0; i < n; i++) total += c[i]->prompt->question->n_choices;
    sc_ask_continuation *x = sc_calloc((size_t)SC_MAX(total, 1), sizeof *x);
    sc_ask_score *score = sc_calloc((size_t)SC_MAX(total, 1), sizeof *score);
    sc_status s = x && score ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        s = add_choices(r, c[i], calls, &t, x + at);
        at += c[i]->prompt->question->n_choices;
    }
    if (!s) s = sc_asker_score(r->a, x, total, score, NULL, NULL);
    at = 0;
    for (int64_t i = 0; i < n && !s; i++) {
        s = best_choice(r, c[i], score + at);
        at += c[i]->prompt->question->n_choices;
    }
    free_texts(&t);
    sc_free(x);
    sc_free(score);
    return s;
}

/* ---- answers in words ---- */

/* Takes over what was generated, as a part of what is said. */
static sc_status take_words(sc_ask_run *r, sc_ask_candidate *c, const sc_ask_answer *a, bool calls)
{
    int64_t before = c->said.len;
    sc_str_puts(&c->said, ""); /* p is there, however little is said */
    if (calls) sc_str_puts(&c->said, r->conclude);
    sc_str_append(&c->said, a->text, a->len);
    if (c->said.oom) return sc_nomem();
    c->logprob += a->logprob;
    c->tokens += a->tokens;
    r->tokens += a->tokens;
    const sc_ask_question *q = c->prompt->question;
    sc_free(c->answer);
    c->answer = NULL;
    /* A text that is asked for plainly is all that was said. */
    if (c->prompt->kind == SC_ANSWER_TEXT && !calls)
        return sc_ask_trimmed(&c->answer, c->said.p + before, c->said.len - before);
    return sc_ask_extract(&c->answer, c->prompt->kind, c->said.p + before, c->said.len - before, q->choices,
                          q->n_choices);
}

/* Samples of one question that begin with nothing share their prompt: they are asked for together. */
static bool together(const sc_ask_candidate *a, const sc_ask_candidate *b, bool calls)
{
    return !calls && !b->said.len && a->prompt == b->prompt && b->sample == a->sample + 1;
}

static sc_status say_answers(sc_ask_run *r, sc_ask_candidate **c, int64_t n, bool calls)
{
    static const char *const line_end[] = {"\n"};
    texts t = {0};
    int64_t asked = 0;
    sc_ask_request *x = sc_calloc((size_t)SC_MAX(n, 1), sizeof *x);
    sc_ask_answer *got = sc_calloc((size_t)SC_MAX(n, 1), sizeof *got);
    sc_status s = x && got ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        sc_text begin;
        sc_str b = {0};
        if (i && together(c[i - 1], c[i], calls)) {
            x[asked - 1].samples++;
            continue;
        }
        sc_str_append(&b, c[i]->said.p, c[i]->said.len);
        if (calls) sc_str_puts(&b, r->conclude);
        s = keep_text(&t, &b, &begin);
        sc_ask_request *to = &x[asked++];
        *to = sc_ask_request_of(r, c[i]->prompt, begin, r->m->answer_tokens);
        to->sampling.stream = c[i]->sample;
        if (calls) { /* one line, and the likeliest: what varies is the reasoning */
            to->stop = line_end;
            to->n_stop = 1;
            to->sampling.do_sample = false;
        }
    }
    if (!s) s = sc_asker_generate(r->a, x, asked, got, NULL, NULL);
    for (int64_t i = 0; i < n && !s; i++) s = take_words(r, c[i], &got[i], calls);
    if (got) sc_ask_answers_free(got, n);
    free_texts(&t);
    sc_free(x);
    sc_free(got);
    return s;
}

sc_status sc_ask_answer_all(sc_ask_run *r, sc_ask_candidate **c, int64_t n, bool calls)
{
    sc_ask_candidate **part = sc_malloc(sizeof *part * (size_t)SC_MAX(n, 1));
    sc_status s = part ? SC_OK : sc_nomem();
    for (int by_choice = 0; by_choice < 2 && !s; by_choice++) {
        int64_t m = 0;
        for (int64_t i = 0; i < n; i++)
            if ((r->scores && c[i]->prompt->kind == SC_ANSWER_CHOICE) == by_choice) part[m++] = c[i];
        if (m) s = by_choice ? compare_choices(r, part, m, calls) : say_answers(r, part, m, calls);
    }
    sc_free(part);
    return s;
}

/* ---- one of several words ---- */

/* The user's text as this asker is asked. */
static sc_status wrap(const sc_ask_run *r, sc_text text, texts *t, sc_text *messages)
{
    if (!r->chat) return SC_OK;
    json_t *list = json_pack("[{s:s, s:s%}]", "role", "user", "content", text.p, (size_t)text.len);
    char *dumped = list ? json_dumps(list, JSON_COMPACT) : NULL;
    sc_str s = {0};
    if (dumped) sc_str_puts(&s, dumped);
    json_decref(list);
    sc_free(dumped);
    return list ? keep_text(t, &s, messages) : sc_fail(SC_EINVAL, "a question that is not UTF-8");
}

static sc_status words_by_likelihood(sc_ask_run *r, const sc_text *plain, int64_t n, const char *const *words,
                                     int n_words, double *p)
{
    texts t = {0};
    int64_t total = n * n_words;
    sc_ask_continuation *x = sc_calloc((size_t)SC_MAX(total, 1), sizeof *x);
    sc_ask_score *score = sc_calloc((size_t)SC_MAX(total, 1), sizeof *score);
    sc_status s = x && score ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        sc_text messages = {0};
        s = wrap(r, plain[i], &t, &messages);
        for (int k = 0; k < n_words && !s; k++) {
            sc_str w = {0};
            sc_text word;
            sc_str_printf(&w, "%s%s", r->chat ? "" : " ", words[k]);
            s = keep_text(&t, &w, &word);
            x[i * n_words + k] = r->chat ? (sc_ask_continuation){.messages = messages, .continuation = word}
                                         : (sc_ask_continuation){.context = plain[i], .continuation = word};
        }
    }
    if (!s) s = sc_asker_score(r->a, x, total, score, NULL, NULL);
    for (int64_t i = 0; i < n && !s; i++) {
        double top = -INFINITY, sum = 0;
        for (int k = 0; k < n_words; k++) top = fmax(top, score[i * n_words + k].logprob);
        for (int k = 0; k < n_words; k++) sum += p[i * n_words + k] = exp(score[i * n_words + k].logprob - top);
        for (int k = 0; k < n_words; k++) p[i * n_words + k] /= sum;
    }
    free_texts(&t);
    sc_free(x);
    sc_free(score);
    return s;
}

static sc_status words_by_asking(sc_ask_run *r, const sc_text *plain, int64_t n, const char *const *words,
                                 int n_words, double *p)
{
    enum { TIMES = 5, TOKENS = 16, MOST_WORDS = 256 };
    texts t = {0};
    sc_text choice[MOST_WORDS];
    sc_ask_request *x = sc_calloc((size_t)SC_MAX(n, 1), sizeof *x);
    sc_ask_answer *got = sc_calloc((size_t)SC_MAX(n * TIMES, 1), sizeof *got);
    sc_status s = x && got ? SC_OK : sc_nomem();
    for (int k = 0; k < n_words; k++) choice[k] = (sc_text){words[k], (int64_t)strlen(words[k])};
    for (int64_t i = 0; i < n && !s; i++) {
        sc_text messages = {0};
        s = wrap(r, plain[i], &t, &messages);
        x[i] = (sc_ask_request){.prompt = r->chat ? (sc_text){0} : plain[i],
                                .messages = messages,
                                .sampling = r->m->sampling,
                                .max_new_tokens = TOKENS,
                                .samples = TIMES,
                                .cut = true};
    }
    if (!s) s = sc_asker_generate(r->a, x, n, got, NULL, NULL);
    for (int64_t i = 0; i < n && !s; i++) {
        double *to = p + i * n_words;
        for (int k = 0; k < n_words; k++) to[k] = 1e-3; /* one that is never said is not impossible */
        for (int j = 0; j < TIMES && !s; j++) {
            const sc_ask_answer *a = &got[i * TIMES + j];
            char *said;
            s = sc_ask_extract(&said, SC_ANSWER_CHOICE, a->text, a->len, choice, n_words);
            for (int k = 0; k < n_words && !s && said; k++) to[k] += strcmp(said, words[k]) == 0;
            r->tokens += a->tokens;
            if (!s) sc_free(said);
        }
        double sum = 0;
        for (int k = 0; k < n_words; k++) sum += to[k];
        for (int k = 0; k < n_words; k++) to[k] /= sum;
    }
    if (got) sc_ask_answers_free(got, n * TIMES);
    free_texts(&t);
    sc_free(x);
    sc_free(got);
    return s;
}

sc_status sc_ask_words(sc_ask_run *r, const sc_text *plain, int64_t n, const char *const *words, int n_words,
                       double *p)
{
    return r->scores ? words_by_likelihood(r, plain, n, words, n_words, p)
                     : words_by_asking(r, plain, n, words, n_words, p);
}
