/* SPDX-License-Identifier: Apache-2.0 */
/* Questions through a method: prompts, reasoning, answers, and the choice among several. */
#include "ask/asking.h"

#include <math.h>

enum { BLOCK = 32 }; /* questions taken together: enough to fill a batch, few enough to hand results over early */

void sc_ask_solutions_free(sc_ask_solution *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        sc_free(s[i].answer);
        sc_free(s[i].text);
        sc_free(s[i].details);
        s[i] = (sc_ask_solution){0};
    }
}

/* ---- choosing among samples ---- */

static double per_token(const sc_ask_candidate *c)
{
    double x = c->logprob / (double)SC_MAX(c->tokens, 1);
    return isnan(x) ? -INFINITY : x;
}

/* Votes for c's answer among all. */
static int votes_for(const sc_ask_candidate *c, const sc_ask_candidate *all, int n)
{
    int votes = 0;
    for (int i = 0; i < n; i++)
        votes += c->answer && all[i].answer && sc_ask_same(c->prompt->kind, c->answer, all[i].answer);
    return votes;
}

static sc_status reward_all(const sc_ask_run *r, sc_ask_candidate *c, int n)
{
    sc_text *said = sc_malloc(sizeof *said * (size_t)n);
    double *score = sc_calloc((size_t)n, sizeof *score);
    sc_status s = said && score ? SC_OK : sc_nomem();
    for (int i = 0; i < n && !s; i++) said[i] = (sc_text){c[i].said.p ? c[i].said.p : "", c[i].said.len};
    if (!s) s = r->t->reward.score(r->t->reward.user, c->prompt->question->input, said, n, score);
    for (int i = 0; i < n && !s; i++) {
        c[i].score = score[i];
        if (isnan(score[i])) s = sc_fail(SC_EINVAL, "the reward of an answer is not a number");
    }
    sc_free(said);
    sc_free(score);
    return s;
}

/* Gives each its score; *best: which is taken. One without an answer is taken only where none has any. */
static sc_status choose(const sc_ask_run *r, sc_ask_candidate *c, int n, int *best)
{
    const sc_ask_method *m = r->m;
    sc_status s = SC_OK;
    if (m->choosing == SC_CHOOSE_REWARD)
        s = reward_all(r, c, n);
    else
        for (int i = 0; i < n; i++)
            c[i].score = m->choosing == SC_CHOOSE_VOTE ? votes_for(&c[i], c, n) : per_token(&c[i]);
    for (int i = 0; i < n && n > 1 && m->choosing == SC_CHOOSE_LIKELIEST; i++)
        if (isnan(c[i].logprob))
            return sc_fail(SC_EUNSUPPORTED,
                           "%s tells no likelihood of its answers to choose by; a vote or a reward is needed",
                           sc_asker_name(r->a));
    *best = 0;
    for (int i = 1; i < n && !s; i++) {
        const sc_ask_candidate *x = &c[i], *b = &c[*best];
        bool better = x->score > b->score ||
                      (x->score == b->score && m->choosing == SC_CHOOSE_VOTE && per_token(x) > per_token(b));
        if (!x->answer == !b->answer ? better : x->answer != NULL) *best = i;
    }
    return s;
}

/* ---- what comes of it ---- */

static json_t *text_or_null(const char *p, int64_t n)
{
    return p ? json_stringn_nocheck(p, (size_t)n) : json_null();
}
static json_t *number_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static char *describe(const sc_ask_prompt *p, const sc_ask_candidate *c, int n, json_t *tree)
{
    json_t *o = json_object(), *samples = json_array();
    sc_text asked = p->plain.p ? p->plain : p->messages;
    json_object_set_new(o, "prompt", text_or_null(asked.p, asked.len));
    for (int i = 0; i < n; i++)
        json_array_append_new(
            samples,
            json_pack("{s:o, s:o, s:o, s:o}", "text", text_or_null(c[i].said.p ? c[i].said.p : "", c[i].said.len),
                      "answer", text_or_null(c[i].answer, c[i].answer ? (int64_t)strlen(c[i].answer) : 0), "score",
                      number_or_null(c[i].score), "logprob", number_or_null(c[i].logprob)));
    json_object_set_new(o, "samples", samples);
    if (tree) json_object_set(o, "tree", tree);
    char *text = json_dumps(o, JSON_COMPACT), *copy = text ? sc_strdup(text) : NULL;
    sc_free(text);
    json_decref(o);
    return copy;
}

