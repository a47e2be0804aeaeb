/* SPDX-License-Identifier: Apache-2.0 */
/* A trained classifier's word on each document: a score by which documents stay or go, or the domain that they are of. */
#include "data/data.h"
#include "data/filters.h"
#include "socle/classifier.h"

#include <math.h>

typedef struct judge {
    sc_classifier *model;
    uint8_t *classes;
    int32_t label; /* whose probability is the score; -1: the likeliest label is the domain */
    char score[SC_LABEL_MAX];
    double least, most;
    int64_t bytes;
    bool plain;
} judge;

static void judge_free(void *self)
{
    judge *j = self;
    if (!j) return;
    sc_classifier_free(j->model);
    sc_free(j->classes);
    sc_free(j);
}

static sc_status find_label(judge *j, const char *name, const char *where)
{
    int64_t len;
    const char *p;
    j->label = -1;
    if (!name) return SC_OK;
    for (int32_t i = 0; (p = sc_classifier_label(j->model, i, &len)); i++)
        if ((int64_t)strlen(name) == len && memcmp(p, name, (size_t)len) == 0) {
            j->label = i;
            return SC_OK;
        }
    p = sc_classifier_label(j->model, 0, &len);
    return sc_fail(SC_EINVAL, "%s: the classifier has no label '%s'; one that it has is '%.*s'", where, name,
                   (int)len, p);
}

static sc_status judge_open(void **self, const sc_stage_setup *x)
{
    const char *model = sc_setting_text(&x->settings, "model"), *label = sc_setting_text(&x->settings, "label");
    const char *score = sc_setting_text(&x->settings, "score");
    if (!model) return sc_fail(SC_EINVAL, "%s needs \"model\", a classifier's file", x->settings.where);
    judge *j = sc_calloc(1, sizeof *j);
    if (!j) return sc_nomem();
    j->least = sc_setting_num(&x->settings, "least");
    j->most = sc_setting_num(&x->settings, "most");
    j->bytes = sc_setting_int(&x->settings, "bytes");
    j->plain = sc_setting_bool(&x->settings, "plain");
    snprintf(j->score, sizeof j->score, "%s", score ? score : label ? label : "domain");
    sc_status s = sc_classifier_open(&j->model, model);
    if (!s) s = find_label(j, label, x->settings.where);
    if (!s && !(j->classes = sc_char_classes())) s = sc_nomem();
    if (s)
        judge_free(j);
    else
        *self = j;
    return s;
}

typedef struct judge_room {
    sc_classifier_reader *reader;
    sc_words words;
    sc_str text;
    sc_class *found; /* (labels) */
} judge_room;

static void judge_room_free(void *room)
{
    judge_room *r = room;
    if (!r) return;
    sc_classifier_reader_free(r->reader);
    sc_words_free(&r->words);
    sc_str_free(&r->text);
    sc_free(r->found);
    sc_free(r);
}

static sc_status judge_room_new(void **room, const void *self)
{
    const judge *j = self;
    judge_room *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->words.classes = j->classes;
    r->found = sc_calloc((size_t)sc_classifier_labels(j->model), sizeof *r->found);
    sc_status s = r->found ? sc_classifier_reader_new(&r->reader, j->model) : sc_nomem();
    if (s)
        judge_room_free(r);
    else
        *room = r;
    return s;
}

/* The labels of the document's beginning, all of them where one is asked for. */
static sc_status ask(const judge *j, judge_room *r, const sc_document *d, int64_t *found)
{
    int64_t n = SC_MIN(d->text.len, j->bytes), most = j->label < 0 ? 1 : sc_classifier_labels(j->model);
    const char *p = d->text.p;
    if (n < d->text.len) n -= sc_utf8_unfinished(p, n);
    if (!j->plain) {
        sc_status s = sc_words_cut(&r->words, p, n);
        if (s) return s;
        r->text.len = 0;
        sc_words_put(&r->words, &r->text);
        if (r->text.oom) return sc_nomem();
        p = r->text.p;
        n = r->text.len;
    }
    *found = 0;
    return n ? sc_classifier_predict(r->reader, p, n, most, 0, r->found, found) : SC_OK;
}

static sc_status judge_apply(const void *self, void *room, sc_document *d, sc_verdict *v)
{
    const judge *j = self;
    judge_room *r = room;
    int64_t found, len;
    double p = 0;
    sc_status s = ask(j, r, d, &found);
    if (s) return s;
    if (j->label < 0 && found) {
        char name[SC_LABEL_MAX];
        const char *label = sc_classifier_label(j->model, r->found[0].label, &len);
        snprintf(name, sizeof name, "%.*s", (int)SC_MIN(len, SC_LABEL_MAX - 1), label);
        p = (double)r->found[0].probability;
        if (p >= j->least) sc_document_domain(d, name);
        return SC_OK;
    }
    for (int64_t i = 0; i < found; i++)
        if (r->found[i].label == j->label) p = (double)r->found[i].probability;
    if (j->label < 0) return SC_OK;
    p = fmin(p, 1); /* fastText adds a little before it takes the logarithm */
    sc_document_score(d, j->score, p);
    if (p < j->least)
        sc_drop_value(v, "score_low", p);
    else if (p > j->most)
        sc_drop_value(v, "score_high", p);
    if (v->fate == SC_DROP) sc_verdict_detail(v, j->score, (int64_t)strlen(j->score));
    return SC_OK;
}

static const sc_setting settings[] = {
    {"model", SC_SET_TEXT, .help = "a classifier's file, as `socle data train-classifier` or fastText make it"},
    {"label", SC_SET_TEXT, .help = "whose probability is the score; without it the likeliest label is the domain"},
    {"score", SC_SET_TEXT, .help = "what the score is called; otherwise as the label"},
    {"least", SC_SET_NUM, "0", 0, 1, "drop documents with a lower score; name no domain that is less probable"},
    {"most", SC_SET_NUM, "1", 0, 1, "drop documents with a higher score, as of a classifier of harmful texts"},
    {"bytes", SC_SET_SIZE, "64K", 64, 1e12, "of a long document look at this much"},
    {"plain", SC_SET_BOOL, "false",
     .help = "give it the text as it is, for a classifier that was trained elsewhere"},
    {0}};
const sc_stage sc_stage_classify = {.name = "classify",
                                    .summary = "scores documents by a trained classifier, or tells their domain",
                                    .settings = settings,
                                    .open = judge_open,
                                    .free = judge_free,
                                    .room = judge_room_new,
                                    .room_free = judge_room_free,
                                    .apply = judge_apply};
