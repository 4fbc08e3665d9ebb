//! The first serial port, as ours: firmware's terminal driver is put aside, because it turns é
//! into `?`, sends cursor movements, and holds a lone Esc for two seconds. Bytes are UTF-8.

use core::sync::atomic::{AtomicPtr, Ordering};
use uefi::Handle;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::console::serial::{ControlBits, IoMode, Serial};

/// The open port, for the panic handler.
static PORT: AtomicPtr<Serial> = AtomicPtr::new(core::ptr::null_mut());

/// Failed writes after which the port counts as dead: a line nobody drains must not slow the chat.
const MAX_FAILURES: u32 = 3;

/// An open serial port.
pub(crate) struct SerialPort {
    handle: Handle,
    port: Option<ScopedProtocol<Serial>>,
    failures: u32,
}

impl SerialPort {
    /// Takes the first port from firmware; `None` where there is none or it stays taken.
    pub(crate) fn open() -> Option<Self> {
        let handle = boot::get_handle_for_protocol::<Serial>().ok()?;
        let mut port = boot::open_protocol_exclusive::<Serial>(handle).ok()?;
        PORT.store(port.get_mut()?, Ordering::Release);
        Some(Self { handle, port: Some(port), failures: 0 })
    }

    /// Sets the speed; a port that cannot do it keeps the one it has.
    pub(crate) fn set_speed(&mut self, bits_per_second: u32) {
        if let Some(port) = &mut self.port {
            let mode = IoMode { baud_rate: u64::from(bits_per_second), ..*port.io_mode() };
            let _ = port.set_attributes(&mode);
        }
    }

    /// Writes text, each line end as CR LF.
    pub(crate) fn write(&mut self, text: &str) {
        let mut lines = text.split('\n');
        self.write_bytes(lines.next().unwrap_or_default().as_bytes());
        for line in lines {
            self.write_bytes(b"\r\n");
            self.write_bytes(line.as_bytes());
        }
    }

    fn write_bytes(&mut self, mut bytes: &[u8]) {
        let Some(port) = &mut self.port else { return };
        while !bytes.is_empty() && self.failures < MAX_FAILURES {
            match port.write(bytes) {
                Ok(()) => return self.failures = 0,
                Err(error) => {
                    let written = (*error.data()).min(bytes.len());
                    bytes = &bytes[written..];
                    self.failures = if written == 0 { self.failures + 1 } else { 0 };
                }
            }
        }
    }

    /// A byte that has arrived.
    pub(crate) fn poll(&mut self) -> Option<u8> {
        let port = self.port.as_mut()?;
        if port.get_control_bits().ok()?.contains(ControlBits::INPUT_BUFFER_EMPTY) {
            return None;
        }
        let mut byte = [0];
        port.read(&mut byte).ok()?;
        self.failures = 0;
        Some(byte[0])
    }
}

impl Drop for SerialPort {
    /// Gives the port back to firmware's terminal driver.
    fn drop(&mut self) {
        PORT.store(core::ptr::null_mut(), Ordering::Release);
        self.port = None;
        let _ = boot::connect_controller(self.handle, &[], None, true);
    }
}

/// Writes text from the panic handler.
///
/// # Safety
/// Only on the boot processor, when nothing else uses the port any more.
pub(crate) unsafe fn emergency_write(text: &str) {
    let port = PORT.load(Ordering::Acquire);
    if !port.is_null() {
        // SAFETY: the pointer is valid while the port is open; exclusive by the caller's promise.
        let _ = unsafe { (*port).write(text.as_bytes()) };
    }
}
