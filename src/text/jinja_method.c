/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of Python's built-in types. Those that change a list or dict exist only to be refused: the sandbox is
 * the immutable one. */
#include "text/jinja.h"

#include <math.h>

#define METHOD(name) static bool name(jx *x, jv self, jv *a, const jcall *c, jv *out)

/* A result that is a Markup where the string was one. */
static bool like(jx *x, jv self, const char *p, int64_t n, jv *out)
{
    return jv_view(x, p, n, self.s->markup, out);
}

static bool like_taken(jx *x, jv self, sc_str *s, jv *out)
{
    return jv_take(x, s, out) && (!self.s->markup || jv_view(x, out->s->p, out->s->n, true, out));
}

/* ---- case ---- */

static bool change_case(jx *x, jv self, jcase how, jv *out)
{
    sc_str s = {0};
    if (!jx_step(x, self.s->n / 16)) return false;
    juni_case(&s, self.s->p, self.s->n, how);
    return like_taken(x, self, &s, out);
}

METHOD(str_upper) { return (void)a, (void)c, change_case(x, self, JCASE_UPPER, out); }
METHOD(str_lower) { return (void)a, (void)c, change_case(x, self, JCASE_LOWER, out); }
METHOD(str_title) { return (void)a, (void)c, change_case(x, self, JCASE_TITLE, out); }
METHOD(str_capitalize) { return (void)a, (void)c, change_case(x, self, JCASE_CAPITALIZE, out); }
METHOD(str_swapcase) { return (void)a, (void)c, change_case(x, self, JCASE_SWAP, out); }
METHOD(str_casefold) { return (void)a, (void)c, change_case(x, self, JCASE_FOLD, out); }

/* ---- stripping and parts ---- */

static bool in_set(const jstr *set, uint32_t c)
{
    for (int64_t i = 0; i < set->n;) {
        uint32_t k;
        i += sc_utf8_decode(set->p + i, set->n - i, &k);
        if (k == c) return true;
    }
    return false;
}

static bool strip(jx *x, jv self, jv chars, bool left, bool right, jv *out)
{
    const char *p = self.s->p;
    int64_t n = self.s->n;
    const jstr *set = NULL;
    if (chars.t != J_NONE && !jx_arg_str(x, chars, "strip()'s argument", &set)) return false;
    if (!set) {
        jstr_strip(&p, &n, left, right);
        return like(x, self, p, n, out);
    }
    uint32_t c;
    while (left && n > 0) {
        int k = sc_utf8_decode(p, n, &c);
        if (!jx_step(x, set->n / 16)) return false;
        if (!in_set(set, c)) break;
        p += k;
        n -= k;
    }
    while (right && n > 0) {
        int64_t at = n - 1;
        while (at > 0 && (p[at] & 0xC0) == 0x80) at--;
        sc_utf8_decode(p + at, n - at, &c);
        if (!jx_step(x, set->n / 16)) return false;
        if (!in_set(set, c)) break;
        n = at;
    }
    return like(x, self, p, n, out);
}

METHOD(str_strip) { return (void)c, strip(x, self, a[0], true, true, out); }
METHOD(str_lstrip) { return (void)c, strip(x, self, a[0], true, false, out); }
METHOD(str_rstrip) { return (void)c, strip(x, self, a[0], false, true, out); }

static bool starts(jx *x, const jstr *s, const jstr *with, bool end, bool *out)
{
    *out = s->n >= with->n && !memcmp(end ? s->p + s->n - with->n : s->p, with->p, (size_t)with->n);
    return jx_step(x, s->n >= with->n ? with->n / 64 : 0);
}

static bool remove_affix(jx *x, jv self, jv *a, bool end, jv *out)
{
    const jstr *k = NULL;
    bool hit;
    if (!jx_arg_str(x, a[0], "the argument", &k) || !starts(x, self.s, k, end, &hit)) return false;
    if (!hit) return like(x, self, self.s->p, self.s->n, out);
    return like(x, self, self.s->p + (end ? 0 : k->n), self.s->n - k->n, out);
}

