/* SPDX-License-Identifier: Apache-2.0 */
/* A model, its loss and the gradients of all its parameters as one plan, kept for batches of the same shape. */
#include "train/train.h"

#include <stdlib.h>

/* A plan and the shape that it is for. */
typedef struct pass {
    sc_text_batch shape; /* the sizes alone */
    sc_loss_graph x;
    sc_plan *plan;
    sc_gradient *grad; /* of each parameter; NULL in a pass without */
    struct turn {
        int stage; /* after which it is final; -1: there is none, it is 0 */
        int64_t parameter;
    } * turn;         /* the gradients, the first to be final first; NULL: not asked for yet */
    sc_tensor **also; /* the gradients of x.also */
} pass;

struct sc_learner {
    sc_model *m;
    const sc_objective *objective;
    const void *self; /* its */
    sc_parameters *parameters;
    sc_trained *trained; /* its */
    float **grad;        /* of each parameter: where the plan left it, or `sum` */
    float **
        sum; /* memory for sums over batches, and of zeros for a parameter without a gradient; NULL: not needed yet */
    int64_t n, added;
    int64_t told; /* gradients that somebody was told of in this pass */
    sc_gradient_final *final;
    void *user;    /* of final */
    sc_dtype type; /* that products are made in */
    sc_remake remake;
    double metric[SC_MORE];
    pass add, loss;     /* with gradients and without */
    sc_virtual virtual; /* the last batch, where an adapter has such tokens */
};

static void free_pass(pass *p)
{
    sc_plan_free(p->plan);
    sc_graph_free(p->x.t.g);
    sc_free(p->grad);
    sc_free(p->turn);
    sc_free(p->also);
    *p = (pass){0};
}

void sc_learner_free(sc_learner *l)
{
    if (!l) return;
    free_pass(&l->add);
    free_pass(&l->loss);
    for (int64_t i = 0; l->sum && i < l->n; i++) sc_free(l->sum[i]);
    sc_free(l->sum);
    sc_free(l->grad);
    sc_parameters_free(l->parameters);
    sc_virtual_free(&l->virtual);
    sc_free(l);
}

/* ---- parameters ---- */

static const sc_tensor *root_of(const sc_tensor *t) { return t && t->view_of ? t->view_of : t; }

/* The matrix that makes a result of the model's last states; NULL: it is none. */
static const sc_tensor *head_of(const sc_tensor *result)
{
    const sc_tensor *t = root_of(result);
    while (t && t->op && t->op->id != SC_OP_linear) t = root_of(t->in[0]);
    return t && t->op ? root_of(t->in[1]) : NULL;
}

static void is_no_hidden(sc_learner *l, const sc_tensor *w)
{
    for (int64_t i = 0; w && w->leaf == SC_PARAM && i < l->n; i++)
        if (strcmp(l->trained[i].name, w->name) == 0) l->trained[i].hidden = false;
}

/* Matrices between layers, as the graph of a batch of a few tokens tells them: all but tables that rows are looked up in and
 * what makes the result. */
static sc_status find_hidden(sc_learner *l)
{
    bool pair = l->m->family->encoder_decoder;
    const sc_text_batch few = {.tokens = 3, .sequences = 3, .source = pair ? 3 : 0, .rows = 3};
    sc_loss_graph x = {0};
    sc_status s = l->objective->build(l->self, &x, l->m, &few);
    if (!s && x.t.g->status) s = sc_fail(x.t.g->status, "%s", x.t.g->fault);
    for (int64_t i = 0; !s && i < l->n; i++) l->trained[i].hidden = l->trained[i].rank == 2;
    if (!s) is_no_hidden(l, head_of(x.result));
    for (int64_t i = 0; !s && i < x.t.g->count; i++) {
        const sc_tensor *t = x.t.g->tensor[i];
        if (t->op && t->op->id == SC_OP_rows) is_no_hidden(l, root_of(t->in[0]));
    }
    sc_graph_free(x.t.g);
    return s;
}

