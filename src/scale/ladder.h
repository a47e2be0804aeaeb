/* SPDX-License-Identifier: Apache-2.0 */
/* Ladders: which models, how large, on how many tokens; and going up one. */
#ifndef SC_SCALE_LADDER_H
#define SC_SCALE_LADDER_H

#include "report/report.h"
#include "scale/scale.h"
#include "socle/bench.h"
#include "train/train.h"

/* ---- sizes of a configuration (grow.c) ---- */

/* The keys of config.json that change with the size by `factor` (in width and layers; parameters go with its cube), as
 * an object. SC_EUNSUPPORTED: it has no width or layers under a name that is known. */
sc_status sc_config_grow(json_t **out, const json_t *config, const char *path, double factor);

/* What is the same at all sizes. */
typedef struct sc_sizing {
    const char *path; /* of the configuration, for the model's opening */
    const json_t *config;
    json_t *changes; /* what training will change in it: the vocabulary */
    int64_t length;  /* tokens of a sequence; 0: as training chooses */
} sc_sizing;

typedef struct sc_size {
    double factor, operations; /* operations: of training, for each token */
    int64_t parameters, width, layers, length;
} sc_size;
sc_status sc_size_of(sc_size *out, sc_context *ctx, const sc_sizing *z, double factor);
/* The one nearest to so many parameters. */
sc_status sc_size_near(sc_size *out, sc_context *ctx, const sc_sizing *z, double parameters);

/* ---- ladders (ladder.c, folder.c) ---- */

struct sc_ladder {
    sc_rung *rung;
    int64_t n, cap;
    json_t *config, *train; /* config.json; options of training by their names */
    sc_arena *arena;        /* of names */
    char *dir;              /* in the arena; NULL: it has no folder */
};
sc_status sc_ladder_new(sc_ladder **out);
sc_status sc_ladder_add(sc_ladder *l, const sc_rung *r);
char *sc_rung_path(const sc_ladder *l, const sc_rung *r, const char *name); /* owned; NULL without memory */
/* Reads result.json, where there is one, into the run. */
sc_status sc_rung_look(const sc_ladder *l, sc_rung *r);
/* points.jsonl of all runs that are done. */
sc_status sc_ladder_points(const sc_ladder *l);

#endif
