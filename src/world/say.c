/* SPDX-License-Identifier: Apache-2.0 */
/* Templates, English articles and Korean particles. */
#include "world/world.h"

#include <stdio.h>

uint32_t sc_below(sc_draft *d, uint32_t n) { return (uint32_t)((uint64_t)sc_rng_u32(&d->rng) * n >> 32); }

int64_t sc_between(sc_draft *d, int64_t lo, int64_t hi)
{
    uint64_t wide = (uint64_t)sc_rng_u32(&d->rng) << 32;
    wide |= sc_rng_u32(&d->rng);
    return lo + (int64_t)((unsigned __int128)wide * (uint64_t)(hi - lo + 1) >> 64);
}

bool sc_chance(sc_draft *d, uint32_t n) { return sc_below(d, n) == 0; }

/* ---- slots ---- */

static sc_slot *find(const sc_draft *d, const char *name, size_t n)
{
    for (int i = 0; i < d->slots; i++)
        if (strncmp(d->slot[i].name, name, n) == 0 && d->slot[i].name[n] == 0) return (sc_slot *)&d->slot[i];
    return NULL;
}

void sc_bind(sc_draft *d, const char *name, const char *fmt, ...)
{
    size_t n = strlen(name);
    sc_slot *s = n < SC_SLOT_NAME ? find(d, name, n) : NULL;
    if (!s) {
        if (n >= SC_SLOT_NAME || d->slots == SC_SLOTS) {
            d->fault = name;
            return;
        }
        s = &d->slot[d->slots++];
        memcpy(s->name, name, n + 1);
    }
    char text[SC_SLOT_BYTES]; /* the arguments may be slots themselves */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    int64_t len = (int64_t)strlen(text);
    memcpy(s->text, text, (size_t)len);
    s->text[len - sc_utf8_unfinished(text, len)] = 0;
}

void sc_unbind(sc_draft *d) { d->slots = 0; }

const char *sc_slot_text(const sc_draft *d, const char *name)
{
    const sc_slot *s = find(d, name, strlen(name));
    return s ? s->text : NULL;
}

/* ---- English ---- */

static bool begins(const char *word, const char *with)
{
    for (; *with; word++, with++)
        if ((*word | 32) != *with) return false;
    return true;
}

const char *sc_article(const char *word)
{
    static const char *const vowel[] = {"hour", "honest", "heir", "8", "11 ", "18 "};
    static const char *const consonant[] = {"uni", "use", "usu", "eu", "one", "once", "ut"};
    for (int i = 0; i < SC_COUNT(vowel); i++)
        if (begins(word, vowel[i])) return "an";
    for (int i = 0; i < SC_COUNT(consonant); i++)
        if (begins(word, consonant[i])) return "a";
    return *word && strchr("aeiouAEIOU", *word) ? "an" : "a";
}

/* ---- Korean ---- */

/* How a number is read that ends with this many zeros behind another digit: 십, 백, 천, 만, 억, 조. */
static int sound_of_zeros(int zeros)
{
    return zeros >= 12 ? 0 : 2; /* all but 조 end with a consonant, and none with ㄹ */
}

int sc_final_sound(const char *p, int64_t n)
{
    static const char digits[] = {2, 1, 0, 2, 0, 0, 2, 1, 1, 0}; /* 영 일 이 삼 사 오 육 칠 팔 구 */
    static const char closing_title[] = "》";
    while (n > 0 && strchr(" \"')]", p[n - 1])) n--;
    if (n > 3 && memcmp(p + n - 3, closing_title, 3) == 0) n -= 3;
    if (n == 0) return 0;
    if (p[n - 1] >= '0' && p[n - 1] <= '9') {
        int zeros = 0;
        while (zeros < n && p[n - 1 - zeros] == '0') zeros++;
        bool alone = zeros == n || p[n - 1 - zeros] < '0' || p[n - 1 - zeros] > '9';
        return zeros && !alone ? sound_of_zeros(zeros) : digits[p[n - 1] - '0'];
    }
    int64_t at = n - 1;
    while (at > 0 && (p[at] & 0xc0) == 0x80) at--;
    uint32_t c;
    sc_utf8_decode(p + at, n - at, &c);
    if (c >= 0xac00 && c <= 0xd7a3) {
        int coda = (int)((c - 0xac00) % 28);
        return coda == 0 ? 0 : coda == 8 ? 1 : 2;
    }
    if (c == 'l' || c == 'L' || c == 'r' || c == 'R') return 1;
    return c < 128 && strchr("mnbkptdgcMNBKPTDGC", (int)c) ? 2 : 0;
}

