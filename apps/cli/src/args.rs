//! The command line, as architecture.md fixes it.

use crate::commands::convert::Convert;
use crate::commands::tokenizer::TokenizerCommand;
use crate::commands::{DeviceName, Train, TrainType};
use crate::model::kernels;
use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command as ClapCommand, CommandFactory};
use clap::{FromArgMatches, Parser, Subcommand, ValueEnum, value_parser};
use llamaboot_chat::Settings;
use llamaboot_engine::{KvType, MemoryPlan};
use llamaboot_kernels::Isa;
use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;

/// Run Llama models on this machine, and put them on a USB stick that boots into a chat.
#[derive(Parser)]
#[command(name = "llamaboot", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The arguments of this process, or one error and the end of it. A negative number is a value
    /// like others, for its argument to refuse; clap would take it for an option.
    pub(crate) fn from_process() -> Self {
        fn with_negative_numbers(command: ClapCommand) -> ClapCommand {
            let allow = |arg: Arg| {
                let takes_values = arg.get_action().takes_values();
                arg.allow_negative_numbers(takes_values)
            };
            command.mut_args(allow).mut_subcommands(with_negative_numbers)
        }
        let mut command = with_negative_numbers(<Self as CommandFactory>::command());
        let parsed = command.try_get_matches_from_mut(std::env::args_os());
        let parsed = parsed.and_then(|matches| Self::from_arg_matches(&matches));
        parsed.unwrap_or_else(|error| {
            let mut error = error.format(&mut command);
            // "to pass it as a value, use -- before it": nobody wants a model of that name.
            if let Some(ContextValue::StyledStrs(tips)) = error.get(ContextKind::Suggested)
                && tips.iter().any(|tip| tip.to_string().contains("as a value"))
            {
                error.remove(ContextKind::Suggested);
            }
            let cause = std::error::Error::source(&error);
            if let Some(cause) = cause.and_then(|cause| cause.downcast_ref::<ParseIntError>())
                && *cause.kind() == IntErrorKind::InvalidDigit
                && let Some(value) = error.get(ContextKind::InvalidValue)
                && let Some(arg) = error.get(ContextKind::InvalidArg)
            {
                // "invalid digit found in string" is what it says itself.
                let line =
                    format!("invalid value '{value}' for '{arg}': expected a whole number\n");
                error = clap::Error::raw(ErrorKind::ValueValidation, line);
            }
            error.exit()
        })
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Continue a text; only the text goes to stdout
    Generate(Generate),
    /// Talk to a model, as on the booted stick
    Chat(Chat),
    /// Print logits, to compare machines
    Logits(Logits),
    /// Turn text into token ids
    Tokenize(Tokenize),
    /// Learn a vocabulary
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Show a model's format, shapes and memory
    Inspect(Inspect),
    /// Measure prefill and decode speed
    Bench(Bench),
    /// Measure how well a model predicts a text
    Perplexity(Perplexity),
    /// Turn a model into another file format
    Convert(Convert),
    /// Write a disk image that boots into the models given
    Image(Image),
    /// Train a model from a text, or go on with one
    Train(Box<Train>),
}

/// A model file, and its tokenizer where it is a llama2.c .bin.
#[derive(Args, Clone)]
pub(crate) struct ModelFile {
    /// A GGUF or a llama2.c .bin
    pub(crate) model: PathBuf,
    /// tokenizer.bin or tokenizer.model of a llama2.c model
    /// [default: NAME.tokenizer.bin or tokenizer.bin beside it]
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,
}

/// How to run it.
#[derive(Args, Clone)]
pub(crate) struct Run {
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Tokens of a prompt computed together
    #[arg(long, value_name = "N", default_value_t = MemoryPlan::BATCH as u16)]
    #[arg(value_parser = value_parser!(u16).range(1..=4096))]
    pub(crate) batch: u16,
    /// Kernels to run on [default: the best this CPU has]; the results are the same
    #[arg(long, value_name = "ISA", value_parser = isa_name())]
    pub(crate) isa: Option<Isa>,
    /// How keys and values are kept: f16 takes half the memory, and rounds them [default: f32]
    #[arg(long, value_name = "TYPE")]
    kv: Option<KvName>,
}

impl Run {
    /// How keys and values are kept.
    pub(crate) fn kv(&self) -> KvType {
        match self.kv {
            None | Some(KvName::F32) => KvType::F32,
            Some(KvName::F16) => KvType::F16,
        }
    }

    /// Takes over what was said, with everything else as the settings have it.
    pub(crate) fn apply(&self, settings: &mut Settings) -> Result<()> {
        if self.kv.is_some() {
            settings.kv = self.kv();
        }
        if self.isa.is_some() {
            settings.isa = Some(kernels(self.isa)?.isa());
        }
        Ok(())
    }

