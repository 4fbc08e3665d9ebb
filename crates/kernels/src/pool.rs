//! A persistent pool of threads, made of atomics only, so that bare-metal cores can join it.
//!
//! ```text
//! run:   job := …; running := n - 1; generation += 1; job(0); spin until running = 0
//! work:  spin until generation changes (then sleep, where the platform can); job(i);
//!        running -= 1
//! ```
//! Spinning is bounded: a worker that saw no work for a while asks [`Park`] to let it sleep.

use crate::Parallel;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// How idle workers wait when spinning has gone on long enough.
pub trait Park: Sync {
    /// Blocks while `*generation == seen`; may return early.
    fn sleep(&self, generation: &AtomicU32, seen: u32);

    /// Wakes all sleepers; called after `generation` has changed.
    fn wake(&self);

    /// Lets other threads run, where more threads than cores may hold up the job.
    fn give_way(&self);
}

type Job<'a> = &'a (dyn Fn(usize) + Sync);

/// Spins before a waiting thread gives way to others, which may be the ones it waits for.
const SPINS_BEFORE_WAY: u32 = 1_000;

/// Spins before a worker sleeps: some tens of microseconds, longer than the gaps inside a token.
const SPINS: u32 = 20_000;

/// The counter that idle workers watch, away from what working ones write.
#[repr(align(128))]
struct Apart(AtomicU32);

/// `threads - 1` workers and the caller of [`Parallel::run`].
pub struct Pool<P> {
    threads: usize,
    job: UnsafeCell<Option<Job<'static>>>,
    generation: Apart,
    running: AtomicUsize,
    sleepers: AtomicUsize,
    /// Index of the next worker to join; the caller of `run` is 0.
    joined: AtomicUsize,
    busy: AtomicBool,
    stopping: AtomicBool,
    park: P,
}

// SAFETY: `job` is written only by the one thread inside `run` while no worker is running, and
// read by workers only after the release of `generation` that follows the write.
unsafe impl<P: Sync> Sync for Pool<P> {}

impl<P: Park> Pool<P> {
    /// A pool in which `threads - 1` workers will call [`Pool::work`], now or later: `run` waits
    /// for all of them.
    pub const fn new(threads: usize, park: P) -> Self {
        Self {
            threads,
            job: UnsafeCell::new(None),
            generation: Apart(AtomicU32::new(0)),
            running: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            joined: AtomicUsize::new(1),
            busy: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            park,
        }
    }

    /// The life of a worker; returns after [`Pool::stop`], or at once where the pool has all its
    /// workers already.
    pub fn work(&self) {
        let index = self.joined.fetch_add(1, Ordering::Relaxed);
        if index >= self.threads {
            return;
        }
        let mut seen = 0;
        loop {
            seen = self.next_generation(seen);
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            let _done = OnDrop(|| {
                self.running.fetch_sub(1, Ordering::Release);
            });
            // SAFETY: `run` wrote the job before it released this generation and does not touch
            // it again before `running` is 0, to which this worker still contributes.
            if let Some(job) = unsafe { *self.job.get() } {
                job(index);
            }
        }
    }

    /// Ends every worker.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.generation.0.fetch_add(1, Ordering::SeqCst);
        self.park.wake();
    }

    fn pause(&self, spins: u32) {
        if spins.is_multiple_of(SPINS_BEFORE_WAY) {
            self.park.give_way();
        } else {
            spin_loop();
        }
    }

    fn next_generation(&self, seen: u32) -> u32 {
        let mut spins = 0_u32;
        loop {
            let generation = self.generation.0.load(Ordering::SeqCst);
            if generation != seen {
                return generation;
            }
            spins += 1;
            if spins < SPINS {
                self.pause(spins);
            } else {
                self.sleepers.fetch_add(1, Ordering::SeqCst);
                self.park.sleep(&self.generation.0, seen);
                self.sleepers.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

/// Runs at the end of a scope, whether that is reached or unwound.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

// SAFETY: workers get their indices from a counter, one each; `run` is guarded against a second
// caller and waits, unwinding included, until every worker has finished the job.
unsafe impl<P: Park> Parallel for Pool<P> {
    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&self, job: Job<'_>) {
        if self.threads == 1 {
            return job(0);
        }
        assert!(!self.busy.swap(true, Ordering::Acquire), "a pool runs one job at a time");
        // SAFETY: only the lifetime changes. Workers use the job only until they decrement
        // `running`, and this function does not return before that count is 0.
        let job_static: Job<'static> =
            unsafe { core::mem::transmute::<Job<'_>, Job<'static>>(job) };
        // SAFETY: `busy` makes this the only caller, and no worker reads before the next release.
        unsafe { *self.job.get() = Some(job_static) };
        self.running.store(self.threads - 1, Ordering::Relaxed);
        self.generation.0.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            self.park.wake();
        }
        let _finish = OnDrop(|| {
            let mut spins = 0_u32;
            while self.running.load(Ordering::Acquire) > 0 {
                spins = spins.wrapping_add(1);
                self.pause(spins);
            }
            self.busy.store(false, Ordering::Release);
        });
        job(0);
    }
}
