/* SPDX-License-Identifier: Apache-2.0 */
/* What a training leaves behind, and what becomes of it when it is killed, when its disk is full, when a checkpoint is
 * damaged and when a loss leaps. Runs that are killed are processes of their own: this program again, with a word for what
 * to do. They are killed up to 20 times within 20 seconds, or as often as SOCLE_KILLS says. */
#include "models.h"
#include "socle/train.h"
#include "train/run.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MODEL SOCLE_SOURCE_DIR "/tests/data/chat_model"

static char dir[64] = "/tmp/socle-run-XXXXXX";
static sc_context *ctx;

static const char *in_dir(const char *fmt, ...) SC_PRINTF(1, 2);
static const char *in_dir(const char *fmt, ...)
{
    static char path[64][256];
    static int turn;
    char name[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    turn = (turn + 1) % 64;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static const char *data[1], *eval[1], *prompts[] = {"one two", ""};

/* Text that is easy to learn, with a few lines in the middle that are not. */
static const char *write_text(const char *name, int lines, int strange)
{
    sc_str s = {0};
    sc_rng r = sc_rng_make(5, 5);
    for (int i = 0; i < lines; i++) {
        if (i >= 3 * lines / 4 && i < 3 * lines / 4 + strange)
            for (int k = 0; k < 32; k++) sc_str_putc(&s, (char)('!' + sc_rng_u32(&r) % 90));
        else
            sc_str_printf(&s, "one two three %d, one two three.", i % 3);
        sc_str_putc(&s, '\n');
    }
    const char *path = in_dir("%s", name);
    assert_int_equal(sc_file_write(path, s.p, s.len), SC_OK);
    sc_str_free(&s);
    return strdup(path);
}

static sc_train_options options(const char *out)
{
    return (sc_train_options){.model = MODEL,
                              .data = data,
                              .n_data = 1,
                              .eval_data = eval,
                              .n_eval_data = 1,
                              .out = out,
                              .steps = 30,
                              .batch = 2,
                              .length = 16,
                              .accumulate = 2,
                              .lr = 1e-2,
                              .ema = 0.9,
                              .save_every = 4,
                              .log_every = 1,
                              .prompts = prompts,
                              .n_prompts = 2,
                              .sample_tokens = 8,
                              .in_order = true,
                              .on_spike = "rollback",
                              .spike_window = 8,
                              .spike_factor = 6,
                              .seed = 3};
}

static void train(const sc_train_options *o)
{
    if (sc_train(ctx, o, NULL, NULL)) fail_msg("%s", sc_error());
}

static void same_file(const char *a, const char *b)
{
    char *x, *y;
    int64_t n, m;
    if (sc_file_read(&x, &n, a, 1 << 24) || sc_file_read(&y, &m, b, 1 << 24)) fail_msg("%s", sc_error());
    if (n != m || memcmp(x, y, (size_t)n) != 0) fail_msg("%s and %s differ", a, b);
    sc_free(x);
    sc_free(y);
}

static void same_run(const char *a, const char *b)
{
    static const char *const files[] = {"model.safetensors",
                                        "ema.safetensors",
                                        "samples.jsonl",
                                        "checkpoint-30/model.safetensors",
                                        "checkpoint-30/optimizer.safetensors",
                                        "checkpoint-30/ema.safetensors"};
    for (int i = 0; i < SC_COUNT(files); i++) same_file(in_dir("%s/%s", a, files[i]), in_dir("%s/%s", b, files[i]));
}

static json_t *state_of(const char *run)
{
    json_t *state;
    if (sc_checkpoint_read_state(&state, in_dir("%s", run))) fail_msg("%s", sc_error());
    return state;
}

/* ---- processes ---- */

static pid_t start(const char *what, const char *run)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child) return child;
    execl("/proc/self/exe", "test_run", what, dir, run, (char *)NULL);
    _exit(99);
}

