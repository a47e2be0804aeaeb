/* SPDX-License-Identifier: Apache-2.0 */
/* Results: metrics and samples of a task, and what groups make of their tasks' metrics. */
#include "eval/run.h"

#include <math.h>
#include <stdlib.h>

void sc_eval_result_clear(sc_eval_result *r)
{
    for (int i = 0; i < r->n_metrics; i++) {
        sc_free((char *)r->metric[i].name);
        sc_free((char *)r->metric[i].filter);
    }
    for (int64_t i = 0; r->sample && i < r->n_samples; i++) {
        sc_free((char *)r->sample[i].target);
        sc_free((char *)r->sample[i].answer);
        sc_free((char *)r->sample[i].json);
    }
    sc_free(r->metric);
    sc_free(r->sample);
    sc_free((char *)r->task);
}

void sc_eval_result_free(sc_eval_result *r)
{
    if (!r) return;
    sc_eval_result_clear(r);
    sc_free(r);
}

sc_status sc_eval_result_new(sc_eval_result **out, const sc_eval_task *t, int64_t items)
{
    sc_eval_result *r = sc_calloc(1, sizeof *r);
    if (!r || !(r->task = sc_strdup(t->name)) ||
        !(r->sample = sc_calloc((size_t)SC_MAX(items, 1), sizeof *r->sample))) {
        sc_eval_result_free(r);
        return sc_nomem();
    }
    r->n_samples = items;
    *out = r;
    return SC_OK;
}

sc_status sc_eval_result_set(sc_eval_result *r, int64_t i, const sc_eval_sample *sample, json_t *json)
{
    sc_eval_sample *to = &r->sample[i];
    *to = *sample;
    char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
    to->json = line ? sc_strdup(line) : NULL;
    free(line);
    json_decref(json);
    to->target = sample->target ? sc_strdup(sample->target) : NULL;
    to->answer = sample->answer ? sc_strdup(sample->answer) : NULL;
    return to->json && (to->target || !sample->target) && (to->answer || !sample->answer) ? SC_OK : sc_nomem();
}

sc_status sc_eval_result_add(sc_eval_result *r, const sc_eval_metric *m)
{
    sc_eval_metric *list = sc_realloc(r->metric, (size_t)(r->n_metrics + 1) * sizeof *list);
    if (!list) return sc_nomem();
    r->metric = list;
    sc_eval_metric *to = &list[r->n_metrics++];
    *to = *m;
    to->name = sc_strdup(m->name);
    to->filter = sc_strdup(m->filter);
    return to->name && to->filter ? SC_OK : sc_nomem();
}

sc_status sc_eval_result_measure(sc_eval_result *r, const sc_eval_task *t, const sc_eval_numbers *x, int64_t items,
                                 int64_t bootstrap, sc_context *ctx)
{
    sc_status s = SC_OK;
    for (int f = 0; !s && f < t->n_filters; f++)
        for (int k = 0; !s && k < t->n_metrics; k++) {
            const sc_task_metric *m = &t->metric[k];
            sc_eval_metric out = {
                .name = m->title, .filter = t->filter[f].name, .n = items, .higher_is_better = m->higher};
            s = sc_aggregate(m->aggregation, x->x[f * t->n_metrics + k], items, bootstrap, ctx, &out.value,
                             &out.error);
            if (!s) s = sc_eval_result_add(r, &out);
        }
    return s;
}

/* ---- groups ---- */

/* The value, over tasks that have the metric: their mean, by their items or each alike; and its error. */
static sc_status combine(sc_eval_result *group, const char *metric, const char *filter, bool by_size,
                         sc_eval_result *const *result, const int *task, int n)
{
    double sum = 0, weight = 0, pooled = 0, squares = 0;
    int64_t items = 0;
    int used = 0;
    bool known = true, higher = true;
    for (int i = 0; i < n; i++) {
        const sc_eval_result *r = result[task[i]];
        for (int k = 0; r && k < r->n_metrics; k++) {
            const sc_eval_metric *m = &r->metric[k];
            if (strcmp(m->name, metric) != 0 || strcmp(m->filter, filter) != 0) continue;
            double w = by_size ? (double)m->n : 1;
            sum += w * m->value;
            weight += w;
            items += m->n;
            used++;
            higher = m->higher_is_better;
            known &= isfinite(m->error);
            pooled += (double)(m->n - 1) * m->error * m->error * (double)m->n;
            squares += m->error * m->error;
        }
    }
    if (!used) return SC_OK;
    sc_eval_metric out = {
        .name = metric, .filter = filter, .n = items, .higher_is_better = higher, .value = sum / weight};
    /* By size: as if all items were of one task whose variance is the tasks' pooled one. */
    out.error = !known || items <= used ? NAN
                : by_size               ? sqrt(pooled / (double)(items - used) / (double)items)
                                        : sqrt(squares) / used;
    return sc_eval_result_add(group, &out);
}

/* What one entry of aggregate_metric_list says. */
static sc_status combine_entry(sc_eval_result *group, const json_t *entry, sc_eval_result *const *result,
                               const int *task, int n, const char *where)
{
    const char *metric = NULL, *aggregation = "mean";
    bool by_size = true;
    sc_status s = sc_json_str(entry, where, "metric", &metric);
    if (!s) s = sc_json_str(entry, where, "aggregation", &aggregation);
    if (!s) s = sc_json_bool(entry, where, "weight_by_size", &by_size);
    if (s) return s;
    if (!metric || strcmp(aggregation, "mean") != 0)
        return sc_fail(SC_EFORMAT, "%s: aggregate_metric_list: a metric, and its aggregation mean", where);
    const json_t *filters = json_object_get(entry, "filter_list");
    if (json_is_string(filters))
        return combine(group, metric, json_string_value(filters), by_size, result, task, n);
    for (size_t i = 0; !s && i < json_array_size(filters); i++) {
        const char *name = json_string_value(json_array_get(filters, i));
        if (name) s = combine(group, metric, name, by_size, result, task, n);
    }
    if (json_is_array(filters)) return s;
    json_t *seen = json_object(); /* every filter that a task has for it */
    for (int i = 0; !s && i < n; i++) {
        const sc_eval_result *r = result[task[i]];
        for (int k = 0; !s && r && k < r->n_metrics; k++) {
            if (strcmp(r->metric[k].name, metric) != 0 || json_object_get(seen, r->metric[k].filter)) continue;
            if (json_object_set_new(seen, r->metric[k].filter, json_true())) s = sc_nomem();
            if (!s) s = combine(group, metric, r->metric[k].filter, by_size, result, task, n);
        }
    }
    json_decref(seen);
    return s;
}

sc_status sc_eval_group_measure(sc_eval_result *group, const json_t *list, sc_eval_result *const *result,
                                const int *task, int n, const char *where)
{
    sc_status s = SC_OK;
    if (json_is_object(list)) return combine_entry(group, list, result, task, n, where);
    for (size_t i = 0; !s && i < json_array_size(list); i++)
        s = combine_entry(group, json_array_get(list, i), result, task, n, where);
    return s;
}
