//! The gradient of a loss beside central differences, through the whole decoder.

use super::{numbers, tiny};
use crate::error::Result;
use crate::model::{Gradients, Hooks, TokenBatch};
use candle_core::Tensor;

#[test]
fn the_gradient_of_every_parameter_is_the_slope_of_the_loss() -> Result<()> {
    const STEP: f64 = 0.01;
    let model = tiny();
    let rows = [vec![3, 1, 4, 1, 5, 9], vec![2, 6, 5]];
    let batch = TokenBatch::new(&rows)?;
    let at: Vec<(usize, usize)> = (0..5).map(|position| (0, position)).chain([(1, 0), (1, 1)]).collect();
    let targets: Vec<u32> = at.iter().map(|(row, position)| rows[*row][position + 1]).collect();
    let loss = |gradients| -> Result<Tensor> {
        let hidden = model.hidden(&batch, None, &mut Hooks::none(), gradients)?;
        Ok(model.token_log_probabilities(&hidden, &at, &targets)?.log_probabilities.sum_all()?)
    };
    loss(Gradients::On)?.backward()?;
    for parameter in model.parameters().iter() {
        let (value, gradient) = (parameter.value(), parameter.gradient()?.expect("every parameter is used"));
        let slope = numbers(&gradient).iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>().sqrt();
        assert!(slope > 1e-3, "{}: the check would be empty", parameter.name());
        // Along its gradient, where the slope is the gradient's length: a wrong number anywhere shortens it.
        let along = (&gradient / slope)?;
        let moved = |steps: f64| -> Result<f64> {
            parameter.set_value(&(&value + (&along * (steps * STEP))?)?)?;
            Ok(f64::from(loss(Gradients::Off)?.to_scalar::<f32>()?))
        };
        let (near, far) = (moved(1.0)? - moved(-1.0)?, moved(2.0)? - moved(-2.0)?);
        parameter.set_value(&value)?;
        let found = (8.0 * near - far) / (12.0 * STEP);
        let apart = (found - slope).abs();
        assert!(apart < 2e-3 * (1.0 + slope), "{}: {slope}, by differences {found}", parameter.name());
    }
    Ok(())
}
