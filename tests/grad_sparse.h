/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of test_grad.c for mixtures of experts, recurrences and what comes with them; included by it. */

/* Numbers (rows, cols), each row without repetition, below `below`. */
static sc_tensor *choice(trial *t, int64_t rows, int64_t cols, int64_t below)
{
    int32_t v[256];
    assert_true(rows * cols <= 256);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++) {
            bool again = true;
            while (again) {
                v[r * cols + i] = (int32_t)random_in(&t->seed, 0, below - 1);
                again = false;
                for (int64_t k = 0; k < i; k++) again |= v[r * cols + k] == v[r * cols + i];
            }
        }
    return sc_reshape(t->g, numbers(t, rows * cols, v), 2, DIMS(rows, cols));
}

static sc_tensor *clamped_glu(trial *t)
{
    int64_t a = size(t), b = size(t);
    const float limit = 1.1f;
    sc_tensor *gate = values(t, 2, DIMS(a, b)), *up = values(t, 2, DIMS(a, b));
    for (int i = 0; i < 2; i++) {
        float *x = t->in[i].data;
        for (int64_t k = 0; k < t->in[i].n; k++)
            if (fabsf(fabsf(x[k]) - limit) < 0.05f) x[k] = 0.5f; /* away from the corners */
    }
    return sc_clamped_glu(t->g, gate, up, 1.702f, limit);
}

static sc_tensor *expert_weights(trial *t)
{
    int64_t experts = random_in(&t->seed, 2, 9), tokens = size(t);
    sc_routing r = {.used = random_in(&t->seed, 1, experts),
                    .score = (sc_score)random_in(&t->seed, 0, SC_SCORE_CHOSEN),
                    .scale = 1.5f};
    if (r.score == SC_SCORE_CHOSEN) r.used = SC_MAX(r.used, 2); /* one weight alone is 1, whatever the logits */
    r.normalise = r.used > 1 && random_in(&t->seed, 0, 1);
    return sc_expert_weights(t->g, values(t, 2, DIMS(tokens, experts)), choice(t, tokens, r.used, experts), &r);
}

static sc_tensor *expert_sum(trial *t)
{
    int64_t tokens = size(t), used = random_in(&t->seed, 1, 4), c = random_in(&t->seed, 1, 20);
    sc_tensor *x = values(t, 3, DIMS(tokens, used, c));
    return sc_expert_sum(t->g, x, random_in(&t->seed, 0, 3) ? values(t, 2, DIMS(tokens, used)) : NULL);
}

static sc_tensor *linear_experts(trial *t)
{
    int64_t experts = random_in(&t->seed, 1, 6), used = random_in(&t->seed, 1, experts), tokens = size(t),
            c = size(t), n = random_in(&t->seed, 0, 4) ? size(t) : 37;
    bool all = random_in(&t->seed, 0, 3) == 0, turned = random_in(&t->seed, 0, 2) == 0;
    if (all) used = experts;
    sc_tensor *x = random_in(&t->seed, 0, 1) ? values(t, 3, DIMS(tokens, used, c)) : values(t, 2, DIMS(tokens, c));
    sc_tensor *w = values(t, 3, turned ? DIMS(experts, c, n) : DIMS(experts, n, c));
    if (turned) w = sc_permute(t->g, w, (int[]){0, 2, 1});
    sc_tensor *bias = random_in(&t->seed, 0, 1) ? values(t, 2, DIMS(experts, n)) : NULL;
    return sc_linear_experts(t->g, x, w, all ? NULL : choice(t, tokens, used, experts), bias);
}

/* More pairs than are brought together at a time; few elements to vary. */
static sc_tensor *many_pairs(trial *t)
{
    int64_t tokens = 70, used = 4;
    sc_tensor *x = values(t, 2, DIMS(tokens, 2));
    sc_tensor *w = values(t, 3, DIMS(used, 3, 2));
    return sc_linear_experts(t->g, x, w, NULL, values(t, 2, DIMS(used, 3)));
}

/* ---- recurrences ---- */

/* The last input's values become lo + (hi - lo) |x| / 2. */
static sc_tensor *within(trial *t, sc_tensor *x, float lo, float hi)
{
    float *v = t->in[t->n_in - 1].data;
    for (int64_t i = 0; i < t->in[t->n_in - 1].n; i++) v[i] = lo + (hi - lo) * fminf(fabsf(v[i]) / 2, 1);
    return x;
}

