/* SPDX-License-Identifier: Apache-2.0 */
/* What is in an answer, however a model wrote it; and records of files. */
#include "synth/synth.h"

#include <stdlib.h>

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

char *sc_synth_trimmed(sc_arena *a, const char *p, int64_t n)
{
    while (n > 0 && is_space(*p)) p++, n--;
    while (n > 0 && is_space(p[n - 1])) n--;
    return sc_arena_strndup(a, p, (size_t)n);
}

static const char *next_line(const char *p)
{
    const char *end = strchr(p, '\n');
    return end ? end + 1 : p + strlen(p);
}

static const char *past_marks(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '*' || *p == '#' || *p == '-' || *p == '>') p++;
    return p;
}

/* Letters of `word` at p, in any case; NULL: another. */
static const char *past_word(const char *p, const char *word)
{
    for (; *word; word++, p++)
        if ((*p | 32) != (*word | 32)) return NULL;
    return p;
}

/* Behind a number of at most four digits at p; NULL: there is none. */
static const char *past_number(const char *p, int *number)
{
    int n = 0, digits = 0;
    for (; *p >= '0' && *p <= '9'; p++, digits++)
        if (digits < 5) n = 10 * n + (*p - '0');
    *number = n;
    return digits && digits < 5 ? p : NULL;
}

/* ---- numbered lists ---- */

/* Behind the mark of an item at the beginning of a line; NULL: it has none. */
static const char *past_item(const char *line, int *number)
{
    static const char *const words[] = {"task", "question", "prompt", "instruction", "example"};
    const char *p = past_marks(line);
    for (int i = 0; i < SC_COUNT(words); i++) {
        const char *q = past_word(p, words[i]);
        if (q && *q == ' ') p = q + 1;
    }
    p = past_number(p, number);
    if (!p || (*p != '.' && *p != ')' && *p != ':')) return NULL;
    p++;
    return *p && !is_space(*p) && *p != '*' ? NULL : p;
}

static sc_status add_item(sc_arena *a, const char *from, const char *to, const char ***list, int64_t *cap, int *n)
{
    while (from < to && (*from == '*' || is_space(*from))) from++;
    const char *text = sc_synth_trimmed(a, from, to - from);
    if (!text || !sc_grow(list, cap, *n + 1, sizeof **list)) return sc_nomem();
    if (*text) (*list)[(*n)++] = text;
    return SC_OK;
}

sc_status sc_synth_items(sc_arena *a, const char *text, int first, const char ***out, int *n)
{
    const char **list = NULL, *from = text, *line = text;
    int64_t cap = 0;
    int number, wanted = first;
    bool started = false; /* a mark was met */
    sc_status s = SC_OK;
    *n = 0;
    while (!s && *line && *n < 1000) {
        const char *item = past_item(line, &number);
        if (item && (number == wanted || number == wanted + 1 || (!started && number == 1))) {
            /* What stands before a mark is the first item where the mark is the second's, else an introduction. */
            bool introduction = !started && (number == first || number == 1);
            if (line > from && !introduction) s = add_item(a, from, line, &list, &cap, n);
            from = item;
            wanted = number + 1;
            started = true;
        }
        line = next_line(line);
    }
    if (!s && *from) s = add_item(a, from, from + strlen(from), &list, &cap, n);
    const char **own = s ? NULL : sc_arena_alloc(a, (size_t)(*n + 1) * sizeof *own);
    if (!s && !own) s = sc_nomem();
    for (int i = 0; !s && i < *n; i++) own[i] = list[i];
    sc_free(list);
    *out = own;
    return s;
}

/* ---- labels ---- */

/* Behind "Label:", with the label's number; NULL: the line has none. */
static const char *past_label(const char *line, const char *const *labels, int n, int *which)
{
    int number;
    const char *p = past_marks(line);
    for (int i = 0; i < n; i++) {
        const char *q = past_word(p, labels[i]);
        if (!q) continue;
        if (*q == ' ' && past_number(q + 1, &number)) q = past_number(q + 1, &number);
        while (*q == '*') q++;
        if (*q != ':') continue;
        q++;
        while (*q == '*') q++;
        *which = i;
        return q;
    }
    return NULL;
}

