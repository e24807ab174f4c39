//! The hook points that a pass reaches, which the configuration alone decides.

use super::config::{Config, QueryKeyNorm, Residual};
use super::family::MlpNames;
use super::hook_point::{BlockPoint, HookPoint};

impl Config {
    /// Every hook point that a pass through a model of this configuration reaches, in the order of the pass.
    pub fn hook_points(&self) -> Vec<HookPoint> {
        let whole = [HookPoint::Embed, HookPoint::PositionEmbed];
        let blocks =
            (0..self.layers()).flat_map(|layer| BlockPoint::ALL.map(|point| HookPoint::Block(layer, point)));
        let all = whole.into_iter().chain(blocks).chain([HookPoint::FinalScale, HookPoint::FinalNormalized]);
        all.filter(|point| self.has(*point)).collect()
    }

    /// Whether a pass reaches `point`.
    pub(super) fn has(&self, point: HookPoint) -> bool {
        let names = self.family.names();
        match point {
            HookPoint::Embed | HookPoint::FinalScale | HookPoint::FinalNormalized => true,
            HookPoint::PositionEmbed => names.positions.is_some(),
            HookPoint::Block(layer, _) if layer >= self.layers() => false,
            HookPoint::Block(_, point) => match point {
                BlockPoint::ResidMid => self.residual == Residual::Sequential,
                BlockPoint::MlpPreLinear => matches!(names.mlp, MlpNames::Gated(_) | MlpNames::GatedRows(_)),
                BlockPoint::AttentionIn => self.heads == self.key_heads,
                BlockPoint::QueryNormScale
                | BlockPoint::QueryNormNormalized
                | BlockPoint::KeyNormScale
                | BlockPoint::KeyNormNormalized => self.query_key_norm != QueryKeyNorm::None,
                BlockPoint::Norm1PostScale | BlockPoint::Norm1PostNormalized => {
                    names.attention_norm.is_some() && names.attention_post_norm.is_some()
                }
                BlockPoint::Norm2PostScale | BlockPoint::Norm2PostNormalized => {
                    names.mlp_norm.is_some() && names.mlp_post_norm.is_some()
                }
                BlockPoint::RotatedQuery | BlockPoint::RotatedKey => names.positions.is_none(),
                _ => true,
            },
        }
    }
}
