/* SPDX-License-Identifier: Apache-2.0 */
/* Templates for models that have none. */
#include "train/chat.h"

enum { MAX_TEMPLATE = 4 << 20 };

/* The end of a text follows an answer, so that models that know no other end stop there. */
static const char chatml[] =
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.role == 'assistant' %}"
    "{%- generation %}{{- message.content + '<|im_end|>' }}"
    "{%- if eos_token and eos_token != '<|im_end|>' %}{{- eos_token }}{%- endif %}{%- endgeneration %}"
    "{%- else %}{{- message.content + '<|im_end|>' }}{%- endif %}"
    "{{- '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";
static const char plain[] =
    "{%- for message in messages %}"
    "{%- if message.role == 'system' %}{{- message.content + '\\n\\n' }}"
    "{%- elif message.role == 'assistant' %}{{- '### Answer:\\n' }}"
    "{%- generation %}{{- message.content + (eos_token or '') }}{%- endgeneration %}{{- '\\n\\n' }}"
    "{%- else %}{{- '### Question:\\n' + message.content + '\\n\\n' }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '### Answer:\\n' }}{%- endif %}";

sc_status sc_chat_template_open(sc_template **out, char **source, const char *name, const char *path)
{
    const char *own = !name                         ? NULL
                      : strcmp(name, "chatml") == 0 ? chatml
                      : strcmp(name, "plain") == 0  ? plain
                                                    : NULL;
    sc_template *t = NULL;
    *source = NULL;
    *out = NULL;
    if (!name) {
        sc_status s = sc_template_load(&t, path, NULL, false);
        if (s && s != SC_ENOTFOUND) return s;
        *out = s ? NULL : t;
        return SC_OK;
    }
    char *text = own ? sc_strdup(own) : NULL;
    int64_t n = own ? (int64_t)strlen(own) : 0;
    sc_status s = own ? (text ? SC_OK : sc_nomem()) : sc_file_read(&text, &n, name, MAX_TEMPLATE);
    if (!s) s = sc_template_new(&t, text, n, name);
    if (s) {
        sc_free(text);
        return s;
    }
    *out = t;
    *source = text;
    return SC_OK;
}

sc_status sc_chat_template_write(const char *source, const char *dir)
{
    char *path = sc_path_join(dir, "chat_template.jinja");
    sc_status s = path ? sc_file_write(path, source, (int64_t)strlen(source)) : sc_nomem();
    sc_free(path);
    return s;
}