    /// The same, on the kernels and with the cache of the settings.
    pub(crate) fn with(&self, settings: &Settings) -> Self {
        let kv = match settings.kv {
            KvType::F32 => KvName::F32,
            KvType::F16 => KvName::F16,
        };
        Self { isa: settings.isa, kv: Some(kv), ..self.clone() }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum KvName {
    F32,
    F16,
}

/// Parses the name of an instruction set, whether or not this CPU has it.
pub(crate) fn isa_name() -> impl TypedValueParser<Value = Isa> {
    let names = PossibleValuesParser::new(Isa::ALL.map(Isa::name));
    names.try_map(|name| Isa::from_name(&name).ok_or("no such instruction set"))
}

/// How tokens are drawn.
#[derive(Args)]
pub(crate) struct SamplingArgs {
    /// 0 always takes the likeliest token [default: 1 for generate; for chat 0.2, or 0.7 where the
    /// model has no chat template]
    #[arg(short, long, value_name = "TEMP")]
    #[arg(value_parser = |v: &str| setting("temperature", v))]
    temperature: Option<String>,
    /// Keep the likeliest tokens that together reach this probability [default: 0.9]
    #[arg(long, value_name = "P", value_parser = |v: &str| setting("top_p", v))]
    top_p: Option<String>,
    /// Keep this many of the likeliest tokens; 0 keeps all [default: 0]
    #[arg(long, value_name = "K", value_parser = |v: &str| setting("top_k", v))]
    top_k: Option<String>,
    /// Keep tokens at least this likely relative to the likeliest [default: 0]
    #[arg(long, value_name = "P", value_parser = |v: &str| setting("min_p", v))]
    min_p: Option<String>,
    /// Above 1 makes recent tokens less likely [default: 1; for chat 1.05 where the model has a
    /// chat template and the temperature is above 0]
    #[arg(long, value_name = "X", value_parser = |v: &str| setting("repeat_penalty", v))]
    repeat_penalty: Option<String>,
    /// Any other setting of the prompt's /set, such as mirostat=2; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// For repeatable text [default: from the clock]
    #[arg(short, long, value_name = "S")]
    seed: Option<u64>,
    /// Guess tokens from earlier text and check several at once; the text is the same [default: on]
    #[arg(long, value_name = "ON")]
    speculation: Option<Switch>,
}

impl SamplingArgs {
    /// Changes what was said; the values were checked when they were read.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        let own = [
            ("temperature", &self.temperature),
            ("top_p", &self.top_p),
            ("top_k", &self.top_k),
            ("min_p", &self.min_p),
            ("repeat_penalty", &self.repeat_penalty),
        ];
        for (name, value) in own {
            let _ = value.as_ref().map(|value| settings.set(name, value));
        }
        settings.seed = self.seed.or(settings.seed);
        if let Some(switch) = self.speculation {
            settings.speculation = matches!(switch, Switch::On);
        }
        for (name, value) in &self.set {
            let _ = settings.set(name, value);
        }
    }
}

impl SamplingArgs {
    /// Ends this process where `--set` names what only conversations have.
    pub(crate) fn check_drawing(&self) {
        let other = self.set.iter().find(|(name, _)| !Settings::draws(name));
        if let Some((name, _)) = other {
            let line = format!(
                "--set {name}: only settings of how tokens are drawn mean anything here; chat \
                 takes them all\n"
            );
            clap::Error::raw(ErrorKind::ValueValidation, line).exit();
        }
    }
}

/// `NAME=VALUE`, as `/set` takes it.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Settings::default().set(name, value)?;
    Ok((name.to_string(), value.to_string()))
}

#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// A value that `/set` takes for it.
fn setting(name: &str, value: &str) -> Result<String, String> {
    Settings::default().set(name, value)?;
    Ok(value.into())
}

