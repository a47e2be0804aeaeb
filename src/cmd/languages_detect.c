/* SPDX-License-Identifier: Apache-2.0 */
/* `socle languages detect`: which language each line, or a whole text, is in. */
#include "cmd/cmd.h"
#include "socle/languages.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (1LL << 40)

static int put_one(sc_cmd *c, sc_languages_reader *r, const char *p, int64_t n, int64_t k, sc_language *best)
{
    if (sc_languages_detect(r, p, n, 0, k, best)) return sc_cmd_fail(c);
    if (!best[0].code) fputs("unknown", stdout);
    for (int64_t i = 0; i < k && best[i].code; i++)
        printf("%s%s %.4f", i ? "\t" : "", best[i].code, best[i].probability);
    putchar('\n');
    return 0;
}

static int put_all(sc_cmd *c, sc_languages_reader *r, const char *text, int64_t len)
{
    int64_t k = sc_cmd_int(c, "top");
    sc_language *best = calloc((size_t)k, sizeof *best);
    int code = best ? 0 : sc_cmd_error(c, "out of memory");
    if (sc_cmd_flag(c, "whole") && !code) code = put_one(c, r, text, len, k, best);
    for (const char *p = text, *end = text + len;
         !sc_cmd_flag(c, "whole") && !code && p < end && !sc_cmd_interrupted();) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        code = put_one(c, r, p, stop - p, k, best);
        p = stop + 1;
    }
    free(best);
    return code;
}

static int detect(sc_cmd *c)
{
    sc_languages *l = NULL;
    sc_languages_reader *r = NULL;
    int64_t len;
    if (sc_languages_open(&l, sc_cmd_str(c, "model"))) return sc_cmd_fail(c);
    int code = sc_languages_reader_new(&r, l) ? sc_cmd_fail(c) : 0;
    char *text = code ? NULL : sc_cmd_read(c, sc_cmd_arg(c, 0), MAX_TEXT, &len);
    if (!code) code = text ? put_all(c, r, text, len) : 1;
    free(text);
    sc_languages_reader_free(r);
    sc_languages_free(l);
    return code;
}

static const sc_option options[] = {
    {"model", 'm', SC_OPT_FILE, "FILE",
     "a model of languages ($SOCLE_LANGUAGES, or languages.ftz in the models folder)"},
    {"top", 'k', SC_OPT_INT, "K", "how many languages at most", .value = "1", .lo = 1, .hi = 1000},
    {"whole", 'w', SC_OPT_FLAG, .help = "one answer for the whole text"},
    {0}};
static const sc_example examples[] = {
    {"socle languages detect letters.txt", "The language of each line, and its probability"},
    {"socle languages detect book.txt --whole -k 3", "The three likeliest languages of a text"},
    {0}};
const sc_verb sc_verb_languages_detect = {
    .name = "languages detect",
    .summary = "Tell the language of texts",
    .args = "[FILE]",
    .about = "`socle languages train` makes the model once. A line without letters is answered with \"unknown\".",
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = detect};
