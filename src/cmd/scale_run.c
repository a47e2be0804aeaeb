/* SPDX-License-Identifier: Apache-2.0 */
/* `socle scale run`: trains a ladder's models, one after another. */
#include "cmd/scale.h"
#include "socle/bench.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct view {
    sc_cmd *cmd;
    bool quiet, terminal;
    double last;
    int64_t at; /* of the run last told of */
} view;

static void progress(void *user, const sc_rung *r, int64_t at, int64_t n, const sc_train_event *e)
{
    view *v = user;
    char line[256], eval[64] = "";
    bool stays = e->eval_loss >= 0;
    if (at != v->at) v->last = -1e9;
    v->at = at;
    if (v->quiet || (!stays && e->seconds - v->last < (v->terminal ? 0.2 : 30))) return;
    v->last = e->seconds;
    if (stays) snprintf(eval, sizeof eval, "  eval %.4f", e->eval_loss);
    snprintf(line, sizeof line, "run %lld of %lld, %s: step %lld/%lld  loss %.4f%s  %.0f tokens/s",
             (long long)at + 1, (long long)n, r->name, (long long)e->step, (long long)e->steps, e->loss, eval,
             e->tokens_per_second);
    sc_cmd_status(v->cmd, line, stays);
}

static int run(sc_cmd *c)
{
    const char *dir = sc_cmd_arg(c, 0), *tasks = sc_cmd_str(c, "tasks");
    if (!sc_cmd_int(c, "threads")) c->threads = sc_train_share_cores();
    sc_cmd_stop_on(SIGTERM);
    sc_cmd_stop_on(SIGUSR1); /* which mpirun passes on */
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    bool first = sc_train_rank() == 0;
    view v = {
        .cmd = c, .quiet = sc_cmd_flag(c, "quiet") || !first, .terminal = isatty(STDERR_FILENO) != 0, .at = -1};
    sc_limits limits = {0};
    int64_t undone = 0, n;
    sc_status s = first ? sc_measure_limits(ctx, 0, &limits) : SC_OK;
    if (!s) s = sc_ladder_run(ctx, dir, limits.peak_gflops * 1e9, progress, &v, &undone);
    if (!s && first && tasks)
        s = sc_ladder_tasks(ctx, dir, tasks, sc_cmd_int(c, "count"), (uint64_t)sc_cmd_int(c, "seed"));
    if (s) return sc_cmd_fail(c);
    if (!first) return 0;
    if (undone && sc_train_ranks() > 1)
        sc_cmd_note(c, "%lld runs are left: under mpirun each start trains one", (long long)undone);
    else if (undone)
        sc_cmd_note(c,
                    "%lld runs are being trained by other processes; socle scale fit takes their results when they "
                    "are done",
                    (long long)undone);
    sc_ladder *l;
    if (sc_ladder_open(&l, dir)) return sc_cmd_fail(c);
    sc_cmd_clear_progress(c);
    const sc_rung *r = sc_ladder_rungs(l, &n);
    sc_cmd_rungs(r, n);
    sc_ladder_free(l);
    return 0;
}

static const sc_option options[] = {
    {"tasks", 0, SC_OPT_STR, "TASKS",
     "then let each model answer these: a .jsonl file of prompts and answers, or kinds such as add,unscramble"},
    {"count", 'n', SC_OPT_INT, "N", "tasks of each kind", .value = "200", .lo = 1, .hi = 100000},
    {"seed", 's', SC_OPT_INT, "N", "of the tasks that are made", .value = "0", .lo = 0, .hi = 1e15},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle scale run ladder", "Train all that is not done"},
    {"socle scale run ladder --tasks add,unscramble", "And see which tasks each model can do"},
    {"mpirun -n 4 socle scale run ladder", "Four processes train the next run together"},
    {0}};
const sc_verb sc_verb_scale_run = {.name = "scale run",
                                   .summary = "Train the models of a ladder",
                                   .args = "LADDER",
                                   .about = "Trains the runs that socle scale plan --out has laid out, from the "
                                            "smallest to the largest. What is done is not\n"
                                            "done again, and a run that was stopped in any way goes on where it "
                                            "was, to the same bits. Several of these may\n"
                                            "work on one folder at the same time, also from machines that share "
                                            "it: each takes the next run that nobody has.",
                                   .min_args = 1,
                                   .max_args = 1,
                                   .options = options,
                                   .examples = examples,
                                   .run = run};
