//! The other cores. One persistent procedure is started on all of them at once (a start costs
//! 10–15 ms, a matrix product much less), and from then on work is handed out through the pool's
//! atomics alone.
//!
//! ```text
//! boot core:  StartupAllAPs(worker), non-blocking; wait a moment; close the door; make the pool
//! worker:     AVX on → knock → (door closed? return) → wait for the pool → own stack → pool.work()
//! end:        pool.stop() → every worker has left → AVX as it was → firmware has its cores back
//! ```
//! A worker calls nothing of firmware's: no console, no memory, no clock. Where firmware refuses,
//! or has no such service, there is one core, and a line says so.

use crate::clock::Tsc;
use crate::cpu::{self, Avx};
use crate::memory::Pages;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::arch::asm;
use core::ffi::c_void;
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;
use llamaboot_chat::Clock as _;
use llamaboot_kernels::{Parallel, Park, Pool, SingleThread};
use uefi::boot::{self, EventType, OpenProtocolAttributes, OpenProtocolParams, Tpl};
use uefi::proto::pi::mp::MpServices;
use uefi::runtime::{self, ResetType};
use uefi::{Event, Handle, Status};

/// Cores used at most.
const MAX_CORES: usize = 256;
/// A worker's stack: firmware's own may be as small as 32 KiB.
const STACK_LEN: usize = 128 << 10;
/// How long the boot core waits for others to knock. They come within milliseconds, but a virtual
/// machine on a busy host may take its time.
const KNOCK_US: u64 = 1_000_000;
/// What the count of knocks is set to when the door closes.
const CLOSED: usize = usize::MAX / 2;

/// Set by a worker that panicked; the boot core then says so.
static WORKER_PANICKED: AtomicBool = AtomicBool::new(false);

/// The cores of this machine.
pub(crate) enum Cores {
    /// The boot core alone, and why, where there are others.
    One(Option<String>),
    /// A team with the boot core as its first member.
    Many(Team),
}

impl Cores {
    /// Starts every core that firmware has.
    pub(crate) fn start(clock: Tsc) -> Self {
        let Ok(handle) = boot::get_handle_for_protocol::<MpServices>() else {
            return Self::One(None);
        };
        match Team::start(handle, clock) {
            Ok(Some(team)) => Self::Many(team),
            Ok(None) => Self::One(None),
            Err(error) => {
                let status = error.status();
                Self::One(Some(format!("firmware does not start the other cores ({status})\n")))
            }
        }
    }

    /// A line for the user where not every core takes part.
    pub(crate) fn notice(&self) -> Option<String> {
        match self {
            Self::One(notice) => notice.clone(),
            Self::Many(team) if team.missing > 0 => {
                Some(format!("{} cores did not come up and are left out\n", team.missing))
            }
            Self::Many(_) => None,
        }
    }

    /// The cores as the engine wants them.
    pub(crate) fn threads(&self) -> &dyn Parallel {
        match self {
            Self::One(_) => &SingleThread,
            Self::Many(team) => &*team.pool,
        }
    }
}

/// What boot core and workers share while the workers run.
struct Shared {
    /// Workers that have arrived; [`CLOSED`] and more once the door is closed.
    knocks: AtomicUsize,
    pool: AtomicPtr<Pool<Idle>>,
    /// Workers that have left.
    left: AtomicUsize,
    stacks: Vec<Pages>,
}

/// Started workers; they are stopped and waited for when this is dropped.
pub(crate) struct Team {
    pool: Box<Pool<Idle>>,
    /// Always there until the drop.
    shared: Option<Box<Shared>>,
    workers: usize,
    /// Cores that firmware counts but that did not arrive.
    missing: usize,
    /// Firmware signals it when all workers have returned.
    finished: Option<Event>,
}

impl Team {
    fn start(handle: Handle, clock: Tsc) -> uefi::Result<Option<Self>> {
        let params = OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
        // SAFETY: opened without exclusivity; firmware's service stays for as long as it does.
        let mp = unsafe {
            boot::open_protocol::<MpServices>(params, OpenProtocolAttributes::GetProtocol)?
        };
        let expected = mp.get_number_of_processors()?.enabled.saturating_sub(1);
        if expected == 0 {
            return Ok(None);
        }
        let stacks =
            (0..expected.min(MAX_CORES - 1)).map_while(|_| Pages::allocate(STACK_LEN)).collect();
        let shared = Box::new(Shared {
            knocks: AtomicUsize::new(0),
            pool: AtomicPtr::new(ptr::null_mut()),
            left: AtomicUsize::new(0),
            stacks,
        });
        // SAFETY: without a notification function there is nothing that could run at a bad time.
        let finished =
            unsafe { boot::create_event(EventType::empty(), Tpl::APPLICATION, None, None)? };
        let argument = ptr::from_ref(&*shared).cast_mut().cast::<c_void>();
        // SAFETY: the copy is firmware's to signal; ours is closed only after it did.
        let signal = unsafe { finished.unsafe_clone() };
        if let Err(error) = mp.startup_all_aps(false, worker, argument, Some(signal), None) {
            let _ = boot::close_event(finished);
            return Err(error);
        }
        let deadline = clock.micros() + KNOCK_US;
        while shared.knocks.load(Ordering::Acquire) < expected && clock.micros() < deadline {
            spin_loop();
        }
        let arrived = shared.knocks.fetch_add(CLOSED, Ordering::AcqRel);
        let workers = arrived.min(shared.stacks.len());
        let pool = Box::new(Pool::new(workers + 1, Idle::new()));
        shared.pool.store(ptr::from_ref(&*pool).cast_mut(), Ordering::Release);
        let missing = expected - workers;
        Ok(Some(Self { pool, shared: Some(shared), workers, missing, finished: Some(finished) }))
    }
}

