/* SPDX-License-Identifier: Apache-2.0 */
/* The filters of the data pipeline on single texts: what their rules measure and decide, and why. docs/data-rules.md says what
 * each rule is. The pipeline itself (data.h) has them as stages. */
#ifndef SOCLE_FILTER_H
#define SOCLE_FILTER_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The quality rules with their thresholds, and what is needed to look at texts. One owner, one thread at a time. */
typedef struct sc_filter sc_filter;

/* rules: a JSON file of thresholds, NULL: the usual ones. SC_EFORMAT names what in it is no rule or no number. */
SC_API sc_status sc_filter_new(sc_filter **out, const char *rules);
SC_API void sc_filter_free(sc_filter *f);

/* All thresholds as such a file has them, JSON; sc_free. */
SC_API sc_status sc_filter_rules(const sc_filter *f, char **json);
/* The tables of docs/data-rules.md: every rule, what differs by language, the kinds of personal data; Markdown, sc_free. */
SC_API sc_status sc_filter_tables(char **markdown);

/* What the filters say of a text (len bytes of UTF-8) in a language ("en", "" where it is not known), as JSON; sc_free:
 *   rule: the first rule that it fails, or null;
 *   values: what each rule measured, by name; of line rules the lines that failed them, null where nothing can be said;
 *   text: what is left, where lines were taken out of a text that stays;
 *   personal: how many of each kind of personal data, those that are there;
 *   harmful: words of the lists of harmful words in it, by kind. */
SC_API sc_status sc_filter_check(sc_filter *f, const char *language, const char *text, int64_t len, char **json);

/* The text with a mask in place of personal data: "[EMAIL]" …; sc_free. *found, which may be NULL: how many there were. */
SC_API sc_status sc_filter_mask(const char *text, int64_t len, char **masked, int64_t *masked_len, int64_t *found);

/* What a classifier of the stage `classify` is given of a text and must be trained on: its words in small letters without the
 * punctuation around them, each character of scripts without spaces by itself, apart by spaces, on one line; sc_free. */
SC_API sc_status sc_filter_words(sc_filter *f, const char *text, int64_t len, char **words, int64_t *words_len);

#ifdef __cplusplus
}
#endif
#endif
