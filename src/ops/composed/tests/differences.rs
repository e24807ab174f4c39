//! Every fused kernel against central differences of its own forward pass: the gradient of every number that goes in.
//!
//! `f′(x) ≈ (8 (f(x + h) − f(x − h)) − (f(x + 2h) − f(x − 2h))) / 12h`, whose error is of order h⁴. In f32 what
//! remains is rounding, about 1e-7 · |f| / h; with h = 1/64 a tolerance of 2e-3 holds both.

use super::*;

const STEP: f32 = 1.0 / 64.0;

/// The weighted sum of the output whose gradient [`found`] computes, added up in f64.
fn weighted(op: &impl Op, inputs: &[Tensor]) -> Result<f64> {
    let mut kernels = Fused::new(layout(), Gradients::Off)?;
    let frames = op.inputs();
    let pairs = inputs.iter().zip(&frames);
    let values = pairs.map(|(input, frame)| kernels.import(input, frame)).collect::<Result<Vec<_>>>()?;
    let (output, frame) = op.run(&kernels, &values)?;
    let output = kernels.export(&output, &frame)?.flatten_all()?.to_vec1::<f32>()?;
    let weights = drawn(&frame.dims(), "weights").flatten_all()?.to_vec1::<f32>()?;
    let finite = output.iter().zip(&weights).filter(|(number, _)| number.is_finite());
    Ok(finite.map(|(number, weight)| f64::from(*number) * f64::from(*weight)).sum())
}

/// The derivative of `value_at` along each of `numbers`.
fn differences(numbers: &[f32], value_at: impl Fn(Vec<f32>) -> Result<f64>) -> Result<Vec<f64>> {
    let one = |index: usize| {
        let at = |steps: f32| {
            let mut moved = numbers.to_vec();
            moved[index] += steps * STEP;
            value_at(moved)
        };
        let near = at(1.0)? - at(-1.0)?;
        let far = at(2.0)? - at(-2.0)?;
        Ok((8.0 * near - far) / (12.0 * f64::from(STEP)))
    };
    (0..numbers.len()).map(one).collect()
}

fn near(name: &str, gradient: &Tensor, expected: &[f64], skipped: impl Fn(usize) -> bool) {
    let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(gradient.len(), expected.len(), "{name}");
    let mut compared = 0;
    for (index, (ours, expected)) in gradient.iter().zip(expected).enumerate() {
        if skipped(index) {
            continue;
        }
        let apart = (f64::from(*ours) - expected).abs();
        assert!(
            apart <= 2e-3 * (1.0 + expected.abs()),
            "{name} at {index}: {ours}, by differences {expected}"
        );
        compared += usize::from(*expected != 0.0);
    }
    assert!(compared > 0, "{name}: nothing to compare");
}

/// Compares the gradients of inputs and parameters; inputs nearer to zero than `kink` are left out, where a
/// nonlinearity has no slope.
fn match_differences_beside(op: impl Op, kink: f32) {
    let gradients = found(&op, Fused::new(layout(), Gradients::On).unwrap()).unwrap();
    let gradient = |name: &str| &gradients.iter().find(|(known, _)| known == name).unwrap().1;
    let dims: Vec<Vec<usize>> = op.inputs().iter().map(Frame::dims).collect();
    let inputs: Vec<Tensor> =
        dims.iter().enumerate().map(|(index, dims)| drawn(dims, &format!("input {index}"))).collect();
    for (index, dims) in dims.iter().enumerate() {
        let numbers = inputs[index].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = differences(&numbers, |moved| {
            let mut inputs = inputs.clone();
            inputs[index] = Tensor::from_vec(moved, &dims[..], &DEVICE)?;
            weighted(&op, &inputs)
        });
        let name = format!("gradient of input {index}");
        near(&name, gradient(&name), &expected.unwrap(), |at| numbers[at].abs() < kink);
    }
    for parameter in op.parameters() {
        let (value, dims) = (parameter.value(), parameter.dims());
        let numbers = value.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = differences(&numbers, |moved| {
            parameter.set_value(&Tensor::from_vec(moved, &dims[..], &DEVICE)?)?;
            weighted(&op, &inputs)
        });
        parameter.set_value(&value).unwrap();
        let name = format!("gradient of {}", parameter.name());
        near(&name, gradient(&name), &expected.unwrap(), |_| false);
    }
}

fn match_differences(op: impl Op) {
    match_differences_beside(op, 0.0);
}

