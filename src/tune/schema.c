/* SPDX-License-Identifier: Apache-2.0 */
/* JSON schemas (json-schema.org, drafts 7 to 2020-12), as far as tune.h says. A schema and what it is held against come from
 * outside: depth and steps are limited, and a pattern has its own limits. */
#include "text/text.h"
#include "tune/rewards.h"

#include <math.h>

enum { MAX_FILE = 1 << 20, MAX_DEPTH = 64, MAX_STEPS = 100000, MAX_PATTERNS = 256 };

struct sc_schema {
    json_t *root;
    sc_matcher *matcher;
    struct {
        const char *text; /* of the schema */
        sc_regex *re;
    } pattern[MAX_PATTERNS];
    int patterns;
};

void sc_schema_free(sc_schema *s)
{
    if (!s) return;
    for (int i = 0; i < s->patterns; i++) sc_regex_free(s->pattern[i].re);
    sc_matcher_free(s->matcher);
    json_decref(s->root);
    sc_free(s);
}

/* ---- reading: every keyword is known, every pattern is compiled ---- */

/* What a keyword has: nothing that matters, a value, a schema, a list or an object of schemas. */
typedef enum holds { NOTE, VALUE, SCHEMA, SCHEMAS, NAMED, PATTERN, REF } holds;
static const struct {
    const char *name;
    holds what;
} keywords[] = {
    {"$schema", NOTE},
    {"$id", NOTE},
    {"$comment", NOTE},
    {"title", NOTE},
    {"description", NOTE},
    {"default", NOTE},
    {"examples", NOTE},
    {"deprecated", NOTE},
    {"readOnly", NOTE},
    {"writeOnly", NOTE},
    {"format", NOTE},
    {"$ref", REF},
    {"$defs", NAMED},
    {"definitions", NAMED},
    {"type", VALUE},
    {"enum", VALUE},
    {"const", VALUE},
    {"properties", NAMED},
    {"required", VALUE},
    {"additionalProperties", SCHEMA},
    {"items", SCHEMA},
    {"prefixItems", SCHEMAS},
    {"minimum", VALUE},
    {"maximum", VALUE},
    {"exclusiveMinimum", VALUE},
    {"exclusiveMaximum", VALUE},
    {"multipleOf", VALUE},
    {"minLength", VALUE},
    {"maxLength", VALUE},
    {"minItems", VALUE},
    {"maxItems", VALUE},
    {"uniqueItems", VALUE},
    {"minProperties", VALUE},
    {"maxProperties", VALUE},
    {"pattern", PATTERN},
    {"allOf", SCHEMAS},
    {"anyOf", SCHEMAS},
    {"oneOf", SCHEMAS},
    {"not", SCHEMA},
};

static sc_status check(sc_schema *s, const json_t *at, int depth);

static sc_status check_all(sc_schema *s, json_t *of, int depth)
{
    sc_status e = SC_OK;
    const char *key;
    json_t *v;
    size_t i;
    json_array_foreach(of, i, v)
    {
        if (!e) e = check(s, v, depth);
    }
    json_object_foreach(of, key, v)
    {
        if (!e) e = check(s, v, depth);
    }
    return e;
}

static sc_status add_pattern(sc_schema *s, const json_t *v)
{
    if (!json_is_string(v)) return sc_fail(SC_EFORMAT, "the schema's pattern is no text");
    if (s->patterns == MAX_PATTERNS) return sc_fail(SC_ELIMIT, "a schema of more than %d patterns", MAX_PATTERNS);
    sc_status e = sc_regex_new(&s->pattern[s->patterns].re, json_string_value(v), (int64_t)json_string_length(v),
                               "the schema");
    if (!e) s->pattern[s->patterns++].text = json_string_value(v);
    return e;
}

/* "#/$defs/name" → that; NULL: there is no such thing. */
static const json_t *referred(const sc_schema *s, const char *ref)
{
    const json_t *at = s->root;
    if (*ref++ != '#') return NULL;
    while (at && *ref == '/') {
        char name[128];
        size_t n = strcspn(++ref, "/");
        if (n >= sizeof name) return NULL;
        memcpy(name, ref, n);
        name[n] = 0;
        at = json_object_get(at, name);
        ref += n;
    }
    return at;
}

