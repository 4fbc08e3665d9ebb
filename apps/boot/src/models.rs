//! The models on all volumes: found by name, described by their headers, loaded and run.

use crate::clock::Tsc;
use crate::console::BootConsole;
use crate::files::{self, OpenFile, Place};
use crate::load::{load, read_checked};
use crate::memory::{self, Pages};
use crate::stick::Stick;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use llamaboot_chat::{
    Chat, Console as _, Exit, Language, MenuItem, ModelInfo, Progress, Session, Settings,
    Storage as _, StorageError, bytes_text, is_model_name, template_for, text, tokenizer_for,
    tokenizer_names,
};
use llamaboot_checkpoint::{Checkpoint, Error, Header, Regions};
use llamaboot_checksums::{Checksums, List};
use llamaboot_engine::{Engine, MemoryPlan, Model, pack};
use llamaboot_kernels::Parallel;
use uefi::Handle;

/// A header that goes on past this is no header.
const MAX_HEADER: u64 = 256 << 20;
/// Longest tokenizer file read.
const MAX_TOKENIZER: u64 = 64 << 20;

/// A file that looks like a model.
pub(crate) struct Found {
    volume: Handle,
    folder: &'static str,
    pub(crate) name: String,
    /// For people, with slashes.
    pub(crate) path: String,
    len: u64,
}

/// Every `.bin` and `.gguf` at the root or in `models/` of every volume, tokenizers left out.
pub(crate) fn find() -> Vec<Found> {
    let mut found = Vec::new();
    for volume in files::volumes() {
        for (folder, shown) in [("\\models", "models/"), ("", "")] {
            let place = Place { volume, path: folder.to_string() };
            let entries =
                files::list(&place).into_iter().filter(|entry| is_model_name(&entry.name));
            found.extend(entries.map(|entry| {
                let path = format!("{shown}{}", entry.name);
                Found { volume, folder, name: entry.name, path, len: entry.len }
            }));
        }
    }
    found
}

impl Found {
    /// Name, size, format, and the memory it needs or why it cannot run.
    pub(crate) fn menu_item(
        &self,
        available: u64,
        threads: usize,
        settings: &Settings,
    ) -> MenuItem {
        let described = self.describe(available, threads, settings);
        let usable = described.is_ok();
        let detail = described.unwrap_or_else(|message| message);
        MenuItem {
            name: self.path.clone(),
            detail: format!("{}, {detail}", bytes_text(self.len)),
            usable,
        }
    }

    fn describe(
        &self,
        available: u64,
        threads: usize,
        settings: &Settings,
    ) -> Result<String, String> {
        let mut file = self.open()?;
        let head = read_header(&mut file)?;
        let regions = Regions::prefix(head.bytes(), self.len);
        let header = Header::parse(&regions).map_err(|e| e.to_string())?;
        let format = format!("{} {}", header.format, header.dtype_name());
        let (plan, _) = fitted(&header, self.len, available, threads, settings)?;
        let (needed, available) = (bytes_text(plan.total()), bytes_text(available));
        Ok(text::NEEDS_MEMORY.fill(settings.language, &[&format, &needed, &available]))
    }

    fn place(&self, name: &str) -> Place {
        Place { volume: self.volume, path: format!("{}\\{name}", self.folder) }
    }

    /// The file, still of the length that it was found with.
    fn open(&self) -> Result<OpenFile, String> {
        let file = OpenFile::open(&self.place(&self.name))?;
        if file.len == self.len {
            return Ok(file);
        }
        Err(format!("expected {} bytes, as at the start, found {}", self.len, file.len))
    }

    /// What the list says of the bytes of a file in the model's folder, where it says something.
    fn checksums<'l>(&self, name: &str, file: &OpenFile, list: &'l List) -> Option<&'l Checksums> {
        let folder = self.path.strip_suffix(&self.name).unwrap_or_default();
        list.of(&format!("{folder}{name}"), file.len).filter(|_| file.is_the_images())
    }

    /// The bytes of the tokenizer beside a llama2.c model.
    fn tokenizer_bytes(
        &self,
        console: &mut BootConsole,
        list: &List,
        language: Language,
    ) -> Result<Option<Vec<u8>>, String> {
        let open = |name: String| Some((OpenFile::open(&self.place(&name)).ok()?, name));
        let Some((mut file, name)) = tokenizer_names(&self.name).into_iter().find_map(open) else {
            return Ok(None);
        };
        if file.len > MAX_TOKENIZER {
            return Err(format!(
                "{name}: expected at most {MAX_TOKENIZER} bytes, found {}",
                file.len
            ));
        }
        let mut bytes = vec![0; file.len as usize];
        let sums = self.checksums(&name, &file, list);
        read_checked(console, (&mut file, &name), vec![&mut bytes], sums, |_, _| {}, language)
            .map_err(|message| format!("{name}: {message}"))?;
        Ok(Some(bytes))
    }

    /// What the stick says that the bytes of its models add up to; of models elsewhere it says
    /// nothing.
    fn checksum_list(&self, stick: &mut Stick, language: Language) -> Result<List, String> {
        if stick.volume() != Some(self.volume) {
            return Ok(List::default());
        }
        match stick.read(llamaboot_checksums::FILE, llamaboot_checksums::MAX_LEN) {
            Ok(text) => List::parse(&text),
            Err(StorageError::Missing) => Ok(List::default()),
            Err(error) => Err(format!("{}: {}", llamaboot_checksums::FILE, error.line(language))),
        }
    }
}

