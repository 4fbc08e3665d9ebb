//! What a screen needs to show text.

pub mod font;
