/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizers that map characters: BERT's, Nmt's, and the precompiled character maps of SentencePiece models.
 *
 * A character map is a blob: the size of a tree in bytes (u32), the tree, and texts that end with NUL. The tree is a double
 * array of u32 units, as the library Darts-clone writes them; the value of a string is where its text begins. */
#include "text/text.h"

#include <utf8proc.h>

#define MAX_CHARSMAP (16 << 20)
#define MAX_KEY      1024 /* bytes of a text that is mapped; a crafted tree has a way for any text */

static inline sc_token_span origin(const sc_norm *x, int64_t i)
{
    return x->track ? x->a[i] : (sc_token_span){0, 0};
}

/* ---- BERT ---- */

static bool bert_removes(uint32_t c)
{
    return c == 0 || c == 0xfffd || (sc_uni_old_other(c) && c != '\t' && c != '\n' && c != '\r');
}

static bool bert_one(sc_norm *dst, const sc_norm_step *step, uint32_t c, const char *p, int k, sc_token_span a)
{
    if (step->clean) {
        if (bert_removes(c)) return false;
        if (sc_uni_white(c)) {
            p = " ";
            k = 1;
        }
    }
    bool alone = step->separate && sc_uni_cjk(c);
    if (alone) sc_norm_put(dst, " ", 1, a);
    sc_norm_put(dst, p, k, a);
    if (alone) sc_norm_put(dst, " ", 1, a);
    return true;
}

/* What most texts are made of: characters that only change their case, and become spaces. */
static char bert_ascii(const sc_norm_step *step, unsigned char c)
{
    if (step->clean && (c == '\t' || c == '\n' || c == '\r')) return ' ';
    return step->lower && c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;
}

static bool plain(const sc_norm_step *step, unsigned char c)
{
    return c < 0x7f && (c >= 0x20 || !step->clean || c == '\t' || c == '\n' || c == '\r');
}

static void bert_first(sc_norm *dst, const sc_norm *x, const sc_norm_step *step)
{
    for (int64_t i = 0; i < x->n;) {
        int64_t j = i;
        while (j < x->n && plain(step, (unsigned char)x->p[j])) j++;
        if (j > i) {
            int64_t at = dst->n;
            sc_norm_copy(dst, x->p + i, j - i, x->track ? x->a + i : NULL);
            for (int64_t q = at; !dst->oom && q < dst->n; q++)
                dst->p[q] = bert_ascii(step, (unsigned char)dst->p[q]);
            i = j;
            continue;
        }
        uint32_t c;
        int k = sc_utf8_decode(x->p + i, x->n - i, &c);
        bert_one(dst, step, c, x->p + i, k, origin(x, i));
        i += k;
    }
}

static bool is_ascii(const sc_norm *x)
{
    unsigned char any = 0;
    for (int64_t i = 0; i < x->n; i++) any |= (unsigned char)x->p[i];
    return any < 0x80;
}

bool sc_norm_bert(const sc_norm_step *step, const sc_norm *x, sc_norm *dst)
{
    bert_first(dst, x, step);
    if (dst->oom || is_ascii(dst) || !(step->accents || step->lower)) return !dst->oom;
    sc_norm parts = {.track = x->track};
    bool ok = true;
    if (step->accents) {
        ok = sc_uni_normalize(&parts, dst, SC_NFD);
    } else {
        sc_norm_copy(&parts, dst->p, dst->n, dst->a);
        ok = !parts.oom;
    }
    sc_norm_clear(dst);
    for (int64_t i = 0; ok && i < parts.n;) {
        uint32_t c, low[2];
        int k = sc_utf8_decode(parts.p + i, parts.n - i, &c);
        sc_token_span a = origin(&parts, i);
        int n = step->lower ? sc_uni_lower(c, low) : 1;
        if (c < 0x80) {
            char one = bert_ascii(step, (unsigned char)c);
            sc_norm_put(dst, &one, 1, a);
        } else if (step->accents && sc_uni_old_nonspacing(c)) {
        } else if (!step->lower || (n == 1 && low[0] == c)) {
            sc_norm_put(dst, parts.p + i, k, a);
        } else {
            for (int j = 0; j < n; j++) {
                char out[4];
                sc_norm_put(dst, out, sc_utf8_encode(low[j], out), a);
            }
        }
        i += k;
    }
    sc_norm_free(&parts);
    return ok && !dst->oom;
}

