/* SPDX-License-Identifier: Apache-2.0 */
#include "data/data.h"

void sc_drop(sc_verdict *v, const char *reason)
{
    v->fate = SC_DROP;
    v->reason = reason;
}

void sc_drop_value(sc_verdict *v, const char *reason, double value)
{
    sc_drop(v, reason);
    v->value = value;
    v->has_value = true;
}

void sc_verdict_detail(sc_verdict *v, const char *p, int64_t n)
{
    int64_t at = 0, len = 0;
    while (at < n) {
        uint32_t c;
        int k = sc_utf8_decode(p + at, n - at, &c), room = SC_DETAIL_MAX - 1;
        char encoded[4];
        if (c < 0x20 || c == 0x7f) c = ' ';
        int bytes = sc_utf8_encode(c, encoded);
        if (len + bytes > room) break;
        memcpy(v->detail + len, encoded, (size_t)bytes);
        len += bytes;
        at += k;
    }
    v->detail[len] = 0;
}

void sc_verdict_add(sc_verdict *v, const char *name, int64_t n)
{
    for (int i = 0; i < v->n_counts; i++)
        if (v->count[i].name == name || strcmp(v->count[i].name, name) == 0) {
            v->count[i].n += n;
            return;
        }
    if (v->n_counts < SC_VERDICT_COUNTS) v->count[v->n_counts++] = (struct sc_verdict_count){name, n};
}
