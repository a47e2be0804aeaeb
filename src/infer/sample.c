/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler: processors on the logits, warpers on the candidates that are left, the draw.
 *
 * The candidates are kept in parallel arrays (x: score, p: probability, id), always in the order of their ids. A
 * filter marks those it keeps and the rest is squeezed out, so that after a top_k the other steps see a few dozen.
 * No step sorts: where a filter is "the best ones up to a count or a mass", the boundary is found by a radix
 * descent over the bits of the score (find_boundary), a few passes over the candidates whatever their distribution.
 */
#include "infer/infer.h"

#include <float.h>
#include <math.h>

#define LANES      8 /* of the loops that should become vector code; also the padding of the arrays */
#define MAX_VOCAB  ((int64_t)1 << 24)
#define BLOCK      256
#define RADIX_BITS 11
#define WAYS       4

struct sc_sampler {
    sc_sampling o;
    int32_t *bias_ids; /* o's copied; o's own are not used */
    float *bias;
    int64_t vocab;
    bool greedy;
    sc_rng rng;

    int32_t *count; /* how often each id was generated */
    uint8_t *seen;  /* whether it occurs in prompt or output */
    int32_t *known; /* the ids that were seen, each once */
    int64_t n_known;
    int32_t *past; /* prompt and output; kept only for no_repeat_ngram_size */
    int64_t n_past, cap_past;

    int64_t n;      /* candidates */
    bool all;       /* they are all ids: id[i] == i, and the array is not filled */
    bool softmaxed; /* p is the softmax of x, and log p is (x - max) - log_sum */
    float max, log_sum;
    float *x, *p;
    int32_t *id;
    uint32_t *key; /* what find_boundary ranks by */
    uint8_t *keep;
    double mass[WAYS][1 << RADIX_BITS];
};

/* ---- arithmetic over whole arrays ---- */

/* exp(-d) for d >= 0, to 1 ulp or so, by 2^k times a polynomial. Branch-free, so that loops over it become vector
 * code: that is why d is limited by its bits. 2^k is applied in two halves because it may be below the least normal
 * number. */
static inline float exp_minus(float d)
{
    const float to_integer = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    const float ln2_hi = 0.693145751953125f, ln2_lo = 1.42860682e-6f;
    union {
        float f;
        int32_t i;
    } a = {.f = d}, b, most = {.f = 104.0f}; /* exp(-104) is 0 in float */
    a.i = SC_MIN(a.i, most.i);
    float x = -a.f, kf = (x * 1.44269504f + to_integer) - to_integer;
    float r = (x - kf * ln2_hi) - kf * ln2_lo;
    float y = 1.0f / 5040;
    y = y * r + 1.0f / 720;
    y = y * r + 1.0f / 120;
    y = y * r + 1.0f / 24;
    y = y * r + 1.0f / 6;
    y = y * r + 0.5f;
    y = y * (r * r) + r + 1.0f;
    int32_t k = (int32_t)kf, half = k >> 1; /* k: -150 to 0 */
    a.i = (half + 127) * (1 << 23);
    b.i = (k - half + 127) * (1 << 23);
    return y * a.f * b.f;
}

static float max_of(const float *x, int64_t n)
{
    float m[LANES];
    for (int l = 0; l < LANES; l++) m[l] = -INFINITY;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) m[l] = x[i + l] > m[l] ? x[i + l] : m[l];
    for (; i < n; i++) m[0] = x[i] > m[0] ? x[i] : m[0];
    for (int l = 1; l < LANES; l++) m[0] = m[l] > m[0] ? m[l] : m[0];
    return m[0];
}

static double sum_of(const float *x, int64_t n)
{
    double s[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) s[l] += (double)x[i + l];
    for (; i < n; i++) s[0] += (double)x[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* y[i] = exp(x[i] - max) and their sum; y may be NULL. */
static double exp_all(float *y, const float *x, int64_t n, float max)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i += BLOCK) {
        float e[BLOCK]; /* always a whole block: loops of a constant length become vector code at any -O */
        int64_t m = SC_MIN(n - i, BLOCK);
        memcpy(e, x + i, (size_t)m * sizeof *e);
        for (int64_t j = m; j < BLOCK; j++) e[j] = -INFINITY;
        for (int j = 0; j < BLOCK; j++) e[j] = exp_minus(max - e[j]);
        sum += sum_of(e, m);
        if (y) memcpy(y + i, e, (size_t)m * sizeof *e);
    }
    return sum;
}

