/* SPDX-License-Identifier: Apache-2.0 */
/* socle data check: what the filters say of texts, one by one. */
#include "cmd/cmd.h"
#include "socle/embed.h"
#include "socle/filter.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (1LL << 30)

/* Prints one line; with --brief the first failed rule alone. */
static int put(sc_cmd *c, sc_filter *f, const char *text, int64_t len)
{
    char *json;
    if (sc_filter_check(f, sc_cmd_str(c, "language"), text, len, &json)) return sc_cmd_fail(c);
    if (!sc_cmd_flag(c, "brief")) {
        puts(json);
    } else {
        json_t *o = json_loads(json, 0, NULL);
        const json_t *rule = json_object_get(o, "rule");
        puts(json_is_string(rule) ? json_string_value(rule) : "-");
        json_decref(o);
    }
    sc_free(json);
    return 0;
}

static int put_mask(sc_cmd *c, const char *text, int64_t len)
{
    char *masked;
    int64_t n;
    if (sc_filter_mask(text, len, &masked, &n, NULL)) return sc_cmd_fail(c);
    fwrite(masked, 1, (size_t)n, stdout);
    sc_free(masked);
    return 0;
}

static int check_texts(sc_cmd *c, sc_filter *f, const char *path)
{
    sc_cmd_texts t = {0};
    int code = sc_cmd_texts_read(c, &t, path, sc_cmd_str(c, "field"));
    for (int64_t i = 0; !code && i < t.n; i++) code = put(c, f, t.item[i].p, t.item[i].len);
    sc_cmd_texts_free(&t);
    return code;
}

static int data_check(sc_cmd *c)
{
    const char *path = sc_cmd_arg(c, 0), *dot = path ? strrchr(path, '.') : NULL;
    bool many = (dot && !strcmp(dot, ".jsonl")) || sc_cmd_flag(c, "lines");
    if (many && sc_cmd_flag(c, "mask")) return sc_cmd_usage(c, "--mask takes one text, not many");
    sc_filter *f;
    if (sc_filter_new(&f, sc_cmd_str(c, "rules"))) return sc_cmd_fail(c);
    int code = 0;
    if (many) {
        code = check_texts(c, f, path);
    } else {
        int64_t len;
        char *text = sc_cmd_read(c, path, MAX_TEXT, &len);
        code = !text ? 1 : sc_cmd_flag(c, "mask") ? put_mask(c, text, len) : put(c, f, text, len);
        free(text);
    }
    sc_filter_free(f);
    return code;
}

static const sc_option options[] = {
    {"language", 'l', SC_OPT_STR, "CODE", "of the texts, for thresholds and stop words", .value = "en"},
    {"rules", 'r', SC_OPT_FILE, "RULES.json", "thresholds, as 'socle data rules' prints them"},
    {"field", 0, SC_OPT_STR, "NAME", "the text's place in the objects of a .jsonl file", .value = "text"},
    {"lines", 0, SC_OPT_FLAG, .help = "each line is a text"},
    {"brief", 'b', SC_OPT_FLAG, .help = "the first rule that each text fails alone; - for none"},
    {"mask", 'm', SC_OPT_FLAG, .help = "the text itself with its personal data masked"},
    {0}};
static const sc_example examples[] = {
    {"socle data check page.txt", "What each rule measures in a text, and which it fails first, as JSON"},
    {"socle data check --brief --language ko pages.jsonl", "The first rule that each text of a file fails"},
    {"socle data check --mask letter.txt", "A text without e-mail addresses, telephone numbers and the like"},
    {0}};
const sc_verb sc_verb_data_check = {.name = "data check",
                                    .summary = "Show what the data filters say of texts",
                                    .args = "[FILE]",
                                    .max_args = 1,
                                    .options = options,
                                    .examples = examples,
                                    .run = data_check};
