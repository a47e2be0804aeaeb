/* SPDX-License-Identifier: Apache-2.0 */
/* The model of languages: made of lines of messages, and asked. */
#include "data/languages.h"
#include "socle/hub.h"

#include <stdlib.h>

/* How the classifier is made: words and n-grams of 1 to 5 characters, whose vectors stay small. */
enum {
    WIDTH = 24,
    SHORTEST = 1,
    LONGEST = 5,
    EPOCHS = 5,
    BUCKET = 1 << 19,
    WORD_COUNT = 5,
    CUTOFF = 100000,
    AGAIN = 2,
    REPEATED = 4 /* at most, lines of languages with few */
};

sc_status sc_languages_path(char **out)
{
    const char *chosen = getenv("SOCLE_LANGUAGES");
    char *folder, *path;
    if (chosen && *chosen) {
        path = sc_strdup(chosen);
    } else {
        sc_status s = sc_hub_folder(&folder);
        if (s) return s;
        path = sc_path_join(folder, "languages.ftz");
        sc_free(folder);
    }
    if (!path) return sc_nomem();
    *out = path;
    return SC_OK;
}

const char *sc_languages_code(int64_t i, const char **name)
{
    int n;
    const sc_language_row *row = sc_language_rows(&n);
    if (i < 0 || i >= n) return NULL;
    if (name) *name = row[i].name;
    return row[i].code;
}

sc_languages_options sc_languages_defaults(void)
{
    static const char *const system[] = {"/usr/share/locale", "/usr/share/locale-langpack",
                                         "/usr/local/share/locale"};
    return (sc_languages_options){
        .root = system, .n_roots = SC_COUNT(system), .most = 8000, .least = 500, .seed = 1};
}

/* ---- making ---- */

/* Labelled lines of those learned from, or of those held out. Of languages with few lines the former come several times: how often a
 * language is met on this machine says nothing about the texts that are asked about. */
static sc_status labelled(sc_str *out, const sc_language_lines *l, const sc_languages_row *row, bool held_out,
                          int64_t most)
{
    for (int64_t i = 0; i < l->n; i++) {
        const sc_language_line *x = &l->line[i];
        const sc_languages_row *r = &row[x->label];
        if (x->held_out != held_out || !r->used) continue;
        int64_t times = held_out ? 1 : SC_MAX(SC_MIN(most / r->trained, REPEATED), 1);
        for (int64_t k = 0; k < times; k++) {
            sc_str_printf(out, "__label__%s ", r->code);
            sc_str_append(out, l->text.p + x->at, x->len);
            sc_str_putc(out, '\n');
        }
    }
    return out->oom ? sc_nomem() : SC_OK;
}

static sc_status count(sc_languages_report *r, const sc_language_lines *l, int64_t least)
{
    int n;
    const sc_language_row *row = sc_language_rows(&n);
    sc_languages_row *to = sc_calloc((size_t)n, sizeof *to);
    if (!to) return sc_nomem();
    r->row = to;
    r->n = n;
    r->files = l->files;
    r->broken = l->broken;
    for (int i = 0; i < n; i++) to[i].code = row[i].code, to[i].name = row[i].name;
    for (int64_t i = 0; i < l->n; i++)
        *(l->line[i].held_out ? &to[l->line[i].label].tested : &to[l->line[i].label].trained) += 1;
    for (int i = 0; i < n; i++) {
        to[i].used = to[i].trained >= least && to[i].tested > 0;
        r->languages += to[i].used;
    }
    if (r->languages > 1) return SC_OK;
    return sc_fail(
        SC_ENOTFOUND,
        "%lld files of messages have at least %lld lines in %lld languages, which is too little: install programs "
        "with translations, or name other folders",
        (long long)r->files, (long long)least, (long long)r->languages);
}

