//! A world for tests: three small untrained variants over the microcosm's words and a random dictionary.

use super::hypothesis::Axis;
use super::inputs::ExperimentInputs;
use super::lockstep::GivenText;
use super::readout::Readout;
use crate::dictionaries::{Activation, Dictionary, Kind, Site, Spec, Weights};
use crate::model::{Config, HookPoint, LlamaShape, Model, Tokenizer};
use crate::rng::Stream;
use crate::tasks::{Suite, vocabulary};
use candle_core::Device;

pub(super) const D_MODEL: usize = 16;
pub(super) const FEATURES: usize = 40;
pub(super) const VARIANTS: [&str; 3] = ["base", "rl", "sft"];

pub(super) fn model(seed: u64) -> Model {
    let words = vocabulary::words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let tokenizer = Tokenizer::word_level(&words, vocabulary::BOS, vocabulary::EOS, vocabulary::PAD).unwrap();
    let shape = LlamaShape {
        vocabulary: words.len(),
        d_model: D_MODEL,
        layers: 3,
        heads: 2,
        d_mlp: 24,
        max_positions: 128,
        bos: tokenizer.bos(),
        eos: tokenizer.eos(),
        pad: tokenizer.pad(),
    };
    Model::initialise(&Config::llama(&shape).unwrap(), seed, &Device::Cpu).unwrap().with_tokenizer(tokenizer)
}

pub(super) fn dictionary(hook: HookPoint) -> Dictionary {
    let mut stream = Stream::new(3, "small dictionary", &[]);
    let mut numbers =
        |count: usize, scale: f32| (0..count).map(|_| scale * stream.normal()).collect::<Vec<f32>>();
    let width = VARIANTS.len() * D_MODEL;
    let sites: Vec<Site> = VARIANTS.into_iter().map(Site::of).collect();
    let spec = Spec {
        hook: hook.to_string(),
        output_hook: hook.to_string(),
        ..Spec::reconstructing(Kind::BatchTopkCrosscoder, Activation::Threshold, sites, D_MODEL, FEATURES)
    };
    let weights = Weights {
        encoder: numbers(FEATURES * width, 1.0),
        encoder_bias: vec![0.0; FEATURES],
        decoder: numbers(FEATURES * width, 0.1),
        decoder_bias: numbers(width, 0.1),
        threshold: vec![0.3; FEATURES],
        magnitude_scale: Vec::new(),
        magnitude_bias: Vec::new(),
        skip: Vec::new(),
    };
    Dictionary::new(spec, weights).unwrap()
}

pub(super) fn inputs(layer: usize) -> ExperimentInputs {
    let hook = HookPoint::resid_post(layer);
    let suite = |axis, name: &str| (axis, Suite::parse(name).unwrap());
    ExperimentInputs {
        models: VARIANTS.iter().zip(1..).map(|(name, seed)| ((*name).to_owned(), model(seed))).collect(),
        dictionary: Some(dictionary(hook)),
        hook,
        classes: (0..FEATURES)
            .map(|feature| if feature % 4 == 0 { "specific" } else { "shared" }.to_owned())
            .collect(),
        suites: vec![
            suite(Axis::Transfer, "general_points:faces=11-13"),
            suite(Axis::Safety, "refusal"),
            suite(Axis::Collateral, "skills"),
        ],
        base: "base".to_owned(),
        neutral: neutral(),
    }
}

fn neutral() -> Vec<GivenText> {
    let tokenizer = model(1).tokenizer().unwrap().clone();
    let texts = crate::tasks::curriculum(9, 0, 6).into_iter().enumerate();
    texts
        .map(|(index, document)| GivenText {
            id: format!("neutral {index}"),
            prompt: 1,
            tokens: tokenizer.encode(&format!("{} {}", document.prompt, document.response)).unwrap(),
        })
        .collect()
}

pub(super) fn readout(layer: usize) -> Readout {
    let inputs = inputs(layer);
    Readout::new(&inputs.models, inputs.dictionary, inputs.hook).unwrap()
}
