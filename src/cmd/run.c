/* SPDX-License-Identifier: Apache-2.0 */
/* `socle run`: one answer, or a chat. */
#include "cmd/run_ask.h"
#include "socle/hub.h"
#include "socle/pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PROMPT = 64 << 20 };

typedef struct run {
    sc_cmd *c;
    sc_pipeline *p;
    sc_text_request request;
    const char *stop[64];
    json_t *messages; /* the conversation */
    char *system;     /* owned; NULL: the template's own */
    bool json;
    char *answer; /* the text of this answer */
    size_t n_answer, cap_answer;
} run;

/* ---- what is said ---- */

static bool on_text(void *user, const char *piece, int64_t len)
{
    run *r = user;
    size_t need = r->n_answer + (size_t)len + 1;
    if (need > r->cap_answer) {
        size_t cap = need * 2;
        char *grown = realloc(r->answer, cap);
        if (!grown) return false;
        r->answer = grown;
        r->cap_answer = cap;
    }
    memcpy(r->answer + r->n_answer, piece, (size_t)len);
    r->n_answer += (size_t)len;
    r->answer[r->n_answer] = 0;
    if (r->json) return true;
    fwrite(piece, 1, (size_t)len, stdout);
    return fflush(stdout) == 0;
}

static int print_json(const run *r, const sc_text_result *t)
{
    json_t *ids = json_array();
    for (int64_t i = 0; i < t->n_ids; i++) json_array_append_new(ids, json_integer(t->ids[i]));
    json_t *o = json_pack("{s:s%, s:s, s:I, s:I, s:I, s:o, s:f, s:f, s:I, s:I}", "text", r->answer ? r->answer : "",
                          r->n_answer, "finish_reason", t->finish_reason, "prompt_tokens",
                          (json_int_t)t->prompt_tokens, "cached_tokens", (json_int_t)t->cached_tokens,
                          "generated_tokens", (json_int_t)t->generated_tokens, "ids", ids, "prompt_seconds",
                          t->prompt_seconds, "decode_seconds", t->decode_seconds, "drafted_tokens",
                          (json_int_t)t->drafted_tokens, "accepted_tokens", (json_int_t)t->accepted_tokens);
    return sc_cmd_json(r->c, o, JSON_COMPACT);
}

/* Generates from ids and prints. 0, or 1 after a message. */
static int answer_ids(run *r, int32_t *ids, int64_t n)
{
    sc_text_result t;
    int code = 0;
    r->n_answer = 0;
    if (r->answer) r->answer[0] = 0;
    r->request.ids = ids;
    r->request.n_ids = n;
    if (sc_pipeline_generate(r->p, &r->request, &t)) return sc_cmd_fail(r->c);
    if (r->json)
        code = print_json(r, &t);
    else if (r->n_answer && r->answer[r->n_answer - 1] != '\n')
        putchar('\n');
    fflush(stdout);
    if (strcmp(t.finish_reason, "context") == 0) sc_cmd_note(r->c, "the context is full");
    sc_free(t.ids);
    return code;
}

/* ---- a conversation ---- */

static int answer_chat(run *r)
{
    json_t *all = json_array(), *v;
    int32_t *ids = NULL;
    int64_t n;
    int code = 0;
    if (r->system) json_array_append_new(all, json_pack("{s:s, s:s}", "role", "system", "content", r->system));
    json_array_extend(all, r->messages);
    v = json_pack("{s:o}", "messages", all);
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    if (!text)
        code = sc_cmd_error(r->c, "out of memory");
    else if (sc_pipeline_chat_ids(r->p, text, (int64_t)strlen(text), &ids, &n))
        code = sc_cmd_fail(r->c);
    else
        code = answer_ids(r, ids, n);
    free(text);
    json_decref(v);
    sc_free(ids);
    return code;
}

