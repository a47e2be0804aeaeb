/* SPDX-License-Identifier: Apache-2.0 */
/* How near a text is to what was said before: the longest common subsequence of words, 64 of them at a time (Hyyrö 2004,
 * "Bit-parallel LCS-length computation revisited"). */
#include "synth/synth.h"

/* Of a text so many words are looked at. */
enum { MOST = 1024, PARTS = MOST / 64 };

typedef struct said {
    uint64_t *word; /* hashes */
    int n;
} said;

struct sc_novelty {
    said *text;
    int64_t n, cap;
    uint64_t word[MOST]; /* of the text that is asked about */
};

sc_status sc_novelty_new(sc_novelty **out) { return (*out = sc_calloc(1, sizeof **out)) ? SC_OK : sc_nomem(); }

void sc_novelty_free(sc_novelty *v)
{
    if (!v) return;
    for (int64_t i = 0; i < v->n; i++) sc_free(v->text[i].word);
    sc_free(v->text);
    sc_free(v);
}

int64_t sc_novelty_count(const sc_novelty *v) { return v->n; }

static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

static int words_of(const char *text, uint64_t out[MOST])
{
    char word[64];
    int n = 0;
    for (const char *p = text; *p && n < MOST;) {
        int len = 0;
        while (*p && !is_word((unsigned char)*p)) p++;
        for (; *p && is_word((unsigned char)*p); p++)
            if (len < (int)sizeof word) word[len++] = *p >= 'A' && *p <= 'Z' ? (char)(*p | 32) : *p;
        if (len) out[n++] = sc_hash(word, len);
    }
    return n;
}

/* Length of the longest common subsequence of a (n) and b. A 0 in `row` is where it grows by one more of a's words. */
static int common(const uint64_t *a, int n, const said *b)
{
    uint64_t row[PARTS];
    int parts = (n + 63) / 64, length = 0;
    memset(row, 0xff, sizeof row);
    for (int i = 0; i < b->n; i++) {
        uint64_t carry = 0;
        for (int k = 0; k < parts; k++) {
            uint64_t match = 0;
            for (int j = 64 * k; j < SC_MIN(n, 64 * k + 64); j++)
                match |= (uint64_t)(a[j] == b->word[i]) << (j - 64 * k);
            uint64_t u = row[k] & match, sum = row[k] + u, over = sum < row[k];
            uint64_t whole = sum + carry;
            over |= whole < sum;
            row[k] = whole | (row[k] - u);
            carry = over;
        }
    }
    for (int j = 0; j < n; j++) length += !(row[j / 64] >> (j % 64) & 1);
    return length;
}

sc_status sc_novelty_nearest(sc_novelty *v, const char *text, double *rouge, int64_t *at)
{
    int n = words_of(text, v->word);
    *rouge = 0;
    *at = -1;
    for (int64_t i = 0; n && i < v->n; i++) {
        const said *b = &v->text[i];
        double all = n + b->n;
        if (2.0 * SC_MIN(n, b->n) / all <= *rouge) continue; /* not even as a part of the other */
        double f = 2.0 * common(v->word, n, b) / all;
        if (f > *rouge) *rouge = f, *at = i;
    }
    return SC_OK;
}

sc_status sc_novelty_add(sc_novelty *v, const char *text)
{
    int n = words_of(text, v->word);
    said x = {sc_malloc((size_t)n * sizeof *x.word + 1), n};
    if (!x.word || !sc_grow(&v->text, &v->cap, v->n + 1, sizeof *v->text)) {
        sc_free(x.word);
        return sc_nomem();
    }
    memcpy(x.word, v->word, (size_t)n * sizeof *x.word);
    v->text[v->n++] = x;
    return SC_OK;
}
