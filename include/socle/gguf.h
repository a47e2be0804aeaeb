/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files, versions 2 and 3, little-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). */
#ifndef SOCLE_GGUF_H
#define SOCLE_GGUF_H

#include "socle/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Types of metadata values, with the file's own numbers. */
typedef enum sc_gguf_type {
    SC_GGUF_U8 = 0,
    SC_GGUF_I8 = 1,
    SC_GGUF_U16 = 2,
    SC_GGUF_I16 = 3,
    SC_GGUF_U32 = 4,
    SC_GGUF_I32 = 5,
    SC_GGUF_F32 = 6,
    SC_GGUF_BOOL = 7,
    SC_GGUF_STRING = 8,
    SC_GGUF_ARRAY = 9,
    SC_GGUF_U64 = 10,
    SC_GGUF_I64 = 11,
    SC_GGUF_F64 = 12,
    SC_GGUF_TYPE_COUNT
} sc_gguf_type;

SC_API const char *sc_gguf_type_name(sc_gguf_type type); /* "u8" … ; never NULL */

/* ---- reading ---- */

/* An open file, memory-mapped. Immutable: any number of threads may read it. */
typedef struct sc_gguf sc_gguf;

/* Text in the file: n bytes, not NUL-terminated, of any content. */
typedef struct sc_gguf_text {
    const char *p;
    int64_t n;
} sc_gguf_text;

typedef struct sc_gguf_value {
    const char *key;
    sc_gguf_type type;
    sc_gguf_type element; /* of an array: its elements' type; otherwise the same as type */
    int64_t count;        /* elements of an array; 1 */
    const void *data;     /* the elements as the file holds them, not aligned */
    int64_t bytes;
} sc_gguf_value;

/* Maps `path` and checks all of it but the tensors' contents: SC_EFORMAT for a malformed or cut file, keys or names
 * given twice, offsets that overlap, pass the end or are not aligned; SC_ELIMIT for absurd counts, rank over
 * SC_MAX_RANK, an alignment that is no power of two from 8 to 65536; SC_EUNSUPPORTED for another version, byte
 * order, or one part of a split model. Takes no memory for arrays, however long. */
SC_API sc_status sc_gguf_open(sc_gguf **out, const char *path);
SC_API void sc_gguf_free(sc_gguf *g);
SC_API const char *sc_gguf_path(const sc_gguf *g);
SC_API int sc_gguf_version(const sc_gguf *g);

/* Tensors in the order of the file; NULL where i is out of range. dim is outermost first: GGUF's own "ne" reversed.
 */
SC_API int64_t sc_gguf_count(const sc_gguf *g);
SC_API const sc_file_tensor *sc_gguf_get(const sc_gguf *g, int64_t i);
/* By name. SC_ENOTFOUND; SC_EUNSUPPORTED, naming file and type, for a type the library cannot compute with. */
SC_API sc_status sc_gguf_find(const sc_gguf *g, const char *name, const sc_file_tensor **out);

/* Metadata in the order of the file; by name NULL where there is none. */
SC_API int64_t sc_gguf_key_count(const sc_gguf *g);
SC_API const sc_gguf_value *sc_gguf_key_at(const sc_gguf *g, int64_t i);
SC_API const sc_gguf_value *sc_gguf_key(const sc_gguf *g, const char *key);

/* Typed values. An absent key leaves *out alone and succeeds, so defaults are set before. A value of another kind
 * or outside [lo, hi] fails with SC_EFORMAT, naming file and key. An integer may have any of the integer types; num
 * also takes integers. str is NUL-terminated and borrowed; it refuses texts over 1 MiB or with a NUL inside. */
SC_API sc_status sc_gguf_int(const sc_gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *out);
SC_API sc_status sc_gguf_num(const sc_gguf *g, const char *key, double lo, double hi, double *out);
SC_API sc_status sc_gguf_bool(const sc_gguf *g, const char *key, bool *out);
SC_API sc_status sc_gguf_str(const sc_gguf *g, const char *key, const char **out);
SC_API sc_status sc_gguf_text_of(const sc_gguf *g, const char *key, sc_gguf_text *out); /* any string, in the map */

/* Arrays, one allocation each, owned by the caller (sc_free); at most 2^24 elements. Absent: *out and *count are
 * left alone. ints takes arrays of any integer type and bools; floats of f32 and f64; strings point into the map
 * and are valid while the file is open. */
SC_API sc_status sc_gguf_ints(const sc_gguf *g, const char *key, int64_t **out, int64_t *count);
SC_API sc_status sc_gguf_floats(const sc_gguf *g, const char *key, float **out, int64_t *count);
SC_API sc_status sc_gguf_strings(const sc_gguf *g, const char *key, sc_gguf_text **out, int64_t *count);

/* ---- writing ---- */

/* Version 3. The file appears under its name only when finish succeeds.
 *
 *     metadata and tensor …; [next, write …]*; finish; free
 *
 * Keys must be new; "general.alignment" is the writer's own (32). Tensors are laid out in the order declared. */
typedef struct sc_gguf_writer sc_gguf_writer;

SC_API sc_status sc_gguf_writer_new(sc_gguf_writer **out, const char *path);
SC_API void sc_gguf_writer_free(sc_gguf_writer *w); /* without finish: the file is not written */

/* `type` any integer type (the value must fit it) or SC_GGUF_BOOL; SC_GGUF_F32 or SC_GGUF_F64 for num. */
SC_API sc_status sc_gguf_writer_int(sc_gguf_writer *w, const char *key, sc_gguf_type type, int64_t value);
SC_API sc_status sc_gguf_writer_num(sc_gguf_writer *w, const char *key, sc_gguf_type type, double value);
SC_API sc_status sc_gguf_writer_str(sc_gguf_writer *w, const char *key, const char *value);
SC_API sc_status sc_gguf_writer_text(sc_gguf_writer *w, const char *key, const char *p, int64_t n);
/* `count` elements as C arrays of that type (bools one byte each); not strings and arrays. */
SC_API sc_status sc_gguf_writer_array(sc_gguf_writer *w, const char *key, sc_gguf_type element, const void *data,
                                      int64_t count);
SC_API sc_status sc_gguf_writer_strings(sc_gguf_writer *w, const char *key, const sc_gguf_text *text,
                                        int64_t count);
/* A value of another file as it is, whatever its type. */
SC_API sc_status sc_gguf_writer_copy(sc_gguf_writer *w, const sc_gguf_value *value);

/* Declares a tensor; the n-th call is number n-1. dim is outermost first, rank at most 4 (GGUF's readers have no
 * more). `data` is borrowed until finish, or NULL for one that will be streamed. SC_EUNSUPPORTED for a type that
 * GGUF does not have. */
SC_API sc_status sc_gguf_writer_tensor(sc_gguf_writer *w, const char *name, sc_dtype dtype, int rank,
                                       const int64_t *dim, const void *data);
/* Gives in *i the number of the next tensor to stream, -1 when none is left. The one before must be complete. */
SC_API sc_status sc_gguf_writer_next(sc_gguf_writer *w, int64_t *i);
SC_API sc_status sc_gguf_writer_write(sc_gguf_writer *w, const void *data, int64_t bytes); /* appends to it */
SC_API sc_status sc_gguf_writer_finish(sc_gguf_writer *w);

#ifdef __cplusplus
}
#endif
#endif
