/* SPDX-License-Identifier: Apache-2.0 */
/* The paged cache against a model that keeps every sequence whole: forks, trims and appends in any order, with the
 * bytes read back through the page tables; pages are never lost, nor written while two sequences read them. */
#include "core_help.h"

enum { TILE = SC_ATTENTION_TILE, LAYERS = 2, SEQS = 5, MOST = 600 };

static const int heads[LAYERS] = {2, 1}, width[LAYERS] = {32, 64};

static sc_cache_spec spec(void)
{
    sc_cache_spec s = {.n_layers = LAYERS};
    for (int i = 0; i < LAYERS; i++) {
        s.layer[i].kv_heads = heads[i];
        s.layer[i].d = s.layer[i].v_d = width[i];
    }
    return s;
}

/* The storage of a layer's keys (0) or values (1). */
static sc_storage store(const sc_cache *c, int layer, int which)
{
    sc_graph *g;
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    sc_kv kv = sc_cache_layer(g, c, layer);
    sc_storage st = (which ? kv.v : kv.k)->storage;
    sc_graph_free(g); /* the cache holds it too */
    return st;
}

static int64_t row_bytes(sc_dtype type, int layer) { return sc_dtype_size(type, width[layer]); }

static char *row(sc_storage st, int32_t slot, int head)
{
    return (char *)st.data +
           sc_dtype_size(st.dtype, slot / TILE * st.stride[0] + head * st.stride[1] + slot % TILE * st.stride[2]);
}

/* Fills token `mark`'s bytes at a slot, in every layer. */
static void put(const sc_cache *c, sc_dtype type, int32_t slot, int32_t mark)
{
    for (int l = 0; l < LAYERS; l++)
        for (int w = 0; w < 2; w++)
            for (int h = 0; h < heads[l]; h++) {
                char *p = row(store(c, l, w), slot, h);
                for (int64_t i = 0; i < row_bytes(type, l); i++) p[i] = (char)(mark * 31 + l * 7 + w * 3 + h + i);
            }
}

static bool is_there(const sc_cache *c, sc_dtype type, int32_t slot, int32_t mark)
{
    for (int l = 0; l < LAYERS; l++)
        for (int w = 0; w < 2; w++)
            for (int h = 0; h < heads[l]; h++) {
                const char *p = row(store(c, l, w), slot, h);
                for (int64_t i = 0; i < row_bytes(type, l); i++)
                    if (p[i] != (char)(mark * 31 + l * 7 + w * 3 + h + i)) return false;
            }
    return true;
}

typedef struct model {
    int32_t token[SEQS][MOST];
    int64_t n[SEQS];
} model;

static void check_all(const sc_cache *c, sc_dtype type, const model *m)
{
    int32_t pages[256];
    for (int s = 0; s < SEQS; s++) {
        assert_int_equal(sc_cache_length(c, s), m->n[s]);
        sc_cache_table(c, s, pages);
        for (int64_t i = 0; i < m->n[s]; i++) {
            int32_t slot = pages[i / TILE] * TILE + (int32_t)(i % TILE);
            assert_true(pages[i / TILE] >= 0 && pages[i / TILE] < sc_cache_pages(c));
            /* Every token at the ends of pages, some of the others. */
            if ((i % TILE < 2 || i % TILE > 29 || i % 11 == 0 || i + 3 > m->n[s]) &&
                !is_there(c, type, slot, m->token[s][i]))
                fail_msg("token %lld of sequence %d is not what was put there", (long long)i, s);
        }
    }
}

/* Pages in use, counted from the tables of all sequences. */
static int64_t pages_used(const sc_cache *c)
{
    int32_t pages[256];
    bool used[256] = {false};
    int64_t n = 0;
    for (int s = 0; s < SEQS; s++) {
        sc_cache_table(c, s, pages);
        for (int64_t i = 0; i * TILE < sc_cache_length(c, s); i++)
            if (!used[pages[i]]) used[pages[i]] = ++n;
    }
    return n;
}

