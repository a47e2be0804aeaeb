/* SPDX-License-Identifier: Apache-2.0 */
/* A reward model as a judge of answers. */
#include "ask/asking.h"

struct sc_ask_judge {
    sc_reader *reader;
    sc_template *chat; /* NULL: it has none */
};

void sc_ask_judge_free(sc_ask_judge *j)
{
    if (!j) return;
    sc_template_free(j->chat);
    sc_reader_free(j->reader);
    sc_free(j);
}

sc_status sc_ask_judge_open(sc_ask_judge **out, sc_context *ctx, const char *path)
{
    sc_ask_judge *j = sc_calloc(1, sizeof *j);
    if (!j) return sc_nomem();
    sc_model_info info = {0};
    sc_status s = sc_reader_open(&j->reader, ctx, path);
    if (!s) sc_model_describe(sc_reader_model(j->reader), &info);
    if (!s && (info.head != SC_HEAD_CLASSES || info.labels != 1))
        s = sc_fail(SC_EINVAL, "%s is no reward model: it has no head with one label", path);
    if (!s && (s = sc_template_load(&j->chat, path, NULL, false)) == SC_ENOTFOUND) s = SC_OK;
    if (s)
        sc_ask_judge_free(j);
    else
        *out = j;
    return s;
}

/* As the template renders a conversation of the two. */
static sc_status render(const sc_ask_judge *j, sc_text prompt, sc_text answer, char **out, int64_t *len)
{
    const sc_tokenizer *t = sc_reader_tokenizer(j->reader);
    int64_t n = 0;
    const char *bos = sc_tokenizer_bos(t) >= 0 ? sc_tokenizer_token(t, sc_tokenizer_bos(t), &n) : NULL;
    const char *eos = sc_tokenizer_eos(t) >= 0 ? sc_tokenizer_token(t, sc_tokenizer_eos(t), NULL) : NULL;
    json_t *v =
        json_pack("{s:[{s:s, s:s%}, {s:s, s:s%}], s:b, s:s, s:s}", "messages", "role", "user", "content", prompt.p,
                  (size_t)prompt.len, "role", "assistant", "content", answer.p, (size_t)answer.len,
                  "add_generation_prompt", 0, "bos_token", bos ? bos : "", "eos_token", eos ? eos : "");
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    sc_status s = text ? sc_template_render(out, len, j->chat, text, (int64_t)strlen(text), NULL)
                       : sc_fail(SC_EINVAL, "a prompt or an answer that is not UTF-8");
    sc_free(text);
    json_decref(v);
    /* The tokenizer may put the token that begins texts before them: once is enough. */
    const int32_t *before, *after;
    int64_t n_before, n_after;
    sc_tokenizer_template(t, &before, &n_before, &after, &n_after);
    if (!s && bos && n && n_before && *len >= n && memcmp(*out, bos, (size_t)n) == 0) {
        memmove(*out, *out + n, (size_t)(*len - n + 1));
        *len -= n;
    }
    return s;
}

static sc_status judge(void *user, sc_text prompt, const sc_text *answers, int64_t n, double *out)
{
    sc_ask_judge *j = user;
    sc_status s = SC_OK;
    for (int64_t i = 0; i < n && !s; i++) {
        char *text = NULL;
        int64_t len = 0;
        float score;
        if (j->chat) {
            s = render(j, prompt, answers[i], &text, &len);
        } else {
            sc_str whole = {0};
            const sc_tokenizer *t = sc_reader_tokenizer(j->reader);
            int32_t eos = sc_tokenizer_eos(t); /* an answer ends, as it did where the model learned */
            sc_str_append(&whole, prompt.p, prompt.len);
            sc_str_append(&whole, answers[i].p, answers[i].len);
            if (eos >= 0 && sc_tokenizer_token(t, eos, NULL)) sc_str_puts(&whole, sc_tokenizer_token(t, eos, NULL));
            if (!(text = sc_str_take(&whole, &len))) s = sc_nomem();
        }
        if (!s) s = sc_reader_classify(j->reader, (sc_text){text, len}, (sc_text){0}, &score);
        if (!s) out[i] = score;
        sc_free(text);
    }
    return s;
}

sc_ask_reward sc_ask_judge_reward(sc_ask_judge *j) { return (sc_ask_reward){judge, j}; }
