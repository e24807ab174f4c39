//! Our side of the comparison with PyTorch: the same model and shapes as the peer script measures.
//!
//! `cargo bench --bench engine [-- name …]`; medians, in the peer's line format.

use candle_core::Device;
use deltascope::Result;
use deltascope::model::{
    Config, Gradients, HookPoint, Hooks, LlamaShape, Model, Prompt, SampleSettings, TokenBatch, sample_model,
};
use deltascope::progress::Observer;
use deltascope::rng::Stream;
use std::time::Instant;

fn median_seconds(runs: usize, warmup: usize, mut step: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(runs);
    for run in 0..runs + warmup {
        let start = Instant::now();
        step()?;
        if run >= warmup {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(runs / 2).copied().unwrap_or(f64::NAN))
}

fn report(name: &str, seconds: f64, tokens: usize) {
    println!("{name:<42} {:9.1} ms {:12.0} tokens/s", seconds * 1e3, tokens as f64 / seconds);
}

fn model(vocabulary: usize, d_model: usize, d_mlp: usize) -> Result<Model> {
    let shape = LlamaShape {
        vocabulary,
        d_model,
        layers: 4,
        heads: 4,
        d_mlp,
        max_positions: 512,
        bos: Some(1),
        eos: Some(2),
        pad: Some(0),
    };
    Model::initialise(&Config::llama(&shape)?, 0, &Device::Cpu)
}

fn tokens(rows: usize, lengths: impl Fn(&mut Stream) -> usize, vocabulary: usize) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(0, "bench", &[]);
    (0..rows)
        .map(|_| (0..lengths(&mut stream)).map(|_| 3 + stream.below(vocabulary - 3) as u32).collect())
        .collect()
}

fn train_step(model: &Model, rows: &[Vec<u32>]) -> Result<()> {
    model.parameters().zero_gradients();
    let batch = TokenBatch::new(rows)?;
    let hidden = model.forward(&batch, None, &mut Hooks::none(), Gradients::On)?;
    let Some(hidden) = hidden else { return Ok(()) };
    let at: Vec<(usize, usize)> = (0..batch.rows())
        .flat_map(|row| (1..batch.lengths()[row]).map(move |position| (row, position - 1)))
        .collect();
    let targets: Vec<u32> = at.iter().map(|(row, position)| batch.row(*row)[position + 1]).collect();
    let found = model.token_log_probabilities(&hidden, &at, &targets)?;
    (found.log_probabilities.mean_all()? * -1.0)?.backward()?;
    Ok(())
}

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let reference = model(512, 256, 768)?;
    let rows = tokens(16, |_| 128, 512);
    let batch = TokenBatch::new(&rows)?;
    let forward = |mut hooks: Hooks| -> Result<()> {
        if let Some(hidden) = reference.forward(&batch, None, &mut hooks, Gradients::Off)? {
            reference.logits(&hidden)?;
        }
        hooks.finish()
    };
    if runs("forward") {
        report("forward 16x128", median_seconds(7, 2, || forward(Hooks::none()))?, 2048);
    }
    if runs("train") {
        let seconds = median_seconds(7, 2, || train_step(&reference, &rows))?;
        report("forward and backward 16x128", seconds, 2048);
    }
    if runs("generate") {
        let prompts: Vec<Prompt> = tokens(64, |_| 32, 512)
            .into_iter()
            .enumerate()
            .map(|(key, tokens)| Prompt { tokens, key: key as u64 })
            .collect();
        let settings = SampleSettings { max_new_tokens: 96, ..SampleSettings::default() };
        let draw = || sample_model(&reference, &prompts, &settings, &Observer::silent()).map(|_| ());
        report("sample 64 x (32 prompt + 96 new)", median_seconds(3, 1, draw)?, 64 * 96);
    }
    if runs("cache") {
        let layers =
            || (0..4).fold(Hooks::none(), |hooks, layer| hooks.capture(HookPoint::resid_post(layer)));
        report("capture resid_post of every layer 16x128", median_seconds(7, 2, || forward(layers()))?, 2048);
        let points = reference.hook_points();
        let all = || points.iter().fold(Hooks::none(), |hooks, point| hooks.capture(*point));
        report("capture every hook point 16x128", median_seconds(7, 2, || forward(all()))?, 2048);
    }
    if runs("microcosm") {
        let small = model(126, 128, 344)?;
        let rows = tokens(128, |stream| 6 + stream.below(25), 126);
        let count = rows.iter().map(Vec::len).sum();
        report(
            "microcosm step, 128 ragged documents",
            median_seconds(9, 3, || train_step(&small, &rows))?,
            count,
        );
    }
    Ok(())
}
