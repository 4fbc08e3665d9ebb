//! Memory reserved with a question first: an allocator that fails ends the program, and a model
//! that does not fit is no reason for that.

use alloc::{vec, vec::Vec};

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
