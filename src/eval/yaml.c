/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as a tree of JSON values: libyaml cuts the text into events, plain scalars mean what YAML 1.1 says they mean
 * (yes is true, 0x10 is 16, "1e5" without a dot is text, as PyYAML has it), "<<" merges, aliases are followed. */
#include "eval/eval.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <yaml.h>

enum { MOST_DEPTH = 64, MOST_NODES = 200000, MOST_ANCHORS = 1000 };

typedef struct reader {
    yaml_parser_t parser;
    const char *what;
    int64_t nodes; /* made so far, aliases' copies among them: a few lines must not become gigabytes */
    int depth;
    json_t *anchors; /* object: name to value */
    int n_anchors;
    sc_status status;
} reader;

static json_t *fail(reader *r, const yaml_mark_t *at, const char *message)
{
    if (!r->status)
        r->status = sc_fail(SC_EFORMAT, "%s: line %lld: %s", r->what, at ? (long long)at->line + 1 : 0LL, message);
    return NULL;
}

static json_t *made(reader *r, json_t *v)
{
    if (!v && !r->status) r->status = sc_nomem();
    return v;
}

static bool next(reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e)) return true;
    if (r->parser.error == YAML_MEMORY_ERROR)
        r->status = sc_nomem();
    else
        r->status = sc_fail(SC_EFORMAT, "%s: line %lld: %s", r->what, (long long)r->parser.problem_mark.line + 1,
                            r->parser.problem ? r->parser.problem : "not YAML");
    return false;
}

/* ---- plain scalars ---- */

static bool one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(s, *words) == 0) return true;
    return false;
}

/* s without underscores, which numbers may have; false where it does not fit. */
static bool bare(const char *s, char *out, size_t cap)
{
    size_t n = 0;
    for (; *s; s++) {
        if (*s == '_') continue;
        if (n + 1 >= cap) return false;
        out[n++] = *s;
    }
    out[n] = 0;
    return n > 0;
}

static bool integer(const char *s, int64_t *out)
{
    const char *p = s + (*s == '-' || *s == '+');
    char digits[80], *end;
    int base = 10;
    if (p[0] == '0' && p[1] == 'b')
        base = 2, p += 2;
    else if (p[0] == '0' && p[1] == 'x')
        base = 16, p += 2;
    else if (p[0] == '0' && p[1])
        base = 8, p += 1;
    static const char all[] = "0123456789abcdefABCDEF_";
    if (!*p || (*p == '_' && base == 10) || strspn(p, all) != strlen(p) || !bare(p, digits, sizeof digits))
        return false;
    errno = 0;
    int64_t v = strtoll(digits, &end, base);
    if (*end || errno) return false;
    *out = *s == '-' ? -v : v;
    return true;
}

/* Digits with a dot among them, maybe an exponent with a sign; .inf and .nan are not given to JSON. */
static bool number(const char *s, double *out)
{
    char digits[80], *end;
    const char *p = s + (*s == '-' || *s == '+'), *q = p;
    if (!bare(s, digits, sizeof digits)) return false;
    bool first = *p >= '0' && *p <= '9';
    while ((*q >= '0' && *q <= '9') || (*q == '_' && first)) q++;
    if (*q != '.') return false;
    q++;
    if (!first && !(*q >= '0' && *q <= '9')) return false;
    while ((*q >= '0' && *q <= '9') || *q == '_') q++;
    if (*q == 'e' || *q == 'E') {
        q++;
        if (*q != '-' && *q != '+') return false;
        q++;
        if (!(*q >= '0' && *q <= '9')) return false;
        while (*q >= '0' && *q <= '9') q++;
    }
    if (*q) return false;
    *out = strtod(digits, &end);
    return !*end && isfinite(*out);
}

static json_t *plain(const char *s, size_t n)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const yes[] = {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
    static const char *const no[] = {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};
    int64_t i;
    double d;
    if (one_of(s, nulls)) return json_null();
    if (one_of(s, yes)) return json_true();
    if (one_of(s, no)) return json_false();
    if (integer(s, &i)) return json_integer(i);
    if (number(s, &d)) return json_real(d);
    return json_stringn(s, n);
}

