/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics: what each makes of one item's outcome, and metric_list. How items become one number: aggregate.c. */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

/* ---- choices ---- */

static int64_t choices_of(const sc_outcome *o) { return (int64_t)json_array_size(o->parts->choices); }

/* The index of the largest, of equals the first; with a length each, of the largest per unit. */
static int64_t largest(const double *x, const double *length, int64_t n)
{
    int64_t best = 0;
    double best_x = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double v = length ? x[i] / length[i] : x[i];
        if (i == 0 || v > best_x) best = i, best_x = v;
    }
    return best;
}

static const json_t *gold_of(const sc_outcome *o) { return o->t->many_inputs ? o->parts->text : o->parts->target; }

static bool is_gold(const sc_outcome *o, int64_t choice)
{
    const json_t *gold = gold_of(o);
    if (!json_is_array(gold)) return sc_eval_gold(o->parts, gold) == choice;
    for (size_t i = 0; i < json_array_size(gold); i++)
        if (sc_eval_gold(o->parts, json_array_get(gold, i)) == choice) return true;
    return false;
}

int64_t sc_outcome_chosen(const sc_outcome *o) { return largest(o->logprob, NULL, choices_of(o)); }

static sc_status choice_acc(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    out[0] = is_gold(o, sc_outcome_chosen(o));
    return SC_OK;
}

/* By likelihood per character, or per byte. */
static sc_status by_length(const sc_outcome *o, bool bytes, double *out)
{
    int64_t n = choices_of(o);
    double *length = sc_malloc((size_t)n * sizeof *length);
    if (!length) return sc_nomem();
    for (int64_t i = 0; i < n; i++) {
        const char *p = json_string_value(json_array_get(o->parts->choices, (size_t)i));
        int64_t len = (int64_t)strlen(p), chars = 0;
        uint32_t c;
        for (int64_t at = 0; at < len; chars++) at += sc_utf8_decode(p + at, len - at, &c);
        length[i] = (double)(bytes ? len : chars);
    }
    out[0] = is_gold(o, largest(o->logprob, length, n));
    sc_free(length);
    return SC_OK;
}

static sc_status choice_acc_norm(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    return by_length(o, false, out);
}

static sc_status choice_acc_bytes(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    return by_length(o, true, out);
}

/* By how much the context makes a choice likelier. */
static sc_status choice_mutual(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    int64_t n = choices_of(o), best = 0;
    (void)m;
    for (int64_t i = 1; i < n; i++)
        if (o->logprob[i] - o->logprob[n + i] > o->logprob[best] - o->logprob[n + best]) best = i;
    out[0] = is_gold(o, best);
    return SC_OK;
}

static sc_status choice_exact(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    out[0] = 0;
    for (int64_t i = 0; i < choices_of(o); i++)
        if (o->greedy[i] && is_gold(o, i)) out[0] = 1;
    return SC_OK;
}

static sc_status choice_pair(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    const json_t *gold = gold_of(o);
    (void)m;
    out[0] = (double)sc_eval_gold(o->parts, json_is_array(gold) ? json_array_get(gold, 0) : gold);
    out[1] = (double)sc_outcome_chosen(o);
    return SC_OK;
}

/* Squared distance of the choices' probabilities from the right answer's. */
static sc_status choice_brier(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    int64_t n = choices_of(o);
    double sum = 0, top = o->logprob[sc_outcome_chosen(o)];
    (void)m;
    for (int64_t i = 0; i < n; i++) sum += exp(o->logprob[i] - top);
    out[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = exp(o->logprob[i] - top) / sum - is_gold(o, i);
        out[0] += d * d;
    }
    return SC_OK;
}

/* ---- likelihoods ---- */

static sc_status likelihood(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    out[0] = o->logprob[0];
    return SC_OK;
}

static sc_status likelihood_acc(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    out[0] = o->greedy[0];
    return SC_OK;
}

static sc_status rolling_bytes(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    char *text;
    (void)m;
    sc_status s = sc_eval_target_text(&text, o->parts);
    if (s) return s;
    out[0] = o->logprob[0];
    out[1] = (double)strlen(text);
    sc_free(text);
    return SC_OK;
}

