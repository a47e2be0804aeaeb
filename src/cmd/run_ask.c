/* SPDX-License-Identifier: Apache-2.0 */
/* `socle run` where a prompt is asked with examples, with reasoning, several times, along a tree, or of an endpoint. */
#include "cmd/run_ask.h"
#include "socle/asking.h"
#include "socle/hub.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PROMPT = 64 << 20, MOST_CHOICES = 64 };

static const char *const names[] = {"method",  "examples", "shots", "cot",      "samples", "vote",
                                    "best-of", "reward",   "tree",  "think",    "choice",  "check-order",
                                    "answer",  "pick-by",  "api",   "api-model"};

bool sc_run_asks(const sc_cmd *c)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sc_cmd_given(c, names[i])) return true;
    return false;
}

typedef struct asking {
    sc_cmd *c;
    sc_asker *a;
    sc_ask_method m;
    sc_ask_task t;
    sc_embedder *by;
    sc_ask_judge *judge;
    sc_text choice[MOST_CHOICES];
    char *input; /* read from stdin */
} asking;

/* ---- options ---- */

/* Which go with which; 0, or the exit code after a message. */
static int check(sc_cmd *c)
{
    static const struct {
        const char *option, *needs;
    } pairs[] = {{"shots", "examples"},       {"pick", "examples"},   {"pick-by", "examples"},
                 {"check-order", "examples"}, {"tree-steps", "tree"}, {"tree-width", "tree"},
                 {"tree-keep", "tree"},       {"tree-value", "tree"}, {"think-least", "think"}};
    static const char *const never[] = {"suffix",     "num-beams",  "speculative", "draft-tokens", "decoder-prompt",
                                        "logit-bias", "ignore-eos", "stop",        "image",        "audio"};
    const char *only[] = {"cot", "tree", "think"};
    int ways = 0;
    bool by_name = sc_cmd_given(c, "method");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (sc_cmd_given(c, pairs[i].option) && !sc_cmd_given(c, pairs[i].needs) && !by_name)
            return sc_cmd_usage(c, "--%s needs --%s", pairs[i].option, pairs[i].needs);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (sc_cmd_given(c, never[i])) return sc_cmd_usage(c, "--%s does not go with ways of asking", never[i]);
    for (size_t i = 0; i < sizeof only / sizeof *only; i++) ways += sc_cmd_given(c, only[i]);
    if (ways > 1) return sc_cmd_usage(c, "one of --cot, --tree and --think");
    if (sc_cmd_given(c, "best-of") && (sc_cmd_given(c, "samples") || sc_cmd_flag(c, "vote")))
        return sc_cmd_usage(c, "--best-of does not go with --samples and --vote");
    if (sc_cmd_flag(c, "vote") && !sc_cmd_given(c, "samples") && !by_name)
        return sc_cmd_usage(c, "--vote needs --samples");
    if (sc_cmd_count(c, "choice") > MOST_CHOICES) return sc_cmd_usage(c, "more than %d --choice", MOST_CHOICES);
    if (sc_cmd_count(c, "choice") == 1) return sc_cmd_usage(c, "one --choice leaves nothing to choose");
    return 0;
}

static void read_tree(sc_cmd *c, sc_ask_method *m)
{
    const char *value = sc_cmd_str(c, "tree-value");
    if (sc_cmd_given(c, "tree")) {
        m->reasoning = SC_REASON_TREE;
        m->depth_first = strcmp(sc_cmd_str(c, "tree"), "dfs") == 0;
        m->reason_tokens = 64;
    }
    if (sc_cmd_given(c, "tree-steps")) m->steps = (int)sc_cmd_int(c, "tree-steps");
    if (sc_cmd_given(c, "tree-width")) m->width = (int)sc_cmd_int(c, "tree-width");
    if (sc_cmd_given(c, "tree-keep")) m->keep = (int)sc_cmd_int(c, "tree-keep");
    m->valuing = strcmp(value, "vote") == 0         ? SC_VALUE_VOTED
                 : strcmp(value, "likelihood") == 0 ? SC_VALUE_LIKELIHOOD
                                                    : SC_VALUE_JUDGED;
}

