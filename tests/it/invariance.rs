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

/// Answers that branch off from shared prompts, beside the same in rows of their own: calls `same(found, expected)`
/// on the logits of all tokens, and compares the gradients of every parameter. `hooks` makes what a pass is run with.
pub(crate) fn branches_beside_whole_rows(
    model: &Model,
    same: impl Fn(&Tensor, &Tensor) -> Result<bool>,
    hooks: impl Fn() -> Hooks,
) -> Result<()> {
    let family = model.config().family;
    // Short enough, together, for the learned positions of GPT-2.
    let short = |rows: Vec<Vec<u32>>| rows.into_iter().map(|row| row[..row.len().min(30)].to_vec()).collect();
    let (prompts, answers): (Vec<Vec<u32>>, Vec<Vec<u32>>) = (short(rows(4, 8)), short(rows(9, 9)));
    // One prompt without an answer, one with one, one with three, one with five.
    let families: Vec<(Vec<u32>, Vec<Vec<u32>>)> = prompts
        .into_iter()
        .zip([0..0, 0..1, 1..4, 4..9])
        .map(|(prompt, chosen)| (prompt, answers[chosen].to_vec()))
        .collect();
    let shared = TokenBatch::branching(families.clone())?;
    let mut whole = Vec::new();
    // (row, first position, tokens) of the shared batch, and where the same stands in whole rows.
    let (mut pieces, mut row) = (Vec::new(), 0);
    for (prompt, answers) in &families {
        pieces.push(((row, 0), (whole.len(), 0), prompt.len()));
        for (branch, answer) in answers.iter().enumerate() {
            pieces.push(((row + 1 + branch, 0), (whole.len() + branch, prompt.len()), answer.len()));
        }
        row += 1 + answers.len();
        whole.extend(answers.iter().map(|answer| [&prompt[..], answer].concat()));
        if answers.is_empty() {
            whole.push(prompt.clone());
        }
    }
    let alone = TokenBatch::new(&whole)?;
    let mut found = Vec::new();
    for (batch, side) in [(&shared, 0), (&alone, 1)] {
        model.parameters().zero_gradients();
        let hidden = model.hidden(batch, None, &mut hooks(), Gradients::On)?;
        let at: Vec<(usize, usize)> = pieces
            .iter()
            .flat_map(|(here, there, count)| {
                let (row, first) = if side == 0 { *here } else { *there };
                (0..*count).map(move |position| (row, first + position))
            })
            .collect();
        let targets: Vec<u32> = (0..at.len() as u32).map(|index| index % 50).collect();
        let likelihood = model.token_log_probabilities(&hidden, &at, &targets)?;
        likelihood.log_probabilities.mean_all()?.backward()?;
        let mut gradients = Vec::new();
        for parameter in model.parameters().iter() {
            gradients.extend(parameter.gradient()?.unwrap().flatten_all()?.to_vec1::<f32>()?);
        }
        found.push((model.logits(&hidden)?, gradients));
    }
    let [(ours, to_ours), (expected, to_expected)] = &found[..] else { unreachable!("two batches") };
    for ((row, first), (other, from), count) in pieces {
        let ours = ours.get(row)?.narrow(0, first, count)?;
        let expected = expected.get(other)?.narrow(0, from, count)?;
        assert!(same(&ours, &expected)?, "{family:?}: row {row}");
    }
    let norm = to_expected.iter().map(|value| value * value).sum::<f32>().sqrt();
    let apart = to_ours.iter().zip(to_expected).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    assert!(apart < 1e-5 * norm, "{family:?}: {apart} of {norm}");
    Ok(())
}

#[test]
fn what_branches_off_a_shared_prompt_is_what_it_is_in_a_row_of_its_own() -> Result<()> {
    for family in FAMILIES.into_iter().chain(["mistral"]) {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let same = |ours: &Tensor, expected: &Tensor| Ok(bits(ours)? == bits(expected)?);
        branches_beside_whole_rows(&model, same, Hooks::none)?;
        // With a hook, attention goes step by step.
        branches_beside_whole_rows(&model, same, || {
            let point = HookPoint::Block(0, BlockPoint::Pattern);
            Hooks::none().edit(point, Box::new(|_, value| Ok(value.clone())))
        })?;
    }
    let model = Model::load(&folder("llama"), &Device::Cpu)?;
    let batch = TokenBatch::branching(vec![(vec![1, 2], vec![vec![3], vec![4]])])?;
    let mut cache = model.cache(3);
    let error = model.hidden(&batch, Some(&mut cache), &mut Hooks::none(), Gradients::Off).unwrap_err();
    assert!(error.to_string().contains("without a cache"), "{error}");
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
                hooks = hooks.capture(point).edit(point, Box::new(|_, value| Ok(value.clone())));
            }
            let hidden = model.forward(&batch, None, &mut hooks, gradients)?.unwrap();
            hooks.finish()?;
            assert!(bits(&model.logits(&hidden)?)? == expected, "{family} {gradients:?}");
        }
    }
    Ok(())
}

