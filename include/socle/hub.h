/* SPDX-License-Identifier: Apache-2.0 */
/* Models by name: those on this machine, and fetching others from a HuggingFace-like hub.
 *
 * The models folder is $SOCLE_MODELS, else $XDG_DATA_HOME/socle/models, else ~/.local/share/socle/models. The
 * HuggingFace cache is $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else
 * ~/.cache/huggingface/hub. */
#ifndef SOCLE_HUB_H
#define SOCLE_HUB_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The models folder, owned (sc_free); it need not exist. SC_ENOTFOUND where no home is known. */
SC_API sc_status sc_hub_folder(char **out);

/* A model on this machine. */
typedef struct sc_hub_model {
    char *name;         /* "ORG/NAME", "NAME", or "NAME:FILE" for one of several GGUF files in a folder */
    char *path;         /* a directory, or a .gguf file */
    int64_t bytes;      /* of its files */
    const char *kind;   /* "safetensors", "diffusers" or "gguf" */
    const char *source; /* "models" (the models folder) or "huggingface" (the cache) */
} sc_hub_model;

/* All models in both places, by name. *out is owned: sc_hub_list_free. Files being fetched are not listed. */
SC_API sc_status sc_hub_list(sc_hub_model **out, int64_t *count);
SC_API void sc_hub_list_free(sc_hub_model *models, int64_t count);

/* Where a model is: `name` is an existing path, a model's whole name, or its last part where that is one model
 * only. No connection is made. *path is owned (sc_free). SC_ENOTFOUND; SC_EINVAL where several fit. */
SC_API sc_status sc_hub_resolve(char **path, const char *name);

typedef struct sc_hub_pull_options {
    const char *revision; /* branch, tag or commit; NULL: main */
    const char *file;     /* which files: a pattern with * and ?, or part of a GGUF file's name; NULL: see below */
    bool offline;         /* make no connection; also where HF_HUB_OFFLINE is set to 1, true, yes or on */
} sc_hub_pull_options;

/* Fetches a repository's model into the models folder, from $HF_ENDPOINT (https://huggingface.co; http only for
 * this machine itself), with the token $HF_TOKEN if set, which goes to that server alone. `name` is ORG/NAME, or
 * ORG/NAME:FILE for options->file. Without a choice of files: configuration, tokenizer, templates and safetensors;
 * where there are none of these, the only GGUF file, or the only Q4_K_M one.
 *
 * Files that are there with the right checksum are kept. Others are fetched beside their place, each checked by
 * size and checksum before it is put there; an interrupted fetch is resumed by the next call. *path (owned,
 * sc_free) is what to open. SC_ENETWORK, SC_ENOTFOUND, SC_EFORMAT (wrong checksum, hostile names), SC_EUNSUPPORTED
 * (built without libcurl), SC_ECANCELLED. ctx may be NULL; progress goes through it. */
SC_API sc_status sc_hub_pull(char **path, const sc_context *ctx, const char *name,
                             const sc_hub_pull_options *options);

#ifdef __cplusplus
}
#endif
#endif
