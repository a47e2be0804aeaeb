/* SPDX-License-Identifier: Apache-2.0 */
/* Reasoning before the answer: a chain of steps, or thinking with a budget. */
#include "ask/asking.h"

#include <math.h>

static const char step_by_step[] = "Let's think step by step.", wait[] = "\nWait,";
enum { MOST_ROUNDS = 16 }; /* times that thinking is lengthened */

static bool has_reasoning(const sc_ask_run *r)
{
    const sc_ask_examples *e = r->t->examples;
    for (int64_t i = 0, n = e && r->m->shots ? sc_ask_examples_count(e) : 0; i < n; i++)
        if (sc_ask_examples_at(e, i)->reasoning.p) return true;
    return false;
}

static sc_status take(sc_ask_run *r, sc_ask_candidate *c, const sc_ask_answer *a)
{
    sc_str_append(&c->said, a->text, a->len);
    c->logprob += a->logprob;
    c->tokens += a->tokens;
    r->tokens += a->tokens;
    return c->said.oom ? sc_nomem() : SC_OK;
}

/* ---- a chain ---- */

/* Samples of one question share their prompt: they are asked for together. */
static sc_status chains(sc_ask_run *r, sc_ask_candidate *c, int64_t n)
{
    bool shown = has_reasoning(r); /* worked examples show how; else it is said */
    sc_ask_request *x = sc_calloc((size_t)SC_MAX(n, 1), sizeof *x);
    sc_ask_answer *got = sc_calloc((size_t)SC_MAX(n, 1), sizeof *got);
    sc_status s = x && got ? SC_OK : sc_nomem();
    int64_t asked = 0;
    for (int64_t i = 0; i < n && !s; i++) {
        if (!shown) sc_str_printf(&c[i].said, "%s%s", r->chat ? "" : " ", step_by_step);
        if (c[i].said.oom) s = sc_nomem();
        if (i && c[i].prompt == c[i - 1].prompt) {
            x[asked - 1].samples++;
            continue;
        }
        x[asked] = sc_ask_request_of(r, c[i].prompt, (sc_text){c[i].said.p, c[i].said.len}, r->m->reason_tokens);
        x[asked++].sampling.stream = c[i].sample;
    }
    if (!s) s = sc_asker_generate(r->a, x, asked, got, NULL, NULL);
    for (int64_t i = 0; i < n && !s; i++) s = take(r, &c[i], &got[i]);
    if (got) sc_ask_answers_free(got, n);
    sc_free(x);
    sc_free(got);
    return s;
}

/* ---- thinking ---- */

/* Tokens of an answer, guessed where the endpoint does not tell. */
static int64_t tokens_of(const sc_ask_answer *a) { return a->tokens ? a->tokens : (a->len + 3) / 4; }

/* One round: those still thinking go on, with what is left of their budgets; *left: how many there are then. */
static sc_status think_on(sc_ask_run *r, sc_ask_candidate *c, int64_t n, int64_t *used, int round, int64_t *left)
{
    const sc_ask_method *m = r->m;
    const char *more = m->more ? m->more : wait;
    const char *stop[SC_COUNT(r->stop) + 1];
    sc_ask_request *x = sc_calloc((size_t)SC_MAX(n, 1), sizeof *x);
    sc_ask_answer *got = sc_calloc((size_t)SC_MAX(n, 1), sizeof *got);
    int64_t asked = 0, k = 0;
    sc_status s = x && got ? SC_OK : sc_nomem();
    memcpy(stop, r->stop, sizeof r->stop);
    stop[r->n_stop] = r->close + strspn(r->close, "\n");
    for (int64_t i = 0; i < n && !s; i++) {
        if (used[i] >= m->think_most) continue;
        x[asked] =
            sc_ask_request_of(r, c[i].prompt, (sc_text){c[i].said.p, c[i].said.len}, m->think_most - used[i]);
        x[asked].stop = stop;
        x[asked].n_stop = r->n_stop + 1;
        x[asked++].sampling.stream = c[i].sample + (uint64_t)round * 4096;
    }
    if (!s) s = sc_asker_generate(r->a, x, asked, got, NULL, NULL);
    *left = 0;
    for (int64_t i = 0; i < n && !s; i++) {
        if (used[i] >= m->think_most) continue;
        const sc_ask_answer *a = &got[k++];
        if ((s = take(r, &c[i], a))) break;
        used[i] += tokens_of(a);
        bool early = strcmp(a->finish_reason, "stop") == 0 && used[i] < m->think_least && round + 1 < MOST_ROUNDS;
        if (!early) {
            used[i] = m->think_most;
            continue;
        }
        sc_str_puts(&c[i].said, more);
        ++*left;
    }
    if (got) sc_ask_answers_free(got, asked);
    sc_free(x);
    sc_free(got);
    return s;
}

static sc_status thinking(sc_ask_run *r, sc_ask_candidate *c, int64_t n)
{
    int64_t *used = sc_calloc((size_t)SC_MAX(n, 1), sizeof *used), left = n;
    sc_status s = used ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        sc_str_puts(&c[i].said, r->open);
        if (c[i].said.oom) s = sc_nomem();
    }
    for (int round = 0; left && !s; round++) s = think_on(r, c, n, used, round, &left);
    for (int64_t i = 0; i < n && !s; i++) {
        sc_str_puts(&c[i].said, r->close);
        if (c[i].said.oom) s = sc_nomem();
    }
    sc_free(used);
    return s;
}

sc_status sc_ask_reason_all(sc_ask_run *r, sc_ask_candidate *c, int64_t n)
{
    return r->m->reasoning == SC_REASON_THINK ? thinking(r, c, n) : chains(r, c, n);
}
