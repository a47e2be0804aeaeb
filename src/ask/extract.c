/* SPDX-License-Identifier: Apache-2.0 */
/* From what a model said to its answer, and whether two answers are the same. */
#include "ask/asking.h"
#include "text/text.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static sc_text trim(sc_text t)
{
    while (t.len > 0 && is_blank(t.p[0])) t.p++, t.len--;
    while (t.len > 0 && is_blank(t.p[t.len - 1])) t.len--;
    return t;
}

static sc_status copy_of(sc_text t, char **out)
{
    char *copy = sc_strndup(t.p, (size_t)t.len);
    if (!copy) return sc_nomem();
    *out = copy;
    return SC_OK;
}

sc_status sc_ask_trimmed(char **out, const char *said, int64_t len)
{
    sc_text t = trim((sc_text){said, len});
    *out = NULL;
    return t.len ? copy_of(t, out) : SC_OK;
}

/* ---- where the answer is told ---- */

/* Behind the last "\boxed{", up to its brace. */
static sc_text boxed(sc_text said)
{
    static const char mark[] = "\\boxed{";
    const int64_t n = sizeof mark - 1;
    for (int64_t i = said.len - n; i >= 0; i--) {
        if (memcmp(said.p + i, mark, (size_t)n) != 0) continue;
        int depth = 1;
        int64_t k = i + n;
        for (; k < said.len; k++) {
            depth += said.p[k] == '{';
            depth -= said.p[k] == '}';
            if (!depth) break;
        }
        return (sc_text){said.p + i + n, k - i - n};
    }
    return (sc_text){0};
}

/* What follows the last words that announce an answer; p NULL: there are none. */
static sc_text announced(sc_text said)
{
    static const char *const marks[] = {
        "answer is", "answer:", "####", "answer**:", "답은", "정답은", "정답:", "답:"};
    sc_text best = boxed(said);
    if (best.p) return trim(best);
    for (int m = 0; m < SC_COUNT(marks); m++) {
        int64_t n = (int64_t)strlen(marks[m]);
        for (int64_t i = said.len - n; i >= 0; i--) {
            if (strncasecmp(said.p + i, marks[m], (size_t)n) != 0) continue;
            if (!best.p || said.p + i + n > best.p) best = (sc_text){said.p + i + n, said.len - i - n};
            break;
        }
    }
    while (best.len > 0 && (is_blank(*best.p) || *best.p == ':' || *best.p == '*')) best.p++, best.len--;
    return best;
}

bool sc_ask_told(const char *said, int64_t len) { return announced((sc_text){said, len}).len > 0; }

static sc_text first_line(sc_text t)
{
    const char *end = memchr(t.p, '\n', (size_t)t.len);
    return trim(end ? (sc_text){t.p, end - t.p} : t);
}

/* ---- numbers ---- */

/* The number that begins at p[0..n), as plain digits: without commas between thousands, a plus sign, zeros behind the last
 * place. How many bytes it took; 0: none begins here. */
static int64_t number_at(const char *p, int64_t n, bool after_digit, char out[64])
{
    int64_t i = 0, len = 0, point = -1, digits = 0;
    if (i < n && (p[i] == '-' || p[i] == '+') && !after_digit) {
        if (p[i] == '-') out[len++] = '-';
        i++;
    }
    if (i < n && p[i] == '$') i++;
    if (i >= n || !(is_digit(p[i]) || (p[i] == '.' && i + 1 < n && is_digit(p[i + 1])))) return 0;
    for (; i < n && len < 60; i++) {
        bool thousands = p[i] == ',' && i + 3 < n && is_digit(p[i + 1]) && is_digit(p[i + 2]) &&
                         is_digit(p[i + 3]) && !(i + 4 < n && is_digit(p[i + 4])) && digits;
        if (thousands && point < 0) continue;
        if (p[i] == '.' && point < 0 && i + 1 < n && is_digit(p[i + 1]))
            point = len;
        else if (!is_digit(p[i]))
            break;
        else
            digits++;
        out[len++] = p[i];
    }
    if (point >= 0) {
        while (len > point + 1 && out[len - 1] == '0') len--;
        if (len == point + 1) len--;
    }
    out[len] = 0;
    return i;
}

/* The first number of a text, or the last one. */
static bool find_number(sc_text t, bool last, char out[64])
{
    bool found = false;
    char number[64];
    for (int64_t i = 0; i < t.len;) {
        int64_t k = number_at(t.p + i, t.len - i, i > 0 && (is_digit(t.p[i - 1]) || t.p[i - 1] == ')'), number);
        if (!k) {
            i++;
            continue;
        }
        memcpy(out, number, sizeof number);
        found = true;
        if (!last) return true;
        i += k;
    }
    return found;
}

/* ---- choices ---- */

