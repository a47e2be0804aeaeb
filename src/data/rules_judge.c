/* SPDX-License-Identifier: Apache-2.0 */
/* A text before the quality rules. Those of Gopher and FineWeb that look at words and lines are here. */
#include "data/filters.h"

#include <math.h>

sc_rule_work sc_rule_work_begin(const uint8_t *classes)
{
    return (sc_rule_work){.words = {.classes = classes}, .secret = sc_hash_secret()};
}

void sc_rule_work_free(sc_rule_work *w)
{
    sc_words_free(&w->words);
    sc_free(w->table);
    sc_free(w->prefix);
    sc_free(w->chars);
    sc_str_free(&w->lower);
    *w = (sc_rule_work){0};
}

bool sc_measure_done(const sc_measure *m) { return m->v->rule >= 0 && !m->all; }

bool sc_measured(sc_measure *m, sc_rule rule, double value)
{
    double limit = m->t->of[rule];
    m->v->value[rule] = value;
    if (m->v->rule < 0 && isfinite(value) &&
        ((sc_rule_at((int)rule)->kind == SC_RULE_LEAST && value < limit) ||
         (sc_rule_at((int)rule)->kind == SC_RULE_MOST && value > limit)))
        m->v->rule = (int)rule;
    return sc_measure_done(m);
}

/* Words of the text by what a character of scripts without spaces counts, and their characters. */
typedef struct totals {
    double words, real, alpha; /* all; those that are not punctuation; those with a letter */
    int64_t chars;             /* of the real ones */
} totals;

static totals count_words(const sc_measure *m)
{
    const sc_words *w = &m->w->words;
    int64_t n[2] = {0}, real[2] = {0}, alpha[2] = {0};
    totals t = {0};
    double unit = m->t->of[SC_RULE_units_per_word];
    for (int64_t i = 0; i < w->words; i++) {
        const sc_text_word *word = &w->word[i];
        int alone = (word->is & SC_CHAR_SOLO) != 0;
        bool counts = !(word->is & SC_CHAR_PUNCT);
        n[alone]++;
        real[alone] += counts;
        alpha[alone] += (word->is & SC_CHAR_ALPHA) != 0;
        t.chars += counts ? word->chars : 0;
    }
    t.words = (double)n[0] + (double)n[1] / unit;
    t.real = (double)real[0] + (double)real[1] / unit;
    t.alpha = (double)alpha[0] + (double)alpha[1] / unit;
    return t;
}

static double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

static void judge_quality(sc_measure *m)
{
    const sc_words *w = &m->w->words;
    totals t = count_words(m);
    int64_t bullets = 0, ellipses = 0;
    if (sc_measured(m, SC_RULE_gopher_words_least, t.real)) return;
    if (sc_measured(m, SC_RULE_gopher_words_most, t.real)) return;
    if (sc_measured(m, SC_RULE_gopher_mean_word_least, share((double)t.chars, t.real))) return;
    if (sc_measured(m, SC_RULE_gopher_mean_word_most, share((double)t.chars, t.real))) return;
    if (sc_measured(m, SC_RULE_gopher_hashes, share((double)w->hashes, t.words))) return;
    if (sc_measured(m, SC_RULE_gopher_ellipses, share((double)w->ellipses, t.words))) return;
    for (int64_t i = 0; i < w->lines; i++) {
        bullets += (w->line[i].head & SC_CHAR_BULLET) != 0;
        ellipses += w->line[i].ellipsis;
    }
    if (sc_measured(m, SC_RULE_gopher_bullet_lines, share((double)bullets, (double)w->lines))) return;
    if (sc_measured(m, SC_RULE_gopher_ellipsis_lines, share((double)ellipses, (double)w->lines))) return;
    if (sc_measured(m, SC_RULE_gopher_alpha_words, share(t.alpha, t.words))) return;
    double limit = m->t->of[SC_RULE_gopher_stop_words];
    if (m->t->stop && isfinite(limit)) /* no list: nothing can be said */
        sc_measured(m, SC_RULE_gopher_stop_words,
                    sc_stop_count(w, m->t->stop, m->all ? INT32_MAX : (int)SC_MIN(ceil(limit), 1e6)));
}

static sc_status judge_fineweb(sc_measure *m)
{
    const sc_words *w = &m->w->words;
    double lines = (double)w->lines;
    int64_t ends = 0, shorts = 0, again, chars;
    for (int64_t i = 0; i < w->lines; i++) {
        ends += (w->line[i].last & SC_CHAR_END) != 0;
        shorts += (double)w->line[i].chars <= m->t->of[SC_RULE_fineweb_short_line_chars];
    }
    if (sc_measured(m, SC_RULE_fineweb_line_end, share((double)ends, lines))) return SC_OK;
    if (sc_measured(m, SC_RULE_fineweb_short_lines, share((double)shorts, lines))) return SC_OK;
    if (m->all || sc_rule_on(m, SC_RULE_fineweb_dup_line_chars)) {
        sc_status s = sc_duplicate_lines(m->w, &again, &chars);
        if (s) return s;
        if (sc_measured(m, SC_RULE_fineweb_dup_line_chars, share((double)chars, (double)(w->chars - w->newlines))))
            return SC_OK;
    }
    sc_measured(m, SC_RULE_fineweb_newlines, share(SC_MAX(lines - 1, 0), count_words(m).words));
    return SC_OK;
}

sc_status sc_rules_judge(sc_rule_work *w, const sc_thresholds *t, int groups, bool all, const char *p, int64_t n,
                         sc_str *text, sc_judgement *out)
{
    sc_measure m = {w, t, out, all};
    *out = (sc_judgement){.rule = -1};
    for (int i = 0; i < SC_RULES; i++) out->value[i] = NAN;
    sc_status s = sc_words_cut(&w->words, p, n);
    if (!s && (groups & SC_RULES_REPETITION)) s = sc_rules_repetition(&m);
    if (!s && (groups & SC_RULES_QUALITY) && !sc_measure_done(&m)) judge_quality(&m);
    if (!s && (groups & SC_RULES_C4) && !sc_measure_done(&m)) s = sc_rules_lines(&m, text);
    if (s || !(groups & SC_RULES_FINEWEB) || sc_measure_done(&m)) return s;
    if (out->changed) s = sc_words_cut(&w->words, text->p, text->len);
    return s ? s : judge_fineweb(&m);
}
