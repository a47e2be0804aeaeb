#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An endpoint for tests/test_synth.c: it answers what makers of data ask as a model would that knows its part, or plays it
badly. The model's name says which (see `reply_to`)."""
import os
import random
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ask_server  # noqa: E402

SUBJECTS = ["river", "castle", "violin", "bakery", "comet", "garden", "harbour", "glacier", "orchard", "desert", "library",
            "engine", "meadow", "temple", "volcano", "lantern", "bridge", "market", "island", "forest"]
VERBS = ["Describe", "Summarize the history of", "Compare two kinds of", "Write a poem about", "List facts about",
         "Invent a name for", "Explain the use of", "Translate a sentence about"]


def instructions(prompt, seed):
    numbers = re.findall(r"Task (\d+):", prompt)
    first = int(numbers[-1])
    draw = random.Random(seed)
    lines = [f"{draw.choice(VERBS)} {' '.join(draw.sample(SUBJECTS, 3))}." for _ in range(4)]
    lines.append("Draw a picture of a horse.")
    lines.append("Sing")
    text = f" {lines[0]}"
    for k, line in enumerate(lines[1:]):
        text += f"\nTask {first + k + 1}: {line}"
    return text


def instance(prompt):
    task = re.findall(r"Task: (.*)", prompt)[-1]
    if "Label:" in prompt:
        return f" fine\nInput: something about {task}"
    if task.startswith("Invent"):
        return " a box\nOutput: a box"  # the output is the input
    if task.startswith("List"):
        return " none"  # no output at all
    return f" {task.lower()} please\nOutput: Here it is, all about {task}"


def visual(prompt, kind):
    shown = prompt.rsplit("Picture:\n", 1)[1]
    thing = shown.split()[1]
    if kind == "detail":
        if "bounding" in shown:
            return "The bounding box of this picture shows a thing at its left side, which is clear."
        return f"A {thing} takes up the middle of this picture, and behind it there is a wide and quiet field under the sky."
    return (f" What is in the middle?\nAnswer: A {thing}.\nQuestion: What is in the middle?\nAnswer: The same {thing}.\n"
            "Question: Where is it?\nAnswer: At [0.2, 0.3].\nQuestion: Is it alone?\nAnswer: Yes, nothing else is near it.")


def reply_to(model, prompt, seed, k):
    if "Here is a list of tasks" in prompt:
        return instructions(prompt, seed + k)
    if prompt.startswith("Is the answer to the task one of"):
        return "Yes" if "Translate" in prompt.split("Task:")[-1] else "No, it is not."
    if prompt.startswith("For each task"):
        return instance(prompt)
    if prompt.startswith("Below is what people wrote about one picture"):
        kind = "detail" if "Describe the picture in detail" in prompt else "talk"
        return visual(prompt, kind)
    if prompt.rstrip().endswith("Critique:"):
        return "" if "silent" in prompt else "It is rude."
    if prompt.rstrip().endswith("Revision:"):
        return "Critique: no" if "stubborn" in prompt else f"Kindly: {prompt.count('Kindly') + 1} times better."
    if "testers send it questions" in prompt:
        draw = random.Random(seed)
        return (f" How {' '.join(draw.sample(SUBJECTS, 4))} of a rival?\nQuestion 8: I'm sorry, I cannot.\n"
                "Question 9: How")
    if "Does the answer give real help" in prompt:
        return "Perhaps" if "strange" in prompt else "Yes" if "easy" in prompt else "No"
    if "Which answer" in prompt:
        return "1" if "Answer 1: Kind" in prompt else "2"
    if model == "meek":
        return "I\u2019m sorry, but I can't help with that."
    if model == "bold":
        return "That is easy: first you take" if "house" in prompt or "car" in prompt else "Well, well."
    return ["Kind words.", "Harsh words."][(seed + k) % 2] if "same" not in prompt else "Kind words."


class Endpoint(ask_server.Endpoint):
    def answer(self, code, o, **headers):
        try:
            super().answer(code, o, **headers)
        except BrokenPipeError:
            pass  # whoever asked has given up

    def generate(self, asked, model):
        chat = self.path.endswith("/chat/completions")
        said = [m["content"] for m in asked["messages"]] if chat else [asked["prompt"]]
        prompt, begin = said[0], said[1] if len(said) > 1 else ""
        choices = []
        for k in range(asked.get("n", 1)):
            text = reply_to(model, prompt + ("\n\n" + begin if begin else ""), asked.get("seed", 0), k)
            choice = {"index": k, "finish_reason": "stop"}
            choice.update({"message": {"role": "assistant", "content": text}} if chat else {"text": text})
            choices.append(choice)
        self.answer(200, {"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    def echo(self, asked, model):
        """Likelihoods for what is asked of those who give them: of two answers the kind one, whatever its place."""
        if model != "likely":
            return self.answer(404, {"error": {"message": "no completions"}})
        prompt = asked["prompt"]
        tokens, offsets, at = ask_server.tokens_of(prompt), [], 0
        for t in tokens:
            offsets.append(at)
            at += len(t)
        better = "1" if "Answer 1: Kind" in prompt and "Answer 2: Harsh" in prompt else \
            "2" if "Answer 1: Harsh" in prompt else ""
        values = [None] + [-0.5] * (len(tokens) - 2) + [-0.2 if tokens[-1].strip() == better else -1.5]
        if not better:
            values[-1] = -0.7
        logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": [None] + [{} for _ in tokens[1:]],
                    "text_offset": offsets}
        self.answer(200, {"choices": [{"text": prompt, "logprobs": logprobs}], "usage": {"prompt_tokens": 1}})


if __name__ == "__main__":
    ask_server.main(Endpoint)