/// The plan for the context wanted, and the longest context that fits the memory there is.
fn fitted(
    header: &Header<'_>,
    len: u64,
    available: u64,
    threads: usize,
    settings: &Settings,
) -> Result<(MemoryPlan, usize), String> {
    let (batch, kv) = (MemoryPlan::BATCH, settings.kv);
    let fitted = MemoryPlan::fitted(header, len, available, batch, threads, kv).map(|plan| {
        let context = settings.context.unwrap_or(plan.context).min(plan.context);
        (MemoryPlan::new(header, len, context, batch, threads, kv), plan.context)
    });
    fitted.ok_or_else(|| {
        let context = MemoryPlan::MIN_CONTEXT;
        let least = MemoryPlan::new(header, len, context, batch, threads, kv).total();
        let (least, available) = (bytes_text(least), bytes_text(available));
        text::TOO_LARGE.fill(settings.language, &[&least, &available])
    })
}

/// As many first bytes as hold the whole header.
fn read_header(file: &mut OpenFile) -> Result<Pages, String> {
    let mut len = 64 << 10;
    loop {
        // Where every device reaches, while there is room.
        let len_now = len.min(file.len) as usize;
        let mut head = Pages::allocate_low(len_now)
            .or_else(|| Pages::allocate(len_now))
            .ok_or_else(|| format!("no {} left to read its header", bytes_text(len)))?;
        file.rewind()?;
        file.fill(head.bytes_mut(), 0, |_, _| true)?;
        file.rewind()?;
        match Header::parse(&Regions::prefix(head.bytes(), file.len)) {
            Err(Error::NeedMore { .. }) if len < MAX_HEADER => len *= 2,
            // Other faults are told by whoever parses this.
            _ => return Ok(head),
        }
    }
}

/// What a conversation needs beside the model.
pub(crate) struct Company<'c> {
    pub(crate) clock: Tsc,
    pub(crate) threads: &'c dyn Parallel,
    pub(crate) stick: &'c mut Stick,
}

/// What comes after a conversation.
pub(crate) enum Next {
    /// The end.
    Leave(Exit),
    /// This model.
    Model(usize),
}

/// Loads a model and talks until the user leaves; the chat is taken and given back, whatever
/// happens. `next` is asked what comes of an exit: it may show a menu, and says with `None` that
/// the conversation goes on.
pub(crate) fn converse(
    console: &mut BootConsole,
    found: &Found,
    company: &mut Company<'_>,
    chat: &mut Chat,
    next: &mut dyn FnMut(&mut BootConsole, &Stick, Exit, &mut Session<'_>) -> Option<Next>,
) -> Result<Next, String> {
    let (clock, threads) = (company.clock, company.threads);
    let described = found.describe(memory::available(), threads.threads(), &chat.settings)?;
    console.write(&format!("{}: {described}\n", found.path));
    let language = chat.settings.language;
    let mut file = found.open()?;
    let head = read_header(&mut file)?;
    let mut header =
        Header::parse(&Regions::prefix(head.bytes(), found.len)).map_err(|e| e.to_string())?;
    let list = found.checksum_list(company.stick, language).unwrap_or_else(|message| {
        console.write(&(text::NOT_CHECKED.fill(language, &[&message]) + "\n"));
        List::default()
    });
    let tokenizer = found.tokenizer_bytes(console, &list, language)?;
    let tokenizer = tokenizer_for(&header, tokenizer.as_deref())?;
    let mut progress = Progress::new(&found.name, found.len, language, &clock);
    let sums = found.checksums(&found.name, &file, &list);
    let head = (&header, head.bytes());
    let mut pieces =
        load(console, (&mut file, &found.name), head, sums, (&mut progress, language))?;
    let mut start_at = 0;
    let stretches = pieces.iter_mut().map(|piece| {
        let bytes = piece.bytes_mut();
        let start = start_at;
        start_at += bytes.len() as u64;
        (start, bytes)
    });
    pack(&mut header, stretches, threads).map_err(|e| e.to_string())?;
    let regions = Regions::consecutive(pieces.iter().map(Pages::bytes));
    let checkpoint = Checkpoint::attach(&header, &regions).map_err(|e| e.to_string())?;
    let model = Model::new(&checkpoint);
    let (engine, plan, longest) = start(&header, &model, &chat.settings, threads)?;
    let (template, unknown) = template_for(&header, &tokenizer);
    if let Some(message) = unknown {
        console.write(&format!("{message}\n"));
    }
    let info = ModelInfo {
        name: found.name.clone(),
        bytes: found.len,
        format: format!("{} {}", header.format, header.dtype_name()),
        memory: found.len + plan.total(),
        longest,
    };
    let mut session = Session::new(engine, &tokenizer, template, chat, &clock, info)
        .map_err(|e| e.to_string())?;
    loop {
        let exit = session.run(console, company.stick);
        if let Some(next) = next(console, company.stick, exit, &mut session) {
            *chat = session.into_chat();
            return Ok(next);
        }
    }
}

/// An engine with the longest context there is memory for. The weights are in already; free memory
/// may lie in pieces, none of which holds half of a long cache, so a shorter one is tried then.
fn start<'m>(
    header: &Header<'_>,
    model: &'m Model<'m>,
    settings: &Settings,
    threads: &'m dyn Parallel,
) -> Result<(Engine<'m>, MemoryPlan, usize), String> {
    let count = threads.threads();
    let (mut plan, mut longest) = fitted(header, 0, memory::available(), count, settings)?;
    loop {
        match Engine::new(model, &plan, settings.kernels(), threads) {
            Ok(engine) => return Ok((engine, plan, longest)),
            Err(error) if plan.context <= MemoryPlan::MIN_CONTEXT => return Err(error.to_string()),
            Err(_) => {
                longest = plan.context / 2;
                plan = MemoryPlan::new(header, 0, longest, plan.batch, count, plan.kv);
            }
        }
    }
}
