#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ways of asking of the verb run, as a user types them: on the small chat model, and of the endpoint of ask_server.py."""
import json
import os
import pty
import subprocess
import sys
import tempfile

socle = os.environ["SOCLE"]
source = os.environ["SOCLE_SOURCE_DIR"]
model = os.path.join(source, "tests/data/chat_model")
failed = passed = 0


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAIL {name}: {detail}")


def run(*args, stdin=None, env=None):
    p = subprocess.run([socle, "run", *args], input=stdin, capture_output=True, timeout=120, env={**os.environ, **(env or {})})
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def refused(name, part, *args, code=2):
    got = run(*args)
    check(name, got[0] == code and part in got[2] and got[2].count("\n") <= 2 and not got[1], got)


with tempfile.TemporaryDirectory() as folder:
    examples = os.path.join(folder, "solved.jsonl")
    with open(examples, "w", encoding="utf-8") as f:
        for q, a in (("a cat", "animal"), ("a coin", "money"), ("a dog", "animal"), ("a bank", "money"), ("one pig", "animal")):
            print(json.dumps({"input": q, "answer": a}), file=f)
    wrong = os.path.join(folder, "wrong.jsonl")
    with open(wrong, "w", encoding="utf-8") as f:
        print('{"input": "a"}', file=f)

    # a model here
    choose = [model, "--examples", examples, "--shots", "3", "--choice", "animal", "--choice", "money", "--json", "a horse"]
    code, out, err = run(*choose)
    got = json.loads(out) if code == 0 else {}
    check("a choice by likelihood", got.get("answer") in ("animal", "money") and got["generated_tokens"] == 0, (out, err))
    check("three examples before it", got and len(json.loads(got["details"]["prompt"])) == 7, got)
    check("threads do not matter", all(json.loads(run(*choose, "-t", t)[1])["details"] == got["details"] for t in "13"))
    code, out, err = run(model, "--raw", "--examples", examples, "--pick", "nearest", "--shots", "1", "--json", "-n", "4", "this dog")
    check("the nearest example", code == 0 and "Question: a dog\nAnswer: animal\n\n" in json.loads(out)["details"]["prompt"], (out, err))
    for name, options in {"votes": ["--samples", "3"], "chain": ["--cot"], "best": ["--best-of", "3"], "beam": ["--tree", "bfs"],
                          "depth": ["--tree", "dfs", "--tree-value", "likelihood"], "thinking": ["--think", "12"],
                          "by name": ["--method", "self-consistency:2"]}.items():
        args = [model, *options, "-n", "8", "--json", "--seed", "5", "hello"]
        code, out, err = run(*args)
        check(name, code == 0 and json.loads(out)["generated_tokens"] > 0, (out, err))
        again = json.loads(run(*args, "-t", "1")[1])
        check(name + " again", {**again, "seconds": 0} == {**json.loads(out), "seconds": 0})
    code, out, err = run(model, "--examples", examples, "--shots", "2", "--choice", "animal", "--choice", "money", "--check-order", "3", "x")
    check("orders are looked at", code == 0 and out.startswith("3 orders of the examples") and "exchanges" in out, (out, err))
    plain = run(model, "--samples", "1", "--greedy", "-n", "8", "--cache-type", "f32", "hello")[1]
    check("one sample is the plain answer", plain.strip() == run(model, "--greedy", "-n", "8", "--cache-type", "f32", "hello")[1].strip(), plain)

    pairs = os.path.join(folder, "pairs.jsonl")
    with open(pairs, "w", encoding="utf-8") as f:
        for i in range(20):
            print(json.dumps({"prompt": f"say {i}", "chosen": "yes yes", "rejected": "no"}), file=f)
    judge = os.path.join(folder, "judge")
    made = subprocess.run([socle, "tune", "reward", model, "--data", pairs, "--steps", "2", "--out", judge, "-q"], capture_output=True)
    check("a reward model", made.returncode == 0, made.stderr)
    got = json.loads(run(model, "--best-of", "4", "--reward", judge, "--json", "-n", "6", "--temperature", "2", "hello")[1])
    scores = [s["score"] for s in got["details"]["samples"]]
    best = got["details"]["samples"][scores.index(max(scores))]
    check("the best by reward", got["text"] == best["text"] and len(set(scores)) > 1, got)
    told = subprocess.run([socle, "classify", judge, "--json", f"<|user|>hello<|end|><|assistant|>{best['text'].strip()}<|end|>"],
                          capture_output=True).stdout
    check("its score is the model's", abs(json.loads(told)["LABEL_0"] - max(scores)) < 1e-4, (told, scores))

    refused("shots without examples", "--shots needs --examples", model, "--shots", "3", "x")
    refused("two ways", "one of --cot", model, "--cot", "--think", "5", "x")
    refused("a way that there is not", "no way of asking", model, "--method", "guess", "x")
    refused("examples for a name", "needs --examples", model, "--method", "few-shot", "x")
    refused("one choice", "nothing to choose", model, "--choice", "a", "x")
    refused("a reward for one answer", "--best-of", model, "--reward", folder, "x")
    refused("beams", "does not go", model, "--cot", "--num-beams", "3", "x")
    refused("examples that are none", "line 1: no answer", model, "--examples", wrong, "x", code=1)
    refused("no examples there", "nowhere.jsonl", model, "--examples", "nowhere.jsonl", "x", code=1)
    refused("no reward model", "no head with one label", model, "--best-of", "2", "--reward", model, "x", code=1)
    refused("a name without an address", "--api-model needs --api", "--api-model", "m", "x")
    refused("no model", "a model is needed", "--greedy")
    refused("no address", "no address of an endpoint", "--api", "ftp://x", "--api-model", "m", "x", code=1)

    # an endpoint
    server = subprocess.Popen([sys.executable, os.path.join(source, "tests/ask_server.py"), os.path.join(folder, "log")],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        api = ["--api", f"http://127.0.0.1:{int(server.stdout.readline())}/v1"]
        code, out, err = run(*api, "--api-model", "adds", "What is 2 plus 3?")
        if "without libcurl" in err:
            print("built without libcurl: endpoints are not asked")
        else:
            check("an endpoint", (code, out, err) == (0, "5\n", ""), (out, err))
            check("its model as MODEL", run("adds", *api, "What is 2 plus 3?")[1] == "5\n")
            check("from stdin", run("adds", *api, stdin=b"What is 2 plus 3?\n")[1] == "5\n")
            code, out, err = run("adds", *api, "--cot", "--samples", "6", "--answer", "number", "What is 2 plus 3?")
            check("it votes", out == "5\n" and "4 of 6 samples say so" in err, (out, err))
            code, out, err = run("adds", *api, "--tree", "dfs", "--answer", "number", "--reasoning", "-q", "What is 2 plus 3?")
            check("it grows a tree", "Step 1: add them\nStep 2: The answer is 5." in out and out.endswith("\n5\n"), (out, err))
            keyed = run("secret", *api, "--api-key-env", "OUR_KEY", "hi", env={"OUR_KEY": "sesame"})
            check("a key", keyed[1] == "secret heard hi (0)\n", keyed)
            master, slave = pty.openpty()
            talk = subprocess.Popen([socle, "run", *api, "--api-model", "m", "--system", "Be short."], stdin=slave, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "dumb", "HOME": folder})
            os.write(master, b"hi\nand\n/quit\n")
            said = talk.communicate(timeout=60)[0].decode()
            os.close(slave)
            os.close(master)
            check("a chat", said.split("\n")[::2] == ["m heard hi (0)", "m heard and (0)", ""], said)
            with open(os.path.join(folder, "log"), encoding="utf-8") as f:
                last = json.loads(f.readlines()[-1])["messages"]
            check("it remembers", [m["role"] for m in last] == ["system", "user", "assistant", "user"], last)
            refused("no key", "it wants a key", "secret", *api, "hi", code=1)
            refused("no such key", "there is no NO_KEY", "secret", *api, "--api-key-env", "NO_KEY", "hi", code=1)
    finally:
        server.stdin.close()
        server.wait(10)

print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
