//! AVX2, FMA and F16C under the names that the kernels of eight lanes use: most are instructions,
//! renamed.
//!
//! Every function here is `unsafe` to call without the three features; [`crate::Kernels`] checks
//! them.

use core::arch::x86_64::*;
use llamaboot_math::exp as constants;

/// Eight f32; any 32 bytes of integers; four f64; four f32.
pub(crate) use core::arch::x86_64::{
    __m128 as Four, __m256 as Floats, __m256d as Doubles, __m256i as Integers,
};

pub(super) use core::arch::x86_64::{
    _mm_div_ps as div_4, _mm_set1_ps as splat_4, _mm_storeu_ps as store_4,
    _mm256_add_epi32 as add_i32, _mm256_add_epi64 as add_i64, _mm256_add_pd as add_f64,
    _mm256_add_ps as add, _mm256_and_si256 as and, _mm256_castps_si256 as bits,
    _mm256_castsi256_ps as from_bits, _mm256_cvtepi32_ps as convert, _mm256_cvtps_epi32 as round,
    _mm256_div_ps as div, _mm256_fmadd_ps as fma, _mm256_fnmadd_ps as fnma,
    _mm256_loadu_ps as load, _mm256_loadu_si256 as load_integers, _mm256_max_epu32 as max_u32,
    _mm256_max_ps as max, _mm256_min_ps as min, _mm256_mul_pd as mul_f64, _mm256_mul_ps as mul,
    _mm256_or_si256 as or, _mm256_set1_epi16 as splat_i16, _mm256_set1_epi32 as splat_i32,
    _mm256_set1_pd as splat_f64, _mm256_set1_ps as splat, _mm256_setzero_ps as zero,
    _mm256_setzero_si256 as zero_integers, _mm256_slli_epi32 as shift_left, _mm256_sqrt_ps as sqrt,
    _mm256_storeu_ps as store, _mm256_storeu_si256 as store_integers, _mm256_sub_epi16 as sub_i16,
    _mm256_sub_epi32 as sub_i32, _mm256_sub_pd as sub_f64, _mm256_sub_ps as sub,
};

/// Sums of products of i16, a lane a row.
pub(super) type Sums = Integers;

/// Tokens of a tile of panels: with two panels they fill the registers.
pub(super) const TOKENS: usize = 6;

