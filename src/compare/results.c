/* SPDX-License-Identifier: Apache-2.0 */
/* From cells to results: means over seeds, intervals over items, and a paired test for every two methods. */
#include "compare/compare.h"

#include <math.h>

static bool same_kind(const sc_compare_run *a, const sc_compare_run *b)
{
    return a->model == b->model && a->method == b->method && a->train == b->train;
}

/* ---- one result ---- */

static sc_status set_interval(sc_compare_result *y, const sc_compare_state *c)
{
    double *x = sc_malloc(sizeof *x * (size_t)SC_MAX(c->task.test.n, 1));
    int64_t n = 0, right = 0;
    sc_status s = x ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < c->task.test.n; i++)
        if (!isnan(y->score[i])) right += (x[n++] = y->score[i]) == 1;
    y->items = n;
    if (!s && n) y->error = sc_stats_mean_error(x, n);
    const sc_resampling how = {.confidence = c->o.confidence, .seed = c->o.seed};
    if (!s && n && y->seeds == 1) s = sc_stats_wilson(&y->accuracy, right, n, c->o.confidence);
    if (!s && n && y->seeds > 1) s = sc_stats_bootstrap(&y->accuracy, x, n, &how);
    sc_free(x);
    return s;
}

/* All seeds of run[first]; an item counts where every seed answered it. */
static sc_status gather(sc_compare_results *x, const sc_compare_state *c, int first)
{
    const sc_compare_run *r = &c->run[first];
    int64_t n = c->task.test.n, answered = 0;
    sc_compare_result *y = &x->result[x->n];
    const char **said = sc_arena_alloc(x->arena, sizeof *said * (size_t)n);
    int *times = sc_calloc((size_t)n, sizeof *times);
    *y = (sc_compare_result){.model = r->model_name,
                             .method = r->method->name,
                             .train = r->train,
                             .learns = r->method->learns != SC_COMPARE_NOTHING,
                             .score = sc_arena_alloc(x->arena, sizeof *y->score * (size_t)n),
                             .said = said,
                             .accuracy = {NAN, NAN, NAN}};
    sc_status s = said && y->score && times ? SC_OK : sc_nomem();
    for (int k = first; !s && k < c->n_runs; k++) {
        const sc_compare_run *q = &c->run[k];
        if (!same_kind(q, r)) continue;
        if (q->note && !y->note) y->note = q->note;
        if (!q->n_answers) continue;
        y->seeds++;
        y->seconds += q->seconds;
        y->train_seconds += q->train_seconds;
        y->peak_bytes = SC_MAX(y->peak_bytes, q->peak_bytes);
        answered += q->n_answers;
        for (int64_t i = 0; i < q->n_answers; i++) {
            y->score[i] += q->answer[i].score;
            if (!times[i]++) said[i] = q->answer[i].said;
        }
    }
    for (int64_t i = 0; !s && i < n; i++)
        y->score[i] = y->seeds && times[i] == y->seeds ? y->score[i] / times[i] : NAN;
    sc_free(times);
    if (s) return s;
    y->per_item = answered ? y->seconds / (double)answered : 0;
    y->seconds /= SC_MAX(y->seeds, 1);
    y->train_seconds /= SC_MAX(y->seeds, 1);
    x->n++;
    return set_interval(y, c);
}

/* ---- pairs ---- */

static sc_status compare_two(sc_compare_pair *p, const sc_compare_results *x, const sc_compare_state *c)
{
    const sc_compare_result *a = &x->result[p->a], *b = &x->result[p->b];
    double *u = sc_malloc(sizeof *u * (size_t)c->task.test.n), *v = sc_malloc(sizeof *v * (size_t)c->task.test.n);
    int64_t n = 0, only_a = 0, only_b = 0;
    sc_status s = u && v ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < c->task.test.n; i++) {
        if (isnan(a->score[i]) || isnan(b->score[i])) continue;
        u[n] = a->score[i];
        v[n++] = b->score[i];
        only_a += a->score[i] > b->score[i];
        only_b += a->score[i] < b->score[i];
    }
    const sc_resampling how = {.confidence = c->o.confidence, .seed = c->o.seed};
    p->items = n;
    p->p = p->corrected = n ? 1 : NAN;
    p->difference = (sc_interval){NAN, NAN, NAN};
    if (!s && n) s = sc_stats_paired_bootstrap(&p->difference, u, v, n, &how);
    if (!s && n && a->seeds == 1 && b->seeds == 1)
        s = sc_stats_mcnemar(&p->p, only_a, only_b);
    else if (!s && n)
        s = sc_stats_paired_permutation(&p->p, u, v, n, &(sc_resampling){.seed = c->o.seed});
    sc_free(u);
    sc_free(v);
    return s;
}

