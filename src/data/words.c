/* SPDX-License-Identifier: Apache-2.0 */
/* A text cut into lines and words, in one pass. */
#include "data/filters.h"
#include "text/text.h"

#include <utf8proc.h>

enum { CLASSES = 0x110000, MOST_BYTES = 1 << 30 };

typedef struct range {
    uint32_t from, to;
} range;

/* Scripts that put no spaces between words, beside the ideographs. */
static const range solo[] = {{0xe01, 0xe4e},   {0xe81, 0xedf},   {0xf40, 0xfbc},   {0x1000, 0x109f},
                             {0x1780, 0x17d3}, {0x3005, 0x3007}, {0x3041, 0x30ff}, {0x31f0, 0x31ff},
                             {0xaa60, 0xaa7f}, {0xff66, 0xff9d}};
/* What the Unicode standard calls Sentence_Terminal, of scripts in common use. */
static const range ends[] = {
    {'!', '!'},       {'.', '.'},       {'?', '?'},       {0x589, 0x589},   {0x61d, 0x61f},   {0x6d4, 0x6d4},
    {0x700, 0x702},   {0x7f9, 0x7f9},   {0x837, 0x837},   {0x964, 0x965},   {0x104b, 0x104b}, {0x1362, 0x1362},
    {0x1367, 0x1368}, {0x166e, 0x166e}, {0x17d4, 0x17d5}, {0x1803, 0x1803}, {0x1809, 0x1809}, {0x203c, 0x203d},
    {0x2047, 0x2049}, {0x2e2e, 0x2e2e}, {0x3002, 0x3002}, {0xfe52, 0xfe52}, {0xfe56, 0xfe57}, {0xff01, 0xff01},
    {0xff0e, 0xff0e}, {0xff1f, 0xff1f}, {0xff61, 0xff61}};
static const range quotes[] = {{'"', '"'},       {'\'', '\''},     {0xbb, 0xbb},
                               {0x2019, 0x2019}, {0x201d, 0x201d}, {0x203a, 0x203a},
                               {0x300d, 0x300d}, {0x300f, 0x300f}, {0xff63, 0xff63}};
static const range bullets[] = {{'-', '-'},       {'*', '*'},       {0xb7, 0xb7},     {0x2013, 0x2014},
                                {0x2022, 0x2023}, {0x2043, 0x2043}, {0x25a0, 0x25a1}, {0x25aa, 0x25ab},
                                {0x25b6, 0x25b6}, {0x25cb, 0x25cb}, {0x25cf, 0x25cf}, {0x25e6, 0x25e6},
                                {0x318d, 0x318d}, {0x30fb, 0x30fb}};

static void add(uint8_t *classes, const range *r, int n, uint8_t bit)
{
    for (int i = 0; i < n; i++)
        for (uint32_t c = r[i].from; c <= r[i].to; c++) classes[c] |= bit;
}

uint8_t *sc_char_classes(void)
{
    uint8_t *classes = sc_calloc(CLASSES, 1);
    if (!classes) return NULL;
    for (uint32_t c = 0; c < CLASSES; c++) {
        int k = (int)utf8proc_category((utf8proc_int32_t)c);
        uint8_t bits = 0;
        if (sc_uni_white(c)) bits |= SC_CHAR_WHITE;
        if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) bits |= SC_CHAR_ALPHA;
        if (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME) bits |= SC_CHAR_MARK;
        if (sc_uni_punct(c) || k == UTF8PROC_CATEGORY_CC) bits |= SC_CHAR_PUNCT;
        if (sc_uni_cjk(c)) bits |= SC_CHAR_SOLO;
        classes[c] = bits;
    }
    for (int i = 0; i < SC_COUNT(solo); i++)
        for (uint32_t c = solo[i].from; c <= solo[i].to; c++)
            if (classes[c] & SC_CHAR_ALPHA) classes[c] |= SC_CHAR_SOLO;
    add(classes, ends, SC_COUNT(ends), SC_CHAR_END);
    add(classes, quotes, SC_COUNT(quotes), SC_CHAR_QUOTE);
    add(classes, bullets, SC_COUNT(bullets), SC_CHAR_BULLET);
    return classes;
}

/* The class of the character at p[i], its bytes into *len and itself into *c. */
static inline uint8_t look(const sc_words *w, int64_t i, int64_t end, int *len, uint32_t *c)
{
    unsigned char b = (unsigned char)w->p[i];
    *len = 1;
    *c = b;
    if (b >= 0x80) *len = sc_utf8_decode(w->p + i, end - i, c);
    return w->classes[*c];
}

/* By code points: multiplications spread each over all bits, the last step brings the high ones down. */
static inline uint64_t mix(uint64_t h, uint32_t c) { return (h ^ c) * 0x9fb21c651e98df25ull; }
static inline uint64_t finish(uint64_t h) { return h ^ (h >> 29); }

