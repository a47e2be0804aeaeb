/* SPDX-License-Identifier: Apache-2.0 */
/* What an endpoint sends back. (reply.c) */
#ifndef SC_ASK_REPLY_H
#define SC_ASK_REPLY_H

#include "ask/ask.h"

typedef struct sc_ask_reply {
    json_t *o;             /* owned */
    const json_t *choices; /* an array of at least one */
    const char *url;       /* for messages; borrowed */
} sc_ask_reply;

/* *out may be freed also where this failed. */
sc_status sc_ask_reply_read(sc_ask_reply *out, const char *text, int64_t len, const char *url);
void sc_ask_reply_free(sc_ask_reply *x);
int sc_ask_reply_choices(const sc_ask_reply *x);
/* Choice i as an answer to r. */
sc_status sc_ask_reply_choice(const sc_ask_reply *x, int i, const sc_ask_request *r, sc_ask_answer *to);
/* Adds the tokens that it tells of; those generated are returned too, 0: it does not tell. */
int64_t sc_ask_reply_usage(const sc_ask_reply *x, sc_ask_counts *add);
/* The likelihood of r's continuation, of an echoed prompt with log probabilities. */
sc_status sc_ask_reply_score(const sc_ask_reply *x, const sc_ask_continuation *r, sc_ask_score *out);

#endif