/* Words as Python's re.split(r"\s+") counts them: what is before and behind white space, even if that is nothing. */
static sc_status rolling_words(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    char *text;
    (void)m;
    sc_status s = sc_eval_target_text(&text, o->parts);
    if (s) return s;
    int64_t gaps = 0, n = (int64_t)strlen(text);
    bool space = false;
    uint32_t c;
    for (int64_t i = 0; i < n;) {
        i += sc_utf8_decode(text + i, n - i, &c);
        bool now = sc_py_space(c);
        gaps += now && !space;
        space = now;
    }
    out[0] = o->logprob[0];
    out[1] = (double)(gaps + 1);
    sc_free(text);
    return SC_OK;
}

/* ---- answers ---- */

/* The answer's text; of a list the first. */
static sc_status answer_text(char **out, const sc_outcome *o)
{
    const json_t *v = o->answer;
    if (json_is_array(v)) v = json_array_get(v, 0);
    return sc_eval_text_of(out, v);
}

/* Calls fn for each right answer until one gives its most; *best is the largest. */
typedef sc_status compare_fn(const sc_task_metric *m, const char *answer, const char *target, double *out);
static sc_status best_target(const sc_task_metric *m, const sc_outcome *o, compare_fn *fn, double *best)
{
    char *answer = NULL, *target = NULL;
    const json_t *list = o->parts->target;
    sc_status s = answer_text(&answer, o);
    *best = 0;
    if (!json_is_array(list)) {
        if (!s) s = sc_eval_target_text(&target, o->parts);
        if (!s) s = fn(m, answer, target, best);
        sc_free(target);
    } else {
        for (size_t i = 0; !s && i < json_array_size(list); i++) {
            double x = 0;
            s = sc_eval_text_of(&target, json_array_get(list, i));
            if (!s) s = fn(m, answer, target, &x);
            sc_free(target);
            target = NULL;
            *best = SC_MAX(*best, x);
        }
    }
    sc_free(answer);
    return s;
}

static sc_status plain_of(sc_str *out, const sc_task_metric *m, const char *text)
{
    sc_str s = {0}, r = {0};
    bool lower = false, marks = false, digits = false;
    sc_status status = sc_json_bool(m->options, m->name, "ignore_case", &lower);
    if (!status) status = sc_json_bool(m->options, m->name, "ignore_punctuation", &marks);
    if (!status) status = sc_json_bool(m->options, m->name, "ignore_numbers", &digits);
    sc_str_puts(&s, text);
    if (!s.p) sc_str_puts(&s, "");
    for (int i = 0; !status && i < m->n_ignore; i++) {
        status = sc_search_replace(m->ignore[i], s.p ? s.p : "", s.len, "", 0, 0, INT32_MAX, &r);
        sc_str_free(&s);
        s = r;
        r = (sc_str){0};
    }
    if (!status && lower) {
        sc_py_case(&r, s.p ? s.p : "", s.len, false);
        sc_str_free(&s);
        s = r;
    }
    for (int64_t i = 0; !status && i < s.len; i++) {
        char c = s.p[i];
        bool mark = c > ' ' && c < 0x7f && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c);
        if (!(marks && mark) && !(digits && c >= '0' && c <= '9')) sc_str_putc(out, c);
    }
    if (!out->p) sc_str_puts(out, "");
    if (!status && (s.oom || out->oom)) status = sc_nomem();
    sc_str_free(&s);
    return status;
}

static sc_status compare_exact(const sc_task_metric *m, const char *answer, const char *target, double *out)
{
    sc_str a = {0}, t = {0};
    sc_status s = plain_of(&a, m, answer);
    if (!s) s = plain_of(&t, m, target);
    if (!s) *out = strcmp(a.p, t.p) == 0;
    sc_str_free(&a);
    sc_str_free(&t);
    return s;
}

static sc_status compare_f1(const sc_task_metric *m, const char *answer, const char *target, double *out)
{
    (void)m;
    *out = sc_squad_f1(answer, target);
    return *out < 0 ? sc_nomem() : SC_OK;
}

