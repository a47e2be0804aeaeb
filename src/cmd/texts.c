/* SPDX-License-Identifier: Apache-2.0 */
/* Many texts from files: lines, or a field of JSON lines. */
#include "cmd/cmd.h"
#include "socle/embed.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INPUT (4LL << 30)

static bool keep(sc_cmd_texts *t, char *data)
{
    char **grown = realloc(t->data, (size_t)(t->n_data + 1) * sizeof *grown);
    if (!grown) return false;
    t->data = grown;
    t->data[t->n_data++] = data;
    return true;
}

static bool add(sc_cmd_texts *t, const char *p, int64_t len)
{
    if (t->n == t->cap) {
        int64_t cap = t->cap ? 2 * t->cap : 256;
        sc_text *grown = realloc(t->item, (size_t)cap * sizeof *grown);
        if (!grown) return false;
        t->item = grown;
        t->cap = cap;
    }
    t->item[t->n++] = (sc_text){p, len};
    return true;
}

/* The text at a field of a line's object. */
static int add_json(const sc_cmd *c, sc_cmd_texts *t, const char *p, int64_t len, const char *field,
                    const char *name, int64_t line)
{
    json_error_t error;
    json_t *o = json_loadb(p, (size_t)len, JSON_DECODE_ANY, &error);
    const json_t *v = json_is_string(o) ? o : json_object_get(o, field);
    char *copy = NULL;
    if (!json_is_string(v)) {
        int rc = o ? sc_cmd_error(c, "%s: line %lld has no text '%s'", name, (long long)line, field)
                   : sc_cmd_error(c, "%s: line %lld: %s", name, (long long)line, error.text);
        json_decref(o);
        return rc;
    }
    size_t n = json_string_length(v);
    bool ok = (copy = malloc(n + 1)) && keep(t, copy);
    if (ok) {
        memcpy(copy, json_string_value(v), n + 1);
        ok = add(t, copy, (int64_t)n);
    } else {
        free(copy);
    }
    json_decref(o);
    return ok ? 0 : sc_cmd_error(c, "out of memory");
}

int sc_cmd_texts_read(const sc_cmd *c, sc_cmd_texts *t, const char *path, const char *field)
{
    int64_t len, line = 0;
    const char *name = path && strcmp(path, "-") != 0 ? path : "standard input", *dot = strrchr(name, '.');
    bool json = dot && strcmp(dot, ".jsonl") == 0;
    char *data = sc_cmd_read(c, path, MAX_INPUT, &len);
    if (!data) return 1;
    if (!keep(t, data)) {
        free(data);
        return sc_cmd_error(c, "out of memory");
    }
    for (int64_t i = 0; i < len;) {
        const char *end = memchr(data + i, '\n', (size_t)(len - i));
        int64_t n = end ? end - (data + i) : len - i, shown = n;
        line++;
        if (shown > 0 && data[i + shown - 1] == '\r') shown--;
        int rc = 0;
        if (!json && !add(t, data + i, shown)) rc = sc_cmd_error(c, "out of memory");
        if (json && shown > 0) rc = add_json(c, t, data + i, shown, field, name, line);
        if (rc) return rc;
        i += n + 1;
    }
    return 0;
}

void sc_cmd_texts_free(sc_cmd_texts *t)
{
    for (int64_t i = 0; i < t->n_data; i++) free(t->data[i]);
    free(t->data);
    free(t->item);
    *t = (sc_cmd_texts){0};
}
