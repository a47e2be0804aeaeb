/* SPDX-License-Identifier: Apache-2.0 */
/* Three runs one after the other, each of which can be stopped and gone on with as any run, and a page about what they gained. */
#include "train/run.h"
#include "tune/policy.h"

#include <math.h>
#include <stdio.h>

enum { STAGES = 3, MODELS = 3, MOST = 20000 };

static const char *const stage_names[STAGES] = {"sft", "reward", "ppo"};

/* Numbers of one stage's steps. */
typedef struct track {
    double step[MOST], value[MOST];
    int64_t n;
} track;

typedef struct road {
    sc_context *ctx;
    const sc_rlhf_options *o;
    char dir[STAGES][4096];
    double likeliest[MODELS], reward[MODELS],
        tokens[MODELS]; /* of the model that was begun with, of sft and of ppo */
    const char *judge[1];
    char judge_text[4200];
} road;

/* ---- stages ---- */

/* Whether a run has made all its steps; *begun: there is one. */
static bool finished(const char *dir, bool *begun)
{
    json_t *state = NULL;
    bool all = false;
    *begun = sc_path_is_dir(dir) && sc_checkpoint_read_state(&state, dir) == SC_OK;
    if (*begun) {
        int64_t at = json_integer_value(json_object_get(state, "global_step"));
        all = at > 0 && at == json_integer_value(json_object_get(state, "max_steps"));
    }
    json_decref(state);
    return all;
}

static sc_status run_stage(road *r, int stage, sc_train_options x, const char *model, sc_train_report *report,
                           void *user)
{
    bool begun;
    if (finished(r->dir[stage], &begun)) {
        sc_log(r->ctx, SC_LOG_INFO, "%s is finished", r->dir[stage]);
        return SC_OK;
    }
    sc_log(r->ctx, SC_LOG_INFO, "%s: from %s", r->dir[stage], model);
    x.model = model;
    x.out = r->dir[stage];
    x.resume = begun;
    x.from_weights = true;
    x.objective = stage == 2 ? NULL : stage_names[stage];
    if (stage != 2) return sc_train(r->ctx, &x, report, user);
    x.rl.rewards = r->judge;
    x.rl.n_rewards = 1;
    return sc_tune_policy(r->ctx, &x, "ppo", report, user);
}

/* Mean rewards of a model's answers to prompts that it does not learn from, where there are any. */
static sc_status measure(road *r, const char *model, int which)
{
    const sc_rlhf_options *o = r->o;
    sc_still x;
    sc_train_options t = o->ppo;
    t.model = model;
    t.rl.rewards = r->judge;
    t.rl.n_rewards = 1;
    if (o->n_eval_prompts) t.data = o->eval_prompts, t.n_data = o->n_eval_prompts;
    sc_status s = sc_still_open(&x, r->ctx, &t);
    if (!s) s = sc_policy_measure(&x.p, true, &r->likeliest[which], &r->tokens[which]);
    if (!s) s = sc_policy_measure(&x.p, false, &r->reward[which], &r->tokens[which]);
    sc_still_close(&x);
    return s;
}

/* ---- what is told ---- */

typedef struct picking {
    track *to;
    const char *key;
} picking;

static void pick(void *user, const json_t *line)
{
    picking *p = user;
    const json_t *v = json_object_get(line, p->key);
    if (!json_is_number(v) || p->to->n == MOST) return;
    p->to->step[p->to->n] = (double)json_integer_value(json_object_get(line, "step"));
    p->to->value[p->to->n++] = json_number_value(v);
}

static sc_status read_track(const road *r, int stage, const char *key, track *out)
{
    sc_lines lines = {.fd = -1};
    picking p = {out, key};
    out->n = 0;
    sc_status s = sc_lines_open(&lines, r->dir[stage], "metrics.jsonl", INT64_MAX, pick, &p);
    sc_lines_close(&lines);
    return s;
}

static const struct {
    int stage;
    const char *key, *title;
} told[] = {
    {0, "loss", "Fine-tuning: loss"},
    {0, "eval_loss", "Fine-tuning: loss on held-out conversations"},
    {1, "rewards/accuracies", "Reward model: preferences that it has right"},
    {1, "eval_rewards/accuracies", "Reward model: held-out preferences that it has right"},
    {2, "reward", "PPO: mean reward of sampled answers"},
    {2, "kl_answer", "PPO: divergence of an answer from the fine-tuned model"},
};

