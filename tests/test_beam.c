/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"
#include "socle/sampling.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOLERANCE                                                                                                  \
    2e-6 /* of a score, relative to its size or 1: the reference's softmax rounds in another order                 \
          */
#define MAX_V     32
#define MAX_ROWS  8
#define MAX_STEPS 32

#define ok(call)                                                                                                   \
    do {                                                                                                           \
        sc_status st_ = (call);                                                                                    \
        if (st_ != SC_OK) fail_msg("%s: %s", #call, sc_error());                                                   \
    } while (0)

/* The test's model (see make_beam.py), with a cache a row: the ids so far, moved about by `parent` alone. */
typedef struct model {
    int v;
    float table[MAX_V][MAX_V];
    int32_t cache[MAX_ROWS][MAX_STEPS + 2];
    int length;
} model;

static void load_table(model *m, const json_t *table)
{
    m->v = (int)json_array_size(table);
    assert_in_range(m->v, 1, MAX_V);
    for (int i = 0; i < m->v; i++)
        for (int k = 0; k < m->v; k++)
            m->table[i][k] = (float)json_number_value(json_array_get(json_array_get(table, (size_t)i), (size_t)k));
}

static void search(model *m, sc_beam *b, const json_t *prompt)
{
    float *logprobs = malloc(sizeof *logprobs * MAX_ROWS * MAX_V);
    m->cache[0][0] = (int32_t)json_integer_value(json_array_get(prompt, 0));
    m->cache[0][1] = (int32_t)json_integer_value(json_array_get(prompt, 1));
    m->length = 2;
    while (!sc_beam_done(b)) {
        const sc_beam_live_one *live;
        int n = sc_beam_live(b, &live);
        assert_in_range(n, 1, MAX_ROWS);
        if (live[0].id >= 0) {
            int32_t old[MAX_ROWS][MAX_STEPS + 2];
            memcpy(old, m->cache, sizeof old);
            for (int i = 0; i < n; i++) {
                memcpy(m->cache[i], old[live[i].parent], sizeof old[0]);
                m->cache[i][m->length] = live[i].id;
                if (i) assert_true(live[i].score <= live[i - 1].score);
            }
            m->length++;
        }
        for (int i = 0; i < n; i++) {
            const int32_t *c = m->cache[i] + m->length - 2;
            int32_t ids[MAX_STEPS];
            ok(sc_logits_logprobs(m->table[(3 * c[0] + c[1] + 5 * m->length) % m->v], m->v, logprobs + i * m->v));
            assert_int_equal(sc_beam_length(b), m->length - 2);
            ok(sc_beam_ids(b, i, ids));
            assert_memory_equal(ids, m->cache[i] + 2, (size_t)(m->length - 2) * sizeof *ids);
        }
        ok(sc_beam_step(b, logprobs));
    }
    free(logprobs);
}

static void matches_transformers(void **state)
{
    (void)state;
    char path[4096];
    json_t *j;
    snprintf(path, sizeof path, "%s/tests/data/beam.json", SOCLE_SOURCE_DIR);
    ok(sc_json_read(&j, path, 1 << 24));
    const json_t *cases = json_object_get(j, "cases");
    assert_true(json_array_size(cases) > 100);
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *k = json_array_get(cases, c), *eos = json_object_get(k, "eos"),
                     *found = json_object_get(k, "found");
        const json_t *early = json_object_get(k, "early_stopping");
        int32_t ends[4];
        for (size_t i = 0; i < json_array_size(eos); i++)
            ends[i] = (int32_t)json_integer_value(json_array_get(eos, i));
        sc_beam_options o = {
            .num_beams = (int)json_integer_value(json_object_get(k, "num_beams")),
            .num_return_sequences = (int)json_array_size(found),
            .length_penalty = json_number_value(json_object_get(k, "length_penalty")),
            .early_stopping = json_is_true(early)    ? SC_BEAM_EARLY
                              : json_is_false(early) ? SC_BEAM_HEURISTIC
                                                     : SC_BEAM_NEVER,
            .max_new_tokens = json_integer_value(json_object_get(k, "max_new_tokens")),
            .eos = ends,
            .n_eos = (int64_t)json_array_size(eos),
        };
        model m = {0};
        load_table(&m, json_array_get(json_object_get(j, "tables"),
                                      (size_t)json_integer_value(json_object_get(k, "table"))));
        sc_beam *b;
        ok(sc_beam_new(&b, &o, m.v));
        assert_int_equal(sc_beam_results(b), 0);
        search(&m, b, json_object_get(k, "prompt"));
        assert_int_equal(sc_beam_results(b), o.num_return_sequences);
        for (int i = 0; i < o.num_return_sequences; i++) {
            const json_t *want = json_array_get(found, (size_t)i), *want_ids = json_object_get(want, "ids");
            int32_t *ids;
            int64_t n;
            float score;
            ok(sc_beam_result(b, i, &ids, &n, &score));
            double ws = json_number_value(json_object_get(want, "score"));
            if (n != (int64_t)json_array_size(want_ids))
                fail_msg("case %zu, result %d: %lld ids", c, i, (long long)n);
            for (int64_t p = 0; p < n; p++)
                if (ids[p] != json_integer_value(json_array_get(want_ids, (size_t)p)))
                    fail_msg("case %zu, result %d: id %d at %lld", c, i, (int)ids[p], (long long)p);
            if (!(fabs((double)score - ws) <= TOLERANCE * fmax(1, fabs(ws))))
                fail_msg("case %zu, result %d: score %.9g, not %.9g", c, i, (double)score, ws);
            sc_free(ids);
        }
        sc_beam_free(b);
    }
    json_decref(j);
}

