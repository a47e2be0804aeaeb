/* SPDX-License-Identifier: Apache-2.0 */
/* fastText's files as word vectors: those of word vectors and of classifiers, quantised or not. */
#include "vectors/fasttext.h"

sc_status sc_vectors_read_fasttext(sc_vectors *v, int64_t limit)
{
    if (!(v->fasttext = sc_calloc(1, sizeof *v->fasttext))) return sc_nomem();
    v->fasttext->pruned.n = -1;
    sc_status s = sc_ft_read(v->fasttext, v->file, v->name);
    if (s) return s;
    v->n = SC_MIN(v->fasttext->words, limit);
    v->width = v->fasttext->set.width;
    return v->n ? SC_OK : sc_fail(SC_EFORMAT, "%s: no words", v->name);
}
