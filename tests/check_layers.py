#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shape of the tree: each module includes only modules above it (docs/architecture.md), verbs use only the public
headers, every source file carries its licence line and stays readable in length."""
import os
import re
import sys

ROOT = os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

# module: the modules whose internal headers it may include, besides its own.
ALLOWED = {
    "base": "",
    "tensor": "base",
    "ops": "base tensor",
    "cpu": "base tensor ops",
    "cuda": "base tensor ops",
    "io": "base tensor",
    "text": "base",
    "report": "base",
    "vocab": "base io text",
    "vectors": "base io cpu text",
    "world": "base",
    "data": "base io text report vectors world",
    "nn": "base tensor ops io",
    "models": "base tensor ops io nn text",
    "infer": "base tensor ops io text nn models vectors",
    "train": "base tensor ops io text nn models infer data report",
    "scale": "base tensor ops io text nn models infer report train world",
    "sandbox": "base",
    "ask": "base io text nn models infer",
    "eval": "base io text models infer ask report sandbox world",
    "tune": "base tensor ops io text nn models infer train ask report sandbox",
    "synth": "base io text infer ask data report",
    "compare": "base io text models infer train ask eval tune report",
    "retrieve": "base io text",
    "serve": "base io text infer retrieve",
    "agent": "base io text infer retrieve serve",
    "cmd": "",
}
# Headers that other modules may include besides x/x.h.
ALSO = {"tensor/unary.h", "cpu/kernels/kernels.h", "train/reference.h", "train/chat.h", "train/run.h"}
MAX_LINES = 1000

faults = []


def fault(path, line, text):
    faults.append(f"{os.path.relpath(path, ROOT)}:{line}: {text}")


def check_include(path, line, module, target):
    parts = target.split("/")
    if parts[0] == "socle":
        if not os.path.exists(os.path.join(ROOT, "include", target)):
            fault(path, line, f'no public header "{target}"')
        return
    other = parts[0]
    if module is None:
        fault(path, line, f'a public header includes the internal "{target}"')
    elif other not in ALLOWED:
        fault(path, line, f'"{target}" is not named from src/ by its module')
    elif other != module:
        if other not in ALLOWED[module].split():
            fault(path, line, f'{module} must not include "{target}"')
        elif target not in ALSO and not target.endswith(".def") and target != f"{other}/{other}.h":
            fault(path, line, f'"{target}" is private to {other}')


def check_file(path, module):
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    if "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        fault(path, 1, "no SPDX line first")
    if len(lines) > MAX_LINES and not path.endswith(".def") and "data table" not in "\n".join(lines[:5]).lower():
        fault(path, len(lines), f"longer than {MAX_LINES} lines")
    if not path.endswith((".c", ".h")):
        return
    for number, text in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', text)
        if m:
            check_include(path, number, module, m.group(1))


def main():
    source = os.path.join(ROOT, "src")
    for module in sorted(os.listdir(source)):
        if module not in ALLOWED:
            fault(os.path.join(source, module), 1, "a module that the layer table does not know")
            continue
        for folder, _, names in os.walk(os.path.join(source, module)):
            for name in names:
                if name.endswith((".c", ".h", ".def")):
                    check_file(os.path.join(folder, name), module)
    public = os.path.join(ROOT, "include", "socle")
    for name in os.listdir(public):
        check_file(os.path.join(public, name), None)
    for text in sorted(faults):
        print(text)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


sys.exit(main())
