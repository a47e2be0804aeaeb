/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of many languages out of the messages of the programs that are installed, and the model that is made of them. */
#ifndef SC_DATA_LANGUAGES_H
#define SC_DATA_LANGUAGES_H

#include "base/base.h"
#include "socle/classifier.h"
#include "socle/languages.h"

/* ---- messages with their translations: GNU gettext's .mo files (mo_file.c) ---- */

/* Calls put for each message in UTF-8; plural forms come one by one, and the header does not. SC_EFORMAT: the file is none, or
 * ends too early; SC_EUNSUPPORTED: its charset is not UTF-8. What put fails with is passed on. */
typedef sc_status (*sc_mo_put)(void *user, const char *message, int64_t len, const char *translation,
                               int64_t len_to);
sc_status sc_mo_read(const char *p, int64_t n, const char *name, sc_mo_put put, void *user);

/* ---- lines (language_text.c) ---- */

/* Appends to `out` what of p[0..n) speaks in a language, in lower case, words one space apart: no markup, formats, addresses, options,
 * names of variables, or words with digits. Words that `known` (of len_known bytes) has too are left out: those that a translation
 * leaves as they are; NULL: none are. The same is done to a text before it is asked about. */
typedef struct sc_language_words {
    int64_t letters; /* that stay: an ideograph or syllable counts as 2 */
    int64_t known;   /* left out because of `known` */
    int64_t ascii;   /* of those that stay */
} sc_language_words;
void sc_language_clean(sc_str *out, const char *p, int64_t n, const char *known, int64_t len_known,
                       sc_language_words *w);
/* Follows from a text's letters alone, so that texts that differ in numbers, signs and case are one. */
uint64_t sc_language_key(const char *p, int64_t n);

/* ---- gathering (language_lines.c) ---- */

/* One line of training or of testing. */
typedef struct sc_language_line {
    uint64_t key, message; /* of the line and of what it is a translation of */
    int64_t at;            /* in text */
    int32_t len, label;    /* the language's row in languages.def */
    bool held_out;
} sc_language_line;
typedef struct sc_language_lines {
    sc_str text;
    sc_language_line *line;
    int64_t n, cap;
    int64_t files, broken; /* .mo files that were read, and that could not be */
} sc_language_lines;
sc_status sc_language_gather(sc_language_lines *l, sc_context *ctx, const char *const *root, int64_t n_roots,
                             int64_t most);
void sc_language_lines_free(sc_language_lines *l);

/* The languages of languages.def. */
typedef struct sc_language_row {
    const char *code, *name, *folders;
} sc_language_row;
const sc_language_row *sc_language_rows(int *n);

#endif