METHOD(str_removeprefix) { return (void)c, remove_affix(x, self, a, false, out); }
METHOD(str_removesuffix) { return (void)c, remove_affix(x, self, a, true, out); }

/* The part of s that the optional start and end (code points, as in a slice) leave. false in *inside: start is past it. */
static bool window(jx *x, const jstr *s, jv start, jv end, jstr *out, int64_t *first, bool *inside)
{
    int64_t lo = 0, hi = s->chars;
    if (start.t != J_NONE && !jx_arg_int(x, start, "start", &lo)) return false;
    if (end.t != J_NONE && !jx_arg_int(x, end, "end", &hi)) return false;
    if (lo < 0) lo = SC_MAX(lo + s->chars, 0);
    if (hi < 0) hi = SC_MAX(hi + s->chars, 0);
    hi = SC_MIN(hi, s->chars);
    *inside = lo <= hi;
    *first = lo;
    if (!*inside) return true;
    int64_t from = jstr_offset(s, lo), to = jstr_offset(s, hi);
    *out = (jstr){.p = s->p + from, .n = to - from, .chars = hi - lo};
    return jx_step(x, s->chars == s->n ? 0 : s->n / 64);
}

static bool affix(jx *x, jv self, jv *a, bool end, jv *out)
{
    jstr w = {0};
    int64_t first;
    bool inside, hit = false;
    const char *what = end ? "endswith()'s argument" : "startswith()'s argument";
    if (!window(x, self.s, a[1], a[2], &w, &first, &inside)) return false;
    if (a[0].t == J_TUPLE) {
        for (int64_t i = 0; i < a[0].l->n && !hit; i++) {
            const jstr *k = NULL;
            if (!jx_arg_str(x, a[0].l->v[i], what, &k) || (inside && !starts(x, &w, k, end, &hit))) return false;
        }
    } else {
        const jstr *k = NULL;
        if (!jx_arg_str(x, a[0], what, &k) || (inside && !starts(x, &w, k, end, &hit))) return false;
    }
    *out = jv_bool(hit);
    return true;
}

METHOD(str_startswith) { return (void)c, affix(x, self, a, false, out); }
METHOD(str_endswith) { return (void)c, affix(x, self, a, true, out); }

/* The last place of k, *hit NULL: none. Each place may cost as much as k is long, so they are paid for on the way. */
static bool last_hit(jx *x, const char *p, int64_t n, const jstr *k, const char **hit)
{
    *hit = NULL;
    for (int64_t i = n - k->n, tried = 0; i >= 0; i--) {
        if (!memcmp(p + i, k->p, (size_t)k->n)) return *hit = p + i, true;
        if (++tried % 64 == 0 && !jx_step(x, 1 + k->n / 16)) return false;
    }
    return true;
}

/* The first place of k, which is not empty, or with `last` the last one. */
static bool search(jx *x, const char *p, int64_t n, const jstr *k, bool last, const char **hit)
{
    if (last) return last_hit(x, p, n, k, hit);
    *hit = memmem(p, (size_t)n, k->p, (size_t)k->n);
    return true;
}

static bool find(jx *x, jv self, jv *a, bool last, bool must, jv *out)
{
    const jstr *k = NULL;
    jstr w = {0};
    int64_t first;
    bool inside;
    if (!jx_arg_str(x, a[0], "the argument", &k) || !window(x, self.s, a[1], a[2], &w, &first, &inside))
        return false;
    const char *hit = inside && !last && k->n == 0 ? w.p : NULL;
    if (!jx_step(x, w.n / 16) || (inside && !hit && !search(x, w.p, w.n, k, last, &hit))) return false;
    if (!hit && must) return jx_fail(x, SC_EINVAL, "substring not found");
    int64_t chars = first;
    for (const char *q = w.p; hit && q < hit; q++) chars += (*q & 0xC0) != 0x80;
    *out = jv_int(hit ? chars : -1);
    return true;
}

