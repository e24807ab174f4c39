//! Our decoder beside candle-transformers: another reader of the same files computes the same logits.

use crate::goldens::folder;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
use deltascope::Result;
use deltascope::model::conformance::{compare_with_candle, drawn_tokens};
use deltascope::model::{Config, Gradients, Hooks, LlamaShape, Model, TokenBatch};

#[test]
fn candle_transformers_reads_what_we_save_and_agrees() -> Result<()> {
    let device = Device::Cpu;
    let shape = LlamaShape {
        vocabulary: 50,
        d_model: 32,
        layers: 3,
        heads: 4,
        d_mlp: 88,
        max_positions: 64,
        bos: Some(1),
        eos: Some(2),
        pad: Some(0),
    };
    let ours = Model::initialise(&Config::llama(&shape)?, 11, &device)?;
    let folder = tempfile::tempdir().unwrap();
    ours.save(folder.path())?;

    let written = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    let config = serde_json::from_str::<LlamaConfig>(&written).unwrap().into_config(false);
    let tensors = candle_core::safetensors::load(folder.path().join("model.safetensors"), &device)?;
    let theirs = Llama::load(VarBuilder::from_tensors(tensors, DType::F32, &device), &config)?;

    for length in [1, 2, 7, 40] {
        let tokens: Vec<u32> = (0..length).map(|position| (position * 7 + 3) % 50).collect();
        let hidden = ours.forward(
            &TokenBatch::new(std::slice::from_ref(&tokens))?,
            None,
            &mut Hooks::none(),
            Gradients::Off,
        )?;
        let last = hidden.unwrap().narrow(1, tokens.len() - 1, 1)?;
        let mine: Vec<f32> = ours.logits(&last)?.flatten_all()?.to_vec1()?;
        let mut cache = Cache::new(false, DType::F32, &config, &device)?;
        let input = Tensor::new(tokens.as_slice(), &device)?.unsqueeze(0)?;
        let peer: Vec<f32> = theirs.forward(&input, 0, &mut cache)?.flatten_all()?.to_vec1()?;
        let most = mine.iter().zip(&peer).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(mine.len() == peer.len() && most < 1e-4, "{length} tokens: {most}");
    }
    Ok(())
}

#[test]
fn every_family_of_candle_transformers_agrees() -> Result<()> {
    for family in ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "olmo2", "phi3"] {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let compared = compare_with_candle(&model, &drawn_tokens(&model)?)?;
        let wrong: Vec<_> = compared.findings.iter().filter(|finding| !finding.passed).collect();
        assert!(wrong.is_empty(), "{family}: {wrong:?}");
        assert!(compared.findings.len() >= 2, "{family}: {:?}", compared.findings);
    }
    for family in ["gpt2", "gpt_neox"] {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let refused =
            compare_with_candle(&model, &drawn_tokens(&model)?).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.contains(&format!("has no {family}"))), "{family}");
    }
    Ok(())
}

#[test]
fn a_setting_that_candle_transformers_would_ignore_is_refused_by_name() -> Result<()> {
    let written = std::fs::read_to_string(folder("llama").join("config.json")).unwrap();
    let cases = [
        ("\"llama3\"", "\"yarn\"", "attention_factor"),
        ("\"llama3\"", "\"yarn\", \"attention_factor\": 1.0", "rope_type"),
        ("\"llama3\"", "\"linear\"", "rope_type"),
        ("\"silu\"", "\"gelu\"", "hidden_act"),
    ];
    for (ours, other, setting) in cases {
        let changed = written.replace(ours, other);
        assert_ne!(changed, written);
        let model = Model::load_as(Config::parse(&changed)?, &folder("llama"), &Device::Cpu)?;
        let refused = compare_with_candle(&model, &drawn_tokens(&model)?).err().unwrap().to_string();
        assert!(refused.contains(&format!("does not follow this model's `{setting}`")), "{refused}");
    }
    Ok(())
}
