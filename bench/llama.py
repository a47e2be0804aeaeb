# SPDX-License-Identifier: Apache-2.0
"""llama.cpp measured through its own functions (llama_decode), by the llama_cpp module: nothing of Python's between two
tokens but the call. Raises ImportError where the module is not installed."""
import ctypes
import json
import os
import sys
import time

import llama_cpp as lib

_silent = lib.llama_log_callback(lambda level, text, user: None)
lib.llama_log_set(_silent, ctypes.c_void_p(0))
lib.llama_backend_init()


def version():
    return f"llama.cpp (llama-cpp-python {lib.__version__})"


class Model:
    """A model with a context for `tokens` tokens in all of `sequences` sequences."""

    def __init__(self, path, threads, tokens, sequences=1):
        mp = lib.llama_model_default_params()
        mp.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(path.encode(), mp)
        if not self.model:
            raise RuntimeError(f"llama.cpp does not open {path}")
        cp = lib.llama_context_default_params()
        cp.n_ctx = (tokens + 255) // 256 * 256
        cp.n_batch = cp.n_ubatch = 512
        cp.n_threads = cp.n_threads_batch = threads
        cp.n_seq_max = sequences
        cp.kv_unified = True
        self.context = lib.llama_init_from_model(self.model, cp)
        if not self.context:
            raise RuntimeError(f"llama.cpp gives no context of {tokens} tokens for {path}")
        self.memory = lib.llama_get_memory(self.context)
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        self.batch = lib.llama_batch_init(512, 0, 1)

    def close(self):
        lib.llama_batch_free(self.batch)
        lib.llama_free(self.context)
        lib.llama_model_free(self.model)

    def clear(self):
        lib.llama_memory_clear(self.memory, True)

    def _decode(self, entries):
        """entries: (id, position, sequence, logits wanted)"""
        b = self.batch
        b.n_tokens = len(entries)
        for i, (token, position, sequence, wanted) in enumerate(entries):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, position, 1, wanted
            b.seq_id[i][0] = sequence
        if lib.llama_decode(self.context, b):
            raise RuntimeError("llama_decode fails")

    def prompt(self, n, sequence=0, ids=None):
        """Evaluates n tokens, logits for the last one alone; seconds."""
        ids = ids or [(i * 7919 + 13) % self.vocab for i in range(n)]
        start = time.perf_counter()
        for at in range(0, n, 512):
            end = min(at + 512, n)
            self._decode([(ids[i], i, sequence, i == n - 1) for i in range(at, end)])
        lib.llama_synchronize(self.context)
        return time.perf_counter() - start

    def generate(self, past, steps, sequences=1):
        """Seconds for `steps` tokens of each sequence behind `past`, which must be there; they are taken away again."""
        start = time.perf_counter()
        for k in range(steps):
            self._decode([(k * 7919 % self.vocab, past + k, s, True) for s in range(sequences)])
            lib.llama_get_logits_ith(self.context, 0)
        seconds = time.perf_counter() - start
        for s in range(sequences):
            lib.llama_memory_seq_rm(self.memory, s, past, -1)
        return seconds

    def tokenize(self, text):
        raw, out = text.encode(), (lib.llama_token * 512)()
        n = lib.llama_tokenize(lib.llama_model_get_vocab(self.model), raw, len(raw), out, 512, True, True)
        return list(out[:n])


def quantize(source, out, kind, threads):
    """Seconds. kind: "q4_0" or "q4_k_m"."""
    p = lib.llama_model_quantize_default_params()
    p.nthread = threads
    p.ftype = {"q4_0": lib.LLAMA_FTYPE_MOSTLY_Q4_0, "q4_k_m": lib.LLAMA_FTYPE_MOSTLY_Q4_K_M}[kind]
    start = time.perf_counter()
    if lib.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(p)):
        raise RuntimeError("llama_model_quantize fails")
    return time.perf_counter() - start


def _status(key):
    for line in open("/proc/self/status", encoding="utf-8"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _first_token(path, threads, prompt, steps):
    """In a process of its own: loading and the first token (Python's start is not counted), then memory (nor is
    Python's)."""
    before = _status("VmRSS")
    start = time.perf_counter()
    m = Model(path, threads, 512)
    ids = m.tokenize(prompt)
    m.prompt(len(ids), ids=ids)
    lib.llama_get_logits_ith(m.context, -1)
    seconds = time.perf_counter() - start
    if steps > 1:
        m.generate(len(ids), steps - 1)
    print(json.dumps({"seconds": seconds, "bytes": _status("VmHWM") - before}))


if __name__ == "__main__":
    _first_token(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    sys.stdout.flush()
    os._exit(0)
