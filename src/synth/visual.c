/* SPDX-License-Identifier: Apache-2.0 */
/* Talk about pictures (Liu et al. 2023, "Visual Instruction Tuning"): a model that cannot see reads what people said of a
 * picture and where its things are, and writes as if it saw: a conversation, a description in detail, or a question that takes
 * thinking, with its answer. What comes out has LLaVA's layout. */
#include "synth/synth.h"

enum { KINDS = 3 };
static const char *const kind_names[KINDS] = {"conversation", "detail", "reasoning"};

typedef struct picture {
    const char *id, *image, *shown; /* shown: captions and boxes as the prompt has them */
} picture;

typedef struct viewer {
    sc_synth w;
    picture *picture;
    int64_t n, cap;
    bool kind[KINDS];
    sc_novelty *example; /* what the prompt's examples answer */
} viewer;

/* ---- pictures ---- */

static bool box_of(const json_t *o, const json_t *thing, double out[4])
{
    const json_t *box = json_object_get(thing, "box"), *sized = json_object_get(thing, "bbox"),
                 *of = box ? box : sized;
    double width = json_number_value(json_object_get(o, "width")),
           height = json_number_value(json_object_get(o, "height"));
    if (json_array_size(of) != 4) return false;
    for (size_t i = 0; i < 4; i++) {
        if (!json_is_number(json_array_get(of, i))) return false;
        out[i] = json_number_value(json_array_get(of, i));
    }
    if (!box) out[2] += out[0], out[3] += out[1];
    for (int i = 0; i < 4; i++)
        if (width > 0 && height > 0) out[i] /= i % 2 ? height : width;
    for (int i = 0; i < 4; i++)
        if (!(out[i] >= -0.01 && out[i] <= 1.01)) return false;
    return out[2] >= out[0] && out[3] >= out[1];
}

static sc_status put_boxes(const json_t *o, sc_str *s)
{
    const json_t *list = json_object_get(o, "boxes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *thing = json_array_get(list, i);
        const char *label = sc_synth_text_of(thing, "label");
        double at[4];
        if (!label) label = sc_synth_text_of(thing, "category");
        if (!label) return sc_fail(SC_EFORMAT, "box %zu has no label", i + 1);
        if (!box_of(o, thing, at))
            return sc_fail(
                SC_EFORMAT,
                "box %zu is no rectangle in the picture: 4 numbers, in pixels with the picture's width and "
                "height",
                i + 1);
        sc_str_printf(s, "%s: [%.3f, %.3f, %.3f, %.3f]\n", label, at[0], at[1], at[2], at[3]);
    }
    return SC_OK;
}

static sc_status take_picture(void *user, json_t *o, int64_t line)
{
    viewer *v = user;
    const json_t *captions = json_object_get(o, "captions"), *id = json_object_get(o, "id");
    const char *image = sc_synth_text_of(o, "image"), *one = sc_synth_text_of(o, "caption");
    sc_str s = {0};
    if (!image) return sc_fail(SC_EFORMAT, "line %lld has no image", (long long)line);
    if (one) sc_str_printf(&s, "%s\n", one);
    for (size_t i = 0; i < json_array_size(captions); i++) {
        const char *text = json_string_value(json_array_get(captions, i));
        if (text && *text) sc_str_printf(&s, "%s\n", text);
    }
    bool any = s.len > 0;
    sc_status status = SC_OK;
    if (json_array_size(json_object_get(o, "boxes"))) {
        sc_str_puts(&s, "\n");
        status = put_boxes(o, &s);
    }
    picture p = {.image = sc_arena_strndup(v->w.arena, image, strlen(image)),
                 .id = json_is_integer(id)  ? sc_arena_printf(v->w.arena, "%lld", (long long)json_integer_value(id))
                       : json_is_string(id) ? sc_arena_printf(v->w.arena, "%s", json_string_value(id))
                                            : sc_arena_printf(v->w.arena, "%lld", (long long)line),
                 .shown = s.oom || !s.p ? NULL : sc_synth_trimmed(v->w.arena, s.p, s.len)};
    if (status)
        status = sc_fail_in(status, "line %lld", (long long)line);
    else if (!any)
        status = sc_fail(SC_EFORMAT, "line %lld has no captions", (long long)line);
    else if (!p.image || !p.id || !p.shown || !sc_grow(&v->picture, &v->cap, v->n + 1, sizeof *v->picture))
        status = sc_nomem();
    else
        v->picture[v->n++] = p;
    sc_str_free(&s);
    return status;
}

