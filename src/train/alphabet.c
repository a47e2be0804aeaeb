/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers for streams of symbols that need no learning: characters, bytes, residues, bases, moves, words. Written as a
 * tokenizer.json, so that whoever reads the model afterwards has the same ids. */
#include "train/train.h"

#include <stdlib.h>

enum { MAX_SYMBOLS = 1 << 16, MAX_FILE = 16 << 20, SENTINELS = 100 };

/* The first ids, in this order. */
static const char *const special[] = {"<pad>", "<s>", "</s>", "<unk>", "<mask>"};
enum { PAD, BOS, EOS, UNK, MASK };

typedef struct symbols {
    json_t *set; /* as keys */
    bool words;  /* symbols stand apart; else each is a character */
    bool bytes;
} symbols;

static sc_status put(symbols *x, const char *p, int64_t n)
{
    char *text = sc_strndup(p, (size_t)n);
    bool ok = text && json_object_set_new(x->set, text, json_true()) == 0;
    sc_free(text);
    if (!ok) return sc_nomem();
    if (json_object_size(x->set) <= MAX_SYMBOLS) return SC_OK;
    return sc_fail(SC_ELIMIT, "more than %d different symbols: an alphabet is no way to tell them apart",
                   MAX_SYMBOLS);
}

/* Bytes of the character that p[0..n) begins with; valid UTF-8. */
static int64_t character(const char *p, int64_t n)
{
    int64_t len = 1;
    while (len < n && ((unsigned char)p[len] & 0xc0) == 0x80) len++;
    return len;
}

static sc_status put_characters(symbols *x, const char *p, int64_t n)
{
    bool ascii[128] = {false}; /* nearly all there are, so they are looked up once */
    sc_status s = SC_OK;
    for (int64_t i = 0, len; !s && i < n; i += len) {
        len = character(p + i, n - i);
        unsigned char c = (unsigned char)p[i];
        if (len == 1 && c < 128 && ascii[c]) continue;
        if (len == 1 && c < 128) ascii[c] = true;
        s = put(x, p + i, len);
    }
    return s;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static sc_status put_words(symbols *x, const char *p, int64_t n)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < n;) {
        int64_t from = i;
        while (i < n && !is_space(p[i])) i++;
        if (i > from)
            s = put(x, p + from, i - from);
        else
            i++;
    }
    return s;
}

/* ---- which symbols ---- */

static sc_status put_record(void *user, const sc_record *r)
{
    symbols *x = user;
    sc_field f;
    if (r->json) { /* all texts that it has */
        const char *key;
        json_t *v;
        sc_status s = SC_OK;
        json_object_foreach((json_t *)(uintptr_t)r->json, key, v)
        {
            const char *p = json_string_value(v);
            if (!s && p) s = (x->words ? put_words : put_characters)(x, p, (int64_t)json_string_length(v));
        }
        return s;
    }
    f = r->text;
    return (x->words ? put_words : put_characters)(x, f.p, f.n);
}

static sc_status of_data(symbols *x, const sc_objective_setup *s)
{
    sc_status e = SC_OK;
    for (int i = 0; !e && i < s->o->n_data; i++) e = sc_records_each(s->ctx, s->o->data[i], false, put_record, x);
    for (int i = 0; !e && i < s->o->n_eval_data; i++)
        e = sc_records_each(s->ctx, s->o->eval_data[i], false, put_record, x);
    if (!e && !json_object_size(x->set)) e = sc_fail(SC_EINVAL, "%s has no text", s->o->data[0]);
    return e;
}

/* All moves from one square to another that some piece can make, as UCI writes them, and how games end. */
static sc_status of_chess(symbols *x)
{
    static const char *const ends[] = {"1-0", "0-1", "1/2-1/2", "*"};
    sc_status s = SC_OK;
    x->words = true;
    for (int i = 0; !s && i < 64 * 64; i++) {
        int c = i & 7, r = i >> 3 & 7, to_c = i >> 6 & 7, to_r = i >> 9, dc = abs(to_c - c), dr = abs(to_r - r);
        char move[8];
        snprintf(move, sizeof move, "%c%c%c%c", 'a' + c, '1' + r, 'a' + to_c, '1' + to_r);
        bool line = (dc || dr) && (!dc || !dr || dc == dr), knight = dc + dr == 3 && dc && dr;
        if (line || knight) s = put(x, move, 4);
        bool promotes = dc <= 1 && ((r == 6 && to_r == 7) || (r == 1 && to_r == 0));
        for (const char *p = "qrbn"; !s && promotes && *p; p++) {
            move[4] = *p;
            s = put(x, move, 5);
        }
    }
    for (int i = 0; !s && i < SC_COUNT(ends); i++) s = put(x, ends[i], (int64_t)strlen(ends[i]));
    return s;
}

