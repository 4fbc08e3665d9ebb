#!/usr/bin/env python3
"""Records how a regex engine splits text with llama.cpp's pre-tokenizer expressions.

The splitters of crates/tokenizer are written by hand; this is what they are compared with. The
expressions are those of src/llama-vocab.cpp (llm_tokenizer_bpe). Each is applied to the pieces that
the one before has left; what lies between two matches is a piece as well, which is why llama.cpp
can do without a last alternative `|\\s+`.

Needs PyPI's `regex`. Usage, from the root of the project:

    python3 tools/oracle/pretokenizer_splits.py [DATA] > crates/tokenizer/tests/data/splits.txt

DATA is the folder with gguf-vocab/ and tinyshakespeare/ (default: $LLAMABOOT_DATA, ../shared/data).
Nothing of it is copied, only the lengths of its pieces.

The output has one record a line, its fields separated by tabs; the test beside the splitters reads
it. A "splits" field holds the characters of each piece as digits to the base of 36, longer ones in
decimal and parentheses; "=" stands for the same as the pre-tokenizer before.

    pre     NAME...                 the pre-tokenizers, in the order of what follows
    text    TEXT SPLITS...          a text, with \\u{hex} for what is not plain to read
    input   INDEX SPLITS...         a text of gguf-vocab/ggml-vocab-gpt-2.gguf.inp
    file    NAME PRE PIECES HASH    a whole file: number of pieces, FNV-1a of their lengths in bytes
"""

import os
import random
import sys
import unicodedata

import regex

SEED = 20261124
RANDOM_TEXTS = 2000

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
CASELESS = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|"
    r"\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd"
    "\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d"
    "\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"
    "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
    "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b"
    "\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787"
    "\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)
DEEPSEEK_PUNCTUATION = "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002"
EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"

EXPRESSIONS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [CASELESS.replace("DIGITS", "{1,3}")],
    "qwen2": [CASELESS.replace("DIGITS", "")],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST_ASIAN, r"\p{N}"],
    "deepseek-llm": [
        r"[\r\n]",
        rf"\s?[{DEEPSEEK_LETTERS}]+",
        rf"\s?[{DEEPSEEK_PUNCTUATION}]+",
        r"\s+\Z",
        EAST_ASIAN,
        r"\p{N}+",
    ],
}
COMPILED = {name: [regex.compile(e) for e in list_] for name, list_ in EXPRESSIONS.items()}


def split(name, text):
    pieces = [text]
    for expression in COMPILED[name]:
        cut = []
        for piece in pieces:
            start = 0
            for match in expression.finditer(piece):
                cut += [piece[start : match.start()], match.group()]
                start = match.end()
            cut.append(piece[start:])
        pieces = [piece for piece in cut if piece]
    assert "".join(pieces) == text
    return pieces


def splits_fields(text):
    fields, last = [], None
    for name in EXPRESSIONS:
        lengths = [len(piece) for piece in split(name, text)]
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"
        field = "".join(digits[n] if n < 36 else f"({n})" for n in lengths)
        fields.append("=" if field == last else field)
        last = field
    return fields


def readable(text):
    plain = lambda c: c != "\\" and unicodedata.category(c)[0] in "LNPS"
    return "".join(c if plain(c) or c == " " else f"\\u{{{ord(c):x}}}" for c in text)


def alphabets():
    """Characters that have been assigned since Unicode 3.2 and whose category is still the same."""
    old = unicodedata.ucd_3_2_0
    by_category = {}
    for code in range(0x110000):
        c = chr(code)
        category = old.category(c)
        if category not in ("Cn", "Cs", "Co") and category == unicodedata.category(c):
            by_category.setdefault(category[0], []).append(c)
    spaces = [c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\x1c\x1d\x1e\x1f"]
    return [
        (8, list("abcdefgstmdrvleSTMDRVLEXYZ")),
        (5, [" "]),
        (3, "' 's 't 're 've 'm 'll 'd 'S 'LL 'Re 'x \u2019s".split()),
        (3, list("0123456789")),
        (3, ["\n", "\r", "\r\n", "\n\n", "\t", "  ", "   "]),
        (3, list("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~")),
        (2, spaces),
        (2, by_category["L"]),
        (1, [c for c in by_category["L"] if ord(c) < 0x590]),
        (1, [c for c in by_category["L"] if unicodedata.category(c) != "Lo"]),
        (1, by_category["M"]),
        (2, by_category["N"]),
        (1, by_category["P"]),
        (1, by_category["S"]),
        (1, by_category["C"]),
        (1, list("\u4e00\u4e2d\u6587\u9fa5\u3042\u30a2\uac00\ud55c\u0e01\u1780\u0905\u094d\u0627")),
        (1, ["\U0001f600", "\U0001f999", "\u2764\ufe0f", "\U0001f468\u200d\U0001f469"]),
        (1, list("\u3000\u3001\u3002\uff01\uff0f\uff1a\uff5e\u2018\u201f\uff10\uff21\u2160\u00bd")),
        (1, ["\x00", "\x1b", "\x1c", "\x1f", "\x7f", "\x85", "\xa0", "\xad", "\u200b", "\ufeff"]),
    ]


def random_texts():
    rng = random.Random(SEED)
    weights, choices = zip(*alphabets())
    for _ in range(RANDOM_TEXTS):
        text = ""
        for _ in range(rng.randint(1, 9)):
            unit = rng.choice(rng.choices(choices, weights)[0])
            text += unit * rng.choice((1, 1, 1, 1, 2, 3))
        yield text


def fnv1a(numbers):
    value = 0xCBF29CE484222325
    for number in numbers:
        for byte in number.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def main():
    data = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LLAMABOOT_DATA", "../shared/data")
    out = lambda *fields: print(*fields, sep="\t")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    out("#", "written by tools/oracle/pretokenizer_splits.py, which describes the records")
    out("pre", *EXPRESSIONS)
    for text in random_texts():
        out("text", readable(text), *splits_fields(text))
    with open(f"{data}/gguf-vocab/ggml-vocab-gpt-2.gguf.inp", encoding="utf-8", newline="") as file:
        texts = file.read().split("\n__ggml_vocab_test__\n")
    for index, text in enumerate(texts):
        out("input", index, *splits_fields(text))
    with open(f"{data}/tinyshakespeare/input.txt", encoding="utf-8", newline="") as file:
        text = file.read()
    for name in EXPRESSIONS:
        lengths = [len(piece.encode()) for piece in split(name, text)]
        out("file", "tinyshakespeare/input.txt", name, len(lengths), f"{fnv1a(lengths):016x}")


if __name__ == "__main__":
    main()