/* What an append of n needs: new pages, and a copy of the last one where another sequence has it too. */
static int64_t pages_wanted(const sc_cache *c, int seq, int64_t n)
{
    int32_t mine[256], theirs[256];
    int64_t have = sc_cache_length(c, seq), at = have / TILE, split = 0;
    sc_cache_table(c, seq, mine);
    for (int s = 0; s < SEQS && have % TILE; s++) {
        sc_cache_table(c, s, theirs);
        if (s != seq && sc_cache_length(c, s) > at * TILE && theirs[at] == mine[at]) split = 1;
    }
    return (have + n + TILE - 1) / TILE - (have + TILE - 1) / TILE + split;
}

static void try_append(sc_cache *c, sc_dtype type, model *m, int seq, int64_t n, int32_t *mark)
{
    int32_t slots[MOST];
    bool fits = pages_used(c) + pages_wanted(c, seq, n) <= sc_cache_pages(c);
    sc_status s = sc_cache_append(c, seq, n, slots);
    if (!fits) {
        assert_int_equal(s, SC_ELIMIT);
        assert_non_null(strstr(sc_error(), "full"));
        return;
    }
    assert_int_equal(s, SC_OK);
    for (int64_t i = 0; i < n; i++) {
        m->token[seq][m->n[seq]++] = *mark;
        put(c, type, slots[i], (*mark)++);
    }
}

static void any_order_of_operations(void **state)
{
    (void)state;
    static const sc_dtype types[] = {SC_F32, SC_F16, SC_BF16, SC_Q8_0};
    int refused = 0;
    for (int k = 0; k < SC_COUNT(types); k++) {
        sc_cache *c;
        sc_cache_spec layers = spec();
        model *m = calloc(1, sizeof *m);
        uint64_t seed = (uint64_t)k;
        int32_t mark = 1;
        assert_int_equal(sc_cache_new(&c, &layers, types[k], 400, SEQS), SC_OK);
        assert_int_equal(sc_cache_pages(c), 13 + SEQS);
        for (int step = 0; step < 400; step++) {
            int a = (int)random_in(&seed, 0, SEQS - 1), b = (int)random_in(&seed, 0, SEQS - 1);
            int64_t n;
            switch (random_in(&seed, 0, 5)) {
            case 0:
                sc_cache_fork(c, a, b);
                if (a != b) memcpy(m->token[b], m->token[a], sizeof m->token[a]);
                m->n[b] = m->n[a];
                break;
            case 1:
                n = random_in(&seed, 0, 2) ? m->n[a] - random_in(&seed, 0, SC_MIN(m->n[a], 40))
                                           : random_in(&seed, 0, 300);
                sc_cache_trim(c, a, n);
                m->n[a] = SC_MIN(m->n[a], n);
                break;
            default:
                n = random_in(&seed, 0, 3) ? random_in(&seed, 1, 5) : random_in(&seed, 1, 150);
                if (m->n[a] + n <= MOST) {
                    int64_t before = m->n[a];
                    try_append(c, types[k], m, a, n, &mark);
                    refused += m->n[a] == before;
                }
            }
            check_all(c, types[k], m);
        }
        /* Everything is free again: one sequence can have all. */
        for (int s = 0; s < SEQS; s++) sc_cache_trim(c, s, 0);
        memset(m, 0, sizeof *m);
        int64_t all = sc_cache_pages(c) * TILE;
        try_append(c, types[k], m, 3, all, &mark);
        check_all(c, types[k], m);
        try_append(c, types[k], m, 3, 1, &mark);
        try_append(c, types[k], m, 0, 1, &mark);
        check_all(c, types[k], m);
        sc_cache_free(c);
        free(m);
    }
    assert_true(refused > 20);
}

/* ---- recurrent states ---- */

/* What a state is after the first n of these tokens: a number that depends on all of them. */
static float state_of(const int32_t *token, int64_t n)
{
    uint32_t x = 1;
    for (int64_t i = 0; i < n; i++) x = (x * 31 + (uint32_t)token[i]) % 1000003;
    return (float)x;
}

