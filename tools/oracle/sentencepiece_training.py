#!/usr/bin/env python3
"""Records the vocabularies that sentencepiece's own BPE trainer learns from some texts.

crates/tokenizer must learn the same ones.

Needs PyPI's `sentencepiece` and `regex`. Usage, from the root of the project:

    python3 tools/oracle/sentencepiece_training.py [DATA] \\
        > crates/tokenizer/tests/data/trained_pieces.txt

DATA is the folder with tinyshakespeare/ and tinystories/ (default: $LLAMABOOT_DATA,
../shared/data).

The trainer has its defaults, but that nothing normalises the text, every character gets a piece,
and the whole text is one sentence, so that newlines are characters like others.

The output has one record a line, its fields separated by tabs:

    file    NAME CHARACTERS VOCAB HASH    the first CHARACTERS of a file as text, the size of the
                                          vocabulary, FNV-1a of all pieces, a newline after each
    piece   TEXT                          one of the first 400 merges of the file above, with
                                          \\u{hex} for what is not plain to read
"""

import io
import os
import sys

import sentencepiece
from pretokenizer_splits import readable

RUNS = [
    ("tinyshakespeare/input.txt", 1003854, 4096),
    ("tinystories/val.txt", 500000, 2048),
]


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def train(text, vocab_size):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text]),
        model_writer=model,
        vocab_size=vocab_size,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        max_sentence_length=1 << 30,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(id) for id in range(processor.get_piece_size())]
    return [piece.replace("\u2581", " ") for piece in pieces[259:]]


def main():
    data = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LLAMABOOT_DATA", "../shared/data")
    out = lambda *fields: print(*fields, sep="\t")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    out("#", "written by tools/oracle/sentencepiece_training.py, which describes the records")
    for name, characters, vocab_size in RUNS:
        with open(f"{data}/{name}", encoding="utf-8", newline="") as file:
            text = file.read()[:characters]
        pieces = train(text, vocab_size)
        everything = "".join(piece + "\n" for piece in pieces).encode()
        out("file", name, len(text), vocab_size, f"{fnv1a(everything):016x}")
        for piece in pieces[:400]:
            out("piece", readable(piece))


if __name__ == "__main__":
    main()