static int say(void *user, const char *line)
{
    run *r = user;
    json_t *m = json_pack("{s:s, s:s}", "role", "user", "content", line);
    if (!m) {
        sc_cmd_error(r->c, "the message is not valid UTF-8");
        return 0;
    }
    json_array_append_new(r->messages, m);
    if (answer_chat(r)) {
        json_array_remove(r->messages, json_array_size(r->messages) - 1);
        return 0;
    }
    json_array_append_new(r->messages, json_pack("{s:s, s:s%}", "role", "assistant", "content",
                                                 r->answer ? r->answer : "", r->n_answer));
    return 0;
}

static int clear(void *user)
{
    json_array_clear(((run *)user)->messages);
    return 0;
}

/* "" or NULL: the template's own. 0, or 1 after a message. */
static int use_system(run *r, const char *text)
{
    json_t *checked = json_string(text ? text : "");
    char *copy = text && *text ? strdup(text) : NULL;
    json_decref(checked);
    if (!checked || (text && *text && !copy)) {
        free(copy);
        return sc_cmd_error(r->c, "the system prompt is not valid UTF-8");
    }
    free(r->system);
    r->system = copy;
    return 0;
}

static int set_system(void *user, const char *text)
{
    return use_system(user, text) ? 0 : clear(user); /* what was wrong is said; the chat goes on */
}

static void show_settings(const run *r)
{
    char *text;
    if (sc_sampling_describe(&text, &r->request.sampling)) return;
    fprintf(stderr, "%s; max_new_tokens %lld\n", text, (long long)r->request.max_new_tokens);
    sc_free(text);
}

static int set_value(void *user, const char *name, const char *value)
{
    run *r = user;
    sc_sampling *o = &r->request.sampling, before = *o;
    char *end = NULL;
    const struct {
        const char *name;
        double *at;
    } numbers[] = {{"temperature", &o->temperature},
                   {"top_p", &o->top_p},
                   {"min_p", &o->min_p},
                   {"typical_p", &o->typical_p},
                   {"repetition_penalty", &o->repetition_penalty},
                   {"frequency_penalty", &o->frequency_penalty},
                   {"presence_penalty", &o->presence_penalty}};
    if (!name) {
        show_settings(r);
        return 0;
    }
    double x = value ? strtod(value, &end) : 0;
    bool known = false;
    if (!value || end == value || *end) {
        sc_cmd_error(r->c, "/set %s needs a number", name);
        return 0;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].name, name) == 0) *numbers[i].at = x, known = true;
    bool count = x >= 0 && x <= 9e15; /* not so of NaN */
    if (strcmp(name, "temperature") == 0) o->do_sample = true;
    if (strcmp(name, "top_k") == 0 && count) o->top_k = (int64_t)x, known = true;
    if (strcmp(name, "seed") == 0 && count) o->seed = (uint64_t)x, known = true;
    if (strcmp(name, "max_new_tokens") == 0 && x >= 1 && x < 1e7)
        r->request.max_new_tokens = (int64_t)x, known = true;
    if (!known) sc_cmd_error(r->c, "no setting '%s' takes that", name);
    if (sc_sampling_check(o)) {
        sc_cmd_fail(r->c);
        *o = before;
    }
    return 0;
}

static int chat(run *r, const char *model)
{
    if (!sc_pipeline_has_template(r->p))
        return sc_cmd_error(r->c, "%s has no chat template: give a prompt, with --raw for a plain continuation",
                            model);
    return sc_chat_run(
        r->c, &(sc_chat){
                  .name = model, .user = r, .answer = say, .clear = clear, .system = set_system, .set = set_value});
}

/* ---- options ---- */

void sc_run_read_sampling(const sc_cmd *c, sc_sampling *o)
{
    const struct {
        const char *name;
        double *at;
    } numbers[] = {{"temperature", &o->temperature},
                   {"top-p", &o->top_p},
                   {"min-p", &o->min_p},
                   {"typical-p", &o->typical_p},
                   {"repetition-penalty", &o->repetition_penalty},
                   {"frequency-penalty", &o->frequency_penalty},
                   {"presence-penalty", &o->presence_penalty}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sc_cmd_given(c, numbers[i].name)) *numbers[i].at = sc_cmd_num(c, numbers[i].name);
    if (sc_cmd_given(c, "top-k")) o->top_k = sc_cmd_int(c, "top-k");
    if (sc_cmd_given(c, "no-repeat-ngram-size")) o->no_repeat_ngram_size = sc_cmd_int(c, "no-repeat-ngram-size");
}

