//! Where the numbers of a model are, and what computes them.

use crate::error::{Error, Result};
use candle_core::{DType, Device};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The device names that `--device` knows.
const NAMES: &str = "use `cpu`, `cpu-composed` or `cuda:0`";

/// A device, and the set of kernels that computes on it.
///
/// The CPU has fused kernels of its own, in f32. Any other device computes the same formulas composed of
/// tensor operations, with f32 master weights and, where asked for, products in a shorter format.
/// `cpu-composed` does that on the CPU: it is slower than `cpu`, and shows without a GPU what a GPU computes.
#[derive(Clone, Debug)]
pub struct Compute {
    device: Device,
    /// The number format of the composed kernels; `None` for the fused ones.
    composed: Option<DType>,
}

impl Compute {
    /// The fused kernels of the CPU.
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, composed: None }
    }

    /// Composed kernels on any device. Weights keep f32 masters, and norms, softmax and the loss are f32;
    /// `format` (`F32`, `BF16` or `F16`) is that of everything else.
    ///
    /// # Errors
    /// If `format` is another one, or bf16 on the CPU, which has no bf16 matrix product.
    pub fn composed(device: &Device, format: DType) -> Result<Self> {
        match format {
            DType::BF16 if device.is_cpu() => Err(Error::request("the CPU cannot multiply bf16 matrices")
                .hint("use `--dtype f16` to see a 16-bit format on `cpu-composed`, or `--device cuda:0`")),
            DType::F32 | DType::BF16 | DType::F16 => {
                Ok(Self { device: device.clone(), composed: Some(format) })
            }
            _ => Err(Error::request(format!(
                "expected the format f32, bf16 or f16, found {}",
                format.as_str()
            ))),
        }
    }

    /// What `--device` and `--dtype` name: `cpu`, `cpu-composed` or `cuda:N`; `f32`, `bf16` or `f16`.
    ///
    /// # Errors
    /// If a name is unknown, the two do not go together, this build has no CUDA support, or there is no
    /// such GPU.
    pub fn named(device: &str, format: &str) -> Result<Self> {
        let format = match format {
            "f32" => DType::F32,
            "bf16" => DType::BF16,
            "f16" => DType::F16,
            _ => {
                return Err(Error::request(format!("unknown number format `{format}`"))
                    .hint("use `f32`, `bf16` or `f16`"));
            }
        };
        match device {
            "cpu" if format != DType::F32 => {
                Err(Error::request(format!("`--device cpu` computes in f32, not {}", format.as_str()))
                    .hint("leave `--dtype` out, or use `--device cuda:0`"))
            }
            "cpu" => Ok(Self::cpu()),
            "cpu-composed" => Self::composed(&Device::Cpu, format),
            _ => Self::composed(&cuda(device)?, format),
        }
    }

    /// Where tensors are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the fused kernels of the CPU compute.
    pub fn is_fused(&self) -> bool {
        self.composed.is_none()
    }

    /// The number format of the composed kernels, or `None` where the fused ones compute.
    pub(crate) fn composed_format(&self) -> Option<DType> {
        self.composed
    }
}

/// The kind of device and the number format, as in `cpu f32`, `cpu-composed f16`, `cuda bf16`: part of what
/// names an artifact. Which of several GPUs it is does not matter.
impl std::fmt::Display for Compute {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match (&self.device, self.composed) {
            (Device::Cpu, None) => "cpu",
            (Device::Cpu, Some(_)) => "cpu-composed",
            (Device::Cuda(_), _) => "cuda",
            (Device::Metal(_), _) => "metal",
        };
        write!(formatter, "{kind} {}", self.composed.unwrap_or(DType::F32).as_str())
    }
}

/// Fused kernels on the CPU, composed ones in f32 elsewhere.
impl From<&Device> for Compute {
    fn from(device: &Device) -> Self {
        Self { device: device.clone(), composed: (!device.is_cpu()).then_some(DType::F32) }
    }
}

impl From<&Self> for Compute {
    fn from(compute: &Self) -> Self {
        compute.clone()
    }
}

fn cuda(name: &str) -> Result<Device> {
    let ordinal = match name.strip_prefix("cuda") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
        None => None,
    };
    let Some(ordinal) = ordinal else {
        return Err(Error::request(format!("unknown device `{name}`")).hint(NAMES));
    };
    if !candle_core::utils::cuda_is_available() {
        return Err(Error::request(format!(
            "device `{name}` was asked for, but this build has no CUDA support"
        ))
        .hint("build with `cargo build --release --features cuda`, or use `--device cpu`"));
    }
    // Opened once: candle takes what two openings of one GPU hold for tensors on different devices.
    static OPEN: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = open.get(&ordinal) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda(ordinal).map_err(|error| {
        Error::request(format!("device `{name}` could not be opened: {error}"))
            .hint("`nvidia-smi` lists the GPUs of this machine")
    })?;
    open.insert(ordinal, device.clone());
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_names_are_refused_with_a_hint() {
        for (device, format, expected) in [
            ("gpu", "f32", "hint: use `cpu`"),
            ("cuda:x", "f32", "unknown device `cuda:x`"),
            ("cpu", "f64", "unknown number format `f64`"),
            ("cpu", "bf16", "`--device cpu` computes in f32, not bf16"),
            ("cpu-composed", "bf16", "cannot multiply bf16"),
        ] {
            let error = Compute::named(device, format).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn the_name_tells_kernels_and_formats_apart() {
        for (device, format, expected) in [
            ("cpu", "f32", "cpu f32"),
            ("cpu-composed", "f32", "cpu-composed f32"),
            ("cpu-composed", "f16", "cpu-composed f16"),
        ] {
            assert_eq!(Compute::named(device, format).unwrap().to_string(), expected);
        }
    }
}
