/* SPDX-License-Identifier: Apache-2.0 */
/* `socle embed`, `socle similarity` and `socle neighbors`: texts as vectors. */
#include "socle/embed.h"
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/safetensors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POOLINGS "mean|cls|last|max|mean_sqrt_len|weightedmean"

#define EMBED_OPTIONS                                                                                                \
    {"pooling", 'p', SC_OPT_CHOICE, POOLINGS, "how tokens become one vector; otherwise as the model says"},          \
        {"prompt", 0, SC_OPT_STR, "TEXT", "put this before every text"},                                             \
        {"prompt-name", 0, SC_OPT_STR, "NAME", "put this prompt of the model before every text"},                    \
        {"max-tokens", 0,        SC_OPT_INT, "N", "cut texts after N tokens; 0: where the model must",               \
         .value = "0", .hi = 1e7},                                                                                   \
        {"dimensions", 0, SC_OPT_INT, "N", "keep the first N numbers of a vector; 0: all", .value = "0", .hi = 1e6}, \
    {                                                                                                                \
        "field", 0, SC_OPT_STR, "NAME", "where the text is in lines of a .jsonl file", .value = "text"               \
    }

/* NULL after printing what went wrong; *code is what to return. */
static sc_embedder *open_embedder(sc_cmd *c, int normalize, int *code)
{
    sc_embedder *e = NULL;
    char *path = NULL;
    sc_context *ctx = sc_cmd_context(c);
    *code = 1;
    if (sc_cmd_given(c, "prompt") && sc_cmd_given(c, "prompt-name")) {
        *code = sc_cmd_usage(c, "--prompt and --prompt-name exclude each other");
        return NULL;
    }
    sc_embed_options o = {.pooling = sc_cmd_str(c, "pooling"),
                          .normalize = normalize,
                          .prompt = sc_cmd_str(c, "prompt"),
                          .prompt_name = sc_cmd_str(c, "prompt-name"),
                          .max_tokens = sc_cmd_int(c, "max-tokens"),
                          .dimensions = sc_cmd_int(c, "dimensions")};
    if (!ctx || sc_hub_resolve(&path, sc_cmd_arg(c, 0)) || sc_embedder_open(&e, ctx, path, &o)) sc_cmd_fail(c);
    sc_free(path);
    return e;
}

/* (n, width), owned; NULL after a message. */
static float *embed_all(sc_cmd *c, sc_embedder *e, const sc_text *texts, int64_t n)
{
    int64_t width = sc_embedder_width(e);
    float *out = calloc((size_t)n + 1, (size_t)width * sizeof *out);
    if (!out) {
        sc_cmd_error(c, "out of memory");
        return NULL;
    }
    if (!sc_embedder_embed(e, texts, n, out)) {
        sc_cmd_clear_progress(c);
        return out;
    }
    sc_cmd_fail(c);
    free(out);
    return NULL;
}

static float dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return (float)sum;
}

/* ---- embed ---- */

static void put_lines(FILE *f, const float *x, int64_t n, int64_t width)
{
    for (int64_t i = 0; i < n; i++) {
        fprintf(f, "{\"index\": %lld, \"embedding\": [", (long long)i);
        for (int64_t k = 0; k < width; k++) fprintf(f, k ? ", %.9g" : "%.9g", (double)x[i * width + k]);
        fputs("]}\n", f);
    }
}

/* NumPy's format 1.0: a magic number, the length of a Python dictionary as text, that, and the numbers. */
static void put_npy(FILE *f, const float *x, int64_t n, int64_t width)
{
    char text[128];
    int len = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                       (long long)n, (long long)width);
    const int all = 118; /* with the 10 bytes before it, a multiple of 64 */
    const unsigned char head[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)all, 0};
    fwrite(head, 1, sizeof head, f);
    fprintf(f, "%s%*s\n", text, all - 1 - len, "");
    fwrite(x, sizeof *x, (size_t)(n * width), f);
}

static int write_file(sc_cmd *c, const char *path, void (*put)(FILE *, const float *, int64_t, int64_t),
                      const float *x, int64_t n, int64_t width)
{
    FILE *f = fopen(path, "wb");
    if (!f) return sc_cmd_error(c, "%s: %s", path, strerror(errno));
    put(f, x, n, width);
    bool bad = ferror(f);
    bad |= fclose(f) != 0;
    return bad ? sc_cmd_error(c, "%s: could not be written: %s", path, strerror(errno)) : 0;
}

