/* SPDX-License-Identifier: Apache-2.0 */
/* Askers of tests/ask_server.py: what is sent, what comes back, and what goes wrong. */
#include "ask_common.h"

#include <math.h>

static sc_ask_request request_of(const char *prompt)
{
    sc_ask_request r = {
        .prompt = text_of(prompt), .sampling = SC_SAMPLING_INIT, .max_new_tokens = 12, .samples = 1};
    r.sampling.do_sample = true;
    r.sampling.seed = 10;
    return r;
}

static json_t *last_logged(void **state)
{
    json_t *all = logged(state), *last = json_incref(json_array_get(all, json_array_size(all) - 1));
    json_decref(all);
    return last;
}

static void asks_plainly_and_in_messages(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "m", .key = "sesame"});
    sc_ask_request r[2] = {request_of("line\nHi"), request_of("x")};
    sc_ask_answer got[4];
    static const char *const stop[] = {"zz"};
    r[0].samples = 3;
    r[0].sampling.stream = 5;
    r[0].sampling.top_p = 0.5;
    r[0].stop = stop;
    r[0].n_stop = 1;
    r[1].prompt = (sc_text){0};
    r[1].messages = text_of("[{\"role\": \"user\", \"content\": \"안녕\"}]");
    ok(sc_asker_generate(a, r, 2, got, NULL, NULL));
    assert_string_equal(got[0].text, "m heard Hi (15)");
    assert_string_equal(got[1].text, "m heard Hi (16)");
    assert_string_equal(got[2].text, "m heard Hi (17)");
    assert_string_equal(got[3].text, "m heard 안녕 (10)");
    assert_string_equal(got[3].finish_reason, "stop");
    assert_int_equal(got[3].tokens, 4);
    assert_true(isnan(got[3].logprob));
    sc_ask_answers_free(got, 4);
    json_t *all = logged(state);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *o = json_array_get(all, i);
        assert_string_equal(json_string_value(json_object_get(o, "key")), "Bearer sesame");
        assert_int_equal(json_integer_value(json_object_get(o, "max_tokens")), 12);
        bool plain = json_object_get(o, "prompt") != NULL;
        assert_string_equal(json_string_value(json_object_get(o, "path")),
                            plain ? "/v1/completions" : "/v1/chat/completions");
        assert_int_equal(json_integer_value(json_object_get(o, "n")), plain ? 3 : 0);
        if (plain) assert_string_equal(json_string_value(json_array_get(json_object_get(o, "stop"), 0)), "zz");
        if (plain) assert_true(json_real_value(json_object_get(o, "top_p")) == 0.5);
        assert_null(json_object_get(o, "top_k"));
    }
    assert_int_equal(json_array_size(all), 2);
    json_decref(all);
    sc_ask_counts c;
    sc_asker_counts(a, &c);
    assert_int_equal(c.requests, 2);
    assert_int_equal(c.generated_tokens, 16);
    assert_int_equal(c.cached_tokens, 2);
    assert_int_equal(c.retries, 0);
    assert_null(sc_asker_pipeline(a));
    sc_asker_free(a);
}

static void beginnings_and_chat_only(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "m", .chat_only = true});
    sc_ask_request r = request_of("Hi");
    sc_ask_answer got;
    sc_ask_score score;
    r.sampling.do_sample = false;
    r.begin = text_of("So");
    ok(sc_asker_generate(a, &r, 1, &got, NULL, NULL));
    assert_string_equal(got.text, "m heard So (0)");
    sc_ask_answers_free(&got, 1);
    json_t *o = last_logged(state);
    assert_int_equal(json_array_size(json_object_get(o, "messages")), 2);
    assert_null(json_object_get(o, "seed"));
    assert_true(json_number_value(json_object_get(o, "temperature")) == 0);
    json_decref(o);
    sc_ask_continuation c = {.context = text_of("a"), .continuation = text_of("b")};
    fails(sc_asker_score(a, &c, 1, &score, NULL, NULL), SC_EUNSUPPORTED, "chat endpoint");
    sc_asker_free(a);
}

