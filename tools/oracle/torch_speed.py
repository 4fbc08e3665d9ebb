"""Training speed of PyTorch on the CPU: the peer in the trainer's speed comparison.

One step is forward, mean cross entropy, backward, clip to norm 1.0, fused AdamW, on random
tokens.
S: dim 192, 6 layers, 6 heads, hidden 512, vocab 2048, batch 8 x 256.  L: dim 288, 6 layers, 6
heads,
hidden 768, vocab 32000, batch 4 x 256.  Both tied.  Prints one JSON line: tokens a second over
whole
steps (after three warm-up steps), the median step's rate, peak resident bytes.

glibc's malloc returns large blocks to the system after every use and the page faults then cost
more than
the arithmetic (L eager: 146 tok/s instead of 1259), so the script starts itself again with
settings that
keep the memory.  Run it with and without --compile and take the faster.

bf16 is autocast (weights and optimizer stay f32), or with --pure weights in bf16 as well.

usage: torch_speed.py S|L [--dtype f32|bf16] [--pure] [--seconds 20] [--threads 2] [--compile]
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
if __name__ == "__main__" and not MALLOC.items() <= os.environ.items():
    os.environ.update(MALLOC)
    os.execv(sys.executable, [sys.executable, *sys.argv])

import torch  # noqa: E402
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

SHAPES = {
    "S": dict(dim=192, layers=6, heads=6, hidden=512, vocab=2048, batch=8),
    "L": dict(dim=288, layers=6, heads=6, hidden=768, vocab=32000, batch=4),
}
T = 256


class Block(nn.Module):
    def __init__(s, dim, hidden, heads):
        super().__init__()
        s.heads, s.n1, s.n2 = heads, nn.RMSNorm(dim, 1e-5), nn.RMSNorm(dim, 1e-5)
        s.qkv, s.o = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        s.up, s.down = nn.Linear(dim, 2 * hidden, bias=False), nn.Linear(hidden, dim, bias=False)

    def forward(s, x, cos, sin):
        b, t, d = x.shape
        q, k, v = s.qkv(s.n1(x)).view(b, t, 3, s.heads, d // s.heads).permute(2, 0, 3, 1, 4)

        def rope(u):
            a, c = u[..., 0::2], u[..., 1::2]
            return torch.stack((a * cos - c * sin, a * sin + c * cos), -1).flatten(-2)

        y = F.scaled_dot_product_attention(rope(q), rope(k), v, is_causal=True)
        x = x + s.o(y.transpose(1, 2).reshape(b, t, d))
        g, u = s.up(s.n2(x)).chunk(2, -1)
        return x + s.down(F.silu(g) * u)


class Llama(nn.Module):
    def __init__(s, dim, layers, heads, hidden, vocab, batch):
        super().__init__()
        s.tok, s.norm = nn.Embedding(vocab, dim), nn.RMSNorm(dim, 1e-5)
        s.blocks = nn.ModuleList(Block(dim, hidden, heads) for _ in range(layers))
        hd = dim // heads
        angle = torch.arange(T)[:, None] * 10000.0 ** (-torch.arange(0, hd, 2) / hd)
        s.register_buffer("cos", angle.cos())
        s.register_buffer("sin", angle.sin())
        for p in s.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(s, x, y):
        h = s.tok(x)
        for b in s.blocks:
            h = b(h, s.cos.to(h.dtype), s.sin.to(h.dtype))
        logits = F.linear(s.norm(h), s.tok.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]).float(), y.view(-1))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("shape", choices=SHAPES)
    ap.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    ap.add_argument("--pure", action="store_true")
    ap.add_argument("--seconds", type=float, default=20)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--compile", action="store_true")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    c = SHAPES[a.shape]
    net = Llama(**c)
    if a.dtype == "bf16" and a.pure:
        net = net.bfloat16()
    params = list(net.parameters())
    opt = torch.optim.AdamW(params, lr=5e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    run = torch.compile(net) if a.compile else net
    data = torch.randint(c["vocab"], (16, c["batch"], T + 1))
    times, loss, n = [], 0.0, 0
    while len(times) < 3 + 2 or sum(times[3:]) < a.seconds:
        t0 = time.perf_counter()
        xy = data[n % 16]
        n += 1
        opt.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=a.dtype == "bf16" and not a.pure):
            out = run(xy[:, :-1].contiguous(), xy[:, 1:].contiguous())
        out.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        loss = out.item()
        times.append(time.perf_counter() - t0)
    per, times = c["batch"] * T, times[3:]
    print(
        json.dumps(
            {
                "shape": a.shape,
                "dtype": a.dtype,
                "threads": a.threads,
                "compiled": a.compile,
                "torch": torch.__version__,
                "params": sum(p.numel() for p in params),
                "steps": len(times),
                "seconds": round(sum(times), 2),
                "tok_s": round(per * len(times) / sum(times), 1),
                "tok_s_median": round(per / statistics.median(times), 1),
                "loss": round(loss, 4),
                "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
