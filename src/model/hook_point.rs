//! The named places of a forward pass, with TransformerLens's names and meanings.

use crate::error::{Error, Result, nearest};
use std::fmt;
use std::str::FromStr;

/// A place in a forward pass. Axes are `[row, position, ...]` unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookPoint {
    /// `hook_embed`: token embeddings [row, position, d_model].
    Embed,
    /// `hook_pos_embed`: learned position embeddings [row, position, d_model].
    PositionEmbed,
    /// A place in block `l`.
    Block(usize, BlockPoint),
    /// `ln_final.hook_scale`: what the final norm divides by [row, position, 1].
    FinalScale,
    /// `ln_final.hook_normalized` [row, position, d_model].
    FinalNormalized,
}

/// A place in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockPoint {
    /// `hook_resid_pre`: the residual stream at the start.
    ResidPre,
    /// `hook_attn_in` [row, position, head, d_model]: the stream as the query, key and value of each head read it, before
    /// the norm. Only where keys have as many heads as queries. Computed only where it is asked for, as the four below.
    AttentionIn,
    /// `hook_q_input` [row, position, head, d_model]: the stream as each head's query reads it.
    QueryInput,
    /// `hook_k_input` [row, position, key head, d_model].
    KeyInput,
    /// `hook_v_input` [row, position, key head, d_model].
    ValueInput,
    /// `ln1.hook_scale`: what the norm divides by [row, position, 1].
    Norm1Scale,
    /// `ln1.hook_normalized`: before the weight for RMSNorm, after weight and bias for LayerNorm.
    Norm1Normalized,
    /// `attn.hook_q` [row, position, head, head_dim], before query norm and rotation.
    Query,
    /// `attn.hook_k` [row, position, key head, head_dim], before key norm and rotation.
    Key,
    /// `attn.hook_v` [row, position, key head, head_dim].
    Value,
    /// `attn.q_norm.hook_scale` [row, position, head, 1]: what the query norm divides by; one head where it spans all.
    QueryNormScale,
    /// `attn.q_norm.hook_normalized` [row, position, head, head_dim], before the weight.
    QueryNormNormalized,
    /// `attn.hook_rot_q`: queries as they meet the keys.
    RotatedQuery,
    /// `attn.k_norm.hook_scale` [row, position, key head, 1].
    KeyNormScale,
    /// `attn.k_norm.hook_normalized` [row, position, key head, head_dim], before the weight.
    KeyNormNormalized,
    /// `attn.hook_rot_k`: keys as they meet the queries.
    RotatedKey,
    /// `attn.hook_attn_scores` [row, head, query, key], scaled, capped and masked with −∞.
    Scores,
    /// `attn.hook_pattern` [row, head, query, key].
    Pattern,
    /// `attn.hook_z` [row, position, head, head_dim]: what the output projection reads.
    Mixed,
    /// `attn.hook_result` [row, position, head, d_model]: what each head adds to the output projection's sum, without
    /// its bias. Computed only where it is asked for.
    Result,
    /// `ln1_post.hook_scale`: what the norm after attention divides by [row, position, 1].
    Norm1PostScale,
    /// `ln1_post.hook_normalized`: the norm after attention, where a sandwich has one.
    Norm1PostNormalized,
    /// `hook_attn_out`: what attention adds to the stream.
    AttentionOut,
    /// `hook_resid_mid`: the stream between attention and MLP; a parallel residual has none.
    ResidMid,
    /// `hook_mlp_in`: the stream as the MLP reads it, before the norm; an edit leaves the stream itself alone.
    MlpIn,
    /// `ln2.hook_scale`: what the norm divides by [row, position, 1].
    Norm2Scale,
    /// `ln2.hook_normalized`.
    Norm2Normalized,
    /// `mlp.hook_pre` [row, position, d_mlp]: before the nonlinearity.
    MlpPre,
    /// `mlp.hook_pre_linear` [row, position, d_mlp]: the other factor of a gated MLP.
    MlpPreLinear,
    /// `mlp.hook_post` [row, position, d_mlp]: what the output projection reads.
    MlpPost,
    /// `ln2_post.hook_scale`: what the norm after the MLP divides by [row, position, 1].
    Norm2PostScale,
    /// `ln2_post.hook_normalized`: the norm after the MLP, where a sandwich has one.
    Norm2PostNormalized,
    /// `hook_mlp_out`: what the MLP adds to the stream.
    MlpOut,
    /// `hook_resid_post`: the residual stream at the end.
    ResidPost,
}

impl BlockPoint {
    /// All places, in the order in which a sequential block passes them.
    pub const ALL: [Self; 34] = [
        Self::ResidPre,
        Self::AttentionIn,
        Self::QueryInput,
        Self::KeyInput,
        Self::ValueInput,
        Self::Norm1Scale,
        Self::Norm1Normalized,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::QueryNormScale,
        Self::QueryNormNormalized,
        Self::RotatedQuery,
        Self::KeyNormScale,
        Self::KeyNormNormalized,
        Self::RotatedKey,
        Self::Scores,
        Self::Pattern,
        Self::Mixed,
        Self::Result,
        Self::Norm1PostScale,
        Self::Norm1PostNormalized,
        Self::AttentionOut,
        Self::ResidMid,
        Self::MlpIn,
        Self::Norm2Scale,
        Self::Norm2Normalized,
        Self::MlpPre,
        Self::MlpPreLinear,
        Self::MlpPost,
        Self::Norm2PostScale,
        Self::Norm2PostNormalized,
        Self::MlpOut,
        Self::ResidPost,
    ];

