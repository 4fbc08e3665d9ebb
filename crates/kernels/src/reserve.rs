//! Memory reserved with a question first: an allocator that fails ends the program, and a model
//! that does not fit is no reason for that.

use alloc::{vec, vec::Vec};
use bytemuck::Pod;
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

/// Bytes of a cache line.
const LINE: usize = 64;

/// Numbers that begin at a cache line: a vector register of them then lies in one line, whose
/// reading takes half the time of two.
#[derive(Debug)]
pub struct Aligned<T> {
    /// Never grows, so it stays where it is. Plain words, for those come zeroed from the system.
    words: Vec<u64>,
    /// The first word at the beginning of a line.
    first: usize,
    len: usize,
    marker: PhantomData<T>,
}

impl<T: Pod> Aligned<T> {
    /// `len` zeros.
    ///
    /// # Errors
    /// As [`zeros`].
    pub fn zeros(len: usize) -> Result<Self, OutOfMemory> {
        let needed = len.saturating_mul(size_of::<T>()).div_ceil(size_of::<u64>());
        let words: Vec<u64> = zeros(needed.saturating_add(LINE / size_of::<u64>() - 1))?;
        let first = words.as_ptr().addr().wrapping_neg() % LINE / size_of::<u64>();
        Ok(Self { words, first, len, marker: PhantomData })
    }
}

impl<T: Pod> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.words[self.first..])[..self.len]
    }
}

impl<T: Pod> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.words[self.first..])[..self.len]
    }
}
