/* SPDX-License-Identifier: Apache-2.0 */
/* What every module stands on: messages, memory, strings, files, JSON, random numbers, threads. Knows no tensors. */
#ifndef SC_BASE_INTERNAL_H
#define SC_BASE_INTERNAL_H

#include "socle/base.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#define SC_COUNT(a)          ((int)(sizeof(a) / sizeof((a)[0])))
#define SC_MIN(a, b)         ((a) < (b) ? (a) : (b))
#define SC_MAX(a, b)         ((a) > (b) ? (a) : (b))
#define SC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* ---- messages (status.c) ---- */

/* Sets this thread's message and returns `code`. Control characters in the text become '?', so that a hostile file
 * name or field cannot reach the terminal. */
sc_status sc_fail(sc_status code, const char *fmt, ...) SC_PRINTF(2, 3);
sc_status sc_nomem(void); /* SC_ENOMEM with its message */
/* Puts "where: " in front of this thread's message, for a caller that knows the file or field. Returns `code`. */
sc_status sc_fail_in(sc_status code, const char *where, ...) SC_PRINTF(2, 3);

/* ---- memory (memory.c) ---- */

/* a * b and a + b for sizes; false where the result would not fit int64_t or is negative. */
static inline bool sc_mul_ok(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out) && *out >= 0;
}
static inline bool sc_add_ok(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out) && *out >= 0;
}

void *sc_malloc(size_t n); /* n == 0 gives a unique pointer; NULL only without memory */
void *sc_calloc(size_t n, size_t size);
void *sc_realloc(void *p, size_t n);
char *sc_strdup(const char *s);
char *sc_strndup(const char *s, size_t n);

/* Bytes of memory that this machine has, INT64_MAX where that is not known: what asks for more is refused beforehand,
 * since the system may hand out what it does not have. */
int64_t sc_memory_size(void);

/* Grows *p (elements of `size` bytes, *cap of them) to hold at least `need`. false without memory, *p untouched. */
bool sc_grow(void *p, int64_t *cap, int64_t need, size_t size);

/* A bump allocator: everything in it is freed at once. All memory is zeroed and aligned to 16. */
typedef struct sc_arena sc_arena;
sc_arena *sc_arena_new(void);
void sc_arena_free(sc_arena *a);
void *sc_arena_alloc(sc_arena *a, size_t n);
char *sc_arena_strndup(sc_arena *a, const char *s, size_t n);
char *sc_arena_printf(sc_arena *a, const char *fmt, ...) SC_PRINTF(2, 3);

/* Refcounted bytes with a free callback: weights, maps, caches. Data is aligned to 64 when made here. */
typedef struct sc_buffer {
    atomic_int refs;
    void *data;
    int64_t size;
    void (*free)(struct sc_buffer *b); /* releases data, not the struct */
    void *user;
} sc_buffer;
sc_status sc_buffer_new(sc_buffer **out, int64_t size); /* not zeroed where the system need not */
sc_status sc_buffer_wrap(sc_buffer **out, void *data, int64_t size, void (*free)(sc_buffer *), void *user);
sc_buffer *sc_buffer_ref(sc_buffer *b); /* returns b; NULL is fine */
void sc_buffer_unref(sc_buffer *b);     /* NULL is fine */
/* An empty buffer of whole pages, large ones where the system has them; they take memory when first written to. */
sc_status sc_buffer_pages(sc_buffer **out, int64_t size);

/* ---- strings (str.c) ---- */

/* A growing string. Starts as {0}. After a failed allocation `oom` stays set and appends do nothing, so code checks
 * once at the end. p is NUL-terminated whenever it is not NULL. */
typedef struct sc_str {
    char *p;
    int64_t len, cap;
    bool oom;
} sc_str;
void sc_str_append(sc_str *s, const char *p, int64_t n);
void sc_str_puts(sc_str *s, const char *z);
void sc_str_putc(sc_str *s, char c);
void sc_str_printf(sc_str *s, const char *fmt, ...) SC_PRINTF(2, 3);
void sc_str_utf8(sc_str *s, uint32_t codepoint); /* encodes; an invalid code point becomes U+FFFD */
char *sc_str_take(sc_str *s,
                  int64_t *len); /* the owned, NUL-terminated text (sc_free), s is {0} again; NULL on oom */
