/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching over HTTPS: resumable into files, bounded into memory.
 *
 * Invariants of a fetch into PATH:
 *  - PATH itself is only ever replaced by a complete file whose size and checksums were right.
 *  - PATH.partial holds the first bytes of one version of the file; PATH.partial.etag names the version where the
 *    server did. It is held locked, so that two processes do not write it at once.
 *  - Bytes are appended only after the server said that they continue that version at that offset.
 * Redirects are followed here and not by libcurl, so that each address is checked and the token stays where it
 * belongs. */
#include "io/io.h"

#ifdef SC_WITH_CURL

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REDIRECTS_MAX 8
#define ATTEMPTS_MAX  5
#define ETAG_MAX      256

/* ---- addresses ---- */

bool sc_url_origin(const char *url, char origin[512], bool *https, bool *here)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
    CURLU *u = curl_url();
    bool ok = u && !curl_url_set(u, CURLUPART_URL, url, 0) && !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
              !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
              !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
              curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;
    if (ok) {
        *here = !strcmp(host, "127.0.0.1") || !strcmp(host, "localhost") || !strcmp(host, "[::1]");
        *https = !strcmp(scheme, "https");
        ok = *https || !strcmp(scheme, "http");
        ok = ok && snprintf(origin, 512, "%s://%s:%s", scheme, host, port) < 512;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_url_cleanup(u);
    return ok;
}

/* An address that may be fetched: https, or, where `loopback` allows it, http to this machine itself. */
static bool origin_of(const char *url, bool loopback, char out[512])
{
    bool https, here;
    return sc_url_origin(url, out, &https, &here) && (https || (here && loopback));
}

/* ---- one request ---- */

typedef struct request {
    const sc_fetch *f;
    CURL *curl;
    char origin[512]; /* of the first address: where the token may go */
    /* where bytes go: a file or memory */
    int fd;
    char *partial, *etag_path;
    sc_str *text;
    int64_t max;
    /* state of the file */
    int64_t have; /* bytes that PATH.partial holds */
    char etag[ETAG_MAX];
    /* of the response being received */
    char new_etag[ETAG_MAX];
    int64_t range_from, range_total; /* Content-Range, -1: none */
    bool started;                    /* its first byte was taken */
    int64_t retry_after;
    sc_status failed; /* a failure of our own inside a callback; its message is set */
} request;

static const char *what_of(const sc_fetch *f) { return f->what ? f->what : f->url; }

static size_t on_header(char *p, size_t size, size_t n, void *user)
{
    request *r = user;
    size_t len = size * n;
    char line[512];
    if (len >= sizeof line) return len;
    memcpy(line, p, len);
    line[len] = 0;
    line[strcspn(line, "\r\n")] = 0;
    long long from, to, total;
    if (!strncmp(line, "HTTP/", 5)) { /* a new response begins */
        r->new_etag[0] = 0;
        r->range_from = r->range_total = -1;
    } else if (!strncasecmp(line, "etag:", 5)) {
        const char *v = line + 5 + strspn(line + 5, " \t");
        if (*v == '"' && strlen(v) < ETAG_MAX)
            strcpy(r->new_etag, v); /* weak ones cannot say that bytes are the same */
    } else if (!strncasecmp(line, "content-range:", 14)) {
        if (sscanf(line + 14, " bytes %lld-%lld/%lld", &from, &to, &total) == 3)
            r->range_from = from, r->range_total = total;
        else if (sscanf(line + 14, " bytes */%lld", &total) == 1)
            r->range_total = total;
    } else if (!strncasecmp(line, "retry-after:", 12)) {
        r->retry_after = SC_MIN(SC_MAX(atoll(line + 12), 0), 30);
    }
    return len;
}

static sc_status write_failed(const request *r)
{
    return sc_fail(SC_EIO, "%s: cannot write: %s", r->partial, strerror(errno));
}

/* Before the first byte of a good response: is it the rest of what we have, or all of it anew? */
static sc_status start_body(request *r)
{
    long code = 0;
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &code);
    r->started = true;
    if (code == 206) {
        if (r->range_from != r->have)
            return sc_fail(SC_ENETWORK, "%s: the server answered with another range than asked for", what_of(r->f));
        return SC_OK;
    }
    r->have = 0;
    if (ftruncate(r->fd, 0) || lseek(r->fd, 0, SEEK_SET) < 0) return write_failed(r);
    if (r->new_etag[0]) return sc_file_write(r->etag_path, r->new_etag, (int64_t)strlen(r->new_etag));
    unlink(r->etag_path);
    return SC_OK;
}