METHOD(str_find) { return (void)c, find(x, self, a, false, false, out); }
METHOD(str_rfind) { return (void)c, find(x, self, a, true, false, out); }
METHOD(str_index) { return (void)c, find(x, self, a, false, true, out); }
METHOD(str_rindex) { return (void)c, find(x, self, a, true, true, out); }

METHOD(str_count)
{
    const jstr *k = NULL;
    jstr w = {0};
    int64_t first, n = 0;
    bool inside;
    (void)c;
    if (!jx_arg_str(x, a[0], "count()'s argument", &k) || !window(x, self.s, a[1], a[2], &w, &first, &inside))
        return false;
    if (!inside || !jx_step(x, w.n / 16)) return *out = jv_int(0), !inside;
    if (k->n == 0) return *out = jv_int(w.chars + 1), true;
    for (const char *p = w.p, *end = w.p + w.n; (p = memmem(p, (size_t)(end - p), k->p, (size_t)k->n)); p += k->n)
        n++;
    *out = jv_int(n);
    return true;
}

METHOD(str_replace)
{
    const jstr *from = NULL, *to = NULL;
    int64_t count = -1;
    jv with = a[1];
    (void)c;
    if (!jx_arg_str(x, a[0], "replace()'s first argument", &from) ||
        !jx_arg_int(x, a[2], "replace()'s count", &count))
        return false;
    if (self.s->markup && !jstr_escape(x, with, &with)) return false;
    if (!jx_arg_str(x, with, "replace()'s second argument", &to) || !jstr_replace(x, self.s, from, to, count, out))
        return false;
    return !self.s->markup || jv_view(x, out->s->p, out->s->n, true, out);
}

/* ---- splitting ---- */

static bool push_part(jx *x, jv self, const char *p, int64_t n, jv list)
{
    jv v;
    return jx_step(x, 1) && like(x, self, p, n, &v) && jlist_push(x, list.l, v);
}

static bool split_space(jx *x, jv self, int64_t limit, jv list)
{
    const char *p = self.s->p;
    int64_t n = self.s->n;
    for (;;) {
        jstr_strip(&p, &n, true, false);
        if (n == 0) return true;
        int64_t k = 0;
        if (limit-- == 0) return push_part(x, self, p, n, list);
        while (k < n) {
            uint32_t c;
            int step = sc_utf8_decode(p + k, n - k, &c);
            if (juni_space(c)) break;
            k += step;
        }
        if (!push_part(x, self, p, k, list)) return false;
        p += k;
        n -= k;
    }
}

static bool rsplit_space(jx *x, jv self, int64_t limit, jv list)
{
    const char *p = self.s->p;
    int64_t n = self.s->n;
    for (;;) {
        jstr_strip(&p, &n, false, true);
        if (n == 0) return true;
        if (limit-- == 0) return push_part(x, self, p, n, list);
        int64_t k = n;
        while (k > 0) {
            uint32_t c;
            int64_t at = k - 1;
            while (at > 0 && (p[at] & 0xC0) == 0x80) at--;
            sc_utf8_decode(p + at, n - at, &c);
            if (juni_space(c)) break;
            k = at;
        }
        if (!push_part(x, self, p + k, n - k, list)) return false;
        n = k;
    }
}

static bool split_at(jx *x, jv self, const jstr *sep, int64_t limit, bool right, jv list)
{
    const char *p = self.s->p;
    int64_t n = self.s->n;
    for (; limit != 0; limit--) {
        const char *hit;
        if (!search(x, p, n, sep, right, &hit)) return false;
        if (!hit) break;
        const char *after = hit + sep->n;
        if (right ? !push_part(x, self, after, p + n - after, list) : !push_part(x, self, p, hit - p, list))
            return false;
        n = right ? hit - p : n - (after - p);
        if (!right) p = after;
    }
    return push_part(x, self, p, n, list);
}

