//! PEFT adapters and chat templates against golden data from PEFT and transformers.

use crate::goldens::{folder, places};
use candle_core::{DType, Device, Tensor};
use deltascope::Result;
use deltascope::diff::models::weights;
use deltascope::model::chat::render_chat;
use deltascope::model::conformance::compare_with_golden;
use deltascope::model::{Gradients, Hooks, Model, TokenBatch, stop_tokens};
use serde_json::json;
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
fn the_folder_of_an_adapter_is_a_model() -> Result<()> {
    for family in ["llama", "gpt_neox", "qwen2"] {
        let model = Model::load(&adapter(family), &Device::Cpu)?;
        let compared =
            compare_with_golden(&model, &adapter(family), &adapter(family).join("golden.safetensors"))?;
        let wrong: Vec<_> = compared.findings.iter().filter(|finding| !finding.passed).collect();
        assert!(wrong.is_empty() && compared.findings.len() > 4, "{family}: {wrong:?}");
        assert_eq!(stop_tokens(&adapter(family), None)?, stop_tokens(&folder(family), None)?, "{family}");
        // Whatever reads or trains weights finds the adapter in them.
        let base = Model::load(&folder(family), &Device::Cpu)?;
        let merged = model.clone().into_merged()?;
        assert!(merged.parameters().iter().all(|parameter| parameter.trainable()), "{family}");
        assert_eq!(model.weights_hash()?, merged.weights_hash()?, "{family}");
        assert_ne!(model.weights_hash()?, base.weights_hash()?, "{family}");
        let moved = weights(&[("base".to_owned(), base), ("tuned".to_owned(), model)])?;
        assert!(moved.iter().any(|row| row.relative_norm > 0.0), "{family}: no matrix moved");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("adapter_config.json"), r#"{"base_model_name_or_path": "../../x"}"#)
        .unwrap();
    let error = Model::load(folder.path(), &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("base_model_name_or_path") && error.contains("../../x"), "{error}");
    Ok(())
}

/// PEFT takes the initial product of such an adapter out of the base when it loads it.
#[test]
fn adapters_that_change_their_base_are_refused() -> Result<()> {
    let base = Model::load(&folder("llama"), &Device::Cpu)?;
    let copy = tempfile::tempdir().unwrap();
    let path = |file: &str| copy.path().join(file);
    std::fs::copy(adapter("llama").join("adapter_model.safetensors"), path("adapter_model.safetensors"))
        .unwrap();
    let text = std::fs::read_to_string(adapter("llama").join("adapter_config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut load = |how: serde_json::Value| {
        config["init_lora_weights"] = how;
        std::fs::write(path("adapter_config.json"), config.to_string()).unwrap();
        base.with_adapter(copy.path()).map(|_| ())
    };
    for plain in [json!(true), json!(false), json!(null), json!("gaussian"), json!("orthogonal")] {
        load(plain)?;
    }
    for name in ["pissa", "pissa_niter_4", "olora", "corda", "loftq", "eva", "lora_ga", "mica"] {
        let error = load(json!(name)).unwrap_err().to_string();
        assert!(error.contains("init_lora_weights") && error.contains(name), "{error}");
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
        let tokens = ["bos_token", "eos_token"].into_iter();
        let tokens: BTreeMap<String, String> =
            tokens.filter_map(|name| Some((name.to_owned(), text(name)?.to_owned()))).collect();
        let rendered = render_chat(text("template").unwrap(), &case["messages"], prompted, &tokens);
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

#[test]
fn an_adapter_is_told_before_a_long_run() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let told = |arguments: &[&str]| {
        let output = crate::cli::deltascope(&here, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let adapter = "tests/fixtures/adapters/peft/dora-llama";
    let (code, text, _) = told(&["check", "adapter", adapter]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("DoRA for ../../../models/llama") && text.contains("layers 0-1"), "{text}");
    assert!(text.contains("logits move by up to"), "{text}");
    let (code, text, _) = told(&["check", "adapter", adapter, "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &answer["kind"], &answer["groups"][0]["rank"]), (Some(0), &json!("DoRA"), &json!(3)));
    let (code, _, error) = told(&["check", "adapter", adapter, "--model", "tests/fixtures/models/gpt2"]);
    assert!(code == Some(2) && error.contains("target_modules"), "{error}");
    // The note of what a model was made of reaches other verbs.
    let resized = "tests/fixtures/adapters/peft/resized-llama";
    let (code, text, _) = told(&["check", "model", resized, "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(0), "{text}");
    assert!(answer["notes"][0].as_str().unwrap().contains("323 tokens"), "{text}");
}
