/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions of evaluation tasks, written for Python's re: PCRE2 reads them nearly all the same; \Z, which there is
 * only the very end, is rewritten. Where the next match is looked for follows Python 3.7: behind an empty match one that is
 * empty too is not taken at the same place. */
#include "text/text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>

enum { SEARCH_PATTERN = 1 << 16, SEARCH_STEPS = 10000000, SEARCH_DEPTH = 100000, SEARCH_HEAP_KB = 64 << 10 };

struct sc_search {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    char *what;
    int groups;
};

void sc_search_free(sc_search *s)
{
    if (!s) return;
    pcre2_code_free(s->code);
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    sc_free(s->what);
    sc_free(s);
}

static sc_status compile(sc_search *s, const char *pattern, int64_t n, unsigned flags)
{
    sc_str text = {0};
    int error;
    PCRE2_SIZE at;
    for (int64_t i = 0; i < n; i++) {
        if (pattern[i] == '\\' && i + 1 < n) {
            sc_str_putc(&text, '\\');
            sc_str_putc(&text, pattern[i + 1] == 'Z' ? 'z' : pattern[i + 1]);
            i++;
        } else {
            sc_str_putc(&text, pattern[i]);
        }
    }
    if (text.oom) {
        sc_str_free(&text);
        return sc_nomem();
    }
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    if (flags & SC_SEARCH_IGNORE_CASE) options |= PCRE2_CASELESS;
    s->code = pcre2_compile((PCRE2_SPTR)(text.p ? text.p : ""), (PCRE2_SIZE)text.len, options, &error, &at, NULL);
    sc_str_free(&text);
    if (s->code) return SC_OK;
    PCRE2_UCHAR message[200];
    pcre2_get_error_message(error, message, sizeof message);
    return sc_fail(SC_EFORMAT, "%s: regular expression '%.200s': character %lld: %s", s->what, pattern,
                   (long long)at, (const char *)message);
}

sc_status sc_search_new(sc_search **out, const char *pattern, int64_t n, unsigned flags, const char *what)
{
    if (n > SEARCH_PATTERN) return sc_fail(SC_ELIMIT, "%s: a regular expression of more than 64 KiB", what);
    if (!sc_utf8_valid(pattern, n)) return sc_fail(SC_EFORMAT, "%s: a regular expression that is not UTF-8", what);
    sc_search *s = sc_calloc(1, sizeof *s);
    if (!s || !(s->what = sc_strdup(what))) {
        sc_search_free(s);
        return sc_nomem();
    }
    sc_status status = compile(s, pattern, n, flags);
    if (!status) {
        uint32_t groups = 0;
        pcre2_pattern_info(s->code, PCRE2_INFO_CAPTURECOUNT, &groups);
        s->groups = (int)groups;
        pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE); /* without it the matcher is slower, nothing else */
        s->data = pcre2_match_data_create_from_pattern(s->code, NULL);
        s->context = pcre2_match_context_create(NULL);
        if (!s->data || !s->context) status = sc_nomem();
    }
    if (status) {
        sc_search_free(s);
        return status;
    }
    pcre2_set_match_limit(s->context, SEARCH_STEPS);
    pcre2_set_depth_limit(s->context, SEARCH_DEPTH);
    pcre2_set_heap_limit(s->context, SEARCH_HEAP_KB);
    *out = s;
    return SC_OK;
}

int sc_search_groups(const sc_search *s) { return s->groups; }

sc_status sc_search_next(sc_search *s, const char *p, int64_t n, sc_search_place *at, bool *found)
{
    *found = false;
    if (at->next > n) return SC_OK;
    uint32_t options = PCRE2_NO_UTF_CHECK | (at->after_empty ? PCRE2_NOTEMPTY_ATSTART : 0);
    int rc = pcre2_match(s->code, (PCRE2_SPTR)p, (PCRE2_SIZE)n, (PCRE2_SIZE)at->next, options, s->data, s->context);
    if (rc == PCRE2_ERROR_NOMATCH) {
        at->next = n + 1;
        return SC_OK;
    }
    if (rc < 0)
        return sc_fail(rc == PCRE2_ERROR_NOMEMORY ? SC_ENOMEM : SC_ELIMIT,
                       "%s: a regular expression took too many steps", s->what);
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->data);
    at->begin = (int64_t)v[0];
    at->end = SC_MAX((int64_t)v[1], at->begin);
    at->next = at->end;
    at->after_empty = at->end == at->begin;
    *found = true;
    return SC_OK;
}

