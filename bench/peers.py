#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same work by socle, llama.cpp, PyTorch and OpenBLAS (NumPy), in one run on one machine, taking turns; medians.

    python3 bench/peers.py --quick            # under three minutes: the default model, matrix products
    python3 bench/peers.py --write            # everything, and the table of docs/performance.md

Needs build/bench/kernels (cmake -DSC_BENCH=ON) and, for each peer, its Python module: llama_cpp, torch, numpy; without
one its rows say so. Files with random weights of the shape of Llama 3.2 1B are made in --work (6 GB, kept if given)."""
import argparse
import datetime
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

THREADS = int(next((sys.argv[i + 1] for i, a in enumerate(sys.argv[:-1]) if a in ("-t", "--threads")), 0)) \
    or len(os.sched_getaffinity(0))
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)  # read when the modules below are loaded

from common import ROOT, call, cpu_name, first_byte, median, peak_memory, socle_bench, table, tool  # noqa: E402

MARKS = "<!-- results: written by bench/peers.py --write -->", "<!-- end of results -->"
PROMPT = "The capital of France is"


def optional(name):
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError):
        return None


llama, torch, numpy = optional("llama"), optional("torch"), optional("numpy")


class Run:
    def __init__(self, args):
        self.args = args
        self.rows, self.limits, self.work = [], [], args.work or tempfile.mkdtemp(prefix="socle-bench-")
        self.shares = []  # of a limit, one a turn of the row that is being measured
        self.deadline = time.monotonic() + args.limit if args.limit else None

    def late(self):
        return self.deadline and time.monotonic() > self.deadline

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def turns(self, programs, repeat=None):
        """Each program's values, taken in turns: all once, all again, ... None where a program is not there."""
        got = {name: [] for name, run in programs.items() if run}
        for _ in range(repeat or self.args.repeat):
            for name in got:
                got[name].append(programs[name]())
            if self.late():
                break
        return {name: median(values) for name, values in got.items()}, min(map(len, got.values()))

    def row(self, work, unit, programs, limit=None, better="more", repeat=None):
        """limit: "bandwidth" or "peak", what socle's shares are of: the limit is measured around every turn, because it
        can change between two of them."""
        if self.late():
            return self.rows.append({"work": work, "unit": unit, "left_out": "time limit"})
        self.say(work)
        self.shares = []
        got, n = self.turns(programs, repeat)
        row = {"work": work, "unit": unit, "values": got, "turns": n, "better": better,
               "missing": [name for name, run in programs.items() if not run]}
        if self.shares:
            row["limit"], row["share"] = limit, median(self.shares)
        self.rows.append(row)
        return got

    def socle(self, key, model, *args):
        """Tokens a second as `socle bench` measures them, key being "prefill" or "decode"; keeps their share."""
        r = socle_bench(model, "-t", THREADS, "-R", 1, "-q", *args)
        self.limits.append(r)
        self.shares.append(r[key + "_share"])
        return r[key + "_tps"]

    # ---- models ----

    def model(self, name, path, prompts=True, sequences=(1,), repeat=None):
        steps = 8 if self.args.quick else 16
        peer = llama.Model(path, THREADS, (128 + steps) * max(sequences) + 512, max(sequences)) if llama else None
        if prompts:
            def prompt():
                peer.clear()
                return 512 / peer.prompt(512)
            self.row(f"prefill 512 tokens, {name}", "tokens/s", {
                "socle": lambda: self.socle("prefill", path, "-p", 512, "-d", 0, "-f", 0),
                "llama.cpp": peer and prompt}, "peak", repeat=repeat)
        base = None
        for count in sequences:
            if peer:
                peer.clear()
                for s in range(count):
                    peer.prompt(128, s)
            options = ("-p", 1, "-f", 128, "-d", steps, "-s", count)
            what = f"decode, {name}" if count == 1 else f"decode {count} sequences together, {name}"
            got = self.row(what, "tokens/s", {
                "socle": lambda: self.socle("decode", path, *options),
                "llama.cpp": peer and (lambda: steps * count / peer.generate(128, steps, count))},
                "bandwidth", repeat=repeat)
            base = base or got
            if got and base and count > 1:
                self.rows[-1]["to_one"] = {k: v / base[k] for k, v in got.items() if k in base}
        if peer:
            peer.close()

    def long_context(self, name, path, fill=8192, steps=8):
        """Filling takes minutes, so here the two do not take turns: all of one, then all of the other."""
        if self.late():
            return self.row(f"decode at {fill} tokens, {name}", "tokens/s", {})
        n = self.args.repeat
        values = {"socle": lambda: self.socle("decode", path, "-p", 1, "-f", fill, "-d", steps, "-R", n)}
        if llama:
            peer = llama.Model(path, THREADS, fill + steps + 1)
            peer.prompt(fill)
            t = median([peer.generate(fill, steps) for _ in range(n)])
            peer.close()
            values["llama.cpp"] = lambda: steps / t
        else:
            values["llama.cpp"] = None
        self.row(f"decode at {fill} tokens, {name}", "tokens/s", values, "bandwidth", repeat=1)

    def start(self, name, path):
        run = [tool("socle", "SOCLE"), "run", path, "--raw", "--greedy", "-q", "-t", THREADS, "-c", 512]

        def peer(key, steps):
            out = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "llama.py"), path, str(THREADS), PROMPT,
                                  str(steps)], capture_output=True, check=True).stdout
            return json.loads(out)[key]
        self.row(f"start to first token, {name}", "ms", {
            "socle": lambda: 1e3 * first_byte([*run, "-n", 1, PROMPT]),
            "llama.cpp": llama and (lambda: 1e3 * peer("seconds", 1))}, better="less")
        self.row(f"peak memory over 64 tokens, {name}", "MiB", {
            "socle": lambda: peak_memory([*run, "--ignore-eos", "-n", 64, PROMPT]) / 2**20,
            "llama.cpp": llama and (lambda: peer("bytes", 64) / 2**20)}, better="less", repeat=3)

    def quantize(self, source):
        for kind in ("q4_0", "q4_k_m"):
            out = os.path.join(self.work, "out.gguf")

            def ours():
                start = time.perf_counter()
                call(tool("socle", "SOCLE"), "quantize", source, out, kind, "-t", THREADS, "-q")
                return time.perf_counter() - start
            self.row(f"quantise 1B bf16 to {kind.upper()}", "s", {
                "socle": ours, "llama.cpp": llama and (lambda: llama.quantize(source, out, kind, THREADS))},
                better="less", repeat=1)
            if os.path.exists(out):
                os.remove(out)

    def lookup(self, name, path):
        """Prompt look-up decoding against plain decoding, on a text that the answer repeats."""
        if "--speculative" not in call(tool("socle", "SOCLE"), "run", "--help"):
            return
        text = open(os.path.join(ROOT, "README.md"), encoding="utf-8").read()
        text = text[text.index("## Two commands"):][:1200]
        prompt = f"Repeat this text word for word, and change nothing.\n\n{text}"
        run = [tool("socle", "SOCLE"), "run", path, "--greedy", "--json", "-q", "-t", THREADS, "-n", 160]
        ids = {}

        def speed(kind, *more):
            r = json.loads(call(*run, *more, prompt))
            ids[kind] = r["ids"]
            return len(r["ids"]) / r["decode_seconds"]
        self.row(f"prompt look-up decoding, {name}", "tokens/s", {
            "socle": lambda: speed("lookup", "--speculative", "lookup"), "socle, plain": lambda: speed("plain")}, repeat=3)
        if len(ids) == 2:
            self.rows[-1]["same_ids"] = ids["lookup"] == ids["plain"]

    # ---- matrix products ----

    def gemm(self, m, n, k, form, kind="f32"):
        kernels = tool("bench/kernels", "SOCLE_KERNELS")
        flops = 2e-9 * m * n * k

        def ours():
            r = json.loads(call(kernels, "--gemm", f"{m},{n},{k}", "--form", form, "--type", kind, "--threads", THREADS,
                                "--repeat", 5, "--json"))
            self.shares.append(r["gflops"] / max(limit["peak_gflops"] for limit in self.limits))
            return r["gflops"]

        def timed(multiply):
            until, t = time.perf_counter() + 0.2, []
            while time.perf_counter() < until:
                multiply()
            for _ in range(5):
                start = time.perf_counter()
                multiply()
                t.append(time.perf_counter() - start)
            return flops / median(t)

        shape_x, shape_w = ((k, m) if form[0] == "t" else (m, k)), ((k, n) if form[1] == "n" else (n, k))
        blas = pytorch = None
        if numpy and kind == "f32":
            x, w = (numpy.random.default_rng(1).standard_normal(s, numpy.float32) for s in (shape_x, shape_w))
            a, b, y = x.T if form[0] == "t" else x, w if form[1] == "n" else w.T, numpy.empty((m, n), numpy.float32)
            blas = lambda: timed(lambda: numpy.matmul(a, b, out=y))  # noqa: E731
        if torch:
            torch.set_num_threads(THREADS)
            dtype = torch.float32 if kind == "f32" else torch.bfloat16
            p, q = torch.randn(shape_x, dtype=dtype), torch.randn(shape_w, dtype=dtype)
            c, d = p.T if form[0] == "t" else p, q if form[1] == "n" else q.T
            pytorch = lambda: timed(lambda: torch.matmul(c, d))  # noqa: E731
        peers = {"socle": ours, "PyTorch": pytorch}
        if kind == "f32":
            peers["OpenBLAS"] = blas
        note = "" if kind == "f32" else f", {kind} weights"
        self.row(f"GEMM {form} {m}x{n}x{k}{note}", "GFLOP/s", peers, "peak")


