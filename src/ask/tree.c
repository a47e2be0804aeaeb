/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of thoughts. A node is a line of reasoning; what is asked behind it is the question, the lines from the root, and a next
 * one. Nodes are valued among those that were tried together, 0 to 1. Breadth first a beam of the best leaves goes on, level by
 * level; depth first the best untried node does, until one ends, and what falls below the threshold is given up. */
#include "ask/asking.h"

#include <math.h>
#include <stdio.h>

enum { MOST_NODES = 100000 };

typedef struct node {
    int parent, depth; /* parent -1: the root */
    char *text;        /* owned; the root's is empty */
    double value, logprob;
    int64_t tokens;
    bool ended, tried,
        given_up; /* it tells the answer or ends the reasoning; its children are there; below the threshold */
} node;

typedef struct tree {
    sc_ask_run *r;
    sc_ask_candidate *c;
    node *node;
    int64_t n, cap;
} tree;

/* The lines from the root to a node, as the assistant's words. They are numbered, so that a model that is about to write one
 * does not begin with an empty line. */
static void put_path(const tree *t, int i, sc_str *out)
{
    if (i < 0 || t->node[i].parent < 0) return;
    put_path(t, t->node[i].parent, out);
    if (*t->node[i].text) sc_str_printf(out, "Step %d: %s\n", t->node[i].depth, t->node[i].text);
}

static void put_said(const tree *t, int i, sc_str *out)
{
    sc_str_printf(out, "%sLet's think step by step.\n", t->r->chat ? "" : " ");
    put_path(t, i, out);
}

static sc_status add_node(tree *t, node x)
{
    if (t->n >= MOST_NODES) {
        sc_free(x.text);
        return sc_fail(SC_ELIMIT, "a tree of more than %d thoughts", MOST_NODES);
    }
    if (!sc_grow(&t->node, &t->cap, t->n + 1, sizeof *t->node)) {
        sc_free(x.text);
        return sc_nomem();
    }
    t->node[t->n++] = x;
    return SC_OK;
}

/* ---- trying ---- */

/* A thought as a child of `parent`, unless a sibling says the same. One without words ends the reasoning. */
static sc_status take_thought(tree *t, int parent, const sc_ask_answer *a)
{
    const char *p = a->text;
    int64_t n = a->len;
    while (n > 0 && strchr(" \t\r\n", *p)) p++, n--;
    while (n > 0 && strchr(" \t\r\n", p[n - 1])) n--;
    for (int64_t i = t->n - 1; i > parent && t->node[i].parent == parent; i--)
        if ((int64_t)strlen(t->node[i].text) == n && memcmp(t->node[i].text, p, (size_t)n) == 0) return SC_OK;
    node x = {.parent = parent, .depth = t->node[parent].depth + 1, .text = sc_strndup(p, (size_t)n)};
    if (!x.text) return sc_nomem();
    x.logprob = a->logprob;
    x.tokens = a->tokens;
    x.ended = n == 0 || sc_ask_told(x.text, n) || x.depth >= t->r->m->steps;
    return add_node(t, x);
}

/* Thoughts behind each of several nodes: their children stand behind those that there were. */
static sc_status try_behind(tree *t, const int *from, int n)
{
    static const char *const line_end[] = {"\n"};
    const sc_ask_method *m = t->r->m;
    int64_t total = (int64_t)n * m->width;
    sc_str *said = sc_calloc((size_t)SC_MAX(n, 1), sizeof *said);
    sc_ask_request *x = sc_calloc((size_t)SC_MAX(n, 1), sizeof *x);
    sc_ask_answer *got = sc_calloc((size_t)SC_MAX(total, 1), sizeof *got);
    sc_status s = said && x && got ? SC_OK : sc_nomem();
    for (int i = 0; i < n && !s; i++) {
        put_said(t, from[i], &said[i]);
        sc_str_printf(&said[i], "Step %d:", t->node[from[i]].depth + 1);
        if (said[i].oom) s = sc_nomem();
        x[i] = sc_ask_request_of(t->r, t->c->prompt, (sc_text){said[i].p, said[i].len}, m->reason_tokens);
        x[i].stop = line_end;
        x[i].n_stop = 1;
        x[i].samples = m->width;
        x[i].sampling.stream = (t->c->sample << 32) + (uint64_t)from[i] * 4096;
        t->node[from[i]].tried = true;
    }
    if (!s) s = sc_asker_generate(t->r->a, x, n, got, NULL, NULL);
    for (int64_t k = 0; k < total && !s; k++) {
        t->r->tokens += got[k].tokens;
        t->c->tokens += got[k].tokens;
        s = take_thought(t, from[k / m->width], &got[k]);
    }
    if (got) sc_ask_answers_free(got, total);
    for (int i = 0; said && i < n; i++) sc_str_free(&said[i]);
    sc_free(said);
    sc_free(x);
    sc_free(got);
    return s;
}