static void one_of(void **state, const char *model, int samples, sc_status want, const char *part)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = model, .retries = 3, .timeout = 60});
    sc_ask_request r = request_of("Hi");
    sc_ask_answer got[4];
    r.samples = samples;
    sc_status s = sc_asker_generate(a, &r, 1, got, NULL, NULL);
    if (want)
        fails(s, want, part);
    else
        ok(s);
    for (int i = 0; !want && i < samples; i++) assert_non_null(strstr(got[i].text, part));
    if (!want) sc_ask_answers_free(got, samples);
    sc_asker_free(a);
}

static void servers_go_wrong(void **state)
{
    one_of(state, "busy", 1, SC_OK, "busy heard Hi");
    one_of(state, "cuts", 1, SC_OK, "cuts heard Hi");
    one_of(state, "few", 3, SC_OK, "few heard Hi");
    one_of(state, "single", 3, SC_OK, "single heard Hi");
    one_of(state, "always-busy", 1, SC_ENETWORK, "HTTP 503: overloaded");
    one_of(state, "refuses", 1, SC_EINVAL, "HTTP 400: no such parameter?[31m: foo");
    one_of(state, "secret", 1, SC_ENETWORK, "HTTP 401; it wants a key");
    one_of(state, "gone", 1, SC_ENOTFOUND, "HTTP 404: no such model");
    one_of(state, "garbage", 1, SC_EFORMAT, "the endpoint's answer");
    one_of(state, "empty", 1, SC_EFORMAT, "without choices");
    one_of(state, "number", 1, SC_EFORMAT, "no string");
}

static void gives_up_in_time(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "hangs", .retries = -1, .timeout = 0.2});
    sc_ask_request r = request_of("Hi");
    sc_ask_answer got;
    fails(sc_asker_generate(a, &r, 1, &got, NULL, NULL), SC_ENETWORK, "completions: ");
    sc_asker_free(a);
}

static void stop_texts_hold_whatever_the_server_does(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "keeps-stop"});
    sc_ask_request r = request_of("Hi");
    sc_ask_answer got;
    static const char *const stop[] = {"##", "#"};
    r.stop = stop;
    r.n_stop = 2;
    r.max_new_tokens = 2;
    ok(sc_asker_generate(a, &r, 1, &got, NULL, NULL));
    assert_string_equal(got.text, "keeps-stop heard Hi (10)");
    assert_string_equal(got.finish_reason, "stop");
    sc_ask_answers_free(&got, 1);
    sc_asker_free(a);
}

static void several_requests_are_under_way_at_once(void **state)
{
    enum { N = 12 };
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "slow", .concurrency = 4});
    sc_ask_request r[N];
    sc_ask_answer got[N];
    char prompt[N][16];
    for (int i = 0; i < N; i++) {
        snprintf(prompt[i], sizeof prompt[i], "p%d", i);
        r[i] = request_of(prompt[i]);
    }
    ok(sc_asker_generate(a, r, N, got, NULL, NULL));
    for (int i = 0; i < N; i++) {
        char want[64];
        snprintf(want, sizeof want, "slow heard p%d (10)", i);
        assert_string_equal(got[i].text, want);
    }
    sc_ask_answers_free(got, N);
    json_t *o = last_logged(state);
    int64_t busiest = json_integer_value(json_object_get(o, "busiest"));
    assert_true(busiest > 1 && busiest <= 5);
    json_decref(o);
    sc_asker_free(a);
}