sc_status sc_learner_new(sc_learner **out, sc_model *m, const sc_objective *o, const void *self)
{
    sc_learner *l = sc_calloc(1, sizeof *l);
    if (!l) return sc_nomem();
    l->m = m;
    l->objective = o;
    l->self = self;
    l->remake = SC_REMAKE_CHEAP;
    sc_status s = sc_parameters_new(&l->parameters, m);
    if (!s) l->trained = sc_parameters_trained(l->parameters, &l->n);
    if (!s && (!(l->grad = sc_calloc((size_t)l->n, sizeof *l->grad)) ||
               !(l->sum = sc_calloc((size_t)l->n, sizeof *l->sum))))
        s = sc_nomem();
    if (!s) s = find_hidden(l);
    if (s)
        sc_learner_free(l);
    else
        *out = l;
    return s;
}

void sc_learner_compute(sc_learner *l, sc_dtype type, bool recompute)
{
    l->type = type;
    l->remake = recompute ? SC_REMAKE_BLOCKS : SC_REMAKE_CHEAP;
    free_pass(&l->add);
    free_pass(&l->loss);
}

const sc_trained *sc_learner_trained(const sc_learner *l, int64_t *n)
{
    *n = l->n;
    return l->trained;
}

float *const *sc_learner_gradients(const sc_learner *l) { return l->grad; }

void sc_learner_clear(sc_learner *l)
{
    l->added = 0;
    memset(l->metric, 0, sizeof l->metric);
}

const double *sc_learner_metrics(const sc_learner *l, const char *names[SC_MORE])
{
    const sc_metric *m = l->add.plan ? l->add.x.metric : l->loss.x.metric;
    for (int i = 0; i < SC_MORE; i++) names[i] = m[i].value ? m[i].name : NULL;
    return l->metric;
}

sc_tensor *const *sc_learner_also(const sc_learner *l, int64_t *n)
{
    *n = l->add.x.n_also;
    return l->add.x.also;
}

const float *sc_learner_also_gradient(const sc_learner *l, int64_t i)
{
    return l->add.also[i] ? sc_plan_data(l->add.plan, l->add.also[i]) : NULL;
}

static int64_t count_of(const sc_learner *l, int64_t i) { return l->trained[i].rows * l->trained[i].cols; }

static sc_status make_sum(sc_learner *l, int64_t i)
{
    if (!l->sum[i]) l->sum[i] = sc_calloc((size_t)SC_MAX(count_of(l, i), 1), sizeof **l->sum);
    return l->sum[i] ? SC_OK : sc_nomem();
}

/* ---- passes ---- */

static sc_status differentiate(sc_learner *l, pass *p)
{
    p->grad = sc_calloc((size_t)l->n, sizeof *p->grad);
    p->also = sc_calloc((size_t)p->x.n_also + 1, sizeof *p->also);
    if (!p->grad || !p->also) return sc_nomem();
    return sc_parameters_differentiate(l->parameters, &p->x, l->remake, p->grad, p->also);
}

/* Whether a plan for the one does for the other. */
static bool fits(const sc_text_batch *a, const sc_text_batch *b)
{
    bool same = a->tokens == b->tokens && a->sequences == b->sequences && a->source == b->source &&
                a->rows == b->rows && !a->wanted == !b->wanted;
    for (int i = 0; i < SC_MORE; i++) same = same && a->more[i].n == b->more[i].n;
    return same;
}

/* What a mixture's experts add to the loss of a batch so that all are used, which counts as the batch does. */
static void add_balance(sc_learner *l, sc_loss_graph *x)
{
    const sc_moe_decoder *d = sc_model_moe(l->m);
    sc_graph *g = x->t.g;
    if (!d || !(d->balance > 0) || !x->loss || !x->weight) return;
    sc_tensor **logits = sc_calloc((size_t)g->count, sizeof *logits),
              **experts = sc_calloc((size_t)g->count, sizeof *experts);
    int64_t n = 0;
    if (!logits || !experts) sc_graph_fault(g, sc_nomem());
    for (int64_t i = 0; !g->status && i < g->count; i++)
        if (g->tensor[i]->op == &sc_op_top_experts) logits[n] = g->tensor[i]->in[0], experts[n++] = g->tensor[i];
    sc_tensor *balance = g->status ? NULL : sc_balance_loss(g, n, logits, experts);
    if (balance) {
        sc_tensor *whole = sc_sum_leading(g, sc_reshape(g, x->weight, 2, (int64_t[]){-1, 1}), 1);
        balance = sc_mul(g, sc_affine(g, balance, d->balance, 0), whole);
        x->loss = sc_add(g, x->loss, balance);
    }
    sc_free(logits);
    sc_free(experts);
}