static int write_safetensors(sc_cmd *c, const char *path, const float *x, int64_t n, int64_t width)
{
    sc_safetensors_writer *w = NULL;
    sc_status s = sc_safetensors_writer_new(&w, path);
    if (!s) s = sc_safetensors_writer_add(w, "embeddings", SC_F32, 2, (int64_t[]){n, width}, x);
    if (!s) s = sc_safetensors_writer_finish(w);
    int code = s ? sc_cmd_fail(c) : 0;
    sc_safetensors_writer_free(w);
    return code;
}

static bool ends(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcmp(path + n - m, suffix) == 0;
}

static int embed(sc_cmd *c)
{
    sc_cmd_texts texts = {0};
    const char *out = sc_cmd_str(c, "output"), *field = sc_cmd_str(c, "field");
    int code = 0, files = sc_cmd_argc(c) - 1;
    if (sc_cmd_flag(c, "normalize") && sc_cmd_flag(c, "no-normalize"))
        return sc_cmd_usage(c, "--normalize and --no-normalize exclude each other");
    if (out && !ends(out, ".npy") && !ends(out, ".safetensors") && !ends(out, ".jsonl"))
        return sc_cmd_usage(c, "--output must end in .npy, .safetensors or .jsonl");
    int normalize = sc_cmd_flag(c, "normalize") ? 1 : sc_cmd_flag(c, "no-normalize") ? -1 : 0;
    for (int i = 0; !code && i < (files > 1 ? files : 1); i++)
        code = sc_cmd_texts_read(c, &texts, sc_cmd_arg(c, i + 1), field);
    sc_embedder *e = code ? NULL : open_embedder(c, normalize, &code);
    float *x = e ? embed_all(c, e, texts.item, texts.n) : NULL;
    if (x) {
        int64_t width = sc_embedder_width(e);
        code = 0;
        if (!out)
            put_lines(stdout, x, texts.n, width);
        else if (ends(out, ".safetensors"))
            code = write_safetensors(c, out, x, texts.n, width);
        else
            code = write_file(c, out, ends(out, ".npy") ? put_npy : put_lines, x, texts.n, width);
    }
    free(x);
    sc_embedder_free(e);
    sc_cmd_texts_free(&texts);
    return code;
}