def versions():
    parts = [call(tool("socle", "SOCLE"), "--version").split("\n")[0]]
    parts.append(llama.version() if llama else "llama.cpp: llama_cpp is not installed")
    parts.append(f"PyTorch {torch.__version__}" if torch else "PyTorch: torch is not installed")
    if numpy:
        blas = numpy.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        parts.append(f"NumPy {numpy.__version__} with {blas.get('name', 'BLAS')} {blas.get('version', '')}".strip())
    else:
        parts.append("OpenBLAS: numpy is not installed")
    return parts


def number(x):
    return f"{x:.0f}" if x >= 1000 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def report(run):
    """The table, with the machine and the command that made it."""
    low, high = (f(r[key] for r in run.limits) for f, key in ((min, "bandwidth_low_gbs"), (max, "bandwidth_high_gbs")))
    peak, isa = max(r["peak_gflops"] for r in run.limits), run.limits[0]["isa"]
    lines = []
    for r in run.rows:
        if "left_out" in r:
            lines.append([r["work"], r["unit"], "-", "-", "-", f"left out: {r['left_out']}"])
            continue
        ours, notes = r["values"]["socle"], []
        if r["turns"] < 5:
            notes.append(f"{r['turns']} turn{'s' * (r['turns'] > 1)}")
        share = "-"
        if "limit" in r:
            share = f"{100 * r['share']:.0f}% of the {r['limit']}"
        others = []
        for name in (n for n in list(r["values"]) + r["missing"] if n != "socle"):
            if name in r["missing"]:
                others.append(f"{name}: not installed")
                continue
            theirs = r["values"][name]
            ratio = ours / theirs if r["better"] == "more" else theirs / ours
            r.setdefault("ratio", {})[name] = ratio
            others.append(f"{name} {number(theirs)} (**{ratio:.2f}x**)")
        if "to_one" in r:
            notes.append("to one: " + ", ".join(f"{k} {v:.2f}x" for k, v in r["to_one"].items()))
        if "same_ids" in r:
            notes.append("same tokens" if r["same_ids"] else "OTHER TOKENS")
        lines.append([r["work"], r["unit"], number(ours), share, "; ".join(others), "; ".join(notes)])
    command = "python3 bench/peers.py " + " ".join(sys.argv[1:])
    when = datetime.date.today().isoformat()
    head = (f"{when}, {cpu_name()}, {THREADS} threads. Measured limits: {low:.1f} to {high:.1f} GB/s read, "
            f"{peak:.1f} GFLOP/s f32 in registers ({isa}). {'; '.join(versions())}. A ratio over 1 means that socle is ahead. Made by\n\n"
            f"    {command}\n")
    text = head + "\n" + table(["work", "unit", "socle", "of the limit", "others", "notes"], lines)
    data = {"date": when, "cpu": cpu_name(), "threads": THREADS, "isa": isa, "bandwidth_low_gbs": low,
            "bandwidth_high_gbs": high, "peak_gflops": peak, "versions": versions(), "command": command, "rows": run.rows}
    return text, data


