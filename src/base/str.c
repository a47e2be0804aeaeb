/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

static bool room(sc_str *s, int64_t n)
{
    int64_t need;
    if (s->oom) return false;
    if (!sc_add_ok(s->len, n, &need) || !sc_add_ok(need, 1, &need) || !sc_grow(&s->p, &s->cap, need, 1)) {
        s->oom = true;
        return false;
    }
    return true;
}

void sc_str_append(sc_str *s, const char *p, int64_t n)
{
    if (!room(s, n)) return;
    if (n) memcpy(s->p + s->len, p, (size_t)n);
    s->len += n;
    s->p[s->len] = 0;
}

void sc_str_puts(sc_str *s, const char *z) { sc_str_append(s, z, (int64_t)strlen(z)); }
void sc_str_putc(sc_str *s, char c) { sc_str_append(s, &c, 1); }

void sc_str_printf(sc_str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !room(s, n)) {
        s->oom = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(s->p + s->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    s->len += n;
}

void sc_str_utf8(sc_str *s, uint32_t codepoint)
{
    char b[4];
    sc_str_append(s, b, sc_utf8_encode(codepoint, b));
}

char *sc_str_take(sc_str *s, int64_t *len)
{
    if (!s->oom && !s->p) sc_str_append(s, "", 0);
    if (s->oom) {
        sc_str_free(s);
        return NULL;
    }
    char *p = s->p;
    if (len) *len = s->len;
    *s = (sc_str){0};
    return p;
}

void sc_str_free(sc_str *s)
{
    sc_free(s->p);
    *s = (sc_str){0};
}

/* ---- UTF-8 (RFC 3629; replacement as in Unicode 15, 3.9 "substitution of maximal subparts") ---- */

/* Length of the sequence that `lead` begins, and the range that its second byte must lie in; 0: no lead byte. */
static int lead_info(unsigned char lead, unsigned char *lo, unsigned char *hi)
{
    *lo = 0x80;
    *hi = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) return 2;
    if (lead >= 0xe0 && lead <= 0xef) {
        if (lead == 0xe0) *lo = 0xa0;
        if (lead == 0xed) *hi = 0x9f; /* no surrogates */
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        if (lead == 0xf0) *lo = 0x90;
        if (lead == 0xf4) *hi = 0x8f;
        return 4;
    }
    return 0;
}

/* Bytes of p that fit the sequence its lead begins, and the sequence's full length in *want. */
static int sequence(const unsigned char *p, int64_t n, int *want)
{
    unsigned char lo, hi;
    *want = lead_info(p[0], &lo, &hi);
    if (!*want) return 0;
    int got = 1;
    while (got < *want && got < n && p[got] >= lo && p[got] <= hi) {
        got++;
        lo = 0x80;
        hi = 0xbf;
    }
    return got;
}

int sc_utf8_decode(const char *s, int64_t n, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    int want, got = sequence(p, n, &want);
    if (got == 0 || got < want) {
        *cp = 0xfffd;
        return SC_MAX(got, 1);
    }
    uint32_t c = p[0] & (0xffu >> (want + 1));
    for (int i = 1; i < want; i++) c = c << 6 | (p[i] & 0x3f);
    *cp = c;
    return want;
}

int sc_utf8_encode(uint32_t cp, char out[4])
{
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) cp = 0xfffd;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    int n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | cp);
    return n;
}

bool sc_utf8_valid(const char *p, int64_t n)
{
    for (int64_t i = 0; i < n;) {
        if ((unsigned char)p[i] < 0x80) {
            i++;
            continue;
        }
        int want, got = sequence((const unsigned char *)p + i, n - i, &want);
        if (got == 0 || got < want) return false;
        i += got;
    }
    return true;
}

int sc_utf8_unfinished(const char *p, int64_t n)
{
    for (int k = 1; k <= 3 && k <= n; k++) {
        unsigned char c = (unsigned char)p[n - k];
        if (c < 0x80) return 0;
        if (c < 0xc0) continue;
        int want, got = sequence((const unsigned char *)p + n - k, k, &want);
        return got == k && got < want ? k : 0;
    }
    return 0;
}

/* ---- hash map (open addressing, linear probing, at most 2/3 full) ---- */

uint64_t sc_hash_secret(void)
{
    /* The kernel gives each program 16 random bytes; where there are none, addresses differ at least. */
    const void *bytes = (const void *)(uintptr_t)getauxval(AT_RANDOM);
    uint64_t secret = (uint64_t)(uintptr_t)&secret;
    if (bytes) memcpy(&secret, bytes, sizeof secret);
    return secret;
}

