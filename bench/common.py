# SPDX-License-Identifier: Apache-2.0
"""What the measuring scripts share: finding and running the command, medians, names of the machine, tables."""
import json
import os
import platform
import statistics
import subprocess
import sys
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def tool(name, env):
    """A program of the build: build/NAME, or what the environment variable says."""
    path = os.environ.get(env) or os.path.join(ROOT, "build", name)
    if not os.path.exists(path):
        sys.exit(f"{path} is not there: cmake -DSC_BENCH=ON build && cmake --build build --target bench")
    return path


def call(*args):
    p = subprocess.run([str(a) for a in args], capture_output=True)
    if p.returncode:
        sys.exit(f"{' '.join(map(str, args))}: {p.stderr.decode().strip()}")
    return p.stdout.decode()


def socle_bench(model, *args):
    return json.loads(call(tool("socle", "SOCLE"), "bench", model, "--json", *args))


def first_byte(args):
    """Seconds from starting a program to the first byte that it writes."""
    start = time.perf_counter()
    p = subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    got = os.read(p.stdout.fileno(), 1)
    seconds = time.perf_counter() - start
    p.stdout.read()
    if p.wait() or not got:
        sys.exit(f"{' '.join(map(str, args))}: no output")
    return seconds


_WATCH = """
import os, subprocess, sys
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(p.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def peak_memory(args):
    """The most memory, in bytes, that a program had in use, pages of mapped files included. Started from a small process:
    on Linux a child's figure begins with its parent's."""
    code, size = map(int, call(sys.executable, "-I", "-S", "-c", _WATCH, *args).split())
    if code:
        sys.exit(f"{' '.join(map(str, args))}: failed")
    return size


def cpu_name():
    try:
        for line in open("/proc/cpuinfo", encoding="utf-8"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def table(header, rows):
    """A Markdown table, padded so that it reads as plain text too."""
    lines = [header] + rows
    width = [max(len(str(line[i])) for line in lines) for i in range(len(header))]
    text = ["| " + " | ".join(str(c).ljust(w) for c, w in zip(line, width)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in width) + "|")
    return "\n".join(text)


median = statistics.median