static int finish(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* What this program does as one of those processes. */
static int as_child(const char *what, const char *run)
{
    sc_train_options o = options(in_dir("%s", run));
    data[0] = in_dir("data.txt");
    eval[0] = in_dir("eval.txt");
    if (strcmp(what, "full") == 0) {
        struct rlimit most = {16 << 10, 16 << 10};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &most) != 0) return 98;
    }
    if (strcmp(what, "elsewhere") == 0) { /* and with nothing but the folder */
        if (chdir("/") != 0) return 98;
        o = (sc_train_options){.out = o.out};
    }
    o.resume = strcmp(what, "new") != 0;
    if (sc_context_new(&ctx, &(sc_context_options){.threads = 1})) return 97;
    sc_status s = sc_train(ctx, &o, NULL, NULL);
    if (s) {
        FILE *f = fopen(in_dir("message"), "w");
        if (f) fprintf(f, "%s", sc_error()), fclose(f);
    }
    sc_context_free(ctx);
    return s == SC_OK ? 0 : 1;
}

static void wait_ms(double ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(fmod(ms, 1000) * 1e6)};
    nanosleep(&t, NULL);
}

/* ---- tests ---- */

/* One step's line each, in order, and the same losses. */
static void check_metrics(const char *run, const char *whole)
{
    char *text[2];
    int64_t n[2], step = 0;
    assert_int_equal(sc_file_read(&text[0], &n[0], in_dir("%s/metrics.jsonl", run), 1 << 20), SC_OK);
    assert_int_equal(sc_file_read(&text[1], &n[1], in_dir("%s/metrics.jsonl", whole), 1 << 20), SC_OK);
    char *save[2], *line[2] = {strtok_r(text[0], "\n", &save[0]), strtok_r(text[1], "\n", &save[1])};
    for (; line[0] && line[1]; line[0] = strtok_r(NULL, "\n", &save[0]), line[1] = strtok_r(NULL, "\n", &save[1])) {
        json_t *a = json_loads(line[0], 0, NULL), *b = json_loads(line[1], 0, NULL);
        static const char *const keys[] = {"step",      "loss",      "learning_rate",
                                           "grad_norm", "eval_loss", "ema_eval_loss"};
        assert_non_null(a);
        assert_non_null(b);
        for (int i = 0; i < SC_COUNT(keys); i++)
            if (json_number_value(json_object_get(a, keys[i])) != json_number_value(json_object_get(b, keys[i])))
                fail_msg("%s of %s:\n%s\n%s", keys[i], run, line[0], line[1]);
        int64_t its = json_integer_value(json_object_get(a, "step"));
        assert_true(its == step + 1 || (its == step && json_object_get(a, "eval_loss")));
        step = its;
        json_decref(a);
        json_decref(b);
    }
    assert_true(!line[0] && !line[1] && step == 30);
    sc_free(text[0]);
    sc_free(text[1]);
}

/* A run that goes through, with a spike on its way. */
static void leaves_all_of_it(void **state)
{
    (void)state;
    sc_train_options o = options(in_dir("whole"));
    const char *const args[] = {"socle", "train", "--prompt", "it's <here>"};
    o.args = args;
    o.n_args = 4;
    o.peak_flops = 1e12;
    train(&o);
    json_t *s = state_of("whole"), *spikes = json_object_get(json_object_get(s, "spikes"), "list");
    int64_t left_out = json_integer_value(json_object_get(s, "data_step")) - 30;
    assert_int_equal(json_integer_value(json_object_get(s, "global_step")), 30);
    assert_true(json_array_size(spikes) >= 1 && left_out >= (int64_t)json_array_size(spikes));
    const json_t *first = json_array_get(spikes, 0);
    const char *batch = json_string_value(json_object_get(first, "batch"));
    int64_t at = json_integer_value(json_object_get(first, "data_step"));
    char named[64];
    snprintf(named, sizeof named, "data.txt tokens %lld-%lld", (long long)at * 64, (long long)at * 64 + 15);
    if (!strstr(batch, named)) fail_msg("%s is not in: %s", named, batch);
    assert_non_null(strstr(json_string_value(json_object_get(first, "action")), "went back to step"));
    json_decref(s);
    char *page, *command;
    int64_t n;
    assert_int_equal(sc_file_read(&page, &n, in_dir("whole/report.html"), 1 << 24), SC_OK);
    assert_non_null(strstr(page, "<svg"));
    assert_non_null(strstr(page, "Finished"));
    assert_non_null(strstr(page, "token_accuracy")); /* what the objective measures has a chart of its own */
    assert_non_null(strstr(page, "socle train --prompt 'it'\\''s &lt;here&gt;'"));
    assert_non_null(strstr(page, "went back to step"));
    assert_null(strstr(page, "http"));
    assert_null(strstr(page, "<script"));
    assert_int_equal(sc_file_read(&command, &n, in_dir("whole/command.txt"), 1 << 16), SC_OK);
    assert_non_null(strstr(command, "\nsocle train --prompt 'it'\\''s <here>'\n"));
    sc_free(page);
    sc_free(command);
    check_metrics("whole", "whole");
    same_file(in_dir("whole/model.safetensors"), in_dir("whole/checkpoint-30/model.safetensors"));
    assert_true(sc_path_exists(in_dir("whole/checkpoint-28")));
    assert_false(sc_path_exists(in_dir("whole/checkpoint-20")));
}

