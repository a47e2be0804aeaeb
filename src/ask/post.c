/* SPDX-License-Identifier: Apache-2.0 */
#include "ask/post.h"
#include "io/io.h"

#ifdef SC_WITH_CURL

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

enum { MOST_ANSWER = 64 << 20, LONGEST_WAIT = 60 };

/* One of the requests under way. */
typedef struct call {
    CURL *curl; /* NULL: the place was never used */
    bool busy, running;
    int64_t i;
    char *body;
    int64_t n_body;
    sc_str url, text;
    bool too_long;
    int tried;
    double again; /* when to send it again, where not running */
    double retry_after;
    char error[CURL_ERROR_SIZE];
} call;

sc_status sc_post_check(const sc_post *p)
{
    char origin[512];
    bool https, here;
    if (!sc_url_origin(p->url, origin, &https, &here))
        return sc_fail(SC_EINVAL, "'%s' is no address of an endpoint: https://host/v1, or http", p->url);
    for (const char *k = p->key ? p->key : ""; *k; k++)
        if (*k <= ' ' || *k > '~') return sc_fail(SC_EINVAL, "the endpoint's key has characters that no key has");
    if (p->key && *p->key && !https && !here)
        return sc_fail(SC_EINVAL, "%s: a key is not sent over http, where others could read it; use https", p->url);
    return SC_OK;
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
    call *c = user;
    if ((int64_t)(size * n) > MOST_ANSWER - c->text.len) {
        c->too_long = true;
        return 0;
    }
    sc_str_append(&c->text, p, (int64_t)(size * n));
    return c->text.oom ? 0 : size * n;
}

static size_t on_header(char *p, size_t size, size_t n, void *user)
{
    call *c = user;
    static const char name[] = "retry-after:";
    char value[32];
    size_t len = size * n, at = sizeof name - 1;
    if (len > at && len - at < sizeof value && !strncasecmp(p, name, at)) {
        memcpy(value, p + at, len - at);
        value[len - at] = 0;
        c->retry_after = SC_MIN(SC_MAX(atof(value), 0.0), (double)LONGEST_WAIT);
    }
    return len;
}

static sc_status start(const sc_post *p, CURLM *multi, struct curl_slist *headers, call *c)
{
    CURL *h = c->curl;
    bool https, here;
    char origin[512];
    curl_easy_reset(h);
    sc_str_free(&c->text);
    c->too_long = false;
    c->retry_after = 0;
    c->error[0] = 0;
    if (!sc_url_origin(c->url.p, origin, &https, &here)) return sc_post_check(p);
    if (here) curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_URL, c->url.p);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L); /* a key goes where the user said */
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, c->body);
    curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->n_body);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "socle");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, 20L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(p->timeout * 1000));
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_PRIVATE, c);
    if (curl_multi_add_handle(multi, h)) return sc_nomem();
    c->running = true;
    return SC_OK;
}

/* The next request into a free place. */
static sc_status take(const sc_post *p, call *c, int64_t i)
{
    const char *path;
    if (!c->curl && !(c->curl = curl_easy_init())) return sc_nomem();
    c->busy = true;
    c->i = i;
    c->tried = 0;
    c->again = 0;
    sc_status s = p->body(p->user, i, &path, &c->body, &c->n_body);
    if (s) return s;
    sc_str_free(&c->url);
    sc_str_printf(&c->url, "%s%s", p->url, path);
    return c->url.oom ? sc_nomem() : SC_OK;
}

static void release(call *c)
{
    sc_free(c->body);
    c->body = NULL;
    sc_str_free(&c->text);
    c->busy = false;
}

/* What the server says of an error, in one line: OpenAI's {"error": {"message"}}, or what begins its answer. */
static sc_status refused(const sc_post *p, const call *c, long code)
{
    json_t *o = NULL;
    const char *message = NULL;
    if (c->text.len && !sc_json_parse(&o, c->text.p, c->text.len, "the answer")) {
        const json_t *e = json_object_get(o, "error");
        message = json_string_value(json_is_object(e) ? json_object_get(e, "message") : e);
        if (!message) message = json_string_value(json_object_get(o, "message"));
        if (!message) message = json_string_value(json_object_get(o, "detail"));
    }
    sc_status kind = code == 404 ? SC_ENOTFOUND : code == 400 || code == 422 ? SC_EINVAL : SC_ENETWORK;
    sc_status s = message ? sc_fail(kind, "%s: HTTP %ld: %.300s", c->url.p, code, message)
                          : sc_fail(kind, "%s: the server answered HTTP %ld%s", c->url.p, code,
                                    code == 401 || code == 403 ? p->key ? " to the key" : "; it wants a key" : "");
    json_decref(o);
    return s;
}

