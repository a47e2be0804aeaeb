/* SPDX-License-Identifier: Apache-2.0 */
/* `socle perplexity`: how well a model predicts a text. */
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/pipeline.h"

#include <stdlib.h>

static int perplexity(sc_cmd *c)
{
    sc_pipeline *p = NULL;
    sc_perplexity r;
    sc_model_info info;
    char *path = NULL;
    int64_t len, targets_len = 0, window = sc_cmd_int(c, "context"), stride = sc_cmd_int(c, "stride");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    if (stride > window) return sc_cmd_usage(c, "--stride must not be larger than --context");
    sc_adapter_list adapters;
    int wrong = sc_cmd_adapters(c, &adapters);
    if (wrong) return wrong;
    char *text = sc_cmd_read(c, sc_cmd_arg(c, 1), (int64_t)1 << 30, &len);
    char *targets =
        text && sc_cmd_arg(c, 2) ? sc_cmd_read(c, sc_cmd_arg(c, 2), (int64_t)1 << 30, &targets_len) : NULL;
    if (!text || (sc_cmd_arg(c, 2) && !targets)) {
        free(text);
        return 1;
    }
    sc_session_options o = {.context = window, .cache = sc_dtype_named(sc_cmd_str(c, "cache-type"))};
    sc_status s = sc_hub_resolve(&path, sc_cmd_arg(c, 0));
    if (!s)
        s = sc_pipeline_open_with(&p, ctx, path,
                                  &(sc_model_options){.adapters = adapters.dir,
                                                      .adapter_weights = adapters.weight,
                                                      .n_adapters = adapters.n},
                                  &o);
    if (!s) {
        sc_model_describe(sc_pipeline_model(p), &info);
        if (info.context && window > info.context) window = info.context;
        if (targets)
            s = sc_pipeline_perplexity_of(p, text, len, targets, targets_len, &r);
        else
            s = sc_pipeline_perplexity(p, text, len, window, stride ? stride < window ? stride : window : window,
                                       &r);
    }
    if (!s) {
        sc_cmd_clear_progress(c);
        if (sc_cmd_flag(c, "json"))
            printf("{\"perplexity\": %.6f, \"nll\": %.6f, \"tokens\": %lld, \"scored\": %lld, \"bits_per_byte\": "
                   "%.6f}\n",
                   r.perplexity, r.nll / (double)r.scored, (long long)r.tokens, (long long)r.scored,
                   r.nll / 0.693147180559945 / (double)(targets ? targets_len : len));
        else
            printf("%.4f\n", r.perplexity);
    }
    int code = s ? sc_cmd_fail(c) : 0;
    sc_pipeline_free(p);
    sc_free(path);
    free(text);
    free(targets);
    return code;
}

static const sc_option options[] = {
    {"context", 'c', SC_OPT_INT, "N", "tokens of a window", .value = "512", .lo = 2, .hi = 1e7},
    {"stride", 0, SC_OPT_INT, "N",
     "a window begins every N tokens and scores what the one before did not; 0: windows do not overlap",
     .value = "0", .lo = 0, .hi = 1e7},
    {"cache-type", 0, SC_OPT_CHOICE, "f32|f16|bf16|q8_0", "type of the cached keys and values", .value = "f16"},
    {"json", 'j', SC_OPT_FLAG, .help = "with mean negative log-likelihood, counts and bits per byte, as JSON"},
    SC_OPT_ADAPTER,
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle perplexity model.gguf wiki.txt", "Windows of 512 tokens, one after the other"},
    {"socle perplexity model.gguf wiki.txt -c 2048 --stride 512",
     "Overlapping windows: each token sees at least 1536 before it"},
    {"socle perplexity flan-t5-small english.txt german.txt", "How well the lines of a translation are predicted"},
    {0}};
const sc_verb sc_verb_perplexity = {.name = "perplexity",
                                    .summary = "Measure how well a model predicts a text",
                                    .args = "MODEL FILE [TARGETS]",
                                    .min_args = 2,
                                    .max_args = 3,
                                    .about =
                                        "The exponential of the mean negative log-likelihood of a text's "
                                        "tokens, each given those before it in its window; "
                                        "the first token of a text is not scored. FILE may be - for stdin. Of an "
                                        "encoder-decoder, the tokens of each line of TARGETS, given the same "
                                        "line of FILE.",
                                    .options = options,
                                    .examples = examples,
                                    .run = perplexity};
