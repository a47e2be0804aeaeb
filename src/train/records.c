/* SPDX-License-Identifier: Apache-2.0 */
/* Files of data as records: a text file is one, .jsonl has one a line, .json a list of them, .tsv one a line too, and a
 * FASTA file one a sequence. Each may be compressed, as .gz or .zst. */
#include "train/objective.h"

enum { MAX_COLUMNS = 64 };

/* Where a record stands, for messages. */
static sc_status fail_at(const sc_record *r, sc_status s, const char *what, const char *names)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(names, "|"), names);
    if (!r->line) return sc_fail(s, "%s: %s \"%s\": .jsonl or .tsv is needed", r->path, what, name);
    return sc_fail(s, "%s: line %lld %s \"%s\"", r->path, (long long)r->line, what, name);
}

/* Whether p[0..n) is one of "a|b|c". */
static bool is_one_of(const char *p, int64_t n, const char *names)
{
    for (const char *name = names; *name;) {
        size_t len = strcspn(name, "|");
        if ((int64_t)len == n && memcmp(name, p, len) == 0) return true;
        name += len + (name[len] == '|');
    }
    return false;
}

static sc_field column_of(sc_field line, int column)
{
    for (; column > 0; column--) {
        const char *tab = memchr(line.p, '\t', (size_t)line.n);
        if (!tab) return (sc_field){0};
        line.n -= tab + 1 - line.p;
        line.p = tab + 1;
    }
    const char *tab = memchr(line.p, '\t', (size_t)line.n);
    return (sc_field){line.p, tab ? tab - line.p : line.n};
}

/* The column that a header calls so; -1: none. */
static int column_named(sc_field header, const char *names)
{
    for (int i = 0; i < MAX_COLUMNS; i++) {
        sc_field f = column_of(header, i);
        if (!f.p) break;
        if (is_one_of(f.p, f.n, names)) return i;
    }
    return -1;
}

const json_t *sc_record_value(const sc_record *r, const char *names)
{
    char name[64];
    for (const char *at = names; *at;) {
        size_t n = strcspn(at, "|");
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        const json_t *v = json_object_get(r->json, name);
        if (v && !json_is_null(v)) return v;
        at += n + (at[n] == '|');
    }
    return NULL;
}

bool sc_record_has(const sc_record *r, const char *names, int column)
{
    if (r->json) return sc_record_value(r, names) != NULL;
    if (!r->table) return false;
    if (r->header.p) column = column_named(r->header, names);
    return column >= 0 && column_of(r->text, column).p != NULL;
}

sc_status sc_record_text(const sc_record *r, const char *names, int column, sc_field *out)
{
    if (!sc_record_has(r, names, column)) return fail_at(r, SC_EFORMAT, "has no", names);
    if (r->json) {
        const json_t *v = sc_record_value(r, names);
        if (!json_is_string(v)) return fail_at(r, SC_EFORMAT, "has no text as", names);
        *out = (sc_field){json_string_value(v), (int64_t)json_string_length(v)};
        return SC_OK;
    }
    if (r->header.p) column = column_named(r->header, names);
    *out = column_of(r->text, column);
    return SC_OK;
}

sc_status sc_record_document(const sc_record *r, sc_field *out)
{
    if (r->json || r->header.p) return sc_record_text(r, "text", 0, out);
    *out = r->text;
    return SC_OK;
}

/* ---- files ---- */

typedef struct reading {
    sc_context *ctx;
    const char *path, *text;
    int64_t len;
    sc_record_fn *fn;
    void *user;
} reading;

/* The line at *at without its end; *at is behind it then. */
static sc_field next_line(const reading *r, int64_t *at)
{
    const char *from = r->text + *at, *end = memchr(from, '\n', (size_t)(r->len - *at));
    int64_t n = end ? end - from : r->len - *at;
    *at += n + 1;
    if (n && from[n - 1] == '\r') n--;
    sc_progress(r->ctx, "reading", SC_MIN(*at, r->len), r->len);
    return (sc_field){from, n};
}

static sc_status read_jsonl(const reading *r)
{
    sc_status s = SC_OK;
    for (int64_t at = 0, line = 1; !s && at < r->len; line++) {
        sc_field f = next_line(r, &at);
        char what[32];
        json_t *o = NULL;
        if (!f.n) continue;
        snprintf(what, sizeof what, "line %lld", (long long)line);
        s = sc_json_parse(&o, f.p, f.n, what);
        if (!s && !json_is_object(o)) s = sc_fail(SC_EFORMAT, "%s is no object", what);
        s = s ? sc_fail_in(s, "%s", r->path)
              : r->fn(r->user, &(sc_record){.path = r->path, .line = line, .json = o, .text = f});
        json_decref(o);
    }
    return s;
}