static sc_status take_body(request *r, const char *p, int64_t n)
{
    sc_status e;
    if (r->text) {
        if (n > r->max - r->text->len)
            return sc_fail(SC_ELIMIT, "%s: the answer has more than %lld bytes", what_of(r->f), (long long)r->max);
        sc_str_append(r->text, p, n);
        return r->text->oom ? sc_nomem() : SC_OK;
    }
    if (!r->started && (e = start_body(r))) return e;
    if (r->f->size >= 0 && n > r->f->size - r->have)
        return sc_fail(SC_EFORMAT, "%s: the server sent more than the file's %lld bytes", what_of(r->f),
                       (long long)r->f->size);
    while (n > 0) {
        ssize_t k = write(r->fd, p, (size_t)n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return write_failed(r);
        p += k;
        n -= k;
        r->have += k;
    }
    return SC_OK;
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
    request *r = user;
    long code = 0;
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200 && code != 206) return size * n; /* an error's page, a redirect's */
    r->failed = take_body(r, p, (int64_t)(size * n));
    return r->failed ? 0 : size * n;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    request *r = user;
    (void)now, (void)up_total, (void)up_now;
    if (!r->f->ctx) return 0;
    if (r->fd >= 0 && r->started)
        sc_progress(r->f->ctx, what_of(r->f), r->have,
                    r->f->size >= 0 ? r->f->size
                    : total > 0     ? r->have - now + total
                                    : 0);
    return sc_context_cancelled(r->f->ctx);
}

static sc_status http_failed(const request *r, long code)
{
    const char *what = what_of(r->f);
    if (code == 401 || code == 403)
        return sc_fail(SC_ENETWORK, "%s: the server refuses access (HTTP %ld)%s", what, code,
                       r->f->token ? "; is HF_TOKEN allowed to read it?" : "; a token in HF_TOKEN may be needed");
    if (code == 404 || code == 410)
        return sc_fail(SC_ENOTFOUND, "%s: the server has no such thing (HTTP %ld)", what, code);
    return sc_fail(SC_ENETWORK, "%s: the server answered HTTP %ld", what, code);
}

/* One request to one address. *code is the response's, *next (owned) where it redirects to. */
static sc_status perform(request *r, const char *url, long *code, char **next)
{
    CURL *c = r->curl;
    char origin[512], error[CURL_ERROR_SIZE] = "", range[32];
    struct curl_slist *headers = NULL;
    sc_str line = {0};
    sc_status e = SC_OK;
    bool loopback = !strncmp(r->origin, "http:", 5) || !r->origin[0];
    if (!origin_of(url, loopback, origin))
        return sc_fail(SC_EINVAL, "%s: %s is not https (http is for this machine's own addresses only)",
                       what_of(r->f), r->origin[0] ? "the address it redirects to" : "its address");
    if (!r->origin[0]) strcpy(r->origin, origin);
    curl_easy_reset(c);
    if (r->f->token && !strcmp(origin, r->origin)) {
        sc_str_printf(&line, "Authorization: Bearer %s", r->f->token);
        if (!line.oom) headers = curl_slist_append(NULL, line.p);
        if (!headers) e = sc_nomem();
    }
    if (!e && r->fd >= 0 && r->have > 0) {
        snprintf(range, sizeof range, "%lld-", (long long)r->have);
        curl_easy_setopt(c, CURLOPT_RANGE, range);
        if (r->etag[0]) {
            char condition[ETAG_MAX + 16];
            snprintf(condition, sizeof condition, "If-Range: %s", r->etag);
            struct curl_slist *more = curl_slist_append(headers, condition);
            if (more)
                headers = more;
            else
                e = sc_nomem();
        }
    }
    if (e) goto done;
    r->started = false;
    r->retry_after = 0;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http"); /* origin_of has refused http to others */
    if (!strncmp(origin, "http:", 5)) curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "socle");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 20L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 64L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 45L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, r);
    CURLcode k = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, code);
    if (r->failed) {
        e = r->failed;
    } else if (k == CURLE_ABORTED_BY_CALLBACK) {
        e = sc_fail(SC_ECANCELLED, "%s: cancelled", what_of(r->f));
    } else if (k) {
        char *scheme_end = strstr(origin, "://");
        e = sc_fail(SC_ENETWORK, "%s: %s: %s", what_of(r->f), scheme_end ? scheme_end + 3 : origin,
                    error[0] ? error : curl_easy_strerror(k));
    } else if (*code >= 300 && *code < 400) {
        char *to = NULL;
        curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &to);
        if (!to)
            e = http_failed(r, *code);
        else if (!(*next = sc_strdup(to)))
            e = sc_nomem();
    }
done:
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    sc_str_free(&line);
    return e;
}

