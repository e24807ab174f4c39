//! Interventions in passes through one model.

use super::{Direction, Features, Head, HooksUnder, Intervene, Intervention, Patch, Positions};
use crate::dictionaries::Dictionary;
use crate::error::Result;
use crate::model::{
    BlockPoint, Config, Gradients, HookPoint, Hooks, LlamaShape, Model, SampleSettings, TokenBatch, Tokenizer,
};
use crate::rng::Stream;
use candle_core::{DType, Device, Tensor, Var};

const MIXED: HookPoint = HookPoint::Block(0, BlockPoint::Mixed);
const PATTERN: HookPoint = HookPoint::Block(1, BlockPoint::Pattern);

/// A small model with fresh weights.
fn tiny() -> Model {
    let shape = LlamaShape {
        vocabulary: 11,
        d_model: 12,
        layers: 2,
        heads: 3,
        d_mlp: 16,
        max_positions: 32,
        bos: None,
        eos: None,
        pad: None,
    };
    Model::initialise(&Config::llama(&shape).unwrap(), 5, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference.
fn apart(left: &Tensor, right: &Tensor) -> f32 {
    assert_eq!(left.dims(), right.dims());
    numbers(left).iter().zip(numbers(right)).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

fn tokens() -> Result<TokenBatch> {
    TokenBatch::new(&[vec![3, 1, 4, 1, 5], vec![2, 6]])
}

/// The value at `point` under a change, and without it.
fn values(model: &Model, point: HookPoint, change: &Intervention) -> Result<[Tensor; 2]> {
    let run = |mut hooks: Hooks| -> Result<Tensor> {
        model.hidden(&tokens()?, None, &mut hooks, Gradients::Off)?;
        Ok(hooks.take(point).expect("a capture"))
    };
    let hooks = || Hooks::none().capture(point);
    Ok([run(hooks().under(change)?)?, run(hooks())?])
}

fn vector(length: usize) -> Result<Tensor> {
    let numbers = (0..length).map(|index| 0.5 + index as f32).collect();
    Ok(Tensor::from_vec(numbers, length, &Device::Cpu)?)
}

#[test]
fn changes_are_what_their_names_say() -> Result<()> {
    let (model, point) = (tiny(), HookPoint::resid_post(0));
    let vector = vector(12)?;
    let real = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.get(0)?) };
    let [found, plain] = values(&model, point, &Intervention::add(point, vector.clone())?)?;
    assert!(apart(&real(&found)?, &real(&plain.broadcast_add(&vector)?)?) < 1e-6);
    let [found, plain] = values(&model, point, &Intervention::scale(point, -2.0)?)?;
    assert!(apart(&real(&found)?, &real(&(plain * -2.0)?)?) < 1e-6);
    let [found, plain] = values(&model, point, &Intervention::replace(point, vector.clone())?)?;
    assert_eq!(numbers(&real(&found)?), numbers(&real(&vector.broadcast_as(plain.shape())?)?));
    let [found, plain] = values(&model, point, &Intervention::project_out(point, vector.clone())?)?;
    let along = |value: &Tensor| -> Result<Tensor> { Ok(real(value)?.matmul(&vector.unsqueeze(1)?)?) };
    let zero = along(&plain)?.zeros_like()?;
    assert!(apart(&along(&found)?, &zero) < 1e-4 && apart(&along(&plain)?, &zero) > 1e-2);
    let removed = real(&plain)?.sub(&real(&found)?)?;
    let expected =
        along(&plain)?.broadcast_mul(&(&vector / vector.sqr()?.sum_all()?.to_scalar::<f32>()? as f64)?)?;
    assert!(apart(&removed, &expected) < 1e-5);
    Ok(())
}

#[test]
fn a_change_keeps_every_bit_of_the_positions_and_heads_that_it_does_not_name() -> Result<()> {
    let model = tiny();
    for (point, [position_axis, head_axis]) in [(MIXED, [1, 2]), (PATTERN, [2, 1])] {
        let change = Intervention::scale(point, 0.5)?.at([1, 4]).at_heads([2])?;
        let [found, plain] = values(&model, point, &change)?;
        let chosen = |tensor: &Tensor, position, head| -> Result<Vec<f32>> {
            let one = tensor.narrow(position_axis, position, 1)?.narrow(head_axis, head, 1)?;
            // The second row has two positions.
            Ok(numbers(&one.narrow(0, 0, if position < 2 { 2 } else { 1 })?))
        };
        for position in 0..5 {
            for head in 0..3 {
                let (found, plain) = (chosen(&found, position, head)?, chosen(&plain, position, head)?);
                match [1, 4].contains(&position) && head == 2 {
                    true => assert_eq!(found, plain.iter().map(|one| one * 0.5).collect::<Vec<_>>()),
                    false => assert_eq!(found, plain, "{point} {position} {head}"),
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_change_that_would_not_happen_is_an_error() -> Result<()> {
    let model = tiny();
    let refused = |point, change: Result<Intervention>| -> Result<String> {
        Ok(values(&model, point, &change?).unwrap_err().to_string())
    };
    let resid = HookPoint::resid_post(0);
    let doubled = |point| Intervention::scale(point, 2.0);
    for (error, part) in [
        (refused(resid, Ok(doubled(resid)?.at([5])))?, "found 0 up to 5, which is not in it"),
        (refused(resid, Ok(doubled(resid)?.at([])))?, "expected one of the positions"),
        (refused(resid, doubled(resid)?.at_heads([0]))?, "an axis of heads"),
        (refused(MIXED, doubled(MIXED)?.at_heads([3]))?, "heads from 0 to 2"),
        (refused(MIXED, doubled(MIXED)?.at_heads([]))?, "heads from 0 to 2"),
        (refused(resid, Intervention::add(resid, vector(5)?))?, "broadcasts to [2, 5, 12], found [5]"),
        (refused(resid, Intervention::project_out(resid, vector(5)?))?, "a direction of 12 numbers"),
        (refused(resid, Intervention::project_out(resid, (vector(12)? * 0.0)?))?, "of positive length"),
    ] {
        assert!(error.contains(part) && error.contains("edit at"), "{error}");
    }
    // With a cache, positions go on counting.
    let mut cache = model.cache(1);
    let step = |cache: &mut _, token, mut hooks: Hooks| {
        model.hidden(&TokenBatch::new(&[vec![token]])?, Some(cache), &mut hooks, Gradients::Off)
    };
    step(&mut cache, 3, Hooks::none())?;
    step(&mut cache, 1, Hooks::none().under(&doubled(resid)?.at([1]))?)?;
    let late = Hooks::none().under(&doubled(resid)?.at([1]))?;
    assert!(step(&mut cache, 4, late).is_err());
    Ok(())
}

#[test]
fn gradients_flow_through_a_change_in_training() -> Result<()> {
    type Kind = fn(HookPoint, Tensor) -> Result<Intervention>;
    let kinds: [(&str, Kind); 3] = [
        ("replace", Intervention::replace),
        ("add", Intervention::add),
        ("project out", Intervention::project_out),
    ];
    for (name, change) in kinds {
        let model = tiny();
        let vector = Var::from_tensor(&vector(4)?)?;
        let loss = |vector: &Tensor, gradients| -> Result<Tensor> {
            let change = change(MIXED, vector.clone())?.at([0, 2]).at_heads([1])?;
            let hidden = model.hidden(&tokens()?, None, &mut Hooks::none().under(&change)?, gradients)?;
            let found = model.token_log_probabilities(&hidden, &[(0, 3), (1, 0)], &[5, 6])?;
            Ok(found.log_probabilities.sum_all()?)
        };
        let gradients = loss(vector.as_tensor(), Gradients::On)?.backward()?;
        assert_eq!(model.parameters().missing_gradients(), Vec::<String>::new());
        let gradient = numbers(gradients.get(vector.as_tensor()).expect("the vector is used"));
        assert_eq!(gradient.len(), 4);
        let at = |index: usize, step: f32| -> Result<f64> {
            let mut moved = numbers(vector.as_tensor());
            moved[index] += step;
            let moved = Tensor::from_vec(moved, 4, &Device::Cpu)?.to_dtype(DType::F32)?;
            Ok(f64::from(loss(&moved, Gradients::Off)?.to_scalar::<f32>()?))
        };
        // Five points, as the error is of the fourth order in the step: it can be far above rounding.
        let slope = |index: usize| -> Result<f64> {
            let step = 0.125;
            let near = at(index, step)? - at(index, -step)?;
            let far = at(index, 2.0 * step)? - at(index, -2.0 * step)?;
            Ok((8.0 * near - far) / (12.0 * f64::from(step)))
        };
        let slopes = (0..4).map(slope).collect::<Result<Vec<_>>>()?;
        let largest = slopes.iter().fold(0.0_f64, |largest, slope| largest.max(slope.abs()));
        assert!(largest > 1e-3, "{name}: {slopes:?}, as small as rounding: the check would be empty");
        for (gradient, slope) in gradient.iter().zip(&slopes) {
            let apart = (f64::from(*gradient) - slope).abs();
            assert!(apart < 2e-3 * largest, "{name}: {gradient} and {slope} of {slopes:?}");
        }
    }
    Ok(())
}

/// The tiny model with words, of which one begins texts, and a dictionary for it.
fn with_words() -> Result<(Model, Dictionary)> {
    let words = ["<pad>", "<bos>", "<eos>", "a", "b", "c", "d", "e", "f", "g", "h"];
    let model = tiny().with_tokenizer(Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>")?);
    let mut stream = Stream::new(4, "test dictionary", &[]);
    let mut tensor = |rows: usize, columns: usize| -> Result<Tensor> {
        let numbers: Vec<f32> = (0..rows * columns).map(|_| 0.3 * stream.normal()).collect();
        Ok(Tensor::from_vec(numbers, (rows, columns), &Device::Cpu)?)
    };
    let (encoder, decoder) = (tensor(20, 12)?, tensor(20, 12)?);
    let zeros = |count: usize| Tensor::zeros(count, DType::F32, &Device::Cpu);
    let dictionary =
        Dictionary::from_tensors("blocks.0.hook_resid_post", &encoder, &zeros(20)?, &decoder, &zeros(12)?)?;
    Ok((model, dictionary))
}

const RESID: &str = "blocks.0.hook_resid_post";

#[test]
fn an_ablated_feature_takes_its_share_away_and_leaves_the_begin_token_alone() -> Result<()> {
    let (model, sae) = with_words()?;
    let text = "<bos> a b c d";
    let plain = model.run_with_cache(text, &[RESID])?;
    let latents = sae.encode(&plain[RESID])?;
    let feature = (0..20).max_by_key(|feature| {
        let column = numbers(&latents.narrow(2, *feature, 1).unwrap());
        (column[0] > 0.0, column.iter().filter(|value| **value > 0.0).count())
    });
    let feature = feature.unwrap_or(0) as u32;
    let edited = model.run_under(text, &[RESID], &[sae.ablate(&[feature])?])?;
    let share = latents
        .narrow(2, feature as usize, 1)?
        .broadcast_mul(&Tensor::new(sae.decoder(feature as usize, 0), &Device::Cpu)?)?;
    let expected = (&plain[RESID] - share)?;
    assert!(apart(&edited[RESID].narrow(1, 1, 4)?, &expected.narrow(1, 1, 4)?) < 1e-5);
    let first = |tensor: &Tensor| -> Result<Vec<f32>> { Ok(numbers(&tensor.narrow(1, 0, 1)?)) };
    assert_eq!(first(&edited[RESID])?, first(&plain[RESID])?, "the begin token keeps every bit");
    let too = model.run_under(text, &[RESID], &[sae.ablate(&[feature])?.with_begin()])?;
    assert_ne!(first(&too[RESID])?, first(&plain[RESID])?, "the feature fires there, too");
    Ok(())
}

/// Greedy sampling with a cache says what whole passes under the same intervention say.
#[test]
fn what_is_generated_is_what_whole_passes_say() -> Result<()> {
    let (model, sae) = with_words()?;
    let patch = model.run_with_cache("<bos> d c b a", &[RESID])?.patch(RESID)?;
    let added = Direction::new(vec![1.0; 12])?.add(RESID, 2.0)?;
    // Whole passes have no part but the prompt, so parts become positions: the prompt has four.
    for (intervention, whole) in [
        (sae.steer(&[3, 7], 6.0)?, sae.steer(&[3, 7], 6.0)?),
        (
            sae.steer(&[5], 6.0)?.on(Positions::Response).with_begin(),
            sae.steer(&[5], 6.0)?.at(4..40).with_begin(),
        ),
        (Head::new(1, 2).ablate()?, Head::new(1, 2).ablate()?),
        (patch.clone().at([2, 4]), patch.at([2, 4])),
        (added.clone().on(Positions::Prompt), added.at(0..4)),
    ] {
        let settings = SampleSettings { stop: vec![77], ..SampleSettings::greedy(9) };
        let said = model.generate("<bos> a b c", &settings, std::slice::from_ref(&intervention))?;
        let mut tokens = model.tokens("<bos> a b c")?;
        let under = [whole.optional()];
        for token in &said.completions()[0].tokens {
            let logits = model.run_under(&tokens, &[RESID], &under)?.logits().squeeze(0)?;
            let last = numbers(&logits.narrow(0, tokens.len() - 1, 1)?);
            let best = (0..11).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap_or(0);
            assert_eq!(*token, best as u32, "{intervention:?}");
            tokens.push(*token);
        }
        let read = said.completions()[0].tokens.len() as u64 - 1;
        let total = said.tallies()[0];
        assert!(total.response.positions <= read && total.prompt.positions <= 3, "{total:?}");
    }
    Ok(())
}

#[test]
fn an_intervention_that_never_acts_is_an_error_unless_it_is_optional() -> Result<()> {
    let (model, sae) = with_words()?;
    let run = model.run_with_cache("<bos> a b c", &[RESID])?;
    let latents = numbers(&sae.encode(&run[RESID])?.max(1)?);
    let silent = latents.iter().position(|most| *most == 0.0).expect("a feature that does not fire") as u32;
    let settings = SampleSettings::greedy(1);
    let refused =
        |one: Intervention| model.generate("<bos> a b c", &settings, &[one]).unwrap_err().to_string();
    assert!(refused(sae.ablate(&[silent])?).contains("it changed nothing at any of 3 positions"));
    assert!(refused(sae.ablate(&[3])?.at([77])).contains("there was no position to act on"));
    let passed = model.generate("<bos> a b c", &settings, &[sae.ablate(&[silent])?.optional()])?;
    assert_eq!((passed.tallies()[0].total().positions, passed.tallies()[0].total().acted), (3, 0));
    for (error, part) in [
        (model.run_with_cache("a", &["blocks.0.hook_resid_pots"]).unwrap_err(), "`blocks.0.hook_resid_post`"),
        (model.run_with_cache("a", &["blocks.9.hook_resid_post"]).unwrap_err(), "its blocks are 0 to 1"),
        (run.get("blocks.1.hook_resid_post").unwrap_err(), "`blocks.0.hook_resid_post`"),
        (sae.ablate(&[20]).unwrap_err(), "feature 20"),
        (sae.ablate(&[]).unwrap_err(), "at least one feature"),
        (model.run_with_cache("a z", &[]).unwrap_err(), "cannot encode"),
        (Intervention::scale("blocks.0.hook_z", 0.0).unwrap_err(), "did you mean"),
        (sae.encode(&run[RESID].narrow(2, 0, 5)?).unwrap_err(), "expected activations of 1 x 12"),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    Ok(())
}

#[test]
fn gradients_flow_through_features_and_directions() -> Result<()> {
    let (model, sae) = with_words()?;
    let text = "a b c d e";
    let direction = Direction::new((0..12).map(|index| 0.5 + index as f32).collect())?;
    let features: Vec<u32> = (0..20).collect();
    for intervention in [sae.ablate(&features)?, sae.scale(&features, 3.0)?, direction.project_out(RESID)?] {
        let under = std::slice::from_ref(&intervention);
        model.parameters().zero_gradients();
        let loss = model.loss(text, under)?;
        let read = model.run_under(text, &[], under)?;
        assert!(read.logits().dims() == [1, 5, 11]);
        loss.backward()?;
        let name = "model.layers.0.mlp.down_proj.weight";
        let weight = model.parameters().get(name).expect("a weight").clone();
        let gradient = numbers(&weight.gradient()?.expect("a gradient"));
        let start = numbers(&weight.value());
        let at = |index: usize, step: f32| -> Result<f64> {
            let mut moved = start.clone();
            moved[index] += step;
            weight.set_value(&Tensor::from_vec(moved, weight.dims(), &Device::Cpu)?)?;
            Ok(f64::from(model.loss(text, under)?.to_scalar::<f32>()?))
        };
        let largest = gradient.iter().fold(0.0f32, |most, one| most.max(one.abs()));
        assert!(largest > 1e-4);
        for index in (0..start.len()).step_by(17) {
            // Five points, as the error is of the fourth order in the step: it can be far above rounding.
            let step = 0.01;
            let near = at(index, step)? - at(index, -step)?;
            let far = at(index, 2.0 * step)? - at(index, -2.0 * step)?;
            let slope = (8.0 * near - far) / (12.0 * f64::from(step));
            let apart = (slope - f64::from(gradient[index])).abs();
            assert!(apart < 0.03 * f64::from(largest), "{index}: {slope} {} of {largest}", gradient[index]);
        }
        weight.set_value(&Tensor::from_vec(start.clone(), weight.dims(), &Device::Cpu)?)?;
    }
    Ok(())
}
