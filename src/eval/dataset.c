/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of files: JSON (an array, or one within a field), JSON Lines, CSV and TSV, plain lines; gzip and zstd too. What a
 * cell of a table is follows from its whole column, as pandas has it: whole numbers, numbers, truth values, else texts, and
 * nothing where a cell is empty or spells NA. */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_ROWS = 5000000, MOST_COLUMNS = 4096 };
#define MOST_BYTES ((int64_t)1 << 30)

/* ---- tables ---- */

typedef struct table {
    const char *what;
    char separator;
    bool quotes;   /* cells may be quoted */
    sc_str cells;  /* one behind the other, each with a NUL */
    int64_t *cell; /* (rows, columns) where each begins, -1: the row is too short */
    int64_t n, cap;
    int64_t columns, rows;
} table;

static sc_status add_cell(table *t, int64_t begin)
{
    sc_str_putc(&t->cells, 0);
    if (t->cells.oom || !sc_grow(&t->cell, &t->cap, t->n + 1, sizeof *t->cell)) return sc_nomem();
    t->cell[t->n++] = begin;
    return SC_OK;
}

/* One line's cells from p on, which may hold quoted line ends; *at is behind it. */
static sc_status read_line(table *t, const char *p, int64_t n, int64_t *at, int64_t *cells)
{
    sc_status s = SC_OK;
    bool end = false;
    *cells = 0;
    while (!end && !s) {
        int64_t begin = t->cells.len;
        bool open = t->quotes && *at < n && p[*at] == '"';
        *at += open;
        while (*at < n) {
            char c = p[*at];
            if (open && c == '"') {
                if (*at + 1 < n && p[*at + 1] == '"') {
                    sc_str_putc(&t->cells, c);
                    *at += 2;
                    continue;
                }
                open = false;
                ++*at;
                continue;
            }
            if (!open && (c == t->separator || c == '\n' || (c == '\r' && (*at + 1 == n || p[*at + 1] == '\n'))))
                break;
            sc_str_putc(&t->cells, c);
            ++*at;
        }
        if (open)
            return sc_fail(SC_EFORMAT, "%s: row %lld: a quoted cell without an end", t->what,
                           (long long)t->rows + 1);
        end = *at >= n || p[*at] != t->separator;
        if (!end) ++*at;
        if (++*cells > MOST_COLUMNS) return sc_fail(SC_ELIMIT, "%s: more than %d columns", t->what, MOST_COLUMNS);
        s = add_cell(t, begin);
    }
    if (*at < n && p[*at] == '\r') ++*at;
    if (*at < n && p[*at] == '\n') ++*at;
    return s;
}

/* All rows, each with as many cells as the first one. */
static sc_status read_table(table *t, const char *p, int64_t n)
{
    int64_t at = 0;
    if (n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) at = 3;
    while (at < n) {
        if (p[at] == '\n' || (p[at] == '\r' && at + 1 < n && p[at + 1] == '\n')) { /* empty lines are none */
            at += p[at] == '\r' ? 2 : 1;
            continue;
        }
        int64_t cells;
        sc_status s = read_line(t, p, n, &at, &cells);
        if (s) return s;
        if (!t->rows) t->columns = cells;
        if (cells > t->columns)
            return sc_fail(SC_EFORMAT, "%s: row %lld has %lld cells, the first one %lld", t->what,
                           (long long)t->rows + 1, (long long)cells, (long long)t->columns);
        if (++t->rows > MOST_ROWS) return sc_fail(SC_ELIMIT, "%s: more than %d rows", t->what, MOST_ROWS);
        for (; cells < t->columns; cells++) {
            if (!sc_grow(&t->cell, &t->cap, t->n + 1, sizeof *t->cell)) return sc_nomem();
            t->cell[t->n++] = -1;
        }
    }
    return SC_OK;
}

static bool spells_nothing(const char *s)
{
    static const char *const words[] = {"",     "#N/A",   "#N/A N/A", "#NA",  "-1.#IND", "-1.#QNAN", "-NaN",
                                        "-nan", "1.#IND", "1.#QNAN",  "<NA>", "N/A",     "NA",       "NULL",
                                        "NaN",  "None",   "n/a",      "nan",  "null"};
    for (int i = 0; i < SC_COUNT(words); i++)
        if (strcmp(s, words[i]) == 0) return true;
    return false;
}

typedef enum cell_type { WHOLE, REAL, TRUTH, TEXT } cell_type;

static const char *cell_at(const table *t, int64_t row, int64_t column)
{
    int64_t at = t->cell[row * t->columns + column];
    return at < 0 ? "" : t->cells.p + at;
}

static bool whole(const char *s, int64_t *out)
{
    char *end;
    const char *d = s + (*s == '-' || *s == '+');
    if (*d < '0' || *d > '9' || strlen(d) > 18) return false;
    *out = strtoll(s, &end, 10);
    return !*end;
}

