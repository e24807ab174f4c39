//! Edits and gradients at points that TransformerLens computes on request, and at the scales of norms:
//! `tests/fixtures/hooks` holds what it computed.
//!
//! Per point: the logits after the last of 7 positions, under an edit of that point, and the gradient there of their
//! sum weighted by `weights` (TransformerLens calls `ln1` for query, key and value: of all three). Inputs per head have `vector` added at head 1, `hook_mlp_in` everywhere; norms'
//! points are multiplied by 1.5.

use super::apart;
use crate::error::Result;
use crate::interventions::{HooksUnder, Intervention};
use crate::model::{Gradients, HookPoint, Hooks, Model, TokenBatch};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[test]
fn edits_and_gradients_are_those_of_transformer_lens() -> Result<()> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (family, points) in [("gpt2", 8), ("qwen3", 10)] {
        let model = Model::load(&fixtures.join("models").join(family), &Device::Cpu)?;
        let golden: BTreeMap<String, Tensor> = candle_core::safetensors::load(
            fixtures.join("hooks").join(format!("{family}.safetensors")),
            &Device::Cpu,
        )?
        .into_iter()
        .collect();
        let tokens = TokenBatch::new(&golden["input_ids"].to_dtype(DType::U32)?.to_vec2()?)?;
        let vector = &golden["vector"];
        let weights = golden["weights"].unsqueeze(1)?;
        let head = model.parameters().iter().find(|one| one.name() == "lm_head.weight");
        let embedding = model.parameters().iter().find(|one| one.name().ends_with("wte.weight"));
        let head = head.or(embedding).expect("a head").value();
        let mut compared = 0;
        for (name, expected) in
            golden.iter().filter(|(name, _)| golden.contains_key(&format!("gradient.{name}")))
        {
            let point: HookPoint = name.parse()?;
            let change = match name.rsplit_once(".hook_").map(|(_, last)| last) {
                Some("mlp_in") => Intervention::add(point, vector.clone())?,
                Some("scale" | "normalized") => Intervention::scale(point, 1.5)?,
                _ => Intervention::add(point, vector.clone())?.at_heads([1])?,
            };
            let mut hooks = Hooks::none().under(&change.with_begin())?.gradient(point);
            let hidden = model.hidden(&tokens, None, &mut hooks, Gradients::On)?;
            let last = hidden.narrow(1, 6, 1)?.squeeze(1)?;
            let logits = last.matmul(&head.t()?)?;
            logits.matmul(&weights)?.sum_all()?.backward()?;
            let most = apart(&logits, expected);
            assert!(most < 2e-4, "{family} {name}: {most}");
            let gradient = hooks.take_gradient(point).expect("a gradient");
            let most = apart(&gradient, &golden[&format!("gradient.{name}")]);
            assert!(most < 2e-4, "{family} gradient at {name}: {most}");
            compared += 1;
        }
        assert_eq!(compared, points, "{family}");
    }
    Ok(())
}