/* A symbol a line. */
static sc_status of_file(symbols *x, const char *path)
{
    char *text;
    int64_t n;
    sc_status s = sc_file_read(&text, &n, path, MAX_FILE);
    if (s) return s;
    if (!sc_utf8_valid(text, n)) s = sc_fail(SC_EFORMAT, "%s is not UTF-8", path);
    for (int64_t at = 0; !s && at < n;) {
        const char *p = text + at, *end = memchr(p, '\n', (size_t)(n - at));
        int64_t len = end ? end - p : n - at;
        at += len + 1;
        if (len && p[len - 1] == '\r') len--;
        if (!len) continue;
        x->words |= character(p, len) < len;
        s = put(x, p, len);
    }
    sc_free(text);
    if (!s && !json_object_size(x->set)) s = sc_fail(SC_EINVAL, "%s has no symbols", path);
    return s;
}

static sc_status find_symbols(symbols *x, const sc_objective_setup *s)
{
    static const char *const fixed[][2] = {{"protein", "ACDEFGHIKLMNPQRSTVWYBJOUXZ*-."},
                                           {"dna", "ACGTNURYSWKMBDHV-"}};
    const char *name = s->o->alphabet;
    for (int i = 0; i < SC_COUNT(fixed); i++)
        if (strcmp(name, fixed[i][0]) == 0) return put_characters(x, fixed[i][1], (int64_t)strlen(fixed[i][1]));
    x->words = strcmp(name, "words") == 0;
    x->bytes = strcmp(name, "bytes") == 0;
    if (x->bytes) return SC_OK;
    if (strcmp(name, "chars") == 0 || x->words) return of_data(x, s);
    if (strcmp(name, "chess") == 0) return of_chess(x);
    if (!sc_path_exists(name))
        return sc_fail(SC_ENOTFOUND,
                       "no alphabet '%s': chars, bytes, words, protein, dna, chess, or a file with a symbol a line",
                       name);
    return of_file(x, name);
}

/* ---- the tokenizer ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What byte b is written as where bytes are characters: itself if it is seen, else one from 256 on. */
static uint32_t shown(int b)
{
    bool seen = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    int skipped = 0;
    for (int i = 0; i < b; i++) skipped += !((i >= '!' && i <= '~') || (i >= 0xa1 && i <= 0xac) || i >= 0xae);
    return seen ? (uint32_t)b : (uint32_t)(256 + skipped);
}

static bool add(json_t *vocab, const char *text)
{
    return json_object_get(vocab, text) ||
           json_object_set_new(vocab, text, json_integer((json_int_t)json_object_size(vocab))) == 0;
}

/* Special tokens, symbols in the order of their code points, sentinels so that the first is the last id. */
static json_t *make_vocab(const symbols *x, int sentinels)
{
    json_t *vocab = json_object(), *ignored;
    const char **name = sc_calloc(json_object_size(x->set) + 1, sizeof *name), *key;
    size_t n = 0;
    bool ok = vocab && name;
    char text[32];
    for (int i = 0; ok && i < SC_COUNT(special); i++) ok = add(vocab, special[i]);
    json_object_foreach(x->set, key, ignored) if (name) name[n++] = key;
    if (name) qsort(name, n, sizeof *name, by_text);
    for (size_t i = 0; ok && i < n; i++) ok = add(vocab, name[i]);
    for (int b = 0; ok && x->bytes && b < 256; b++) {
        sc_str s = {0};
        sc_str_utf8(&s, shown(b));
        ok = !s.oom && add(vocab, s.p);
        sc_str_free(&s);
    }
    for (int i = sentinels - 1; ok && i >= 0; i--) {
        snprintf(text, sizeof text, "<extra_id_%d>", i);
        ok = add(vocab, text);
    }
    sc_free(name);
    if (ok) return vocab;
    json_decref(vocab);
    return NULL;
}

static json_t *added_tokens(const json_t *vocab, int sentinels)
{
    json_t *list = json_array();
    char text[32];
    for (int i = 0; list && i < SC_COUNT(special) + sentinels; i++) {
        const char *name = text;
        snprintf(text, sizeof text, "<extra_id_%d>", SC_COUNT(special) + sentinels - 1 - i);
        if (i < SC_COUNT(special)) name = special[i];
        json_array_append_new(list, json_pack("{s:O, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                                              json_object_get(vocab, name), "content", name, "single_word", 0,
                                              "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    }
    return list;
}

/* "<s> A </s>" and so on: 'A' and 'B' are texts. */
static json_t *template_of(const char *what)
{
    json_t *list = json_array();
    for (; list && *what; what++) {
        char name[2] = {*what, 0};
        json_array_append_new(list, *what == 'A' || *what == 'B'
                                        ? json_pack("{s:{s:s, s:i}}", "Sequence", "id", name, "type_id", 0)
                                        : json_pack("{s:{s:s, s:i}}", "SpecialToken", "id",
                                                    special[*what == '<' ? BOS : EOS], "type_id", 0));
    }
    return list;
}

/* What stands around texts: of a model that goes on with a text, nothing. */
static json_t *post_processor(unsigned kind)
{
    if (kind == SC_LEARNS_DECODER) return json_null();
    bool pair = kind == SC_LEARNS_PAIR;
    return json_pack("{s:s, s:o, s:o, s:{s:{s:s, s:[i], s:[s]}, s:{s:s, s:[i], s:[s]}}}", "type",
                     "TemplateProcessing", "single", template_of(pair ? "A>" : "<A>"), "pair",
                     template_of(pair ? "A>B>" : "<A>B>"), "special_tokens", special[BOS], "id", special[BOS],
                     "ids", BOS, "tokens", special[BOS], special[EOS], "id", special[EOS], "ids", EOS, "tokens",
                     special[EOS]);
}

static json_t *pre_tokenizer(const symbols *x)
{
    if (x->bytes)
        return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0,
                         "use_regex", 1);
    if (x->words) return json_pack("{s:s}", "type", "WhitespaceSplit");
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", "[\\s\\S]", "behavior",
                     "Isolated", "invert", 0);
}

static json_t *decoder(const symbols *x)
{
    if (x->bytes)
        return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0,
                         "use_regex", 1);
    return x->words ? json_null() : json_pack("{s:s}", "type", "Fuse");
}