static json_t *scalar(reader *r, const yaml_event_t *e)
{
    const char *s = (const char *)e->data.scalar.value, *tag = (const char *)e->data.scalar.tag;
    size_t n = e->data.scalar.length;
    int64_t i;
    double d;
    char *end;
    if (memchr(s, 0, n)) return fail(r, &e->start_mark, "a NUL within a text");
    if (!tag || strcmp(tag, "!") == 0)
        return made(r, e->data.scalar.plain_implicit && !tag ? plain(s, n) : json_stringn(s, n));
    if (strcmp(tag, YAML_STR_TAG) == 0) return made(r, json_stringn(s, n));
    if (strcmp(tag, YAML_NULL_TAG) == 0) return json_null();
    if (strcmp(tag, YAML_INT_TAG) == 0 && integer(s, &i)) return made(r, json_integer(i));
    if (strcmp(tag, YAML_FLOAT_TAG) == 0 && *s && (d = strtod(s, &end), !*end) && isfinite(d))
        return made(r, json_real(d));
    if (strcmp(tag, YAML_BOOL_TAG) == 0) {
        json_t *v = plain(s, n);
        if (json_is_boolean(v)) return v;
        json_decref(v);
    }
    if (strcmp(tag, "!function") == 0) { /* Python code beside the file */
        if (!r->status)
            r->status = sc_fail(SC_EUNSUPPORTED,
                                "%s: line %lld: !function %.100s is code in Python, which is not run: say it as a "
                                "template, a filter or a metric of the list",
                                r->what, (long long)e->start_mark.line + 1, s);
        return NULL;
    }
    return fail(r, &e->start_mark, "a tag that is not known");
}

/* ---- values ---- */

static json_t *value(reader *r, yaml_event_t *e);

static json_t *sequence(reader *r)
{
    json_t *list = made(r, json_array());
    while (list) {
        yaml_event_t e;
        if (!next(r, &e)) break;
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return list;
        }
        json_t *v = value(r, &e);
        yaml_event_delete(&e);
        if (!v) break;
        if (json_array_append_new(list, v)) {
            made(r, NULL);
            break;
        }
    }
    json_decref(list);
    return NULL;
}

/* Keys that are numbers or truth values are spelled as texts. */
static bool key_text(const json_t *k, char out[32], const char **text)
{
    *text = out;
    if (json_is_string(k))
        *text = json_string_value(k);
    else if (json_is_integer(k))
        snprintf(out, 32, "%lld", (long long)json_integer_value(k));
    else if (json_is_boolean(k))
        strcpy(out, json_is_true(k) ? "true" : "false");
    else if (json_is_null(k))
        strcpy(out, "null");
    else
        return false;
    return true;
}

/* What "<<" names is taken for the keys that the mapping itself lacks. */
static bool merge(reader *r, json_t *merged, const json_t *from)
{
    const char *key;
    json_t *v;
    for (size_t i = 0; i < json_array_size(from); i++)
        if (!merge(r, merged, json_array_get(from, i))) return false;
    json_object_foreach((json_t *)from, key, v)
    {
        if (json_object_get(merged, key)) continue;
        if (json_object_set(merged, key, v)) return made(r, NULL);
    }
    return true;
}

static bool entry(reader *r, json_t *o, json_t *merged, const yaml_event_t *at, json_t *k)
{
    char number_key[32];
    const char *text;
    yaml_event_t e;
    if (!key_text(k, number_key, &text)) return fail(r, &at->start_mark, "a key that is no text") != NULL;
    if (!next(r, &e)) return false;
    yaml_mark_t mark = e.start_mark;
    json_t *v = value(r, &e);
    yaml_event_delete(&e);
    if (!v) return false;
    bool ok = true;
    if (strcmp(text, "<<") == 0) {
        ok = json_is_object(v) || json_is_array(v) ? merge(r, merged, v)
                                                   : fail(r, &mark, "\"<<\" needs a mapping") != NULL;
    } else if (json_object_get(o, text)) {
        ok = fail(r, &at->start_mark, "a key that was there already") != NULL;
    } else if (json_object_set(o, text, v)) {
        ok = made(r, NULL) != NULL;
    }
    json_decref(v);
    return ok;
}

static json_t *mapping(reader *r)
{
    json_t *o = made(r, json_object()), *merged = o ? made(r, json_object()) : NULL;
    while (merged) {
        yaml_event_t e;
        if (!next(r, &e)) break;
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            bool ok = json_object_update_missing(o, merged) == 0;
            json_decref(merged);
            if (ok) return o;
            json_decref(o);
            return made(r, NULL);
        }
        json_t *k = value(r, &e);
        bool ok = k && entry(r, o, merged, &e, k);
        yaml_event_delete(&e);
        json_decref(k);
        if (!ok) break;
    }
    json_decref(o);
    json_decref(merged);
    return NULL;
}

