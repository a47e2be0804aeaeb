/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens: those that are found in the text as a whole, before anything is cut. Of those that begin at one place
 * the longest counts; matches do not overlap. A token is looked for either in the raw text or in the normalized one
 * (then its own content is normalized too). */
#include "text/text.h"

sc_status sc_added_put(sc_tokenizer *t, sc_added a, const char *content, int64_t len, const char *what)
{
    if (len <= 0) return SC_OK;
    if (len > SC_TEXT_MAX_ADDED)
        return sc_fail(SC_ELIMIT, "%s: added token %d is %lld bytes long; at most %d", what, a.id, (long long)len,
                       SC_TEXT_MAX_ADDED);
    sc_status s = SC_OK;
    int64_t have;
    const char *old = sc_vocab_text(&t->vocab, a.id, &have);
    if (!old || have != len || memcmp(old, content, (size_t)len) != 0)
        s = sc_vocab_set(&t->vocab, a.id, content, len, what);
    if (s) return s;
    if (!sc_grow(&t->added, &t->added_cap, t->n_added + 1, sizeof(*t->added))) return sc_nomem();
    t->added[t->n_added++] = a;
    t->vocab.flags[a.id] |= SC_TOKEN_ADDED | (a.special ? SC_TOKEN_SPECIAL : 0);
    return SC_OK;
}

/* Where the list of the nodes that may follow node `at` (-1: that may begin a token with `byte`) begins. */
static int32_t *followers(sc_trie *t, int64_t at, uint8_t byte)
{
    return at < 0 ? &t->root[byte] : &t->node[at].child;
}

static sc_status trie_put(sc_trie *t, const char *p, int64_t len, int32_t added)
{
    int64_t at = -1;
    for (int64_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)p[i];
        int32_t found = *followers(t, at, byte);
        while (found >= 0 && t->node[found].byte != byte) found = t->node[found].sibling;
        if (found < 0) {
            if (!sc_grow(&t->node, &t->cap, t->count + 1, sizeof(*t->node))) return sc_nomem();
            int32_t *list = followers(t, at, byte);
            found = (int32_t)t->count++;
            t->node[found] = (struct sc_trie_node){.child = -1, .sibling = *list, .added = -1, .byte = byte};
            *list = found;
        }
        at = found;
    }
    if (at >= 0) t->node[at].added = added;
    return SC_OK;
}

sc_status sc_added_index(sc_tokenizer *t)
{
    sc_norm x = {0}, y = {0};
    sc_matcher *m = NULL;
    sc_status s = SC_OK;
    sc_trie_free(&t->raw);
    sc_trie_free(&t->normalized);
    sc_map_free(&t->added_map);
    memset(t->raw.root, 0xff, sizeof(t->raw.root));
    memset(t->normalized.root, 0xff, sizeof(t->normalized.root));
    for (int64_t i = 0; i < t->n_added && !s; i++) {
        sc_added *a = &t->added[i];
        int64_t len = 0;
        const char *p = sc_vocab_text(&t->vocab, a->id, &len);
        if (!sc_map_put(&t->added_map, p, len, a->id)) {
            s = sc_nomem();
        } else if (a->normalized && t->n_norm > 0 && !t->verbatim) {
            if (!m && (s = sc_matcher_new(&m)) != SC_OK) break;
            sc_norm_clear(&x);
            sc_norm_copy(&x, p, len, NULL);
            s = sc_norm_run(t, m, &x, &y, false);
            if (!s && (x.n != len || memcmp(x.p, p, (size_t)len) != 0)) {
                a->text = sc_arena_strndup(t->vocab.arena, x.p, (size_t)x.n);
                a->len = x.n;
                t->vocab.flags[a->id] |= SC_TOKEN_NORMALIZED;
                s = a->text ? SC_OK : sc_nomem();
            }
            if (!s) s = trie_put(&t->normalized, x.p, x.n, (int32_t)i);
        } else {
            s = trie_put(a->normalized ? &t->normalized : &t->raw, p, len, (int32_t)i);
        }
    }
    sc_matcher_free(m);
    sc_norm_free(&x);
    sc_norm_free(&y);
    return s;
}

void sc_trie_free(sc_trie *t)
{
    sc_free(t->node);
    memset(t, 0, sizeof(*t));
}

/* The longest added token that p[0..n) begins with; its length, 0 for none. */
static int64_t longest(const sc_trie *t, const char *p, int64_t n, int32_t *added)
{
    int64_t best = 0;
    int32_t at = t->root[(uint8_t)p[0]];
    for (int64_t i = 0; at >= 0;) {
        const struct sc_trie_node *k = &t->node[at];
        if (k->byte != (uint8_t)p[i]) {
            at = k->sibling;
            continue;
        }
        i++;
        if (k->added >= 0) {
            best = i;
            *added = k->added;
        }
        if (i == n) break;
        at = k->child;
    }
    return best;
}

int64_t sc_added_at(const sc_trie *trie, const char *p, int64_t n)
{
    int32_t added;
    return trie->count > 0 && trie->root[(uint8_t)p[0]] >= 0 ? longest(trie, p, n, &added) : 0;
}

static int last_char(const char *p, int64_t n, uint32_t *cp) /* the character that ends p[0..n), n > 0 */
{
    int64_t i = n - 1;
    while (i > 0 && n - i < 4 && ((unsigned char)p[i] & 0xc0) == 0x80) i--;
    int k = sc_utf8_decode(p + i, n - i, cp);
    if (i + k == n) return k;
    *cp = 0xfffd;
    return 1;
}

static bool alone(const char *p, int64_t n, int64_t begin, int64_t end)
{
    uint32_t cp;
    if (begin > 0 && (last_char(p, begin, &cp), sc_uni_word(cp))) return false;
    return end == n || (sc_utf8_decode(p + end, n - end, &cp), !sc_uni_word(cp));
}

sc_status sc_added_each(const sc_tokenizer *t, const sc_trie *trie, bool special, const char *p, int64_t n,
                        sc_added_fn *fn, void *user)
{
    int64_t done = 0;
    for (int64_t i = 0; trie->count > 0 && i < n;) {
        int32_t index = -1;
        int64_t len = trie->root[(uint8_t)p[i]] >= 0 ? longest(trie, p + i, n - i, &index) : 0;
        if (len == 0) {
            i++;
            continue;
        }
        const sc_added *a = &t->added[index];
        int64_t begin = i, end = i + len;
        i = end;
        if ((a->special && !special) || (a->single_word && !alone(p, n, begin, end))) continue;
        uint32_t cp;
        int k;
        while (a->lstrip && begin > done && (k = last_char(p + done, begin - done, &cp), sc_uni_white(cp)))
            begin -= k;
        if (a->lstrip) begin = SC_MAX(begin, done);
        while (a->rstrip && end < n && (k = sc_utf8_decode(p + end, n - end, &cp), sc_uni_white(cp))) end += k;
        sc_status s = begin > done ? fn(user, done, begin, NULL) : SC_OK;
        if (!s) s = fn(user, begin, end, a);
        if (s) return s;
        done = end;
    }
    return done < n ? fn(user, done, n, NULL) : SC_OK;
}
