//! The gradient of a whole model is the slope of its loss: one central difference along the gradient itself, where the
//! slope is the gradient's length and a wrong share of any parameter would shorten what is found.

use crate::goldens::folder;
use candle_core::Device;
use deltascope::Result;
use deltascope::model::{Gradients, Hooks, Model, TokenBatch};

/// The mean negative log-likelihood of every token after the first, and its gradient where it is recorded.
fn loss(model: &Model, rows: &[Vec<u32>], gradients: Gradients) -> Result<f64> {
    let batch = TokenBatch::new(rows)?;
    let hidden = model.hidden(&batch, None, &mut Hooks::none(), gradients)?;
    let at: Vec<(usize, usize)> = rows
        .iter()
        .enumerate()
        .flat_map(|(row, ids)| (1..ids.len()).map(move |place| (row, place - 1)))
        .collect();
    let targets: Vec<u32> = at.iter().map(|(row, place)| rows[*row][place + 1]).collect();
    let found = model.token_log_probabilities(&hidden, &at, &targets)?.log_probabilities;
    if gradients == Gradients::On {
        found.mean_all()?.neg()?.backward()?;
    }
    let values = found.to_vec1::<f32>()?;
    Ok(-values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64)
}

/// Moves all weights by `step` along the gradient.
fn walk(model: &Model, step: f64) -> Result<()> {
    for parameter in model.parameters().iter() {
        parameter.update(|weights, gradient| {
            for (weight, gradient) in weights.iter_mut().zip(gradient.iter()) {
                *weight = (f64::from(*weight) + step * f64::from(*gradient)) as f32;
            }
        })?;
    }
    Ok(())
}

#[test]
fn the_gradient_of_every_family_is_the_slope_of_its_loss() -> Result<()> {
    let rows = vec![vec![5, 9, 14, 3, 22, 7, 18], vec![11, 4, 30, 2, 8]];
    for family in
        ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "olmo2", "phi3", "gpt2", "gpt_neox"]
    {
        let model = Model::load(&folder(family), &Device::Cpu)?;
        loss(&model, &rows, Gradients::On)?;
        let mut squares = 0.0;
        for parameter in model.parameters().iter() {
            let gradient =
                parameter.gradient()?.expect("every parameter is reached").flatten_all()?.to_vec1::<f32>()?;
            squares += gradient.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        }
        // A change of the loss of a thousandth: far above rounding, and small enough to be straight.
        let step = 5e-4 / squares;
        walk(&model, step)?;
        let above = loss(&model, &rows, Gradients::Off)?;
        walk(&model, -2.0 * step)?;
        let below = loss(&model, &rows, Gradients::Off)?;
        let found = (above - below) / (2.0 * step * squares);
        assert!((found - 1.0).abs() < 5e-3, "{family}: {found} of the slope");
    }
    Ok(())
}