static sc_status make(sc_classifier **out, sc_context *ctx, const sc_str *lines, const sc_languages_options *o)
{
    sc_classifier_options how = sc_classifier_defaults();
    sc_classifier_quantise_options small = sc_classifier_quantise_defaults();
    sc_classifier *whole;
    how.width = WIDTH;
    how.shortest = SHORTEST;
    how.longest = LONGEST;
    how.epochs = EPOCHS;
    how.bucket = BUCKET;
    how.min_count = WORD_COUNT;
    how.rate = 0.3;
    how.seed = small.seed = o->seed;
    how.deterministic = small.deterministic = o->deterministic;
    small.norms = true;
    small.cutoff = CUTOFF;
    small.retrain = true;
    small.epochs = AGAIN;
    sc_status s = sc_classifier_train(&whole, ctx, lines->p, lines->len, &how, NULL);
    if (s) return s;
    s = sc_classifier_quantise(out, ctx, whole, lines->p, lines->len, &small);
    sc_classifier_free(whole);
    return s;
}

static sc_status test(sc_languages_report *r, sc_context *ctx, const sc_classifier *c, const sc_str *lines)
{
    sc_classifier_test t;
    sc_status s = sc_classifier_test_lines(&t, ctx, c, lines->p, lines->len, 1, 0);
    if (s) return s;
    for (int64_t i = 0; i < sc_classifier_labels(c); i++) {
        int64_t len;
        const char *code = sc_classifier_label(c, i, &len);
        for (int64_t k = 0; k < r->n; k++)
            if (strlen(r->row[k].code) == (size_t)len && memcmp(r->row[k].code, code, (size_t)len) == 0) {
                r->row[k].predicted = t.each[i].predicted;
                r->row[k].correct = t.each[i].correct;
            }
    }
    sc_free(t.each);
    return SC_OK;
}

static sc_status write_lines(const char *dir, const char *name, const sc_str *lines)
{
    sc_status s = sc_mkdirs(dir);
    char *path = s ? NULL : sc_path_join(dir, name);
    if (!s) s = path ? sc_file_write(path, lines->p, lines->len) : sc_nomem();
    sc_free(path);
    return s;
}

static sc_status write_model(sc_languages_report *r, const sc_classifier *c, const char *path)
{
    const char *base = sc_path_base(path);
    char *dir = sc_strndup(path, (size_t)(base - path)), *data;
    sc_status s = !dir ? sc_nomem() : *dir ? sc_mkdirs(dir) : SC_OK;
    sc_free(dir);
    if (!s) s = sc_classifier_save(c, path);
    if (s || sc_file_read(&data, &r->bytes, path, INT64_MAX)) return s;
    sc_free(data);
    return SC_OK;
}

sc_status sc_languages_build(sc_languages_report *report, sc_context *ctx, const sc_languages_options *options)
{
    sc_languages_options o = options ? *options : sc_languages_defaults();
    sc_language_lines l = {0};
    sc_languages_report r = {0};
    sc_str train = {0}, held_out = {0};
    sc_classifier *c = NULL;
    double from = sc_now();
    if (!o.root) o.root = sc_languages_defaults().root, o.n_roots = sc_languages_defaults().n_roots;
    if (o.most < 1 || o.least < 1)
        return sc_fail(SC_EINVAL, "%lld to %lld lines", (long long)o.least, (long long)o.most);
    sc_status s = sc_language_gather(&l, ctx, o.root, o.n_roots, o.most);
    if (!s) s = count(&r, &l, o.least);
    if (!s) s = labelled(&train, &l, r.row, false, o.most);
    if (!s) s = labelled(&held_out, &l, r.row, true, o.most);
    sc_language_lines_free(&l);
    if (!s && o.lines) s = write_lines(o.lines, "train.txt", &train);
    if (!s && o.lines) s = write_lines(o.lines, "test.txt", &held_out);
    if (!s) s = make(&c, ctx, &train, &o);
    if (!s) s = test(&r, ctx, c, &held_out);
    if (!s && o.out) s = write_model(&r, c, o.out);
    r.seconds = sc_now() - from;
    sc_classifier_free(c);
    sc_str_free(&train);
    sc_str_free(&held_out);
    if (s)
        sc_free(r.row);
    else
        *report = r;
    return s;
}

