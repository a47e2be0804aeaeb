/* SPDX-License-Identifier: Apache-2.0 */
/* Runs as points, from files. */
#include "scale/scale.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define MAX_FILE (64LL << 20)
enum { COLUMNS = 7, MAX_COLUMNS = 64, MAX_NAME = 200 };

typedef enum column { NAME, PARAMETERS, TOKENS, LOSS, COMPUTE, LEVEL, HELD_OUT } column;
static const char *const names[COLUMNS][2] = {{"name", "run"},     {"parameters", "n"}, {"tokens", "d"},
                                              {"loss", "l"},       {"compute", "c"},    {"level", "level"},
                                              {"held_out", "test"}};

static int column_of(const char *name, int64_t n)
{
    for (int i = 0; i < COLUMNS; i++)
        for (int k = 0; k < 2; k++)
            if ((int64_t)strlen(names[i][k]) == n && strncasecmp(names[i][k], name, (size_t)n) == 0) return i;
    return -1;
}

void sc_scale_points_free(sc_scale_points *p)
{
    if (!p) return;
    for (int64_t i = 0; i < p->n; i++) sc_free((void *)(uintptr_t)p->point[i].name);
    sc_free(p->point);
    sc_free(p);
}

/* As read: NAN is what was not given. */
typedef struct given {
    const char *name;
    int64_t name_len;
    double value[COLUMNS];
    const char *where;
    int64_t line;
} given;

static sc_status append(sc_scale_points *p, int64_t *cap, const sc_scale_point *q, const char *name, int64_t n)
{
    if (p->n == SC_SCALE_MAX_POINTS) return sc_fail(SC_ELIMIT, "more than %d runs", SC_SCALE_MAX_POINTS);
    if (!sc_grow(&p->point, cap, p->n + 1, sizeof *p->point)) return sc_nomem();
    p->point[p->n] = *q;
    p->point[p->n].name = sc_strndup(name, (size_t)n);
    if (!p->point[p->n].name) return sc_nomem();
    p->n++;
    return SC_OK;
}

static sc_status add(sc_scale_points *p, int64_t *cap, const given *g)
{
    static const column needed[] = {PARAMETERS, TOKENS, LOSS};
    const double *v = g->value;
    for (int i = 0; i < SC_COUNT(needed); i++)
        if (isnan(v[needed[i]]))
            return sc_fail(SC_EFORMAT, "%s:%lld: no number for '%s'", g->where, (long long)g->line,
                           names[needed[i]][0]);
    for (int i = PARAMETERS; i <= COMPUTE; i++)
        if (!isnan(v[i]) && !(v[i] > 0 && v[i] < 1e100))
            return sc_fail(SC_EFORMAT, "%s:%lld: '%s' is %g", g->where, (long long)g->line, names[i][0], v[i]);
    double level = isnan(v[LEVEL]) ? 0 : v[LEVEL];
    if (!(level >= 0 && level <= 10000 && level == floor(level)))
        return sc_fail(SC_EFORMAT, "%s:%lld: 'level' is %g", g->where, (long long)g->line, level);
    sc_scale_point q = {.n = v[PARAMETERS],
                        .d = v[TOKENS],
                        .loss = v[LOSS],
                        .c = isnan(v[COMPUTE]) ? 6 * v[PARAMETERS] * v[TOKENS] : v[COMPUTE],
                        .level = (int)level,
                        .held_out = !isnan(v[HELD_OUT]) && v[HELD_OUT] != 0};
    return append(p, cap, &q, g->name ? g->name : "", SC_MIN(g->name_len, MAX_NAME));
}

static void begin(given *g, const char *where, int64_t line)
{
    *g = (given){.where = where, .line = line};
    for (int i = 0; i < COLUMNS; i++) g->value[i] = NAN;
}

/* ---- lines ---- */

static sc_status read_object(sc_scale_points *p, int64_t *cap, const char *path, int64_t line, const char *text,
                             int64_t n)
{
    json_t *o = NULL, *v;
    const char *key;
    given g;
    begin(&g, path, line);
    sc_status s = sc_json_parse(&o, text, n, path);
    if (s) return sc_fail_in(s, "line %lld", (long long)line);
    if (!json_is_object(o)) s = sc_fail(SC_EFORMAT, "%s:%lld: not a JSON object", path, (long long)line);
    json_object_foreach(o, key, v)
    {
        int c = column_of(key, (int64_t)strlen(key));
        if (c < 0 || s) continue;
        if (c == NAME && json_is_string(v)) {
            g.name = json_string_value(v);
            g.name_len = (int64_t)json_string_length(v);
        } else if (c == HELD_OUT && json_is_boolean(v))
            g.value[c] = json_is_true(v);
        else if (json_is_number(v))
            g.value[c] = json_number_value(v);
    }
    if (!s) s = add(p, cap, &g);
    json_decref(o);
    return s;
}

typedef struct table {
    int column[MAX_COLUMNS]; /* of names; -1: not read */
    int n;
    char separator;
} table;