static sc_status compare_contains(const sc_task_metric *m, const char *answer, const char *target, double *out)
{
    sc_str a = {0}, t = {0};
    sc_status s = plain_of(&a, m, answer);
    if (!s) s = plain_of(&t, m, target);
    if (!s) *out = strstr(a.p, t.p) != NULL;
    sc_str_free(&a);
    sc_str_free(&t);
    return s;
}

static sc_status compare_rouge(const sc_task_metric *m, const char *answer, const char *target, double *out)
{
    const char *which = m->kind->name + 5;
    *out = *which == 'L' ? sc_rouge_l(answer, target, strcmp(which, "Lsum") == 0)
                         : sc_rouge_n(answer, target, *which - '0');
    return *out < 0 ? sc_nomem() : SC_OK;
}

static sc_status text_exact(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    return best_target(m, o, compare_exact, out);
}
static sc_status text_f1(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    return best_target(m, o, compare_f1, out);
}
static sc_status text_contains(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    return best_target(m, o, compare_contains, out);
}
static sc_status text_rouge(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    return best_target(m, o, compare_rouge, out);
}

/* Translations: all targets are references. */
static sc_status with_references(const sc_outcome *o, int words, bool bleu, double *out)
{
    const json_t *list = o->parts->target;
    size_t n = json_is_array(list) ? json_array_size(list) : 1;
    char **reference = sc_calloc(SC_MAX(n, 1), sizeof *reference), *answer = NULL;
    sc_status s = reference ? answer_text(&answer, o) : sc_nomem();
    for (size_t i = 0; !s && i < n; i++)
        s = json_is_array(list) ? sc_eval_text_of(&reference[i], json_array_get(list, i))
                                : sc_eval_target_text(&reference[i], o->parts);
    if (!s)
        s = bleu ? sc_bleu_sums(answer, (const char *const *)reference, (int)n, out)
                 : sc_chrf_sums(answer, (const char *const *)reference, (int)n, words, out);
    for (size_t i = 0; reference && i < n; i++) sc_free(reference[i]);
    sc_free(reference);
    sc_free(answer);
    return s;
}

static sc_status text_bleu(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    return with_references(o, 0, true, out);
}
static sc_status text_chrf(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    return with_references(o, 0, false, out);
}
static sc_status text_chrfpp(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    (void)m;
    return with_references(o, 2, false, out);
}

/* ---- the table ---- */

enum {
    CHOICE = 1 << SC_EVAL_CHOICE,
    LIKELIHOOD = 1 << SC_EVAL_LIKELIHOOD,
    ROLLING = 1 << SC_EVAL_ROLLING,
    GENERATE = 1 << SC_EVAL_GENERATE,
    SIMILARITY = 1 << SC_EVAL_SIMILARITY,
    RETRIEVAL = 1 << SC_EVAL_RETRIEVAL
};

