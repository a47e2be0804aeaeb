#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`socle eval` beside lm-evaluation-harness on the same task files and the same small model: prompts and greedy answers the
same, log likelihoods to 1e-3, metrics and standard errors. Skipped (77) without lm_eval, torch and transformers."""
import json
import os
import subprocess
import sys
import tempfile

os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", DISABLE_MULTIPROC="1", TOKENIZERS_PARALLELISM="false")
try:
    import lm_eval
    import torch
    from lm_eval.tasks import TaskManager
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
torch.set_num_threads(2)
socle = os.environ["SOCLE"]
source = os.environ["SOCLE_SOURCE_DIR"]
model = os.path.join(source, "tests", "data", "chat_model")
failed = 0

WORDS = "the quick brown fox jumps over a lazy dog one two three four five six seven".split()


def check(name, ok, detail=""):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + name, detail)


def phrase(i, n):
    return " ".join(WORDS[(i * 7 + k * k * 3 + k) % len(WORDS)] for k in range(n))


def write_rows(folder):
    rows = [{"q": phrase(i, 4 + i % 5), "a": phrase(i + 1, 1 + i % 2), "b": phrase(i + 2, 2), "c": "한글 " + phrase(i, 1),
             "label": i % 3, "letter": "ABC"[i % 3], "text": phrase(i, 20 + 3 * i) + ("\n\n" if i % 2 else " é")}
            for i in range(24)]
    with open(os.path.join(folder, "test.jsonl"), "w") as f:
        f.writelines(json.dumps(r, ensure_ascii=i % 2 == 0) + "\n" for i, r in enumerate(rows))
    with open(os.path.join(folder, "train.csv"), "w") as f:
        f.write("q,a,b,c,label,letter,text\n")
        f.writelines(f'"{r["q"]}, ""x""",{r["a"]},{r["b"]},{r["c"]},{r["label"]},{r["letter"]},t\n' for r in rows[:11])
    with open(os.path.join(folder, "train.jsonl"), "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows[5:18])


BASE = """
dataset_path: json
dataset_kwargs: {data_files: {test: test.jsonl, train: train.jsonl}}
test_split: test
"""
CHOICES = """
output_type: multiple_choice
doc_to_text: "Q: {{q}}\\nA:"
doc_to_choice: "{{[a, b, c]}}"
doc_to_target: label
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
  - {metric: acc_bytes, aggregation: mean, higher_is_better: true}
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
  - {metric: brier_score, aggregation: brier_score, higher_is_better: false}
  - {metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}
"""
# No stop text is a part of a special token: lm_eval would find it in there.
TASKS = {
    "choices": BASE + CHOICES + "fewshot_split: train\nnum_fewshot: 3\ndescription: \"Choose about {{q[:3]}}.\\n\\n\"\n",
    "letters": BASE + """
output_type: multiple_choice
fewshot_split: test
num_fewshot: 2
doc_to_text: "{{q}}\\n(A) {{a}} (B) {{b}} (C) {{c}}\\nAnswer:"
doc_to_choice: ["A", "B", "C"]
doc_to_target: letter
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_mutual_info, aggregation: mean, higher_is_better: true}
""",
    "inputs": BASE + """
output_type: multiple_choice
doc_to_text: "{{label}}"
doc_to_choice: "{{[q + ' ' + a, q + ' ' + b, q + ' ' + c]}}"
doc_to_target: " and so on"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "last_word": BASE + """
output_type: loglikelihood
doc_to_text: "{{q.split(' ')[:-1]|join(' ')}}"
doc_to_target: "{{' ' + q.split(' ')[-1]}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "texts": BASE + """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity}
  - {metric: byte_perplexity}
  - {metric: bits_per_byte}
""",
    "answers": BASE + """
output_type: generate_until
training_split: train
fewshot_split: train
num_fewshot: 4
fewshot_config: {sampler: first_n}
target_delimiter: " => "
fewshot_delimiter: "\\n"
doc_to_text: q
doc_to_target: a
generation_kwargs: {until: ["o", "\\n"], max_gen_toks: 12, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true, ignore_punctuation: true, regexes_to_ignore: ["o+"]}
  - {metric: bleu, aggregation: bleu, higher_is_better: true}
  - {metric: chrf, aggregation: chrf, higher_is_better: true}
filter_list:
  - name: letters
    filter:
      - {function: regex, regex_pattern: "([a-z])([a-z]?)", group_select: -1, fallback: none}
      - {function: take_first}
  - name: lower
    filter:
      - {function: lowercase}
      - {function: remove_whitespace}
      - {function: take_first}
""",
    "begun": BASE + """
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
gen_prefix: "It is {{b}}"
fewshot_split: train
num_fewshot: 1
generation_kwargs: {until: ["."], max_gen_toks: 6}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
    "table": """
dataset_path: csv
dataset_kwargs: {data_files: {test: train.csv}}
validation_split: test
num_fewshot: 2
""" + CHOICES.replace("  - {metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}\n", ""),
}
GROUP = """
group: both
task: [choices, letters]
aggregate_metric_list: [{metric: acc, aggregation: mean, weight_by_size: true}]
"""


