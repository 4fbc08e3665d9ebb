"""Vectors for crates/checkpoint/tests/files.rs: 512 weights in each block format that the shared
data folder has no file of, with the values gguf-py's dequantize() gives for them.

usage: python3 tools/oracle/quant_blocks.py crates/checkpoint/tests/data/quant_blocks.bin
needs: pip install numpy gguf
layout: for each of Q5_0, Q5_1, Q2_K, Q3_K, Q5_K: the blocks, then 512 little-endian f32
"""
import sys
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

# Where the f16 scales stand in a block; all other bytes may be anything.
HALVES = {T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q5_K: [0, 2]}
rng = np.random.default_rng(2026)
with open(sys.argv[1], "wb") as out:
    for kind, halves in HALVES.items():
        length, size = GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (512 // length, size), dtype=np.uint8)
        for at in halves:
            scales = rng.uniform(-0.1, 0.1, len(blocks)).astype(np.float16)
            blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
        out.write(blocks.tobytes())
        out.write(dequantize(blocks, kind).astype("<f4").tobytes())
