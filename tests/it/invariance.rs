//! A row's result depends on nothing but the row: not on the batch, the cache, the hooks or the threads.

use crate::goldens::folder;
use candle_core::{Device, Tensor};
use deltascope::Result;
use deltascope::model::{
    BlockPoint, Gradients, HookPoint, Hooks, Model, Prompt, SampleSettings, TokenBatch, sample_model,
};
use deltascope::progress::Observer;
use deltascope::rng::Stream;

/// One of each kind of arithmetic.
const FAMILIES: [&str; 6] = ["llama", "qwen3", "gemma2", "olmo2", "gpt2", "gpt_neox"];

fn rows(count: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(seed, "invariance", &[]);
    (0..count).map(|_| (0..1 + stream.below(37)).map(|_| stream.below(320) as u32).collect()).collect()
}

fn bits(tensor: &Tensor) -> Result<Vec<u32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
}

fn plain(model: &Model, rows: &[Vec<u32>]) -> Result<Tensor> {
    let batch = TokenBatch::new(rows)?;
    let hidden = model.forward(&batch, None, &mut Hooks::none(), Gradients::Off)?.unwrap();
    model.logits(&hidden)
}

#[test]
fn rows_are_independent_of_their_batch() -> Result<()> {
    for family in FAMILIES {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let rows = rows(65, 1);
        let alone: Vec<Vec<u32>> =
            rows.iter().map(|row| bits(&plain(&model, std::slice::from_ref(row))?)).collect::<Result<_>>()?;
        for count in 1..=65 {
            let all = plain(&model, &rows[..count])?;
            for (index, row) in rows[..count].iter().enumerate() {
                let part = all.get(index)?.narrow(0, 0, row.len())?;
                assert!(bits(&part)? == alone[index], "{family}: row {index} of {count}");
            }
        }
    }
    Ok(())
}

/// Feeds rows to a cache in pieces of one to four tokens, rearranges them on the way, and calls
/// `same(found, expected)` on the logits of every piece and those of one pass over the whole rows.
pub(crate) fn cache_in_pieces(
    model: &Model,
    mut rows: Vec<Vec<u32>>,
    same: impl Fn(&Tensor, &Tensor) -> Result<bool>,
) -> Result<()> {
    let family = model.config().family;
    let mut cache = model.cache(rows.len());
    let mut at = vec![0; rows.len()];
    let mut stream = Stream::new(3, "pieces", &[]);
    let mut steps = 0;
    while at.iter().zip(&rows).any(|(at, row)| *at < row.len()) {
        let piece: Vec<Vec<u32>> = rows
            .iter()
            .zip(&at)
            .map(|(row, at)| row[*at..row.len().min(at + 1 + stream.below(4))].to_vec())
            .collect();
        let batch = TokenBatch::new(&piece)?;
        let hidden = model.hidden(&batch, Some(&mut cache), &mut Hooks::none(), Gradients::Off)?;
        let (found, whole) = (model.logits(&hidden)?, plain(model, &rows)?);
        for (row, piece) in piece.iter().enumerate() {
            let ours = found.get(row)?.narrow(0, 0, piece.len())?;
            let expected = whole.get(row)?.narrow(0, at[row], piece.len())?;
            assert!(same(&ours, &expected)?, "{family:?}: row {row} at {}", at[row]);
            at[row] += piece.len();
        }
        steps += 1;
        if steps == 2 {
            // One row twice, one not at all, the others in another order.
            let order = [3, 0, 4, 3];
            cache.select(&order)?;
            rows = order.iter().map(|row| rows[*row].clone()).collect();
            at = order.iter().map(|row| at[*row]).collect();
        }
    }
    assert_eq!(cache.lengths(), at);
    Ok(())
}

#[test]
fn a_cache_fed_in_pieces_and_rearranged_equals_one_pass() -> Result<()> {
    for family in FAMILIES {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        cache_in_pieces(&model, rows(5, 2), |ours, expected| Ok(bits(ours)? == bits(expected)?))?;
    }
    Ok(())
}

#[test]
fn identity_hooks_at_every_point_change_nothing() -> Result<()> {
    for family in FAMILIES {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let rows = rows(4, 4);
        let batch = TokenBatch::new(&rows)?;
        let expected = bits(&plain(&model, &rows)?)?;
        for gradients in [Gradients::Off, Gradients::On] {
            let mut hooks = Hooks::none();
            for point in model.hook_points() {
                hooks = hooks.capture(point);
                if !point.is_read_only() {
                    hooks = hooks.edit(point, Box::new(|_, value| Ok(value.clone())));
                }
            }
            let hidden = model.forward(&batch, None, &mut hooks, gradients)?.unwrap();
            hooks.finish()?;
            assert!(bits(&model.logits(&hidden)?)? == expected, "{family} {gradients:?}");
        }
    }
    Ok(())
}

