/* SPDX-License-Identifier: Apache-2.0 */
/* C4's rules: most take single lines out of a text, a few drop it. */
#include "data/filters.h"

#include <math.h>

static const char *const policies[] = {"terms of use",     "privacy policy",    "cookie policy",
                                       "uses cookies",     "use of cookies",    "use cookies",
                                       "개인정보처리방침", "개인정보 처리방침", "쿠키를 사용"};

/* Whether it is anywhere in the text, by which most texts are done with these rules. */
typedef struct phrases {
    bool lorem, javascript, policy;
} phrases;

static bool has(const char *p, int64_t n, const char *what)
{
    return n > 0 && memmem(p, (size_t)n, what, strlen(what)) != NULL;
}

static bool has_policy(const char *p, int64_t n)
{
    for (int i = 0; i < SC_COUNT(policies); i++)
        if (has(p, n, policies[i])) return true;
    return false;
}

static phrases look_for(const char *p, int64_t n)
{
    return (phrases){has(p, n, "lorem ipsum"), has(p, n, "javascript"), has_policy(p, n)};
}

/* The bytes of a mark like [12], [edit] or [citation needed] that p[0..n) begins with; 0: it does not. */
static int64_t citation(const char *p, int64_t n)
{
    static const char *const marks[] = {"[edit]", "[citation needed]"};
    for (int i = 0; i < SC_COUNT(marks); i++) {
        int64_t len = (int64_t)strlen(marks[i]);
        if (n >= len && !memcmp(p, marks[i], (size_t)len)) return len;
    }
    int64_t i = 1;
    while (i < n && p[i] >= '0' && p[i] <= '9') i++;
    return i < n && p[0] == '[' && p[i] == ']' ? i + 1 : 0;
}

/* Appends p[0..n) without such marks; whether there were any. */
static bool put_without_citations(sc_str *out, const char *p, int64_t n)
{
    bool any = false;
    for (int64_t i = 0, from = 0; i <= n;) {
        const char *open = i < n ? memchr(p + i, '[', (size_t)(n - i)) : NULL;
        int64_t at = open ? open - p : n, len = open ? citation(open, n - at) : 0;
        if (!open || len) {
            sc_str_append(out, p + from, at - from);
            from = at + len;
            any |= len > 0;
        }
        if (!open) break;
        i = at + SC_MAX(len, 1);
    }
    return any;
}

static bool ends_sentence(const sc_words *w, const char *p, int64_t n)
{
    uint32_t c;
    int64_t i = n - 1;
    while (i > 0 && ((unsigned char)p[i] & 0xc0) == 0x80) i--;
    if (n < 1 || (n >= 3 && !memcmp(p + n - 3, "...", 3))) return false;
    sc_utf8_decode(p + i, n - i, &c);
    return w->classes[c] & (SC_CHAR_END | SC_CHAR_QUOTE);
}

static double words_of(const sc_measure *m, const sc_text_line *line, int64_t *longest)
{
    int64_t spaced = 0, alone = 0;
    *longest = 0;
    for (int64_t i = line->first; i < line->first + line->words; i++) {
        const sc_text_word *word = &m->w->words.word[i];
        if (word->is & SC_CHAR_SOLO)
            alone++;
        else
            spaced++;
        *longest = SC_MAX(*longest, word->chars);
    }
    return (double)spaced + (double)alone / m->t->of[SC_RULE_units_per_word];
}

