//! Quantised matrices rearranged for vector kernels, where they lie, by all threads.

use alloc::vec::Vec;
use llamaboot_checkpoint::{Header, PackJob};
use llamaboot_kernels::{OutOfMemory, Parallel, for_each_with, zeros};

/// Rearranges every matrix that can be, in `pieces` of the file that begin at the offsets given.
/// To be called once, before [`Checkpoint::attach`](llamaboot_checkpoint::Checkpoint::attach).
///
/// # Errors
/// Where there is not enough memory for eight rows a thread.
pub fn pack<'p>(
    header: &mut Header<'_>,
    pieces: impl IntoIterator<Item = (u64, &'p mut [u8])>,
    threads: &dyn Parallel,
) -> Result<(), OutOfMemory> {
    let mut jobs = header.pack(pieces);
    let longest = jobs.iter().map(PackJob::space).max().unwrap_or(0);
    let mut spaces: Vec<Vec<u8>> =
        (0..threads.threads()).map(|_| zeros(longest)).collect::<Result<_, _>>()?;
    for_each_with(threads, &mut jobs, &mut spaces, |job, space| job.run(space));
    Ok(())
}
