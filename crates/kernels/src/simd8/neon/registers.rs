//! NEON under the names that the kernels of eight lanes use; see `avx2/registers.rs`. Eight lanes
//! are two registers, so a function is two instructions.

use core::arch::aarch64::*;
use core::arch::asm;
use llamaboot_math::exp as constants;

use vreinterpretq_u8_u16 as u16s;
use vreinterpretq_u8_u32 as u32s;
use vreinterpretq_u16_u8 as as_u16s;
use vreinterpretq_u32_u8 as as_u32s;

pub(super) use core::arch::aarch64::{float32x4_t as Four, vst1q_f32 as store_4};

/// Eight f32.
#[derive(Clone, Copy)]
pub(crate) struct Floats(float32x4_t, float32x4_t);

/// Any 32 bytes of integers.
#[derive(Clone, Copy)]
pub(crate) struct Integers(uint8x16_t, uint8x16_t);

/// Four f64.
#[derive(Clone, Copy)]
pub(super) struct Doubles(float64x2_t, float64x2_t);

/// Sums of products of i16: two rows in a register, the first products of pairs and the second
/// ones apart, since a multiplication that adds leaves its products apart.
#[derive(Clone, Copy)]
pub(super) struct Sums([int32x4_t; 4]);

/// Tokens of a tile of panels: the sums of six products are 24 of the 32 registers.
pub(super) const TOKENS: usize = 3;

/// Defines functions that are safe to call anywhere, since every AArch64 CPU has NEON: the
/// instructions are so only where the feature is named.
macro_rules! functions {
    ($($(#[$doc:meta])* fn $name:ident($($x:ident: $of:ty),*) $(-> $to:ty)? $body:block)*) => {$(
        $(#[$doc])*
        #[inline]
        pub(super) fn $name($($x: $of),*) $(-> $to)? {
            #[inline]
            #[target_feature(enable = "neon")]
            fn with_neon($($x: $of),*) $(-> $to)? $body
            // SAFETY: the CPU has NEON.
            unsafe { with_neon($($x),*) }
        }
    )*};
}

both_halves! {
    add(a, b): Floats -> Floats = vaddq_f32;
    sub(a, b): Floats -> Floats = vsubq_f32;
    mul(a, b): Floats -> Floats = vmulq_f32;
    div(a, b): Floats -> Floats = vdivq_f32;
    sqrt(a): Floats -> Floats = vsqrtq_f32;
    max(a, b): Floats -> Floats = vmaxq_f32;
    min(a, b): Floats -> Floats = vminq_f32;
    negated(a): Floats -> Floats = vnegq_f32;
    fma(a, b, sum): Floats -> Floats = |a, b, sum| vfmaq_f32(sum, a, b);
    fnma(a, b, sum): Floats -> Floats = |a, b, sum| vfmsq_f32(sum, a, b);
    add_f64(a, b): Doubles -> Doubles = vaddq_f64;
    sub_f64(a, b): Doubles -> Doubles = vsubq_f64;
    mul_f64(a, b): Doubles -> Doubles = vmulq_f64;
    and(a, b): Integers -> Integers = vandq_u8;
    or(a, b): Integers -> Integers = vorrq_u8;
    add_i32(a, b): Integers -> Integers = |a, b| u32s(vaddq_u32(as_u32s(a), as_u32s(b)));
    sub_i32(a, b): Integers -> Integers = |a, b| u32s(vsubq_u32(as_u32s(a), as_u32s(b)));
    max_u32(a, b): Integers -> Integers = |a, b| u32s(vmaxq_u32(as_u32s(a), as_u32s(b)));
    sub_i16(a, b): Integers -> Integers = |a, b| u16s(vsubq_u16(as_u16s(a), as_u16s(b)));
    bits(a): Floats -> Integers = vreinterpretq_u8_f32;
    from_bits(a): Integers -> Floats = vreinterpretq_f32_u8;
    convert(a): Integers -> Floats = |a| vcvtq_f32_s32(vreinterpretq_s32_u8(a));
    round(a): Floats -> Integers = |a| vreinterpretq_u8_s32(vcvtnq_s32_f32(a));
    add_i64(a, b): Integers -> Integers = |a, b| {
        vreinterpretq_u8_u64(vaddq_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)))
    };
}

