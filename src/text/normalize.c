/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizers: steps that change the text before it is cut. */
#include "text/text.h"

void sc_norm_step_free(sc_norm_step *s)
{
    sc_pattern_free(&s->pattern);
    sc_charsmap_free(s->charsmap);
    sc_free(s->text);
}

sc_status sc_norm_add(sc_tokenizer *t, sc_norm_step step)
{
    if (t->n_norm == SC_TEXT_MAX_STEPS) {
        sc_norm_step_free(&step);
        return sc_fail(SC_ELIMIT, "tokenizer: more than %d normalizers", SC_TEXT_MAX_STEPS);
    }
    t->norm[t->n_norm++] = step;
    return SC_OK;
}

/* ---- reading ---- */

static sc_status owned(const json_t *o, const char *what, const char *key, char **text, int64_t *len)
{
    const json_t *j = json_object_get(o, key);
    if (!json_is_string(j)) return sc_fail(SC_EFORMAT, "%s: %s: expected a string", what, key);
    *len = (int64_t)json_string_length(j);
    if (*len > SC_TEXT_MAX_STRING)
        return sc_fail(SC_ELIMIT, "%s: %s: %lld bytes; at most %d", what, key, (long long)*len, SC_TEXT_MAX_STRING);
    *text = sc_malloc((size_t)*len + 1);
    if (!*text) return sc_nomem();
    memcpy(*text, json_string_value(j), (size_t)*len + 1);
    return SC_OK;
}

static sc_status parse_bert(const json_t *j, const char *what, sc_norm_step *step)
{
    *step = (sc_norm_step){.kind = SC_NORM_BERT, .clean = true, .separate = true, .lower = true};
    sc_status s = sc_json_bool(j, what, "clean_text", &step->clean);
    if (!s) s = sc_json_bool(j, what, "handle_chinese_chars", &step->separate);
    if (!s) s = sc_json_bool(j, what, "lowercase", &step->lower);
    step->accents = step->lower;
    return s ? s : sc_json_bool(j, what, "strip_accents", &step->accents);
}

static sc_status parse_charsmap(const json_t *j, const char *what, sc_norm_step *step)
{
    const char *text = NULL;
    step->kind = SC_NORM_CHARSMAP;
    sc_status s = sc_json_str(j, what, "precompiled_charsmap", &text);
    if (s) return s;
    sc_str blob = {0};
    if (!text || !sc_base64_decode(&blob, text, (int64_t)strlen(text)))
        s = sc_fail(SC_EFORMAT, "%s: normalizer: Precompiled: precompiled_charsmap is no base64", what);
    else
        s = blob.oom ? sc_nomem() : sc_charsmap_new(&step->charsmap, (const uint8_t *)blob.p, blob.len, what);
    sc_str_free(&blob);
    return s;
}

