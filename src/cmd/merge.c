/* SPDX-License-Identifier: Apache-2.0 */
/* `socle merge`: several models as one. */
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct names {
    char *path[SC_MERGE_MOST + 1];
    double weight[SC_MERGE_MOST];
} names;

static int read_weights(const sc_cmd *c, names *in, int n)
{
    int given = sc_cmd_count(c, "weight");
    if (given && given != n) return sc_cmd_usage(c, "%d --weight for %d models", given, n);
    for (int i = 0; i < given; i++) {
        const char *text = sc_cmd_list(c, "weight", i);
        char *end;
        in->weight[i] = strtod(text, &end);
        if (end == text || *end || !isfinite(in->weight[i]))
            return sc_cmd_usage(c, "--weight '%s' is no number", text);
    }
    return 0;
}

static int merge_models(sc_cmd *c, sc_context *ctx, names *in, sc_merge_options *o)
{
    const char *base = sc_cmd_str(c, "base"), *out = sc_cmd_str(c, "out");
    sc_convert_report r;
    sc_status s = SC_OK;
    for (int i = 0; !s && i < o->n; i++) s = sc_hub_resolve(&in->path[i], sc_cmd_arg(c, i));
    if (!s && base) s = sc_hub_resolve(&in->path[SC_MERGE_MOST], base);
    o->models = (const char *const *)in->path;
    o->base = in->path[SC_MERGE_MOST];
    if (!s) s = sc_merge(ctx, out, o, &r);
    sc_cmd_clear_progress(c);
    if (s) return sc_cmd_fail(c);
    sc_cmd_note(c, "%s: %lld tensors, %lld parameters, %.1f MB%s", out, (long long)r.tensors,
                (long long)r.parameters, (double)r.bytes_after / 1e6, r.tokenizer ? "" : ", no tokenizer");
    return 0;
}

static int merge(sc_cmd *c)
{
    names in = {0};
    sc_merge_options o = {.method = sc_cmd_str(c, "method"),
                          .n = sc_cmd_argc(c),
                          .t = sc_cmd_num(c, "position"),
                          .density = sc_cmd_num(c, "density"),
                          .scale = sc_cmd_num(c, "scale"),
                          .seed = (uint64_t)sc_cmd_int(c, "seed"),
                          .type = sc_cmd_str(c, "type")};
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    if (!sc_cmd_given(c, "out")) return sc_cmd_usage(c, "--out DIR is needed");
    if (o.n > SC_MERGE_MOST) return sc_cmd_usage(c, "more than %d models", SC_MERGE_MOST);
    if (sc_cmd_given(c, "position") && strcmp(o.method, "slerp") != 0)
        return sc_cmd_usage(c, "--position is for slerp");
    int code = read_weights(c, &in, o.n);
    if (sc_cmd_given(c, "weight")) o.weights = in.weight;
    if (!code) code = merge_models(c, ctx, &in, &o);
    for (int i = 0; i <= SC_MERGE_MOST; i++) sc_free(in.path[i]);
    return code;
}

static const sc_option options[] = {
    {"out", 'o', SC_OPT_DIR, "DIR", "where to write the merged model"},
    {"method", 'm', SC_OPT_CHOICE, "linear|slerp|task|ties|dare|dare_ties", "how", .value = "linear"},
    {"base", 'b', SC_OPT_STR, "MODEL", "what the models were trained from: for task, ties, dare and dare_ties"},
    {"weight", 'w', SC_OPT_STR, "W", "of a model, once for each in their order; not given: 1 each", .many = true},
    {"position", 0, SC_OPT_NUM, "T", "slerp: 0 the first model, 1 the second", .value = "0.5", .lo = 0, .hi = 1},
    {"density", 0, SC_OPT_NUM, "SHARE", "of the changes that are kept; not given: 0.2 for ties, 0.5 for dare",
     .lo = 1e-6, .hi = 1},
    {"scale", 0, SC_OPT_NUM, "S", "of the merged change; not given: 1", .lo = -1000, .hi = 1000},
    {"seed", 0, SC_OPT_INT, "N", "of what dare drops", .value = "0", .lo = 0, .hi = 9e15},
    {"type", 'T', SC_OPT_STR, "TYPE", "f32, f16 or bf16; not given: that of the base or the first model"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle merge ./run-a ./run-b ./run-c --out ./soup", "The mean of three models"},
    {"socle merge ./math ./code --method ties --base ./base --out ./both",
     "What two fine-tuned models learned, in one"},
    {"socle merge ./toxic --method task --base ./base --weight -1 --out ./milder",
     "Take away what a model learned"},
    {0}};
const sc_verb sc_verb_merge = {
    .name = "merge",
    .summary = "Merge models of one shape into one, without training",
    .args = "MODEL...",
    .min_args = 1,
    .max_args = -1,
    .about = "Models are directories, GGUF files or names, of the same architecture and shape; DIR becomes a "
             "HuggingFace "
             "directory with the configuration and the tokenizer of the base, or of the first model.\n\n"
             "linear: the weighted mean. slerp: two models, along the arc between them. task: the base and the "
             "weighted sum of "
             "what each model changed; weights may be negative. ties: of each model's changes the largest, and of "
             "those at one "
             "place the ones whose sign has more weight. dare: changes dropped by chance and the others scaled up; "
             "dare_ties: the "
             "same, then signs as ties.",
    .options = options,
    .examples = examples,
    .run = merge};
