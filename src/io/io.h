/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the readers and writers of files, and the fetching of them. */
#ifndef SC_IO_INTERNAL_H
#define SC_IO_INTERNAL_H

#include "base/base.h"
#include "socle/bytes.h"
#include "socle/gguf.h"
#include "socle/safetensors.h"

/* Both formats are little-endian and used in place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian machines are not supported");

/* ---- a file's bytes that are in memory already; a reference is taken, `name` is for messages ---- */
sc_status sc_safetensors_open_buffer(sc_safetensors **out, sc_buffer *bytes, const char *name);
sc_status sc_gguf_open_buffer(sc_gguf **out, sc_buffer *bytes, const char *name);

/* The tensor of this name, whatever its type; NULL: none. */
const sc_file_tensor *sc_safetensors_any(const sc_safetensors *st, const char *name);
/* ---- what keeps a tensor's data alive (borrowed; take a reference to outlive the reader) ---- */
sc_buffer *sc_safetensors_buffer(const sc_safetensors *st, int64_t i);
sc_buffer *sc_gguf_buffer(const sc_gguf *g);

/* ---- GGUF metadata (gguf.c) ---- */
#define SC_GGUF_TEXT_MAX (1LL << 20) /* of a string copied for its NUL */
typedef struct sc_gguf_entry {
    sc_gguf_value v;  /* first: what sc_gguf_key returns is one of these */
    const char *text; /* a short string's NUL-terminated copy; NULL: there is none */
} sc_gguf_entry;
int sc_gguf_type_bytes(sc_gguf_type type); /* 0 for strings and arrays */

/* ---- a safetensors header (st_header.c) ---- */
typedef struct sc_st_tensor {
    sc_file_tensor t;
    int64_t begin, end; /* in the data section */
    sc_buffer *buf;     /* borrowed from the reader */
} sc_st_tensor;

typedef struct sc_st_header {
    sc_arena *arena; /* given: holds every string */
    sc_st_tensor *tensor;
    int64_t count, cap;
    char **meta; /* key, value, key, value ... */
    int64_t meta_count, meta_cap;
} sc_st_header;

/* Parses the JSON p[0..n) and appends its tensors (with begin, end and type; no data) to `h`; its metadata only
 * where `h` had none. Messages do not name the file. */
sc_status sc_st_header_parse(sc_st_header *h, const char *p, int64_t n);

/* ---- tensors streamed into a file in a fixed order (stream.c) ---- */
typedef struct sc_stream {
    sc_writer *file;
    struct sc_stream_item {
        const void *data; /* NULL: streamed */
        int64_t bytes, offset, id;
    } * item;
    int64_t count, cap;
    int64_t at;      /* the item being written; count when all are */
    int64_t written; /* bytes of it */
    int64_t base;    /* where in the file offset 0 is */
    bool failed;
} sc_stream;
sc_status sc_stream_add(sc_stream *s, int64_t id, const void *data, int64_t bytes);
/* Gives every item its offset, each a multiple of `align`; *total is where the last ends. */
sc_status sc_stream_layout(sc_stream *s, int64_t align, int64_t *total);
sc_status sc_stream_next(sc_stream *s, int64_t *id);
sc_status sc_stream_write(sc_stream *s, const void *data, int64_t bytes);
sc_status sc_stream_commit(sc_stream *s);
void sc_stream_free(sc_stream *s);

/* Elements of a shape; SC_ELIMIT where they do not fit 2^63. Checks rank and signs. */
sc_status sc_shape_count(int64_t *out, int rank, const int64_t *dim);

/* ---- bytes that may be compressed (bytes.c) ---- */
/* Where they come from. read: up to n bytes into p, how many; 0 at the end, -1 with errno; close may be NULL. */
typedef struct sc_bytes_source {
    int64_t (*read)(void *user, void *p, int64_t n);
    void (*close)(void *user); /* with the reader; not where opening failed */
    void *user;
    int64_t size; /* 0: not known */
} sc_bytes_source;
sc_status sc_bytes_open_source(sc_bytes **out, const char *name, const sc_bytes_source *source,
                               const sc_bytes_options *options);
/* Lines of a reader that becomes theirs; not where this fails. */
sc_status sc_line_reader_of(sc_line_reader **out, sc_bytes *bytes, const sc_line_options *options);

/* ---- fetching (fetch.c; without libcurl all fail with SC_EUNSUPPORTED) ---- */
typedef struct sc_fetch {
    const sc_context *ctx; /* progress and cancelling; may be NULL */
    const char *url;       /* https; http only to this machine itself */
    const char *token;     /* sent as a bearer token to the url's own server; NULL: none */
    const char *what;      /* what to call it in messages and progress; NULL: the url */
    int64_t size;          /* what it must have; -1: not known */
    const char *sha256;    /* hexadecimal; NULL: not checked */
    const char *git_sha1;  /* of git's blob object; NULL: not checked */
} sc_fetch;
/* Into a file, resuming what an earlier call left in PATH.partial. */
sc_status sc_fetch_file(const sc_fetch *f, const char *path);
/* Into memory, at most max bytes; *data is NUL-terminated and owned. */
sc_status sc_fetch_text(const sc_fetch *f, int64_t max, char **data, int64_t *len);
/* Do the file's size and checksums match what f wants? SC_EFORMAT says which does not. */
sc_status sc_fetch_verify(const sc_fetch *f, const char *path);
/* Scheme, host and port of a URL as "scheme://host:port"; false where it is no address of http or https, or has a user's
 * name in it. https: its scheme; here: it is this machine itself. Only with libcurl. */
bool sc_url_origin(const char *url, char origin[512], bool *https, bool *here);

/* ---- models by name (hub.c) ---- */
/* NAME, or ORG/NAME, of the hub's characters: safe as a path. */
sc_status sc_hub_check_name(const char *name);

#endif