static sc_status parse(sc_tokenizer *t, const json_t *j, const char *what, int depth)
{
    const char *type = NULL;
    sc_norm_step step = {0};
    sc_status s = sc_json_str(j, what, "type", &type);
    if (s) return s;
    if (!type) return sc_fail(SC_EFORMAT, "%s: a normalizer without a type", what);
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    for (int i = 0; i < SC_COUNT(forms); i++) {
        if (strcmp(type, forms[i]) == 0)
            return sc_norm_add(t, (sc_norm_step){.kind = SC_NORM_FORM, .form = (sc_form)i});
    }
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(j, "normalizers");
        if (!json_is_array(list) || depth > 8)
            return sc_fail(SC_EFORMAT, "%s: normalizer: Sequence without a list, or too deep", what);
        for (size_t i = 0; i < json_array_size(list) && !s; i++)
            s = parse(t, json_array_get(list, i), what, depth + 1);
        return s;
    }
    if (strcmp(type, "Lowercase") == 0) {
        step.kind = SC_NORM_LOWER;
    } else if (strcmp(type, "StripAccents") == 0) {
        step.kind = SC_NORM_STRIP_ACCENTS;
    } else if (strcmp(type, "ByteLevel") == 0) {
        step.kind = SC_NORM_BYTES;
    } else if (strcmp(type, "Strip") == 0) {
        step = (sc_norm_step){.kind = SC_NORM_STRIP, .left = true, .right = true};
        s = sc_json_bool(j, what, "strip_left", &step.left);
        if (!s) s = sc_json_bool(j, what, "strip_right", &step.right);
    } else if (strcmp(type, "Prepend") == 0) {
        step.kind = SC_NORM_PREPEND;
        s = owned(j, what, "prepend", &step.text, &step.len);
    } else if (strcmp(type, "BertNormalizer") == 0) {
        s = parse_bert(j, what, &step);
    } else if (strcmp(type, "Nmt") == 0) {
        step.kind = SC_NORM_NMT;
    } else if (strcmp(type, "Precompiled") == 0) {
        s = parse_charsmap(j, what, &step);
    } else if (strcmp(type, "Replace") == 0) {
        step.kind = SC_NORM_REPLACE;
        s = sc_pattern_parse(&step.pattern, json_object_get(j, "pattern"), what);
        if (!s) s = owned(j, what, "content", &step.text, &step.len);
    } else {
        return sc_fail(SC_EUNSUPPORTED, "%s: the normalizer %s is not supported", what, type);
    }
    if (s) {
        sc_norm_step_free(&step);
        return s;
    }
    return sc_norm_add(t, step);
}

sc_status sc_norm_parse(sc_tokenizer *t, const json_t *j, const char *what)
{
    return !j || json_is_null(j) ? SC_OK : parse(t, j, what, 0);
}

/* ---- running ---- */

sc_status sc_text_swollen(int64_t from, int64_t to)
{
    return sc_fail(SC_ELIMIT, "tokenizer: a normalizer makes %lld bytes of %lld", (long long)to, (long long)from);
}

static inline sc_token_span origin(const sc_norm *x, int64_t i)
{
    return x->track ? x->a[i] : (sc_token_span){0, 0};
}

typedef struct replacing {
    const sc_norm_step *step;
    const sc_norm *src;
    sc_norm *dst;
} replacing;

static sc_status replace(void *user, int64_t begin, int64_t end, bool match)
{
    replacing *r = user;
    if (sc_text_swells(r->src->n, r->dst->n)) return sc_text_swollen(r->src->n, r->dst->n);
    if (!match)
        sc_norm_copy(r->dst, r->src->p + begin, end - begin, r->src->track ? r->src->a + begin : NULL);
    else if (r->src->n > 0)
        sc_norm_put(r->dst, r->step->text, r->step->len, origin(r->src, end > 0 ? end - 1 : 0));
    return SC_OK;
}

static void strip(sc_norm *dst, const sc_norm *x, const sc_norm_step *step)
{
    int64_t from = 0, to = x->n, last = 0;
    uint32_t cp;
    bool leading = true;
    for (int64_t i = 0; i < x->n;) {
        int k = sc_utf8_decode(x->p + i, x->n - i, &cp);
        bool white = sc_uni_white(cp);
        if (leading && !white) {
            leading = false;
            if (step->left) from = i;
        }
        i += k;
        if (!white) last = i;
    }
    if (leading && step->left) from = x->n;
    if (step->right) to = SC_MAX(last, from);
    sc_norm_copy(dst, x->p + from, to - from, x->track ? x->a + from : NULL);
}

/* Runs of spaces become one; none is left at either end, nor what spaces will be spelled as at the last (SentencePiece's
 * remove_extra_whitespaces). */