/// Each u32 shifted.
#[inline]
pub(super) fn shift_left<const N: i32>(x: Integers) -> Integers {
    // SAFETY: the CPU has NEON.
    let four = |x| unsafe { u32s(vshlq_n_u32::<N>(as_u32s(x))) };
    Integers(four(x.0), four(x.1))
}

/// # Safety
/// Eight numbers lie at `at`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn load(at: *const f32) -> Floats {
    // SAFETY: the caller's promise.
    unsafe { Floats(vld1q_f32(at), vld1q_f32(at.add(4))) }
}

/// # Safety
/// There is room for eight numbers at `at`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn store(at: *mut f32, x: Floats) {
    // SAFETY: the caller's promise.
    unsafe {
        vst1q_f32(at, x.0);
        vst1q_f32(at.add(4), x.1);
    }
}

/// # Safety
/// 32 bytes lie at `at`, aligned or not.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn load_integers(at: *const Integers) -> Integers {
    let at = at.cast::<u8>();
    // SAFETY: the caller's promise.
    unsafe { Integers(vld1q_u8(at), vld1q_u8(at.add(16))) }
}

/// # Safety
/// There is room for 32 bytes at `at`, aligned or not.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn store_integers(at: *mut Integers, x: Integers) {
    let at = at.cast::<u8>();
    // SAFETY: the caller's promise.
    unsafe {
        vst1q_u8(at, x.0);
        vst1q_u8(at.add(16), x.1);
    }
}

/// [`fma`] of each of `a` with one `b`.
#[inline]
#[target_feature(enable = "neon")]
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
#[target_feature(enable = "neon")]
pub(super) unsafe fn load_f16(at: *const u8) -> Floats {
    // SAFETY: the caller's promise.
    let eight = vreinterpretq_f16_u8(unsafe { vld1q_u8(at) });
    Floats(vcvt_f32_f16(vget_low_f16(eight)), vcvt_high_f32_f16(eight))
}

/// Eight bf16 as f32.
///
/// # Safety
/// They lie at `at`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn load_bf16(at: *const u8) -> Floats {
    // SAFETY: the caller's promise.
    let eight = as_u16s(unsafe { vld1q_u8(at) });
    let (low, high) = (vshll_n_u16::<16>(vget_low_u16(eight)), vshll_high_n_u16::<16>(eight));
    Floats(vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(high))
}

/// Sixteen i8 as i16.
///
/// # Safety
/// They lie at `at`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn load_i8(at: *const u8) -> Integers {
    // SAFETY: the caller's promise.
    let bytes = unsafe { vld1q_s8(at.cast()) };
    let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
    Integers(vreinterpretq_u8_s16(low), vreinterpretq_u8_s16(high))
}