static void read_sampling(sc_cmd *c, sc_ask_method *m)
{
    sc_run_read_sampling(c, &m->sampling);
    m->sampling.do_sample = sc_cmd_given(c, "temperature") && !sc_cmd_flag(c, "greedy");
    m->seed = (uint64_t)sc_cmd_int(c, "seed");
}

static int read_method(asking *x)
{
    sc_cmd *c = x->c;
    sc_ask_method *m = &x->m;
    const char *pick = sc_cmd_str(c, "pick");
    if (sc_ask_method_named(m, sc_cmd_given(c, "method") ? sc_cmd_str(c, "method") : "zero-shot"))
        return sc_cmd_usage(c, "%s", sc_error());
    if (sc_cmd_given(c, "examples") && !m->shots) m->shots = 4;
    if (sc_cmd_given(c, "shots")) m->shots = (int)sc_cmd_int(c, "shots");
    m->pick = strcmp(pick, "nearest") == 0 || (sc_cmd_given(c, "pick-by") && !sc_cmd_given(c, "pick"))
                  ? SC_PICK_NEAREST
              : strcmp(pick, "balanced") == 0 ? SC_PICK_BALANCED
              : strcmp(pick, "first") == 0    ? SC_PICK_FIRST
                                              : SC_PICK_RANDOM;
    if (sc_cmd_flag(c, "cot")) m->reasoning = SC_REASON_CHAIN;
    if (sc_cmd_given(c, "samples")) m->samples = (int)sc_cmd_int(c, "samples");
    if (sc_cmd_flag(c, "vote")) m->choosing = SC_CHOOSE_VOTE;
    if (sc_cmd_given(c, "best-of")) {
        m->samples = (int)sc_cmd_int(c, "best-of");
        m->choosing = SC_CHOOSE_LIKELIEST;
    }
    if (sc_cmd_given(c, "reward")) m->choosing = SC_CHOOSE_REWARD;
    read_tree(c, m);
    if (sc_cmd_given(c, "think")) {
        m->reasoning = SC_REASON_THINK;
        m->think_most = sc_cmd_int(c, "think");
    }
    if (sc_cmd_given(c, "think-least")) m->think_least = sc_cmd_int(c, "think-least");
    int64_t *tokens =
        m->reasoning == SC_REASON_CHAIN || m->reasoning == SC_REASON_TREE ? &m->reason_tokens : &m->answer_tokens;
    if (sc_cmd_given(c, "max-new-tokens") || tokens == &m->answer_tokens) *tokens = sc_cmd_int(c, "max-new-tokens");
    read_sampling(c, m);
    if (m->choosing == SC_CHOOSE_REWARD && m->samples < 2)
        return sc_cmd_usage(c, "--reward chooses among the answers of --best-of");
    if (m->shots && !sc_cmd_given(c, "examples")) return sc_cmd_usage(c, "this way of asking needs --examples");
    return 0;
}

static sc_status read_task(asking *x)
{
    sc_cmd *c = x->c;
    sc_context *ctx = sc_cmd_context(c);
    const char *kind = sc_cmd_str(c, "answer");
    char *path = NULL;
    sc_status s = SC_OK;
    x->t.instruction = sc_cmd_str(c, "system");
    x->t.form = sc_cmd_flag(c, "raw") ? SC_FORM_PLAIN : SC_FORM_AUTO;
    x->t.kind = strcmp(kind, "text") == 0     ? SC_ANSWER_TEXT
                : strcmp(kind, "number") == 0 ? SC_ANSWER_NUMBER
                                              : SC_ANSWER_AUTO;
    if (sc_cmd_given(c, "examples")) s = sc_ask_examples_read(&x->t.examples, sc_cmd_str(c, "examples"));
    if (!s && sc_cmd_given(c, "pick-by")) {
        s = sc_hub_resolve(&path, sc_cmd_str(c, "pick-by"));
        if (!s) s = sc_embedder_open(&x->by, ctx, path, NULL);
        if (!s) s = sc_ask_examples_embed(x->t.examples, x->by);
        sc_free(path);
    }
    if (!s && sc_cmd_given(c, "reward")) {
        s = sc_ask_judge_open(&x->judge, ctx, sc_cmd_str(c, "reward"));
        if (!s) x->t.reward = sc_ask_judge_reward(x->judge);
    }
    return s;
}

