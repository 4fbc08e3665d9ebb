//! What differs between block formats: their planes (see `checkpoint/src/panel.rs`), and how the
//! scales and minima of eight rows come out of a block's head, all eight at once.

use super::features;
use super::registers::*;

/// A block format: its planes, and its scales for eight rows at once.
pub(crate) trait Format {
    /// Bits of the low plane: 2, 4 or 8.
    const LOW: usize;
    /// Bits of the high plane: 0, 1 or 2.
    const HIGH: usize = 0;
    /// What is taken away from the planes' number.
    const OFFSET: i32 = 0;
    /// 32-column parts of a block.
    const PARTS: usize = 1;
    /// Bytes in front of a block's planes, of all eight rows.
    const HEAD: usize;
    /// Spans with a scale of their own in 32 columns: 1 or 2.
    const SPANS: usize = 1;
    /// Whether there is a minimum.
    const MIN: bool = false;

    /// Scale and minimum of span `span` of part `k`. `scales` are int8 groups' own.
    ///
    /// # Safety
    /// A whole head lies at `head`, and `scales` holds every group's.
    unsafe fn scale(head: *const u8, k: usize, span: usize, scales: GroupScales) -> Scale;
}

/// Scale and minimum of eight rows.
pub(crate) type Scale = (Floats, Floats);

/// Where int8 groups keep their scales, and how many columns share one.
#[derive(Clone, Copy)]
pub(crate) struct GroupScales {
    start: *const u8,
    /// Blocks of 32 columns in a group.
    blocks: usize,
    /// The block at work.
    block: usize,
}

impl GroupScales {
    /// Scales from `scales` on, each for `blocks` blocks.
    pub(crate) fn new(scales: &[u8], blocks: usize) -> Self {
        Self { start: scales.as_ptr(), blocks, block: 0 }
    }

    /// The same, at another block.
    pub(crate) fn at(self, block: usize) -> Self {
        Self { block, ..self }
    }
}

/// Eight bytes as one number, a lane a byte.
#[inline]
unsafe fn bytes(at: *const u8) -> u64 {
    // SAFETY: the caller's promise: 8 bytes lie there.
    unsafe { at.cast::<u64>().read_unaligned() }
}

/// Each byte of `x & mask`, an unsigned number, as f32.
#[inline]
#[features]
fn lanes(x: u64, mask: u8) -> Floats {
    from_bytes(x & u64::from_ne_bytes([mask; 8]))
}

/// Formats whose head is an f16 scale, and an f16 minimum where there is one.
macro_rules! simple_formats {
    ($($name:ident: $low:literal, $high:literal, $offset:literal, $min:literal;)*) => {$(
        pub(crate) struct $name;

        impl Format for $name {
            const LOW: usize = $low;
            const HIGH: usize = $high;
            const OFFSET: i32 = $offset;
            const HEAD: usize = if $min { 32 } else { 16 };
            const MIN: bool = $min;

            #[inline]
            #[features]
            unsafe fn scale(head: *const u8, _: usize, _: usize, _: GroupScales) -> Scale {
                // SAFETY: the head's length is as stated above.
                unsafe {
                    let min = if $min { load_f16(head.add(16)) } else { zero() };
                    (load_f16(head), min)
                }
            }
        }
    )*};
}

simple_formats! {
    Q8_0: 8, 0, 0, false;
    Q4_0: 4, 0, 8, false;
    Q4_1: 4, 0, 0, true;
    Q5_0: 4, 1, 16, false;
    Q5_1: 4, 1, 0, true;
}

pub(crate) struct I8Groups;

impl Format for I8Groups {
    const LOW: usize = 8;
    const HEAD: usize = 0;

    #[inline]
    #[features]
    unsafe fn scale(_: *const u8, _: usize, _: usize, scales: GroupScales) -> Scale {
        // SAFETY: the caller's promise: each group has eight scales.
        let scale = unsafe {
            let group = scales.start.add(scales.block / scales.blocks * 32);
            load(group.cast())
        };
        (scale, zero())
    }
}

/// Q4_K and Q5_K: two f16, then six-bit scales and minima in 12 bytes.
#[inline]
#[features]
unsafe fn six_bit_scale(head: *const u8, k: usize) -> Scale {
    // SAFETY: the caller's promise: the head holds 2 f16 and 12 bytes, eight of each.
    unsafe {
        let (d, d_min) = (load_f16(head), load_f16(head.add(16)));
        let packed = |i: usize| bytes(head.add(32 + 8 * i));
        let (scale, min) = if k < 4 {
            (lanes(packed(k), 63), lanes(packed(k + 4), 63))
        } else {
            const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;
            const TOP: u64 = 0x3030_3030_3030_3030;
            let (both, scale, min) = (packed(k + 4), packed(k - 4), packed(k));
            let scale = both & LOW | scale >> 2 & TOP;
            let min = both >> 4 & LOW | min >> 2 & TOP;
            (lanes(scale, 63), lanes(min, 63))
        };
        (mul(d, scale), negated(mul(d_min, min)))
    }
}

