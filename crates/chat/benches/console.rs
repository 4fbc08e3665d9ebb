//! What the console costs beside the model: `cargo bench -p llamaboot-chat --bench console`.
//!
//! A checkpoint in the shape of stories15M (weights are noise) computes token after token, and each
//! token's word goes to a page of 1920 x 1080 pixels in memory, with its status line, as on a
//! booted machine. Printed: the console's share of the time, how much it paints, and the time of a
//! scroll in which every cell changes.

#![allow(clippy::unwrap_used, reason = "a program for people")]

use llamaboot_chat::{Clock, Screen, Status, Surface};
use llamaboot_checkpoint::{Checkpoint, Header, Regions};
use llamaboot_engine::{Engine, KvType, Logits, MemoryPlan, Model};
use llamaboot_kernels::{Kernels, SingleThread};
use std::time::Instant;

/// A framebuffer in memory.
struct Memory {
    pixels: Vec<u32>,
    paints: usize,
}

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;

impl Surface for Memory {
    fn size(&self) -> (usize, usize) {
        (WIDTH, HEIGHT)
    }

    fn show(&mut self, x: usize, y: usize, width: usize, pixels: &[u32]) {
        for (row, pixels) in pixels.chunks(width).enumerate() {
            self.pixels[(y + row) * WIDTH + x..][..width].copy_from_slice(pixels);
        }
        self.paints += 1;
    }
}

fn screen() -> Screen<Memory> {
    Screen::new(Memory { pixels: vec![0; WIDTH * HEIGHT], paints: 0 })
}

struct Watch(Instant);

impl Clock for Watch {
    fn micros(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

/// A llama2.c checkpoint of version 0: seven integers, then the weights.
fn checkpoint() -> Vec<u8> {
    let (dim, hidden, layers, heads, vocab, context) = (288, 768, 6, 6, 32_000, 256);
    let head_dim = dim / heads;
    let matrices = layers * (4 * dim * dim + 3 * dim * hidden);
    let norms = (2 * layers + 1) * dim;
    let floats = vocab * dim + matrices + norms + context * head_dim;
    let head = [dim, hidden, layers, heads, heads, vocab, context];
    let mut bytes: Vec<u8> = head.iter().flat_map(|&n| (n as u32).to_le_bytes()).collect();
    let mut state = 1_u32;
    for _ in 0..floats {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let small = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
        bytes.extend((0.1 * small).to_le_bytes());
    }
    bytes
}

fn main() {
    let clock = Watch(Instant::now());
    scroll(&clock);

    let bytes = checkpoint();
    let regions = Regions::whole(&bytes);
    let header = Header::parse(&regions).unwrap();
    let model = Model::new(&Checkpoint::attach(&header, &regions).unwrap());
    let plan = MemoryPlan::new(&header, bytes.len() as u64, 256, 1, 1, KvType::F32);
    let mut engine = Engine::new(&model, &plan, Kernels::best(), &SingleThread).unwrap();
    let words =
        ["once ", "upon ", "a ", "time ", "there ", "was ", "an ", "ele", "phant, ", "so.\n"];
    let mut screen = screen();
    let (mut computing, mut showing, mut tokens) = (0, 0, 0_usize);
    while computing < 5_000_000 {
        if engine.held().len() == engine.context() {
            engine.truncate(0);
        }
        let start = clock.micros();
        engine.forward(&[(tokens * 7919 % 32_000) as u32], Logits::Last).unwrap();
        let computed = clock.micros();
        screen.write(words[tokens % words.len()]);
        if tokens.is_multiple_of(100) {
            screen.status(&Status {
                model: "15M",
                used: engine.held().len(),
                context: 256,
                tokens_per_second: Some(500.0),
                keyboard: "us",
                doing: None,
            });
        }
        screen.refresh(&clock);
        let shown = clock.micros();
        (computing, showing) = (computing + computed - start, showing + shown - computed);
        tokens += 1;
    }
    let share = 100.0 * showing as f64 / (showing + computing) as f64;
    let rate = tokens as f64 * 1e6 / (showing + computing) as f64;
    let strips = screen.surface().paints as f64 / tokens as f64;
    println!(
        "15M: {rate:.0} tokens/s, console {share:.2} % of the time, {strips:.1} strips a token"
    );
}

/// Every cell of the page changes.
fn scroll(clock: &dyn Clock) {
    let mut screen = screen();
    let text = "Sphinx_of_black_quartz,_judge_my_vow.".repeat(8);
    let mut times: Vec<u64> = (0..200)
        .map(|number| {
            screen.write(&format!("{}\n", &text[number % 37..][..120]));
            let start = clock.micros();
            screen.paint();
            clock.micros() - start
        })
        .collect();
    times.drain(..50);
    times.sort_unstable();
    println!("full-screen scroll at 1920 x 1080: {} us (median)", times[times.len() / 2]);
}