static sc_status check(sc_schema *s, const json_t *at, int depth)
{
    const char *key;
    json_t *v;
    sc_status e = SC_OK;
    if (json_is_boolean(at)) return SC_OK;
    if (!json_is_object(at)) return sc_fail(SC_EFORMAT, "a schema is an object, true or false");
    if (depth > MAX_DEPTH) return sc_fail(SC_ELIMIT, "a schema of more than %d levels", MAX_DEPTH);
    json_object_foreach((json_t *)(uintptr_t)at, key, v)
    {
        int k = 0;
        while (k < SC_COUNT(keywords) && strcmp(keywords[k].name, key) != 0) k++;
        if (k == SC_COUNT(keywords))
            return sc_fail(SC_EUNSUPPORTED, "the schema's keyword \"%.60s\" is not supported", key);
        holds what = keywords[k].what;
        if (what == SCHEMA) e = check(s, v, depth + 1);
        if (what == SCHEMAS || what == NAMED) e = check_all(s, v, depth + 1);
        if (what == PATTERN) e = add_pattern(s, v);
        if (what == REF && (!json_is_string(v) || !referred(s, json_string_value(v))))
            e = sc_fail(SC_EUNSUPPORTED, "the schema refers to what is not in it");
        if (e) return e;
    }
    return SC_OK;
}

sc_status sc_schema_parse(sc_schema **out, const char *text, int64_t n, const char *what)
{
    sc_schema *s = sc_calloc(1, sizeof *s);
    if (!s) return sc_nomem();
    sc_status e = sc_json_parse(&s->root, text, n, what);
    if (!e) e = sc_matcher_new(&s->matcher);
    if (!e && (e = check(s, s->root, 0))) e = sc_fail_in(e, "%s", what);
    if (e)
        sc_schema_free(s);
    else
        *out = s;
    return e;
}

sc_status sc_schema_read(sc_schema **out, const char *path)
{
    char *text;
    int64_t n;
    sc_status s = sc_file_read(&text, &n, path, MAX_FILE);
    if (s) return s;
    s = sc_schema_parse(out, text, n, path);
    sc_free(text);
    return s;
}

/* ---- holding a value against it ---- */

typedef struct holding {
    const sc_schema *s;
    int64_t steps;
} holding;

static bool holds_at(holding *h, const json_t *at, const json_t *v, int depth);

static bool is_type(const char *type, const json_t *v)
{
    if (strcmp(type, "integer") == 0)
        return json_is_integer(v) || (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)));
    return (strcmp(type, "object") == 0 && json_is_object(v)) || (strcmp(type, "array") == 0 && json_is_array(v)) ||
           (strcmp(type, "string") == 0 && json_is_string(v)) ||
           (strcmp(type, "number") == 0 && json_is_number(v)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(v)) || (strcmp(type, "null") == 0 && json_is_null(v));
}

/* 1 and 1.0 are the same number in JSON. */
static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
}

static bool is_any(const json_t *list, const json_t *v)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (same(json_array_get(list, i), v)) return true;
    return false;
}

static bool type_holds(const json_t *type, const json_t *v)
{
    if (json_is_string(type)) return is_type(json_string_value(type), v);
    for (size_t i = 0; i < json_array_size(type); i++) {
        const char *t = json_string_value(json_array_get(type, i));
        if (t && is_type(t, v)) return true;
    }
    return false;
}

/* A limit that is there and not kept; x against it by `way`: -1 at least, 1 at most. */
static bool breaks(const json_t *at, const char *key, double x, int way, bool strict)
{
    const json_t *v = json_object_get(at, key);
    if (!json_is_number(v)) return false;
    double off = (x - json_number_value(v)) * way;
    return off > 0 || (strict && off == 0);
}

static bool number_holds(const json_t *at, const json_t *v)
{
    double x = json_number_value(v), by = json_number_value(json_object_get(at, "multipleOf"));
    if (by > 0 && fabs(x / by - round(x / by)) > 1e-9) return false;
    return !breaks(at, "minimum", x, -1, false) && !breaks(at, "maximum", x, 1, false) &&
           !breaks(at, "exclusiveMinimum", x, -1, true) && !breaks(at, "exclusiveMaximum", x, 1, true);
}