static bool split(jx *x, jv self, jv *a, bool right, jv *out)
{
    int64_t limit = -1;
    const jstr *sep = NULL;
    bool ok;
    if (!jx_arg_int(x, a[1], "split()'s maxsplit", &limit)) return false;
    if (a[0].t != J_NONE && !jx_arg_str(x, a[0], "split()'s separator", &sep)) return false;
    if (sep && sep->n == 0) return jx_fail(x, SC_EINVAL, "empty separator");
    if (!jx_step(x, self.s->n / 16) || !jv_list(x, J_LIST, 0, out)) return false;
    if (sep)
        ok = split_at(x, self, sep, limit, right, *out);
    else
        ok = right ? rsplit_space(x, self, limit, *out) : split_space(x, self, limit, *out);
    for (int64_t i = 0, j = out->l->n - 1; ok && right && i < j; i++, j--) {
        jv v = out->l->v[i];
        out->l->v[i] = out->l->v[j];
        out->l->v[j] = v;
    }
    return ok;
}

METHOD(str_split) { return (void)c, split(x, self, a, false, out); }
METHOD(str_rsplit) { return (void)c, split(x, self, a, true, out); }

static bool partition(jx *x, jv self, jv *a, bool right, jv *out)
{
    const jstr *sep = NULL, *s = self.s;
    if (!jx_arg_str(x, a[0], "partition()'s separator", &sep)) return false;
    if (sep->n == 0) return jx_fail(x, SC_EINVAL, "empty separator");
    const char *hit;
    if (!jx_step(x, s->n / 16) || !search(x, s->p, s->n, sep, right, &hit)) return false;
    int64_t head = hit ? hit - s->p : right ? 0 : s->n, mid = hit ? sep->n : 0;
    if (!jv_list(x, J_TUPLE, 3, out)) return false;
    return like(x, self, s->p, head, &out->l->v[0]) && like(x, self, s->p + head, mid, &out->l->v[1]) &&
           like(x, self, s->p + head + mid, s->n - head - mid, &out->l->v[2]);
}

METHOD(str_partition) { return (void)c, partition(x, self, a, false, out); }
METHOD(str_rpartition) { return (void)c, partition(x, self, a, true, out); }
METHOD(str_splitlines) { return (void)c, jstr_lines(x, self.s, a[0].t != J_MISSING && jv_truth(x, a[0]), out); }
METHOD(str_join) { return (void)c, jstr_join(x, self.s, a[0], false, out); }
METHOD(str_format) { return (void)a, jstr_format(x, self.s, c, out); }

METHOD(str_format_map)
{
    (void)c;
    if (a[0].t != J_DICT) return jx_fail(x, SC_EINVAL, "format_map() needs a mapping");
    jcall inner = {.kw = a[0].d};
    return jstr_format(x, self.s, &inner, out);
}

/* ---- padding ---- */

static bool pad(jx *x, jv self, jv *a, char align, jv *out)
{
    int64_t width = 0;
    sc_str s = {0};
    jv fill_value = a[1];
    const jstr *fill = NULL;
    if (self.s->markup && fill_value.t != J_MISSING && !jstr_escape(x, fill_value, &fill_value)) return false;
    if (!jx_arg_int(x, a[0], "the width", &width) || !jx_arg_str(x, fill_value, "the fill character", &fill))
        return false;
    if (fill && fill->chars != 1)
        return jx_fail(x, SC_EINVAL, "the fill character must be exactly one character long");
    int64_t extra = SC_MAX(width - self.s->chars, 0);
    if (extra > x->max_output / 4) return jx_fail(x, SC_ELIMIT, "a string of %lld characters", (long long)width);
    if (align == '^') { /* Python's centre leans left or right by the parity of width and pad */
        int64_t left = extra / 2 + (extra & width & 1);
        for (int64_t i = 0; i < left; i++) sc_str_append(&s, fill ? fill->p : " ", fill ? fill->n : 1);
        width -= left;
        align = '<';
    }
    jstr_pad(&s, self.s->p, self.s->n, self.s->chars, width, align, fill ? fill->p : " ", fill ? (int)fill->n : 1);
    return jx_step(x, extra / 16) && like_taken(x, self, &s, out);
}