/* The url and what it redirects to. */
static sc_status follow(request *r, long *code)
{
    char *url = sc_strdup(r->f->url);
    sc_status e = url ? SC_OK : sc_nomem();
    r->origin[0] = 0;
    for (int i = 0; !e; i++) {
        char *next = NULL;
        *code = 0;
        e = perform(r, url, code, &next);
        if (!next) break;
        sc_free(url);
        url = next;
        if (i == REDIRECTS_MAX)
            e = sc_fail(SC_ENETWORK, "%s: more than %d redirects", what_of(r->f), REDIRECTS_MAX);
    }
    sc_free(url);
    return e;
}

static sc_status check_fetch(const sc_fetch *f)
{
    for (const char *p = f->token ? f->token : ""; *p; p++)
        if (*p <= ' ' || *p > '~') return sc_fail(SC_EINVAL, "the access token has characters that no token has");
    return SC_OK;
}

/* ---- checksums ---- */

static sc_status digest_file(const char *path, const EVP_MD *kind, bool git, char hex[2 * EVP_MAX_MD_SIZE + 1])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    sc_buffer *map = NULL;
    sc_status e = sc_file_map(&map, path);
    if (e) return e;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, kind, NULL);
    if (ok && git) {
        char head[32];
        int len = snprintf(head, sizeof head, "blob %lld", (long long)map->size) + 1; /* its NUL belongs to it */
        ok = EVP_DigestUpdate(md, head, (size_t)len);
    }
    ok =
        ok && (!map->size || EVP_DigestUpdate(md, map->data, (size_t)map->size)) && EVP_DigestFinal_ex(md, sum, &n);
    EVP_MD_CTX_free(md);
    sc_buffer_unref(map);
    if (!ok) return sc_fail(SC_EUNSUPPORTED, "%s: libcrypto cannot compute its checksum", path);
    for (unsigned i = 0; i < n; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return SC_OK;
}

static sc_status check_digest(const sc_fetch *f, const char *path, const char *name, const char *want)
{
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    bool git = !strcmp(name, "git SHA-1");
    sc_status e = digest_file(path, git ? EVP_sha1() : EVP_sha256(), git, hex);
    if (e) return e;
    if (strcasecmp(hex, want))
        return sc_fail(SC_EFORMAT, "%s: its %s is %s and should be %s", what_of(f), name, hex, want);
    return SC_OK;
}

sc_status sc_fetch_verify(const sc_fetch *f, const char *path)
{
    struct stat info;
    sc_status e;
    if (stat(path, &info)) return sc_fail(errno == ENOENT ? SC_ENOTFOUND : SC_EIO, "%s: %s", path, strerror(errno));
    if (f->size >= 0 && info.st_size != f->size)
        return sc_fail(SC_EFORMAT, "%s: it has %lld bytes and should have %lld", what_of(f),
                       (long long)info.st_size, (long long)f->size);
    if (f->sha256 && (e = check_digest(f, path, "SHA-256", f->sha256))) return e;
    return f->git_sha1 ? check_digest(f, path, "git SHA-1", f->git_sha1) : SC_OK;
}

/* ---- into a file ---- */

