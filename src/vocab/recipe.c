/* SPDX-License-Identifier: Apache-2.0 */
/* What a recipe leaves open, and whether it fits together. */
#include "vocab/vocab.h"

static const char *const kinds[] = {"byte-bpe", "bpe", "unigram", "wordpiece"};

/* The tokens that have a part to play, by the names they usually have. */
typedef struct role {
    size_t offset; /* in sc_tokenizer_recipe */
    const char *names[8];
} role;
#define ROLE(field, ...)                                                                                           \
    {                                                                                                              \
        offsetof(sc_tokenizer_recipe, field), { __VA_ARGS__ }                                                      \
    }
static const role roles[] = {
    ROLE(pad, "<pad>", "[PAD]", "<|pad|>"),
    ROLE(unk, "<unk>", "[UNK]"),
    ROLE(bos, "<s>", "<bos>", "[BOS]", "<|begin_of_text|>", "<|startoftext|>", "<|im_start|>"),
    ROLE(eos, "</s>", "<eos>", "[EOS]", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>"),
    ROLE(cls, "[CLS]"),
    ROLE(sep, "[SEP]"),
    ROLE(mask, "<mask>", "[MASK]"),
};

static const char **part(sc_tokenizer_recipe *r, const role *k) { return (const char **)((char *)r + k->offset); }

static bool has(const sc_recipe *r, const char *token)
{
    for (int i = 0; i < r->in.specials; i++)
        if (strcmp(r->special[i], token) == 0) return true;
    return false;
}

static sc_status add(sc_recipe *r, const char *token)
{
    if (!token || has(r, token)) return SC_OK;
    if (!*token || strlen(token) > SC_TEXT_MAX_ADDED || !sc_utf8_valid(token, (int64_t)strlen(token)))
        return sc_fail(SC_EINVAL, "special token %d: 1 to %d bytes of UTF-8 are needed", r->in.specials + 1,
                       SC_TEXT_MAX_ADDED);
    if (r->in.specials == SC_TRAIN_SPECIALS)
        return sc_fail(SC_ELIMIT, "more than %d special tokens", SC_TRAIN_SPECIALS);
    r->special[r->in.specials++] = token;
    return SC_OK;
}

/* The tokens that a kind has where none are asked for. */
static const char *const usual[][6] = {{"<|endoftext|>"},
                                       {"<unk>", "<s>", "</s>"},
                                       {"<unk>", "<s>", "</s>"},
                                       {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}};

static sc_status choose_specials(sc_recipe *r, const sc_tokenizer_recipe *in)
{
    sc_status s = SC_OK;
    r->in.specials = 0;
    for (int i = 0; i < in->specials && !s; i++) s = add(r, in->special[i]);
    bool any = in->specials > 0;
    for (int i = 0; i < SC_COUNT(roles); i++) any |= *part(&r->in, &roles[i]) != NULL;
    if (!any) {
        for (const char *const *p = usual[r->kind]; *p && !s; p++) s = add(r, *p);
    } else if (r->kind != SC_KIND_BYTES) {
        if (!s && !r->in.unk)
            s = add(r, r->kind == SC_KIND_WORDPIECE ? "[UNK]" : "<unk>"); /* what is unknown needs a name */
        if (!s && r->kind == SC_KIND_WORDPIECE && !r->in.cls) s = add(r, "[CLS]");
        if (!s && r->kind == SC_KIND_WORDPIECE && !r->in.sep) s = add(r, "[SEP]");
    }
    for (int i = 0; i < SC_COUNT(roles) && !s; i++) {
        const char **token = part(&r->in, &roles[i]);
        if (*token) s = add(r, *token);
        for (int k = 0; !*token && roles[i].names[k]; k++)
            if (has(r, roles[i].names[k])) *token = roles[i].names[k];
    }
    r->in.special = r->special;
    return s;
}

static sc_status check(const sc_recipe *r)
{
    const sc_tokenizer_recipe *x = &r->in;
    if (x->files < 1) return sc_fail(SC_EINVAL, "no file to train a tokenizer on");
    if (x->size < 1 || x->size > SC_TRAIN_MAX_SIZE)
        return sc_fail(SC_EINVAL, "a vocabulary of %lld tokens; 1 to %d are possible", (long long)x->size,
                       SC_TRAIN_MAX_SIZE);
    if (x->coverage <= 0 || x->coverage > 1)
        return sc_fail(SC_EINVAL, "coverage %g: above 0, at most 1", x->coverage);
    if (x->shrink <= 0 || x->shrink >= 1) return sc_fail(SC_EINVAL, "shrink %g: above 0, below 1", x->shrink);
    if (x->rounds < 1 || x->rounds > 1000) return sc_fail(SC_EINVAL, "%d rounds: 1 to 1000", x->rounds);
    if (x->min_frequency < 0 || x->max_token_length < 0 || x->limit_alphabet < 0 || x->seed_size < 0 ||
        x->memory < 0)
        return sc_fail(SC_EINVAL, "a length, a count or a limit below 0");
    if (r->kind == SC_KIND_UNIGRAM && x->max_token_length > 64)
        return sc_fail(SC_EINVAL, "pieces of unigram have at most 64 characters, not %lld",
                       (long long)x->max_token_length);
    if (r->kind != SC_KIND_BYTES && x->pattern)
        return sc_fail(SC_EINVAL, "a pattern is byte-bpe's alone; %s cuts at spaces", x->kind);
    if (r->kind == SC_KIND_BYTES && (x->limit_alphabet || x->coverage < 1))
        return sc_fail(SC_EINVAL, "byte-bpe has all bytes; its alphabet cannot be limited");
    if (x->add_bos && !x->bos) return sc_fail(SC_EINVAL, "no token is bos_token, so none can be put before texts");
    if (x->add_eos && !x->eos) return sc_fail(SC_EINVAL, "no token is eos_token, so none can be put after texts");
    return SC_OK;
}

sc_status sc_recipe_read(sc_recipe *out, const sc_tokenizer_recipe *in)
{
    int kind = -1;
    *out = (sc_recipe){.in = *in};
    for (int i = 0; in->kind && i < SC_COUNT(kinds); i++)
        if (strcmp(in->kind, kinds[i]) == 0) kind = i;
    if (kind < 0)
        return sc_fail(SC_EINVAL, "no kind of tokenizer is called %s: byte-bpe, bpe, unigram or wordpiece",
                       in->kind ? in->kind : "(none)");
    out->kind = (sc_tokenizer_kind)kind;
    bool pieces = kind == SC_KIND_BPE || kind == SC_KIND_UNIGRAM;
    sc_tokenizer_recipe *x = &out->in;
    out->byte_fallback = pieces && !in->no_byte_fallback;
    out->prefix = kind == SC_KIND_WORDPIECE ? "##" : NULL;
    if (!x->size) x->size = 32000;
    if (!x->field) x->field = "text";
    if (!x->memory) x->memory = sc_memory_size() / 4;
    if (x->coverage == 0) x->coverage = out->byte_fallback && !x->limit_alphabet ? 0.9995 : 1;
    if (!x->shrink) x->shrink = 0.75;
    if (!x->rounds) x->rounds = 2;
    if (!x->seed_size) x->seed_size = 1000000;
    if (kind == SC_KIND_UNIGRAM && !x->max_token_length) x->max_token_length = 16;
    if (!x->normalizer) x->normalizer = kind == SC_KIND_WORDPIECE ? "bert" : "";
    if (!x->pattern && kind == SC_KIND_BYTES) x->pattern = "gpt2";
    sc_status s = choose_specials(out, in);
    return s ? s : check(out);
}
