//! AVX on bare metal: firmware leaves it off (CR4.OSXSAVE is 0), so we turn it on, check that
//! firmware's interrupt handlers leave our registers alone, and put it back before we return.

use crate::clock::Tsc;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

/// CR4.OSXSAVE: the operating system (here: we) saves extended state with XSAVE.
const OSXSAVE: u64 = 1 << 18;
/// CPUID.1:ECX.MONITOR, .XSAVE and .AVX.
const CPUID_MONITOR: u32 = 1 << 3;
const CPUID_XSAVE: u32 = 1 << 26;
const CPUID_AVX: u32 = 1 << 28;
/// XCR0: x87, SSE and AVX state.
const X87_SSE_AVX: u64 = 0b111;
/// XCR0: mask registers, upper halves of ZMM0–15, and ZMM16–31.
const AVX512: u64 = 0b1110_0000;

/// AVX as we found it.
pub(crate) struct Avx {
    /// XCR0 before us, and whether OSXSAVE was off; `None` once disabled or never enabled.
    found: Cell<Option<(u64, bool)>>,
}

impl Avx {
    /// Enables AVX where the CPU has it. Where firmware has set OSXSAVE already, CR4 stays.
    pub(crate) fn enable() -> Self {
        let features = __cpuid(1).ecx;
        if features & CPUID_XSAVE == 0 || features & CPUID_AVX == 0 {
            return Self { found: Cell::new(None) };
        }
        // Leaf 13 lists the bits of XCR0 that this CPU has; the three of AVX-512 go together.
        let zmm = u64::from(__cpuid_count(13, 0).eax) & AVX512;
        let wanted = X87_SSE_AVX | if zmm == AVX512 { AVX512 } else { 0 };
        // SAFETY: ring 0, the CPU has XSAVE (checked), bits 0–2 of XCR0 are valid together on every
        // CPU that has AVX, and bits 5–7 with them where leaf 13 has all three.
        let found = unsafe {
            let cr4 = read_cr4();
            if cr4 & OSXSAVE == 0 {
                write_cr4(cr4 | OSXSAVE);
            }
            let xcr0 = read_xcr0();
            write_xcr0(xcr0 | wanted);
            (xcr0, cr4 & OSXSAVE == 0)
        };
        Self { found: Cell::new(Some(found)) }
    }

    /// Puts XCR0 and CR4 back as firmware had them.
    pub(crate) fn disable(&self) {
        if let Some((xcr0, set_osxsave)) = self.found.take() {
            // SAFETY: ring 0, OSXSAVE is on, and these values were in force before.
            unsafe {
                write_xcr0(xcr0);
                if set_osxsave {
                    write_cr4(read_cr4() & !OSXSAVE);
                }
            }
        }
    }

    /// Holds a pattern in the upper halves of the YMM registers through at least two timer
    /// interrupts (firmware saves registers with FXSAVE, which does not cover them) and tells
    /// whether it survived. True where there is no AVX to lose.
    pub(crate) fn upper_halves_survive(&self, clock: Tsc) -> bool {
        const SPAN_US: u64 = 25_000;
        if self.found.get().is_none() {
            return true;
        }
        let pattern: [u64; 4] = [0x0123_4567_89ab_cdef, 1, 0xfedc_ba98_7654_3210, !0];
        let mut after = [[0_u64; 4]; 2];
        // SAFETY: AVX is on; the buffers hold 32 and 64 bytes; the loop only reads the counter.
        unsafe {
            asm!(
                "vmovdqu ymm0, [{pattern}]",
                "vmovdqu ymm15, [{pattern}]",
                "2:",
                "pause",
                "rdtsc",
                "shl rdx, 32",
                "or rax, rdx",
                "cmp rax, {deadline}",
                "jb 2b",
                "vmovdqu [{after}], ymm0",
                "vmovdqu [{after} + 32], ymm15",
                "vzeroupper",
                pattern = in(reg) pattern.as_ptr(),
                after = in(reg) after.as_mut_ptr(),
                deadline = in(reg) clock.deadline(SPAN_US),
                out("rax") _,
                out("rdx") _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            );
        }
        after == [pattern; 2]
    }
}

/// APIC id of the core that firmware started us on.
static BOOT_CORE: AtomicU32 = AtomicU32::new(u32::MAX);

/// To be called once, on the boot core.
pub(crate) fn note_boot_core() {
    BOOT_CORE.store(apic_id(), Ordering::Relaxed);
}

/// Whether this code runs on the boot core.
pub(crate) fn is_boot_core() -> bool {
    BOOT_CORE.load(Ordering::Relaxed) == apic_id()
}

/// The 32-bit id where the CPU has one: 8 bits do not tell 256 cores apart.
fn apic_id() -> u32 {
    if __cpuid(0).eax >= 0xb {
        let topology = __cpuid_count(0xb, 0);
        // Some CPUs count the leaf but leave it empty.
        if topology.ebx & 0xffff != 0 {
            return topology.edx;
        }
    }
    __cpuid(1).ebx >> 24
}

/// Rounds to nearest even, subnormals kept: what every number here is defined by.
pub(crate) fn set_float_environment() {
    let mxcsr: u32 = 0x1f80;
    // SAFETY: SSE is on (UEFI requires it), and the value masks all exceptions.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &mxcsr, options(nostack, preserves_flags)) };
}

/// Whether the CPU has MONITOR and MWAIT, and a store to the monitored line reliably ends the wait:
/// that is all that wakes a core here. Intel lists models where it may not (Goldmont, Ice Lake
/// servers, Lunar Lake) or where the line must be flushed first (Dunnington, Nehalem-EX,
/// Westmere-EX); their idle cores spin.
pub(crate) fn has_mwait() -> bool {
    const UNRELIABLE: [u32; 7] = [0x1d, 0x2e, 0x2f, 0x5c, 0x6a, 0x6c, 0xbd];
    let (vendor, version) = (__cpuid(0), __cpuid(1));
    let intel = (vendor.ebx, vendor.edx, vendor.ecx) == (0x756e_6547, 0x4965_6e69, 0x6c65_746e);
    let family_6 = version.eax >> 8 & 15 == 6;
    let model = (version.eax >> 12 & 0xf0) | (version.eax >> 4 & 15);
    let unreliable = intel && family_6 && UNRELIABLE.contains(&model);
    version.ecx & CPUID_MONITOR != 0 && !unreliable
}

/// Sleeps until `value` may have changed from `seen`.
pub(crate) fn wait_for_change(value: &AtomicU32, seen: u32) {
    // SAFETY: ring 0, and the caller has checked that the CPU has the instructions. A change
    // between MONITOR and MWAIT ends the wait at once.
    unsafe {
        asm!("monitor", in("rax") value.as_ptr(), in("ecx") 0, in("edx") 0,
            options(nostack, preserves_flags));
        if value.load(Ordering::SeqCst) == seen {
            asm!("mwait", in("eax") 0, in("ecx") 0, options(nostack, preserves_flags));
        }
    }
}

unsafe fn read_cr4() -> u64 {
    let value;
    // SAFETY: the caller runs in ring 0.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

unsafe fn write_cr4(value: u64) {
    // SAFETY: the caller runs in ring 0 and changes a bit that the CPU supports.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) };
}

unsafe fn read_xcr0() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller has set CR4.OSXSAVE; register 0 always exists.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

unsafe fn write_xcr0(value: u64) {
    // SAFETY: the caller runs in ring 0, has set CR4.OSXSAVE, and gives supported bits.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}
