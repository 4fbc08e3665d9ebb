//! From a path to a running engine, with errors that name the file.

use crate::args::{ModelFile, Run};
use crate::mmap::{map, read};
use crate::threads;
use anyhow::{Context as _, Result, anyhow, ensure};
use llamaboot_chat::{Clock, bytes_text, tokenizer_for, tokenizer_names};
use llamaboot_checkpoint::{Checkpoint, Header, Regions, TensorInfo, packable_rows};
use llamaboot_convert::{is_safetensors, names_safetensors};
use llamaboot_engine::{Engine, KvType, MemoryPlan, Model, pack};
use llamaboot_kernels::{Isa, Kernels};
use llamaboot_tokenizer::Tokenizer;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A model file, mapped and checked.
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) bytes: &'static [u8],
    pub(crate) header: Header<'static>,
    tokenizer: Option<PathBuf>,
}

impl Loaded {
    /// Maps the file and reads its header.
    pub(crate) fn open(file: &ModelFile) -> Result<Self> {
        let name = file.model.display();
        let is_folder = file.model.join("config.json").exists();
        ensure!(
            !names_safetensors(&file.model) && !is_folder,
            "{name}: expected a GGUF or a .bin, found safetensors: `llamaboot convert {name} \
             MODEL.gguf --type q8_0` makes a GGUF of it"
        );
        let bytes = map(&file.model)?;
        let header = Header::parse(&Regions::whole(bytes))
            .with_context(|| file.model.display().to_string())?;
        if let (Some(_), Some(tokenizer)) = (&header.gguf, &file.tokenizer) {
            eprintln!(
                "llamaboot: --tokenizer {}: not used, a GGUF has its own",
                tokenizer.display()
            );
        }
        Ok(Self { path: file.model.clone(), bytes, header, tokenizer: file.tokenizer.clone() })
    }

    /// The file's name, for people.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Format and dtype, for people: `GGUF v3 Q4_1`.
    pub(crate) fn format(&self) -> String {
        format!("{} {}", self.header.format, self.header.dtype_name())
    }

    /// The tokenizer file of a llama2.c model: the one given, else one beside it. A GGUF has its
    /// tokenizer inside.
    pub(crate) fn tokenizer_file(&self) -> Option<PathBuf> {
        if self.header.gguf.is_some() {
            return None;
        }
        if self.tokenizer.is_some() {
            return self.tokenizer.clone();
        }
        let names = tokenizer_names(&self.name()).into_iter();
        names.map(|name| self.path.with_file_name(name)).find(|path| path.exists())
    }

    /// The model's tokenizer.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        let file = self.tokenizer_file();
        let bytes = file.as_deref().map(map).transpose()?;
        let other = if file.is_none() && self.header.gguf.is_none() {
            ", or name it with --tokenizer"
        } else {
            ""
        };
        let named = file.unwrap_or_else(|| self.path.clone());
        let tokenizer = tokenizer_for(&self.header, bytes)
            .map_err(|message| anyhow!("{}: {message}{other}", named.display()))?;
        tell_notes(&named, &tokenizer);
        Ok(tokenizer)
    }

    /// What running it with this context takes.
    pub(crate) fn plan(
        &self,
        context: usize,
        batch: usize,
        threads: usize,
        kv: KvType,
    ) -> MemoryPlan {
        MemoryPlan::new(&self.header, self.bytes.len() as u64, context, batch, threads, kv)
    }

    /// The longest context of this model that fits the memory this machine has free.
    pub(crate) fn longest_context(&self, run: &Run) -> Result<usize> {
        let free = free_memory().unwrap_or(u64::MAX);
        let plan = MemoryPlan::fitted(
            &self.header,
            self.bytes.len() as u64,
            free,
            run.batch.into(),
            run.threads.map_or_else(threads::cores, usize::from),
            run.kv(),
        );
        let name = self.path.display();
        plan.map(|plan| plan.context)
            .with_context(|| format!("{name}: more than the {} that are free", bytes_text(free)))
    }

    /// An engine with room for `context` positions (the model's own at most) that lives as long as
    /// the process.
    pub(crate) fn engine(&self, run: &Run, context: usize) -> Result<Engine<'static>> {
        let name = || self.path.display().to_string();
        let kernels = kernels(run.isa)?;
        let threads = threads::start(run.threads);
        let plan = self.plan(context, run.batch.into(), threads.threads(), run.kv());
        let (mut header, mut bytes) = (self.header.clone(), self.bytes);
        let packable = |tensor: &TensorInfo| packable_rows(tensor.dtype, tensor.rows) > 0;
        // CPUs without vector kernels read rows as they lie.
        if Kernels::best().isa() != Isa::Scalar && header.tensors.iter().any(packable) {
            // Packed memory is ours and cannot be dropped and read again: a model larger than
            // memory runs from the file as it lies.
            if plan.total() <= free_memory().unwrap_or(u64::MAX) {
                let own = read(&self.path, threads)?;
                pack(&mut header, [(0, &mut *own)], threads).with_context(name)?;
                bytes = own;
            } else {
                eprintln!(
                    "llamaboot: {}: does not fit the free memory: read from the file again and \
                     again, on the scalar kernels",
                    name()
                );
            }
        }
        let checkpoint = Checkpoint::attach(&header, &Regions::whole(bytes)).with_context(name)?;
        let model: &'static Model<'static> = Box::leak(Box::new(Model::new(&checkpoint)));
        Engine::new(model, &plan, kernels, threads).with_context(name)
    }
}

/// Says how a tokenizer differs from the program that its file was made for.
pub(crate) fn tell_notes(path: &Path, tokenizer: &Tokenizer) {
    tokenizer.notes().iter().for_each(|note| eprintln!("llamaboot: {}: {note}", path.display()));
}

/// All weights of a model file as f32, from any format that is read: a GGUF, a `.bin`, safetensors.
pub(crate) fn weights(file: &ModelFile) -> Result<llamaboot_convert::Model> {
    let name = || file.model.display().to_string();
    if is_safetensors(&file.model) {
        let tokenizer = match file.tokenizer.as_deref() {
            Some(path) => Some((path, map(path)?)),
            None => None,
        };
        return Ok(llamaboot_convert::Model::read_safetensors(&file.model, tokenizer)?);
    }
    let loaded = Loaded::open(file)?;
    let (needed, free) = (4 * loaded.header.n_params(), free_memory().unwrap_or(u64::MAX));
    ensure!(
        needed <= free,
        "{}: expected {} of free memory for its weights as f32, found {}",
        name(),
        bytes_text(needed),
        bytes_text(free)
    );
    let tokenizer = loaded.tokenizer_file().as_deref().map(map).transpose()?;
    if tokenizer.is_some() {
        // Its faults are told under its own name.
        loaded.tokenizer()?;
    }
    let regions = Regions::whole(loaded.bytes);
    llamaboot_convert::Model::read_checkpoint(&loaded.header, &regions, tokenizer)
        .with_context(name)
}

/// The kernels of that instruction set, or the best there are.
pub(crate) fn kernels(isa: Option<Isa>) -> Result<Kernels> {
    Ok(isa.map(Kernels::new).transpose()?.unwrap_or_else(Kernels::best))
}

/// Memory that is free or can be freed, where the system tells (Linux).
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Reads a UTF-8 text file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        anyhow!(
            "{}: byte {at}: expected UTF-8 text, found {:#04x}",
            path.display(),
            e.as_bytes()[at]
        )
    })
}

/// Time since the process started.
#[derive(Clone, Copy)]
pub(crate) struct HostClock(Instant);

impl HostClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for HostClock {
    fn micros(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}
