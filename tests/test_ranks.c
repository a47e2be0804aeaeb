/* SPDX-License-Identifier: Apache-2.0 */
/* What ranks do together, in as many processes as this program is started with: alone by ctest, under mpirun by
 * check_ranks.py. Values are small integers, so that sums are exact. And that a learner tells of each gradient once, when
 * nothing touches it any more. */
#include "models.h"
#include "train/team.h"

#include <sched.h>
#include <sys/wait.h>

static sc_context *ctx, work;
static sc_ranks *ranks;
static int rank, count;

static float value_of(int q, int64_t i) { return (float)((i * 7 + q * 13) % 1001 - 500); }

/* Cuts that are even, that leave some ranks nothing, and one that is larger than what goes at once. */
static int64_t cut_of(int kind, int q, int64_t n)
{
    if (kind == 0) return n * q / count;
    if (kind == 1) return q == count ? n : 0; /* the last has all */
    return q == 0 ? 0 : n;                    /* the first */
}

static void fill(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] = value_of(rank, i);
}

static void check(const float *x, int64_t n, const char *what, float (*want)(int64_t i, int owner),
                  const int64_t *cut)
{
    int owner = 0;
    for (int64_t i = 0; i < n; i++) {
        while (i >= cut[owner + 1]) owner++;
        float w = want(i, owner);
        if (x[i] != w)
            fail_msg("%s, rank %d: [%lld] is %g, not %g", what, rank, (long long)i, (double)x[i], (double)w);
    }
}

static float its_owners(int64_t i, int owner) { return value_of(owner, i); }
static float first_ones(int64_t i, int owner)
{
    (void)owner;
    return value_of(0, i);
}
static float sum_of(int64_t i, int owner)
{
    float sum = 0;
    (void)owner;
    for (int q = 0; q < count; q++) sum += value_of(q, i);
    return sum;
}
static float own_sum(int64_t i, int owner) { return owner == rank ? sum_of(i, owner) : value_of(rank, i); }
static float on_first(int64_t i, int owner) { return rank == 0 ? value_of(owner, i) : value_of(rank, i); }
static float from_first(int64_t i, int owner) { return owner == rank ? value_of(0, i) : value_of(rank, i); }

static void moves(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 17, 1000, 100003, 5000011};
    static const struct {
        const char *name;
        sc_move move;
        float (*want)(int64_t, int);
    } all[] = {{"sum", SC_MOVE_SUM, own_sum},
               {"share", SC_MOVE_SHARE, its_owners},
               {"gather", SC_MOVE_GATHER, on_first},
               {"scatter", SC_MOVE_SCATTER, from_first}};
    enum { SIZES = SC_COUNT(sizes), KINDS = 3 };
    float *x[SIZES];
    int64_t *cut[SIZES];
    sc_range range[SIZES];
    for (int k = 0; k < SIZES; k++) {
        x[k] = malloc(sizeof **x * (size_t)sizes[k]);
        cut[k] = malloc(sizeof **cut * (size_t)(count + 1));
    }
    for (int kind = 0; kind < KINDS; kind++) {
        for (int k = 0; k < SIZES; k++) {
            for (int q = 0; q <= count; q++) cut[k][q] = cut_of((kind + k) % KINDS, q, sizes[k]);
            range[k] = (sc_range){.data = x[k], .cut = cut[k]};
        }
        for (int m = 0; m < SC_COUNT(all); m++) {
            for (int k = 0; k < SIZES; k++) fill(x[k], sizes[k]);
            if (sc_ranks_move(ranks, all[m].move, range, SIZES)) fail_msg("%s", sc_error());
            for (int k = 0; k < SIZES; k++) check(x[k], sizes[k], all[m].name, all[m].want, cut[k]);
        }
        for (int k = 0; k < SIZES; k++) fill(x[k], sizes[k]);
        if (sc_ranks_all_reduce(ranks, range, SIZES)) fail_msg("%s", sc_error());
        for (int k = 0; k < SIZES; k++) check(x[k], sizes[k], "all-reduce", sum_of, cut[k]);
        for (int k = 0; k < SIZES; k++) fill(x[k], sizes[k]);
        if (sc_ranks_broadcast(ranks, range, SIZES)) fail_msg("%s", sc_error());
        for (int k = 0; k < SIZES; k++) check(x[k], sizes[k], "broadcast", first_ones, cut[k]);
    }
    for (int k = 0; k < SIZES; k++) {
        free(x[k]);
        free(cut[k]);
    }
}

