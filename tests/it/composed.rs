//! The composed kernels, which a GPU runs, against the fused ones of the CPU: caches, hooks, gradients at
//! hooks, samples, training steps, a 16-bit format. (Goldens and adapters are checked on both in their own
//! modules.)

use crate::cli::{MICRO, deltascope, text};
use crate::goldens::{folder, places};
use crate::invariance::{all_gradients, branches_beside_whole_rows, cache_in_pieces};
use candle_core::{DType, Device, Tensor, Var};
use deltascope::Result;
use deltascope::compute::Compute;
use deltascope::model::{
    BlockPoint, Gradients, HookPoint, Hooks, Model, Prompt, SampleSettings, TokenBatch, sample_model,
};
use deltascope::progress::Observer;
use deltascope::rng::Stream;
use deltascope::training::{AdamW, OptimiserSettings};

/// One of each kind of arithmetic.
const FAMILIES: [&str; 6] = ["llama", "qwen3", "gemma2", "olmo2", "gpt2", "gpt_neox"];

fn rows(count: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(seed, "composed", &[]);
    (0..count).map(|_| (0..2 + stream.below(23)).map(|_| stream.below(320) as u32).collect()).collect()
}

fn both(family: &str) -> Result<[Model; 2]> {
    let [fused, composed] = places();
    Ok([Model::load(&folder(family), fused)?, Model::load(&folder(family), composed)?])
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
}

/// The largest difference; what is −∞ on both sides is equal.
fn apart(left: &Tensor, right: &Tensor) -> Result<f32> {
    assert_eq!(left.dims(), right.dims());
    let pairs = numbers(left)?.into_iter().zip(numbers(right)?);
    Ok(pairs.map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() }).fold(0f32, f32::max))
}

fn logits(model: &Model, rows: &[Vec<u32>], hooks: &mut Hooks) -> Result<Tensor> {
    let hidden = model.forward(&TokenBatch::new(rows)?, None, hooks, Gradients::Off)?.unwrap();
    model.logits(&hidden)
}

/// Mean log-probability of all next tokens.
fn likelihood(model: &Model, batch: &TokenBatch, hooks: &mut Hooks) -> Result<Tensor> {
    let hidden = model.forward(batch, None, hooks, Gradients::On)?.unwrap();
    let at: Vec<(usize, usize)> = (0..batch.rows())
        .flat_map(|row| (1..batch.lengths()[row]).map(move |position| (row, position - 1)))
        .collect();
    let targets: Vec<u32> = at.iter().map(|(row, position)| batch.row(*row)[position + 1]).collect();
    Ok(model.token_log_probabilities(&hidden, &at, &targets)?.log_probabilities.mean_all()?)
}

#[test]
fn a_cache_fed_in_pieces_and_rearranged_equals_one_pass() -> Result<()> {
    for family in FAMILIES {
        let [_, model] = both(family)?;
        cache_in_pieces(&model, rows(5, 2), |ours, expected| Ok(apart(ours, expected)? < 1e-4))?;
    }
    Ok(())
}

#[test]
fn a_cache_of_the_other_kernels_is_refused() -> Result<()> {
    let [fused, composed] = both("llama")?;
    for (model, other) in [(&fused, &composed), (&composed, &fused)] {
        let mut cache = other.cache(1);
        let batch = TokenBatch::new(&[vec![1, 2, 3]])?;
        let error = model.forward(&batch, Some(&mut cache), &mut Hooks::none(), Gradients::Off).unwrap_err();
        assert!(error.to_string().contains("computes elsewhere"), "{error}");
    }
    Ok(())
}