static void spaces(sc_norm *dst, const sc_norm *x)
{
    int64_t to = x->n;
    for (int64_t end = -1; end != to;) {
        end = to;
        if (to > 0 && x->p[to - 1] == ' ') to--;
        if (to >= 3 && memcmp(x->p + to - 3, SC_LOWLINE, 3) == 0) to -= 3;
    }
    for (int64_t i = 0; i < to; i++) {
        if (x->p[i] != ' ' || (dst->n > 0 && dst->p[dst->n - 1] != ' '))
            sc_norm_put(dst, x->p + i, 1, origin(x, i));
    }
}

static void by_character(sc_norm *dst, const sc_norm *x, const sc_norm_step *step)
{
    for (int64_t i = 0; i < x->n;) {
        uint32_t cp, low[2];
        int k = sc_utf8_decode(x->p + i, x->n - i, &cp);
        const sc_token_span *a = x->track ? x->a + i : NULL;
        if (step->kind == SC_NORM_BYTES) {
            for (int j = 0; j < k; j++) {
                char out[2];
                int n;
                sc_byte_char((uint8_t)x->p[i + j], out, &n);
                sc_norm_put(dst, out, n, origin(x, i));
            }
        } else if (step->kind == SC_NORM_STRIP_ACCENTS) {
            if (!sc_uni_old_mark(cp)) sc_norm_copy(dst, x->p + i, k, a);
        } else if (sc_uni_lower(cp, low) == 1 && low[0] == cp) {
            sc_norm_copy(dst, x->p + i, k, a); /* also what is not UTF-8 */
        } else {
            int n = sc_uni_lower(cp, low);
            for (int j = 0; j < n; j++) {
                char out[4];
                sc_norm_put(dst, out, sc_utf8_encode(low[j], out), origin(x, i));
            }
        }
        i += k;
    }
}

static sc_status run(const sc_tokenizer *t, const sc_norm_step *step, sc_matcher *m, const sc_norm *x, sc_norm *dst,
                     bool prepend)
{
    replacing r = {step, x, dst};
    switch (step->kind) {
    case SC_NORM_FORM: return sc_uni_normalize(dst, x, step->form) ? SC_OK : sc_nomem();
    case SC_NORM_STRIP: strip(dst, x, step); break;
    case SC_NORM_SPACES: spaces(dst, x); break;
    case SC_NORM_BERT: return sc_norm_bert(step, x, dst) ? SC_OK : sc_nomem();
    case SC_NORM_NMT: sc_norm_nmt(x, dst); break;
    case SC_NORM_CHARSMAP: {
        sc_status s = sc_charsmap_run(t, step, x, dst);
        if (s) return s;
        break;
    }
    case SC_NORM_PREPEND:
        if (prepend && x->n > 0) sc_norm_put(dst, step->text, step->len, origin(x, 0));
        sc_norm_copy(dst, x->p, x->n, x->a);
        break;
    case SC_NORM_REPLACE: {
        sc_status s = sc_pattern_each(&step->pattern, m, x->p, x->n, sc_utf8_valid(x->p, x->n), replace, &r);
        if (s) return s;
        break;
    }
    default: by_character(dst, x, step);
    }
    return dst->oom ? sc_nomem() : SC_OK;
}

sc_status sc_norm_run(const sc_tokenizer *t, sc_matcher *m, sc_norm *x, sc_norm *y, bool first)
{
    y->track = x->track;
    for (int i = 0; i < t->n_norm; i++) {
        if (x->n == 0) break;
        if (t->norm[i].kind == SC_NORM_FORM && t->norm[i].form == SC_NFC && sc_uni_is_nfc(x->p, x->n)) continue;
        sc_norm_clear(y);
        sc_status s = run(t, &t->norm[i], m, x, y, first || !t->prefix_once);
        if (s) return s;
        if (y->n > 2 * SC_TEXT_MAX_INPUT)
            return sc_fail(SC_ELIMIT, "tokenizer: normalized text longer than %lld bytes", 2 * SC_TEXT_MAX_INPUT);
        sc_norm swap = *x;
        *x = *y;
        *y = swap;
    }
    return x->oom ? sc_nomem() : SC_OK;
}
