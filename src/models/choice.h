/* SPDX-License-Identifier: Apache-2.0 */
/* Names chosen by a text: "q_proj,v_proj", names or what they end in behind a dot; or "re:" and an expression that whole
 * names match. */
#ifndef SC_MODELS_CHOICE_H
#define SC_MODELS_CHOICE_H

#include "base/base.h"

typedef struct sc_choice sc_choice;
/* The text is borrowed. SC_EFORMAT: no expression; what: the option, for messages. */
sc_status sc_choice_new(sc_choice **out, const char *text, const char *what);
void sc_choice_free(sc_choice *c);
sc_status sc_choice_has(const sc_choice *c, const char *name, bool *yes);

#endif