/* Appends n tokens as an evaluation does: reads the states of the slot it is given and writes those of the other. */
static void evaluate(sc_cache *c, float *const *state, model *m, int seq, int64_t n, int32_t *mark)
{
    int32_t from, to;
    assert_int_equal(sc_cache_append(c, seq, n, NULL), SC_OK);
    sc_cache_slots(c, seq, &from, &to);
    assert_true(from != to && to >= 0 && (from >= 0 || m->n[seq] == 0));
    for (int i = 0; i < 2; i++)
        if (from >= 0 && state[i][from * (i + 1)] != state_of(m->token[seq], m->n[seq]))
            fail_msg("the states of %lld tokens of sequence %d are others'", (long long)m->n[seq], seq);
    for (int64_t i = 0; i < n; i++) m->token[seq][m->n[seq]++] = (*mark)++;
    for (int i = 0; i < 2; i++) state[i][to * (i + 1)] = state_of(m->token[seq], m->n[seq]);
}

/* Sequences of which any may be shortened, forked and marked at any time go on with the states of what they still hold;
 * going back to before the last growth, or to the mark, loses nothing. */
static void states_follow_their_sequences(void **state)
{
    (void)state;
    sc_cache_spec layers = spec();
    sc_cache *c;
    float *data[2];
    model *m = calloc(1, sizeof *m);
    int64_t before[SEQS] = {0}, marked[SEQS] = {0};
    uint64_t seed = 7;
    int32_t mark = 1;
    layers.n_states = 2;
    for (int i = 0; i < 2; i++) layers.state[i].rows = i + 1, layers.state[i].n = 1;
    assert_int_equal(sc_cache_new(&c, &layers, SC_F32, SEQS * MOST, SEQS), SC_OK);
    sc_graph *g;
    sc_text_in in = {.cache = c};
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    for (int i = 0; i < 2; i++) data[i] = sc_text_state(g, &in, i + 1, 1)->storage.data;
    assert_null(sc_text_state(g, &in, 1, 1)); /* the cache has no third one */
    sc_graph_free(g);
    for (int step = 0; step < 4000; step++) {
        int a = (int)random_in(&seed, 0, SEQS - 1), b = (int)random_in(&seed, 0, SEQS - 1);
        int64_t n = random_in(&seed, 1, 9), kept;
        switch (random_in(&seed, 0, 6)) {
        case 0:
            sc_cache_fork(c, a, b);
            if (a != b) memcpy(m->token[b], m->token[a], sizeof m->token[a]);
            m->n[b] = m->n[a], before[b] = before[a], marked[b] = marked[a];
            break;
        case 1: /* to anywhere: the longest that is kept */
        case 2: /* to before the last growth, or to the mark */
            n = n < 4 ? before[a] : n < 7 ? marked[a] : random_in(&seed, 0, m->n[a]);
            kept = sc_cache_trim(c, a, n);
            assert_int_equal(kept, sc_cache_length(c, a));
            assert_true(kept <= n);
            if (m->n[a] > n) assert_true(kept >= (before[a] <= n ? before[a] : 0));
            if (m->n[a] > n) assert_true(kept >= (marked[a] <= n ? marked[a] : 0));
            if (kept < m->n[a]) before[a] = 0;
            if (n < marked[a]) marked[a] = 0;
            m->n[a] = kept;
            break;
        case 3:
            sc_cache_mark(c, a);
            marked[a] = m->n[a];
            break;
        default:
            if (m->n[a] + n > MOST) break;
            before[a] = m->n[a];
            evaluate(c, data, m, a, n, &mark);
        }
    }
    for (int s = 0; s < SEQS; s++) assert_int_equal(sc_cache_trim(c, s, 0), 0);
    for (int s = 0; s < SEQS; s++) m->n[s] = 0, evaluate(c, data, m, s, 3, &mark);
    sc_cache_free(c);
    free(m);
}

