//! The conversation at the prompt: line editing, commands, templates.
