/* SPDX-License-Identifier: Apache-2.0 */
/* Words of lists in a text of their language. */
#include "data/filters.h"

static const struct {
    sc_harmful_kind kind;
    const char *language, *words;
} lists[] = {
#define H(kind, language, words) {SC_HARMFUL_##kind, language, words},
#include "data/harmful.def"
#undef H
};

const char *sc_harmful_name(int kind)
{
    static const char *const names[] = {"adult", "hate", "spam"};
    return kind >= 0 && kind < SC_COUNT(names) ? names[kind] : NULL;
}

static sc_harmful_words *of_language(sc_harmful *h, const char *language)
{
    size_t n = strcspn(language, "-_");
    for (int i = 0; i < h->n; i++)
        if (strlen(h->list[i].language) == n && !memcmp(h->list[i].language, language, n)) return &h->list[i];
    return NULL;
}

static sc_harmful_words *another(sc_harmful *h, const char *language)
{
    if (h->n == SC_HARMFUL_LANGUAGES) return NULL;
    sc_harmful_words *l = &h->list[h->n++];
    snprintf(l->language, sizeof l->language, "%s", language);
    const sc_stop_list *stop = sc_stop_words(language);
    l->parts = stop && stop->kind != SC_STOP_WORDS; /* particles are attached, or there are no spaces at all */
    return l;
}

static bool add(sc_harmful *h, const char *language, sc_harmful_kind kind, const char *word, int64_t n)
{
    sc_harmful_words *l = of_language(h, language);
    if (!l) l = another(h, language);
    char *own = l ? sc_arena_strndup(h->arena, word, (size_t)n) : NULL;
    if (!own || !sc_grow(&l->word, &l->cap, l->words + 1, sizeof *l->word)) return false;
    l->word[l->words++] = (struct sc_harmful_word){own, n, kind};
    return l->parts || sc_map_put(&l->index, own, n, (int64_t)kind);
}

static bool add_usual(sc_harmful *h)
{
    for (int i = 0; i < SC_COUNT(lists); i++)
        for (const char *p = lists[i].words; *p;) {
            int64_t n = (int64_t)strcspn(p, " ");
            if (!add(h, lists[i].language, lists[i].kind, p, n)) return false;
            p += n;
            p += *p == ' ';
        }
    return true;
}

/* {"en": {"adult": ["word", …], …}, …}, instead of the lists here. */
static sc_status add_file(sc_harmful *h, const char *path)
{
    enum { MAX_FILE = 4 << 20, LONGEST = 40 };
    json_t *o, *kinds, *words, *word;
    const char *language, *name;
    size_t i;
    sc_status s = sc_json_read(&o, path, MAX_FILE);
    if (s) return s;
    if (!json_is_object(o)) s = sc_fail(SC_EFORMAT, "%s: not an object of languages", path);
    json_object_foreach(o, language, kinds) json_object_foreach(kinds, name, words)
    {
        int kind = 0;
        while (kind < SC_HARMFUL_KINDS && strcmp(sc_harmful_name(kind), name) != 0) kind++;
        if (s || kind == SC_HARMFUL_KINDS || !json_is_array(words)) {
            if (!s)
                s = sc_fail(SC_EFORMAT, "%s: %s is not a list of words that are adult, hate or spam", path, name);
            break;
        }
        json_array_foreach(words, i, word)
        {
            int64_t n = (int64_t)json_string_length(word);
            if (s) break;
            if (!n || n > LONGEST)
                s = sc_fail(SC_EFORMAT, "%s: %s, %s: word %zu has not 1 to %d bytes", path, language, name, i + 1,
                            LONGEST);
            else if (strlen(language) >= SC_LANGUAGE_NAME || !add(h, language, kind, json_string_value(word), n))
                s = sc_fail(SC_ELIMIT, "%s: more than %d languages", path, SC_HARMFUL_LANGUAGES);
        }
    }
    json_decref(o);
    return s;
}

sc_status sc_harmful_open(sc_harmful *out, const char *path)
{
    sc_harmful h = {.arena = sc_arena_new()};
    h.list = sc_calloc(SC_HARMFUL_LANGUAGES, sizeof *h.list);
    sc_status s = !h.arena || !h.list ? sc_nomem() : SC_OK;
    if (!s && path)
        s = add_file(&h, path);
    else if (!s && !add_usual(&h))
        s = sc_nomem();
    if (s)
        sc_harmful_free(&h);
    else
        *out = h;
    return s;
}

void sc_harmful_free(sc_harmful *h)
{
    for (int i = 0; h->list && i < h->n; i++) {
        sc_map_free(&h->list[i].index);
        sc_free(h->list[i].word);
    }
    sc_free(h->list);
    sc_arena_free(h->arena);
    *h = (sc_harmful){0};
}

static int64_t count_parts(const sc_words *w, const struct sc_harmful_word *word)
{
    int64_t n = 0;
    for (const char *p = w->p, *end = p + w->n;
         p < end && (p = memmem(p, (size_t)(end - p), word->p, (size_t)word->n)); p += word->n)
        n++;
    return n;
}

void sc_harmful_count(const sc_harmful *h, const sc_words *w, const char *language, int64_t count[SC_HARMFUL_KINDS])
{
    const sc_harmful_words *l = of_language((sc_harmful *)(uintptr_t)h, *language ? language : "en");
    memset(count, 0, SC_HARMFUL_KINDS * sizeof *count);
    if (!l) return;
    for (int64_t i = 0; l->parts && i < l->words; i++) count[l->word[i].kind] += count_parts(w, &l->word[i]);
    for (int64_t i = 0; !l->parts && i < w->words; i++) {
        char word[SC_BARE_WORD];
        int64_t kind, n = sc_word_bare(w, &w->word[i], word);
        if (n && sc_map_get(&l->index, word, n, &kind)) count[kind]++;
    }
}
