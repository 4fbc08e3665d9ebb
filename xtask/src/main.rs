//! `cargo xtask`: every development task. The two that a newcomer needs are `demo` and `test`.

#![forbid(unsafe_code)]

mod bench;
mod chart;
mod demo;
mod emulate;
mod exhaustive;
mod tidy;

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand};
use llamaboot_kernels::Kernels;
use std::collections::BTreeSet;
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use xtask::{aarch64, build, root, run, setup};

/// Development tasks of llamaboot.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing (QEMU, firmware, a compiler for it, the chat model), saying what
    Setup {
        /// Install Mesa's software Vulkan, on which `test --gpu` runs where there is no GPU
        #[arg(long)]
        gpu: bool,
    },
    /// Build the boot program, target/uefi/BOOTX64.EFI, and the host command
    Build,
    /// Boot into a chat in QEMU, in this terminal
    Demo(demo::Options),
    /// Run every test: unit, golden, property, and real boots in QEMU
    Test {
        /// Run the tests of training on a GPU instead, which build 175 crates more
        #[arg(long, conflicts_with = "aarch64")]
        gpu: bool,
        /// Run only the tests of AArch64's kernels, under an emulator
        #[arg(long, conflicts_with = "args")]
        aarch64: bool,
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Boot an image of your own in QEMU, in this terminal
    Qemu(demo::Qemu),
    /// Run the property tests (mutated model files, tokenizers, keys, shapes) for long
    Fuzz {
        /// Cases of each property
        #[arg(long, default_value_t = 20_000)]
        cases: u32,
    },
    /// Measure our speed beside llama2.c's and llama.cpp's; writes a table and a chart
    #[command(
        after_help = "LLAMA2C_RUN names llama2.c's run, LLAMA_BENCH llama.cpp's llama-bench."
    )]
    Bench(bench::Options),
    /// Check formatting, lints, file lengths, stray notes
    Tidy {
        /// Lint the code of training on a GPU as well
        #[arg(long)]
        gpu: bool,
    },
    /// Run the kernels' tests on an emulated CPU with AVX-512, BF16 and AMX, some ten minutes
    Emulate,
    /// Prove that exp is correctly rounded: all 2^32 inputs, a minute or two
    Exhaustive,
}

fn main() -> ExitCode {
    match start(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(task: Task) -> Result<()> {
    match task {
        Task::Setup { gpu: false } => setup::setup(),
        Task::Setup { gpu: true } => setup::software_gpu(),
        Task::Build => {
            println!("{}", build::build()?.display());
            run(Command::new("cargo").current_dir(root()).args([
                "build",
                "--release",
                "--package",
                "llamaboot",
            ]))
        }
        Task::Demo(options) => demo::demo(&options),
        Task::Test { gpu: true, args, .. } => test_gpu(&args),
        Task::Test { aarch64: true, .. } => {
            ensure!(!cfg!(target_arch = "aarch64"), "this machine's own tests are those already");
            setup::emulator();
            aarch64::test()?.map_or(Ok(()), |reason| bail!("SKIPPED: {reason}"))
        }
        Task::Test { args, .. } => test(&args),
        Task::Qemu(options) => demo::qemu(&options),
        Task::Fuzz { cases } => fuzz(cases),
        Task::Bench(options) => bench::bench(&options),
        Task::Tidy { gpu } => tidy::tidy(gpu),
        Task::Emulate => emulate::emulate(),
        Task::Exhaustive => {
            exhaustive::run(&[(&format!("{} kernel", Kernels::best().isa()), exp_kernel)])
        }
    }
}

/// Every property test of the crates, with many more cases than in `cargo xtask test`.
fn fuzz(cases: u32) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).arg("test").env("PROPTEST_CASES", cases.to_string());
    for package in ["checkpoint", "convert", "tokenizer", "kernels", "chat", "math"] {
        cargo.args(["--package", &format!("llamaboot-{package}")]);
    }
    run(&mut cargo)
}

/// The exp of the best kernels, as the engine calls it.
fn exp_kernel(inputs: &[f32], outputs: &mut [f32]) {
    // CPUID traps to the hypervisor on a virtual machine, so the CPU is asked once.
    static KERNELS: LazyLock<Kernels> = LazyLock::new(Kernels::best);
    outputs.copy_from_slice(inputs);
    KERNELS.exp(outputs);
}

/// `apps/boot` links only for firmware; everything else is tested on the host, and the boot
/// program in QEMU by `tests/qemu`. Then the kernels of AArch64, under an emulator.
fn test(args: &[String]) -> Result<()> {
    setup::setup()?;
    build::build()?;
    let skipped = root().join("target/skipped.txt");
    let _ = std::fs::remove_file(&skipped);
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args(["test", "--workspace", "--exclude", "llamaboot-boot"])
        .args(["--exclude", "llamaboot-train-gpu"])
        .args(args);
    cargo.env("LLAMABOOT_SKIPPED", &skipped);
    run(&mut cargo)?;
    let mut list = std::fs::read_to_string(&skipped).unwrap_or_default();
    // Words for `cargo test` choose among the tests of this machine.
    if args.is_empty()
        && let Some(reason) = aarch64::test()?
    {
        eprintln!("SKIPPED: {reason}");
        list.push_str(reason);
    }
    let reasons: BTreeSet<&str> = list.lines().collect();
    if !reasons.is_empty() {
        println!("Some checks were skipped, for these reasons:");
        reasons.iter().for_each(|reason| println!("  {reason}"));
    }
    Ok(())
}

/// Training on a GPU: its gradients beside the CPU's, and whole runs of the command.
fn test_gpu(args: &[String]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args(["test", "--package", "llamaboot-train-gpu", "--package", "llamaboot"])
        .args(["--features", "llamaboot/gpu", "--test", "gradients", "--test", "train_gpu"])
        .args(args);
    run(&mut cargo)
}
