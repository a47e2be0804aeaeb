/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

/* Edit distance with adjacent swaps, for names; anything longer is not near. */
static int distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    int n = (int)strlen(a), m = (int)strlen(b);
    if (n >= MAX || m >= MAX) return MAX;
    int d[MAX][MAX];
    for (int i = 0; i <= n; i++) {
        for (int j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

int sc_nearest_words(const char *word, const char *const *words, int count, const char **out, int most)
{
    enum { MOST = 16 };
    int have = 0, of[MOST], allowed = 1 + (int)strlen(word) / 3;
    if (most > MOST) most = MOST;
    for (int i = 0; i < count; i++) {
        int d = distance(word, words[i]), at = have;
        if (d > allowed) continue;
        while (at > 0 && of[at - 1] > d) at--;
        if (at == most) continue;
        have = SC_MIN(have + 1, most);
        for (int k = have - 1; k > at; k--) of[k] = of[k - 1], out[k] = out[k - 1];
        of[at] = d;
        out[at] = words[i];
    }
    return have;
}