functions! {
    fn zero() -> Floats {
        splat(0.0)
    }

    fn splat(x: f32) -> Floats {
        Floats(vdupq_n_f32(x), vdupq_n_f32(x))
    }

    fn splat_f64(x: f64) -> Doubles {
        Doubles(vdupq_n_f64(x), vdupq_n_f64(x))
    }

    fn splat_i32(x: i32) -> Integers {
        let four = vreinterpretq_u8_s32(vdupq_n_s32(x));
        Integers(four, four)
    }

    fn splat_i16(x: i16) -> Integers {
        let eight = vreinterpretq_u8_s16(vdupq_n_s16(x));
        Integers(eight, eight)
    }

    fn zero_integers() -> Integers {
        splat_i32(0)
    }

    /// f32 to f16, to the nearest, ties to even.
    fn store_f16(out: &mut [u16; 8], x: Floats) {
        let eight = vcvt_high_f16_f32(vcvt_f16_f32(x.0), x.1);
        // SAFETY: the array holds the 16 bytes that are written.
        unsafe { vst1q_u16(out.as_mut_ptr(), vreinterpretq_u16_f16(eight)) }
    }

    /// Each byte, an unsigned number, as f32.
    fn from_bytes(x: u64) -> Floats {
        let eight = vmovl_u8(vcreate_u8(x));
        let (low, high) = (vmovl_u16(vget_low_u16(eight)), vmovl_high_u16(eight));
        Floats(vcvtq_f32_u32(low), vcvtq_f32_u32(high))
    }

    /// Each byte, a signed number, as f32.
    fn from_signed_bytes(x: u64) -> Floats {
        let eight = vmovl_s8(vcreate_s8(x));
        let (low, high) = (vmovl_s16(vget_low_s16(eight)), vmovl_high_s16(eight));
        Floats(vcvtq_f32_s32(low), vcvtq_f32_s32(high))
    }

    /// Each u16 shifted.
    fn shift_right_u16(x: Integers, count: usize) -> Integers {
        shift_u16(x, -(count as i16))
    }

    /// Each u16 shifted.
    fn shift_left_u16(x: Integers, count: usize) -> Integers {
        shift_u16(x, count as i16)
    }

    fn shift_u16(x: Integers, left: i16) -> Integers {
        let eight = |x| u16s(vshlq_u16(as_u16s(x), vdupq_n_s16(left)));
        Integers(eight(x.0), eight(x.1))
    }

    fn zero_sums() -> Sums {
        Sums([vdupq_n_s32(0); 4])
    }

    /// Each row's sum, and the products of its pair of i16 with another.
    fn add_products(sums: Sums, w: Integers, x: Integers) -> Sums {
        let Sums([a, b, c, d]) = sums;
        let both = |x: Integers| (vreinterpretq_s16_u8(x.0), vreinterpretq_s16_u8(x.1));
        let ((w, w1), (x, x1)) = (both(w), both(x));
        Sums([
            vmlal_s16(a, vget_low_s16(w), vget_low_s16(x)),
            vmlal_high_s16(b, w, x),
            vmlal_s16(c, vget_low_s16(w1), vget_low_s16(x1)),
            vmlal_high_s16(d, w1, x1),
        ])
    }

    /// The sums, a lane a row.
    fn totals(sums: Sums) -> Integers {
        let Sums([a, b, c, d]) = sums;
        let four = |a, b| vreinterpretq_u8_s32(vpaddq_s32(a, b));
        Integers(four(a, b), four(c, d))
    }

    /// Eight i32 as i16, and eight others behind them.
    fn pack_i16(a: Integers, b: Integers) -> Integers {
        let as_i32s = |x| vreinterpretq_s32_u8(x);
        let eight = |x: Integers| {
            vreinterpretq_u8_s16(vqmovn_high_s32(vqmovn_s32(as_i32s(x.0)), as_i32s(x.1)))
        };
        Integers(eight(a), eight(b))
    }

    fn greatest_u32(x: Integers) -> u32 {
        vmaxvq_u32(vmaxq_u32(as_u32s(x.0), as_u32s(x.1)))
    }

    fn sum_i32(x: Integers) -> i32 {
        vaddvq_s32(vaddq_s32(vreinterpretq_s32_u8(x.0), vreinterpretq_s32_u8(x.1)))
    }

    /// `lane j + lane j + half` for halves 4, 2, 1.
    fn sum_of_8(x: Floats) -> f32 {
        let four = vaddq_f32(x.0, x.1);
        let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
        vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
    }

    /// [`sum_of_8`] of four at once: the same additions, side by side.
    fn sums_of_8(x: [Floats; 4]) -> Four {
        let [a, b, c, d] = x.map(|x| vaddq_f32(x.0, x.1));
        // [a0 + a2, b0 + b2, a1 + a3, b1 + b3], and the same of c and d.
        let ab = vaddq_f32(vzip1q_f32(a, b), vzip2q_f32(a, b));
        let cd = vaddq_f32(vzip1q_f32(c, d), vzip2q_f32(c, d));
        let low = vcombine_f32(vget_low_f32(ab), vget_low_f32(cd));
        vaddq_f32(low, vcombine_f32(vget_high_f32(ab), vget_high_f32(cd)))
    }

    /// Both halves as f64.
    fn widen(x: Floats) -> [Doubles; 2] {
        [x.0, x.1].map(|x| Doubles(vcvt_f64_f32(vget_low_f32(x)), vcvt_high_f64_f32(x)))
    }

    fn narrow(x: Doubles) -> Four {
        vcvt_high_f32_f64(vcvt_f32_f64(x.0), x.1)
    }

    fn splat_4(x: f32) -> Four {
        vdupq_n_f32(x)
    }

    fn div_4(a: Four, b: Four) -> Four {
        vdivq_f32(a, b)
    }

    fn joined(low: Four, high: Four) -> Floats {
        Floats(low, high)
    }

    /// `2^(k / 32)`, where `t` is `k` behind `llamaboot_math::exp`'s rounding shift.
    fn power(t: Doubles) -> Doubles {
        static TABLE: [u64; constants::STEPS] = constants::TABLE;
        let two = |t| {
            let n = vreinterpretq_u64_f64(t);
            let entry = |n: u64| vcreate_u64(TABLE[n as usize % constants::STEPS]);
            let (low, high) = (vgetq_lane_u64::<0>(n), vgetq_lane_u64::<1>(n));
            let entries = vcombine_u64(entry(low), entry(high));
            let exponent = vshlq_n_u64::<{ constants::TABLE_SHIFT as i32 }>(n);
            vreinterpretq_f64_u64(vaddq_u64(entries, exponent))
        };
        Doubles(two(t.0), two(t.1))
    }

    /// Fewer than 8 values, zeros behind them.
    fn load_some(x: &[f32]) -> Floats {
        let mut eight = [0.0; 8];
        eight[..x.len()].copy_from_slice(x);
        // SAFETY: eight values lie there.
        unsafe { load(eight.as_ptr()) }
    }

    /// The first `out.len()` lanes, fewer than 8.
    fn store_some(out: &mut [f32], x: Floats) {
        let mut eight = [0.0; 8];
        // SAFETY: eight values lie there.
        unsafe { store(eight.as_mut_ptr(), x) };
        out.copy_from_slice(&eight[..out.len()]);
    }

    /// Asks for a cache line that is read next, wherever it lies.
    fn fetch(at: *const u8) {
        // SAFETY: a hint: no address faults, no register or memory changes.
        unsafe {
            asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }

    /// Asks for one that is read soon.
    fn fetch_far(at: *const u8) {
        // SAFETY: a hint: no address faults, no register or memory changes.
        unsafe {
            asm!("prfm pldl2keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }
}

/// See [`crate::dispatch::Table::transpose`].
#[target_feature(enable = "neon")]
pub(super) fn transpose(x: &[u32], stride: usize, out: &mut [u32], height: usize) {
    assert!(x.len() >= 7 * stride + 8 && out.len() >= 7 * height + 8, "a whole square");
    for (r, c) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
        // SAFETY: inside `x`, as asserted.
        let row = |i: usize| unsafe { vld1q_u32(x.as_ptr().add((r + i) * stride + c)) };
        let [a, b, c_, d] = [row(0), row(1), row(2), row(3)];
        // Pairs of rows, then fours.
        let pairs = |a, b| {
            let both = |x| vreinterpretq_u64_u32(x);
            [both(vtrn1q_u32(a, b)), both(vtrn2q_u32(a, b))]
        };
        let ([ab, ab1], [cd, cd1]) = (pairs(a, b), pairs(c_, d));
        let columns =
            [vtrn1q_u64(ab, cd), vtrn1q_u64(ab1, cd1), vtrn2q_u64(ab, cd), vtrn2q_u64(ab1, cd1)];
        for (i, column) in columns.into_iter().enumerate() {
            // SAFETY: inside `out`, as asserted.
            unsafe {
                let place = out.as_mut_ptr().add((c + i) * height + r);
                vst1q_u32(place, vreinterpretq_u32_u64(column));
            }
        }
    }
}
