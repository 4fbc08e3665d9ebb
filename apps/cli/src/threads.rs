//! Host threads for the kernels' pool: they spin while work comes, and sleep when it does not.

use llamaboot_kernels::{Parallel, Park, Pool, SingleThread};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A pool of `count` threads that lives as long as the process. More than there are cores is
/// allowed, with a warning.
pub(crate) fn start(count: Option<u16>) -> &'static dyn Parallel {
    let (cores, count) = (cores(), count.map_or_else(cores, usize::from));
    if count > cores {
        eprintln!("llamaboot: {count} threads on {cores} cores: expect it to be slower");
    }
    if count == 1 {
        return &SingleThread;
    }
    let pool: &'static Pool<Sleep> = Box::leak(Box::new(Pool::new(count, Sleep::default())));
    for _ in 1..count {
        std::thread::spawn(|| pool.work());
    }
    pool
}

/// Sleeping on a condition variable.
#[derive(Default)]
struct Sleep {
    lock: Mutex<()>,
    woken: Condvar,
}

impl Sleep {
    /// No code panics while it holds the lock, so poison means nothing.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Park for Sleep {
    fn sleep(&self, generation: &AtomicU32, seen: u32) {
        let guard = self.lock();
        let unchanged = |_: &mut ()| generation.load(Ordering::SeqCst) == seen;
        drop(self.woken.wait_while(guard, unchanged));
    }

    fn wake(&self) {
        drop(self.lock());
        self.woken.notify_all();
    }

    fn give_way(&self) {
        std::thread::yield_now();
    }
}