METHOD(str_center) { return (void)c, pad(x, self, a, '^', out); }
METHOD(str_ljust) { return (void)c, pad(x, self, a, '<', out); }
METHOD(str_rjust) { return (void)c, pad(x, self, a, '>', out); }

METHOD(str_zfill)
{
    int64_t width = 0, sign = self.s->n && (self.s->p[0] == '-' || self.s->p[0] == '+');
    sc_str s = {0};
    (void)c;
    if (!jx_arg_int(x, a[0], "the width", &width)) return false;
    if (width > x->max_output / 4) return jx_fail(x, SC_ELIMIT, "a string of %lld characters", (long long)width);
    sc_str_append(&s, self.s->p, sign);
    for (int64_t i = self.s->chars; i < width; i++) sc_str_putc(&s, '0');
    sc_str_append(&s, self.s->p + sign, self.s->n - sign);
    return like_taken(x, self, &s, out);
}

METHOD(str_expandtabs)
{
    int64_t size = 8, column = 0;
    sc_str s = {0};
    (void)c;
    if (!jx_arg_int(x, a[0], "the tab size", &size)) return false;
    size = SC_MIN(SC_MAX(size, 0), 1000);
    for (int64_t i = 0; i < self.s->n && jstr_ok(x, &s); i++) {
        char ch = self.s->p[i];
        if (ch == '\t') {
            int64_t n = size ? size - column % size : 0;
            column += n;
            while (n-- > 0) sc_str_putc(&s, ' ');
            continue;
        }
        sc_str_putc(&s, ch);
        column = ch == '\n' || ch == '\r' ? 0 : column + ((ch & 0xC0) != 0x80);
    }
    return like_taken(x, self, &s, out);
}

/* ---- questions ---- */

static bool all_of(jx *x, jv self, bool (*test)(uint32_t), jv *out)
{
    bool yes = self.s->n > 0;
    for (int64_t i = 0; yes && i < self.s->n;) {
        uint32_t c;
        i += sc_utf8_decode(self.s->p + i, self.s->n - i, &c);
        yes = test(c);
    }
    *out = jv_bool(yes);
    return jx_step(x, self.s->n / 16);
}

static bool alnum(uint32_t c) { return juni_alpha(c) || juni_numeric(c); }
static bool ascii(uint32_t c) { return c < 128; }

METHOD(str_isalpha) { return (void)a, (void)c, all_of(x, self, juni_alpha, out); }
METHOD(str_isdigit) { return (void)a, (void)c, all_of(x, self, juni_digit, out); }
METHOD(str_isdecimal) { return (void)a, (void)c, all_of(x, self, juni_decimal, out); }
METHOD(str_isnumeric) { return (void)a, (void)c, all_of(x, self, juni_numeric, out); }
METHOD(str_isalnum) { return (void)a, (void)c, all_of(x, self, alnum, out); }
METHOD(str_isspace) { return (void)a, (void)c, all_of(x, self, juni_space, out); }

static bool or_empty(jx *x, jv self, bool (*test)(uint32_t), jv *out)
{
    if (self.s->n) return all_of(x, self, test, out);
    *out = jv_bool(true);
    return true;
}

METHOD(str_isascii) { return (void)a, (void)c, or_empty(x, self, ascii, out); }
METHOD(str_isprintable) { return (void)a, (void)c, or_empty(x, self, juni_printable, out); }

METHOD(str_isidentifier)
{
    (void)a, (void)c;
    bool digit = self.s->n && self.s->p[0] >= '0' && self.s->p[0] <= '9';
    if (!all_of(x, self, juni_word, out)) return false;
    *out = jv_bool(out->b && !digit);
    return true;
}

