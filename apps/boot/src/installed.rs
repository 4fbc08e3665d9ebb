//! The system that is installed on this machine: found by where boot loaders lie, and started as
//! firmware would start it.

use crate::files::{self, Place, wide};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use uefi::boot::{self, LoadImageSource, OpenProtocolAttributes, OpenProtocolParams};
use uefi::proto::BootPolicy;
use uefi::proto::device_path::DevicePath;
use uefi::proto::device_path::build::{self, DevicePathBuilder};
use uefi::{Handle, Status};

/// Names of boot loaders in the folders of `\EFI`, those that check signatures first.
const LOADERS: [&str; 5] =
    ["shimx64.efi", "bootmgfw.efi", "grubx64.efi", "systemd-bootx64.efi", "refind_x64.efi"];

/// A boot loader of another volume than ours.
pub(crate) fn find(ours: Option<Handle>) -> Option<Place> {
    let others = files::volumes().into_iter().filter(|&volume| Some(volume) != ours);
    others.into_iter().find_map(|volume| {
        let place = |path: &str| Place { volume, path: path.to_string() };
        let mut folders = Vec::new();
        for folder in files::folders(&place("\\EFI")) {
            folders.push(format!("\\EFI\\{folder}"));
            // Windows keeps its loader one folder deeper.
            folders.push(format!("\\EFI\\{folder}\\Boot"));
        }
        let found = folders.iter().find_map(|folder| {
            let names = files::list(&place(folder));
            let loader = |wanted: &&str| names.iter().any(|e| e.name.eq_ignore_ascii_case(wanted));
            let loader = LOADERS.iter().find(|wanted| loader(wanted))?;
            Some(place(&format!("{folder}\\{loader}")))
        });
        let fallback = || {
            let names = files::list(&place("\\EFI\\BOOT"));
            let there = names.iter().any(|e| e.name.eq_ignore_ascii_case("BOOTX64.EFI"));
            there.then(|| place("\\EFI\\BOOT\\BOOTX64.EFI"))
        };
        found.or_else(fallback)
    })
}

/// Starts it. Nothing of ours may still be in use: it may never come back.
pub(crate) fn start(place: &Place) -> uefi::Result {
    let params =
        OpenProtocolParams { handle: place.volume, agent: boot::image_handle(), controller: None };
    // SAFETY: not exclusive, which would take the volume from its driver; the path is copied below.
    let volume =
        unsafe { boot::open_protocol::<DevicePath>(params, OpenProtocolAttributes::GetProtocol)? };
    let path = wide(&place.path);
    let mut buffer = Vec::new();
    let mut builder = DevicePathBuilder::with_vec(&mut buffer);
    let invalid = |_| uefi::Error::from(Status::INVALID_PARAMETER);
    for node in volume.node_iter() {
        builder = builder.push(&node).map_err(invalid)?;
    }
    let file = build::media::FilePath { path_name: &path };
    let device_path = builder.push(&file).and_then(DevicePathBuilder::finalize).map_err(invalid)?;
    let source =
        LoadImageSource::FromDevicePath { device_path, boot_policy: BootPolicy::ExactMatch };
    boot::start_image(boot::load_image(boot::image_handle(), source)?)
}