/* Takes care of the line rules in their order; the rule that takes out the line p[0..n), -1: it stays, SC_RULES: the text fails. */
static int judge_line(sc_measure *m, const sc_text_line *line, const char *p, int64_t n, phrases in,
                      double value[2])
{
    const double *limit = m->t->of;
    int64_t longest;
    double words = words_of(m, line, &longest);
    const char *lower = m->w->lower.p + line->at;
    if ((double)longest > limit[SC_RULE_c4_line_word_chars]) return SC_RULE_c4_line_word_chars;
    if ((double)ends_sentence(&m->w->words, p, n) < limit[SC_RULE_c4_line_end]) return SC_RULE_c4_line_end;
    if (words < limit[SC_RULE_c4_line_words]) return SC_RULE_c4_line_words;
    if (in.lorem && has(lower, line->n, "lorem ipsum")) {
        value[0]++;
        if (value[0] > limit[SC_RULE_c4_lorem_ipsum]) return SC_RULES;
    }
    if (in.javascript && limit[SC_RULE_c4_line_javascript] < 1 && has(lower, line->n, "javascript"))
        return SC_RULE_c4_line_javascript;
    if (memchr(p, '{', (size_t)n)) {
        value[1]++;
        if (value[1] > limit[SC_RULE_c4_curly_brackets]) return SC_RULES;
    }
    if (in.policy && limit[SC_RULE_c4_line_policy] < 1 && has_policy(lower, line->n)) return SC_RULE_c4_line_policy;
    return -1;
}

/* ASCII letters small, the rest as it is: bytes stay where they are. */
static bool lower_text(sc_rule_work *w)
{
    const sc_words *x = &w->words;
    w->lower.len = 0;
    sc_str_append(&w->lower, x->p, x->n);
    if (w->lower.oom) return false;
    for (int64_t i = 0; i < x->n; i++) {
        char c = w->lower.p[i];
        w->lower.p[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return true;
}

/* Once for the lines that stay, which then are the text. */
sc_status sc_rules_lines(sc_measure *m, sc_str *text)
{
    sc_rule_work *w = m->w;
    sc_judgement *v = m->v;
    const sc_words *x = &w->words;
    double value[2] = {0}, sentences = 0;
    bool marks = isfinite(m->t->of[SC_RULE_c4_citations]), opens = false, stop = false;
    text->len = 0;
    if (x->n && !lower_text(w)) return sc_nomem();
    phrases in = look_for(w->lower.p, x->n);
    for (int64_t i = 0; i < x->lines; i++) {
        const sc_text_line *line = &x->line[i];
        int64_t before = text->len;
        opens |= line->opens;
        if (before) sc_str_puts(text, opens ? "\n\n" : "\n");
        int64_t at = text->len;
        if (marks)
            v->lines_dropped[SC_RULE_c4_citations] += put_without_citations(text, x->p + line->at, line->n);
        else
            sc_str_append(text, x->p + line->at, line->n);
        while (text->len > at && text->p[text->len - 1] == ' ') text->len--; /* before a mark that ended the line */
        if (text->oom) return sc_nomem();
        int rule = judge_line(m, line, text->p + at, text->len - at, in, value);
        if (rule == SC_RULES) stop = true;
        if (rule >= 0 && rule < SC_RULES) {
            v->lines_dropped[rule]++;
            text->len = before;
            continue;
        }
        opens = false;
        if (stop && !m->all) break;
        sentences += (double)sc_line_sentences(x, text->p + at, text->len - at);
    }
    if (text->p) text->p[text->len] = 0;
    for (int k = SC_RULE_c4_line_word_chars; k <= SC_RULE_c4_line_policy; k++) {
        v->changed |= v->lines_dropped[k] > 0;
        if (sc_rule_at(k)->kind == SC_RULE_LINE_LEAST || sc_rule_at(k)->kind == SC_RULE_LINE_MOST)
            v->value[k] = (double)v->lines_dropped[k];
    }
    if (sc_measured(m, SC_RULE_c4_lorem_ipsum, value[0])) return SC_OK;
    if (sc_measured(m, SC_RULE_c4_curly_brackets, value[1])) return SC_OK;
    if (sc_measured(m, SC_RULE_c4_sentences, sentences)) return SC_OK;
    if (m->all || sc_rule_on(m, SC_RULE_mc4_long_lines)) {
        double longs = 0;
        for (int64_t i = 0; i < x->lines; i++)
            longs += (double)x->line[i].chars >= m->t->of[SC_RULE_mc4_long_line_chars];
        sc_measured(m, SC_RULE_mc4_long_lines, longs);
    }
    return SC_OK;
}