#[test]
fn a_row_is_what_it_is_alone() -> Result<()> {
    for family in FAMILIES {
        let [_, model] = both(family)?;
        let rows = rows(9, 5);
        let all = logits(&model, &rows, &mut Hooks::none())?;
        for (index, row) in rows.iter().enumerate() {
            let alone = logits(&model, std::slice::from_ref(row), &mut Hooks::none())?;
            let most = apart(&all.get(index)?.narrow(0, 0, row.len())?, &alone.get(0)?)?;
            assert!(most < 1e-4, "{family}: row {index}: {most}");
        }
    }
    Ok(())
}

#[test]
fn identity_hooks_at_every_point_change_no_bit() -> Result<()> {
    for family in FAMILIES {
        let [_, model] = both(family)?;
        let rows = rows(4, 4);
        let expected = numbers(&logits(&model, &rows, &mut Hooks::none())?)?;
        for gradients in [Gradients::Off, Gradients::On] {
            let mut hooks = Hooks::none();
            for point in model.hook_points() {
                hooks = hooks.capture(point).edit(point, Box::new(|_, value| Ok(value.clone())));
            }
            let hidden = model.forward(&TokenBatch::new(&rows)?, None, &mut hooks, gradients)?.unwrap();
            hooks.finish()?;
            assert!(numbers(&model.logits(&hidden)?)? == expected, "{family} {gradients:?}");
        }
    }
    Ok(())
}

#[test]
fn what_branches_off_a_shared_prompt_is_what_it_is_in_a_row_of_its_own() -> Result<()> {
    for family in FAMILIES {
        let [_, model] = both(family)?;
        let near = |ours: &Tensor, expected: &Tensor| Ok(apart(ours, expected)? < 1e-4);
        branches_beside_whole_rows(&model, near, Hooks::none)?;
    }
    Ok(())
}

#[test]
fn blocks_that_are_computed_again_give_the_same_gradients() -> Result<()> {
    for family in FAMILIES {
        let [_, model] = both(family)?;
        let batch = TokenBatch::new(&rows(4, 5))?;
        let kept = all_gradients(&model, &batch, Hooks::none(), Gradients::On)?;
        let again = all_gradients(&model, &batch, Hooks::none(), Gradients::Recomputed)?;
        let norm = kept.iter().map(|value| value * value).sum::<f32>().sqrt();
        let apart = kept.iter().zip(&again).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
        assert!(apart < 1e-5 * norm, "{family}: {apart} of {norm}");
    }
    Ok(())
}

#[test]
fn captures_and_gradients_at_every_point_agree() -> Result<()> {
    for family in FAMILIES {
        let [fused, composed] = both(family)?;
        let batch = TokenBatch::new(&rows(4, 6))?;
        let points = fused.hook_points();
        let mut found = Vec::new();
        for model in [&fused, &composed] {
            let mut hooks = Hooks::none();
            for point in &points {
                hooks = hooks.capture(*point).gradient(*point);
            }
            likelihood(model, &batch, &mut hooks)?.backward()?;
            hooks.finish()?;
            found.push(hooks);
        }
        let [ours, theirs] = &mut found[..] else { unreachable!("two models") };
        for point in points {
            let most = apart(&ours.take(point).unwrap(), &theirs.take(point).unwrap())?;
            assert!(most < 2e-4, "{family} {point}: {most}");
            let (ours, theirs) = (ours.take_gradient(point), theirs.take_gradient(point));
            let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
            let size = numbers(&ours)?.iter().map(|number| number.abs()).fold(0f32, f32::max);
            let most = apart(&ours, &theirs)?;
            assert!(size > 0.0 && most < 1e-3 * size, "{family} gradient at {point}: {most} of {size}");
        }
    }
    Ok(())
}

