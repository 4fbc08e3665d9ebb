#!/usr/bin/env python3
"""Records the ids that SentencePiece gives for some texts with two files tokenizer.model.

crates/tokenizer must give the same ones, with Llama 2's as with a tokenizer.bin and a GGUF of the
same vocabulary. The other file, of stories260K, has remove_extra_whitespaces on.

Needs PyPI's `sentencepiece` and `regex`. Usage, from the root of the project:

    python3 tools/oracle/sentencepiece_ids.py [DATA] \\
        > crates/tokenizer/tests/data/sentencepiece_ids.txt

DATA is the folder with tokenizers/, stories260K/, tinyshakespeare/ and tinystories/ (default:
$LLAMABOOT_DATA, ../shared/data).

The output has one record a line, its fields separated by tabs:

    model   NAME                the tokenizer.model that gave what follows
    text    TEXT IDS            a text, with \\u{hex} for what is not plain to read, and its ids
    file    NAME COUNT HASH     a whole file: number of ids, FNV-1a of them as u32
"""

import itertools
import os
import sys

import sentencepiece
from pretokenizer_splits import fnv1a, random_texts, readable

TEXTS = [
    "Hello, world!",
    " Hello  world ",
    "  two spaces, then a line\n\n\tand a tab",
    "The quick brown fox jumps over 13 lazy dogs' backs in 2024.",
    "[INST] <<SYS>>\nYou are a helpful assistant.\n<</SYS>>\n\nWhat is 2+2? [/INST]",
    "fn main() { println!(\"{}\", 1_000 + 0xff); }",
    "naïve café, Führer, Łódź, Ærøskøbing",
    "Привет, мир! Γειά σου Κόσμε",
    "日本語のテキスト。中文文本",
    "🦙🦙 and 👨‍👩‍👧",
    "<s>not special</s> <unk> <0x41>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]

SPACES = ["", " ", "   ", "  a  b  ", "a \n  b\n ", " \u2581a\u2581\u2581b\u2581", "\n  \n"]


def main():
    data = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LLAMABOOT_DATA", "../shared/data")
    out = lambda *fields: print(*fields, sep="\t")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    out("#", "written by tools/oracle/sentencepiece_ids.py, which describes the records")
    # SentencePiece leaves out U+0000 and takes U+2581 for a space; llama2.c does neither.
    random = (text for text in random_texts() if "\0" not in text and "\u2581" not in text)
    random = list(itertools.islice(random, 400))
    for model, texts in [
        ("tokenizers/llama2_tokenizer.model", TEXTS + random),
        ("stories260K/tok512.model", TEXTS + SPACES + random[:100]),
    ]:
        processor = sentencepiece.SentencePieceProcessor(model_file=f"{data}/{model}")
        out("model", model)
        for text in texts:
            out("text", readable(text), " ".join(map(str, processor.encode(text))))
        for name in ["tinyshakespeare/input.txt", "tinystories/val.txt"]:
            with open(f"{data}/{name}", encoding="utf-8", newline="") as file:
                ids = processor.encode(file.read())
            out("file", name, len(ids), f"{fnv1a(ids):016x}")


if __name__ == "__main__":
    main()
