/* SPDX-License-Identifier: Apache-2.0 */
/* Letters out of order, in Korean syllables; the difficulty is how many they are. */
#include "world/world.h"

#include <stdio.h>

enum { MAX_LETTERS = 16, LEAST = 3 };

/* The characters of a word, without spaces; how many. */
static int letters_of(const char *word, char letter[MAX_LETTERS][5])
{
    int n = 0;
    for (int64_t at = 0, len = (int64_t)strlen(word); at < len && n < MAX_LETTERS;) {
        uint32_t c;
        int k = sc_utf8_decode(word + at, len - at, &c);
        if (c != ' ' && c != '-') {
            memcpy(letter[n], word + at, (size_t)k);
            letter[n++][k] = 0;
        }
        at += k;
    }
    return n;
}

static bool same_order(char a[MAX_LETTERS][5], char b[MAX_LETTERS][5], int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0) return false;
    return true;
}

static void shuffle(sc_draft *d, char letter[MAX_LETTERS][5], int n)
{
    char before[MAX_LETTERS][5];
    memcpy(before, letter, sizeof before);
    for (int tries = 0; tries < 8 && same_order(before, letter, n); tries++)
        for (int i = n - 1; i > 0; i--) {
            int j = (int)sc_below(d, (uint32_t)i + 1);
            char t[5];
            memcpy(t, letter[i], 5);
            memcpy(letter[i], letter[j], 5);
            memcpy(letter[j], t, 5);
        }
}

static void join(char out[96], char letter[MAX_LETTERS][5], int n, const char *between)
{
    out[0] = 0;
    for (int i = 0; i < n; i++) {
        if (i) strcat(out, between);
        strcat(out, letter[i]);
    }
}

static void unscramble(sc_draft *d)
{
    char word[96], letter[MAX_LETTERS][5], given[96];
    int n = 0;
    while (n < LEAST || n >= MAX_LETTERS || strchr(word, ' ')) {
        sc_puzzle_word(d, word, sizeof word);
        n = letters_of(word, letter);
    }
    join(given, letter, n, "");
    sc_str_printf(&d->key, "unscramble %s", given);
    d->difficulty = n;
    shuffle(d, letter, n);
    char question[200], spelled[96];
    join(given, letter, n, " ");
    snprintf(spelled, sizeof spelled, "%s", word);
    if (d->tongue == SC_KO)
        snprintf(question, sizeof question, "글자 %s의 순서를 바로잡으면 어떤 낱말인가?", given);
    else
        snprintf(question, sizeof question, "Which word do the letters %s make?", given);
    sc_ask(d, question, spelled);
}

const sc_generator sc_world_unscramble = {
    {"unscramble", "words whose letters have to be put in order", true}, 4, unscramble};
