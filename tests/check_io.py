#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads files that we wrote with the formats' own Python packages; skipped (77) where those are not installed."""
import os
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    from safetensors import safe_open
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)

BUILD = os.environ.get("SOCLE_BUILD_DIR", "build")


def written(program, name, folder):
    path = os.path.join(folder, name)
    subprocess.run([os.path.join(BUILD, program), "--write", path], check=True)
    return path


def check_safetensors(folder):
    with safe_open(written("test_safetensors", "x.safetensors", folder), "np") as f:
        assert f.metadata() == {"format": "pt", 'quote"\\\n': "\x01한"}, f.metadata()
        got = {k: f.get_tensor(k) for k in f.keys()}
    want = {
        "u8": np.array([1, 2, 3], np.uint8),
        "f16": np.array([1, -2, 0.5], np.float16),
        'matrix "f32"': np.arange(6, dtype=np.float32).reshape(2, 3),
        "i64": np.array([-1, 2**63 - 1], np.int64),
        "none": np.zeros((0, 5), np.float32),
        "scalar": np.array(5, np.float32),
    }
    assert set(got) == set(want), set(got)
    for k, v in want.items():
        assert got[k].dtype == v.dtype and got[k].shape == v.shape and (got[k] == v).all(), (k, got[k])


def check_gguf(folder):
    r = gguf.GGUFReader(written("test_gguf", "x.gguf", folder))
    got = {k: (v.types, v.contents()) for k, v in r.fields.items() if not k.startswith("GGUF.")}
    T = gguf.GGUFValueType
    want = {
        "general.architecture": ([T.STRING], "llama"),
        "w.u8": ([T.UINT8], 255),
        "w.i8": ([T.INT8], -128),
        "w.u16": ([T.UINT16], 65535),
        "w.i16": ([T.INT16], -32768),
        "w.u32": ([T.UINT32], 4294967295),
        "w.i32": ([T.INT32], -2147483648),
        "w.u64": ([T.UINT64], 2**63 - 1),
        "w.i64": ([T.INT64], -(2**63)),
        "w.bool": ([T.BOOL], True),
        "w.f32": ([T.FLOAT32], 0.15625),
        "w.f64": ([T.FLOAT64], 1e-300),
        "w.i64s": ([T.ARRAY, T.INT64], [-1, 2**63 - 1]),
        "w.f64s": ([T.ARRAY, T.FLOAT64], [0.5, 1e300]),
        "w.f32s": ([T.ARRAY, T.FLOAT32], [0, 1, 2, 3, 4, 5]),
        "w.bools": ([T.ARRAY, T.BOOL], [True, False, True]),
        "w.strings": ([T.ARRAY, T.STRING], ["<s>", "", "\0", "한"]),
    }
    assert got == want, got
    tensors = {t.name: t for t in r.tensors}
    assert list(tensors) == ["bf16", "f32", "none", "q8_0"], list(tensors)
    assert (tensors["f32"].data == np.arange(6, dtype=np.float32).reshape(2, 3)).all()
    assert tensors["bf16"].data.tobytes() == bytes([0x80, 0x3F, 0, 0xC0, 0, 0x3F])
    x = (np.arange(64, dtype=np.float32) / 4 - 3).reshape(2, 32)
    assert (tensors["q8_0"].data == gguf.quants.quantize(x, gguf.GGMLQuantizationType.Q8_0)).all()


with tempfile.TemporaryDirectory() as tmp:
    check_safetensors(tmp)
    check_gguf(tmp)
print("what we write, others read")
