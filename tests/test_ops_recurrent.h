/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of test_ops.c for what goes through sequences token by token; included by it. */

/* Slots for a batch: states (slots, rows, n) of which each sequence reads one, or none, and writes another. Gives what it
 * begins with, (sequences, rows, n). NULL for some trials: no states. */
static double *any_states(trial *t, batch *b, int64_t rows, int64_t n, sc_tensor **state)
{
    enum { SLOTS = 12 };
    double *before = room(t, b->sequences * rows * n * 8);
    int32_t deck[SLOTS], from[4], to[4];
    *state = NULL;
    if (!random_in(&t->seed, 0, 2)) return before;
    float *data = room(t, SLOTS * rows * n * 4);
    for (int64_t i = 0; i < SLOTS * rows * n; i++) data[i] = random_float(&t->seed);
    for (int i = 0; i < SLOTS; i++) {
        int k = (int)random_in(&t->seed, 0, i);
        deck[i] = deck[k];
        deck[k] = i;
    }
    for (int64_t s = 0; s < b->sequences; s++) {
        from[s] = random_in(&t->seed, 0, 2) ? deck[s] : -1;
        to[s] = deck[4 + s];
        for (int64_t i = 0; from[s] >= 0 && i < rows * n; i++)
            before[s * rows * n + i] = data[from[s] * rows * n + i];
    }
    sc_storage st = {.dtype = SC_F32, .stride = {rows * n, n, 1}, .data = data};
    *state = sc_graph_state(t->g, "states", &(sc_shape){3, {SLOTS, rows, n}}, &st);
    b->in.state_from = table(t, 1, &b->sequences, from);
    b->in.state_to = table(t, 1, &b->sequences, to);
    return before;
}

static void conv_trial(trial *t)
{
    batch b = any_batch(t, 30);
    int64_t taps = random_in(&t->seed, 1, 6), parts = random_in(&t->seed, 1, 3), channels = 0;
    bool silu = random_in(&t->seed, 0, 1);
    value x[3];
    sc_tensor *part[3], *state;
    for (int64_t i = 0; i < parts; i++) {
        int64_t h = random_in(&t->seed, 1, 3), d = random_in(&t->seed, 1, i ? 40 : 300);
        bool flat = random_in(&t->seed, 0, 1);
        x[i] = flat ? look(t, DENSE_LAST, 2, (int64_t[]){b.tokens, h * d})
                    : look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, h, d});
        part[i] = x[i].t;
        channels += h * d;
    }
    value w = look(t, PLAIN, 3, (int64_t[]){channels, 1, taps}), bias = {0};
    if (random_in(&t->seed, 0, 1)) bias = look(t, PLAIN, 1, &channels);
    double *before = any_states(t, &b, taps - 1, channels, &state);
    answer(t, sc_conv_causal(t->g, part, (int)parts, w.t, bias.t, silu, &b.in, state), 2e-6);
    double *all = room(t, b.tokens * channels * 8);
    for (int64_t i = 0, c = 0; i < parts; i++) {
        int64_t n = b.tokens ? product(part[i]->shape.rank, part[i]->shape.dim) / b.tokens : 0;
        for (int64_t at = 0; at < b.tokens * n; at++) all[at / n * channels + c + at % n] = x[i].v[at];
        c += n;
    }
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = b.start[s]; i < b.start[s + 1]; i++)
            for (int64_t c = 0; c < channels; c++) {
                double y = bias.v ? bias.v[c] : 0, size = fabs(y) + 0.5;
                for (int64_t j = 0; j < taps; j++) {
                    int64_t from = i - taps + 1 + j, past = from - b.start[s] + taps - 1;
                    double v = from >= b.start[s] ? all[from * channels + c]
                                                  : before[(s * (taps - 1) + past) * channels + c];
                    y += w.v[c * taps + j] * v;
                    size += fabs(w.v[c * taps + j] * v);
                }
                t->want[i * channels + c] = silu ? y / (1 + exp(-y)) : y;
                t->scale[i * channels + c] = size;
            }
}

/* One row of states over a sequence: what it gives each token is what loops of f64 give. */
static void selective_trial(trial *t)
{
    batch b = any_batch(t, 30);
    int64_t c = random_in(&t->seed, 1, 9) * random_in(&t->seed, 1, 40), n = random_in(&t->seed, 1, 20);
    sc_tensor *state;
    value x = look(t, DENSE_LAST, 2, (int64_t[]){b.tokens, c}), step = look(t, PLAIN, 2, (int64_t[]){b.tokens, c}),
          rate = look(t, PLAIN, 2, (int64_t[]){c, n}), in = look(t, DENSE_LAST, 2, (int64_t[]){b.tokens, n}),
          out = look(t, DENSE_LAST, 2, (int64_t[]){b.tokens, n}), d = {0};
    if (random_in(&t->seed, 0, 1)) d = look(t, PLAIN, 1, &c);
    double *h = any_states(t, &b, c, n, &state);
    sc_selective_scan p = {x.t, sc_unary(t->g, SC_UNARY_SIGMOID, step.t), NULL, in.t, out.t, d.t};
    p.a = sc_unary(t->g, SC_UNARY_TANH, rate.t);
    answer(t, sc_scan_selective(t->g, &p, &b.in, state), 4e-6);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = b.start[s]; i < b.start[s + 1]; i++)
            for (int64_t k = 0; k < c; k++) {
                double y = d.v ? d.v[k] * x.v[i * c + k] : 0, dt = 1 / (1 + exp(-step.v[i * c + k])), size = 1;
                for (int64_t j = 0; j < n; j++) {
                    double *now = h + (s * c + k) * n + j;
                    *now = exp(dt * tanh(rate.v[k * n + j])) * *now + dt * x.v[i * c + k] * in.v[i * n + j];
                    y += *now * out.v[i * n + j];
                    size += fabs(*now) * (double)(i - b.start[s] + 1);
                }
                t->want[i * c + k] = y;
                t->scale[i * c + k] = size;
            }
}

