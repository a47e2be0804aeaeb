/* SPDX-License-Identifier: Apache-2.0 */
/* Constitutions: the project's, and users' own as JSON. */
#include "synth/synth.h"

static const sc_principle own[] = {
#define P(name, critique, revision, preference) {name, critique, revision, preference},
#include "synth/principles.def"
#undef P
};

static const char *const fields[] = {"critique", "revision", "preference"};

static sc_status read_principle(sc_principle *out, sc_arena *a, const json_t *o, size_t number)
{
    const char *name = sc_synth_text_of(o, "name"), **to[] = {&out->critique, &out->revision, &out->preference};
    out->name = name ? sc_arena_strndup(a, name, strlen(name)) : sc_arena_printf(a, "principle_%zu", number);
    if (!out->name) return sc_nomem();
    for (int i = 0; i < SC_COUNT(fields); i++) {
        const char *text = sc_synth_text_of(o, fields[i]);
        if (!text) return sc_fail(SC_EFORMAT, "principle %zu has no text '%s'", number, fields[i]);
        if (!(*to[i] = sc_arena_strndup(a, text, strlen(text)))) return sc_nomem();
    }
    return SC_OK;
}

sc_status sc_principles_read(sc_principles *out, sc_arena *a, const char *path)
{
    enum { MOST_BYTES = 16 << 20, MOST = 10000 };
    json_t *o;
    *out = (sc_principles){own, SC_COUNT(own)};
    if (!path) return SC_OK;
    sc_status s = sc_json_read(&o, path, MOST_BYTES);
    if (s) return s;
    const json_t *list = json_object_get(o, "principles");
    size_t n = json_array_size(list);
    if (!n || n > MOST) s = sc_fail(SC_EFORMAT, "'principles' is no list of 1 to %d", MOST);
    sc_principle *p = s ? NULL : sc_arena_alloc(a, n * sizeof *p);
    if (!s && !p) s = sc_nomem();
    for (size_t i = 0; !s && i < n; i++) s = read_principle(&p[i], a, json_array_get(list, i), i + 1);
    json_decref(o);
    if (s) return sc_fail_in(s, "%s", path);
    *out = (sc_principles){p, (int)n};
    return SC_OK;
}

sc_status sc_synth_constitution_text(char **out)
{
    json_t *list = json_array(), *o = list ? json_pack("{s:o}", "principles", list) : NULL;
    for (int i = 0; o && i < SC_COUNT(own); i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s}", "name", own[i].name, fields[0], own[i].critique,
                                        fields[1], own[i].revision, fields[2], own[i].preference));
    char *text = o && (int)json_array_size(list) == SC_COUNT(own) ? json_dumps(o, JSON_INDENT(2)) : NULL;
    json_decref(o);
    if (text) *out = text;
    return text ? SC_OK : sc_nomem();
}