#[test]
fn projections_match() {
    for (stored, dims) in [
        (Stored::Rows { start: 0 }, [24, 6]),
        (Stored::Columns { start: 2 }, [6, 24]),
        (Stored::Heads { start: 2, stride: 6, size: 2 }, [24, 6]),
    ] {
        let adapter = Adapter { down: parameter("down", &[2, 6]), up: parameter("up", &[24, 2]), scale: 0.5 };
        match_differences(Project(Linear {
            weight: parameter("weight", &dims),
            bias: Some(parameter("bias", &[24])),
            stored,
            inputs: 6,
            outputs: 8,
            adapter: Some(adapter),
            panels: WeightPanels::default(),
        }));
    }
}

#[test]
fn norms_match_whole_and_in_steps() {
    for (kind, bias) in [(NormKind::Rms, false), (NormKind::Layer, true)] {
        for in_steps in [false, true] {
            let bias = bias.then(|| parameter("bias", &[6]));
            let norm = Norm { kind, weight: parameter("weight", &[6]), bias, offset: 1.0, epsilon: 1e-3 };
            match_differences(Normed(norm, in_steps));
        }
    }
}

#[test]
fn nonlinearities_match_plain_and_gated() {
    for activation in
        [Nonlinearity::Silu, Nonlinearity::Gelu, Nonlinearity::GeluTanh, Nonlinearity::QuickGelu]
    {
        match_differences(Activate(activation, false));
        match_differences(Activate(activation, true));
    }
    for activation in [Nonlinearity::Relu, Nonlinearity::ReluSquared] {
        match_differences_beside(Activate(activation, true), 3.0 * STEP);
    }
}

#[test]
fn rotations_and_embeddings_match() {
    match_differences(Rotate(Rotation::new(&[1.0, 0.3], 1.25, 8)));
    match_differences(Embed(parameter("table", &[7, 5])));
}

#[test]
fn attention_matches_with_shared_key_heads_windows_and_caps() {
    let plain = Shape { heads: 4, key_heads: 2, head_dim: 3, scale: 0.4, soft_cap: None, window: None };
    for shape in [plain, Shape { soft_cap: Some(1.5), window: Some(3), ..plain }] {
        match_differences(Attend { shape, in_steps: false });
        match_differences(Attend { shape, in_steps: true });
    }
}

#[test]
fn heads_and_changed_scales_match() {
    match_differences(ByHeads(per_head("weight", true)));
    for kind in [NormKind::Rms, NormKind::Layer] {
        match_differences(Divided(Norm {
            kind,
            weight: parameter("weight", &[4]),
            bias: None,
            offset: 0.0,
            epsilon: 1e-3,
        }));
    }
}

#[test]
fn log_probabilities_and_entropies_match() -> Result<()> {
    for soft_cap in [None, Some(2.0)] {
        let weight = parameter("head", &[11, 6]);
        let unembedding = Unembedding::new(weight.clone(), soft_cap);
        let (at, targets) = (vec![0, 3, 7, 3], vec![10, 0, 4, 5]);
        let hidden = drawn(&[2, 4, 6], "hidden");
        let (weights, of_entropies) = (drawn(&[4], "weights"), drawn(&[4], "weights of entropies"));
        let of = |hidden: &Tensor| -> Result<Tensor> {
            let found = token_log_probabilities(&unembedding, hidden, at.clone(), targets.clone())?;
            let parts = ((found.log_probabilities * &weights)? + (found.entropies * &of_entropies)?)?;
            Ok(parts.sum_all()?)
        };
        let value = |hidden: &Tensor| -> Result<f64> { Ok(f64::from(of(hidden)?.to_scalar::<f32>()?)) };
        let leaf = Var::from_tensor(&hidden)?;
        let gradients = of(leaf.as_tensor())?.backward()?;
        let expected = differences(&hidden.flatten_all()?.to_vec1()?, |moved| {
            value(&Tensor::from_vec(moved, (2, 4, 6), &DEVICE)?)
        })?;
        near("hidden", gradients.get(leaf.as_tensor()).unwrap(), &expected, |_| false);
        let (gradient, held) = (weight.gradient()?.unwrap(), weight.value());
        let expected = differences(&held.flatten_all()?.to_vec1()?, |moved| {
            weight.set_value(&Tensor::from_vec(moved, (11, 6), &DEVICE)?)?;
            value(&hidden)
        })?;
        weight.set_value(&held)?;
        near("head", &gradient, &expected, |_| false);
    }
    Ok(())
}