bool sc_search_group(const sc_search *s, int i, int64_t *begin, int64_t *end)
{
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->data);
    if (i > s->groups || (uint32_t)i >= pcre2_get_ovector_count(s->data) || v[2 * i] == PCRE2_UNSET) return false;
    *begin = (int64_t)v[2 * i];
    *end = (int64_t)v[2 * i + 1];
    return true;
}

/* ---- what stands in place of a match: \1, \g<1>, \g<name>, \n and other letters ---- */

static sc_status put_group(const sc_search *s, const char *p, int i, sc_str *out)
{
    int64_t begin, end;
    if (i > s->groups) return sc_fail(SC_EFORMAT, "%s: a replacement names group %d of %d", s->what, i, s->groups);
    if (sc_search_group(s, i, &begin, &end)) sc_str_append(out, p + begin, end - begin);
    return SC_OK;
}

static sc_status put_named(const sc_search *s, const char *p, const char *with, int64_t n, int64_t *at, sc_str *out)
{
    char name[64];
    int64_t i = *at + 1, k = 0;
    if (i >= n || with[i] != '<') return sc_fail(SC_EFORMAT, "%s: a replacement's \\g lacks its <", s->what);
    for (i++; i < n && with[i] != '>' && k < (int64_t)sizeof name - 1; i++) name[k++] = with[i];
    name[k] = 0;
    if (i >= n || with[i] != '>')
        return sc_fail(SC_EFORMAT, "%s: a replacement's \\g<%s is not closed", s->what, name);
    *at = i;
    if (k && strspn(name, "0123456789") == (size_t)k && k < 6) return put_group(s, p, atoi(name), out);
    int number = pcre2_substring_number_from_name(s->code, (PCRE2_SPTR)name);
    if (number < 0)
        return sc_fail(SC_EFORMAT, "%s: a replacement names group '%s', which there is not", s->what, name);
    return put_group(s, p, number, out);
}

static sc_status expand(const sc_search *s, const char *p, const char *with, int64_t n, sc_str *out)
{
    sc_status status = SC_OK;
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    for (int64_t i = 0; i < n && !status; i++) {
        if (with[i] != '\\' || i + 1 == n) {
            sc_str_putc(out, with[i]);
            continue;
        }
        char c = with[++i];
        const char *hit = strchr(from, c);
        if (c == 'g') {
            status = put_named(s, p, with, n, &i, out);
        } else if (c >= '1' && c <= '9') {
            int group = c - '0';
            if (i + 1 < n && isdigit((unsigned char)with[i + 1])) group = group * 10 + with[++i] - '0';
            status = put_group(s, p, group, out);
        } else if (hit && c) {
            sc_str_putc(out, to[hit - from]);
        } else {
            sc_str_putc(out, '\\');
            sc_str_putc(out, c);
        }
    }
    return status;
}

sc_status sc_search_replace(sc_search *s, const char *p, int64_t n, const char *with, int64_t with_n, int64_t count,
                            int64_t most, sc_str *out)
{
    sc_search_place at = {0};
    int64_t copied = 0, done = 0;
    while (!count || done < count) {
        bool found;
        sc_status status = sc_search_next(s, p, n, &at, &found);
        if (status) return status;
        if (!found) break;
        sc_str_append(out, p + copied, at.begin - copied);
        status = expand(s, p, with, with_n, out);
        if (status) return status;
        if (out->len > most) return sc_fail(SC_ELIMIT, "%s: a replacement makes too long a text", s->what);
        copied = at.end;
        done++;
    }
    sc_str_append(out, p + copied, n - copied);
    return out->oom ? sc_nomem() : SC_OK;
}
