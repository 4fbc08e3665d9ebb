//! The last words: on a bug of ours the message goes to serial line and screen, and after a while
//! the machine restarts; it cannot go back to firmware, for other cores may still run our code.
//! Another core than the boot core may call nothing of firmware's; it leaves the message to the
//! boot core and stops.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use uefi::runtime::{self, ResetType};
use uefi::{CStr16, Status, boot};

static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if crate::cores::note_panic_of_worker() {
        loop {
            core::hint::spin_loop();
        }
    }
    if !PANICKED.swap(true, Ordering::AcqRel) {
        // Without allocating: memory may be what has run out.
        let _ = write!(LastWords, "\r\nllamaboot: internal error, please report this: {info}\r\n");
        boot::stall(Duration::from_secs(20));
        runtime::reset(ResetType::COLD, Status::ABORTED, None);
    }
    loop {
        core::hint::spin_loop();
    }
}

/// Serial line and screen, past everything that may be in use.
struct LastWords;

impl Write for LastWords {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: everything runs on the boot processor, and nothing but the panic handler goes on.
        unsafe {
            crate::serial::emergency_write(text);
            screen_write(text);
        }
        Ok(())
    }
}

/// Writes to the console past every lock.
///
/// # Safety
/// As [`crate::serial::emergency_write`].
unsafe fn screen_write(text: &str) {
    let Some(table) = uefi::table::system_table_raw() else { return };
    for c in text.chars() {
        let unit = u16::try_from(u32::from(c)).unwrap_or(b'?'.into());
        let unit = if unit == u16::from(b'\n') { b' '.into() } else { unit };
        let buffer = [unit, 0];
        if CStr16::from_u16_with_nul(&buffer).is_ok() {
            // SAFETY: the table and its console are valid while boot services are.
            unsafe {
                let out = table.as_ref().stdout;
                let _ = ((*out).output_string)(out, buffer.as_ptr());
            }
        }
    }
}
