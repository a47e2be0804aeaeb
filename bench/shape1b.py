# SPDX-License-Identifier: Apache-2.0
"""GGUF files of the shape of Llama 3.2 1B with random weights, so that programs can be measured on the same file without
anybody's weights. Needs numpy."""
import struct

import numpy as np

LAYERS, WIDTH, HEADS, KV_HEADS, FFN, VOCAB = 16, 2048, 32, 8, 8192, 128256
TYPES = {"f32": (0, 1, 4), "bf16": (30, 1, 2), "q8_0": (8, 32, 34), "q4_0": (2, 32, 18), "q4_k": (12, 256, 144),
         "q6_k": (14, 256, 210)}  # GGUF's number, values a block, bytes a block
ALIGN = 32


def blocks(kind, count, rng):
    """`count` random blocks as bytes, values of about the size that weights have (0.02)."""
    half = lambda x: np.frombuffer(np.float16(x).tobytes(), np.uint8)
    if kind == "f32":
        return np.ones(count, np.float32).view(np.uint8)  # norms
    if kind == "bf16":
        values = rng.standard_normal(count, np.float32) * 0.02
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    out = rng.integers(0, 256, (count, TYPES[kind][2]), np.uint8)
    if kind == "q8_0":
        out[:, :2] = half(0.02 / 73)
    elif kind == "q4_0":
        out[:, :2] = half(0.02 / 4.6)
    elif kind == "q4_k":
        out[:, :2], out[:, 2:4] = half(0.02 / 4.6 / 32), half(7.5 * 0.02 / 4.6 / 32)
    elif kind == "q6_k":
        out[:, 208:] = half(0.02 / 18 / 73)
    return out.reshape(-1)


def tensors(kind, table):
    yield "token_embd.weight", table, (VOCAB, WIDTH)  # the output matrix too
    yield "output_norm.weight", "f32", (WIDTH,)
    for i in range(LAYERS):
        b = f"blk.{i}."
        kv = WIDTH // HEADS * KV_HEADS
        for name, rows, width in (("attn_q", WIDTH, WIDTH), ("attn_k", kv, WIDTH), ("attn_v", kv, WIDTH),
                                  ("attn_output", WIDTH, WIDTH), ("ffn_gate", FFN, WIDTH), ("ffn_up", FFN, WIDTH),
                                  ("ffn_down", WIDTH, FFN)):
            yield f"{b}{name}.weight", kind, (rows, width)
        yield b + "attn_norm.weight", "f32", (WIDTH,)
        yield b + "ffn_norm.weight", "f32", (WIDTH,)


def write(path, kind):
    """kind: the matrices' type. As quantisers do it, the table of 4-bit files is q6_k."""
    rng = np.random.default_rng(1)
    text = lambda s: struct.pack("<Q", len(s)) + s.encode()
    meta = {"general.architecture": "llama", "general.name": "random", "tokenizer.ggml.model": "no_vocab",
            "llama.block_count": LAYERS, "llama.context_length": 131072, "llama.embedding_length": WIDTH,
            "llama.feed_forward_length": FFN, "llama.attention.head_count": HEADS,
            "llama.attention.head_count_kv": KV_HEADS, "llama.rope.dimension_count": WIDTH // HEADS,
            "llama.vocab_size": VOCAB, "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 500000.0,
            "general.file_type": {"bf16": 32, "q8_0": 7, "q4_0": 2, "q4_k": 15}[kind]}
    items = [(name, t, shape, int(np.prod(shape)) // TYPES[t][1] * TYPES[t][2])
             for name, t, shape in tensors(kind, "q6_k" if kind.startswith("q4") else kind)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(items), len(meta))
    for key, value in meta.items():
        head += text(key)
        if isinstance(value, str):
            head += struct.pack("<I", 8) + text(value)
        elif isinstance(value, float):
            head += struct.pack("<If", 6, value)
        else:
            head += struct.pack("<II", 4, value)
    at = 0
    for name, t, shape, size in items:
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", d) for d in reversed(shape))
        head += struct.pack("<IQ", TYPES[t][0], at)
        at += (size + ALIGN - 1) // ALIGN * ALIGN
    random = {t: blocks(t, 1 << 20 if t == "bf16" else 1 << 16, rng).tobytes() for t in {i[1] for i in items}}
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % ALIGN))
        for name, t, shape, size in items:
            piece, left = random[t], size
            while left > 0:
                f.write(piece[:left])
                left -= len(piece)
            f.write(bytes(-size % ALIGN))