static sc_status conclude(const sc_ask_run *r, const sc_ask_prompt *p, sc_ask_candidate *c, int n, json_t *tree,
                          sc_ask_solution *out)
{
    int best = 0;
    sc_status s = choose(r, c, n, &best);
    if (s) return s;
    const sc_ask_candidate *b = &c[best];
    *out = (sc_ask_solution){.samples = n, .votes = votes_for(b, c, n)};
    out->confidence = n == 1 && !isnan(b->share) ? b->share : (double)out->votes / n;
    for (int i = 0; i < n; i++) out->tokens += c[i].tokens;
    out->answer = sc_strdup(b->answer ? b->answer : "");
    out->text = sc_strndup(b->said.p ? b->said.p : "", (size_t)b->said.len);
    out->details = describe(p, c, n, tree);
    return out->answer && out->text && out->details ? SC_OK : sc_nomem();
}

/* ---- a block of questions ---- */

typedef struct block {
    sc_ask_prompt prompt[BLOCK];
    sc_ask_candidate *c; /* (n, samples) */
    json_t *tree[BLOCK]; /* of the first sample of each */
    int64_t n;
} block;

/* What was not answered in the reasoning itself is asked for behind it. */
static sc_status answer_behind(sc_ask_run *r, sc_ask_candidate *c, int64_t n)
{
    sc_ask_candidate **open = sc_malloc(sizeof *open * (size_t)SC_MAX(n, 1));
    int64_t m = 0;
    sc_status s = open ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        const sc_ask_question *q = c[i].prompt->question;
        if (sc_ask_told(c[i].said.p ? c[i].said.p : "", c[i].said.len))
            s = sc_ask_extract(&c[i].answer, c[i].prompt->kind, c[i].said.p, c[i].said.len, q->choices,
                               q->n_choices);
        if (!s && !c[i].answer) open[m++] = &c[i];
    }
    /* Behind thinking the answer follows by itself; behind other reasoning it is called for. */
    if (!s && m) s = sc_ask_answer_all(r, open, m, r->m->reasoning != SC_REASON_THINK);
    sc_free(open);
    return s;
}

static sc_status answer_at_once(sc_ask_run *r, sc_ask_candidate *c, int64_t n)
{
    sc_ask_candidate **all = sc_malloc(sizeof *all * (size_t)SC_MAX(n, 1));
    sc_status s = all ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) all[i] = &c[i];
    if (!s) s = sc_ask_answer_all(r, all, n, false);
    sc_free(all);
    return s;
}

static sc_status solve_block(sc_ask_run *r, block *b, int samples)
{
    int64_t n = b->n * samples;
    sc_status s = SC_OK;
    switch (r->m->reasoning) {
    case SC_REASON_NONE: return answer_at_once(r, b->c, n);
    case SC_REASON_TREE:
        for (int64_t i = 0; i < n && !s; i++) {
            json_t *tree = NULL;
            s = sc_ask_tree_grow(r, &b->c[i], &tree);
            if (i % samples == 0)
                b->tree[i / samples] = tree;
            else
                json_decref(tree);
        }
        break;
    default: s = sc_ask_reason_all(r, b->c, n);
    }
    return s ? s : answer_behind(r, b->c, n);
}