static bool one_case(jx *x, jv self, bool (*want)(uint32_t), bool (*not_want)(uint32_t), jv *out)
{
    bool seen = false, other = false;
    for (int64_t i = 0; i < self.s->n;) {
        uint32_t c;
        i += sc_utf8_decode(self.s->p + i, self.s->n - i, &c);
        seen = seen || want(c);
        other = other || not_want(c);
    }
    *out = jv_bool(seen && !other);
    return jx_step(x, self.s->n / 16);
}

METHOD(str_islower) { return (void)a, (void)c, one_case(x, self, juni_lower_case, juni_upper_case, out); }
METHOD(str_isupper) { return (void)a, (void)c, one_case(x, self, juni_upper_case, juni_lower_case, out); }

METHOD(str_istitle)
{
    bool any = false, before = false, ok = true;
    (void)a, (void)c;
    for (int64_t i = 0; i < self.s->n;) {
        uint32_t k;
        i += sc_utf8_decode(self.s->p + i, self.s->n - i, &k);
        bool up = juni_upper_case(k), low = juni_lower_case(k);
        if ((up && before) || (low && !before)) ok = false;
        before = up || low;
        any = any || before;
    }
    *out = jv_bool(any && ok);
    return jx_step(x, self.s->n / 16);
}

METHOD(unsupported)
{
    return (void)self, (void)a, (void)c, (void)out,
           jx_fail(x, SC_EUNSUPPORTED, "this method is not supported in templates");
}

/* ---- lists, tuples, ranges ---- */

static bool count_or_index(jx *x, jv self, jv *a, bool count, jv *out)
{
    jiter *it;
    jv v;
    bool more, same;
    int64_t n = 0, at = 0, lo = 0, hi = INT64_MAX, len;
    if (!jx_arg_int(x, a[1], "start", &lo) || !jx_arg_int(x, a[2], "stop", &hi)) return false;
    if (!jv_len(x, self, &len, &same) || !jiter_new(x, self, &it)) return false;
    if (lo < 0) lo += len;
    if (hi < 0) hi += len;
    for (;; at++) {
        if (!jiter_next(x, it, &v, &more)) return false;
        if (!more) break;
        if (!jv_equal(x, v, a[0], &same)) return false;
        if (!count && same && at >= lo && at < hi) return *out = jv_int(at), true;
        n += same;
    }
    *out = jv_int(n);
    return count || jx_fail(x, SC_EINVAL, "the value is not in the %s", jv_type_name(self));
}

METHOD(seq_count) { return (void)c, count_or_index(x, self, a, true, out); }
METHOD(seq_index) { return (void)c, count_or_index(x, self, a, false, out); }

METHOD(list_copy)
{
    (void)a, (void)c;
    return jv_slice(x, self, jv_none(), jv_none(), jv_none(), out);
}

/* ---- dictionaries ---- */

static bool view(jx *x, jv self, jview_kind kind, jv *out)
{
    jview *v = jx_alloc(x, 1, sizeof(*v));
    if (!v) return false;
    v->kind = kind;
    v->d = self.d;
    *out = (jv){.t = J_VIEW, .view = v};
    return true;
}

METHOD(dict_keys) { return (void)a, (void)c, view(x, self, JVIEW_KEYS, out); }
METHOD(dict_values) { return (void)a, (void)c, view(x, self, JVIEW_VALUES, out); }
METHOD(dict_items) { return (void)a, (void)c, view(x, self, JVIEW_ITEMS, out); }

METHOD(dict_get)
{
    bool found;
    (void)c;
    if (!jdict_get(x, self.d, a[0], out, &found)) return false;
    if (!found) *out = a[1].t == J_MISSING ? jv_none() : a[1];
    return true;
}

METHOD(dict_copy)
{
    jdict *d;
    (void)a, (void)c;
    if (!jdict_new(x, &d)) return false;
    for (int64_t i = 0; i < self.d->n; i++) {
        if (!jx_step(x, 1) || !jdict_set(x, d, self.d->e[i].key, self.d->e[i].value)) return false;
    }
    *out = (jv){.t = J_DICT, .d = d};
    return true;
}