uint64_t sc_hash_with(uint64_t secret, const void *p, int64_t n)
{
    const unsigned char *b = p;
    uint64_t h = secret + (uint64_t)n, w;
    for (; n >= 8; n -= 8, b += 8) {
        memcpy(&w, b, 8);
        h = sc_hash_number(secret, h ^ w);
    }
    w = 0;
    if (n) memcpy(&w, b, (size_t)n);
    return sc_hash_number(secret, h ^ w ^ 0x9e3779b97f4a7c15u);
}

uint64_t sc_hash(const void *p, int64_t n)
{
    /* FNV-1a over words with a multiply-xorshift finish */
    const unsigned char *b = p;
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)n, w;
    for (; n >= 8; n -= 8, b += 8) {
        memcpy(&w, b, 8);
        h = (h ^ w) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    w = 0;
    memcpy(&w, b, (size_t)n);
    h = (h ^ w) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static struct sc_map_slot *probe(const sc_map *m, const char *key, int64_t len, uint64_t hash)
{
    uint64_t mask = (uint64_t)m->cap - 1;
    for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
        struct sc_map_slot *s = &m->slot[i];
        if (!s->key || (s->hash == hash && s->len == len && memcmp(s->key, key, (size_t)len) == 0)) return s;
    }
}

bool sc_map_put(sc_map *m, const char *key, int64_t len, int64_t value)
{
    if ((m->count + 1) * 3 > m->cap * 2) {
        sc_map grown = {.cap = m->cap ? m->cap * 2 : 64, .secret = m->cap ? m->secret : sc_hash_secret()};
        if (!(grown.slot = sc_calloc((size_t)grown.cap, sizeof *grown.slot))) return false;
        for (int64_t i = 0; i < m->cap; i++)
            if (m->slot[i].key) *probe(&grown, m->slot[i].key, m->slot[i].len, m->slot[i].hash) = m->slot[i];
        grown.count = m->count;
        sc_free(m->slot);
        *m = grown;
    }
    uint64_t hash = sc_map_hash(m, key, len);
    struct sc_map_slot *s = probe(m, key, len, hash);
    if (!s->key) m->count++;
    *s = (struct sc_map_slot){.key = key, .len = len, .value = value, .hash = hash};
    return true;
}

uint64_t sc_map_hash(const sc_map *m, const char *key, int64_t len) { return sc_hash_with(m->secret, key, len); }

bool sc_map_get(const sc_map *m, const char *key, int64_t len, int64_t *value)
{
    return sc_map_get_hashed(m, key, len, sc_map_hash(m, key, len), value);
}

bool sc_map_get_hashed(const sc_map *m, const char *key, int64_t len, uint64_t hash, int64_t *value)
{
    if (!m->cap) return false;
    const struct sc_map_slot *s = probe(m, key, len, hash);
    if (!s->key) return false;
    *value = s->value;
    return true;
}

void sc_map_free(sc_map *m)
{
    sc_free(m->slot);
    *m = (sc_map){0};
}

bool sc_base64_decode(sc_str *s, const char *p, int64_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int8_t value[256];
    uint32_t bits = 0;
    int have = 0;
    memset(value, -1, sizeof(value));
    for (int i = 0; i < 64; i++) value[(uint8_t)digits[i]] = (int8_t)i;
    while (n > 0 && p[n - 1] == '=') n--;
    for (int64_t i = 0; i < n; i++) {
        int v = value[(uint8_t)p[i]];
        if (v < 0) return false;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) sc_str_putc(s, (char)(bits >> (have -= 8) & 0xff));
    }
    return have < 6; /* one character alone spells no byte */
}

/* ---- command lines ---- */

static bool harmless_word(const char *word)
{
    static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
    return *word && strspn(word, harmless) == strlen(word);
}

char *sc_command_text(const char *const *word, int n)
{
    sc_str s = {0};
    for (int i = 0; i < n; i++) {
        if (i) sc_str_putc(&s, ' ');
        if (harmless_word(word[i])) {
            sc_str_puts(&s, word[i]);
            continue;
        }
        sc_str_putc(&s, '\'');
        for (const char *p = word[i]; *p; p++) {
            if (*p == '\'')
                sc_str_puts(&s, "'\\''");
            else
                sc_str_putc(&s, *p);
        }
        sc_str_putc(&s, '\'');
    }
    return sc_str_take(&s, NULL);
}