impl Drop for Team {
    /// Firmware reuses our memory once we return: no core may be left in it. One that firmware does
    /// not report back leaves nothing but a restart.
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        self.pool.stop();
        while shared.left.load(Ordering::Acquire) < self.workers {
            spin_loop();
        }
        if self.missing > 0 {
            // A core that firmware reports back late may still come and knock.
            Box::leak(shared);
        }
        // Firmware looks every 100 ms.
        if let Some(finished) = self.finished.take() {
            for _ in 0..100 {
                if boot::check_event(&finished).unwrap_or(false) {
                    let _ = boot::close_event(finished);
                    return;
                }
                boot::stall(Duration::from_millis(10));
            }
            runtime::reset(ResetType::COLD, Status::ABORTED, None);
        }
    }
}

/// What each other core runs, on firmware's stack.
extern "efiapi" fn worker(argument: *mut c_void) {
    // SAFETY: `Team` keeps this alive until every worker has left.
    let shared = unsafe { &*argument.cast::<Shared>() };
    let avx = Avx::enable();
    cpu::set_float_environment();
    let number = shared.knocks.fetch_add(1, Ordering::AcqRel);
    // Behind a closed door `shared` must not be touched again: it may be gone.
    if number < CLOSED && number < shared.stacks.len() {
        let top = shared.stacks[number].bytes().as_ptr_range().end;
        // SAFETY: this core alone has this stack, whose end is aligned to a page.
        unsafe { call_on_stack(top, work, shared) };
        avx.disable();
        shared.left.fetch_add(1, Ordering::Release);
    } else {
        avx.disable();
    }
}

/// What each other core runs, on a stack of its own.
extern "win64" fn work(shared: &Shared) {
    let pool = loop {
        let pool = shared.pool.load(Ordering::Acquire);
        if !pool.is_null() {
            break pool;
        }
        spin_loop();
    };
    // SAFETY: `Team` keeps the pool until every worker has left.
    unsafe { &*pool }.work();
}

/// Calls `function(argument)` with the stack pointer at `top`.
///
/// # Safety
/// `top` is the 16-byte aligned end of memory that nothing else uses during the call.
unsafe fn call_on_stack(top: *const u8, function: extern "win64" fn(&Shared), argument: &Shared) {
    // SAFETY: r12 is preserved by the callee, so that the old stack pointer comes back from it; the
    // 32 bytes are the callee's shadow space.
    unsafe {
        asm!(
            "xchg rsp, r12",
            "sub rsp, 32",
            "call {function}",
            "mov rsp, r12",
            function = in(reg) function,
            inout("r12") top => _,
            in("rcx") ptr::from_ref(argument),
            clobber_abi("win64"),
        );
    }
}

/// How idle cores wait: MWAIT on the pool's counter where the CPU has it, else PAUSE.
struct Idle {
    mwait: bool,
}

impl Idle {
    fn new() -> Self {
        Self { mwait: cpu::has_mwait() }
    }
}

impl Park for Idle {
    fn sleep(&self, generation: &AtomicU32, seen: u32) {
        while generation.load(Ordering::SeqCst) == seen {
            if self.mwait {
                cpu::wait_for_change(generation, seen);
            } else {
                spin_loop();
            }
        }
    }

    fn wake(&self) {
        // The change of the counter itself wakes whoever monitors it.
    }

    fn give_way(&self) {
        assert!(!WORKER_PANICKED.load(Ordering::Relaxed), "another core has panicked");
        spin_loop();
    }
}

/// Whether this is one of the other cores, which may call nothing of firmware's; for the panic
/// handler, which stops it for good.
pub(crate) fn note_panic_of_worker() -> bool {
    let worker = !cpu::is_boot_core();
    if worker {
        WORKER_PANICKED.store(true, Ordering::Relaxed);
    }
    worker
}