/* With beams enough for every sequence, the search is exhaustive: it must find the best of all. */
static void is_exact_when_wide(void **state)
{
    (void)state;
    enum { V = 3, STEPS = 3 };
    sc_beam_options o = SC_BEAM_INIT;
    float table[V][V], logprobs[27 * V], best = -INFINITY;
    int best_at = -1;
    sc_rng_normal_fill(9, 0, 0, table[0], V * V);
    for (int i = 0; i < V; i++) ok(sc_logits_logprobs(table[i], V, table[i]));
    for (int i = 0; i < V * V * V; i++) {
        int a = i / 9, b = i / 3 % 3, c = i % 3;
        float sum = (table[0][a] + table[a][b]) + table[b][c];
        if (sum > best) best = sum, best_at = i;
    }
    o.num_beams = 27;
    o.length_penalty = 0;
    o.max_new_tokens = STEPS;
    sc_beam *s;
    ok(sc_beam_new(&s, &o, V));
    while (!sc_beam_done(s)) {
        const sc_beam_live_one *live;
        int n = sc_beam_live(s, &live);
        for (int i = 0; i < n; i++) memcpy(logprobs + i * V, table[SC_MAX(live[i].id, 0)], sizeof table[0]);
        ok(sc_beam_step(s, logprobs));
    }
    int32_t *ids;
    int64_t n;
    ok(sc_beam_result(s, 0, &ids, &n, NULL));
    assert_int_equal(n, STEPS);
    assert_int_equal(ids[0] * 9 + ids[1] * 3 + ids[2], best_at);
    sc_free(ids);
    sc_beam_free(s);
}

static void refuses_nonsense(void **state)
{
    (void)state;
    static const struct {
        sc_beam_options o;
        int64_t vocab;
        const char *names;
    } bad[] = {
        {{.num_beams = 0, .num_return_sequences = 1, .max_new_tokens = 1}, 5, "num_beams"},
        {{.num_beams = 1 << 20, .num_return_sequences = 1, .max_new_tokens = 1}, 5, "num_beams"},
        {{.num_beams = 2, .num_return_sequences = 3, .max_new_tokens = 1}, 5, "num_return_sequences"},
        {{.num_beams = 2, .num_return_sequences = 1, .max_new_tokens = 0}, 5, "max_new_tokens"},
        {{.num_beams = 2, .num_return_sequences = 1, .max_new_tokens = 1, .length_penalty = NAN},
         5,
         "length_penalty"},
        {{.num_beams = 2, .num_return_sequences = 1, .max_new_tokens = 1, .n_eos = 1}, 5, "end ids"},
        {{.num_beams = 2, .num_return_sequences = 1, .max_new_tokens = 1, .early_stopping = 7},
         5,
         "early_stopping"},
        {{.num_beams = 2, .num_return_sequences = 1, .max_new_tokens = 1}, 0, "vocabulary"},
    };
    sc_beam *b = NULL;
    for (int i = 0; i < SC_COUNT(bad); i++) {
        assert_int_equal(sc_beam_new(&b, &bad[i].o, bad[i].vocab), SC_EINVAL);
        if (!strstr(sc_error(), bad[i].names)) fail_msg("\"%s\" does not name %s", sc_error(), bad[i].names);
    }
    assert_null(b);
    sc_beam_options o = SC_BEAM_INIT;
    const int32_t eos = 1;
    o.eos = &eos;
    o.n_eos = 1;
    ok(sc_beam_new(&b, &o, 2));
    float p[8] = {NAN, -1};
    assert_int_equal(sc_beam_step(b, p), SC_EINVAL);
    p[0] = p[1] = -INFINITY;
    assert_int_equal(sc_beam_step(b, p), SC_EINVAL);
    p[0] = INFINITY;
    assert_int_equal(sc_beam_step(b, p), SC_EINVAL);
    p[0] = -INFINITY, p[1] = -0.5f; /* after a refused step the search is as before; now only the end can follow */
    ok(sc_beam_step(b, p));
    assert_true(sc_beam_done(b));
    assert_int_equal(sc_beam_results(b), 1); /* there is one sequence alone */
    assert_int_equal(sc_beam_step(b, p), SC_EINVAL);
    int32_t *ids, one[4];
    int64_t n;
    assert_int_equal(sc_beam_result(b, 1, &ids, &n, NULL), SC_EINVAL);
    assert_int_equal(sc_beam_ids(b, 0, one), SC_EINVAL);
    sc_beam_free(b);
    sc_beam_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_transformers),
        cmocka_unit_test(is_exact_when_wide),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests_name("beam", tests, NULL, NULL);
}