/* Two summands here, and many transfers at once that end in any order of their sizes. */
static void queues(void **state)
{
    (void)state;
    enum { JOBS = 50, N = 3001 };
    if (count == 1) skip(); /* alone nothing is moved */
    float *a = malloc(sizeof *a * JOBS * N), *b = malloc(sizeof *b * JOBS * N);
    int64_t cut[200];
    sc_range range[JOBS];
    sc_transfer job[JOBS];
    for (int q = 0; q <= count; q++) cut[q] = cut_of(0, q, N);
    for (int j = 0; j < JOBS; j++) {
        for (int i = 0; i < N; i++) {
            a[j * N + i] = value_of(rank, i + j);
            b[j * N + i] = value_of(rank + 1, i - j + JOBS);
        }
        range[j] = (sc_range){a + j * N, cut, b + j * N, NULL};
        job[j] = (sc_transfer){SC_MOVE_SUM, range + j, 1, NULL};
        sc_ranks_post(ranks, &job[j]);
    }
    if (sc_ranks_wait(ranks)) fail_msg("%s", sc_error());
    for (int j = 0; j < JOBS; j++)
        for (int64_t i = cut[rank]; i < cut[rank + 1]; i++) {
            float want = 0;
            for (int q = 0; q < count; q++) want += value_of(q, i + j) + value_of(q + 1, i - j + JOBS);
            assert_true(a[j * N + i] == want);
        }
    sc_ranks_time t = sc_ranks_take_time(ranks);
    assert_true(t.busy > 0 && t.waited >= 0);
    assert_true(sc_ranks_take_time(ranks).busy == 0);
    free(a);
    free(b);
}

static void small_things(void **state)
{
    (void)state;
    double x[] = {rank + 1, 0.5};
    assert_int_equal(sc_ranks_sum(ranks, x, 2), SC_OK);
    assert_true(x[0] == count * (count + 1) / 2 && x[1] == 0.5 * count);
    int own[2] = {rank, -rank}, all[400];
    assert_int_equal(sc_ranks_collect(ranks, own, sizeof own, all), SC_OK);
    for (int q = 0; q < count; q++) assert_true(all[2 * q] == q && all[2 * q + 1] == -q);
    char *text = rank == 0 ? sc_strdup("from the first") : NULL;
    assert_int_equal(sc_ranks_tell(ranks, &text), SC_OK);
    assert_string_equal(text, "from the first");
    sc_free(text);
    assert_int_equal(sc_ranks_barrier(ranks), SC_OK);
    assert_int_equal(sc_ranks_agree(ranks, SC_OK), SC_OK);
    if (count == 1) return;
    /* One fails: all do, with its words. */
    assert_int_equal(sc_ranks_agree(ranks, rank == 1 ? sc_fail(SC_ELIMIT, "too much") : SC_OK), SC_ELIMIT);
    assert_string_equal(sc_error(), "rank 1: too much");
    assert_int_equal(sc_ranks_agree(ranks, sc_fail(SC_EINVAL, "no")), SC_EINVAL);
    assert_string_equal(sc_error(), "no");
}

/* The last test: after it nothing can be done together. */
static void a_fault_ends_all(void **state)
{
    (void)state;
    if (count == 1) {
        assert_int_equal(sc_ranks_abort(ranks, sc_fail(SC_ELIMIT, "mine")), SC_ELIMIT);
        skip();
    }
    assert_int_equal(sc_ranks_barrier(ranks), SC_OK);
    if (rank == count - 1) {
        sc_fail(SC_ENOMEM, "nothing left");
        assert_int_equal(sc_ranks_abort(ranks, SC_ENOMEM), SC_EIO);
    } else {
        /* Waits for what never comes. */
        assert_int_equal(sc_ranks_barrier(ranks), SC_EIO);
    }
    char want[64];
    snprintf(want, sizeof want, "rank %d: nothing left", count - 1);
    assert_string_equal(sc_error(), want);
    assert_true(sc_ranks_broken(ranks) && sc_context_cancelled(&work));
    assert_int_equal(sc_ranks_barrier(ranks), SC_EIO);
    assert_true(sc_ranks_speaks(ranks) == (rank == 0));
}

/* ---- the learner ---- */

enum { TOKENS = 24, MOST_TOLD = 64 };

typedef struct told {
    int64_t order[MOST_TOLD], n;
    float *copy[MOST_TOLD]; /* as it was when it was told */
    const sc_trained *p;
} told;

static void on_final(void *user, int64_t i, float *gradient, const float *more)
{
    told *t = user;
    int64_t n = t->p[i].rows * t->p[i].cols;
    assert_true(t->n < MOST_TOLD);
    for (int64_t k = 0; more && k < n; k++) gradient[k] += more[k];
    t->copy[t->n] = malloc(sizeof(float) * (size_t)n);
    memcpy(t->copy[t->n], gradient, sizeof(float) * (size_t)n);
    t->order[t->n++] = i;
    /* Whoever is told may write there at once. */
    for (int64_t k = 0; k < n; k++) gradient[k] = NAN;
}

