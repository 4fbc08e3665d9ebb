//! The one table that says which kernel runs, chosen once, at start, from the CPU's features.

use crate::activations::{Activations, BlockInfo, Split};
use crate::adamw::AdamWStep;
use crate::bf16::Bf16;
use crate::gemm::Tile;
use crate::matmul::{Output, UnpackedPanel};
use crate::{max, scalar};
use core::ops::Range;
use llamaboot_checkpoint::Tensor;
use llamaboot_math::exp;

/// An instruction set that there are kernels for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, fused multiply-add emulated; runs everywhere.
    Scalar,
    /// SSE2 (every x86-64 CPU), fused multiply-add emulated.
    Sse2,
    /// AVX2, FMA and F16C (x86-64 since 2013).
    Avx2,
    /// AVX-512 with VNNI (F, BW, DQ, VL, VNNI), on top of the former; with its BF16 and AMX's where
    /// they are there.
    Avx512,
    /// NEON (every AArch64 CPU).
    Neon,
}

impl Isa {
    /// Every instruction set, best first.
    pub const ALL: [Self; 5] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Sse2, Self::Scalar];

    /// The name that `--isa` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Sse2 => "sse2",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }

    /// The instruction set of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this CPU has it and the operating system (or our boot code) has enabled it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Sse2 => cfg!(target_arch = "x86_64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => cpu::has_avx2_fma_f16c(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => cpu::has_avx2_fma_f16c() && cpu::has_avx512_vnni(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
            Self::Neon => cfg!(target_arch = "aarch64"),
        }
    }
}

impl core::fmt::Display for Isa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// A forced instruction set that this CPU does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable(pub Isa);

impl core::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "instruction set {}: this CPU does not have it or it is not enabled", self.0)
    }
}

impl core::error::Error for Unavailable {}

/// Keys or values of one head, position after position.
#[derive(Debug, Clone, Copy)]
pub enum Cached<'a> {
    /// As computed.
    F32(&'a [f32]),
    /// Rounded to f16, as its bits.
    F16(&'a [u16]),
}

impl<'a> Cached<'a> {
    /// Numbers in it.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::F16(x) => x.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// As they lie in memory.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::F32(x) => bytemuck::cast_slice(x),
            Self::F16(x) => bytemuck::cast_slice(x),
        }
    }

    /// The numbers of `range`.
    fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::F32(x) => Self::F32(&x[range]),
            Self::F16(x) => Self::F16(&x[range]),
        }
    }
}

/// Of [`Table::panels`]; the last argument is room to unpack into.
type PanelsFn =
    unsafe fn(&Tensor<'_>, Range<usize>, &Activations, &mut Output<'_>, &mut [UnpackedPanel; 2]);

/// Of [`Table::split`].
type SplitFn = unsafe fn(&[i16], &mut [Split]);

/// Of [`Table::adamw`].
type AdamWFn = unsafe fn(&AdamWStep, &mut [f32], &[f32], &mut [f32], &mut [f32]);

