//! The one table that says which kernel runs, chosen once, at start, from the CPU's features.

use crate::activations::{Activations, BlockInfo};
use crate::matmul::GroupOut;
use crate::scalar;
use core::ops::Range;
use llamaboot_checkpoint::Tensor;

/// An instruction set that there are kernels for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, fused multiply-add emulated; runs everywhere.
    Scalar,
    /// AVX2, FMA and F16C (x86-64 since 2013).
    Avx2,
}

impl Isa {
    /// Every instruction set, best first.
    pub const ALL: [Self; 2] = [Self::Avx2, Self::Scalar];

    /// The name that `--isa` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
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
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => cpu::has_avx2_fma_f16c(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 => false,
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

/// Some rows of a tensor, where their results go, and a panel to unpack into.
pub(crate) struct RowGroup<'a> {
    pub(crate) tensor: &'a Tensor<'a>,
    /// At most 8 rows.
    pub(crate) rows: Range<usize>,
    pub(crate) out: GroupOut<'a>,
    pub(crate) panel: &'a mut Panel,
}

/// Eight rows unpacked for a vector kernel: weights as i8, scales and minima as f32, interleaved
/// so that lane r of a vector belongs to row r.
#[derive(Debug, Default)]
pub(crate) struct Panel {
    /// `(block, pair k of 8, half, row, 2)`: weights `2k, 2k + 1` of each half of the block.
    pub(crate) q: alloc::vec::Vec<i8>,
    /// `(block, half, row)`.
    pub(crate) scale: alloc::vec::Vec<f32>,
    /// `(block, half, row)`.
    pub(crate) min: alloc::vec::Vec<f32>,
}

/// Kernels of one instruction set; the crate's head defines what each computes. Lengths of slices
/// that belong together are equal; callers check.
pub(crate) struct Table {
    /// `Σ a[i] * b[i]`.
    pub(crate) dot: unsafe fn(&[f32], &[f32]) -> f32,
    /// `Σ x[i]`.
    pub(crate) sum: unsafe fn(&[f32]) -> f32,
    /// `out[t] = dot(q, keys[t]) / divisor`, keys `(out.len(), q.len())`.
    pub(crate) dots: unsafe fn(&[f32], &[f32], f32, &mut [f32]),
    /// `out = Σ_t weights[t] * values[t]`, values `(weights.len(), out.len())`.
    pub(crate) weighted_sum: unsafe fn(&[f32], &[f32], &mut [f32]),
    /// `x[i] = exp(x[i] - max)`.
    pub(crate) exp_minus: unsafe fn(&mut [f32], f32),
    /// `gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i]`.
    pub(crate) swiglu: unsafe fn(&mut [f32], &[f32]),
    /// 32 values into int16.
    pub(crate) quantize: unsafe fn(&[f32], &mut [i16]) -> BlockInfo,
    /// Little-endian f16 into f32, exactly.
    pub(crate) widen_f16: unsafe fn(&[u8], &mut [f32]),
    /// Little-endian bf16 into f32, exactly.
    pub(crate) widen_bf16: unsafe fn(&[u8], &mut [f32]),
    /// Rows of a blocked tensor against all tokens.
    pub(crate) block_rows: unsafe fn(&mut RowGroup<'_>, &Activations),
}

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
            Isa::Avx2 => &crate::avx2::TABLE,
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 => return Err(Unavailable(isa)),
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
        let max = crate::max(x);
        // SAFETY: the CPU has the table's features.
        let sum = unsafe {
            (self.table.exp_minus)(x, max);
            (self.table.sum)(x)
        };
        x.iter_mut().for_each(|x| *x /= sum);
    }

    /// One head of attention for one token: softmax of `q · keys[t] / divisor` over the `n`
    /// positions held, then the mean of the values under it. `keys` and `values` are
    /// `(n, head_dim)`, `scores` is `(n)`, `out` is `(head_dim)`.
    ///
    /// # Panics
    /// Where the lengths do not fit each other.
    pub fn attend(
        self,
        out: &mut [f32],
        scores: &mut [f32],
        q: &[f32],
        keys: &[f32],
        values: &[f32],
        divisor: f32,
    ) {
        assert_eq!((q.len(), keys.len()), (out.len(), scores.len() * out.len()));
        assert_eq!(values.len(), keys.len());
        // SAFETY: the CPU has the table's features; lengths agree.
        unsafe { (self.table.dots)(q, keys, divisor, scores) };
        self.softmax(scores);
        // SAFETY: as above.
        unsafe { (self.table.weighted_sum)(scores, values, out) };
    }

    /// `gate[i] = silu(gate[i]) * up[i]`.
    ///
    /// # Panics
    /// Where the lengths differ.
    pub fn swiglu(self, gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len());
        // SAFETY: the CPU has the table's features; lengths agree.
        unsafe { (self.table.swiglu)(gate, up) }
    }

    pub(crate) fn quantize(self, x: &[f32], q: &mut [i16]) -> BlockInfo {
        assert_eq!((x.len(), q.len()), (32, 32));
        // SAFETY: the CPU has the table's features; both slices hold 32 values.
        unsafe { (self.table.quantize)(x, q) }
    }
}

/// What CPUID and XGETBV say. Both are needed: firmware leaves AVX off on CPUs that have it.
#[cfg(target_arch = "x86_64")]
mod cpu {
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

    #[target_feature(enable = "xsave")]
    fn xcr0() -> u64 {
        // SAFETY: register 0 exists wherever XGETBV does.
        unsafe { _xgetbv(0) }
    }
}
