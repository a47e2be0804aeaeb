/* SPDX-License-Identifier: Apache-2.0 */
/* A file of training data, whose kind the first byte says, and all its fields. */
#include "train/objective.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sc_status look(void *user, const sc_record *r)
{
    static const char names[] = "text|source|label";
    volatile char last = 0;
    (void)user;
    for (int column = 0; column < 3; column++) {
        sc_field f;
        if (sc_record_text(r, names, column, &f) == SC_OK && f.n) last = f.p[f.n - 1];
        if (sc_record_document(r, &f) == SC_OK && f.n) last = f.p[f.n - 1];
    }
    (void)last;
    return SC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"a.jsonl", "a.json", "a.tsv", "a.fasta", "a.txt"};
    if (!size) return 0;
    sc_context ctx = {0};
    const char *kind = kinds[data[0] % SC_COUNT(kinds)];
    sc_records_of(&ctx, kind, (const char *)data + 1, (int64_t)size - 1, data[0] & 128, look, NULL);
    return 0;
}
