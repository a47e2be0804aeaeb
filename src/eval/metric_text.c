/* SPDX-License-Identifier: Apache-2.0 */
/* Answers beside targets, word by word: SQuAD's F1 (Rajpurkar et al. 2016) and ROUGE (Lin 2004) as Google's rouge_score counts
 * it without stemming. */
#include "eval/eval.h"

enum { MOST_WORDS = 4000 }; /* of a text; what is behind is left out */

typedef struct words {
    sc_str text;
    int32_t *id; /* words of both texts have numbers, equal ones the same */
    int64_t n, cap;
} words;

static void words_free(words *w)
{
    sc_str_free(&w->text);
    sc_free(w->id);
}

/* Numbers a word; *next is the first number that is free. false without memory. */
static bool add(words *w, sc_map *known, int64_t *next, const char *p, int64_t n)
{
    int64_t id;
    if (w->n == MOST_WORDS) return true;
    if (!sc_map_get(known, p, n, &id)) {
        id = (*next)++;
        if (!sc_map_put(known, p, n, id)) return false;
    }
    if (!sc_grow(&w->id, &w->cap, w->n + 1, sizeof *w->id)) return false;
    w->id[w->n++] = (int32_t)id;
    return true;
}

/* ---- ROUGE ---- */

/* Runs of a-z and 0-9 of w->text, which is in small letters, within [from, to). */
static bool rouge_words(words *w, sc_map *known, int64_t *next, int64_t from, int64_t to)
{
    int64_t begin = from;
    bool ok = true;
    for (int64_t i = from; ok && i <= to; i++) {
        char c = i < to ? w->text.p[i] : ' ';
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) continue;
        if (i > begin) ok = add(w, known, next, w->text.p + begin, i - begin);
        begin = i + 1;
    }
    return ok;
}

static bool lower(words *w, const char *text)
{
    sc_py_case(&w->text, text, (int64_t)strlen(text), false);
    if (!w->text.p) sc_str_puts(&w->text, "");
    return !w->text.oom;
}