/* The weights that samples were made with are those of then: the last one comes again from the model as it is saved. */
static void samples_are_of_the_model(void **state)
{
    (void)state;
    sc_model *m;
    sc_tokenizer *t;
    char *text, *lines;
    int64_t n;
    if (sc_model_open(&m, ctx, in_dir("whole"), NULL)) fail_msg("%s", sc_error());
    if (sc_tokenizer_load(&t, in_dir("whole"))) fail_msg("%s", sc_error());
    assert_int_equal(sc_train_sample(&text, m, t, "", 8, 3, 30 * 2 + 1), SC_OK);
    assert_int_equal(sc_file_read(&lines, &n, in_dir("whole/samples.jsonl"), 1 << 20), SC_OK);
    lines[n - 1] = 0;
    json_t *last = json_loads(strrchr(lines, '\n') + 1, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(last, "step")), 30);
    assert_string_equal(json_string_value(json_object_get(last, "text")), text);
    json_decref(last);
    sc_free(lines);
    sc_free(text);
    sc_tokenizer_free(t);
    sc_model_free(m);
}

static void goes_on_after_any_end(void **state)
{
    (void)state;
    const char *often = getenv("SOCLE_KILLS");
    int kills = often ? atoi(often) : 20, killed = 0, runs = 0;
    double begun = sc_now(), whole;
    sc_rng r = sc_rng_make((uint64_t)getpid(), 0);
    assert_int_equal(finish(start("new", "killed")), 0);
    whole = 1000 * (sc_now() - begun);
    same_run("whole", "killed");
    /* Within what a test may take, unless more is asked for. */
    while (killed < kills && (often || sc_now() - begun < 20)) {
        char run[32], first[] = "new";
        snprintf(run, sizeof run, "killed%d", runs++);
        for (int rc = -SIGKILL, turn = 0; rc == -SIGKILL; turn++) {
            bool fresh = !sc_path_exists(in_dir("%s/trainer_state.json", run));
            pid_t child = start(fresh ? first : "on", run);
            if (killed < kills) {
                wait_ms(sc_rng_uniform(&r) * whole);
                kill(child, SIGKILL);
            }
            rc = finish(child);
            killed += rc == -SIGKILL;
            assert_true(rc == 0 || rc == -SIGKILL);
        }
        same_run("whole", run);
        check_metrics(run, "whole");
    }
    printf("killed %d times in %d runs\n", killed, runs);
}

/* Stopped between two of a step's samples: the first stays, the second comes. */
static void makes_the_samples_that_are_missing(void **state)
{
    (void)state;
    char command[400], *text;
    int64_t n, lines = 0;
    snprintf(command, sizeof command, "cp -r %s %s", in_dir("whole"), in_dir("between"));
    assert_int_equal(system(command), 0);
    assert_int_equal(sc_file_read(&text, &n, in_dir("between/samples.jsonl"), 1 << 20), SC_OK);
    for (int64_t at = n - 1; lines < 2 && at >= 0; n = at--) lines += text[at] == '\n';
    sc_free(text);
    assert_int_equal(truncate(in_dir("between/samples.jsonl"), n + 1), 0);
    sc_train_options o = {.out = in_dir("between"), .resume = true};
    train(&o);
    same_run("whole", "between");
}

static void says_that_the_disk_is_full(void **state)
{
    (void)state;
    sc_train_options o = options(in_dir("full"));
    char *message;
    int64_t n;
    assert_int_equal(finish(start("new", "full")), 0);
    char command[400];
    snprintf(command, sizeof command, "rm -r %s %s", in_dir("full/checkpoint-30"), in_dir("full/report.html"));
    assert_int_equal(system(command), 0);
    assert_int_equal(finish(start("full", "full")), 1);
    assert_int_equal(sc_file_read(&message, &n, in_dir("message"), 1 << 16), SC_OK);
    if (!strstr(message, "File too large") || strchr(message, '\n')) fail_msg("%s", message);
    assert_false(sc_path_exists(in_dir("full/writing-30")));
    sc_free(message);
    o.resume = true;
    train(&o);
    same_run("whole", "full");
}

