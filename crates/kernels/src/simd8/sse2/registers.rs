//! SSE2 under the names that the kernels of eight lanes use; see `avx2/registers.rs`. Every x86-64
//! CPU has it. Eight lanes are two registers, so a function is two instructions; what came later (a
//! fused multiply-add, f16, some integers) is put together here.

use core::arch::x86_64::*;
use half::f16;
use llamaboot_math::exp as constants;

pub(super) use core::arch::x86_64::{
    __m128 as Four, _mm_div_ps as div_4, _mm_set1_ps as splat_4, _mm_storeu_ps as store_4,
};

/// Eight f32.
#[derive(Clone, Copy)]
pub(crate) struct Floats(__m128, __m128);

/// Any 32 bytes of integers.
#[derive(Clone, Copy)]
pub(crate) struct Integers(__m128i, __m128i);

/// Four f64.
#[derive(Clone, Copy)]
pub(super) struct Doubles(__m128d, __m128d);

/// Sums of products of i16, a lane a row.
pub(super) type Sums = Integers;

/// Tokens of a tile of panels: with two panels their sums are eight of the sixteen registers.
pub(super) const TOKENS: usize = 2;

/// Defines functions with the attribute that all of them need.
macro_rules! functions {
    ($($(#[$doc:meta])* fn $name:ident($($x:ident: $of:ty),*) $(-> $to:ty)? $body:block)*) => {$(
        $(#[$doc])*
        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn $name($($x: $of),*) $(-> $to)? $body
    )*};
}

both_halves! {
    add(a, b): Floats -> Floats = _mm_add_ps;
    sub(a, b): Floats -> Floats = _mm_sub_ps;
    mul(a, b): Floats -> Floats = _mm_mul_ps;
    div(a, b): Floats -> Floats = _mm_div_ps;
    sqrt(a): Floats -> Floats = _mm_sqrt_ps;
    max(a, b): Floats -> Floats = _mm_max_ps;
    min(a, b): Floats -> Floats = _mm_min_ps;
    negated(a): Floats -> Floats = |a| _mm_xor_ps(a, _mm_set1_ps(-0.0));
    add_f64(a, b): Doubles -> Doubles = _mm_add_pd;
    sub_f64(a, b): Doubles -> Doubles = _mm_sub_pd;
    mul_f64(a, b): Doubles -> Doubles = _mm_mul_pd;
    and(a, b): Integers -> Integers = _mm_and_si128;
    or(a, b): Integers -> Integers = _mm_or_si128;
    add_i32(a, b): Integers -> Integers = _mm_add_epi32;
    sub_i32(a, b): Integers -> Integers = _mm_sub_epi32;
    add_i64(a, b): Integers -> Integers = _mm_add_epi64;
    sub_i16(a, b): Integers -> Integers = _mm_sub_epi16;
    max_u32(a, b): Integers -> Integers = max_u32_4;
    bits(a): Floats -> Integers = _mm_castps_si128;
    from_bits(a): Integers -> Floats = _mm_castsi128_ps;
    convert(a): Integers -> Floats = _mm_cvtepi32_ps;
    round(a): Floats -> Integers = _mm_cvtps_epi32;
}

functions! {
    fn zero() -> Floats { splat(0.0) }

    fn splat(x: f32) -> Floats { Floats(_mm_set1_ps(x), _mm_set1_ps(x)) }

    fn splat_f64(x: f64) -> Doubles { Doubles(_mm_set1_pd(x), _mm_set1_pd(x)) }

    fn splat_i32(x: i32) -> Integers { Integers(_mm_set1_epi32(x), _mm_set1_epi32(x)) }

    fn splat_i16(x: i16) -> Integers { Integers(_mm_set1_epi16(x), _mm_set1_epi16(x)) }

    fn zero_integers() -> Integers { splat_i32(0) }

    fn max_u32_4(a: __m128i, b: __m128i) -> __m128i {
        // Only signed numbers can be compared.
        let turned = |x| _mm_xor_si128(x, _mm_set1_epi32(i32::MIN));
        let greater = _mm_cmpgt_epi32(turned(a), turned(b));
        _mm_or_si128(_mm_and_si128(greater, a), _mm_andnot_si128(greater, b))
    }

    /// `a * b + sum`, rounded once.
    fn fma(a: Floats, b: Floats, sum: Floats) -> Floats {
        let (low, low_is_safe) = fma_4(a.0, b.0, sum.0);
        let (high, high_is_safe) = fma_4(a.1, b.1, sum.1);
        if _mm_movemask_epi8(_mm_and_si128(low_is_safe, high_is_safe)) == 0xffff {
            return Floats(low, high);
        }
        fma_by_odd(a, b, sum)
    }

    /// `sum - a * b`, rounded once.
    fn fnma(a: Floats, b: Floats, sum: Floats) -> Floats { fma(negated(a), b, sum) }

    /// `a * b + sum` through f64, where the product is exact, and in which lanes that surely is
    /// what rounding once gives. It is another where the sum in f64 is a tie of two neighbouring
    /// f32 (the 29 bits that f32 has not are a one and zeros) but the exact sum is not, or where it
    /// is subnormal as f32, whose ties lie elsewhere.
    fn fma_4(a: __m128, b: __m128, sum: __m128) -> (__m128, __m128i) {
        let [a, b, sum] = [a, b, sum].map(|x| [_mm_cvtps_pd(x), _mm_cvtps_pd(_mm_movehl_ps(x, x))]);
        let low = _mm_add_pd(_mm_mul_pd(a[0], b[0]), sum[0]);
        let high = _mm_add_pd(_mm_mul_pd(a[1], b[1]), sum[1]);
        let rounded = _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
        let (low, high) = (_mm_castpd_ps(low), _mm_castpd_ps(high));
        let lower_words = _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(low, high));
        let lost = _mm_and_si128(lower_words, _mm_set1_epi32(0x1fff_ffff));
        let tie = _mm_cmpeq_epi32(lost, _mm_set1_epi32(0x1000_0000));
        // Above the least normal f32, to which the greatest subnormal one may have been rounded.
        let magnitude = _mm_and_si128(_mm_castps_si128(rounded), _mm_set1_epi32(i32::MAX));
        let normal = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(1 << 23));
        (rounded, _mm_andnot_si128(tie, normal))
    }

    /// `a * b + c`, where the product is exact, rounded to odd.
    fn fma_to_odd(a: __m128d, b: __m128d, c: __m128d) -> __m128d {
        let product = _mm_mul_pd(a, b);
        let sum = _mm_add_pd(product, c);
        // What the sum lacks, exactly (Knuth's two-sum).
        let c_in_sum = _mm_sub_pd(sum, product);
        let product_in_sum = _mm_sub_pd(sum, c_in_sum);
        let error = _mm_add_pd(_mm_sub_pd(product, product_in_sum), _mm_sub_pd(c, c_in_sum));
        // Where the sum is not finite the error is NaN, and the sum stays.
        let magnitude = _mm_andnot_pd(_mm_set1_pd(-0.0), error);
        let inexact = _mm_castpd_si128(_mm_cmpgt_pd(magnitude, _mm_setzero_pd()));
        // All ones, which is -1, where the error has the other sign.
        let signs = _mm_srai_epi32::<31>(_mm_castpd_si128(_mm_xor_pd(error, sum)));
        let other_sign = _mm_shuffle_epi32::<0b11_11_01_01>(signs);
        let away = _mm_and_si128(inexact, other_sign);
        let truncated = _mm_add_epi64(_mm_castpd_si128(sum), away);
        let odd = _mm_and_si128(inexact, _mm_set1_epi64x(1));
        _mm_castsi128_pd(_mm_or_si128(truncated, odd))
    }

    /// Each byte, an unsigned number, as f32.
    fn from_bytes(x: u64) -> Floats {
        let zero = _mm_setzero_si128();
        let eight = _mm_unpacklo_epi8(_mm_cvtsi64_si128(x.cast_signed()), zero);
        convert(Integers(_mm_unpacklo_epi16(eight, zero), _mm_unpackhi_epi16(eight, zero)))
    }

    /// Each byte, a signed number, as f32.
    fn from_signed_bytes(x: u64) -> Floats {
        let bytes = _mm_cvtsi64_si128(x.cast_signed());
        let eight = _mm_unpacklo_epi8(bytes, bytes);
        let four = |twice| _mm_srai_epi32::<24>(twice);
        convert(Integers(
            four(_mm_unpacklo_epi16(eight, eight)),
            four(_mm_unpackhi_epi16(eight, eight)),
        ))
    }

    /// Each u16 shifted.
    fn shift_right_u16(x: Integers, count: usize) -> Integers {
        let count = _mm_cvtsi32_si128(count as i32);
        Integers(_mm_srl_epi16(x.0, count), _mm_srl_epi16(x.1, count))
    }

    /// Each u16 shifted.
    fn shift_left_u16(x: Integers, count: usize) -> Integers {
        let count = _mm_cvtsi32_si128(count as i32);
        Integers(_mm_sll_epi16(x.0, count), _mm_sll_epi16(x.1, count))
    }

    fn zero_sums() -> Sums { zero_integers() }

    /// Each row's sum, and the products of its pair of i16 with another.
    fn add_products(sums: Sums, a: Integers, b: Integers) -> Sums {
        add_i32(sums, Integers(_mm_madd_epi16(a.0, b.0), _mm_madd_epi16(a.1, b.1)))
    }

    /// The sums, a lane a row.
    fn totals(sums: Sums) -> Integers { sums }

    /// Eight i32 as i16, and eight others behind them.
    fn pack_i16(a: Integers, b: Integers) -> Integers {
        Integers(_mm_packs_epi32(a.0, a.1), _mm_packs_epi32(b.0, b.1))
    }

    fn greatest_u32(x: Integers) -> u32 {
        let max = max_u32_4(x.0, x.1);
        let max = max_u32_4(max, _mm_shuffle_epi32::<0b01_00_11_10>(max));
        let max = max_u32_4(max, _mm_shuffle_epi32::<0b10_11_00_01>(max));
        _mm_cvtsi128_si32(max).cast_unsigned()
    }

    fn sum_i32(x: Integers) -> i32 {
        let four = _mm_add_epi32(x.0, x.1);
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
    }

    /// `lane j + lane j + half` for halves 4, 2, 1.
    fn sum_of_8(x: Floats) -> f32 {
        let four = _mm_add_ps(x.0, x.1);
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<0b01_01_01_01>(two, two)))
    }

    /// [`sum_of_8`] of four at once: the same additions, side by side.
    fn sums_of_8(x: [Floats; 4]) -> Four {
        let [a, b, c, d] = x.map(|x| _mm_add_ps(x.0, x.1));
        // [a0 + a2, b0 + b2, a1 + a3, b1 + b3], and the same of c and d.
        let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab))
    }

    /// Both halves as f64.
    fn widen(x: Floats) -> [Doubles; 2] {
        [x.0, x.1].map(|x| Doubles(_mm_cvtps_pd(x), _mm_cvtps_pd(_mm_movehl_ps(x, x))))
    }

    fn narrow(x: Doubles) -> Four { _mm_movelh_ps(_mm_cvtpd_ps(x.0), _mm_cvtpd_ps(x.1)) }

    fn joined(low: Four, high: Four) -> Floats { Floats(low, high) }

    /// `2^(k / 32)`, where `t` is `k` behind `llamaboot_math::exp`'s rounding shift.
    fn power(t: Doubles) -> Doubles {
        static TABLE: [u64; constants::STEPS] = constants::TABLE;
        let two = |t| {
            let n = _mm_castpd_si128(t);
            let entry = |n: i64| TABLE[n as usize % constants::STEPS].cast_signed();
            let (low, high) = (_mm_cvtsi128_si64(n), _mm_cvtsi128_si64(_mm_unpackhi_epi64(n, n)));
            let exponent = _mm_slli_epi64::<{ constants::TABLE_SHIFT as i32 }>(n);
            _mm_castsi128_pd(_mm_add_epi64(_mm_set_epi64x(entry(high), entry(low)), exponent))
        };
        Doubles(two(t.0), two(t.1))
    }

    /// Fewer than 8 values, zeros behind them.
    fn load_some(x: &[f32]) -> Floats {
        let mut eight = [0.0; 8];
        eight[..x.len()].copy_from_slice(x);
        from_array(&eight)
    }

    /// The first `out.len()` lanes, fewer than 8.
    fn store_some(out: &mut [f32], x: Floats) {
        out.copy_from_slice(&to_array(x)[..out.len()]);
    }

    fn from_array(eight: &[f32; 8]) -> Floats {
        // SAFETY: eight values lie there.
        unsafe { load(eight.as_ptr()) }
    }

    fn to_array(x: Floats) -> [f32; 8] {
        let mut eight = [0.0; 8];
        // SAFETY: eight values lie there.
        unsafe { store(eight.as_mut_ptr(), x) };
        eight
    }

    /// f32 to f16, to the nearest, ties to even.
    fn store_f16(out: &mut [u16; 8], x: Floats) {
        for (out, x) in out.iter_mut().zip(to_array(x)) {
            *out = f16::from_f32(x).to_bits();
        }
    }

    /// Four f16 that are normal numbers, each in the upper half of a lane, as f32.
    fn widen_normal_f16(x: __m128i) -> __m128 {
        let sign = _mm_and_si128(x, _mm_set1_epi32(i32::MIN));
        let magnitude = _mm_srli_epi32::<3>(_mm_andnot_si128(_mm_set1_epi32(i32::MIN), x));
        // The exponent is counted from 15 there and from 127 here, the mantissa 13 bits longer.
        let number = _mm_add_epi32(magnitude, _mm_set1_epi32(112 << 23));
        _mm_castsi128_ps(_mm_or_si128(number, sign))
    }

    /// Four f16 of any kind, each in the upper half of a lane, as f32.
    fn widen_f16(x: __m128i) -> __m128 {
        let sign = _mm_and_si128(x, _mm_set1_epi32(i32::MIN));
        let magnitude = _mm_srli_epi32::<16>(_mm_andnot_si128(_mm_set1_epi32(i32::MIN), x));
        let above = |limit| _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(limit));
        let normal = _mm_castps_si128(widen_normal_f16(_mm_slli_epi32::<16>(magnitude)));
        // Subnormal ones are whole multiples of 2^-24: no subnormal f32 arises, which CPUs are
        // slow with.
        let multiple = _mm_mul_ps(_mm_cvtepi32_ps(magnitude), _mm_set1_ps(TWO_TO_MINUS_24));
        let is_normal = above(0x3ff);
        let finite = _mm_or_si128(
            _mm_and_si128(is_normal, normal),
            _mm_andnot_si128(is_normal, _mm_castps_si128(multiple)),
        );
        let exponent = _mm_and_si128(above(0x7bff), _mm_set1_epi32(0xff << 23));
        let quiet = _mm_and_si128(above(0x7c00), _mm_set1_epi32(1 << 22));
        let special = _mm_or_si128(exponent, quiet);
        _mm_castsi128_ps(_mm_or_si128(_mm_or_si128(finite, special), sign))
    }

    /// Asks for a cache line that is read next, wherever it lies.
    fn fetch(at: *const u8) { _mm_prefetch::<_MM_HINT_T0>(at.cast()); }

    /// Asks for one that is read soon.
    fn fetch_far(at: *const u8) { _mm_prefetch::<_MM_HINT_T1>(at.cast()); }
}

