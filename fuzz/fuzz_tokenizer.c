/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json, then after a NUL a text to encode and decode with it. */
#include "text/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data, *nul = size ? memchr(p, 0, size) : NULL;
    int64_t json = nul ? nul - p : (int64_t)size, rest = nul ? (int64_t)size - json - 1 : 0;
    const char *text = rest > 0 ? nul + 1 : "Hello world 123 <|end|> \xed\x95\x9c";
    int64_t len = rest > 0 ? rest : (int64_t)strlen(text);
    sc_tokenizer *t = NULL;
    if (sc_tokenizer_from_json(&t, p, json, "fuzz") != SC_OK) return 0;
    for (unsigned flags = 0; flags < 8; flags += 3) {
        int32_t *ids;
        sc_token_span *spans;
        int64_t n, back_len;
        char *back;
        if (sc_tokenizer_encode_spans(t, text, len, flags, &ids, &spans, &n) != SC_OK) continue;
        for (int64_t i = 0; i < n; i++) {
            if (ids[i] < 0 || ids[i] >= sc_tokenizer_vocab_size(t) || spans[i].begin > spans[i].end) abort();
        }
        if (sc_tokenizer_decode(t, ids, n, flags & 3, &back, &back_len) == SC_OK) {
            if ((flags & SC_DETOKENIZE_REPLACE_INVALID) && !sc_utf8_valid(back, back_len)) abort();
            sc_free(back);
        }
        sc_free(ids);
        sc_free(spans);
    }
    sc_tokenizer_free(t);
    return 0;
}