static sc_status make_pass(sc_learner *l, pass *p, const sc_text_batch *b, bool gradients)
{
    int64_t n = 1;
    if (p->plan && fits(&p->shape, b)) return SC_OK;
    free_pass(p);
    p->x.learns = gradients;
    l->m->source_.chance = gradients;
    sc_status s = l->objective->build(l->self, &p->x, l->m, b);
    l->m->source_.chance = false;
    if (!s && gradients) add_balance(l, &p->x);
    if (!s && p->x.t.g->status) s = sc_fail(p->x.t.g->status, "%s", p->x.t.g->fault);
    if (!s && gradients) s = differentiate(l, p);
    if (!s) sc_linear_in_order(p->x.t.g, l->type);
    sc_tensor **outputs = s ? NULL : sc_calloc((size_t)(l->n + p->x.n_also) + 1 + SC_MORE, sizeof *outputs);
    if (outputs) {
        outputs[0] = p->x.loss;
        for (int64_t i = 0; gradients && i < l->n; i++)
            if (p->grad[i].t) outputs[n++] = p->grad[i].t;
        for (int64_t i = 0; gradients && i < p->x.n_also; i++)
            if (p->also[i]) outputs[n++] = p->also[i];
        if (!gradients && p->x.result) outputs[n++] = p->x.result;
        for (int i = 0; i < SC_MORE && p->x.metric[i].value; i++) outputs[n++] = p->x.metric[i].value;
        s = sc_plan_new(&p->plan, p->x.t.g, l->m->backend, outputs, (int)n);
        sc_free(outputs);
    } else if (!s)
        s = sc_nomem();
    p->shape = *b;
    if (s) free_pass(p);
    return s;
}

static void add_metrics(const pass *p, double times, double sum[SC_MORE])
{
    for (int i = 0; i < SC_MORE && p->x.metric[i].value; i++)
        sum[i] += times * *(const float *)sc_plan_data(p->plan, p->x.metric[i].value);
}

/* n values of 4 bytes to where the plan has the input, if it does. */
static void fill(const sc_plan *p, const sc_tensor *input, const void *from, int64_t n)
{
    void *to = input ? sc_plan_data(p, input) : NULL;
    if (to && from) memcpy(to, from, (size_t)n * 4);
    if (to && !from) memset(to, 0, (size_t)n * 4);
}

static void fill_more(const sc_plan *p, const sc_tensor *input, const sc_more_input *from, double scale)
{
    float *to = input ? sc_plan_data(p, input) : NULL;
    for (int64_t i = 0; to && i < from->n; i++)
        to[i] = from->counts ? (float)(from->value[i] * scale) : from->value[i];
}

/* The tokens of one side. */
static void fill_text(const sc_plan *p, const sc_text_in *in, const int32_t *ids, const int32_t *start,
                      const int32_t *positions, int64_t tokens, int64_t sequences)
{
    int32_t *position = in->seqs.position ? sc_plan_data(p, in->seqs.position) : NULL;
    fill(p, in->ids, ids, tokens);
    fill(p, in->seqs.start, start, sequences + 1);
    if (positions) fill(p, in->seqs.position, positions, tokens);
    for (int64_t q = 0; position && !positions && q < sequences; q++)
        for (int64_t i = start[q]; i < start[q + 1]; i++) position[i] = (int32_t)i - start[q];
}

