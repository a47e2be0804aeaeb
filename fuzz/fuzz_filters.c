/* SPDX-License-Identifier: Apache-2.0 */
/* A text before all filters; its first byte chooses the language. What is found of personal data lies in the text, in order. */
#include "data/filters.h"
#include "socle/filter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const languages[] = {"en", "ko", "zh", "th", "", "fi"};
    const char *language = size ? languages[data[0] % SC_COUNT(languages)] : "";
    const char *p = (const char *)data;
    static sc_filter *f; /* its table of characters takes longer than a text */
    char *text;
    int64_t n = (int64_t)size, end = 0, len;
    if (!f && sc_filter_new(&f, NULL)) return 0;
    if (sc_filter_check(f, language, p, n, &text) == SC_OK) sc_free(text);
    if (sc_filter_words(f, p, n, &text, &len) == SC_OK) {
        if (memchr(text, '\n', (size_t)len)) abort();
        sc_free(text);
    }
    for (sc_personal x; sc_personal_next(p, n, end, ~0u, &x); end = x.at + x.n)
        if (x.at < end || x.n < 1 || x.at + x.n > n) abort();
    return 0;
}
