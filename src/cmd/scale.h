/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of `socle scale` share. (scale_plan.c) */
#ifndef SC_CMD_SCALE_H
#define SC_CMD_SCALE_H

#include "cmd/cmd.h"
#include "socle/scale.h"

/* Positive numbers with commas between them, "30k,1.5M,2e6"; how many, 0 where the option was not given; -1: they are not. */
int sc_cmd_numbers(sc_cmd *c, const char *option, double *out, int most);
/* Prints runs as a table. */
void sc_cmd_rungs(const sc_rung *r, int64_t n);

#endif