/* ---- prompts ---- */

static const char about[] = "Below is what people wrote about one picture, and, where known, the things in it with "
                            "their places: left, top, right "
                            "and bottom as shares of its width and height. You see the picture itself, and never "
                            "say that you read about it; name "
                            "no numbers of places, but say left, right, near, behind.";

static const char *const tasks[KINDS] = {
    "Write a conversation between a person who asks about the picture and an assistant who sees it: what things "
    "there are, how "
    "many, what they do, where they are, how they stand to each other. Ask only what can be answered with "
    "certainty. Write "
    "three or four questions, each as a line \"Question: ...\" followed by a line \"Answer: ...\".",
    "Describe the picture in detail, as somebody who sees it, in one or two paragraphs: what is going on, the "
    "things in it, "
    "their number and places, the surroundings.",
    "Ask one question about the picture that takes thinking and is not answered by naming what is seen: why "
    "something is so, "
    "what may happen next, what has to be minded. Then answer it step by step from what is seen. Write a line "
    "\"Question: ...\" and then \"Answer: ...\"."};

/* How a person asks for a description. */
static const char *const requests[] = {
    "Describe this picture in detail.",
    "What do you see here? Leave nothing out.",
    "Can you tell me everything that is in this picture?",
    "Please give a full account of the picture.",
    "I cannot see the picture well. What does it show, exactly?",
    "Explain what is going on in this picture, with all that belongs to it.",
    "Give me a thorough description of this scene.",
    "Walk me through this picture piece by piece.",
};

static const char example[] =
    "A woman sits on a bench and reads while a brown dog sleeps at her feet.\nSomebody reading in "
    "the park with a dog.\n\nperson: [0.412, 0.221, 0.655, 0.840]\nbench: [0.301, 0.498, 0.772, "
    "0.902]\ndog: [0.470, 0.801, 0.640, 0.951]";
static const char *const example_answers[KINDS] = {
    "Question: What is the woman doing?\nAnswer: She is sitting on a bench and reading.\nQuestion: Is there an "
    "animal?\nAnswer: "
    "Yes, a brown dog is lying below the bench, at the woman's feet.\nQuestion: Is the dog awake?\nAnswer: No, it "
    "is asleep.",
    "In the middle of the picture a woman sits on a park bench, absorbed in what she reads. A brown dog has "
    "stretched out on "
    "the ground at her feet and sleeps. The bench takes up much of the lower half of the scene, and nobody else is "
    "to be seen, "
    "so the moment looks quiet and unhurried.",
    "Question: What suggests that the woman has been here for a while?\nAnswer: She is settled on the bench and "
    "reads, and her "
    "dog has not only lain down but fallen asleep at her feet. A dog that has just arrived would usually look "
    "around, so the "
    "two have probably been resting here for some time.",
};

static sc_status make_prompt(viewer *v, int64_t at, int kind, sc_question *q)
{
    const char *stop = v->w.model.chats ? NULL : "\n\nPicture:";
    const char *text =
        sc_arena_printf(v->w.arena, "%s\n\n%s\n\nPicture:\n%s\n\nText:\n%s\n\nPicture:\n%s\n\nText:", about,
                        tasks[kind], example, example_answers[kind], v->picture[at].shown);
    *q = (sc_question){.stage = kind_names[kind],
                       .index = at,
                       .text = text,
                       .begin = kind == 1 ? NULL : "Question:",
                       .stop = stop};
    return text ? SC_OK : sc_nomem();
}

/* ---- answers ---- */

