/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a file of messages, whose lines are then cleaned. */
#include "data/languages.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sc_status put(void *user, const char *message, int64_t len, const char *to, int64_t len_to)
{
    sc_str *s = user;
    sc_language_words w;
    s->len = 0;
    sc_language_clean(s, to, len_to, message, len, &w);
    if (s->len && !sc_utf8_valid(s->p, s->len)) abort();
    (void)sc_language_key(s->p, s->len);
    return SC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_str s = {0};
    sc_language_words w;
    (void)sc_mo_read((const char *)data, (int64_t)size, "input", put, &s);
    s.len = 0;
    sc_language_clean(&s, (const char *)data, (int64_t)size, NULL, 0, &w);
    sc_str_free(&s);
    return 0;
}
