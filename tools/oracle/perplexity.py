"""Nats per character of a llama GGUF on a text, in numpy: an oracle independent of the Rust code.

The ids come from `llamaboot tokenize MODEL --file TEXT --json` (no BOS).  They are cut into
consecutive
windows; each starts from an empty cache; every token but the first of its window counts.
Weights are
dequantised by PyPI gguf to f32 (F32, F16, Q8_0, ...) through reference.py's loader; the forward
pass here
handles a batch of windows at once, in f32 or f64.  A character is a Unicode scalar value of the
text of
the predicted tokens.

usage: perplexity.py MODEL.gguf IDS.json [--window 256] [--every K] [--f64]
       (--every K: only each K-th window)
"""

import argparse
import importlib.util
import json
import os

import numpy as np
from gguf import GGUFReader

REFERENCE = os.environ.get("LLAMABOOT_REFERENCE") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../../shared/tools/reference.py"
)


def load(path):
    spec = importlib.util.spec_from_file_location("reference", REFERENCE)
    ref = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ref)
    return ref.load(path)


def pieces(path):
    """The bytes that each id stands for."""
    fields = GGUFReader(path).fields
    words, kind = (
        fields["tokenizer.ggml.tokens"].contents(),
        fields["tokenizer.ggml.model"].contents(),
    )
    if kind == "gpt2":  # bytes written as printable characters
        plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
        byte = {chr(b): b for b in plain}
        byte.update(
            {chr(256 + n): b for n, b in enumerate(b for b in range(256) if b not in plain)}
        )
        return [
            bytes(byte[c] for c in w) if all(c in byte for c in w) else w.encode() for w in words
        ]
    types = fields["tokenizer.ggml.token_type"].contents()
    return [
        bytes([int(w[3:5], 16)]) if t == 6 else w.replace("\u2581", " ").encode()
        for w, t in zip(words, types)
    ]


def characters(texts):
    """Bytes that do not continue a UTF-8 character."""
    return sum(b & 0xC0 != 0x80 for t in texts for b in t)


def nats(m, ids, dt):
    """ids (windows, n) -> nats of each id but the first, (windows, n - 1)"""
    b, n = ids.shape
    x, t = m.emb[ids].astype(dt), np.arange(n)
    angle = t[:, None] * m.base ** (-np.arange(0, m.hs, 2) / m.hs)
    cos, sin = np.cos(angle).astype(dt)[:, None], np.sin(angle).astype(dt)[:, None]
    future, rep = np.where(t[None] > t[:, None], -np.inf, 0).astype(dt), m.nh // m.nkv

    def rms(v, w):
        return v / np.sqrt((v * v).mean(-1, keepdims=True) + dt(m.eps)) * w.astype(dt)

    def heads(v, k, turn):  # -> (b, k, n, hs)
        v = v.reshape(b, n, k, m.hs)
        if turn:
            p, q = v[..., 0::2], v[..., 1::2]
            v = np.stack([p * cos - q * sin, p * sin + q * cos], -1).reshape(b, n, k, m.hs)
        return v.transpose(0, 2, 1, 3)

    for l in range(m.nl):
        h = rms(x, m.an[l])
        q = heads(h @ m.q[l].astype(dt).T, m.nh, True)
        k = heads(h @ m.k[l].astype(dt).T, m.nkv, True).repeat(rep, 1)
        v = heads(h @ m.v[l].astype(dt).T, m.nkv, False).repeat(rep, 1)
        a = q @ k.transpose(0, 1, 3, 2) / np.sqrt(dt(m.hs)) + future
        a = np.exp(a - a.max(-1, keepdims=True))
        a /= a.sum(-1, keepdims=True)
        x = x + (a @ v).transpose(0, 2, 1, 3).reshape(b, n, -1) @ m.o[l].astype(dt).T
        h = rms(x, m.fn[l])
        g = h @ m.w1[l].astype(dt).T
        x = x + (g / (1 + np.exp(-g)) * (h @ m.w3[l].astype(dt).T)) @ m.w2[l].astype(dt).T
    lg = rms(x[:, :-1], m.on) @ m.cls.astype(dt).T
    top = lg.max(-1)
    total = np.log(np.exp(lg - top[..., None]).sum(-1, dtype=np.float64)) + top
    return total - np.take_along_axis(lg, ids[:, 1:, None], -1)[..., 0]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("ids", help='JSON: {"tokens": [...]} or a list')
    ap.add_argument("--window", type=int, default=256)
    ap.add_argument("--every", type=int, default=1)
    ap.add_argument("--f64", action="store_true")
    a = ap.parse_args()
    ids = json.load(open(a.ids))
    ids = np.array(ids["tokens"] if isinstance(ids, dict) else ids)
    m, text = load(a.model), pieces(a.model)
    windows = [ids[i : i + a.window] for i in range(0, len(ids), a.window)][:: a.every]
    windows = [w for w in windows if len(w) > 1]
    full, last = [w for w in windows if len(w) == a.window], [
        w for w in windows if len(w) < a.window
    ]
    total = chars = tokens = 0
    for group in [full[i : i + 8] for i in range(0, len(full), 8)] + [[w] for w in last]:
        group = np.stack(group)
        with np.errstate(over="ignore"):
            total += float(
                nats(m, group, np.float64 if a.f64 else np.float32).sum(dtype=np.float64)
            )
        tokens += group[:, 1:].size
        chars += characters(text[i] for i in group[:, 1:].ravel())
    print(
        json.dumps(
            {
                "windows": len(windows),
                "tokens": tokens,
                "characters": chars,
                "nats": total,
                "nats_per_token": total / tokens,
                "perplexity": float(np.exp(total / tokens)),
                "nats_per_char": total / chars,
            }
        )
    )


if __name__ == "__main__":
    main()