static void forget(block *b, int samples)
{
    for (int64_t i = 0; b->c && i < b->n * samples; i++) {
        sc_str_free(&b->c[i].said);
        sc_free(b->c[i].answer);
    }
    for (int64_t i = 0; i < b->n; i++) {
        sc_ask_prompt_free(&b->prompt[i]);
        json_decref(b->tree[i]);
    }
    sc_free(b->c);
}

/* Questions from .. from + n. */
static sc_status take_block(sc_ask_run *r, const sc_ask_question *q, int64_t from, int64_t n, sc_ask_solution *out,
                            sc_ask_done done, void *user)
{
    int samples = r->m->samples;
    block b = {.n = n};
    sc_status s = SC_OK;
    if (!(b.c = sc_calloc((size_t)(n * samples), sizeof *b.c))) s = sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        if ((s = sc_ask_prompt_make(&b.prompt[i], r, &q[from + i])))
            sc_fail_in(s, "question %lld", (long long)(from + i + 1));
        for (int k = 0; k < samples && !s; k++)
            b.c[i * samples + k] = (sc_ask_candidate){
                .prompt = &b.prompt[i], .sample = (uint64_t)(from + i) * 65536 + (uint64_t)k, .share = NAN};
    }
    if (!s) s = solve_block(r, &b, samples);
    for (int64_t i = 0; i < n && !s; i++) {
        s = conclude(r, &b.prompt[i], b.c + i * samples, samples, b.tree[i], &out[from + i]);
        if (!s && done && !done(user, from + i, &out[from + i])) s = sc_ask_stopped();
    }
    forget(&b, samples);
    return s;
}

/* ---- a run ---- */

/* What calls for the answer, and what surrounds thinking: a model's own marks where its vocabulary has them. */
static void set_words(sc_ask_run *r)
{
    sc_pipeline *p = sc_asker_pipeline(r->a);
    bool marks = p && sc_tokenizer_id(sc_pipeline_tokenizer(p), "<think>", 7) >= 0 &&
                 sc_tokenizer_id(sc_pipeline_tokenizer(p), "</think>", 8) >= 0;
    r->conclude = "\nTherefore, the answer is";
    r->open = marks ? "<think>\n" : r->chat ? "Let's think it through.\n" : " Let's think it through.\n";
    r->close = marks ? "\n</think>\n\n" : "\nFinal answer:";
}

/* A plain answer ends with its line, or where the next question would begin. */
static sc_status set_stops(sc_ask_run *r, sc_str *label)
{
    const sc_ask_examples *e = r->t->examples;
    bool lines = false;
    r->n_stop = 0;
    if (r->chat || !(r->t->bare || r->t->input_label || (e && r->m->shots > 0))) return SC_OK;
    const char *usual = r->t->bare ? "" : "Question:";
    sc_str_printf(label, "\n%s", r->t->input_label ? r->t->input_label : usual);
    while (label->len > 1 && label->p[label->len - 1] == ' ') label->p[--label->len] = 0;
    if (label->oom) return sc_nomem();
    for (int64_t i = 0, n = e ? sc_ask_examples_count(e) : 0; i < n && !lines; i++) {
        sc_text t = sc_ask_examples_at(e, i)->answer;
        lines = memchr(t.p, '\n', (size_t)t.len) != NULL;
    }
    if (label->len > 1) r->stop[r->n_stop++] = label->p;
    r->stop[r->n_stop++] = r->m->reasoning == SC_REASON_NONE && !lines ? "\n" : "\n\n";
    return SC_OK;
}