/* ---- asking ---- */

struct sc_languages {
    sc_classifier *c;
    char **code; /* of the labels */
};

sc_status sc_languages_open(sc_languages **out, const char *path)
{
    char *usual = NULL;
    sc_status s = path ? SC_OK : sc_languages_path(&usual);
    if (s) return s;
    const char *from = path ? path : usual;
    sc_languages *l = sc_calloc(1, sizeof *l);
    if (!l) s = sc_nomem();
    if (!s && !sc_path_exists(from))
        s = sc_fail(SC_ENOTFOUND,
                    "%s: there is no model of languages; `socle languages train` makes one in a minute", from);
    if (!s) s = sc_classifier_open(&l->c, from);
    if (!s && !(l->code = sc_calloc((size_t)sc_classifier_labels(l->c), sizeof *l->code))) s = sc_nomem();
    for (int64_t i = 0; !s && i < sc_classifier_labels(l->c); i++) {
        int64_t len;
        const char *code = sc_classifier_label(l->c, i, &len);
        if (!(l->code[i] = sc_strndup(code, (size_t)len))) s = sc_nomem();
    }
    sc_free(usual);
    if (s)
        sc_languages_free(l);
    else
        *out = l;
    return s;
}

void sc_languages_free(sc_languages *l)
{
    if (!l) return;
    for (int64_t i = 0; l->code && i < sc_classifier_labels(l->c); i++) sc_free(l->code[i]);
    sc_free(l->code);
    sc_classifier_free(l->c);
    sc_free(l);
}

struct sc_languages_reader {
    const sc_languages *l;
    sc_classifier_reader *r;
    sc_str text;
    sc_class *best;
    int64_t cap;
};

sc_status sc_languages_reader_new(sc_languages_reader **out, const sc_languages *l)
{
    sc_languages_reader *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->l = l;
    sc_status s = sc_classifier_reader_new(&r->r, l->c);
    if (s)
        sc_free(r);
    else
        *out = r;
    return s;
}

void sc_languages_reader_free(sc_languages_reader *r)
{
    if (!r) return;
    sc_classifier_reader_free(r->r);
    sc_str_free(&r->text);
    sc_free(r->best);
    sc_free(r);
}

/* n bytes from `from` on, or from where the next character begins. */
static void put_part(sc_languages_reader *r, const char *p, int64_t len, int64_t from, int64_t n)
{
    sc_language_words w;
    int64_t to = SC_MIN(from + n, len);
    while (from > 0 && from < to && ((unsigned char)p[from] & 0xc0) == 0x80) from++;
    to -= to < len ? sc_utf8_unfinished(p + from, to - from) : 0;
    sc_language_clean(&r->text, p + from, to - from, NULL, 0, &w);
}

sc_status sc_languages_detect(sc_languages_reader *r, const char *text, int64_t len, int64_t most, int64_t k,
                              sc_language *out)
{
    int64_t found = 0;
    if (k < 1 || len < 0 || most < 0)
        return sc_fail(SC_EINVAL, "%lld languages of %lld bytes", (long long)k, (long long)len);
    if (!sc_grow(&r->best, &r->cap, k, sizeof *r->best)) return sc_nomem();
    r->text.len = 0;
    if (!most || len <= most) {
        put_part(r, text, len, 0, len);
    } else {
        put_part(r, text, len, 0, most / 3);
        put_part(r, text, len, (len - most / 3) / 2, most / 3);
        put_part(r, text, len, len - most / 3, most / 3);
    }
    if (r->text.oom) return sc_nomem();
    if (r->text.len) {
        sc_status s = sc_classifier_predict(r->r, r->text.p, r->text.len, k, 0, r->best, &found);
        if (s) return s;
    }
    for (int64_t i = 0; i < k; i++)
        out[i] = i < found ? (sc_language){r->l->code[r->best[i].label], (double)r->best[i].probability}
                           : (sc_language){NULL, 0};
    return SC_OK;
}
