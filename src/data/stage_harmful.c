/* SPDX-License-Identifier: Apache-2.0 */
/* Harmful content by lists of words. A classifier (the stage `score`) tells what words alone do not. */
#include "data/data.h"
#include "data/filters.h"

typedef struct harmful {
    sc_harmful lists;
    uint8_t *classes;
    int64_t least;
    double share;
} harmful;

static void harmful_free(void *self)
{
    harmful *h = self;
    if (!h) return;
    sc_harmful_free(&h->lists);
    sc_free(h->classes);
    sc_free(h);
}

static sc_status harmful_open(void **self, const sc_stage_setup *x)
{
    harmful *h = sc_calloc(1, sizeof *h);
    if (!h) return sc_nomem();
    h->least = sc_setting_int(&x->settings, "least");
    h->share = sc_setting_num(&x->settings, "share");
    sc_status s = sc_harmful_open(&h->lists, sc_setting_text(&x->settings, "words"));
    if (!s && !(h->classes = sc_char_classes())) s = sc_nomem();
    if (s)
        harmful_free(h);
    else
        *self = h;
    return s;
}

static sc_status harmful_room(void **room, const void *self)
{
    sc_words *w = sc_calloc(1, sizeof *w);
    if (!w) return sc_nomem();
    w->classes = ((const harmful *)self)->classes;
    *room = w;
    return SC_OK;
}

static void harmful_room_free(void *room)
{
    sc_words_free(room);
    sc_free(room);
}

static sc_status harmful_apply(const void *self, void *room, sc_document *d, sc_verdict *v)
{
    const harmful *h = self;
    sc_words *w = room;
    int64_t count[SC_HARMFUL_KINDS];
    sc_status s = sc_words_cut(w, d->text.p, d->text.len);
    if (s) return s;
    sc_harmful_count(&h->lists, w, d->language, count);
    for (int k = 0; k < SC_HARMFUL_KINDS; k++) {
        if (!count[k]) continue;
        sc_verdict_add(v, sc_harmful_name(k), count[k]);
        double share = (double)count[k] / (double)SC_MAX(w->words, 1);
        if (v->fate == SC_KEEP && count[k] >= h->least && share >= h->share)
            sc_drop_value(v, sc_harmful_name(k), share);
    }
    return SC_OK;
}

static const sc_setting settings[] = {
    {"words", SC_SET_TEXT, .help = "a JSON file of words by language and kind, instead of the lists here"},
    {"least", SC_SET_INT, "3", 1, 1e9, "words of a kind that a text needs to be dropped"},
    {"share", SC_SET_NUM, "0.01", 0, 1, "share of its words that they need to be"},
    {0}};
const sc_stage sc_stage_harmful = {.name = "harmful",
                                   .summary = "drops texts with many words of pornography, abuse or spam",
                                   .settings = settings,
                                   .open = harmful_open,
                                   .free = harmful_free,
                                   .room = harmful_room,
                                   .room_free = harmful_room_free,
                                   .apply = harmful_apply};