#[test]
fn gradients_are_the_same_through_identity_hooks_and_at_any_thread_count() -> Result<()> {
    let gradients = |model: &Model, batch: &TokenBatch, mut hooks: Hooks| -> Result<Vec<f32>> {
        model.parameters().zero_gradients();
        let hidden = model.forward(batch, None, &mut hooks, Gradients::On)?.unwrap();
        let at: Vec<(usize, usize)> = (0..batch.rows())
            .flat_map(|row| (1..batch.lengths()[row]).map(move |position| (row, position - 1)))
            .collect();
        let targets: Vec<u32> = at.iter().map(|(row, position)| batch.row(*row)[position + 1]).collect();
        let found = model.token_log_probabilities(&hidden, &at, &targets)?;
        found.log_probabilities.mean_all()?.backward()?;
        let mut all = Vec::new();
        for parameter in model.parameters().iter() {
            all.extend(parameter.gradient()?.unwrap().flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(all)
    };
    for family in FAMILIES {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let batch = TokenBatch::new(&rows(9, 5))?;
        let plain = gradients(&model, &batch, Hooks::none())?;
        let mut hooks = Hooks::none();
        for point in model.hook_points().into_iter().filter(|point| !point.is_read_only()) {
            hooks = hooks.edit(point, Box::new(|_, value| Ok(value.clone())));
        }
        let hooked = gradients(&model, &batch, hooks)?;
        let norm = plain.iter().map(|value| value * value).sum::<f32>().sqrt();
        let apart = plain.iter().zip(&hooked).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
        assert!(apart < 1e-5 * norm, "{family}: {apart} of {norm}");
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| gradients(&model, &batch, Hooks::none()))?;
            assert!(found == plain, "{family}: {threads} threads");
        }
    }
    Ok(())
}

#[test]
fn hooks_that_cannot_fire_are_errors() -> Result<()> {
    let model = Model::load(&folder("llama"), &Device::Cpu)?;
    let batch = TokenBatch::new(&[vec![1, 2, 3]])?;
    let run = |mut hooks: Hooks| -> Result<()> {
        model.forward(&batch, None, &mut hooks, Gradients::Off)?;
        hooks.finish()
    };
    let zero = || Box::new(|_: &deltascope::model::Site, value: &Tensor| Ok(value.zeros_like()?));
    let error = run(Hooks::none().edit(HookPoint::resid_post(9), zero())).unwrap_err().to_string();
    assert!(error.contains("no hook point `blocks.9.hook_resid_post`") && error.contains("hint:"), "{error}");
    let scale = HookPoint::Block(0, BlockPoint::Norm1Scale);
    assert!(run(Hooks::none().edit(scale, zero())).unwrap_err().to_string().contains("not edited"));
    let early = Hooks::none().stop_after(HookPoint::resid_post(0)).edit(HookPoint::resid_post(1), zero());
    assert!(run(early).unwrap_err().to_string().contains("never fired"));
    assert!(run(Hooks::none().capture(HookPoint::resid_post(1))).is_ok());
    Ok(())
}

#[test]
fn a_pass_can_start_where_another_stopped() -> Result<()> {
    let model = Model::load(&folder("llama"), &Device::Cpu)?;
    let rows = rows(3, 6);
    let batch = TokenBatch::new(&rows)?;
    let point = HookPoint::Block(1, BlockPoint::ResidPre);
    let mut first = Hooks::none().capture(point).stop_after(point);
    assert!(model.forward(&batch, None, &mut first, Gradients::Off)?.is_none());
    let mut second = Hooks::none().start_from(1, first.take(point).unwrap());
    let hidden = model.forward(&batch, None, &mut second, Gradients::Off)?.unwrap();
    assert!(bits(&model.logits(&hidden)?)? == bits(&plain(&model, &rows)?)?);
    Ok(())
}

#[test]
fn samples_do_not_depend_on_batch_or_threads_and_carry_the_models_log_probabilities() -> Result<()> {
    let model = Model::load(&folder("llama"), &Device::Cpu)?;
    let prompts: Vec<Prompt> = rows(7, 7)
        .into_iter()
        .enumerate()
        .map(|(index, tokens)| Prompt { tokens, key: 100 + index as u64 })
        .collect();
    let settings = |batch_rows| SampleSettings {
        samples: 3,
        max_new_tokens: 12,
        temperature: 0.8,
        top_p: 0.95,
        seed: 11,
        stop: vec![5, 6, 7, 8, 9, 10, 11, 12],
        batch_rows,
    };
    let observer = Observer::silent();
    let all = sample_model(&model, &prompts, &settings(64), &observer)?;
    for batch_rows in [1, 2, 5] {
        assert_eq!(sample_model(&model, &prompts, &settings(batch_rows), &observer)?, all);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| sample_model(&model, &prompts, &settings(64), &observer))?, all);
    for completion in &all {
        let prompt = &prompts[completion.prompt].tokens;
        let whole: Vec<u32> = prompt.iter().chain(&completion.tokens).copied().collect();
        let batch = TokenBatch::new(&[whole])?;
        let hidden = model.forward(&batch, None, &mut Hooks::none(), Gradients::Off)?.unwrap();
        let at: Vec<(usize, usize)> =
            (0..completion.tokens.len()).map(|index| (0, prompt.len() - 1 + index)).collect();
        let fresh = model.token_log_probabilities(&hidden, &at, &completion.tokens)?;
        let fresh = fresh.log_probabilities.to_vec1::<f32>()?;
        for (drawn, fresh) in completion.log_probabilities.iter().zip(fresh) {
            assert!((drawn - fresh).abs() < 1e-4, "{drawn} {fresh}");
        }
    }
    Ok(())
}
