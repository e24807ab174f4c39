//! What a feature may write: everything, one decoder for all variants, or one variant only.

use super::super::vectors::add_scaled;
use super::settings::FitSettings;

/// The role of a feature in a crosscoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Writes every output freely.
    Free,
    /// Has one decoder for all outputs (designated shared feature).
    Shared,
    /// Writes this output only; its other decoders are held at zero.
    Only(usize),
}

/// The role of feature `feature` among `sites` outputs: first the shared, then each output's own, then the
/// free ones.
pub(super) fn role(settings: &FitSettings, sites: usize, feature: usize) -> Role {
    let own = feature.checked_sub(settings.shared_features);
    match own {
        None => Role::Shared,
        Some(own) if own < settings.exclusive_features * sites => {
            Role::Only(own / settings.exclusive_features)
        }
        Some(_) => Role::Free,
    }
}

impl Role {
    /// Brings a decoder row, or its gradient, into what the role allows.
    pub(super) fn constrain(self, row: &mut [f32], d: usize) {
        match self {
            Role::Free => {}
            Role::Shared => {
                let sites = row.len() / d;
                let mut mean = vec![0.0; d];
                row.chunks_exact(d).for_each(|part| add_scaled(&mut mean, 1.0 / sites as f32, part));
                row.chunks_exact_mut(d).for_each(|part| part.copy_from_slice(&mean));
            }
            Role::Only(kept) => {
                for (site, part) in row.chunks_exact_mut(d).enumerate() {
                    if site != kept {
                        part.fill(0.0);
                    }
                }
            }
        }
    }
}
