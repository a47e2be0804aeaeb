/* SPDX-License-Identifier: Apache-2.0 */
/* Unigram (Kudo 2018, "Subword Regularization", arXiv:1804.10959): pieces with probabilities under which the text is likely, by
 * expectation and maximisation, and cut down round by round to those whose loss would cost most.
 *
 * Sums are integers of a fixed number of fractional bits, so that neither the order of words nor the number of threads matters.
 * Probabilities of pieces carry a factor e^(bias * length), which keeps the products over a word near one; it drops out of all
 * ratios. Words are cut at MOST characters for that. */
#include "vocab/vocab.h"

#include <math.h>

enum {
    MOST = 96,          /* characters of a word */
    CHUNK = 512,        /* words that a thread takes at once */
    PIECE_CHUNK = 4096, /* pieces ... */
    LAST_ROUNDS = 3     /* EM steps after the last cut */
};
#define MAX_SYMBOLS (1LL << 27) /* bytes of different words; above, rare ones are passed over */
#define RARE        0.5         /* pieces that are expected less often are dropped */
#define CONTROL     (-1000.0)   /* the score of special tokens and bytes: text never spells them */

/* One thread's sums. */
typedef struct part {
    int64_t *sum;       /* [pieces] */
    int64_t likelihood; /* sum over words of log probability */
} part;

typedef struct trainer {
    sc_context *ctx;
    sc_seed x;
    double *score; /* [pieces] log probability */
    double bias;
    double unit;            /* of the integers: 1 / 2^k */
    int64_t total, symbols; /* words by count; their characters by count */
    part *part;
    int threads;
    int64_t cap;  /* of the parts' sums */
    int64_t *sum; /* [pieces] all parts' */
    double *loss;
    atomic_long next;
} trainer;

/* ---- passes over the words ---- */

/* What follows a place may be: pieces that begin there, the longest first. */
#define EACH_PIECE(t, id, at) for (int32_t id = (t)->x.longest[at]; id >= 0; id = (t)->x.piece[id].parent)

static int64_t fixed(const trainer *t, double x) { return (int64_t)(x / t->unit + 0.5); }

static void expect_word(const trainer *t, part *p, const sc_seed_word *w)
{
    double front[MOST + 1] = {1}, back[MOST + 1];
    const sc_piece_node *piece = t->x.piece;
    for (uint32_t i = 1; i <= w->length; i++) front[i] = 0;
    for (uint32_t i = 0; i < w->length; i++)
        EACH_PIECE(t, id, w->at + i) front[i + (uint32_t)piece[id].length] += front[i] * piece[id].prob;
    double z = front[w->length];
    if (!(z > 0) || !isfinite(z)) return;
    double share = (double)w->count / z;
    back[w->length] = 1;
    for (uint32_t i = w->length; i-- > 0;) {
        double sum = 0, before = front[i] * share;
        EACH_PIECE(t, id, w->at + i)
        {
            double go = piece[id].prob * back[i + (uint32_t)piece[id].length];
            sum += go;
            p->sum[id] += fixed(t, before * go);
        }
        back[i] = sum;
    }
    p->likelihood += (int64_t)(((log(z) - t->bias * w->length) * (double)w->count) / t->unit);
}

/* The best way through characters [at, at + n), the whole left out if `apart`; the pieces' ends go to from[]. Its score. */
static double best_way(const trainer *t, uint32_t at, uint32_t n, bool apart, int32_t last[MOST + 1])
{
    double best[MOST + 1] = {0};
    for (uint32_t i = 1; i <= n; i++) best[i] = -INFINITY;
    for (uint32_t i = 0; i < n; i++) EACH_PIECE(t, id, at + i)
        {
            uint32_t end = i + (uint32_t)t->x.piece[id].length;
            double s;
            if (end > n || (apart && i == 0 && end == n)) continue;
            s = best[i] + t->score[id];
            if (s > best[end]) {
                best[end] = s;
                last[end] = id;
            }
        }
    return best[n];
}

static void choose_word(const trainer *t, part *p, const sc_seed_word *w)
{
    int32_t last[MOST + 1];
    best_way(t, w->at, w->length, false, last);
    for (uint32_t end = w->length; end > 0; end -= (uint32_t)t->x.piece[last[end]].length)
        p->sum[last[end]] += w->count;
}

