/* SPDX-License-Identifier: Apache-2.0 */
/* socle list: the models on this machine, and the kinds of models there are. */
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/model.h"

#include <stdlib.h>
#include <string.h>

static int print_json(const sc_cmd *c, const sc_hub_model *m, int64_t n)
{
    json_t *all = json_array();
    bool ok = all != NULL;
    for (int64_t i = 0; i < n && ok; i++)
        ok = !json_array_append_new(all,
                                    json_pack("{s:s%, s:s%, s:I, s:s, s:s}", "name", m[i].name, strlen(m[i].name),
                                              "path", m[i].path, strlen(m[i].path), "bytes", (json_int_t)m[i].bytes,
                                              "kind", m[i].kind, "source", m[i].source));
    if (!ok) {
        json_decref(all);
        all = NULL;
    }
    return sc_cmd_json(c, all, JSON_INDENT(2));
}

/* A name from the disk, without what a terminal would obey. */
static void print_name(const char *s, int width)
{
    int n = 0;
    for (; *s; s++, n++) fputc((unsigned char)*s < 0x20 || *s == 0x7F ? '?' : *s, stdout);
    for (; n < width; n++) fputc(' ', stdout);
}

static void print_size(int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double x = (double)bytes;
    int i = 0;
    while (x >= 999.5 && i < 4) {
        x /= 1000;
        i++;
    }
    printf(x < 9.95 && i ? "%6.1f %-2s" : "%6.0f %-2s", x, units[i]);
}

/* ---- families ---- */

enum { COLUMNS = 8 };
static const char *const titles[COLUMNS] = {"model_type", "models",     "attention", "position",
                                            "norm",       "activation", "tokenizer", "GGUF"};

static void columns_of(const sc_model_type *t, const char *cell[COLUMNS])
{
    const char *const have[COLUMNS] = {t->model_type, t->name,       t->attention, t->position,
                                       t->norm,       t->activation, t->tokenizer, t->gguf};
    for (int i = 0; i < COLUMNS; i++) cell[i] = have[i] ? have[i] : "-";
}

static void print_markdown(void)
{
    sc_model_type t;
    const char *cell[COLUMNS];
    fputs("# Models\n\nThe model types of config.json that are read, made by `socle list --families --markdown`. "
          "Each "
          "is compared with transformers in the cases named last: logits, hidden states and a greedy continuation, "
          "from safetensors and, where GGUF has an architecture for it, from GGUF.\n\n|",
          stdout);
    for (int i = 0; i < COLUMNS; i++) printf(" %s |", titles[i]);
    fputs(" cases |\n|", stdout);
    for (int i = 0; i <= COLUMNS; i++) fputs("---|", stdout);
    for (int64_t k = 0; sc_model_type_at(k, &t); k++) {
        columns_of(&t, cell);
        fputs("\n|", stdout);
        for (int i = 0; i < COLUMNS; i++) printf(" %s |", cell[i]);
        printf(" %s |", t.fixtures && t.fixtures[0] ? t.fixtures : "none");
    }
    putchar('\n');
}

static int print_families_json(const sc_cmd *c)
{
    json_t *all = json_array();
    bool ok = all != NULL;
    sc_model_type t;
    const char *cell[COLUMNS];
    for (int64_t k = 0; ok && sc_model_type_at(k, &t); k++) {
        json_t *o = json_object();
        columns_of(&t, cell);
        for (int i = 0; ok && i < COLUMNS; i++)
            ok = !json_object_set_new(o, titles[i], strcmp(cell[i], "-") ? json_string(cell[i]) : json_null());
        ok = ok && !json_object_set_new(o, "cases", json_string(t.fixtures ? t.fixtures : "")) &&
             !json_array_append(all, o);
        json_decref(o);
    }
    if (!ok) {
        json_decref(all);
        all = NULL;
    }
    return sc_cmd_json(c, all, JSON_INDENT(2));
}

static int families(sc_cmd *c)
{
    sc_model_type t;
    const char *cell[COLUMNS];
    size_t width[COLUMNS] = {0};
    if (sc_cmd_flag(c, "json")) return print_families_json(c);
    if (sc_cmd_flag(c, "markdown")) {
        print_markdown();
        return 0;
    }
    for (int64_t k = -1; k < 0 || sc_model_type_at(k, &t); k++) {
        if (k >= 0) columns_of(&t, cell);
        for (int i = 0; i < COLUMNS; i++) {
            size_t n = strlen(k < 0 ? titles[i] : cell[i]);
            if (n > width[i]) width[i] = n;
        }
    }
    for (int64_t k = -1; k < 0 || sc_model_type_at(k, &t); k++) {
        if (k >= 0) columns_of(&t, cell);
        for (int i = 0; i < COLUMNS; i++)
            printf("%-*s%s", i + 1 < COLUMNS ? (int)width[i] : 0, k < 0 ? titles[i] : cell[i],
                   i + 1 < COLUMNS ? "  " : "\n");
    }
    return 0;
}

static int list(sc_cmd *c)
{
    sc_hub_model *m;
    int64_t n;
    if (sc_cmd_flag(c, "families")) return families(c);
    if (sc_cmd_flag(c, "markdown")) return sc_cmd_usage(c, "--markdown goes with --families");
    if (sc_hub_list(&m, &n)) return sc_cmd_fail(c);
    int code = 0, width = 0;
    for (int64_t i = 0; i < n; i++) {
        int w = (int)strlen(m[i].name);
        if (w > width && w <= 60) width = w;
    }
    if (sc_cmd_flag(c, "json")) {
        code = print_json(c, m, n);
    } else {
        for (int64_t i = 0; i < n; i++) {
            print_name(m[i].name, width);
            print_size(m[i].bytes);
            printf("  %-11s  ", m[i].kind);
            print_name(m[i].path, 0);
            putchar('\n');
        }
        if (!n) sc_cmd_note(c, "no models; 'socle pull NAME' fetches one");
    }
    sc_hub_list_free(m, n);
    return code;
}

static const sc_option options[] = {{"families", 'f', SC_OPT_FLAG, .help = "the kinds of models that can be read"},
                                    {"markdown", 'm', SC_OPT_FLAG, .help = "those as docs/models.md has them"},
                                    {"json", 'j', SC_OPT_FLAG, .help = "one JSON array instead of lines"},
                                    {"quiet", 'q', SC_OPT_FLAG, .help = "no remark where there are none"},
                                    {0}};
static const sc_example examples[] = {
    {"socle list", "The models on this machine: name, size, kind, path"},
    {"socle list --json", "The same for programs"},
    {"socle list --families", "The model types that socle reads, and what they are"},
    {0}};
const sc_verb sc_verb_list = {
    .name = "list",
    .summary = "List the models on this machine, or the kinds that can be read",
    .args = "",
    .about = "Looks into the models folder ($SOCLE_MODELS, else $XDG_DATA_HOME/socle/models, else "
             "~/.local/share/socle/models) and into the HuggingFace cache ($HF_HUB_CACHE, else $HF_HOME/hub, else "
             "~/.cache/huggingface/hub). Any name it prints stands for the model wherever a MODEL is asked for.",
    .options = options,
    .examples = examples,
    .run = list};
