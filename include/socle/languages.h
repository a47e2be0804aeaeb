/* SPDX-License-Identifier: Apache-2.0 */
/* Which language a text is in: a small classifier (socle/classifier.h) that is made on the machine itself, of the translated
 * messages of the programs that are installed on it. */
#ifndef SOCLE_LANGUAGES_H
#define SOCLE_LANGUAGES_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the model is kept: $SOCLE_LANGUAGES, else languages.ftz in the models folder (socle/hub.h). Owned: sc_free. */
SC_API sc_status sc_languages_path(char **out);

/* The languages that a model can be made for, by rows: its code (ISO 639, as the labels are) and English name; NULL: there are
 * fewer. */
SC_API const char *sc_languages_code(int64_t i, const char **name);

typedef struct sc_languages_options {
    const char *const *root; /* folders with LANGUAGE/LC_MESSAGES/NAME.mo in them; NULL: those of the system */
    int64_t n_roots;
    int64_t most;      /* lines to learn from in each language, at most; a tenth of that to test on */
    int64_t least;     /* a language that has fewer lines is left out */
    const char *out;   /* the model's file; NULL: none is written */
    const char *lines; /* a folder for train.txt and test.txt, labelled lines; NULL: not written */
    bool deterministic;
    uint64_t seed;
} sc_languages_options;
/* The system's folders, 8000, 500, NULL, NULL, false, 1 */
SC_API sc_languages_options sc_languages_defaults(void);

typedef struct sc_languages_row {
    const char *code, *name; /* static */
    int64_t trained, tested; /* lines */
    int64_t predicted, correct;
    bool used; /* false: there are too few lines */
} sc_languages_row;
typedef struct sc_languages_report {
    sc_languages_row *row; /* owned: sc_free */
    int64_t n;             /* languages of which there is any text */
    int64_t languages;     /* that the model knows */
    int64_t files, broken; /* of messages: read, and not readable */
    int64_t bytes;         /* of the model's file */
    double seconds;
} sc_languages_report;

/* Gathers the lines, trains, quantises, tests with lines whose messages, letters and translations are not among those learned from,
 * and writes. `out` may be the same file that is in use: it is replaced as a whole. SC_ENOTFOUND: there are texts of fewer than
 * two languages. ctx's threads, progress and cancelling. */
SC_API sc_status sc_languages_build(sc_languages_report *report, sc_context *ctx,
                                    const sc_languages_options *options);

/* ---- asking ---- */

/* Immutable: any number of threads may ask, each with a reader of its own. */
typedef struct sc_languages sc_languages;
/* path NULL: sc_languages_path. SC_ENOTFOUND says how to make one. */
SC_API sc_status sc_languages_open(sc_languages **out, const char *path);
SC_API void sc_languages_free(sc_languages *l);

typedef struct sc_languages_reader sc_languages_reader;
SC_API sc_status sc_languages_reader_new(sc_languages_reader **out, const sc_languages *l);
SC_API void sc_languages_reader_free(sc_languages_reader *r);

typedef struct sc_language {
    const char *code; /* as long as the model; NULL: there is nothing in the text to tell it by */
    double probability;
} sc_language;
/* The likeliest languages of a text of UTF-8, k of them into out (k); fewer are followed by those without a code. Of a long text
 * three parts are looked at, from its beginning, middle and end: together at most `most` bytes; 0: all of it. */
SC_API sc_status sc_languages_detect(sc_languages_reader *r, const char *text, int64_t len, int64_t most, int64_t k,
                                     sc_language *out);

#ifdef __cplusplus
}
#endif
#endif
