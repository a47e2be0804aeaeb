/* SPDX-License-Identifier: Apache-2.0 */
/* Fine-tuning on conversations: which ids are the assistant's under many kinds of templates, what records are read as, what is
 * cut and left out, that packed sequences do not see each other, and the best checkpoint of a run that is interrupted. */
#include "models.h"
#include "socle/template.h"
#include "socle/train.h"
#include "train/chat.h"
#include "train/train.h"

#include <dirent.h>

#define MODEL SOCLE_SOURCE_DIR "/tests/data/chat_model"

static char dir[64] = "/tmp/socle-sft-XXXXXX", said[4096];
static sc_context *ctx;
static sc_tokenizer *tokenizer;

/* A copy that lives as long as the tests do. */
static const char *held(const char *text)
{
    static char *copies[64];
    static int n;
    assert_true(n < SC_COUNT(copies));
    return copies[n++] = strdup(text);
}

static const char *in_dir(const char *name)
{
    static char path[16][256];
    static int turn;
    turn = (turn + 1) % 16;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = in_dir(name);
    assert_int_equal(sc_file_write(path, text, (int64_t)strlen(text)), SC_OK);
    return path;
}

static void log_line(void *user, sc_log_level level, const char *line)
{
    (void)user, (void)level;
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

/* ---- answers ---- */

#define ROLE "{{ '<|' + m.role + '|>' }}"
#define ASK  "{% if add_generation_prompt %}<|assistant|>{% endif %}"

/* What is learned of a conversation: "[text of the answer|message]", texts apart by "/". */
static sc_status gather(void *user, const sc_turn_ids *t)
{
    sc_str *s = user;
    int32_t before = -1;
    if (s->len) sc_str_putc(s, '/');
    for (int64_t i = 0; i < t->n; i++) {
        char *text;
        int64_t len;
        if (t->turn[i] != before && before >= 0) sc_str_printf(s, "|%d]", before);
        if (t->turn[i] != before && t->turn[i] >= 0) sc_str_putc(s, '[');
        before = t->turn[i];
        if (before < 0) continue;
        assert_int_equal(sc_tokenizer_decode(tokenizer, t->ids + i, 1, 0, &text, &len), SC_OK);
        sc_str_puts(s, text);
        sc_free(text);
    }
    if (before >= 0) sc_str_printf(s, "|%d]", before);
    return SC_OK;
}

/* Owned; NULL after a failure. */
static char *learned(const char *template, const char *variables)
{
    sc_template *t;
    sc_chat_format f;
    json_t *v;
    sc_str s = {0};
    if (sc_template_new(&t, template, (int64_t)strlen(template), "the template")) return NULL;
    assert_int_equal(sc_chat_format_new(&f, tokenizer, t), SC_OK);
    assert_int_equal(sc_json_parse(&v, variables, (int64_t)strlen(variables), "variables"), SC_OK);
    sc_status e = sc_chat_turns(&f, v, gather, &s);
    json_decref(v);
    sc_chat_format_free(&f);
    sc_template_free(t);
    if (e) {
        sc_str_free(&s);
        return NULL;
    }
    if (!s.p) sc_str_puts(&s, "");
    return sc_str_take(&s, NULL);
}

#define TALK                                                                                                       \
    "{\"messages\": [{\"role\": \"system\", \"content\": \"be good\"}, {\"role\": \"user\", \"content\": "         \
    "\"one\"}, "                                                                                                   \
    "{\"role\": \"assistant\", \"content\": \"two\"}, {\"role\": \"user\", \"content\": \"three\"}, "              \
    "{\"role\": \"assistant\", \"content\": \"four\"}]}"

static void answers_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *template, *expected; /* NULL: the message that refuses it */
        const char *refused;
    } cases[] = {
        {"{% for m in messages %}" ROLE "{{ m.content }}<|end|>{% endfor %}" ASK, "[two<|end|>|2][four<|end|>|4]"},
        /* Marked: what follows an answer is not of it. */
        {"{% for m in messages %}" ROLE "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>"
         "{% endgeneration %}{% else %}{{ m.content }}<|end|>{% endif %}\n{% endfor %}" ASK,
         "[two<|end|>|2][four<|end|>|4]"},
        /* The text's end where nothing is asked (Phi-3.5). */
        {"{% for m in messages %}" ROLE "{{ m.content }}!{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|>{% else %}{{ eos_token }}{% endif %}",
         "[two!|2][four!<|end|>|4]"},
        /* What asks for an answer says more than what has one (an empty thought). */
        {"{% for m in messages %}" ROLE "{{ m.content }}<|end|>{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|><none>{% endif %}",
         "[two<|end|>|2][four<|end|>|4]"},
        /* No header of its own (Llama 2). */
        {"{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}<|end|>{% else %}[{{ m.content }}]"
         "{% endif %}{% endfor %}",
         "[ two<|end|>|2][ four<|end|>|4]"},
        /* Only the last answer keeps its sign (reasoning that is left out of what is past). */
        {"{% for m in messages %}" ROLE
         "{% if loop.last and m.role == 'assistant' %}*{% endif %}{{ m.content }}<|end|>{% endfor %}" ASK,
         "[*two<|end|>|2]/[*four<|end|>|4]"},
        {"{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}Bot:"
         "{% endif %}",
         NULL, "cannot mark the assistant's turn"},
        {"{% for m in messages %}{{ m.content }}{% endfor %}{{ raise_exception('no') if add_generation_prompt }}",
         NULL, "no"},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        char *got = learned(cases[i].template, TALK);
        if (!cases[i].expected) {
            assert_null(got);
            if (!strstr(sc_error(), cases[i].refused)) fail_msg("%d: %s", i, sc_error());
            continue;
        }
        if (!got) fail_msg("%d: %s", i, sc_error());
        assert_string_equal(got, cases[i].expected);
        sc_free(got);
    }
}

