/* SPDX-License-Identifier: Apache-2.0 */
/* `socle scale plan`: which models a ladder has, and its folder. */
#include "cmd/scale.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LIST = 100 };

/* "30k", "1.5M", "2e6". */
static bool number_of(const char *text, char **end, double *out)
{
    static const char units[] = "kMGT";
    *out = strtod(text, end);
    if (*end == text) return false;
    const char *unit = **end ? strchr(units, **end) : NULL;
    for (const char *u = units; unit && u <= unit; u++) *out *= 1e3;
    *end += unit != NULL;
    return true;
}

int sc_cmd_numbers(sc_cmd *c, const char *option, double *out, int most)
{
    const char *text = sc_cmd_str(c, option);
    int n = 0;
    for (char *end; text; text = *end == ',' ? end + 1 : NULL) {
        if (n == most || !number_of(text, &end, &out[n]) || (*end && *end != ',') || !(out[n] > 0)) return -1;
        n++;
    }
    return n;
}

void sc_cmd_rungs(const sc_rung *r, int64_t n)
{
    printf("%-24s %10s %6s %7s %10s %9s %10s  %s\n", "run", "parameters", "width", "layers", "tokens", "steps",
           "operations", "");
    for (int64_t i = 0; i < n; i++) {
        char what[64] = "";
        if (r[i].done)
            snprintf(what, sizeof what, "loss %.4f%s", r[i].loss, r[i].held_out ? ", held out" : "");
        else if (r[i].held_out)
            snprintf(what, sizeof what, "held out");
        else if (r[i].level)
            snprintf(what, sizeof what, "level %d", r[i].level);
        printf("%-24s %10lld %6lld %7lld %10lld %9lld %10.3g  %s\n", r[i].name, (long long)r[i].parameters,
               (long long)r[i].width, (long long)r[i].layers, (long long)r[i].tokens, (long long)r[i].steps,
               r[i].compute, what);
    }
}

/* What was not typed is 0: the default is the library's. */
static double number(sc_cmd *c, const char *name) { return sc_cmd_given(c, name) ? sc_cmd_num(c, name) : 0; }
static int64_t whole(sc_cmd *c, const char *name) { return sc_cmd_given(c, name) ? sc_cmd_int(c, name) : 0; }
static double or_none(sc_cmd *c, const char *name)
{
    double x = number(c, name);
    return sc_cmd_given(c, name) && x == 0 ? -1 : x;
}

static const char **gather(sc_cmd *c, const char *name, int *n)
{
    *n = sc_cmd_count(c, name);
    const char **list = calloc((size_t)*n + 1, sizeof *list);
    for (int i = 0; list && i < *n; i++) list[i] = sc_cmd_list(c, name, i);
    return list;
}

static int print_plan(sc_cmd *c, const sc_ladder *l, int64_t tokens)
{
    int64_t n;
    const sc_rung *r = sc_ladder_rungs(l, &n);
    double most = 0;
    sc_cmd_clear_progress(c);
    sc_cmd_rungs(r, n);
    printf("%lld runs, %.4g operations in all\n", (long long)n, sc_ladder_compute(l));
    for (int64_t i = 0; i < n; i++)
        if ((double)r[i].tokens > most) most = (double)r[i].tokens;
    if (tokens > 0 && most > (double)tokens)
        sc_cmd_note(c,
                    "the data have %lld tokens, so the longest run goes through them %.1f times: laws are about "
                    "text that is "
                    "new",
                    (long long)tokens, most / (double)tokens);
    return 0;
}

