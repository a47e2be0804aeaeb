/* SPDX-License-Identifier: Apache-2.0 */
/* BLEU (Papineni et al. 2002) and chrF, chrF++ (Popović 2015, 2017) with sacrebleu's defaults (Post 2018): the sums that a
 * sentence adds to, and the score of sums. BLEU: tokenizer 13a, exponential smoothing; chrF: six orders of characters without
 * white space, beta 2, and the orders of which both sides have some. */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

enum { BLEU_ORDERS = 4, CHAR_ORDERS = 6, WORD_ORDERS = 2 };

/* ---- tokens: stretches of one text, or characters of it ---- */

typedef struct piece {
    const char *p;
    int64_t n;
} piece;
typedef struct pieces {
    piece *v;
    int64_t n, cap;
} pieces;

static bool add(pieces *x, const char *p, int64_t n)
{
    if (!sc_grow(&x->v, &x->cap, x->n + 1, sizeof *x->v)) return false;
    x->v[x->n++] = (piece){p, n};
    return true;
}

static bool split(pieces *x, const char *p, int64_t n)
{
    int64_t begin = 0;
    uint32_t c;
    for (int64_t i = 0; i < n;) {
        int k = sc_utf8_decode(p + i, n - i, &c);
        if (sc_py_space(c)) {
            if (i > begin && !add(x, p + begin, i - begin)) return false;
            begin = i + k;
        }
        i += k;
    }
    return n == begin || add(x, p + begin, n - begin);
}

/* ---- n-grams counted ---- */

typedef struct gram {
    const char *p;
    int64_t n, count;
} gram;
typedef struct grams {
    sc_map index; /* of their spellings, which look into room */
    gram *v;
    int64_t n, cap;
    char *room;
} grams;

static void grams_free(grams *g)
{
    sc_map_free(&g->index);
    sc_free(g->v);
    sc_free(g->room);
}

/* Those of one order, each spelled with its pieces apart by a byte that no text has. */
static sc_status count(grams *g, const pieces *x, int order)
{
    int64_t bytes = 0, at = 0;
    for (int64_t i = 0; i + order <= x->n; i++)
        for (int k = 0; k < order; k++) bytes += x->v[i + k].n + 1;
    if (!(g->room = sc_malloc((size_t)bytes + 1))) return sc_nomem();
    for (int64_t i = 0; i + order <= x->n; i++) {
        char *key = g->room + at;
        int64_t n = 0, known;
        for (int k = 0; k < order; k++) {
            memcpy(key + n, x->v[i + k].p, (size_t)x->v[i + k].n);
            n += x->v[i + k].n;
            key[n++] = '\x01';
        }
        if (sc_map_get(&g->index, key, n, &known)) {
            g->v[known].count++;
            continue;
        }
        if (!sc_grow(&g->v, &g->cap, g->n + 1, sizeof *g->v) || !sc_map_put(&g->index, key, n, g->n))
            return sc_nomem();
        g->v[g->n++] = (gram){key, n, 1};
        at += n;
    }
    return SC_OK;
}

static int64_t get(const grams *g, const gram *like)
{
    int64_t at;
    return sc_map_get(&g->index, like->p, like->n, &at) ? g->v[at].count : 0;
}

/* ---- BLEU ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void replace(sc_str *s, const char *from, const char *to)
{
    sc_str out = {0};
    size_t n = strlen(from);
    const char *p = s->p, *hit;
    for (; (hit = strstr(p, from)); p = hit + n) {
        sc_str_append(&out, p, hit - p);
        sc_str_puts(&out, to);
    }
    sc_str_puts(&out, p);
    sc_str_free(s);
    *s = out;
}

/* Pairs of characters are looked for from left to right, each character in one pair at most. */
static void part(sc_str *s, bool (*pair)(char, char), const char *form)
{
    sc_str out = {0};
    for (int64_t i = 0; i < s->len; i++) {
        if (i + 1 < s->len && pair(s->p[i], s->p[i + 1])) {
            sc_str_printf(&out, form, s->p[i], s->p[i + 1]);
            i++;
        } else {
            sc_str_putc(&out, s->p[i]);
        }
    }
    sc_str_free(s);
    *s = out;
}

static bool mark(char c) { return c == '.' || c == ','; }
static bool mark_after(char a, char b) { return !is_digit(a) && mark(b); }
static bool mark_before(char a, char b) { return mark(a) && !is_digit(b); }
static bool dash_after(char a, char b) { return is_digit(a) && b == '-'; }