#[test]
fn edits_act_alike_and_their_own_variables_get_gradients() -> Result<()> {
    for family in FAMILIES {
        let [fused, composed] = both(family)?;
        let batch = TokenBatch::new(&rows(4, 8))?;
        let mut found = Vec::new();
        for model in [&fused, &composed] {
            let width = model.config().d_model;
            let added = Var::from_tensor(&Tensor::full(0.1f32, width, &Device::Cpu)?)?;
            let direction = added.as_tensor().clone();
            let mut hooks = Hooks::none()
                .edit(
                    HookPoint::resid_post(0),
                    Box::new(move |_, value| Ok(value.broadcast_add(&direction)?)),
                )
                .edit(HookPoint::Block(1, BlockPoint::Pattern), Box::new(|_, value| Ok((value * 0.5)?)))
                .edit(
                    HookPoint::Block(0, BlockPoint::Query),
                    Box::new(|_, value| Ok(value.affine(2.0, 0.1)?)),
                );
            let value = likelihood(model, &batch, &mut hooks)?;
            hooks.finish()?;
            let gradients = value.backward()?;
            found.push((value.to_scalar::<f32>()?, gradients.get(added.as_tensor()).unwrap().clone()));
        }
        let [(ours, to_ours), (theirs, to_theirs)] = &found[..] else { unreachable!("two models") };
        assert!((ours - theirs).abs() < 1e-4, "{family}: {ours} and {theirs}");
        let size = numbers(to_ours)?.iter().map(|number| number.abs()).fold(0f32, f32::max);
        let most = apart(to_ours, to_theirs)?;
        assert!(size > 0.0 && most < 1e-3 * size, "{family}: {most} of {size}");
    }
    Ok(())
}

#[test]
fn samples_are_the_same() -> Result<()> {
    for family in FAMILIES {
        let prompts: Vec<Prompt> = rows(5, 7)
            .into_iter()
            .enumerate()
            .map(|(index, tokens)| Prompt { tokens, key: index as u64 })
            .collect();
        let settings = SampleSettings {
            samples: 3,
            max_new_tokens: 12,
            stop: (0..40).collect(),
            batch_rows: 8,
            ..SampleSettings::default()
        };
        let [fused, composed] =
            both(family)?.map(|model| sample_model(&model, &prompts, &settings, &Observer::silent()));
        for (ours, theirs) in fused?.iter().zip(&composed?) {
            assert_eq!((&ours.tokens, ours.finish), (&theirs.tokens, theirs.finish), "{family}");
            for (ours, theirs) in ours.log_probabilities.iter().zip(&theirs.log_probabilities) {
                assert!((ours - theirs).abs() < 1e-4, "{family}: {ours} {theirs}");
            }
        }
    }
    Ok(())
}

#[test]
fn training_steps_lead_to_the_same_weights() -> Result<()> {
    for family in FAMILIES {
        let batch = TokenBatch::new(&rows(6, 9))?;
        let models = both(family)?;
        for model in &models {
            let parameters: Vec<_> = model.parameters().iter().cloned().collect();
            let frozen = &parameters[1];
            frozen.set_trainable(false);
            let before = frozen.value().copy()?;
            // GPT-2's key biases have no gradient but rounding: a larger epsilon keeps Adam from blowing it up.
            let settings =
                OptimiserSettings { weight_decay: 0.1, epsilon: 1e-5, ..OptimiserSettings::default() };
            let mut optimiser = AdamW::new(settings);
            for _ in 0..3 {
                // Two parts of a step add their gradients up.
                for _ in 0..2 {
                    (likelihood(model, &batch, &mut Hooks::none())? * -1.0)?.backward()?;
                }
                assert!(optimiser.update(&parameters, 1e-3, 0.5)? > 0.0);
            }
            assert_eq!(apart(&frozen.value(), &before)?, 0.0, "{family}: a frozen weight moved");
        }
        for (ours, theirs) in models[0].parameters().iter().zip(models[1].parameters().iter()) {
            let most = apart(&ours.value(), &theirs.value())?;
            assert!(most < 1e-5, "{family} {}: {most}", ours.name());
        }
    }
    Ok(())
}

