//! A stage for sessions: a typist with a script, a stick in memory, a clock that stands still.

use llamaboot_chat::{
    Chat, Clock, Console, Key, KeyDecoder, ModelInfo, Session, Settings, Storage, StorageError,
    Style, template_for, tokenizer_for,
};
use llamaboot_checkpoint::{Checkpoint, Header, Regions};
use llamaboot_engine::{Engine, KvType, MemoryPlan, Model};
use llamaboot_kernels::{Kernels, SingleThread};
use std::collections::{BTreeMap, VecDeque};

/// Types a script; `interrupt` holds, for each answer, after how many questions of `go_on` (batches
/// and tokens) Esc is pressed.
#[derive(Default)]
pub(crate) struct Script {
    keys: VecDeque<Key>,
    interrupts: VecDeque<Option<usize>>,
    asked: usize,
    pub(crate) said: String,
    pub(crate) styles: Vec<Style>,
}

impl Script {
    pub(crate) fn new(text: &str, interrupts: &[Option<usize>]) -> Self {
        let mut decoder = KeyDecoder::default();
        let keys = text.bytes().filter_map(|byte| decoder.push(byte)).collect();
        let interrupts = interrupts.iter().copied().collect();
        Self { keys, interrupts, ..Self::default() }
    }

    /// What stands between the echo of each input and the next prompt.
    pub(crate) fn answers(&self) -> Vec<&str> {
        // At the last prompt the script was over.
        let inputs = self.said.rsplit_once("\n>>> ").map_or("", |(inputs, _)| inputs);
        let inputs = inputs.split("\n>>> ").skip(1);
        inputs.map(|input| input.split_once('\n').map_or("", |(_, said)| said)).collect()
    }
}

impl Console for Script {
    fn write(&mut self, text: &str) {
        self.said.push_str(text);
    }

    fn progress(&mut self, _: &str, _: bool) {}

    fn key_within(&mut self, _: Option<u64>) -> Option<Key> {
        if self.asked > 0 {
            self.interrupts.pop_front();
        }
        self.asked = 0;
        Some(self.keys.pop_front().unwrap_or(Key::EndOfInput))
    }

    fn put_back(&mut self, key: Key) {
        self.keys.push_front(key);
    }

    fn interrupted(&mut self) -> bool {
        self.asked += 1;
        self.interrupts.front().copied().flatten() == Some(self.asked - 1)
    }

    fn style(&mut self, style: Style) {
        self.styles.push(style);
    }
}

/// A stick in memory; `fault` is what every write gets.
#[derive(Default, Clone)]
pub(crate) struct Stick {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) fault: Option<StorageError>,
    pub(crate) writes: usize,
}

impl Storage for Stick {
    fn list(&mut self, folder: &str) -> Vec<String> {
        let names = self.files.keys().filter(|_| folder.is_empty());
        names.filter(|name| !name.contains('/')).cloned().collect()
    }

    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, StorageError> {
        let bytes = self.files.get(path).ok_or(StorageError::Missing)?;
        if bytes.len() as u64 > limit {
            Err(StorageError::TooLong(limit))
        } else {
            Ok(bytes.clone())
        }
    }

    fn reserve(&mut self, path: &str, len: u64) -> Result<(), StorageError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        self.files.entry(path.into()).or_default().resize(len as usize, 0);
        Ok(())
    }

    fn read_at(&mut self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let bytes = self.files.get(path).ok_or(StorageError::Missing)?;
        buffer.copy_from_slice(&bytes[offset as usize..][..buffer.len()]);
        Ok(())
    }

    fn write_at(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        self.writes += 1;
        let file = self.files.get_mut(path).ok_or(StorageError::Missing)?;
        file[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

struct Still;

impl Clock for Still {
    fn micros(&self) -> u64 {
        1
    }
}

/// A session with the model in `bytes` (with the bytes of its tokenizer, where it has none inside),
/// greedy, in a context of `context` tokens.
pub(crate) fn converse(
    (bytes, tokenizer): (&[u8], Option<&[u8]>),
    context: usize,
    script: &mut Script,
    stick: &mut Stick,
) {
    let regions = Regions::whole(bytes);
    let header = Header::parse(&regions).unwrap();
    let checkpoint = Checkpoint::attach(&header, &regions).unwrap();
    let model = Model::new(&checkpoint);
    let plan = MemoryPlan::new(&header, bytes.len() as u64, context, 32, 1, KvType::F32);
    let engine = Engine::new(&model, &plan, Kernels::best(), &SingleThread).unwrap();
    let tokenizer = tokenizer_for(&header, tokenizer).unwrap();
    let (template, _) = template_for(&header, &tokenizer);
    let mut settings = Settings::default();
    settings.set("temperature", "0").unwrap();
    let (name, format) = ("m".into(), "f".into());
    let info = ModelInfo { name, bytes: 7, format, memory: 1 << 30, longest: context };
    let mut chat = Chat::new(settings);
    let mut session = Session::new(engine, &tokenizer, template, &mut chat, &Still, info).unwrap();
    session.run(script, stick);
}