static void tells_of_each_gradient(void **state)
{
    (void)state;
    sc_model *m;
    sc_learner *l;
    int32_t ids[TOKENS], labels[TOKENS], start[] = {0, 10, TOKENS};
    float weight[TOKENS];
    double loss;
    for (int i = 0; i < TOKENS; i++) ids[i] = i * 5 % 31, labels[i] = i * 7 % 31, weight[i] = 1.0f / TOKENS;
    sc_text_batch b = {.tokens = TOKENS,
                       .sequences = 2,
                       .ids = ids,
                       .start = start,
                       .rows = TOKENS,
                       .labels = labels,
                       .weight = weight,
                       .counted = TOKENS};
    const char *const cases[] = {OWN_MODELS "/llama", OWN_MODELS "/gpt2"};
    for (int c = 0; c < SC_COUNT(cases); c++)
        for (int batches = 1; batches <= 3; batches++) {
            if (sc_model_open(&m, ctx, cases[c], NULL)) fail_msg("%s", sc_error());
            if (sc_learner_new(&l, m, &sc_objective_causal, NULL)) fail_msg("%s", sc_error());
            int64_t n, order[MOST_TOLD];
            told t = {.p = sc_learner_trained(l, &n)};
            float **want = calloc((size_t)n, sizeof *want);
            assert_true(n <= MOST_TOLD);
            sc_learner_clear(l);
            for (int k = 0; k < batches; k++) assert_int_equal(sc_learner_add(l, &b, 1 + k, &loss), SC_OK);
            for (int64_t i = 0; i < n; i++) {
                size_t bytes = sizeof(float) * (size_t)(t.p[i].rows * t.p[i].cols);
                memcpy(want[i] = malloc(bytes), sc_learner_gradients(l)[i], bytes);
            }
            sc_learner_clear(l);
            for (int k = 0; k < batches - 1; k++) assert_int_equal(sc_learner_add(l, &b, 1 + k, &loss), SC_OK);
            assert_int_equal(sc_learner_order(l, &b, order), SC_OK);
            if (sc_learner_add_last(l, &b, batches, on_final, &t, &loss)) fail_msg("%s", sc_error());
            assert_int_equal(t.n, n);
            assert_memory_equal(t.order, order, sizeof *order * (size_t)n);
            for (int64_t k = 0; k < n; k++) {
                int64_t i = order[k];
                assert_memory_equal(t.copy[k], want[i], sizeof(float) * (size_t)(t.p[i].rows * t.p[i].cols));
                free(t.copy[k]);
                free(want[i]);
            }
            free(want);
            sc_learner_free(l);
            sc_model_free(m);
        }
}

/* ---- cores ---- */

/* In a process of its own, since it is kept to some cores; whether threads and cores are as expected. */
static bool shares(const char *local_rank, const char *local_size, int threads, int cpus)
{
    pid_t child = fork();
    if (child == 0) {
        cpu_set_t set;
        setenv("OMPI_COMM_WORLD_RANK", local_rank, 1);
        setenv("OMPI_COMM_WORLD_SIZE", local_size, 1);
        setenv("OMPI_COMM_WORLD_LOCAL_RANK", local_rank, 1);
        setenv("OMPI_COMM_WORLD_LOCAL_SIZE", local_size, 1);
        unsetenv("OMPI_MCA_orte_bound_at_launch");
        int got = sc_train_share_cores();
        bool ok = got == threads && sched_getaffinity(0, sizeof set, &set) == 0 &&
                  (!cpus || CPU_COUNT(&set) <= cpus) && sc_train_rank() == atoi(local_rank);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_true(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void divides_cores(void **state)
{
    (void)state;
    int cores = sc_cpu_cores();
    assert_true(shares("0", "1", 0, 0)); /* alone on this machine */
    if (cores >= 2) {
        assert_true(shares("0", "2", cores / 2, 0));
        assert_true(shares("1", "2", cores / 2, 0));
    }
    assert_true(shares("63", "64", SC_MAX(cores / 64, 1), 0));
}

static int set_up(void **state)
{
    (void)state;
    if (sc_context_new(&ctx, &(sc_context_options){.threads = 2})) return -1;
    work.options = ctx->options;
    work.pool = ctx->pool;
    if (sc_ranks_new(&ranks, ctx, &work)) {
        fprintf(stderr, "%s\n", sc_error());
        return -1;
    }
    rank = sc_ranks_rank(ranks);
    count = sc_ranks_count(ranks);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sc_ranks_free(ranks);
    sc_context_free(ctx);
    return 0;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* mpirun ends those that come last */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),         cmocka_unit_test(queues),
        cmocka_unit_test(small_things),  cmocka_unit_test(tells_of_each_gradient),
        cmocka_unit_test(divides_cores), cmocka_unit_test(a_fault_ends_all),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
