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

/* What came out. */
typedef struct sc_data_result {
    int64_t read, kept,
        tokens; /* documents that were found and that are left; their tokens, 0: no tokenizer was given */
    int64_t shards;
    bool before; /* the run had been finished before */
} sc_data_result;

/* Runs to the end, or until the context is cancelled (SC_ECANCELLED) or something fails; called again with the same options it
 * goes on from there, to the same bits. Any number of processes may run the same at once, on any number of machines that share
 * the folder: they divide the work, and the result is that of one. result may be NULL. SC_EINVAL: a configuration that makes
 * no sense, or another one than that of the run in `out`; SC_ENOTFOUND: a source without files. */
SC_API sc_status sc_data_run(sc_context *ctx, const sc_data_options *o, sc_data_result *result);

/* Writes report.html into the folder of a finished run, from its data.json: what is left after each stage, what each rule dropped
 * with examples, languages, lengths. sc_data_run has done that already. */
SC_API sc_status sc_data_page(const char *dir);

/* The stages and the formats of sources there are, and their settings; NULL: there are fewer. */
SC_API const char *sc_data_stage_at(int i, const char **summary);
SC_API const char *sc_data_format_at(int i, const char **summary);
/* Setting k of a stage: its name, with a default (NULL: none) and what it is. NULL: there are fewer. */
SC_API const char *sc_data_stage_setting(int stage, int k, const char **value, const char **help);

/* ---- shards: tokens on disk, mapped ---- */

typedef struct sc_data_shards sc_data_shards;
typedef struct sc_data_shards_info {
    int64_t shards, tokens, documents, bytes;
    int64_t sequence;   /* documents lie whole in sequences of so many tokens; 0: they do not */
    int token_bytes;    /* in the file */
    int64_t vocab;      /* ids are below */
    int32_t eos;        /* that each document ends with; -1: none */
    uint64_t tokenizer; /* the same for vocabularies of the same tokens */
} sc_data_shards_info;

/* path: the folder that sc_data_run made, its index.json, or one shard. SC_EFORMAT: no shard, or a damaged one, as far as
 * headers and tables tell; sc_data_shards_check looks at all of it. */
SC_API sc_status sc_data_shards_open(sc_data_shards **out, const char *path);
SC_API void sc_data_shards_free(sc_data_shards *s);
SC_API const sc_data_shards_info *sc_data_shards_get(const sc_data_shards *s);
/* The path of shard i, and what it holds; NULL: there are fewer. */
SC_API const char *sc_data_shards_file(const sc_data_shards *s, int64_t i, int64_t *tokens, uint32_t *crc);
/* Tokens at .. at + n of all shards in a row, which must be there; in a damaged file's place of one that the vocabulary does not
 * have comes INT32_MAX. Any number of threads may read. */
SC_API void sc_data_shards_read(const sc_data_shards *s, int64_t at, int64_t n, int32_t *out);
/* The token behind a document's last; the number of its source in the configuration, -1: it only fills up. */
SC_API int64_t sc_data_shards_end(const sc_data_shards *s, int64_t document);
SC_API int sc_data_shards_source(const sc_data_shards *s, int64_t document);
/* The same for vocabularies of the same tokens: what sc_data_shards_info has of those that made shards. */
struct sc_tokenizer;
SC_API uint64_t sc_data_fingerprint(const struct sc_tokenizer *t);
/* Reads everything: checksums, and whether all ids are of the vocabulary. ctx may be NULL. */
SC_API sc_status sc_data_shards_check(const sc_data_shards *s, sc_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