static bool real(const char *s, double *out)
{
    char *end;
    const char *d = s + (*s == '-' || *s == '+');
    if (!((*d >= '0' && *d <= '9') || (*d == '.' && d[1] >= '0' && d[1] <= '9')) || d[1] == 'x' || d[1] == 'X')
        return false;
    *out = strtod(s, &end);
    return !*end && isfinite(*out);
}

static cell_type column_type(const table *t, int64_t column, int64_t first)
{
    bool may[TEXT] = {true, true, true}, any = false, gap = false;
    for (int64_t r = first; r < t->rows && (may[WHOLE] || may[REAL] || may[TRUTH]); r++) {
        const char *s = cell_at(t, r, column);
        int64_t i;
        double d;
        if (spells_nothing(s)) {
            gap = true;
            continue;
        }
        any = true;
        may[WHOLE] &= whole(s, &i);
        may[REAL] &= real(s, &d);
        may[TRUTH] &= !strcmp(s, "True") || !strcmp(s, "False") || !strcmp(s, "TRUE") || !strcmp(s, "FALSE") ||
                      !strcmp(s, "true") || !strcmp(s, "false");
    }
    if (!any) return TEXT;
    if (may[WHOLE] && !gap) return WHOLE;
    if (may[REAL]) return REAL;
    return may[TRUTH] && !gap ? TRUTH : TEXT;
}

static json_t *cell_value(const char *s, cell_type type)
{
    int64_t i = 0;
    double d = 0;
    if (spells_nothing(s)) return json_null();
    if (type == WHOLE && whole(s, &i)) return json_integer(i);
    if (type == REAL && real(s, &d)) return json_real(d);
    if (type == TRUTH) return json_boolean((*s | 32) == 't');
    return json_string(s);
}

static sc_status table_rows(json_t *rows, const table *t, const json_t *names)
{
    cell_type *type = sc_calloc((size_t)SC_MAX(t->columns, 1), sizeof *type);
    int64_t first = names ? 0 : 1;
    sc_status s = type ? SC_OK : sc_nomem();
    if (!s && names && (int64_t)json_array_size(names) != t->columns)
        s = sc_fail(SC_EFORMAT, "%s: %lld columns, but column_names has %zu", t->what, (long long)t->columns,
                    json_array_size(names));
    for (int64_t c = 0; !s && c < t->columns; c++) type[c] = column_type(t, c, first);
    for (int64_t r = first; !s && r < t->rows; r++) {
        json_t *o = json_object();
        bool ok = o && !json_array_append_new(rows, o);
        for (int64_t c = 0; ok && c < t->columns; c++) {
            const char *name = names ? json_string_value(json_array_get(names, (size_t)c)) : cell_at(t, 0, c);
            json_t *v = cell_value(cell_at(t, r, c), type[c]);
            ok = name && v && !json_object_set_new(o, name, v);
        }
        if (!ok) s = sc_nomem();
    }
    sc_free(type);
    return s;
}

static sc_status read_csv(json_t *rows, const char *p, int64_t n, const char *what, const json_t *kwargs,
                          char separator)
{
    const char *sep = NULL;
    int64_t quoting = 0;
    const json_t *names = json_object_get(kwargs, "column_names");
    if (!names) names = json_object_get(kwargs, "names");
    sc_status s = sc_json_str(kwargs, "dataset_kwargs", "delimiter", &sep);
    if (!s && !sep) s = sc_json_str(kwargs, "dataset_kwargs", "sep", &sep);
    if (!s) s = sc_json_int(kwargs, "dataset_kwargs", "quoting", 0, 3, &quoting);
    if (!s && names && !json_is_array(names))
        s = sc_fail(SC_EFORMAT, "dataset_kwargs: column_names must be a list");
    if (!s && sep && strlen(sep) != 1)
        s = sc_fail(SC_EFORMAT, "dataset_kwargs: the delimiter must be one character");
    if (s) return s;
    table t = {.what = what, .separator = sep ? *sep : separator, .quotes = quoting != 3};
    s = read_table(&t, p, n);
    if (!s) s = table_rows(rows, &t, names);
    sc_str_free(&t.cells);
    sc_free(t.cell);
    return s;
}

/* ---- JSON ---- */

static sc_status read_lines(json_t *rows, const char *p, int64_t n, const char *what)
{
    sc_status s = SC_OK;
    int64_t line = 1;
    for (int64_t at = 0; !s && at < n; line++) {
        const char *end = memchr(p + at, '\n', (size_t)(n - at));
        int64_t len = (end ? end - p : n) - at, blank = 0;
        while (blank < len && strchr(" \t\r", p[at + blank])) blank++;
        json_t *o;
        if (blank < len) {
            if (json_array_size(rows) >= MOST_ROWS)
                s = sc_fail(SC_ELIMIT, "%s: more than %d rows", what, MOST_ROWS);
            else if ((s = sc_json_parse(&o, p + at, len, "a row")))
                s = sc_fail_in(s, "%s line %lld", what, (long long)line);
            else if (json_array_append_new(rows, o))
                s = sc_nomem();
        }
        at += len + 1;
    }
    return s;
}

