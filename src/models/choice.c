/* SPDX-License-Identifier: Apache-2.0 */
#include "models/choice.h"
#include "text/text.h"

struct sc_choice {
    const char *text;
    sc_regex *re; /* NULL: the text is a list */
    sc_matcher *matcher;
};

void sc_choice_free(sc_choice *c)
{
    if (!c) return;
    sc_regex_free(c->re);
    sc_matcher_free(c->matcher);
    sc_free(c);
}

sc_status sc_choice_new(sc_choice **out, const char *text, const char *what)
{
    sc_choice *c = sc_calloc(1, sizeof *c);
    sc_str whole = {0};
    sc_status s = SC_OK;
    if (!c) return sc_nomem();
    c->text = text;
    if (strncmp(text, "re:", 3) == 0) {
        sc_str_printf(&whole, "\\A(?:%s)\\z", text + 3);
        s = whole.oom ? sc_nomem() : sc_regex_new(&c->re, whole.p, whole.len, what);
        if (!s) s = sc_matcher_new(&c->matcher);
        sc_str_free(&whole);
    }
    if (s)
        sc_choice_free(c);
    else
        *out = c;
    return s;
}

static bool is_listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list;; at++) {
        size_t k = strcspn(at, ",");
        if (k && k <= n && memcmp(name + n - k, at, k) == 0 && (k == n || name[n - k - 1] == '.')) return true;
        if (!at[k]) return false;
        at += k;
    }
}

sc_status sc_choice_has(const sc_choice *c, const char *name, bool *yes)
{
    int64_t begin, end;
    if (!c->re) {
        *yes = is_listed(c->text, name);
        return SC_OK;
    }
    sc_scan scan = sc_scan_begin(c->re, c->matcher, name, (int64_t)strlen(name), true);
    return sc_scan_next(&scan, yes, &begin, &end);
}