const TWO_TO_MINUS_24: f32 = 1.0 / (1 << 24) as f32;

/// [`fma`] of each of `a` with one `b`: one test for all of them, so that the loop is short enough
/// to be unrolled.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn fma_each<const N: usize>(
    a: [Floats; N],
    b: Floats,
    sums: [Floats; N],
) -> [Floats; N] {
    let (mut fused, mut safe) = (sums, _mm_set1_epi32(-1));
    for (fused, a) in fused.iter_mut().zip(a) {
        let (low, low_is_safe) = fma_4(a.0, b.0, fused.0);
        let (high, high_is_safe) = fma_4(a.1, b.1, fused.1);
        safe = _mm_and_si128(safe, _mm_and_si128(low_is_safe, high_is_safe));
        *fused = Floats(low, high);
    }
    if _mm_movemask_epi8(safe) != 0xffff {
        for ((fused, a), sum) in fused.iter_mut().zip(a).zip(sums) {
            *fused = fma_by_odd(a, b, sum);
        }
    }
    fused
}

/// [`fma`] where [`fma_4`] is not sure: the sum in f64 is rounded to odd, as `llamaboot_math::fma`
/// explains.
#[cold]
#[inline(never)]
#[target_feature(enable = "sse2")]
fn fma_by_odd(a: Floats, b: Floats, sum: Floats) -> Floats {
    let [a, b, sum] = [a, b, sum].map(|x| widen(x));
    let [low, high] = [0, 1].map(|i| {
        let (a, b, sum) = (a[i], b[i], sum[i]);
        narrow(Doubles(fma_to_odd(a.0, b.0, sum.0), fma_to_odd(a.1, b.1, sum.1)))
    });
    Floats(low, high)
}