/// Defines functions with the attributes that all of them need.
macro_rules! functions {
    ($($(#[$doc:meta])* fn $name:ident($($x:ident: $of:ty),*) -> $to:ty $body:block)*) => {$(
        $(#[$doc])*
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        pub(super) fn $name($($x: $of),*) -> $to $body
    )*};
}

functions! {
    /// The sign of every lane turned.
    fn negated(x: Floats) -> Floats { _mm256_xor_ps(x, splat(-0.0)) }

    /// Each byte, an unsigned number, as f32.
    fn from_bytes(x: u64) -> Floats {
        convert(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(x.cast_signed())))
    }

    /// Each byte, a signed number, as f32.
    fn from_signed_bytes(x: u64) -> Floats {
        convert(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(x.cast_signed())))
    }

    /// Each u16 shifted.
    fn shift_right_u16(x: Integers, count: usize) -> Integers {
        _mm256_srl_epi16(x, _mm_cvtsi32_si128(count as i32))
    }

    /// Each u16 shifted.
    fn shift_left_u16(x: Integers, count: usize) -> Integers {
        _mm256_sll_epi16(x, _mm_cvtsi32_si128(count as i32))
    }

    fn zero_sums() -> Sums { zero_integers() }

    /// Each row's sum, and the products of its pair of i16 with another.
    fn add_products(sums: Sums, a: Integers, b: Integers) -> Sums {
        add_i32(sums, _mm256_madd_epi16(a, b))
    }

    /// The sums, a lane a row.
    fn totals(sums: Sums) -> Integers { sums }

    /// Eight i32 as i16, and eight others behind them.
    fn pack_i16(a: Integers, b: Integers) -> Integers {
        // packs works inside 128-bit lanes; the permutation puts the quarters in order.
        _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(a, b))
    }

    fn greatest_u32(x: Integers) -> u32 {
        let max = _mm_max_epu32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
        let max = _mm_max_epu32(max, _mm_shuffle_epi32::<0b01_00_11_10>(max));
        let max = _mm_max_epu32(max, _mm_shuffle_epi32::<0b10_11_00_01>(max));
        _mm_cvtsi128_si32(max).cast_unsigned()
    }

    fn sum_i32(x: Integers) -> i32 {
        let four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
    }

    /// `lane j + lane j + 4`.
    fn halved(x: Floats) -> Four {
        _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x))
    }

    /// `lane j + lane j + half` for halves 4, 2, 1.
    fn sum_of_8(x: Floats) -> f32 {
        let four = halved(x);
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }

    /// [`sum_of_8`] of four at once: the same additions, side by side.
    fn sums_of_8(x: [Floats; 4]) -> Four {
        let [a, b, c, d] = x;
        let (a, b, c, d) = (halved(a), halved(b), halved(c), halved(d));
        // [a0 + a2, b0 + b2, a1 + a3, b1 + b3], and the same of c and d.
        let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab))
    }

    /// Both halves as f64.
    fn widen(x: Floats) -> [Doubles; 2] {
        let (low, high) = (_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        [_mm256_cvtps_pd(low), _mm256_cvtps_pd(high)]
    }

    fn narrow(x: Doubles) -> Four { _mm256_cvtpd_ps(x) }

    fn joined(low: Four, high: Four) -> Floats { _mm256_set_m128(high, low) }

    /// `2^(k / 32)`, where `t` is `k` behind `llamaboot_math::exp`'s rounding shift.
    fn power(t: Doubles) -> Doubles {
        let n = _mm256_castpd_si256(t);
        // Four loads, not a gather: gathers are slow on AMD, slow on Intel since the microcode
        // against "Downfall", and QEMU 7.2 executes one whose index is ymm4 wrongly.
        static TABLE: [u64; constants::STEPS] = constants::TABLE;
        let [low, high] = [_mm256_castsi256_si128(n), _mm256_extracti128_si256::<1>(n)];
        let entry = |n: i64| TABLE[n as usize % constants::STEPS].cast_signed();
        let entry = _mm256_setr_epi64x(
            entry(_mm_cvtsi128_si64(low)),
            entry(_mm_extract_epi64::<1>(low)),
            entry(_mm_cvtsi128_si64(high)),
            entry(_mm_extract_epi64::<1>(high)),
        );
        let exponent = _mm256_slli_epi64::<{ constants::TABLE_SHIFT as i32 }>(n);
        _mm256_castsi256_pd(add_i64(entry, exponent))
    }

    /// A mask that selects the first `n` of 8 lanes.
    fn first_lanes(n: usize) -> Integers {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(splat_i32(n as i32), lanes)
    }

    /// Fewer than 8 values, zeros behind them.
    fn load_some(x: &[f32]) -> Floats {
        // SAFETY: a masked load touches the selected lanes only, and those are `x`'s elements.
        unsafe { _mm256_maskload_ps(x.as_ptr(), first_lanes(x.len())) }
    }

    /// The first `out.len()` lanes, fewer than 8.
    fn store_some(out: &mut [f32], x: Floats) -> () {
        // SAFETY: a masked store touches the selected lanes only, and those are `out`'s elements.
        unsafe { _mm256_maskstore_ps(out.as_mut_ptr(), first_lanes(out.len()), x) }
    }

    /// f32 to f16, to the nearest, ties to even.
    fn store_f16(out: &mut [u16; 8], x: Floats) -> () {
        let narrow = _mm256_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(x);
        // SAFETY: the array holds the 16 bytes that are written.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), narrow) };
    }

    /// Asks for a cache line that is read next, wherever it lies.
    fn fetch(at: *const u8) -> () { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }

    /// Asks for one that is read soon.
    fn fetch_far(at: *const u8) -> () { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
}

/// [`fma`] of each of `a` with one `b`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn fma_each<const N: usize>(
    a: [Floats; N],
    b: Floats,
    mut sums: [Floats; N],
) -> [Floats; N] {
    for (sum, a) in sums.iter_mut().zip(a) {
        *sum = fma(a, b, *sum);
    }
    sums
}

/// Eight f16 as f32.
///
/// # Safety
/// They lie at `at`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn load_f16(at: *const u8) -> Floats {
    // SAFETY: the caller's promise.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
}

/// Eight bf16 as f32.
///
/// # Safety
/// They lie at `at`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn load_bf16(at: *const u8) -> Floats {
    // SAFETY: the caller's promise.
    let halves = unsafe { _mm_loadu_si128(at.cast()) };
    from_bits(shift_left::<16>(_mm256_cvtepu16_epi32(halves)))
}

/// Sixteen i8 as i16.
///
/// # Safety
/// They lie at `at`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn load_i8(at: *const u8) -> Integers {
    // SAFETY: the caller's promise.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(at.cast()) })
}

/// See [`crate::dispatch::Table::transpose`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn transpose(x: &[u32], stride: usize, out: &mut [u32], height: usize) {
    assert!(x.len() >= 7 * stride + 8 && out.len() >= 7 * height + 8, "a whole square");
    // SAFETY: inside `x`, as asserted.
    let row = |r: usize| unsafe { load(x.as_ptr().add(r * stride).cast()) };
    // Pairs of rows, then fours, then eights.
    let pairs = |r: usize| {
        let (a, b) = (row(r), row(r + 1));
        [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)]
    };
    let fours = |r: usize| {
        let ([a, b], [c, d]) = (pairs(r), pairs(r + 2));
        [
            _mm256_shuffle_ps::<0x44>(a, c),
            _mm256_shuffle_ps::<0xee>(a, c),
            _mm256_shuffle_ps::<0x44>(b, d),
            _mm256_shuffle_ps::<0xee>(b, d),
        ]
    };
    let (upper, lower) = (fours(0), fours(4));
    for (c, (upper, lower)) in upper.into_iter().zip(lower).enumerate() {
        let columns = [
            _mm256_permute2f128_ps::<0x20>(upper, lower),
            _mm256_permute2f128_ps::<0x31>(upper, lower),
        ];
        for (half, column) in columns.into_iter().enumerate() {
            // SAFETY: inside `out`, as asserted.
            unsafe {
                store(out.as_mut_ptr().add((c + 4 * half) * height).cast(), column);
            }
        }
    }
}