/* Forked sequences share their pages; the one that grows gets its own copy of the last one alone. */
static void pages_are_shared_until_written(void **state)
{
    (void)state;
    sc_cache *c;
    sc_cache_spec layers = spec();
    int32_t slots[100], a[64], b[64];
    assert_int_equal(sc_cache_new(&c, &layers, SC_F32, 400, SEQS), SC_OK);
    assert_int_equal(sc_cache_append(c, 0, 70, slots), SC_OK);
    for (int i = 0; i < 70; i++) put(c, SC_F32, slots[i], i);
    sc_cache_fork(c, 0, 1);
    sc_cache_table(c, 0, a);
    sc_cache_table(c, 1, b);
    assert_memory_equal(a, b, 3 * sizeof *a);
    assert_int_equal(pages_used(c), 3);
    assert_int_equal(sc_cache_append(c, 1, 1, slots), SC_OK);
    sc_cache_table(c, 1, b);
    assert_memory_equal(a, b, 2 * sizeof *a);
    assert_int_not_equal(a[2], b[2]);
    assert_int_equal(slots[0], b[2] * TILE + 6);
    assert_true(is_there(c, SC_F32, b[2] * TILE + 5, 69)); /* copied */
    assert_int_equal(pages_used(c), 4);
    /* The last page has one owner again, on either side. */
    assert_int_equal(sc_cache_append(c, 0, 1, slots), SC_OK);
    assert_int_equal(slots[0], a[2] * TILE + 6);
    /* At the edge of a page nothing is copied. */
    sc_cache_trim(c, 0, 64);
    sc_cache_fork(c, 0, 2);
    assert_int_equal(sc_cache_append(c, 2, 1, slots), SC_OK);
    sc_cache_table(c, 2, b);
    assert_memory_equal(a, b, 2 * sizeof *a);
    /* A fork onto itself changes nothing; trimming to more is none. */
    sc_cache_fork(c, 2, 2);
    sc_cache_trim(c, 2, 1000);
    assert_int_equal(sc_cache_length(c, 2), 65);
    /* Trimmed into a shared page and grown: the other keeps its own. */
    sc_cache_fork(c, 1, 3);
    sc_cache_trim(c, 3, 40);
    assert_int_equal(sc_cache_append(c, 3, 1, slots), SC_OK);
    put(c, SC_F32, slots[0], 999);
    sc_cache_table(c, 1, b);
    assert_true(is_there(c, SC_F32, b[1] * TILE + 8, 40));
    sc_cache_free(c);
}

static void limits_of_a_cache(void **state)
{
    (void)state;
    sc_cache *c = NULL;
    sc_cache_spec layers = spec();
    static const int64_t bad[] = {0, -1, INT64_MIN, ((int64_t)1 << 30) + 1, INT64_MAX};
    for (int i = 0; i < SC_COUNT(bad); i++)
        assert_int_equal(sc_cache_new(&c, &layers, SC_F32, bad[i], 1), SC_ELIMIT);
    layers.layer[1].d = layers.layer[1].v_d = 33;
    assert_int_equal(sc_cache_new(&c, &layers, SC_Q8_0, 10, 1), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "33"));
    assert_null(c);
    layers.n_layers = 512; /* more than there is memory: 2^30 tokens of 512 wide layers */
    for (int i = 0; i < 512; i++) {
        layers.layer[i].kv_heads = 4096;
        layers.layer[i].d = layers.layer[i].v_d = 4096;
    }
    sc_status s = sc_cache_new(&c, &layers, SC_F32, (int64_t)1 << 30, 1);
    assert_int_equal(s, SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "this machine"));
    assert_null(c);
    layers = spec();
    assert_int_equal(sc_cache_new(&c, &layers, SC_F16, 1, 1), SC_OK);
    assert_int_equal(sc_cache_bytes(c), 2 * sc_cache_pages(c) * TILE * (2 * 32 + 64) * 2);
    sc_graph *g;
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    assert_null(sc_cache_layer(g, c, LAYERS).k);
    assert_int_equal(g->status, SC_EINVAL);
    sc_graph_free(g);
    sc_cache_free(c);
    sc_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_operations),
        cmocka_unit_test(states_follow_their_sequences),
        cmocka_unit_test(pages_are_shared_until_written),
        cmocka_unit_test(limits_of_a_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
