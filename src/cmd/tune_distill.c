/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune distill`: a small model that answers as a large one would. */
#include "cmd/tune.h"
#include "socle/hub.h"

static int tune_distill(sc_cmd *c)
{
    sc_cmd_training t;
    const char *teacher = sc_cmd_str(c, "teacher");
    char *path = NULL;
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
                                       .share = sc_cmd_typed_num(c, "teacher-share")};
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
    {"socle tune distill --resume --out run", "Go on where it was stopped"},
    {0}};
const sc_verb sc_verb_tune_distill = {.name = "tune distill",
                                      .summary = "Teach a model the distributions of another one",
                                      .args = "MODEL",
                                      .about = "MODEL learns, for each token of the answers in --data, the whole "
                                               "distribution that the teacher gives there,\n"
                                               "and the token itself. Data is what tune sft reads. Both models "
                                               "need the same tokenizer; one may have more\n"
                                               "tokens than the other.",
                                      .max_args = 1,
                                      .options = options,
                                      .examples = examples,
                                      .run = tune_distill};
