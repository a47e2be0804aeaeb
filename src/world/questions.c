/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about the world: as tasks, and as texts with their answers. */
#include "world/world.h"

#include <stdio.h>

/* What may stand for a name in a question: "the mother of X". */
static const struct {
    sc_relation_id relation;
    const char *phrase[SC_TONGUES];
} links[] = {
    {SC_R_friend, {"the best friend of {s}", "{s}의 가장 친한 친구"}},
    {SC_R_mother, {"the mother of {s}", "{s}의 어머니"}},
    {SC_R_father, {"the father of {s}", "{s}의 아버지"}},
    {SC_R_mayor, {"the mayor of {s}", "{s}의 시장"}},
    {SC_R_birthplace, {"the birthplace of {s}", "{s}의 고향"}},
    {SC_R_creator, {"the maker of {s}", "{s}~을 만든 사람"}},
    {SC_R_finder, {"the discoverer of {s}", "{s}~을 발견한 사람"}},
    {SC_R_neighbour, {"the town nearest to {s}", "{s}에서 가장 가까운 도시"}},
};

static void key_of(sc_draft *d, const sc_relation *r, int id)
{
    sc_str_printf(&d->key, "%s %s", r->name, sc_name_of(d->w, r->of, id, SC_EN));
}

static void put(sc_draft *d, sc_str *question, sc_str *answer)
{
    d->text.oom |= question->oom || answer->oom || !question->p || !answer->p;
    if (!d->text.oom) sc_ask(d, question->p, answer->p);
    sc_str_free(question);
    sc_str_free(answer);
}

static void facts(sc_draft *d)
{
    sc_entity_kind of = (sc_entity_kind)sc_below(d, SC_ENTITIES);
    int id = sc_any_of(d, of);
    const sc_relation *r = sc_any_relation(d, of, id);
    sc_str question = {0}, answer = {0};
    sc_say_question(d, &question, &answer, r, id, NULL);
    key_of(d, r, id);
    d->difficulty = 1;
    put(d, &question, &answer);
}

/* A question over two facts; the first one of them is said to `reason` where that is not NULL. */
static void two_facts(sc_draft *d, sc_str *reason)
{
    int which, id, other;
    const sc_relation *first;
    do {
        which = (int)sc_below(d, SC_COUNT(links));
        first = sc_relation_of(links[which].relation);
        id = sc_any_of(d, first->of);
    } while (!sc_relation_holds(d->w, first, id));
    other = sc_relation_target(d->w, first, id);
    const sc_relation *second = sc_any_relation(d, first->to, other);
    while (sc_relation_target(d->w, second, other) == id)
        second = sc_any_relation(d, first->to, other); /* there and back */
    sc_str subject = {0}, question = {0}, answer = {0};
    sc_bind_subject(d, first->of, id, SC_FULL);
    sc_say(d, &subject, links[which].phrase[d->tongue]);
    sc_say_question(d, &question, &answer, second, other, subject.p ? subject.p : "");
    sc_str_printf(&d->key, "%s of ", second->name);
    key_of(d, first, id);
    d->text.oom |= subject.oom;
    sc_str_free(&subject);
    if (reason) {
        sc_say_fact(d, reason, first, id, SC_FULL);
        sc_str_putc(reason, ' ');
        sc_say_fact(d, reason, second, other, SC_FULL);
    }
    d->difficulty = 2;
    put(d, &question, &answer);
}

static void two_hops(sc_draft *d) { two_facts(d, NULL); }

/* ---- texts ---- */

static void put_task(sc_draft *d)
{
    sc_str_append(&d->text, d->prompt.p, d->prompt.len);
    sc_str_append(&d->text, d->answer.p, d->answer.len);
    sc_str_putc(&d->text, '\n');
}

static void no_task(sc_draft *d) /* the text is all there is */
{
    d->prompt.len = d->answer.len = d->key.len = 0;
    d->difficulty = 0;
}

/* Some questions about anything. */
static void quiz(sc_draft *d)
{
    int n = 2 + (int)sc_below(d, 5);
    for (int i = 0; i < n; i++) {
        sc_draw_task(d, &sc_world_facts, d->split);
        put_task(d);
    }
    no_task(d);
}

/* A paragraph of facts about one thing, then questions whose answers stand in it. */
static void comprehension(sc_draft *d)
{
    enum { MOST = 6 };
    const sc_relation *said[MOST];
    sc_entity_kind of = (sc_entity_kind)sc_below(d, SC_ENTITIES);
    int id = sc_any_of(d, of), n = 3 + (int)sc_below(d, MOST - 2), asked = 1 + (int)sc_below(d, 3);
    sc_str_puts(&d->text, d->tongue == SC_EN ? "Text: " : "글: ");
    for (int i = 0; i < n; i++) {
        said[i] = sc_any_relation(d, of, id);
        for (int k = 0, tries = 0; k < i && tries < 32; k++)
            if (said[k] == said[i]) { /* each fact once, unless there are too few */
                said[i] = sc_any_relation(d, of, id);
                k = -1;
                tries++;
            }
        if (i) sc_str_putc(&d->text, ' ');
        sc_say_fact(d, &d->text, said[i], id, i && !sc_chance(d, 4) ? SC_PRONOUN : SC_FULL);
    }
    sc_str_putc(&d->text, '\n');
    for (int i = 0; i < asked; i++) {
        sc_str question = {0}, answer = {0};
        const sc_relation *r = said[sc_below(d, (uint32_t)n)];
        d->prompt.len = d->answer.len = d->key.len = 0;
        key_of(d, r, id);
        if (d->split != SC_ALL && sc_split_of(d->key.p, d->key.len) != d->split) continue;
        sc_say_question(d, &question, &answer, r, id, NULL);
        put(d, &question, &answer);
        put_task(d);
    }
    no_task(d);
}

/* Two facts, then the question that needs both. */
static void reasoning(sc_draft *d)
{
    sc_str reason = {0};
    do {
        reason.len = d->prompt.len = d->answer.len = d->key.len = 0;
        two_facts(d, &reason);
    } while (!d->fault && !d->text.oom && d->split != SC_ALL && sc_split_of(d->key.p, d->key.len) != d->split);
    int64_t line = d->prompt.p ? (int64_t)strcspn(d->prompt.p, "\n") : 0;
    sc_str_append(&d->text, d->prompt.p, line);
    sc_str_printf(&d->text,
                  d->tongue == SC_EN ? "\nReasoning: %s\nAnswer:" : "\n풀이: %s\n답:", reason.p ? reason.p : "");
    sc_str_append(&d->text, d->answer.p, d->answer.len);
    sc_str_putc(&d->text, '\n');
    d->text.oom |= reason.oom;
    sc_str_free(&reason);
    no_task(d);
}

static void questions(sc_draft *d)
{
    static void (*const forms[])(sc_draft *) = {quiz, comprehension, comprehension, reasoning};
    forms[sc_below(d, SC_COUNT(forms))](d);
}

const sc_generator sc_world_facts = {{"facts", "questions for one fact of the world", true}, 3, facts};
const sc_generator sc_world_two_facts = {{"two_facts", "questions that need two facts", true}, 1, two_hops};
const sc_generator sc_world_questions = {
    {"questions", "texts with questions and answers, and with reasoning", false}, 12, questions};