/* A low temperature and a fixed seed, then what the model's authors say, then what the user says. */
static sc_status read_sampling(sc_cmd *c, sc_sampling *o, const sc_model *m)
{
    sc_model_info info;
    sc_model_describe(m, &info);
    *o = (sc_sampling)SC_SAMPLING_INIT;
    o->do_sample = info.source_vocab == 0; /* encoder-decoders are for tasks with one right answer */
    o->temperature = 0.2;
    o->top_p = 0.9;
    const char *generation = sc_model_generation_config(m);
    sc_status s = sc_sampling_from_json(o, generation, (int64_t)strlen(generation), "generation_config.json");
    if (s) return s;
    sc_run_read_sampling(c, o);
    if (sc_cmd_given(c, "temperature")) o->do_sample = true;
    o->seed = (uint64_t)sc_cmd_int(c, "seed");
    if (sc_cmd_flag(c, "greedy")) o->do_sample = false;
    return SC_OK;
}

/* "ID=BIAS" of every --logit-bias. */
static int read_biases(sc_cmd *c, sc_sampling *o)
{
    enum { MAX = 256 };
    static int32_t ids[MAX];
    static float bias[MAX];
    int n = sc_cmd_count(c, "logit-bias");
    if (n > MAX) return sc_cmd_usage(c, "more than %d --logit-bias", MAX);
    for (int i = 0; i < n; i++) {
        char *end, *stop;
        const char *text = sc_cmd_list(c, "logit-bias", i);
        long id = strtol(text, &end, 10);
        if (end == text || *end != '=' || id < 0 || id > INT32_MAX)
            return sc_cmd_usage(c, "--logit-bias '%s' is not ID=BIAS", text);
        bias[i] = strtof(end + 1, &stop);
        if (stop == end + 1 || *stop) return sc_cmd_usage(c, "--logit-bias '%s' is not ID=BIAS", text);
        ids[i] = (int32_t)id;
    }
    o->bias_ids = ids;
    o->bias = bias;
    o->n_bias = n;
    return 0;
}

/* What the decoder's answer is to begin with, as ids without what the tokenizer puts around a text. */
static sc_status decoder_prompt(run *r, int32_t **ids)
{
    const char *text = sc_cmd_str(r->c, "decoder-prompt");
    if (!text) return SC_OK;
    sc_status s = sc_tokenizer_encode(sc_pipeline_tokenizer(r->p), text, (int64_t)strlen(text),
                                      SC_TOKENIZE_PARSE_SPECIAL, ids, &r->request.n_decoder_ids);
    if (!s) r->request.decoder_ids = *ids;
    return s;
}

/* One prompt, from the argument or stdin. */
static int once(run *r, const char *prompt, int64_t len)
{
    sc_status s;
    int code = 1;
    const char *suffix = sc_cmd_str(r->c, "suffix");
    if (suffix) {
        int32_t *ids = NULL, end;
        int64_t n;
        s = sc_tokenizer_infill(sc_pipeline_tokenizer(r->p), prompt, len, suffix, (int64_t)strlen(suffix), &ids, &n,
                                &end);
        r->request.end_ids = &end;
        r->request.n_end_ids = !s && end >= 0;
        code = s ? sc_cmd_fail(r->c) : answer_ids(r, ids, n);
        sc_free(ids);
    } else if (sc_cmd_flag(r->c, "raw") || !sc_pipeline_has_template(r->p)) {
        int32_t *ids = NULL;
        int64_t n;
        int32_t *begin = NULL;
        s = sc_pipeline_text_ids(r->p, prompt, len, &ids, &n);
        if (!s) s = decoder_prompt(r, &begin);
        code = s ? sc_cmd_fail(r->c) : answer_ids(r, ids, n);
        sc_free(begin);
        sc_free(ids);
    } else {
        json_t *m = json_pack("{s:s, s:s%}", "role", "user", "content", prompt, (size_t)len);
        if (!m) return sc_cmd_error(r->c, "the prompt is not valid UTF-8");
        json_array_append_new(r->messages, m);
        code = answer_chat(r);
    }
    return code;
}