/* What spells a special token in a message stays text, in training as when it is asked. */
static void texts_spell_no_tokens(void **state)
{
    (void)state;
    const char *t = "{% for m in messages %}" ROLE "{{ m.content }}<|end|>{% endfor %}" ASK,
               *v = "{\"messages\": [{\"role\": \"user\", \"content\": \"a<|end|>\"}, "
                    "{\"role\": \"assistant\", \"content\": \"b<|assistant|>c\"}]}";
    sc_template *template;
    sc_chat_format f;
    json_t *variables;
    sc_str s = {0};
    char *got = learned(t, v);
    assert_string_equal(got, "[b<|assistant|>c<|end|>|1]");
    sc_free(got);
    assert_int_equal(sc_template_new(&template, t, (int64_t)strlen(t), "t"), SC_OK);
    assert_int_equal(sc_chat_format_new(&f, tokenizer, template), SC_OK);
    assert_int_equal(sc_json_parse(&variables, v, (int64_t)strlen(v), "v"), SC_OK);
    json_t *copy = json_deep_copy(variables);
    assert_int_equal(sc_chat_turns(&f, variables, gather, &s), SC_OK);
    assert_true(json_equal(copy, variables)); /* not changed */
    sc_str_free(&s);
    json_decref(copy);
    json_decref(variables);
    sc_chat_format_free(&f);
    sc_template_free(template);
}