def write_docs(text):
    path = os.path.join(ROOT, "docs", "performance.md")
    page = open(path, encoding="utf-8").read()
    before, rest = page.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-t", "--threads", type=int, default=0, help="of every program; 0: one for each CPU")
    parser.add_argument("--quick", action="store_true", help="the default model and one matrix product, in 170 s")
    parser.add_argument("--limit", type=float, help="seconds after which nothing new is begun")
    parser.add_argument("--repeat", type=int, default=5, help="turns of each row")
    parser.add_argument("--only", default="", help="parts to run, of: small,gemm,big,long,quantize")
    parser.add_argument("--types", default="q4_0,q4_k,q8_0,bf16", help="of the 1B files")
    parser.add_argument("--model", help="the small model; the default one unless given")
    parser.add_argument("--work", help="folder for the 1B files")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    args = parser.parse_args()
    if args.quick:
        args.limit = args.limit or 170
    only = set(filter(None, args.only.split(","))) or ({"small", "gemm"} if args.quick else
                                                       {"small", "gemm", "big", "long", "quantize"})
    run = Run(args)
    small = args.model or call(os.path.join(ROOT, "scripts", "fetch-model.sh")).strip()
    name = os.path.basename(small).removesuffix(".gguf")
    try:
        run.socle("decode", small, "-p", 1, "-d", 1)
        if "small" in only:
            run.start(name, small)
            run.model(name, small, sequences=(1, 4, 16))
            run.lookup(name, small)
        if "gemm" in only:
            shapes = [(2048, 2048, 2048), (1024, 2304, 768), (1024, 768, 768), (1024, 3072, 768), (1024, 768, 3072)]
            for shape in shapes[:1] if args.quick else shapes:
                for form in ("nt", "nn", "tn"):
                    run.gemm(*shape, form)
            run.gemm(2048, 2048, 2048, "nt", "bf16")
        if only & {"big", "long", "quantize"} and not numpy:
            run.rows.append({"work": "1B models", "unit": "-", "left_out": "numpy, which makes their files, is not installed"})
        elif only & {"big", "long", "quantize"}:
            import shape1b
            for kind in args.types.split(","):
                path = os.path.join(run.work, f"1b-{kind}.gguf")
                if not os.path.exists(path):
                    shape1b.write(path, kind)
                if "big" in only:
                    run.model(f"1B {kind.upper()}", path, sequences=(1, 4, 16) if kind == "q4_0" else (1,))
                if "long" in only and kind == "q4_0":
                    run.long_context("1B Q4_0", path)
                if "quantize" in only and kind == "bf16":
                    run.quantize(path)
                if not args.work:
                    os.remove(path)
    finally:
        if not args.work:
            shutil.rmtree(run.work, ignore_errors=True)
    text, data = report(run)
    print(text)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(data, f, indent=1)
    if args.write:
        write_docs(text)


if __name__ == "__main__":
    main()