/* Whether a text tells that its writer read about the picture, or names a place in numbers. */
static bool gives_away(const char *text)
{
    static const char *const words[] = {"caption",          "bounding box", "coordinates", "the descriptions",
                                        "description says", "as described", "Picture:",    "Text:"};
    for (int i = 0; i < SC_COUNT(words); i++)
        if (strcasestr(text, words[i])) return true;
    for (const char *p = text; (p = strstr(p, "0.")); p++)
        if (p[2] >= '0' && p[2] <= '9' && p[3] >= '0' && p[3] <= '9' && p[4] >= '0' && p[4] <= '9') return true;
    return strchr(text, '[') != NULL;
}

/* A weak model says what the prompt's example does. */
static sc_status is_example(const viewer *v, const char *answer, bool *yes)
{
    double rouge = 0;
    int64_t at;
    sc_status s = sc_novelty_nearest(v->example, answer, &rouge, &at);
    *yes = rouge > v->w.o.novelty;
    return s;
}

static json_t *turn(const char *who, const char *text, bool first)
{
    sc_str s = {0};
    sc_str_printf(&s, "%s%s", first ? "<image>\n" : "", text);
    json_t *o = s.oom ? NULL : json_pack("{s:s, s:s}", "from", who, "value", s.p);
    sc_str_free(&s);
    return o;
}

static sc_status take(viewer *v, int64_t at, int kind, json_t *turns, const char *why, const char *answer)
{
    const picture *p = &v->picture[at];
    json_t *from = sc_synth_provenance(&v->w, &v->w.model, kind_names[kind], at);
    if (from) json_object_set_new(from, "captions_and_boxes", json_string(p->shown));
    const char *id = sc_arena_printf(v->w.arena, "%s_%s", p->id, kind_names[kind]);
    json_t *line = from && id && turns ? json_pack("{s:s, s:s, s:s, s:O, s:o}", "id", id, "image", p->image, "kind",
                                                   kind_names[kind], "conversations", turns, "provenance", from)
                                       : NULL;
    if (!line) return sc_nomem();
    if (why) {
        json_object_set_new(line, "answer", json_string(answer));
        return sc_synth_reject(&v->w, line, why);
    }
    sc_synth_count(&v->w, kind_names[kind], 1);
    return sc_synth_keep(&v->w, line, answer);
}

static sc_status take_description(viewer *v, int64_t at, const sc_reply *a)
{
    sc_rng r = sc_rng_make(v->w.o.seed, sc_hash("request", 7) + (uint64_t)at);
    const char *request = requests[(int)(sc_rng_uniform(&r) * SC_COUNT(requests))];
    const char *why = strlen(a->text) < 40        ? "too_short"
                      : !a->whole                 ? "cut"
                      : sc_synth_repeats(a->text) ? "repeats"
                      : gives_away(a->text)       ? "not_as_seen"
                                                  : NULL;
    bool copied;
    sc_status s = is_example(v, a->text, &copied);
    if (s) return s;
    if (!why && copied) why = "copied_example";
    json_t *turns = json_array();
    json_array_append_new(turns, turn("human", request, true));
    json_array_append_new(turns, turn("gpt", a->text, false));
    s = take(v, at, 1, turns, why, a->text);
    json_decref(turns);
    return s;
}

/* Questions with their answers; a pair that is not whole, comes twice or gives itself away is left out by itself. */
static sc_status take_questions(viewer *v, int64_t at, int kind, const sc_reply *a)
{
    static const char *const labels[] = {"Question", "Answer"};
    const char *whole = sc_arena_printf(v->w.arena, "Question: %s", a->text);
    sc_labelled *part;
    sc_novelty *said = NULL;
    int n, pairs = 0;
    json_t *turns = json_array();
    sc_status s = whole && turns ? sc_synth_labelled(v->w.arena, whole, labels, 2, &part, &n) : sc_nomem();
    if (!s) s = sc_novelty_new(&said);
    for (int i = 0; !s && i + 1 < n; i++) {
        double rouge;
        int64_t near;
        if (part[i].label != 0 || part[i + 1].label != 1 || !*part[i].text) continue;
        const char *question = part[i].text, *answer = part[i + 1].text;
        bool cut = !a->whole && i + 2 >= n, copied;
        if ((s = is_example(v, answer, &copied))) break;
        if (cut || copied || !*answer || gives_away(question) || gives_away(answer) || sc_synth_repeats(answer)) {
            sc_synth_count(&v->w, "pairs_left_out", 1);
            continue;
        }
        s = sc_novelty_nearest(said, question, &rouge, &near);
        if (s || rouge > v->w.o.novelty) continue;
        s = sc_novelty_add(said, question);
        json_array_append_new(turns, turn("human", question, pairs == 0));
        json_array_append_new(turns, turn("gpt", answer, false));
        if (++pairs == 1 && kind == 2) break;
    }
    if (!s) s = take(v, at, kind, turns, pairs ? NULL : "no_pair", a->text);
    json_decref(turns);
    sc_novelty_free(said);
    return s;
}