/* Published templates: each tells the answers, or says why it cannot. */
static void published_templates(void **state)
{
    (void)state;
    const char
        *root = SOCLE_SOURCE_DIR "/../shared/real/templates",
        *talk = "{\"messages\": [{\"role\": \"user\", \"content\": \"Qone\"}, "
                "{\"role\": \"assistant\", \"content\": \"Atwo\"}, {\"role\": \"user\", \"content\": \"Qthree\"}, "
                "{\"role\": \"assistant\", \"content\": \"Afour\"}]}";
    DIR *d = opendir(root);
    int told = 0, refused = 0;
    if (!d) skip();
    for (struct dirent *e; (e = readdir(d));) {
        char path[600], *text;
        int64_t n;
        snprintf(path, sizeof path, "%s/%.200s", root, e->d_name);
        if (!sc_path_has_suffix(path, ".jinja")) continue;
        assert_int_equal(sc_file_read(&text, &n, path, 4 << 20), SC_OK);
        char *got = learned(text, talk);
        if (got) {
            if (!strstr(got, "Atwo") || !strstr(got, "Afour") || strstr(got, "Qone") || strstr(got, "Qthree"))
                fail_msg("%s: %s", e->d_name, got);
            told++;
        } else {
            if (getenv("SOCLE_VERBOSE")) print_message("%s: %s\n", e->d_name, sc_error());
            refused++;
        }
        sc_free(got);
        sc_free(text);
    }
    closedir(d);
    print_message("%d templates tell the answers, %d do not\n", told, refused);
    assert_true(told > 5 * refused);
}

/* ---- records ---- */

static const char *last_kind;
static char conversation[2000];
static bool as_chat;

static sc_status keep(void *user, const sc_record *r)
{
    (void)user;
    sc_conversation c = {0};
    sc_status s = sc_conversation_read(&c, r, as_chat);
    if (s) return s;
    char *text = c.variables ? json_dumps(c.variables, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    last_kind = sc_chat_kind_name(c.kind);
    snprintf(conversation, sizeof conversation, "%.1900s", text ? text : "");
    if (!text)
        snprintf(conversation, sizeof conversation, "%.*s>%.*s", (int)c.prompt.n, c.prompt.p ? c.prompt.p : "",
                 (int)c.completion.n, c.completion.p);
    sc_free(text);
    sc_conversation_free(&c);
    return SC_OK;
}

static sc_status read_as(const char *name, const char *text, bool chat)
{
    as_chat = chat;
    last_kind = "";
    conversation[0] = 0;
    return sc_records_of(ctx, name, text, (int64_t)strlen(text), false, keep, NULL);
}

#define M(role, text) "{\"content\":\"" text "\",\"role\":\"" role "\"}"

static void records_are_conversations(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
        bool chat;
        const char *kind, *expected;
    } cases[] = {
        {"a.jsonl",
         "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": "
         "\"b\"}]}",
         false, "messages", "{\"messages\":[" M("user", "a") "," M("assistant", "b") "]}"},
        {"a.jsonl",
         "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}, "
         "{\"type\": \"text\", \"text\": \"b\"}]}], \"tools\": \"[{\\\"name\\\": \\\"f\\\"}]\"}",
         false, "messages", "{\"messages\":[" M("user", "ab") "],\"tools\":[{\"name\":\"f\"}]}"},
        {"a.jsonl",
         "{\"conversations\": [{\"from\": \"human\", \"value\": \"a\"}, {\"from\": \"gpt\", \"value\": \"b\"}], "
         "\"system\": \"s\"}",
         false, "ShareGPT", "{\"messages\":[" M("system", "s") "," M("user", "a") "," M("assistant", "b") "]}"},
        {"a.jsonl", "{\"instruction\": \"a\", \"input\": \"b\", \"output\": \"c\", \"history\": [[\"x\", \"y\"]]}",
         false, "Alpaca",
         "{\"messages\":[" M("user", "x") "," M("assistant", "y") "," M("user", "a\\nb") "," M("assistant",
                                                                                               "c") "]}"},
        {"a.json", "[{\"instruction\": \"a\", \"input\": \"\", \"output\": \"c\"}]", false, "Alpaca",
         "{\"messages\":[" M("user", "a") "," M("assistant", "c") "]}"},
        {"a.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}", false, "prompt and completion as text", "a>b"},
        {"a.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}", true, "prompt and completion as text",
         "{\"messages\":[" M("user", "a") "," M("assistant", "b") "]}"},
        {"a.jsonl",
         "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}], \"completion\": [{\"role\": \"assistant\", "
         "\"content\": \"b\"}]}",
         false, "prompt and completion as messages", "{\"messages\":[" M("user", "a") "," M("assistant", "b") "]}"},
        {"a.jsonl", "{\"question\": \"a\", \"answer\": \"b\"}", false, "question and answer",
         "{\"messages\":[" M("user", "a") "," M("assistant", "b") "]}"},
        {"a.jsonl", "{\"text\": \"a\"}", false, "text", ">a"},
        {"a.tsv", "prompt\tcompletion\na\tb\n", false, "prompt and completion as text", "a>b"},
        {"a.tsv", "a\tb\n", false, "question and answer",
         "{\"messages\":[" M("user", "a") "," M("assistant", "b") "]}"},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        if (read_as(cases[i].file, cases[i].text, cases[i].chat)) fail_msg("%d: %s", i, sc_error());
        assert_string_equal(last_kind, cases[i].kind);
        assert_string_equal(conversation, cases[i].expected);
    }
    /* A tool's call that is the text of a message. */
    assert_int_equal(read_as("a.jsonl",
                             "{\"conversations\": [{\"from\": \"function_call\", \"value\": "
                             "\"{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": {}}\"}]}",
                             false),
                     SC_OK);
    assert_non_null(strstr(conversation, "\"tool_calls\":[{\"function\":{\"arguments\":{},\"name\":\"f\"}"));
}

