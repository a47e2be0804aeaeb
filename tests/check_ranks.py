#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mpirun -n N socle train`: the same run as one process makes, its checkpoints for any number of ranks, and its ends."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOCLE = os.environ.get("SOCLE", "build/socle")
ROOT = os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
MODEL = os.path.join(ROOT, "tests/data/chat_model")
ENV = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
           OMPI_MCA_rmaps_base_oversubscribe="1")
# Open MPI keeps memory to the end of the process.
ENV["ASAN_OPTIONS"] = ENV.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
# One process as the ranks: sums over threads do not differ, so any number of them does.
SETTINGS = ["--batch", "8", "--length", "24", "--lr", "1e-2", "--save-every", "10", "--log-every", "1", "--seed", "3",
            "--spike-factor", "1e9"]  # what these runs say is counted: nothing of the losses that a small batch has
faults = []


def fail(text):
    faults.append(text)
    print("FAIL:", text)


def command(ranks, *args):
    return (["mpirun", "-n", str(ranks)] if ranks else []) + [SOCLE, "train", *args]


def train(ranks, *args, rc=0, timeout=120):
    r = subprocess.run(command(ranks, *args), env=ENV, capture_output=True, text=True, timeout=timeout)
    if r.returncode != rc and not (rc and r.returncode):
        fail(f"{ranks} ranks, {' '.join(args[-6:])}: exit code {r.returncode}: {r.stderr[-1500:]}")
    return [line for line in r.stderr.splitlines() if line.startswith("socle: ")]


def curve(out):
    """step: (loss, norm, eval loss) of metrics.jsonl."""
    all = {}
    with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as f:
        for line in f:
            o = json.loads(line)
            all.setdefault(o["step"], {}).update(o)
    return all


def compare(name, a, b, keys=("loss", "grad_norm", "eval_loss", "ema_eval_loss", "learning_rate")):
    """The first steps differ by the order of sums, later ones by what an optimiser makes of that."""
    a, b = curve(a), curve(b)
    worst = early = 0
    if sorted(a) != sorted(b):
        fail(f"{name}: steps {sorted(a)} and {sorted(b)}")
    for step in a:
        for key in keys:
            x, y = a[step].get(key), b.get(step, {}).get(key)
            if (x is None) != (y is None):
                fail(f"{name}: step {step} has {key} in one of the runs only")
            elif x is not None:
                difference = abs(x - y) / max(abs(x), 1e-30)
                worst = max(worst, difference)
                early = max(early, difference if step <= 5 else 0)
    print(f"{name}: {len(a)} steps, largest relative difference {worst:.1e}, of the first five {early:.1e}")
    if not (worst <= 1e-4 and early <= 5e-6):
        fail(f"{name}: more than 1e-4, or than 5e-6 in the first five steps")


