//! Products of bf16 on CPUs with AMX, whose instructions multiply tiles of 16 rows of 64 bytes.
//!
//! TDPBF16PS takes 32 numbers along k, keeps even and odd ones apart, and adds what they come to at
//! once (Intel's manual, volume 2). Subnormals are taken for zero: `bf16.rs` leaves none in
//! products and their sums, but an `out` that is added to may be one.
//!
//! ```text
//! for each block of k, and of it for each 32 numbers in order (zeros behind the last):
//!   e = o = 0;  e = fma(a[i][p], b[p][j], e);  o = fma(a[i][p + 1], b[p + 1][j], o)   p = 0, 2, …
//!   out[i][j] += e + o
//! ```
//!
//! Four tiles of sums share two of `a` and two of `b`. The instructions are written as assembly:
//! stable Rust does not have them, and does not use their registers.

use super::bf16;
use crate::bf16::{Bf16, Bf16Instructions};
use crate::dispatch::cpu;
use crate::gemm::{Tile, TileRows};
use core::arch::asm;

/// Rows of a register, and columns of its f32 or words.
const SIDE: usize = 16;
/// Rows and columns of the product's tile: two registers each way.
const TILE: usize = 2 * SIDE;

pub(crate) const BF16: Bf16 = Bf16 {
    tile: Tile { rows: TILE, cols: TILE, words: SIDE, multiply, around: [configure, release] },
    instructions: Some(Bf16Instructions::AmxBf16),
    ..bf16::BF16
};

/// Operand of LDTILECFG.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes of a row of each register.
    row_bytes: [u16; 8],
    more_row_bytes: [u16; 8],
    rows: [u8; 8],
    more_rows: [u8; 8],
}

/// All eight registers at their full size.
static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [4 * SIDE as u16; 8],
    more_row_bytes: [0; 8],
    rows: [SIDE as u8; 8],
    more_rows: [0; 8],
};
const _: () = assert!(size_of::<Configuration>() == 64);

/// Whether the CPU has AMX's bf16 and the operating system lets this process use it. To be asked
/// only where there is AVX-512.
pub(crate) fn may_be_used() -> bool {
    cpu::has_amx_bf16() && is_permitted()
}

/// Asks Linux, which wants to be asked, to make room for the registers of each thread.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const TILE_DATA: usize = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: the system call reads no memory of ours and changes only what this process may use.
    unsafe {
        asm!(
            "syscall",
            inout("rax") result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, nomem),
        );
    }
    result == 0
}

/// Others are not asked: firmware does not enable the registers, and Windows has a way of its own.
#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// Says what the registers hold; until [`release`], this thread can multiply.
unsafe fn configure() {
    // SAFETY: the caller's CPU has AMX, and the operand is 64 bytes that describe eight registers.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly)) }
}

/// Empties the registers, so that a switch of threads need not keep them.
unsafe fn release() {
    // SAFETY: the caller's CPU has AMX.
    unsafe { asm!("tilerelease", options(nostack, nomem)) }
}

/// See [`Tile::multiply`].
unsafe fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], stride: usize, add: bool) {
    assert!(a.depth > 0 && a.depth.is_multiple_of(SIDE) && b.len() >= a.depth * TILE, "a panel");
    assert!(out.len() >= (TILE - 1) * stride + TILE, "a whole tile");
    let (a_start, a_stride) = a.side_by_side(TILE);
    // SAFETY: `configure` was called. All that is read and written is inside `a`, `b` and `out`, as
    // asserted: both halves of the rows begin inside them, too.
    unsafe {
        let out = out.as_mut_ptr();
        asm!(
            "test {add}, {add}",
            "jz 2f",
            "tileloadd tmm0, [{out} + {out_stride}]",
            "tileloadd tmm1, [{out} + {out_stride} + 64]",
            "tileloadd tmm2, [{low_out} + {out_stride}]",
            "tileloadd tmm3, [{low_out} + {out_stride} + 64]",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "tileloadd tmm4, [{a} + {a_stride}]",
            "tileloadd tmm6, [{b} + {b_stride}]",
            "tileloadd tmm7, [{b} + {b_stride} + 64]",
            "tileloadd tmm5, [{low_a} + {a_stride}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 64",
            "add {low_a}, 64",
            "add {b}, 16 * 128",
            "dec {steps}",
            "jnz 3b",
            "tilestored [{out} + {out_stride}], tmm0",
            "tilestored [{out} + {out_stride} + 64], tmm1",
            "tilestored [{low_out} + {out_stride}], tmm2",
            "tilestored [{low_out} + {out_stride} + 64], tmm3",
            add = in(reg) usize::from(add),
            out = in(reg) out,
            low_out = in(reg) out.add(SIDE * stride),
            out_stride = in(reg) 4 * stride,
            a = inout(reg) a_start => _,
            low_a = inout(reg) a_start.add(SIDE * a_stride) => _,
            a_stride = in(reg) 4 * a_stride,
            b = inout(reg) b.as_ptr() => _,
            b_stride = in(reg) 4 * TILE,
            steps = inout(reg) a.depth / SIDE => _,
            options(nostack),
        );
    }
}
