/* SPDX-License-Identifier: Apache-2.0 */
/* Self-Instruct (Wang et al. 2023, "Self-Instruct: Aligning language models with self-generated instructions"): tasks after the
 * example of tasks; whether each is a classification; examples of it, for classifications the label first, so that labels are
 * not all the same. */
#include "synth/synth.h"

#include <math.h>

enum { SHOWN_MOST = 32, FRUITLESS = 8, EXAMPLES = 4 };

typedef struct task {
    const char *instruction, *input, *output; /* input and output: of seeds, the first instance's */
    bool classification, made;
    const char *id;
} task;

typedef struct maker {
    sc_synth w;
    sc_self_instruct o;
    task *task; /* the seeds, then what was made */
    int64_t n, cap, seeds;
    sc_novelty *novelty;
    int64_t asked; /* prompts for instructions so far */
    int64_t made;
} maker;

static uint64_t below(sc_rng *r, int64_t n) { return (uint64_t)(sc_rng_uniform(r) * (double)n); }

/* k different numbers out of [from, to); fewer where there are fewer. */
static int draw(sc_rng *r, int64_t from, int64_t to, int k, int64_t *out)
{
    int n = 0;
    k = (int)SC_MIN(k, to - from);
    while (n < k) {
        int64_t x = from + (int64_t)below(r, to - from);
        bool had = false;
        for (int i = 0; i < n; i++) had |= out[i] == x;
        if (!had) out[n++] = x;
    }
    return n;
}

static sc_rng rng_of(const maker *m, const char *stage, int64_t index)
{
    return sc_rng_make(m->w.o.seed, sc_hash(stage, (int64_t)strlen(stage)) + (uint64_t)index);
}

/* ---- seeds ---- */

static sc_status add_task(maker *m, const task *t)
{
    if (!sc_grow(&m->task, &m->cap, m->n + 1, sizeof *m->task)) return sc_nomem();
    m->task[m->n++] = *t;
    return sc_novelty_add(m->novelty, t->instruction);
}

static const char *own(maker *m, const char *text) { return sc_arena_strndup(m->w.arena, text, strlen(text)); }

static sc_status take_seed(void *user, json_t *o, int64_t line)
{
    maker *m = user;
    const json_t *first = json_array_get(json_object_get(o, "instances"), 0);
    const char *instruction = sc_synth_text_of(o, "instruction"), *id = sc_synth_text_of(o, "id"),
               *input = sc_synth_text_of(first ? first : o, "input"),
               *output = sc_synth_text_of(first ? first : o, "output");
    if (!instruction || !output)
        return sc_fail(SC_EFORMAT, "line %lld has no %s", (long long)line, instruction ? "output" : "instruction");
    task t = {.instruction = own(m, instruction),
              .input = own(m, input ? input : ""),
              .output = own(m, output),
              .classification = json_is_true(json_object_get(o, "is_classification")),
              .id = id ? own(m, id) : sc_arena_printf(m->w.arena, "seed_%lld", (long long)line)};
    return t.instruction && t.input && t.output && t.id ? add_task(m, &t) : sc_nomem();
}

/* ---- instructions ---- */

