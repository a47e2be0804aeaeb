/* SPDX-License-Identifier: Apache-2.0 */
/* Tells each document's language, and drops those that are in none of the wanted ones or too mixed to tell. */
#include "data/data.h"
#include "socle/languages.h"

typedef struct telling {
    sc_languages *model;
    char **keep; /* owned copies; none: all */
    int n_keep;
    double least;
    int64_t bytes;
    bool trust;
} telling;

static void telling_free(void *self)
{
    telling *t = self;
    if (!t) return;
    for (int i = 0; t->keep && i < t->n_keep; i++) sc_free(t->keep[i]);
    sc_free(t->keep);
    sc_languages_free(t->model);
    sc_free(t);
}

static sc_status telling_open(void **self, const sc_stage_setup *x)
{
    telling *t = sc_calloc(1, sizeof *t);
    if (!t) return sc_nomem();
    t->least = sc_setting_num(&x->settings, "min_score");
    t->bytes = sc_setting_int(&x->settings, "bytes");
    t->trust = sc_setting_bool(&x->settings, "trust_source");
    t->n_keep = sc_setting_count(&x->settings, "keep");
    t->keep = sc_calloc((size_t)t->n_keep + 1, sizeof *t->keep);
    sc_status s = t->keep ? SC_OK : sc_nomem();
    for (int i = 0; i < t->n_keep && !s; i++)
        if (!(t->keep[i] = sc_strdup(sc_setting_item(&x->settings, "keep", i)))) s = sc_nomem();
    if (!s) s = sc_languages_open(&t->model, sc_setting_text(&x->settings, "model"));
    if (s)
        telling_free(t);
    else
        *self = t;
    return s;
}

static sc_status telling_room(void **room, const void *self)
{
    sc_languages_reader *r;
    sc_status s = sc_languages_reader_new(&r, ((const telling *)self)->model);
    if (!s) *room = r;
    return s;
}

static void telling_room_free(void *room) { sc_languages_reader_free(room); }

static bool wanted(const telling *t, const char *code)
{
    for (int i = 0; i < t->n_keep; i++)
        if (strcmp(t->keep[i], code) == 0) return true;
    return !t->n_keep;
}

static sc_status telling_apply(const void *self, void *room, sc_document *d, sc_verdict *v)
{
    const telling *t = self;
    sc_language best;
    if (!t->trust || !d->language[0]) {
        sc_status s = sc_languages_detect(room, d->text.p, d->text.len, t->bytes, 1, &best);
        if (s) return s;
        if (!best.code) {
            sc_drop(v, "language_unknown");
            return SC_OK;
        }
        sc_document_language(d, best.code);
        sc_document_score(d, "language", best.probability);
        if (best.probability < t->least) {
            sc_drop_value(v, "language_unsure", best.probability);
            return SC_OK;
        }
    }
    if (!wanted(t, d->language)) {
        sc_drop(v, "language");
        sc_verdict_detail(v, d->language, (int64_t)strlen(d->language));
    }
    return SC_OK;
}

static const sc_setting settings[] = {
    {"model", SC_SET_TEXT, NULL, 0, 0,
     "a model of languages; otherwise the one that `socle languages train` makes"},
    {"keep", SC_SET_LIST, NULL, 0, 0, "languages to keep, such as en and ko; otherwise all"},
    {"min_score", SC_SET_NUM, "0.5", 0, 1, "drop documents whose language is less probable than this"},
    {"bytes", SC_SET_SIZE, "4096", 64, 1e12, "of a long document look at this much"},
    {"trust_source", SC_SET_BOOL, "false", 0, 0, "believe the language that the source names, where it names one"},
    {0}};
const sc_stage sc_stage_languages = {.name = "languages",
                                     .summary = "tells each document's language and keeps those that are wanted",
                                     .settings = settings,
                                     .open = telling_open,
                                     .free = telling_free,
                                     .room = telling_room,
                                     .room_free = telling_room_free,
                                     .apply = telling_apply};
