//! Firmware that does not start the other cores, for the tests: refuses every StartupAllAPs, then
//! starts `EFI/BOOT/LLAMABOOT.EFI` of the same volume, the real boot program.

#![no_main]
#![no_std]

extern crate alloc;

use core::ffi::c_void;
use core::panic::PanicInfo;
use uefi::boot::{LoadImageSource, OpenProtocolAttributes, OpenProtocolParams};
use uefi::fs::FileSystem;
use uefi::prelude::*;
use uefi::proto::pi::mp::MpServices;
use uefi::{Event, cstr16};
use uefi_raw::Boolean;

#[global_allocator]
static HEAP: uefi::allocator::Allocator = uefi::allocator::Allocator;

#[entry]
fn main() -> Status {
    match refuse().and_then(|()| start()) {
        Ok(()) => Status::SUCCESS,
        Err(error) => error.status(),
    }
}

/// As the MP Services protocol begins (PI specification 1.9, volume 2, 13.4).
#[repr(C)]
struct RawMpServices {
    get_number_of_processors: *const c_void,
    get_processor_info: *const c_void,
    startup_all_aps: StartupAllAps,
}

type StartupAllAps = unsafe extern "efiapi" fn(
    *const c_void,
    *const c_void,
    Boolean,
    Option<Event>,
    usize,
    *mut c_void,
    *mut *mut usize,
) -> Status;

unsafe extern "efiapi" fn refusal(
    _: *const c_void,
    _: *const c_void,
    _: Boolean,
    _: Option<Event>,
    _: usize,
    _: *mut c_void,
    _: *mut *mut usize,
) -> Status {
    Status::UNSUPPORTED
}

fn refuse() -> uefi::Result {
    let handle = boot::get_handle_for_protocol::<MpServices>()?;
    let params = OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
    // SAFETY: opened without exclusivity; firmware's service stays for as long as it does.
    let mut mp =
        unsafe { boot::open_protocol::<MpServices>(params, OpenProtocolAttributes::GetProtocol)? };
    let raw = core::ptr::from_mut(&mut *mp).cast::<RawMpServices>();
    // SAFETY: the protocol begins as above, lies in firmware's ordinary memory, and this program
    // stays in memory while it waits for the one that it starts.
    unsafe { (*raw).startup_all_aps = refusal };
    Ok(())
}

fn start() -> uefi::Result {
    let mut files = FileSystem::new(boot::get_image_file_system(boot::image_handle())?);
    let program = files
        .read(cstr16!("\\EFI\\BOOT\\LLAMABOOT.EFI"))
        .map_err(|_| uefi::Error::from(Status::NOT_FOUND))?;
    let source = LoadImageSource::FromBuffer { buffer: &program, file_path: None };
    boot::start_image(boot::load_image(boot::image_handle(), source)?)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