/// Each u32 shifted.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn shift_left<const N: i32>(x: Integers) -> Integers {
    Integers(_mm_slli_epi32::<N>(x.0), _mm_slli_epi32::<N>(x.1))
}

/// # Safety
/// Eight numbers lie at `at`.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) unsafe fn load(at: *const f32) -> Floats {
    // SAFETY: the caller's promise.
    unsafe { Floats(_mm_loadu_ps(at), _mm_loadu_ps(at.add(4))) }
}

/// # Safety
/// There is room for eight numbers at `at`.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) unsafe fn store(at: *mut f32, x: Floats) {
    // SAFETY: the caller's promise.
    unsafe {
        _mm_storeu_ps(at, x.0);
        _mm_storeu_ps(at.add(4), x.1);
    }
}

/// # Safety
/// 32 bytes lie at `at`, aligned or not.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) unsafe fn load_integers(at: *const Integers) -> Integers {
    let at = at.cast::<__m128i>();
    // SAFETY: the caller's promise.
    unsafe { Integers(_mm_loadu_si128(at), _mm_loadu_si128(at.add(1))) }
}

/// # Safety
/// There is room for 32 bytes at `at`, aligned or not.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) unsafe fn store_integers(at: *mut Integers, x: Integers) {
    let at = at.cast::<__m128i>();
    // SAFETY: the caller's promise.
    unsafe {
        _mm_storeu_si128(at, x.0);
        _mm_storeu_si128(at.add(1), x.1);
    }
}

