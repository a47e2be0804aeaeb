/* SPDX-License-Identifier: Apache-2.0 */
/* The table of tokens: id to text, text to id. */
#include "text/text.h"

/* Makes ids [0, ids) known, without tokens where new. */
static bool reach(sc_vocab *v, int64_t ids)
{
    if (ids <= v->ids) return true;
    if (ids > v->ids_cap) {
        int64_t cap = SC_MAX(ids, SC_MAX(1024, v->ids_cap + v->ids_cap / 2));
        const char **text = sc_realloc(v->text, (size_t)cap * sizeof(*text));
        if (text) v->text = text;
        int32_t *len = text ? sc_realloc(v->len, (size_t)cap * sizeof(*len)) : NULL;
        if (len) v->len = len;
        uint8_t *flags = len ? sc_realloc(v->flags, (size_t)cap) : NULL;
        if (!flags) return false;
        v->flags = flags;
        v->ids_cap = cap;
    }
    for (int64_t i = v->ids; i < ids; i++) {
        v->text[i] = NULL;
        v->len[i] = 0;
        v->flags[i] = 0;
    }
    v->ids = ids;
    return true;
}

sc_status sc_vocab_set(sc_vocab *v, int64_t id, const char *p, int64_t len, const char *what)
{
    if (id < 0 || id >= SC_TEXT_MAX_IDS)
        return sc_fail(SC_ELIMIT, "%s: token id %lld; ids go from 0 to %d", what, (long long)id,
                       SC_TEXT_MAX_IDS - 1);
    if (len > SC_TEXT_MAX_TOKEN)
        return sc_fail(SC_ELIMIT, "%s: token %lld is %lld bytes long; at most %d", what, (long long)id,
                       (long long)len, SC_TEXT_MAX_TOKEN);
    if (!v->arena && !(v->arena = sc_arena_new())) return sc_nomem();
    char *text = sc_arena_alloc(v->arena, (size_t)len + 1);
    if (!text || !reach(v, id + 1)) return sc_nomem();
    memcpy(text, p, (size_t)len);
    v->text[id] = text;
    v->len[id] = (int32_t)len;
    return SC_OK;
}

sc_status sc_vocab_index(sc_vocab *v)
{
    sc_map_free(&v->map);
    for (int64_t i = 0; i < v->ids; i++) {
        if (v->text[i] && (v->flags[i] & SC_TOKEN_MODEL) && !sc_map_put(&v->map, v->text[i], v->len[i], i))
            return sc_nomem();
    }
    /* 8 to 16 bits a token, of which one is set: most texts that are no token are known without looking at the map */
    int64_t bits = 1024;
    while (bits < 8 * v->map.count) bits *= 2;
    sc_free(v->filter);
    v->filter = sc_calloc((size_t)bits / 64, sizeof(*v->filter));
    v->filter_mask = (uint64_t)bits - 1;
    if (!v->filter) return sc_nomem();
    for (int64_t i = 0; i < v->map.cap; i++) {
        uint64_t at = v->map.slot[i].hash >> 20 & v->filter_mask;
        if (v->map.slot[i].key) v->filter[at / 64] |= 1ULL << (at % 64);
    }
    return SC_OK;
}

void sc_vocab_free(sc_vocab *v)
{
    sc_map_free(&v->map);
    sc_free(v->filter);
    sc_arena_free(v->arena);
    sc_free(v->text);
    sc_free(v->len);
    sc_free(v->flags);
}
