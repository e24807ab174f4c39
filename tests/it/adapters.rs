//! PEFT adapters and chat templates against golden data from PEFT and transformers.

use crate::goldens::{folder, places};
use candle_core::{DType, Device, Tensor};
use deltascope::Result;
use deltascope::model::chat::render_chat;
use deltascope::model::{Gradients, Hooks, Model, TokenBatch};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn adapter(family: &str) -> PathBuf {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adapters");
    fixtures.join(format!("lora-{family}"))
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
}

#[test]
fn applied_and_merged_adapters_match_peft() -> Result<()> {
    let cases = ["llama", "gpt_neox", "qwen2"].map(|family| places().map(|place| (family, place)));
    for (family, place) in cases.into_iter().flatten() {
        let base = Model::load(&folder(family), &place)?;
        let untouched = base.weights_hash()?;
        let model = base.with_adapter(&adapter(family))?;
        let golden: BTreeMap<String, Tensor> =
            candle_core::safetensors::load(adapter(family).join("golden.safetensors"), &Device::Cpu)?
                .into_iter()
                .collect();
        let rows = golden["input_ids"].to_dtype(DType::U32)?.to_vec2::<u32>()?;
        let batch = TokenBatch::new(&rows)?;
        for model in [&model, &model.copy()?, &model.merged()?] {
            let hidden = model.forward(&batch, None, &mut Hooks::none(), Gradients::Off)?.unwrap();
            let (ours, theirs) = (flat(&model.logits(&hidden)?)?, flat(&golden["logits"])?);
            let most = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(most < 2e-4, "{family} logits: {most}");
        }
        let row = TokenBatch::new(&rows[..1])?;
        let hidden = model.forward(&row, None, &mut Hooks::none(), Gradients::On)?.unwrap();
        let at: Vec<(usize, usize)> = (0..rows[0].len() - 1).map(|position| (0, position)).collect();
        let found = model.token_log_probabilities(&hidden, &at, &rows[0][1..])?;
        let loss = (found.log_probabilities.mean_all()? * -1.0)?;
        let apart = (loss.to_scalar::<f32>()? - golden["loss"].to_scalar::<f32>()?).abs();
        assert!(apart < 1e-5, "{family} loss: {apart}");
        loss.backward()?;
        assert_eq!(model.parameters().missing_gradients(), Vec::<String>::new(), "{family}");
        let mut compared = 0;
        for parameter in model.parameters().iter() {
            let Some(theirs) = golden.get(&format!("grad.{}", parameter.name())) else {
                assert!(!parameter.trainable() && parameter.gradient()?.is_none(), "{parameter:?}");
                continue;
            };
            let (ours, theirs) = (flat(&parameter.gradient()?.unwrap())?, flat(theirs)?);
            let norm = theirs.iter().map(|value| value * value).sum::<f32>().sqrt();
            let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
            assert!(apart < 1e-3 * norm, "{family} {}: {}", parameter.name(), apart / norm);
            compared += 1;
        }
        assert_eq!(compared, golden.keys().filter(|name| name.starts_with("grad.")).count());
        assert_eq!(base.weights_hash()?, untouched);
    }
    Ok(())
}

#[test]
fn chat_templates_render_as_transformers_renders_them() -> Result<()> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let read = |file: &str| std::fs::read_to_string(fixtures.join(file)).unwrap();
    let files = [read("adapters/chat_templates.json"), read("chat_templates_more.json")];
    let cases = files.map(|text| serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap()).concat();
    for case in &cases {
        let text = |key: &str| case[key].as_str();
        let prompted = case["add_generation_prompt"].as_bool().unwrap();
        let rendered = render_chat(
            text("template").unwrap(),
            &case["messages"],
            prompted,
            text("bos_token"),
            text("eos_token"),
        );
        match text("expected") {
            Some(expected) => assert_eq!(rendered?, expected, "{}", case["name"]),
            None => {
                let error = rendered.unwrap_err().to_string();
                assert!(error.contains(text("error").unwrap()), "{}: {error}", case["name"]);
            }
        }
    }
    Ok(())
}