macro_rules! six_bit_formats {
    ($($name:ident: $high:literal;)*) => {$(
        pub(crate) struct $name;

        impl Format for $name {
            const LOW: usize = 4;
            const HIGH: usize = $high;
            const PARTS: usize = 8;
            const HEAD: usize = 8 * 16;
            const MIN: bool = true;

            #[inline]
            #[features]
            unsafe fn scale(head: *const u8, k: usize, _: usize, _: GroupScales) -> Scale {
                // SAFETY: the caller's promise.
                unsafe { six_bit_scale(head, k) }
            }
        }
    )*};
}

six_bit_formats! {
    Q4K: 0;
    Q5K: 1;
}

pub(crate) struct Q2K;

impl Format for Q2K {
    const LOW: usize = 2;
    const PARTS: usize = 8;
    const HEAD: usize = 8 * 20;
    const SPANS: usize = 2;
    const MIN: bool = true;

    #[inline]
    #[features]
    unsafe fn scale(head: *const u8, k: usize, span: usize, _: GroupScales) -> Scale {
        // SAFETY: the head holds 2 f16 and 16 bytes, eight of each.
        unsafe {
            let both = bytes(head.add(32 + 8 * (2 * k + span)));
            let (d, d_min) = (load_f16(head), load_f16(head.add(16)));
            let scale = mul(d, lanes(both, 15));
            (scale, negated(mul(d_min, lanes(both >> 4, 15))))
        }
    }
}

pub(crate) struct Q3K;

impl Format for Q3K {
    const LOW: usize = 2;
    const HIGH: usize = 1;
    const OFFSET: i32 = 4;
    const PARTS: usize = 8;
    const HEAD: usize = 8 * 14;
    const SPANS: usize = 2;

    #[inline]
    #[features]
    unsafe fn scale(head: *const u8, k: usize, span: usize, _: GroupScales) -> Scale {
        const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;
        const HIGH: u64 = 0x0303_0303_0303_0303;
        let j = 2 * k + span;
        // SAFETY: the head holds an f16 and 12 bytes, eight of each.
        unsafe {
            let packed = |i: usize| bytes(head.add(16 + 8 * i));
            let low = packed(j % 8) >> (j / 8 * 4) & LOW;
            let high = packed(8 + j % 4) >> (j / 4 * 2) & HIGH;
            let scale = sub(lanes(low | high << 4, 63), splat(32.0));
            (mul(load_f16(head), scale), zero())
        }
    }
}

pub(crate) struct Q6K;

impl Format for Q6K {
    const LOW: usize = 4;
    const HIGH: usize = 2;
    const OFFSET: i32 = 32;
    const PARTS: usize = 8;
    const HEAD: usize = 8 * 18;
    const SPANS: usize = 2;

    #[inline]
    #[features]
    unsafe fn scale(head: *const u8, k: usize, span: usize, _: GroupScales) -> Scale {
        // SAFETY: the head holds an f16 and 16 bytes, eight of each.
        unsafe {
            let scales = bytes(head.add(16 + 8 * (2 * k + span)));
            (mul(load_f16(head), from_signed_bytes(scales)), zero())
        }
    }
}

/// Calls a function of one format, of the module `$formats`, for the tensor's dtype.
macro_rules! for_format {
    ($formats:ident, $w:expr, $function:ident($($argument:expr),*)) => {{
        match $w.dtype {
            DType::Q8_0 => $function::<$formats::Q8_0>($($argument),*),
            DType::Q4_0 => $function::<$formats::Q4_0>($($argument),*),
            DType::Q4_1 => $function::<$formats::Q4_1>($($argument),*),
            DType::Q5_0 => $function::<$formats::Q5_0>($($argument),*),
            DType::Q5_1 => $function::<$formats::Q5_1>($($argument),*),
            DType::Q2K => $function::<$formats::Q2K>($($argument),*),
            DType::Q3K => $function::<$formats::Q3K>($($argument),*),
            DType::Q4K => $function::<$formats::Q4K>($($argument),*),
            DType::Q5K => $function::<$formats::Q5K>($($argument),*),
            DType::Q6K => $function::<$formats::Q6K>($($argument),*),
            DType::I8Groups(_) => $function::<$formats::I8Groups>($($argument),*),
            DType::F32 | DType::F16 | DType::BF16 => {}
        }
    }};
}
pub(crate) use for_format;
