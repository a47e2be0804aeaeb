/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors files: a JSON header and the tensors' bytes (https://github.com/huggingface/safetensors). */
#ifndef SOCLE_SAFETENSORS_H
#define SOCLE_SAFETENSORS_H

#include "socle/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- reading ---- */

/* One file, or all shards of an index, as one set. Immutable once open: any number of threads may read it. */
typedef struct sc_safetensors sc_safetensors;

/* `path` is a .safetensors file; an index (...index.json) whose shards lie beside it; or a directory that holds
 * model.safetensors, diffusion_pytorch_model.safetensors or adapter_model.safetensors, or one's index.
 * Shards must be plain names in the index's own directory; a link may lead elsewhere within it, or into the blobs
 * of the HuggingFace cache that holds it.
 *
 * Files are mapped and their tensors used in place (one whose offset does not suit its type is copied here). The
 * whole header is checked: SC_EFORMAT for a malformed one, for offsets that overlap, leave holes, pass the end or
 * do not fit the shape, and for names given twice; SC_ELIMIT for a header over 100 MB, rank over SC_MAX_RANK or
 * more than SC_MAX_FILE_TENSORS tensors; SC_ENOTFOUND or SC_EIO for a missing or unreadable file. */
SC_API sc_status sc_safetensors_open(sc_safetensors **out, const char *path);
SC_API void sc_safetensors_free(sc_safetensors *st);

/* Tensors, in the order of the file (shards one after the other). NULL where i is out of range. Those of types the
 * library does not compute with are listed too (dtype SC_DTYPE_COUNT). */
SC_API int64_t sc_safetensors_count(const sc_safetensors *st);
SC_API const sc_file_tensor *sc_safetensors_get(const sc_safetensors *st, int64_t i);

/* By name. SC_ENOTFOUND; SC_EUNSUPPORTED, naming the file and the type, for a type the library cannot compute with.
 */
SC_API sc_status sc_safetensors_find(const sc_safetensors *st, const char *name, const sc_file_tensor **out);

/* The free-form texts of the header ("__metadata__"); of the first shard that has any. */
SC_API int64_t sc_safetensors_meta_count(const sc_safetensors *st);
SC_API sc_status sc_safetensors_meta_at(const sc_safetensors *st, int64_t i, const char **key, const char **value);
SC_API const char *sc_safetensors_meta(const sc_safetensors *st, const char *key); /* NULL: there is none */

/* ---- writing ---- */

/* The file appears under its name only when finish succeeds; before, or after any failure, what was there stays.
 *
 *     add … add; [next, write …]*; finish; free
 *
 * Tensors are laid out by element size, largest first, so that all are aligned; next says whose turn it is. */
typedef struct sc_safetensors_writer sc_safetensors_writer;

SC_API sc_status sc_safetensors_writer_new(sc_safetensors_writer **out, const char *path);
SC_API void sc_safetensors_writer_free(sc_safetensors_writer *w); /* without finish: the file is not written */

/* A text for the header; other libraries look for {"format": "pt"}. Before the first next or finish. */
SC_API sc_status sc_safetensors_writer_meta(sc_safetensors_writer *w, const char *key, const char *value);

/* Declares a tensor; the n-th call is number n-1. `data` is borrowed until finish, or NULL for one that will be
 * streamed. SC_EUNSUPPORTED for a type that safetensors does not have. */
SC_API sc_status sc_safetensors_writer_add(sc_safetensors_writer *w, const char *name, sc_dtype dtype, int rank,
                                           const int64_t *dim, const void *data);

/* Gives in *i the number of the next tensor to stream, -1 when none is left. The one before must be complete. */
SC_API sc_status sc_safetensors_writer_next(sc_safetensors_writer *w, int64_t *i);
/* Appends to it. */
SC_API sc_status sc_safetensors_writer_write(sc_safetensors_writer *w, const void *data, int64_t bytes);
/* Writes what is left of the borrowed ones, syncs, and puts the file in place. */
SC_API sc_status sc_safetensors_writer_finish(sc_safetensors_writer *w);

#ifdef __cplusplus
}
#endif
#endif
