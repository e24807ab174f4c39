//! The world as weights: a decoder of the Llama family for each variant, and the dictionary that reads exactly
//! what was planted.

use super::closed_form::EPSILON;
use super::world::{
    COMPONENTS, D_MODEL, DOWN, EVIDENCE, Evidence, GATE, GROUND, SHARED, SHARED_FEATURES, UP, Vector, WORDS,
    WRITTEN, World,
};
use crate::dictionaries::{Activation, Dictionary, Kind, Site, Spec, TokenScale, Weights};
use crate::error::Result;
use crate::model::{Config, HookPoint, Model, Tokenizer};
use crate::rng::Stream;
use candle_core::{Device, Tensor};
use serde_json::json;

/// The variants, in the dictionary's order.
pub(super) const VARIANTS: [&str; 2] = ["base", "tuned"];
/// Features of the dictionary: the shared ones, then one for each component.
pub(super) const FEATURES: usize = SHARED + COMPONENTS;
/// Codes are exact but for rounding; what is below this is none.
const THRESHOLD: f32 = 0.02;

/// Where the dictionary reads: after the components, before anything moves between words.
pub(super) fn hook() -> HookPoint {
    HookPoint::resid_post(0)
}

/// The directions of the coordinates: orthonormal, so that no weight shows what is planted.
pub(super) struct Frame(Vec<Vector>);

impl Frame {
    pub(super) fn new(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "frame of a model", &[]);
        let mut directions: Vec<Vector> = Vec::with_capacity(D_MODEL);
        while directions.len() < D_MODEL {
            let mut direction: Vector = std::array::from_fn(|_| f64::from(stream.normal()));
            for earlier in &directions {
                let along: f64 = direction.iter().zip(earlier).map(|(x, y)| x * y).sum();
                direction.iter_mut().zip(earlier).for_each(|(x, y)| *x -= along * y);
            }
            let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            directions.push(direction.map(|x| x / norm));
        }
        Self(directions)
    }

    /// A vector given in coordinates.
    fn vector(&self, coordinates: &Vector) -> Vector {
        let mut vector = [0.0; D_MODEL];
        let written = self.0.iter().zip(coordinates).filter(|(_, x)| **x != 0.0);
        written.for_each(|(direction, x)| add(&mut vector, *x, direction));
        vector
    }

    /// `scale` times the direction of a coordinate.
    fn along(&self, coordinate: usize, scale: f64) -> Vector {
        self.0[coordinate].map(|x| scale * x)
    }
}

/// The decoder of a variant: `tuned`, or base, whose components write nothing unless they are shared.
///
/// # Errors
/// If the tensors cannot be made.
pub(super) fn decoder(world: &World, frame: &Frame, tuned: bool) -> Result<Model> {
    let words = World::words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let tokenizer = Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>")?;
    let config = json!({
        "model_type": "llama",
        "vocab_size": WORDS,
        "hidden_size": D_MODEL,
        "intermediate_size": COMPONENTS,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "hidden_act": "silu",
        "rms_norm_eps": EPSILON,
        "rope_theta": 10000.0,
        "tie_word_embeddings": false,
        "bos_token_id": tokenizer.bos(),
        "eos_token_id": tokenizer.eos(),
        "pad_token_id": tokenizer.pad(),
    });
    let model = Model::initialise(&Config::parse(&config.to_string())?, 0, &Device::Cpu)?;
    for parameter in model.parameters().iter() {
        let values = weights(world, frame, tuned, parameter.name())
            .unwrap_or_else(|| vec![f64::from(u8::from(is_norm(parameter.name()))); parameter.elements()]);
        let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
        parameter.set_value(&Tensor::from_vec(values, parameter.dims(), &Device::Cpu)?)?;
    }
    Ok(model.with_tokenizer(tokenizer))
}

fn is_norm(name: &str) -> bool {
    name.ends_with("norm.weight")
}