/// Kernels of one instruction set; the crate's head defines what each computes. Lengths of slices
/// that belong together are equal; callers check.
pub(crate) struct Table {
    /// `Σ a[i] * b[i]`.
    pub(crate) dot: unsafe fn(&[f32], &[f32]) -> f32,
    /// `Σ x[i]`.
    pub(crate) sum: unsafe fn(&[f32]) -> f32,
    /// `out[t] = dot(q, keys[t]) / divisor`, keys `(out.len(), q.len())`; the last argument will
    /// be read next.
    pub(crate) dots: unsafe fn(&[f32], Cached<'_>, f32, &mut [f32], Cached<'_>),
    /// `out += Σ_t weights[t] * values[t]`, values `(weights.len(), out.len())`; the last argument
    /// will be read next.
    pub(crate) weighted_sum: unsafe fn(&[f32], Cached<'_>, &mut [f32], Cached<'_>),
    /// `x[i] = exp(x[i] - max)`.
    pub(crate) exp_minus: unsafe fn(&mut [f32], f32),
    /// `out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]`: out, gate, up.
    pub(crate) swiglu: unsafe fn(&mut [f32], &[f32], &[f32]),
    /// 32 values into int16.
    pub(crate) quantize: unsafe fn(&[f32], &mut [i16]) -> BlockInfo,
    /// A row of int16 as bytes, where products with a single token take those.
    pub(crate) split: Option<SplitFn>,
    /// Little-endian f16 into f32, exactly.
    pub(crate) widen_f16: unsafe fn(&[u8], &mut [f32]),
    /// Little-endian bf16 into f32, exactly.
    pub(crate) widen_bf16: unsafe fn(&[u8], &mut [f32]),
    /// f32 to f16, to the nearest, ties to even.
    pub(crate) narrow_f16: unsafe fn(&[f32], &mut [u16]),
    /// `Σ` of little-endian u64s, wrapping, of 32-byte pieces: nothing but reading.
    pub(crate) read: unsafe fn(&[u8]) -> u64,
    /// These rows of an F32, F16 or BF16 tensor against all tokens.
    pub(crate) float_rows: unsafe fn(&Tensor<'_>, Range<usize>, &Activations, &mut Output<'_>),
    /// These panels of a blocked tensor against all tokens.
    pub(crate) panels: PanelsFn,
    /// One step of the optimizer.
    pub(crate) adamw: AdamWFn,
    /// How matrices of f32 are multiplied.
    pub(crate) tile: Tile,
    /// How those of bf16 are.
    pub(crate) bf16: Bf16,
    /// `out[c * height + r] = x[r * stride + c]` for 8 rows and 8 columns.
    pub(crate) transpose: unsafe fn(&[u32], usize, &mut [u32], usize),
    /// What only training computes.
    pub(crate) training: crate::training::Training,
}

/// Positions that attention looks at together.
const ATTENTION_BLOCK: usize = 32;

/// The chosen kernels.
#[derive(Clone, Copy)]
pub struct Kernels {
    isa: Isa,
    pub(crate) table: &'static Table,
}

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Kernels").field(&self.isa).finish()
    }
}

impl Kernels {
    /// The fastest kernels that this CPU can run.
    #[must_use]
    pub fn best() -> Self {
        Isa::ALL.into_iter().find_map(|isa| Self::new(isa).ok()).unwrap_or(Self::scalar())
    }

    /// The kernels that run everywhere.
    #[must_use]
    pub fn scalar() -> Self {
        Self { isa: Isa::Scalar, table: &scalar::TABLE }
    }

    /// The kernels of one instruction set.
    ///
    /// # Errors
    /// Where this CPU cannot run them.
    pub fn new(isa: Isa) -> Result<Self, Unavailable> {
        if !isa.is_available() {
            return Err(Unavailable(isa));
        }
        let table = match isa {
            Isa::Scalar => &scalar::TABLE,
            #[cfg(target_arch = "x86_64")]
            Isa::Sse2 => &crate::simd8::sse2::TABLE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &crate::simd8::avx2::TABLE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if cpu::has_avx512_bf16() && crate::avx512::amx_may_be_used() => {
                &crate::avx512::TABLE_AMX
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if cpu::has_avx512_bf16() => &crate::avx512::TABLE_BF16,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &crate::avx512::TABLE,
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Sse2 | Isa::Avx2 | Isa::Avx512 => return Err(Unavailable(isa)),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &crate::simd8::neon::TABLE,
            #[cfg(not(target_arch = "aarch64"))]
            Isa::Neon => return Err(Unavailable(isa)),
        };
        Ok(Self { isa, table })
    }

    /// The instruction set of these kernels.
    #[must_use]
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// `Σ a[i] * b[i]`.
    ///
    /// # Panics
    /// Where the lengths differ.
    #[must_use]
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: `Kernels` exists only for a CPU that has the table's features; lengths agree.
        unsafe { (self.table.dot)(a, b) }
    }