static sc_status take_examples(viewer *v)
{
    static const char *const labels[] = {"Question", "Answer"};
    sc_status s = sc_novelty_new(&v->example);
    for (int k = 0; !s && k < KINDS; k++) {
        sc_labelled *part;
        int n;
        s = sc_synth_labelled(v->w.arena, example_answers[k], labels, 2, &part, &n);
        for (int i = 0; !s && i < n; i++)
            if (part[i].label) s = sc_novelty_add(v->example, part[i].text);
    }
    return s;
}

static sc_status make_round(viewer *v, int64_t from, int64_t to)
{
    int64_t most = (to - from) * KINDS, n = 0;
    sc_question *q = sc_calloc((size_t)most, sizeof *q);
    sc_reply *a = sc_calloc((size_t)most, sizeof *a);
    sc_status s = q && a ? SC_OK : sc_nomem();
    for (int64_t i = from; !s && i < to; i++)
        for (int k = 0; !s && k < KINDS; k++)
            if (v->kind[k]) s = make_prompt(v, i, k, &q[n++]);
    if (!s) s = sc_synth_ask(&v->w, &v->w.model, q, n, a);
    for (int64_t i = from, at = 0; !s && i < to; i++)
        for (int k = 0; !s && k < KINDS; k++) {
            if (!v->kind[k]) continue;
            s = k == 1 ? take_description(v, i, &a[at]) : take_questions(v, i, k, &a[at]);
            at++;
        }
    sc_free(q);
    sc_free(a);
    return s;
}

static sc_status take_kinds(viewer *v, const sc_synth_visual *x)
{
    for (int k = 0; k < KINDS; k++) v->kind[k] = !x->n_kinds;
    for (int i = 0; i < x->n_kinds; i++) {
        int k = 0;
        while (k < KINDS && strcmp(kind_names[k], x->kinds[i]) != 0) k++;
        if (k == KINDS)
            return sc_fail(SC_EINVAL, "no kind of talk is called '%s': conversation, detail or reasoning",
                           x->kinds[i]);
        v->kind[k] = true;
    }
    return x->pictures ? SC_OK : sc_fail(SC_EINVAL, "talk about pictures needs their captions");
}

sc_status sc_synth_visual_instruct(sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                                   const sc_synth_visual *x, sc_synth_result *result)
{
    viewer v = {0};
    sc_status s = sc_synth_open(&v.w, ctx, model, o, "visual");
    if (!s) s = take_kinds(&v, x);
    if (!s) s = take_examples(&v);
    if (!s) s = sc_synth_read(x->pictures, x->limit, take_picture, &v);
    if (!s && !v.n) s = sc_fail(SC_EINVAL, "%s has no pictures", x->pictures);
    for (int64_t at = 0; !s && at < v.n; at += v.w.o.round) {
        s = make_round(&v, at, SC_MIN(at + v.w.o.round, v.n));
        sc_progress(v.w.ctx, "talking about pictures", SC_MIN(at + v.w.o.round, v.n), v.n);
    }
    if (!s) sc_synth_count(&v.w, "pictures", v.n);
    s = sc_synth_finish(&v.w, s, result);
    sc_novelty_free(v.example);
    sc_free(v.picture);
    return s;
}
