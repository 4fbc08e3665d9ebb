//! Memory: pages for a model's file, and the heap. Firmware often cannot give one huge block, so
//! pieces are at most [`MAX_PIECE`] long, and each frees itself. What is freed is wiped: nobody
//! who comes after us finds a conversation in memory.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::slice;
use uefi::allocator::Allocator;
use uefi::boot::{self, AllocateType, MemoryType, PAGE_SIZE};
use uefi::mem::memory_map::MemoryMap;

/// Longest piece asked for at once: with 8 GiB of memory, a request for 5 GiB fails although 6 GiB
/// lie free above the 4 GiB line.
pub(crate) const MAX_PIECE: u64 = 1 << 30;

/// Left to firmware and to our own small allocations.
const RESERVE: u64 = 32 << 20;

/// Firmware's pool, with every block wiped before it goes back.
struct Wiped(Allocator);

#[global_allocator]
static HEAP: Wiped = Wiped(Allocator);

// SAFETY: all is passed on to firmware's pool; a block is written to only while it is still ours.
unsafe impl GlobalAlloc for Wiped {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of the allocator beneath.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block has this layout and belongs to the caller, who gives it up here.
        unsafe {
            block.write_bytes(0, layout.size());
            self.0.dealloc(block, layout);
        }
    }
}

/// Zeroed pages, freed on drop.
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
    count: usize,
}

impl Pages {
    /// At least `len` bytes; `None` where firmware has no such block.
    pub(crate) fn allocate(len: usize) -> Option<Self> {
        Self::allocate_at(AllocateType::AnyPages, len)
    }

    /// The same, where every device reaches: below 4 GiB.
    pub(crate) fn allocate_low(len: usize) -> Option<Self> {
        Self::allocate_at(AllocateType::MaxAddress(u32::MAX.into()), len)
    }

    fn allocate_at(place: AllocateType, len: usize) -> Option<Self> {
        let count = len.div_ceil(PAGE_SIZE).max(1);
        let start = boot::allocate_pages(place, MemoryType::LOADER_DATA, count).ok()?;
        // SAFETY: the pages are ours, and nobody has a reference to them yet.
        unsafe { start.write_bytes(0, count * PAGE_SIZE) };
        Some(Self { start, len, count })
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: allocated and zeroed above; shared for as long as `self` is.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, to fill.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: allocated and zeroed above; exclusive for as long as `self` is.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with this count, and references ended with `self`. A failure would
        // only leak the pages until we return to firmware.
        let _ = unsafe { boot::free_pages(self.start, self.count) };
    }
}

/// Bytes of memory that a model may take.
pub(crate) fn available() -> u64 {
    let Ok(map) = boot::memory_map(MemoryType::LOADER_DATA) else {
        return 0;
    };
    let free = map.entries().filter(|entry| entry.ty == MemoryType::CONVENTIONAL);
    free.map(|entry| entry.page_count * PAGE_SIZE as u64).sum::<u64>().saturating_sub(RESERVE)
}