/* SC_EINVAL unless every value is finite or -INFINITY, and one of them finite. */
static sc_status check_logits(const float *x, int64_t n)
{
    unsigned bad[LANES] = {0}, fine[LANES] = {0}, any_bad = 0, any_fine = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            bad[l] |= !(x[i + l] <= FLT_MAX);
            fine[l] |= x[i + l] >= -FLT_MAX;
        }
    }
    for (; i < n; i++) bad[0] |= !(x[i] <= FLT_MAX), fine[0] |= x[i] >= -FLT_MAX;
    for (int l = 0; l < LANES; l++) any_bad |= bad[l], any_fine |= fine[l];
    if (any_bad) {
        for (i = 0; x[i] <= FLT_MAX; i++) {}
        return sc_fail(SC_EINVAL, "the logit of id %lld is %s", (long long)i,
                       isnan(x[i]) ? "not a number" : "infinite");
    }
    if (!any_fine) return sc_fail(SC_EINVAL, "all %lld logits are -infinity", (long long)n);
    return SC_OK;
}

/* log of the sum of exp(x). */
static void log_sum_exp(const float *x, int64_t n, float *max, float *log_sum)
{
    *max = max_of(x, n);
    *log_sum = (float)log(exp_all(NULL, x, n, *max));
}

sc_status sc_logits_logprobs(const float *logits, int64_t vocab, float *logprobs)
{
    float max, log_sum;
    if (vocab < 1) return sc_fail(SC_EINVAL, "logits: there are none");
    sc_status st = check_logits(logits, vocab);
    if (st != SC_OK) return st;
    log_sum_exp(logits, vocab, &max, &log_sum);
    for (int64_t i = 0; i < vocab; i++) logprobs[i] = (logits[i] - max) - log_sum;
    return SC_OK;
}

double sc_logits_nll(const float *logits, int64_t vocab, int32_t id)
{
    if (check_logits(logits, vocab) != SC_OK) return NAN;
    float max = max_of(logits, vocab);
    return log(exp_all(NULL, logits, vocab, max)) - ((double)logits[id] - max);
}

/* ---- the object ---- */

static sc_status copy_bias(sc_sampler *s)
{
    size_t n = (size_t)s->o.n_bias;
    for (size_t i = 0; i < n; i++)
        if (s->o.bias_ids[i] >= s->vocab)
            return sc_fail(SC_EINVAL, "logit bias: id %d is not in the vocabulary of %lld", (int)s->o.bias_ids[i],
                           (long long)s->vocab);
    s->bias_ids = sc_malloc(n * sizeof *s->bias_ids);
    s->bias = sc_malloc(n * sizeof *s->bias);
    if (!s->bias_ids || !s->bias) return sc_nomem();
    if (n) {
        memcpy(s->bias_ids, s->o.bias_ids, n * sizeof *s->bias_ids);
        memcpy(s->bias, s->o.bias, n * sizeof *s->bias);
    }
    return SC_OK;
}

sc_status sc_sampler_new(sc_sampler **out, const sc_sampling *options, int64_t vocab)
{
    sc_status st = sc_sampling_check(options);
    if (st != SC_OK) return st;
    if (vocab < 1 || vocab > MAX_VOCAB)
        return sc_fail(SC_EINVAL, "sampler: a vocabulary of %lld ids, allowed is 1 to %lld", (long long)vocab,
                       (long long)MAX_VOCAB);
    sc_sampler *s = sc_calloc(1, sizeof *s);
    if (!s) return sc_nomem();
    s->o = *options;
    s->vocab = vocab;
    s->greedy = !options->do_sample || !((float)options->temperature > 0);
    st = copy_bias(s);
    size_t n = (size_t)vocab + LANES;
    s->count = sc_calloc(n, sizeof *s->count);
    s->seen = sc_calloc(n, sizeof *s->seen);
    s->known = sc_malloc(n * sizeof *s->known);
    s->x = sc_malloc(n * sizeof *s->x);
    s->p = sc_malloc(n * sizeof *s->p);
    s->id = sc_malloc(n * sizeof *s->id);
    s->key = sc_malloc(n * sizeof *s->key);
    s->keep = sc_malloc(n * sizeof *s->keep);
    if (st == SC_OK && (!s->count || !s->seen || !s->known || !s->x || !s->p || !s->id || !s->key || !s->keep))
        st = sc_nomem();
    if (st != SC_OK) {
        sc_sampler_free(s);
        return st;
    }
    s->rng = sc_rng_make(s->o.seed, s->o.stream);
    *out = s;
    return SC_OK;
}

