//! Where tensors live.

use crate::error::{Error, Result};
use candle_core::Device;

/// Parses `cpu` or `cuda:N`.
///
/// # Errors
/// If the name is neither, if this build has no CUDA support, or if there is no such GPU.
pub fn device(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let ordinal = match name.strip_prefix("cuda") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
        None => None,
    };
    let Some(ordinal) = ordinal else {
        return Err(Error::request(format!("unknown device `{name}`")).hint("use `cpu` or `cuda:0`"));
    };
    if !candle_core::utils::cuda_is_available() {
        return Err(Error::request(format!(
            "device `{name}` was asked for, but this build has no CUDA support"
        ))
        .hint("build with `cargo build --release --features cuda`, or use `--device cpu`"));
    }
    Device::new_cuda(ordinal).map_err(|error| {
        Error::request(format!("device `{name}` could not be opened: {error}"))
            .hint("`nvidia-smi` lists the GPUs of this machine")
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_wrong_device_is_refused_with_a_hint() {
        let error = super::device("gpu").unwrap_err();
        assert!(error.to_string().contains("hint: use `cpu`"), "{error}");
    }
}