static int open_asker(asking *x, const char *model)
{
    sc_adapter_list adapters;
    int code = sc_cmd_adapters(x->c, &adapters);
    if (code) return code;
    sc_model_options options = {
        .adapters = adapters.dir, .adapter_weights = adapters.weight, .n_adapters = adapters.n};
    return sc_cmd_asker(x->c, model,
                        &(sc_asker_options){.model = &options,
                                            .context = sc_cmd_int(x->c, "context"),
                                            .cache = sc_dtype_named(sc_cmd_str(x->c, "cache-type"))},
                        &x->a);
}

/* ---- the answer ---- */

static int print(const asking *x, const sc_ask_solution *s)
{
    sc_ask_counts n;
    bool free_text = x->m.reasoning == SC_REASON_NONE && x->m.samples == 1;
    sc_asker_counts(x->a, &n);
    if (sc_cmd_flag(x->c, "json")) {
        json_t *o =
            json_pack("{s:s, s:s, s:i, s:i, s:f, s:I, s:I, s:I, s:f}", "answer", s->answer, "text", s->text,
                      "samples", s->samples, "votes", s->votes, "confidence", s->confidence, "prompt_tokens",
                      (json_int_t)n.prompt_tokens, "cached_tokens", (json_int_t)n.cached_tokens, "generated_tokens",
                      (json_int_t)n.generated_tokens, "seconds", n.seconds);
        if (o) json_object_set_new(o, "details", json_loads(s->details, 0, NULL));
        return sc_cmd_json(x->c, o, JSON_COMPACT);
    }
    if (sc_cmd_flag(x->c, "reasoning") && !free_text) printf("%s\n\n", s->text);
    printf("%s\n", s->answer);
    if (!*s->answer) sc_cmd_note(x->c, "no answer was found in what the model said; --reasoning shows it");
    if (s->samples > 1 && x->m.choosing == SC_CHOOSE_VOTE)
        sc_cmd_note(x->c, "%d of %d samples say so", s->votes, s->samples);
    return 0;
}

static int check_order(const asking *x, const sc_ask_question *q)
{
    sc_ask_stability t;
    int n = (int)sc_cmd_int(x->c, "check-order");
    if (sc_ask_stability_of(x->a, &x->m, &x->t, q, NULL, 1, n, &t)) return sc_cmd_fail(x->c);
    if (sc_cmd_flag(x->c, "json"))
        return sc_cmd_json(x->c,
                           json_pack("{s:i, s:f, s:f}", "orders", t.orders, "same_order", t.same_order,
                                     "same_labels", t.same_labels),
                           JSON_COMPACT);
    printf("%d orders of the examples: %.0f%% of the others give the first one's answer\n", n, 100 * t.same_order);
    printf("%d exchanges of their answers: %.0f%% give it\n", n, 100 * t.same_labels);
    return 0;
}

static int answer(asking *x, const char *prompt, int64_t len)
{
    sc_ask_question q = {.input = {prompt, len}, .choices = x->choice, .n_choices = sc_cmd_count(x->c, "choice")};
    sc_ask_solution s;
    for (int i = 0; i < q.n_choices; i++) {
        const char *text = sc_cmd_list(x->c, "choice", i);
        x->choice[i] = (sc_text){text, (int64_t)strlen(text)};
    }
    if (sc_cmd_given(x->c, "check-order")) return check_order(x, &q);
    if (sc_ask_solve(x->a, &x->m, &x->t, &q, 1, &s, NULL, NULL)) return sc_cmd_fail(x->c);
    sc_cmd_clear_progress(x->c);
    int code = print(x, &s);
    sc_ask_solutions_free(&s, 1);
    return code;
}

/* ---- a chat with an endpoint ---- */

typedef struct talk {
    asking *x;
    json_t *messages;
    char *system; /* owned; NULL: none */
} talk;

