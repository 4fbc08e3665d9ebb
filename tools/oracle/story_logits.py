"""Reference logits of the stories260K files whose weights are not the original f32: each file's
own weights, dequantised, run in float64 by the shared numpy reference.

usage: python3 tools/oracle/story_logits.py SHARED_FOLDER tests/golden/tests/data/story_logits.bin
needs: pip install numpy gguf
layout: for each file of FILES: logits after tokens 1, 403, 407, each 512 little-endian f32
"""
import struct
import sys
from pathlib import Path

import numpy as np

shared, out = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(shared / "tools"))
import reference  # noqa: E402

FILES = [
    "gguf/stories260K-f16.gguf",
    "gguf/stories260K-q8_0.gguf",
    "gguf/stories260K-q4_1.gguf",
    "gguf/stories260K-q4_0.gguf",
    "formats/stories260K-q8-gs4.v2.bin",
]


def load_v2(path):
    """llama2.c version 2: norms in f32, then int8 weights and their group scales."""
    data = path.read_bytes()
    m = reference.M()
    m.dim, m.hid, m.nl, m.nh, m.nkv, m.V, m.seq = struct.unpack("7i", data[8:36])
    shared_classifier, group = data[36], struct.unpack("i", data[37:41])[0]
    m.hs, m.eps, m.base, at = m.dim // m.nh, 1e-5, 1e4, 256

    def floats(*shape):
        nonlocal at
        n = int(np.prod(shape))
        values = np.frombuffer(data, "<f4", n, at).reshape(shape)
        at += 4 * n
        return values

    def matrix(rows, cols):
        nonlocal at
        q = np.frombuffer(data, np.int8, rows * cols, at)
        at += rows * cols
        scales = floats(rows * cols // group)
        return (q.reshape(-1, group).astype(np.float64) * scales[:, None]).reshape(rows, cols)

    def matrices(rows, cols):
        return np.stack([matrix(rows, cols) for _ in range(m.nl)])

    kv = m.hs * m.nkv
    m.an, m.fn, m.on = floats(m.nl, m.dim), floats(m.nl, m.dim), floats(m.dim)
    m.emb = matrix(m.V, m.dim)
    m.q, m.k, m.v = matrices(m.dim, m.dim), matrices(kv, m.dim), matrices(kv, m.dim)
    m.o, m.w1 = matrices(m.dim, m.dim), matrices(m.hid, m.dim)
    m.w2, m.w3 = matrices(m.dim, m.hid), matrices(m.hid, m.dim)
    m.cls = m.emb if shared_classifier else matrix(m.V, m.dim)
    assert at == len(data)
    return m


with out.open("wb") as file:
    for name in FILES:
        path = shared / "data/stories260K" / name
        model = load_v2(path) if path.suffix == ".bin" else reference.load_gguf(str(path))
        state = reference.S(model, 3, np.float64)
        for token in (1, 403, 407):
            file.write(state.step(token).astype("<f4").tobytes())