static void run_words(trainer *t, int member, void (*fn)(const trainer *t, part *p, const sc_seed_word *w))
{
    for (;;) {
        int64_t from = (int64_t)CHUNK * atomic_fetch_add(&t->next, 1), to = SC_MIN(from + CHUNK, t->x.words);
        if (from >= t->x.words) return;
        for (int64_t i = from; i < to; i++) fn(t, &t->part[member], &t->x.word[i]);
    }
}

static void expect_all(void *arg, int member) { run_words(arg, member, expect_word); }
static void choose_all(void *arg, int member) { run_words(arg, member, choose_word); }

static void add_parts(void *arg, int member)
{
    trainer *t = arg;
    int64_t from = t->x.pieces * member / t->threads, to = t->x.pieces * (member + 1) / t->threads;
    for (int64_t i = from; i < to; i++) {
        int64_t sum = 0;
        for (int k = 0; k < t->threads; k++) sum += t->part[k].sum[i];
        t->sum[i] = sum;
    }
}

static void pass(trainer *t, void (*fn)(void *arg, int member))
{
    atomic_store(&t->next, 0);
    for (int i = 0; i < t->threads; i++) {
        memset(t->part[i].sum, 0, (size_t)t->x.pieces * sizeof *t->part[i].sum);
        t->part[i].likelihood = 0;
    }
    sc_pool_run(t->ctx->pool, fn, t);
    sc_pool_run(t->ctx->pool, add_parts, t);
}

/* ---- expectation and maximisation ---- */

/* The logarithmic derivative of the gamma function, x > 0: by its recurrence up to where the asymptotic series holds. */
static double digamma(double x)
{
    double less = 0;
    for (; x < 7; x += 1) less += 1 / x;
    double y = 1 / (x * x);
    return log(x) - 0.5 / x - y * (1.0 / 12 - y * (1.0 / 120 - y / 252)) - less;
}

static void set_probabilities(trainer *t)
{
    for (int64_t i = 0; i < t->x.pieces; i++)
        t->x.piece[i].prob = exp(t->score[i] + t->bias * t->x.piece[i].length);
}

/* Takes the pieces out of which keep[i] is 0; characters always stay. */
static void cut(trainer *t, const uint8_t *keep, int32_t *now)
{
    sc_seed *x = &t->x;
    int64_t n = 0;
    for (int64_t i = 0; i < x->pieces; i++) {
        if (i >= x->letters && !keep[i]) {
            now[i] = now[x->piece[i].parent];
            continue;
        }
        now[i] = (int32_t)n;
        x->piece[n] = x->piece[i];
        x->piece[n].parent = i < x->letters ? -1 : now[x->piece[i].parent];
        x->where[n] = x->where[i];
        t->score[n++] = t->score[i];
    }
    x->pieces = n;
    for (int64_t i = 0; i < x->symbols; i++)
        if (x->symbol[i]) x->longest[i] = now[x->longest[i]];
}

/* One step: expected counts, and the scores that they give, as SentencePiece has it with the digamma function in place of the
 * logarithm, which lets rare pieces lose. */
static void step(trainer *t, uint8_t *keep, int32_t *now, bool drop)
{
    double sum = 0, logs;
    int64_t likelihood = 0;
    set_probabilities(t);
    pass(t, expect_all);
    for (int i = 0; i < t->threads; i++) likelihood += t->part[i].likelihood;
    if (t->symbols) t->bias = SC_MAX(0, -(double)likelihood * t->unit / (double)t->symbols);
    for (int64_t i = 0; i < t->x.pieces; i++) {
        double freq = (double)t->sum[i] * t->unit;
        keep[i] = !drop || freq >= RARE;
        t->loss[i] = SC_MAX(freq, RARE);
        if (i < t->x.letters || keep[i]) sum += t->loss[i];
    }
    logs = digamma(sum);
    for (int64_t i = 0; i < t->x.pieces; i++) t->score[i] = digamma(t->loss[i]) - logs;
    if (drop) cut(t, keep, now);
}

/* ---- cutting down ---- */

