//! Panels of eight rows (see `checkpoint/src/panel.rs`) against int16 activations.
//!
//! ```text
//! for each span of 16 or 32 columns that shares a scale:
//!   for each pair p of columns:  s += pmaddwd(pair p of 8 rows as i16, (x[2p], x[2p+1]))
//!   acc = fma(f32(s - offset * Σ x), scale * dx, acc);  with minima: acc = fma(Σ x, min * dx, acc)
//! ```
//! One token reads four streams of panels; more tokens share what is read of two. What differs
//! between formats is a [`Format`]; the AVX-512 kernels use the same ones.

use crate::activations::{Activations, BLOCK, BlockInfo};
use crate::matmul::{Output, streams};
use core::arch::x86_64::*;
use core::ops::Range;
use llamaboot_checkpoint::{DType, PANEL_ROWS, Tensor};

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
pub(crate) type Scale = (__m256, __m256);

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
    /// The same, at another block.
    pub(crate) fn at(self, block: usize) -> Self {
        Self { block, ..self }
    }
}

/// Eight f16 as f32.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn halves(at: *const u8) -> __m256 {
    // SAFETY: the caller's promise: 16 bytes lie there.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
}

/// Eight bytes as one number, a lane a byte.
#[inline]
unsafe fn bytes(at: *const u8) -> u64 {
    // SAFETY: the caller's promise: 8 bytes lie there.
    unsafe { at.cast::<u64>().read_unaligned() }
}

/// Each byte of `x & mask`, an unsigned number, as f32.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn lanes(x: u64, mask: u8) -> __m256 {
    let x = x & u64::from_ne_bytes([mask; 8]);
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(x.cast_signed())))
}