/// Eight f16 as f32.
///
/// # Safety
/// They lie at `at`.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) unsafe fn load_f16(at: *const u8) -> Floats {
    // SAFETY: the caller's promise.
    let eight = unsafe { _mm_loadu_si128(at.cast()) };
    let zero = _mm_setzero_si128();
    let (low, high) = (_mm_unpacklo_epi16(zero, eight), _mm_unpackhi_epi16(zero, eight));
    // Exponents 1 to 30; 31 becomes a negative number.
    let magnitude = _mm_and_si128(eight, _mm_set1_epi16(0x7fff));
    let exponents = _mm_add_epi16(magnitude, _mm_set1_epi16(0x400));
    if _mm_movemask_epi8(_mm_cmpgt_epi16(exponents, _mm_set1_epi16(0x7ff))) == 0xffff {
        return Floats(widen_normal_f16(low), widen_normal_f16(high));
    }
    Floats(widen_f16(low), widen_f16(high))
}

/// Eight bf16 as f32.
///
/// # Safety
/// They lie at `at`.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) unsafe fn load_bf16(at: *const u8) -> Floats {
    // SAFETY: the caller's promise.
    let eight = unsafe { _mm_loadu_si128(at.cast()) };
    let zero = _mm_setzero_si128();
    from_bits(Integers(_mm_unpacklo_epi16(zero, eight), _mm_unpackhi_epi16(zero, eight)))
}

