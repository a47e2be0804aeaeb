#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The verb bench: what it reports is there and adds up. Nothing here depends on how fast the machine is."""
import json, os, subprocess, sys

socle = os.environ["SOCLE"]
root = os.environ["SOCLE_SOURCE_DIR"]
model = os.path.join(root, "tests/data/chat_model")
failed = passed = 0


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAIL {name}: {detail}")


def bench(*args):
    p = subprocess.run([socle, "bench", model, *args], capture_output=True, timeout=300)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def near(a, b):
    return abs(a - b) <= 1e-3 * abs(b)


def run(*args):
    code, out, err = bench("-p", "16", "-d", "4", "-R", "2", "--json", *args)
    check(f"{args} runs", code == 0 and err == "", err)
    return json.loads(out) if code == 0 else {}


got = run("-t", "3")
for key in ("prefill_tps", "decode_tps", "prefill_gflops", "decode_gbs", "decode_gflops", "bandwidth_gbs", "peak_gflops",
            "prefill_share", "decode_share", "decode_peak_share", "weight_bytes", "parameters", "cache_bytes",
            "decode_weight_bytes", "decode_cache_bytes", "peak_memory_bytes", "load_seconds"):
    check(f"{key} is there", got.get(key, 0) > 0, got)
check("the bandwidth is between its ends", got["bandwidth_low_gbs"] <= got["bandwidth_gbs"] <= got["bandwidth_high_gbs"], got)
check("limits of 1, 2 and 3 threads", [x["threads"] for x in got["limits"]] == [1, 2, 3], got)
check("the last of them counts", got["limits"][-1]["peak_gflops"] == got["peak_gflops"], got)
check("the prompt is the context", got["context_fill"] == 16 and got["sequences"] == 1, got)
# One repetition has one share, of the mean of what was measured before and after it; that mean is the median then.
got = run("-t", "2", "-R", "1")
check("shares", near(got["prefill_share"], got["prefill_gflops"] / got["peak_gflops"])
      and near(got["decode_share"], got["decode_gbs"] / got["bandwidth_gbs"])
      and near(got["decode_peak_share"], got["decode_gflops"] / got["peak_gflops"]), got)

# What is read: each key and value once, in f16, at the middle of the decoding.
config = json.load(open(os.path.join(model, "config.json")))
heads = config.get("num_key_value_heads", config["num_attention_heads"])
width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
key = 2 * 2 * heads * width * config["num_hidden_layers"]
for fill, sequences in ((0, 1), (40, 1), (16, 3)):
    got = run("-f", str(fill), "-s", str(sequences), "--no-limits")
    check("cache bytes", got["decode_cache_bytes"] == key * (fill + 3) * sequences, got)
    check("echo", got["context_fill"] == fill and got["sequences"] == sequences, got)
    check("no limits, no shares", "decode_share" not in got and "limits" not in got, got)
    step = got["decode_weight_bytes"] + got["decode_cache_bytes"]
    check("total of all sequences", near(got["decode_gbs"], step * got["decode_tps"] / sequences / 1e9), got)

code, out, err = bench("-p", "16", "-d", "4", "-R", "1", "-t", "2", "-s", "2")
check("as text", code == 0 and out.count("limit ") == 2 and "% of the peak" in out and "% of the bandwidth" in out, out + err)
code, out, err = bench("-p", "16", "-d", "0", "-R", "1", "--no-limits")
check("no decoding", code == 0 and "decode" not in out and "%" not in out, out + err)
code, out, err = bench("-p", "16", "-f", "511", "-d", "8", "-R", "1")
check("past the model's context", code == 1 and out == "" and "context of 512" in err, out + err)
for args in (("-s", "0"), ("-f", "-1"), ("-s", "x")):
    code, out, err = bench(*args)
    check(f"refuses {args}", code == 2 and out == "" and err.count("\n") == 1, err)

print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