def theirs(folder, names, chat):
    r = lm_eval.simple_evaluate(
        model="hf", model_args={"pretrained": model, "dtype": "float32", "max_length": 512}, tasks=names, device="cpu", batch_size=1,
        task_manager=TaskManager(include_path=folder, include_defaults=False), bootstrap_iters=1000, log_samples=True,
        apply_chat_template=chat, fewshot_as_multiturn=False, verbosity="ERROR")
    return r


def ours(folder, names, chat, out):
    typed = [socle, "eval", model, "--bootstrap", "1000", "--out", out, "--json", "-q", "--context", "512"]
    for n in names:
        typed += ["--task", n]
    p = subprocess.run(typed + (["--chat"] if chat else []), cwd=folder, capture_output=True, text=True)
    if p.returncode:
        print(p.stderr)
        sys.exit(1)
    return json.loads(p.stdout)["models"][0]


def near(a, b, tolerance):
    if isinstance(a, str) or isinstance(b, str) or a is None or b is None:
        return str(a) == str(b)
    return abs(a - b) <= tolerance * max(1, abs(b))


def compare_samples(task, out, samples, chat):
    path = [p for p in os.listdir(out) if p.endswith(f"_{task}.jsonl")][0]
    lines = [json.loads(line) for line in open(os.path.join(out, path))]
    prompts = texts = 0
    worst = 0.0
    for s in samples:
        mine = lines[s["doc_id"]]["asked"]
        for k, (arguments, answer) in enumerate(zip(s["arguments"].values() if isinstance(s["arguments"], dict) else s["arguments"], s["resps"])):
            arguments = list(arguments.values()) if isinstance(arguments, dict) else arguments
            asked = mine[k]["continuation"] if task == "texts" else mine[k]["prompt"]
            prompts += not chat and asked != arguments[0]
            answer = answer[0]
            got = mine[k]["answer"][0]
            if isinstance(got, str):
                texts += got != answer.replace("\0", "\ufffd")
            else:
                worst = max(worst, abs(got - float(answer[0] if isinstance(answer, (list, tuple)) else answer)))
    check(f"{task}: {len(samples)} items asked the same", prompts == 0, f"{prompts} differ")
    check(f"{task}: generated texts the same", texts == 0, f"{texts} differ")
    check(f"{task}: log likelihoods", worst < 1e-3, f"within {worst:.2g}")


def compare(folder, names, chat):
    out = os.path.join(folder, "out_chat" if chat else "out")
    mine, r = ours(folder, names, chat, out), theirs(folder, names, chat)
    tasks = {t["task"]: t for t in mine["tasks"]}
    for task, metrics in r["results"].items():
        got = tasks[task]["metrics"] if task in tasks else mine["groups"][task]
        for key, value in metrics.items():
            if "," not in key:
                continue
            check(f"{task}: {key}", near(got.get(key), value, 1e-4), f"{got.get(key)} {value}")
    for task, samples in r["samples"].items():
        compare_samples(task, out, samples, chat)


with tempfile.TemporaryDirectory() as where:
    os.environ["HF_HOME"] = os.path.join(where, "hf")
    write_rows(where)
    for name, text in TASKS.items():
        with open(os.path.join(where, name + ".yaml"), "w") as f:
            f.write(f"task: {name}\n" + text)
    with open(os.path.join(where, "both.yaml"), "w") as f:
        f.write(GROUP)
    os.chdir(where)
    compare(where, [t for t in TASKS if t not in ("choices", "letters")] + ["both"], False)
    compare(where, ["answers", "last_word"], True)
    os.chdir("/")
sys.exit(failed > 0)