/* Options that would say nothing to this model. 0, or 1 after a message. */
static int check_model(const run *r, const char *model)
{
    sc_cmd *c = r->c;
    sc_model_info info;
    sc_model_describe(sc_pipeline_model(r->p), &info);
    if (sc_cmd_given(c, "decoder-prompt") && !info.source_vocab)
        return sc_cmd_error(c, "%s is no encoder-decoder: --decoder-prompt is for those", model);
    if (sc_cmd_given(c, "system") && !sc_pipeline_has_template(r->p))
        return sc_cmd_error(c, "%s has no chat template, so --system has no place in its prompt", model);
    return 0;
}

static int run_with(run *r, const char *prompt, int64_t len, const char *model)
{
    sc_cmd *c = r->c;
    int code = 0;
    if ((code = check_model(r, model)) || (code = use_system(r, sc_cmd_str(c, "system")))) return code;
    if (read_sampling(c, &r->request.sampling, sc_pipeline_model(r->p))) return sc_cmd_fail(c);
    if ((code = read_biases(c, &r->request.sampling))) return code;
    r->request.max_new_tokens = sc_cmd_int(c, "max-new-tokens");
    r->request.num_beams = (int)sc_cmd_int(c, "num-beams");
    r->request.ignore_eos = sc_cmd_flag(c, "ignore-eos");
    r->request.text = on_text;
    r->request.user = r;
    r->request.n_stop = sc_cmd_count(c, "stop");
    for (int i = 0; i < r->request.n_stop; i++) r->stop[i] = sc_cmd_list(c, "stop", i);
    r->request.stop = r->stop;
    if (sc_cmd_flag(c, "show-sampling")) show_settings(r);
    r->messages = json_array();
    code = prompt ? once(r, prompt, len) : chat(r, model);
    json_decref(r->messages);
    free(r->answer);
    return code;
}

static sc_status speculate(const run *r, const sc_session_options *o)
{
    const char *how = sc_cmd_str(r->c, "speculative");
    int64_t tokens = sc_cmd_int(r->c, "draft-tokens");
    char *path = NULL;
    if (!how) return SC_OK;
    if (strcmp(how, "lookup") == 0) return sc_pipeline_speculate(r->p, NULL, NULL, tokens);
    sc_status s = sc_hub_resolve(&path, how);
    if (!s) s = sc_pipeline_speculate(r->p, path, o, tokens);
    sc_free(path);
    return s;
}

