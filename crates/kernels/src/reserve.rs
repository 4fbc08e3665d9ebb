//! Memory reserved with a question first: an allocator that fails ends the program, and a model
//! that does not fit is no reason for that.

use alloc::{vec, vec::Vec};
use bytemuck::{Pod, Zeroable};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// No block of memory is large enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub bytes: usize,
}

impl core::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "no block of {} bytes of memory is left for the model's state", self.bytes)
    }
}

impl core::error::Error for OutOfMemory {}

/// `len` zeros (or what `T` has for them). Asking first and allocating afterwards keeps the
/// allocator's own zeroed, on a host untouched, memory.
///
/// # Errors
/// Where no block is large enough.
pub fn zeros<T: Clone + Default>(len: usize) -> Result<Vec<T>, OutOfMemory> {
    drop(room::<T>(len)?);
    Ok(vec![T::default(); len])
}

/// An empty vector with room for `len` elements.
///
/// # Errors
/// As [`zeros`].
pub fn room<T>(len: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut vec = Vec::new();
    let bytes = len.saturating_mul(size_of::<T>());
    vec.try_reserve_exact(len).map_err(|_| OutOfMemory { bytes })?;
    Ok(vec)
}

/// A cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; 8]);

// SAFETY: 64 zero bytes are a line.
unsafe impl Zeroable for Line {}
// SAFETY: 64 bytes without padding, any of which may be anything.
unsafe impl Pod for Line {}

impl Default for Line {
    fn default() -> Self {
        Self::zeroed()
    }
}

/// Numbers that begin at a cache line: a vector register of them then lies in one line, whose
/// reading takes half the time of two.
#[derive(Debug)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    len: usize,
    marker: PhantomData<T>,
}

impl<T: Pod> Aligned<T> {
    /// `len` zeros.
    ///
    /// # Errors
    /// As [`zeros`].
    pub fn zeros(len: usize) -> Result<Self, OutOfMemory> {
        let lines = zeros(len.saturating_mul(size_of::<T>()).div_ceil(size_of::<Line>()))?;
        Ok(Self { lines, len, marker: PhantomData })
    }
}

impl<T: Pod> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl<T: Pod> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