/* Opens and locks PATH.partial; have and etag say what it holds. */
static sc_status open_partial(request *r, const char *path)
{
    sc_str a = {0}, b = {0};
    sc_str_printf(&a, "%s.partial", path);
    sc_str_printf(&b, "%s.partial.etag", path);
    r->partial = sc_str_take(&a, NULL);
    r->etag_path = sc_str_take(&b, NULL);
    if (!r->partial || !r->etag_path) return sc_nomem();
    r->fd = open(r->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (r->fd < 0) return sc_fail(SC_EIO, "%s: cannot open: %s", r->partial, strerror(errno));
    if (flock(r->fd, LOCK_EX | LOCK_NB))
        return sc_fail(SC_EIO, "%s: another process is fetching this file", r->partial);
    int64_t end = lseek(r->fd, 0, SEEK_END), n;
    char *etag;
    if (end < 0) return sc_fail(SC_EIO, "%s: %s", r->partial, strerror(errno));
    r->have = end;
    if (!sc_file_read(&etag, &n, r->etag_path, ETAG_MAX - 1)) {
        if (etag[0] == '"' && (int64_t)strcspn(etag, "\r\n") == n) strcpy(r->etag, etag);
        sc_free(etag);
    }
    return SC_OK;
}

static sc_status start_over(request *r)
{
    r->have = 0;
    r->etag[0] = 0;
    unlink(r->etag_path);
    return ftruncate(r->fd, 0) || lseek(r->fd, 0, SEEK_SET) < 0 ? write_failed(r) : SC_OK;
}

/* Waits before another attempt; SC_ECANCELLED ends it early. */
static sc_status pause_for(const request *r, double seconds)
{
    for (double end = sc_now() + seconds; sc_now() < end;) {
        if (r->f->ctx && sc_context_cancelled(r->f->ctx))
            return sc_fail(SC_ECANCELLED, "%s: cancelled", what_of(r->f));
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return SC_OK;
}

/* One attempt. SC_OK with *again where another should follow: the connection broke, the server is busy, or what we
 * had does not fit. */
static sc_status attempt(request *r, bool *again)
{
    long code;
    int64_t before = r->have;
    bool known = r->f->sha256 || r->f->git_sha1;
    sc_status e;
    *again = false;
    /* Without a version or a checksum nothing says that the rest belongs to what we have. */
    bool too_long = r->f->size >= 0 && r->have > r->f->size;
    if (r->have && (too_long || (!r->etag[0] && !known)) && (e = start_over(r))) return e;
    if (r->f->size >= 0 && r->have == r->f->size && r->have > 0) return SC_OK;
    e = follow(r, &code);
    if (r->new_etag[0] && r->started) strcpy(r->etag, r->new_etag);
    if (e) {
        *again = e == SC_ENETWORK && !r->failed && (r->have > before || code == 0);
        return e;
    }
    if (code == 200 || code == 206) {
        if (!r->started) return start_body(r); /* an empty file */
        int64_t size = r->f->size >= 0 ? r->f->size : code == 206 ? r->range_total : r->have;
        *again = r->have < size;
        return *again ? sc_fail(SC_ENETWORK, "%s: cut at %lld of %lld bytes", what_of(r->f), (long long)r->have,
                                (long long)size)
                      : SC_OK;
    }
    if (code == 416 && before > 0) { /* no bytes after ours: all there, or not the same file */
        if (r->range_total == before) return SC_OK;
        if ((e = start_over(r))) return e;
        *again = true;
    }
    if (code == 429 || code >= 500) *again = true;
    return http_failed(r, code);
}

static sc_status fetch_all(request *r)
{
    sc_status e = SC_OK;
    for (int i = 0;; i++) {
        int64_t before = r->have;
        bool again;
        e = attempt(r, &again);
        if (!e || !again) return e;
        if (r->have > before) i = 0; /* as long as it gets on, it may go on */
        if (i + 1 >= ATTEMPTS_MAX) return e;
        sc_status stop = pause_for(r, r->retry_after ? (double)r->retry_after : 0.2 * (1 << i));
        if (stop) return stop;
    }
}

sc_status sc_fetch_file(const sc_fetch *f, const char *path)
{
    request r = {.f = f, .fd = -1, .curl = curl_easy_init()};
    sc_status e = r.curl ? check_fetch(f) : sc_nomem();
    if (e || (e = open_partial(&r, path))) goto done;
    bool resumed = r.have > 0;
    if ((e = fetch_all(&r))) goto done;
    e = sc_fetch_verify(f, r.partial);
    if (e == SC_EFORMAT && resumed) { /* the old beginning may have been another file's */
        if ((e = start_over(&r)) || (e = fetch_all(&r))) goto done;
        e = sc_fetch_verify(f, r.partial);
    }
    if (e) goto done;
    if (fsync(r.fd))
        e = write_failed(&r);
    else if (rename(r.partial, path))
        e = sc_fail(SC_EIO, "%s: cannot put in place: %s", path, strerror(errno));
    else
        unlink(r.etag_path);
done:
    if (e == SC_EFORMAT && r.fd >= 0) unlink(r.partial), unlink(r.etag_path); /* nothing to go on from */
    if (r.fd >= 0) close(r.fd);
    sc_free(r.partial);
    sc_free(r.etag_path);
    curl_easy_cleanup(r.curl);
    return e;
}

sc_status sc_fetch_text(const sc_fetch *f, int64_t max, char **data, int64_t *len)
{
    sc_str text = {0};
    request r = {.f = f, .fd = -1, .text = &text, .max = max, .curl = curl_easy_init()};
    long code = 0;
    sc_status e = r.curl ? check_fetch(f) : sc_nomem();
    if (!e) e = follow(&r, &code);
    if (!e && code != 200) e = http_failed(&r, code);
    curl_easy_cleanup(r.curl);
    if (!e) {
        int64_t n = text.len;
        if (!n) sc_str_puts(&text, "");
        if (!(*data = sc_str_take(&text, NULL)))
            e = sc_nomem();
        else
            *len = n;
    }
    sc_str_free(&text);
    return e;
}

#else /* no libcurl */

static sc_status missing(void)
{
    return sc_fail(SC_EUNSUPPORTED, "this build cannot fetch anything: it was made without libcurl");
}

sc_status sc_fetch_file(const sc_fetch *f, const char *path)
{
    (void)f, (void)path;
    return missing();
}

sc_status sc_fetch_text(const sc_fetch *f, int64_t max, char **data, int64_t *len)
{
    (void)f, (void)max, (void)data, (void)len;
    return missing();
}

sc_status sc_fetch_verify(const sc_fetch *f, const char *path)
{
    (void)f, (void)path;
    return missing();
}

#endif
