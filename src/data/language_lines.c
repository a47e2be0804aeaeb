/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of many languages from the messages of the programs that are installed. A message's lines are all learned from or all held
 * out, in every language; lines with the same letters are one; what stands in two languages is in neither. */
#include "data/languages.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX    (64LL << 20)
#define TEXT_MAX    (1LL << 30) /* bytes of all lines */
#define ENTRIES_MAX 100000      /* of one folder */

enum { LEAST_LETTERS = 32, LONGEST_LINE = 600, HELD_OUT = 10 /* one message of so many */ };

static const sc_language_row rows[] = {
#define L(code, name, folders) {code, name, folders},
#include "data/languages.def"
#undef L
};

const sc_language_row *sc_language_rows(int *n)
{
    *n = SC_COUNT(rows);
    return rows;
}

/* The row whose folders have `name`; -1: none. */
static int row_of(const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "|%s|", name);
    for (int i = 0; i < SC_COUNT(rows); i++)
        if (strstr(rows[i].folders, key)) return i;
    return -1;
}

static int english(void)
{
    for (int i = 0; i < SC_COUNT(rows); i++)
        if (strcmp(rows[i].code, "en") == 0) return i;
    return -1;
}

/* ---- one message ---- */

typedef struct gathering {
    sc_language_lines *l;
    int row, english;
} gathering;

/* What was appended to the text at `at` becomes a line, or goes away again. */
static sc_status put_line(sc_language_lines *l, int64_t at, int row, const sc_language_words *w, uint64_t message)
{
    int64_t len = l->text.len - at;
    if (l->text.oom) return sc_nomem();
    bool good = w->letters >= LEAST_LETTERS && w->known * 3 <= w->letters;
    if (good && len > LONGEST_LINE) {
        len = LONGEST_LINE - sc_utf8_unfinished(l->text.p + at, LONGEST_LINE);
        l->text.len = at + len;
    }
    if (!good) {
        l->text.len = at;
        return SC_OK;
    }
    if (l->text.len > TEXT_MAX) return sc_fail(SC_ELIMIT, "more than %lld bytes of messages", (long long)TEXT_MAX);
    if (!sc_grow(&l->line, &l->cap, l->n + 1, sizeof *l->line)) return sc_nomem();
    l->line[l->n++] = (sc_language_line){.key = sc_language_key(l->text.p + at, len),
                                         .message = message,
                                         .at = at,
                                         .len = (int32_t)len,
                                         .label = row,
                                         .held_out = message % HELD_OUT == 0};
    return SC_OK;
}

/* English itself is what is translated, where that is a sentence and no mere name. */
static bool is_sentence(const char *p, int64_t n)
{
    int spaces = 0;
    for (int64_t i = 0; i < n; i++) {
        if ((unsigned char)p[i] >= 0x80) return false;
        spaces += p[i] == ' ';
    }
    return spaces >= 3;
}

static sc_status put_message(void *user, const char *message, int64_t len, const char *to, int64_t len_to)
{
    gathering *g = user;
    sc_language_words w;
    uint64_t key = sc_language_key(message, len);
    int64_t at = g->l->text.len;
    sc_language_clean(&g->l->text, to, len_to, message, len, &w);
    sc_status s = put_line(g->l, at, g->row, &w, key);
    if (s || !is_sentence(message, len)) return s;
    at = g->l->text.len;
    sc_language_clean(&g->l->text, message, len, NULL, 0, &w);
    return put_line(g->l, at, g->english, &w, key);
}

/* ---- folders ---- */

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void free_names(char **name, int64_t n)
{
    for (int64_t i = 0; i < n; i++) sc_free(name[i]);
    sc_free(name);
}

/* The names in a folder, in order; none where it cannot be read. */
static sc_status names_in(char ***out, int64_t *count, const char *dir)
{
    char **name = NULL;
    int64_t n = 0, cap = 0;
    DIR *d = opendir(dir);
    bool ok = true;
    for (struct dirent *e; d && ok && n < ENTRIES_MAX && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        ok = sc_grow(&name, &cap, n + 1, sizeof *name) && (name[n] = sc_strdup(e->d_name)) != NULL;
        n += ok;
    }
    if (d) closedir(d);
    if (!ok) {
        free_names(name, n);
        return sc_nomem();
    }
    if (n) qsort(name, (size_t)n, sizeof *name, by_name);
    *out = name;
    *count = n;
    return SC_OK;
}

/* A file that cannot be read is counted: one broken file among thousands is no reason to end. */
static sc_status gather_file(gathering *g, const char *path)
{
    char *data;
    int64_t len;
    sc_status s = sc_file_read(&data, &len, path, FILE_MAX);
    if (!s) {
        s = sc_mo_read(data, len, path, put_message, g);
        sc_free(data);
    }
    g->l->files += !s;
    g->l->broken += s == SC_EFORMAT || s == SC_EUNSUPPORTED || s == SC_EIO;
    return s == SC_ENOMEM || s == SC_ELIMIT ? s : SC_OK;
}

