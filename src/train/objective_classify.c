/* SPDX-License-Identifier: Apache-2.0 */
/* The class of a text or of a pair of texts, or a number for it. */
#include "train/objective.h"

#include <math.h>
#include <stdlib.h>

#define TEXT  "text|sentence|sentence1|document|premise|question|content"
#define PAIR  "text_pair|sentence2|hypothesis|answer|context"
#define LABEL "label|labels|score|class|target"

enum { MAX_LABELS = 1 << 16 };

/* ---- labels ---- */

/* A label as text, in `room` where it is a number in JSON. */
static sc_status label_of(const sc_record *r, char room[40], sc_field *out)
{
    const json_t *v = r->json ? sc_record_value(r, LABEL) : NULL;
    if (!v || json_is_string(v)) return sc_record_text(r, LABEL, 1, out);
    if (json_is_integer(v))
        snprintf(room, 40, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(room, 40, "%.17g", json_real_value(v));
    else if (json_is_boolean(v))
        snprintf(room, 40, "%s", json_is_true(v) ? "true" : "false");
    else
        return sc_fail(SC_EFORMAT, "%s: line %lld: \"label\" is neither a text nor a number", r->path,
                       (long long)r->line);
    *out = (sc_field){room, (int64_t)strlen(room)};
    return SC_OK;
}

/* A class by its number; -1: not one. */
static int64_t number_of(sc_field f)
{
    int64_t n = 0;
    if (f.n < 1 || f.n > 6) return -1;
    for (int64_t i = 0; i < f.n; i++) {
        if (f.p[i] < '0' || f.p[i] > '9') return -1;
        n = n * 10 + (f.p[i] - '0');
    }
    return n;
}

typedef struct labels {
    json_t *names; /* as keys */
    int64_t most;  /* the greatest number; -1: they are names */
} labels;

static sc_status note_label(void *user, const sc_record *r)
{
    labels *x = user;
    char room[40];
    sc_field f;
    sc_status s = label_of(r, room, &f);
    if (s) return s;
    int64_t n = number_of(f);
    x->most = n < 0 || (x->most < 0 && json_object_size(x->names)) ? -1 : SC_MAX(x->most, n);
    char *name = sc_strndup(f.p, (size_t)f.n);
    if (!name || json_object_set_new(x->names, name, json_true()) != 0) s = sc_nomem();
    sc_free(name);
    if (!s && (json_object_size(x->names) > MAX_LABELS || x->most >= MAX_LABELS))
        s = sc_fail(SC_ELIMIT, "%s: line %lld: more than %d labels", r->path, (long long)r->line, MAX_LABELS);
    return s;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whether a configuration has all these classes already. */
static bool known(const json_t *config, const labels *x)
{
    const json_t *ids = json_object_get(config, "label2id");
    const char *name;
    json_t *ignored;
    if (x->most >= 0) return x->most < (int64_t)json_object_size(json_object_get(config, "id2label"));
    json_object_foreach(x->names, name, ignored) if (!json_is_integer(json_object_get(ids, name))) return false;
    return json_object_size(ids) > 0;
}

/* id2label, label2id and the number of classes. */
static sc_status set_labels(json_t *changes, const json_t *config, const char *const *name, int64_t n)
{
    json_t *names = json_object(), *ids = json_object();
    char key[32], own[40];
    bool ok = names && ids;
    for (int64_t i = 0; ok && i < n; i++) {
        snprintf(key, sizeof key, "%lld", (long long)i);
        snprintf(own, sizeof own, "LABEL_%lld", (long long)i);
        const char *text = name ? name[i] : own;
        ok = json_object_set_new(names, key, json_string(text)) == 0 &&
             json_object_set_new(ids, text, json_integer(i)) == 0;
    }
    ok = ok && json_object_set(changes, "id2label", names) == 0 && json_object_set(changes, "label2id", ids) == 0;
    if (ok && json_object_get(config, "num_labels"))
        ok = json_object_set_new(changes, "num_labels", json_integer(n)) == 0;
    json_decref(names);
    json_decref(ids);
    return ok ? SC_OK : sc_nomem();
}

static sc_status classify_changes(const sc_objective_setup *s, json_t *changes)
{
    labels x = {json_object(), -1};
    const char **name = NULL, *key;
    json_t *ignored;
    int64_t n = 0;
    sc_status e = x.names ? SC_OK : sc_nomem();
    for (int i = 0; !e && i < s->o->n_data; i++)
        e = sc_records_each(s->ctx, s->o->data[i], s->lines, note_label, &x);
    if (!e && json_object_set_new(changes, "problem_type", json_string("single_label_classification")) != 0)
        e = sc_nomem();
    if (!e && !known(s->config, &x)) {
        name = sc_calloc(json_object_size(x.names) + 1, sizeof *name);
        if (!name) e = sc_nomem();
        json_object_foreach(x.names, key, ignored) if (name) name[n++] = key;
        if (name) qsort(name, (size_t)n, sizeof *name, by_name);
        if (!e && x.most < 1 && n < 2)
            e = sc_fail(SC_EINVAL, "%s: one label alone, %s: nothing to tell it from", s->o->data[0],
                        n ? name[0] : "none");
        if (!e) e = set_labels(changes, s->config, x.most >= 0 ? NULL : name, x.most >= 0 ? x.most + 1 : n);
    }
    sc_free(name);
    json_decref(x.names);
    return e;
}

static sc_status regress_changes(const sc_objective_setup *s, json_t *changes)
{
    if (json_object_set_new(changes, "problem_type", json_string("regression")) != 0) return sc_nomem();
    return set_labels(changes, s->config, NULL, 1);
}

/* ---- the data ---- */

typedef struct classify {
    sc_collection texts;
    bool numbers;
} classify;

static void classify_free(void *self)
{
    classify *x = self;
    if (!x) return;
    sc_collection_free(&x->texts);
    sc_free(x);
}

/* A class by its name or number, or a number. */
static sc_status value_of(const classify *x, const sc_record *r, float *out)
{
    const sc_model *m = x->texts.setup->model;
    char room[40], text[64], *end;
    sc_field f;
    sc_status s = label_of(r, room, &f);
    if (s) return s;
    snprintf(text, sizeof text, "%.*s", (int)SC_MIN(f.n, 60), f.p);
    if (x->numbers) {
        *out = strtof(text, &end);
        if (f.n && !*end && isfinite(*out)) return SC_OK;
        return sc_fail(SC_EFORMAT, "%s: line %lld: label '%s' is no number", r->path, (long long)r->line, text);
    }
    for (int64_t i = 0; i < m->info.labels; i++) {
        const char *name = sc_model_label(m, i);
        if ((int64_t)strlen(name) != f.n || memcmp(name, f.p, (size_t)f.n) != 0) continue;
        *out = (float)i;
        return SC_OK;
    }
    int64_t n = number_of(f);
    *out = (float)n;
    if (n >= 0 && n < m->info.labels) return SC_OK;
    return sc_fail(SC_EFORMAT, "%s: line %lld: label '%s' is none of the %lld that the model has", r->path,
                   (long long)r->line, text, (long long)m->info.labels);
}

static sc_status add(void *user, const sc_record *r)
{
    classify *x = user;
    sc_field text, pair = {0};
    float value = 0;
    sc_status s = sc_record_text(r, TEXT, 0, &text);
    /* In a table without a header a pair's second text is behind the label. */
    if (!s && sc_record_has(r, PAIR, 2)) s = sc_record_text(r, PAIR, 2, &pair);
    if (!s) s = value_of(x, r, &value);
    if (s) return s;
    s = sc_collection_text(&x->texts, r, text, pair, x->texts.setup->model->info.vocab);
    return s ? s : sc_examples_end(x->texts.to, value);
}

static sc_status open_data(void **self, const sc_objective_setup *s, bool numbers)
{
    classify *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->texts.data[0].columns = x->texts.data[1].columns = 1;
    x->numbers = numbers;
    sc_status e = s->model->info.head == SC_HEAD_CLASSES
                      ? SC_OK
                      : sc_fail(SC_EUNSUPPORTED, "%s: the model has no head for classes", s->model->info.path);
    if (!e) e = sc_collection_open(&x->texts, s, true, add, x);
    if (e)
        classify_free(x);
    else
        *self = x;
    return e;
}

static sc_status classify_open(void **self, const sc_objective_setup *s) { return open_data(self, s, false); }
static sc_status regress_open(void **self, const sc_objective_setup *s) { return open_data(self, s, true); }

static void classify_size(const void *self, sc_objective_size *out)
{
    sc_collection_size(&((const classify *)self)->texts, out);
}

static void put(void *user, const sc_examples *e, int64_t i)
{
    classify *x = user;
    sc_maker *m = &x->texts.maker;
    int64_t from = e->at[i];
    sc_maker_text(m, &m->text, e->ids + from, e->types + from, e->at[i + 1] - from, false);
    sc_maker_row(m, -1, x->numbers ? 0 : (int32_t)e->value[i], e->value[i]);
}

static sc_status classify_batch(void *self, int64_t index, sc_text_batch *out)
{
    classify *x = self;
    sc_collection_batch(&x->texts, false, index, put, x);
    return sc_maker_finish(&x->texts.maker, SC_ROWS_SEQUENCES, out);
}

static sc_status classify_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    classify *x = self;
    sc_collection_batch(&x->texts, true, index, put, x);
    return sc_maker_finish(&x->texts.maker, SC_ROWS_SEQUENCES, out);
}

static sc_status classify_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const classify *x = self;
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, 0, NULL, NULL);
    if (s) return s;
    if (x->numbers)
        sc_loss_squares(out, out->t.logits, b->rows);
    else
        sc_loss_cross_entropy(out, out->t.logits, b->rows, 0);
    return SC_OK;
}

const sc_objective sc_objective_classify = {.name = "classify",
                                            .summary = "the class of a text or of a pair",
                                            .kinds = SC_LEARNS_ENCODER,
                                            .measure = "accuracy",
                                            .head = "ForSequenceClassification",
                                            .changes = classify_changes,
                                            .open = classify_open,
                                            .free = classify_free,
                                            .size = classify_size,
                                            .batch = classify_batch,
                                            .eval_batch = classify_eval_batch,
                                            .build = classify_build};

const sc_objective sc_objective_regress = {.name = "regress",
                                           .summary = "a number for a text or a pair",
                                           .kinds = SC_LEARNS_ENCODER,
                                           .measure = "pearson",
                                           .head = "ForSequenceClassification",
                                           .changes = regress_changes,
                                           .open = regress_open,
                                           .free = classify_free,
                                           .size = classify_size,
                                           .batch = classify_batch,
                                           .eval_batch = classify_eval_batch,
                                           .build = classify_build};
