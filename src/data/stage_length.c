/* SPDX-License-Identifier: Apache-2.0 */
/* Drops documents that are too short or too long. */
#include "data/data.h"

typedef struct length {
    int64_t least, most; /* characters */
} length;

static sc_status length_open(void **self, const sc_stage_setup *x)
{
    length *l = sc_calloc(1, sizeof *l);
    if (!l) return sc_nomem();
    l->least = sc_setting_int(&x->settings, "min_chars");
    l->most = sc_setting_int(&x->settings, "max_chars");
    *self = l;
    return SC_OK;
}

static sc_status length_apply(const void *self, void *room, sc_document *d, sc_verdict *v)
{
    const length *l = self;
    int64_t n = 0;
    (void)room;
    for (int64_t i = 0; i < d->text.len; i++) n += ((unsigned char)d->text.p[i] & 0xc0) != 0x80;
    if (n < l->least) sc_drop_value(v, "too_short", (double)n);
    if (l->most && n > l->most) sc_drop_value(v, "too_long", (double)n);
    return SC_OK;
}

static const sc_setting settings[] = {
    {"min_chars", SC_SET_INT, "1", 0, 1e15, "characters that a document has at least"},
    {"max_chars", SC_SET_INT, "0", 0, 1e15, "characters that it has at most; 0: any number"},
    {0}};
const sc_stage sc_stage_length = {.name = "length",
                                  .summary = "drops documents that are too short or too long",
                                  .settings = settings,
                                  .open = length_open,
                                  .free = sc_free,
                                  .apply = length_apply};
