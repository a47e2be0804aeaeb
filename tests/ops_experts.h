/* SPDX-License-Identifier: Apache-2.0 */
/* Trials of test_ops.c for concatenation and mixtures of experts. */

static void concat_trial(trial *t)
{
    int64_t dim[SC_MAX_RANK], width[4], all = 0;
    int rank = any_shape(t, dim, 1, 3), n = (int)random_in(&t->seed, 1, 4);
    value x[4];
    sc_tensor *in[4];
    for (int i = 0; i < n; i++) {
        all += dim[rank - 1] = width[i] = any_size(t);
        x[i] = look(t, ANY, rank, dim);
        in[i] = x[i].t;
    }
    answer(t, sc_concat(t->g, n, in), 0);
    int64_t at = 0;
    for (int i = 0; i < n; at += width[i++])
        for (int64_t r = 0; r < product(rank - 1, dim); r++)
            for (int64_t k = 0; k < width[i]; k++) t->want[r * all + at + k] = x[i].v[r * width[i] + k];
}

/* ---- routing ---- */

/* Logits of few different values, so that there are ties. */
static value logits_of(trial *t, int64_t tokens, int64_t experts)
{
    value r = {.v = room(t, tokens * experts * 8)};
    float *data = room(t, tokens * experts * 4);
    for (int64_t i = 0; i < tokens * experts; i++) r.v[i] = data[i] = (float)random_in(&t->seed, -4, 4) / 2;
    r.t = input(t, SC_F32, 2, (int64_t[]){tokens, experts}, data);
    return r;
}

static sc_routing any_routing(trial *t, int64_t *experts)
{
    static const int64_t sizes[] = {1, 2, 3, 4, 8, 9, 16};
    int64_t groups = random_in(&t->seed, 1, 4), size = sizes[random_in(&t->seed, 0, SC_COUNT(sizes) - 1)];
    sc_routing r = {.score = (sc_score)random_in(&t->seed, 0, SC_SCORE_CHOSEN),
                    .groups = groups,
                    .groups_used = random_in(&t->seed, 1, groups),
                    .group_best = random_in(&t->seed, 1, SC_MIN(size, 2)),
                    .normalise = random_in(&t->seed, 0, 1),
                    .scale = random_in(&t->seed, 0, 1) ? 1 : 2.5f};
    *experts = groups * size;
    r.used = random_in(&t->seed, 1, SC_MIN(r.groups_used * size, 8));
    return r;
}

static void scores_of(const sc_routing *r, int64_t n, const double *logits, double *score)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += exp(logits[i]);
    for (int64_t i = 0; i < n; i++)
        score[i] = r->score == SC_SCORE_SOFTMAX   ? exp(logits[i]) / sum
                   : r->score == SC_SCORE_SIGMOID ? 1 / (1 + exp(-logits[i]))
                                                  : logits[i];
}

/* The best that is left, of equals (to rounding) the first; it is taken out. */
static int64_t best_of(double *score, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (score[i] > score[best] + 1e-6) best = i;
    score[best] = -1e30;
    return best;
}

/* The experts of one token, from scores that it may spoil. */
static void choose(const sc_routing *r, int64_t n, double *score, int32_t *out)
{
    int64_t size = n / r->groups;
    double rank[4], left[64];
    bool in[4] = {false};
    memcpy(left, score, sizeof *left * (size_t)n);
    for (int64_t g = 0; g < r->groups; g++) {
        rank[g] = 0;
        for (int64_t i = 0; i < r->group_best; i++) rank[g] += score[g * size + best_of(left + g * size, size)];
    }
    for (int64_t i = 0; i < r->groups_used; i++) in[best_of(rank, r->groups)] = true;
    for (int64_t i = 0; i < n && r->groups > 1; i++)
        if (!in[i / size]) score[i] = -1e20;
    for (int64_t i = 0; i < r->used; i++) out[i] = (int32_t)best_of(score, n);
}

/* The ids go through a table of numbers, for the answer is f32; or what they weigh is the answer. */
static void routing_trial(trial *t, bool weights)
{
    int64_t n, tokens = any_size(t);
    sc_routing r = any_routing(t, &n);
    value logits = logits_of(t, tokens, n), bias = {0};
    if (random_in(&t->seed, 0, 1)) {
        float *data = room(t, n * 4);
        bias.v = room(t, n * 8);
        for (int64_t i = 0; i < n; i++) bias.v[i] = data[i] = (float)random_in(&t->seed, -2, 2) / 4;
        bias.t = input(t, SC_F32, 1, &n, data);
    }
    sc_tensor *ids = sc_top_experts(t->g, logits.t, bias.t, &r), *y;
    if (weights) {
        y = sc_expert_weights(t->g, logits.t, ids, &r);
    } else {
        float *numbers = room(t, n * 4);
        for (int64_t i = 0; i < n; i++) numbers[i] = (float)i;
        sc_tensor *names = input(t, SC_F32, 2, (int64_t[]){n, 1}, numbers);
        y = sc_rows(t->g, names, sc_reshape(t->g, ids, 1, (int64_t[]){-1}));
    }
    answer(t, y, weights ? 1e-6 : 0);
    for (int64_t k = 0; k < tokens; k++) {
        double score[64], ranked[64], w[8], sum = 0;
        int32_t id[8];
        scores_of(&r, n, logits.v + k * n, score);
        for (int64_t i = 0; i < n; i++) ranked[i] = score[i] + (bias.t ? bias.v[i] : 0);
        choose(&r, n, ranked, id);
        for (int64_t i = 0; i < r.used; i++)
            sum += w[i] = r.score == SC_SCORE_CHOSEN ? exp(score[id[i]]) : score[id[i]];
        for (int64_t i = 0; i < r.used; i++) {
            bool divide = r.normalise || r.score == SC_SCORE_CHOSEN;
            t->want[k * r.used + i] = weights ? w[i] / (divide ? sum : 1) * (double)r.scale : id[i];
            t->scale[k * r.used + i] = (double)r.scale;
        }
    }
}
static void top_experts_trial(trial *t) { routing_trial(t, false); }
static void expert_weights_trial(trial *t) { routing_trial(t, true); }

