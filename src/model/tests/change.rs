//! Edits by name.

use super::{apart, numbers, tiny};
use crate::error::Result;
use crate::model::{BlockPoint, Change, Gradients, HookPoint, Hooks, Model, TokenBatch};
use candle_core::{DType, Device, Tensor, Var};

const MIXED: HookPoint = HookPoint::Block(0, BlockPoint::Mixed);
const PATTERN: HookPoint = HookPoint::Block(1, BlockPoint::Pattern);

fn tokens() -> Result<TokenBatch> {
    TokenBatch::new(&[vec![3, 1, 4, 1, 5], vec![2, 6]])
}

/// The value at `point` under a change, and without it.
fn values(model: &Model, point: HookPoint, change: Change) -> Result<[Tensor; 2]> {
    let run = |mut hooks: Hooks| -> Result<Tensor> {
        model.hidden(&tokens()?, None, &mut hooks, Gradients::Off)?;
        Ok(hooks.take(point).expect("a capture"))
    };
    let hooks = || Hooks::none().capture(point);
    Ok([run(hooks().edit(point, change.edit()))?, run(hooks())?])
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
    let [found, plain] = values(&model, point, Change::add(vector.clone()))?;
    assert!(apart(&real(&found)?, &real(&plain.broadcast_add(&vector)?)?) < 1e-6);
    let [found, plain] = values(&model, point, Change::scale(-2.0))?;
    assert!(apart(&real(&found)?, &real(&(plain * -2.0)?)?) < 1e-6);
    let [found, plain] = values(&model, point, Change::replace(vector.clone()))?;
    assert_eq!(numbers(&real(&found)?), numbers(&real(&vector.broadcast_as(plain.shape())?)?));
    let [found, plain] = values(&model, point, Change::project_out(vector.clone()))?;
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
        let change = Change::scale(0.5).at_positions([1, 4]).at_heads([2]);
        let [found, plain] = values(&model, point, change)?;
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
    let refused = |point, change: Change| values(&model, point, change).unwrap_err().to_string();
    let resid = HookPoint::resid_post(0);
    for (error, part) in [
        (refused(resid, Change::scale(2.0).at_positions([5])), "found 0 up to 5, which is not in it"),
        (refused(resid, Change::scale(2.0).at_positions([])), "expected one of the positions"),
        (refused(resid, Change::scale(2.0).at_heads([0])), "an axis of heads"),
        (refused(MIXED, Change::scale(2.0).at_heads([3])), "heads from 0 to 2"),
        (refused(MIXED, Change::scale(2.0).at_heads([])), "heads from 0 to 2"),
        (refused(resid, Change::add(vector(5)?)), "broadcasts to [2, 5, 12], found [5]"),
        (refused(resid, Change::project_out(vector(5)?)), "a direction of 12 numbers"),
        (refused(resid, Change::project_out((vector(12)? * 0.0)?)), "of positive length"),
    ] {
        assert!(error.contains(part) && error.contains("edit at"), "{error}");
    }
    // With a cache, positions go on counting.
    let mut cache = model.cache(1);
    let step = |cache: &mut _, token, mut hooks: Hooks| {
        model.hidden(&TokenBatch::new(&[vec![token]])?, Some(cache), &mut hooks, Gradients::Off)
    };
    step(&mut cache, 3, Hooks::none())?;
    step(&mut cache, 1, Hooks::none().edit(resid, Change::scale(2.0).at_positions([1]).edit()))?;
    let late = Hooks::none().edit(resid, Change::scale(2.0).at_positions([1]).edit());
    assert!(step(&mut cache, 4, late).is_err());
    Ok(())
}

#[test]
fn gradients_flow_through_a_change_in_training() -> Result<()> {
    type Kind = fn(Tensor) -> Change;
    let kinds: [(&str, Kind); 3] =
        [("replace", Change::replace), ("add", Change::add), ("project out", Change::project_out)];
    for (name, change) in kinds {
        let model = tiny();
        let vector = Var::from_tensor(&vector(4)?)?;
        let loss = |vector: &Tensor, gradients| -> Result<Tensor> {
            let change = change(vector.clone()).at_positions([0, 2]).at_heads([1]);
            let hidden =
                model.hidden(&tokens()?, None, &mut Hooks::none().edit(MIXED, change.edit()), gradients)?;
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
