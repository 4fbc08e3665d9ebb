#!/usr/bin/env python3
"""Hugging Face's Llama in numpy (float64), and gguf-py's quantisation: what crates/convert is held
against.

  huggingface.py record DIR            writes DIR/quantized.bin and the model DIR/hf with its logits
  huggingface.py forward FOLDER IDS    logits after each id, of a folder that we wrote
  huggingface.py divisors BASE HEAD_DIM FACTOR LOW HIGH ORIGINAL
                                       of rotary frequencies, by Llama 3's rule

The forward pass follows transformers' modeling_llama.py (`rotate_half`, `repeat_kv`,
`LlamaRMSNorm`). It knows nothing of pairs that lie side by side, so it shows
whether rows were permuted rightly.
Needs numpy and PyPI's gguf (0.19.0 was used).
"""
import json
import pathlib
import sys

import numpy as np


def load(folder):
    """Tensors of model.safetensors as float64, read by hand: the format is a header and bytes."""
    raw = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        start, end = info["data_offsets"]
        piece = data[start:end]
        if info["dtype"] == "BF16":
            bits = np.frombuffer(piece, "<u2").astype("<u4") << 16
            values = bits.view("<f4")
        else:
            values = np.frombuffer(piece, {"F32": "<f4", "F16": "<f2"}[info["dtype"]])
        tensors[name] = values.astype(np.float64).reshape(info["shape"])
    return json.loads((folder / "config.json").read_text()), tensors


def rmsnorm(x, weight, eps):
    return weight * (x / np.sqrt((x * x).mean(-1, keepdims=True) + eps))


def rotate_half(x):
    half = x.shape[-1] // 2
    return np.concatenate((-x[..., half:], x[..., :half]), axis=-1)


