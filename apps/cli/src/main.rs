//! `llamaboot`, the host command: the engine of the booted stick, with files, threads and a
//! terminal around it. Exit codes: 0 done, 1 the input or the machine is at fault, 2 wrong usage.

#![deny(unsafe_code)]

mod args;
mod commands;
mod corpus;
mod home;
mod mmap;
mod model;
mod progress;
mod terminal;
mod threads;

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = args::Cli::from_process().command;
    match commands::run(command) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough (`llamaboot … | head`) is no fault.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("llamaboot: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