METHOD(dict_fromkeys)
{
    jdict *d;
    jiter *it;
    jv key;
    bool more;
    (void)self, (void)c;
    if (!jdict_new(x, &d) || !jiter_new(x, a[0], &it)) return false;
    for (;;) {
        if (!jiter_next(x, it, &key, &more)) return false;
        if (!more) break;
        if (!jdict_set(x, d, key, a[1].t == J_MISSING ? jv_none() : a[1])) return false;
    }
    *out = (jv){.t = J_DICT, .d = d};
    return true;
}

/* ---- numbers, cyclers ---- */

METHOD(int_bit_length)
{
    int64_t i = 0;
    (void)x, (void)a, (void)c;
    jv_is_int(self, &i);
    uint64_t u = i < 0 ? (uint64_t)0 - (uint64_t)i : (uint64_t)i;
    *out = jv_int(u ? 64 - __builtin_clzll(u) : 0);
    return true;
}

METHOD(int_bit_count)
{
    int64_t i = 0;
    (void)x, (void)a, (void)c;
    jv_is_int(self, &i);
    *out = jv_int(__builtin_popcountll(i < 0 ? (uint64_t)0 - (uint64_t)i : (uint64_t)i));
    return true;
}

METHOD(number_conjugate) { return (void)a, (void)c, jv_unary(x, false, self, out); }

METHOD(float_is_integer)
{
    (void)x, (void)a, (void)c;
    *out = jv_bool(isfinite(self.f) && self.f == floor(self.f));
    return true;
}

METHOD(cycler_next)
{
    jcycler *y = self.cycler;
    (void)x, (void)a, (void)c;
    *out = y->items->v[y->pos];
    y->pos = (y->pos + 1) % y->items->n;
    return true;
}

METHOD(cycler_reset)
{
    (void)x, (void)a, (void)c;
    self.cycler->pos = 0;
    *out = jv_none();
    return true;
}

/* ---- tables ---- */