static bool word_edge(sc_text t, int64_t at)
{
    uint32_t c;
    if (at <= 0 || at >= t.len) return true;
    sc_utf8_decode(t.p + at, t.len - at, &c);
    unsigned char before = (unsigned char)t.p[at - 1], here = (unsigned char)t.p[at];
    /* Only letters of the Latin kind must end: others carry endings (the Korean "긍정입니다"). */
    return !(before < 0x80 && here < 0x80 && sc_uni_word(before) && sc_uni_word(here)) && (here & 0xC0) != 0x80;
}

static bool named_at(sc_text t, int64_t at, sc_text choice)
{
    return choice.len && choice.len <= t.len - at && strncasecmp(t.p + at, choice.p, (size_t)choice.len) == 0 &&
           word_edge(t, at) && word_edge(t, at + choice.len);
}

/* The choice that is named first, or last; of those at one place the longest. -1: none. */
static int64_t find_choice(sc_text t, const sc_text *choices, int64_t n, bool last)
{
    int64_t found = -1;
    for (int64_t at = 0; at < t.len; at++) {
        int64_t here = -1;
        for (int64_t k = 0; k < n; k++)
            if (named_at(t, at, choices[k]) && (here < 0 || choices[k].len > choices[here].len)) here = k;
        if (here < 0) continue;
        found = here;
        if (!last) return found;
        at += choices[here].len - 1;
    }
    return found;
}

/* "(B)", "B)", "B." or "B" alone at the beginning. */
static int64_t lettered(sc_text t, int64_t n)
{
    int64_t at = t.len && t.p[0] == '(';
    if (at >= t.len) return -1;
    int64_t k = t.p[at] >= 'A' && t.p[at] <= 'Z' ? t.p[at] - 'A' : -1;
    if (k < 0 || k >= n) return -1;
    char after = at + 1 < t.len ? t.p[at + 1] : '\n';
    return strchr(").:,\n", after) && after ? k : -1;
}

/* ---- answers ---- */

sc_status sc_ask_extract(char **out, sc_answer_kind kind, const char *said, int64_t len, const sc_text *choices,
                         int64_t n_choices)
{
    sc_text all = trim((sc_text){said, len}), told = announced(all);
    char number[64];
    *out = NULL;
    if (kind == SC_ANSWER_CHOICE) {
        int64_t k = -1;
        if (told.p && (k = find_choice(told, choices, n_choices, false)) < 0) k = lettered(told, n_choices);
        if (k < 0 && (k = find_choice(all, choices, n_choices, true)) < 0) k = lettered(all, n_choices);
        return k < 0 ? SC_OK : copy_of(choices[k], out);
    }
    if (kind == SC_ANSWER_NUMBER) {
        bool found = told.p && find_number(first_line(told), false, number);
        if (!found && !find_number(all, true, number)) return SC_OK;
        return copy_of((sc_text){number, (int64_t)strlen(number)}, out);
    }
    if (told.p && told.len) {
        all = first_line(told);
        if (all.len > 1 && all.p[all.len - 1] == '.') all.len--;
    }
    return all.len ? copy_of(all, out) : SC_OK;
}

static bool is_article(const char *p, int64_t n)
{
    return (n == 1 && p[0] == 'a') || (n == 2 && !memcmp(p, "an", 2)) || (n == 3 && !memcmp(p, "the", 3));
}

/* Words in lower case with one space between, without punctuation and articles. */
static void plain_words(const char *text, sc_str *out)
{
    int64_t n = (int64_t)strlen(text), begin = 0;
    for (int64_t i = 0; i <= n;) {
        uint32_t c = ' ', low[2];
        int k = i < n ? sc_utf8_decode(text + i, n - i, &c) : 1;
        i += k;
        if (sc_uni_white(c) || i > n) {
            if (out->len > begin && is_article(out->p + begin, out->len - begin)) out->len = begin;
            if (out->len > begin) sc_str_putc(out, ' ');
            begin = out->len;
        } else if (!sc_uni_punct(c)) {
            for (int j = 0, m = sc_uni_lower(c, low); j < m; j++) sc_str_utf8(out, low[j]);
        }
    }
    if (out->len && out->p[out->len - 1] == ' ') out->len--;
}

bool sc_ask_same(sc_answer_kind kind, const char *a, const char *b)
{
    char x[64], y[64];
    sc_str p = {0}, q = {0};
    if (kind == SC_ANSWER_NUMBER && find_number((sc_text){a, (int64_t)strlen(a)}, false, x) &&
        find_number((sc_text){b, (int64_t)strlen(b)}, false, y))
        return strtod(x, NULL) == strtod(y, NULL);
    if (strcmp(a, b) == 0) return true;
    plain_words(a, &p);
    plain_words(b, &q);
    bool same = !p.oom && !q.oom && p.len == q.len && p.len > 0 && memcmp(p.p, q.p, (size_t)p.len) == 0;
    sc_str_free(&p);
    sc_str_free(&q);
    return same;
}
