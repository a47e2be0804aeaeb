#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The verb run, as a user types it, on the small chat model: ids and texts against those of transformers."""
import json, os, pty, shutil, signal, subprocess, sys, tempfile

socle = os.environ["SOCLE"]
model = os.path.join(os.environ["SOCLE_SOURCE_DIR"], "tests/data/chat_model")
failed = passed = 0


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAIL {name}: {detail}")


def run(*args, stdin=None):
    p = subprocess.run([socle, *args], input=stdin, capture_output=True, timeout=120)
    return p.returncode, p.stdout, p.stderr.decode()


for case in json.load(open(os.path.join(model, "expected.json"), encoding="utf-8")):
    raw = ["--raw"] if case["how"] == "raw" else []
    for kind, more in (("greedy", ["--greedy"]), ("beam", ["--num-beams", "3"])):
        name = f"{case['how']} {kind} {case['prompt']!r}"
        code, out, err = run("run", model, *raw, *more, "--json", "-n", "24", "--cache-type", "f32", "--", case["prompt"])
        if code:
            check(name, False, err)
            continue
        got = json.loads(out)
        check(name + " prompt", got["prompt_tokens"] == len(case["prompt_ids"]), got)
        check(name + " ids", got["ids"] == case[kind + "_ids"], (got["ids"], case[kind + "_ids"]))
        check(name + " text", got["text"] == case[kind + "_text"], (got["text"], case[kind + "_text"]))

base = ["run", model, "--raw", "--greedy", "-n", "24", "--cache-type", "f32"]
code, out, err = run(*base, "the sky is")
text = out.decode("utf-8", "strict")
want = next(c for c in json.load(open(os.path.join(model, "expected.json"))) if c["how"] == "raw")["greedy_text"]
check("plain output", code == 0 and text.rstrip("\n") == want.rstrip("\n") and err == "", (text, err))
check("stdin is the prompt", run(*base, stdin=b"the sky is\n")[1] == out)
check("a stop text ends it", run(*base, "--stop", "beca", "the sky is")[1].decode().rstrip("\n") == want[:want.index("beca")])
check("threads do not matter", all(run(*base, "-t", str(t), "the sky is")[1] == out for t in (1, 2, 3)))
a = [run("run", model, "--temperature", "2", "--seed", s, "-n", "16", "hi", "--json")[1] for s in ("1", "1", "2")]
ids = [json.loads(x)["ids"] for x in a]
check("a seed repeats itself", ids[0] == ids[1] and ids[0] != ids[2], ids)
for prompt in ("the sky is", "say it again: the sky is blue because the sky is blue because the sky"):
    for options in (["--greedy"], ["--temperature", "0.8", "--seed", "3", "--repetition-penalty", "1.1"]):
        args = ["run", model, "--raw", "-n", "48", "--json", *options]
        plain = json.loads(run(*args, prompt)[1])
        for how in (["lookup"], ["lookup", "--draft-tokens", "7"], [model]):
            code, out, err = run(*args, "--speculative", *how, prompt)
            got = json.loads(out) if code == 0 else {}
            same = how[0] == model and options[0] != "--greedy" or all(
                got.get(k) == plain[k] for k in ("ids", "text", "finish_reason", "generated_tokens"))
            check(f"speculative {how} {options}", same and got["accepted_tokens"] <= got["drafted_tokens"], (got, plain, err))
            if how[0] == model:
                check(f"speculative {how} {options} drafts", got.get("accepted_tokens", 0) > 0, (got, err))
check("plain decoding drafts nothing", plain["drafted_tokens"] == plain["accepted_tokens"] == 0, plain)
with tempfile.TemporaryDirectory() as other:
    shutil.copytree(model, other, dirs_exist_ok=True)
    t = os.path.join(other, "tokenizer.json")
    text = open(t, encoding="utf-8").read()
    vocab = json.loads(text)
    name, number = max(vocab["added_tokens"], key=lambda a: a["id"])["content"], max(a["id"] for a in vocab["added_tokens"])
    open(t, "w", encoding="utf-8").write(text.replace(json.dumps(name), json.dumps(name + "x")))
    code, out, err = run("run", model, "--speculative", other, "hi")
    check("a draft model of other tokens", code == 1 and out == b"" and f"token {number} " in err and err.count("\n") == 1, err)
code, out, err = run("run", model, "--show-sampling", "-n", "1", "hi")
check("generation_config.json counts", "temperature 0.7 -> top_k 20 -> top_p 0.95" in err, err)
for args, status, words in (
    (["run", model, "--image", "x.png", "hi"], 1, "takes no image"),
    (["run", model, "--audio", "x.wav", "hi"], 1, "takes no audio"),
    (["run", model, "--raw", ""], 1, "empty prompt"),
    (["run", model, "--raw", "a " * 600], 1, "context of 512"),
    (["run", model + "/nothing", "hi"], 1, "nothing"),
    (["run", model, "--temperature", "-1", "hi"], 2, "temperature"),
    (["run", model, "--logit-bias", "x", "hi"], 2, "ID=BIAS"),
    (["run", model, "--logit-bias", "999999=1", "hi"], 1, "999999"),
    (["run", model, "--speculative", "lookup", "--num-beams", "2", "hi"], 2, "--num-beams"),
    (["run", model, "--draft-tokens", "4", "hi"], 2, "--speculative"),
    (["run", model, "--speculative", model + "/nothing", "hi"], 1, "nothing"),
    (["run", model, "--system", b"\xff", "hi"], 1, "system prompt is not valid UTF-8"),
    (["run", model, "--system", "be nice", "--raw", "hi"], 2, "--system"),
    (["run", model, "--decoder-prompt", "x", "hi"], 1, "--decoder-prompt"),
    (["show", model, "--type", "f16"], 2, "--synthetic"),
    (["show", model, "--tokens", "4"], 2, "--plan"),
    (["bench", model, "--type", "f16"], 2, "--synthetic"),
    (["run"], 2, "a model is needed"),
):
    code, out, err = run(*args)
    check(f"refuses {args[1:]}", code == status and out == b"" and words in err and err.count("\n") == 1, (code, out, err))