static void bad_records_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text, *says;
    } cases[] = {
        {"a.jsonl", "{\"messages\": []}", "a.jsonl: line 1: no messages"},
        {"a.jsonl", "{\"messages\": 3}", "\"messages\" is no list of messages"},
        {"a.jsonl", "\n{\"messages\": [3]}", "a.jsonl: line 2: message 1: no role"},
        {"a.jsonl", "{\"messages\": [{\"role\": \"user\"}]}", "no text as content"},
        {"a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]}", "is no text"},
        {"a.jsonl", "{\"conversations\": [{\"from\": \"function_call\", \"value\": \"{}\"}]}", "has no name"},
        {"a.jsonl", "{\"prompt\": [], \"completion\": \"a\"}", "\"completion\" is no list"},
        {"a.jsonl", "{\"prompt\": \"a\"}", "neither messages"},
        {"a.jsonl", "{\"text\": \"a\", \"weight\": \"b\"}", "weight"},
        {"a.txt", "text", "conversations are read from .jsonl"},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        assert_int_not_equal(read_as(cases[i].file, cases[i].text, false), SC_OK);
        if (!strstr(sc_error(), cases[i].says)) fail_msg("%d: %s", i, sc_error());
    }
}

/* ---- batches and their loss ---- */

static const char *files[1];

static sc_train_options options(const char *data)
{
    files[0] = data;
    return (sc_train_options){.model = MODEL,
                              .tokenizer = MODEL,
                              .from_weights = true,
                              .objective = "sft",
                              .data = files,
                              .n_data = 1,
                              .batch = 4,
                              .length = 64,
                              .seed = 3,
                              .in_order = true};
}

#define TURN(q, a)                                                                                                 \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"" q "\"}, {\"role\": \"assistant\", \"content\": \"" a    \
    "\"}"
static const char some[] =
    TURN("one two", "three") "]}\n" TURN("a", "b c d e f") "]}\n" TURN("x y z", "z") "]}\n" TURN(
        "the word",
        "is") ", {\"role\": \"user\", \"content\": \"and\"}, {\"role\": \"assistant\", \"content\": \"so on\"}]}\n";

/* The loss of the first batch, and how many ids it tells. */
static double loss_of(sc_train_options o, int64_t *counted)
{
    sc_task t = {0};
    sc_text_batch b;
    sc_measure sum = {0};
    sc_learner *l;
    if (sc_task_open(&t, ctx, &o, o.model, false, 1)) fail_msg("%s", sc_error());
    assert_int_equal(sc_learner_new(&l, t.model, t.objective, t.self), SC_OK);
    assert_int_equal(t.objective->batch(t.self, 0, &b), SC_OK);
    assert_int_equal(sc_learner_score(l, &b, &sum), SC_OK);
    *counted = b.counted;
    sc_learner_free(l);
    sc_task_close(&t);
    return sum.loss / sum.counted;
}