static sc_status compare_all(sc_compare_results *x, const sc_compare_state *c)
{
    int64_t n = 0, most = (int64_t)x->n * (x->n - 1) / 2;
    sc_status s = SC_OK;
    x->pair = sc_arena_alloc(x->arena, sizeof *x->pair * (size_t)SC_MAX(most, 1));
    double *p = sc_malloc(sizeof *p * (size_t)SC_MAX(most, 1));
    if (!x->pair || !p) s = sc_nomem();
    for (int a = 0; !s && a < x->n; a++)
        for (int b = a + 1; !s && b < x->n; b++) {
            if (x->result[a].curve || x->result[b].curve || !x->result[a].items || !x->result[b].items) continue;
            x->pair[n] = (sc_compare_pair){.a = a, .b = b};
            s = compare_two(&x->pair[n], x, c);
            p[n] = x->pair[n].p;
            n++;
        }
    if (!s) s = sc_stats_correct(p, n, SC_CORRECTION_HOLM);
    for (int64_t i = 0; !s && i < n; i++) x->pair[i].corrected = p[i];
    x->n_pairs = (int)n;
    sc_free(p);
    return s;
}

/* ---- the whole ---- */

const sc_compare_pair *sc_compare_pair_of(const sc_compare_results *x, int a, int b)
{
    for (int i = 0; i < x->n_pairs; i++)
        if ((x->pair[i].a == a && x->pair[i].b == b) || (x->pair[i].a == b && x->pair[i].b == a))
            return &x->pair[i];
    return NULL;
}

bool sc_compare_differs(const sc_compare_state *c, const sc_compare_pair *p)
{
    return p && p->corrected < 1 - c->o.confidence;
}

static double whole_cost(const sc_compare_result *y) { return y->seconds + y->train_seconds; }

static void choose(sc_compare_results *x, const sc_compare_state *c)
{
    x->best = x->cheapest = -1;
    for (int i = 0; i < x->n; i++) {
        const sc_compare_result *y = &x->result[i];
        if (y->curve || !y->items) continue;
        if (x->best < 0 || y->accuracy.value > x->result[x->best].accuracy.value) x->best = i;
    }
    for (int i = 0; i < x->n; i++) {
        const sc_compare_result *y = &x->result[i];
        if (y->curve || !y->items) continue;
        if (i != x->best && sc_compare_differs(c, sc_compare_pair_of(x, i, x->best))) continue;
        if (x->cheapest < 0 || whole_cost(y) < whole_cost(&x->result[x->cheapest])) x->cheapest = i;
    }
}

sc_status sc_compare_results_make(sc_compare_results *x, const sc_compare_state *c)
{
    sc_status s = SC_OK;
    *x = (sc_compare_results){.arena = sc_arena_new(), .best = -1, .cheapest = -1};
    if (!x->arena || !(x->result = sc_arena_alloc(x->arena, sizeof *x->result * (size_t)SC_MAX(c->n_runs, 1))))
        return sc_nomem();
    for (int k = 0; !s && k < c->n_runs; k++) {
        bool first = c->run[k].n_answers > 0 || c->run[k].note;
        for (int j = 0; j < k && first; j++) first = !same_kind(&c->run[j], &c->run[k]);
        if (first) s = gather(x, c, k);
    }
    for (int a = 0; a < x->n; a++)
        for (int b = 0; b < x->n; b++) {
            const sc_compare_result *u = &x->result[a], *v = &x->result[b];
            if (v->train > u->train && strcmp(u->model, v->model) == 0 && strcmp(u->method, v->method) == 0)
                x->result[a].curve = true;
        }
    if (!s) s = compare_all(x, c);
    if (!s) choose(x, c);
    return s;
}

void sc_compare_results_free(sc_compare_results *x)
{
    sc_arena_free(x->arena);
    *x = (sc_compare_results){0};
}

void sc_compare_verdict(sc_str *out, const sc_compare_results *x)
{
    if (x->best < 0) {
        sc_str_puts(out, "Nothing has been answered yet.");
        return;
    }
    const sc_compare_result *b = &x->result[x->best], *c = &x->result[x->cheapest];
    sc_str_printf(out, "Best: %s with %s, %.1f%% (%.1f to %.1f).", b->model, b->method, 100 * b->accuracy.value,
                  100 * b->accuracy.low, 100 * b->accuracy.high);
    if (b != c)
        sc_str_printf(out, " Not known to be worse and cheaper: %s with %s, %.1f%%, in %.0f s rather than %.0f s.",
                      c->model, c->method, 100 * c->accuracy.value, whole_cost(c), whole_cost(b));
    else if (x->n > 1)
        sc_str_puts(out, " Nothing cheaper is known to be as good.");
}