static double f_measure(double hits, double answer, double target)
{
    double precision = hits / SC_MAX(answer, 1), recall = hits / SC_MAX(target, 1);
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

/* n-grams of b that a has too, each as often as both have it: by walking a's for each and marking those that are used. */
static double common(const words *a, const words *b, int n, bool *used)
{
    double hits = 0;
    for (int64_t i = 0; i + n <= b->n; i++)
        for (int64_t j = 0; j + n <= a->n; j++) {
            if (used[j] || memcmp(&b->id[i], &a->id[j], (size_t)n * sizeof *a->id) != 0) continue;
            used[j] = true;
            hits++;
            break;
        }
    return hits;
}

double sc_rouge_n(const char *answer, const char *target, int n)
{
    words a = {0}, t = {0};
    sc_map known = {0};
    int64_t next = 0;
    double f = -1;
    if (lower(&a, answer) && lower(&t, target) && rouge_words(&a, &known, &next, 0, a.text.len) &&
        rouge_words(&t, &known, &next, 0, t.text.len)) {
        bool *used = sc_calloc((size_t)SC_MAX(a.n, 1), sizeof *used);
        if (used)
            f = f_measure(common(&a, &t, n, used), (double)SC_MAX(a.n - n + 1, 0), (double)SC_MAX(t.n - n + 1, 0));
        sc_free(used);
    }
    words_free(&a);
    words_free(&t);
    sc_map_free(&known);
    return f;
}

/* The table of the longest common subsequences of beginnings: (na + 1, nb + 1). */
static uint16_t *lcs_table(const int32_t *a, int64_t na, const int32_t *b, int64_t nb)
{
    uint16_t *t = sc_calloc((size_t)((na + 1) * (nb + 1)), sizeof *t);
    for (int64_t i = 1; t && i <= na; i++)
        for (int64_t j = 1; j <= nb; j++) {
            uint16_t *at = t + i * (nb + 1) + j;
            *at = a[i - 1] == b[j - 1] ? (uint16_t)(at[-(nb + 2)] + 1) : SC_MAX(at[-1], at[-(nb + 1)]);
        }
    return t;
}

/* Marks the words of a that are in one of the longest common subsequences with b; false without memory. */
static bool mark_lcs(bool *marked, const int32_t *a, int64_t na, const int32_t *b, int64_t nb)
{
    uint16_t *t = lcs_table(a, na, b, nb);
    if (!t) return false;
    for (int64_t i = na, j = nb; i > 0 && j > 0;) {
        if (a[i - 1] == b[j - 1])
            marked[--i] = true, j--;
        else if (t[i * (nb + 1) + j - 1] > t[(i - 1) * (nb + 1) + j])
            j--;
        else
            i--;
    }
    sc_free(t);
    return true;
}

static double lcs_f(const words *a, const words *t)
{
    if (!a->n || !t->n) return 0;
    uint16_t *table = lcs_table(t->id, t->n, a->id, a->n);
    double f = table ? f_measure(table[(t->n + 1) * (a->n + 1) - 1], (double)a->n, (double)t->n) : -1;
    sc_free(table);
    return f;
}

/* Line by line: `end` has where in w->id each line that has words ends. */
static bool by_lines(words *w, sc_map *known, int64_t *next, const char *text, int64_t *end, int64_t *lines)
{
    *lines = 0;
    if (!lower(w, text)) return false;
    for (int64_t at = 0; at < w->text.len;) {
        const char *stop = memchr(w->text.p + at, '\n', (size_t)(w->text.len - at));
        int64_t to = stop ? stop - w->text.p : w->text.len, before = w->n;
        if (!rouge_words(w, known, next, at, to)) return false;
        if (w->n > before) end[(*lines)++] = w->n;
        at = to + 1;
    }
    return true;
}

/* For each line of the target the union of its common subsequences with all lines of the answer, no word counted more often
 * than either text has it. */
static double summary_f(const words *a, const int64_t *a_end, int64_t a_lines, const words *t, const int64_t *t_end,
                        int64_t t_lines, int64_t ids)
{
    int32_t *left_a = sc_calloc((size_t)ids + 1, sizeof *left_a),
            *left_t = sc_calloc((size_t)ids + 1, sizeof *left_t);
    bool *marked = sc_calloc((size_t)SC_MAX(t->n, 1), sizeof *marked), ok = left_a && left_t && marked;
    double hits = 0;
    for (int64_t i = 0; ok && i < a->n; i++) left_a[a->id[i]]++;
    for (int64_t i = 0; ok && i < t->n; i++) left_t[t->id[i]]++;
    for (int64_t l = 0; ok && l < t_lines; l++) {
        int64_t from = l ? t_end[l - 1] : 0;
        for (int64_t k = 0; ok && k < a_lines; k++) {
            int64_t begin = k ? a_end[k - 1] : 0;
            ok = mark_lcs(marked + from, t->id + from, t_end[l] - from, a->id + begin, a_end[k] - begin);
        }
        for (int64_t i = from; ok && i < t_end[l]; i++) {
            int32_t id = t->id[i];
            if (!marked[i] || left_a[id] <= 0 || left_t[id] <= 0) continue;
            hits++;
            left_a[id]--;
            left_t[id]--;
        }
    }
    sc_free(left_a);
    sc_free(left_t);
    sc_free(marked);
    return ok ? a->n && t->n ? f_measure(hits, (double)a->n, (double)t->n) : 0 : -1;
}

double sc_rouge_l(const char *answer, const char *target, bool by_sentence)
{
    words a = {0}, t = {0};
    sc_map known = {0};
    int64_t next = 0, lines = 0, target_lines = 0, *end = NULL;
    double f = -1;
    if (!by_sentence) {
        if (lower(&a, answer) && lower(&t, target) && rouge_words(&a, &known, &next, 0, a.text.len) &&
            rouge_words(&t, &known, &next, 0, t.text.len))
            f = lcs_f(&a, &t);
    } else if ((end = sc_calloc(2 * MOST_WORDS, sizeof *end))) {
        if (by_lines(&a, &known, &next, answer, end, &lines) &&
            by_lines(&t, &known, &next, target, end + MOST_WORDS, &target_lines))
            f = summary_f(&a, end, lines, &t, end + MOST_WORDS, target_lines, next);
    }
    sc_free(end);
    words_free(&a);
    words_free(&t);
    sc_map_free(&known);
    return f;
}

/* ---- SQuAD ---- */

/* Words in small letters without ASCII punctuation, and without a, an, the. */
static bool squad_words(words *w, sc_map *known, int64_t *next, const char *text)
{
    if (!lower(w, text)) return false;
    int64_t n = 0, begin = 0;
    for (int64_t i = 0; i < w->text.len; i++) {
        char c = w->text.p[i];
        if (!(c > ' ' && c < 0x7f && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c))) w->text.p[n++] = c;
    }
    w->text.len = n;
    w->text.p[n] = 0;
    bool ok = true;
    for (int64_t i = 0; ok && i <= n;) {
        uint32_t c = ' ';
        int k = i < n ? sc_utf8_decode(w->text.p + i, n - i, &c) : 1;
        if (sc_py_space(c)) {
            const char *p = w->text.p + begin;
            int64_t len = i - begin;
            bool article =
                (len == 1 && *p == 'a') || (len == 2 && !memcmp(p, "an", 2)) || (len == 3 && !memcmp(p, "the", 3));
            if (len > 0 && !article) ok = add(w, known, next, p, len);
            begin = i + k;
        }
        i += k;
    }
    return ok;
}

double sc_squad_f1(const char *answer, const char *target)
{
    words a = {0}, t = {0};
    sc_map known = {0};
    int64_t next = 0;
    double f = -1;
    if (squad_words(&a, &known, &next, answer) && squad_words(&t, &known, &next, target)) {
        bool *used = sc_calloc((size_t)SC_MAX(a.n, 1), sizeof *used);
        if (used) f = a.n && t.n ? f_measure(common(&a, &t, 1, used), (double)a.n, (double)t.n) : a.n == t.n;
        sc_free(used);
    }
    words_free(&a);
    words_free(&t);
    sc_map_free(&known);
    return f;
}