static const sc_metric_kind kinds[] = {
    {"acc", CHOICE, "mean", false, true, choice_acc},
    {"acc_norm", CHOICE, "mean", false, true, choice_acc_norm},
    {"acc_bytes", CHOICE, "mean", false, true, choice_acc_bytes},
    {"acc_mutual_info", CHOICE, "mean", false, true, choice_mutual},
    {"exact_match", CHOICE, "mean", false, true, choice_exact},
    {"f1", CHOICE, "f1", false, false, choice_pair},
    {"mcc", CHOICE, "matthews_corrcoef", false, false, choice_pair},
    {"brier_score", CHOICE, "brier_score", true, false, choice_brier},
    {"perplexity", LIKELIHOOD, "perplexity", true, false, likelihood},
    {"acc", LIKELIHOOD, "mean", false, true, likelihood_acc},
    {"word_perplexity", ROLLING, "weighted_perplexity", true, false, rolling_words},
    {"byte_perplexity", ROLLING, "weighted_perplexity", true, false, rolling_bytes},
    {"bits_per_byte", ROLLING, "bits_per_byte", true, false, rolling_bytes},
    {"exact_match", GENERATE, "mean", false, true, text_exact},
    {"f1", GENERATE, "mean", false, true, text_f1},
    {"contains", GENERATE, "mean", false, true, text_contains},
    {"rouge1", GENERATE, "mean", false, true, text_rouge},
    {"rouge2", GENERATE, "mean", false, true, text_rouge},
    {"rougeL", GENERATE, "mean", false, true, text_rouge},
    {"rougeLsum", GENERATE, "mean", false, true, text_rouge},
    {"bleu", GENERATE, "bleu", false, false, text_bleu},
    {"chrf", GENERATE, "chrf", false, false, text_chrf},
    {"chrf++", GENERATE, "chrf++", false, false, text_chrfpp},
    {"pass_at_k", GENERATE, "mean", false, true, sc_pass_item},
    {"pearson", SIMILARITY, "pearson", false, false, NULL},
    {"spearman", SIMILARITY, "spearman", false, false, NULL},
    {"ndcg", RETRIEVAL, "mean", false, true, NULL},
    {"mrr", RETRIEVAL, "mean", false, true, NULL},
    {"recall", RETRIEVAL, "mean", false, true, NULL},
};

static const char *const defaults[][4] = {
    [SC_EVAL_CHOICE] = {"acc", "acc_norm"},
    [SC_EVAL_LIKELIHOOD] = {"perplexity", "acc"},
    [SC_EVAL_ROLLING] = {"word_perplexity", "byte_perplexity", "bits_per_byte"},
    [SC_EVAL_GENERATE] = {"exact_match"},
    [SC_EVAL_SIMILARITY] = {"spearman", "pearson"},
    [SC_EVAL_RETRIEVAL] = {"ndcg", "mrr", "recall"},
};