/* mteval-v13a's tokens, apart by spaces. */
static sc_status tokens_13a(sc_str *s, const char *text)
{
    sc_str spaced = {0};
    sc_str_puts(s, text);
    if (!s->p) sc_str_puts(s, "");
    replace(s, "<skipped>", "");
    replace(s, "-\n", "");
    replace(s, "\n", " ");
    if (strchr(s->p, '&')) {
        replace(s, "&quot;", "\"");
        replace(s, "&amp;", "&");
        replace(s, "&lt;", "<");
        replace(s, "&gt;", ">");
    }
    sc_str_putc(&spaced, ' ');
    for (int64_t i = 0; i < s->len; i++) {
        char c = s->p[i]; /* punctuation but . , - ' */
        bool alone = (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
                     (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
        if (alone)
            sc_str_printf(&spaced, " %c ", c);
        else
            sc_str_putc(&spaced, c);
    }
    sc_str_putc(&spaced, ' ');
    sc_str_free(s);
    *s = spaced;
    part(s, mark_after, "%c %c ");
    part(s, mark_before, " %c %c");
    part(s, dash_after, "%c %c ");
    return s->oom ? sc_nomem() : SC_OK;
}

static sc_status pieces_13a(pieces *x, sc_str *text, const char *of)
{
    const char *p = of;
    int64_t n = (int64_t)strlen(of);
    while (n > 0) { /* without white space at the end */
        int64_t at = n - 1;
        uint32_t c;
        while (at > 0 && ((unsigned char)p[at] & 0xC0) == 0x80) at--;
        sc_utf8_decode(p + at, n - at, &c);
        if (!sc_py_space(c)) break;
        n = at;
    }
    char *cut = sc_strndup(p, (size_t)n);
    sc_status s = cut ? tokens_13a(text, cut) : sc_nomem();
    sc_free(cut);
    return s ? s : split(x, text->p, text->len) ? SC_OK : sc_nomem();
}

/* Right n-grams of one order: each as often as the reference that has it most often has it. */
static sc_status bleu_order(const pieces *hyp, const pieces *ref, int refs, int order, double *right, double *all)
{
    grams h = {0}, *r = sc_calloc((size_t)SC_MAX(refs, 1), sizeof *r);
    sc_status s = r ? count(&h, hyp, order) : sc_nomem();
    for (int i = 0; !s && i < refs; i++) s = count(&r[i], &ref[i], order);
    for (int64_t i = 0; !s && i < h.n; i++) {
        int64_t most = 0;
        for (int k = 0; k < refs; k++) most = SC_MAX(most, get(&r[k], &h.v[i]));
        *right += (double)SC_MIN(most, h.v[i].count);
        *all += (double)h.v[i].count;
    }
    grams_free(&h);
    for (int i = 0; r && i < refs; i++) grams_free(&r[i]);
    sc_free(r);
    return s;
}

sc_status sc_bleu_sums(const char *answer, const char *const *reference, int refs, double out[10])
{
    pieces hyp = {0}, *ref = sc_calloc((size_t)SC_MAX(refs, 1), sizeof *ref);
    sc_str hyp_text = {0}, *ref_text = sc_calloc((size_t)SC_MAX(refs, 1), sizeof *ref_text);
    sc_status s = ref && ref_text ? pieces_13a(&hyp, &hyp_text, answer) : sc_nomem();
    memset(out, 0, 10 * sizeof *out);
    for (int i = 0; !s && i < refs; i++) s = pieces_13a(&ref[i], &ref_text[i], reference[i]);
    for (int order = 1; !s && order <= BLEU_ORDERS; order++)
        s = bleu_order(&hyp, ref, refs, order, &out[1 + order], &out[5 + order]);
    if (!s) {
        out[0] = (double)hyp.n;
        int64_t best = -1; /* the reference that is nearest in length, of equals the shorter */
        for (int i = 0; i < refs; i++) {
            int64_t d = llabs(ref[i].n - hyp.n), e = best < 0 ? 0 : llabs(best - hyp.n);
            if (best < 0 || d < e || (d == e && ref[i].n < best)) best = ref[i].n;
        }
        out[1] = (double)SC_MAX(best, 0);
    }
    for (int i = 0; ref && ref_text && i < refs; i++) sc_free(ref[i].v), sc_str_free(&ref_text[i]);
    sc_free(ref);
    sc_free(ref_text);
    sc_free(hyp.v);
    sc_str_free(&hyp_text);
    return s;
}

static void add_up(double *sum, const double *item, const int64_t *pick, int64_t n, int width)
{
    for (int k = 0; k < width; k++) sum[k] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < width; k++) sum[k] += item[pick[i] * width + k];
}

double sc_bleu_of(const double *item, const int64_t *pick, int64_t n)
{
    double x[10], logs = 0, smooth = 1;
    add_up(x, item, pick, n, 10);
    if (x[2] + x[3] + x[4] + x[5] == 0) return 0;
    for (int k = 0; k < BLEU_ORDERS; k++) {
        if (x[6 + k] == 0) return 0; /* an order without n-grams has precision 0 */
        double right = x[2 + k];
        if (right == 0) smooth *= 2;
        logs += log(right == 0 ? 100 / (smooth * x[6 + k]) : 100 * right / x[6 + k]);
    }
    double brevity = x[0] < x[1] ? exp(1 - x[1] / x[0]) : 1;
    return brevity * exp(logs / BLEU_ORDERS);
}

/* ---- chrF ---- */

/* The characters of a text without white space. */
static bool characters(pieces *x, const char *p)
{
    uint32_t c;
    for (int64_t i = 0, n = (int64_t)strlen(p); i < n;) {
        int k = sc_utf8_decode(p + i, n - i, &c);
        if (!sc_py_space(c) && !add(x, p + i, k)) return false;
        i += k;
    }
    return true;
}

/* Words, of longer ones a mark at the end, else at the beginning, being one of its own. */
static bool chrf_words(pieces *x, const char *p)
{
    static const char marks[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    pieces words = {0};
    bool ok = split(&words, p, (int64_t)strlen(p));
    for (int64_t i = 0; ok && i < words.n; i++) {
        piece w = words.v[i];
        uint32_t c;
        bool single = sc_utf8_decode(w.p, w.n, &c) == w.n;
        if (!single && strchr(marks, w.p[w.n - 1]))
            ok = add(x, w.p, w.n - 1) && add(x, w.p + w.n - 1, 1);
        else if (!single && strchr(marks, w.p[0]))
            ok = add(x, w.p, 1) && add(x, w.p + 1, w.n - 1);
        else
            ok = add(x, w.p, w.n);
    }
    sc_free(words.v);
    return ok;
}

static sc_status chrf_order(const pieces *hyp, const pieces *ref, int order, double out[3])
{
    grams h = {0}, r = {0};
    sc_status s = count(&h, hyp, order);
    if (!s) s = count(&r, ref, order);
    out[0] = out[1] = out[2] = 0;
    if (!s) {
        out[1] = (double)SC_MAX(ref->n - order + 1, 0);
        out[0] = out[1] > 0 ? (double)SC_MAX(hyp->n - order + 1, 0) : 0;
        for (int64_t i = 0; i < h.n; i++) out[2] += (double)SC_MIN(h.v[i].count, get(&r, &h.v[i]));
    }
    grams_free(&h);
    grams_free(&r);
    return s;
}

static double chrf_score(const double *x, int orders)
{
    double precision = 0, recall = 0, factor = 4;
    int used = 0;
    for (int k = 0; k < orders; k++) {
        if (x[3 * k] <= 0 || x[3 * k + 1] <= 0) continue;
        precision += x[3 * k + 2] / x[3 * k];
        recall += x[3 * k + 2] / x[3 * k + 1];
        used++;
    }
    if (!used || precision + recall == 0) return 0;
    precision /= used;
    recall /= used;
    return 100 * (1 + factor) * precision * recall / (factor * precision + recall);
}

sc_status sc_chrf_sums(const char *answer, const char *const *reference, int refs, int words, double *out)
{
    pieces hyp = {0}, hyp_words = {0};
    int orders = CHAR_ORDERS + words;
    double best = -1, one[3 * (CHAR_ORDERS + WORD_ORDERS)];
    sc_status s = characters(&hyp, answer) && (!words || chrf_words(&hyp_words, answer)) ? SC_OK : sc_nomem();
    for (int i = 0; !s && i < refs; i++) {
        pieces ref = {0}, ref_words = {0};
        s = characters(&ref, reference[i]) && (!words || chrf_words(&ref_words, reference[i])) ? SC_OK : sc_nomem();
        for (int k = 0; !s && k < orders; k++)
            s = k < CHAR_ORDERS ? chrf_order(&hyp, &ref, k + 1, &one[3 * k])
                                : chrf_order(&hyp_words, &ref_words, k - CHAR_ORDERS + 1, &one[3 * k]);
        double score = s ? -1 : chrf_score(one, orders);
        if (score > best) {
            best = score;
            memcpy(out, one, (size_t)(3 * orders) * sizeof *out);
        }
        sc_free(ref.v);
        sc_free(ref_words.v);
    }
    sc_free(hyp.v);
    sc_free(hyp_words.v);
    return s;
}

double sc_chrf_of(const double *item, const int64_t *pick, int64_t n)
{
    double x[3 * CHAR_ORDERS];
    add_up(x, item, pick, n, 3 * CHAR_ORDERS);
    return chrf_score(x, CHAR_ORDERS);
}

double sc_chrfpp_of(const double *item, const int64_t *pick, int64_t n)
{
    double x[3 * (CHAR_ORDERS + WORD_ORDERS)];
    add_up(x, item, pick, n, 3 * (CHAR_ORDERS + WORD_ORDERS));
    return chrf_score(x, CHAR_ORDERS + WORD_ORDERS);
}
