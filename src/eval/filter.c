/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to answers before they are measured: filter_list's steps, in order. */
#include "eval/eval.h"

#include <stdlib.h>

static const char *const DEFAULT_PATTERN = "#### (\\-?[0-9\\.\\,]+)";

/* ---- reading ---- */

void sc_filters_free(sc_eval_task *t)
{
    for (int i = 0; i < t->n_filters; i++) {
        sc_filter *f = &t->filter[i];
        for (int k = 0; k < f->n; k++) {
            sc_search_free(f->step[k].search);
            for (int j = 0; j < f->step[k].n_ignore; j++) sc_search_free(f->step[k].ignore[j]);
        }
        sc_free(f->step);
    }
    sc_free(t->filter);
    t->filter = NULL;
    t->n_filters = 0;
}

static sc_status read_regex(sc_filter_step *x, const json_t *o, const char *where)
{
    const char *pattern = DEFAULT_PATTERN;
    x->fallback = "[invalid]";
    sc_status s = sc_json_str(o, where, "regex_pattern", &pattern);
    if (!s) s = sc_json_int(o, where, "group_select", -1000, 1000, &x->group);
    if (!s) s = sc_json_str(o, where, "fallback", &x->fallback);
    if (!s) s = sc_json_bool(o, where, "ignore_case", &x->ignore_case);
    if (!s) s = sc_json_bool(o, where, "ignore_punctuation", &x->ignore_punctuation);
    if (!s) s = sc_search_new(&x->search, pattern, (int64_t)strlen(pattern), 0, where);
    const json_t *list = json_object_get(o, "regexes_to_ignore");
    for (size_t i = 0; !s && i < json_array_size(list); i++) {
        const char *p = json_string_value(json_array_get(list, i));
        if (!p || x->n_ignore == SC_COUNT(x->ignore))
            s = sc_fail(SC_EFORMAT, "%s: regexes_to_ignore: at most %d texts", where, SC_COUNT(x->ignore));
        else if (!(s = sc_search_new(&x->ignore[x->n_ignore], p, (int64_t)strlen(p), 0, where)))
            x->n_ignore++;
    }
    return s;
}

static sc_status read_step(sc_filter_step *x, const json_t *o, const char *where)
{
    static const char *const names[] = {"regex",      "multi_choice_regex", "remove_whitespace",
                                        "take_first", "take_first_k",       "majority_vote",
                                        "lowercase",  "uppercase",          "map"};
    const char *name = NULL;
    sc_status s = sc_json_str(o, where, "function", &name);
    if (s) return s;
    int i = 0;
    while (name && i < SC_COUNT(names) && strcmp(names[i], name) != 0) i++;
    if (!name || i == SC_COUNT(names))
        return sc_fail(SC_EUNSUPPORTED,
                       "%s: no filter '%.60s'; there are regex, multi_choice_regex, remove_whitespace, "
                       "take_first, take_first_k, majority_vote, lowercase, uppercase, map",
                       where, name ? name : "");
    x->kind = (sc_filter_kind)i;
    if (x->kind == SC_FILTER_REGEX || x->kind == SC_FILTER_CHOICE_REGEX) return read_regex(x, o, where);
    x->k = 1;
    if (x->kind == SC_FILTER_FIRST_K) return sc_json_int(o, where, "k", 1, 4096, &x->k);
    if (x->kind == SC_FILTER_MAP) {
        x->map = json_object_get(o, "mapping_dict");
        x->otherwise = json_object_get(o, "default_value");
        if (x->map && !json_is_object(x->map))
            return sc_fail(SC_EFORMAT, "%s: mapping_dict must be a mapping", where);
    }
    return SC_OK;
}

static sc_status read_filter(sc_filter *f, const json_t *o, const char *where)
{
    const json_t *steps = json_object_get(o, "filter");
    sc_status s = sc_json_str(o, where, "name", &f->name);
    if (s) return s;
    if (!f->name || !json_is_array(steps) || json_array_size(steps) > 64)
        return sc_fail(SC_EFORMAT, "%s: filter_list: each has a name and a list of at most 64 functions", where);
    f->step = sc_calloc(SC_MAX(json_array_size(steps), 1), sizeof *f->step);
    if (!f->step) return sc_nomem();
    for (size_t i = 0; !s && i < json_array_size(steps); i++, f->n++)
        s = read_step(&f->step[i], json_array_get(steps, i), where);
    return s;
}

sc_status sc_filters_read(sc_eval_task *t)
{
    const json_t *list = json_object_get(t->config, "filter_list");
    bool own = json_is_array(list) && json_array_size(list);
    size_t n = own ? json_array_size(list) : 1;
    if (list && !json_is_null(list) && !json_is_array(list))
        return sc_fail(SC_EFORMAT, "%s: filter_list must be a list", t->where);
    if (n > 64) return sc_fail(SC_ELIMIT, "%s: more than 64 filters", t->where);
    if (!(t->filter = sc_calloc(n, sizeof *t->filter))) return sc_nomem();
    if (!own) {
        t->n_filters = 1;
        t->filter[0].name = "none";
        if (!(t->filter[0].step = sc_calloc(1, sizeof *t->filter[0].step))) return sc_nomem();
        t->filter[0].step[t->filter[0].n++].kind = SC_FILTER_FIRST;
        return SC_OK;
    }
    sc_status s = SC_OK;
    for (size_t i = 0; !s && i < n; i++) {
        t->n_filters++;
        s = read_filter(&t->filter[i], json_array_get(list, i), t->where);
    }
    return s;
}

