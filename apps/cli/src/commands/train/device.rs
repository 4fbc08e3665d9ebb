//! What computes losses and gradients: the CPU, or a GPU where the command was built for it. The
//! rest of a run is the same, so that one in f32 may go on with either.

use super::{DeviceName, TrainType};
use anyhow::{Result, ensure};
use llamaboot_train::{Compute, Corpus, Error, Parameters, Settings, Trainer};

/// A device, ready to compute.
pub(crate) enum Device {
    Cpu,
    #[cfg(feature = "gpu")]
    Gpu(llamaboot_train_gpu::Gpu),
}

impl Device {
    /// The one that is asked for.
    pub(crate) fn open(name: DeviceName) -> Result<Self> {
        match name {
            DeviceName::Cpu => Ok(Self::Cpu),
            #[cfg(feature = "gpu")]
            DeviceName::Gpu => Ok(Self::Gpu(llamaboot_train_gpu::Gpu::open()?)),
            #[cfg(not(feature = "gpu"))]
            DeviceName::Gpu => anyhow::bail!(
                "--device gpu: expected a llamaboot built with it, found one for the CPU; \
                 `cargo build --release --features gpu` builds it"
            ),
        }
    }

    /// A GPU computes in f32.
    pub(crate) fn check(&self, dtype: TrainType) -> Result<()> {
        let can = dtype == TrainType::F32 || matches!(self, Self::Cpu);
        ensure!(can, "products of bf16: expected --device cpu, found gpu, which computes in f32");
        Ok(())
    }

    /// A run on it.
    pub(crate) fn trainer<'a>(
        &self,
        parameters: Parameters,
        weights: Vec<f32>,
        corpus: &Corpus,
        settings: Settings,
        compute: Compute<'a>,
    ) -> Result<Trainer<'a>, Error> {
        match self {
            Self::Cpu => Trainer::new(parameters, weights, corpus, settings, compute),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => {
                Trainer::on(parameters, weights, corpus, settings, compute, |parameters| {
                    Ok(Box::new(gpu.network(parameters)))
                })
            }
        }
    }

    /// The GPU's name, to be shown before kernels and threads, which take part in every run.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Cpu => String::new(),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => format!("{}, ", gpu.name()),
        }
    }
}
