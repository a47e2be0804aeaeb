/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a GGUF file: what opens is read whole, with every getter on every key, and as a model's configuration and
 * tokenizer. */
#include "models/models.h"
#include "socle/tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_free(sc_buffer *b) { (void)b; }

static uint64_t read_key(const sc_gguf *g, const char *key)
{
    int64_t i, n, *ints;
    double x;
    bool b;
    float *floats;
    const char *s;
    sc_gguf_text text, *texts;
    uint64_t sum = 0;
    sc_gguf_int(g, key, INT64_MIN, INT64_MAX, &i);
    sc_gguf_num(g, key, -1e300, 1e300, &x);
    sc_gguf_bool(g, key, &b);
    if (sc_gguf_str(g, key, &s) == SC_OK) sum += strlen(s);
    if (sc_gguf_text_of(g, key, &text) == SC_OK) sum += sc_hash(text.p, text.n);
    if (sc_gguf_ints(g, key, &ints, &n) == SC_OK) sc_free(ints);
    if (sc_gguf_floats(g, key, &floats, &n) == SC_OK) sc_free(floats);
    if (sc_gguf_strings(g, key, &texts, &n) == SC_OK) {
        for (int64_t j = 0; j < n; j++) sum += sc_hash(texts[j].p, texts[j].n);
        sc_free(texts);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_buffer *bytes;
    sc_gguf *g;
    if (sc_buffer_wrap(&bytes, (void *)(uintptr_t)data, (int64_t)size, no_free, NULL)) return 0;
    if (sc_gguf_open_buffer(&g, bytes, "input") == SC_OK) {
        uint64_t sum = 0;
        for (int64_t i = 0; i < sc_gguf_key_count(g); i++) {
            const sc_gguf_value *v = sc_gguf_key_at(g, i);
            if (sc_gguf_key(g, v->key) != v) abort();
            sum += read_key(g, v->key);
        }
        for (int64_t i = 0; i < sc_gguf_count(g); i++) {
            const sc_file_tensor *t = sc_gguf_get(g, i), *found;
            if (t->data) sum += sc_hash(t->data, t->bytes);
            sc_status e = sc_gguf_find(g, t->name, &found);
            if (e ? e != SC_EUNSUPPORTED : found != t) abort();
        }
        json_t *config = NULL;
        if (sc_gguf_config(&config, g) == SC_OK) json_decref(config);
        sc_tokenizer *t = NULL;
        if (sc_tokenizer_from_gguf(&t, g) == SC_OK) sc_tokenizer_free(t);
        sc_gguf_free(g);
        (void)sum;
    }
    sc_buffer_unref(bytes);
    return 0;
}
