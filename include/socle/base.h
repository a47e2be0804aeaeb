/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes, messages and the context that every long-lived object hangs on.
 *
 * Conventions of the whole library:
 *  - A function that can fail returns sc_status: SC_OK (0) or a negative code. sc_error() then gives one line for
 *    this thread that names the file, field, tensor, shape or limit. On failure no output parameter is written.
 *  - `T **out` comes first and is owned by the caller, who ends it with the matching _free; every _free takes NULL.
 *    A returned pointer is borrowed from the object it was asked of.
 *  - Counts, sizes and offsets are int64_t. Text is UTF-8.
 *  - The library never prints, exits or aborts, and keeps no mutable state outside its objects. */
#ifndef SOCLE_BASE_H
#define SOCLE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(SC_STATIC)
#define SC_API
#else
#define SC_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* name, code, what it means */
#define SC_STATUS_MAP(X)                                                                                           \
    X(SC_OK, 0, "success")                                                                                         \
    X(SC_ENOMEM, -1, "out of memory")                                                                              \
    X(SC_EINVAL, -2, "invalid argument")                                                                           \
    X(SC_EIO, -3, "input or output error")                                                                         \
    X(SC_EFORMAT, -4, "malformed file or text")                                                                    \
    X(SC_ELIMIT, -5, "limit exceeded")                                                                             \
    X(SC_EUNSUPPORTED, -6, "not supported")                                                                        \
    X(SC_ENOTFOUND, -7, "not found")                                                                               \
    X(SC_ECANCELLED, -8, "cancelled")                                                                              \
    X(SC_ESHAPE, -9, "shapes do not fit")                                                                          \
    X(SC_ENETWORK, -10, "network error")

typedef enum sc_status {
#define SC_STATUS_ENUM(name, code, text) name = code,
    SC_STATUS_MAP(SC_STATUS_ENUM)
#undef SC_STATUS_ENUM
} sc_status;

/* The code's meaning in a few words, never NULL. */
SC_API const char *sc_status_text(sc_status status);

/* The message of the last failure on this thread; valid until the next failing call on it. One line. */
SC_API const char *sc_error(void);

/* "MAJOR.MINOR.PATCH" of the library in use. */
SC_API const char *sc_version(void);

typedef enum sc_log_level { SC_LOG_INFO, SC_LOG_WARNING } sc_log_level;

/* What one or more models share: threads, callbacks, the cancel flag. Immutable once made, so any number of threads
 * may use it; one plan runs on its threads at a time (others wait). */
typedef struct sc_context sc_context;

typedef struct sc_context_options {
    int threads; /* 0: one for each physical core that this process may use; at most 256 */
    void (*log)(void *user, sc_log_level level, const char *line);               /* NULL: nothing is said */
    void (*progress)(void *user, const char *what, int64_t done, int64_t total); /* NULL: nothing is said */
    void *user;                                                                  /* passed to both */
} sc_context_options;

/* options may be NULL for the defaults. End with sc_context_free, after everything that was made with it. */
SC_API sc_status sc_context_new(sc_context **out, const sc_context_options *options);
SC_API void sc_context_free(sc_context *ctx);
SC_API int sc_context_threads(const sc_context *ctx);

/* Asks work under way to stop with SC_ECANCELLED at its next safe point. Safe in a signal handler. */
SC_API void sc_context_cancel(sc_context *ctx);
/* Takes the request back, so that the context can be used again. */
SC_API void sc_context_resume(sc_context *ctx);
SC_API bool sc_context_cancelled(const sc_context *ctx);

/* The words nearest to `word` of `count` words, by letters to change, nearest first: at most `most` of them into out. How
 * many there are; one that would need more than a third of its letters changed is not near. */
SC_API int sc_nearest_words(const char *word, const char *const *words, int count, const char **out, int most);

/* Frees what the library handed over as plain memory (strings, id arrays). */
SC_API void sc_free(void *p);

#ifdef __cplusplus
}
#endif
#endif
