/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary as the files that others read. */
#include "vocab/vocab.h"

static json_t *text_of(sc_slice x) { return json_stringn_nocheck(x.p, (size_t)x.n); }

/* {"token": id, …} */
static json_t *vocab_object(const sc_token_list *l)
{
    json_t *o = json_object();
    for (int64_t i = 0; o && i < l->n; i++)
        if (json_object_setn_new_nocheck(o, l->text[i].p, (size_t)l->text[i].n, json_integer(i))) {
            json_decref(o);
            return NULL;
        }
    return o;
}

static bool has_space(const sc_token_list *l)
{
    for (int64_t i = 0; i < l->n; i++)
        if (memchr(l->text[i].p, ' ', (size_t)l->text[i].n)) return true;
    return false;
}

/* "a b" as every reader knows it; ["a", "b"] where a token has a space in it. */
static json_t *merge_list(const sc_token_list *l)
{
    json_t *list = json_array();
    bool pairs = has_space(l);
    sc_str both = {0};
    for (int64_t i = 0; list && i < l->merges; i++) {
        sc_slice a = l->text[l->merge[i].a], b = l->text[l->merge[i].b];
        json_t *item;
        if (pairs) {
            item = json_pack("[o, o]", text_of(a), text_of(b));
        } else {
            both.len = 0;
            sc_str_append(&both, a.p, a.n);
            sc_str_putc(&both, ' ');
            sc_str_append(&both, b.p, b.n);
            item = both.oom ? NULL : json_stringn_nocheck(both.p, (size_t)both.len);
        }
        if (json_array_append_new(list, item)) {
            json_decref(list);
            list = NULL;
        }
    }
    sc_str_free(&both);
    return list;
}

static json_t *scored_list(const sc_token_list *l)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < l->n; i++)
        if (json_array_append_new(list, json_pack("[o, f]", text_of(l->text[i]), l->score[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static int64_t id_of(const sc_token_list *l, const char *token)
{
    int64_t id = -1;
    if (token) sc_map_get(&l->map, token, (int64_t)strlen(token), &id);
    return id;
}

static json_t *model_of(const sc_recipe *r, const sc_token_list *l)
{
    switch (r->kind) {
    case SC_KIND_WORDPIECE:
        return json_pack("{s:s, s:s, s:s, s:i, s:o}", "type", "WordPiece", "unk_token", r->in.unk,
                         "continuing_subword_prefix", r->prefix, "max_input_chars_per_word", 100, "vocab",
                         vocab_object(l));
    case SC_KIND_UNIGRAM:
        return json_pack("{s:s, s:I, s:b, s:o}", "type", "Unigram", "unk_id", (json_int_t)id_of(l, r->in.unk),
                         "byte_fallback", r->byte_fallback, "vocab", scored_list(l));
    default:
        return json_pack("{s:s, s:n, s:s?, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                         "unk_token", r->kind == SC_KIND_BPE ? r->in.unk : NULL, "continuing_subword_prefix",
                         "end_of_word_suffix", "fuse_unk", r->kind == SC_KIND_BPE, "byte_fallback",
                         r->byte_fallback, "ignore_merges", 0, "vocab", vocab_object(l), "merges", merge_list(l));
    }
}

static json_t *added_tokens(const sc_recipe *r, const sc_token_list *l)
{
    json_t *list = json_array();
    for (int i = 0; list && i < r->in.specials; i++)
        if (json_array_append_new(list, json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                                                  (json_int_t)id_of(l, r->special[i]), "content", r->special[i],
                                                  "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
                                                  "special", 1))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* ---- what stands around texts ---- */

typedef struct frame {
    json_t *single, *pair, *tokens;
    const sc_token_list *l;
    int faults; /* without memory */
} frame;

static void put_token(frame *f, const char *token, int type, bool single, bool pair)
{
    if (!token) return;
    json_t *item = json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", token, "type_id", type);
    if (single) f->faults |= json_array_append(f->single, item);
    if (pair) f->faults |= json_array_append(f->pair, item);
    json_decref(item);
    f->faults |= json_object_set_new(
        f->tokens, token,
        json_pack("{s:s, s:[I], s:[s]}", "id", token, "ids", (json_int_t)id_of(f->l, token), "tokens", token));
}

static void put_text(frame *f, json_t *list, const char *name, int type)
{
    f->faults |= json_array_append_new(list, json_pack("{s:{s:s, s:i}}", "Sequence", "id", name, "type_id", type));
}

static json_t *post_processor(const sc_recipe *r, const sc_token_list *l)
{
    bool bert = r->kind == SC_KIND_WORDPIECE;
    const char *before = bert ? r->in.cls : r->in.add_bos ? r->in.bos : NULL;
    const char *after = bert ? r->in.sep : r->in.add_eos ? r->in.eos : NULL;
    if (!before && !after) return json_null();
    frame f = {json_array(), json_array(), json_object(), l, 0};
    put_token(&f, before, 0, true, true);
    put_text(&f, f.single, "A", 0);
    put_text(&f, f.pair, "A", 0);
    put_token(&f, after, 0, true, true);
    if (!bert) put_token(&f, before, 1, false, true);
    put_text(&f, f.pair, "B", 1);
    put_token(&f, after, 1, false, true);
    json_t *o = json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", f.single, "pair", f.pair,
                          "special_tokens", f.tokens);
    if (!f.faults) return o;
    json_decref(o);
    return NULL;
}

static json_t *config_of(const sc_recipe *r)
{
    const sc_tokenizer_recipe *x = &r->in;
    const struct {
        const char *key, *token;
    } named[] = {{"bos_token", x->bos},
                 {"eos_token", x->eos},
                 {"unk_token", r->kind == SC_KIND_BYTES ? NULL : x->unk},
                 {"pad_token", x->pad},
                 {"cls_token", x->cls},
                 {"sep_token", x->sep},
                 {"mask_token", x->mask},
                 {"chat_template", x->chat_template}};
    json_t *o =
        json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces", 0);
    for (int i = 0; o && i < SC_COUNT(named); i++)
        if (named[i].token && json_object_set_new(o, named[i].key, json_string(named[i].token))) {
            json_decref(o);
            return NULL;
        }
    return o;
}

/* Numbers get ten digits: readers that are not exact to the last bit of more (HuggingFace's among them) get the same scores,
 * and so the same one of ways that are equally good. */
static sc_status write_json(const char *dir, const char *name, const json_t *o)
{
    char *path = sc_path_join(dir, name),
         *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) : NULL;
    sc_status s = path && text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(path);
    sc_free(text);
    return s;
}

sc_status sc_layout_fill(json_t *layout, const sc_recipe *r, const sc_token_list *l)
{
    bool ok = json_object_set_new(layout, "added_tokens", added_tokens(r, l)) == 0 &&
              json_object_set_new(layout, "post_processor", post_processor(r, l)) == 0 &&
              json_object_set_new(layout, "model", model_of(r, l)) == 0;
    return ok ? SC_OK : sc_nomem();
}

sc_status sc_layout_write(const char *dir, const sc_recipe *r, const json_t *layout)
{
    sc_status s = sc_mkdirs(dir);
    if (!s) s = write_json(dir, "tokenizer.json", layout);
    json_t *config = s ? NULL : config_of(r);
    if (!s) s = write_json(dir, "tokenizer_config.json", config);
    json_decref(config);
    return s;
}
