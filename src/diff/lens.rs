//! The logit lens: which tokens a direction in the residual stream would promote, read directly.
//!
//! logits = U (w * d), with w the weight of the final norm and U the unembedding. The norm's division is
//! left out: it scales all logits alike and so moves no rank.

use super::rows::{Cell, FeatureRow, json};
use crate::dictionaries::Dictionary;
use crate::error::{Error, Result};
use crate::model::{Model, NormKind, Tokenizer};
use candle_core::{Device, Tensor};

/// Directions that go through the unembedding at once.
const BLOCK: usize = 256;

/// The tokens that a direction moves most.
#[derive(Clone, Debug, PartialEq)]
pub struct LensTokens {
    /// Promoted, most first, with their logits.
    pub promoted: Vec<(u32, f32)>,
    /// Suppressed, most first, with their logits.
    pub suppressed: Vec<(u32, f32)>,
}

/// The `count` tokens that each of `directions` `[n, d_model]` promotes and suppresses most in `model`.
///
/// # Errors
/// If a direction is not as wide as the model.
pub fn lens_tokens(model: &Model, directions: &[f32], count: usize) -> Result<Vec<LensTokens>> {
    let config = model.config();
    let name = format!("{}.weight", config.family.names().final_norm);
    let norm = model.parameters().get(&name).ok_or_else(|| {
        Error::work(format!("the model has no parameter `{name}`, which the logit lens needs"))
    })?;
    let weight: Vec<f32> = norm.value().to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?;
    let mut found = Vec::with_capacity(directions.len() / config.d_model);
    for block in directions.chunks(BLOCK * config.d_model) {
        let mut scaled = Vec::with_capacity(block.len());
        for direction in block.chunks_exact(config.d_model) {
            // LayerNorm takes the mean away, RMSNorm does not.
            let mean = match config.norm {
                NormKind::Layer => direction.iter().sum::<f32>() / config.d_model as f32,
                _ => 0.0,
            };
            let through = direction.iter().zip(&weight).map(|(d, w)| (d - mean) * (w + config.norm_offset));
            scaled.extend(through);
        }
        let hidden = Tensor::from_vec(scaled, (block.len() / config.d_model, config.d_model), &Device::Cpu)?;
        let logits: Vec<Vec<f32>> = model.logits(&hidden)?.to_vec2()?;
        found.extend(logits.iter().map(|logits| extremes(logits, count)));
    }
    Ok(found)
}

fn extremes(logits: &[f32], count: usize) -> LensTokens {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
    let with_logit = |token: &u32| (*token, logits[*token as usize]);
    let promoted = order.iter().take(count).map(with_logit).collect();
    let suppressed = order.iter().rev().take(count).map(with_logit).collect();
    LensTokens { promoted, suppressed }
}

/// The tokens as the tokenizer writes them, joined by spaces.
pub(super) fn token_names(tokenizer: &Tokenizer, tokens: &[(u32, f32)]) -> String {
    tokens.iter().map(|(id, _)| token_name(tokenizer, *id)).collect::<Vec<_>>().join(" ")
}

pub(super) fn token_name(tokenizer: &Tokenizer, id: u32) -> String {
    tokenizer.token(id).unwrap_or_else(|| id.to_string())
}

