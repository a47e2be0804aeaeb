/* SPDX-License-Identifier: Apache-2.0 */
/* `socle show`: what a model is. */
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/pipeline.h"

#include <string.h>

static void shape_text(const sc_model_param *p, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "(");
    for (int i = 0; i < p->rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%lld", i ? ", " : "", (long long)p->dim[i]);
    if (n < size) snprintf(out + n, size - n, ")");
}

static void print_tensors(const sc_model *m)
{
    char shape[128];
    for (int64_t i = 0; i < sc_model_param_count(m); i++) {
        const sc_model_param *p = sc_model_param_at(m, i);
        shape_text(p, shape, sizeof shape);
        printf("%-8s %-20s %s\n", sc_dtype_get(p->dtype)->name, shape, p->name);
    }
    for (int64_t i = 0; i < sc_model_unexpected_count(m); i++)
        printf("%-8s %-20s %s\n", "unused", "", sc_model_unexpected_at(m, i));
}

static void print_text(const sc_model_info *i, const sc_tokenizer *t, bool chat, int64_t n_eos)
{
    printf("path          %s\n", i->path);
    printf("family        %s (%s, %s)\n", i->family, i->model_type, i->format);
    printf("parameters    %lld in %lld bytes (%s)\n", (long long)i->parameters, (long long)i->bytes, i->dtypes);
    printf("layers        %lld, width %lld\n", (long long)i->layers, (long long)i->width);
    static const char *const heads[] = {
        [SC_HEAD_NONE] = "none: states of tokens", [SC_HEAD_FILL] = "words for gaps",
        [SC_HEAD_CLASSES] = "classes of texts",    [SC_HEAD_TAGS] = "classes of tokens",
        [SC_HEAD_SPAN] = "answers in a text",      [SC_HEAD_REPLACED] = "replaced tokens"};
    if (i->head != SC_HEAD_NEXT) printf("head          %s", heads[i->head]);
    if (i->labels) printf(" (%lld)", (long long)i->labels);
    if (i->head != SC_HEAD_NEXT) putchar('\n');
    if (i->experts)
        printf("experts       %lld, %lld of them for a token, which goes through %lld parameters\n",
               (long long)i->experts, (long long)i->experts_used, (long long)i->active);
    if (i->latent)
        printf("attention     %lld heads of %lld, one latent key of %lld for all\n", (long long)i->heads,
               (long long)i->head_dim, (long long)i->latent);
    else
        printf("attention     %lld heads of %lld, %lld of keys\n", (long long)i->heads, (long long)i->head_dim,
               (long long)i->kv_heads);
    printf("vocabulary    %lld%s\n", (long long)i->vocab, i->tied ? ", output tied to the embedding" : "");
    printf("context       %lld tokens\n", (long long)i->context);
    if (t)
        printf("tokenizer     %lld tokens, bos %d, eos %d\n", (long long)sc_tokenizer_vocab_size(t),
               sc_tokenizer_bos(t), sc_tokenizer_eos(t));
    else
        printf("tokenizer     none\n");
    printf("chat template %s\n", chat ? "yes" : "none");
    printf("end tokens    %lld\n", (long long)n_eos);
}

static int print_json(const sc_cmd *c, const sc_model_info *i, const sc_tokenizer *t, bool chat, const int32_t *eos,
                      int64_t n_eos)
{
    json_t *ends = json_array();
    for (int64_t k = 0; k < n_eos; k++) json_array_append_new(ends, json_integer(eos[k]));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "path",
                  i->path, "family", i->family, "model_type", i->model_type, "format", i->format, "dtypes",
                  i->dtypes, "parameters", (json_int_t)i->parameters, "bytes", (json_int_t)i->bytes, "layers",
                  (json_int_t)i->layers, "width", (json_int_t)i->width, "heads", (json_int_t)i->heads, "kv_heads",
                  (json_int_t)i->kv_heads, "head_dim", (json_int_t)i->head_dim, "vocab", (json_int_t)i->vocab,
                  "context", (json_int_t)i->context, "tied", i->tied, "chat_template", chat, "eos", ends);
    if (o && i->experts) {
        json_object_set_new(o, "experts", json_integer(i->experts));
        json_object_set_new(o, "experts_used", json_integer(i->experts_used));
        json_object_set_new(o, "active_parameters", json_integer(i->active));
    }
    if (o && i->latent) json_object_set_new(o, "latent", json_integer(i->latent));
    if (t && o) json_object_set_new(o, "tokenizer_tokens", json_integer(sc_tokenizer_vocab_size(t)));
    return sc_cmd_json(c, o, JSON_INDENT(2));
}