/// The sign of every lane turned.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn negated(x: __m256) -> __m256 {
    _mm256_xor_ps(x, _mm256_set1_ps(-0.0))
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
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn scale(head: *const u8, _: usize, _: usize, _: GroupScales) -> Scale {
                // SAFETY: the head's length is as stated above.
                unsafe {
                    let min = if $min { halves(head.add(16)) } else { _mm256_setzero_ps() };
                    (halves(head), min)
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
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scale(_: *const u8, _: usize, _: usize, scales: GroupScales) -> Scale {
        // SAFETY: the caller's promise: each group has eight scales.
        let scale = unsafe {
            let group = scales.start.add(scales.block / scales.blocks * 32);
            _mm256_loadu_ps(group.cast())
        };
        (scale, _mm256_setzero_ps())
    }
}

/// Q4_K and Q5_K: two f16, then six-bit scales and minima in 12 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn six_bit_scale(head: *const u8, k: usize) -> Scale {
    // SAFETY: the caller's promise: the head holds 2 f16 and 12 bytes, eight of each.
    unsafe {
        let (d, d_min) = (halves(head), halves(head.add(16)));
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
        (_mm256_mul_ps(d, scale), negated(_mm256_mul_ps(d_min, min)))
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
            #[target_feature(enable = "avx2,fma,f16c")]
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
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scale(head: *const u8, k: usize, span: usize, _: GroupScales) -> Scale {
        // SAFETY: the head holds 2 f16 and 16 bytes, eight of each.
        unsafe {
            let both = bytes(head.add(32 + 8 * (2 * k + span)));
            let (d, d_min) = (halves(head), halves(head.add(16)));
            let scale = _mm256_mul_ps(d, lanes(both, 15));
            (scale, negated(_mm256_mul_ps(d_min, lanes(both >> 4, 15))))
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
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scale(head: *const u8, k: usize, span: usize, _: GroupScales) -> Scale {
        const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;
        const HIGH: u64 = 0x0303_0303_0303_0303;
        let j = 2 * k + span;
        // SAFETY: the head holds an f16 and 12 bytes, eight of each.
        unsafe {
            let packed = |i: usize| bytes(head.add(16 + 8 * i));
            let low = packed(j % 8) >> (j / 8 * 4) & LOW;
            let high = packed(8 + j % 4) >> (j / 4 * 2) & HIGH;
            let scale = _mm256_sub_ps(lanes(low | high << 4, 63), _mm256_set1_ps(32.0));
            (_mm256_mul_ps(halves(head), scale), _mm256_setzero_ps())
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
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scale(head: *const u8, k: usize, span: usize, _: GroupScales) -> Scale {
        // SAFETY: the head holds an f16 and 16 bytes, eight of each.
        unsafe {
            let scales = bytes(head.add(16 + 8 * (2 * k + span)));
            let scales = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(scales.cast_signed()));
            (_mm256_mul_ps(halves(head), _mm256_cvtepi32_ps(scales)), _mm256_setzero_ps())
        }
    }
}

/// `x` with the bits from `from` on moved to `to` on, in every u16.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn shifted(x: __m256i, from: usize, to: usize) -> __m256i {
    // Both are constants where this is inlined, and so are the shifts.
    if from > to {
        _mm256_srl_epi16(x, _mm_cvtsi32_si128((from - to) as i32))
    } else {
        _mm256_sll_epi16(x, _mm_cvtsi32_si128((to - from) as i32))
    }
}

/// Pair `p` of eight rows as i16, the offset not yet taken away.
///
/// # Safety
/// The planes of 32 columns of eight rows lie at `planes`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn pair<F: Format>(planes: *const u8, p: usize) -> __m256i {
    // SAFETY: the caller's promise, and `p` is below 16.
    unsafe {
        if F::LOW == 8 {
            return _mm256_cvtepi8_epi16(_mm_loadu_si128(planes.add(16 * p).cast()));
        }
        let field = |plane: *const u8, bits: usize, to: usize| {
            let in_u16 = 16 / bits;
            let words = _mm256_loadu_si256(plane.add(p / in_u16 * 32).cast());
            let mask = _mm256_set1_epi16((((1 << bits) - 1) << to) as i16);
            _mm256_and_si256(shifted(words, p % in_u16 * bits, to), mask)
        };
        let low = field(planes, F::LOW, 0);
        if F::HIGH == 0 {
            return low;
        }
        _mm256_or_si256(low, field(planes.add(32 * F::LOW), F::HIGH, F::LOW))
    }
}

/// Panels of a group of streams, ready to be read.
pub(crate) struct Panels<'a, const P: usize> {
    pub(crate) numbers: [usize; P],
    pub(crate) data: [&'a [u8]; P],
    pub(crate) scales: [GroupScales; P],
}

impl<'a, const P: usize> Panels<'a, P> {
    /// # Panics
    /// Where a panel is not as long as `F` says.
    pub(crate) fn new<F: Format>(w: &Tensor<'a>, numbers: [usize; P]) -> Self {
        let data = numbers.map(|panel| w.panel(panel));
        let len = w.cols / (32 * F::PARTS) * block_len::<F>();
        assert!(data.iter().all(|data| data.len() == len), "a panel of another length");
        let blocks = if let DType::I8Groups(group) = w.dtype { group as usize / 32 } else { 1 };
        let scales = numbers.map(|panel| {
            let scales = w.panel_scales(panel);
            assert!(F::HEAD > 0 || scales.len() == w.cols / (32 * blocks) * 32, "scales");
            GroupScales { start: scales.as_ptr(), blocks, block: 0 }
        });
        Self { numbers, data, scales }
    }
}

/// Bytes of a panel's block.
pub(crate) const fn block_len<F: Format>() -> usize {
    F::HEAD + F::PARTS * part_len::<F>()
}

/// Bytes of the planes of 32 columns.
pub(crate) const fn part_len<F: Format>() -> usize {
    32 * (F::LOW + F::HIGH)
}

/// Ends a span: `acc += sum` as the crate's head defines it.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn span_step<F: Format>(
    (scale, min): Scale,
    sum: __m256i,
    info: &BlockInfo,
    span: usize,
    acc: __m256,
) -> __m256 {
    let x_sum = if F::SPANS == 1 { info.sums[0] + info.sums[1] } else { info.sums[span] };
    let sum = if F::OFFSET == 0 {
        sum
    } else {
        _mm256_sub_epi32(sum, _mm256_set1_epi32(F::OFFSET * x_sum))
    };
    let dx = _mm256_set1_ps(info.scale);
    let acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, dx), acc);
    if F::MIN {
        _mm256_fmadd_ps(_mm256_set1_ps(x_sum as f32), _mm256_mul_ps(min, dx), acc)
    } else {
        acc
    }
}

