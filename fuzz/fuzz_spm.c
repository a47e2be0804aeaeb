/* SPDX-License-Identifier: Apache-2.0 */
/* A SentencePiece tokenizer.model, then a fixed text through it. */
#include "text/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        " Hello  world\n\xe2\x96\x81\xed\x95\x9c\xff aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa <s>";
    sc_tokenizer *t = NULL;
    if (sc_tokenizer_from_spm(&t, data, (int64_t)size, "fuzz") != SC_OK) return 0;
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
    return 0;
}
