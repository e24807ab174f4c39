//! What roles leave of decoder rows, in tensor operations.

use super::super::roles::Role;
use crate::error::Result;
use candle_core::{Device, Tensor};

/// What roles leave of decoder rows.
pub(super) struct Roles {
    /// [features, outputs, 1]: 0 where a feature may not write.
    kept: Tensor,
    /// [features, 1, 1]: 1 for one decoder for all outputs.
    shared: Tensor,
    all_free: bool,
}

impl Roles {
    pub(super) fn new(roles: &[Role], sites: usize, device: &Device) -> Result<Self> {
        let may = |role: &Role, site: usize| !matches!(role, Role::Only(own) if *own != site);
        let kept = roles.iter().flat_map(|role| (0..sites).map(move |site| f32::from(may(role, site))));
        let shared = roles.iter().map(|role| f32::from(*role == Role::Shared));
        Ok(Self {
            kept: Tensor::from_iter(kept, device)?.reshape((roles.len(), sites, 1))?,
            shared: Tensor::from_iter(shared, device)?.reshape((roles.len(), 1, 1))?,
            all_free: roles.iter().all(|role| *role == Role::Free),
        })
    }

    /// As [`Role::constrain`], for all rows.
    pub(super) fn constrain(&self, rows: Tensor, d: usize) -> Result<Tensor> {
        if self.all_free {
            return Ok(rows);
        }
        let shape = rows.dims2()?;
        let parts = rows.reshape((shape.0, shape.1 / d, d))?.broadcast_mul(&self.kept)?;
        let common = parts.mean_keepdim(1)?.broadcast_sub(&parts)?.broadcast_mul(&self.shared)?;
        Ok((parts + common)?.reshape(shape)?)
    }
}
