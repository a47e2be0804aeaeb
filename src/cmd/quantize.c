/* SPDX-License-Identifier: Apache-2.0 */
/* `socle quantize`: a model with smaller weights. */
#include "cmd/cmd.h"
#include "socle/convert.h"
#include "socle/hub.h"

#include <string.h>

static int quantize(sc_cmd *c)
{
    sc_context *ctx = sc_cmd_context(c);
    const char *out = sc_cmd_arg(c, 1);
    sc_convert_report r;
    char *in = NULL;
    if (!ctx) return sc_cmd_fail(c);
    if (strlen(out) < 5 || strcmp(out + strlen(out) - 5, ".gguf") != 0)
        return sc_cmd_usage(c, "%s: OUT must end in .gguf", out);
    sc_convert_options o = {.type = sc_cmd_arg(c, 2),
                            .output_type = sc_cmd_str(c, "output-type"),
                            .embedding_type = sc_cmd_str(c, "embedding-type"),
                            .pure = sc_cmd_flag(c, "pure")};
    sc_status s = sc_hub_resolve(&in, sc_cmd_arg(c, 0));
    if (!s) s = sc_convert(ctx, in, out, &o, &r);
    sc_cmd_clear_progress(c);
    if (!s) {
        double n = r.parameters > 0 ? (double)r.parameters : 1;
        sc_cmd_note(c, "%.1f MB -> %.1f MB, %.2f -> %.2f bits a weight", (double)r.bytes_before / 1e6,
                    (double)r.bytes_after / 1e6, 8 * (double)r.bytes_before / n, 8 * (double)r.bytes_after / n);
        if (r.fallbacks)
            sc_cmd_note(c, "%lld of %lld tensors have rows that do not fit %s and got another type",
                        (long long)r.fallbacks, (long long)r.tensors, o.type);
    }
    sc_free(in);
    return s ? sc_cmd_fail(c) : 0;
}

static const sc_option options[] = {
    {"output-type", 0, SC_OPT_STR, "TYPE", .help = "type of the matrix that gives the logits"},
    {"embedding-type", 0, SC_OPT_STR, "TYPE", .help = "type of the table of embeddings"},
    {"pure", 0, SC_OPT_FLAG, .help = "one type for all matrices: no mixtures, nothing kept better"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle quantize ./model model-q8.gguf q8_0", "Half the size of f16 and hardly different"},
    {"socle quantize model-f16.gguf model-q4.gguf q4_k_m", "A mixture of four and six bits"},
    {0}};
const sc_verb sc_verb_quantize = {
    .name = "quantize",
    .summary = "Make a model's weights smaller",
    .args = "MODEL OUT.gguf TYPE",
    .min_args = 3,
    .max_args = 3,
    .about =
        "TYPE, from large to small: f32 f16 bf16 q8_0 q6_k q5_1 q5_k_m q5_k_s q5_0 q4_1 q4_k_m q4_k_s iq4_nl q4_0 "
        "mxfp4 iq4_xs q3_k_l q3_k_m q3_k_s q2_k. q5_k, q4_k and q3_k are the mixtures _m.\n\n"
        "Norms, biases and tables of positions are f32. The embedding and the output matrix are kept as q6_k (or "
        "q8_0) where TYPE is coarser than q6_k.\n\n"
        "Mixtures give attn_v and ffn_down a better type in some layers: q4_k_m and q5_k_m give q6_k in the first "
        "and last eighth and every third between, q4_k_s q5_k in the first eighth; q3_k_l, q3_k_m and q2_k give "
        "q5_k, q4_k and q3_k in all, and to attn_output. --pure does none of this.\n\n"
        "Rows that are no multiple of 256 get q5_0 for q4_k, q5_1 for q5_k, q8_0 for q6_k, and iq4_nl for smaller "
        "types; those that are no multiple of 32, f16. This is reported.",
    .options = options,
    .examples = examples,
    .run = quantize};
