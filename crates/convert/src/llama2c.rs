//! llama2.c's `.bin`: version 0 with its rotary tables, and version 2 in int8 groups.
//!
//! The layouts stand in `llamaboot_checkpoint::llama2c`, which reads them. Neither has room for ε,
//! rotary base and scaling, or a head's width, so models that differ from the constants in
//! llama2.c's code are refused.

use crate::encode::{encode, int8_groups};
use crate::save::too_large;
use crate::{Error, Model, WeightType};
use llamaboot_checkpoint::llama2c::{HEADER_LEN, MAGIC, NORM_EPS, ROPE_BASE};
use llamaboot_checkpoint::{Config, Role, RopeScaling};
use llamaboot_math::{pow, sin_cos};
use std::io::Write;

/// Groups of version 2 have this many weights, or a half, a quarter, … of it.
const GROUP: usize = 64;

/// Writes version 0: everything in f32.
pub(crate) fn write_v0(model: &Model, out: &mut dyn Write) -> Result<(), Error> {
    check(model)?;
    let mut numbers = numbers(&model.config)?;
    if !model.layout.is_tied() {
        numbers[5] = -numbers[5];
    }
    out.write_all(&numbers.map(i32::to_le_bytes).concat())?;
    for (role, range) in model.layout.iter() {
        if role == Role::Output {
            write_rotary_tables(&model.config, out)?;
        }
        write_f32(role, &model.weights[range], out)?;
    }
    if model.layout.is_tied() {
        write_rotary_tables(&model.config, out)?;
    }
    Ok(())
}

/// Writes version 2: norms in f32, matrices in int8 groups.
pub(crate) fn write_v2(model: &Model, out: &mut dyn Write) -> Result<(), Error> {
    check(model)?;
    let group = group_size(&model.config);
    let mut head = MAGIC.to_le_bytes().to_vec();
    head.extend(2_i32.to_le_bytes());
    head.extend(numbers(&model.config)?.map(i32::to_le_bytes).concat());
    head.push(u8::from(model.layout.is_tied()));
    head.extend((group as i32).to_le_bytes());
    head.resize(HEADER_LEN as usize, 0);
    out.write_all(&head)?;
    for (role, range) in norms_first(model) {
        let weights = &model.weights[range];
        if role.is_vector() {
            write_f32(role, weights, out)?;
            continue;
        }
        let (q, scales) = int8_groups(weights, group);
        out.write_all(&q)?;
        out.write_all(&scales)?;
    }
    Ok(())
}

/// The tensors in version 2's order: norms of the layers, the last norm, embeddings, matrices.
fn norms_first(model: &Model) -> Vec<(Role, std::ops::Range<usize>)> {
    let mut places: Vec<_> = model.layout.iter().collect();
    places.sort_by_key(|(role, _)| match role {
        Role::AttnNorm(_) | Role::FfnNorm(_) => 0,
        Role::OutputNorm => 1,
        _ => 2,
    });
    places
}

/// Weights in a group of version 2: 64, halved until whole groups fill the rows of every matrix.
pub(crate) fn group_size(config: &Config) -> usize {
    let mut group = GROUP;
    while !config.dim.is_multiple_of(group) || !config.hidden_dim.is_multiple_of(group) {
        group /= 2;
    }
    group
}

fn write_f32(role: Role, weights: &[f32], out: &mut dyn Write) -> Result<(), Error> {
    let mut bytes = Vec::new();
    for weights in weights.chunks(1 << 16) {
        bytes.clear();
        encode(WeightType::F32, weights, &mut bytes).map_err(|e| too_large(role, e))?;
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Cosines, then sines, `(seq_len, head_dim / 2)` each, of `pos * 10000^(-2i / head_dim)`. Newer
/// readers skip them. Each step is rounded to f32, as llama2.c's model.py computes them.
fn write_rotary_tables(config: &Config, out: &mut dyn Write) -> Result<(), Error> {
    let width = config.head_dim as f32;
    let frequency = |i: usize| {
        let exponent = f64::from((2 * i) as f32 / width);
        1.0 / pow(f64::from(ROPE_BASE), exponent) as f32
    };
    let frequencies: Vec<f32> = (0..config.head_dim / 2).map(frequency).collect();
    let cos = |angle: f32| sin_cos(f64::from(angle)).1 as f32;
    let sin = |angle: f32| sin_cos(f64::from(angle)).0 as f32;
    for function in [&cos as &dyn Fn(f32) -> f32, &sin] {
        for pos in 0..config.seq_len {
            let row = frequencies.iter().map(|frequency| function(pos as f32 * frequency));
            out.write_all(&row.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())?;
        }
    }
    Ok(())
}

/// The seven numbers of every version.
fn numbers(config: &Config) -> Result<[i32; 7], Error> {
    let number = |n: usize| {
        i32::try_from(n).map_err(|_| Error::value("llama2.c .bin", "numbers below 2^31", n))
    };
    Ok([
        number(config.dim)?,
        number(config.hidden_dim)?,
        number(config.n_layers)?,
        number(config.n_heads)?,
        number(config.n_kv_heads)?,
        number(config.vocab_size)?,
        number(config.seq_len)?,
    ])
}

/// Refuses what llama2.c would compute otherwise.
pub(crate) fn check(model: &Model) -> Result<(), Error> {
    let config = &model.config;
    let differs = |what: &str, expected: &str, found: String| {
        Err(Error::value(&format!("{what} in a llama2.c .bin"), expected, found))
    };
    if config.norm_eps != NORM_EPS {
        return differs("norm_eps", "1e-5, llama2.c's", format!("{:e}", config.norm_eps));
    }
    if config.rope_base != ROPE_BASE {
        return differs("rope_base", "10000, llama2.c's", config.rope_base.to_string());
    }
    if config.head_dim * config.n_heads != config.dim {
        let expected = format!("dim / n_heads = {} / {}", config.dim, config.n_heads);
        return differs("head_dim", &expected, config.head_dim.to_string());
    }
    match (config.rope_scaling, &model.rope_divisors) {
        (RopeScaling::None, None) => Ok(()),
        (RopeScaling::Linear(factor), _) => {
            differs("rope_scaling", "none, as llama2.c has", format!("linear, {factor}"))
        }
        (RopeScaling::None, Some(_)) => {
            differs("rope_scaling", "none, as llama2.c has", String::from("Llama 3's divisors"))
        }
    }
}