/* A packed batch, one that is not, and each conversation alone: the same loss. */
static void sequences_do_not_see_each_other(void **state)
{
    (void)state;
    sc_train_options o = options(write_file("some.jsonl", some));
    int64_t all, packed, one, sum = 0;
    double whole = loss_of(o, &all), alone = 0;
    const char *line = some;
    o.pack = true;
    o.batch = 1;
    double together = loss_of(o, &packed);
    for (int i = 0; i < 4; i++) {
        const char *end = strchr(line, '\n');
        char text[2000];
        snprintf(text, sizeof text, "%.*s\n", (int)(end - line), line);
        o = options(write_file("one.jsonl", text));
        o.batch = 1;
        double loss = loss_of(o, &one);
        alone += loss * (double)one;
        sum += one;
        line = end + 1;
    }
    assert_int_equal(all, sum);
    assert_int_equal(packed, sum);
    assert_true(fabs(whole - alone / (double)sum) < 1e-5);
    assert_true(fabs(together - whole) < 1e-5);
}

/* Weights of records and messages: a mean that counts them so. */
static void weights_count(void **state)
{
    (void)state;
    int64_t n, a, b;
    sc_train_options o = options(write_file("a.jsonl", TURN("one two", "three") "]}\n"));
    o.batch = 1;
    double x = loss_of(o, &a);
    o = options(write_file("b.jsonl", TURN("a", "b c d e f") "]}\n"));
    o.batch = 1;
    double y = loss_of(o, &b);
    o = options(write_file(
        "c.jsonl", TURN("one two", "three") "], \"weight\": 0.5}\n" TURN("a", "b c d e f") "], \"weight\": 2}\n"));
    o.batch = 2;
    double z = loss_of(o, &n),
           wanted = (0.5 * x * (double)a + 2 * y * (double)b) / (0.5 * (double)a + 2 * (double)b);
    assert_int_equal(n, a + b);
    assert_true(fabs(z - wanted) < 1e-5);
    /* A message that does not count is as if it were the user's. */
    o = options(write_file(
        "d.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"one two\"}, {\"role\": \"assistant\", "
                   "\"content\": \"three\"}, {\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
                   "\"content\": \"b\", \"weight\": 0}]}\n"));
    o.batch = 1;
    assert_true(fabs(loss_of(o, &n) - x) < 1e-5);
    assert_int_equal(n, a);
}

static void what_is_learned_can_be_chosen(void **state)
{
    (void)state;
    int64_t answers, last, all;
    sc_train_options o = options(write_file("some.jsonl", some));
    loss_of(o, &answers);
    o.learn = "last";
    loss_of(o, &last);
    o.learn = "all";
    loss_of(o, &all);
    assert_true(last < answers && answers < all);
    o.learn = "none";
    sc_task t = {0};
    assert_int_equal(sc_task_open(&t, ctx, &o, MODEL, false, 1), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "--learn"));
    sc_task_close(&t);
}

static sc_status open_with(sc_train_options o, sc_objective_size *size)
{
    sc_task t = {0};
    said[0] = 0;
    sc_status s = sc_task_open(&t, ctx, &o, MODEL, false, 1);
    if (!s) *size = t.size;
    sc_task_close(&t);
    return s;
}

