//! Threads behind a trait: the host has std threads, bare metal has its cores, and what is
//! computed does not depend on either. No sum is ever split.

use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Something that can run one job on several threads at once.
///
/// # Safety
/// Callers let each index write memory of its own without further locks, so an implementation must
/// call the job with each index at most once at a time, with none out of range, must not return
/// while a call is still running, and must answer [`Parallel::threads`] with one number always.
pub unsafe trait Parallel: Sync {
    /// How many threads take part in [`Parallel::run`].
    fn threads(&self) -> usize;

    /// Calls `job(0)`, …, `job(threads - 1)`, each once and possibly at the same time, and returns
    /// when all have returned.
    fn run(&self, job: &(dyn Fn(usize) + Sync));
}

/// Everything on the calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct SingleThread;

// SAFETY: one thread, one call, done when it returns.
unsafe impl Parallel for SingleThread {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        job(0);
    }
}

/// The share of thread `index` of `threads` in `0..count`: contiguous, sizes differ by at most 1.
pub(crate) fn share(count: usize, index: usize, threads: usize) -> Range<usize> {
    let start = |i: usize| count / threads * i + (count % threads).min(i);
    start(index)..start(index + 1)
}

/// Calls `job(thread, number)` for each number below `count`; each thread takes the next one when
/// it is done with one, so that none waits long for a slower one.
pub(crate) fn take_turns(threads: &dyn Parallel, count: usize, job: impl Fn(usize, usize) + Sync) {
    let next = AtomicUsize::new(0);
    threads.run(&|index| {
        // What the jobs have written is seen by whoever comes after `run`.
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            job(index, number);
        }
    });
}

/// A mutable slice that several threads write at disjoint places.
pub(crate) struct SharedMut<'a, T> {
    start: *mut T,
    len: usize,
    marker: core::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: the only access is `slice`, whose callers keep their ranges disjoint; T crosses threads.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), marker: core::marker::PhantomData }
    }

    /// The elements of `range`, exclusively.
    ///
    /// # Safety
    /// No two ranges that are alive at the same time may overlap.
    #[allow(clippy::mut_from_ref, reason = "disjoint ranges, promised by the caller")]
    pub(crate) unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a range past the slice");
        // SAFETY: inside the borrowed slice (checked above) and disjoint (the caller's promise).
        unsafe { core::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// Cuts `out` into chunks of `len` elements, the last one maybe shorter, and calls
/// `job(i, chunk i)` for each, spread over the threads.
///
/// # Panics
/// Where `len` is 0: a bug of the caller.
pub fn for_each_chunk<T: Send>(
    threads: &dyn Parallel,
    out: &mut [T],
    len: usize,
    job: impl Fn(usize, &mut [T]) + Sync,
) {
    let (total, count) = (out.len(), out.len().div_ceil(len));
    if count == 1 {
        return job(0, out);
    }
    let out = SharedMut::new(out);
    threads.run(&|index| {
        for i in share(count, index, threads.threads()) {
            // SAFETY: every chunk number belongs to one thread, and chunks do not overlap.
            job(i, unsafe { out.slice(i * len..(i * len + len).min(total)) });
        }
    });
}

/// Calls `job(item, space)` for each item, spread over the threads; each thread has one of `spaces`
/// to itself.
///
/// # Panics
/// With fewer spaces than threads: a bug of the caller.
pub fn for_each_with<T: Send, S: Send>(
    threads: &dyn Parallel,
    items: &mut [T],
    spaces: &mut [S],
    job: impl Fn(&mut T, &mut S) + Sync,
) {
    assert!(spaces.len() >= threads.threads(), "a space for each thread");
    let count = items.len();
    let (items, spaces) = (SharedMut::new(items), SharedMut::new(spaces));
    threads.run(&|index| {
        // SAFETY: each thread index has a space of its own.
        let space = &mut unsafe { spaces.slice(index..index + 1) }[0];
        for i in share(count, index, threads.threads()) {
            // SAFETY: every item belongs to one thread.
            job(&mut unsafe { items.slice(i..i + 1) }[0], space);
        }
    });
}
