//! `chat`: the booted prompt, in a terminal or over pipes.

use crate::args::{Chat as ChatArgs, ModelFile};
use crate::home::Home;
use crate::model::{HostClock, Loaded};
use crate::terminal::Terminal;
use anyhow::{Context as _, Result};
use llamaboot_chat::{
    Chat, Choice, Config, Console as _, Exit, MenuItem, ModelInfo, Session, Settings, choose,
    is_model_name, template_for, text,
};
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &ChatArgs) -> Result<()> {
    let mut home = Home::open(args.home.as_deref())
        .with_context(|| format!("--home {}", args.home.clone().unwrap_or_default().display()))?;
    let mut chat = Chat::new(settings(args, &home)?);
    let mut terminal = Terminal::open();
    let mut file = args.file.clone();
    while let Some(next) = converse(args, &file, &mut chat, &mut terminal, &mut home)? {
        file = ModelFile { model: next, tokenizer: None };
    }
    terminal.fault().map_or(Ok(()), |fault| Err(fault).context("the answer cannot be written"))
}

/// What the folder's settings file says, and above it what the command line says.
fn settings(args: &ChatArgs, home: &Home) -> Result<Settings> {
    let (Config { mut settings, .. }, mistakes) = home.config()?;
    mistakes.iter().for_each(|mistake| eprintln!("llamaboot: {mistake}"));
    args.run.apply(&mut settings)?;
    args.sampling.apply(&mut settings);
    if let Some(most) = args.max_tokens {
        settings.max_tokens = Some(most).filter(|&most| most > 0);
    }
    match args.system.as_deref() {
        None => {}
        Some("") => settings.system = Choice::None,
        Some(system) => settings.system = Choice::Some(system.to_string()),
    }
    Ok(settings)
}

/// Loads a model and talks until the user leaves, or goes on to another model, which is returned.
fn converse(
    args: &ChatArgs,
    file: &ModelFile,
    chat: &mut Chat,
    terminal: &mut Terminal,
    home: &mut Home,
) -> Result<Option<PathBuf>> {
    let loaded = Loaded::open(file)?;
    let tokenizer = loaded.tokenizer()?;
    let run = args.run.with(&chat.settings);
    let longest = loaded.longest_context(&run)?;
    let context = chat.settings.context.map_or(longest, |context| context.min(longest));
    let engine = loaded.engine(&run, context)?;
    let (template, unknown) = template_for(&loaded.header, &tokenizer);
    if let Some(message) = unknown {
        eprintln!("llamaboot: {message}");
    }
    if template.is_none() && args.system.is_some() {
        eprintln!("llamaboot: a base model takes no --system; it is ignored");
    }
    let plan = loaded.plan(engine.context(), engine.batch(), engine.threads(), run.kv());
    let info = ModelInfo {
        name: loaded.name(),
        bytes: loaded.bytes.len() as u64,
        format: loaded.format(),
        memory: plan.total(),
        longest,
    };
    let clock = HostClock::new();
    let mut session = Session::new(engine, &tokenizer, template, chat, &clock, info)?;
    terminal.begin();
    let next = loop {
        match session.run(terminal, home) {
            Exit::Leave => break None,
            Exit::Models => {
                let files = models_beside(file);
                let items: Vec<MenuItem> = files.iter().map(|path| menu_item(path)).collect();
                let current = files.iter().position(|path| *path == file.model).unwrap_or(0);
                let chosen = choose(terminal, session.settings_mut(), &items, current);
                match chosen.map(|index| files[index].clone()) {
                    Some(path) if path != file.model => break Some(path),
                    _ => {}
                }
            }
            Exit::PowerOff | Exit::Reboot | Exit::Firmware | Exit::Installed => {
                terminal.write(&format!("{}\n", text::HOST_ONLY.get(session.language())));
            }
        }
    };
    *chat = session.into_chat();
    if next.is_none() && chat.incognito {
        terminal.wipe();
    }
    terminal.end();
    Ok(next)
}

/// The models in the folder of this one that can be run, by name.
fn models_beside(file: &ModelFile) -> Vec<PathBuf> {
    let entries = file.model.parent().map(|folder| std::fs::read_dir(folder.join(".")));
    let paths = entries.into_iter().flatten().flatten().flatten().map(|entry| entry.file_name());
    let mut paths: Vec<PathBuf> = paths
        .filter(|name| is_model_name(&name.to_string_lossy()))
        .map(|name| file.model.with_file_name(name))
        .filter(|path| open(path).is_ok())
        .collect();
    if !paths.contains(&file.model) {
        paths.push(file.model.clone());
    }
    paths.sort();
    paths
}

fn menu_item(path: &Path) -> MenuItem {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let opened = open(path);
    let detail = opened.as_ref().map_or_else(|e| format!("{e:#}"), Loaded::format);
    MenuItem { name, detail, usable: opened.is_ok() }
}

fn open(path: &Path) -> Result<Loaded> {
    Loaded::open(&ModelFile { model: path.to_path_buf(), tokenizer: None })
}