void sc_batch_fill(const sc_plan *p, const sc_loss_graph *x, const sc_text_batch *b)
{
    const sc_text_graph *t = &x->t;
    fill_text(p, &t->in, b->ids, b->start, b->positions, b->tokens, b->sequences);
    if (b->source)
        fill_text(p, &t->source, b->source_ids, b->source_start, b->source_positions, b->source, b->sequences);
    fill(p, t->in.types, b->types, b->tokens);
    fill(p, t->in.wanted, b->wanted, b->rows);
    fill(p, x->labels, b->labels, b->rows);
    fill(p, x->target, b->target, b->rows);
}

static sc_status run_pass(sc_learner *l, pass *p, const sc_text_batch *b, double scale, bool gradients,
                          double *loss)
{
    sc_status s = make_pass(l, p, b, gradients);
    if (s) return s;
    sc_batch_fill(p->plan, &p->x, b);
    uint64_t chance = (uint64_t)b->index * 0x9e3779b97f4a7c15 + l->m->adapters.seed;
    fill(p->plan, p->x.t.g->chance, &chance, 2);
    float *weight = p->x.weight ? sc_plan_data(p->plan, p->x.weight) : NULL;
    for (int64_t i = 0; weight && i < b->rows; i++) /* those that count: their sum is the batch's share */
        weight[i] = b->labels && b->labels[i] < 0 ? 0 : (float)(b->weight[i] * scale);
    for (int i = 0; i < SC_MORE; i++) fill_more(p->plan, p->x.more[i], &b->more[i], scale);
    if ((s = sc_plan_run(p->plan))) return s;
    *loss = *(const float *)sc_plan_data(p->plan, p->x.loss);
    return SC_OK;
}

/* What the plan left is about to be overwritten. */
static sc_status keep(sc_learner *l)
{
    for (int64_t i = 0; i < l->n; i++) {
        if (l->grad[i] == l->sum[i]) continue;
        sc_status s = make_sum(l, i);
        if (s) return s;
        memcpy(l->sum[i], l->grad[i], sizeof **l->sum * (size_t)count_of(l, i));
        l->grad[i] = l->sum[i];
    }
    return SC_OK;
}

/* Where a batch's gradient goes: memory that takes it or has the sum of those before, and what is to be added there. */
static void place(const sc_learner *l, int64_t i, float **gradient, const float **more)
{
    const sc_gradient *g = &l->add.grad[i];
    float *from = g->t ? (float *)sc_plan_data(l->add.plan, g->t) + g->at : NULL;
    bool first = l->added == 0;
    *gradient = first && from ? from : l->sum[i];
    *more = first ? NULL : from;
}

/* Zeros for parameters that have no gradient. */
static sc_status make_zeros(sc_learner *l)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < l->n; i++) {
        if (l->add.grad[i].t) continue;
        s = make_sum(l, i);
        if (!s) memset(l->sum[i], 0, sizeof **l->sum * (size_t)count_of(l, i));
    }
    return s;
}

sc_status sc_learner_add(sc_learner *l, const sc_text_batch *given, double scale, double *loss)
{
    sc_text_batch b;
    sc_status s = sc_virtual_batch(&l->virtual, l->m, given, &b);
    if (!s && l->added == 1) s = keep(l);
    if (!s) s = run_pass(l, &l->add, &b, scale, true, loss);
    if (!s && !l->added) s = make_zeros(l);
    for (int64_t i = 0; !s && i < l->n; i++) {
        const float *more;
        place(l, i, &l->grad[i], &more);
        for (int64_t k = 0; more && k < count_of(l, i); k++) l->grad[i][k] += more[k];
    }
    if (!s) add_metrics(&l->add, 1, l->metric);
    if (!s) l->added++;
    return s;
}

/* ---- the last batch of a step ---- */

static int earlier(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->stage != y->stage) return x->stage < y->stage ? -1 : 1;
    return x->parameter < y->parameter ? -1 : x->parameter > y->parameter;
}