/// Adds the columns `promoted_<output>` and `suppressed_<output>` to the rows of every feature: lists of `count` tokens
/// each; and their logits. Each of `models` reads what the dictionary writes for the variant of its name; the
/// difference of a variant from another is read by the variant's own model. Models whose variant the dictionary does
/// not write are left out, with a warning.
///
/// # Errors
/// If a model has no tokenizer or another width.
pub fn add_lens(
    rows: &mut [FeatureRow],
    dictionary: &Dictionary,
    models: &[(String, Model)],
    count: usize,
) -> Result<()> {
    for (name, model) in models {
        let outputs = &dictionary.spec().outputs;
        let Some(variant) = outputs.iter().position(|site| site.variant == *name) else {
            tracing::warn!(
                "model `{name}` is not asked which tokens the features promote: the dictionary writes {}",
                dictionary.variants().join(", ")
            );
            continue;
        };
        let output = &dictionary.variants()[variant];
        if model.config().d_model != dictionary.d_model() {
            return Err(Error::request(format!(
                "model `{name}`: expected width {}, found {}",
                dictionary.d_model(),
                model.config().d_model
            )));
        }
        let tokenizer = model.tokenizer()?;
        let logits = |tokens: &[(u32, f32)]| {
            let logits: Vec<f32> = tokens.iter().map(|(_, logit)| *logit).collect();
            json(&logits).map(Cell::Text)
        };
        let mut directions = Vec::with_capacity(rows.len() * dictionary.d_model());
        for row in rows.iter() {
            directions.extend_from_slice(dictionary.decoder(row.feature as usize, variant));
        }
        for (row, tokens) in rows.iter_mut().zip(lens_tokens(model, &directions, count)?) {
            for (side, tokens) in [("promoted", &tokens.promoted), ("suppressed", &tokens.suppressed)] {
                // A list: a token may hold a space, or be one.
                let names: Vec<String> = tokens.iter().map(|(id, _)| token_name(tokenizer, *id)).collect();
                row.per_variant.insert(format!("{side}_{output}"), Cell::Text(json(&names)?));
                row.per_variant.insert(format!("{side}_logits_{output}"), logits(tokens)?);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, LlamaShape};

    fn model() -> Model {
        let shape = LlamaShape {
            vocabulary: 40,
            d_model: 16,
            layers: 1,
            heads: 2,
            d_mlp: 24,
            max_positions: 32,
            bos: None,
            eos: None,
            pad: None,
        };
        Model::initialise(&Config::llama(&shape).unwrap(), 3, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_tokens_own_unembedding_promotes_it() {
        let model = model();
        let embedding: Vec<Vec<f32>> =
            model.parameters().get("model.embed_tokens.weight").unwrap().value().to_vec2().unwrap();
        let negative: Vec<f32> = embedding[5].iter().map(|x| -x).collect();
        let found = lens_tokens(&model, &[embedding[11].clone(), negative].concat(), 3).unwrap();
        assert_eq!(found[0].promoted[0].0, 11);
        assert_eq!(found[1].suppressed[0].0, 5);
    }

    #[test]
    fn a_difference_is_read_by_the_model_of_its_variant() {
        use crate::dictionaries::{Activation, Kind, Site, Spec, Weights};
        let site = Site { variant: "rl".to_owned(), minus: Some("base".to_owned()) };
        let spec = Spec::reconstructing(Kind::Difference, Activation::Relu, vec![site], 16, 1);
        let model = model().with_tokenizer(crate::tasks::tokenizer().unwrap());
        let embedding = model.parameters().get("model.embed_tokens.weight").unwrap().value();
        let weights = Weights {
            encoder: vec![0.0; 16],
            encoder_bias: vec![0.0],
            decoder: embedding.to_vec2::<f32>().unwrap()[11].clone(),
            decoder_bias: vec![0.0; 16],
            ..Weights::default()
        };
        let dictionary = Dictionary::new(spec, weights).unwrap();
        let mut rows = vec![FeatureRow::blank(0)];
        let models = [("base".to_owned(), model.clone()), ("rl".to_owned(), model.clone())];
        add_lens(&mut rows, &dictionary, &models, 1).unwrap();
        let columns: Vec<&str> = rows[0].per_variant.keys().map(String::as_str).collect();
        let expected = ["promoted_logits_rl-base", "promoted_rl-base"];
        assert_eq!(columns[..2], expected);
        assert_eq!(columns.len(), 4);
        let token = json(&[token_name(model.tokenizer().unwrap(), 11)]).unwrap();
        assert_eq!(rows[0].text("promoted_rl-base"), Some(token.as_str()));
    }

    #[test]
    fn extremes_are_ranked() {
        let tokens = extremes(&[0.0, 3.0, -1.0, 2.0], 2);
        assert_eq!(
            (tokens.promoted, tokens.suppressed),
            (vec![(1, 3.0), (3, 2.0)], vec![(2, -1.0), (0, 0.0)])
        );
    }
}