/* What leaving each piece out would cost (Kudo 2018, 3.2): its uses would go to the best other way to spell it. */
static void weigh_pieces(void *arg, int member)
{
    trainer *t = arg;
    (void)member;
    double total = log((double)t->total);
    for (;;) {
        int64_t from = (int64_t)PIECE_CHUNK * atomic_fetch_add(&t->next, 1),
                to = SC_MIN(from + PIECE_CHUNK, t->x.pieces);
        if (from >= t->x.pieces) return;
        for (int64_t i = SC_MAX(from, t->x.letters); i < to; i++) {
            int32_t last[MOST + 1];
            uint32_t n = (uint32_t)t->x.piece[i].length;
            double freq = (double)t->sum[i];
            t->loss[i] = -INFINITY;
            if (freq == 0 || best_way(t, t->x.where[i], n, true, last) >= t->score[i]) continue;
            double other = 0;
            int64_t parts = 0;
            for (uint32_t end = n; end > 0; end -= (uint32_t)t->x.piece[last[end]].length, parts++)
                other += log((double)t->sum[last[end]] + freq);
            other -= (double)parts * log((double)t->total + freq * (double)(parts - 1));
            t->loss[i] = freq / (double)t->total * (log(freq) - total - other);
        }
    }
}

/* The loss that at most n pieces lie above: by bisecting the ordered bits of the numbers. */
static uint64_t ordered(double x)
{
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b >> 63 ? ~b : b | 1ull << 63;
}

static void keep_best(const trainer *t, int64_t n, uint8_t *keep)
{
    uint64_t lo = 0, hi = UINT64_MAX;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        int64_t above = 0;
        for (int64_t i = t->x.letters; i < t->x.pieces; i++) above += ordered(t->loss[i]) > mid;
        if (above > n)
            lo = mid + 1;
        else
            hi = mid;
    }
    int64_t taken = 0;
    for (int64_t i = t->x.letters; i < t->x.pieces; i++) taken += keep[i] = ordered(t->loss[i]) > lo;
    for (int64_t i = t->x.letters; i < t->x.pieces && taken < n; i++)
        if (!keep[i] && ordered(t->loss[i]) == lo && t->loss[i] > -INFINITY) taken += keep[i] = 1;
}

/* Down to `size` pieces, characters included. */
static void prune(trainer *t, int64_t size, uint8_t *keep, int32_t *now)
{
    pass(t, choose_all);
    t->total = 0;
    for (int64_t i = 0; i < t->x.pieces; i++) t->total += t->sum[i];
    atomic_store(&t->next, 0);
    sc_pool_run(t->ctx->pool, weigh_pieces, t);
    keep_best(t, SC_MAX(size - t->x.letters, 0), keep);
    cut(t, keep, now);
}

static sc_status refine(trainer *t, int64_t size, const sc_recipe *r)
{
    uint8_t *keep = sc_malloc((size_t)t->x.pieces);
    int32_t *now = sc_malloc((size_t)t->x.pieces * sizeof *now);
    int64_t most = t->x.pieces;
    sc_status s = keep && now ? SC_OK : sc_nomem();
    while (!s) {
        for (int i = 0; i < r->in.rounds; i++) step(t, keep, now, true);
        sc_progress(t->ctx, "cutting down", most - t->x.pieces, most - size);
        if (sc_context_cancelled(t->ctx)) s = sc_fail(SC_ECANCELLED, "cancelled");
        if (t->x.pieces <= size) break;
        prune(t, SC_MAX(size, (int64_t)(r->in.shrink * (double)t->x.pieces)), keep, now);
        if (t->x.pieces <= size) break;
    }
    for (int i = 0; i < LAST_ROUNDS && !s; i++) step(t, keep, now, false);
    sc_free(keep);
    sc_free(now);
    return s;
}

/* ---- the frame ---- */

static sc_status begin(trainer *t)
{
    int64_t n = t->x.pieces;
    double sum = 0;
    t->threads = sc_pool_threads(t->ctx->pool);
    t->score = sc_malloc((size_t)n * sizeof *t->score);
    t->loss = sc_malloc((size_t)n * sizeof *t->loss);
    t->sum = sc_malloc((size_t)n * sizeof *t->sum);
    t->part = sc_calloc((size_t)t->threads, sizeof *t->part);
    if (!t->score || !t->loss || !t->sum || !t->part) return sc_nomem();
    for (int i = 0; i < t->threads; i++)
        if (!(t->part[i].sum = sc_malloc((size_t)n * sizeof *t->part[i].sum))) return sc_nomem();
    for (int64_t i = 0; i < t->x.words; i++) {
        t->total += t->x.word[i].count;
        t->symbols += t->x.word[i].count * t->x.word[i].length;
    }
    for (t->unit = 1.0 / (1 << 20); (double)t->symbols * 64 / t->unit > 4e18; t->unit *= 2) continue;
    for (int64_t i = 0; i < n; i++) sum += t->x.freq[i] * t->x.piece[i].length;
    for (int64_t i = 0; i < n; i++) t->score[i] = log(SC_MAX(t->x.freq[i], RARE) * t->x.piece[i].length / sum);
    t->bias = 2;
    return SC_OK;
}

