/* SPDX-License-Identifier: Apache-2.0 */
/* A vocab.txt; or, with a NUL in it, a vocab.json and its merges.txt. Then a fixed text through it. */
#include "text/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(sc_tokenizer *t)
{
    static const char text[] =
        " Hello  w\xc3\xb6rld, it's \xed\x95\x9c\xff 123 <|endoftext|>[MASK] aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    int32_t *ids;
    int64_t n, len;
    char *back;
    if (sc_tokenizer_encode(t, text, sizeof(text) - 1, SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL, &ids, &n) ==
        SC_OK) {
        for (int64_t i = 0; i < n; i++) {
            if (ids[i] < 0 || ids[i] >= sc_tokenizer_vocab_size(t)) abort();
        }
        if (sc_tokenizer_decode(t, ids, n, 0, &back, &len) == SC_OK) sc_free(back);
        sc_free(ids);
    }
    sc_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data, *nul = size ? memchr(p, 0, size) : NULL;
    json_t *settings = json_object();
    if (!settings) return 0;
    if (size && data[0] % 2) json_object_set_new(settings, "tokenizer_class", json_string("RobertaTokenizer"));
    sc_tokenizer *t = NULL;
    sc_status s =
        nul ? sc_tokenizer_from_merges(&t, settings, p, nul - p, nul + 1, (int64_t)size - (nul - p) - 1, "fuzz")
            : sc_tokenizer_from_vocab_txt(&t, settings, p, (int64_t)size, "fuzz");
    if (s == SC_OK) use(t);
    json_decref(settings);
    return 0;
}