/* Why a text is no instruction for a model that reads and writes text; NULL: it may be one. */
static const char *unfit(const char *text)
{
    static const char *const words[] = {"image",   "images", "graph", "graphs", "picture", "pictures",
                                        "file",    "files",  "map",   "maps",   "draw",    "plot",
                                        "photo",   "video",  "audio", "music",  "go to",   "flowchart",
                                        "diagram", "그림",   "사진",  "영상",   "그래프"};
    int64_t n = 1, len = (int64_t)strlen(text);
    for (const char *p = text; *p; p++) n += *p == ' ' || *p == '\n';
    if (n < 3) return "instruction_short";
    if (n > 150 || len > 1500) return "instruction_long";
    if (strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", *text)) return "instruction_punctuation";
    if (sc_synth_repeats(text)) return "instruction_repeats";
    for (int i = 0; i < SC_COUNT(words); i++) {
        size_t k = strlen(words[i]);
        for (const char *p = text; *p; p++) {
            bool begins = p == text || p[-1] == ' ' || p[-1] == '(' || p[-1] == '"', same = true;
            for (size_t j = 0; j < k && same; j++)
                same = p[j] == words[i][j] || (p[j] >= 'A' && p[j] <= 'Z' && (p[j] | 32) == words[i][j]);
            bool letters = (unsigned char)words[i][0] < 0x80; /* Korean words go on with a particle */
            if (begins && same && (!letters || !p[k] || strchr(" .,;:!?)\"'\n", p[k])))
                return "instruction_not_text";
        }
    }
    return NULL;
}

static sc_status instruction_prompt(maker *m, int64_t index, sc_question *q, int64_t *shown, int *n_shown)
{
    sc_rng r = rng_of(m, "instructions", index);
    int want = (int)SC_MIN(m->o.shown, SHOWN_MOST), of_made = (int)SC_MIN(want / 4, m->n - m->seeds);
    int n = draw(&r, m->seeds, m->n, of_made, shown);
    n += draw(&r, 0, m->seeds, want - n, shown + n);
    sc_str s = {0};
    sc_str_puts(
        &s,
        "Here is a list of tasks of many kinds that somebody gives to an assistant who reads and writes text.\n");
    for (int i = 0; i < n; i++) {
        int k = (int)below(&r, i + 1); /* in another order than they were drawn in */
        int64_t x = shown[i];
        shown[i] = shown[k];
        shown[k] = x;
    }
    for (int i = 0; i < n; i++) sc_str_printf(&s, "\nTask %d: %s", i + 1, m->task[shown[i]].instruction);
    if (m->w.model.chats)
        sc_str_printf(
            &s,
            "\n\nGo on with tasks %d to %d. Each is unlike all others in what it asks for, takes one or two "
            "sentences, and needs nothing but text. Write nothing but the list.",
            n + 1, n + 8);
    *n_shown = n;
    *q = (sc_question){
        .stage = "instructions",
        .index = index,
        .text = s.oom ? NULL : own(m, s.p),
        .begin = sc_arena_printf(m->w.arena, "Task %d:", n + 1),
        .stop = sc_arena_printf(m->w.arena, "\nTask %d:", n + 9),
    };
    sc_str_free(&s);
    return q->text && q->begin && q->stop ? SC_OK : sc_nomem();
}

static json_t *ids_of(const maker *m, const int64_t *shown, int n)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++) json_array_append_new(list, json_string(m->task[shown[i]].id));
    return list;
}

/* One that is new becomes a task; *from gets its provenance. */
static sc_status take_instruction(maker *m, const char *text, int64_t index, json_t *shown, json_t *fresh)
{
    static const char *const labels[] = {"Input", "Output", "Answer", "Example", "Label"};
    double rouge = 0;
    int64_t near = -1;
    if (!(text = sc_synth_paragraph(m->w.arena, text, labels, SC_COUNT(labels)))) return sc_nomem();
    const char *why = unfit(text);
    sc_status s = why ? SC_OK : sc_novelty_nearest(m->novelty, text, &rouge, &near);
    if (s) return s;
    if (!why && rouge > m->w.o.novelty) why = "instruction_not_new";
    json_t *from = sc_synth_provenance(&m->w, &m->w.model, "instructions", index);
    if (!from) return sc_nomem();
    json_object_set(from, "shown", shown);
    if (near >= 0) {
        json_object_set_new(from, "nearest", json_string(m->task[near].id));
        json_object_set_new(from, "rouge_l", json_real(rouge));
    }
    if (why) return sc_synth_reject(&m->w, json_pack("{s:s, s:o}", "instruction", text, "provenance", from), why);
    task t = {.instruction = text,
              .made = true,
              .id = sc_arena_printf(m->w.arena, "made_%lld", (long long)(m->n - m->seeds + 1))};
    s = t.id ? add_task(m, &t) : sc_nomem();
    if (!s && json_array_append_new(fresh, from) != 0) s = sc_nomem();
    if (s) json_decref(from);
    return s;
}