/// Sixteen i8 as i16.
///
/// # Safety
/// They lie at `at`.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) unsafe fn load_i8(at: *const u8) -> Integers {
    // SAFETY: the caller's promise.
    let bytes = unsafe { _mm_loadu_si128(at.cast()) };
    let eight = |twice| _mm_srai_epi16::<8>(twice);
    Integers(eight(_mm_unpacklo_epi8(bytes, bytes)), eight(_mm_unpackhi_epi8(bytes, bytes)))
}

/// See [`crate::dispatch::Table::transpose`].
#[target_feature(enable = "sse2")]
pub(super) fn transpose(x: &[u32], stride: usize, out: &mut [u32], height: usize) {
    assert!(x.len() >= 7 * stride + 8 && out.len() >= 7 * height + 8, "a whole square");
    for (r, c) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
        // SAFETY: inside `x`, as asserted.
        let row = |i: usize| unsafe { _mm_loadu_ps(x.as_ptr().add((r + i) * stride + c).cast()) };
        let mut rows = [row(0), row(1), row(2), row(3)];
        let [a, b, c_, d] = &mut rows;
        _MM_TRANSPOSE4_PS(a, b, c_, d);
        for (i, column) in rows.into_iter().enumerate() {
            // SAFETY: inside `out`, as asserted.
            unsafe { _mm_storeu_ps(out.as_mut_ptr().add((c + i) * height + r).cast(), column) };
        }
    }
}
