//! The comparisons on small random models whose differences are known.

use super::*;
use crate::model::{Config, HookPoint, LlamaShape, Model};
use crate::rng::Stream;
use candle_core::{Device, Tensor};

fn model() -> Model {
    let shape = LlamaShape {
        vocabulary: 24,
        d_model: 16,
        layers: 2,
        heads: 2,
        d_mlp: 24,
        max_positions: 32,
        bos: None,
        eos: None,
        pad: None,
    };
    let model = Model::initialise(&Config::llama(&shape).unwrap(), 5, &Device::Cpu).unwrap();
    // Embeddings as large as what the blocks write, so that a position still knows its own token.
    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    embedding.set_value(&embedding.value().affine(100.0, 0.0).unwrap()).unwrap();
    model
}

fn pair() -> Vec<(String, Model)> {
    let base = model();
    let variant = base.copy().unwrap();
    let parameter = variant.parameters().get("model.layers.1.mlp.down_proj.weight").unwrap();
    let changed = parameter.value().affine(-1.0, 0.0).unwrap();
    parameter.set_value(&changed).unwrap();
    vec![("base".into(), base), ("same".into(), model()), ("changed".into(), variant)]
}

/// Prompts that end in one of two tokens, by label.
fn prompts() -> Vec<LabelledPrompt> {
    let mut stream = Stream::new(3, "prompts", &[]);
    (0..40)
        .map(|index| {
            let (label, last) = if index % 2 == 0 { ("harmful", 3) } else { ("harmless", 7) };
            let mut tokens: Vec<u32> = (0..3 + index % 4).map(|_| 8 + stream.below(16) as u32).collect();
            tokens.push(last);
            LabelledPrompt { tokens, label: label.into(), ..LabelledPrompt::default() }
        })
        .collect()
}

#[test]
fn a_copy_diverges_nowhere_and_a_changed_model_does() {
    let found = divergence(&pair(), &prompts()).unwrap();
    for row in &found.groups {
        let nothing = row.kl == 0.0 && row.disagree == 0.0 && row.kl_reverse == 0.0;
        assert_eq!(nothing, row.variant == "same", "{row:?}");
    }
    let of = |variant: &str, against: &str| -> Vec<&DivergenceRow> {
        found.groups.iter().filter(|row| row.variant == variant && row.against == against).collect()
    };
    let (from_base, from_copy) = (of("changed", "base"), of("changed", "same"));
    assert_eq!(from_base.len(), 3, "two labels and all of them");
    for (base, copy) in from_base.iter().zip(&from_copy) {
        assert_eq!((base.kl, base.kl_max, &base.at), (copy.kl, copy.kl_max, &copy.at), "the copy is base");
    }
    let all = from_base.iter().find(|row| row.group == "all").unwrap();
    let parts: u64 = from_base.iter().filter(|row| row.group != "all").map(|row| row.tokens).sum();
    assert_eq!(all.tokens, parts);
    let shown: Vec<&DivergentTokenRow> =
        found.tokens.iter().filter(|row| row.variant == "changed" && row.against == "base").collect();
    assert_eq!((shown[0].kl, &shown[0].at), (all.kl_max, &all.at), "the largest comes first");
    assert!(shown.windows(2).all(|pair| pair[0].kl >= pair[1].kl) && shown.len() > 10, "{shown:?}");
    assert!(shown.len() <= 20 && shown[0].rank == 1, "{shown:?}");
    assert!(found.tokens.iter().all(|row| row.variant != "same"), "a copy has no such place");
}

#[test]
fn only_the_changed_matrix_has_moved() {
    for row in weights(&pair()).unwrap() {
        let moved = row.variant == "changed" && row.parameter.ends_with("1.mlp.down_proj.weight");
        let expected = if moved { 2.0 } else { 0.0 };
        assert!((row.relative_norm - expected).abs() < 1e-6, "{row:?}");
    }
}

#[test]
fn directions_separate_the_labels_and_a_copy_has_bases_own() {
    let settings = DirectionSettings { watched: vec![3], ..DirectionSettings::default() };
    let rows = directions(&pair(), &prompts(), &settings).unwrap();
    for row in &rows {
        assert!(row.separation > 0.9, "{row:?}");
        match row.variant.as_str() {
            "base" => assert_eq!(row.cosine_to_base, None),
            "same" => assert!((row.cosine_to_base.unwrap() - 1.0).abs() < 1e-6),
            _ => assert!(row.cosine_to_base.unwrap() < 1.0 + 1e-6),
        }
        assert!(row.log_odds.is_some() && row.kl_other.unwrap() > 0.0);
    }
}

#[test]
fn a_head_that_writes_nothing_carries_nothing() {
    let model = model();
    let parameter = model.parameters().get("model.layers.0.self_attn.o_proj.weight").unwrap();
    let mut rows: Vec<Vec<f32>> = parameter.value().to_vec2().unwrap();
    rows.iter_mut().for_each(|row| row[8..].fill(0.0));
    parameter.set_value(&Tensor::new(rows, &Device::Cpu).unwrap()).unwrap();
    let found = heads(&[("base".into(), model)], &prompts(), &[]).unwrap();
    for row in &found {
        assert_eq!(row.ships == 0.0, (row.layer, row.head) == (0, 1), "{row:?}");
    }
    assert_eq!(found.iter().filter(|row| row.group == "harmful" && row.sahara_rank.is_some()).count(), 3);
}

#[test]
fn probes_read_the_last_token() {
    let points = [HookPoint::resid_post(1)];
    let rows = probes(&pair(), &points, &prompts(), &ProbeSettings::default()).unwrap();
    for row in rows.iter().filter(|row| row.variant != "changed") {
        assert!(row.accuracy > 0.95 && row.selectivity > 0.2, "{row:?}");
        assert_eq!(row.accuracy_of_base_probe.is_some(), row.variant == "same");
    }
}

#[test]
fn a_response_is_read_by_its_mean() {
    let text = LabelledPrompt { tokens: vec![8, 9, 10, 11], response: Some(2), ..LabelledPrompt::default() };
    let model = model();
    let point = HookPoint::resid_post(0);
    let mean = &reading::span_activations(&model, &[point], std::slice::from_ref(&text)).unwrap()[0][0];
    let one = |length: usize| {
        let prompt = LabelledPrompt { tokens: text.tokens[..length].to_vec(), ..LabelledPrompt::default() };
        reading::span_activations(&model, &[point], &[prompt]).unwrap()[0][0].clone()
    };
    for (at, mean) in mean.iter().enumerate() {
        assert!((mean - 0.5 * (one(3)[at] + one(4)[at])).abs() < 1e-5, "{at}");
    }
}