def tensors(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        head = json.loads(f.read(n))
    head.pop("__metadata__", None)
    return {k: (v["dtype"], v["shape"]) for k, v in head.items()}


class Runs:
    def __init__(self, tmp):
        self.tmp = tmp
        self.text = self.write("data.txt", "".join(f"one two three {i * i % 97}, one two {i % 7}.\n" for i in range(600)))
        self.eval = self.write("eval.txt", "".join(f"one two three {i}, one two three.\n" for i in range(40)))

    def write(self, name, text):
        path = os.path.join(self.tmp, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def out(self, name):
        return os.path.join(self.tmp, name)

    def new(self, name, *more, data=None):
        return ["--config", MODEL, "--tokenizer", MODEL, "--data", data or self.text, "--out", self.out(name), *SETTINGS,
                *more]


def moves(r):
    """What ranks do together, by its definitions."""
    program = os.path.join(os.environ.get("SOCLE_BUILD_DIR", "build"), "test_ranks")
    if not os.path.exists(program):
        return print("test_ranks is not built")
    for ranks in (2, 5):
        p = subprocess.run(["mpirun", "-n", str(ranks), program], env=ENV, capture_output=True, text=True, timeout=200)
        text = p.stdout + p.stderr
        # The last test ends ranks as a fault does, and mpirun those that are not there yet.
        passed = text.count("[       OK ] divides_cores"), text.count("[       OK ] a_fault_ends_all")
        print(f"{ranks} ranks: passed by {passed[0]}, {passed[1]} of them to the end")
        if passed[0] != ranks or not passed[1] or "FAILED" in text:
            fail(f"test_ranks with {ranks} ranks: " + "\n".join(x for x in text.splitlines() if "[  " in x)[-2000:])


def same_curves(r):
    """Each way to divide a step, and each kind of ownership."""
    for optimizer, accumulate, numbers, more in (("adamw", 1, (2, 4), ["--eval-data", r.eval]), ("adamw", 4, (4,), []),
                                                 ("adafactor", 1, (4,), []),
                                                 ("muon", 1, (2,), ["--ema", "0.9", "--eval-data", r.eval])):
        name = f"{optimizer}, {accumulate} batches"
        args = ["--steps", "30", "--optimizer", optimizer, "--accumulate", str(accumulate), "--quiet", *more]
        base = f"{optimizer}{accumulate}-"
        train(0, *r.new(base + "1", *args))
        for ranks in numbers:
            train(ranks, *r.new(f"{base}{ranks}", *args))
            compare(f"{name}, {ranks} ranks and 1", r.out(base + "1"), r.out(f"{base}{ranks}"))
        a = tensors(r.out(base + "1/checkpoint-30/optimizer.safetensors"))
        b = tensors(r.out(f"{base}{numbers[-1]}/checkpoint-30/optimizer.safetensors"))
        if a != b or os.path.exists(r.out(base + "1/checkpoint-30/ema.safetensors")) != bool("--ema" in more):
            fail(f"{name}: other tensors in the checkpoint: {set(a.items()) ^ set(b.items())}")


def other_objectives(r):
    """Masks, lengths and batches of like lengths are those of one process; what compares a batch's examples is not cut."""
    config = r.write("bert.json", json.dumps({
        "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "vocab_size": 600, "max_position_embeddings": 64}))
    bert = os.path.join(ROOT, "tests/data/encoders/bert_fill")
    sentences = r.write("sentences.txt", "".join("one two three " * (1 + i % 5) + f"{i % 11}.\n" for i in range(300)))
    args = ["--config", config, "--tokenizer", bert, "--data", sentences, "--steps", "15", "--batch", "8", "--length", "32",
            "--log-every", "1", "--seed", "5", "--quiet", "--objective", "mlm"]
    train(0, *args, "--out", r.out("mlm-1"))
    for ranks in (2, 4):
        train(ranks, *args, "--out", r.out(f"mlm-{ranks}"))
        compare(f"mlm, {ranks} ranks and 1", r.out("mlm-1"), r.out(f"mlm-{ranks}"))
    pairs = r.write("pairs.jsonl", "".join(json.dumps({"anchor": f"one two {i}", "positive": f"two one {i}"}) + "\n"
                                           for i in range(64)))
    args = [pairs if a == sentences else "contrastive" if a == "mlm" else a for a in args]
    lines = train(2, *args, "--out", r.out("pairs-2"), rc=1)
    print(lines)
    if len(lines) != 1 or "compares the examples of a batch" not in lines[0]:
        fail(f"contrastive with 2 ranks: {lines}")


def same_bits(r):
    """Two runs of the same ranks."""
    args = ["--steps", "10", "--quiet"]
    for name in ("twice-a", "twice-b"):
        train(2, *r.new(name, *args))
    for file in ("model.safetensors", "optimizer.safetensors"):
        a, b = (open(os.path.join(r.out(n), "checkpoint-10", file), "rb").read() for n in ("twice-a", "twice-b"))
        if a != b:
            fail(f"two runs of 2 ranks: {file} differs")


def resumes(r):
    """Stopped with one number of ranks, gone on with another."""
    for optimizer, ways in (("adamw", ((2, 4), (4, 0))), ("muon", ((0, 2),))):
        more = ["--ema", "0.9", "--eval-data", r.eval] if optimizer == "muon" else []
        for first, then in ways:
            out = f"resume-{optimizer}-{first}-{then}"
            args = ["--optimizer", optimizer, "--accumulate", "1", "--steps", "30", "--quiet", *more]
            train(first, *r.new(out, *args))
            shutil.rmtree(os.path.join(r.out(out), "checkpoint-30"))
            train(then, "--resume", "--out", r.out(out), "--quiet")
            compare(f"{optimizer}, {first or 1} ranks and from step 20 {then or 1}", r.out(out), r.out(f"{optimizer}1-1"),
                    keys=("loss", "grad_norm", *(["eval_loss", "ema_eval_loss"] if more else [])))


def start(ranks, *args):
    return subprocess.Popen(command(ranks, *args), env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def processes_of(p):
    """The ranks, by the number that mpirun gave them."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
            if parent == p.pid:
                with open(f"/proc/{pid}/environ", encoding="utf-8") as f:
                    env = dict(v.split("=", 1) for v in f.read().split("\0") if "=" in v)
                found[int(env["OMPI_COMM_WORLD_RANK"])] = int(pid)
        except (OSError, KeyError):
            continue
    return found


def wait_for(path, p, seconds=60):
    until = time.time() + seconds
    while time.time() < until and p.poll() is None and not os.path.exists(path):
        time.sleep(0.02)
    return os.path.exists(path)


def ended(name, p, says, once=True):
    begun = time.time()
    try:
        _, err = p.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        p.kill()
        return fail(f"{name}: does not end")
    took = time.time() - begun
    lines = [line for line in err.splitlines() if line.startswith("socle: ") and " ranks: " not in line]
    hits = [line for line in lines if says in line]
    print(f"{name}: ended in {took:.1f} s: {hits[0] if hits else err[-600:]}")
    if len(hits) != 1 or (once and len(lines) != 1):
        fail(f"{name}: said {lines}")


def last_checkpoint(out):
    """Its step; -1: there is none."""
    return max((int(f[11:]) for f in os.listdir(out) if f.startswith("checkpoint-")), default=-1)


def lost_rank(r):
    """kill -9 of a rank: quick, one line, and what was saved goes on."""
    for lost in (1, 0):
        out = f"lost-{lost}"
        p = start(2, *r.new(out, "--steps", "100000"))
        if not wait_for(os.path.join(r.out(out), "checkpoint-20"), p):
            return fail(f"lost rank {lost}: no checkpoint: {p.communicate()[1]}")
        os.kill(processes_of(p)[lost], signal.SIGKILL)
        ended(f"rank {lost} killed", p, f"rank {lost} of 2 is gone; saved is step ")
        last = last_checkpoint(r.out(out))
        if last < 0:
            fail(f"rank {lost} killed: no checkpoint is left")
        p = start(2, "--resume", "--out", r.out(out), "--quiet")
        while p.poll() is None and last_checkpoint(r.out(out)) <= last:  # a signal before the first step ends them at once
            time.sleep(0.1)
        if p.poll() is not None:
            fail(f"after rank {lost} was lost: {p.communicate()[1]}")
        p.send_signal(signal.SIGUSR1)
        ended("stopped by a signal for the ranks", p, "which is saved; to go on")


def interrupted(r):
    """Ctrl-C on mpirun: the step is finished and saved."""
    out = "interrupted"
    # mpirun tells the ranks after so many seconds, and kills them after as many more.
    command = ["mpirun", "--mca", "odls_base_sigkill_timeout", "8", "-n", "2", SOCLE, "train",
               *r.new(out, "--steps", "100000", "--save-every", "1000000")]
    p = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    metrics = os.path.join(r.out(out), "metrics.jsonl")
    wait_for(metrics, p)
    while p.poll() is None and os.path.getsize(metrics) == 0:  # until steps are made
        time.sleep(0.1)
    p.send_signal(signal.SIGINT)
    ended("Ctrl-C on mpirun", p, "which is saved; to go on")
    if not any(f.startswith("checkpoint-") for f in os.listdir(r.out(out))):
        fail("Ctrl-C on mpirun: nothing was saved")


def refuses(r):
    """What ranks must have in common, and what cannot be divided: one line, of one rank."""
    other = r.write("other.txt", "".join(f"one two three {i * i % 89}, one two {i % 7}.\n" for i in range(600)))
    a = [SOCLE, "train", *r.new("never", "--steps", "4")]
    b = [SOCLE, "train", *r.new("never", "--steps", "4", data=other)]
    c = [SOCLE, "train", *r.new("never", "--steps", "4", "--lr", "0.5")]
    for name, second, says in (("other data", b, "rank 1 has other data than rank 0"),
                               ("other options", c, "rank 1 has other options than rank 0")):
        p = subprocess.Popen(["mpirun", "-n", "1", *a, ":", "-n", "1", *second], env=ENV, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        ended(name, p, says)
    for name, ranks, args, says in (
            ("a batch of 8 over 3", 3, r.new("never", "--steps", "4"), "over 3 ranks"),
            ("no such file", 2, r.new("never", "--steps", "4", data=r.out("none.txt")), "none.txt"),
            ("no such pattern", 2, r.new("never", "--steps", "4", "--group", "nothing:lr=1"), "nothing"),
            ("a run that is there", 2, r.new("adamw1-1", "--steps", "30"), "has a run already")):
        lines = train(ranks, *args, rc=1)
        print(f"{name}: {lines}")
        if len(lines) != 1 or says not in lines[0]:
            fail(f"{name}: said {lines}")
    if os.path.exists(r.out("never")):
        fail("a run that was refused left a folder")


def one_rank_fails(r):
    """A rank that cannot go on in the middle ends all, told once and by whom."""
    out = "full"
    p = start(2, *r.new(out, "--steps", "100000", "--save-every", "40"))
    if not wait_for(os.path.join(r.out(out), "checkpoint-40"), p):
        return fail("a run to fail has not begun")
    # Rank 0 cannot write its next checkpoint: a file is where its folder should be.
    for i in range(80, 4000, 40):
        try:
            open(os.path.join(r.out(out), f"writing-{i}"), "x").close()
        except OSError:
            pass
    ended("rank 0 cannot write", p, "no checkpoint of step")


def main():
    version = subprocess.run([SOCLE, "version"], capture_output=True, text=True).stdout
    if not shutil.which("mpirun") or "Open MPI" not in version:
        print("skipped: no mpirun here (Debian: openmpi-bin)" if "Open MPI" in version else "skipped: built without MPI")
        return 77
    tmp = tempfile.mkdtemp(prefix="socle-ranks-")
    try:
        r = Runs(tmp)
        wanted = sys.argv[1:]
        for test in (moves, same_curves, other_objectives, same_bits, resumes, refuses, lost_rank, interrupted, one_rank_fails):
            if not wanted or test.__name__ in wanted:
                print(f"-- {test.__name__}: {test.__doc__.splitlines()[0]}", flush=True)
                test(r)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