static int plan(sc_cmd *c)
{
    double size[MAX_LIST], tokens[MAX_LIST], budget = 0;
    const char *out = sc_cmd_str(c, "out");
    if (!sc_cmd_str(c, "config")) return sc_cmd_usage(c, "--config is needed");
    int n_size = sc_cmd_numbers(c, "size", size, MAX_LIST),
        n_tokens = sc_cmd_numbers(c, "tokens", tokens, MAX_LIST);
    if (n_size < 0 || n_tokens < 0)
        return sc_cmd_usage(c, "--size and --tokens are numbers with commas: 100k,200k,1.5M");
    if (sc_cmd_numbers(c, "budget", &budget, 1) < 0) return sc_cmd_usage(c, "--budget is a number: 1e13 or 10T");
    if (!n_size != !n_tokens) return sc_cmd_usage(c, "--size and --tokens go together");
    if (!n_size && !budget) return sc_cmd_usage(c, "--budget is needed, or --size and --tokens");
    if (out && sc_cmd_given(c, "tokenizer") == sc_cmd_given(c, "alphabet"))
        return sc_cmd_usage(c, "--out needs one of --tokenizer and --alphabet");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    sc_ladder_options o = {
        .config = sc_cmd_str(c, "config"),
        .budget = budget,
        .levels = whole(c, "levels"),
        .sizes = whole(c, "sizes"),
        .step = number(c, "step"),
        .spread = number(c, "spread"),
        .ratio = number(c, "ratio"),
        .top = or_none(c, "top"),
        .size = size,
        .tokens = tokens,
        .n_size = n_size,
        .n_tokens = n_tokens,
        .lr_power = or_none(c, "lr-power"),
        .train = {.tokenizer = sc_cmd_str(c, "tokenizer"),
                  .alphabet = sc_cmd_str(c, "alphabet"),
                  .objective = sc_cmd_str(c, "objective"),
                  .batch = whole(c, "batch"),
                  .length = whole(c, "length"),
                  .optimizer = sc_cmd_given(c, "optimizer") ? sc_cmd_str(c, "optimizer") : NULL,
                  .schedule = sc_cmd_given(c, "schedule") ? sc_cmd_str(c, "schedule") : NULL,
                  .lr = number(c, "lr"),
                  .warmup = or_none(c, "warmup"),
                  .weight_decay = or_none(c, "weight-decay"),
                  .seed = (uint64_t)whole(c, "seed"),
                  .pack = sc_cmd_flag(c, "pack"),
                  .save_every = whole(c, "save-every")},
    };
    const char **data = gather(c, "data", &o.train.n_data), **eval = gather(c, "eval-data", &o.train.n_eval_data);
    o.train.data = data;
    o.train.eval_data = eval;
    sc_ladder *l = NULL;
    int64_t have = 0;
    sc_status s = sc_ladder_plan(&l, ctx, &o);
    if (!s && out) s = sc_ladder_write(l, ctx, out, &have);
    int rc = s ? sc_cmd_fail(c) : print_plan(c, l, have);
    sc_ladder_free(l);
    free(data);
    free(eval);
    return rc;
}

