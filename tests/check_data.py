#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`socle data run` as a whole: the same bits for any number of threads, processes and kills; counts that add up; documents
that are alike found as the theory says; what the user did wrong said in one line."""
import collections
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOCLE = os.environ.get("SOCLE", "build/socle")
ROOT = os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
TOKENIZER = os.path.join(ROOT, "tests/data/chat_model")
SANITIZED = bool(os.environ.get("SOCLE_SANITIZE"))
faults = []


def check(ok, what):
    if not ok:
        faults.append(what)
        print("FAULT:", what)


def socle(*args, **more):
    return subprocess.run([SOCLE, *args], capture_output=True, text=True, **more)


# ---- a corpus ----

WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("", "n", "ra", "so", "ti", "lu", "mek")]


def text(rng, n):
    return " ".join(rng.choice(WORDS) for _ in range(n))


def shingles(words, n=5):
    return {tuple(words[i:i + n]) for i in range(max(1, len(words) - n + 1))}


def jaccard(a, b):
    a, b = shingles(a), shingles(b)
    return len(a & b) / len(a | b)


def spoil(rng, words, similarity):
    """Other words in place of some, until the sets of 5-grams are no more alike than that."""
    out = list(words)
    for i in rng.sample(range(len(words)), len(words)):
        if jaccard(words, out) <= similarity:
            break
        out[i] = rng.choice(WORDS) + "x"
    return out


def make_corpus(folder, documents, seed=1):
    rng = random.Random(seed)
    os.makedirs(folder, exist_ok=True)
    made = []
    for name in ("a", "b"):
        with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as f:
            for i in range(documents):
                kind = rng.random()
                if made and kind < 0.1:
                    t = rng.choice(made)
                elif made and kind < 0.2:
                    t = " ".join(spoil(rng, rng.choice(made).split(), 0.9))
                else:
                    t = text(rng, rng.randrange(20, 120))
                made.append(t)
                f.write(json.dumps({"text": t, "id": i, "language": rng.choice(["en", "ko", "de"])}) + "\n")
            f.write('{"text": 7}\n{"text": "cut off\n\n')
    with open(os.path.join(folder, "evaluation.jsonl"), "w") as f:
        for t in made[:5]:
            f.write(json.dumps({"question": t[:200], "answer": "b"}) + "\n")
    return made


def configuration(folder, **more):
    c = {"sources": [{"path": folder + "/a.jsonl", "name": "a"}, {"path": folder + "/b.jsonl", "name": "b"}],
         "stages": ["length", {"stage": "decontaminate", "against": folder + "/evaluation.jsonl"}, "duplicates",
                    "near_duplicates",
                    {"stage": "mix", "by": "language", "weights": {"en": 2, "*": 1}, "max_copies": 2}],
         "tokenizer": TOKENIZER, "part_size": "32K", "shard_size": "100K", "memory": "16M", "documents": True, "seed": 5}
    c.update(more)
    path = os.path.join(folder, "pipeline.json")
    with open(path, "w") as f:
        json.dump(c, f)
    return path


def strip_times(o):
    if isinstance(o, dict):
        return {k: strip_times(v) for k, v in o.items() if k != "seconds"}
    return [strip_times(x) for x in o] if isinstance(o, list) else o


def state(out):
    """Everything that a run left, but for times."""
    sums = {}
    for folder, _, names in os.walk(out):
        for n in names:
            path = os.path.join(folder, n)
            with open(path, "rb") as f:
                data = f.read()
            if n == "report.html":  # data.json for people, times and all
                continue
            if n == "data.json":
                data = json.dumps(strip_times(json.loads(data)), sort_keys=True).encode()
            sums[os.path.relpath(path, out)] = hashlib.sha256(data).hexdigest()
    return sums


def run(config, out, *more, **kwargs):
    r = socle("data", "run", "--config", config, "--out", out, *more, **kwargs)
    check(r.returncode == 0, f"data run {out}: {r.returncode} {r.stderr[-300:]}")
    return r


def adds_up(out):
    with open(os.path.join(out, "data.json")) as f:
        d = json.load(f)
    kept, copies = d["read"]["kept"], 0
    check(d["read"]["in"] == kept + d["read"]["dropped"], "reading does not add up")
    for s in d["stages"]:
        check(s["in"] == kept == s["kept"] + s["dropped"] + s["merged"], f"{s['stage']} does not add up")
        check(s["dropped"] + s["merged"] == sum(v[0] for v in s["reasons"].values()), f"{s['stage']}: reasons")
        check(s["in"] == sum(v[0] for v in s["languages"].values()), f"{s['stage']}: languages")
        kept, copies = s["kept"], copies + s["copies"]
    check(d["after"]["documents"] == kept + copies, "the end does not add up")
    shown = json.loads(socle("data", "show", out, "--json").stdout)
    check(shown["tokens"] == d["after"]["tokens"], "tokens in shards")
    check(shown["documents"] == d["after"]["documents"], "documents in shards")
    if shutil.which("zstd"):
        lines = sum(texts.count(b"\n") for texts in texts_of(out))
        check(lines == d["after"]["documents"], f"{lines} texts")
    return d


def check_same_bits(top):
    corpus = os.path.join(top, "corpus")
    make_corpus(corpus, 500)
    config = configuration(corpus)
    began = time.monotonic()
    one = os.path.join(top, "one")
    run(config, one, "-t", "1")
    took = time.monotonic() - began
    want = state(one)
    d = adds_up(one)
    check(len([n for n in want if n.startswith("shard-")]) > 1, "more than one shard")
    check(set(d["read"]["reasons"]) == {"no_text", "no_json"}, f"broken lines: {d['read']['reasons']}")
    by = {s["stage"]: s for s in d["stages"]}
    check(by["decontaminate"]["dropped"] >= 5, "evaluation texts are found")
    check(by["duplicates"]["merged"] > 20 and by["near_duplicates"]["merged"] > 20, "copies are found")
    check(not os.path.exists(os.path.join(one, "work")), "the work folder is gone")
    run(config, os.path.join(top, "four"), "-t", "4", "--memory", "64M")
    check(state(os.path.join(top, "four")) == want, "4 threads and more memory: other bits")
    check_show(one)
    check_killed(top, config, want, took)
    check_processes(top, config, want)
    check_disk_full(top, config, want)
    # a second call finds it finished, and another configuration is refused
    r = run(config, one)
    check("was finished" in r.stderr, "a finished run is known")
    other = socle("data", "run", "--config", config, "--out", one, "--seed", "6")
    check(other.returncode == 1 and "--restart" in other.stderr and other.stderr.count("\n") == 1, other.stderr)
    run(config, one, "--seed", "6", "--restart")
    check(state(one) != want, "another seed: other bits")


def check_show(out):
    r = socle("data", "show", out, "--check")
    check(r.returncode == 0, r.stderr)
    shard = os.path.join(out, "shard-00000.bin")
    with open(shard, "rb") as f:
        whole = f.read()
    broken = os.path.join(out, "broken.bin")
    for at in (3, 20, 130, len(whole) - 3):
        with open(broken, "wb") as f:
            f.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        r = socle("data", "show", broken, "--check")
        check(r.returncode == 1 and r.stderr.count("\n") == 1, f"a bit at {at}: {r.returncode} {r.stderr}")
    with open(broken, "wb") as f:
        f.write(whole[:-1])
    check(socle("data", "show", broken).returncode == 1, "a shard cut off")
    os.unlink(broken)


def check_killed(top, config, want, took):
    rng = random.Random(2)
    for i in range(2 if SANITIZED else 4):
        out = os.path.join(top, f"killed{i}")
        kills = 0
        for _ in range(12):
            p = subprocess.Popen([SOCLE, "data", "run", "--config", config, "--out", out, "-q"],
                                 stderr=subprocess.DEVNULL)
            try:
                p.wait(rng.uniform(0.1, 0.9) * took)
                break
            except subprocess.TimeoutExpired:
                p.send_signal(signal.SIGKILL)
                p.wait()
                kills += 1
        run(config, out)
        check(state(out) == want, f"killed {kills} times: other bits")


def check_processes(top, config, want):
    out = os.path.join(top, "together")
    ps = [subprocess.Popen([SOCLE, "data", "run", "--config", config, "--out", out, "-q", "-t", "1"])
          for _ in range(3)]
    check([p.wait() for p in ps] == [0, 0, 0], "three processes at once")
    check(state(out) == want, "three processes: other bits")
    # one of two is killed: the other does its part
    out = os.path.join(top, "left")
    ps = [subprocess.Popen([SOCLE, "data", "run", "--config", config, "--out", out, "-q", "-t", "1"])
          for _ in range(2)]
    time.sleep(0.1)
    ps[0].kill()
    ps[0].wait()
    check(ps[1].wait() == 0, "the one that is left")
    run(config, out)
    check(state(out) == want, "one of two killed: other bits")
    if not shutil.which("mpirun"):
        print("mpirun is not here: ranks are not checked")
        return
    out = os.path.join(top, "ranks")
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_plm_rsh_agent="false")
    r = subprocess.run(["mpirun", "-n", "2", SOCLE, "data", "run", "--config", config, "--out", out],
                       capture_output=True, text=True, env=env)
    check(r.returncode == 0, f"2 ranks: {r.stderr[-300:]}")
    check(state(out) == want, "2 ranks: other bits")
    check(r.stderr.count("documents read") == 1, "one rank says what came out")


def check_disk_full(top, config, want):
    out = os.path.join(top, "full")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    r = socle("data", "run", "--config", config, "--out", out, "-q", preexec_fn=limit)
    check(r.returncode == 1 and r.stderr.count("\n") == 1 and "cannot write" in r.stderr, f"full disk: {r.stderr}")
    check(not any(".partial." in n for _, _, names in os.walk(out) for n in names), "nothing half-written stays")
    run(config, out)
    check(state(out) == want, "after a full disk: other bits")


# ---- what a user does wrong ----

def check_faults(top):
    folder = os.path.join(top, "wrong")
    make_corpus(folder, 5)
    empty = os.path.join(folder, "empty.jsonl")
    open(empty, "w").close()
    a = folder + "/a.jsonl"
    out = os.path.join(top, "o")
    for args, part in [
        ([folder + "/none*.jsonl", "-o", out], "no file"),
        ([os.path.join(folder, "nothing")], "--out is needed"),
        ([a, "-o", out, "-s", "lenght"], "did you mean 'length'"),
        ([a, "-o", out, "--tokenizer", folder + "/none"], "none"),
        ([a, "-o", out, "-s", "decontaminate"], "against"),
        ([a, "-o", out, "--memory", "10"], "memory"),
        ([a, "-o", out, "--memory", "lots"], "memory"),
        ([__file__, "-o", out], "format"),
        (["--config", a, "-o", out], "a.jsonl"),
    ]:
        r = socle("data", "run", *args)
        check(r.returncode in (1, 2) and r.stderr.count("\n") == 1 and part in r.stderr, f"{args}: {r.stderr}")
        shutil.rmtree(out, ignore_errors=True)
    for settings, part in [({"stages": [{"stage": "length", "min": 3}]}, "no setting 'min'"),
                           ({"stages": [{"stage": "length", "min_chars": "x"}]}, "whole number"),
                           ({"stages": [{"stage": "mix", "weights": {"c": 1}}]}, "weights"),
                           ({"shard_size": "1G"}, "memory"), ({"stage": []}, "did you mean 'stages'"),
                           ({"sources": []}, "no sources")]:
        r = socle("data", "run", "--config", configuration(folder, **settings), "-o", out)
        check(r.returncode == 1 and r.stderr.count("\n") == 1 and part in r.stderr, f"{settings}: {r.stderr}")
        shutil.rmtree(out, ignore_errors=True)
    # an empty corpus is a corpus
    r = socle("data", "run", empty, "-o", out, "--tokenizer", TOKENIZER)
    check(r.returncode == 0, f"an empty corpus: {r.stderr}")
    check(socle("data", "show", out).returncode == 0, "shards of an empty corpus")
    r = socle("train", "--config", os.path.join(TOKENIZER, "config.json"), "--tokenizer", TOKENIZER, "--data", out,
              "--out", os.path.join(top, "trained"))
    check(r.returncode == 1 and r.stderr.count("\n") == 1 and "no tokens" in r.stderr, f"training on nothing: {r.stderr}")


# ---- memory ----

def peak(config, out):
    p = subprocess.Popen([SOCLE, "data", "run", "--config", config, "--out", out, "-q", "-t", "2"])
    _, status, usage = os.wait4(p.pid, 0)
    check(status == 0, "a run to measure")
    return usage.ru_maxrss


def check_memory(top):
    if SANITIZED:
        return
    sizes = []
    for documents in (1500, 15000):
        folder = os.path.join(top, f"size{documents}")
        rng = random.Random(3)
        os.makedirs(folder)
        with open(folder + "/a.jsonl", "w") as f:
            for _ in range(documents):
                f.write(json.dumps({"text": text(rng, 150)}) + "\n")
        config = configuration(folder, sources=folder + "/a.jsonl", part_size="1M", shard_size="1M", documents=False,
                               stages=["duplicates", "near_duplicates"])
        sizes.append(peak(config, os.path.join(top, f"peak{documents}")))
    print(f"memory: {sizes[0] >> 10} MiB, of ten times the input {sizes[1] >> 10} MiB")
    check(sizes[1] < sizes[0] + 24 * 1024, f"memory grows with the input: {sizes}")


# ---- documents that are alike ----

def check_alike(top):
    rng = random.Random(4)
    n, copies = (400, 60) if SANITIZED else (2000, 300)
    docs = [[rng.choice(WORDS) for _ in range(rng.randrange(60, 200))] for _ in range(n)]
    alike = {}
    for i in range(copies):
        source = rng.randrange(n)
        d = spoil(rng, docs[source], rng.uniform(0.5, 1))
        alike[len(docs)] = jaccard(docs[source], d)
        docs.append(d)
    folder = os.path.join(top, "alike")
    os.makedirs(folder)
    with open(folder + "/a.jsonl", "w") as f:
        for i, d in enumerate(docs):
            f.write(json.dumps({"id": str(i), "text": " ".join(d)}) + "\n")
    kept = {}
    for compare in (True, False):
        config = configuration(folder, sources=folder + "/a.jsonl", tokenizer=None, part_size="16K",
                               stages=[{"stage": "near_duplicates", "compare": compare, "keep": "unlike",
                                        "bands": 16, "rows": 8}])
        out = os.path.join(top, f"alike-{compare}")
        run(config, out)
        kept[compare] = set(ids_of(out))
    true = {i for i, s in alike.items() if s >= 0.8}
    gone = set(range(len(docs))) - {int(i) for i in kept[True]}
    check(gone <= true, f"{len(gone - true)} that are not alike were merged")
    # 1 - (1 - s^8)^16 of each pair, whether it is at the threshold or not
    gone = set(range(len(docs))) - {int(i) for i in kept[False]}
    expected = sum(1 - (1 - s ** 8) ** 16 for s in alike.values())
    spread = sum((1 - (1 - s ** 8) ** 16) * (1 - s ** 8) ** 16 for s in alike.values()) ** 0.5
    check(abs(len(gone) - expected) < 4 * spread + 1, f"{len(gone)} share a band, {expected:.1f} should")
    # with the bands that follow from the threshold nearly all are found
    config = configuration(folder, sources=folder + "/a.jsonl", tokenizer=None, part_size="16K",
                           stages=["duplicates", "near_duplicates"])
    run(config, os.path.join(top, "found"))
    gone = set(range(len(docs))) - {int(i) for i in ids_of(os.path.join(top, "found"))}
    check(len(gone & true) >= 0.95 * len(true) and len(gone & true) >= 0.99 * len(gone),
          f"{len(gone & true)} of {len(true)} found, {len(gone - true)} wrong")


def texts_of(out):
    for n in sorted(os.listdir(os.path.join(out, "documents"))):
        yield subprocess.run(["zstd", "-dcq", os.path.join(out, "documents", n)], capture_output=True, check=True).stdout


def ids_of(out):
    for texts in texts_of(out):
        for line in texts.decode().splitlines():
            yield json.loads(line)["id"]


# ---- training ----

def check_training(top):
    """Shards in the order of the input are the same training as the text itself."""
    folder = os.path.join(top, "train")
    rng = random.Random(6)
    os.makedirs(folder)
    with open(folder + "/a.jsonl", "w") as f:
        for _ in range(200):
            f.write(json.dumps({"text": text(rng, 40)}) + "\n")
    out = os.path.join(folder, "shards")
    run(configuration(folder, sources=folder + "/a.jsonl", stages=[], shuffle=False, shard_size="8K", part_size="4K"), out)
    sums = []
    for name, data in (("text", folder + "/a.jsonl"), ("shards", out)):
        to = os.path.join(folder, name + "-run")
        r = socle("train", "--config", os.path.join(TOKENIZER, "config.json"), "--tokenizer", TOKENIZER, "--data", data,
                  "--out", to, "--steps", "6", "--length", "32", "--batch", "4", "-q", "--pack")
        check(r.returncode == 0, f"training on {name}: {r.stderr}")
        with open(to + "/model.safetensors", "rb") as f:
            sums.append(hashlib.sha256(f.read()).hexdigest())
    check(sums[0] == sums[1], "shards and text train to other bits")
    # whole documents in sequences
    packed = os.path.join(folder, "packed")
    run(configuration(folder, sources=folder + "/a.jsonl", stages=[], pack=64, part_size="4K"), packed)
    shown = json.loads(socle("data", "show", packed, "--json").stdout)
    check(shown["sequence"] == 64 and shown["tokens"] % 64 == 0, f"packed: {shown}")


def main():
    with tempfile.TemporaryDirectory(prefix="socle-data-") as top:
        check_same_bits(top)
        check_faults(top)
        check_memory(top)
        if shutil.which("zstd"):
            check_alike(top)
        else:
            print("zstd is not here: documents that are alike are not checked")
        check_training(top)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


sys.exit(main())
