/* SPDX-License-Identifier: Apache-2.0 */
/* Records of data files as conversations. */
#ifndef SC_TRAIN_CHAT_H
#define SC_TRAIN_CHAT_H

#include "infer/infer.h"
#include "train/objective.h"

/* What a record looks like, of which it is read as a conversation or as texts. */
typedef enum sc_chat_kind {
    SC_CHAT_MESSAGES, /* messages: [{role, content}, …] */
    SC_CHAT_SHAREGPT, /* conversations: [{from, value}, …] */
    SC_CHAT_ALPACA,   /* instruction, input, output */
    SC_CHAT_PAIR,     /* prompt, completion: lists of messages */
    SC_CHAT_QUESTION, /* question, answer: one turn */
    SC_CHAT_PROMPT,   /* prompt, completion: texts that follow each other as they are */
    SC_CHAT_TEXT,     /* text: all of it is learned */
    SC_CHAT_KINDS,
} sc_chat_kind;
const char *sc_chat_kind_name(sc_chat_kind kind);

/* Starts as {0}. */
typedef struct sc_conversation {
    sc_chat_kind kind;
    json_t *variables; /* {messages, tools, …} of the template, contents texts or null; NULL: texts instead */
    sc_field prompt, completion; /* borrowed from the record; of SC_CHAT_TEXT completion alone */
    int64_t first;               /* message that may be learned from on */
    double weight;               /* how much it counts, 1 where the record says nothing */
} sc_conversation;
/* chat: texts of prompt and completion are a turn of a conversation. SC_EFORMAT: fields of none of the kinds, or of wrong types, with
 * the record's file and line. */
sc_status sc_conversation_read(sc_conversation *out, const sc_record *r, bool chat);
void sc_conversation_free(sc_conversation *c);
/* How much message i counts, 1 where it says nothing ("weight", or "train": false). */
double sc_conversation_weight(const sc_conversation *c, int64_t i);

/* ---- distillation, for those that make batches of their own (objective_distill.c) ---- */

/* Of what sc_objective_distill.open gave: that of sc_objective_sft, which reads the data. */
void *sc_distill_data(void *self);
/* Adds what the teacher says of a batch's rows, which count by its weights. */
sc_status sc_distill_teach(void *self, sc_text_batch *b);

/* ---- templates (chat_template.c) ---- */

/* The template called `name`, "chatml" or "plain", of a file or folder, or NULL: the model's, at `path`; then *source is NULL
 * and *out NULL where it has none. *source: the template's text (sc_free). */
sc_status sc_chat_template_open(sc_template **out, char **source, const char *name, const char *path);
/* Writes it as the folder's. */
sc_status sc_chat_template_write(const char *source, const char *dir);

#endif
