/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune sft`: a model that answers as conversations show it. */
#include "cmd/tune.h"

static int tune_sft(sc_cmd *c)
{
    sc_cmd_training t;
    int rc = sc_cmd_tune_options(c, &t, "sft");
    if (rc) return rc;
    sc_cmd_sft_options(c, &t.o);
    return sc_cmd_train(c, &t);
}

static const sc_option options[] = {SC_OPT_SFT, SC_OPT_TUNE, {0}};
static const sc_example examples[] = {
    {"socle tune sft SmolLM2-135M-Instruct --data chats.jsonl --out run", "Learn the answers of conversations"},
    {"socle tune sft gpt2 --template plain --data alpaca.json --eval-share 0.05 --best --out run",
     "Give a model without a chat template one, and keep what answers held-out questions best"},
    {"socle tune sft SmolLM2-135M-Instruct --data chats.jsonl.gz --pack --length 2048 --batch 2 --epochs 3 --out "
     "run",
     "Short conversations side by side, which do not see each other"},
    {"socle tune sft --resume --out run", "Go on where it was stopped"},
    {"socle run ./run", "Talk with what it made"},
    {0}};
const sc_verb sc_verb_tune_sft = {
    .name = "tune sft",
    .summary = "Fine-tune a model on conversations, or on prompts and completions",
    .args = "MODEL",
    .about =
        "Learns the assistant's answers as the model's own chat template writes them, and nothing of what is "
        "asked.\n"
        "A record of --data is a conversation as \"messages\" (role, content) or \"conversations\" (from, value), "
        "one\n"
        "turn as \"instruction\", \"input\", \"output\" or as \"question\", \"answer\", two texts as \"prompt\",\n"
        "\"completion\", or a \"text\". What was found is said. The loss is the mean over what is learned in a "
        "batch;\n"
        "\"weight\" of a record or a message says how much that counts.",
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_sft};
