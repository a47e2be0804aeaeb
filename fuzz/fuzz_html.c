/* SPDX-License-Identifier: Apache-2.0 */
/* A web page, in whatever charset its bytes are, and the repair of what its text is. */
#include "data/html.h"
#include "data/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_html *h = NULL;
    sc_charset_room c = {0};
    sc_unicode_room u = {0};
    sc_unicode_counts counts;
    sc_html_result r;
    int64_t bad;
    if (size < 1) return 0;
    const char *p = (const char *)data + 1;
    int64_t n = (int64_t)size - 1;
    sc_html_options o = {.markdown = data[0] & 1, .title = data[0] & 2, .all = data[0] & 4, .memory = 16 << 20};
    if (sc_html_new(&h) == SC_OK &&
        sc_charset_convert(&c, sc_charset_detect(p, n, "", true), p, n, &bad) == SC_OK &&
        sc_html_text(h, c.out.p ? c.out.p : "", c.out.len, &o, &r) == SC_OK) {
        sc_str s = {0};
        sc_str_append(&s, r.text, r.len);
        if (sc_unicode_repair(&u, &s, SC_UNICODE_USUAL, &counts) == SC_OK && !sc_utf8_valid(s.p ? s.p : "", s.len))
            __builtin_trap();
        sc_str_free(&s);
    }
    sc_html_free(h);
    sc_charset_room_free(&c);
    sc_unicode_room_free(&u);
    return 0;
}
