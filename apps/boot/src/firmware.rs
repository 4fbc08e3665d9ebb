//! Asking firmware to show its settings at the next start (UEFI specification 2.10, 8.5.4).

use uefi::runtime::{self, VariableAttributes, VariableVendor};
use uefi::{Status, cstr16};

/// `EFI_OS_INDICATIONS_BOOT_TO_FW_UI`.
const BOOT_TO_SETTINGS: u64 = 1;

/// Notes the wish; a restart grants it.
///
/// # Errors
/// Where firmware does not offer it.
pub(crate) fn ask_for_settings() -> uefi::Result {
    let vendor = &VariableVendor::GLOBAL_VARIABLE;
    let value = |name| {
        let mut bytes = [0; 8];
        let read = runtime::get_variable(name, vendor, &mut bytes).is_ok();
        if read { u64::from_le_bytes(bytes) } else { 0 }
    };
    if value(cstr16!("OsIndicationsSupported")) & BOOT_TO_SETTINGS == 0 {
        return Err(Status::UNSUPPORTED.into());
    }
    let name = cstr16!("OsIndications");
    let wanted = value(name) | BOOT_TO_SETTINGS;
    let attributes = VariableAttributes::NON_VOLATILE
        | VariableAttributes::BOOTSERVICE_ACCESS
        | VariableAttributes::RUNTIME_ACCESS;
    runtime::set_variable(name, vendor, attributes, &wanted.to_le_bytes())
}
