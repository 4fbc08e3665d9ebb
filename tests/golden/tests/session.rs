//! A conversation with interruptions: what the model has seen is what was said, once.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_chat::{
    Clock, Console, Key, KeyDecoder, ModelInfo, Session, Settings, template_for, tokenizer_for,
};
use llamaboot_checkpoint::{Checkpoint, Header, Regions};
use llamaboot_engine::{Engine, KvType, MemoryPlan, Model};
use llamaboot_kernels::{Kernels, SingleThread};
use llamaboot_test_support::smollm2;
use std::collections::VecDeque;

/// Types a script; `interrupt` holds, for each answer, after how many questions of `go_on` (batches
/// and tokens) Esc is pressed.
struct Script {
    keys: VecDeque<Key>,
    interrupts: VecDeque<Option<usize>>,
    asked: usize,
    said: String,
}

impl Script {
    fn new(text: &str, interrupts: &[Option<usize>]) -> Self {
        let mut decoder = KeyDecoder::default();
        let keys = text.bytes().filter_map(|byte| decoder.push(byte)).collect();
        let interrupts = interrupts.iter().copied().collect();
        Self { keys, interrupts, asked: 0, said: String::new() }
    }
}

impl Console for Script {
    fn write(&mut self, text: &str) {
        self.said.push_str(text);
    }

    fn progress(&mut self, _: &str, _: bool) {}

    fn read_key(&mut self) -> Key {
        if self.asked > 0 {
            self.interrupts.pop_front();
        }
        self.asked = 0;
        self.keys.pop_front().unwrap_or(Key::EndOfInput)
    }

    fn interrupted(&mut self) -> bool {
        self.asked += 1;
        self.interrupts.front().copied().flatten() == Some(self.asked - 1)
    }
}

struct Still;

impl Clock for Still {
    fn micros(&self) -> u64 {
        1
    }
}

fn converse(bytes: &[u8], script: &mut Script) {
    let regions = Regions::whole(bytes);
    let header = Header::parse(&regions).unwrap();
    let checkpoint = Checkpoint::attach(&header, &regions).unwrap();
    let model = Model::new(&checkpoint);
    let plan = MemoryPlan::new(&header, bytes.len() as u64, 256, 32, 1, KvType::F32);
    let engine = Engine::new(&model, &plan, Kernels::best(), &SingleThread).unwrap();
    let tokenizer = tokenizer_for(&header, None).unwrap();
    let (template, _) = template_for(&header, &tokenizer);
    let mut settings = Settings::default();
    settings.set("temperature", "0").unwrap();
    let info = ModelInfo { name: "m".into(), format: "f".into(), memory: 0 };
    Session::new(engine, &tokenizer, template, settings, &Still, info).unwrap().run(script);
}

/// Tokens in use, as `/show` says at the end.
fn used(script: &Script) -> usize {
    let at = script.said.rfind("context ").unwrap();
    script.said[at + 8..].split(' ').next().unwrap().parse().unwrap()
}

/// Esc before the first batch, in the middle of the prompt, and `/logits` in between change nothing
/// of what the model has seen when it answers the next question.
#[test]
fn interruptions_lose_nothing_and_repeat_nothing() {
    let Some(path) = smollm2() else { return };
    let bytes = std::fs::read(path).unwrap();
    let question = "What is the capital of France?\r";
    let mut plain = Script::new(&format!("/set max_tokens 1\r{question}{question}/show\r"), &[]);
    converse(&bytes, &mut plain);
    for (first, more) in [(0, ""), (2, ""), (0, "/logits\r"), (2, "/bench 2\r")] {
        let text = format!("/set max_tokens 1\r{question}{more}{question}/show\r");
        let mut script = Script::new(&text, &[Some(first)]);
        converse(&bytes, &mut script);
        assert!(script.said.contains("[stopped]"), "{}", script.said);
        // The interrupted answer had no token; the plain one had one, which was computed later.
        assert_eq!(used(&script) + 1, used(&plain), "Esc at {first} {more:?}: {}", script.said);
    }
}
