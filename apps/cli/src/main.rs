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
    // Nobody reads stderr any more (`llamaboot … 2>&1 | true`): there is nobody to tell.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload().downcast_ref::<String>();
        if message.is_some_and(|message| message.starts_with("failed printing to std")) {
            std::process::exit(1);
        }
        usual(panic);
    }));
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
