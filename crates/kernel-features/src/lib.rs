//! Attributes that say with which CPU features a kernel is compiled.
//!
//! `kernels/src/simd8/kernels/` is one text, compiled once for each kind of registers. It marks its
//! functions with `#[features]`, which each of those imports under that name from here: the
//! features of a `#[target_feature]` must stand in it, word for word.

#![forbid(unsafe_code)]

use proc_macro::TokenStream;

/// `#[target_feature(enable = "avx2,fma,f16c")]`.
#[proc_macro_attribute]
pub fn avx2(_: TokenStream, function: TokenStream) -> TokenStream {
    with("#[target_feature(enable = \"avx2,fma,f16c\")]", function)
}

/// `#[target_feature(enable = "sse2")]`.
#[proc_macro_attribute]
pub fn sse2(_: TokenStream, function: TokenStream) -> TokenStream {
    with("#[target_feature(enable = \"sse2\")]", function)
}

/// `#[target_feature(enable = "neon")]`.
#[proc_macro_attribute]
pub fn neon(_: TokenStream, function: TokenStream) -> TokenStream {
    with("#[target_feature(enable = \"neon\")]", function)
}

fn with(attribute: &str, function: TokenStream) -> TokenStream {
    let attribute: TokenStream = attribute.parse().expect("an attribute");
    attribute.into_iter().chain(function).collect()
}
