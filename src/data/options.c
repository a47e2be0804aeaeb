/* SPDX-License-Identifier: Apache-2.0 */
/* Options of stages and sources: a JSON object beside a table that says what may stand in it. */
#include "data/data.h"

#include <stdlib.h>

int64_t sc_size_parse(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9') return -1;
    double x = strtod(text, &end);
    static const char units[] = "KMGT";
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    if (unit) {
        for (const char *u = units; u <= unit; u++) x *= 1024;
        end++;
        if (*end == 'i') end++;
        if (*end == 'B') end++;
    }
    return *end == 0 && x >= 0 && x < 9e18 ? (int64_t)x : -1;
}

static const sc_setting *row_of(const sc_settings *s, const char *name)
{
    for (const sc_setting *r = s->table; r && r->name; r++)
        if (strcmp(r->name, name) == 0) return r;
    return NULL;
}

static bool in_words(const char *name, const char *words)
{
    size_t n = strlen(name);
    for (const char *w = words; w && *w;) {
        size_t len = strcspn(w, "|");
        if (len == n && memcmp(w, name, n) == 0) return true;
        w += len + (w[len] == '|');
    }
    return false;
}

static sc_status unknown(const sc_settings *s, const char *key)
{
    enum { MOST = 64 };
    const char *names[MOST], *near;
    int n = 0;
    for (const sc_setting *r = s->table; r && r->name && n < MOST; r++) names[n++] = r->name;
    if (sc_nearest_words(key, names, n, &near, 1))
        return sc_fail(SC_EINVAL, "%s has no setting '%s'; did you mean '%s'?", s->where, key, near);
    return sc_fail(SC_EINVAL, "%s has no setting '%s'", s->where, key);
}

static sc_status check_list(const sc_settings *s, const sc_setting *r, const json_t *v)
{
    if (json_is_string(v)) return SC_OK;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i))) v = NULL;
    return json_is_array(v) ? SC_OK : sc_fail(SC_EINVAL, "%s: '%s' is a list of texts", s->where, r->name);
}

static sc_status check_range(const sc_settings *s, const sc_setting *r, double x)
{
    if ((r->lo == 0 && r->hi == 0) || (x >= r->lo && x <= r->hi)) return SC_OK;
    return sc_fail(SC_EINVAL, "%s: '%s' is %.15g, not within %.15g to %.15g", s->where, r->name, x, r->lo, r->hi);
}

static sc_status check_number(const sc_settings *s, const sc_setting *r, const json_t *v)
{
    bool whole = r->kind != SC_SET_NUM;
    if (whole ? !json_is_integer(v) : !json_is_number(v))
        return sc_fail(SC_EINVAL, "%s: '%s' is a%s number", s->where, r->name, whole ? " whole" : "");
    return check_range(s, r, json_number_value(v));
}

static sc_status check_size(const sc_settings *s, const sc_setting *r, const json_t *v)
{
    if (!json_is_string(v)) return check_number(s, r, v);
    int64_t n = sc_size_parse(json_string_value(v));
    return n >= 0 ? check_range(s, r, (double)n)
                  : sc_fail(SC_EINVAL, "%s: '%s' is a size such as 64M, not '%s'", s->where, r->name,
                            json_string_value(v));
}

static sc_status check_one(const sc_settings *s, const sc_setting *r, const json_t *v)
{
    switch (r->kind) {
    case SC_SET_INT:
    case SC_SET_NUM: return check_number(s, r, v);
    case SC_SET_SIZE: return check_size(s, r, v);
    case SC_SET_BOOL:
        return json_is_boolean(v) ? SC_OK : sc_fail(SC_EINVAL, "%s: '%s' is true or false", s->where, r->name);
    case SC_SET_TEXT:
        return json_is_string(v) ? SC_OK : sc_fail(SC_EINVAL, "%s: '%s' is a text", s->where, r->name);
    case SC_SET_LIST: return check_list(s, r, v);
    case SC_SET_ANY: break;
    }
    return SC_OK;
}

sc_status sc_settings_check(const sc_settings *s, const char *extra)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)s->json, key, v)
    {
        const sc_setting *r = row_of(s, key);
        if (!r && in_words(key, extra)) continue;
        sc_status e = r ? (json_is_null(v) ? SC_OK : check_one(s, r, v)) : unknown(s, key);
        if (e) return e;
    }
    return SC_OK;
}

static const json_t *value_of(const sc_settings *s, const char *name)
{
    const json_t *v = json_object_get(s->json, name);
    return v && !json_is_null(v) ? v : NULL;
}

static const char *default_of(const sc_settings *s, const char *name)
{
    const sc_setting *r = row_of(s, name);
    return r ? r->value : NULL;
}

double sc_setting_num(const sc_settings *s, const char *name)
{
    const json_t *v = value_of(s, name);
    const char *z = default_of(s, name);
    return v ? json_number_value(v) : z ? strtod(z, NULL) : 0;
}

int64_t sc_setting_int(const sc_settings *s, const char *name)
{
    const json_t *v = value_of(s, name);
    const char *z = json_is_string(v) ? json_string_value(v) : v ? NULL : default_of(s, name);
    return z ? sc_size_parse(z) : json_integer_value(v);
}

bool sc_setting_bool(const sc_settings *s, const char *name)
{
    const json_t *v = value_of(s, name);
    const char *z = default_of(s, name);
    return v ? json_is_true(v) : z && strcmp(z, "true") == 0;
}

const char *sc_setting_text(const sc_settings *s, const char *name)
{
    const json_t *v = value_of(s, name);
    return v ? json_string_value(v) : default_of(s, name);
}

int sc_setting_count(const sc_settings *s, const char *name)
{
    const json_t *v = value_of(s, name);
    return json_is_array(v) ? (int)json_array_size(v) : v || default_of(s, name);
}

const char *sc_setting_item(const sc_settings *s, const char *name, int i)
{
    const json_t *v = value_of(s, name);
    return json_is_array(v) ? json_string_value(json_array_get(v, (size_t)i)) : sc_setting_text(s, name);
}

const json_t *sc_setting_json(const sc_settings *s, const char *name) { return value_of(s, name); }
bool sc_setting_given(const sc_settings *s, const char *name) { return value_of(s, name) != NULL; }
