/* SPDX-License-Identifier: Apache-2.0 */
/* Words by their class. */
#include "world/world.h"

static const sc_word words[] = {
#define N(class, en, many, ko, counter) {SC_##class, {en, ko}, many, counter},
#define A(class, en, ko, predicate)     {SC_##class, {en, ko}, "", predicate},
#include "world/lexicon.def"
#undef N
#undef A
};

const sc_word *sc_words_of(sc_word_class class, int *n)
{
    int first = 0;
    while (words[first].class != class) first++;
    int end = first;
    while (end < SC_COUNT(words) && words[end].class == class) end++;
    *n = end - first;
    return words + first;
}

const sc_word *sc_any_word(sc_draft *d, sc_word_class class)
{
    int n;
    const sc_word *w = sc_words_of(class, &n);
    return w + sc_below(d, (uint32_t)n);
}
