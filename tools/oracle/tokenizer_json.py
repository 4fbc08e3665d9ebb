#!/usr/bin/env python3
"""tokenizer.json as Hugging Face's `tokenizers` writes and reads it: what crates/convert is held
against.

  tokenizer_json.py record [DATA]      writes crates/convert/tests/data/tokenizer_json
  tokenizer_json.py check FOLDER GGUF  encodes texts with FOLDER/tokenizer.json, which `llamaboot
                                       convert` wrote, and with `llamaboot tokenize GGUF`

Recorded are three vocabularies and the ids that they give:

  llama3.json         byte-level BPE with Llama 3's words, learned here from Shakespeare; one token
                      that no merges make
  smollm.json         the same with SmolLM's words
  sentencepiece.json  stories260K's tok512.model, its merges listed as transformers lists them
  ids.tsv             FILE TEXT IDS, with \\u{hex} for what is not plain to read

DATA is the folder with stories260K/ and tinyshakespeare/ (default: $LLAMABOOT_DATA,
../shared/data). Needs PyPI's tokenizers (0.23.3 was used), sentencepiece, protobuf and regex.
"""

import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from pretokenizer_splits import random_texts, readable
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers import processors

ROOT = pathlib.Path(__file__).parent.parent.parent
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
TEXTS = [
    "Hello, world!",
    " Hello  world ",
    "  two spaces, then a line\n\n\tand a tab",
    "The king's 12345 men; they'll go, I'VE said so.",
    "naïve café, Führer, Łódź",
    "日本語のテキスト 🦙🦙",
    "What light through yonder window breaks?",
    "zebra zebras a zebra",
    "<|eot_id|>after<|begin_of_text|> it",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "Once upon a time, there was a little girl named Lily.",
]


def byte_level(words, ignore_merges, text):
    """A vocabulary of 400 tokens, learned from a text."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=399,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
    )
    file = json.loads(tokenizer.to_str())
    # No merges make it, so it is met where words that are tokens are not merged.
    file["model"]["vocab"]["Ġzebra"] = 399
    return file


def sentencepiece(path):
    """transformers' `convert_slow_tokenizer` for Llama: pairs in order of the score of what they
    make, then of their ids."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    ids = {piece.piece: id for id, piece in enumerate(model.pieces)}
    merges = []
    for piece in model.pieces:
        if piece.type != 1:
            continue
        text = piece.piece
        cuts = [(text[:at], text[at:]) for at in range(1, len(text))]
        pairs = [pair for pair in cuts if pair[0] in ids and pair[1] in ids]
        pairs.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges += [(pair, piece.score) for pair in pairs]
    merges.sort(key=lambda merge: merge[1], reverse=True)
    bpe = models.BPE(
        ids, [pair for pair, _ in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    tokenizer = Tokenizer(bpe)
    file = json.loads(tokenizer.to_str())
    file["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ],
    }
    file["decoder"] = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    tokenizer = Tokenizer.from_str(json.dumps(file))
    special = [AddedToken(text, normalized=False) for text in ["<unk>", "<s>", "</s>"]]
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return json.loads(tokenizer.to_str())


def record(data):
    out = ROOT / "crates/convert/tests/data/tokenizer_json"
    out.mkdir(parents=True, exist_ok=True)
    text = (data / "tinyshakespeare/input.txt").read_text()[:200_000]
    bytes_of = lambda words: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
    llama3 = [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), bytes_of(False)]
    smollm = [pre_tokenizers.Digits(individual_digits=True), bytes_of(True)]
    files = {
        "llama3.json": byte_level(llama3, True, text),
        "smollm.json": byte_level(smollm, False, text),
        "sentencepiece.json": sentencepiece(data / "stories260K/tok512.model"),
    }
    random = (text for text in random_texts() if "\0" not in text)
    texts = TEXTS + list(itertools.islice(random, 60))
    with open(out / "ids.tsv", "w", encoding="utf-8", newline="\n") as ids:
        for name, file in files.items():
            (out / name).write_text(json.dumps(file, ensure_ascii=False) + "\n")
            tokenizer = Tokenizer.from_file(str(out / name))
            for text in texts:
                found = tokenizer.encode(text, add_special_tokens=False).ids
                print(name, readable(text), " ".join(map(str, found)), sep="\t", file=ids)


def check(folder, gguf):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    command = [ROOT / "target/release/llamaboot", "tokenize", gguf, "--special", "--json", "--file"]
    random = (text for text in random_texts() if "\0" not in text)
    texts, wrong = TEXTS + list(itertools.islice(random, 600)), 0
    with tempfile.NamedTemporaryFile("w", newline="", encoding="utf-8") as file:
        for text in texts:
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
            ours = json.loads(subprocess.check_output(command + [file.name]))["tokens"]
            theirs = tokenizer.encode(text, add_special_tokens=False).ids
            if ours != theirs:
                wrong += 1
                print(f"{text!r}: tokenizers {theirs}, llamaboot {ours}")
    print(f"{len(texts)} texts, {wrong} with other ids")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", *data]:
            default = os.environ.get("LLAMABOOT_DATA", "../shared/data")
            record(pathlib.Path(data[0] if data else default))
        case ["check", folder, gguf]:
            check(pathlib.Path(folder), gguf)
        case _:
            sys.exit(__doc__)
