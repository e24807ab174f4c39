//! Our decoder beside candle-transformers' own Llama, on a repository that we wrote: another reader of the
//! same files computes the same logits.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
use deltascope::Result;
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