sc_status sc_synth_labelled(sc_arena *a, const char *text, const char *const *labels, int n_labels,
                            sc_labelled **out, int *n)
{
    enum { MOST = 256 };
    sc_labelled *list = sc_arena_alloc(a, (MOST + 1) * sizeof *list);
    const char *from = text, *line = text;
    int label = -1, which;
    *n = 0;
    if (!list) return sc_nomem();
    while (*n < MOST) {
        const char *behind = *line ? past_label(line, labels, n_labels, &which) : NULL;
        if (behind || !*line) {
            const char *own = sc_synth_trimmed(a, from, line - from);
            if (!own) return sc_nomem();
            if (label >= 0 || *own) list[(*n)++] = (sc_labelled){label, own};
            if (!*line) break;
            from = behind;
            label = which;
        }
        line = next_line(line);
    }
    *out = list;
    return SC_OK;
}

char *sc_synth_paragraph(sc_arena *a, const char *text, const char *const *labels, int n)
{
    int which;
    while (is_space(*text)) text++;
    const char *end = *text ? next_line(text) : text;
    while (*end && *end != '\n' && *end != '\r' && !past_label(end, labels, n, &which)) end = next_line(end);
    return sc_synth_trimmed(a, text, end - text);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

bool sc_synth_repeats(const char *text)
{
    enum { RUN = 4, FEWEST = 16, MOST = 2048 };
    uint64_t word[RUN] = {0}, run[MOST];
    int words = 0, n = 0, different = 0;
    for (const char *p = text; *p && n < MOST;) {
        while (is_space(*p)) p++;
        const char *from = p;
        while (*p && !is_space(*p)) p++;
        if (p == from) break;
        word[words++ % RUN] = sc_hash(from, p - from);
        if (words < RUN) continue;
        uint64_t in_order[RUN];
        for (int k = 0; k < RUN; k++) in_order[k] = word[(words + k) % RUN];
        run[n++] = sc_hash(in_order, sizeof in_order);
    }
    qsort(run, (size_t)n, sizeof *run, by_value);
    for (int i = 0; i < n; i++) different += i == 0 || run[i] != run[i - 1];
    return n >= FEWEST && 2 * different < n;
}

/* ---- files ---- */

const char *sc_synth_text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text && *text && strlen(text) == json_string_length(json_object_get(o, key)) ? text : NULL;
}

sc_status sc_synth_read(const char *path, int64_t limit, sc_synth_record *fn, void *user)
{
    sc_line_reader *r;
    const char *p;
    int64_t n, line = 0, taken = 0;
    bool json = strstr(sc_path_base(path), ".json") != NULL;
    sc_status s = sc_line_reader_open(&r, path, NULL);
    if (s) return s;
    while (!s && (!limit || taken < limit) && !(s = sc_line_reader_next(r, &p, &n)) && p) {
        json_t *o = NULL;
        char where[64];
        line++;
        snprintf(where, sizeof where, "line %lld", (long long)line);
        while (n > 0 && is_space(p[n - 1])) n--;
        if (!n) continue;
        if (json)
            s = sc_json_parse(&o, p, n, where);
        else if (!(o = json_pack("{s:s%}", "prompt", p, (size_t)n)))
            s = sc_fail(SC_EFORMAT, "%s is not UTF-8", where);
        if (!s && !json_is_object(o)) s = sc_fail(SC_EFORMAT, "%s is no JSON object", where);
        if (!s) s = fn(user, o, line);
        if (s) s = sc_fail_in(s, "%s", path);
        json_decref(o);
        taken++;
    }
    sc_line_reader_close(r);
    return s;
}
