/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/synth.h"

#include <stdlib.h>

static sc_status make(sc_cmd *c, sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                      sc_synth_result *result)
{
    const char *kinds[8];
    sc_synth_visual x = {.pictures = sc_cmd_str(c, "pictures"), .kinds = kinds, .limit = sc_cmd_int(c, "limit")};
    for (; x.n_kinds < 8 && x.n_kinds < sc_cmd_count(c, "kind"); x.n_kinds++)
        kinds[x.n_kinds] = sc_cmd_list(c, "kind", x.n_kinds);
    return sc_synth_visual_instruct(ctx, model, o, &x, result);
}

static int visual(sc_cmd *c)
{
    if (!sc_cmd_str(c, "pictures")) return sc_cmd_usage(c, "--pictures is needed: their captions and boxes");
    return sc_cmd_synth(c, make, true);
}

static const sc_option options[] = {
    {"pictures", 0, SC_OPT_FILE, "FILE",
     ".jsonl: image, captions, boxes of label and box [x0, y0, x1, y1] or bbox [x, y, w, h], width, height"},
    {"kind", 0, SC_OPT_CHOICE, "conversation|detail|reasoning", "what to make (all three)", .many = true},
    {"limit", 0, SC_OPT_INT, "N", "pictures, at most; 0: all", .value = "0", .lo = 0, .hi = 1e12},
    SC_OPT_SYNTH,
    {0}};
static const sc_example examples[] = {
    {"socle synth visual SmolLM2-135M-Instruct --pictures coco.jsonl --out talk",
     "Three kinds of talk about each picture"},
    {"socle synth visual SmolLM2-135M-Instruct --pictures coco.jsonl --kind reasoning --out talk", "One of them"},
    {0}};
const sc_verb sc_verb_synth_visual = {
    .name = "synth visual",
    .summary = "Have a model make talk about pictures from captions and boxes",
    .args = "[MODEL]",
    .max_args = 1,
    .about =
        "A model that reads what people said of a picture, and where its things are, writes a conversation about "
        "it, a\n"
        "description in detail, or a question that takes thinking with its answer. data.jsonl has LLaVA's layout.",
    .options = options,
    .examples = examples,
    .run = visual};
