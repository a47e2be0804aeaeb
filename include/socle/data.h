/* SPDX-License-Identifier: Apache-2.0 */
/* From sources of text to training data: documents read from files, cleaned and chosen by stages, each of which counts what it
 * did. docs/data.md has the configuration, the stages and the files that come out. */
#ifndef SOCLE_DATA_H
#define SOCLE_DATA_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sc_data_options {
    const char *config;   /* a JSON file; NULL: none */
    const char *settings; /* JSON text of the same kind, whose keys replace those of the file; NULL: none */
    const char *out; /* the folder that is made. Where a run with the same configuration was stopped, it goes on */
    bool restart;    /* forget what is in `out` of another configuration's run */
} sc_data_options;

/* How far a run is. */
typedef struct sc_data_event {
    const char *what;           /* "documents" */
    int64_t done, total;        /* parts */
    int64_t bytes, bytes_total; /* of the sources */
} sc_data_event;
typedef void sc_data_report(void *user, const sc_data_event *e);

/* Runs to the end, or until the context is cancelled (SC_ECANCELLED) or something fails; called again with the same options it
 * goes on from there, to the same bits. report may be NULL. SC_EINVAL: a configuration that makes no sense, or another one than
 * that of the run in `out`; SC_ENOTFOUND: a source without files. */
SC_API sc_status sc_data_run(sc_context *ctx, const sc_data_options *o, sc_data_report *report, void *user);

/* The stages and the formats of sources there are, and their settings; NULL: there are fewer. */
SC_API const char *sc_data_stage_at(int i, const char **summary);
SC_API const char *sc_data_format_at(int i, const char **summary);
/* Setting k of a stage: its name, with a default (NULL: none) and what it is. NULL: there are fewer. */
SC_API const char *sc_data_stage_setting(int stage, int k, const char **value, const char **help);

#ifdef __cplusplus
}
#endif
#endif