/* A round of prompts; *fresh: the provenance of each task that they gave. */
static sc_status make_instructions(maker *m, json_t *fresh)
{
    int64_t n = m->w.o.round, *shown = sc_calloc((size_t)n * SHOWN_MOST, sizeof *shown);
    sc_question *q = sc_calloc((size_t)n, sizeof *q);
    sc_reply *a = sc_calloc((size_t)n, sizeof *a);
    int *count = sc_calloc((size_t)n, sizeof *count);
    sc_status s = shown && q && a && count ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++)
        s = instruction_prompt(m, m->asked + i, &q[i], shown + i * SHOWN_MOST, &count[i]);
    if (!s) s = sc_synth_ask(&m->w, &m->w.model, q, n, a);
    for (int64_t i = 0; !s && i < n; i++) {
        const char **item;
        int items;
        json_t *ids = ids_of(m, shown + i * SHOWN_MOST, count[i]);
        s = ids ? sc_synth_items(m->w.arena, a[i].text, count[i] + 1, &item, &items) : sc_nomem();
        if (!s && items && !a[i].whole) items--; /* it was cut off */
        if (!s && !items) sc_synth_count(&m->w, "answers_without_instructions", 1);
        for (int k = 0; !s && k < items; k++) {
            if (m->n - m->seeds >= m->o.count) break;
            s = take_instruction(m, item[k], m->asked + i, ids, fresh);
        }
        json_decref(ids);
    }
    m->asked += n;
    sc_free(shown);
    sc_free(q);
    sc_free(a);
    sc_free(count);
    return s;
}

/* ---- classifications ---- */

static void put_examples_of_kind(maker *m, sc_rng *r, sc_str *s)
{
    int64_t pick[EXAMPLES];
    for (int kind = 0; kind < 2; kind++) {
        int n = 0;
        for (int tries = 0; n < EXAMPLES && tries < 200 && m->seeds; tries++) {
            int64_t x = (int64_t)below(r, m->seeds);
            bool had = m->task[x].classification != (kind == 0);
            for (int i = 0; i < n; i++) had |= pick[i] == x;
            if (!had) pick[n++] = x;
        }
        for (int i = 0; i < n; i++)
            sc_str_printf(s, "Task: %s\nAnswer: %s\n\n", m->task[pick[i]].instruction, kind ? "No" : "Yes");
    }
}

static sc_status tell_classifications(maker *m, int64_t from)
{
    int64_t n = m->n - from;
    sc_choice *c = sc_calloc((size_t)n + 1, sizeof *c);
    double(*share)[SC_CHOICES] = sc_calloc((size_t)n + 1, sizeof *share);
    sc_status s = c && share ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        sc_rng r = rng_of(m, "classification", from + i);
        sc_str text = {0};
        sc_str_puts(&text,
                    "Is the answer to the task one of a few fixed labels, so that it is a classification?\n\n");
        put_examples_of_kind(m, &r, &text);
        sc_str_printf(&text, "Task: %s", m->task[from + i].instruction);
        c[i] = (sc_choice){.stage = "classification",
                           .index = from + i,
                           .text = text.oom ? NULL : own(m, text.p),
                           .begin = m->w.model.chats ? NULL : "Answer:",
                           .option = {"Yes", "No"},
                           .n = 2};
        if (!c[i].text) s = sc_nomem();
        sc_str_free(&text);
    }
    if (!s) s = sc_synth_choose(&m->w, &m->w.model, c, n, share);
    for (int64_t i = 0; !s && i < n; i++) {
        m->task[from + i].classification = share[i][0] > 0.5;
        sc_synth_count(&m->w,
                       isnan(share[i][0])  ? "kind_not_told"
                       : share[i][0] > 0.5 ? "classifications"
                                           : "other_tasks",
                       1);
    }
    sc_free(c);
    sc_free(share);
    return s;
}

