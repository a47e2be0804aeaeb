#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/io/ and the seeds of the safetensors and GGUF fuzz targets, with the formats' own Python packages.

    python3 tests/data/make_io.py        (needs numpy, torch, safetensors, gguf)

Values follow one rule, so that the tests need no second copy of them: element i of a tensor is i / 4 - 3 for floating
types and (i * 7) % 100 for integers.
"""
import json
import pathlib
import shutil
import struct

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/data/io"
SEEDS = ROOT / "fuzz/corpus"


def values(dtype, *shape):
    i = torch.arange(int(np.prod(shape)), dtype=torch.float64)
    v = i / 4 - 3 if dtype.is_floating_point else (i * 7) % 100
    if dtype == torch.bool:
        v = i % 2
    return v.reshape(shape).to(dtype)


def make_safetensors():
    types = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i32": torch.int32,
             "i64": torch.int64, "u8": torch.uint8, "bool": torch.bool, "f64": torch.float64,
             "f8": torch.float8_e4m3fn, "i8": torch.int8}
    t = {k: values(d, 2, 3) for k, d in types.items()}
    t["scalar"] = torch.tensor(1.5)
    t["empty"] = torch.zeros(0, 4)
    t["name with \"quotes\", \\ and 한글"] = values(torch.float32, 5)
    save_file(t, OUT / "types.safetensors", metadata={"format": "pt", "note": "a\nb"})
    # Shards and their index, as transformers writes them.
    shards = OUT / "shards"
    shards.mkdir()
    parts = [{"a": values(torch.float32, 4, 2), "b": values(torch.float16, 3)}, {"c": values(torch.bfloat16, 2, 2, 2)}]
    weight_map = {}
    for i, part in enumerate(parts):
        name = f"model-{i + 1:05}-of-{len(parts):05}.safetensors"
        save_file(part, shards / name, metadata={"format": "pt"})
        weight_map.update({k: name for k in part})
    (shards / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 54}, "weight_map": weight_map}, indent=2) + "\n")


def make_gguf():
    w = gguf.GGUFWriter(OUT / "all.gguf", "llama")
    w.add_uint8("t.u8", 255)
    w.add_int8("t.i8", -128)
    w.add_uint16("t.u16", 65535)
    w.add_int16("t.i16", -32768)
    w.add_uint32("t.u32", 4294967295)
    w.add_int32("t.i32", -2147483648)
    w.add_uint64("t.u64", 2**64 - 1)
    w.add_int64("t.i64", -(2**63))
    w.add_float32("t.f32", 0.15625)
    w.add_float64("t.f64", 1e-300)
    w.add_bool("t.bool", True)
    w.add_string("t.str", "한글 text")
    w.add_array("t.ints", [1, -2, 300000])
    w.add_array("t.floats", [0.5, -1.25])
    w.add_array("t.bools", [True, False, True])
    w.add_array("t.strings", ["<s>", "", "\u0120the", "한"])
    w.add_array("t.nested", [[1, 2], [3]])
    rows = (np.arange(6, dtype=np.float32) / 4 - 3).reshape(2, 3)
    w.add_tensor("f32", rows)
    w.add_tensor("f16", rows.astype(np.float16))
    w.add_tensor("cube", (np.arange(24, dtype=np.float32) / 4 - 3).reshape(2, 3, 4))
    w.add_tensor("i8", np.arange(5, dtype=np.int8))
    q = gguf.quants.quantize((np.arange(128, dtype=np.float32) / 4 - 3).reshape(2, 64), gguf.GGMLQuantizationType.Q8_0)
    w.add_tensor("q8", q, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def seeds():
    for kind, files in {"safetensors": [OUT / "types.safetensors"], "gguf": [OUT / "all.gguf"]}.items():
        folder = SEEDS / kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for f in files:
            shutil.copy(f, folder)
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"k":"\\u00e9\\ud83d\\ude00"}}'
    (SEEDS / "safetensors/odd").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\x80?")
    (SEEDS / "safetensors/huge").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    (SEEDS / "gguf/counts").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60))
    key = struct.pack("<Q", 1) + b"k" + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 6
    (SEEDS / "gguf/nested").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key)


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    make_safetensors()
    make_gguf()
    for f in OUT.rglob("*.safetensors"):
        f.chmod(0o644)
    seeds()