static sc_tensor *conv_causal(trial *t)
{
    int64_t tokens;
    sc_seqs q = sequences(t, random_in(&t->seed, 1, 3), 0, &tokens);
    int64_t taps = random_in(&t->seed, 1, 4), parts = random_in(&t->seed, 1, 3), channels = 0;
    sc_tensor *part[3];
    for (int64_t i = 0; i < parts; i++) {
        int64_t h = random_in(&t->seed, 1, 2), d = random_in(&t->seed, 1, 4);
        part[i] = values(t, 3, DIMS(tokens, h, d));
        channels += h * d;
    }
    sc_tensor *w = values(t, 3, DIMS(channels, 1, taps)),
              *bias = random_in(&t->seed, 0, 1) ? values(t, 1, &channels) : NULL;
    return sc_conv_causal(t->g, part, (int)parts, w, bias, random_in(&t->seed, 0, 1), &q, NULL);
}

static sc_tensor *scan_selective(trial *t)
{
    int64_t tokens;
    sc_seqs q = sequences(t, random_in(&t->seed, 1, 3), 0, &tokens);
    int64_t c = random_in(&t->seed, 1, 11), n = random_in(&t->seed, 0, 3) ? size(t) : 17;
    sc_selective_scan p = {.x = values(t, 2, DIMS(tokens, c))};
    p.dt = within(t, values(t, 2, DIMS(tokens, c)), 0.1f, 1);
    p.a = within(t, values(t, 2, DIMS(c, n)), -0.6f, -2);
    p.b = values(t, 2, DIMS(tokens, n));
    p.c = values(t, 2, DIMS(tokens, n));
    if (random_in(&t->seed, 0, 2)) p.d = values(t, 1, &c);
    return sc_scan_selective(t->g, &p, &q, NULL);
}

static sc_tensor *scan_decay(trial *t)
{
    int64_t tokens;
    sc_seqs q = sequences(t, random_in(&t->seed, 1, 3), 0, &tokens);
    int64_t groups = random_in(&t->seed, 1, 2), heads = groups * random_in(&t->seed, 1, 3),
            d = random_in(&t->seed, 1, 6), n = random_in(&t->seed, 0, 3) ? size(t) : 17;
    sc_selective_scan p = {.x = values(t, 3, DIMS(tokens, heads, d))};
    p.dt = within(t, values(t, 2, DIMS(tokens, heads)), 0.1f, 1);
    if (random_in(&t->seed, 0, 1)) {
        float *dt = t->in[t->n_in - 1].data;
        p.dt_min = 0.3f, p.dt_max = 0.8f;
        for (int64_t i = 0; i < tokens * heads; i++)
            if (fabsf(dt[i] - p.dt_min) < 0.05f || fabsf(dt[i] - p.dt_max) < 0.05f) dt[i] = 0.5f;
    }
    p.a = within(t, values(t, 1, &heads), -0.6f, -2);
    p.b = values(t, 3, DIMS(tokens, groups, n));
    p.c = values(t, 3, DIMS(tokens, groups, n));
    if (random_in(&t->seed, 0, 2)) p.d = values(t, 1, &heads);
    return sc_scan_decay(t->g, &p, &q, NULL);
}

static sc_tensor *scan_delta(trial *t)
{
    int64_t tokens;
    sc_seqs q = sequences(t, random_in(&t->seed, 1, 3), 0, &tokens);
    int64_t keys = random_in(&t->seed, 1, 2), heads = keys * random_in(&t->seed, 1, 3),
            d = random_in(&t->seed, 1, 6), n = random_in(&t->seed, 0, 3) ? random_in(&t->seed, 2, 7) : 17;
    sc_delta_scan p = {.eps = 0.1f, .tiled = random_in(&t->seed, 0, 1)};
    p.q = values(t, 3, DIMS(tokens, keys, n));
    p.k = values(t, 3, DIMS(tokens, keys, n));
    p.v = values(t, 3, DIMS(tokens, heads, d));
    p.g = within(t, values(t, 2, DIMS(tokens, heads)), -0.2f, -1);
    p.beta = within(t, values(t, 2, DIMS(tokens, heads)), 0.1f, 1);
    return sc_scan_delta(t->g, &p, &q, NULL);
}