#[derive(Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) file: ModelFile,
    /// Text to continue
    #[arg(short, long, default_value = "")]
    pub(crate) prompt: String,
    /// Tokens in all, prompt included; 0 fills the context
    #[arg(short = 'n', long, value_name = "STEPS", default_value_t = 256)]
    pub(crate) steps: usize,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Args)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) file: ModelFile,
    /// A folder in the part of the stick: its llamaboot.toml is read, chats are kept in it
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// What the model is told before the conversation; "" for nothing
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Longest answer, in tokens [default: to the end of the context]
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Args)]
pub(crate) struct Logits {
    #[command(flatten)]
    pub(crate) file: ModelFile,
    /// Token ids, one after another
    #[arg(long, value_name = "IDS", value_delimiter = ',', default_value = "1,403,407")]
    pub(crate) tokens: Vec<u32>,
    /// One line for each token, with all its logits
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Args)]
#[command(group = ArgGroup::new("input").required(true))]
pub(crate) struct Tokenize {
    /// A GGUF with a vocabulary, a tokenizer.bin or .model, or a llama2.c model with one beside it
    pub(crate) model: PathBuf,
    /// Text to encode
    #[arg(long, group = "input", value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// UTF-8 file to encode
    #[arg(long, group = "input", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Put the token that begins a sequence first
    #[arg(long)]
    pub(crate) bos: bool,
    /// Text such as <|im_start|> becomes the control token
    #[arg(long)]
    pub(crate) special: bool,
    /// {"tokens":[…]}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) file: ModelFile,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Bench {
    /// A GGUF or a llama2.c .bin
    #[arg(required_unless_present = "train")]
    pub(crate) model: Option<PathBuf>,
    /// Measure whole training steps of a shape instead: S (192 wide, 6 layers, 2048 tokens, 8 x 256
    /// at once) or L (stories15M's shape, 4 x 256)
    #[arg(long, value_name = "SHAPE", conflicts_with = "model")]
    pub(crate) train: Option<TrainShape>,
    /// What computes losses and gradients; gpu wants a build with --features gpu
    #[arg(long, value_enum, default_value = "cpu", requires = "train", conflicts_with = "model")]
    pub(crate) device: DeviceName,
    /// Numbers to train with; bf16 is faster on CPUs with AVX512-BF16 or AMX
    #[arg(long, value_enum, default_value = "f32", requires = "train", conflicts_with = "model")]
    pub(crate) dtype: TrainType,
    /// Training steps to measure
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(requires = "train", conflicts_with = "model")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub(crate) steps: u32,
    /// Tokens computed in batches
    #[arg(long, value_name = "N", default_value_t = 128)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub(crate) prompt_tokens: u32,
    /// Tokens computed one by one
    #[arg(long, value_name = "N", default_value_t = 128)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub(crate) new_tokens: u32,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// A shape that training speed is measured on.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum TrainShape {
    S,
    L,
}

#[derive(Args)]
pub(crate) struct Perplexity {
    #[command(flatten)]
    pub(crate) model: ModelFile,
    /// UTF-8 text
    #[arg(long, value_name = "TEXT")]
    pub(crate) file: PathBuf,
    /// Tokens in a window, each predicted from those before it in the same window
    /// [default: the model's context]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(2..))]
    pub(crate) window: Option<u32>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Args)]
pub(crate) struct Image {
    #[command(flatten)]
    pub(crate) models: Models,
    /// Settings of the stick [default: a llamaboot.toml with everything commented out]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The boot program [default: the one that `cargo xtask build` wrote]
    #[arg(long, value_name = "FILE")]
    pub(crate) efi: Option<PathBuf>,
    /// Where the image goes
    #[arg(short, long, value_name = "FILE", default_value = "llamaboot.img")]
    pub(crate) output: PathBuf,
}

/// `[--model] M [--tokenizer T]` any number of times. Derived arguments lose the order between two
/// options, and a tokenizer belongs to the model before it, so these are read by hand.
pub(crate) struct Models(pub(crate) Vec<ModelFile>);

impl Args for Models {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        let file = |name, help| {
            let arg = Arg::new(name).long(name).value_name("FILE").help(help);
            arg.action(ArgAction::Append).value_parser(value_parser!(PathBuf))
        };
        let models = Arg::new("models").value_name("MODEL").num_args(0..);
        let models = models.action(ArgAction::Append).value_parser(value_parser!(PathBuf));
        command
            .arg(models.help(
                "Models for the image [default: our own, a small one that writes like Shakespeare]",
            ))
            .arg(file("model", "The same; may be given several times"))
            .arg(file("tokenizer", "tokenizer.bin or tokenizer.model of the model before it"))
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Models {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let placed = |name| -> Vec<(usize, PathBuf)> {
            let at = matches.indices_of(name).into_iter().flatten();
            at.zip(matches.get_many::<PathBuf>(name).into_iter().flatten().cloned()).collect()
        };
        let (mut models, tokenizers) = (placed("model"), placed("tokenizer"));
        models.extend(placed("models"));
        models.sort();
        let mut files: Vec<ModelFile> = models
            .iter()
            .map(|(_, model)| ModelFile { model: model.clone(), tokenizer: None })
            .collect();
        for (at, tokenizer) in tokenizers {
            let before = models.partition_point(|&(model, _)| model < at);
            let file = before.checked_sub(1).and_then(|i| files.get_mut(i));
            let free = file.filter(|file| file.tokenizer.is_none()).ok_or_else(|| {
                let text = format!(
                    "--tokenizer {}: it goes behind the model that it is for",
                    tokenizer.display()
                );
                clap::Error::raw(ErrorKind::ArgumentConflict, text + "\n")
            })?;
            free.tokenizer = Some(tokenizer);
        }
        Ok(Self(files))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