    /// TransformerLens's name within a block.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResidPre => "hook_resid_pre",
            Self::AttentionIn => "hook_attn_in",
            Self::QueryInput => "hook_q_input",
            Self::KeyInput => "hook_k_input",
            Self::ValueInput => "hook_v_input",
            Self::Norm1Scale => "ln1.hook_scale",
            Self::Norm1Normalized => "ln1.hook_normalized",
            Self::Query => "attn.hook_q",
            Self::Key => "attn.hook_k",
            Self::Value => "attn.hook_v",
            Self::QueryNormScale => "attn.q_norm.hook_scale",
            Self::QueryNormNormalized => "attn.q_norm.hook_normalized",
            Self::RotatedQuery => "attn.hook_rot_q",
            Self::KeyNormScale => "attn.k_norm.hook_scale",
            Self::KeyNormNormalized => "attn.k_norm.hook_normalized",
            Self::RotatedKey => "attn.hook_rot_k",
            Self::Scores => "attn.hook_attn_scores",
            Self::Pattern => "attn.hook_pattern",
            Self::Mixed => "attn.hook_z",
            Self::Result => "attn.hook_result",
            Self::Norm1PostScale => "ln1_post.hook_scale",
            Self::Norm1PostNormalized => "ln1_post.hook_normalized",
            Self::AttentionOut => "hook_attn_out",
            Self::ResidMid => "hook_resid_mid",
            Self::MlpIn => "hook_mlp_in",
            Self::Norm2Scale => "ln2.hook_scale",
            Self::Norm2Normalized => "ln2.hook_normalized",
            Self::MlpPre => "mlp.hook_pre",
            Self::MlpPreLinear => "mlp.hook_pre_linear",
            Self::MlpPost => "mlp.hook_post",
            Self::Norm2PostScale => "ln2_post.hook_scale",
            Self::Norm2PostNormalized => "ln2_post.hook_normalized",
            Self::MlpOut => "hook_mlp_out",
            Self::ResidPost => "hook_resid_post",
        }
    }
}

impl HookPoint {
    /// The residual stream at the end of block `layer`.
    pub fn resid_post(layer: usize) -> Self {
        Self::Block(layer, BlockPoint::ResidPost)
    }

    /// The axis of positions: 1, or 2 where queries meet keys.
    pub fn position_axis(self) -> usize {
        match self {
            Self::Block(_, BlockPoint::Scores | BlockPoint::Pattern) => 2,
            _ => 1,
        }
    }

    /// The axis of heads, where there is one.
    pub fn head_axis(self) -> Option<usize> {
        use BlockPoint::{
            AttentionIn, Key, KeyInput, KeyNormNormalized, KeyNormScale, Mixed, Pattern, Query, QueryInput,
            QueryNormNormalized, QueryNormScale, Result, RotatedKey, RotatedQuery, Scores, Value, ValueInput,
        };
        match self {
            Self::Block(_, Scores | Pattern) => Some(1),
            Self::Block(_, AttentionIn | QueryInput | KeyInput | ValueInput | Result | Mixed)
            | Self::Block(_, Query | QueryNormScale | QueryNormNormalized | RotatedQuery)
            | Self::Block(_, Key | KeyNormScale | KeyNormNormalized | RotatedKey | Value) => Some(2),
            _ => None,
        }
    }

    /// Whether TransformerLens, too, computes it only where it is asked for: what costs more than the pass itself.
    pub fn is_on_request(self) -> bool {
        use BlockPoint::{AttentionIn, KeyInput, MlpIn, QueryInput, Result, ValueInput};
        matches!(self, Self::Block(_, AttentionIn | QueryInput | KeyInput | ValueInput | MlpIn | Result))
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embed => formatter.write_str("hook_embed"),
            Self::PositionEmbed => formatter.write_str("hook_pos_embed"),
            Self::Block(layer, point) => write!(formatter, "blocks.{layer}.{}", point.name()),
            Self::FinalScale => formatter.write_str("ln_final.hook_scale"),
            Self::FinalNormalized => formatter.write_str("ln_final.hook_normalized"),
        }
    }
}

impl FromStr for HookPoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let whole = [Self::Embed, Self::PositionEmbed, Self::FinalScale, Self::FinalNormalized];
        if let Some(point) = whole.into_iter().find(|point| point.to_string() == text) {
            return Ok(point);
        }
        let in_block = text.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
        let layer = in_block.and_then(|(layer, _)| layer.parse::<usize>().ok());
        if let (Some(layer), Some((_, name))) = (layer, in_block)
            && let Some(point) = BlockPoint::ALL.into_iter().find(|point| point.name() == name)
        {
            return Ok(Self::Block(layer, point));
        }
        let layer = layer.unwrap_or(0);
        let mut names: Vec<String> = whole.iter().map(Self::to_string).collect();
        names.extend(BlockPoint::ALL.map(|point| Self::Block(layer, point).to_string()));
        let error = Error::request(format!("unknown hook point `{text}`"));
        Err(match nearest(text, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("names are TransformerLens's, such as `blocks.0.hook_resid_post`"),
        })
    }
}

impl TryFrom<&str> for HookPoint {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl TryFrom<&String> for HookPoint {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self> {
        text.parse()
    }
}

impl serde::Serialize for HookPoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for HookPoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_wrong_ones_are_told_the_nearest() {
        for point in BlockPoint::ALL {
            let point = HookPoint::Block(3, point);
            assert_eq!(point.to_string().parse::<HookPoint>().unwrap(), point);
        }
        let error = "blocks.1.hook_resid_pots".parse::<HookPoint>().unwrap_err();
        assert!(error.to_string().contains("`blocks.1.hook_resid_post`"), "{error}");
    }
}
