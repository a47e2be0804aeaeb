/* SPDX-License-Identifier: Apache-2.0 */
/* What a key of a task makes of a row: the field that it names, or the text of a template over the row's fields. */
#include "eval/eval.h"

#include <stdlib.h>

sc_status sc_eval_value_new(sc_eval_value *v, const json_t *config, const char *key, const char *where)
{
    const json_t *j = json_object_get(config, key);
    sc_str what = {0};
    if (!j || json_is_null(j)) return SC_OK;
    sc_str_printf(&what, "%s: %s", where, key);
    v->what = sc_str_take(&what, NULL);
    if (!v->what) return sc_nomem();
    if (!json_is_string(j)) {
        v->constant = j;
        return SC_OK;
    }
    v->source = json_string_value(j);
    return sc_template_new_plain(&v->template, v->source, (int64_t)json_string_length(j), v->what);
}

void sc_eval_value_free(sc_eval_value *v)
{
    sc_template_free(v->template);
    sc_free(v->what);
    *v = (sc_eval_value){0};
}

static sc_status render(char **text, const sc_template *t, const json_t *row)
{
    char *variables = json_dumps(row, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!variables) return sc_nomem();
    sc_status s = sc_template_render(text, NULL, t, variables, (int64_t)strlen(variables), NULL);
    free(variables);
    return s;
}

sc_status sc_eval_value_get(json_t **out, const sc_eval_value *v, const json_t *row)
{
    if (v->constant) {
        *out = json_incref((json_t *)v->constant);
        return SC_OK;
    }
    json_t *field = json_object_get(row, v->source);
    if (field) {
        *out = json_incref(field);
        return SC_OK;
    }
    char *text;
    sc_status s = render(&text, v->template, row);
    if (s) return s;
    *out = json_string(text);
    sc_free(text);
    return *out ? SC_OK : sc_nomem();
}

sc_status sc_eval_text_of(char **out, const json_t *v)
{
    if (json_is_string(v)) return (*out = sc_strdup(json_string_value(v))) ? SC_OK : sc_nomem();
    sc_template *t = NULL;
    json_t *row = json_pack("{s:O}", "v", v);
    sc_status s = row ? sc_template_new_plain(&t, "{{ v }}", 7, "a value") : sc_nomem();
    if (!s) s = render(out, t, row);
    sc_template_free(t);
    json_decref(row);
    return s;
}

sc_status sc_eval_value_text(char **out, const sc_eval_value *v, const json_t *row)
{
    if (!sc_eval_value_given(v)) return (*out = sc_strdup("")) ? SC_OK : sc_nomem();
    json_t *value;
    sc_status s = sc_eval_value_get(&value, v, row);
    if (s) return s;
    s = sc_eval_text_of(out, value);
    json_decref(value);
    return s;
}