/* ---- valuing ---- */

static void put_partial(const tree *t, int i, sc_str *out)
{
    const sc_ask_question *q = t->c->prompt->question;
    sc_str_puts(out, "Question: ");
    sc_str_append(out, q->input.p, q->input.len);
    for (int64_t k = 0; k < q->n_choices; k++)
        sc_str_printf(out, "%s%.*s", k ? "; " : "\nOptions: ", (int)q->choices[k].len, q->choices[k].p);
    sc_str_puts(out, "\nReasoning so far:\n");
    put_path(t, i, out);
}

/* sure, likely or impossible, as in the paper; their weights make a value within 0 and 1. */
static sc_status judge(tree *t, const int64_t *which, int n)
{
    static const char *const words[] = {"sure", "likely", "impossible"};
    static const double worth[] = {1, 0.5, 0};
    sc_str *asked = sc_calloc((size_t)SC_MAX(n, 1), sizeof *asked);
    sc_text *plain = sc_calloc((size_t)SC_MAX(n, 1), sizeof *plain);
    double *p = sc_calloc((size_t)SC_MAX(3 * n, 1), sizeof *p);
    sc_status s = asked && plain && p ? SC_OK : sc_nomem();
    for (int i = 0; i < n && !s; i++) {
        put_partial(t, (int)which[i], &asked[i]);
        sc_str_puts(&asked[i],
                    "Does this reasoning lead to the right answer? Say sure, likely or impossible.\nEvaluation:");
        if (asked[i].oom) s = sc_nomem();
        plain[i] = (sc_text){asked[i].p, asked[i].len};
    }
    if (!s) s = sc_ask_words(t->r, plain, n, words, 3, p);
    for (int i = 0; i < n && !s; i++) {
        double value = 0;
        for (int k = 0; k < 3; k++) value += p[3 * i + k] * worth[k];
        t->node[which[i]].value = value;
    }
    for (int i = 0; asked && i < n; i++) sc_str_free(&asked[i]);
    sc_free(asked);
    sc_free(plain);
    sc_free(p);
    return s;
}

/* Which of them is best, by its number. */
static sc_status vote(tree *t, const int64_t *which, int n)
{
    enum { MOST = 100 };
    char number[MOST][12];
    const char *words[MOST];
    double p[MOST];
    sc_str asked = {0};
    const sc_ask_question *q = t->c->prompt->question;
    if (n > MOST) return judge(t, which, n);
    sc_str_printf(&asked, "Question: %.*s\nHere are %d ways to reason about it.\n", (int)q->input.len, q->input.p,
                  n);
    for (int i = 0; i < n; i++) {
        snprintf(number[i], sizeof number[i], "%d", i + 1);
        words[i] = number[i];
        sc_str_printf(&asked, "Way %d:\n", i + 1);
        put_path(t, (int)which[i], &asked);
    }
    sc_str_puts(&asked, "Which way leads to the right answer? Say its number.\nThe best way is number");
    sc_text plain = {asked.p, asked.len};
    sc_status s = asked.oom ? sc_nomem() : sc_ask_words(t->r, &plain, 1, words, n, p);
    for (int i = 0; i < n && !s; i++) t->node[which[i]].value = p[i];
    sc_str_free(&asked);
    return s;
}

/* The mean probability of a token of the path: the geometric mean over all thoughts on it. */
static void by_likelihood(tree *t, const int64_t *which, int n)
{
    for (int i = 0; i < n; i++) {
        double sum = 0;
        int64_t tokens = 0;
        for (int k = (int)which[i]; k > 0; k = t->node[k].parent) {
            sum += t->node[k].logprob;
            tokens += t->node[k].tokens;
        }
        t->node[which[i]].value = isnan(sum) ? 0.5 : exp(sum / (double)SC_MAX(tokens, 1));
    }
}

static sc_status value(tree *t, const int64_t *which, int n)
{
    if (t->r->m->valuing == SC_VALUE_LIKELIHOOD) {
        by_likelihood(t, which, n);
        return SC_OK;
    }
    return t->r->m->valuing == SC_VALUE_VOTED && n > 1 ? vote(t, which, n) : judge(t, which, n);
}

/* ---- growing ---- */