text = "the sky is blue because of light\n" * 40
code, out, err = run("perplexity", model, "-", "--json", "-c", "128", stdin=text.encode())
check("perplexity", code == 0 and json.loads(out)["perplexity"] > 1, err)
with tempfile.TemporaryDirectory() as d:  # weights that are not numbers
    damaged = shutil.copytree(model, os.path.join(d, "damaged"))
    with open(os.path.join(damaged, "model.safetensors"), "r+b") as f:
        f.seek(-4000, 2)
        f.write(b"\xff" * 4000)
    for verb in (["perplexity", damaged, "-", "--json"], ["run", damaged, "hi"]):
        code, out, err = run(*verb, stdin=text.encode())
        check(f"{verb[0]} of damaged weights", code == 1 and not out and "not a number" in err, f"{out} {err}")
code, out, err = run("bench", model, "--prefill", "16", "--decode", "4", "--repeat", "2", "--json")
got = json.loads(out) if code == 0 else {}
check("bench", got.get("prefill_tps", 0) > 0 and got.get("decode_tps", 0) > 0, err)
code, out, err = run("show", model, "--plan", "--tokens", "4")
check("show --plan", code == 0 and b"fused away" in out and b"attention" in out, err)
code, out, err = run("show", model, "--json")
check("show --json", code == 0 and json.loads(out)["parameters"] == 28832, (out, err))
code, out, err = run("show", model, "--tensors")
check("show --tensors", code == 0 and len(out.splitlines()) == 20, out)

with tempfile.TemporaryDirectory() as other:
    odd = os.path.join(other.encode(), b"\xff")
    shutil.copytree(model.encode(), odd)
    code, out, err = run("show", odd, "--json")
    check("a name that is no JSON", code == 1 and out == b"" and "UTF-8" in err, (code, out, err))
    code, out, err = run("show", odd)
    check("... but a name", code == 0 and b"llama" in out, (code, out, err))

with tempfile.TemporaryDirectory() as other:  # a context that no answer fills before the signal comes
    shutil.copytree(model, other, dirs_exist_ok=True)
    config = json.load(open(os.path.join(model, "config.json")))
    json.dump({**config, "max_position_embeddings": 10**6}, open(os.path.join(other, "config.json"), "w"))
    p = subprocess.Popen([socle, "run", other, "--raw", "-n", "100000", "-c", "200000", "--ignore-eos", "the sky"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = p.stdout.read(1)
    p.send_signal(signal.SIGINT)
    err = p.communicate(timeout=60)[1]
    check("Ctrl-C in an answer", first and p.returncode == 130 and err == b"", (p.returncode, err))


def chat(lines, *options):
    """What a chat says on its terminal to lines typed one after another, each once the prompt is there."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["HOME"] = os.environ["XDG_STATE_HOME"] = "/dev/null"  # nobody's history, and no folder can be made there
        os.execv(socle, [socle, "run", model, *options])
    said, typed = b"", 0
    try:
        while True:
            said += os.read(fd, 4096)
            if said.endswith(b"> ") and said.count(b"> ") > typed:
                os.write(fd, (lines[typed] if typed < len(lines) else "/quit").encode() + b"\n")
                typed += 1
    except OSError:
        pass
    return os.waitpid(pid, 0)[1], said.decode("utf-8", "replace")


code, said = chat(["/set", "/set top_k nan", "/set seed -1", "/set top_k 5", "/set max_new_tokens 4", "/set", "/set temperature 0.5",
                   "/set"], "--greedy", "-n", "3")
lines = [x for x in said.splitlines() if "max_new_tokens" in x and "/set" not in x]
check("chat: numbers that are none", code == 0 and said.count("no setting 'top_k' takes that") == 1 and
      said.count("no setting 'seed' takes that") == 1, said)
check("chat: settings leave greedy alone until a temperature is set", len(lines) == 3 and
      all("greedy" in x for x in lines[:2]) and lines[1].endswith("max_new_tokens 4") and
      "temperature 0.5 -> top_k 5" in lines[2], lines)
answer = lambda said: said.rsplit("hi\r\n", 1)[1].split("\n")[0]
plain, again, new = (answer(chat(x, "--greedy", "-n", "8")[1]) for x in (["hi"], ["ho", "hi"], ["ho", "/system ", "hi"]))
check("chat: /system begins a new conversation", plain == new != again, (plain, again, new))

print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
