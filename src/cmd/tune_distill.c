/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune distill`: a small model that answers as a large one would. */
#include "cmd/tune.h"
#include "socle/ask.h"
#include "socle/hub.h"
#include "socle/tune.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The teacher's answers to the data, in the run's folder, which are learned from then. */
static int ask_teacher(sc_cmd *c, sc_cmd_training *t, const char *file)
{
    sc_asker *teacher;
    sc_tune_texts_counts n;
    const sc_tune_texts_options o = {.data = t->o.data,
                                     .n_data = t->o.n_data,
                                     .out = file,
                                     .chat = sc_cmd_flag(c, "as-chat"),
                                     .max_new_tokens = sc_cmd_int(c, "max-tokens"),
                                     .temperature = sc_cmd_num(c, "answer-temperature"),
                                     .samples = (int)sc_cmd_int(c, "answers"),
                                     .seed = t->o.seed};
    if (mkdir(t->o.out, 0777) != 0 && errno != EEXIST)
        return sc_cmd_error(c, "cannot make %s: %s", t->o.out, strerror(errno));
    int rc = sc_cmd_asker(c, sc_cmd_str(c, "teacher"), NULL, &teacher);
    if (rc) return rc;
    sc_status s = sc_tune_texts(sc_cmd_context(c), teacher, &o, &n);
    sc_asker_free(teacher);
    if (s) return sc_cmd_fail(c);
    sc_cmd_clear_progress(c);
    sc_cmd_note(
        c,
        "%s: %lld answers were there, %lld are new; of these %lld did not end and %lld are empty, which are not "
        "learned from; %lld records ask nothing",
        file, (long long)n.kept, (long long)n.answers, (long long)n.unfinished, (long long)n.empty,
        (long long)n.left_out);
    return 0;
}

/* By its texts: the same command goes on with the answers, with --resume with the training too. */
static int by_texts(sc_cmd *c)
{
    sc_cmd_training t;
    char file[4096], state[4096];
    if (sc_cmd_flag(c, "resume") && !sc_cmd_count(c, "data"))
        return sc_cmd_usage(c, "--texts needs --data, with --resume too");
    int rc = sc_cmd_tune_options(c, &t, "sft");
    if (rc) return rc;
    snprintf(file, sizeof file, "%.4000s/teacher.jsonl", t.o.out);
    snprintf(state, sizeof state, "%.4000s/trainer_state.json", t.o.out);
    const char *const data[] = {file};
    rc = ask_teacher(c, &t, file);
    if (rc) {
        sc_cmd_training_free(&t);
        return rc;
    }
    sc_cmd_sft_options(c, &t.o);
    t.o.data = data;
    t.o.n_data = 1;
    t.o.resume = t.o.resume && access(state, F_OK) == 0;
    return sc_cmd_train(c, &t);
}

static int tune_distill(sc_cmd *c)
{
    sc_cmd_training t;
    const char *teacher = sc_cmd_str(c, "teacher");
    char *path = NULL;
    if (sc_cmd_flag(c, "texts")) return by_texts(c);
    if (sc_cmd_given(c, "api")) return sc_cmd_usage(c, "an endpoint tells no distributions: --texts");
    if (!teacher && !sc_cmd_flag(c, "resume")) return sc_cmd_usage(c, "--teacher is needed");
    int rc = sc_cmd_tune_options(c, &t, "distill");
    if (rc) return rc;
    if (teacher && sc_hub_resolve(&path, teacher)) {
        sc_cmd_training_free(&t);
        return sc_cmd_fail(c);
    }
    sc_cmd_sft_options(c, &t.o);
    t.o.distill = (sc_distill_options){.teacher = path,
                                       .divergence = sc_cmd_typed_str(c, "divergence"),
                                       .temperature = sc_cmd_typed_num(c, "temperature"),
                                       .beta = sc_cmd_typed_num(c, "mixture"),
                                       .share = sc_cmd_typed_num(c, "teacher-share"),
                                       .on_policy = sc_cmd_typed_num(c, "on-policy"),
                                       .max_tokens = sc_cmd_typed_int(c, "max-tokens"),
                                       .answer_temperature = sc_cmd_typed_num(c, "answer-temperature")};
    t.distills = true;
    rc = sc_cmd_train(c, &t);
    sc_free(path);
    return rc;
}

static const sc_option options[] = {
    {"teacher", 0, SC_OPT_STR, "MODEL", "a model with the same tokenizer, a folder, a GGUF file or a name"},
    {"divergence", 0, SC_OPT_CHOICE, "forward|reverse|symmetric|js",
     "how far the student is from the teacher: KL of the teacher's distribution from the student's, the other way "
     "round, "
     "the mean of both, or Jensen-Shannon",
     .value = "forward"},
    {"temperature", 0, SC_OPT_NUM, "T", "by which the logits of both are divided", .value = "1", .lo = 0.01,
     .hi = 100},
    {"mixture", 0, SC_OPT_NUM, "B", "js: share of the teacher in the mixture", .value = "0.5", .lo = 0.001,
     .hi = 0.999},
    {"teacher-share", 0, SC_OPT_NUM, "SHARE", "of the divergence in the loss; the rest is the data's cross entropy",
     .value = "0.5", .lo = 0.001, .hi = 1},
    {"on-policy", 0, SC_OPT_NUM, "SHARE", "of batches in which MODEL's own answers take the place of the data's",
     .value = "0", .lo = 0, .hi = 1},
    {"texts", 0, SC_OPT_FLAG,
     .help = "the teacher answers what --data asks, into teacher.jsonl in --out, and its answers are learned"},
    {"answers", 0, SC_OPT_INT, "N", "texts: to each question", .value = "1", .lo = 1, .hi = 1000},
    {"max-tokens", 0, SC_OPT_INT, "N", "texts, on-policy: of an answer; 0: 512, on-policy 128", .value = "0",
     .lo = 0, .hi = 1 << 20},
    {"answer-temperature", 0, SC_OPT_NUM, "T",
     "texts, on-policy: that answers are sampled at; 0: the likeliest token each time, on-policy 1", .value = "0",
     .lo = 0, .hi = 100},
    SC_OPT_ASKER,
    SC_OPT_SFT,
    SC_OPT_TUNE,
    {0}};
static const sc_example examples[] = {
    {"socle tune distill small --teacher large --data chats.jsonl --out run", "Half the teacher, half the data"},
    {"socle tune distill small --teacher large.Q8_0.gguf --data chats.jsonl --teacher-share 1 --divergence reverse "
     "--out "
     "run",
     "The teacher alone, whose likeliest answers count most"},
    {"socle tune distill small --teacher large --data texts.jsonl --temperature 2 --pack --length 512 --out run",
     "Softened distributions, on packed texts"},
    {"socle tune distill small --teacher large --data chats.jsonl --on-policy 0.5 --divergence js --teacher-share "
     "1 --out run",
     "Half of the batches with the student's own answers"},
    {"socle tune distill small --teacher large --texts --data questions.jsonl --out run",
     "From the teacher's texts, whatever its tokenizer"},
    {"socle tune distill small --texts --api https://api.example.com/v1 --api-model large --answers 4 "
     "--answer-temperature 0.8 --data questions.jsonl --out run",
     "From an endpoint's texts, four answers to each question"},
    {"socle tune distill --resume --out run", "Go on where it was stopped"},
    {0}};
const sc_verb sc_verb_tune_distill = {
    .name = "tune distill",
    .summary = "Teach a model what another one would say",
    .args = "MODEL",
    .about =
        "MODEL learns, for each token of the answers in --data, the whole distribution that the teacher gives\n"
        "there, and the token itself. Data is what tune sft reads. Both models need the same tokenizer; one may\n"
        "have more tokens than the other. With --texts the teacher, of any tokenizer or behind an endpoint,\n"
        "answers what --data asks instead, and MODEL is fine-tuned on that.",
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_distill};