/// `P` panels times `T` tokens from `first` on.
#[target_feature(enable = "avx2,fma,f16c")]
fn tile<F: Format, const P: usize, const T: usize>(
    panels: &Panels<'_, P>,
    x: &Activations,
    first: usize,
    out: &mut Output<'_>,
) {
    let q: [&[i16]; T] = core::array::from_fn(|t| x.row_q(first + t));
    let infos: [&[BlockInfo]; T] = core::array::from_fn(|t| x.row_infos(first + t));
    let blocks = infos[0].len();
    assert!(q.iter().all(|q| q.len() == blocks * BLOCK), "rows of blocks");
    assert!(infos.iter().all(|infos| infos.len() == blocks), "rows of blocks");
    let mut acc = [[_mm256_setzero_ps(); T]; P];
    for block in 0..blocks {
        let (index, k) = (block / F::PARTS, block % F::PARTS);
        let head = |panel: usize| {
            // SAFETY: `Panels` has checked that every block is there.
            unsafe { panels.data[panel].as_ptr().add(index * block_len::<F>()) }
        };
        // SAFETY: as above.
        let planes: [*const u8; P] =
            core::array::from_fn(|panel| unsafe { head(panel).add(F::HEAD + k * part_len::<F>()) });
        for span in 0..F::SPANS {
            let mut sums = [[_mm256_setzero_si256(); T]; P];
            let pairs = 16 / F::SPANS;
            for p in span * pairs..(span + 1) * pairs {
                // SAFETY: the planes of a block, and p is below 16.
                let w = planes.map(|planes| unsafe { pair::<F>(planes, p) });
                for (t, q) in q.iter().enumerate() {
                    // SAFETY: two int16 of this block, inside the row (asserted).
                    let x = unsafe {
                        let pair = q.as_ptr().add(block * BLOCK + 2 * p);
                        _mm256_set1_epi32(pair.cast::<i32>().read_unaligned())
                    };
                    for (sums, w) in sums.iter_mut().zip(w) {
                        sums[t] = _mm256_add_epi32(sums[t], _mm256_madd_epi16(w, x));
                    }
                }
            }
            for (panel, (acc, sums)) in acc.iter_mut().zip(sums).enumerate() {
                // SAFETY: a whole head lies there, and all groups' scales (see `Panels`).
                let scale =
                    unsafe { F::scale(head(panel), k, span, panels.scales[panel].at(block)) };
                for ((acc, sum), infos) in acc.iter_mut().zip(sums).zip(infos) {
                    *acc = span_step::<F>(scale, sum, &infos[block], span, *acc);
                }
            }
        }
    }
    for (&panel, acc) in panels.numbers.iter().zip(acc) {
        for (t, acc) in acc.into_iter().enumerate() {
            super::store_first(out.rows(first + t, panel * PANEL_ROWS, PANEL_ROWS), acc);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn tokens<F: Format, const P: usize>(
    w: &Tensor<'_>,
    numbers: [usize; P],
    x: &Activations,
    out: &mut Output<'_>,
) {
    let panels = Panels::new::<F>(w, numbers);
    let mut token = 0;
    while token < x.tokens {
        let left = x.tokens - token;
        if left >= 6 {
            tile::<F, P, 6>(&panels, x, token, out);
            token += 6;
        } else if left >= 3 {
            tile::<F, P, 3>(&panels, x, token, out);
            token += 3;
        } else {
            tile::<F, P, 1>(&panels, x, token, out);
            token += 1;
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn matrix<F: Format>(w: &Tensor<'_>, panels: Range<usize>, x: &Activations, out: &mut Output<'_>) {
    if x.tokens == 1 {
        let (steps, rest) = streams::<4>(panels);
        for panels in steps {
            tile::<F, 4, 1>(&Panels::new::<F>(w, panels), x, 0, out);
        }
        return rest.for_each(|panel| tokens::<F, 1>(w, [panel], x, out));
    }
    let (steps, rest) = streams::<2>(panels);
    for panels in steps {
        tokens::<F, 2>(w, panels, x, out);
    }
    rest.for_each(|panel| tokens::<F, 1>(w, [panel], x, out));
}

/// Calls a function of one format for the tensor's dtype.
macro_rules! for_format {
    ($w:expr, $function:ident($($argument:expr),*)) => {{
        use crate::avx2::panels::{
            I8Groups, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0,
        };
        match $w.dtype {
            DType::Q8_0 => $function::<Q8_0>($($argument),*),
            DType::Q4_0 => $function::<Q4_0>($($argument),*),
            DType::Q4_1 => $function::<Q4_1>($($argument),*),
            DType::Q5_0 => $function::<Q5_0>($($argument),*),
            DType::Q5_1 => $function::<Q5_1>($($argument),*),
            DType::Q2K => $function::<Q2K>($($argument),*),
            DType::Q3K => $function::<Q3K>($($argument),*),
            DType::Q4K => $function::<Q4K>($($argument),*),
            DType::Q5K => $function::<Q5K>($($argument),*),
            DType::Q6K => $function::<Q6K>($($argument),*),
            DType::I8Groups(_) => $function::<I8Groups>($($argument),*),
            DType::F32 | DType::F16 | DType::BF16 => {}
        }
    }};
}
pub(crate) use for_format;

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn panels(w: &Tensor<'_>, panels: Range<usize>, x: &Activations, out: &mut Output<'_>) {
    for_format!(w, matrix(w, panels, x, out));
}