/* ---- examples ---- */

static void put_seed(const task *t, sc_str *s)
{
    const char *input = *t->input ? t->input : "none";
    if (t->classification)
        sc_str_printf(s, "Task: %s\nLabel: %s\nInput: %s\n\n", t->instruction, t->output, input);
    else
        sc_str_printf(s, "Task: %s\nInput: %s\nOutput: %s\n\n", t->instruction, input, t->output);
}

static sc_status instance_prompt(maker *m, int64_t index, sc_question *q)
{
    const task *t = &m->task[index];
    sc_rng r = rng_of(m, "instances", index);
    sc_str s = {0};
    sc_str_puts(
        &s, t->classification
                ? "For each task choose a label, and write an input that has this label. Where a task needs no "
                  "input, write \"none\".\n\n"
                : "For each task write an input, and the output that solves the task for it. Where a task needs "
                  "no input, write \"none\".\n\n");
    int shown = 0;
    for (int tries = 0; shown < EXAMPLES && tries < 200; tries++) {
        const task *x = &m->task[below(&r, m->seeds)];
        if (x->classification != t->classification || strlen(x->input) + strlen(x->output) > 800) continue;
        put_seed(x, &s);
        shown++;
    }
    sc_str_printf(&s, "Task: %s", t->instruction);
    *q = (sc_question){.stage = "instances",
                       .index = index,
                       .text = s.oom ? NULL : own(m, s.p),
                       .begin = t->classification ? "Label:" : "Input:",
                       .stop = "\nTask:"};
    sc_str_free(&s);
    return q->text ? SC_OK : sc_nomem();
}

static bool same_text(const char *a, const char *b) { return strcmp(a, b) == 0; }

static const char *wrong(const task *t, const char *input, const char *output, bool cut)
{
    size_t n = strlen(output);
    if (!n) return "output_missing";
    if (cut) return "output_cut";
    if (same_text(input, output)) return "output_is_input";
    if (same_text(output, t->instruction)) return "output_is_instruction";
    if (output[n - 1] == ':') return "output_unfinished";
    if (sc_synth_repeats(output)) return "output_repeats";
    return NULL;
}

static sc_status take_instance(maker *m, const task *t, int64_t index, json_t *from, const char *input,
                               const char *output, bool cut)
{
    static const char *const none[] = {"none", "None", "none.", "None.", "<none>", "\"none\"", "N/A", "없음"};
    for (int i = 0; i < SC_COUNT(none); i++)
        if (same_text(input, none[i])) input = "";
    const char *why = wrong(t, input, output, cut);
    json_t *provenance = json_copy(from);
    if (!provenance) return sc_nomem();
    json_object_set_new(provenance, "task", json_string(t->id));
    json_object_set_new(provenance, "instance_index", json_integer((json_int_t)index));
    json_t *line = json_pack("{s:s, s:s, s:s, s:b, s:o}", "instruction", t->instruction, "input", input, "output",
                             output, "is_classification", t->classification, "provenance", provenance);
    if (why) return sc_synth_reject(&m->w, line, why);
    const char *whole = sc_arena_printf(m->w.arena, "%s\n%s\n%s", t->instruction, input, output);
    return whole ? sc_synth_keep(&m->w, line, whole) : sc_nomem();
}