/* ---- Nmt ---- */

static bool nmt_removes(uint32_t c)
{
    return (c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
}

static bool nmt_space(uint32_t c)
{
    return c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 ||
           c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
}

void sc_norm_nmt(const sc_norm *x, sc_norm *dst)
{
    for (int64_t i = 0; i < x->n;) {
        uint32_t c;
        int k = sc_utf8_decode(x->p + i, x->n - i, &c);
        if (!nmt_removes(c)) sc_norm_put(dst, nmt_space(c) ? " " : x->p + i, nmt_space(c) ? 1 : k, origin(x, i));
        i += k;
    }
}

/* ---- character maps ---- */

struct sc_charsmap {
    uint32_t *unit;
    int64_t units;
    char *text; /* n bytes, the last of them NUL */
    int64_t n;
    bool begins[256]; /* a key begins with the byte */
};

static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

sc_status sc_charsmap_new(sc_charsmap **out, const uint8_t *blob, int64_t len, const char *what)
{
    if (len > MAX_CHARSMAP)
        return sc_fail(SC_ELIMIT, "%s: a character map of %lld bytes; at most %d", what, (long long)len,
                       MAX_CHARSMAP);
    int64_t tree = len >= 4 ? (int64_t)u32(blob) : -1;
    if (tree < 4 || tree % 4 != 0 || tree > len - 4)
        return sc_fail(SC_EFORMAT, "%s: a damaged character map", what);
    sc_charsmap *m = sc_calloc(1, sizeof(*m));
    if (m) {
        m->units = tree / 4;
        m->n = len - 4 - tree + 1;
        m->unit = sc_malloc((size_t)tree);
        m->text = sc_malloc((size_t)m->n);
    }
    if (!m || !m->unit || !m->text) {
        sc_charsmap_free(m);
        return sc_nomem();
    }
    for (int64_t i = 0; i < m->units; i++) m->unit[i] = u32(blob + 4 + 4 * i);
    memcpy(m->text, blob + 4 + tree, (size_t)(m->n - 1));
    m->text[m->n - 1] = 0;
    for (uint32_t c = 1; c < 256; c++) {
        uint32_t at = offset_of(m->unit[0]) ^ c;
        m->begins[c] = at < m->units && (m->unit[at] & (1u << 31 | 0xff)) == c;
    }
    *out = m;
    return SC_OK;
}

void sc_charsmap_free(sc_charsmap *m)
{
    if (!m) return;
    sc_free(m->unit);
    sc_free(m->text);
    sc_free(m);
}

/* The text that a beginning of p[0..n) maps to, the longest one or the shortest; its bytes in *used. NULL for none. */
static const char *look_up(const sc_charsmap *m, const char *p, int64_t n, bool longest, int64_t *used)
{
    const char *found = NULL;
    uint32_t at = offset_of(m->unit[0]);
    if (!m->begins[(uint8_t)p[0]]) return NULL;
    for (int64_t i = 0; i < SC_MIN(n, MAX_KEY); i++) {
        uint8_t c = (uint8_t)p[i];
        at ^= c;
        if (c == 0 || at >= m->units || (m->unit[at] & (1u << 31 | 0xff)) != c) break;
        uint32_t unit = m->unit[at];
        at ^= offset_of(unit);
        if (!(unit >> 8 & 1) || at >= m->units) continue;
        int64_t text = m->unit[at] & 0x7fffffff;
        if (text >= m->n) continue;
        found = m->text + text;
        *used = i + 1;
        if (!longest) break;
    }
    return found;
}

/* Text that changes by characters, each of which takes the place of one of the source, of more (change < 0), or stands beside
 * the one before (change > 0): so HuggingFace counts where a character came from. */
typedef struct changes {
    const sc_norm *src;
    sc_norm *dst;
    int64_t at;
    const char *p; /* the last character, which may yet take more */
    int k;
    int64_t change;
} changes;

static void settle(changes *c)
{
    const sc_norm *x = c->src;
    uint32_t cp;
    if (c->k == 0) return;
    int64_t from = c->change > 0 ? c->at - 1 : c->at;
    sc_token_span a = x->track && from >= 0 && from < x->n ? x->a[from] : (sc_token_span){0, 0};
    sc_norm_put(c->dst, c->p, c->k, a);
    for (int64_t taken = c->change > 0 ? 0 : 1 - c->change; taken > 0 && c->at < x->n; taken--)
        c->at += sc_utf8_decode(x->p + c->at, x->n - c->at, &cp);
    c->k = 0;
}

static void change(changes *c, const char *p, int k, int64_t by)
{
    settle(c);
    c->p = p;
    c->k = k;
    c->change = by;
}

static int64_t characters(const char *p, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += ((unsigned char)p[i] & 0xc0) != 0x80;
    return count;
}

static void swap_text(changes *c, int64_t old, const char *text)
{
    int64_t len = (int64_t)strlen(text), now = characters(text, len), i = 0;
    for (int64_t k = 0; i < len; k++) {
        uint32_t cp;
        int n = sc_utf8_decode(text + i, len - i, &cp);
        change(c, text + i, n, k >= old ? 1 : 0);
        i += n;
    }
    if (now < old && c->k > 0) c->change += now - old;
}

/* The end of what a reader takes for one character, which begins at i. */
static int64_t cluster_end(const sc_norm *x, int64_t i)
{
    uint32_t a, b;
    utf8proc_int32_t state = 0;
    i += sc_utf8_decode(x->p + i, x->n - i, &a);
    while (i < x->n) {
        int k = sc_utf8_decode(x->p + i, x->n - i, &b);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)a, (utf8proc_int32_t)b, &state)) break;
        a = b;
        i += k;
    }
    return i;
}

