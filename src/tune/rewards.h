/* SPDX-License-Identifier: Apache-2.0 */
/* What says how good an answer is. Knows texts, ids and JSON, no tensors. */
#ifndef SC_TUNE_REWARDS_H
#define SC_TUNE_REWARDS_H

#include "base/base.h"
#include "socle/rl.h"

/* A record of the data: what is asked, as ids, and all else that rewards look at. */
typedef struct sc_rl_prompt {
    int32_t *ids;
    int64_t n;
    char *text;     /* NUL-terminated; of messages their JSON */
    json_t *record; /* an object */
    bool chat;      /* the text is a list of messages */
} sc_rl_prompt;

/* ---- rewards (reward.c) ---- */

/* An answer to a prompt. Texts are UTF-8 and end with a NUL. */
typedef struct sc_answer {
    const sc_rl_prompt *prompt;
    const char *text;
    int64_t len;
    const int32_t *ids; /* (n), with the id that ended it */
    int64_t n;
    bool ended;
} sc_answer;

/* One kind of reward. What is not confirmed gives 0; *failed: nobody could say, a program crashed or did not end. */
typedef struct sc_judge sc_judge;
typedef struct sc_judge_kind {
    const char *name, *about;
    bool argument; /* "name=ARGUMENT" */
    sc_status (*open)(sc_judge *j, sc_context *ctx, const sc_rl_options *o, const char *argument);
    /* score (n) of answers; each kind sees them all at once. */
    sc_status (*judge)(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed);
    void (*free)(sc_judge *j);
} sc_judge_kind;
struct sc_judge {
    const sc_judge_kind *kind;
    double factor;
    sc_context *ctx;
    void *self; /* the kind's own */
    char name[48];
};
extern const sc_judge_kind sc_judge_number, sc_judge_exact, sc_judge_regex, sc_judge_schema, sc_judge_tests,
    sc_judge_length, sc_judge_model, sc_judge_cmd;
const sc_judge_kind *sc_judge_kind_at(int i); /* NULL: there are fewer */

typedef struct sc_rewards {
    sc_judge *judge;
    int n;
    double failed; /* what an answer gets where nobody could say */
} sc_rewards;
/* SC_EINVAL: no such reward, or none at all. */
sc_status sc_rewards_open(sc_rewards *r, sc_context *ctx, const sc_rl_options *o);
void sc_rewards_close(sc_rewards *r);
/* total (n), the sum over judges of factor times score; each (judges, n) what they said; failures: (judges) so many of which a
 * judge could say nothing. SC_EINVAL: one that is no number. SC_EIO: of a judge that could say nothing of any. */
sc_status sc_rewards_give(sc_rewards *r, const sc_answer *a, int64_t n, float *total, float *each,
                          int64_t *failures);

/* The value of a record's field as text, whatever it is in JSON; NULL: there is none. Owned. */
char *sc_answer_wanted(const sc_answer *a, const char *names);

/* ---- JSON schema (schema.c) ---- */

/* A JSON schema (drafts 7 to 2020-12): type, enum, const, properties, required, additionalProperties, items, prefixItems, the
 * limits of numbers, texts, lists and objects, pattern, allOf, anyOf, oneOf, not, and $ref within it. */
typedef struct sc_schema sc_schema;
/* SC_EUNSUPPORTED: a keyword that is none of these and changes what is valid. */
sc_status sc_schema_read(sc_schema **out, const char *path);
sc_status sc_schema_parse(sc_schema **out, const char *text, int64_t n, const char *what);
void sc_schema_free(sc_schema *s);
/* Whether a value is as it says. false also where to tell takes too many steps. */
bool sc_schema_holds(const sc_schema *s, const json_t *value);

#endif