/* ---- texts ---- */

static json_t *stripped(const char *p, int64_t n)
{
    sc_py_strip(&p, &n);
    return json_stringn(p, (size_t)n);
}

static json_t *cased(const char *p, int64_t n, bool upper)
{
    sc_str s = {0};
    sc_py_case(&s, p, n, upper);
    json_t *v = s.oom ? NULL : json_stringn(s.p ? s.p : "", (size_t)s.len);
    sc_str_free(&s);
    return v;
}

/* Of the Unicode categories that begin with P. */
static bool punctuation(uint32_t c)
{
    return c < 0x80 ? c && strchr("!\"#%&'()*,-./:;?@[\\]_{}", (int)c) : sc_uni_punct(c);
}

/* ---- regular expressions ---- */

/* The match at index `which` of all (from the end where negative), without spaces around it: its first group that is not
 * empty, or the whole where there are no groups. *out NULL: none; `empty`: one whose groups are all empty. */
static sc_status find(json_t **out, sc_search *s, const char *p, int64_t n, int64_t which, bool *empty)
{
    sc_search_place at = {0};
    sc_status status = SC_OK;
    int64_t count = 0;
    bool found = true;
    *out = NULL;
    *empty = false;
    if (which < 0) { /* how many there are */
        while (!(status = sc_search_next(s, p, n, &at, &found)) && found) count++;
        if (status) return status;
        which += count;
        at = (sc_search_place){0};
        count = 0;
        if (which < 0) return SC_OK;
    }
    while (!(status = sc_search_next(s, p, n, &at, &found)) && found)
        if (count++ == which) break;
    if (status || !found) return status;
    int64_t begin = at.begin, end = at.end;
    int groups = sc_search_groups(s);
    if (groups) {
        begin = end = at.begin;
        for (int g = 1; g <= groups && begin == end; g++) {
            int64_t b, e;
            if (sc_search_group(s, g, &b, &e)) begin = b, end = e;
        }
        *empty = groups > 1 && begin == end;
    }
    *out = stripped(p + begin, end - begin);
    return *out ? SC_OK : sc_nomem();
}

static sc_status regex_step(json_t **out, const sc_filter_step *x, const char *p, int64_t n)
{
    bool empty;
    sc_status s = find(out, x->search, p, n, x->group, &empty);
    if (s) return s;
    if (*out && !empty) return SC_OK;
    json_decref(*out);
    return (*out = json_string(x->fallback)) ? SC_OK : sc_nomem();
}

/* A text without what the step's other expressions match, without case or punctuation where it says so. */
static sc_status bare(char **out, const sc_filter_step *x, const char *p)
{
    sc_str s = {0}, r = {0};
    sc_str_puts(&s, p);
    sc_status status = SC_OK;
    for (int i = 0; !status && i < x->n_ignore; i++) {
        status = sc_search_replace(x->ignore[i], s.p ? s.p : "", s.len, "", 0, 0, INT32_MAX, &r);
        sc_str_free(&s);
        s = r;
        r = (sc_str){0};
    }
    if (!status && x->ignore_case) {
        sc_py_case(&r, s.p ? s.p : "", s.len, false);
        sc_str_free(&s);
        s = r;
        r = (sc_str){0};
    }
    if (!status && x->ignore_punctuation) {
        uint32_t c;
        for (int64_t i = 0; i < s.len;) {
            int k = sc_utf8_decode(s.p + i, s.len - i, &c);
            if (!punctuation(c)) sc_str_append(&r, s.p + i, k);
            i += k;
        }
        sc_str_free(&s);
        s = r;
        r = (sc_str){0};
    }
    if (!s.p) sc_str_puts(&s, "");
    if (!status && !(*out = sc_str_take(&s, NULL))) status = sc_nomem();
    sc_str_free(&s);
    return status;
}

/* The letter of the choice whose text stands first in the answer; of those that begin at one place the longest. */
static sc_status choice_by_text(json_t **out, const sc_filter_step *x, const char *answer, const json_t *choices)
{
    char *text = NULL, letter[8] = "";
    const char *best = NULL;
    size_t best_n = 0;
    sc_status s = bare(&text, x, answer);
    for (size_t i = 0; !s && i < json_array_size(choices) && i < 26; i++) {
        char *choice = NULL;
        json_t *trimmed = json_is_string(json_array_get(choices, i))
                              ? stripped(json_string_value(json_array_get(choices, i)),
                                         (int64_t)json_string_length(json_array_get(choices, i)))
                              : json_string("");
        s = trimmed ? bare(&choice, x, json_string_value(trimmed)) : sc_nomem();
        const char *hit = !s && *choice ? strstr(text, choice) : NULL;
        if (hit && (!best || hit < best || (hit == best && strlen(choice) > best_n))) {
            best = hit;
            best_n = strlen(choice);
            snprintf(letter, sizeof letter, "(%c)", (char)('A' + i));
        }
        sc_free(choice);
        json_decref(trimmed);
    }
    sc_free(text);
    if (!s && best && !(*out = json_string(letter))) s = sc_nomem();
    return s;
}

