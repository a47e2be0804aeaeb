/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and masking personal data. One pass looks at the few characters that something can begin with. */
#include "data/filters.h"

enum { LOCAL = 64, DOMAIN = 253, LABEL = 63 };

static const sc_personal_info kinds_known[] = {
#define P(name, mask, what) {#name, mask, what},
#include "data/personal.def"
#undef P
};

const sc_personal_info *sc_personal_at(int kind)
{
    return kind >= 0 && kind < SC_PERSONAL_KINDS ? &kinds_known[kind] : NULL;
}

static bool same(const char *p, const char *word, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        char c = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
        if (c != word[i]) return false;
    }
    return true;
}

bool sc_has_word(const char *p, int64_t from, int64_t to, const char *word)
{
    int64_t len = (int64_t)strlen(word);
    bool whole = sc_is_letter(word[0]);
    for (int64_t i = from; i + len <= to; i++) {
        bool inside = whole && ((i > 0 && sc_is_letter(p[i - 1])) || (i + len < to && sc_is_letter(p[i + len])));
        if (!inside && same(p + i, word, len)) return true;
    }
    return false;
}

/* ---- e-mail: found by its @ ---- */

static bool is_local(char c) { return sc_is_name(c) || (c && strchr(".!#$%&'*+/=?^`{|}~-", c)); }

/* A last label that is no domain: names of pictures at twice their size and the like. */
static bool is_file_type(const char *p, int64_t n)
{
    static const char *const types[] = {"png", "jpg", "jpeg", "gif", "svg", "webp",
                                        "css", "js",  "html", "php", "pdf", "txt"};
    for (int i = 0; i < SC_COUNT(types); i++)
        if ((int64_t)strlen(types[i]) == n && same(p, types[i], n)) return true;
    return false;
}

/* Domains that belong to nobody (RFC 2606), and names of nobody. */
static bool is_nobody(const char *p, int64_t at, int64_t local, int64_t domain)
{
    static const char *const none[] = {"example.com", "example.org", "example.net", "domain.com",
                                       "localhost.localdomain"};
    const char *d = p + at + 1;
    for (int i = 0; i < SC_COUNT(none); i++)
        if ((int64_t)strlen(none[i]) == domain && same(d, none[i], domain)) return true;
    return (local == 3 && same(p + at - 3, "git", 3)) || (domain > 8 && same(d + domain - 8, ".example", 8)) ||
           (domain > 8 && same(d + domain - 8, ".invalid", 8));
}

/* Bytes of the domain at p[i..n); 0: there is none. */
static int64_t domain_at(const char *p, int64_t n, int64_t i)
{
    int64_t from = i, label = i, dots = 0, good = 0;
    for (; i < n && i - from <= DOMAIN; i++) {
        char c = p[i];
        if (sc_is_digit(c) || sc_is_letter(c) || (c == '-' && i > label)) continue;
        if (c != '.' || i == label || i - label > LABEL || p[i - 1] == '-') break;
        dots++;
        label = i + 1;
    }
    if (i == label && dots) { /* a full stop behind the address */
        i--;
        dots--;
        for (label = i; label > from && p[label - 1] != '.';) label--;
    }
    while (i > label && p[i - 1] == '-') i--;
    for (int64_t k = label; k < i; k++) good += sc_is_letter(p[k]);
    if (!dots || i - label < 2 || i - label > 24 || good != i - label || is_file_type(p + label, i - label))
        return 0;
    return i - from;
}

static bool email_at(const char *p, int64_t n, int64_t from, int64_t at, sc_personal *out)
{
    int64_t i = at, domain = domain_at(p, n, at + 1);
    if (!domain) return false;
    while (i > from && at - i <= LOCAL && is_local(p[i - 1])) i--;
    while (i < at && !sc_is_name(p[i])) i++; /* quotes and dots before it, the slashes of a link */
    for (int64_t k = at - 1; k > i; k--)
        if (p[k] == '/' || p[k] == '=' || (p[k] == '.' && p[k - 1] == '.')) {
            i = k + 1;
            break;
        }
    int64_t local = at - i;
    if (local < 1 || local > LOCAL || p[at - 1] == '.' || is_nobody(p, at, local, domain)) return false;
    *out = (sc_personal){i, local + 1 + domain, SC_PERSONAL_email};
    return true;
}

/* ---- the pass ---- */

static bool wants(unsigned kinds, sc_personal_kind k) { return kinds >> k & 1; }

/* What begins at p[i], where no name and no number goes on. */
static bool begins(const char *p, int64_t n, int64_t i, unsigned kinds, sc_personal *out)
{
    sc_personal_kind kind;
    int64_t len = 0, at = i;
    char c = p[i];
    if (sc_is_digit(c) || c == '+' || c == '(') {
        if ((len = sc_personal_number(p, n, i, kinds, &kind))) {
            *out = (sc_personal){i, len, kind};
            return true;
        }
    }
    if (wants(kinds, SC_PERSONAL_ip) && (c == '2' || c == '3') && (len = sc_personal_ipv6(p, n, i)))
        kind = SC_PERSONAL_ip;
    else if (wants(kinds, SC_PERSONAL_iban) && c >= 'A' && c <= 'Z' && (len = sc_personal_iban(p, n, i)))
        kind = SC_PERSONAL_iban;
    else if (wants(kinds, SC_PERSONAL_key) && (sc_is_letter(c) || c == '-') &&
             (len = sc_personal_key(p, n, i, &at)))
        kind = SC_PERSONAL_key;
    if (len) *out = (sc_personal){at, len, kind};
    return len > 0;
}

bool sc_personal_next(const char *p, int64_t n, int64_t from, unsigned kinds, sc_personal *out)
{
    for (int64_t i = from; i < n; i++) {
        char c = p[i];
        if (c == '@') {
            if (wants(kinds, SC_PERSONAL_email) && email_at(p, n, from, i, out)) return true;
            continue;
        }
        bool inside = i > 0 && sc_is_name(p[i - 1]);
        if (inside || (!sc_is_name(c) && c != '+' && c != '(' && c != '-')) continue;
        if (begins(p, n, i, kinds, out)) return true;
    }
    return false;
}

int64_t sc_personal_mask(sc_str *out, const char *p, int64_t n, unsigned kinds, int64_t *counts)
{
    int64_t from = 0, found = 0;
    sc_personal x;
    while (sc_personal_next(p, n, from, kinds, &x)) {
        sc_str_append(out, p + from, x.at - from);
        sc_str_puts(out, kinds_known[x.kind].mask);
        counts[x.kind]++;
        found++;
        from = x.at + x.n;
    }
    sc_str_append(out, p + from, n - from);
    return found;
}
