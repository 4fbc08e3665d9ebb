//! What can be set, its ranges, and where each formula comes from. Nothing here computes.

/// What the user can set. The defaults suit going on with a text: temperature and top-p are on,
/// everything else is off.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits, at least 0; below 1e-4 the likeliest token is taken (greedy).
    pub temperature: f32,
    /// Keeps the likeliest tokens that together exceed this probability, in [0, 1]; 0 or 1 keeps
    /// all. Nucleus sampling, <https://arxiv.org/abs/1904.09751>, as llama2.c does it.
    pub top_p: f32,
    /// Keeps this many of the likeliest tokens; 0 keeps all. <https://arxiv.org/abs/1805.04833>.
    pub top_k: usize,
    /// Keeps tokens at least this likely relative to the likeliest, in [0, 1]; 0 keeps all.
    /// <https://arxiv.org/abs/2407.01082>.
    pub min_p: f32,
    /// Keeps the tokens whose surprise is nearest to the expected one and that together exceed
    /// this probability, in (0, 1]; 1 keeps all. Locally typical sampling,
    /// <https://arxiv.org/abs/2202.00666>.
    pub typical_p: f32,
    /// Divides (or multiplies, below 0) logits of recent tokens, above 0; 1 is off. As in the CTRL
    /// paper, <https://arxiv.org/abs/1909.05858>, section 4.1.
    pub repeat_penalty: f32,
    /// Taken from a recent token's logit once for each time it stands there; 0 is off, below 0
    /// favours it. llama.cpp's `penalty_freq`, which is OpenAI's `frequency_penalty`.
    pub frequency_penalty: f32,
    /// Taken once from the logit of each recent token; 0 is off, below 0 favours it. llama.cpp's
    /// `penalty_present`, which is OpenAI's `presence_penalty`.
    pub presence_penalty: f32,
    /// Tokens that count as recent for the three penalties, up to [`Sampler::KEPT`]; 0 turns them
    /// off.
    ///
    /// [`Sampler::KEPT`]: crate::Sampler::KEPT
    pub repeat_last_n: usize,
    /// Strength of the penalty on going on with a passage that stood before, at least 0; 0 is off.
    /// DRY, <https://github.com/oobabooga/text-generation-webui/pull/5677>: where `n` tokens stood
    /// before, the token that followed them loses
    /// `dry_multiplier · dry_base^(n − dry_allowed_length)`.
    pub dry_multiplier: f32,
    /// How fast DRY's penalty grows with each further token, at least 1; below that DRY is off.
    pub dry_base: f32,
    /// Tokens that may repeat before DRY's penalty begins.
    pub dry_allowed_length: usize,
    /// 1 or 2 keeps the text's surprise near `mirostat_tau` with that version of Mirostat,
    /// <https://arxiv.org/abs/2007.14966>, in place of top-k, typical, top-p and min-p; any other
    /// number is off.
    pub mirostat: u8,
    /// Mirostat's target, in bits of surprise a token, above 0.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate, in (0, 1].
    pub mirostat_eta: f32,
}

impl Sampling {
    /// The defaults, where a constant is wanted.
    pub const DEFAULT: Self = Self {
        temperature: 0.7,
        top_p: 0.9,
        top_k: 0,
        min_p: 0.0,
        typical_p: 1.0,
        repeat_penalty: 1.0,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        repeat_last_n: 64,
        dry_multiplier: 0.0,
        dry_base: 1.75,
        dry_allowed_length: 2,
        mirostat: 0,
        mirostat_tau: 5.0,
        mirostat_eta: 0.1,
    };

    /// Whether the likeliest token is always taken: a temperature below this is 0, since dividing
    /// by it would leave nothing finite.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        self.temperature < 1e-4
    }

    /// What top-p must exceed, where it is on.
    pub(super) fn nucleus(&self) -> Option<f32> {
        Some(self.top_p).filter(|&p| p > 0.0 && p < 1.0)
    }

    pub(super) fn penalizes(&self) -> bool {
        let off = self.repeat_penalty == 1.0
            && self.frequency_penalty == 0.0
            && self.presence_penalty == 0.0;
        !off
    }

    pub(super) fn dries(&self) -> bool {
        self.dry_multiplier != 0.0 && self.dry_base >= 1.0
    }

    pub(super) fn mirostats(&self) -> bool {
        matches!(self.mirostat, 1 | 2)
    }

    /// Whether any token may be left out before one is drawn.
    pub(super) fn filters(&self) -> bool {
        self.nucleus().is_some()
            || self.top_k > 0
            || self.min_p > 0.0
            || self.typical_p < 1.0
            || self.mirostats()
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self::DEFAULT
    }
}
