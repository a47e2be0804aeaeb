/* SPDX-License-Identifier: Apache-2.0 */
/* Text put right: what is not UTF-8, characters that nobody sees, line ends, spaces, the normal form. Each step is one pass, and
 * most texts need none of them: they are looked at in one pass first. */
#include "data/source.h"
#include "text/text.h"

enum { MOST_MARKS = 16 }; /* of combining marks in a row; no script has as many */

void sc_unicode_room_free(sc_unicode_room *r)
{
    sc_str_free(&r->a);
    sc_str_free(&r->b);
}

int64_t sc_utf8_repair(sc_str *out, const char *p, int64_t n)
{
    int64_t from = 0, bad = 0;
    if (sc_utf8_valid(p, n)) {
        sc_str_append(out, p, n);
        return 0;
    }
    for (int64_t i = 0; i < n;) {
        if ((unsigned char)p[i] < 0x80) {
            i++;
            continue;
        }
        uint32_t c;
        int k = sc_utf8_decode(p + i, n - i, &c);
        if (c == 0xfffd && !(k == 3 && memcmp(p + i, "\xef\xbf\xbd", 3) == 0)) {
            sc_str_append(out, p + from, i - from);
            sc_str_utf8(out, 0xfffd);
            from = i + k;
            bad++;
        }
        i += k;
    }
    sc_str_append(out, p + from, n - from);
    return bad;
}

/* ---- characters that go or become others ---- */

static bool is_space(uint32_t c)
{
    return c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool is_mark(uint32_t c)
{
    return (c >= 0x300 && c <= 0x36f) || (c >= 0x483 && c <= 0x489) || (c >= 0x1ab0 && c <= 0x1aff) ||
           (c >= 0x1dc0 && c <= 0x1dff) || (c >= 0x20d0 && c <= 0x20f0) || (c >= 0xfe20 && c <= 0xfe2f);
}

/* Controls but tab and line feed, marks of direction, invisible operators, noncharacters. Joiners are for joins(). */
static bool is_invisible(uint32_t c)
{
    if (c < 0x20) return c != '\t' && c != '\n';
    if (c < 0x7f) return false;
    if (c <= 0x9f) return true;
    if (c == 0xad || c == 0x200b || c == 0x200e || c == 0x200f || c == 0x61c || c == 0x180e || c == 0xfeff)
        return true;
    if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f)) return true;
    return (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe || (c >= 0xfff9 && c <= 0xfffb) || c == 0xe0001;
}

/* Joiners (U+200C, U+200D) mean something between letters of scripts that join and between emoji alone. */
static bool joins(uint32_t before, uint32_t after) { return before >= 0x500 && after >= 0x500 && !is_space(after); }

typedef struct controls {
    sc_str *out;
    unsigned flags;
    uint32_t before; /* the character that was written last */
    int marks;
    int64_t removed, spaces;
} controls;

/* p: the character c of k bytes; the n bytes behind it follow. How many bytes it took. */
static int put_character(controls *x, const char *p, int k, int64_t n, uint32_t c)
{
    if (x->flags & SC_UNICODE_CONTROLS) {
        bool crlf = c == '\r' && n > 0 && p[k] == '\n';
        if (c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029 || c == '\v' || c == '\f') {
            if (!crlf) sc_str_putc(x->out, '\n');
            x->before = '\n';
            x->removed++;
            return k;
        }
        uint32_t next = 0;
        if ((c == 0x200c || c == 0x200d) && n > 0) sc_utf8_decode(p + k, n, &next);
        x->marks = is_mark(c) ? x->marks + 1 : 0;
        bool joiner = c == 0x200c || c == 0x200d;
        if (is_invisible(c) || (joiner && !joins(x->before, next)) || x->marks > MOST_MARKS) {
            x->removed++;
            return k;
        }
    }
    if ((x->flags & SC_UNICODE_SPACES) && is_space(c)) {
        sc_str_putc(x->out, ' ');
        x->spaces++;
        c = ' ';
    } else {
        sc_str_append(x->out, p, k);
    }
    x->before = c;
    return k;
}

static void put_characters(controls *x, const char *p, int64_t n)
{
    int64_t from = 0;
    for (int64_t i = 0; i < n;) {
        unsigned char b = (unsigned char)p[i];
        if ((b >= 0x20 && b < 0x7f) || b == '\n' || b == '\t') {
            i++;
            continue;
        }
        uint32_t c = b;
        int k = b < 0x80 ? 1 : sc_utf8_decode(p + i, n - i, &c);
        if (i > from) {
            sc_str_append(x->out, p + from, i - from);
            x->before = (unsigned char)p[i - 1];
            x->marks = 0;
        }
        i += put_character(x, p + i, k, n - i - k, c);
        from = i;
    }
    sc_str_append(x->out, p + from, n - from);
}

/* ---- all steps ---- */

/* Whether any step has work to do; ASCII without controls is as it should be. */
static bool is_plain(const char *p, int64_t n)
{
    unsigned char any = 0;
    for (int64_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        any |= (unsigned char)((c & 0x80) | (c < 0x20 && c != '\n' && c != '\t') | (c == 0x7f) | (c == '&'));
    }
    return !any;
}

static void swap(sc_str *a, sc_str *b)
{
    sc_str t = *a;
    *a = *b;
    *b = t;
}

static sc_status normalize(sc_unicode_room *r, sc_str *text, bool compatible, sc_unicode_counts *c)
{
    sc_norm in = {.p = text->p, .n = text->len, .cap = text->len}, out = {0};
    if (!compatible && sc_uni_is_nfc(text->p, text->len)) return SC_OK;
    bool ok = sc_uni_normalize(&out, &in, compatible ? SC_NFKC : SC_NFC);
    if (ok && (out.n != text->len || memcmp(out.p, text->p, (size_t)out.n) != 0)) {
        c->normalized++;
        r->a.len = 0;
        sc_str_append(&r->a, out.p, out.n);
        swap(text, &r->a);
    }
    sc_norm_free(&out);
    return ok && !text->oom ? SC_OK : sc_nomem();
}

sc_status sc_unicode_repair(sc_unicode_room *r, sc_str *text, unsigned flags, sc_unicode_counts *c)
{
    *c = (sc_unicode_counts){0};
    if (!text->len || is_plain(text->p, text->len)) return SC_OK;
    sc_str *to = &r->a;
    to->len = 0;
    to->oom = false;
    if (!sc_utf8_valid(text->p, text->len)) {
        c->invalid = sc_utf8_repair(to, text->p, text->len);
        swap(text, to);
    }
    to->len = 0;
    if ((flags & SC_UNICODE_MOJIBAKE) && (c->mojibake = sc_mojibake_repair(to, text->p, text->len)) > 0)
        swap(text, to);
    to->len = 0;
    if ((flags & SC_UNICODE_ENTITIES) && (c->entities = sc_entities_repair(to, text->p, text->len)) > 0)
        swap(text, to);
    to->len = 0;
    if (flags & (SC_UNICODE_CONTROLS | SC_UNICODE_SPACES)) {
        controls x = {.out = to, .flags = flags};
        put_characters(&x, text->p, text->len);
        c->controls = x.removed;
        c->spaces = x.spaces;
        if (x.removed || x.spaces) swap(text, to);
    }
    if (text->oom || to->oom) return sc_nomem();
    if (!text->len) return SC_OK;
    return flags & (SC_UNICODE_NFC | SC_UNICODE_NFKC) ? normalize(r, text, flags & SC_UNICODE_NFKC, c) : SC_OK;
}
