//! `chat`: the booted prompt, in a terminal or over pipes.

use crate::args::Chat;
use crate::model::{HostClock, Loaded, sampling};
use crate::terminal::Terminal;
use anyhow::Result;
use llamaboot_chat::{Console as _, Exit, ModelInfo, Session, Settings, template_for};
use llamaboot_engine::Sampling;

pub(crate) fn run(args: &Chat) -> Result<()> {
    let loaded = Loaded::open(&args.file)?;
    let tokenizer = loaded.tokenizer()?;
    let engine = loaded.engine(&args.run, loaded.longest_context(&args.run)?)?;
    let settings = Settings {
        sampling: sampling(&args.sampling, Sampling::default()),
        seed: args.sampling.seed,
        max_tokens: args.max_tokens.filter(|&n| n > 0),
        isa: args.run.isa.map(|_| engine.kernels().isa()),
        kv: args.run.kv(),
        speculation: args.sampling.speculation(),
    };
    let (mut template, unknown) = template_for(&loaded.header, &tokenizer);
    if let Some(message) = unknown {
        eprintln!("llamaboot: {message}");
    }
    match (&mut template, &args.system) {
        (Some(template), Some(system)) => template.set_system(system),
        (None, Some(_)) => eprintln!("llamaboot: a base model takes no --system; it is ignored"),
        _ => {}
    }
    let info = ModelInfo {
        name: loaded.name(),
        format: loaded.format(),
        memory: loaded
            .plan(engine.context(), engine.batch(), engine.threads(), args.run.kv())
            .total(),
    };
    let clock = HostClock::new();
    let mut session = Session::new(engine, &tokenizer, template, settings, &clock, info)?;
    let mut terminal = Terminal::open();
    match session.run(&mut terminal) {
        Exit::Leave => {}
        Exit::PowerOff | Exit::Reboot => {
            terminal.write("only the booted stick can do that; this session ends\n");
        }
    }
    Ok(())
}
