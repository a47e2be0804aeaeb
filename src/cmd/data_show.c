/* SPDX-License-Identifier: Apache-2.0 */
/* socle data show: what shards hold. */
#include "cmd/cmd.h"
#include "socle/data.h"
#include "socle/tokenizer.h"

#include <inttypes.h>
#include <stdlib.h>

static json_t *facts(const sc_data_shards *x)
{
    const sc_data_shards_info *f = sc_data_shards_get(x);
    json_t *list = json_array();
    int64_t tokens;
    uint32_t crc;
    const char *path;
    for (int64_t i = 0; (path = sc_data_shards_file(x, i, &tokens, &crc)); i++)
        json_array_append_new(list, json_pack("{s:s,s:I,s:I}", "file", path, "tokens", (json_int_t)tokens, "crc32c",
                                              (json_int_t)crc));
    return json_pack("{s:I,s:I,s:I,s:I,s:i,s:I,s:i,s:o}", "tokens", (json_int_t)f->tokens, "documents",
                     (json_int_t)f->documents, "bytes", (json_int_t)f->bytes, "sequence", (json_int_t)f->sequence,
                     "token_bytes", f->token_bytes, "vocab", (json_int_t)f->vocab, "eos", (int)f->eos, "shards",
                     list);
}

static void say(const sc_data_shards *x)
{
    const sc_data_shards_info *f = sc_data_shards_get(x);
    int64_t tokens;
    const char *path;
    printf("tokens       %" PRId64 "\n", f->tokens);
    printf("documents    %" PRId64 "\n", f->documents);
    printf("vocabulary   %" PRId64 "\n", f->vocab);
    printf("token size   %d bytes\n", f->token_bytes);
    if (f->eos >= 0) printf("end of text  %d\n", f->eos);
    if (f->sequence) printf("sequences    of %" PRId64 " tokens\n", f->sequence);
    for (int64_t i = 0; (path = sc_data_shards_file(x, i, &tokens, NULL)); i++)
        printf("%s  %" PRId64 " tokens\n", path, tokens);
}

/* A document's text, or its ids where there is no tokenizer. */
static int print_document(sc_cmd *c, const sc_data_shards *x, const sc_tokenizer *t, int64_t i)
{
    int64_t begin = i ? sc_data_shards_end(x, i - 1) : 0, n = sc_data_shards_end(x, i) - begin, len;
    int32_t *ids = malloc((size_t)(n + 1) * sizeof *ids);
    char *text;
    if (!ids) return sc_cmd_error(c, "out of memory");
    sc_data_shards_read(x, begin, n, ids);
    if (t) {
        sc_status s = sc_tokenizer_decode(t, ids, n, SC_DETOKENIZE_REPLACE_INVALID, &text, &len);
        free(ids);
        if (s) return sc_cmd_fail(c);
        fwrite(text, 1, (size_t)len, stdout);
        putchar('\n');
        sc_free(text);
        return 0;
    }
    putchar('[');
    for (int64_t k = 0; k < n; k++) printf(k ? ", %d" : "%d", ids[k]);
    puts("]");
    free(ids);
    return 0;
}

static int documents(sc_cmd *c, const sc_data_shards *x)
{
    const char *path = sc_cmd_str(c, "tokenizer");
    int64_t n = sc_data_shards_get(x)->documents, from = sc_cmd_int(c, "from"), most = sc_cmd_int(c, "documents");
    sc_tokenizer *t = NULL;
    int code = 0;
    if (path && sc_tokenizer_load(&t, path)) return sc_cmd_fail(c);
    if (t && sc_data_fingerprint(t) != sc_data_shards_get(x)->tokenizer)
        code = sc_cmd_error(c, "%s is another tokenizer than the shards were made with", path);
    for (int64_t i = from; !code && i < n && i - from < most; i++) code = print_document(c, x, t, i);
    sc_tokenizer_free(t);
    return code;
}

static int data_show(sc_cmd *c)
{
    sc_data_shards *x;
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx || sc_data_shards_open(&x, sc_cmd_arg(c, 0))) return sc_cmd_fail(c);
    int code = sc_cmd_flag(c, "check") && sc_data_shards_check(x, ctx) ? sc_cmd_fail(c) : 0;
    if (!code && sc_cmd_int(c, "documents"))
        code = documents(c, x);
    else if (!code && sc_cmd_flag(c, "json"))
        code = sc_cmd_json(c, facts(x), JSON_INDENT(1));
    else if (!code)
        say(x);
    sc_data_shards_free(x);
    return code;
}

static const sc_option options[] = {
    {"check", 0, SC_OPT_FLAG, .help = "read everything: checksums, and whether all tokens are of the vocabulary"},
    {"documents", 'n', SC_OPT_INT, "N", "print so many documents instead", .value = "0", .lo = 0, .hi = 1e15},
    {"from", 0, SC_OPT_INT, "N", "from this one on, counted from 0", .value = "0", .lo = 0, .hi = 1e15},
    {"tokenizer", 0, SC_OPT_FILE, "DIR", "print them as text; else as token ids"},
    {"json", 0, SC_OPT_FLAG, .help = "as JSON"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle data show corpus", "What a folder of shards holds"},
    {"socle data show corpus --documents 3 --tokenizer ./gpt2", "Its first documents, as text"},
    {"socle data show corpus --check", "Whether the files are whole"},
    {0}};
const sc_verb sc_verb_data_show = {.name = "data show",
                                   .summary = "Show what shards of tokens hold",
                                   .args = "SHARDS",
                                   .min_args = 1,
                                   .max_args = 1,
                                   .about =
                                       "SHARDS is the folder that socle data run made, or one of its shard files.",
                                   .options = options,
                                   .examples = examples,
                                   .run = data_show};