static const jfunc str_methods[] = {
    {"split", str_split, "sep maxsplit", 0},
    {"strip", str_strip, "/chars", 0},
    {"startswith", str_startswith, "/prefix start end", 1},
    {"endswith", str_endswith, "/suffix start end", 1},
    {"replace", str_replace, "/old new count", 2},
    {"lstrip", str_lstrip, "/chars", 0},
    {"rstrip", str_rstrip, "/chars", 0},
    {"upper", str_upper, "/", 0},
    {"lower", str_lower, "/", 0},
    {"title", str_title, "/", 0},
    {"capitalize", str_capitalize, "/", 0},
    {"join", str_join, "/iterable", 1},
    {"format", str_format, NULL, 0},
    {"format_map", str_format_map, "/mapping", 1},
    {"find", str_find, "/sub start end", 1},
    {"rfind", str_rfind, "/sub start end", 1},
    {"index", str_index, "/sub start end", 1},
    {"rindex", str_rindex, "/sub start end", 1},
    {"count", str_count, "/sub start end", 1},
    {"rsplit", str_rsplit, "sep maxsplit", 0},
    {"splitlines", str_splitlines, "keepends", 0},
    {"partition", str_partition, "/sep", 1},
    {"rpartition", str_rpartition, "/sep", 1},
    {"removeprefix", str_removeprefix, "/prefix", 1},
    {"removesuffix", str_removesuffix, "/suffix", 1},
    {"center", str_center, "/width fillchar", 1},
    {"ljust", str_ljust, "/width fillchar", 1},
    {"rjust", str_rjust, "/width fillchar", 1},
    {"zfill", str_zfill, "/width", 1},
    {"expandtabs", str_expandtabs, "tabsize", 0},
    {"swapcase", str_swapcase, "/", 0},
    {"casefold", str_casefold, "/", 0},
    {"isalpha", str_isalpha, "/", 0},
    {"isdigit", str_isdigit, "/", 0},
    {"isdecimal", str_isdecimal, "/", 0},
    {"isnumeric", str_isnumeric, "/", 0},
    {"isalnum", str_isalnum, "/", 0},
    {"isspace", str_isspace, "/", 0},
    {"isascii", str_isascii, "/", 0},
    {"isprintable", str_isprintable, "/", 0},
    {"isidentifier", str_isidentifier, "/", 0},
    {"islower", str_islower, "/", 0},
    {"isupper", str_isupper, "/", 0},
    {"istitle", str_istitle, "/", 0},
    {"encode", unsupported, NULL, 0},
    {"maketrans", unsupported, NULL, 0},
    {"translate", unsupported, NULL, 0},
};
static const jfunc dict_methods[] = {
    {"get", dict_get, "/key default", 1}, {"items", dict_items, "/", 0},
    {"keys", dict_keys, "/", 0},          {"values", dict_values, "/", 0},
    {"copy", dict_copy, "/", 0},          {"fromkeys", dict_fromkeys, "/iterable value", 1},
};
static const jfunc list_methods[] = {
    {"index", seq_index, "/value start stop", 1},
    {"count", seq_count, "/value", 1},
    {"copy", list_copy, "/", 0},
};
static const jfunc int_methods[] = {
    {"bit_length", int_bit_length, "/", 0},  {"bit_count", int_bit_count, "/", 0},
    {"conjugate", number_conjugate, "/", 0}, {"as_integer_ratio", unsupported, NULL, 0},
    {"to_bytes", unsupported, NULL, 0},      {"from_bytes", unsupported, NULL, 0},
};
static const jfunc float_methods[] = {
    {"is_integer", float_is_integer, "/", 0},   {"conjugate", number_conjugate, "/", 0},
    {"as_integer_ratio", unsupported, NULL, 0}, {"hex", unsupported, NULL, 0},
    {"fromhex", unsupported, NULL, 0},
};
static const jfunc cycler_methods[] = {{"next", cycler_next, "/", 0}, {"reset", cycler_reset, "/", 0}};
static const jfunc view_methods[] = {{"mapping", unsupported, NULL, 0}, {"isdisjoint", unsupported, NULL, 0}};

/* *mutates: the method exists in Python and the sandbox denies it. */
const jfunc *jinja_method(jtype t, const char *name, int64_t n, bool *mutates)
{
    static const struct {
        jtype t;
        const jfunc *table;
        int count;
        const char *denied;
    } types[] = {
        {J_STR, str_methods, SC_COUNT(str_methods), ""},
        {J_DICT, dict_methods, SC_COUNT(dict_methods), "clear pop popitem setdefault update"},
        {J_LIST, list_methods, SC_COUNT(list_methods), "append clear pop reverse insert sort extend remove"},
        {J_TUPLE, list_methods, 2, ""},
        {J_RANGE, list_methods, 2, ""},
        {J_INT, int_methods, SC_COUNT(int_methods), ""},
        {J_BOOL, int_methods, SC_COUNT(int_methods), ""},
        {J_FLOAT, float_methods, SC_COUNT(float_methods), ""},
        {J_CYCLER, cycler_methods, 2, ""},
        {J_VIEW, view_methods, 2, ""},
        {J_FUNC, dict_methods + 5, 1, ""},
    };
    static const jfunc denied_method = {"denied", unsupported, NULL, 0};
    for (int i = 0; i < SC_COUNT(types); i++) {
        if (types[i].t != t) continue;
        for (int k = 0; k < types[i].count; k++) {
            const jfunc *f = &types[i].table[k];
            if ((int64_t)strlen(f->name) == n && !memcmp(f->name, name, (size_t)n)) return f;
        }
        for (const char *p = types[i].denied; *p; p += strspn(p, " ")) {
            int64_t word = (int64_t)strcspn(p, " ");
            *mutates = word == n && !memcmp(p, name, (size_t)n);
            if (*mutates) return &denied_method;
            p += word;
        }
    }
    return NULL;
}
