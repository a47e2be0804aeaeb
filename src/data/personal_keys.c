/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets: by the forms that services give theirs, and by what they are called. */
#include "data/filters.h"

#include <math.h>

enum { PLAIN = 1, DASHES = 2, CAPITALS = 4, LONGEST = 4096, MOST_KEY = 16384 };

/* Tokens: what they begin with, which characters follow, how many at least and at most. */
static const struct {
    const char *prefix;
    int of, least, most;
} forms[] = {
    {"AKIA", CAPITALS, 16, 16},
    {"ASIA", CAPITALS, 16, 16},
    {"ghp_", PLAIN, 36, 36},
    {"gho_", PLAIN, 36, 36},
    {"ghu_", PLAIN, 36, 36},
    {"ghs_", PLAIN, 36, 36},
    {"ghr_", PLAIN, 36, 76},
    {"github_pat_", PLAIN, 50, 100},
    {"glpat-", PLAIN | DASHES, 20, 64},
    {"xoxb-", PLAIN | DASHES, 20, 120},
    {"xoxp-", PLAIN | DASHES, 20, 120},
    {"xoxa-", PLAIN | DASHES, 20, 120},
    {"xoxs-", PLAIN | DASHES, 20, 120},
    {"AIza", PLAIN | DASHES, 35, 35},
    {"sk_live_", PLAIN, 20, 120},
    {"rk_live_", PLAIN, 20, 120},
    {"sk-", PLAIN | DASHES, 32, 200},
    {"npm_", PLAIN, 36, 36},
    {"pypi-", PLAIN | DASHES, 50, 250},
    {"hf_", PLAIN, 34, 40},
    {"dckr_pat_", PLAIN | DASHES, 20, 40},
    {"SG.", PLAIN | DASHES, 16, 80},
};

static bool allowed(char c, int of)
{
    if (of & CAPITALS) return sc_is_digit(c) || (c >= 'A' && c <= 'Z');
    return sc_is_name(c) || ((of & DASHES) && c == '-');
}

static bool starts(const char *p, int64_t n, int64_t i, const char *with)
{
    size_t len = strlen(with);
    return n - i >= (int64_t)len && !memcmp(p + i, with, len);
}

/* At least so many digits, letters, and many different ones: words and sums repeat theirs. */
static bool random_looking(const char *p, int64_t n, int least)
{
    int count[128] = {0}, digits = 0, letters = 0;
    double bits = 0;
    for (int64_t i = 0; i < n; i++) {
        count[p[i] & 127]++;
        digits += sc_is_digit(p[i]);
        letters += sc_is_letter(p[i]);
    }
    for (int c = 0; c < 128; c++)
        if (count[c]) bits -= count[c] * log2((double)count[c] / (double)n);
    return digits >= least && letters >= 2 && bits / (double)n > 3;
}

static int64_t by_form(const char *p, int64_t n, int64_t i)
{
    for (int k = 0; k < SC_COUNT(forms); k++) {
        if (!starts(p, n, i, forms[k].prefix)) continue;
        int64_t at = i + (int64_t)strlen(forms[k].prefix), from = at;
        while (at < n && at - from <= forms[k].most && allowed(p[at], forms[k].of)) at++;
        if (at - from >= forms[k].least && at - from <= forms[k].most && random_looking(p + from, at - from, 1))
            return at - i;
    }
    return 0;
}

/* A JSON web token: three parts of base64, of which two are objects. */
static int64_t web_token(const char *p, int64_t n, int64_t i)
{
    int64_t at = i;
    int dots = 0;
    if (!starts(p, n, i, "eyJ")) return 0;
    for (; at < n && at - i < LONGEST && (allowed(p[at], PLAIN | DASHES) || p[at] == '.'); at++)
        if (p[at] == '.' && ++dots == 1 && !starts(p, n, at + 1, "eyJ")) return 0;
    while (at > i && p[at - 1] == '.') at--, dots--;
    return dots == 2 && at - i >= 60 ? at - i : 0;
}

static int64_t private_key(const char *p, int64_t n, int64_t i)
{
    static const char end[] = "PRIVATE KEY";
    if (!starts(p, n, i, "-----BEGIN ") || !sc_has_word(p, i, SC_MIN(n, i + 64), "private key")) return 0;
    int64_t most = SC_MIN(n, i + MOST_KEY);
    const char *from = memmem(p + i, (size_t)(most - i), "-----END ", 9);
    const char *close = from ? memmem(from, (size_t)(p + most - from), end, sizeof end - 1) : NULL;
    if (!close) return most - i;
    int64_t at = close - p + (int64_t)sizeof end - 1;
    while (at < n && p[at] == '-') at++;
    return at - i;
}

/* name = value, name: "value" where the name says that it is a secret; *start: where the value is. */
static int64_t by_name(const char *p, int64_t n, int64_t i, int64_t *start)
{
    static const char *const names[] = {"api_key",      "api-key",       "apikey",     "secret_key",
                                        "secret-key",   "client_secret", "password",   "passwd",
                                        "access_token", "auth_token",    "access_key", "private_key"};
    int64_t at = 0;
    for (int k = 0; k < SC_COUNT(names) && !at; k++) {
        int64_t len = (int64_t)strlen(names[k]);
        if (n - i > len && sc_has_word(p, i, i + len, names[k])) at = i + len;
    }
    if (!at) return 0;
    while (at < n && strchr("\"' ", p[at])) at++;
    if (at >= n || (p[at] != '=' && p[at] != ':')) return 0;
    at++;
    while (at < n && strchr("\"' ", p[at])) at++;
    int64_t from = at;
    while (at < n && at - from < LONGEST && (allowed(p[at], PLAIN | DASHES) || strchr("+/=.!@$%^&*", p[at]))) at++;
    return at - from >= 12 && random_looking(p + from, at - from, 2) ? (*start = from, at - from) : 0;
}

int64_t sc_personal_key(const char *p, int64_t n, int64_t i, int64_t *start)
{
    int64_t len = 0;
    *start = i;
    switch (p[i]) {
    case '-': return private_key(p, n, i);
    case 'e': len = web_token(p, n, i); break;
    case 'A':
    case 'a':
    case 'c':
    case 'p':
    case 'P':
    case 's':
    case 'S':
    case 'C': break;
    default: return strchr("ghxnrd", p[i]) ? by_form(p, n, i) : 0;
    }
    if (!len) len = by_form(p, n, i);
    return len ? len : by_name(p, n, i, start);
}
