/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that do what they should not, in a box and with limits alone; and partners that crash and hang. */
#include "models.h"
#include "one_context.h"
#include "sandbox/sandbox.h"

#include <signal.h>
#include <unistd.h>

static sc_sandbox *open_box(bool bare, double seconds)
{
    sc_sandbox *s;
    sc_sandbox_options o = {.seconds = seconds,
                            .memory = 256 << 20,
                            .output = 1000,
                            .file_size = 1 << 20,
                            .processes = 16,
                            .bare = bare};
    assert_int_equal(sc_sandbox_new(&s, &o), SC_OK);
    return s;
}

static sc_sandbox_result run(sc_sandbox *s, const char *script, const char *input)
{
    sc_sandbox_result r;
    const char *const argv[] = {"sh", "-c", script, NULL};
    sc_sandbox_file file = {"given.txt", "a file\n", 7};
    sc_sandbox_job job = {
        .argv = argv, .input = input, .n_input = input ? (int64_t)strlen(input) : 0, .file = &file, .n_files = 1};
    assert_int_equal(sc_sandbox_run(s, ctx, &job, &r), SC_OK);
    return r;
}

static void says(sc_sandbox *s, const char *script, const char *input, int code, const char *out)
{
    sc_sandbox_result r = run(s, script, input);
    assert_int_equal(r.end, SC_SANDBOX_EXITED);
    assert_int_equal(r.code, code);
    assert_string_equal(r.out, out);
    sc_sandbox_result_free(&r);
}

static void ends(sc_sandbox *s, const char *script, sc_sandbox_end end, int code)
{
    sc_sandbox_result r = run(s, script, NULL);
    assert_int_equal(r.end, end);
    if (end == SC_SANDBOX_CRASHED) assert_int_equal(r.code, code);
    sc_sandbox_result_free(&r);
}

static void runs_programs(bool bare)
{
    sc_sandbox *s = open_box(bare, 20);
    says(s, "cat", "some\ninput", 0, "some\ninput");
    says(s, "cat given.txt; exit 3", NULL, 3, "a file\n");
    says(s, "true", "input that nobody reads", 0, "");
    says(s, "echo $HOME; echo $SECRET; pwd >/dev/null", NULL, 0, "/tmp\n\n");
    sc_sandbox_result r = run(s, "echo no >&2; echo yes", NULL);
    assert_string_equal(r.err, "no\n");
    assert_string_equal(r.out, "yes\n");
    sc_sandbox_result_free(&r);
    const char *const none[] = {"no-such-program", NULL};
    assert_int_equal(sc_sandbox_run(s, ctx, &(sc_sandbox_job){.argv = none}, &r), SC_ENOTFOUND);
    const char *const sh[] = {"true", NULL};
    sc_sandbox_file bad = {"../outside", "", 0};
    assert_int_equal(sc_sandbox_run(s, ctx, &(sc_sandbox_job){.argv = sh, .file = &bad, .n_files = 1}, &r),
                     SC_EINVAL);
    sc_sandbox_free(s);
}

static void keeps_limits(bool bare)
{
    sc_sandbox *s = open_box(bare, 20), *hasty = open_box(bare, 0.3);
    ends(s, "kill -SEGV $$", SC_SANDBOX_CRASHED, SIGSEGV);
    ends(hasty, "sleep 100", SC_SANDBOX_TIMED_OUT, 0);
    ends(hasty, "trap '' TERM INT HUP; while :; do :; done", SC_SANDBOX_TIMED_OUT, 0);
    ends(hasty, "sleep 100 & exec >&- 2>&-; sleep 100", SC_SANDBOX_TIMED_OUT, 0);
    ends(s, "while :; do echo yes; done", SC_SANDBOX_TOO_MUCH, 0);
    ends(s, "while :; do echo yes; done >&2", SC_SANDBOX_TOO_MUCH, 0);
    /* A child that goes on does not keep the run. */
    says(s, "sleep 1000 & echo done", NULL, 0, "done\n");
    /* A file beyond the limit, and memory. */
    sc_sandbox_result r = run(s,
                              "head -c 3000000 /dev/zero >/tmp/socle-sandbox-$$; wc -c </tmp/socle-sandbox-$$; "
                              "rm -f /tmp/socle-sandbox-$$",
                              NULL);
    assert_true(r.end == SC_SANDBOX_EXITED);
    assert_in_range(atoi(r.out), 0, 1 << 20);
    sc_sandbox_result_free(&r);
    r = run(s, "head -c 2000000000 /dev/zero | tail -c 1999999999 | wc -c", NULL);
    assert_true(r.end != SC_SANDBOX_EXITED || strcmp(r.out, "1999999999\n") != 0);
    sc_sandbox_result_free(&r);
    sc_sandbox_free(s);
    sc_sandbox_free(hasty);
}

static void runs_in_a_box(void **state)
{
    (void)state;
    runs_programs(false);
    keeps_limits(false);
}

