/* SPDX-License-Identifier: Apache-2.0 */
/* Static word vectors: which format a file has, and looking words up. */
#include "vectors/fasttext.h"

enum { MAX_WORDS = 1 << 28, MAX_WIDTH = 1 << 16 };

bool sc_vectors_header(const sc_vectors *v, int64_t *n, int64_t *width, int64_t *next)
{
    int64_t value[2] = {0, 0}, i = 0;
    for (int k = 0; k < 2; k++) {
        int64_t digits = 0;
        while (i < v->size && v->p[i] == ' ') i++;
        for (; i < v->size && v->p[i] >= '0' && v->p[i] <= '9' && digits < 12; i++, digits++)
            value[k] = value[k] * 10 + (v->p[i] - '0');
        if (!digits) return false;
    }
    while (i < v->size && (v->p[i] == ' ' || v->p[i] == '\r')) i++;
    if (i >= v->size || v->p[i] != '\n') return false;
    *n = value[0];
    *width = value[1];
    *next = i + 1;
    return true;
}

sc_status sc_vectors_reserve(sc_vectors *v, int64_t n, int64_t width, int64_t least, bool table)
{
    int64_t bytes, floats = 0;
    if (n < 1 || n > MAX_WORDS || width < 1 || width > MAX_WIDTH)
        return sc_fail(SC_EFORMAT, "%s: %lld vectors of %lld numbers", v->name, (long long)n, (long long)width);
    if (!sc_mul_ok(n, least, &bytes) || bytes > v->size)
        return sc_fail(SC_EFORMAT, "%s: too short for %lld vectors of %lld numbers", v->name, (long long)n,
                       (long long)width);
    if (table && (!sc_mul_ok(n * (int64_t)sizeof(float), width, &floats) || floats > sc_memory_size()))
        return sc_fail(SC_ELIMIT, "%s: the vectors would take more than this machine's memory", v->name);
    v->width = width;
    v->word = sc_calloc((size_t)n, sizeof *v->word);
    v->table = table ? sc_malloc((size_t)floats) : NULL;
    return v->word && (!table || v->table) ? SC_OK : sc_nomem();
}

sc_status sc_vectors_put(sc_vectors *v, int64_t i, const char *p, int64_t len)
{
    int64_t there;
    v->word[i].p = p;
    v->word[i].len = len;
    if (sc_map_get(&v->index, p, len, &there)) return SC_OK;
    return sc_map_put(&v->index, p, len, i) ? SC_OK : sc_nomem();
}

/* In the text format a line of the header's width of decimal numbers follows the word; anything else is binary. */
static bool is_text(const sc_vectors *v, int64_t width, int64_t at)
{
    const char *line = v->p + at, *end = memchr(line, '\n', (size_t)(v->size - at)),
               *space = memchr(line, ' ', (size_t)(v->size - at));
    int64_t numbers = 0;
    if (!end) end = v->p + v->size;
    if (!space || space > end) return false;
    for (const char *p = space; p < end;) {
        while (p < end && (*p == ' ' || *p == '\r' || *p == '\t')) p++;
        const char *from = p;
        float unused;
        while (p < end && *p != ' ' && *p != '\r' && *p != '\t') p++;
        if (p > from && !sc_decimal(from, p - from, &unused)) return false;
        numbers += p > from;
    }
    return numbers == width;
}

static sc_status read_any(sc_vectors *v, int64_t limit)
{
    int32_t magic = 0;
    int64_t n, width, next;
    if (!v->size) return sc_fail(SC_EFORMAT, "%s: empty", v->name);
    if (v->size >= 4) memcpy(&magic, v->p, sizeof magic);
    if (magic == SC_FT_MAGIC) {
        v->kind = "fastText";
        return sc_vectors_read_fasttext(v, limit);
    }
    if (!sc_vectors_header(v, &n, &width, &next)) {
        v->kind = "GloVe";
        return sc_vectors_read_text(v, limit, false);
    }
    bool text = is_text(v, width, next);
    v->kind = text ? "word2vec text" : "word2vec binary";
    return text ? sc_vectors_read_text(v, limit, true) : sc_vectors_read_binary(v, limit);
}

sc_status sc_vectors_open_buffer(sc_vectors **out, sc_buffer *bytes, const char *name, int64_t limit)
{
    sc_vectors *v = sc_calloc(1, sizeof *v);
    if (!v) return sc_nomem();
    char *copy = sc_strdup(name);
    v->name = copy;
    v->file = sc_buffer_ref(bytes);
    v->p = bytes->data;
    v->size = bytes->size;
    sc_status s = copy ? SC_OK : sc_nomem();
    if (!s && limit < 0) s = sc_fail(SC_EINVAL, "%lld words", (long long)limit);
    if (!s) s = read_any(v, limit ? limit : INT64_MAX);
    if (s)
        sc_vectors_free(v);
    else
        *out = v;
    return s;
}

sc_status sc_vectors_open(sc_vectors **out, const char *path, int64_t limit)
{
    sc_buffer *bytes;
    sc_status s = sc_file_map(&bytes, path);
    if (s) return s;
    s = sc_vectors_open_buffer(out, bytes, path, limit);
    sc_buffer_unref(bytes);
    return s;
}

void sc_vectors_free(sc_vectors *v)
{
    if (!v) return;
    if (v->fasttext) sc_ft_model_free(v->fasttext);
    sc_free(v->fasttext);
    sc_map_free(&v->index);
    sc_free(v->word);
    sc_free(v->table);
    sc_free((char *)(uintptr_t)v->name);
    sc_buffer_unref(v->file);
    sc_free(v);
}

const char *sc_vectors_kind(const sc_vectors *v) { return v->kind; }
int64_t sc_vectors_count(const sc_vectors *v) { return v->n; }
int64_t sc_vectors_width(const sc_vectors *v) { return v->width; }

const char *sc_vectors_word(const sc_vectors *v, int64_t i, int64_t *len)
{
    if (i < 0 || i >= v->n) return NULL;
    if (v->fasttext) {
        *len = v->fasttext->dict->word[i].len;
        return v->fasttext->dict->word[i].p;
    }
    *len = v->word[i].len;
    return v->word[i].p;
}

int64_t sc_vectors_find(const sc_vectors *v, const char *word, int64_t len)
{
    int64_t i;
    if (v->fasttext) {
        i = sc_lexicon_find(v->fasttext->dict, word, len);
        return i < v->n ? i : -1;
    }
    return sc_map_get(&v->index, word, len, &i) ? i : -1;
}

sc_status sc_vectors_get(const sc_vectors *v, const char *word, int64_t len, float *out)
{
    int64_t row = v->fasttext ? -1 : sc_vectors_find(v, word, len), parts = row >= 0;
    if (v->fasttext) sc_ft_word_vector(v->fasttext, word, len, out, &parts);
    if (row >= 0) memcpy(out, v->table + row * v->width, sizeof *out * (size_t)v->width);
    int shown = (int)SC_MIN(len, 100);
    return parts ? SC_OK : sc_fail(SC_ENOTFOUND, "%s: no vector for '%.*s'", v->name, shown, word);
}