static void takes_the_checkpoint_before_a_damaged_one(void **state)
{
    (void)state;
    char command[600];
    sc_train_options o = options(in_dir("damaged"));
    for (int kind = 0; kind < 3; kind++) {
        snprintf(command, sizeof command, "rm -rf %s; cp -r %s %s", in_dir("damaged"), in_dir("whole"),
                 in_dir("damaged"));
        assert_int_equal(system(command), 0);
        const char *file =
            in_dir("damaged/checkpoint-30/%s", kind == 2 ? "trainer_state.json" : "optimizer.safetensors");
        int fd = open(file, O_RDWR);
        off_t size = lseek(fd, 0, SEEK_END);
        if (kind == 1)
            assert_int_equal(pwrite(fd, "x", 1, size / 2), 1);
        else
            assert_int_equal(ftruncate(fd, size - 1), 0);
        close(fd);
        o.resume = true;
        train(&o);
        assert_true(sc_path_exists(in_dir("damaged/damaged-30")));
        same_run("whole", "damaged");
        check_metrics("damaged", "whole");
    }
    snprintf(command, sizeof command, "for f in %s/checkpoint-*/config.json; do echo >> $f; done",
             in_dir("damaged"));
    assert_int_equal(system(command), 0);
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EFORMAT);
    assert_non_null(strstr(sc_error(), "no checkpoint is whole"));
}

static void refuses_what_would_change_it(void **state)
{
    (void)state;
    const char *other[1] = {write_text("other.txt", 90, 0)};
    const struct {
        sc_train_options o;
        const char *says;
    } bad[] = {
        {{.lr = 2e-2}, "--lr is 0.02, the run was started with 0.01"},
        {{.steps = 31}, "--steps is 31, the run was started with 30"},
        {{.optimizer = "muon"}, "--optimizer is muon, the run was started with adamw"},
        {{.ema = 0.5}, "--ema is 0.5, the run was started with 0.9"},
        {{.on_spike = "skip"}, "--on-spike is skip"},
        {{.save_every = 5}, "--save-every is 5, the run was started with 4"},
        {{.data = other, .n_data = 1}, "other.txt is not what the run was started with"},
    };
    for (int i = 0; i < SC_COUNT(bad); i++) {
        sc_train_options o = bad[i].o;
        o.out = in_dir("whole");
        o.resume = true;
        assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
        if (!strstr(sc_error(), bad[i].says)) fail_msg("%s: %s", bad[i].says, sc_error());
    }
    sc_train_options o = {.out = in_dir("whole"), .resume = true, .keep = 5, .log_every = 3};
    train(&o);
    same_run("whole", "killed");
    assert_int_equal(finish(start("elsewhere", "killed")), 0);
    same_run("whole", "killed");
    int fd = open(in_dir("whole"), O_RDONLY | O_DIRECTORY), kept = sc_path_exists(in_dir("whole/checkpoint-28"));
    assert_true(fd >= 0 && kept);
    close(fd);
    free((void *)(uintptr_t)other[0]);
}