static void runs_with_limits_alone(void **state)
{
    (void)state;
    runs_programs(true);
    keeps_limits(true);
    sc_sandbox *s = open_box(true, 1);
    assert_non_null(strstr(sc_sandbox_gaps(s), "network"));
    assert_non_null(strstr(sc_sandbox_gaps(s), "files"));
    sc_sandbox_free(s);
}

/* What bubblewrap keeps a program from. */
static void sees_nothing_outside(void **state)
{
    (void)state;
    sc_sandbox *s = open_box(false, 20);
    if (strstr(sc_sandbox_gaps(s), "files")) {
        print_message("no namespaces here: %s\n", sc_sandbox_gaps(s));
        sc_sandbox_free(s);
        skip();
    }
    assert_string_equal(sc_sandbox_gaps(s), "");
    says(s, "ls /home /root /work 2>/dev/null", NULL, 2, "");
    says(s, "cat /etc/passwd /etc/hostname 2>/dev/null", NULL, 1, "");
    says(s, "echo x 2>/dev/null >given.txt || echo refused", NULL, 0, "refused\n");
    says(s, "for d in / /usr /dev /box /etc; do touch $d/x 2>/dev/null && echo $d; done; true", NULL, 0, "");
    says(s, "echo x >/tmp/x && cat /tmp/x", NULL, 0, "x\n");
    says(s, "cat /tmp/x 2>/dev/null || echo gone", NULL, 0, "gone\n"); /* another run's is another */
    says(s, "tail -n +3 /proc/net/dev | grep -v lo:; ls /proc | grep -c '^[0-9]*$' >/dev/null; true", NULL, 0, "");
    /* Several files do not hold more than one may. */
    sc_sandbox_result r =
        run(s, "for i in 1 2 3 4; do head -c 900000 /dev/zero >/tmp/$i; done; cat /tmp/? | wc -c", NULL);
    assert_in_range(atoi(r.out), 1, (1 << 20) + 8192);
    sc_sandbox_result_free(&r);
    /* Many processes: the shell gives up where it may make no more. */
    r = run(s, "i=0; while [ $i -lt 100 ]; do sleep 10 & i=$((i+1)); done; echo all", NULL);
    assert_null(strstr(r.out, "all"));
    sc_sandbox_result_free(&r);
    sc_sandbox_free(s);
}

/* ---- partners ---- */

static const char *ask(sc_partner *p, const char *line)
{
    const char *answer;
    int64_t n;
    assert_int_equal(sc_partner_ask(p, line, (int64_t)strlen(line), &answer, &n), SC_OK);
    assert_int_equal(strlen(answer), n);
    return answer;
}

static void talks_line_by_line(void **state)
{
    (void)state;
    sc_partner *p;
    const char *answer;
    int64_t n;
    assert_int_equal(sc_partner_new(&p, ctx, "i=0; while read x; do i=$((i+1)); echo \"$i $x\"; done", 20), SC_OK);
    assert_string_equal(ask(p, "one"), "1 one");
    assert_string_equal(ask(p, "two"), "2 two");
    sc_partner_free(p);

    assert_int_equal(sc_partner_new(&p, ctx, "read x; test \"$x\" = crash && exit 7; echo $x; sleep 100", 0.5),
                     SC_OK);
    assert_string_equal(ask(p, "fine"), "fine");
    assert_int_equal(sc_partner_ask(p, "more", 4, &answer, &n), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "within 0.5 s"));
    assert_string_equal(ask(p, "again"), "again"); /* started again */
    sc_partner_free(p);

    assert_int_equal(sc_partner_new(&p, ctx, "read x; exit 7", 20), SC_OK);
    assert_int_equal(sc_partner_ask(p, "x", 1, &answer, &n), SC_EIO);
    assert_non_null(strstr(sc_error(), "exit code 7"));
    sc_partner_free(p);

    assert_int_equal(sc_partner_new(&p, ctx, "read x; kill -KILL $$", 20), SC_OK);
    assert_int_equal(sc_partner_ask(p, "x", 1, &answer, &n), SC_EIO);
    assert_non_null(strstr(sc_error(), "signal 9"));
    sc_partner_free(p);

    assert_int_equal(sc_partner_new(&p, ctx, "tr '\\n' ' ' </dev/zero", 20), SC_OK);
    assert_int_equal(sc_partner_ask(p, "x", 1, &answer, &n), SC_ELIMIT);
    sc_partner_free(p);
}

static void stops_when_cancelled(void **state)
{
    (void)state;
    sc_sandbox *s = open_box(false, 100);
    sc_sandbox_result r;
    const char *const argv[] = {"sleep", "100", NULL};
    sc_context_cancel(ctx);
    assert_int_equal(sc_sandbox_run(s, ctx, &(sc_sandbox_job){.argv = argv}, &r), SC_ECANCELLED);
    sc_context_resume(ctx);
    sc_sandbox_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_in_a_box),        cmocka_unit_test(runs_with_limits_alone),
        cmocka_unit_test(sees_nothing_outside), cmocka_unit_test(talks_line_by_line),
        cmocka_unit_test(stops_when_cancelled),
    };
    return cmocka_run_group_tests(tests, one_thread, no_context);
}