def forward(config, w, ids):
    n, heads = len(ids), config["num_attention_heads"]
    kv_heads = config["num_key_value_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    eps = config["rms_norm_eps"]
    inv_freq = 1.0 / config["rope_theta"] ** (np.arange(0, width, 2) / width)
    freqs = np.outer(np.arange(n), inv_freq)
    emb = np.concatenate((freqs, freqs), axis=-1)
    cos, sin = np.cos(emb), np.sin(emb)
    x = w["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        part = lambda name: w[f"model.layers.{layer}.{name}.weight"]
        h = rmsnorm(x, part("input_layernorm"), eps)
        split = lambda y, count: y.reshape(n, count, width).transpose(1, 0, 2)
        q = split(h @ part("self_attn.q_proj").T, heads)
        k = split(h @ part("self_attn.k_proj").T, kv_heads)
        v = split(h @ part("self_attn.v_proj").T, kv_heads)
        q = q * cos + rotate_half(q) * sin
        k = k * cos + rotate_half(k) * sin
        k, v = (np.repeat(y, heads // kv_heads, axis=0) for y in (k, v))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(width)
        scores = scores + np.triu(np.full((n, n), -np.inf), 1)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p = p / p.sum(-1, keepdims=True)
        out = (p @ v).transpose(1, 0, 2).reshape(n, heads * width)
        x = x + out @ part("self_attn.o_proj").T
        h = rmsnorm(x, part("post_attention_layernorm"), eps)
        gate = h @ part("mlp.gate_proj").T
        up = h @ part("mlp.up_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ part("mlp.down_proj").T
    x = rmsnorm(x, w["model.norm.weight"], eps)
    tied = config["tie_word_embeddings"]
    return x @ w["model.embed_tokens.weight" if tied else "lm_head.weight"].T


def record_model(folder, rng):
    """A small model whose shape uses what differs between formats, in all three float types."""
    dim, hidden, heads, kv_heads, width, vocab = 16, 24, 2, 1, 12, 20
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": dim,
        "intermediate_size": hidden, "num_hidden_layers": 2, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "head_dim": width, "vocab_size": vocab,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 500.0,
        "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "rope_scaling": None,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }
    shapes = {"model.embed_tokens.weight": (vocab, dim), "model.norm.weight": (dim,),
              "lm_head.weight": (vocab, dim)}
    for layer in range(2):
        for name, shape in {
            "input_layernorm": (dim,), "self_attn.q_proj": (heads * width, dim),
            "self_attn.k_proj": (kv_heads * width, dim),
            "self_attn.v_proj": (kv_heads * width, dim),
            "self_attn.o_proj": (dim, heads * width), "post_attention_layernorm": (dim,),
            "mlp.gate_proj": (hidden, dim), "mlp.up_proj": (hidden, dim),
            "mlp.down_proj": (dim, hidden),
        }.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, shape in shapes.items():
        scale = 0.3 if len(shape) == 2 else 1.0
        values = (rng.standard_normal(shape) * scale + (len(shape) == 1)).astype("<f4")
        if "layers.0" in name:
            kind, data = "F32", values.tobytes()
        elif "layers.1" in name:
            kind, data = "BF16", (values.view("<u4") >> 16).astype("<u2").tobytes()
        else:
            kind, data = "F16", values.astype("<f2").tobytes()
        place = [len(body), len(body) + len(data)]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": place}
        body += data
    folder.mkdir(parents=True, exist_ok=True)
    head = json.dumps(header, separators=(",", ":")).encode()
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + body)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    ids = [3, 1, 7, 7, 19, 0, 5, 11]
    logits = forward(*load(folder), ids).astype("<f4")
    (folder / "logits.f32").write_bytes(logits.tobytes())


def record_blocks(path, rng):
    """64 blocks of f32, then the same as Q8_0, then as Q4_0."""
    import gguf

    x = rng.standard_normal((64, 32)).astype(np.float32)
    x[1] = 0
    x[2] = -np.abs(x[2])
    x[3] = np.abs(x[3])
    x[4] *= 1e-6  # the scale is subnormal as f16
    x[5] *= 1e-30  # the scale is zero as f16, its inverse is not
    x[6] *= 1e4
    x[7] = np.arange(32) - 16  # halves and ties
    x[8] = (np.arange(32) - 15.5) / 2
    x[9] = 0
    x[9, 31] = -3
    x[10, ::2] = 2.5
    x[10, 1::2] = -2.5  # the greatest twice, with either sign
    x[11] = np.where(np.arange(32) % 2, 127, np.arange(32) + 0.5)
    x[12] = -np.where(np.arange(32) % 2, 127, np.arange(32) + 0.5)
    x[13] = 1
    kinds = [gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0]
    with open(path, "wb") as out:
        out.write(x.tobytes())
        for kind in kinds:
            out.write(gguf.quants.quantize(x, kind).tobytes())


def divisors(base, head_dim, factor, low, high, original):
    """By what `_compute_llama3_parameters` of transformers' modeling_rope_utils.py divides."""
    plain = 1.0 / base ** (np.arange(0, head_dim, 2) / head_dim)
    wavelength = 2 * np.pi / plain
    slow, fast = wavelength > original / low, wavelength < original / high
    smooth = (original / wavelength - low) / (high - low)
    between = (1 - smooth) * plain / factor + smooth * plain
    return plain / np.where(slow, plain / factor, np.where(fast, plain, between))


def main():
    if len(sys.argv) == 8 and sys.argv[1] == "divisors":
        print(divisors(*map(float, sys.argv[2:])))
    elif len(sys.argv) == 4 and sys.argv[1] == "forward":
        logits = forward(*load(pathlib.Path(sys.argv[2])), [int(i) for i in sys.argv[3].split(",")])
        for row in logits:
            print(" ".join(f"{x:.6f}" for x in row))
    elif len(sys.argv) == 3 and sys.argv[1] == "record":
        folder, rng = pathlib.Path(sys.argv[2]), np.random.default_rng(20261124)
        record_blocks(folder / "quantized.bin", rng)
        record_model(folder / "hf", rng)
    else:
        sys.exit(__doc__)


main()
