/* SPDX-License-Identifier: Apache-2.0 */
/* socle list: the models on this machine. */
#include "cmd/cmd.h"
#include "socle/hub.h"

#include <jansson.h>
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
    ok = ok && !json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    if (!ok) return sc_cmd_error(c, "cannot write the list (out of memory, or a name that is not UTF-8)");
    fputc('\n', stdout);
    return 0;
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

static int list(sc_cmd *c)
{
    sc_hub_model *m;
    int64_t n;
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

static const sc_option options[] = {{"json", 'j', SC_OPT_FLAG, .help = "one JSON array instead of lines"},
                                    {"quiet", 'q', SC_OPT_FLAG, .help = "no remark where there are none"},
                                    {0}};
static const sc_example examples[] = {{"socle list", "The models on this machine: name, size, kind, path"},
                                      {"socle list --json", "The same for programs"},
                                      {0}};
const sc_verb sc_verb_list = {
    .name = "list",
    .summary = "List the models on this machine",
    .args = "",
    .about = "Looks into the models folder ($SOCLE_MODELS, else $XDG_DATA_HOME/socle/models, else "
             "~/.local/share/socle/models) and into the HuggingFace cache ($HF_HUB_CACHE, else $HF_HOME/hub, else "
             "~/.cache/huggingface/hub). Any name it prints stands for the model wherever a MODEL is asked for.",
    .options = options,
    .examples = examples,
    .run = list};