/* Calls for each field: its text without blanks and quotes around it. */
static const char *next_field(const char *p, const char *end, char separator, const char **text, int64_t *n)
{
    const char *stop = memchr(p, separator, (size_t)(end - p)), *last = stop ? stop : end;
    while (p < last && (*p == ' ' || *p == '"')) p++;
    while (last > p && (last[-1] == ' ' || last[-1] == '"' || last[-1] == '\r')) last--;
    *text = p;
    *n = last - p;
    return stop ? stop + 1 : NULL;
}

static sc_status read_header(table *t, const char *path, const char *p, int64_t n)
{
    const char *end = p + n, *text;
    int64_t len;
    for (; p; t->n++) {
        p = next_field(p, end, t->separator, &text, &len);
        if (t->n == MAX_COLUMNS) return sc_fail(SC_ELIMIT, "%s: more than %d columns", path, MAX_COLUMNS);
        t->column[t->n] = column_of(text, len);
    }
    return SC_OK;
}

static sc_status read_row(sc_scale_points *points, int64_t *cap, const table *t, const char *path, int64_t line,
                          const char *p, int64_t n)
{
    const char *end = p + n, *text;
    char number[64], *stop;
    int64_t len;
    given g;
    begin(&g, path, line);
    for (int i = 0; p && i < t->n; i++) {
        p = next_field(p, end, t->separator, &text, &len);
        int c = t->column[i];
        if (c < 0 || !len) continue;
        if (c == NAME) {
            g.name = text;
            g.name_len = len;
            continue;
        }
        if (len >= (int64_t)sizeof number) len = sizeof number - 1;
        memcpy(number, text, (size_t)len);
        number[len] = 0;
        g.value[c] = c == HELD_OUT && strcasecmp(number, "true") == 0    ? 1
                     : c == HELD_OUT && strcasecmp(number, "false") == 0 ? 0
                                                                         : strtod(number, &stop);
        if (c != HELD_OUT && *stop)
            return sc_fail(SC_EFORMAT, "%s:%lld: '%s' is no number", path, (long long)line, number);
    }
    return add(points, cap, &g);
}

sc_status sc_scale_points_text(sc_scale_points *p, int64_t *cap, const char *path, const char *text, int64_t n)
{
    bool json = !sc_path_has_suffix(path, ".tsv") && !sc_path_has_suffix(path, ".csv");
    table t = {.separator = sc_path_has_suffix(path, ".csv") ? ',' : '\t'};
    const char *end = text + n, *next;
    sc_status s = SC_OK;
    if (!sc_utf8_valid(text, n)) return sc_fail(SC_EFORMAT, "%s: not UTF-8", path);
    for (int64_t line = 1; !s && text < end; text = next, line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        int64_t len = (stop ? stop : end) - text;
        next = stop ? stop + 1 : end;
        bool blank = true;
        for (int64_t i = 0; i < len && blank; i++) blank = strchr(" \t\r", text[i]) != NULL;
        if (blank) continue;
        if (json)
            s = read_object(p, cap, path, line, text, len);
        else if (!t.n)
            s = read_header(&t, path, text, len);
        else
            s = read_row(p, cap, &t, path, line, text, len);
    }
    return s;
}

/* ---- levels ---- */

typedef struct placed {
    double c;
    int64_t at;
} placed;

static int by_compute(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    return x->c < y->c ? -1 : x->c > y->c ? 1 : x->at < y->at ? -1 : x->at > y->at;
}

sc_status sc_scale_points_levels(sc_scale_points *p)
{
    static const double near = 1.1;
    int next = 1;
    placed *sorted = sc_malloc(sizeof *sorted * (size_t)(p->n + 1));
    if (!sorted) return sc_nomem();
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) {
        next = SC_MAX(next, p->point[i].level + 1);
        if (!p->point[i].level && !p->point[i].held_out) sorted[n++] = (placed){p->point[i].c, i};
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_compute);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && sorted[j].c <= near * sorted[i].c;) j++;
        if (j - i < 3) continue;
        for (int64_t k = i; k < j; k++) p->point[sorted[k].at].level = next;
        next++;
    }
    sc_free(sorted);
    return SC_OK;
}

sc_status sc_scale_points_read(sc_scale_points **out, const char *const *path, int n)
{
    sc_scale_points *p = sc_calloc(1, sizeof *p);
    int64_t cap = 0, len;
    sc_status s = p ? SC_OK : sc_nomem();
    for (int i = 0; !s && i < n; i++) {
        char *text = NULL,
             *file = sc_path_is_dir(path[i]) ? sc_path_join(path[i], "points.jsonl") : sc_strdup(path[i]);
        s = file ? sc_file_read(&text, &len, file, MAX_FILE) : sc_nomem();
        if (!s) s = sc_scale_points_text(p, &cap, file, text, len);
        sc_free(text);
        sc_free(file);
    }
    if (!s && !p->n) s = sc_fail(SC_EINVAL, "%s: no runs in it", n ? path[0] : "points");
    if (!s) s = sc_scale_points_levels(p);
    if (s)
        sc_scale_points_free(p);
    else
        *out = p;
    return s;
}