#[test]
fn a_heads_result_is_its_part_of_what_attention_adds() -> Result<()> {
    for family in FAMILIES {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let batch = TokenBatch::new(&rows(4, 10))?;
        // Without head 1: taken out of what the output projection reads, or out of what it adds up.
        let without = |point| -> Result<Tensor> {
            let edit = move |_: &deltascope::model::HookSite, value: &Tensor| {
                let heads = value.dim(2)?;
                let kept: Vec<f32> = (0..heads).map(|head| f32::from(head != 1)).collect();
                let kept = Tensor::from_vec(kept, (1, 1, heads, 1), &Device::Cpu)?;
                Ok(value.broadcast_mul(&kept)?)
            };
            let mut hooks = Hooks::none().edit(HookPoint::Block(0, point), Box::new(edit));
            model.logits(&model.hidden(&batch, None, &mut hooks, Gradients::Off)?)
        };
        let largest = |value: Tensor| -> Result<f32> { Ok(value.abs()?.max_all()?.to_scalar()?) };
        let (read, added) = (without(BlockPoint::Mixed)?, without(BlockPoint::Result)?);
        let apart = largest((&read - &added)?)?;
        let moved = largest((&read - plain(&model, &rows(4, 10))?)?)?;
        assert!(apart < 1e-5 && moved > 1e-2, "{family}: {apart} apart, {moved} moved");
    }
    Ok(())
}

#[test]
fn gradients_are_the_same_through_identity_hooks_and_at_any_thread_count() -> Result<()> {
    let gradients =
        |model: &Model, batch: &TokenBatch, hooks| all_gradients(model, batch, hooks, Gradients::On);
    for family in FAMILIES {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        let batch = TokenBatch::new(&rows(9, 5))?;
        let plain = gradients(&model, &batch, Hooks::none())?;
        let mut hooks = Hooks::none();
        for point in model.hook_points() {
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

/// The gradients of all parameters, of a pass that records in this way.
pub(crate) fn all_gradients(
    model: &Model,
    batch: &TokenBatch,
    mut hooks: Hooks,
    gradients: Gradients,
) -> Result<Vec<f32>> {
    model.parameters().zero_gradients();
    let hidden = model.hidden(batch, None, &mut hooks, gradients)?;
    let at: Vec<(usize, usize)> = (0..batch.rows())
        .flat_map(|row| (0..batch.lengths()[row]).map(move |position| (row, position)))
        .collect();
    let targets: Vec<u32> = (0..at.len() as u32).map(|index| index % 50).collect();
    let found = model.token_log_probabilities(&hidden, &at, &targets)?;
    found.log_probabilities.mean_all()?.backward()?;
    let mut all = Vec::new();
    for parameter in model.parameters().iter() {
        all.extend(parameter.gradient()?.unwrap().flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(all)
}

#[test]
fn blocks_that_are_computed_again_give_the_same_gradients() -> Result<()> {
    let answers = rows(3, 12);
    let branching = TokenBatch::branching(vec![(vec![1, 2, 3], answers), (vec![4; 9], vec![])])?;
    for family in FAMILIES {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        for batch in [TokenBatch::new(&rows(9, 11))?, branching.clone()] {
            let kept = all_gradients(&model, &batch, Hooks::none(), Gradients::On)?;
            assert!(kept == all_gradients(&model, &batch, Hooks::none(), Gradients::Recomputed)?, "{family}");
        }
    }
    let model = Model::load(&folder("llama"), &Device::Cpu)?;
    let mut hooks = Hooks::none().capture(HookPoint::resid_post(0));
    let error = model.hidden(&branching, None, &mut hooks, Gradients::Recomputed).unwrap_err();
    assert!(error.to_string().contains("no hooks"), "{error}");
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
    let zero = || Box::new(|_: &deltascope::model::HookSite, value: &Tensor| Ok(value.zeros_like()?));
    let error = run(Hooks::none().edit(HookPoint::resid_post(9), zero())).unwrap_err().to_string();
    assert!(error.contains("no hook point `blocks.9.hook_resid_post`") && error.contains("hint:"), "{error}");
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