static void map_clusters(const sc_charsmap *m, const sc_norm *x, sc_norm *dst)
{
    changes c = {.src = x, .dst = dst};
    int64_t used;
    for (int64_t i = 0; i < x->n && !sc_text_swells(x->n, dst->n);) {
        unsigned char now = (unsigned char)x->p[i], then = i + 1 < x->n ? (unsigned char)x->p[i + 1] : 0;
        if (now >= 0x20 && now < 0x80 && then < 0x80 && !m->begins[now]) {
            change(&c, x->p + i++, 1, 0);
            continue;
        }
        int64_t end = cluster_end(x, i);
        const char *text = end - i < 6 ? look_up(m, x->p + i, end - i, false, &used) : NULL;
        if (text) {
            swap_text(&c, characters(x->p + i, end - i), text);
            i = end;
            continue;
        }
        while (i < end) {
            uint32_t cp;
            int k = sc_utf8_decode(x->p + i, x->n - i, &cp);
            text = look_up(m, x->p + i, k, false, &used);
            if (text)
                swap_text(&c, 1, text);
            else
                change(&c, x->p + i, k, 0);
            i += k;
        }
    }
    settle(&c);
}

static void map_longest(const sc_tokenizer *t, const sc_charsmap *m, const sc_norm *x, sc_norm *dst)
{
    for (int64_t i = 0; i < x->n && !sc_text_swells(x->n, dst->n);) {
        int64_t used = sc_added_at(&t->normalized, x->p + i, x->n - i); /* user-defined tokens stay */
        uint32_t cp;
        const char *text = used > 0 ? NULL : look_up(m, x->p + i, x->n - i, true, &used);
        if (text) {
            sc_norm_put(dst, text, (int64_t)strlen(text), origin(x, i));
        } else {
            if (used == 0) used = sc_utf8_decode(x->p + i, x->n - i, &cp);
            sc_norm_copy(dst, x->p + i, used, x->track ? x->a + i : NULL);
        }
        i += used;
    }
}

sc_status sc_charsmap_run(const sc_tokenizer *t, const sc_norm_step *step, const sc_norm *x, sc_norm *dst)
{
    if (step->longest)
        map_longest(t, step->charsmap, x, dst);
    else
        map_clusters(step->charsmap, x, dst);
    return sc_text_swells(x->n, dst->n) ? sc_text_swollen(x->n, dst->n) : SC_OK;
}