/* A call has ended: its answer is handed over, or it waits to be sent again. */
static sc_status finish(sc_post *p, call *c, CURLcode result)
{
    long code = 0;
    sc_status s;
    c->running = false;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &code);
    if (c->text.oom) return sc_nomem();
    if (c->too_long) return sc_fail(SC_ELIMIT, "%s: an answer of more than %d bytes", c->url.p, MOST_ANSWER);
    if (!result && code == 200) {
        s = p->answer(p->user, c->i, c->text.p ? c->text.p : "", c->text.len);
        p->answered++;
        release(c);
        return s;
    }
    bool for_a_while = result ? result != CURLE_URL_MALFORMAT && result != CURLE_UNSUPPORTED_PROTOCOL &&
                                    result != CURLE_PEER_FAILED_VERIFICATION
                              : code == 408 || code == 429 || code >= 500;
    if (for_a_while && c->tried < p->retries) {
        double wait = c->retry_after > 0 ? c->retry_after : 0.5 * (double)(1 << SC_MIN(c->tried, 7));
        c->again = sc_now() + SC_MIN(wait, (double)LONGEST_WAIT);
        c->tried++;
        p->retried++;
        return SC_OK;
    }
    if (!result) return refused(p, c, code);
    return sc_fail(SC_ENETWORK, "%s: %s%s", c->url.p, c->error[0] ? c->error : curl_easy_strerror(result),
                   c->tried ? "; also when asked again" : "");
}

/* Starts what can be: new requests into free places, and those whose time has come again. */
static sc_status feed(sc_post *p, CURLM *multi, struct curl_slist *headers, call *calls, int64_t n, int64_t *next)
{
    sc_status s = SC_OK;
    for (int k = 0; k < p->concurrency && !s; k++) {
        call *c = &calls[k];
        if (!c->busy && *next < n) s = take(p, c, (*next)++);
        if (!s && c->busy && !c->running && sc_now() >= c->again) s = start(p, multi, headers, c);
    }
    return s;
}

static sc_status drive(sc_post *p, CURLM *multi, struct curl_slist *headers, call *calls, int64_t n)
{
    int64_t next = 0, end = p->answered + n;
    sc_status s = SC_OK;
    while (!s && p->answered < end) {
        int running, left;
        CURLMsg *m;
        if (p->ctx && sc_context_cancelled(p->ctx)) return sc_fail(SC_ECANCELLED, "%s: cancelled", p->url);
        if ((s = feed(p, multi, headers, calls, n, &next))) return s;
        if (curl_multi_perform(multi, &running)) return sc_fail(SC_ENETWORK, "%s: libcurl cannot go on", p->url);
        while (!s && (m = curl_multi_info_read(multi, &left))) {
            call *c = NULL;
            CURLcode result = m->data.result; /* m is gone with its handle */
            if (m->msg != CURLMSG_DONE) continue;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
            curl_multi_remove_handle(multi, c->curl);
            s = finish(p, c, result);
        }
        if (!s && p->answered < end) curl_multi_poll(multi, NULL, 0, 50, NULL);
    }
    return s;
}

static sc_status make_headers(const sc_post *p, struct curl_slist **out)
{
    sc_str line = {0};
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json"), *more;
    bool ok = list != NULL;
    if (ok && p->key && *p->key) {
        sc_str_printf(&line, "Authorization: Bearer %s", p->key);
        more = line.oom ? NULL : curl_slist_append(list, line.p);
        ok = more != NULL;
    }
    sc_str_free(&line);
    if (!ok) {
        curl_slist_free_all(list);
        return sc_nomem();
    }
    *out = list;
    return SC_OK;
}

sc_status sc_post_all(sc_post *p, int64_t n)
{
    struct curl_slist *headers = NULL;
    sc_status s = sc_post_check(p);
    if (!s) s = make_headers(p, &headers);
    if (s) return s;
    CURLM *multi = curl_multi_init();
    call *calls = sc_calloc((size_t)p->concurrency, sizeof *calls);
    s = multi && calls ? drive(p, multi, headers, calls, n) : sc_nomem();
    for (int k = 0; calls && k < p->concurrency; k++) {
        call *c = &calls[k];
        if (c->running) curl_multi_remove_handle(multi, c->curl);
        curl_easy_cleanup(c->curl);
        release(c);
        sc_str_free(&c->url);
    }
    sc_free(calls);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    return s;
}

#else /* no libcurl */

static sc_status missing(void)
{
    return sc_fail(SC_EUNSUPPORTED, "this build cannot ask endpoints: it was made without libcurl");
}

sc_status sc_post_check(const sc_post *p)
{
    (void)p;
    return missing();
}

sc_status sc_post_all(sc_post *p, int64_t n)
{
    (void)p, (void)n;
    return missing();
}

#endif
