/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <math.h>

enum { JSON_DEPTH = 512 };

/* Jansson's own limit is a build option of the library; this one is ours, and costs one pass. */
static bool too_deep(const char *p, int64_t n)
{
    int depth = 0;
    bool in_string = false;
    for (int64_t i = 0; i < n; i++) {
        char c = p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH) return true;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

/* Whether a word stands at p. */
static bool word_at(const char *p, int64_t n, const char *word)
{
    int64_t len = (int64_t)strlen(word);
    return n >= len && memcmp(p, word, (size_t)len) == 0;
}

/* Python writes integers of any length (a model_max_length of 10^30, say) and Infinity and NaN as words, which jansson
 * refuses: such integers get ".0" and are read as numbers, the words become the largest number and null. */
static char *as_json(const char *p, int64_t n, int64_t *len)
{
    sc_str s = {0};
    bool in_string = false;
    for (int64_t i = 0; i < n;) {
        int64_t from = i;
        bool infinite = !in_string && word_at(p + i, n - i, "Infinity"),
             nan = !in_string && word_at(p + i, n - i, "NaN");
        if (infinite || nan) {
            sc_str_puts(&s, infinite ? "1.7976931348623157e308" : "null");
            i += infinite ? 8 : 3;
            continue;
        }
        if (in_string || !(p[i] >= '0' && p[i] <= '9')) {
            if (p[i] == '"')
                in_string = !in_string;
            else if (in_string && p[i] == '\\' && i + 1 < n)
                i++;
            i++;
            sc_str_append(&s, p + from, i - from);
            continue;
        }
        while (i < n && p[i] >= '0' && p[i] <= '9') i++;
        bool whole = i >= n || !strchr(".eE", p[i]), part = from > 0 && p[from - 1] && strchr(".eE+", p[from - 1]);
        sc_str_append(&s, p + from, i - from);
        if (whole && !part && i - from > 18) sc_str_puts(&s, ".0");
    }
    return sc_str_take(&s, len);
}

sc_status sc_json_parse(json_t **out, const char *p, int64_t n, const char *what)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_error_t e;
    if (too_deep(p, n)) return sc_fail(SC_ELIMIT, "%s: JSON nested deeper than %d", what, JSON_DEPTH);
    json_t *j = json_loadb(p, (size_t)n, flags, &e);
    enum json_error_code code = j ? json_error_unknown : json_error_code(&e);
    if (code == json_error_numeric_overflow || code == json_error_invalid_syntax) {
        int64_t len;
        char *wide = as_json(p, n, &len);
        if (!wide) return sc_nomem();
        json_error_t first = e;
        j = json_loadb(wide, (size_t)len, flags, &e);
        if (!j && code == json_error_invalid_syntax) e = first; /* of the text as it is */
        sc_free(wide);
    }
    if (!j && !e.text[0]) return sc_nomem(); /* jansson says nothing then */
    if (!j) return sc_fail(SC_EFORMAT, "%s: line %d, column %d: %s", what, e.line, e.column, e.text);
    *out = j;
    return SC_OK;
}

sc_status sc_json_read(json_t **out, const char *path, int64_t max)
{
    char *p;
    int64_t n;
    sc_status s = sc_file_read(&p, &n, path, max);
    if (s) return s;
    s = sc_json_parse(out, p, n, path);
    sc_free(p);
    return s;
}

/* The value of a key that is there and not null. */
static json_t *field(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

sc_status sc_json_int(const json_t *o, const char *what, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    json_t *v = field(o, key);
    if (!v) return SC_OK;
    int64_t x;
    if (json_is_integer(v)) {
        x = json_integer_value(v);
    } else if (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)) &&
               fabs(json_real_value(v)) < 9e15) {
        x = (int64_t)json_real_value(v); /* some configs write 128.0 */
    } else {
        return sc_fail(SC_EFORMAT, "%s: %s is not a whole number", what, key);
    }
    if (x < lo || x > hi)
        return sc_fail(SC_ELIMIT, "%s: %s is %lld, outside %lld to %lld", what, key, (long long)x, (long long)lo,
                       (long long)hi);
    *out = x;
    return SC_OK;
}

sc_status sc_json_num(const json_t *o, const char *what, const char *key, double lo, double hi, double *out)
{
    json_t *v = field(o, key);
    if (!v) return SC_OK;
    if (!json_is_number(v)) return sc_fail(SC_EFORMAT, "%s: %s is not a number", what, key);
    double x = json_number_value(v);
    if (!(x >= lo && x <= hi)) return sc_fail(SC_ELIMIT, "%s: %s is %g, outside %g to %g", what, key, x, lo, hi);
    *out = x;
    return SC_OK;
}

sc_status sc_json_bool(const json_t *o, const char *what, const char *key, bool *out)
{
    json_t *v = field(o, key);
    if (!v) return SC_OK;
    if (!json_is_boolean(v)) return sc_fail(SC_EFORMAT, "%s: %s is not true or false", what, key);
    *out = json_is_true(v);
    return SC_OK;
}

sc_status sc_json_str(const json_t *o, const char *what, const char *key, const char **out)
{
    json_t *v = field(o, key);
    if (!v) return SC_OK;
    if (!json_is_string(v)) return sc_fail(SC_EFORMAT, "%s: %s is not a string", what, key);
    *out = json_string_value(v);
    return SC_OK;
}