void sc_sampler_free(sc_sampler *s)
{
    if (!s) return;
    sc_free(s->bias_ids);
    sc_free(s->bias);
    sc_free(s->count);
    sc_free(s->seen);
    sc_free(s->known);
    sc_free(s->past);
    sc_free(s->x);
    sc_free(s->p);
    sc_free(s->id);
    sc_free(s->key);
    sc_free(s->keep);
    sc_free(s);
}

void sc_sampler_reset(sc_sampler *s)
{
    for (int64_t i = 0; i < s->n_known; i++) {
        s->count[s->known[i]] = 0;
        s->seen[s->known[i]] = 0;
    }
    s->n_known = s->n_past = 0;
    s->rng = sc_rng_make(s->o.seed, s->o.stream);
}

static sc_status remember(sc_sampler *s, const int32_t *ids, int64_t n, int generated)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0) return sc_fail(SC_EINVAL, "sampler: id %d is negative", (int)ids[i]);
    if (s->o.no_repeat_ngram_size && n > 0) {
        if (!sc_grow(&s->past, &s->cap_past, s->n_past + n, sizeof *s->past)) return sc_nomem();
        memcpy(s->past + s->n_past, ids, (size_t)n * sizeof *ids);
        s->n_past += n;
    }
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= s->vocab) continue;
        if (!s->seen[ids[i]]) s->known[s->n_known++] = ids[i];
        s->seen[ids[i]] = 1;
        s->count[ids[i]] += generated;
    }
    return SC_OK;
}

sc_status sc_sampler_prompt(sc_sampler *s, const int32_t *ids, int64_t n) { return remember(s, ids, n, 0); }

sc_status sc_sampler_accept(sc_sampler *s, int32_t id) { return remember(s, &id, 1, 1); }

/* ---- processors ---- */

/* Forbids each id that would make the last ids and itself a run of no_repeat_ngram_size that occurred before. */
static void ban_ngrams(sc_sampler *s)
{
    int64_t size = s->o.no_repeat_ngram_size;
    if (!size || s->n_past < size) return;
    size_t bytes = (size_t)(size - 1) * sizeof *s->past;
    const int32_t *tail = s->past + s->n_past - (size - 1);
    for (int64_t i = 0; i + size <= s->n_past; i++) {
        int32_t next = s->past[i + size - 1];
        if (next < s->vocab && !memcmp(s->past + i, tail, bytes)) s->x[next] = -INFINITY;
    }
}

/* Checks the logits and leaves them in x, processed; all ids are candidates. */
static sc_status process(sc_sampler *s, const float *logits)
{
    const sc_sampling *o = &s->o;
    sc_status st = check_logits(logits, s->vocab);
    if (st != SC_OK) return st;
    memcpy(s->x, logits, (size_t)s->vocab * sizeof *s->x);
    s->n = s->vocab;
    s->all = true;
    s->softmaxed = false;
    float freq = (float)o->frequency_penalty, pres = (float)o->presence_penalty, rep = (float)o->repetition_penalty;
    for (int64_t i = 0; i < s->n_known; i++) {
        int32_t id = s->known[i];
        float x = s->x[id];
        if (s->count[id]) x = x - freq * (float)s->count[id] - pres;
        s->x[id] = x < 0 ? x * rep : x / rep;
    }
    ban_ngrams(s);
    for (int64_t i = 0; i < o->n_bias; i++) s->x[s->bias_ids[i]] += s->bias[i];
    if (s->n_known || o->n_bias) {
        st = check_logits(s->x, s->vocab);
        if (st != SC_OK) return sc_fail_in(st, "after penalties and logit bias");
    }
    return SC_OK;
}