static void end(trainer *t)
{
    for (int i = 0; t->part && i < t->threads; i++) sc_free(t->part[i].sum);
    sc_free(t->part);
    sc_free(t->score);
    sc_free(t->loss);
    sc_free(t->sum);
    sc_seed_free(&t->x);
}

typedef struct scored {
    double score;
    int32_t piece;
} scored;

static int by_score(const void *x, const void *y)
{
    const scored *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return (a->piece > b->piece) - (a->piece < b->piece);
}

static sc_status put_scored(sc_token_list *l, const trainer *t, const scored *list, const sc_token_list *letters)
{
    sc_str text = {0};
    sc_status s = SC_OK;
    for (int64_t i = 0; i < t->x.pieces && !s; i++) {
        int32_t id = list[i].piece;
        int64_t had = l->n;
        text.len = 0;
        for (int32_t k = 0; k < t->x.piece[id].length; k++) {
            uint32_t symbol = id < t->x.letters ? (uint32_t)id + 1 : t->x.symbol[t->x.where[id] + (uint32_t)k];
            sc_str_append(&text, letters->text[symbol - 1].p, letters->text[symbol - 1].n);
        }
        s = text.oom ? sc_nomem() : sc_token_list_add(l, text.p, text.len, &id);
        if (!s && l->n > had) l->score[had] = list[i].score;
    }
    sc_str_free(&text);
    return s;
}

/* The most likely first, behind the tokens that l has already. */
static sc_status put_pieces(sc_token_list *l, const trainer *t, const sc_token_list *letters)
{
    int64_t n = t->x.pieces;
    scored *list = sc_malloc((size_t)SC_MAX(n, 1) * sizeof *list);
    l->score = sc_malloc((size_t)(l->n + n) * sizeof *l->score);
    sc_status s = list && l->score ? SC_OK : sc_nomem();
    if (!s) {
        for (int64_t i = 0; i < l->n; i++) l->score[i] = CONTROL;
        for (int64_t i = 0; i < n; i++) list[i] = (scored){t->score[i], (int32_t)i};
        qsort(list, (size_t)n, sizeof *list, by_score);
        s = put_scored(l, t, list, letters);
    }
    sc_free(list);
    return s;
}

/* ---- which words ---- */

enum { RARE_COUNTS = 1024 };

static sc_status measure(void *user, const sc_census_word *w)
{
    int64_t *bytes = user;
    bytes[SC_MIN(w->count, RARE_COUNTS)] += w->n;
    return SC_OK;
}

/* The count from which on words are heeded, so that they fit MAX_SYMBOLS. */
static int64_t rare(const sc_train_words *w)
{
    int64_t bytes[RARE_COUNTS + 1] = {0}, sum = 0, i = RARE_COUNTS;
    sc_train_words_each(w, measure, bytes);
    while (i > 0 && (sum += bytes[i]) <= MAX_SYMBOLS) i--;
    return i + 1;
}

sc_status sc_unigram_learn(sc_token_list *l, sc_context *ctx, const sc_train_words *w, const sc_characters *c,
                           const sc_token_list *letters, const sc_recipe *r)
{
    trainer t = {.ctx = ctx};
    sc_word_stream words;
    sc_stream_options o = {.least = 1, .most = MOST, .rare = rare(w), .breaks = true};
    sc_status s = sc_word_stream_make(&words, w, c, &o);
    if (s) return s;
    if (o.rare > 1)
        sc_log(ctx, SC_LOG_INFO, "words met less than %lld times are passed over: there are too many",
               (long long)o.rare);
    sc_progress(ctx, "finding pieces", 0, 1);
    s = sc_seed_make(&t.x, &words, letters->n, r->in.max_token_length, r->in.seed_size);
    sc_free(words.u);
    if (!s) s = begin(&t);
    if (!s) s = refine(&t, r->in.size - l->n, r);
    if (!s) s = put_pieces(l, &t, letters);
    end(&t);
    return s;
}