static void likelihoods_by_echo(void **state)
{
    static const char *const models[] = {"m", "no-offsets"};
    for (int k = 0; k < 2; k++) {
        sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = models[k]});
        sc_ask_continuation r[4] = {
            {.context = text_of("one two"), .continuation = text_of(" three")},   /* 6 characters, all with e */
            {.context = text_of("one two "), .continuation = text_of("하나 둘")}, /* " 하나", " 둘" */
            {.context = text_of("one"), .continuation = text_of("s be")}, /* "ones" begins before it and counts */
            {.context = text_of("한 one"), .continuation = text_of(" ee ee")}};
        sc_ask_score got[4];
        r[2].context = text_of("a one");
        ok(sc_asker_score(a, r, 4, got, NULL, NULL));
        assert_true(fabs(got[0].logprob + 6 / 8.0) < 1e-12 && got[0].tokens == 1 && got[0].greedy);
        assert_true(fabs(got[1].logprob + 5 / 8.0) < 1e-12 && got[1].tokens == 2 && !got[1].greedy);
        assert_true(fabs(got[2].logprob + 8 / 8.0) < 1e-12 && got[2].tokens == 2 && got[2].greedy);
        assert_true(fabs(got[3].logprob + 6 / 8.0) < 1e-12 && got[3].tokens == 2 && got[3].greedy);
        r[0].context = text_of("");
        fails(sc_asker_score(a, r, 1, got, NULL, NULL), SC_EUNSUPPORTED, "a context is needed");
        r[0] = (sc_ask_continuation){.messages = text_of("[]"), .continuation = text_of("b")};
        fails(sc_asker_score(a, r, 1, got, NULL, NULL), SC_EUNSUPPORTED, "plain contexts only");
        sc_text whole = text_of("a b");
        fails(sc_asker_score_texts(a, &whole, 1, got, NULL, NULL), SC_EUNSUPPORTED, "local models only");
        sc_asker_free(a);
    }
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "no-logprobs"});
    sc_ask_continuation r = {.context = text_of("a"), .continuation = text_of(" b")};
    sc_ask_score got;
    fails(sc_asker_score(a, &r, 1, &got, NULL, NULL), SC_EUNSUPPORTED, "echo with logprobs");
    sc_asker_free(a);
}

static void addresses_and_keys_are_checked(void **state)
{
    sc_asker_free(endpoint_asker(state, &(sc_asker_api){.model = "m"})); /* or skips */
    sc_asker *a;
    static const char *const wrong[] = {"", "ftp://x/v1", "x", "http://user:pw@127.0.0.1/v1", "file:///etc/passwd"};
    for (int i = 0; i < SC_COUNT(wrong); i++)
        fails(sc_asker_open_api(&a, NULL, &(sc_asker_api){.url = wrong[i], .model = "m"}), SC_EINVAL, "no address");
    fails(sc_asker_open_api(&a, NULL, &(sc_asker_api){.url = "http://192.0.2.1/v1", .model = "m", .key = "k"}),
          SC_EINVAL, "not sent over http");
    fails(sc_asker_open_api(&a, NULL, &(sc_asker_api){.url = "https://h/v1", .model = "m", .key = "k\r\nX: y"}),
          SC_EINVAL, "characters that no key has");
    ok(sc_asker_open_api(&a, NULL, &(sc_asker_api){.url = "http://192.0.2.1/v1", .model = "m"}));
    sc_asker_free(a);
    /* texts that are not UTF-8 cannot be sent as JSON */
    a = endpoint_asker(state, &(sc_asker_api){.model = "m"});
    sc_ask_request r = request_of("a\xff");
    sc_ask_answer got;
    fails(sc_asker_generate(a, &r, 1, &got, NULL, NULL), SC_EINVAL, "UTF-8");
    sc_asker_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_plainly_and_in_messages, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(beginnings_and_chat_only, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(servers_go_wrong, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(gives_up_in_time, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(stop_texts_hold_whatever_the_server_does, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(several_requests_are_under_way_at_once, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(likelihoods_by_echo, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(addresses_and_keys_are_checked, start_endpoint, stop_endpoint)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