/* ---- warpers ---- */

/* Squeezes out the candidates whose keep[] is 0. p moves along. */
static void squeeze(sc_sampler *s)
{
    int64_t j = 0;
    memset(s->keep + s->n, 0, LANES);
    if (s->all)
        for (int64_t i = 0; i < s->n; i++) s->id[i] = (int32_t)i;
    s->all = false;
    for (int64_t i = 0; i < s->n; i += LANES) {
        uint64_t eight;
        if (i == j && i + LANES <= s->n && !memcmp(s->keep + i, "\1\1\1\1\1\1\1\1", LANES)) {
            j += LANES; /* nothing dropped yet, nothing to move */
            continue;
        }
        memcpy(&eight, s->keep + i, LANES);
        if (!eight) continue;
        for (int64_t k = i; k < i + LANES; k++) {
            if (!s->keep[k]) continue;
            s->x[j] = s->x[k];
            s->p[j] = s->p[k];
            s->id[j++] = s->id[k];
        }
    }
    if (j < s->n) s->softmaxed = false;
    s->n = j;
}

/* A number that orders as x does, as an unsigned one. */
static inline uint32_t order_key(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = x + 0.0f}; /* + 0: no -0, which equals 0 but would order below it */
    return v.u & 0x80000000u ? ~v.u : v.u | 0x80000000u;
}

static void set_order_keys(sc_sampler *s)
{
    for (int64_t i = 0; i < s->n; i++) s->key[i] = order_key(s->x[i]);
}

/* Adds up the weights (p, or 1 each) by digit, of the candidates whose key has this prefix. The sums are kept four
 * ways where there are many: scores are so alike in their first bits that one sum would wait for its last addition.
 */
static void add_by_digit(sc_sampler *s, bool by_mass, uint32_t mask, uint32_t prefix, int shift, uint32_t digits)
{
    int ways = s->n < 4096 ? 1 : WAYS;
    for (int w = 0; w < ways; w++) memset(s->mass[w], 0, digits * sizeof s->mass[w][0]);
    for (int64_t i = 0; i < s->n; i++) {
        if ((s->key[i] & mask) != prefix) continue;
        s->mass[i & (ways - 1)][(s->key[i] >> shift) & (digits - 1)] += by_mass ? (double)s->p[i] : 1.0;
    }
    for (int w = 1; w < ways; w++)
        for (uint32_t d = 0; d < digits; d++) s->mass[0][d] += s->mass[w][d];
}

/* Going from the greatest key down and adding weights, finds the key at which the sum first reaches `limit`; if it
 * never does, the least key of any weight. *above: the sum of all keys greater than it. */
static uint32_t find_boundary(sc_sampler *s, bool by_mass, double limit, double *above)
{
    static const int shifts[3] = {21, 10, 0}, bits[3] = {RADIX_BITS, RADIX_BITS, 10};
    uint32_t prefix = 0, mask = 0;
    *above = 0;
    for (int level = 0; level < 3; level++) {
        uint32_t digits = 1u << bits[level], chosen = digits - 1;
        double sum = *above;
        add_by_digit(s, by_mass, mask, prefix, shifts[level], digits);
        for (uint32_t d = digits; d-- > 0;) {
            if (!(s->mass[0][d] > 0)) continue;
            chosen = d;
            *above = sum;
            sum += s->mass[0][d];
            if (sum >= limit) break;
        }
        prefix |= chosen << shifts[level];
        mask |= (digits - 1) << shifts[level];
    }
    return prefix;
}

static void softmax(sc_sampler *s)
{
    if (s->softmaxed) return;
    s->max = max_of(s->x, s->n);
    double sum = exp_all(s->p, s->x, s->n, s->max);
    float divisor = (float)sum;
    for (int64_t i = 0; i < s->n; i++) s->p[i] /= divisor;
    s->log_sum = (float)log(sum);
    s->softmaxed = true;
}