/* Pairs of input and output, in whichever order; one that comes twice with different outputs is not to be trusted. */
static sc_status take_instances(maker *m, int64_t index, json_t *from, const sc_reply *a)
{
    static const char *const labels[] = {"Input", "Output", "Label", "Class label", "Class", "Answer"};
    const task *t = &m->task[index];
    const char *whole = sc_arena_printf(m->w.arena, "%s %s", t->classification ? "Label:" : "Input:", a->text);
    sc_labelled *part;
    int n, kept = 0;
    sc_status s = whole ? sc_synth_labelled(m->w.arena, whole, labels, SC_COUNT(labels), &part, &n) : sc_nomem();
    if (s) return s;
    int at = n > 1 && !*part[0].text ? 1 : 0; /* a model that wrote the label again */
    for (; !s && at + 1 < n && kept < m->o.instances; at += 2) {
        bool input_first = part[at].label == 0;
        const char *input = part[at + !input_first].text, *output = part[at + input_first].text;
        if ((part[at + 1].label == 0) == input_first) break; /* twice the same: lost */
        s = take_instance(m, t, index, from, input, output, !a->whole && at + 2 >= n);
        kept++;
    }
    if (s || kept) return s;
    sc_synth_count(&m->w, "answers_without_examples", 1);
    return sc_synth_reject(
        &m->w, json_pack("{s:s, s:s, s:O}", "instruction", t->instruction, "answer", a->text, "provenance", from),
        "no_example");
}

static sc_status make_instances(maker *m, int64_t from, const json_t *fresh)
{
    int64_t n = m->n - from;
    sc_question *q = sc_calloc((size_t)n + 1, sizeof *q);
    sc_reply *a = sc_calloc((size_t)n + 1, sizeof *a);
    sc_status s = q && a ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) s = instance_prompt(m, from + i, &q[i]);
    if (!s) s = sc_synth_ask(&m->w, &m->w.model, q, n, a);
    for (int64_t i = 0; !s && i < n; i++) s = take_instances(m, from + i, json_array_get(fresh, (size_t)i), &a[i]);
    sc_free(q);
    sc_free(a);
    return s;
}

/* ---- all of it ---- */

static sc_status make(maker *m)
{
    int fruitless = 0;
    sc_status s = SC_OK;
    while (!s && m->n - m->seeds < m->o.count && fruitless < FRUITLESS) {
        int64_t from = m->n;
        json_t *fresh = json_array();
        s = fresh ? make_instructions(m, fresh) : sc_nomem();
        if (!s && m->n > from) s = tell_classifications(m, from);
        if (!s && m->n > from) s = make_instances(m, from, fresh);
        json_decref(fresh);
        fruitless = m->n > from ? 0 : fruitless + 1;
        sc_progress(m->w.ctx, "making instructions", m->n - m->seeds, m->o.count);
    }
    if (!s && fruitless == FRUITLESS)
        sc_log(m->w.ctx, SC_LOG_WARNING, "%d rounds gave nothing new: %lld instructions in place of %lld",
               FRUITLESS, (long long)(m->n - m->seeds), (long long)m->o.count);
    sc_synth_count(&m->w, "instructions", m->n - m->seeds);
    return s;
}

sc_status sc_synth_self_instruct(sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                                 const sc_self_instruct *x, sc_synth_result *result)
{
    maker m = {.o = *x};
    if (!m.o.count) m.o.count = 100;
    if (!m.o.shown) m.o.shown = 8;
    if (!m.o.instances) m.o.instances = 1;
    sc_status s = sc_synth_open(&m.w, ctx, model, o, "self-instruct");
    if (!s) s = sc_novelty_new(&m.novelty);
    if (!s && !x->seeds) s = sc_fail(SC_EINVAL, "self-instruct needs tasks to begin with");
    if (!s) s = sc_synth_read(x->seeds, 0, take_seed, &m);
    m.seeds = m.n;
    if (!s && !m.seeds) s = sc_fail(SC_EINVAL, "%s has no tasks", x->seeds);
    if (!s) s = make(&m);
    s = sc_synth_finish(&m.w, s, result);
    sc_novelty_free(m.novelty);
    sc_free(m.task);
    return s;
}
