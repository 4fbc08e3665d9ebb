//! The crate's tests from outside. They need the models and vectors of the data folder, which is no
//! part of the project; `llamaboot_test_support` says where that is.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod llama2c;
mod llama_cpp;
mod malformed;
mod naive;
mod properties;
mod sentencepiece;
mod speed;
mod train;