static bool text_holds(holding *h, const json_t *at, const json_t *v)
{
    const char *p = json_string_value(v), *pattern = json_string_value(json_object_get(at, "pattern"));
    int64_t n = (int64_t)json_string_length(v), characters = 0;
    for (int64_t i = 0; i < n; i++) characters += ((unsigned char)p[i] & 0xc0) != 0x80;
    if (breaks(at, "minLength", (double)characters, -1, false) ||
        breaks(at, "maxLength", (double)characters, 1, false))
        return false;
    for (int i = 0; pattern && i < h->s->patterns; i++) {
        if (strcmp(h->s->pattern[i].text, pattern) != 0) continue;
        bool found = false;
        int64_t begin, end;
        sc_scan scan = sc_scan_begin(h->s->pattern[i].re, h->s->matcher, p, n, true);
        return sc_scan_next(&scan, &found, &begin, &end) == SC_OK && found;
    }
    return true;
}

static bool list_holds(holding *h, const json_t *at, const json_t *v, int depth)
{
    const json_t *items = json_object_get(at, "items"), *prefix = json_object_get(at, "prefixItems");
    size_t n = json_array_size(v), first = json_array_size(prefix);
    if (breaks(at, "minItems", (double)n, -1, false) || breaks(at, "maxItems", (double)n, 1, false)) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *of = i < first ? json_array_get(prefix, i) : items;
        if (of && !holds_at(h, of, json_array_get(v, i), depth + 1)) return false;
    }
    if (!json_is_true(json_object_get(at, "uniqueItems"))) return true;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            if (++h->steps > MAX_STEPS || same(json_array_get(v, i), json_array_get(v, k))) return false;
        }
    return true;
}

static bool object_holds(holding *h, const json_t *at, const json_t *v, int depth)
{
    const json_t *properties = json_object_get(at, "properties"), *required = json_object_get(at, "required"),
                 *rest = json_object_get(at, "additionalProperties");
    const char *key;
    json_t *x;
    double n = (double)json_object_size(v);
    if (breaks(at, "minProperties", n, -1, false) || breaks(at, "maxProperties", n, 1, false)) return false;
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (name && !json_object_get(v, name)) return false;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, x)
    {
        const json_t *of = json_object_get(properties, key);
        if (!of) of = rest;
        if (of && !holds_at(h, of, x, depth + 1)) return false;
    }
    return true;
}

static bool parts_hold(holding *h, const json_t *at, const json_t *v, int depth)
{
    const json_t *all = json_object_get(at, "allOf"), *any = json_object_get(at, "anyOf"),
                 *one = json_object_get(at, "oneOf"), *not = json_object_get(at, "not");
    size_t count = 0;
    bool some = !any;
    for (size_t i = 0; i < json_array_size(all); i++)
        if (!holds_at(h, json_array_get(all, i), v, depth + 1)) return false;
    for (size_t i = 0; !some && i < json_array_size(any); i++)
        some = holds_at(h, json_array_get(any, i), v, depth + 1);
    for (size_t i = 0; i < json_array_size(one); i++) count += holds_at(h, json_array_get(one, i), v, depth + 1);
    return some && (!one || count == 1) && (!not || !holds_at(h, not, v, depth + 1));
}

static bool holds_at(holding *h, const json_t *at, const json_t *v, int depth)
{
    if (depth > MAX_DEPTH || ++h->steps > MAX_STEPS) {
        h->steps = MAX_STEPS + 1; /* so that "not" cannot make a yes of it: see sc_schema_holds */
        return false;
    }
    if (json_is_boolean(at)) return json_is_true(at);
    const json_t *ref = json_object_get(at, "$ref"), *type = json_object_get(at, "type"),
                 *list = json_object_get(at, "enum"), *only = json_object_get(at, "const");
    if (ref && !holds_at(h, referred(h->s, json_string_value(ref)), v, depth + 1)) return false;
    if ((type && !type_holds(type, v)) || (list && !is_any(list, v)) || (only && !same(only, v))) return false;
    if (json_is_number(v) && !number_holds(at, v)) return false;
    if (json_is_string(v) && !text_holds(h, at, v)) return false;
    if (json_is_array(v) && !list_holds(h, at, v, depth)) return false;
    if (json_is_object(v) && !object_holds(h, at, v, depth)) return false;
    return parts_hold(h, at, v, depth);
}

bool sc_schema_holds(const sc_schema *s, const json_t *value)
{
    holding h = {.s = s};
    return holds_at(&h, s->root, value, 0) && h.steps <= MAX_STEPS;
}
