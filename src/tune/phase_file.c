/* SPDX-License-Identifier: Apache-2.0 */
#include "socle/safetensors.h"
#include "tune/policy.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME "rollouts.safetensors"

/* What has a number for each row, or each answer. */
static const struct {
    const char *name;
    size_t at;
    bool answers, ppo;
} parts[] = {
    {"score", offsetof(sc_phase, score), true, false},
    {"old_logprobs", offsetof(sc_phase, old), false, false},
    {"reference_logprobs", offsetof(sc_phase, reference), false, false},
    {"advantages", offsetof(sc_phase, advantage), false, false},
    {"values", offsetof(sc_phase, value), false, true},
    {"returns", offsetof(sc_phase, returns), false, true},
};

static const struct {
    const char *name;
    size_t at;
} measures[] = {
    {"reward", offsetof(sc_phase_measures, reward)}, {"reward_std", offsetof(sc_phase_measures, deviation)},
    {"tokens", offsetof(sc_phase_measures, tokens)}, {"ended", offsetof(sc_phase_measures, ended)},
    {"kl", offsetof(sc_phase_measures, kl)},         {"flat", offsetof(sc_phase_measures, flat)},
    {"failed", offsetof(sc_phase_measures, failed)}, {"coef", offsetof(sc_phase_measures, coef)},
};

static float **part_of(sc_phase *x, int i) { return (float **)(void *)((char *)x + parts[i].at); }
static bool has(const sc_policy *p, int i) { return !parts[i].ppo || p->loss.kind == SC_POLICY_PPO; }

static sc_status put_number(sc_safetensors_writer *w, const char *name, double x)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", x);
    return sc_safetensors_writer_meta(w, name, text);
}

static sc_status put_numbers(const sc_policy *p, sc_safetensors_writer *w)
{
    const sc_phase *x = &p->phase;
    sc_status s = put_number(w, "phase", (double)x->number);
    if (!s) s = put_number(w, "kl_coef", p->coef);
    for (int i = 0; !s && i < SC_COUNT(measures); i++)
        s = put_number(w, measures[i].name, *(const double *)(const void *)((const char *)&x->m + measures[i].at));
    for (int i = 0; !s && i < p->rewards.n; i++) {
        char name[80];
        snprintf(name, sizeof name, "said.%s", p->rewards.judge[i].name);
        s = put_number(w, name, p->said[i]);
    }
    return s;
}

static sc_status put_phase(const sc_policy *p, sc_safetensors_writer *w, int32_t *start, int32_t *ended)
{
    sc_phase *x = (sc_phase *)(uintptr_t)&p->phase;
    const sc_rollouts *r = &x->answers;
    int64_t rows = r->start[r->n], ends = r->n + 1;
    for (int64_t i = 0; i <= r->n; i++) start[i] = (int32_t)r->start[i];
    for (int64_t i = 0; i < r->n; i++) ended[i] = r->ended[i];
    sc_status s = sc_safetensors_writer_add(w, "ids", SC_I32, 1, &rows, r->ids);
    if (!s) s = sc_safetensors_writer_add(w, "start", SC_I32, 1, &ends, start);
    if (!s) s = sc_safetensors_writer_add(w, "ended", SC_I32, 1, &r->n, ended);
    for (int i = 0; !s && i < SC_COUNT(parts); i++)
        if (has(p, i))
            s = sc_safetensors_writer_add(w, parts[i].name, SC_F32, 1, parts[i].answers ? &r->n : &rows,
                                          *part_of(x, i));
    return s;
}

sc_status sc_phase_save(const sc_policy *p, const char *dir)
{
    sc_safetensors_writer *w = NULL;
    int64_t n = p->phase.number >= 0 ? p->phase.answers.n : 0;
    char *path = sc_path_join(dir, FILE_NAME);
    int32_t *start = sc_calloc((size_t)n + 1, sizeof *start), *ended = sc_calloc((size_t)n + 1, sizeof *ended);
    sc_status s = path && start && ended ? sc_safetensors_writer_new(&w, path) : sc_nomem();
    if (!s) s = put_numbers(p, w);
    if (!s && n) s = put_phase(p, w, start, ended);
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    sc_free(path);
    sc_free(start);
    sc_free(ended);
    return s;
}

