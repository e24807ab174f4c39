//! The modules of a base, by the names under which transformers keeps them and PEFT looks for them.

use crate::model::{Family, Model};
use std::collections::BTreeMap;

/// What PEFT can do with a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A matrix [outputs, inputs].
    Linear,
    /// A matrix that GPT-2 stores as [inputs, outputs].
    Columns,
    /// Rows by token or position.
    Embedding,
    /// Norms, blocks, activations: not adapted.
    Other,
}

/// All modules of a base.
pub(super) struct Modules {
    kinds: BTreeMap<String, Kind>,
    /// The module of token embeddings.
    pub(super) embedding: String,
    /// The module that writes logits.
    pub(super) head: String,
}

impl Modules {
    pub(super) fn of(base: &Model) -> Self {
        let (config, decoder) = (base.config(), &base.inner.decoder);
        let names = config.family.names();
        let (embedding, head) = (names.embedding.to_owned(), names.unembedding.to_owned());
        let mut kinds = BTreeMap::new();
        let parameters = base.parameters().iter().map(|parameter| parameter.name());
        let own = parameters.filter_map(|name| name.rsplit_once('.')).map(|(module, _)| module);
        let without: Vec<String> = without_parameters(config.family, config.layers());
        for module in own.chain(without.iter().map(String::as_str)) {
            kinds.insert(module.to_owned(), Kind::Other);
            for (place, _) in module.match_indices('.') {
                kinds.entry(module[..place].to_owned()).or_insert(Kind::Other);
            }
        }
        let projection = if config.family == Family::Gpt2 { Kind::Columns } else { Kind::Linear };
        for linear in decoder.blocks.iter().flat_map(super::Block::linears) {
            if let Some(module) = linear.weight.name().strip_suffix(".weight") {
                kinds.insert(module.to_owned(), projection);
            }
        }
        kinds.insert(embedding.clone(), Kind::Embedding);
        if let Some(positions) = names.positions {
            kinds.insert(positions.to_owned(), Kind::Embedding);
        }
        kinds.insert(head.clone(), Kind::Linear);
        Self { kinds, embedding, head }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.kinds.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        self.kinds.get(name).copied()
    }

    /// The names by which an adapter may know a module. Later versions of transformers call GPT-NeoX's head `lm_head`.
    pub(super) fn spellings<'a>(&self, name: &'a str) -> Vec<&'a str> {
        if name == self.head && name != "lm_head" { vec![name, "lm_head"] } else { vec![name] }
    }

    /// The name of a module here, whatever an adapter calls it.
    pub(super) fn here<'a>(&'a self, name: &'a str) -> &'a str {
        if name == "lm_head" { &self.head } else { name }
    }
}

/// Modules of transformers that hold no weights: a pattern may name them, which PEFT refuses.
fn without_parameters(family: Family, layers: usize) -> Vec<String> {
    let (whole, of_block): (&[&str], &[&str]) = match family {
        Family::Gpt2 => {
            (&["transformer.drop"], &["attn.attn_dropout", "attn.resid_dropout", "mlp.act", "mlp.dropout"])
        }
        Family::GptNeoX => (
            &["gpt_neox.emb_dropout", "gpt_neox.rotary_emb"],
            &["post_attention_dropout", "post_mlp_dropout", "mlp.act"],
        ),
        Family::Phi3 => {
            (&["model.rotary_emb"], &["mlp.activation_fn", "resid_attn_dropout", "resid_mlp_dropout"])
        }
        _ => (&["model.rotary_emb"], &["mlp.act_fn"]),
    };
    let block = family.names().block;
    let of_blocks =
        (0..layers).flat_map(|layer| of_block.iter().map(move |name| format!("{block}{layer}.{name}")));
    whole.iter().map(|name| (*name).to_owned()).chain(of_blocks).collect()
}