/* A file with a list of objects. */
static sc_status read_json(const reading *r)
{
    json_t *list = NULL;
    sc_status s = sc_json_parse(&list, r->text, r->len, r->path);
    if (!s && !json_is_array(list)) s = sc_fail(SC_EFORMAT, "%s is no list of objects", r->path);
    for (size_t i = 0; !s && i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        s = json_is_object(o) ? r->fn(r->user, &(sc_record){.path = r->path, .line = (int64_t)i + 1, .json = o})
                              : sc_fail(SC_EFORMAT, "%s: item %zu is no object", r->path, i + 1);
    }
    json_decref(list);
    return s;
}

/* A first line that has the name of a column is a header. */
static sc_status read_tsv(const reading *r)
{
    static const char known[] =
        "text|sentence|sentence1|document|source|target|summary|label|score|anchor|positive|"
        "query|question|premise|translation|prompt|completion|instruction|input|output|answer|response";
    sc_field header = {0};
    sc_status s = SC_OK;
    for (int64_t at = 0, line = 1; !s && at < r->len; line++) {
        sc_field f = next_line(r, &at);
        if (!f.n) continue;
        if (line == 1 && column_named(f, known) >= 0)
            header = f;
        else
            s = r->fn(r->user,
                      &(sc_record){.path = r->path, .line = line, .text = f, .header = header, .table = true});
    }
    return s;
}

/* ">name" and lines of a sequence, which are put together in capitals. */
static sc_status read_fasta(const reading *r)
{
    sc_str seq = {0};
    sc_status s = SC_OK;
    int64_t began = 0;
    for (int64_t at = 0, line = 1; !s; line++) {
        bool end = at >= r->len;
        sc_field f = end ? (sc_field){0} : next_line(r, &at);
        if (end || (f.n && (f.p[0] == '>' || f.p[0] == ';'))) {
            if (seq.len) s = r->fn(r->user, &(sc_record){.path = r->path, .line = began, .text = {seq.p, seq.len}});
            seq.len = 0;
            began = line;
            if (end) break;
            continue;
        }
        if (!began)
            s = sc_fail(SC_EFORMAT, "%s: line %lld: a FASTA file begins with '>'", r->path, (long long)line);
        for (int64_t i = 0; !s && i < f.n; i++)
            if (f.p[i] != ' ' && f.p[i] != '\t')
                sc_str_putc(&seq, f.p[i] >= 'a' && f.p[i] <= 'z' ? (char)(f.p[i] - 32) : f.p[i]);
        if (!s && seq.oom) s = sc_nomem();
    }
    sc_str_free(&seq);
    return s;
}

static sc_status read_text(const reading *r, bool lines)
{
    sc_status s = SC_OK;
    if (!lines) return r->len ? r->fn(r->user, &(sc_record){.path = r->path, .text = {r->text, r->len}}) : SC_OK;
    for (int64_t at = 0, line = 1; !s && at < r->len; line++) {
        sc_field f = next_line(r, &at);
        if (f.n) s = r->fn(r->user, &(sc_record){.path = r->path, .line = line, .text = f});
    }
    return s;
}

static bool is_fasta(const char *path)
{
    static const char *const ends[] = {".fasta", ".fa", ".faa", ".fna", ".ffn"};
    for (int i = 0; i < SC_COUNT(ends); i++)
        if (sc_path_is(path, ends[i])) return true;
    return false;
}

sc_status sc_records_of(sc_context *ctx, const char *path, const char *text, int64_t len, bool lines,
                        sc_record_fn *fn, void *user)
{
    reading r = {ctx, path, text, len, fn, user};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) r.text += 3, r.len -= 3; /* a byte order mark */
    if (r.len && memchr(r.text, 0, (size_t)r.len))
        return sc_fail(SC_EFORMAT, "%s is not text: it has bytes of 0", path);
    if (!sc_utf8_valid(r.text, r.len)) return sc_fail(SC_EFORMAT, "%s is not UTF-8", path);
    if (sc_path_is(path, ".jsonl")) return read_jsonl(&r);
    if (sc_path_is(path, ".json")) return read_json(&r);
    if (sc_path_is(path, ".tsv")) return read_tsv(&r);
    return is_fasta(path) ? read_fasta(&r) : read_text(&r, lines);
}

static void free_unpacked(sc_buffer *b) { sc_free(b->data); }

/* A file's bytes. Those of a compressed one are unpacked in memory: their tokens will need more. */
static sc_status load(sc_buffer **out, const char *path)
{
    sc_bytes *b;
    char *p;
    int64_t n;
    sc_status s = sc_bytes_open(&b, path, NULL);
    if (s) return s;
    bool packed = sc_bytes_count(b).packed;
    sc_bytes_close(b);
    if (!packed) return sc_file_map(out, path);
    s = sc_bytes_all(&p, &n, path, sc_memory_size() / 2);
    if (s) return s;
    s = sc_buffer_wrap(out, p, n, free_unpacked, NULL);
    if (s) sc_free(p);
    return s;
}

sc_status sc_records_each(sc_context *ctx, const char *path, bool lines, sc_record_fn *fn, void *user)
{
    sc_buffer *file;
    sc_status s = load(&file, path);
    if (s) return s;
    s = sc_records_of(ctx, path, file->data, file->size, lines, fn, user);
    sc_buffer_unref(file);
    return s;
}
