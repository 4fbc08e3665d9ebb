"""Records the reference values that the trainer's gradient and optimiser tests compare with.

A plain PyTorch llama (RMSNorm, interleaved RoPE, grouped-query attention, SwiGLU, no biases)
whose
parameters live in one flat buffer in llama2.c's v0 order without the rotary tables.  Nothing is
random: parameter i is f32(0.4 * (u - 0.5)), u = ((i * 2654435761 + 12345) mod 2^32) / 2^32,
plus 1
(added in f32) in norm weights; token[b][t] = (7b + 5t + t*t) mod 29.

For each case (tied, untied) it writes to the output directory
  NAME.grad   gradient of the mean cross entropy over B*T, computed in f64, flat, little-endian
  f32
  NAME.step   parameters after one AdamW step (f64 arithmetic), flat, little-endian f32
  NAME.txt    the shape, the loss, the gradient's norm before clipping, the loss after the step

usage: train_reference.py crates/train/tests/data
"""

import os
import sys
import numpy as np
import torch
import torch.nn.functional as F

T, B, EPS, ROPE_BASE = 8, 3, 1e-5, 10000.0
CASES = {
    "tied": dict(
        dim=16, hidden=24, layers=2, heads=4, kv_heads=2, head_dim=4, vocab=29, tied=True
    ),
    "untied": dict(
        dim=16, hidden=24, layers=2, heads=4, kv_heads=4, head_dim=4, vocab=29, tied=False
    ),
}
LR, BETAS, ADAM_EPS, DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 0.5


def layout(c):
    """(name, shape of one tensor, how many) in file order."""
    d, h, n = c["dim"], c["hidden"], c["layers"]
    q, kv = c["heads"] * c["head_dim"], c["kv_heads"] * c["head_dim"]
    parts = [
        ("tok", (c["vocab"], d), 1),
        ("attn_norm", (d,), n),
        ("wq", (q, d), n),
        ("wk", (kv, d), n),
        ("wv", (kv, d), n),
        ("wo", (d, q), n),
        ("ffn_norm", (d,), n),
        ("w1", (h, d), n),
        ("w2", (d, h), n),
        ("w3", (h, d), n),
        ("out_norm", (d,), 1),
    ]
    return parts if c["tied"] else parts + [("out", (c["vocab"], d), 1)]


def initial(c):
    total = sum(int(np.prod(s)) * n for _, s, n in layout(c))
    i = np.arange(total, dtype=np.uint64)
    u = ((i * np.uint64(2654435761) + np.uint64(12345)) % np.uint64(2**32)).astype(
        np.float64
    ) / 2.0**32
    flat, at = ((u - 0.5) * 0.4).astype(np.float32), 0
    for _, shape, n in layout(c):
        size = int(np.prod(shape)) * n
        if len(shape) == 1:
            flat[at : at + size] += np.float32(1.0)
        at += size
    return flat


def tensors(c, flat):
    """{name: list of leaf tensors, one for each layer}"""
    params, at = {}, 0
    for name, shape, n in layout(c):
        size = int(np.prod(shape))
        params[name] = [
            flat[at + k * size : at + (k + 1) * size].view(shape).clone().requires_grad_()
            for k in range(n)
        ]
        at += size * n
    return params


def flatten(params, f):
    return np.concatenate(
        [f(t).detach().numpy().astype("<f4").ravel() for ts in params.values() for t in ts]
    )


def norm(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * w


def rope(x):  # (B, heads, T, head_dim)
    hd = x.shape[-1]
    freq = ROPE_BASE ** (-torch.arange(0, hd, 2, dtype=x.dtype) / hd)
    angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * freq
    cos, sin, a, b = angle.cos(), angle.sin(), x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def loss_of(c, p, tokens):
    x = p["tok"][0][tokens[:, :-1]]
    b, t, hd = x.shape[0], x.shape[1], c["head_dim"]
    mask = torch.full((t, t), float("-inf"), dtype=x.dtype).triu(1)
    for l in range(c["layers"]):
        h = norm(x, p["attn_norm"][l])
        split = lambda w, n: (h @ w[l].T).view(b, t, n, hd).transpose(1, 2)
        q, k = rope(split(p["wq"], c["heads"])), rope(split(p["wk"], c["kv_heads"]))
        rep = c["heads"] // c["kv_heads"]
        k, v = k.repeat_interleave(rep, 1), split(p["wv"], c["kv_heads"]).repeat_interleave(
            rep, 1
        )
        a = torch.softmax(q @ k.transpose(-1, -2) / hd**0.5 + mask, -1) @ v
        x = x + a.transpose(1, 2).reshape(b, t, -1) @ p["wo"][l].T
        h = norm(x, p["ffn_norm"][l])
        x = x + (F.silu(h @ p["w1"][l].T) * (h @ p["w3"][l].T)) @ p["w2"][l].T
    logits = norm(x, p["out_norm"][0]) @ p["tok" if c["tied"] else "out"][0].T
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def record(name, c, out_dir, dtype=torch.float64):
    bt = np.add.outer(7 * np.arange(B), [5 * t + t * t for t in range(T + 1)]) % c["vocab"]
    tokens, p = torch.from_numpy(bt), tensors(c, torch.from_numpy(initial(c)).to(dtype))
    loss = loss_of(c, p, tokens)
    loss.backward()
    every = [t for ts in p.values() for t in ts]
    flatten(p, lambda t: t.grad).tofile(f"{out_dir}/{name}.grad")
    before = torch.nn.utils.clip_grad_norm_(every, CLIP)
    torch.optim.AdamW(
        [
            {"params": [t for t in every if t.dim() == 2], "weight_decay": DECAY},
            {"params": [t for t in every if t.dim() == 1], "weight_decay": 0.0},
        ],
        lr=LR,
        betas=BETAS,
        eps=ADAM_EPS,
    ).step()
    flatten(p, lambda t: t).tofile(f"{out_dir}/{name}.step")
    with open(f"{out_dir}/{name}.txt", "w") as f:
        for k, v in [
            *c.items(),
            ("T", T),
            ("B", B),
            ("parameters", sum(t.numel() for t in every)),
            ("loss", repr(loss.item())),
            ("grad_norm", repr(before.item())),
            ("loss_after_step", repr(loss_of(c, p, tokens).item())),
        ]:
            f.write(f"{k} {v}\n")


if __name__ == "__main__":
    out = (
        sys.argv[1]
        if len(sys.argv) > 1
        else os.path.join(os.path.dirname(os.path.abspath(__file__)), "out")
    )
    os.makedirs(out, exist_ok=True)
    for case, shape in CASES.items():
        record(case, shape, out)