/* Values of v, and how deep they are; what an alias names is finished, so v has no cycles. */
static int64_t count_nodes(const json_t *v, int depth, int *deepest)
{
    int64_t n = 1;
    const char *key;
    json_t *item;
    *deepest = SC_MAX(*deepest, depth);
    for (size_t i = 0; i < json_array_size(v); i++) n += count_nodes(json_array_get(v, i), depth + 1, deepest);
    json_object_foreach((json_t *)v, key, item) n += count_nodes(item, depth + 1, deepest);
    return n;
}

static json_t *alias(reader *r, const yaml_event_t *e)
{
    json_t *v = json_object_get(r->anchors, (const char *)e->data.alias.anchor);
    if (!v) return fail(r, &e->start_mark, "an alias of an anchor that is not there (or not finished)");
    int deepest = 0;
    r->nodes += count_nodes(v, r->depth, &deepest);
    if (deepest > MOST_DEPTH) return fail(r, &e->start_mark, "aliases make values too deep");
    if (r->nodes > MOST_NODES) return fail(r, &e->start_mark, "aliases make too many values of it");
    return made(r, json_deep_copy(v));
}

static json_t *value(reader *r, yaml_event_t *e)
{
    json_t *v = NULL;
    const yaml_char_t *anchor = NULL;
    if (++r->nodes > MOST_NODES || r->depth >= MOST_DEPTH) {
        if (!r->status)
            r->status = sc_fail(SC_ELIMIT, "%s: line %lld: more than %d values, or deeper than %d", r->what,
                                (long long)e->start_mark.line + 1, MOST_NODES, MOST_DEPTH);
        return NULL;
    }
    r->depth++;
    if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        v = scalar(r, e);
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        v = sequence(r);
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        v = mapping(r);
    } else if (e->type == YAML_ALIAS_EVENT) {
        v = alias(r, e);
    } else {
        fail(r, &e->start_mark, "a value is missing");
    }
    r->depth--;
    if (v && anchor) {
        if (++r->n_anchors > MOST_ANCHORS || json_object_set(r->anchors, (const char *)anchor, v)) {
            json_decref(v);
            return fail(r, &e->start_mark, "too many anchors");
        }
    }
    return v;
}

/* The one document of the text. */
static json_t *document(reader *r)
{
    json_t *v = NULL;
    for (bool end = false; !end && !r->status;) {
        yaml_event_t e;
        if (!next(r, &e)) break;
        if (e.type == YAML_STREAM_END_EVENT)
            end = true;
        else if (e.type == YAML_DOCUMENT_START_EVENT && v)
            fail(r, &e.start_mark, "a second document");
        else if (e.type != YAML_STREAM_START_EVENT && e.type != YAML_DOCUMENT_START_EVENT &&
                 e.type != YAML_DOCUMENT_END_EVENT)
            v = value(r, &e);
        yaml_event_delete(&e);
    }
    if (!v && !r->status) v = json_null();
    if (r->status) {
        json_decref(v);
        return NULL;
    }
    return v;
}

sc_status sc_yaml_parse(json_t **out, const char *p, int64_t n, const char *what)
{
    reader r = {.what = what};
    if (n > SC_YAML_MOST) return sc_fail(SC_ELIMIT, "%s: longer than %d bytes", what, SC_YAML_MOST);
    if (!sc_utf8_valid(p, n)) return sc_fail(SC_EFORMAT, "%s: not UTF-8", what);
    if (!(r.anchors = json_object())) return sc_nomem();
    if (!yaml_parser_initialize(&r.parser)) {
        json_decref(r.anchors);
        return sc_nomem();
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)p, (size_t)n);
    json_t *v = document(&r);
    yaml_parser_delete(&r.parser);
    json_decref(r.anchors);
    if (!v) return r.status;
    *out = v;
    return SC_OK;
}

sc_status sc_yaml_read(json_t **out, const char *path)
{
    char *text;
    int64_t n;
    sc_status s = sc_file_read(&text, &n, path, SC_YAML_MOST);
    if (s) return s;
    s = sc_yaml_parse(out, text, n, path);
    sc_free(text);
    return s;
}