void sc_str_free(sc_str *s);
/* n words as a shell would read them back; owned. */
char *sc_command_text(const char *const *word, int n);
/* Appends the bytes that p[0..n) spells in base64, with or without = at its end; false for other characters. */
bool sc_base64_decode(sc_str *s, const char *p, int64_t n);

/* Decodes one code point of p[0..n), n > 0, into *cp and returns the bytes it took. An invalid or cut sequence gives
 * U+FFFD and takes its longest valid beginning (at least one byte), as the Unicode standard and Python replace. */
int sc_utf8_decode(const char *p, int64_t n, uint32_t *cp);
int sc_utf8_encode(uint32_t cp, char out[4]); /* bytes written, 1 to 4 */
bool sc_utf8_valid(const char *p, int64_t n);
/* Bytes at the end of p[0..n) that begin a character but do not finish it: 0 to 3. */
int sc_utf8_unfinished(const char *p, int64_t n);

/* Strings (not copied, not necessarily NUL-terminated) to int64_t. Starts as {0}. */
typedef struct sc_map {
    struct sc_map_slot {
        const char *key;
        int64_t len;
        int64_t value;
        uint64_t hash;
    } * slot;
    int64_t count, cap;
    uint64_t secret; /* of its hashes; set with the first entry */
} sc_map;
bool sc_map_put(sc_map *m, const char *key, int64_t len, int64_t value); /* replaces; false without memory */
bool sc_map_get(const sc_map *m, const char *key, int64_t len, int64_t *value);
bool sc_map_get_hashed(const sc_map *m, const char *key, int64_t len, uint64_t hash,
                       int64_t *value); /* its sc_map_hash */
uint64_t sc_map_hash(const sc_map *m, const char *key, int64_t len);
void sc_map_free(sc_map *m);

/* For tables whose keys come from outside: a file or a user who knew a key's hash could write keys that all fall on one place.
 * `secret` is of this process, so hashes differ from run to run: nothing that is seen may follow from them. */