/* ---- products ---- */

/* Experts that nobody chooses, one only, tokens that choose one twice; without a choice; each with its own x. */
static void linear_experts_trial(trial *t)
{
    sc_dtype type = any_weight_type(t);
    int64_t block = sc_dtype_get(type)->block, e = random_in(&t->seed, 0, 3) ? random_in(&t->seed, 1, 9) : 1,
            n = SC_MIN(any_size(t), 33), c = block > 1 ? block * random_in(&t->seed, 1, 2) : any_size(t),
            tokens = any_size(t);
    if (random_in(&t->seed, 0, 9) == 0) tokens = 300; /* more than are gathered at a time */
    bool transposed = block == 1 && random_in(&t->seed, 0, 2) == 0, all = random_in(&t->seed, 0, 3) == 0,
         own = random_in(&t->seed, 0, 1);
    int64_t used = all ? e : random_in(&t->seed, 1, 4);
    value w = matrix(t, type, e * n, c, false);
    if (transposed) { /* (E, C, N) with the last two axes exchanged */
        value s = matrix(t, type, e * c, n, false);
        w.t = sc_permute(t->g, sc_reshape(t->g, s.t, 3, (int64_t[]){e, c, n}), (int[]){0, 2, 1});
        for (int64_t i = 0; i < e * n * c; i++) w.v[i] = s.v[(i / (n * c) * c + i % c) * n + i / c % n];
    } else {
        w.t = sc_reshape(t->g, w.t, 3, (int64_t[]){e, n, c});
    }
    int32_t *ids = room(t, tokens * used * 4);
    for (int64_t i = 0; i < tokens * used; i++) ids[i] = (int32_t)(all ? i % used : random_in(&t->seed, 0, e - 1));
    sc_tensor *chosen = all ? NULL : table(t, 2, (int64_t[]){tokens, used}, ids);
    value x = own ? look(t, ANY, 3, (int64_t[]){tokens, used, c}) : look(t, ANY, 2, (int64_t[]){tokens, c}),
          bias = {0};
    if (random_in(&t->seed, 0, 1)) bias = look(t, ANY, 2, (int64_t[]){e, n});
    answer(t, sc_linear_experts(t->g, x.t, w.t, chosen, bias.t), 1e-6);
    for (int64_t p = 0; p < tokens * used; p++)
        for (int64_t j = 0; j < n; j++) {
            const double *a = x.v + (own ? p : p / used) * c, *b = w.v + (ids[p] * n + j) * c;
            double sum = bias.t ? bias.v[ids[p] * n + j] : 0, size = fabs(sum), top = 0;
            for (int64_t k = 0; k < c; k++) {
                sum += a[k] * b[k];
                size += fabs(a[k] * b[k]);
                for (int64_t l = k; block > 1 && k % 32 == 0 && l < k + 32; l++) /* as for linear */
                    top = l == k ? fabs(a[l]) : fmax(top, fabs(a[l]));
                size += 0.5001 * top / 127 * fabs(b[k]) / t->tolerance;
            }
            t->want[p * n + j] = sum;
            t->scale[p * n + j] = size;
        }
}

static void expert_sum_trial(trial *t)
{
    int64_t tokens = any_size(t), used = random_in(&t->seed, 1, 9), c = any_size(t);
    value x = look(t, ANY, 3, (int64_t[]){tokens, used, c}), w = look(t, ANY, 2, (int64_t[]){tokens, used}),
          more = {0};
    sc_tensor *y = sc_expert_sum(t->g, x.t, w.t);
    if (random_in(&t->seed, 0, 1)) {
        more = look(t, ANY, 2, (int64_t[]){tokens, c});
        y = sc_add(t->g, more.t, y);
    }
    answer(t, y, 1e-6);
    for (int64_t i = 0; i < tokens * c; i++) {
        double sum = more.t ? more.v[i] : 0, size = fabs(sum);
        for (int64_t k = 0; k < used; k++) {
            double part = x.v[(i / c * used + k) * c + i % c] * w.v[i / c * used + k];
            sum += part;
            size += fabs(part);
        }
        t->want[i] = sum;
        t->scale[i] = size;
    }
}

static void clamped_glu_trial(trial *t)
{
    int64_t dim[SC_MAX_RANK];
    int rank = any_shape(t, dim, 1, 3);
    if (rank == 1 && random_in(&t->seed, 0, 3) == 0) dim[0] = 3001;
    value gate = look(t, ANY, rank, dim), up = look(t, ANY, rank, dim);
    double alpha = 1.702, limit = random_in(&t->seed, 0, 1) ? 7 : 0.5;
    answer(t, sc_clamped_glu(t->g, gate.t, up.t, (float)alpha, (float)limit), 1e-6);
    for (int64_t i = 0; i < product(rank, dim); i++) {
        double g = fmin(gate.v[i], limit), u = fmax(fmin(up.v[i], limit), -limit);
        t->want[i] = (u + 1) * g / (1 + exp(-(double)1.702f * g));
        t->scale[i] = 2;
    }
}
