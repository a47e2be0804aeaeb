/* SPDX-License-Identifier: Apache-2.0 */
/* The quality rules of C4, Gopher and FineWeb: what they measure and how is in docs/data-rules.md. */
#include "data/data.h"
#include "data/filters.h"

typedef struct quality {
    sc_rules rules;
    uint8_t *classes;
    int groups;
} quality;

static const struct {
    const char *name;
    int bit;
} groups[] = {{"repetition", SC_RULES_REPETITION},
              {"gopher", SC_RULES_QUALITY},
              {"c4", SC_RULES_C4},
              {"fineweb", SC_RULES_FINEWEB}};

static void quality_free(void *self)
{
    quality *q = self;
    if (!q) return;
    sc_rules_free(&q->rules);
    sc_free(q->classes);
    sc_free(q);
}

static sc_status read_groups(const sc_settings *x, int *out)
{
    *out = sc_setting_count(x, "groups") ? 0 : SC_RULES_ALL;
    for (int i = 0; i < sc_setting_count(x, "groups"); i++) {
        int k = 0;
        while (k < SC_COUNT(groups) && strcmp(groups[k].name, sc_setting_item(x, "groups", i)) != 0) k++;
        if (k == SC_COUNT(groups))
            return sc_fail(SC_EINVAL, "%s: no group of rules '%s': repetition, gopher, c4, fineweb", x->where,
                           sc_setting_item(x, "groups", i));
        *out |= groups[k].bit;
    }
    return SC_OK;
}

static sc_status quality_open(void **self, const sc_stage_setup *x)
{
    quality *q = sc_calloc(1, sizeof *q);
    if (!q) return sc_nomem();
    sc_status s = read_groups(&x->settings, &q->groups);
    if (!s) s = sc_rules_open(&q->rules, sc_setting_text(&x->settings, "rules"));
    if (!s && !(q->classes = sc_char_classes())) s = sc_nomem();
    if (s)
        quality_free(q);
    else
        *self = q;
    return s;
}

typedef struct quality_room {
    sc_rule_work work;
    sc_str text;
} quality_room;

static sc_status quality_room_new(void **room, const void *self)
{
    quality_room *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->work = sc_rule_work_begin(((const quality *)self)->classes);
    *room = r;
    return SC_OK;
}

static void quality_room_free(void *room)
{
    quality_room *r = room;
    sc_rule_work_free(&r->work);
    sc_str_free(&r->text);
    sc_free(r);
}

static sc_status quality_apply(const void *self, void *room, sc_document *d, sc_verdict *v)
{
    const quality *q = self;
    quality_room *r = room;
    sc_judgement j;
    const sc_thresholds *t = sc_rules_for(&q->rules, d->language);
    sc_status s = sc_rules_judge(&r->work, t, q->groups, false, d->text.p, d->text.len, &r->text, &j);
    if (s) return s;
    if (j.rule >= 0) {
        sc_drop_value(v, sc_rule_at(j.rule)->name, j.value[j.rule]);
        return SC_OK;
    }
    for (int i = 0; i < SC_RULES; i++)
        if (j.lines_dropped[i]) sc_verdict_add(v, sc_rule_at(i)->name, j.lines_dropped[i]);
    if (!j.changed) return SC_OK;
    sc_document_set_text(d, r->text.p, r->text.len);
    v->changed = true;
    return SC_OK;
}

static const sc_setting settings[] = {
    {"rules", SC_SET_TEXT, .help = "a file of thresholds, as `socle data rules` prints them"},
    {"groups", SC_SET_LIST, .help = "repetition, gopher, c4, fineweb; without it all of them"},
    {0}};
const sc_stage sc_stage_quality = {.name = "quality",
                                   .summary = "drops texts and lines by the rules of C4, Gopher and FineWeb",
                                   .settings = settings,
                                   .open = quality_open,
                                   .free = quality_free,
                                   .room = quality_room_new,
                                   .room_free = quality_room_free,
                                   .apply = quality_apply};
