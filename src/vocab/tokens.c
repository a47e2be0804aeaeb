/* SPDX-License-Identifier: Apache-2.0 */
#include "vocab/vocab.h"

sc_status sc_token_list_begin(sc_token_list *l)
{
    *l = (sc_token_list){.arena = sc_arena_new()};
    return l->arena ? SC_OK : sc_nomem();
}

sc_status sc_token_list_add(sc_token_list *l, const char *p, int64_t n, int32_t *id)
{
    int64_t known;
    if (sc_map_get(&l->map, p, n, &known)) {
        *id = (int32_t)known;
        return SC_OK;
    }
    if (n > SC_TEXT_MAX_TOKEN)
        return sc_fail(SC_ELIMIT, "a token of %lld bytes; at most %d: limit the tokens' length", (long long)n,
                       SC_TEXT_MAX_TOKEN);
    if (!sc_grow(&l->text, &l->cap, l->n + 1, sizeof *l->text)) return sc_nomem();
    char *copy = sc_arena_strndup(l->arena, p, (size_t)n);
    if (!copy || !sc_map_put(&l->map, copy, n, l->n)) return sc_nomem();
    l->text[l->n] = (sc_slice){copy, n};
    *id = (int32_t)l->n++;
    return SC_OK;
}

void sc_token_list_free(sc_token_list *l)
{
    sc_arena_free(l->arena);
    sc_free(l->text);
    sc_free(l->score);
    sc_free(l->merge);
    sc_map_free(&l->map);
    *l = (sc_token_list){0};
}