static sc_status temperature(sc_sampler *s)
{
    float t = (float)s->o.temperature;
    if (t < 1 || t > 1) /* division and not multiplication: the results round as the reference's do */
        for (int64_t i = 0; i < s->n; i++) s->x[i] /= t;
    float max = max_of(s->x, s->n);
    if (!(fabsf(max) <= FLT_MAX))
        return sc_fail(SC_EINVAL, "the greatest logit divided by temperature %g is out of range", (double)t);
    return SC_OK;
}

static void keep_scores_from(sc_sampler *s, float least)
{
    for (int64_t i = 0; i < s->n; i++) s->keep[i] = s->x[i] >= least;
    squeeze(s);
}

static void top_k(sc_sampler *s)
{
    int64_t k = s->o.top_k;
    double above;
    if (k == 0 || k >= s->n) return;
    if (k <= s->n / 128) {
        /* Each of k blocks has one score not below the least of their maxima, so the k-th best is not below it
         * either: what is below can go before the ranking, which is nearly everything. */
        int64_t size = s->n / k;
        float least = INFINITY;
        for (int64_t b = 0; b < k; b++) {
            float m = max_of(s->x + b * size, b == k - 1 ? s->n - b * size : size);
            least = SC_MIN(least, m);
        }
        keep_scores_from(s, least);
    }
    set_order_keys(s);
    uint32_t kth = find_boundary(s, false, (double)k, &above);
    for (int64_t i = 0; i < s->n; i++) s->keep[i] = s->key[i] >= kth;
    squeeze(s);
}

/* The reference adds up probabilities from the least one and drops those at which the sum, rounded to float, is at
 * most float(1 - top_p). Here they are added from the greatest: the sum up to and with a candidate is the total
 * less what is ahead of it, so it stays if what is ahead is below `limit`. Of equal scores the low ids are kept, as
 * when greedy (the reference's sort leaves their order open). */
static void top_p(sc_sampler *s)
{
    if (s->o.top_p >= 1) return;
    softmax(s);
    float drop = (float)(1 - s->o.top_p);
    double rounds_to_drop = ((double)drop + (double)nextafterf(drop, 2)) / 2;
    double limit = sum_of(s->p, s->n) - rounds_to_drop, above;
    /* All those of at most drop / n together are at most drop: out before the ranking. */
    float hopeless = drop / (float)s->n * 0.9999f;
    for (int64_t i = 0; i < s->n; i++) s->keep[i] = s->p[i] > hopeless;
    squeeze(s);
    set_order_keys(s);
    uint32_t last = find_boundary(s, true, limit, &above);
    double room = -1; /* how many of the last key's candidates still fit; set at the first of them */
    for (int64_t i = 0; i < s->n; i++) {
        s->keep[i] = s->key[i] > last;
        if (s->key[i] != last) continue;
        if (room < 0) room = SC_MAX(1, ceil((limit - above) / (double)s->p[i]));
        s->keep[i] = room > 0;
        if (room > 0) room--;
    }
    squeeze(s);
}

static void min_p(sc_sampler *s)
{
    if (!(s->o.min_p > 0)) return;
    softmax(s);
    float least = (float)s->o.min_p * max_of(s->p, s->n);
    for (int64_t i = 0; i < s->n; i++) s->keep[i] = s->p[i] >= least;
    squeeze(s);
}

/* Entropy of the candidates in nats. */
static float entropy(sc_sampler *s)
{
    double h = 0;
    softmax(s);
    for (int64_t i = 0; i < s->n; i += BLOCK) {
        float t[BLOCK];
        int64_t m = SC_MIN(s->n - i, BLOCK);
        for (int64_t j = 0; j < m; j++) {
            float p = s->p[i + j], l = (s->x[i + j] - s->max) - s->log_sum;
            float lp = l * p; /* not a number where p is 0 */
            t[j] = p > 0 ? lp : 0;
        }
        h -= sum_of(t, m);
    }
    return (float)h;
}