static const sc_option options[] = {
    {"config", 0, SC_OPT_FILE, "CONFIG.json",
     "configuration that is made smaller and larger, or a folder with one"},
    {"budget", 0, SC_OPT_STR, "N", "operations of all runs together: 1e13, 10T"},
    {"levels", 0, SC_OPT_INT, "N", "levels of compute", .value = "3", .lo = 1, .hi = 50},
    {"sizes", 0, SC_OPT_INT, "N", "models on each level", .value = "4", .lo = 1, .hi = 50},
    {"step", 0, SC_OPT_NUM, "X", "compute of a level over that of the one below", .value = "3", .lo = 1.01,
     .hi = 1e6},
    {"spread", 0, SC_OPT_NUM, "X", "parameters of a model over those of the next smaller one", .value = "1.8",
     .lo = 1.01, .hi = 1000},
    {"ratio", 0, SC_OPT_NUM, "X", "tokens a parameter in the middle of a level", .value = "20", .lo = 1e-6,
     .hi = 1e9},
    {"top", 0, SC_OPT_NUM, "X", "compute of the run to predict over that of the last level; 0: none", .value = "3",
     .lo = 0, .hi = 1e6},
    {"size", 0, SC_OPT_STR, "N,N,...", "instead of a budget: these sizes in parameters (100k,200k)"},
    {"tokens", 0, SC_OPT_STR, "N,N,...", "with --size: each on these numbers of tokens; the largest run is predicted"},
    {"tokenizer", 0, SC_OPT_FILE, "DIR", "folder or file of the tokenizer"},
    {"alphabet", 0, SC_OPT_STR, "NAME", "instead: chars, bytes, words, protein, dna, chess, or a file of symbols"},
    {"data", 'd', SC_OPT_FILE, "FILE", "what to train on, as for socle train", .many = true},
    {"eval-data", 0, SC_OPT_FILE, "FILE", "what the losses are measured on", .many = true},
    {"out", 'o', SC_OPT_DIR, "DIR", "make the ladder's folder; without, the plan is only shown"},
    {"objective", 0, SC_OPT_CHOICE, "causal|mlm|seq2seq|span|denoise|contrastive|classify|regress",
     "what is learned (what is usual for the kind of model)"},
    {"batch", 'b', SC_OPT_INT, "N", "sequences of a batch", .value = "8", .lo = 1, .hi = 65536},
    {"length", 'l', SC_OPT_INT, "N", "tokens of a sequence; 0: the model's context, at most 512", .value = "0",
     .lo = 0, .hi = 1 << 20},
    {"optimizer", 0, SC_OPT_CHOICE, "adamw|adam|sgd|lion|adafactor|muon", "how gradients change weights",
     .value = "adamw"},
    {"schedule", 0, SC_OPT_CHOICE, "cosine|linear|constant|inverse_sqrt|wsd|noam",
     "of the learning rate, over each run", .value = "cosine"},
    {"lr", 0, SC_OPT_NUM, "RATE", "the highest learning rate, for the width of --config; 0: as for socle train",
     .value = "0", .lo = 0, .hi = 100},
    {"lr-power", 0, SC_OPT_NUM, "P", "the rate goes with (width of --config / width)^P", .value = "0.5", .lo = 0,
     .hi = 4},
    {"warmup", 0, SC_OPT_NUM, "SHARE", "of all steps, in which the rate rises", .value = "0.02", .lo = 0, .hi = 1},
    {"weight-decay", 0, SC_OPT_NUM, "W", "of matrices", .value = "0.1", .lo = 0, .hi = 10},
    {"pack", 0, SC_OPT_FLAG, .help = "causal: documents do not see each other"},
    {"seed", 's', SC_OPT_INT, "N", "of the first weights and of the order of the data", .value = "0", .lo = 0,
     .hi = 1e15},
    {"save-every", 0, SC_OPT_INT, "N", "steps between checkpoints", .value = "500", .lo = 1, .hi = 1e12},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle scale plan --config config.json --budget 1e13", "What a ladder for so many operations would be"},
    {"socle scale plan --config config.json --budget 1e13 --alphabet bytes --data book.txt --eval-data rest.txt "
     "--out ladder",
     "Make its folder, for socle scale run"},
    {"socle scale plan --config config.json --size 100k,200k,400k --tokens 1M,2M,4M --tokenizer ./gpt2 --data "
     "book.txt "
     "--eval-data rest.txt --out ladder",
     "These sizes on these numbers of tokens"},
    {0}};
const sc_verb sc_verb_scale_plan = {.name = "scale plan",
                                    .summary = "Plan a ladder of models from a budget of compute",
                                    .args = "",
                                    .about = "A ladder is a row of trainings that a scaling law can be found from. "
                                             "By default it has levels of compute, each\n"
                                             "with models that are smaller on more tokens and larger on fewer, and "
                                             "one run above them that the law of the\n"
                                             "others is to predict. Models have the proportions of --config.",
                                    .options = options,
                                    .examples = examples,
                                    .run = plan};