static sc_status take_turns(sc_learner *l)
{
    pass *p = &l->add;
    if (p->turn) return SC_OK;
    if (!(p->turn = sc_calloc((size_t)SC_MAX(l->n, 1), sizeof *p->turn))) return sc_nomem();
    for (int64_t i = 0; i < l->n; i++)
        p->turn[i] = (struct turn){p->grad[i].t ? sc_plan_last_stage(p->plan, p->grad[i].t) : -1, i};
    qsort(p->turn, (size_t)l->n, sizeof *p->turn, earlier);
    return SC_OK;
}

sc_status sc_learner_order(sc_learner *l, const sc_text_batch *given, int64_t *order)
{
    sc_text_batch b;
    sc_status s = sc_virtual_batch(&l->virtual, l->m, given, &b);
    if (!s) s = make_pass(l, &l->add, &b, true);
    if (!s) s = take_turns(l);
    for (int64_t k = 0; !s && k < l->n; k++) order[k] = l->add.turn[k].parameter;
    return s;
}

static void tell(void *learner, int stage)
{
    sc_learner *l = learner;
    for (; l->told < l->n && l->add.turn[l->told].stage <= stage; l->told++) {
        const float *more;
        int64_t i = l->add.turn[l->told].parameter;
        place(l, i, &l->grad[i], &more);
        l->final(l->user, i, l->grad[i], more);
    }
}

sc_status sc_learner_add_last(sc_learner *l, const sc_text_batch *given, double scale, sc_gradient_final *final,
                              void *user, double *loss)
{
    sc_text_batch b;
    sc_status s = sc_virtual_batch(&l->virtual, l->m, given, &b);
    if (!s && l->added == 1) s = keep(l);
    if (!s) s = make_pass(l, &l->add, &b, true);
    if (!s) s = take_turns(l);
    if (!s && !l->added) s = make_zeros(l);
    if (s) return s;
    l->told = 0;
    l->final = final;
    l->user = user;
    l->add.plan->stage_done = tell;
    l->add.plan->stage_user = l;
    s = run_pass(l, &l->add, &b, scale, true, loss);
    l->add.plan->stage_done = NULL;
    if (!s) tell(l, l->add.plan->n_stages);
    if (!s) add_metrics(&l->add, 1, l->metric);
    if (!s) l->added++;
    return s;
}

/* The results against what was expected of them. */
static void score(const sc_text_batch *b, bool numbers, const float *y, int64_t n, sc_measure *sum)
{
    for (int64_t r = 0; r < b->rows; r++, y += n) {
        if (b->labels[r] < 0) continue;
        if (numbers) {
            double t = b->target[r], v = *y;
            sum->n++, sum->x += v, sum->y += t, sum->xx += v * v, sum->yy += t * t, sum->xy += v * t;
            continue;
        }
        int64_t best = 0;
        for (int64_t i = 1; i < n; i++)
            if (y[i] > y[best]) best = i;
        sum->right += best == b->labels[r];
    }
}

sc_status sc_learner_score(sc_learner *l, const sc_text_batch *b, sc_measure *sum)
{
    double loss;
    const sc_tensor *y;
    sc_text_batch with;
    sc_status s = sc_virtual_batch(&l->virtual, l->m, b, &with);
    if (!s) s = run_pass(l, &l->loss, &with, 1, false, &loss);
    if (s) return s;
    sum->loss += loss * (double)b->counted;
    sum->counted += (double)b->counted;
    add_metrics(&l->loss, (double)b->counted, sum->metric);
    if ((y = l->loss.x.result))
        score(b, l->loss.x.target != NULL, sc_plan_data(l->loss.plan, y), y->shape.dim[y->shape.rank - 1], sum);
    return SC_OK;
}

double sc_learner_flops(const sc_learner *l)
{
    double flops = 0;
    for (int i = 0; l->add.plan && i < l->add.plan->n_steps; i++) {
        const sc_step *s = &l->add.plan->step[i];
        if (!s->out->after) flops += s->op->cost(s).flops;
    }
    return flops;
}
int64_t sc_learner_arena_bytes(const sc_learner *l) { return l->add.plan ? l->add.plan->arena_bytes : 0; }
sc_plan *sc_learner_plan(sc_learner *l) { return l->add.plan; }