static int say(void *user, const char *line)
{
    talk *t = user;
    const asking *x = t->x;
    sc_cmd *c = x->c;
    sc_ask_answer a;
    json_t *all = json_array(), *m = json_pack("{s:s, s:s}", "role", "user", "content", line);
    if (!m) {
        json_decref(all);
        sc_cmd_error(c, "the message is not valid UTF-8");
        return 0;
    }
    json_array_append_new(t->messages, m);
    if (t->system) json_array_append_new(all, json_pack("{s:s, s:s}", "role", "system", "content", t->system));
    json_array_extend(all, t->messages);
    char *text = json_dumps(all, JSON_COMPACT);
    sc_ask_request r = {.messages = {text, text ? (int64_t)strlen(text) : 0},
                        .sampling = x->m.sampling,
                        .max_new_tokens = x->m.answer_tokens};
    r.sampling.seed = x->m.seed;
    if (!text || sc_asker_generate(x->a, &r, 1, &a, NULL, NULL)) {
        text ? sc_cmd_fail(c) : sc_cmd_error(c, "out of memory");
        json_array_remove(t->messages, json_array_size(t->messages) - 1);
    } else {
        sc_cmd_clear_progress(c);
        printf("%s\n", a.text);
        fflush(stdout);
        json_array_append_new(t->messages,
                              json_pack("{s:s, s:s%}", "role", "assistant", "content", a.text, (size_t)a.len));
        sc_ask_answers_free(&a, 1);
    }
    free(text);
    json_decref(all);
    return 0;
}

static int clear(void *user)
{
    json_array_clear(((talk *)user)->messages);
    return 0;
}

static int set_system(void *user, const char *text)
{
    talk *t = user;
    free(t->system);
    t->system = text && *text ? strdup(text) : NULL;
    return clear(user);
}

static int set_nothing(void *user, const char *name, const char *value)
{
    (void)value;
    if (name) sc_cmd_error(((talk *)user)->x->c, "settings of an endpoint are options of the command line");
    return 0;
}

static int chat(asking *x)
{
    talk t = {.x = x, .messages = json_array()};
    set_system(&t, sc_cmd_str(x->c, "system"));
    int code = t.messages ? sc_chat_run(x->c, &(sc_chat){.name = sc_asker_name(x->a),
                                                         .user = &t,
                                                         .answer = say,
                                                         .clear = clear,
                                                         .system = set_system,
                                                         .set = set_nothing})
                          : sc_cmd_error(x->c, "out of memory");
    json_decref(t.messages);
    free(t.system);
    return code;
}

/* Only an endpoint is asked, in no special way. */
static bool only_asks(const sc_cmd *c)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(names[i], "api", 3) != 0 && sc_cmd_given(c, names[i])) return false;
    return sc_cmd_given(c, "api") && !sc_cmd_flag(c, "json") && !sc_cmd_flag(c, "raw");
}

int sc_run_ask(sc_cmd *c)
{
    asking x = {.c = c};
    bool named = sc_cmd_given(c, "api-model"); /* the endpoint's model: all arguments are the prompt */
    const char *model = named ? NULL : sc_cmd_arg(c, 0), *prompt = sc_cmd_arg(c, named ? 0 : 1);
    int64_t len = prompt ? (int64_t)strlen(prompt) : 0;
    if (named && sc_cmd_argc(c) > 1) return sc_cmd_usage(c, "with --api-model the one argument is the prompt");
    int code = check(c);
    if (!code) code = read_method(&x);
    if (code) return code;
    bool chats = !prompt && isatty(STDIN_FILENO);
    if (chats && !only_asks(c)) return sc_cmd_usage(c, "a prompt is needed");
    if (!prompt && !chats) {
        if (!(x.input = sc_cmd_read(c, NULL, MOST_PROMPT, &len))) return 1;
        if (len && x.input[len - 1] == '\n')
            x.input[--len] = 0; /* the newline that ends a piped line is not meant */
        prompt = x.input;
    }
    code = open_asker(&x, model);
    if (!code && read_task(&x)) code = sc_cmd_fail(c);
    if (!code) code = chats ? chat(&x) : answer(&x, prompt, len);
    sc_ask_examples_free(x.t.examples);
    sc_embedder_free(x.by);
    sc_ask_judge_free(x.judge);
    sc_asker_free(x.a);
    free(x.input);
    return code;
}