    /// `out[i] = x[i] / sqrt(mean(x²) + eps) * weight[i]`.
    ///
    /// # Panics
    /// Where the lengths differ.
    pub fn rmsnorm(self, out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
        assert_eq!((out.len(), weight.len()), (x.len(), x.len()));
        let mean = self.dot(x, x) / x.len() as f32;
        let scale = 1.0 / llamaboot_math::sqrt(mean + eps);
        for ((out, &x), &weight) in out.iter_mut().zip(x).zip(weight) {
            *out = weight * (x * scale);
        }
    }

    /// `x[i] = exp(x[i])`, each correctly rounded.
    pub fn exp(self, x: &mut [f32]) {
        // SAFETY: the CPU has the table's features. Nothing is lost by taking away 0.
        unsafe { (self.table.exp_minus)(x, 0.0) }
    }

    /// Turns scores into probabilities: `exp(x[i] - max) / Σ exp(x[j] - max)`.
    pub fn softmax(self, x: &mut [f32]) {
        let max = max(x);
        // SAFETY: the CPU has the table's features.
        let sum = unsafe {
            (self.table.exp_minus)(x, max);
            (self.table.sum)(x)
        };
        x.iter_mut().for_each(|x| *x /= sum);
    }

    /// One head of attention for one token over the positions held, in one pass: a softmax whose
    /// greatest score, sum and weighted values are carried from block to block and scaled down
    /// whenever a greater score turns up. `keys` and `values` are `(n, head_dim)`, `q` and `out`
    /// `(head_dim)`.
    ///
    /// ```text
    /// for each block of 32 positions:  s = q · keys / divisor;  m' = max(m, s)
    ///   c = exp(m - m');  p = exp(s - m');  l = l * c + Σ p;  out = out * c + Σ p * values
    /// out = out / l
    /// ```
    ///
    /// # Panics
    /// Where the lengths do not fit each other.
    pub fn attend(
        self,
        out: &mut [f32],
        q: &[f32],
        keys: Cached<'_>,
        values: Cached<'_>,
        divisor: f32,
    ) {
        let width = out.len();
        assert!(q.len() == width && keys.len() == values.len());
        assert!(keys.len().is_multiple_of(width), "whole positions");
        let positions = keys.len() / width;
        let mut scores = [0.0; ATTENTION_BLOCK];
        let (mut greatest, mut total) = (f32::NEG_INFINITY, 0.0);
        out.fill(0.0);
        for start in (0..positions).step_by(ATTENTION_BLOCK) {
            let end = (start + ATTENTION_BLOCK).min(positions);
            let scores = &mut scores[..end - start];
            let after = (end + ATTENTION_BLOCK).min(positions);
            let next_keys = keys.slice(end * width..after * width);
            let range = start * width..end * width;
            let (keys, values) = (keys.slice(range.clone()), values.slice(range));
            // SAFETY: the CPU has the table's features; lengths agree.
            unsafe { (self.table.dots)(q, keys, divisor, scores, values) };
            let new_greatest = max(scores).max(greatest);
            if new_greatest > greatest && start > 0 {
                let correction = exp(greatest - new_greatest);
                total *= correction;
                out.iter_mut().for_each(|x| *x *= correction);
            }
            greatest = new_greatest;
            // SAFETY: the CPU has the table's features; lengths agree.
            unsafe {
                (self.table.exp_minus)(scores, greatest);
                total += (self.table.sum)(scores);
                (self.table.weighted_sum)(scores, values, out, next_keys);
            }
        }
        out.iter_mut().for_each(|x| *x /= total);
    }

    /// `out[i] = silu(gate[i]) * up[i]`.
    ///
    /// # Panics
    /// Where the lengths differ.
    pub fn swiglu(self, out: &mut [f32], gate: &[f32], up: &[f32]) {
        assert_eq!((gate.len(), up.len()), (out.len(), out.len()));
        // SAFETY: the CPU has the table's features; lengths agree.
        unsafe { (self.table.swiglu)(out, gate, up) }
    }

