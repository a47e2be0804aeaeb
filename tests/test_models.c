/* SPDX-License-Identifier: Apache-2.0 */
/* Whole models against the answers of transformers: each case of tests/data/models, and of the fixture folder those whose
 * family is known, from safetensors, with both forms of configuration, against the strict tolerance. */
#include "models.h"

static sc_context *ctx;

static void check_case(const char *root, const char *name)
{
    char path[2048], label[256], copy[] = "/tmp/socle-models-XXXXXX", command[8192];
    sc_safetensors *st = open_expected(root, name);
    snprintf(path, sizeof path, "%.1000s/%.100s", root, name);
    check_model(ctx, path, st, name);
    snprintf(path, sizeof path, "%.1000s/%.100s/config_v4.json", root, name);
    if (sc_path_exists(path)) {
        assert_non_null(mkdtemp(copy));
        snprintf(command, sizeof command, "cp '%s' '%s/config.json' && cp '%s/%s/model.safetensors' '%s'", path,
                 copy, root, name, copy);
        assert_int_equal(system(command), 0);
        snprintf(label, sizeof label, "%s (older config)", name);
        check_model(ctx, copy, st, label);
        snprintf(command, sizeof command, "rm -r '%s'", copy);
        assert_int_equal(system(command), 0);
    }
    sc_safetensors_free(st);
}

static void own_models_match(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(own_cases); i++) check_case(OWN_MODELS, own_cases[i]);
}

static void fixture_models_match(void **state)
{
    (void)state;
    char root[1024];
    if (!find_fixtures(root)) skip();
    for (int i = 0; i < SC_COUNT(fixture_cases); i++) check_case(root, fixture_cases[i]);
}

static int set_up(void **state)
{
    (void)state;
    return sc_context_new(&ctx, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    sc_context_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_models_match),
        cmocka_unit_test(fixture_models_match),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
