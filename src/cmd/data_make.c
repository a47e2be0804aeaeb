/* SPDX-License-Identifier: Apache-2.0 */
/* socle data make: corpora and tasks of a made world. */
#include "cmd/cmd.h"
#include "socle/world.h"

#include <stdlib.h>
#include <string.h>

/* "64K", "20M", "1.5G" or bytes; -1: none of these. */
static int64_t bytes_of(const char *text)
{
    char *end;
    double x = strtod(text, &end), unit = 1;
    if (end == text) return -1;
    if (*end && strchr("kKmMgG", *end)) {
        unit = *end == 'k' || *end == 'K' ? 1 << 10 : *end == 'm' || *end == 'M' ? 1 << 20 : 1 << 30;
        end++;
    }
    x *= unit;
    return *end == 0 && x >= 1 && x <= 1e13 ? (int64_t)x : -1;
}

static int list(void)
{
    int n;
    const sc_world_kind *const *kinds = sc_world_kinds(&n);
    for (int i = 0; i < n; i++)
        printf("%-12s %s%s\n", kinds[i]->name, kinds[i]->summary, kinds[i]->task ? " (tasks)" : "");
    return 0;
}

static int data_make(sc_cmd *c)
{
    if (sc_cmd_flag(c, "list")) return list();
    const char *kind = sc_cmd_arg(c, 0), *out = sc_cmd_str(c, "out"), *size = sc_cmd_str(c, "size");
    int64_t count = sc_cmd_int(c, "count"), bytes = size ? bytes_of(size) : 0;
    if (!kind) return sc_cmd_usage(c, "what to make is missing: --list shows the kinds");
    if (!out) return sc_cmd_usage(c, "--out FILE is missing");
    if (bytes < 0) return sc_cmd_usage(c, "--size %s: expected bytes, as 64K, 20M or 1G", size);
    if (!bytes && !count) return sc_cmd_usage(c, "how much to make is missing: --size or --count");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    sc_world_options o = {.kind = kind,
                          .seed = (uint64_t)sc_cmd_int(c, "seed"),
                          .language = sc_cmd_str(c, "language"),
                          .split = sc_cmd_str(c, "split"),
                          .shots = sc_cmd_int(c, "shots"),
                          .first = sc_cmd_int(c, "first")};
    sc_world_made made;
    if (sc_world_make(ctx, &o, out, bytes, count, &made)) return sc_cmd_fail(c);
    sc_cmd_clear_progress(c);
    sc_cmd_note(c, "%s: %lld items, %lld bytes", out, (long long)made.items, (long long)made.bytes);
    return 0;
}

static const sc_option options[] = {
    {"out", 'o', SC_OPT_FILE, "FILE",
     "where to write: .jsonl with labels, .warc or .warc.gz a crawl, else plain text"},
    {"size", 0, SC_OPT_STR, "BYTES", "how much, as 64K, 20M or 1G; whole items, so a little more"},
    {"count", 'n', SC_OPT_INT, "N", "at most N items", .lo = 1, .hi = 1e12},
    {"seed", 0, SC_OPT_INT, "N", "another world, and other texts about it", .value = "0", .lo = 0, .hi = 9e15},
    {"language", 0, SC_OPT_CHOICE, "en|ko", "one language; else both"},
    {"split", 0, SC_OPT_CHOICE, "train|eval|all", "which of two parts that share no item", .value = "train"},
    {"shots", 0, SC_OPT_INT, "N", "solved examples before each task", .value = "0", .lo = 0, .hi = 16},
    {"first", 0, SC_OPT_INT, "N", "begin with the N-th item drawn", .value = "0", .lo = 0, .hi = 9e15},
    {"list", 'l', SC_OPT_FLAG, .help = "the kinds that can be made"},
    SC_OPT_CONTEXT,
    {0},
};

static const sc_example examples[] = {
    {"socle data make --list", "The kinds"},
    {"socle data make corpus --size 20M --seed 1 --out corpus.jsonl", "A mixture to pre-train on"},
    {"socle data make corpus --split eval --size 1M --seed 1 --out eval.jsonl", "What that has no item of"},
    {"socle data make add --count 500 --shots 4 --split eval --out add.jsonl", "Tasks behind four solved ones"},
    {0},
};

const sc_verb sc_verb_data_make = {
    .name = "data make",
    .summary = "Make corpora and tasks of a small made world",
    .args = "[KIND]",
    .about =
        "A seed gives a world of people, towns, animals and objects with facts; all that is made with that seed, "
        "in "
        "English and in Korean, keeps to them. The same seed gives the same bytes everywhere. Items of --split "
        "eval are never in train, whatever the seeds.",
    .min_args = 0,
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = data_make,
};