static json_t *model_of(const symbols *x, json_t *vocab)
{
    if (x->bytes)
        return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:O, s:[]}", "type", "BPE", "dropout",
                         "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                         "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges");
    return json_pack("{s:s, s:O, s:s}", "type", "WordLevel", "vocab", vocab, "unk_token", special[UNK]);
}

static char *tokenizer_text(const symbols *x, json_t *vocab, unsigned kind, int sentinels)
{
    json_t *o =
        json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding",
                  "added_tokens", added_tokens(vocab, sentinels), "normalizer", "pre_tokenizer", pre_tokenizer(x),
                  "post_processor", post_processor(kind), "decoder", decoder(x), "model", model_of(x, vocab));
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    json_decref(o);
    return text;
}

static char *config_text(void)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "pad_token",
                  special[PAD], "bos_token", special[BOS], "eos_token", special[EOS], "unk_token", special[UNK],
                  "mask_token", special[MASK], "clean_up_tokenization_spaces", 0);
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    json_decref(o);
    return text;
}

/* The configuration's sizes and ids. */
static sc_status change(json_t *changes, const json_t *config, int64_t n)
{
    static const char *const sizes[] = {"src_vocab_size", "tgt_vocab_size", "decoder_vocab_size"};
    static const struct {
        const char *key;
        int id;
    } ids[] = {
        {"pad_token_id", PAD}, {"bos_token_id", BOS}, {"eos_token_id", EOS}, {"decoder_start_token_id", BOS}};
    bool ok = json_object_get(config, sizes[0]) || json_object_set_new(changes, "vocab_size", json_integer(n)) == 0;
    for (int i = 0; ok && i < SC_COUNT(sizes); i++)
        if (json_object_get(config, sizes[i])) ok = json_object_set_new(changes, sizes[i], json_integer(n)) == 0;
    for (int i = 0; ok && i < SC_COUNT(ids); i++)
        if (i < 3 || json_object_get(config, ids[i].key))
            ok = json_object_set_new(changes, ids[i].key, json_integer(ids[i].id)) == 0;
    return ok ? SC_OK : sc_nomem();
}

sc_status sc_alphabet_make(sc_alphabet *out, const sc_objective *o, unsigned kind, const sc_objective_setup *s,
                           json_t *changes)
{
    int sentinels = strcmp(o->name, "span") == 0 ? SENTINELS : 0;
    symbols x = {.set = json_object()};
    json_t *vocab = NULL;
    const char *name = s->o->alphabet;
    sc_status e = x.set ? find_symbols(&x, s) : sc_nomem();
    if (!e && !(vocab = make_vocab(&x, sentinels))) e = sc_nomem();
    if (!e) e = change(changes, s->config, (int64_t)json_object_size(vocab));
    if (!e) {
        out->tokenizer = tokenizer_text(&x, vocab, kind, sentinels);
        out->config = config_text();
        out->lines = !x.bytes && strcmp(name, "chars") != 0;
        if (!out->tokenizer || !out->config) e = sc_nomem();
    }
    json_decref(x.set);
    json_decref(vocab);
    return e;
}

sc_status sc_alphabet_tokenizer(sc_tokenizer **out, const sc_alphabet *a)
{
    sc_status s =
        sc_tokenizer_from_json(out, a->tokenizer, (int64_t)strlen(a->tokenizer), "the alphabet's tokenizer");
    if (!s) s = sc_tokenizer_set(*out, "pad_token", PAD);
    if (!s) s = sc_tokenizer_set(*out, "bos_token", BOS);
    return s ? s : sc_tokenizer_set(*out, "eos_token", EOS);
}

void sc_alphabet_free(sc_alphabet *a)
{
    sc_free(a->tokenizer);
    sc_free(a->config);
    *a = (sc_alphabet){0};
}
