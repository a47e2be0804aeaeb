#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An endpoint in OpenAI's protocol on loopback for tests/test_ask*.c. Prints its port, then serves until its stdin closes.

Requests are logged to the file given as argument, one JSON object a line. The model's name chooses what goes wrong; "adds" reasons about "What is A plus B?" well
enough to be asked in several ways (reason); otherwise an answer is made from the prompt alone: "<model> heard <prompt's last line> (<sample>)", and the tokens of
an echoed prompt are its words with the spaces before them, each with the log probability -(length of the token) / 8.
"""
import http.server
import json
import re
import sys
import threading
import time

counts = {}
lock = threading.Lock()
busiest = [0, 0]


def tokens_of(text):
    return re.findall(r"\s*\S+|\s+", text)


def reason(user, begin, seed):
    """What "adds" goes on with behind `begin`: wrong for every third seed, and without a word that announces the answer for
    every third more."""
    a, b = [int(x) for x in re.findall(r"\d+", user.split("plus")[-2].split("What is")[-1] + " " + user.split("plus")[-1])[:2]] \
        if "plus" in user else (0, 0)
    if "Say sure, likely or impossible" in user:
        return "impossible" if "wrong" in user else "It is sure to."
    if "The best way is number" in user:
        ways = re.split(r"Way \d+:", user)[1:]
        return str(1 + next((i for i, w in enumerate(ways) if "wrong" not in w), 0))
    if begin.endswith("the answer is") or begin.endswith("Final answer:"):
        return f" {a + b}."
    if re.search(r"Step \d+:$", begin):
        if "wrong" in begin:
            return " The answer is 1."
        good = f" The answer is {a + b}." if "Step 2:" in begin else " add them"
        return " wrong way" if seed % 3 == 0 else good
    if begin.endswith("Wait,"):
        return " once more" if begin.count("Wait,") > 1 else " still"
    if "think it through" in begin:
        return "hm"
    if "step by step" in begin:
        return [f" Roughly {a + b + 1}. The answer is {a + b + 1}.", f" {a} and {b} make {a + b}. The answer is {a + b}.",
                f" {a} and then {b} more."][seed % 3]
    return str(a + b)


class Endpoint(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, o, **headers):
        body = o if isinstance(o, bytes) else json.dumps(o, ensure_ascii=False).encode()
        self.send_response(code)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = asked.get("model")
        with lock:
            busiest[0] += 1
            busiest[1] = max(busiest)
            asked["path"], asked["key"], asked["busiest"] = self.path, self.headers.get("Authorization"), busiest[1]
            with open(sys.argv[1], "a", encoding="utf-8") as f:
                print(json.dumps(asked, ensure_ascii=False), file=f)
            n = counts[model] = counts.get(model, 0) + 1
        try:
            self.reply(asked, model, n)
        finally:
            with lock:
                busiest[0] -= 1

    def reply(self, asked, model, n):
        if model == "busy" and n < 3:
            return self.answer(429 if n == 1 else 503, {"error": "busy"}, Retry_After="0.01")
        if model == "always-busy":
            return self.answer(503, {"error": {"message": "overloaded"}}, Retry_After="0.01")
        if model == "refuses":
            return self.answer(400, {"error": {"message": "no such parameter\x1b[31m: foo"}})
        if model == "single" and asked.get("n", 1) > 1:
            return self.answer(400, {"error": {"message": "n must be 1"}})
        if model == "secret" and self.headers.get("Authorization") != "Bearer sesame":
            return self.answer(401, b"no")
        if model == "gone":
            return self.answer(404, {"detail": "no such model"})
        if model == "garbage":
            return self.answer(200, b"<html>")
        if model == "empty":
            return self.answer(200, {"choices": []})
        if model == "number":
            return self.answer(200, {"choices": [{"text": 3}]})
        if model == "cuts" and n == 1:
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            return self.wfile.write(b'{"choices"')
        if model == "slow":
            time.sleep(0.05)
        if model == "hangs":
            time.sleep(30)
        if asked.get("echo"):
            return self.echo(asked, model)
        self.generate(asked, model)

    def echo(self, asked, model):
        tokens, offsets, at = tokens_of(asked["prompt"]) + [" more"], [], 0
        for t in tokens:
            offsets.append(at)
            at += len(t)
        values = [None] + [-len(t) / 8 for t in tokens[1:]]
        top = [None] + [{t: v, "x": v - 1} if "e" in t else {"x": v + 0.1} for t, v in zip(tokens[1:], values[1:])]
        logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": top, "text_offset": offsets}
        if model == "no-offsets":
            del logprobs["text_offset"]
        choice = {"text": asked["prompt"] + " more", "logprobs": None if model == "no-logprobs" else logprobs}
        self.answer(200, {"choices": [choice], "usage": {"prompt_tokens": len(tokens) - 1}})

    def generate(self, asked, model):
        chat = self.path.endswith("/chat/completions")
        prompt = asked["messages"][-1]["content"] if chat else asked["prompt"]
        last, choices = prompt.split("\n")[-1], []
        many = 1 if model == "few" else asked.get("n", 1)
        for k in range(many):
            text = f"{model} heard {last} ({asked.get('seed', 0) + k})"
            if model == "adds":
                told = asked["messages"] if chat else [{"role": "user", "content": prompt}]
                begin = told[-1]["content"] if told[-1]["role"] == "assistant" else ""
                user = [m["content"] for m in told if m["role"] == "user"][-1]
                text = reason(user, begin, asked.get("seed", 0) + k)
            if model == "keeps-stop":
                text += asked["stop"][0] + " and more"
            choice = {"index": k, "finish_reason": "length" if asked["max_tokens"] < 3 else "stop"}
            choice.update({"message": {"role": "assistant", "content": text}} if chat else {"text": text})
            if "logprobs" in asked and model != "no-logprobs":  # the fourth sample is the likeliest
                each = -0.25 if k == 3 else -0.5
                choice["logprobs"] = {"content": [{"token": "x", "logprob": each}] * 4} if asked["logprobs"] is True else \
                    {"tokens": ["x"] * 4, "token_logprobs": [each] * 4}
            choices.append(choice)
        usage = {"prompt_tokens": len(tokens_of(prompt)), "completion_tokens": 4 * many,
                 "prompt_tokens_details": {"cached_tokens": 1}}
        self.answer(200, {"choices": choices, "usage": usage})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


def main(handler=Endpoint):
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