static void decay_trial(trial *t)
{
    batch b = any_batch(t, 30);
    int64_t groups = random_in(&t->seed, 1, 3), heads = groups * random_in(&t->seed, 1, 3),
            p = random_in(&t->seed, 1, 70), n = random_in(&t->seed, 1, 80), all = heads * p;
    sc_tensor *state;
    value x = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, heads, p}),
          step = look(t, PLAIN, 2, (int64_t[]){b.tokens, heads}), rate = look(t, PLAIN, 1, &heads),
          in = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, groups, n}),
          out = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, groups, n}), d = {0};
    if (random_in(&t->seed, 0, 1)) d = look(t, PLAIN, 1, &heads);
    double *h = any_states(t, &b, all, n, &state);
    sc_selective_scan scan = {x.t, sc_unary(t->g, SC_UNARY_SIGMOID, step.t), rate.t, in.t, out.t, d.t};
    answer(t, sc_scan_decay(t->g, &scan, &b.in, state), 4e-6);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = b.start[s]; i < b.start[s + 1]; i++)
            for (int64_t k = 0; k < all; k++) {
                int64_t head = k / p, group = (i * groups + head / (heads / groups)) * n;
                double dt = 1 / (1 + exp(-step.v[i * heads + head])), keep = exp(dt * rate.v[head]), size = 1;
                double y = d.v ? d.v[head] * x.v[i * all + k] : 0;
                for (int64_t j = 0; j < n; j++) {
                    double *now = h + (s * all + k) * n + j;
                    *now = keep * *now + dt * x.v[i * all + k] * in.v[group + j];
                    y += *now * out.v[group + j];
                    size += fabs(*now) * (double)(i - b.start[s] + 1);
                }
                t->want[i * all + k] = y;
                t->scale[i * all + k] = size;
            }
}

static double length_of(const double *v, int64_t n)
{
    double sum = 1e-6;
    for (int64_t j = 0; j < n; j++) sum += v[j] * v[j];
    return sqrt(sum);
}

static void delta_trial(trial *t)
{
    batch b = any_batch(t, 30);
    int64_t keys = random_in(&t->seed, 1, 3), heads = keys * random_in(&t->seed, 1, 3),
            p = random_in(&t->seed, 1, 70), n = random_in(&t->seed, 1, 80), all = heads * p;
    sc_tensor *state;
    value q = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, keys, n}),
          k = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, keys, n}),
          v = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, heads, p}),
          g = look(t, PLAIN, 2, (int64_t[]){b.tokens, heads}),
          beta = look(t, PLAIN, 2, (int64_t[]){b.tokens, heads});
    double *h = any_states(t, &b, all, n, &state), *key = room(t, n * 8);
    sc_delta_scan scan = {q.t, k.t, v.t, NULL, sc_unary(t->g, SC_UNARY_SIGMOID, beta.t), 1e-6f};
    scan.tiled = random_in(&t->seed, 0, 1);
    scan.g = sc_mul(t->g, g.t, g.t);
    scan.g = sc_mul(t->g, scan.g, sc_unary(t->g, SC_UNARY_TANH, g.t)); /* of either sign */
    answer(t, sc_scan_delta(t->g, &scan, &b.in, state), 1e-5);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = b.start[s]; i < b.start[s + 1]; i++)
            for (int64_t r = 0; r < all; r++) {
                int64_t head = r / p, of = scan.tiled ? head % keys : head / (heads / keys);
                const double *query = q.v + (i * keys + of) * n, *raw = k.v + (i * keys + of) * n;
                double x = g.v[i * heads + head], keep = exp(x * x * tanh(x)), held = 0, y = 0, size = 1;
                double *now = h + (s * all + r) * n, unit = length_of(query, n) * sqrt((double)n);
                for (int64_t j = 0; j < n; j++) {
                    key[j] = raw[j] / length_of(raw, n);
                    held += keep * now[j] * key[j];
                }
                double add = (v.v[i * all + r] - held) / (1 + exp(-beta.v[i * heads + head]));
                for (int64_t j = 0; j < n; j++) {
                    now[j] = keep * now[j] + add * key[j];
                    y += now[j] * query[j] / unit;
                    size += fabs(now[j] * query[j] / unit) * (double)(i - b.start[s] + 1);
                }
                t->want[i * all + r] = y;
                t->scale[i * all + r] = size;
            }
}