/* The word that begins at i, where no white space is; the index behind it. */
static int64_t cut_word(const sc_words *w, int64_t i, int64_t end, sc_text_word *out)
{
    uint64_t h = 0x243f6a8885a308d3ull;
    int64_t from = i, chars = 0;
    uint8_t any = 0, all = 0xff;
    bool alone = false;
    while (i < end) {
        int len;
        uint32_t c;
        uint8_t is = look(w, i, end, &len, &c);
        if (is & SC_CHAR_WHITE) break;
        if ((is & SC_CHAR_SOLO) && chars) break;
        if (alone && !(is & (SC_CHAR_MARK | SC_CHAR_PUNCT))) break;
        alone |= (is & SC_CHAR_SOLO) != 0;
        any |= is;
        all &= is;
        h = mix(h, c);
        chars++;
        i += len;
    }
    *out = (sc_text_word){from, (int32_t)(i - from), (int32_t)chars, finish(h), 0};
    out->is = (any & (SC_CHAR_ALPHA | SC_CHAR_SOLO)) | (all & SC_CHAR_PUNCT);
    return i;
}

/* What a line needs to know of its last character. */
static void look_back(const sc_words *w, sc_text_line *line)
{
    int64_t i = line->at + line->n - 1;
    int len;
    uint32_t c;
    while (i > line->at && ((unsigned char)w->p[i] & 0xc0) == 0x80) i--;
    line->last = look(w, i, line->at + line->n, &len, &c);
    line->ellipsis = c == 0x2026 || (line->n >= 3 && !memcmp(w->p + line->at + line->n - 3, "...", 3));
}

/* p[at..end) without its newline: its words, and the line where there are any. */
static bool cut_line(sc_words *w, int64_t at, int64_t end, bool opens)
{
    sc_text_line line = {.at = at, .first = w->words, .opens = opens, .hash = 0x452821e638d01377ull};
    int64_t last = at, i = at;
    while (i < end) {
        int len;
        uint32_t c;
        uint8_t is = look(w, i, end, &len, &c);
        if (is & SC_CHAR_WHITE) {
            i += len;
            continue;
        }
        if (!sc_grow(&w->word, &w->word_cap, w->words + 1, sizeof *w->word)) return false;
        sc_text_word *word = &w->word[w->words++];
        if (w->words - 1 == line.first) {
            line.at = i;
            line.head = is;
        } else {
            for (int64_t k = last; k < i; k++) line.chars += ((unsigned char)w->p[k] & 0xc0) != 0x80;
            line.hash = mix(line.hash, (uint32_t)(i > last));
        }
        i = last = cut_word(w, i, end, word);
        line.chars += word->chars;
        line.hash = (line.hash ^ word->hash) * 0x9fb21c651e98df25ull;
    }
    line.words = w->words - line.first;
    line.n = last - line.at;
    if (!line.words) return true;
    line.hash = finish(line.hash);
    look_back(w, &line);
    if (!sc_grow(&w->line, &w->line_cap, w->lines + 1, sizeof *w->line)) return false;
    w->line[w->lines++] = line;
    return true;
}

static int64_t count_marks(const char *p, int64_t n, const char *what)
{
    int64_t count = 0, len = (int64_t)strlen(what);
    for (const char *end = p + n; (p = memmem(p, (size_t)(end - p), what, (size_t)len)); p += len) count++;
    return count;
}

sc_status sc_words_cut(sc_words *w, const char *p, int64_t n)
{
    if (n > MOST_BYTES) return sc_fail(SC_ELIMIT, "a document has %lld bytes; at most 1 GiB", (long long)n);
    w->p = p;
    w->n = n;
    w->words = w->lines = w->chars = w->newlines = w->hashes = 0;
    for (int64_t i = 0; i < n; i++) {
        w->chars += ((unsigned char)p[i] & 0xc0) != 0x80;
        w->hashes += p[i] == '#';
    }
    w->ellipses = n ? count_marks(p, n, "...") + count_marks(p, n, "\xe2\x80\xa6") : 0;
    int64_t newlines = 0, before = 0; /* since the last line; what was before the last one that counts */
    for (int64_t at = 0; at < n;) {
        const char *stop = memchr(p + at, '\n', (size_t)(n - at));
        int64_t end = stop ? stop - p : n, had = w->lines;
        if (!cut_line(w, at, end, newlines > 1 || !w->lines)) return sc_nomem();
        if (w->lines > had) {
            if (had) before += newlines;
            newlines = 0;
        }
        newlines++;
        at = end + 1;
    }
    w->newlines = before;
    return SC_OK;
}

void sc_words_free(sc_words *w)
{
    sc_free(w->word);
    sc_free(w->line);
    *w = (sc_words){0};
}

int64_t sc_line_sentences(const sc_words *w, const char *p, int64_t n)
{
    sc_words at = {.classes = w->classes, .p = p, .n = n};
    int64_t sentences = 0;
    bool inside = false, ended = false, wide = false;
    uint32_t before = 0;
    for (int64_t i = 0; i < n;) {
        int len;
        uint32_t c;
        uint8_t is = look(&at, i, n, &len, &c);
        if (is & SC_CHAR_END) {
            ended = inside && !(c == '.' && before == '.'); /* an ellipsis is a pause */
            wide = c >= 0x3000;                             /* no space follows these */
        } else if (!(is & (SC_CHAR_QUOTE | SC_CHAR_PUNCT)) || (is & SC_CHAR_WHITE)) {
            if (ended && (wide || (is & SC_CHAR_WHITE))) {
                sentences++;
                inside = false;
            }
            ended = false;
            if (!(is & SC_CHAR_WHITE)) inside = true;
        }
        before = c;
        i += len;
    }
    return sentences + inside;
}
