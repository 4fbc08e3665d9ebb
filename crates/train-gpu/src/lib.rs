//! Training's passes on a GPU of any vendor, by burn over wgpu (Vulkan, Metal, DirectX 12): the
//! same function of weights, batch and dropout as `llamaboot_train::Network`. Forward is written
//! in tensors, backward is burn's automatic differentiation.
//!
//! ```text
//! weights, one flat buffer ──▶ a tensor for each role ── forward ──▶ losses (tokens) ──▶ Σ · scale
//!                                                                                         │
//! gradients, one flat buffer ◀── + ◀── read back together ◀── automatic differentiation ◀─┘
//! ```
//!
//! Data, clipping, AdamW and states stay the CPU's, so that a run may change its device. Sums have
//! another order here: losses are close to the CPU's, not equal bit for bit.

#![forbid(unsafe_code)]

mod network;

pub use network::GpuNetwork;

use burn_tensor::Device;
use burn_tensor::wgpu::WgpuInitError;
use llamaboot_train::{Error, Parameters};

/// A GPU, ready to compute.
pub struct Gpu {
    device: Device,
    name: String,
}

impl Gpu {
    /// The one that the system's graphics interfaces prefer, a fast one before one that saves
    /// power; `CUBECL_WGPU_DEFAULT_DEVICE` chooses another. A process opens it once.
    ///
    /// # Errors
    /// [`Error::Device`] where there is none, or it cannot be used.
    pub fn open() -> Result<Self, Error> {
        let opened = Device::wgpu_options().init_with_setup();
        let (device, setup) = opened.map_err(|error| match error {
            WgpuInitError::AdapterUnavailable { .. } => {
                fault("GPU", &"expected one that Vulkan, Metal or DirectX 12 reaches, found none")
            }
            error => fault("GPU", &error),
        })?;
        let info = setup.adapter.get_info();
        Ok(Self { device, name: format!("{} ({})", info.name, info.backend) })
    }

    /// Its name and the interface it is reached by, as in `llvmpipe (LLVM 15.0.6, 256 bits)
    /// (vulkan)`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The passes of a model of this shape.
    #[must_use]
    pub fn network(&self, parameters: Parameters) -> GpuNetwork {
        GpuNetwork::new(self.device.clone(), self.name.clone(), parameters)
    }
}

/// What a device says, in one line: what began a chain of causes, of which burn tells all, each
/// skipped kernel among them.
fn fault(device: &str, error: &dyn core::fmt::Display) -> Error {
    let text = error.to_string();
    let cause = text.rsplit("Caused by:").next().unwrap_or(&text).trim();
    let line = cause.lines().next().unwrap_or_default();
    Error::Device { device: device.to_string(), fault: line.to_string() }
}
