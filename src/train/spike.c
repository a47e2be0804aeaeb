/* SPDX-License-Identifier: Apache-2.0 */
/* Loss spikes: a loss far above the median of those before it, by their median absolute deviation, which a spike among them
 * does not move. What is decided follows from the losses alone, so a run that goes on decides the same. */
#include "train/run.h"

#include <math.h>
#include <stdlib.h>

/* A deviation is 1.4826 times the median absolute one where losses are normally distributed. A spike is also at least
 * this share of the median above it: losses that hardly differ are no reason. */
#define NORMAL_MAD  1.4826
#define LEAST_SHARE 0.1
enum { MAX_LIST = 100 };

sc_status sc_spikes_new(sc_spikes *s, const sc_spike_options *o)
{
    *s = (sc_spikes){.o = *o, .list = json_array(), .loss = sc_calloc((size_t)o->window, sizeof *s->loss)};
    s->sorted = sc_calloc((size_t)o->window, sizeof *s->sorted);
    return s->list && s->loss && s->sorted ? SC_OK : sc_nomem();
}

void sc_spikes_free(sc_spikes *s)
{
    json_decref(s->list);
    sc_free(s->loss);
    sc_free(s->sorted);
    *s = (sc_spikes){0};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

bool sc_spikes_look(sc_spikes *s, double loss, double norm, double *middle)
{
    int64_t n = SC_MIN(s->taken, s->o.window);
    *middle = NAN;
    if (n) {
        memcpy(s->sorted, s->loss, (size_t)n * sizeof *s->sorted);
        *middle = median(s->sorted, n);
    }
    if (!isfinite(loss) || !isfinite(norm)) return true;
    if (n < s->o.window) return false; /* too few to judge by */
    for (int64_t i = 0; i < n; i++) s->sorted[i] = fabs(s->sorted[i] - *middle);
    double deviation = NORMAL_MAD * median(s->sorted, n);
    return loss > *middle + SC_MAX(s->o.factor * deviation, LEAST_SHARE * fabs(*middle));
}

void sc_spikes_take(sc_spikes *s, double loss) { s->loss[s->taken++ % s->o.window] = loss; }

sc_status sc_spikes_note(sc_spikes *s, json_t *what)
{
    if (json_array_size(s->list) >= MAX_LIST) json_array_remove(s->list, 0);
    s->count++;
    return what && json_array_append_new(s->list, what) == 0 ? SC_OK : sc_nomem();
}

json_t *sc_spikes_state(const sc_spikes *s)
{
    json_t *loss = json_array();
    int64_t n = SC_MIN(s->taken, s->o.window);
    bool ok = loss != NULL;
    for (int64_t i = 0; ok && i < n; i++) ok = json_array_append_new(loss, json_real(s->loss[i])) == 0;
    if (ok)
        return json_pack("{s:I, s:I, s:o, s:O}", "taken", (json_int_t)s->taken, "count", (json_int_t)s->count,
                         "window", loss, "list", s->list);
    json_decref(loss);
    return NULL;
}

sc_status sc_spikes_restore(sc_spikes *s, const json_t *state)
{
    json_t *loss = json_object_get(state, "window"), *list = json_object_get(state, "list");
    int64_t taken = 0, count = 0;
    sc_status status = sc_json_int(state, "spikes", "taken", 0, INT64_MAX, &taken);
    if (!status) status = sc_json_int(state, "spikes", "count", 0, INT64_MAX, &count);
    if (status) return status;
    if (!json_is_array(loss) || !json_is_array(list) ||
        (int64_t)json_array_size(loss) != SC_MIN(taken, s->o.window))
        return sc_fail(SC_EFORMAT, "spikes has no window of losses");
    for (int64_t i = 0; i < (int64_t)json_array_size(loss); i++)
        s->loss[i] = json_number_value(json_array_get(loss, (size_t)i));
    json_t *copy = json_deep_copy(list);
    if (!copy) return sc_nomem();
    json_decref(s->list);
    s->list = copy;
    s->taken = taken;
    s->count = count;
    return SC_OK;
}