/* ---- back ---- */

static sc_status take_number(const sc_safetensors *st, const char *name, double *out)
{
    const char *text = sc_safetensors_meta(st, name);
    if (!text) return sc_fail(SC_EFORMAT, FILE_NAME " says nothing of '%s'", name);
    *out = strtod(text, NULL);
    return SC_OK;
}

static sc_status find(const sc_safetensors *st, const char *name, sc_dtype type, int64_t n, const void **out)
{
    const sc_file_tensor *t;
    sc_status s = sc_safetensors_find(st, name, &t);
    if (s) return s;
    if (t->dtype != type || t->bytes != n * 4)
        return sc_fail(SC_EFORMAT, FILE_NAME ": '%s' is not as long as the answers", name);
    *out = t->data;
    return SC_OK;
}

static sc_status take_answers(sc_policy *p, const sc_safetensors *st)
{
    sc_rollouts *r = &p->phase.answers;
    const void *start, *ended, *ids;
    sc_status s = find(st, "start", SC_I32, p->n + 1, &start);
    if (!s) s = find(st, "ended", SC_I32, p->n, &ended);
    if (s) return s;
    int64_t rows = ((const int32_t *)start)[p->n], before = 0;
    for (int64_t i = 0; i <= p->n; i++) {
        int64_t at = ((const int32_t *)start)[i];
        if (at < before || (i == 0 && at))
            return sc_fail(SC_EFORMAT, FILE_NAME ": answers do not follow each other");
        before = at;
    }
    if ((s = find(st, "ids", SC_I32, rows, &ids))) return s;
    if (!sc_grow(&r->start, &r->cap_start, p->n + 1, sizeof *r->start) ||
        !sc_grow(&r->ended, &r->cap_ended, p->n, sizeof *r->ended) ||
        !sc_grow(&r->ids, &r->cap_ids, SC_MAX(rows, 1), sizeof *r->ids))
        return sc_nomem();
    for (int64_t i = 0; i <= p->n; i++) r->start[i] = ((const int32_t *)start)[i];
    for (int64_t i = 0; i < p->n; i++) r->ended[i] = ((const int32_t *)ended)[i] != 0;
    memcpy(r->ids, ids, sizeof *r->ids * (size_t)rows);
    r->n = p->n;
    for (int64_t i = 0; i < rows; i++)
        if (r->ids[i] < 0 || r->ids[i] >= p->model->info.vocab)
            return sc_fail(SC_EFORMAT, FILE_NAME ": id %d is outside the vocabulary", r->ids[i]);
    return sc_phase_room(&p->phase, SC_MAX(rows, p->n));
}

static sc_status take_phase(sc_policy *p, const sc_safetensors *st)
{
    sc_phase *x = &p->phase;
    sc_status s = take_answers(p, st);
    int64_t rows = s ? 0 : x->answers.start[p->n];
    for (int i = 0; !s && i < SC_COUNT(parts); i++) {
        const void *from;
        int64_t n = parts[i].answers ? p->n : rows;
        if (!has(p, i)) continue;
        s = find(st, parts[i].name, SC_F32, n, &from);
        if (!s) memcpy(*part_of(x, i), from, sizeof(float) * (size_t)n);
    }
    return s;
}

sc_status sc_phase_load(sc_policy *p, const char *dir)
{
    sc_safetensors *st = NULL;
    sc_phase *x = &p->phase;
    double number = -1;
    char *path = sc_path_join(dir, FILE_NAME);
    sc_status s = path ? sc_safetensors_open(&st, path) : sc_nomem();
    x->number = -1;
    if (!s) s = take_number(st, "phase", &number);
    if (!s) s = take_number(st, "kl_coef", &p->coef);
    for (int i = 0; !s && i < SC_COUNT(measures); i++)
        s = take_number(st, measures[i].name, (double *)(void *)((char *)&x->m + measures[i].at));
    for (int i = 0; !s && i < p->rewards.n; i++) {
        char name[80];
        snprintf(name, sizeof name, "said.%s", p->rewards.judge[i].name);
        s = take_number(st, name, &p->said[i]);
    }
    if (!s && number >= 0) s = take_phase(p, st);
    if (!s) x->number = (int64_t)number;
    sc_safetensors_free(st);
    sc_free(path);
    return s;
}
