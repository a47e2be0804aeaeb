/* SPDX-License-Identifier: Apache-2.0 */
/* The options of sampling: their ranges, reading them from JSON, printing the chain they make. */
#include "base/base.h"
#include "socle/sampling.h"

#include <math.h>

/* name, lowest, highest, whether the lowest and the highest themselves are allowed, the value at which it is off */
#define NUMBERS(X)                                                                                                 \
    X(frequency_penalty, -100.0, 100.0, 1, 1, 0.0)                                                                 \
    X(presence_penalty, -100.0, 100.0, 1, 1, 0.0)                                                                  \
    X(repetition_penalty, 0.0, 1000.0, 0, 1, 1.0)                                                                  \
    X(temperature, 0.0, 1e30, 1, 1, 1.0)                                                                           \
    X(top_p, 0.0, 1.0, 1, 1, 1.0)                                                                                  \
    X(min_p, 0.0, 1.0, 1, 1, 0.0)                                                                                  \
    X(typical_p, 0.0, 1.0, 0, 1, 1.0)                                                                              \
    X(epsilon_cutoff, 0.0, 1.0, 1, 0, 0.0)                                                                         \
    X(eta_cutoff, 0.0, 1.0, 1, 0, 0.0)

static sc_status check_number(const char *name, double v, double lo, double hi, bool lo_in, bool hi_in)
{
    /* Computed in float: a repetition penalty that rounds to 0 there would divide by it. */
    float f = (float)v;
    if (isfinite(v) && (lo_in ? v >= lo : f > (float)lo) && (hi_in ? v <= hi : f < (float)hi)) return SC_OK;
    return sc_fail(SC_EINVAL, "%s is %g, allowed is %c%g, %g%c", name, v, lo_in ? '[' : '(', lo, hi,
                   hi_in ? ']' : ')');
}

sc_status sc_sampling_check(const sc_sampling *o)
{
    sc_status st;
#define CHECK(name, lo, hi, lo_in, hi_in, off)                                                                     \
    if ((st = check_number(#name, o->name, lo, hi, lo_in, hi_in)) != SC_OK) return st;
    NUMBERS(CHECK)
#undef CHECK
    if (o->top_k < 0) return sc_fail(SC_EINVAL, "top_k is %lld, allowed is 0 (off) or more", (long long)o->top_k);
    if (o->no_repeat_ngram_size < 0)
        return sc_fail(SC_EINVAL, "no_repeat_ngram_size is %lld, allowed is 0 (off) or more",
                       (long long)o->no_repeat_ngram_size);
    if (o->n_bias < 0 || o->n_bias > (1 << 24) || (o->n_bias && (!o->bias_ids || !o->bias)))
        return sc_fail(SC_EINVAL, "logit bias: %lld entries, allowed is 0 to %d", (long long)o->n_bias, 1 << 24);
    for (int64_t i = 0; i < o->n_bias; i++) {
        if (o->bias_ids[i] < 0) return sc_fail(SC_EINVAL, "logit bias: id %d is negative", (int)o->bias_ids[i]);
        if (!(o->bias[i] < INFINITY))
            return sc_fail(SC_EINVAL, "logit bias: the value for id %d is %g, allowed are finite ones and -inf",
                           (int)o->bias_ids[i], (double)o->bias[i]);
    }
    return SC_OK;
}

sc_status sc_sampling_from_json(sc_sampling *o, const char *text, int64_t n, const char *what)
{
    sc_sampling r = *o;
    json_t *j = NULL;
    sc_status st = sc_json_parse(&j, text, n, what);
    if (st != SC_OK) return st;
    if (!json_is_object(j)) {
        json_decref(j);
        return sc_fail(SC_EFORMAT, "%s: not a JSON object", what);
    }
#define READ(name, lo, hi, lo_in, hi_in, off)                                                                      \
    if (st == SC_OK) st = sc_json_num(j, what, #name, -HUGE_VAL, HUGE_VAL, &r.name);
    NUMBERS(READ)
#undef READ
    if (st == SC_OK) st = sc_json_bool(j, what, "do_sample", &r.do_sample);
    if (st == SC_OK) st = sc_json_int(j, what, "top_k", 0, INT64_MAX, &r.top_k);
    if (st == SC_OK) st = sc_json_int(j, what, "no_repeat_ngram_size", 0, INT64_MAX, &r.no_repeat_ngram_size);
    if (st == SC_OK && (st = sc_sampling_check(&r)) != SC_OK) sc_fail_in(st, "%s", what);
    json_decref(j);
    if (st == SC_OK) *o = r;
    return st;
}

/* "name value", after an arrow unless first. */
static void step(sc_str *s, const char *name, double value)
{
    sc_str_printf(s, "%s%s %g", s->len ? " -> " : "", name, value);
}

static void step_unless(sc_str *s, const char *name, double value, double off)
{
    if (value < off || value > off) step(s, name, value);
}

sc_status sc_sampling_describe(char **out, const sc_sampling *o)
{
    sc_str s = {0};
    bool draw = o->do_sample && (float)o->temperature > 0;
    step_unless(&s, "frequency_penalty", o->frequency_penalty, 0);
    step_unless(&s, "presence_penalty", o->presence_penalty, 0);
    step_unless(&s, "repetition_penalty", o->repetition_penalty, 1);
    step_unless(&s, "no_repeat_ngram_size", (double)o->no_repeat_ngram_size, 0);
    if (o->n_bias) step(&s, "logit bias of ids:", (double)o->n_bias);
    if (draw) {
        step_unless(&s, "temperature", o->temperature, 1);
        step_unless(&s, "top_k", (double)o->top_k, 0);
        step_unless(&s, "top_p", o->top_p, 1);
        step_unless(&s, "min_p", o->min_p, 0);
        step_unless(&s, "typical_p", o->typical_p, 1);
        step_unless(&s, "epsilon_cutoff", o->epsilon_cutoff, 0);
        step_unless(&s, "eta_cutoff", o->eta_cutoff, 0);
        sc_str_printf(&s, "%ssoftmax -> draw (seed %llu", s.len ? " -> " : "", (unsigned long long)o->seed);
        if (o->stream) sc_str_printf(&s, ", stream %llu", (unsigned long long)o->stream);
        sc_str_puts(&s, ")");
    } else {
        sc_str_printf(&s, "%slikeliest (greedy)", s.len ? " -> " : "");
    }
    char *text = sc_str_take(&s, NULL);
    if (!text) return sc_nomem();
    *out = text;
    return SC_OK;
}
