#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes dtypes.bin beside itself: what the gguf package (pip install gguf) makes of blocks and of numbers.

A sequence of records, integers little-endian: kind (4 bytes, "DEQ " or "QUA "), type name (8 bytes, NUL-padded), count of
elements (u32), then for DEQ the blocks and their f32 values, for QUA the f32 values and their blocks.
"""
import os
import struct

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

rng = np.random.default_rng(20240607)
out = []


def record(kind, name, count, *arrays):
    out.append(struct.pack("<4s8sI", kind, name.lower().encode(), count))
    out.extend(np.ascontiguousarray(a).tobytes() for a in arrays)


def random_blocks(name, count):
    """Bytes at random, left out where a scale that is not finite makes values that are not."""
    t = Type[name]
    size = gguf.GGML_QUANT_SIZES[t][1]
    raw = rng.integers(0, 256, (count * 2, size), dtype=np.uint8)
    raw[0] = 0
    raw[1] = 0x80  # negative zeros or tiny scales, the lowest integers
    values = quants.dequantize(raw, t).reshape(count * 2, -1)
    keep = np.isfinite(values).all(axis=1)
    return raw[keep][:count], values[keep][:count].astype(np.float32)


def numbers():
    """Finite numbers that a block type should meet: ordinary, of many sizes, on rounding boundaries, none."""
    gauss = rng.standard_normal(256).astype(np.float32)
    wild = (rng.standard_normal(256) * np.exp(rng.standard_normal(256) * 2)).astype(np.float32)
    halves = (rng.integers(-254, 255, 128) / 2).astype(np.float32)
    halves[::32] = 127
    ties = (rng.integers(-16, 17, 128) / 2).astype(np.float32)
    ties[::32] = -8
    flat = np.repeat(np.float32([0, 1.5, -2.25, 3e-5]), 32)
    small = (rng.standard_normal(128) * 1e-6).astype(np.float32)
    return np.concatenate([gauss, wild, halves, ties, flat, small])


np.seterr(all="ignore")
for name in "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4".split():
    raw, values = random_blocks(name, 16)
    record(b"DEQ ", name, values.size, raw, values)
for name in "Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS".split():
    raw, values = random_blocks(name, 4)
    record(b"DEQ ", name, values.size, raw, values)
halves = np.concatenate([np.arange(0, 65536, 139), [0, 1, 0x3FF, 0x400, 0x7BFF, 0x7C00, 0x8000, 0xFC00]]).astype(np.uint16)
halves = halves[~np.isnan(halves.view(np.float16))]
record(b"DEQ ", "F16", halves.size, halves, halves.view(np.float16).astype(np.float32))
record(b"DEQ ", "BF16", halves.size, halves, quants.dequantize(halves.view(np.uint8), Type.BF16))

x = numbers()
for name in "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 MXFP4".split():
    record(b"QUA ", name, x.size, x, quants.quantize(x, Type[name]))
# Around every boundary of rounding to 16 bits: bits just under, on and over the middle, at all exponents.
high = rng.integers(0, 65536, 200, dtype=np.uint32) << 16
bits = np.concatenate([high | 0x7FFF, high | 0x8000, high | 0x8001, high | 0xFFF, high | 0x1000, high | 0x1001, high | 0x3000])
bits = np.concatenate([bits, np.uint32([0x477FEFFF, 0x477FF000, 0x33000000, 0x33000001, 0x387FFFFF, 0x7F7FFFFF])])
bits = bits.astype(np.uint32)
bits = bits[~np.isnan(bits.view(np.float32))]
f = bits.view(np.float32)
record(b"QUA ", "F16", f.size, f, f.astype(np.float16))
record(b"QUA ", "BF16", f.size, f, quants.quantize(f.reshape(1, -1), Type.BF16))

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dtypes.bin")
with open(path, "wb") as file:
    file.write(b"".join(out))
