/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says what to train, the rest is the text. What was made has to be read again, and a byte-level tokenizer has to
 * give the text back. */
#include "vocab/vocab.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const json_t *root, const char *text, int64_t len, bool exact)
{
    sc_tokenizer *t;
    int32_t *ids;
    int64_t n, back_len;
    char *back;
    if (sc_tokenizer_from_root(&t, root, "trained")) abort();
    if (sc_tokenizer_encode(t, text, len, 0, &ids, &n) == SC_OK) {
        if (sc_tokenizer_decode(t, ids, n, 0, &back, &back_len)) abort();
        if (exact && (back_len != len || memcmp(back, text, (size_t)len) != 0)) abort();
        sc_free(back);
        sc_free(ids);
    }
    sc_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"byte-bpe", "bpe", "unigram", "wordpiece"};
    static const char *const patterns[] = {"gpt2", "llama3", "o200k", "none"};
    if (size < 1 || size > 1 << 16) return 0;
    const char *text = (const char *)data + 1, *file;
    int64_t len = (int64_t)size - 1;
    char path[64];
    int fd = memfd_create("text", 0);
    sc_context *ctx = NULL;
    sc_recipe *r = malloc(sizeof *r);
    sc_tokenizer_report report;
    json_t *made = NULL;
    bool bytes = data[0] % 4 == 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    file = path;
    sc_tokenizer_recipe in = {.kind = kinds[data[0] % 4],
                              .size = 400,
                              .file = &file,
                              .files = 1,
                              .documents = data[0] & 4,
                              .split_digits = data[0] & 8,
                              .no_byte_fallback = data[0] & 16,
                              .pattern = bytes ? patterns[data[0] >> 5 & 3] : NULL,
                              .max_token_length = data[0] & 128 ? 4 : 0};
    if (fd >= 0 && r && write(fd, text, (size_t)len) == len &&
        sc_context_new(&ctx, &(sc_context_options){.threads = 2}) == SC_OK && sc_recipe_read(r, &in) == SC_OK &&
        sc_recipe_train(&made, r, ctx, &report) == SC_OK)
        use(made, text, len, bytes);
    json_decref(made);
    sc_context_free(ctx);
    free(r);
    if (fd >= 0) close(fd);
    return 0;
}
