/* SPDX-License-Identifier: Apache-2.0 */
/* Personal data: masked, counted, or a reason to drop the document. */
#include "data/data.h"
#include "data/filters.h"

typedef struct personal {
    unsigned kinds, drop; /* looked for; for which the document goes */
} personal;

static sc_status read_kinds(const sc_settings *x, const char *name, unsigned *out)
{
    for (int i = 0; i < sc_setting_count(x, name); i++) {
        const char *names[SC_PERSONAL_KINDS], *kind = sc_setting_item(x, name, i), *near;
        int k = 0;
        for (; k < SC_PERSONAL_KINDS; k++) names[k] = sc_personal_at(k)->name;
        for (k = 0; k < SC_PERSONAL_KINDS && strcmp(names[k], kind) != 0;) k++;
        if (k == SC_PERSONAL_KINDS) {
            bool any = sc_nearest_words(kind, names, SC_PERSONAL_KINDS, &near, 1) > 0;
            return sc_fail(SC_EINVAL, "%s: %s: no kind '%s'%s%s", x->where, name, kind, any ? "; there is " : "",
                           any ? near : "");
        }
        *out |= 1u << k;
    }
    return SC_OK;
}

static sc_status personal_open(void **self, const sc_stage_setup *x)
{
    personal *p = sc_calloc(1, sizeof *p);
    if (!p) return sc_nomem();
    if (!sc_setting_count(&x->settings, "kinds")) p->kinds = (1u << SC_PERSONAL_KINDS) - 1;
    sc_status s = read_kinds(&x->settings, "kinds", &p->kinds);
    if (!s) s = read_kinds(&x->settings, "drop", &p->drop);
    p->kinds |= p->drop;
    if (s)
        sc_free(p);
    else
        *self = p;
    return s;
}

static sc_status personal_room(void **room, const void *self)
{
    (void)self;
    *room = sc_calloc(1, sizeof(sc_str));
    return *room ? SC_OK : sc_nomem();
}

static void personal_room_free(void *room)
{
    sc_str_free(room);
    sc_free(room);
}

static sc_status personal_apply(const void *self, void *room, sc_document *d, sc_verdict *v)
{
    const personal *p = self;
    sc_str *masked = room;
    int64_t counts[SC_PERSONAL_KINDS] = {0};
    masked->len = 0;
    if (!d->text.len || !sc_personal_mask(masked, d->text.p, d->text.len, p->kinds, counts)) return SC_OK;
    if (masked->oom) return sc_nomem();
    for (int k = 0; k < SC_PERSONAL_KINDS; k++) {
        if (!counts[k]) continue;
        sc_verdict_add(v, sc_personal_at(k)->name, counts[k]);
        if ((p->drop >> k & 1) && v->fate == SC_KEEP) sc_drop_value(v, sc_personal_at(k)->name, (double)counts[k]);
    }
    sc_document_set_text(d, masked->p, masked->len); /* of dropped ones too: examples show no personal data */
    v->changed = true;
    return SC_OK;
}

static const sc_setting settings[] = {
    {"kinds", SC_SET_LIST,
     .help = "what is looked for: email, phone, ip, card, rrn, ssn, iban, key; without it all"},
    {"drop", SC_SET_LIST, .help = "kinds for which the document is dropped, instead of masked"},
    {0}};
const sc_stage sc_stage_personal = {.name = "personal",
                                    .summary = "masks e-mail addresses, telephone numbers and other personal data",
                                    .settings = settings,
                                    .open = personal_open,
                                    .free = sc_free,
                                    .room = personal_room,
                                    .room_free = personal_room_free,
                                    .apply = personal_apply};
