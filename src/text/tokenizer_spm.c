/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's tokenizer.model: a protocol buffer, of which a few fields matter.
 *
 *   1 pieces (repeated): 1 piece, 2 score, 3 type
 *   2 trainer_spec:      3 model_type, 35 byte_fallback, 40 unk_id, 41 bos_id, 42 eos_id, 43 pad_id
 *   3 normalizer_spec:   2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces */
#include "text/text.h"

typedef struct reader {
    const uint8_t *p, *end;
} reader;

typedef struct field {
    int64_t number;
    int wire;       /* 0 varint, 1 eight bytes, 2 bytes, 5 four bytes */
    uint64_t value; /* of wires 0, 1, 5 */
    reader bytes;   /* of wire 2 */
} field;

typedef struct spm {
    sc_gguf_vocab v;
    sc_slice *tokens;
    int32_t *types;
    float *scores;
    int64_t cap[3], n;
    int64_t kind;
    bool byte_fallback, add_prefix, squeeze, escape;
    reader charsmap;
} spm;

static bool varint(reader *r, uint64_t *out)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 70 && r->p < r->end; shift += 7) {
        uint8_t b = *r->p++;
        if (shift < 64) v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *out = v;
            return true;
        }
    }
    return false;
}

/* false at the end and for what is no field; then *bad tells. */
static bool next(reader *r, field *f, bool *bad)
{
    uint64_t key, n;
    if (r->p == r->end) return false;
    *bad = true;
    if (!varint(r, &key) || key >> 3 == 0 || key >> 3 > (1 << 29)) return false;
    *f = (field){.number = (int64_t)(key >> 3), .wire = (int)(key & 7)};
    if (f->wire == 0) {
        if (!varint(r, &f->value)) return false;
    } else if (f->wire == 2) {
        if (!varint(r, &n) || n > (uint64_t)(r->end - r->p)) return false;
        f->bytes = (reader){r->p, r->p + n};
        r->p += n;
    } else if (f->wire == 1 || f->wire == 5) {
        int size = f->wire == 1 ? 8 : 4;
        if (r->end - r->p < size) return false;
        for (int i = 0; i < size; i++) f->value |= (uint64_t)r->p[i] << (8 * i);
        r->p += size;
    } else {
        return false;
    }
    *bad = false;
    return true;
}

static sc_status malformed(const char *what)
{
    return sc_fail(SC_EFORMAT, "%s: not a SentencePiece model, or a damaged one", what);
}

static sc_status read_piece(spm *m, reader r, const char *what)
{
    field f;
    bool bad = false;
    int64_t i = m->n;
    if (i >= SC_TEXT_MAX_IDS) return sc_fail(SC_ELIMIT, "%s: more than %d pieces", what, SC_TEXT_MAX_IDS);
    if (!sc_grow(&m->tokens, &m->cap[0], i + 1, sizeof(*m->tokens)) ||
        !sc_grow(&m->types, &m->cap[1], i + 1, sizeof(*m->types)) ||
        !sc_grow(&m->scores, &m->cap[2], i + 1, sizeof(*m->scores)))
        return sc_nomem();
    m->tokens[i] = (sc_slice){"", 0};
    m->types[i] = 1;
    m->scores[i] = 0;
    while (next(&r, &f, &bad)) {
        if (f.number == 1 && f.wire == 2) {
            m->tokens[i] = (sc_slice){(const char *)f.bytes.p, f.bytes.end - f.bytes.p};
        } else if (f.number == 2 && f.wire == 5) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&m->scores[i], &bits, sizeof(bits));
        } else if (f.number == 3 && f.wire == 0) {
            m->types[i] = f.value <= 6 ? (int32_t)f.value : 0;
        }
    }
    m->n++;
    return bad ? malformed(what) : SC_OK;
}

static int32_t to_id(uint64_t v)
{
    return v < SC_TEXT_MAX_IDS ? (int32_t)v : -1; /* negative numbers are huge varints */
}

