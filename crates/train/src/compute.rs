//! What the passes compute with: kernels, threads, and each thread's own room.

use crate::attention::HeadSpace;
use alloc::vec::Vec;
use llamaboot_kernels::{
    GemmSpace, Kernels, Matrix, OutOfMemory, Parallel, Precision, for_each_with,
};

/// Kernels and threads, with room for each thread.
pub struct Compute<'a> {
    pub(crate) kernels: Kernels,
    pub(crate) threads: &'a dyn Parallel,
    pub(crate) heads: Vec<HeadSpace>,
    /// Of the products that gradients follow from, where [`crate::Network`] computes them. Losses
    /// alone are always computed in f32, as the model will be when it is used.
    pub precision: Precision,
    gemm: GemmSpace,
    nothing: Vec<()>,
}

impl<'a> Compute<'a> {
    /// Room for windows of up to `context` tokens; f32 at first.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(
        kernels: Kernels,
        threads: &'a dyn Parallel,
        context: usize,
    ) -> Result<Self, OutOfMemory> {
        let count = threads.threads();
        let heads = (0..count).map(|_| HeadSpace::new(context)).collect::<Result<_, _>>()?;
        let gemm = GemmSpace::new(count)?;
        let (precision, nothing) = (Precision::F32, alloc::vec![(); count]);
        Ok(Self { kernels, threads, heads, precision, gemm, nothing })
    }

    /// What the products that follow are computed with.
    pub(crate) fn multiply_in(&mut self, precision: Precision) {
        self.gemm.precision = precision;
        self.heads.iter_mut().for_each(|head| head.multiply_in(precision));
    }

    /// `out = a · b`.
    pub(crate) fn product(&mut self, out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
        self.product_or_sum(out, a, b, false);
    }

    /// `out += a · b`.
    pub(crate) fn add_product(&mut self, out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
        self.product_or_sum(out, a, b, true);
    }

    /// One of the two.
    pub(crate) fn product_or_sum(
        &mut self,
        out: &mut [f32],
        a: Matrix<'_>,
        b: Matrix<'_>,
        add: bool,
    ) {
        self.kernels.gemm(self.threads, &mut self.gemm, out, a, b, add);
    }

    /// Calls `job` for each item, spread over the threads.
    pub(crate) fn for_each<T: Send>(
        &mut self,
        items: impl Iterator<Item = T>,
        job: impl Fn(&mut T) + Sync,
    ) {
        let mut items: Vec<T> = items.collect();
        for_each_with(self.threads, &mut items, &mut self.nothing, |item, ()| job(item));
    }
}