sc_status sc_ask_solve(sc_asker *a, const sc_ask_method *method, const sc_ask_task *t, const sc_ask_question *q,
                       int64_t n, sc_ask_solution *out, sc_ask_done done, void *user)
{
    sc_ask_method m = *method;
    sc_str label = {0};
    sc_ask_run r = {.a = a, .m = &m, .t = t};
    sc_status s = sc_ask_method_check(&m);
    if (s) return s;
    if (m.choosing == SC_CHOOSE_REWARD && !t->reward.score)
        return sc_fail(SC_EINVAL, "answers are to be chosen by a reward, and there is none");
    if (t->form == SC_FORM_CHAT && !sc_asker_chats(a))
        return sc_fail(SC_ENOTFOUND, "%s has no chat template", sc_asker_name(a));
    if (m.samples > 1 || m.reasoning == SC_REASON_TREE) m.sampling.do_sample = true;
    m.sampling.seed = m.seed;
    r.chat = t->form == SC_FORM_CHAT || (t->form == SC_FORM_AUTO && sc_asker_chats(a));
    r.scores = a->p || !r.chat;
    for (int64_t i = 0; i < n; i++) out[i] = (sc_ask_solution){0};
    set_words(&r);
    s = set_stops(&r, &label);
    for (int64_t i = 0; i < n && !s; i += BLOCK) {
        s = take_block(&r, q, i, SC_MIN(BLOCK, n - i), out, done, user);
        if (s == SC_EUNSUPPORTED && r.scores &&
            !a->p) { /* an endpoint that tells no likelihoods: it is asked in words */
            r.scores = false;
            i -= BLOCK;
            s = SC_OK;
        }
        sc_ask_progress(a, "questions", SC_MIN(i + BLOCK, n), n);
    }
    sc_str_free(&label);
    if (s) sc_ask_solutions_free(out, n);
    return s;
}

/* ---- stability ---- */

/* Shares of the answers of one asking that are as the first one's, and right. */
static void compare(const sc_ask_task *t, const sc_ask_question *q, const char *const *answers, int64_t n,
                    const sc_ask_solution *first, const sc_ask_solution *x, double *same, double *right)
{
    *same = *right = 0;
    for (int64_t i = 0; i < n; i++) {
        sc_answer_kind kind = sc_ask_kind_of(t, &q[i]);
        *same += sc_ask_same(kind, first[i].answer, x[i].answer);
        if (answers) *right += sc_ask_same(kind, answers[i], x[i].answer);
    }
    *same /= (double)n;
    *right = answers ? *right / (double)n : NAN;
}

sc_status sc_ask_stability_of(sc_asker *a, const sc_ask_method *m, const sc_ask_task *t, const sc_ask_question *q,
                              const char *const *answers, int64_t n, int orders, sc_ask_stability *out)
{
    if (orders < 2 || orders > 1000) return sc_fail(SC_EINVAL, "%d orders, outside 2 to 1000", orders);
    if (m->shots < 1 || !t->examples || n < 1)
        return sc_fail(SC_EINVAL, "the order of examples is looked at with examples and questions");
    sc_ask_stability x = {
        .orders = orders, .least = NAN, .mean = answers ? 0 : NAN, .most = NAN, .labels = answers ? 0 : NAN};
    sc_ask_solution *first = sc_calloc((size_t)n, sizeof *first), *next = sc_calloc((size_t)n, sizeof *next);
    sc_status s = first && next ? SC_OK : sc_nomem();
    if (!s) s = sc_ask_solve(a, m, t, q, n, first, NULL, NULL);
    for (int k = 0; k < 2 * orders && !s; k++) {
        sc_ask_method other = *m;
        double same, right;
        bool labels = k >= orders;
        if (labels)
            other.swap_labels = (uint64_t)(k - orders + 1);
        else
            other.order = m->order + (uint64_t)k;
        if (k) s = sc_ask_solve(a, &other, t, q, n, next, NULL, NULL);
        if (s) break;
        compare(t, q, answers, n, first, k ? next : first, &same, &right);
        if (labels) {
            x.same_labels += same / orders;
            x.labels += right / orders;
        } else {
            if (k) x.same_order += same / (orders - 1);
            x.mean += right / orders;
            x.least = fmin(x.least, right);
            x.most = fmax(x.most, right);
        }
        sc_ask_solutions_free(next, n);
    }
    if (first) sc_ask_solutions_free(first, n);
    sc_free(first);
    sc_free(next);
    if (!s) *out = x;
    return s;
}