static sc_status put_charts(const road *r, sc_page *p, json_t *all)
{
    track *t = sc_calloc(1, sizeof *t);
    sc_status s = t ? SC_OK : sc_nomem();
    sc_page_section(p, "Along the way", NULL);
    sc_page_charts(p, false);
    for (int i = 0; !s && i < SC_COUNT(told); i++) {
        if ((s = read_track(r, told[i].stage, told[i].key, t))) break;
        if (!t->n) continue;
        char name[80];
        const sc_series line = {.name = told[i].key, .x = t->step, .y = t->value, .n = t->n};
        sc_page_chart(p, &(sc_chart){.title = told[i].title, .x_name = "step", .series = &line, .n_series = 1});
        snprintf(name, sizeof name, "%s_%s", stage_names[told[i].stage], told[i].key);
        json_object_set_new(all, name, json_pack("{s:f, s:f}", "first", t->value[0], "last", t->value[t->n - 1]));
    }
    sc_page_charts_end(p);
    sc_free(t);
    return s;
}

static void put_table(const road *r, sc_page *p)
{
    static const char *const head[] = {"model", "mean reward, sampled", "gain", "of the likeliest",
                                       "tokens of an answer"},
                             *const names[] = {"the model that was begun with", "after fine-tuning (sft)",
                                               "after PPO (ppo)"};
    sc_page_section(p, "What each stage gained",
                    r->o->n_eval_prompts
                        ? "Mean rewards of answers to prompts that were not learned from, by the reward model."
                        : "Mean rewards of answers to the prompts that were learned from, by the reward model.");
    sc_page_table(p, head, SC_COUNT(head));
    for (int i = 0; i < MODELS; i++) {
        sc_page_row(p);
        sc_page_cell(p, names[i]);
        sc_page_cellf(p, "%.3f", r->reward[i]);
        if (i)
            sc_page_cellf(p, "%+.3f", r->reward[i] - r->reward[i - 1]);
        else
            sc_page_cell(p, NULL);
        sc_page_cellf(p, "%.3f", r->likeliest[i]);
        sc_page_cellf(p, "%.1f", r->tokens[i]);
    }
    sc_page_table_end(p);
    sc_page_text(
        p, "Each stage is a run with a report of its own: sft/report.html, reward/report.html, ppo/report.html.");
}

static sc_status tell(const road *r)
{
    sc_page p = {0};
    char *page = sc_path_join(r->o->out, "report.html"), *file = sc_path_join(r->o->out, "rlhf.json");
    json_t *all = json_pack("{s:[f, f, f], s:[f, f, f], s:[f, f, f]}", "rewards", r->reward[0], r->reward[1],
                            r->reward[2], "likeliest", r->likeliest[0], r->likeliest[1], r->likeliest[2], "tokens",
                            r->tokens[0], r->tokens[1], r->tokens[2]);
    sc_status s = page && file && all ? SC_OK : sc_nomem();
    sc_page_begin(&p, sc_path_base(r->o->out), "Fine-tuned, with a reward model, by PPO");
    put_table(r, &p);
    if (!s) s = put_charts(r, &p, all);
    sc_page_command(&p, "Command", NULL);
    char *text = s ? NULL : json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    if (!s) s = text ? sc_file_write(file, text, (int64_t)strlen(text)) : sc_nomem();
    if (!s)
        s = sc_page_write(&p, page);
    else
        sc_str_free(&p.out);
    json_decref(all);
    sc_free(text);
    sc_free(page);
    sc_free(file);
    return s;
}

sc_status sc_tune_rlhf(sc_context *ctx, const sc_rlhf_options *o, sc_train_report *report, void *user)
{
    road *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->ctx = ctx;
    r->o = o;
    sc_status s = o->out && o->sft.model ? SC_OK : sc_fail(SC_EINVAL, "RLHF needs a model and a place");
    for (int i = 0; !s && i < STAGES; i++)
        if (snprintf(r->dir[i], sizeof r->dir[i], "%s/%s", o->out, stage_names[i]) >= (int)sizeof r->dir[i])
            s = sc_fail(SC_EINVAL, "the name of the folder is too long");
    snprintf(r->judge_text, sizeof r->judge_text, "model=%s", r->dir[1]);
    r->judge[0] = r->judge_text;
    if (!s) s = sc_mkdirs(o->out);
    if (!s) s = run_stage(r, 0, o->sft, o->sft.model, report, user);
    if (!s) s = run_stage(r, 1, o->reward, r->dir[0], report, user);
    if (!s) s = run_stage(r, 2, o->ppo, r->dir[0], report, user);
    const char *const models[MODELS] = {o->sft.model, r->dir[0], r->dir[2]};
    for (int i = 0; !s && i < MODELS; i++) s = measure(r, models[i], i);
    if (!s) s = tell(r);
    sc_free(r);
    return s;
}