/* The best of which[0..n) first, of equal ones the one that was there first. */
static void sort_best(const tree *t, int64_t *which, int n)
{
    for (int i = 1; i < n; i++) {
        int64_t x = which[i];
        int k = i;
        for (; k > 0 && t->node[which[k - 1]].value < t->node[x].value; k--) which[k] = which[k - 1];
        which[k] = x;
    }
}

/* *best: the leaf to answer from. */
static sc_status grow_beam(tree *t, int *best)
{
    const sc_ask_method *m = t->r->m;
    int64_t *beam = sc_malloc(sizeof *beam * (size_t)(m->keep + m->keep * m->width + 1));
    int *from = sc_malloc(sizeof *from * (size_t)(m->keep + 1)), n = 1;
    sc_status s = beam && from ? SC_OK : sc_nomem();
    if (!s) beam[0] = 0;
    for (int step = 0; step < m->steps && !s; step++) {
        int n_from = 0, n_next = 0;
        int64_t before = t->n;
        for (int i = 0; i < n; i++)
            if (!t->node[beam[i]].ended) from[n_from++] = (int)beam[i];
        if (!n_from) break;
        if ((s = try_behind(t, from, n_from))) break;
        for (int i = 0; i < n; i++) /* those that ended stay in the race */
            if (t->node[beam[i]].ended) beam[n_next++] = beam[i];
        for (int64_t i = before; i < t->n; i++) beam[n_next++] = i;
        if (!(s = value(t, beam, n_next))) sort_best(t, beam, n_next);
        n = SC_MIN(n_next, m->keep);
    }
    if (!s) *best = (int)beam[0];
    sc_free(beam);
    sc_free(from);
    return s;
}

/* The best node that may be tried: the deepest first, since it goes on where the last one was tried. -1: none is left. */
static int next_deep(const tree *t)
{
    int best = -1;
    for (int i = 0; i < t->n; i++) {
        const node *x = &t->node[i];
        if (x->tried || x->ended || x->given_up) continue;
        if (best < 0 || x->depth > t->node[best].depth ||
            (x->depth == t->node[best].depth && x->value > t->node[best].value))
            best = i;
    }
    return best;
}

static sc_status grow_deep(tree *t, int *best)
{
    const sc_ask_method *m = t->r->m;
    int64_t *fresh = sc_malloc(sizeof *fresh * (size_t)m->width);
    sc_status s = fresh ? SC_OK : sc_nomem();
    int at;
    *best = 0;
    while (!s && t->n <= m->most && (at = next_deep(t)) >= 0) {
        int64_t before = t->n;
        int n = 0, end = -1;
        if ((s = try_behind(t, &at, 1))) break;
        for (int64_t i = before; i < t->n; i++) fresh[n++] = i;
        if ((s = value(t, fresh, n))) break;
        for (int i = 0; i < n; i++) {
            node *x = &t->node[fresh[i]];
            x->given_up = x->value < m->threshold;
            /* Where nothing reaches the threshold, the deepest and best is what there is. */
            const node *b = &t->node[*best];
            if (x->depth > b->depth || (x->depth == b->depth && x->value > b->value)) *best = (int)fresh[i];
            if (x->ended && !x->given_up && (end < 0 || x->value > t->node[end].value)) end = (int)fresh[i];
        }
        if (end >= 0) {
            *best = end;
            break;
        }
    }
    sc_free(fresh);
    return s;
}

static json_t *describe(const tree *t)
{
    json_t *list = json_array();
    for (int64_t i = 1; list && i < t->n; i++) {
        const node *x = &t->node[i];
        json_array_append_new(list, json_pack("{s:i, s:i, s:s, s:f, s:b}", "parent", x->parent, "depth", x->depth,
                                              "text", x->text, "value", x->value, "ended", x->ended));
    }
    return list;
}

sc_status sc_ask_tree_grow(sc_ask_run *r, sc_ask_candidate *c, json_t **details)
{
    tree t = {.r = r, .c = c};
    int best = 0;
    node root = {.parent = -1, .text = sc_strdup(""), .value = 1};
    sc_status s = root.text ? add_node(&t, root) : sc_nomem();
    if (!s) s = r->m->depth_first ? grow_deep(&t, &best) : grow_beam(&t, &best);
    if (!s) {
        put_said(&t, best, &c->said);
        for (int i = best; i > 0; i = t.node[i].parent) c->logprob += t.node[i].logprob;
        if (c->said.oom || !(*details = describe(&t))) s = sc_nomem();
    }
    for (int64_t i = 0; i < t.n; i++) sc_free(t.node[i].text);
    sc_free(t.node);
    return s;
}
