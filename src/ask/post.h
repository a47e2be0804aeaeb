/* SPDX-License-Identifier: Apache-2.0 */
/* Many JSON requests to one server, several at once, each again where the server was busy. (post.c) */
#ifndef SC_ASK_POST_H
#define SC_ASK_POST_H

#include "base/base.h"

typedef struct sc_post {
    const sc_context *ctx; /* cancelling; may be NULL */
    const char *url;       /* what a request's path is put behind, without a slash at its end */
    const char *key;       /* bearer token; NULL: none */
    int concurrency, retries;
    double timeout;   /* seconds */
    int64_t answered; /* requests that have been */
    int64_t retried;
    /* The i-th request: *path borrowed, *body owned (sc_free). */
    sc_status (*body)(void *user, int64_t i, const char **path, char **body, int64_t *len);
    /* Its answer: what the server sent with HTTP 200. In no order of i. */
    sc_status (*answer)(void *user, int64_t i, const char *text, int64_t len);
    void *user;
} sc_post;

/* SC_EINVAL: an address that is none, or a key that would go over the network in the clear. */
sc_status sc_post_check(const sc_post *p);
/* Sends requests 0 .. n - 1. The first failure ends it; `answer` was called for those before. */
sc_status sc_post_all(sc_post *p, int64_t n);

#endif