/* 0, or the exit code after a message. */
static int show_model(sc_cmd *c, const sc_model *m, const char *path)
{
    sc_model_info info;
    sc_tokenizer *t = NULL;
    sc_template *chat = NULL;
    int64_t n_eos;
    const int32_t *eos = sc_model_eos(m, &n_eos);
    sc_model_describe(m, &info);
    if (sc_cmd_flag(c, "tensors")) {
        print_tensors(m);
        return 0;
    }
    if (sc_cmd_flag(c, "plan")) {
        char *text;
        if (sc_model_plan_text(&text, m, sc_cmd_int(c, "tokens"), sc_cmd_int(c, "past"))) return sc_cmd_fail(c);
        fputs(text, stdout);
        sc_free(text);
        return 0;
    }
    /* A model without them is a model all the same; a broken one is said. */
    sc_status s = sc_tokenizer_load(&t, path);
    if (s && s != SC_ENOTFOUND) sc_cmd_note(c, "%s", sc_error());
    s = sc_template_load(&chat, path, NULL, false);
    if (s && s != SC_ENOTFOUND) sc_cmd_note(c, "%s", sc_error());
    int code = 0;
    if (sc_cmd_flag(c, "json"))
        code = print_json(c, &info, t, chat != NULL, eos, n_eos);
    else
        print_text(&info, t, chat != NULL, n_eos);
    sc_tokenizer_free(t);
    sc_template_free(chat);
    return code;
}

static int show(sc_cmd *c)
{
    sc_model *m = NULL;
    char *path = NULL;
    sc_model_options o = {.weights = sc_cmd_flag(c, "synthetic") ? SC_WEIGHTS_SYNTHETIC : SC_WEIGHTS_FILE,
                          .config_only = true,
                          .type = sc_dtype_named(sc_cmd_str(c, "type"))};
    if (sc_cmd_given(c, "type") && !sc_cmd_flag(c, "synthetic"))
        return sc_cmd_usage(c, "--type goes with --synthetic");
    if ((sc_cmd_given(c, "tokens") || sc_cmd_given(c, "past")) && !sc_cmd_flag(c, "plan"))
        return sc_cmd_usage(c, "--tokens and --past go with --plan");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    sc_status s = sc_hub_resolve(&path, sc_cmd_arg(c, 0));
    if (!s) s = sc_model_open(&m, ctx, path, &o);
    int code = s ? sc_cmd_fail(c) : show_model(c, m, path);
    sc_model_free(m);
    sc_free(path);
    return code;
}

static const sc_option options[] = {
    {"tensors", 0, SC_OPT_FLAG,
     .help = "every parameter: type, shape, name; and tensors of the file that are not used"},
    {"plan", 0, SC_OPT_FLAG, .help = "the plan of one run: steps, buffers, bytes, FLOPs"},
    {"tokens", 0, SC_OPT_INT, "T", "with --plan: tokens of the run", .value = "1", .lo = 1, .hi = 1e6},
    {"past", 0, SC_OPT_INT, "N", "with --plan: room in the cache for tokens before them", .value = "512", .lo = 0,
     .hi = 1e7},
    {"synthetic", 0, SC_OPT_FLAG, .help = "from config.json alone, without weights"},
    {"type", 0, SC_OPT_CHOICE, "f32|f16|bf16|q8_0|q4_0|q4_1|q5_0|q5_1|q4_k|q5_k|q6_k",
     "with --synthetic: type of the matrices", .value = "f32"},
    {"json", 'j', SC_OPT_FLAG, .help = "as one JSON object"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle show SmolLM2-135M-Instruct", "Family, sizes, types, tokenizer"},
    {"socle show model.gguf --tensors", "Every parameter"},
    {"socle show model.gguf --plan --tokens 16", "What evaluating 16 tokens does, step by step"},
    {0}};
const sc_verb sc_verb_show = {
    .name = "show",
    .summary = "Show what a model is",
    .args = "MODEL",
    .min_args = 1,
    .max_args = 1,
    .about = "Reads the configuration and the headers of the weights, not the weights themselves.",
    .options = options,
    .examples = examples,
    .run = show};