/* Keeps those whose surprise is nearest to the entropy, up to a mass of typical_p. */
static void typical_p(sc_sampler *s)
{
    float mass = (float)s->o.typical_p;
    if (s->o.typical_p >= 1) return;
    float h = entropy(s);
    for (int64_t i = 0; i < s->n; i++) {
        union {
            float f;
            uint32_t u;
        } distance = {.f = fabsf(-((s->x[i] - s->max) - s->log_sum) - h)};
        s->key[i] = ~distance.u;
    }
    /* A sum reaches `mass` in the reference when it does so after rounding to float. */
    double limit = ((double)mass + (double)nextafterf(mass, 0)) / 2, above;
    uint32_t last = find_boundary(s, true, limit, &above);
    for (int64_t i = 0; i < s->n; i++) s->keep[i] = s->key[i] >= last;
    squeeze(s);
}

/* Drops probabilities below `least`, but never those of the best score. */
static void keep_probable(sc_sampler *s, float least)
{
    float max = max_of(s->x, s->n);
    for (int64_t i = 0; i < s->n; i++) s->keep[i] = (s->p[i] >= least) | (s->x[i] >= max);
    squeeze(s);
}

static void cutoffs(sc_sampler *s)
{
    float epsilon = (float)s->o.epsilon_cutoff, eta = (float)s->o.eta_cutoff;
    if (epsilon > 0) {
        softmax(s);
        keep_probable(s, epsilon);
    }
    if (eta > 0) {
        float h = entropy(s), bound = sqrtf(eta) * expf(-h);
        keep_probable(s, SC_MIN(eta, bound));
    }
}

/* Leaves the candidates and their probabilities. */
static sc_status warp(sc_sampler *s)
{
    sc_status st = temperature(s);
    if (st != SC_OK) return st;
    top_k(s);
    top_p(s);
    min_p(s);
    typical_p(s);
    cutoffs(s);
    softmax(s);
    return SC_OK;
}

/* ---- results ---- */

static int32_t likeliest(const sc_sampler *s)
{
    float max = max_of(s->x, s->n);
    int32_t i = 0;
    while (s->x[i] < max) i++;
    return i;
}

static int32_t draw(sc_sampler *s)
{
    double left = sc_rng_uniform(&s->rng) * sum_of(s->p, s->n);
    int64_t at = 0, chosen = 0;
    for (int64_t i = 0; i < s->n; i += BLOCK) {
        double block = sum_of(s->p + i, SC_MIN(s->n - i, BLOCK));
        if (!(block > 0)) continue;
        at = i; /* the block that holds the chosen one, or, where rounding leaves something over, the last possible
                 */
        if (block > left) break;
        left -= block;
    }
    for (int64_t i = at; i < SC_MIN(s->n, at + BLOCK) && left >= 0; i++) {
        if (!(s->p[i] > 0)) continue;
        chosen = i;
        left -= (double)s->p[i];
    }
    return s->all ? (int32_t)chosen : s->id[chosen];
}

sc_status sc_sampler_probs(sc_sampler *s, const float *logits, float *probs)
{
    sc_status st = process(s, logits);
    if (st == SC_OK && !s->greedy) st = warp(s);
    if (st != SC_OK) return st;
    for (int64_t i = 0; i < s->vocab; i++) probs[i] = 0;
    if (s->greedy) {
        probs[likeliest(s)] = 1;
        return SC_OK;
    }
    for (int64_t i = 0; i < s->n; i++) probs[s->all ? i : s->id[i]] = s->p[i];
    return SC_OK;
}

sc_status sc_sampler_sample(sc_sampler *s, const float *logits, int32_t *id, float *logprob)
{
    sc_status st = process(s, logits);
    if (st == SC_OK && !s->greedy) st = warp(s);
    if (st != SC_OK) return st;
    *id = s->greedy ? likeliest(s) : draw(s);
    if (logprob) {
        float max, log_sum;
        log_sum_exp(logits, s->vocab, &max, &log_sum);
        *logprob = (logits[*id] - max) - log_sum;
    }
    return SC_OK;
}

sc_status sc_sampler_scores(sc_sampler *s, const float *logits, float *scores)
{
    sc_status st = process(s, logits);
    if (st == SC_OK) memcpy(scores, s->x, (size_t)s->vocab * sizeof *scores);
    return st;
}