static int run_verb(sc_cmd *c)
{
    run r = {.c = c, .json = sc_cmd_flag(c, "json")};
    const char *model = sc_cmd_arg(c, 0), *prompt = sc_cmd_arg(c, 1);
    char *path = NULL, *input = NULL;
    if (sc_run_asks(c)) return sc_run_ask(c);
    if (!model) return sc_cmd_usage(c, "a model is needed");
    int64_t len = prompt ? (int64_t)strlen(prompt) : 0, beams = sc_cmd_int(c, "num-beams");
    if (sc_cmd_given(c, "image") || sc_cmd_given(c, "audio"))
        return sc_cmd_error(c, "%s is a text model: it takes no %s", model,
                            sc_cmd_given(c, "image") ? "image" : "audio");
    if (sc_cmd_count(c, "stop") > (int)(sizeof r.stop / sizeof *r.stop))
        return sc_cmd_usage(c, "more than 64 --stop");
    if (beams > 1 && sc_cmd_given(c, "speculative"))
        return sc_cmd_usage(c, "--speculative does not go with --num-beams");
    if (sc_cmd_given(c, "system") && (sc_cmd_flag(c, "raw") || sc_cmd_given(c, "suffix")))
        return sc_cmd_usage(c, "--system goes through the chat template, which --raw and --suffix leave out");
    if (sc_cmd_given(c, "draft-tokens") && !sc_cmd_given(c, "speculative"))
        return sc_cmd_usage(c, "--draft-tokens needs --speculative");
    bool interactive = !prompt && isatty(STDIN_FILENO);
    if (interactive && (r.json || sc_cmd_flag(c, "raw") || sc_cmd_given(c, "suffix")))
        return sc_cmd_usage(c, "a prompt is needed");
    if (!prompt && !interactive) {
        if (!(input = sc_cmd_read(c, NULL, MAX_PROMPT, &len))) return 1;
        /* The newline that ends a piped line is not meant. */
        if (len && input[len - 1] == '\n') input[--len] = 0;
        prompt = input;
    }
    sc_session_options o = {.context = sc_cmd_int(c, "context"),
                            .cache = sc_dtype_named(sc_cmd_str(c, "cache-type")),
                            .sequences = beams > 1 ? (int)(2 * beams) : 1};
    sc_adapter_list adapters;
    int wrong = sc_cmd_adapters(c, &adapters);
    if (wrong) {
        free(input);
        return wrong;
    }
    sc_context *ctx = sc_cmd_context(c);
    sc_status s = ctx ? sc_hub_resolve(&path, model) : SC_ENOMEM;
    if (!s)
        s = sc_pipeline_open_with(&r.p, ctx, path,
                                  &(sc_model_options){.adapters = adapters.dir,
                                                      .adapter_weights = adapters.weight,
                                                      .n_adapters = adapters.n},
                                  &o);
    if (!s) s = speculate(&r, &o);
    int code = s ? sc_cmd_fail(c) : run_with(&r, prompt, len, model);
    sc_pipeline_free(r.p);
    sc_free(path);
    free(input);
    free(r.system);
    return code;
}