uint64_t sc_hash_secret(void);
uint64_t sc_hash_with(uint64_t secret, const void *p, int64_t n);
static inline uint64_t sc_hash_number(uint64_t secret, uint64_t x)
{
    unsigned __int128 product = (unsigned __int128)(x ^ secret) * (secret | 1);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
/* The same in every run: for names that random numbers and files follow from. Not for tables. */
uint64_t sc_hash(const void *p, int64_t n);

/* ---- files (file.c) ---- */

bool sc_path_exists(const char *path);
bool sc_path_is_dir(const char *path);
char *sc_path_join(const char *dir, const char *name); /* owned; NULL without memory */
char *sc_path_absolute(const char *path);   /* owned; as it is where there is no such file; NULL without memory */
const char *sc_path_base(const char *path); /* after the last slash */
bool sc_path_has_suffix(const char *path, const char *suffix);
sc_status sc_mkdirs(const char *path);
/* Reads a whole regular file of at most `max` bytes; *data is NUL-terminated and owned (sc_free). */
sc_status sc_file_read(char **data, int64_t *len, const char *path, int64_t max);
/* Maps a regular file read-only and shared. An empty file gives a buffer of size 0. */
sc_status sc_file_map(sc_buffer **out, const char *path);
/* p[0..n) of a buffer will not be read again soon: the memory of a mapped file's pages goes back to the system, which
 * brings them again where they are read after all. Nothing happens to other buffers. */
void sc_file_forget(const sc_buffer *b, const void *p, int64_t n);

/* Writes a file so that `path` is always the old one or the whole new one: bytes go to a temporary beside it,
 * commit syncs and renames, close without commit removes it. The new file has the old one's permissions. A device or a
 * pipe is written to as it is; SC_EINVAL: a folder. */
typedef struct sc_writer sc_writer;
sc_status sc_writer_open(sc_writer **out, const char *path);
sc_status sc_writer_write(sc_writer *w, const void *p, int64_t n);
int64_t sc_writer_tell(const sc_writer *w);
sc_status sc_writer_commit(sc_writer *w); /* the writer still has to be closed */
void sc_writer_close(sc_writer *w);
sc_status sc_file_write(const char *path, const void *p, int64_t n); /* open, write, commit, close */

/* CRC-32C of p[0..n) behind bytes whose sum is `crc`, 0 at the beginning. Little-endian machines alone. (crc32c.c) */
uint32_t sc_crc32c(uint32_t crc, const void *p, int64_t n);

/* ---- JSON over jansson (json.c) ---- */

/* Parses all of p[0..n): any value, strict UTF-8, no duplicate keys, depth at most 512 whatever the text; NUL in
 * strings allowed. `what` names the text in messages. *out is owned (json_decref). */
sc_status sc_json_parse(json_t **out, const char *p, int64_t n, const char *what);
sc_status sc_json_read(json_t **out, const char *path, int64_t max); /* a file of at most max bytes */
/* Typed fields of an object. Absent or null keys leave *out alone and succeed; a wrong type or a value outside
 * [lo, hi] fails, naming `what` and the key. Floats accept integers. */
sc_status sc_json_int(const json_t *o, const char *what, const char *key, int64_t lo, int64_t hi, int64_t *out);
sc_status sc_json_num(const json_t *o, const char *what, const char *key, double lo, double hi, double *out);
sc_status sc_json_bool(const json_t *o, const char *what, const char *key, bool *out);
sc_status sc_json_str(const json_t *o, const char *what, const char *key, const char **out); /* borrowed */

/* ---- random numbers (rng.c): Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") ---- */

/* The i-th 128 bits of stream `stream` under `seed`: any element can be had without the ones before it. */
void sc_philox(uint64_t seed, uint64_t stream, uint64_t i, uint32_t out[4]);
typedef struct sc_rng {
    uint64_t seed, stream, i;
    uint32_t have[4];
    int left;
} sc_rng;
sc_rng sc_rng_make(uint64_t seed, uint64_t stream);
uint32_t sc_rng_u32(sc_rng *r);
double sc_rng_uniform(sc_rng *r); /* [0, 1), 53 bits */
/* n standard normals into out, element j the same wherever the array is cut: it depends on first + j alone. */
void sc_rng_normal_fill(uint64_t seed, uint64_t stream, int64_t first, float *out, int64_t n);

/* ---- threads (pool.c) ---- */

/* A fixed crew: the calling thread is member 0. One job at a time. */
typedef struct sc_pool sc_pool;
sc_status sc_pool_new(sc_pool **out, int threads);
void sc_pool_free(sc_pool *p);
int sc_pool_threads(const sc_pool *p);
/* Runs fn(arg, member) on every member and returns when all have; concurrent callers take turns. */
void sc_pool_run(sc_pool *p, void (*fn)(void *arg, int member), void *arg);
/* Inside a job: waits until every member has come here. Spins first, then sleeps. */
void sc_pool_barrier(sc_pool *p);
/* Physical cores this process may use: affinity mask and cgroup CPU quota respected; at least 1. */
int sc_cpu_cores(void);
/* Keeps this thread, and those that it will start, to the index-th of `of` equal shares of the cores that it may use. */
void sc_cpu_keep(int index, int of);
double sc_now(void); /* monotonic seconds */

/* ---- context (context.c) ---- */
struct sc_context {
    sc_context_options options;
    sc_pool *pool;
    atomic_bool cancelled;
};
void sc_log(const sc_context *ctx, sc_log_level level, const char *fmt, ...) SC_PRINTF(3, 4);
void sc_progress(const sc_context *ctx, const char *what, int64_t done, int64_t total);

#endif