static void long_ones_are_counted(void **state)
{
    (void)state;
    sc_objective_size size;
    const char *path = write_file(
        "long.jsonl",
        TURN("a", "b") "]}\n" TURN("a", "b c d e f g h i j k l m n o p q r s t u v w") "]}\n" TURN(
            "b c d e f g h i j k l m n o p q r s t u v w", "x") "]}\n{\"messages\": [{\"role\": \"user\", "
                                                                "\"content\": \"a\"}]}\n");
    sc_train_options o = options(path);
    o.length = 12;
    assert_int_equal(open_with(o, &size), SC_OK);
    assert_int_equal(size.examples, 2);
    assert_non_null(strstr(said, "4 conversations (messages)"));
    assert_non_null(strstr(said,
                           "2 of 4 are longer than 12 tokens and lose their end; of 2 a part of what is to be "
                           "learned is lost, 1 have nothing left of it and are left out"));
    assert_non_null(strstr(said, "1 have no answer to learn"));
    o.overlong = "start";
    assert_int_equal(open_with(o, &size), SC_OK);
    assert_int_equal(size.examples, 3);
    assert_non_null(strstr(said, "lose their beginning; of 1 a part"));
    o.overlong = "drop";
    assert_int_equal(open_with(o, &size), SC_OK);
    assert_int_equal(size.examples, 1);
    o = options(write_file("mute.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n"));
    assert_int_equal(open_with(o, &size), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "has nothing to learn"));
}

/* Best fit finds room for all in as few bins as lengths allow. */
static void packing_fills(void **state)
{
    (void)state;
    sc_objective_size size;
    sc_str s = {0};
    for (int i = 0; i < 40; i++)
        sc_str_printf(&s, "{\"prompt\": \"\", \"completion\": \"%.*s\"}\n", 2 * (1 + i % 7), "a b c d e f g ");
    sc_train_options o = options(write_file("pack.jsonl", s.p));
    sc_str_free(&s);
    o.pack = true;
    o.length = 16;
    assert_int_equal(open_with(o, &size), SC_OK);
    int64_t least = (size.tokens + 15) / 16;
    assert_true(size.examples >= least && size.examples <= least + 1);
}

static void a_model_without_a_template(void **state)
{
    (void)state;
    sc_objective_size size;
    char *text;
    int64_t n;
    sc_train_options o = options(write_file("some.jsonl", some));
    o.tokenizer = in_dir("tok");
    assert_int_equal(sc_mkdirs(o.tokenizer), SC_OK);
    assert_int_equal(sc_file_read(&text, &n, MODEL "/tokenizer.json", 1 << 20), SC_OK);
    write_file("tok/tokenizer.json", text);
    sc_free(text);
    assert_int_equal(open_with(o, &size), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "line 1 is a conversation, and the model has no chat template: --template"));
    o.chat_template = "plain";
    assert_int_equal(open_with(o, &size), SC_OK);
    o.chat_template = "chatml";
    assert_int_equal(open_with(o, &size), SC_OK);
    o.chat_template = write_file("own.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
    assert_int_equal(open_with(o, &size), SC_OK);
    o.chat_template = write_file("own.jinja", "{% for m in messages %}{{ loop.last }}{% endfor %}"
                                              "{% if add_generation_prompt %}!{% endif %}");
    assert_int_equal(open_with(o, &size), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "some.jsonl: line 1: the template cannot mark"));
}

/* ---- runs ---- */

static const char *reverse_data(void)
{
    static const char *const words[] = {"one", "two", "three", "four", "five", "six"};
    sc_str s = {0};
    for (int i = 0; i < 36; i++)
        sc_str_printf(&s, "{\"question\": \"%s %s\", \"answer\": \"%s %s\"}\n", words[i / 6], words[i % 6],
                      words[i % 6], words[i / 6]);
    const char *path = write_file("reverse.jsonl", s.p);
    sc_str_free(&s);
    return path;
}

static sc_train_options run_options(const char *out)
{
    sc_train_options o = options(held(reverse_data()));
    o.in_order = false;
    o.batch = 6;
    o.steps = 60;
    o.lr = 0.01;
    o.save_every = 10;
    o.eval_share = 0.2;
    o.best = true;
    o.out = out;
    return o;
}

static void stop_at(void *user, const sc_train_event *e)
{
    if (e->step == *(const int64_t *)user) sc_context_cancel(ctx);
}