#[test]
fn a_sixteen_bit_format_is_near_and_keeps_full_masters() -> Result<()> {
    let half = Compute::composed(&Device::Cpu, DType::F16)?;
    for family in FAMILIES {
        let [exact, _] = both(family)?;
        let model = Model::load(&folder(family), &half)?;
        let batch = TokenBatch::new(&rows(4, 10))?;
        let mut found = Vec::new();
        for model in [&exact, &model] {
            let mut hooks = Hooks::none().capture(HookPoint::resid_post(1));
            let value = likelihood(model, &batch, &mut hooks)?;
            value.backward()?;
            assert_eq!(hooks.take(HookPoint::resid_post(1)).unwrap().dtype(), DType::F32, "{family}");
            found.push(value.to_scalar::<f32>()?);
        }
        assert!((found[0] - found[1]).abs() < 5e-3, "{family}: {found:?}");
        assert!(found[0] != found[1], "{family}: nothing was rounded");
        let mut cosine = (0f64, 0f64, 0f64);
        for (ours, theirs) in exact.parameters().iter().zip(model.parameters().iter()) {
            assert_eq!(theirs.value().dtype(), DType::F32, "{family} {}", theirs.name());
            let pairs =
                numbers(&ours.gradient()?.unwrap())?.into_iter().zip(numbers(&theirs.gradient()?.unwrap())?);
            for (a, b) in pairs.map(|(a, b)| (f64::from(a), f64::from(b))) {
                cosine = (cosine.0 + a * b, cosine.1 + a * a, cosine.2 + b * b);
            }
        }
        let cosine = cosine.0 / (cosine.1 * cosine.2).sqrt();
        assert!(cosine > 0.999, "{family}: the gradient's cosine is {cosine}");
    }
    Ok(())
}

#[test]
fn every_artifact_is_named_by_the_kernels_and_the_format_too() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("study.toml"), MICRO).unwrap();
    let ids = |flags: &[&str]| -> Vec<String> {
        let arguments = [&["plan", "study.toml", "--json"], flags].concat();
        let output = deltascope(place.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let stages = plan["stages"].as_array().unwrap();
        stages.iter().map(|stage| stage["id"].as_str().unwrap().to_owned()).collect()
    };
    let cpu = ids(&[]);
    let composed = ids(&["--device", "cpu-composed"]);
    let half = ids(&["--device", "cpu-composed", "--dtype", "f16"]);
    assert!(cpu.len() > 5 && cpu == ids(&["--device", "cpu", "--dtype", "f32"]));
    for (stage, id) in cpu.iter().enumerate() {
        assert!(*id != composed[stage] && *id != half[stage] && composed[stage] != half[stage]);
    }
}

#[test]
fn verbs_reach_the_composed_kernels() {
    let place = tempfile::tempdir().unwrap();
    let llama = folder("llama");
    let run = |arguments: &[&str]| {
        let arguments = [arguments, &["--device", "cpu-composed"]].concat();
        let output = deltascope(place.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let golden = llama.join("golden.safetensors");
    let (model, golden) = (llama.to_str().unwrap(), golden.to_str().unwrap());
    let checked = run(&["check", "model", model, "--golden", golden]);
    assert!(
        checked.contains("ok     cached passes equal one pass:") && !checked.contains("FAILED"),
        "{checked}"
    );
    run(&[
        "capture",
        "--model",
        model,
        "--tokens",
        golden,
        "--hooks",
        "blocks.*.hook_resid_post",
        "--out",
        "a.safetensors",
    ]);
    assert!(place.path().join("a.safetensors").exists());
    std::fs::write(place.path().join("p.jsonl"), "{\"input_ids\": [1, 2, 3]}\n").unwrap();
    run(&[
        "sample",
        "--model",
        model,
        "--prompts",
        "p.jsonl",
        "--n",
        "2",
        "--max-new-tokens",
        "4",
        "--out",
        "s.jsonl",
    ]);
    assert_eq!(std::fs::read_to_string(place.path().join("s.jsonl")).unwrap().lines().count(), 2);
}
