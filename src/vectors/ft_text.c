/* SPDX-License-Identifier: Apache-2.0 */
/* n-grams of characters and their hashes. */
#include "vectors/fasttext.h"

static uint32_t step(uint32_t h, char byte) { return (h ^ (uint32_t)(int8_t)byte) * 16777619u; }

enum { SEED = (int)2166136261u };

uint32_t sc_ft_hash(const char *p, int64_t len)
{
    uint32_t h = (uint32_t)SEED;
    for (int64_t i = 0; i < len; i++) h = step(h, p[i]);
    return h;
}

static bool begins_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* The byte at i of "<word>". */
static char at(const char *word, int64_t len, int64_t i) { return i == 0 ? '<' : i <= len ? word[i - 1] : '>'; }

bool sc_ft_ngrams(const sc_ft_settings *set, const char *word, int64_t len, bool (*put)(void *user, int32_t bucket),
                  void *user)
{
    int64_t all = len + 2;
    uint32_t bucket = (uint32_t)set->bucket;
    if (!set->longest || !bucket) return true;
    for (int64_t i = 0; i < all; i++) {
        uint32_t h = (uint32_t)SEED;
        if (!begins_character(at(word, len, i))) continue;
        int64_t j = i;
        for (int32_t n = 1; j < all && n <= set->longest; n++) {
            h = step(h, at(word, len, j++));
            while (j < all && !begins_character(at(word, len, j))) h = step(h, at(word, len, j++));
            if (n < set->shortest || (n == 1 && (i == 0 || j == all))) continue;
            if (!put(user, (int32_t)(h % bucket))) return false;
        }
    }
    return true;
}
