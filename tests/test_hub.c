/* SPDX-License-Identifier: Apache-2.0 */
/* Models by name: found in folders made here, and fetched from tests/hub_server.py on loopback. */
#include "io_common.h"

#include "socle/hub.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- the server ---- */

typedef struct hub {
    pid_t pid;
    int quit; /* closing it ends the server */
    char *dir, *log;
    char endpoint[64];
} hub;

static const char *models; /* this test's models folder */

static int start_server(void **state)
{
    hub *h = calloc(1, sizeof *h);
    int in[2], out[2];
    h->dir = make_dir();
    h->log = strdup(in_dir(h->dir, "log"));
    models = strdup(in_dir(h->dir, "models"));
    setenv("SOCLE_MODELS", models, 1);
    setenv("HF_HUB_CACHE", in_dir(h->dir, "hub"), 1);
    unsetenv("HF_TOKEN");
    unsetenv("HF_HUB_OFFLINE");
    *state = h;
    if (system("python3 -c '' 2>/dev/null") != 0 || pipe(in) || pipe(out)) return 0;
    h->pid = fork();
    if (h->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", SOCLE_SOURCE_DIR "/tests/hub_server.py", h->log, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    h->quit = in[1];
    FILE *f = fdopen(out[0], "r");
    int port = 0;
    if (!f || fscanf(f, "%d", &port) != 1) return -1;
    fclose(f);
    snprintf(h->endpoint, sizeof h->endpoint, "http://127.0.0.1:%d", port);
    setenv("HF_ENDPOINT", h->endpoint, 1);
    return 0;
}

static int stop_server(void **state)
{
    hub *h = *state;
    if (h->pid > 0) {
        close(h->quit);
        waitpid(h->pid, NULL, 0);
    }
    drop_dir(h->dir);
    free(h->log);
    free((char *)(uintptr_t)models);
    free(h);
    return 0;
}

static hub *server(void **state)
{
    hub *h = *state;
    if (h->pid <= 0) {
        print_message("no python3: skipped\n");
        skip();
    }
    char *text;
    int64_t n;
    if (sc_fetch_text(&(sc_fetch){.url = "none"}, 1, &text, &n) == SC_EUNSUPPORTED) {
        print_message("built without libcurl: skipped\n");
        skip();
    }
    return h;
}

/* How many lines of the server's log hold all of these texts. */
static int logged(const hub *h, const char *a, const char *b)
{
    char line[1024];
    int n = 0;
    FILE *f = fopen(h->log, "r");
    while (f && fgets(line, sizeof line, f)) n += strstr(line, a) && strstr(line, b);
    if (f) fclose(f);
    return n;
}

static void check_big(const char *path)
{
    int64_t n;
    char *p = read_all_of(path, &n);
    assert_int_equal(n, 300000);
    for (int64_t i = 0; i < n; i++)
        if ((uint8_t)p[i] != (uint8_t)(i * i >> 3)) fail_msg("%s: byte %lld", path, (long long)i);
    sc_free(p);
}

static sc_status pull(const char *name, const char *file)
{
    char *path;
    sc_hub_pull_options o = {.file = file};
    sc_status e = sc_hub_pull(&path, NULL, name, &o);
    if (!e) sc_free(path);
    return e;
}

static char *in_models(const char *name) { return in_dir(models, name); }

/* ---- fetching ---- */

static void fetches_a_model(void **state)
{
    hub *h = server(state);
    char *path;
    ok(sc_hub_pull(&path, NULL, "org/good", NULL));
    assert_string_equal(path, in_models("org/good"));
    sc_free(path);
    check_big(in_models("org/good/model.safetensors"));
    assert_true(sc_path_exists(in_models("org/good/config.json")));
    assert_true(sc_path_exists(in_models("org/good/tokenizer.json")));
    assert_false(sc_path_exists(in_models("org/good/README.md")));
    assert_false(sc_path_exists(in_models("org/good/pytorch_model.bin")));
    assert_false(sc_path_exists(in_models("org/good/onnx")));
    assert_false(sc_path_exists(in_models("org/good/.gitattributes")));
    assert_false(sc_path_exists(in_models("org/good/model.safetensors.partial")));
    assert_false(sc_path_exists(in_models("org/good/model.safetensors.partial.etag")));
    /* what is there and right is not fetched again; what is wrong is */
    ok(sc_file_write(in_models("org/good/tokenizer.json"), "[]", 2));
    ok(pull("org/good", NULL));
    assert_int_equal(logged(h, "org/good/resolve", "model.safetensors"), 1);
    assert_int_equal(logged(h, "org/good/resolve", "config.json"), 1);
    assert_int_equal(logged(h, "org/good/resolve", "tokenizer.json"), 2);
    /* another revision has its own folder */
    ok(sc_hub_pull(&path, NULL, "org/good", &(sc_hub_pull_options){.revision = "v1.0", .file = "*.json"}));
    assert_string_equal(path, in_models("org/good@v1.0"));
    sc_free(path);
    assert_false(sc_path_exists(in_models("org/good@v1.0/model.safetensors")));
    fails(SC_ENOTFOUND,
          "org/good (v2): ", sc_hub_pull(&path, NULL, "org/good", &(sc_hub_pull_options){.revision = "v2"}));
}

static void resumes_a_cut_connection(void **state)
{
    hub *h = server(state);
    ok(pull("org/cut", NULL)); /* cut twice; each time it goes on from where it was */
    check_big(in_models("org/cut/model.safetensors"));
    assert_int_equal(logged(h, "/org/cut/", "bytes=100000- \"v1\""), 1);
    assert_int_equal(logged(h, "/org/cut/", "bytes=166666- \"v1\""), 1);
    ok(pull("org/cutnoetag", NULL)); /* no version, but a checksum will tell */
    check_big(in_models("org/cutnoetag/model.safetensors"));
    assert_int_equal(logged(h, "/org/cutnoetag/", "bytes=166666- -"), 1);
    ok(pull("org/changed", NULL)); /* another version since: all of it anew */
    check_big(in_models("org/changed/model.safetensors"));
    assert_int_equal(logged(h, "/org/changed/", "bytes=100000- \"old\""), 1);
    ok(pull("org/busy", NULL));
    assert_int_equal(logged(h, "/org/busy/resolve", ""), 3);
}

static void resumes_an_earlier_call(void **state)
{
    hub *h = server(state);
    char *from = malloc(300000);
    for (int i = 0; i < 300000; i++) from[i] = (char)((int64_t)i * i >> 3);
    /* a right beginning of the one version, in a file that an earlier process left */
    ok(sc_mkdirs(in_models("org/onegguf")));
    ok(sc_file_write(in_models("org/onegguf/m.gguf.partial"), from, 123456));
    ok(sc_file_write(in_models("org/onegguf/m.gguf.partial.etag"), "\"v1\"", 4));
    char *path;
    ok(sc_hub_pull(&path, NULL, "org/onegguf", NULL));
    assert_string_equal(path, in_models("org/onegguf/m.gguf"));
    sc_free(path);
    check_big(in_models("org/onegguf/m.gguf"));
    assert_int_equal(logged(h, "/org/onegguf/", "bytes=123456- \"v1\""), 1);
    /* a wrong beginning that only the checksum shows */
    assert_int_equal(unlink(in_models("org/onegguf/m.gguf")), 0);
    memset(from, 'x', 1000);
    ok(sc_file_write(in_models("org/onegguf/m.gguf.partial"), from, 123456));
    ok(pull("org/onegguf", NULL));
    check_big(in_models("org/onegguf/m.gguf"));
    /* more than the whole */
    assert_int_equal(unlink(in_models("org/onegguf/m.gguf")), 0);
    char *more = calloc(1, 300001);
    ok(sc_file_write(in_models("org/onegguf/m.gguf.partial"), more, 300001));
    ok(pull("org/onegguf", NULL));
    check_big(in_models("org/onegguf/m.gguf"));
    /* all of it already */
    assert_int_equal(rename(in_models("org/onegguf/m.gguf"), in_models("org/onegguf/m.gguf.partial")), 0);
    int before = logged(h, "/org/onegguf/resolve", "");
    ok(pull("org/onegguf", NULL));
    assert_int_equal(logged(h, "/org/onegguf/resolve", ""), before);
    free(more);
    free(from);
}

static void refuses_wrong_bytes(void **state)
{
    server(state);
    static const struct {
        const char *name, *say;
        sc_status code;
    } rows[] = {
        {"org/badsum", "org/badsum: model.safetensors: its SHA-256 is", SC_EFORMAT},
        {"org/badblob", "config.json: its git SHA-1 is", SC_EFORMAT},
        {"org/short", "it has 300000 bytes and should have 300001", SC_EFORMAT},
        {"org/long", "more than the file's 299999 bytes", SC_EFORMAT},
        {"org/missing", "no such thing (HTTP 404)", SC_ENOTFOUND},
        {"org/badrange", "another range", SC_ENETWORK},
        {"org/stuck", "", SC_ENETWORK},
        {"org/loop", "more than 8 redirects", SC_ENETWORK},
        {"org/tohttp", "the address it redirects to is not https", SC_EINVAL},
        {"org/garbage", "hub's answer", SC_EFORMAT},
        {"org/nolist", "no list of files", SC_EFORMAT},
        {"org/none", "neither safetensors nor GGUF", SC_ENOTFOUND},
        {"org/dotdot", "neither safetensors nor GGUF", SC_ENOTFOUND}, /* not at the top: no part of the model */
        {"org/nul", "", SC_EFORMAT},
        {"org/colon", "which is refused", SC_EFORMAT},
        {"org/unknown", "org/unknown (main): the server has no such thing", SC_ENOTFOUND},
        {"../x", "is no repository's name", SC_EINVAL},
        {"a/b/c", "is no repository's name", SC_EINVAL},
        {"/etc", "is no repository's name", SC_EINVAL},
        {"a/..", "is no repository's name", SC_EINVAL},
        {"a/.b", "is no repository's name", SC_EINVAL},
        {"a?b", "is no repository's name", SC_EINVAL},
        {"a/b c", "is no repository's name", SC_EINVAL},
        {"a/", "is no repository's name", SC_EINVAL},
        {"", "is no repository's name", SC_EINVAL},
    };
    for (int i = 0; i < SC_COUNT(rows); i++) {
        char path[256];
        sc_status e = pull(rows[i].name, NULL);
        if (e != rows[i].code || !strstr(sc_error(), rows[i].say))
            fail_msg("%s: %s: %s", rows[i].name, sc_status_text(e), sc_error());
        snprintf(path, sizeof path, "%s/model.safetensors", rows[i].name);
        if (strcmp(rows[i].name, "org/badblob")) assert_false(sc_path_exists(in_models(path)));
    }
    fails(SC_EFORMAT, "'../../evil.safetensors', which is refused", pull("org/dotdot", "*"));
    fails(SC_EFORMAT, "'/tmp/evil.safetensors', which is refused", pull("org/absolute", "*"));
    assert_false(sc_path_exists("/tmp/evil.safetensors"));
    assert_false(sc_path_exists(in_models("evil.safetensors")));
    assert_false(sc_path_exists(in_models("org/badblob/config.json")));
    char *path;
    fails(SC_EINVAL, "is no revision",
          sc_hub_pull(&path, NULL, "org/good", &(sc_hub_pull_options){.revision = "../x"}));
    fails(SC_EINVAL, "NULL", sc_hub_pull(NULL, NULL, "org/good", NULL));
}

static void follows_redirects_without_the_token(void **state)
{
    hub *h = server(state);
    ok(pull("org/redirect", NULL));
    check_big(in_models("org/redirect/model.safetensors"));
    assert_int_equal(logged(h, "/cdn/file", ""), 1);
    fails(SC_ENETWORK, "HF_TOKEN may be needed", pull("org/token", NULL));
    setenv("HF_TOKEN", "hf_wrong", 1);
    fails(SC_ENETWORK, "is HF_TOKEN allowed", pull("org/token", NULL));
    assert_null(strstr(sc_error(), "hf_wrong"));
    setenv("HF_TOKEN", "hf_test\r\nX: y", 1);
    fails(SC_EINVAL, "characters that no token has", pull("org/token", NULL));
    assert_null(strstr(sc_error(), "hf_test"));
    setenv("HF_TOKEN", "hf_test", 1);
    ok(pull("org/token", NULL));
    unsetenv("HF_TOKEN");
    /* 127.0.0.1 got it twice, for the listing and the file; localhost, where that redirected to, did not */
    assert_int_equal(logged(h, "/org/token", "hf_test"), 2);
    assert_int_equal(logged(h, "/org/token/resolve", " -\n"), 1);
}

static void chooses_files(void **state)
{
    hub *h = server(state);
    char *path;
    ok(sc_hub_pull(&path, NULL, "org/ggufs", NULL)); /* the usual one */
    assert_string_equal(path, in_models("org/ggufs/m-Q4_K_M.gguf"));
    sc_free(path);
    ok(sc_hub_pull(&path, NULL, "org/ggufs:q8_0", NULL));
    assert_string_equal(path, in_models("org/ggufs/m-Q8_0.gguf"));
    sc_free(path);
    assert_int_equal(logged(h, "/org/ggufs/resolve", ""), 2);
    fails(SC_EINVAL, "choose one of its files: m-Q4_0.gguf, m-Q8_0.gguf", pull("org/two", NULL));
    ok(pull("org/two", "*Q4*"));
    assert_true(sc_path_exists(in_models("org/two/m-Q4_0.gguf")));
    assert_false(sc_path_exists(in_models("org/two/m-Q8_0.gguf")));
    fails(SC_ENOTFOUND, "no file that fits 'Q5'", pull("org/two", "Q5"));
}

static void stays_offline(void **state)
{
    hub *h = server(state);
    int before = logged(h, "", "");
    char *path;
    fails(SC_ENETWORK, "org/good: not fetched: offline",
          sc_hub_pull(&path, NULL, "org/good", &(sc_hub_pull_options){.offline = true}));
    setenv("HF_HUB_OFFLINE", "1", 1);
    fails(SC_ENETWORK, "offline", pull("org/good", NULL));
    unsetenv("HF_HUB_OFFLINE");
    assert_int_equal(logged(h, "", ""), before);
    setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
    fails(SC_ENETWORK, "127.0.0.1:1: ", pull("org/good", NULL));
    static const char *const bad[] = {
        "http://example.com",         "http://192.0.2.1",           "ftp://127.0.0.1", "file:///etc",
        "http://127.0.0.1@192.0.2.1", "http://user:pw@127.0.0.1:1", "nonsense:"};
    for (int i = 0; i < SC_COUNT(bad); i++) {
        setenv("HF_ENDPOINT", bad[i], 1);
        fails(SC_EINVAL, "is not https", pull("org/good", NULL));
    }
    setenv("HF_ENDPOINT", h->endpoint, 1);
    /* a cancelled context */
    sc_context *ctx;
    ok(sc_context_new(&ctx, &(sc_context_options){.threads = 1}));
    sc_context_cancel(ctx);
    fails(SC_ECANCELLED, "cancelled", sc_hub_pull(&path, ctx, "org/good", NULL));
    sc_context_free(ctx);
}

/* ---- finding ---- */

static void put_file(const char *path)
{
    char *dir = strdup(path);
    *strrchr(dir, '/') = 0;
    ok(sc_mkdirs(dir));
    ok(sc_file_write(path, "12345", 5));
    free(dir);
}

static void lists_and_resolves(void **state)
{
    (void)state;
    char *dir = make_dir(), *path;
    char *old = strdup(getenv("SOCLE_MODELS")), *old_hub = strdup(getenv("HF_HUB_CACHE"));
    static const char *const files[] = {
        "m/org/one/config.json",
        "m/org/one/model.safetensors",
        "m/org/one/sub/x.json", /* a directory's model */
        "m/org/half/config.json",
        "m/org/half/model.safetensors.partial", /* not yet one */
        "m/single/only-Q4.gguf",
        "m/org/many/a.gguf",
        "m/org/many/b.gguf",
        "m/bare.gguf",
        "m/deep/er/than/this.gguf",
        "m/pipe/model_index.json",
        "m/.hidden/x.gguf",
        "m/x/same/s.gguf",
        "m/y/same/t.gguf",
        "h/models--org--cached/refs/main",
        "h/models--org--cached/snapshots/abc/config.json",
        "h/models--org--cached/snapshots/abc/model.safetensors",
        "h/models--org--cached/snapshots/old/config.json",
        "h/models--org--cached/snapshots/old/model.safetensors",
        "h/models--noorg/snapshots/abc/x.gguf",
        "h/models--org--one/snapshots/abc/x.gguf",
        "h/models--org--evil/refs/main",
        "h/models--org--tok/snapshots/abc/tokenizer.json",
        "h/datasets--a--b/snapshots/abc/x.gguf",
    };
    for (int i = 0; i < SC_COUNT(files); i++) put_file(in_dir(dir, files[i]));
    ok(sc_file_write(in_dir(dir, "h/models--org--cached/refs/main"), "abc\n", 4));
    ok(sc_file_write(in_dir(dir, "h/models--org--evil/refs/main"), "../../m", 7));
    setenv("SOCLE_MODELS", in_dir(dir, "m"), 1);
    setenv("HF_HUB_CACHE", in_dir(dir, "h"), 1);
    static const struct {
        const char *name, *path, *kind, *source;
        int64_t bytes;
    } want[] = {
        {"bare", "m/bare.gguf", "gguf", "models", 5},
        {"noorg", "h/models--noorg/snapshots/abc/x.gguf", "gguf", "huggingface", 5},
        {"org/cached", "h/models--org--cached/snapshots/abc", "safetensors", "huggingface", 10},
        {"org/many:a.gguf", "m/org/many/a.gguf", "gguf", "models", 5},
        {"org/many:b.gguf", "m/org/many/b.gguf", "gguf", "models", 5},
        {"org/one", "h/models--org--one/snapshots/abc/x.gguf", "gguf", "huggingface", 5},
        {"org/one", "m/org/one", "safetensors", "models", 10},
        {"pipe", "m/pipe", "diffusers", "models", 5},
        {"single", "m/single/only-Q4.gguf", "gguf", "models", 5},
        {"x/same", "m/x/same/s.gguf", "gguf", "models", 5},
        {"y/same", "m/y/same/t.gguf", "gguf", "models", 5},
    };
    sc_hub_model *list;
    int64_t n;
    ok(sc_hub_list(&list, &n));
    for (int64_t i = 0; i < SC_MIN(n, SC_COUNT(want)); i++) {
        int j = i == 5 ? 6 : i == 6 ? 5 : (int)i; /* the models folder comes first */
        assert_string_equal(list[i].name, want[j].name);
        assert_string_equal(list[i].path, in_dir(dir, want[j].path));
        assert_string_equal(list[i].kind, want[j].kind);
        assert_string_equal(list[i].source, want[j].source);
        assert_int_equal(list[i].bytes, want[j].bytes);
    }
    assert_int_equal(n, SC_COUNT(want));
    sc_hub_list_free(list, n);
    static const struct {
        const char *name, *path;
    } found[] = {{"org/one", "m/org/one"},
                 {"one", "m/org/one"},
                 {"single", "m/single/only-Q4.gguf"},
                 {"only-Q4", "m/single/only-Q4.gguf"},
                 {"bare", "m/bare.gguf"},
                 {"bare.gguf", "m/bare.gguf"},
                 {"many:b.gguf", "m/org/many/b.gguf"},
                 {"cached", "h/models--org--cached/snapshots/abc"},
                 {"x/same", "m/x/same/s.gguf"}};
    for (int i = 0; i < SC_COUNT(found); i++) {
        ok(sc_hub_resolve(&path, found[i].name));
        assert_string_equal(path, in_dir(dir, found[i].path));
        sc_free(path);
    }
    ok(sc_hub_resolve(&path, dir)); /* a path is itself */
    assert_string_equal(path, dir);
    sc_free(path);
    fails(SC_EINVAL, "several models fit: x/same, y/same", sc_hub_resolve(&path, "same"));
    fails(SC_ENOTFOUND, "nothing: no such file, and no model", sc_hub_resolve(&path, "nothing"));
    fails(SC_ENOTFOUND, "no such file", sc_hub_resolve(&path, ""));
    /* where the folders are */
    unsetenv("SOCLE_MODELS");
    char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    data = data ? strdup(data) : NULL;
    home = home ? strdup(home) : NULL;
    setenv("XDG_DATA_HOME", "/data", 1);
    ok(sc_hub_folder(&path));
    assert_string_equal(path, "/data/socle/models");
    sc_free(path);
    unsetenv("XDG_DATA_HOME");
    setenv("HOME", "/home/x", 1);
    ok(sc_hub_folder(&path));
    assert_string_equal(path, "/home/x/.local/share/socle/models");
    sc_free(path);
    unsetenv("HOME");
    fails(SC_ENOTFOUND, "HOME is not set", sc_hub_folder(&path));
    if (data) setenv("XDG_DATA_HOME", data, 1);
    if (home) setenv("HOME", home, 1);
    free(data);
    free(home);
    setenv("SOCLE_MODELS", old, 1);
    setenv("HF_HUB_CACHE", old_hub, 1);
    free(old);
    free(old_hub);
    drop_dir(dir);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_resolves),
        cmocka_unit_test(fetches_a_model),
        cmocka_unit_test(resumes_a_cut_connection),
        cmocka_unit_test(resumes_an_earlier_call),
        cmocka_unit_test(refuses_wrong_bytes),
        cmocka_unit_test(follows_redirects_without_the_token),
        cmocka_unit_test(chooses_files),
        cmocka_unit_test(stays_offline),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