/// The weights under a checkpoint's name; `None` for those that do nothing: norms are one, all others zero.
/// Without queries and keys, attention is the mean over all words so far.
fn weights(world: &World, frame: &Frame, tuned: bool, name: &str) -> Option<Vec<f64>> {
    let rows = |vectors: &[Vector]| vectors.iter().flat_map(|vector| frame.vector(vector)).collect();
    Some(match name {
        "model.embed_tokens.weight" => rows(&world.embeddings),
        "lm_head.weight" if !tuned => rows(&world.unembeddings_of_base()),
        "lm_head.weight" => rows(&world.unembeddings),
        "model.layers.0.mlp.gate_proj.weight" => {
            world.triggers.iter().flat_map(|trigger| frame.along(*trigger, GATE)).collect()
        }
        "model.layers.0.mlp.up_proj.weight" => {
            (0..COMPONENTS).flat_map(|_| frame.along(GROUND, UP)).collect()
        }
        "model.layers.0.mlp.down_proj.weight" => {
            let per_unit = |component| if tuned || world.is_shared(component) { DOWN } else { 0.0 };
            let columns: Vec<Vector> = (0..COMPONENTS)
                .map(|component| frame.along(WRITTEN + component, per_unit(component)))
                .collect();
            (0..D_MODEL).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
        }
        // Values are coordinates; the output turns what is read of them into evidence.
        "model.layers.1.self_attn.v_proj.weight" => frame.0.concat(),
        "model.layers.1.self_attn.o_proj.weight" => {
            let columns: Vec<Vector> =
                world.reads.iter().map(|read| frame.vector(&in_stream(read))).collect();
            (0..D_MODEL).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
        }
        _ => return None,
    })
}

/// Evidence as it stands in the residual stream.
fn in_stream(evidence: &Evidence) -> Vector {
    let mut vector = [0.0; D_MODEL];
    vector[EVIDENCE..EVIDENCE + evidence.len()].copy_from_slice(evidence);
    vector
}

/// A crosscoder whose decoders are the planted directions. What both variants hold is read from both; most components'
/// features from the tuned one, which alone holds them.
///
/// # Errors
/// If its parts do not belong together.
pub(super) fn dictionary(world: &World, frame: &Frame) -> Result<Dictionary> {
    let (mut encoder, mut decoder) = (Vec::new(), Vec::new());
    for feature in 0..FEATURES {
        let (coordinate, in_base) = match feature.checked_sub(SHARED) {
            None => (SHARED_FEATURES + feature, 1.0),
            Some(component) => (WRITTEN + component, f64::from(u8::from(world.is_shared(component)))),
        };
        let of_variants = [frame.along(coordinate, in_base), frame.along(coordinate, 1.0)].concat();
        let read = 1.0 / (1.0 + in_base);
        encoder.extend(of_variants.iter().map(|x| (read * x) as f32));
        decoder.extend(of_variants.iter().map(|x| *x as f32));
    }
    let sites: Vec<Site> = VARIANTS.into_iter().map(Site::of).collect();
    let spec = Spec {
        notes: Vec::new(),
        kind: Kind::BatchTopkCrosscoder,
        activation: Activation::Threshold,
        inputs: sites.clone(),
        outputs: sites,
        d_in: D_MODEL,
        d_out: D_MODEL,
        features: FEATURES,
        hook: hook().to_string(),
        output_hook: hook().to_string(),
        token_scale: TokenScale::None,
    };
    let weights = Weights {
        encoder,
        encoder_bias: vec![0.0; FEATURES],
        decoder,
        decoder_bias: vec![0.0; VARIANTS.len() * D_MODEL],
        threshold: vec![THRESHOLD; FEATURES],
        ..Weights::default()
    };
    Dictionary::new(spec, weights)
}

fn add(sum: &mut Vector, scale: f64, vector: &Vector) {
    sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += scale * x);
}