static const sc_metric_kind *kind_named(const char *name, sc_eval_kind of)
{
    for (int i = 0; i < SC_COUNT(kinds); i++)
        if ((kinds[i].kinds & (1u << of)) && strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

/* ---- metric_list ---- */

void sc_metrics_free(sc_eval_task *t)
{
    for (int i = 0; i < t->n_metrics; i++) {
        sc_task_metric *m = &t->metric[i];
        for (int k = 0; k < m->n_ignore; k++) sc_search_free(m->ignore[k]);
        sc_eval_value_free(&m->program);
    }
    t->n_metrics = 0;
}

static sc_status unknown_metric(const sc_eval_task *t, const char *name)
{
    sc_str all = {0};
    for (int i = 0; i < SC_COUNT(kinds); i++)
        if (kinds[i].kinds & (1u << t->kind)) sc_str_printf(&all, "%s%s", all.len ? ", " : "", kinds[i].name);
    sc_status s = sc_fail(SC_EUNSUPPORTED, "%s: no metric '%.60s' for this output_type; there are %s", t->where,
                          name, all.p ? all.p : "");
    sc_str_free(&all);
    return s;
}

static sc_status add_metric(sc_eval_task *t, const char *name, const json_t *options)
{
    const char *aggregation = NULL;
    if (t->n_metrics == SC_TASK_METRICS)
        return sc_fail(SC_ELIMIT, "%s: more than %d metrics", t->where, SC_TASK_METRICS);
    sc_task_metric *m = &t->metric[t->n_metrics];
    *m = (sc_task_metric){.kind = kind_named(name, t->kind), .name = name, .options = options};
    if (!m->kind) return unknown_metric(t, name);
    snprintf(m->title, sizeof m->title, "%s", name);
    t->n_metrics++;
    m->higher = !m->kind->lower;
    sc_status s = sc_json_bool(options, t->where, "higher_is_better", &m->higher);
    if (!s) s = sc_json_str(options, t->where, "aggregation", &aggregation);
    if (s) return s;
    m->aggregation = sc_aggregation_named(aggregation ? aggregation : m->kind->aggregation);
    const sc_aggregation *own = sc_aggregation_named(m->kind->aggregation);
    if (!m->aggregation || m->aggregation->width != own->width)
        return sc_fail(SC_EUNSUPPORTED,
                       "%s: %s: the aggregation '%.60s' is not for this metric; the usual one is %s", t->where,
                       name, aggregation ? aggregation : "", own->name);
    const json_t *list = json_object_get(options, "regexes_to_ignore");
    for (size_t i = 0; !s && i < json_array_size(list); i++) {
        const char *p = json_string_value(json_array_get(list, i));
        if (!p || m->n_ignore == SC_COUNT(m->ignore))
            s = sc_fail(SC_EFORMAT, "%s: regexes_to_ignore: at most %d texts", t->where, SC_COUNT(m->ignore));
        else if (!(s = sc_search_new(&m->ignore[m->n_ignore], p, (int64_t)strlen(p), 0, t->where)))
            m->n_ignore++;
    }
    if (!s) s = sc_eval_value_new(&m->program, options, "program", t->where);
    if (!s && m->kind->item == sc_pass_item && !sc_eval_value_given(&m->program))
        s = sc_fail(SC_EFORMAT, "%s: %s: 'program' is missing: a template of the row and {{ answer }}", t->where,
                    name);
    t->mutual |= strcmp(name, "acc_mutual_info") == 0;
    return s;
}

/* A metric for each k that is listed. */
static sc_status add_depths(sc_eval_task *t, const char *name, const json_t *o)
{
    const json_t *k = json_object_get(o, "k");
    size_t n = json_is_array(k) ? json_array_size(k) : 1;
    sc_status s = SC_OK;
    for (size_t i = 0; !s && i < n; i++) {
        const json_t *v = json_is_array(k) ? json_array_get(k, i) : k;
        int64_t depth = json_is_integer(v) ? json_integer_value(v) : strcmp(name, "pass_at_k") == 0 ? 1 : 10;
        if (depth < 1 || depth > 4096) return sc_fail(SC_EFORMAT, "%s: %s: k must be 1 to 4096", t->where, name);
        s = add_metric(t, name, o);
        if (s) return s;
        sc_task_metric *m = &t->metric[t->n_metrics - 1];
        m->depth = depth;
        snprintf(m->title, sizeof m->title, "%s@%lld", strcmp(name, "pass_at_k") == 0 ? "pass" : name,
                 (long long)depth);
    }
    return s;
}

static bool has_depth(const char *name)
{
    return strcmp(name, "pass_at_k") == 0 || strcmp(name, "ndcg") == 0 || strcmp(name, "mrr") == 0 ||
           strcmp(name, "recall") == 0;
}

static sc_status add_listed(sc_eval_task *t, const json_t *o)
{
    const char *name = NULL;
    sc_status s = json_is_object(o) ? sc_json_str(o, t->where, "metric", &name)
                                    : sc_fail(SC_EFORMAT, "%s: metric_list: a mapping is expected", t->where);
    if (s) return s;
    if (!name) return sc_fail(SC_EFORMAT, "%s: metric_list: 'metric' is missing", t->where);
    if (has_depth(name)) return add_depths(t, name, o);
    if (strcmp(name, "rouge") != 0) return add_metric(t, name, o);
    static const char *const all[] = {"rouge1", "rouge2", "rougeL", "rougeLsum"};
    for (int i = 0; !s && i < SC_COUNT(all); i++) s = add_metric(t, all[i], o);
    return s;
}

sc_status sc_metrics_read(sc_eval_task *t)
{
    const json_t *list = json_object_get(t->config, "metric_list");
    sc_status s = SC_OK;
    if (!list || json_is_null(list)) {
        for (int i = 0; !s && i < 4 && defaults[t->kind][i]; i++)
            s = has_depth(defaults[t->kind][i]) ? add_depths(t, defaults[t->kind][i], NULL)
                                                : add_metric(t, defaults[t->kind][i], NULL);
        return s;
    }
    if (!json_is_array(list) || !json_array_size(list))
        return sc_fail(SC_EFORMAT, "%s: metric_list must be a list", t->where);
    for (size_t i = 0; !s && i < json_array_size(list); i++) s = add_listed(t, json_array_get(list, i));
    return s;
}