static void answers_spikes(void **state)
{
    (void)state;
    sc_spikes s;
    double middle;
    assert_int_equal(sc_spikes_new(&s, &(sc_spike_options){SC_SPIKE_WARN, 8, 16, 3}), SC_OK);
    assert_false(sc_spikes_look(&s, 100, 1, &middle)); /* nothing to judge by */
    assert_true(sc_spikes_look(&s, NAN, 1, &middle) && sc_spikes_look(&s, 1, INFINITY, &middle));
    for (int i = 0; i < 40; i++) sc_spikes_take(&s, 3 + 0.01 * (i % 5));
    assert_false(sc_spikes_look(&s, 3.2, 1, &middle)); /* less than a tenth above */
    assert_true(sc_spikes_look(&s, 3.5, 1, &middle));
    assert_true(fabs(middle - 3.02) < 1e-9);
    json_t *kept = sc_spikes_state(&s);
    sc_spikes again;
    assert_int_equal(sc_spikes_new(&again, &s.o), SC_OK);
    assert_int_equal(sc_spikes_restore(&again, kept), SC_OK);
    for (int i = 0; i < 9; i++) sc_spikes_take(&s, 5), sc_spikes_take(&again, 5);
    assert_memory_equal(s.loss, again.loss, 16 * sizeof *s.loss);
    assert_false(sc_spikes_look(&s, 5, 1, &middle));
    json_decref(kept);
    sc_spikes_free(&s);
    sc_spikes_free(&again);
    /* Leaving out: one batch each time, nothing goes back. */
    sc_train_options o = options(in_dir("skips"));
    o.on_spike = "skip";
    train(&o);
    json_t *x = state_of("skips"), *spikes = json_object_get(x, "spikes");
    assert_true(json_integer_value(json_object_get(spikes, "count")) >= 1);
    assert_int_equal(json_integer_value(json_object_get(x, "data_step")) - 30,
                     json_integer_value(json_object_get(spikes, "count")));
    json_decref(x);
    /* No more often than is said. */
    o.out = in_dir("limited");
    o.spike_limit = 1;
    o.spike_factor = 0.1;
    o.lr = 0.5;
    o.steps = 200;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "--spike-limit"));
    /* No number: told with its step, and what was saved stays. */
    o = options(in_dir("diverges"));
    o.on_spike = "warn";
    o.lr = 900;
    o.optimizer = "sgd";
    o.clip = -1;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "the norm of the gradients"));
    char *page;
    int64_t n;
    assert_int_equal(sc_file_read(&page, &n, in_dir("diverges/report.html"), 1 << 24), SC_OK);
    assert_non_null(strstr(page, "Ended at step"));
    sc_free(page);
}

static void averages_as_the_model(void **state)
{
    (void)state;
    sc_train_options o = options(in_dir("averaged"));
    static const char *const groups[] = {"*norm*:lr=1e-3,decay=0", "*embed*:decay=0.5"};
    o.ema_model = true;
    o.optimizer = "muon";
    o.groups = groups;
    o.n_groups = 2;
    train(&o);
    same_file(in_dir("averaged/model.safetensors"), in_dir("averaged/checkpoint-30/ema.safetensors"));
    static const char *const bad[] = {"*norm*", "*norm*:rate=1", "*norm*:lr=x", "*nothing*:lr=1"};
    for (int i = 0; i < SC_COUNT(bad); i++) {
        o.out = in_dir("never");
        o.groups = &bad[i];
        o.n_groups = 1;
        assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
        assert_non_null(strstr(sc_error(), i == 3 ? "no parameter is called '*nothing*'" : "--group *norm*"));
    }
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    sc_train_options o = options(in_dir("locked"));
    o.steps = 100000;
    assert_int_equal(sc_mkdirs(o.out), SC_OK);
    pid_t child = fork();
    if (!child) {
        int fd = open(o.out, O_RDONLY | O_DIRECTORY);
        alarm(60);
        if (fd >= 0 && flock(fd, LOCK_EX) == 0) pause();
        _exit(99);
    }
    for (int i = 0; i < 200; i++) { /* until it has the lock */
        int fd = open(o.out, O_RDONLY | O_DIRECTORY), free = flock(fd, LOCK_EX | LOCK_NB) == 0;
        close(fd);
        if (!free) break;
        wait_ms(10);
    }
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "another process is training there"));
    kill(child, SIGKILL);
    finish(child);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || sc_context_new(&ctx, &(sc_context_options){.threads = 1})) return -1;
    data[0] = write_text("data.txt", 120, 3);
    eval[0] = write_text("eval.txt", 4, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    sc_context_free(ctx);
    free((void *)(uintptr_t)data[0]);
    free((void *)(uintptr_t)eval[0]);
    return system(command);
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        snprintf(dir, sizeof dir, "%s", argv[2]);
        return as_child(argv[1], argv[3]);
    }
    if (argc == 2) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_all_of_it),
        cmocka_unit_test(samples_are_of_the_model),
        cmocka_unit_test(goes_on_after_any_end),
        cmocka_unit_test(makes_the_samples_that_are_missing),
        cmocka_unit_test(says_that_the_disk_is_full),
        cmocka_unit_test(takes_the_checkpoint_before_a_damaged_one),
        cmocka_unit_test(refuses_what_would_change_it),
        cmocka_unit_test(answers_spikes),
        cmocka_unit_test(averages_as_the_model),
        cmocka_unit_test(one_process_at_a_time),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
