//! Text to token ids and back: SentencePiece-style and byte-level BPE.