static sc_status gather_language(gathering *g, const sc_context *ctx, const char *root, const char *language)
{
    sc_str dir = {0};
    char **name = NULL;
    int64_t n = 0;
    sc_str_printf(&dir, "%s/%s/LC_MESSAGES", root, language);
    sc_status s = dir.oom ? sc_nomem() : names_in(&name, &n, dir.p);
    for (int64_t i = 0; i < n && !s; i++) {
        /* Lists of names of countries, languages and currencies. */
        if (!sc_path_has_suffix(name[i], ".mo") || strncmp(name[i], "iso_", 4) == 0 ||
            strncmp(name[i], "iso-", 4) == 0)
            continue;
        char *path = sc_path_join(dir.p, name[i]);
        s = path ? gather_file(g, path) : sc_nomem();
        sc_free(path);
        if (sc_context_cancelled(ctx)) s = sc_fail(SC_ECANCELLED, "stopped on request");
    }
    free_names(name, n);
    sc_str_free(&dir);
    return s;
}

/* ---- which lines stay ---- */

static int by_key(const void *a, const void *b)
{
    const sc_language_line *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (x->label != y->label) return x->label - y->label;
    if (x->held_out != y->held_out) return x->held_out - y->held_out;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* By language; in it those learned from, then those held out; each in an order that the messages' hashes decide. */
static int by_label(const void *a, const void *b)
{
    const sc_language_line *x = a, *y = b;
    if (x->label != y->label) return x->label - y->label;
    if (x->held_out != y->held_out) return x->held_out - y->held_out;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return 0;
}

/* Of lines with the same letters one stays, one to learn from before one held out; none where two languages have it. */
static void drop_doubles(sc_language_lines *l)
{
    int64_t kept = 0;
    if (l->n) qsort(l->line, (size_t)l->n, sizeof *l->line, by_key);
    for (int64_t i = 0, j; i < l->n; i = j) {
        bool one = true;
        for (j = i + 1; j < l->n && l->line[j].key == l->line[i].key; j++)
            one &= l->line[j].label == l->line[i].label;
        if (one) l->line[kept++] = l->line[i];
    }
    l->n = kept;
}

/* In a language that is not written in Latin letters, lines that are mostly in those are not in it. */
static void drop_other_scripts(sc_language_lines *l)
{
    int64_t ascii[SC_COUNT(rows)] = {0}, all[SC_COUNT(rows)] = {0}, kept = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < l->n; i++) {
            const sc_language_line *x = &l->line[i];
            int64_t here = 0;
            for (int32_t k = 0; k < x->len; k++) here += (unsigned char)l->text.p[x->at + k] < 0x80;
            if (pass == 0) {
                ascii[x->label] += here;
                all[x->label] += x->len;
            } else if (ascii[x->label] * 2 > all[x->label] || here * 2 < x->len) {
                l->line[kept++] = *x;
            }
        }
    l->n = kept;
}

static void drop_many(sc_language_lines *l, int64_t most)
{
    int64_t kept = 0, run = 0;
    if (l->n) qsort(l->line, (size_t)l->n, sizeof *l->line, by_label);
    for (int64_t i = 0; i < l->n; i++) {
        const sc_language_line *x = &l->line[i];
        bool same = i && x->label == l->line[i - 1].label && x->held_out == l->line[i - 1].held_out;
        run = same ? run + 1 : 1;
        if (run <= (x->held_out ? SC_MAX(most / HELD_OUT, 1) : most)) l->line[kept++] = *x;
    }
    l->n = kept;
}

sc_status sc_language_gather(sc_language_lines *l, sc_context *ctx, const char *const *root, int64_t n_roots,
                             int64_t most)
{
    gathering g = {.l = l, .english = english()};
    sc_status s = SC_OK;
    *l = (sc_language_lines){0};
    for (int64_t r = 0; r < n_roots && !s; r++) {
        char **name = NULL;
        int64_t n = 0;
        s = names_in(&name, &n, root[r]);
        for (int64_t i = 0; i < n && !s; i++) {
            sc_progress(ctx, "reading messages", i, n);
            if ((g.row = row_of(name[i])) >= 0) s = gather_language(&g, ctx, root[r], name[i]);
        }
        free_names(name, n);
    }
    if (!s) {
        drop_doubles(l);
        drop_other_scripts(l);
        drop_many(l, most);
    }
    if (s) sc_language_lines_free(l);
    return s;
}

void sc_language_lines_free(sc_language_lines *l)
{
    sc_str_free(&l->text);
    sc_free(l->line);
    *l = (sc_language_lines){0};
}