static sc_status read_json(json_t *rows, const char *p, int64_t n, const char *what, const json_t *kwargs)
{
    const char *field = NULL;
    sc_status s = sc_json_str(kwargs, "dataset_kwargs", "field", &field);
    if (s) return s;
    int64_t at = 0;
    while (at < n && strchr(" \t\r\n", p[at])) at++;
    json_t *v = NULL;
    if (!field && (at == n || p[at] != '[')) return read_lines(rows, p, n, what);
    s = sc_json_parse(&v, p, n, what);
    if (s) return s;
    json_t *list = field ? json_object_get(v, field) : v;
    if (!json_is_array(list))
        s = sc_fail(SC_EFORMAT, field ? "%s: no list in the field '%s'" : "%s: not a list", what,
                    field ? field : "");
    else if (json_array_size(list) > MOST_ROWS)
        s = sc_fail(SC_ELIMIT, "%s: more than %d rows", what, MOST_ROWS);
    else if (json_array_extend(rows, list))
        s = sc_nomem();
    json_decref(v);
    return s;
}

static sc_status read_texts(json_t *rows, const char *p, int64_t n, const char *what)
{
    for (int64_t at = 0; at < n;) {
        const char *end = memchr(p + at, '\n', (size_t)(n - at));
        int64_t len = (end ? end - p : n) - at, next = at + len + 1;
        if (len && p[at + len - 1] == '\r') len--;
        if (json_array_size(rows) >= MOST_ROWS) return sc_fail(SC_ELIMIT, "%s: more than %d rows", what, MOST_ROWS);
        json_t *v = json_stringn(p + at, (size_t)len);
        if (!v) return sc_fail(SC_EFORMAT, "%s: row %zu is not UTF-8", what, json_array_size(rows) + 1);
        if (json_array_append_new(rows, json_pack("{s:o}", "text", v))) return sc_nomem();
        at = next;
    }
    return SC_OK;
}

/* Every row has the first one's fields at least, null where it says nothing, as a table has them. */
static sc_status level(json_t *rows, const char *what)
{
    json_t *all = json_object();
    const char *key;
    json_t *v;
    if (!all) return sc_nomem();
    sc_status s = SC_OK;
    for (size_t i = 0; !s && i < json_array_size(rows); i++) {
        json_t *o = json_array_get(rows, i);
        if (!json_is_object(o)) s = sc_fail(SC_EFORMAT, "%s: row %zu is not an object", what, i + 1);
        json_object_foreach(o, key, v)
        {
            if (!json_object_get(all, key) && json_object_set_new(all, key, json_null())) s = sc_nomem();
        }
        if (!s && json_object_size(all) > MOST_COLUMNS)
            s = sc_fail(SC_ELIMIT, "%s: more than %d fields", what, MOST_COLUMNS);
    }
    for (size_t i = 0; !s && i < json_array_size(rows); i++) {
        json_t *o = json_array_get(rows, i);
        if (json_object_size(o) < json_object_size(all) && json_object_update_missing(o, all)) s = sc_nomem();
    }
    json_decref(all);
    return s;
}

/* ---- files ---- */

sc_status sc_dataset_parse(json_t *rows, const char *p, int64_t n, const char *what, const char *kind,
                           const json_t *kwargs)
{
    sc_status s;
    if (!sc_utf8_valid(p, n)) return sc_fail(SC_EFORMAT, "%s: not UTF-8", what);
    if (memchr(p, 0, (size_t)n)) return sc_fail(SC_EFORMAT, "%s: has a NUL, so it is no text", what);
    if (strcmp(kind, "csv") == 0 || strcmp(kind, "tsv") == 0)
        s = read_csv(rows, p, n, what, kwargs, *kind == 't' ? '\t' : ',');
    else if (strcmp(kind, "text") == 0)
        s = read_texts(rows, p, n, what);
    else
        s = read_json(rows, p, n, what, kwargs);
    return s ? s : level(rows, what);
}

sc_status sc_dataset_read(json_t *rows, const char *path, const char *kind, const json_t *kwargs)
{
    char *data;
    int64_t n;
    sc_status s = sc_bytes_all(&data, &n, path, MOST_BYTES);
    if (s) return s;
    if (!kind)
        kind = sc_path_is(path, ".csv")   ? "csv"
               : sc_path_is(path, ".tsv") ? "tsv"
               : sc_path_is(path, ".txt") ? "text"
                                          : "json";
    s = sc_dataset_parse(rows, data, n, path, kind, kwargs);
    sc_free(data);
    return s;
}