static const sc_option embed_options[] = {
    EMBED_OPTIONS,
    {"output", 'o', SC_OPT_FILE, "FILE", "write to FILE: .npy, .safetensors (\"embeddings\") or .jsonl"},
    {"normalize", 'n', SC_OPT_FLAG, .help = "bring vectors to length 1"},
    {"no-normalize", 0, SC_OPT_FLAG, .help = "leave vectors as long as they are"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example embed_examples[] = {
    {"socle embed all-MiniLM-L6-v2 notes.txt -o notes.npy", "A vector for each line of a file, for NumPy"},
    {"echo 'Hello, world!' | socle embed all-MiniLM-L6-v2", "One line of JSON for each line of the input"},
    {"socle embed ./e5 questions.jsonl --prompt-name query",
     "Texts of JSON lines, with one of the model's prompts"},
    {0}};
const sc_verb sc_verb_embed = {
    .name = "embed",
    .summary = "Turn texts into vectors",
    .args = "MODEL [FILE...]",
    .min_args = 1,
    .max_args = -1,
    .about =
        "Each line of the files, or of standard input, is a text; of a .jsonl file the text at a field of each "
        "line's "
        "object. Pooling, dense layers, length and prompts are those of the model's modules.json, in the layout of "
        "sentence-transformers. Without it an encoder's vector is the mean of its tokens and a decoder's is its "
        "last "
        "token, brought to length 1.\n\n"
        "The answer is a line of JSON for each text, {\"index\": 0, \"embedding\": [...]}, or a file of all.",
    .options = embed_options,
    .examples = embed_examples,
    .run = embed};

/* ---- similarity ---- */

static int similarity(sc_cmd *c)
{
    int code;
    sc_embedder *e = open_embedder(c, 1, &code);
    if (!e) return code;
    sc_text texts[2];
    for (int i = 0; i < 2; i++) texts[i] = (sc_text){sc_cmd_arg(c, i + 1), (int64_t)strlen(sc_cmd_arg(c, i + 1))};
    float *x = embed_all(c, e, texts, 2);
    if (x) printf("%.4f\n", (double)dot(x, x + sc_embedder_width(e), sc_embedder_width(e)));
    code = x ? 0 : 1;
    free(x);
    sc_embedder_free(e);
    return code;
}

static const sc_option similarity_options[] = {EMBED_OPTIONS, SC_OPT_CONTEXT, {0}};
static const sc_example similarity_examples[] = {
    {"socle similarity all-MiniLM-L6-v2 'A cat sleeps.' 'A kitten is napping.'",
     "How near two texts are in meaning"},
    {0}};
const sc_verb sc_verb_similarity = {.name = "similarity",
                                    .summary = "Measure how near two texts are in meaning",
                                    .args = "MODEL TEXT TEXT",
                                    .min_args = 3,
                                    .max_args = 3,
                                    .about =
                                        "The cosine of the two texts' vectors: 1 for the same direction, near 0 "
                                        "for texts that have nothing in common.",
                                    .options = similarity_options,
                                    .examples = similarity_examples,
                                    .run = similarity};

/* ---- neighbors ---- */

static int put_neighbors(sc_cmd *c, const sc_cmd_texts *texts, const float *x, int64_t width)
{
    int64_t k = sc_cmd_int(c, "top"), found;
    sc_neighbor *best = calloc((size_t)k, sizeof *best);
    if (!best) return sc_cmd_error(c, "out of memory");
    /* The last text is the query. */
    int64_t n = texts->n - 1;
    sc_status s = sc_nearest(sc_cmd_context(c), x, n, width, x + n * width, k, best, &found);
    for (int64_t i = 0; !s && i < found; i++) {
        const sc_text *t = &texts->item[best[i].row];
        if (sc_cmd_flag(c, "json")) {
            json_t *o = json_pack("{s:f, s:I, s:s%}", "score", (double)best[i].score, "line",
                                  (json_int_t)best[i].row + 1, "text", t->p, (size_t)t->len);
            if (!sc_cmd_json(c, o, JSON_REAL_PRECISION(6))) continue;
            free(best);
            return 1;
        }
        printf("%.4f\t", (double)best[i].score);
        fwrite(t->p, 1, (size_t)t->len, stdout);
        putchar('\n');
    }
    free(best);
    return s ? sc_cmd_fail(c) : 0;
}

static int neighbors(sc_cmd *c)
{
    sc_cmd_texts texts = {0};
    const char *query = sc_cmd_arg(c, 2);
    int code = sc_cmd_texts_read(c, &texts, sc_cmd_arg(c, 1), sc_cmd_str(c, "field"));
    if (!code && !texts.n) code = sc_cmd_error(c, "%s: no texts", sc_cmd_arg(c, 1));
    sc_embedder *e = code ? NULL : open_embedder(c, 1, &code);
    if (e) {
        sc_text *all = realloc(texts.item, (size_t)(texts.n + 1) * sizeof *all);
        float *x = NULL;
        if (all) {
            texts.item = all;
            all[texts.n++] = (sc_text){query, (int64_t)strlen(query)};
            x = embed_all(c, e, all, texts.n);
        }
        code = x ? put_neighbors(c, &texts, x, sc_embedder_width(e)) : 1;
        free(x);
    }
    sc_embedder_free(e);
    sc_cmd_texts_free(&texts);
    return code;
}

static const sc_option neighbors_options[] = {
    EMBED_OPTIONS,
    {"top", 'k', SC_OPT_INT, "K", "how many texts to show", .value = "5", .lo = 1, .hi = 1e6},
    {"json", 'j', SC_OPT_FLAG, .help = "an object a line: score, line, text"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example neighbors_examples[] = {
    {"socle neighbors all-MiniLM-L6-v2 notes.txt 'how to cook rice' -k 3", "The three lines nearest in meaning"},
    {0}};
const sc_verb sc_verb_neighbors = {
    .name = "neighbors",
    .summary = "Find the texts nearest in meaning",
    .args = "MODEL FILE QUERY",
    .min_args = 3,
    .max_args = 3,
    .about = "Embeds each line of FILE (- for standard input; of a .jsonl file the text at a field) and shows "
             "those whose "
             "vectors have the largest cosine with the query's, best first: the cosine, a tab and the text.",
    .options = neighbors_options,
    .examples = neighbors_examples,
    .run = neighbors};
