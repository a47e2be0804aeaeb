/* SPDX-License-Identifier: Apache-2.0 */
/* What tokenizers ask of Unicode, over utf8proc. */
#include "text/text.h"

#include <utf8proc.h>

static int category(uint32_t c)
{
    return c <= 0x10ffff ? (int)utf8proc_category((utf8proc_int32_t)c) : UTF8PROC_CATEGORY_CN;
}

bool sc_uni_white(uint32_t c)
{
    if (c <= 0x20) return c == 0x20 || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

bool sc_uni_number(uint32_t c)
{
    int k = category(c);
    return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

bool sc_uni_punct(uint32_t c)
{
    if (c < 0x80)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    int k = category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool sc_uni_mark(uint32_t c)
{
    int k = category(c);
    return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}

bool sc_uni_nonspacing(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_MN; }

bool sc_uni_other(uint32_t c)
{
    int k = category(c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

bool sc_uni_word(uint32_t c)
{
    int k = category(c);
    if ((k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NL) || k == UTF8PROC_CATEGORY_PC) return true;
    /* joiners, and the symbols that are alphabetic: circled and squared letters */
    return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
           (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

bool sc_uni_cjk(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

int sc_uni_lower(uint32_t c, uint32_t out[2])
{
    if (c == 0x130) { /* the one capital whose small letter is two characters */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = c <= 0x10ffff ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)c) : c;
    return 1;
}

const char *sc_uni_script(int i)
{
    static const char *const scripts[] = {"Adlam",
                                          "Ahom",
                                          "Anatolian_Hieroglyphs",
                                          "Arabic",
                                          "Armenian",
                                          "Avestan",
                                          "Balinese",
                                          "Bamum",
                                          "Bassa_Vah",
                                          "Batak",
                                          "Bengali",
                                          "Bhaiksuki",
                                          "Bopomofo",
                                          "Brahmi",
                                          "Braille",
                                          "Buginese",
                                          "Buhid",
                                          "Canadian_Aboriginal",
                                          "Carian",
                                          "Caucasian_Albanian",
                                          "Chakma",
                                          "Cham",
                                          "Cherokee",
                                          "Common",
                                          "Coptic",
                                          "Cuneiform",
                                          "Cypriot",
                                          "Cyrillic",
                                          "Deseret",
                                          "Devanagari",
                                          "Duployan",
                                          "Egyptian_Hieroglyphs",
                                          "Elbasan",
                                          "Ethiopic",
                                          "Georgian",
                                          "Glagolitic",
                                          "Gothic",
                                          "Grantha",
                                          "Greek",
                                          "Gujarati",
                                          "Gurmukhi",
                                          "Hangul",
                                          "Hanunoo",
                                          "Hatran",
                                          "Hebrew",
                                          "Imperial_Aramaic",
                                          "Inherited",
                                          "Inscriptional_Pahlavi",
                                          "Inscriptional_Parthian",
                                          "Javanese",
                                          "Kaithi",
                                          "Kannada",
                                          "Kayah_Li",
                                          "Kharoshthi",
                                          "Khmer",
                                          "Khojki",
                                          "Khudawadi",
                                          "Lao",
                                          "Latin",
                                          "Lepcha",
                                          "Limbu",
                                          "Linear_A",
                                          "Linear_B",
                                          "Lisu",
                                          "Lycian",
                                          "Lydian",
                                          "Mahajani",
                                          "Malayalam",
                                          "Mandaic",
                                          "Manichaean",
                                          "Marchen",
                                          "Meetei_Mayek",
                                          "Mende_Kikakui",
                                          "Meroitic_Cursive",
                                          "Meroitic_Hieroglyphs",
                                          "Miao",
                                          "Modi",
                                          "Mongolian",
                                          "Mro",
                                          "Multani",
                                          "Myanmar",
                                          "Nabataean",
                                          "New_Tai_Lue",
                                          "Newa",
                                          "Nko",
                                          "Ogham",
                                          "Ol_Chiki",
                                          "Old_Hungarian",
                                          "Old_Italic",
                                          "Old_North_Arabian",
                                          "Old_Permic",
                                          "Old_Persian",
                                          "Old_South_Arabian",
                                          "Old_Turkic",
                                          "Oriya",
                                          "Osage",
                                          "Osmanya",
                                          "Pahawh_Hmong",
                                          "Palmyrene",
                                          "Pau_Cin_Hau",
                                          "Phags_Pa",
                                          "Phoenician",
                                          "Psalter_Pahlavi",
                                          "Rejang",
                                          "Runic",
                                          "Samaritan",
                                          "Saurashtra",
                                          "Sharada",
                                          "Shavian",
                                          "Siddham",
                                          "SignWriting",
                                          "Sinhala",
                                          "Sora_Sompeng",
                                          "Sundanese",
                                          "Syloti_Nagri",
                                          "Syriac",
                                          "Tagalog",
                                          "Tagbanwa",
                                          "Tai_Le",
                                          "Tai_Tham",
                                          "Tai_Viet",
                                          "Takri",
                                          "Tamil",
                                          "Tangut",
                                          "Telugu",
                                          "Thaana",
                                          "Thai",
                                          "Tibetan",
                                          "Tifinagh",
                                          "Tirhuta",
                                          "Ugaritic",
                                          "Vai",
                                          "Warang_Citi",
                                          "Yi"};
    return i < SC_COUNT(scripts) ? scripts[i] : NULL;
}

/* ---- text with its origins ---- */

void sc_norm_put(sc_norm *x, const char *p, int64_t n, sc_token_span a)
{
    if (x->oom || !sc_grow(&x->p, &x->cap, x->n + n + 1, 1) ||
        (x->track && !sc_grow(&x->a, &x->acap, x->n + n + 1, sizeof(*x->a)))) {
        x->oom = true;
        return;
    }
    memcpy(x->p + x->n, p, (size_t)n);
    for (int64_t i = 0; x->track && i < n; i++) x->a[x->n + i] = a;
    x->n += n;
}

void sc_norm_copy(sc_norm *x, const char *p, int64_t n, const sc_token_span *a)
{
    if (n == 0) return;
    if (x->oom || !sc_grow(&x->p, &x->cap, x->n + n + 1, 1) ||
        (x->track && !sc_grow(&x->a, &x->acap, x->n + n + 1, sizeof(*x->a)))) {
        x->oom = true;
        return;
    }
    memcpy(x->p + x->n, p, (size_t)n);
    if (x->track && a) memcpy(x->a + x->n, a, (size_t)n * sizeof(*a));
    x->n += n;
}

void sc_norm_clear(sc_norm *x) { x->n = 0; }

void sc_norm_free(sc_norm *x)
{
    sc_free(x->p);
    sc_free(x->a);
    memset(x, 0, sizeof(*x));
}

/* ---- normal forms ----
 * The text is cut into chunks that begin with a character which neither reorders nor composes with what is before it;
 * a chunk is decomposed, ordered by combining class, and composed. Ordering counts classes, so it is linear even for
 * a text of marks alone. */

typedef struct chunk {
    utf8proc_int32_t *cp, *tmp;
    int64_t *from; /* where in the source the character begins that cp[i] came from, before they were ordered */
    int64_t n, cp_cap, tmp_cap, from_cap;
} chunk;

/* A character's combining class and whether a chunk may begin with it. Jamo compose with the one before; so do the
 * half-width and compatibility letters that the K forms turn into jamo or marks. */
static bool begins_chunk(uint32_t c)
{
    if (c < 0x300) return true;
    if ((c >= 0x1100 && c <= 0x11ff) || (c >= 0x3131 && c <= 0x318e) || (c >= 0xff9e && c <= 0xffdc) ||
        (c >= 0xd7b0 && c <= 0xd7ff))
        return false;
    return !sc_uni_mark(c) && utf8proc_get_property((utf8proc_int32_t)c)->combining_class == 0;
}

static int class_of(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

static bool order(chunk *k)
{
    for (int64_t i = 0; i < k->n;) {
        if (class_of(k->cp[i]) == 0) {
            i++;
            continue;
        }
        int64_t j = i, count[256] = {0};
        bool sorted = true;
        for (; j < k->n && class_of(k->cp[j]) != 0; j++) {
            count[class_of(k->cp[j]) & 255]++;
            sorted &= j == i || class_of(k->cp[j - 1]) <= class_of(k->cp[j]);
        }
        if (!sorted) {
            if (!sc_grow(&k->tmp, &k->tmp_cap, j - i, sizeof(*k->tmp))) return false;
            int64_t at = 0;
            for (int c = 0; c < 256; c++) {
                int64_t n = count[c];
                count[c] = at;
                at += n;
            }
            for (int64_t q = i; q < j; q++) k->tmp[count[class_of(k->cp[q]) & 255]++] = k->cp[q];
            memcpy(k->cp + i, k->tmp, (size_t)(j - i) * sizeof(*k->cp));
        }
        i = j;
    }
    return true;
}

/* Normalizes src[from, to), valid UTF-8, into dst. */
static bool put_chunk(sc_norm *dst, const sc_norm *src, int64_t from, int64_t to, sc_form form, chunk *k)
{
    int options = UTF8PROC_DECOMPOSE | (form >= SC_NFKC ? UTF8PROC_COMPAT : 0);
    bool compose = form == SC_NFC || form == SC_NFKC;
    k->n = 0;
    for (int64_t i = from; i < to;) {
        uint32_t c;
        int64_t begin = i;
        i += sc_utf8_decode(src->p + i, to - i, &c);
        if (!sc_grow(&k->cp, &k->cp_cap, k->n + 40, sizeof(*k->cp)) ||
            !sc_grow(&k->from, &k->from_cap, k->n + 40, sizeof(*k->from)))
            return false;
        int boundary = 0;
        utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)c, k->cp + k->n, 40, (utf8proc_option_t)options, &boundary);
        if (n < 0 || n > 40) { /* cannot be: the longest is 18 */
            k->cp[k->n] = (utf8proc_int32_t)c;
            n = 1;
        }
        for (utf8proc_ssize_t j = 0; j < n; j++) k->from[k->n + j] = begin;
        k->n += n;
    }
    int64_t parts = k->n;
    if (!order(k)) return false;
    if (compose) {
        utf8proc_ssize_t n = utf8proc_normalize_utf32(k->cp, k->n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        if (n >= 0) k->n = n;
    }
    /* A character stands for the place of its first part. */
    int64_t at = 0;
    for (int64_t j = 0; j < k->n; j++) {
        char out[4];
        int bytes = sc_utf8_encode((uint32_t)k->cp[j], out);
        sc_norm_put(dst, out, bytes, src->track ? src->a[k->from[SC_MIN(at, parts - 1)]] : (sc_token_span){0, 0});
        utf8proc_int32_t part[8];
        int boundary = 0;
        utf8proc_ssize_t n = !src->track || !compose ? 1
                                                     : utf8proc_decompose_char(k->cp[j], part, SC_COUNT(part),
                                                                               UTF8PROC_DECOMPOSE, &boundary);
        at += n > 0 ? n : 1;
    }
    return !dst->oom;
}

bool sc_uni_normalize(sc_norm *dst, const sc_norm *src, sc_form form)
{
    chunk k = {0};
    int64_t i = 0;
    bool ok = true;
    while (ok && i < src->n) {
        int64_t j = i; /* ASCII is its own normal form, but the last one may take a mark that follows */
        while (j < src->n && (unsigned char)src->p[j] < 0x80) j++;
        if (j < src->n && j > i) j--;
        if (j > i || j == src->n) {
            sc_norm_copy(dst, src->p + i, j - i, src->track ? src->a + i : NULL);
            i = j;
            continue;
        }
        int64_t end = i;
        while (end < src->n) {
            uint32_t c;
            int n = sc_utf8_decode(src->p + end, src->n - end, &c);
            bool bad = c == 0xfffd && !(n == 3 && memcmp(src->p + end, "\xef\xbf\xbd", 3) == 0);
            if (bad && end == i) {
                sc_norm_copy(dst, src->p + i, n, src->track ? src->a + i : NULL);
                i = end = i + n;
                break;
            }
            if (bad || (end > i && begins_chunk(c))) break;
            end += n;
        }
        if (end > i) ok = put_chunk(dst, src, i, end, form, &k);
        i = end;
    }
    sc_free(k.cp);
    sc_free(k.tmp);
    sc_free(k.from);
    return ok && !dst->oom;
}
