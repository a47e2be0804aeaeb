/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys a query sees, told one key at a time, for test_ops.c; and where the first tokens are. */

/* A pattern of blocks for some trials, where the sequences are not longer than `longest`. */
static void any_blocks(trial *t, sc_attention_attr *a, int64_t longest)
{
    uint64_t *s = &t->seed;
    if (random_in(s, 0, 1)) {
        if (a->window && random_in(s, 0, 1)) a->globals = random_in(s, 1, 40);
        return;
    }
    sc_block_pattern p = {.size = random_in(s, 0, 2) ? random_in(s, 1, 20) : 32 * random_in(s, 1, 2),
                          .kind = (int)random_in(s, 0, 2),
                          .near = random_in(s, 0, 2),
                          .first = random_in(s, 0, 2),
                          .random = random_in(s, 0, 1) ? random_in(s, 0, 4) : 0,
                          .seed = (uint64_t)random_in(s, 0, 1 << 20),
                          .stride = random_in(s, 1, 5)};
    p.summary = random_in(s, 0, p.stride);
    if (!a->causal) {
        p.last = random_in(s, 0, 2);
        p.dense = random_in(s, 0, 2) ? 0 : random_in(s, 0, longest);
    }
    if (p.first) p.again = random_in(s, 0, 2);
    a->window = 0;
    a->blocks = p;
}

static bool in_list(const sc_attention_attr *a, int64_t kv_head, int64_t at, int64_t j, int64_t n)
{
    sc_key_range r[2048];
    for (int64_t i = 0, m = sc_attention_keys(a, kv_head, at, at + 1, n, r); i < m; i++)
        if (j >= r[i].from && j < r[i].to) return true;
    return false;
}

/* How often the query at place `at` of n tokens counts key j. What is drawn is taken from the list itself, whose number a
 * test of its own checks. */
static int64_t times_seen(const sc_attention_attr *a, int64_t kv_head, int64_t at, int64_t j, int64_t n)
{
    const sc_block_pattern *p = &a->blocks;
    if (a->causal && j > at) return 0;
    if (a->window > 0 && j >= a->globals) {
        int64_t behind = a->causal ? a->window - 1 : a->window / 2;
        return j >= at - behind && j <= at + a->window / 2 + (a->causal ? at : 0);
    }
    if (a->window > 0 || !p->size || n <= p->dense) return 1;
    int64_t block = at / p->size, key = j / p->size, count = (n + p->size - 1) / p->size;
    if (block < p->first || (!a->causal && block >= count - p->last)) return 1;
    if (key == 0 && p->first) return 1 + p->again;
    bool seen = llabs(key - block) <= p->near || key < p->first || (!a->causal && key >= count - p->last);
    if (p->kind == SC_BLOCKS_STRIDED) seen |= (block - key) % p->stride == 0;
    if (p->kind == SC_BLOCKS_FIXED)
        seen |= block / p->stride == key / p->stride || key % p->stride >= p->stride - p->summary;
    if (!seen && p->random) seen = in_list(a, kv_head, at, j, n);
    return seen;
}

/* As many more blocks as asked for are drawn, no more than there are, others for other heads and seeds, and the same
 * always; a causal query's do not depend on what follows. */
static void blocks_are_drawn(void **state)
{
    enum { SIZE = 4, COUNT = 40 };
    (void)state;
    int64_t different = 0, tried = 0;
    for (int64_t random = 0; random < 60; random += 7)
        for (int causal = 0; causal < 2; causal++)
            for (int64_t i = 0; i < COUNT; i++) {
                sc_attention_attr a = {.causal = causal, .blocks = {.size = SIZE, .near = 1, .random = random}};
                sc_key_range r[3][128];
                int64_t n[3], keys = SIZE * COUNT, all = 0, others = 0;
                assert_true(sc_attention_keys_most(&a, keys) <= 128);
                n[0] = sc_attention_keys(&a, 0, SIZE * i, SIZE * (i + 1), keys, r[0]);
                n[1] = sc_attention_keys(&a, 0, SIZE * i, SIZE * (i + 1), causal ? SIZE * (i + 1) : keys, r[1]);
                n[2] = sc_attention_keys(&a, 1, SIZE * i, SIZE * (i + 1), keys, r[2]);
                assert_int_equal(n[0], n[1]);
                assert_memory_equal(r[0], r[1], sizeof r[0][0] * (size_t)n[0]);
                for (int64_t k = 0; k < n[0]; k++) {
                    assert_true(r[0][k].from < r[0][k].to && (!k || r[0][k - 1].to < r[0][k].from));
                    all += (r[0][k].to - r[0][k].from) / SIZE;
                }
                for (int64_t k = 0; k < n[2]; k++) others += (r[2][k].to - r[2][k].from) / SIZE;
                int64_t limit = causal ? i + 1 : COUNT,
                        near = SC_MIN(i + 1 + (causal ? 0 : 1), limit) - SC_MAX(i - 1, 0);
                assert_int_equal(all, SC_MIN(near + random, limit));
                assert_int_equal(all, others);
                if (!random || all == limit) continue;
                tried++;
                different += n[0] != n[2] || memcmp(r[0], r[2], sizeof r[0][0] * (size_t)n[0]) != 0;
            }
    assert_true(different > tried / 2);
}

static void first_tokens_trial(trial *t)
{
    batch b = any_batch(t, 40);
    int64_t n = random_in(&t->seed, 1, 9), all = b.sequences * n + b.sequences + 1 + b.tokens;
    if (!b.tokens) {
        rope_table_trial(t);
        return;
    }
    sc_first_tokens f = sc_tokens_first(t->g, &b.in, n);
    /* As values of a table, since trials compare f32: row i of it is i. */
    int64_t rows = b.tokens + b.sequences * n + 1;
    double *want = room(t, all * 8);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = 0; i < n; i++)
            want[s * n + i] = (double)SC_MAX(SC_MIN(b.start[s] + i, b.start[s + 1] - 1), 0);
    for (int64_t s = 0; s <= b.sequences; s++) want[b.sequences * n + s] = (double)(s * n);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = b.start[s]; i < b.start[s + 1]; i++)
            want[b.sequences * n + b.sequences + 1 + i] =
                (double)(i - b.start[s] < n ? b.tokens + s * n + i - b.start[s] : i);
    value table = look(t, PLAIN, 2, (int64_t[]){rows, 1});
    answer(t, sc_rows(t->g, table.t, f.rows->view_of), 0);
    for (int64_t i = 0; i < all; i++) t->want[i] = table.v[(int64_t)want[i]];
}

static void virtual_rows_trial(trial *t)
{
    int64_t n = random_in(&t->seed, 1, 9000), vocab = random_in(&t->seed, 1, 20), rows = n + 10;
    int32_t *ids = room(t, n * 4);
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)random_in(&t->seed, 0, vocab + 9);
    sc_tensor *y = sc_virtual_rows(t->g, table(t, 1, &n, ids), vocab);
    value x = look(t, PLAIN, 2, (int64_t[]){rows, 1});
    answer(t, sc_rows(t->g, x.t, sc_reshape(t->g, y, 1, (int64_t[]){2 * n})), 0);
    for (int64_t i = 0; i < n; i++) {
        t->want[i] = x.v[ids[i] < vocab ? i : n + ids[i] - vocab];
        t->want[n + i] = x.v[ids[i] < vocab ? ids[i] : 0];
    }
}