/* The form after a consonant and the one after a vowel; the longer ones first. */
static const char *const particles[][2] = {
    {"이었다", "였다"}, {"이라고", "라고"}, {"이라는", "라는"}, {"이지만", "지만"}, {"이어서", "여서"},
    {"이다", "다"},     {"이고", "고"},     {"이며", "며"},     {"이라", "라"},     {"이나", "나"},
    {"이랑", "랑"},     {"으로", "로"},     {"은", "는"},       {"이", "가"},       {"을", "를"},
    {"과", "와"},       {"아", "야"},
};

static const char *say_particle(sc_draft *d, sc_str *out, const char *p)
{
    int sound = sc_final_sound(out->p, out->len);
    for (int i = 0; i < SC_COUNT(particles); i++) {
        const char *const *form = particles[i];
        size_t n = strlen(form[0]);
        if (strncmp(p, form[0], n) != 0) continue;
        bool vowel = sound == 0 || (sound == 1 && strcmp(form[0], "으로") == 0);
        sc_str_puts(out, form[vowel]);
        return p + n;
    }
    d->fault = p;
    return p;
}

/* ---- templates ---- */

static const char *say_slot(sc_draft *d, sc_str *out, const char *p)
{
    const char *end = strchr(p, '}');
    bool article = (p[0] | 32) == 'a' && p[1] == ' ';
    char first = p[0];
    if (article) p += 2;
    const sc_slot *s = end && end > p ? find(d, p, (size_t)(end - p)) : NULL;
    if (!s) {
        d->fault = p;
        return end ? end + 1 : p + strlen(p);
    }
    if (article) {
        const char *a = sc_article(s->text);
        sc_str_putc(out, first);
        sc_str_puts(out, a + 1);
        sc_str_putc(out, ' ');
    }
    sc_str_puts(out, s->text);
    return end + 1;
}

/* Where the bracket that opened before p closes, and how many choices it has. */
static const char *closing(const char *p, uint32_t *choices)
{
    int depth = 1;
    *choices = 1;
    for (; *p; p++) {
        if (*p == '[') depth++;
        if (*p == ']' && --depth == 0) return p;
        if (*p == '|' && depth == 1) ++*choices;
    }
    return NULL;
}

static void say_range(sc_draft *d, sc_str *out, const char *p, const char *end);

static const char *say_choice(sc_draft *d, sc_str *out, const char *p)
{
    uint32_t n;
    const char *end = closing(p, &n);
    if (!end) {
        d->fault = p;
        return p + strlen(p);
    }
    uint32_t take = sc_below(d, n), i = 0;
    int depth = 0;
    const char *from = p, *to = end;
    for (const char *q = p; q < end; q++) {
        if (*q == '[') depth++;
        if (*q == ']') depth--;
        if (*q != '|' || depth) continue;
        if (i++ == take) {
            to = q;
            break;
        }
        from = q + 1;
    }
    say_range(d, out, from, to);
    return end + 1;
}

static void say_range(sc_draft *d, sc_str *out, const char *p, const char *end)
{
    int64_t capital = -1;
    while (p < end) {
        if (*p == '{') {
            p = say_slot(d, out, p + 1);
        } else if (*p == '[') {
            p = say_choice(d, out, p + 1);
        } else if (*p == '~') {
            p = say_particle(d, out, p + 1);
        } else if (*p == '^') {
            capital = out->len;
            p++;
        } else {
            sc_str_putc(out, *p++);
        }
        if (capital >= 0 && out->len > capital) {
            char *c = out->p + capital;
            if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 32);
            capital = -1;
        }
    }
}

void sc_say(sc_draft *d, sc_str *out, const char *text) { say_range(d, out, text, text + strlen(text)); }

void sc_say_one(sc_draft *d, sc_str *out, const char *const *texts, int n)
{
    while (n > 1 && !texts[n - 1]) n--;
    sc_say(d, out, texts[sc_below(d, (uint32_t)n)]);
}
