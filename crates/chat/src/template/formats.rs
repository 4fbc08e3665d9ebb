//! The conversation formats, each as the texts between which the user's words stand.
//!
//! `{bos}` and `{eos}` in a text stand for those tokens, whatever their names are, and the names of
//! [`MARKERS`] for the control tokens of these names.

/// Texts that become control tokens where the vocabulary has them. Zephyr's role names and
/// Mistral's `[INST]` are control tokens in some vocabularies and text in others.
pub(super) const MARKERS: &[&str] = &[
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "[INST]",
    "[/INST]",
];

/// What white space a format drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trim {
    /// None.
    Nothing,
    /// Around the system text and around the user's.
    Each,
    /// Around the user's text alone.
    User,
    /// Around the two when they are one.
    Together,
}

/// Where the system text stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum SystemTurn {
    /// In a turn of its own, between these texts.
    Own(&'static str, &'static str),
    /// In the first turn of the user, between these texts, then the user's own.
    Merged(&'static str, &'static str),
}

/// A format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) name: &'static str,
    /// Control tokens without which it cannot be written.
    pub(super) needs: &'static [&'static str],
    /// Begins with BOS even where the file does not ask for it.
    pub(super) bos: bool,
    pub(super) system: SystemTurn,
    /// What stands before a user's text, and from there to the answer.
    pub(super) user: (&'static str, &'static str),
    /// The one token that ends an answer; "" where there is none.
    pub(super) end: &'static str,
    /// What stands between that and the next turn of the user.
    pub(super) between: &'static str,
    /// A text that ends an answer as well: what a model without such a token goes on with.
    pub(super) stop: Option<&'static str>,
    pub(super) trim: Trim,
}

pub(super) const CHATML: Format = Format {
    name: "chatml",
    needs: &["<|im_start|>", "<|im_end|>"],
    bos: false,
    system: SystemTurn::Own("<|im_start|>system\n", "<|im_end|>\n"),
    user: ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
    end: "<|im_end|>",
    between: "\n",
    stop: None,
    trim: Trim::Nothing,
};

pub(super) const LLAMA2: Format = Format {
    name: "llama2",
    needs: &[],
    bos: true,
    system: SystemTurn::Merged("<<SYS>>\n", "\n<</SYS>>\n\n"),
    user: ("[INST] ", " [/INST]"),
    end: "{eos}",
    between: "{bos}",
    stop: None,
    trim: Trim::Together,
};

/// Llama 3 to 3.3. The dates that templates from 3.1 on put before the system text are read out of
/// them.
pub(super) const LLAMA3: Format = Format {
    name: "llama3",
    needs: &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    bos: true,
    system: SystemTurn::Own("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
    user: (
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    end: "<|eot_id|>",
    between: "",
    stop: None,
    trim: Trim::Each,
};

/// Zephyr and TinyLlama, whose role names are text, and StableLM, whose are tokens.
pub(super) const ZEPHYR: Format = Format {
    name: "zephyr",
    needs: &[],
    bos: false,
    system: SystemTurn::Own("<|system|>\n", "{eos}\n"),
    user: ("<|user|>\n", "{eos}\n<|assistant|>\n"),
    end: "{eos}",
    between: "\n",
    stop: None,
    trim: Trim::Nothing,
};

/// Mistral 7B v0.1 and v0.2, Mixtral. Other versions differ in spaces alone, which are read out of
/// the template. The system text goes into the first turn; templates since v3 move it into the
/// last, which would compute every conversation anew.
pub(super) const MISTRAL: Format = Format {
    name: "mistral",
    needs: &[],
    bos: true,
    system: SystemTurn::Merged("", "\n\n"),
    user: ("[INST] ", " [/INST]"),
    end: "{eos}",
    between: "",
    stop: None,
    trim: Trim::Nothing,
};

/// Mistral 7B v0.3, where `[INST]` is a token.
pub(super) const MISTRAL_V3: Format = Format { user: ("[INST] ", "[/INST]"), ..MISTRAL };

/// Gemma 1 to 3. The first two know no system text; it stands where the third has it.
pub(super) const GEMMA: Format = Format {
    name: "gemma",
    needs: &["<start_of_turn>", "<end_of_turn>"],
    bos: true,
    system: SystemTurn::Merged("", "\n\n"),
    user: ("<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
    end: "<end_of_turn>",
    between: "\n",
    stop: None,
    trim: Trim::User,
};

pub(super) const PHI3: Format = Format {
    name: "phi3",
    needs: &["<|user|>", "<|assistant|>", "<|end|>"],
    bos: false,
    system: SystemTurn::Own("<|system|>\n", "<|end|>\n"),
    user: ("<|user|>\n", "<|end|>\n<|assistant|>\n"),
    end: "<|end|>",
    between: "\n",
    stop: None,
    trim: Trim::Nothing,
};

pub(super) const ALPACA: Format = Format {
    name: "alpaca",
    needs: &[],
    bos: false,
    system: SystemTurn::Own("", "\n\n"),
    user: ("### Instruction:\n", "\n\n### Response:\n"),
    end: "{eos}",
    between: "\n\n",
    stop: Some(
        "
### Instruction:",
    ),
    trim: Trim::Each,
};

/// The system text that Alpaca was trained with.
pub(super) const ALPACA_SYSTEM: &str = "Below is an instruction that describes a task. \
    Write a response that appropriately completes the request.";

/// For models whose own format is not known, and for base models: the roles as words. Nothing ends
/// an answer but EOS, so a base model goes on with the next `User:` itself, and is stopped there.
pub(super) const PLAIN: Format = Format {
    name: "plain",
    needs: &[],
    bos: false,
    system: SystemTurn::Own("", "\n\n"),
    user: ("User: ", "\nAssistant:"),
    end: "",
    between: "\n",
    stop: Some(
        "
User:",
    ),
    trim: Trim::Each,
};

/// Every format that has a name.
pub(super) const FORMATS: [Format; 9] =
    [CHATML, LLAMA2, LLAMA3, ZEPHYR, MISTRAL, GEMMA, PHI3, ALPACA, PLAIN];
