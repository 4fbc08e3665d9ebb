//! Kernels on eight lanes at a time, bit-identical to [`crate::scalar`]: for AVX2, where eight f32
//! are a register, and for SSE2 and NEON, where they are two. `registers.rs` of
//! each gives its instructions the same names, and `kernels/` is one text, compiled with each of
//! them. AVX-512 adds to AVX2's.
//!
//! The 16 lanes of a reduction are two times eight; where a slice ends inside them, the lanes past
//! the end are zeros, which change nothing.
//!
//! AVX2's functions are `unsafe` to call without AVX2, FMA and F16C; [`crate::Kernels`] checks
//! them. Every x86-64 CPU has SSE2, every AArch64 CPU NEON. Slices are read through pointers only
//! at offsets that the loop bounds keep inside.
#![allow(clippy::duplicate_mod, reason = "one text for several kinds of registers")]

/// Functions that do one thing with both halves of eight lanes, made by the `functions!` that
/// `registers.rs` has.
macro_rules! both_halves {
    ($($name:ident($($x:ident),*): $from:ident -> $to:ident = $one:expr;)*) => {
        functions! {$(
            fn $name($($x: $from),*) -> $to {
                $to($one($($x.0),*), $one($($x.1),*))
            }
        )*}
    };
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(target_arch = "x86_64")]
pub(crate) mod sse2;
