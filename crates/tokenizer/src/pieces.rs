//! The pieces of a SentencePiece-style vocabulary as plain data: what training makes, what
//! tokenizer.model and tokenizer.bin hold, and what goes into a GGUF.

use alloc::{format, vec::Vec};

use crate::error::Error;
use crate::gguf::{self, GgufVocab};
use crate::vocab::TokenType;
use crate::{llama2c, sentencepiece_model};

/// What a piece is for; the numbers are those of `tokenizer.ggml.token_type` and of sentencepiece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// 1: text.
    Normal = 1,
    /// 2: stands for what the vocabulary cannot express.
    Unknown = 2,
    /// 3: structure, such as BOS.
    Control = 3,
    /// 4: text that is always a token of its own.
    UserDefined = 4,
    /// 5: never used.
    Unused = 5,
    /// 6: one raw byte.
    Byte = 6,
}

impl PieceKind {
    pub(crate) fn of(kind: TokenType) -> PieceKind {
        match kind {
            TokenType::Normal => PieceKind::Normal,
            TokenType::Unknown => PieceKind::Unknown,
            TokenType::Control => PieceKind::Control,
            TokenType::UserDefined => PieceKind::UserDefined,
            TokenType::Unused => PieceKind::Unused,
            TokenType::Byte => PieceKind::Byte,
        }
    }

    fn name(self) -> &'static str {
        match self {
            PieceKind::Normal => "a normal one",
            PieceKind::Unknown => "an unknown one",
            PieceKind::Control => "a control token",
            PieceKind::UserDefined => "a user-defined one",
            PieceKind::Unused => "an unused one",
            PieceKind::Byte => "a byte's",
        }
    }
}

/// One token of a vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its text with plain spaces; for [`PieceKind::Byte`] the one byte itself; for a control token
    /// its name.
    pub text: Vec<u8>,
    /// Pairs with a greater score are merged first.
    pub score: f32,
    /// What it is for.
    pub kind: PieceKind,
}

/// A vocabulary in order of ids, laid out as Llama's: `<unk>`, `<s>`, `</s>`, 256 bytes, text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pieces(pub Vec<Piece>);

impl Pieces {
    /// Reads llama2.c's tokenizer.bin, all tokens that it holds.
    ///
    /// # Errors
    /// As [`crate::Tokenizer::from_llama2c`].
    pub fn from_llama2c(bytes: &[u8]) -> Result<Self, Error> {
        let (vocab, scores) = llama2c::read_tokens(bytes, llama2c::count(bytes))?;
        let piece = |(id, score)| {
            let text = vocab.text(id);
            // llama2.c's file has newlines around the names of BOS and EOS, and no types.
            let (text, kind) = match (id, vocab.kind(id)) {
                (0, _) => (text.trim_ascii(), PieceKind::Unknown),
                (1 | 2, _) => (text.trim_ascii(), PieceKind::Control),
                (_, Some(TokenType::Byte)) => (text, PieceKind::Byte),
                _ => (text, PieceKind::Normal),
            };
            Piece { text: text.to_vec(), score, kind }
        };
        Ok(Self(vocab.ids().zip(scores).map(piece).collect()))
    }

    /// Reads sentencepiece's tokenizer.model.
    ///
    /// # Errors
    /// As [`Tokenizer::from_sentencepiece`].
    pub fn from_sentencepiece(bytes: &[u8]) -> Result<Self, Error> {
        sentencepiece_model::read_pieces(bytes)
    }

    /// Reads a tokenizer.bin or a tokenizer.model, whichever it is.
    ///
    /// # Errors
    /// As [`Tokenizer::from_llama2c`] and [`Tokenizer::from_sentencepiece`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, Error> {
        if sentencepiece_model::is_model(bytes)? {
            return Self::from_sentencepiece(bytes);
        }
        Self::from_llama2c(bytes)
    }

    /// The SentencePiece vocabulary of a GGUF, to write it as a tokenizer.bin.
    ///
    /// # Errors
    /// The vocabulary is of another kind, is laid out in another way than Llama's, puts no space
    /// before a text, or is malformed: tokenizer.bin cannot say any of it.
    pub fn from_gguf(vocab: &GgufVocab<'_>) -> Result<Self, Error> {
        gguf::read_pieces(vocab)?.laid_out_as_llamas(gguf::TOKENS)
    }

    /// Passes on a vocabulary whose first 259 ids are those that tokenizer.bin implies.
    pub(crate) fn laid_out_as_llamas(self, what: &'static str) -> Result<Self, Error> {
        let expected = |id: usize| match id {
            0 => "<unk>",
            1 | 2 => "a control token",
            3..259 => "the byte's",
            _ => "one that has a text and is no byte's",
        };
        let fits = |id: usize, piece: &Piece| match (id, piece.kind, piece.text.as_slice()) {
            (3..259, PieceKind::Byte, &[byte]) => usize::from(byte) + 3 == id,
            (3..259, ..) | (_, PieceKind::Byte, _) | (_, _, []) => false,
            (1 | 2, kind, _) => kind == PieceKind::Control,
            _ => true,
        };
        let mut odd = self.0.iter().enumerate().filter(|&(id, piece)| !fits(id, piece));
        let missing = (self.0.len() < 259).then_some((self.0.len(), "nothing"));
        match odd.next().map(|(id, piece)| (id, piece.kind.name())).or(missing) {
            None => Ok(self),
            Some((token, found)) => {
                Err(Error::Layout { what, token, expected: expected(token), found })
            }
        }
    }

    /// Writes llama2.c's tokenizer.bin.
    #[must_use]
    pub fn to_llama2c(&self) -> Vec<u8> {
        let texts: Vec<Vec<u8>> = self.0.iter().map(Piece::llama2c_text).collect();
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        let mut bytes = (longest as u32).to_le_bytes().to_vec();
        for (piece, text) in self.0.iter().zip(&texts) {
            bytes.extend(piece.score.to_le_bytes());
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text);
        }
        bytes
    }
}

impl Piece {
    /// The text with a byte written as `<0x0A>`.
    pub(crate) fn name(&self) -> Vec<u8> {
        match (self.kind, self.text.as_slice()) {
            (PieceKind::Byte, &[byte]) => format!("<0x{byte:02X}>").into_bytes(),
            (_, text) => text.to_vec(),
        }
    }

    /// The text that llama2.c's tokenizer.py writes.
    fn llama2c_text(&self) -> Vec<u8> {
        match (self.kind, self.text.as_slice()) {
            (PieceKind::Control, b"<s>") => b"\n<s>\n".to_vec(),
            (PieceKind::Control, b"</s>") => b"\n</s>\n".to_vec(),
            _ => self.name(),
        }
    }
}