    /// f32 into the bits of f16, to the nearest, ties to even.
    ///
    /// # Panics
    /// Where the lengths differ.
    pub fn narrow_f16(self, x: &[f32], out: &mut [u16]) {
        assert_eq!(x.len(), out.len());
        // SAFETY: the CPU has the table's features; lengths agree.
        unsafe { (self.table.narrow_f16)(x, out) }
    }

    pub(crate) fn quantize(self, x: &[f32], q: &mut [i16]) -> BlockInfo {
        assert_eq!((x.len(), q.len()), (32, 32));
        // SAFETY: the CPU has the table's features; both slices hold 32 values.
        unsafe { (self.table.quantize)(x, q) }
    }

    /// A row of int16 as bytes, where the products want it.
    pub(crate) fn split(self, q: &[i16], out: &mut [Split]) {
        assert_eq!(q.len(), 16 * out.len());
        if let Some(split) = self.table.split {
            // SAFETY: `Kernels` exists only for a CPU that has the table's features.
            unsafe { split(q, out) };
        }
    }
}

/// What CPUID and XGETBV say. Both are needed: firmware leaves AVX off on CPUs that have it.
#[cfg(target_arch = "x86_64")]
pub(crate) mod cpu {
    use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    pub(super) fn has_avx2_fma_f16c() -> bool {
        const FMA: u32 = 1 << 12;
        const OSXSAVE: u32 = 1 << 27;
        const AVX: u32 = 1 << 28;
        const F16C: u32 = 1 << 29;
        const AVX2: u32 = 1 << 5;
        const NEEDED: u32 = FMA | OSXSAVE | AVX | F16C;
        /// XMM and YMM state enabled.
        const YMM_STATE: u64 = 0b110;
        if __cpuid(0).eax < 7 || __cpuid(1).ecx & NEEDED != NEEDED {
            return false;
        }
        // SAFETY: OSXSAVE is on, so XGETBV is there.
        let enabled = unsafe { xcr0() };
        enabled & YMM_STATE == YMM_STATE && __cpuid_count(7, 0).ebx & AVX2 != 0
    }

    /// To be asked only where [`has_avx2_fma_f16c`] is true.
    pub(super) fn has_avx512_vnni() -> bool {
        const F: u32 = 1 << 16;
        const DQ: u32 = 1 << 17;
        const BW: u32 = 1 << 30;
        const VL: u32 = 1 << 31;
        const NEEDED: u32 = F | DQ | BW | VL;
        const VNNI: u32 = 1 << 11;
        /// Mask registers, upper halves of ZMM0-15, and ZMM16-31 enabled.
        const ZMM_STATE: u64 = 0b1110_0000;
        // SAFETY: the caller has found OSXSAVE on.
        let enabled = unsafe { xcr0() };
        let leaf = __cpuid_count(7, 0);
        enabled & ZMM_STATE == ZMM_STATE && leaf.ebx & NEEDED == NEEDED && leaf.ecx & VNNI != 0
    }

    /// To be asked only where [`has_avx512_vnni`] is true.
    pub(super) fn has_avx512_bf16() -> bool {
        const BF16: u32 = 1 << 5;
        __cpuid_count(7, 0).eax >= 1 && __cpuid_count(7, 1).eax & BF16 != 0
    }

    /// To be asked only where [`has_avx512_vnni`] is true.
    pub(crate) fn has_amx_bf16() -> bool {
        const BF16: u32 = 1 << 22;
        const TILE: u32 = 1 << 24;
        const NEEDED: u32 = BF16 | TILE;
        /// Tiles' configuration and the tiles themselves enabled.
        const TILE_STATE: u64 = 0b11 << 17;
        // SAFETY: the caller has found OSXSAVE on.
        let enabled = unsafe { xcr0() };
        enabled & TILE_STATE == TILE_STATE && __cpuid_count(7, 0).edx & NEEDED == NEEDED
    }

    #[target_feature(enable = "xsave")]
    fn xcr0() -> u64 {
        // SAFETY: register 0 exists wherever XGETBV does.
        unsafe { _xgetbv(0) }
    }
}