static json_t *state_of(const char *name)
{
    json_t *o;
    if (sc_json_read(&o, in_dir(name), 1 << 20)) fail_msg("%s", sc_error());
    return o;
}

static void same_file(const char *a, const char *b)
{
    char *x, *y;
    int64_t n, k;
    assert_int_equal(sc_file_read(&x, &n, in_dir(a), 1 << 24), SC_OK);
    assert_int_equal(sc_file_read(&y, &k, in_dir(b), 1 << 24), SC_OK);
    assert_int_equal(n, k);
    assert_memory_equal(x, y, (size_t)n);
    sc_free(x);
    sc_free(y);
}

/* The run's model is the one with the lowest evaluation loss, also where the run was stopped in between. */
static void the_best_is_kept(void **state)
{
    (void)state;
    char *text;
    int64_t n, stop = 33;
    double lowest = INFINITY;
    sc_train_options o = run_options(held(in_dir("whole")));
    said[0] = 0;
    if (sc_train(ctx, &o, NULL, NULL)) fail_msg("%s", sc_error());
    assert_non_null(strstr(said, "the run's model is that of step"));
    json_t *s = state_of("whole/trainer_state.json"), *best = state_of("whole/best/trainer_state.json");
    assert_true(json_equal(s, best));
    assert_int_equal(sc_file_read(&text, &n, in_dir("whole/metrics.jsonl"), 1 << 20), SC_OK);
    int64_t at = 0;
    for (char *p = text; (p = strstr(p, "\"eval_loss\":")); p++) {
        double x = strtod(p + 12, NULL);
        char *line = p;
        while (line > text && line[-1] != '\n') line--;
        if (x < lowest) lowest = x, at = strtoll(strstr(line, "\"step\":") + 7, NULL, 10);
    }
    sc_free(text);
    assert_int_equal(json_integer_value(json_object_get(s, "best_global_step")), at);
    assert_int_equal(json_integer_value(json_object_get(s, "global_step")), at);
    assert_true(fabs(json_number_value(json_object_get(s, "best_metric")) - lowest) < 1e-6);
    json_decref(s);
    json_decref(best);
    same_file("whole/model.safetensors", "whole/best/model.safetensors");

    o.out = held(in_dir("parts"));
    assert_int_equal(sc_train(ctx, &o, stop_at, &stop), SC_ECANCELLED);
    sc_context_resume(ctx);
    sc_train_options more = {.out = o.out, .resume = true};
    if (sc_train(ctx, &more, NULL, NULL)) fail_msg("%s", sc_error());
    same_file("whole/model.safetensors", "parts/model.safetensors");
    same_file("whole/checkpoint-60/model.safetensors", "parts/checkpoint-60/model.safetensors");

    o = run_options(held(in_dir("refused")));
    o.eval_share = 0;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "--best needs data to measure on"));
    o.eval_share = 0.2;
    o.eval_every = 7;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "no multiple of --eval-every 7"));
}

static int set_up(void **state)
{
    (void)state;
    sc_context_options o = {.threads = 2, .log = log_line};
    if (!mkdtemp(dir) || sc_context_new(&ctx, &o)) return -1;
    return sc_tokenizer_load(&tokenizer, MODEL);
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    sc_tokenizer_free(tokenizer);
    sc_context_free(ctx);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_told),
        cmocka_unit_test(texts_spell_no_tokens),
        cmocka_unit_test(published_templates),
        cmocka_unit_test(records_are_conversations),
        cmocka_unit_test(bad_records_are_refused),
        cmocka_unit_test(sequences_do_not_see_each_other),
        cmocka_unit_test(weights_count),
        cmocka_unit_test(what_is_learned_can_be_chosen),
        cmocka_unit_test(long_ones_are_counted),
        cmocka_unit_test(packing_fills),
        cmocka_unit_test(a_model_without_a_template),
        cmocka_unit_test(the_best_is_kept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