/* ": B" */
static json_t *choice_by_letter(const char *p, size_t choices)
{
    for (const char *at = strchr(p, ':'); at; at = strchr(at + 1, ':')) {
        const char *q = at + 1;
        while (*q == ' ' || (*q >= '\t' && *q <= '\r')) q++;
        if (*q >= 'A' && *q < 'A' + (int)SC_MIN(choices, 26)) return json_pack("s", (char[]){'(', *q, ')', 0});
    }
    return NULL;
}

static sc_status choice_regex_step(json_t **out, const sc_filter_step *x, const char *p, int64_t n,
                                   const json_t *row)
{
    const json_t *choices = json_object_get(row, "choices");
    bool empty;
    if (!json_is_array(choices))
        return sc_fail(SC_EFORMAT, "multi_choice_regex: a row has no list in its field 'choices'");
    sc_status s = find(out, x->search, p, n, x->group, &empty);
    if (!s && *out && !*json_string_value(*out)) {
        json_decref(*out);
        *out = NULL;
    }
    if (!s && !*out) s = choice_by_text(out, x, p, choices);
    if (!s && !*out) *out = choice_by_letter(p, json_array_size(choices));
    if (!s && !*out && !(*out = json_string(x->fallback))) s = sc_nomem();
    return s;
}

/* ---- steps ---- */

static sc_status one(json_t **out, const sc_filter_step *x, const json_t *v, const json_t *row)
{
    const char *p = json_is_string(v) ? json_string_value(v) : "";
    int64_t n = (int64_t)strlen(p);
    switch (x->kind) {
    case SC_FILTER_REGEX: return regex_step(out, x, p, n);
    case SC_FILTER_CHOICE_REGEX: return choice_regex_step(out, x, p, n, row);
    case SC_FILTER_TRIM: *out = stripped(p, n); break;
    case SC_FILTER_LOWER:
    case SC_FILTER_UPPER: *out = cased(p, n, x->kind == SC_FILTER_UPPER); break;
    case SC_FILTER_MAP: {
        const json_t *to = json_object_get(x->map, p);
        if (!to) to = x->otherwise;
        *out = to ? json_incref((json_t *)to) : json_null();
        break;
    }
    default: *out = json_incref((json_t *)v);
    }
    return *out ? SC_OK : sc_nomem();
}

/* The answer that most agree on, of equals the one that came first. */
static const json_t *majority(const json_t *list)
{
    size_t best = 0, most = 0, n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        size_t votes = 0;
        for (size_t j = 0; j < n; j++) votes += json_equal(json_array_get(list, i), json_array_get(list, j)) != 0;
        if (votes > most) most = votes, best = i;
    }
    return json_array_get(list, best);
}

static sc_status apply_step(json_t **v, const sc_filter_step *x, const json_t *row)
{
    json_t *in = *v, *out = NULL;
    sc_status s = SC_OK;
    if (!json_is_array(in)) { /* one was taken already */
        s = x->kind == SC_FILTER_FIRST || x->kind == SC_FILTER_FIRST_K || x->kind == SC_FILTER_MAJORITY
                ? SC_OK
                : one(&out, x, in, row);
        if (!s && !out) return SC_OK;
    } else if (x->kind == SC_FILTER_FIRST) {
        out = json_incref(json_array_get(in, 0));
    } else if (x->kind == SC_FILTER_FIRST_K) {
        if ((int64_t)json_array_size(in) < x->k)
            return sc_fail(SC_EINVAL, "take_first_k: %lld answers are wanted, of %zu (repeats)", (long long)x->k,
                           json_array_size(in));
        out = json_array();
        for (int64_t i = 0; out && i < x->k; i++) json_array_append(out, json_array_get(in, (size_t)i));
    } else if (x->kind == SC_FILTER_MAJORITY) {
        out = json_array();
        if (out) json_array_append(out, (json_t *)majority(in));
    } else {
        out = json_array();
        for (size_t i = 0; !s && out && i < json_array_size(in); i++) {
            json_t *y = NULL;
            s = one(&y, x, json_array_get(in, i), row);
            if (!s && json_array_append_new(out, y)) s = sc_nomem();
        }
    }
    if (!s && !out) s = sc_nomem();
    if (s) {
        json_decref(out);
        return s;
    }
    json_decref(in);
    *v = out;
    return SC_OK;
}

sc_status sc_filter_apply(json_t **out, const sc_filter *f, const json_t *answers, const json_t *row)
{
    json_t *v = json_incref((json_t *)answers);
    sc_status s = SC_OK;
    for (int i = 0; !s && i < f->n; i++) s = apply_step(&v, &f->step[i], row);
    if (s)
        json_decref(v);
    else
        *out = v;
    return s;
}