static sc_status read_trainer(spm *m, reader r, const char *what)
{
    field f;
    bool bad = false;
    while (next(&r, &f, &bad)) {
        if (f.wire != 0) continue;
        switch (f.number) {
        case 3: m->kind = (int64_t)SC_MIN(f.value, 100u); break;
        case 35: m->byte_fallback = f.value != 0; break;
        case 40: m->v.unk = to_id(f.value); break;
        case 41: m->v.bos = to_id(f.value); break;
        case 42: m->v.eos = to_id(f.value); break;
        case 43: m->v.pad = to_id(f.value); break;
        case 24:
            if (f.value) return sc_fail(SC_EUNSUPPORTED, "%s: treat_whitespace_as_suffix is not supported", what);
        }
    }
    return bad ? malformed(what) : SC_OK;
}

static sc_status read_normalizer(spm *m, reader r, const char *what)
{
    field f;
    bool bad = false;
    while (next(&r, &f, &bad)) {
        if (f.number == 2 && f.wire == 2)
            m->charsmap = f.bytes;
        else if (f.number == 3 && f.wire == 0)
            m->add_prefix = f.value != 0;
        else if (f.number == 4 && f.wire == 0)
            m->squeeze = f.value != 0;
        else if (f.number == 5 && f.wire == 0)
            m->escape = f.value != 0;
    }
    return bad ? malformed(what) : SC_OK;
}

static sc_status check(const spm *m, const char *what)
{
    static const char *const kinds[] = {"0", "Unigram", "BPE", "Word", "Char"};
    if (m->n == 0) return malformed(what);
    if (m->kind != 1 && m->kind != 2)
        return sc_fail(SC_EUNSUPPORTED, "%s: SentencePiece models of the kind %s are not supported", what,
                       m->kind < SC_COUNT(kinds) ? kinds[m->kind] : "unknown");
    if (!m->escape)
        return sc_fail(SC_EUNSUPPORTED, "%s: normalizer_spec: escape_whitespaces=false is not supported", what);
    return SC_OK;
}

sc_status sc_spm_read(const void *data, int64_t len, const char *what,
                      sc_status (*use)(void *user, const sc_gguf_vocab *v, const char *what), void *user)
{
    spm m = {.kind = 1, .add_prefix = true, .squeeze = true, .escape = true};
    m.v = (sc_gguf_vocab){.bos = 1,
                          .eos = 2,
                          .pad = -1,
                          .unk = 0,
                          .cls = -1,
                          .sep = -1,
                          .add_bos = 1,
                          .lowercase = -1,
                          .strip_accents = -1};
    reader r = {data, (const uint8_t *)data + len};
    field f;
    bool bad = false;
    sc_status s = SC_OK;
    while (!s && next(&r, &f, &bad)) {
        if (f.wire != 2) continue;
        if (f.number == 1)
            s = read_piece(&m, f.bytes, what);
        else if (f.number == 2)
            s = read_trainer(&m, f.bytes, what);
        else if (f.number == 3)
            s = read_normalizer(&m, f.bytes, what);
    }
    if (!s) s = bad ? malformed(what) : check(&m, what);
    if (!s) {
        /* What stands around a text is not said here. The BPE models are Llama's, which begin it; of the Unigram ones
         * T5's end it: those have no token to begin with. */
        bool unigram = m.kind == 1;
        m.v.model = unigram ? "t5" : "llama";
        m.v.add_bos = !unigram;
        m.v.add_eos = unigram && m.v.bos < 0;
        m.v.charsmap = m.charsmap.p;
        m.v.charsmap_n = m.charsmap.p ? m.charsmap.end - m.charsmap.p : 0;
        m.v.n = m.n;
        m.v.tokens = m.tokens;
        m.v.types = m.types;
        m.v.scores = m.scores;
        m.v.add_space_prefix = m.add_prefix;
        m.v.sentencepiece = true;
        m.v.squeeze_spaces = m.squeeze;
        m.v.no_byte_fallback = !m.byte_fallback;
        s = use(user, &m.v, what);
    }
    sc_free(m.tokens);
    sc_free(m.types);
    sc_free(m.scores);
    return s;
}

static sc_status make(void *out, const sc_gguf_vocab *v, const char *what)
{
    return sc_tokenizer_from_gguf_vocab(out, v, what);
}

sc_status sc_tokenizer_from_spm(sc_tokenizer **out, const void *data, int64_t len, const char *what)
{
    if (len >= 4 && memcmp(data, "GGUF", 4) == 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: a GGUF file, not a tokenizer file", what);
    if (sc_is_tiktoken(data, len))
        return sc_tokenizer_from_tiktoken(out, data, len, what); /* Llama 3's has this name */
    return sc_spm_read(data, len, what, make, out);
}