static const sc_option options[] = {
    {"max-new-tokens", 'n', SC_OPT_INT, "N", "at most N new tokens", .value = "512", .lo = 1, .hi = 1e7},
    {"greedy", 'g', SC_OPT_FLAG, .help = "always the likeliest token (do_sample false)"},
    {"raw", 'r', SC_OPT_FLAG, .help = "continue the text as it is, without the chat template"},
    {"suffix", 0, SC_OPT_STR, "TEXT", "fill in what stands between the prompt and TEXT (models of code)"},
    {"system", 's', SC_OPT_STR, "TEXT", "system prompt, in place of the template's own"},
    {"json", 'j', SC_OPT_FLAG, .help = "the answer with its ids, counts and times as one JSON object"},
    {"temperature", 0, SC_OPT_NUM, "X", "divides the logits; 0 is greedy (0.2 unless the model says otherwise)",
     .lo = 0, .hi = 1000},
    {"top-k", 0, SC_OPT_INT, "K", "only the K likeliest tokens; 0: all (50)", .lo = 0, .hi = 1e9},
    {"top-p", 0, SC_OPT_NUM, "P", "only the likeliest tokens that make up P (0.9)", .lo = 0, .hi = 1},
    {"min-p", 0, SC_OPT_NUM, "P", "only tokens at least P times as likely as the likeliest", .lo = 0, .hi = 1},
    {"typical-p", 0, SC_OPT_NUM, "P", "only the tokens of typical surprise that make up P", .lo = 0, .hi = 1},
    {"repetition-penalty", 0, SC_OPT_NUM, "X", "makes tokens that were there less likely; 1: off", .lo = 0,
     .hi = 1000},
    {"frequency-penalty", 0, SC_OPT_NUM, "X", "for each time a token was generated", .lo = -100, .hi = 100},
    {"presence-penalty", 0, SC_OPT_NUM, "X", "once for a token that was generated", .lo = -100, .hi = 100},
    {"no-repeat-ngram-size", 0, SC_OPT_INT, "N", "no run of N tokens twice", .lo = 0, .hi = 1e6},
    {"logit-bias", 0, SC_OPT_STR, "ID=BIAS", "added to a token's logit; -inf forbids it", .many = true},
    {"seed", 0, SC_OPT_INT, "N", "seed of the random numbers", .value = "0", .lo = 0, .hi = 9e15},
    {"stop", 0, SC_OPT_STR, "TEXT", "ends the answer where TEXT would come", .many = true},
    {"ignore-eos", 0, SC_OPT_FLAG, .help = "go on after the end-of-answer token"},
    {"num-beams", 0, SC_OPT_INT, "N", "beam search with N beams", .value = "1", .lo = 1, .hi = 512},
    {"decoder-prompt", 0, SC_OPT_STR, "TEXT",
     "what the answer of an encoder-decoder is to begin with, as a language's token"},
    {"speculative", 0, SC_OPT_STR, "lookup|MODEL",
     "guess tokens and check several at once, which changes no answer's odds: by what followed the same words "
     "before, "
     "or by a smaller model with the same tokens"},
    {"draft-tokens", 0, SC_OPT_INT, "N", "guess N tokens each time; 0: as many as pay", .value = "0", .lo = 0,
     .hi = 31},
    {"show-sampling", 0, SC_OPT_FLAG, .help = "say on stderr how tokens are chosen, in order"},
    {"context", 'c', SC_OPT_INT, "N",
     "tokens that prompt and answer may take; 0: the model's context, at most 8192", .value = "0", .lo = 0,
     .hi = 1e9},
    {"cache-type", 0, SC_OPT_CHOICE, "f32|f16|bf16|q8_0", "type of the cached keys and values", .value = "f16"},
    SC_OPT_ADAPTER,
    SC_OPT_RUN_ASK,
    SC_OPT_ASKER,
    {"image", 0, SC_OPT_FILE, "FILE", "for models that see; none of those that are known does"},
    {"audio", 0, SC_OPT_FILE, "FILE", "for models that hear; none of those that are known does"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle run SmolLM2-135M-Instruct \"Why is the sky blue?\"", "One answer"},
    {"socle run SmolLM2-135M-Instruct", "A chat, at a terminal"},
    {"socle run model.gguf --raw --greedy -n 5 \"The capital of France is\"", "A plain continuation"},
    {"socle run CodeLlama-7b \"def sum(a, b):\" --suffix \"    return c\"", "What stands between"},
    {"socle run model.gguf --json --temperature 0.7 --seed 1 < question.txt",
     "The prompt from a file, the answer as JSON"},
    {"socle run SmolLM2-135M-Instruct --speculative lookup < edit-this.txt",
     "Faster where the answer repeats the prompt"},
    {"socle run SmolLM2-135M-Instruct --cot --samples 8 --answer number \"Ann has 3 apples and buys 4. How many?\"",
     "Eight reasonings and a vote"},
    {"socle run SmolLM2-135M-Instruct --examples solved.jsonl --pick nearest \"A dull film.\" --choice good "
     "--choice bad",
     "With the solved examples that are most like it"},
    {"socle run --api http://127.0.0.1:8000/v1 --api-model qwen3 --think 500 \"What is 17 * 23?\"",
     "A model behind an endpoint, thinking within a budget"},
    {0}};
const sc_verb sc_verb_run = {
    .name = "run",
    .summary = "Answer a prompt, or chat",
    .args = "MODEL [PROMPT]",
    .min_args = 0,
    .max_args = 2,
    .about =
        "MODEL is a directory, a .gguf file, or the name of a model that `socle list` shows. Without PROMPT the "
        "prompt is "
        "read from stdin; at a terminal a chat begins: Ctrl-C stops an answer, Ctrl-D leaves, /help lists its "
        "commands.\n\nPrompts go through the model's chat template unless --raw is given or the model has none. "
        "Sampling options mean what HuggingFace's generate means by them; unless they are given, the model's "
        "generation_config.json decides, and where that is silent a temperature of 0.2, top_p 0.9 and seed "
        "0.\n\nWays of asking (docs/asking.md): solved "
        "examples before the prompt, reasoning before the answer, several samples and a vote or a choice, a tree "
        "of "
        "thoughts, a budget of thinking; what is printed is then the answer alone. Samples are drawn with a "
        "temperature "
        "of 0.7 and top_k 40, single answers are greedy, unless options say otherwise.",
    .options = options,
    .examples = examples,
    .run = run_verb};
