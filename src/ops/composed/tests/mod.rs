//! Every fused kernel against its composed form: values, gradients of inputs, gradients of weights.

mod differences;

use super::Composed;
use crate::error::Result;
use crate::ops::Nonlinearity;
use crate::ops::attention::Shape;
use crate::ops::fused::Fused;
use crate::ops::kernels::{Attended, Kernels};
use crate::ops::layout::{Frame, Layout};
use crate::ops::likelihood::{Unembedding, token_log_probabilities};
use crate::ops::linear::{Adapter, Linear, Stored};
use crate::ops::matmul::WeightPanels;
use crate::ops::norm::{Norm, NormKind};
use crate::ops::parameter::Parameter;
use crate::ops::rope::Rotation;
use crate::ops::tape::Gradients;
use crate::rng::Stream;
use candle_core::{DType, Device, Tensor, Var};

const DEVICE: Device = Device::Cpu;

fn drawn(dims: &[usize], purpose: &str) -> Tensor {
    let mut stream = Stream::new(7, purpose, &[]);
    let numbers: Vec<f32> = (0..dims.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_vec(numbers, dims, &DEVICE).unwrap()
}

fn parameter(name: &str, dims: &[usize]) -> Parameter {
    Parameter::new(name, &drawn(dims, name)).unwrap()
}

/// Three rows of different lengths.
fn layout() -> Layout {
    Layout::new(vec![0; 3], vec![5, 1, 4], 5)
}

fn tokens(width: usize) -> Frame {
    Frame::Tokens { layout: layout(), shape: vec![width] }
}

/// One op: takes inputs, which are as wide as they say, to an output and its frame.
trait Op {
    fn inputs(&self) -> Vec<Frame>;
    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)>;
    fn parameters(&self) -> Vec<Parameter>;
}

/// The output, then the gradient of every input and parameter, of a weighted sum of the output.
fn found<K: Kernels>(op: &impl Op, mut kernels: K) -> Result<Vec<(String, Tensor)>> {
    op.parameters().iter().for_each(Parameter::zero_gradient);
    let (mut leaves, mut inputs) = (Vec::new(), Vec::new());
    for (index, frame) in op.inputs().iter().enumerate() {
        let leaf = Var::from_tensor(&drawn(&frame.dims(), &format!("input {index}")))?;
        inputs.push(kernels.import(leaf.as_tensor(), frame)?);
        leaves.push(leaf);
    }
    let (output, frame) = op.run(&kernels, &inputs)?;
    let output = kernels.export(&output, &frame)?;
    // −∞ outside of a mask has no part in the sum.
    let finite = output.detach().gt(-1e30)?.to_dtype(DType::F32)?;
    let zeros = output.zeros_like()?;
    let counted = finite.gt(0.5)?.where_cond(&output, &zeros)?;
    let gradients = (counted * drawn(&frame.dims(), "weights"))?.sum_all()?.backward()?;
    let mut all = vec![("output".to_owned(), finite.gt(0.5)?.where_cond(&output.detach(), &zeros)?)];
    for (index, leaf) in leaves.iter().enumerate() {
        let gradient = gradients.get(leaf.as_tensor()).expect("every input gets a gradient");
        all.push((format!("gradient of input {index}"), gradient.clone()));
    }
    for parameter in op.parameters() {
        let gradient = parameter.gradient()?.expect("every parameter gets a gradient");
        all.push((format!("gradient of {}", parameter.name()), gradient));
    }
    Ok(all)
}

fn agree(op: impl Op) {
    let fused = found(&op, Fused::new(layout(), Gradients::On).unwrap()).unwrap();
    let composed = found(&op, Composed::new(layout(), &DEVICE, DType::F32, Gradients::On).unwrap()).unwrap();
    assert_eq!(fused.len(), composed.len());
    for ((name, fused), (_, composed)) in fused.iter().zip(&composed) {
        assert_eq!(fused.dims(), composed.dims(), "{name}");
        close(name, fused, composed);
    }
}

fn close(name: &str, left: &Tensor, right: &Tensor) {
    let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (left, right) = (numbers(left), numbers(right));
    assert!(left.iter().any(|number| *number != 0.0), "{name} is all zero: the check would be empty");
    for (index, (left, right)) in left.iter().zip(&right).enumerate() {
        assert!((left - right).abs() <= 2e-5 * (1.0 + left.abs()), "{name} at {index}: {left} and {right}");
    }
}

struct Project(Linear);

impl Op for Project {
    fn inputs(&self) -> Vec<Frame> {
        vec![tokens(self.0.inputs)]
    }

    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)> {
        Ok((kernels.linear(&self.0, &inputs[0])?, tokens(self.0.outputs)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        let adapter = self.0.adapter.iter().flat_map(|adapter| [adapter.down.clone(), adapter.up.clone()]);
        [self.0.weight.clone()].into_iter().chain(self.0.bias.clone()).chain(adapter).collect()
    }
}

#[test]
fn projections_agree_however_they_are_stored() {
    let (inputs, outputs) = (6, 8);
    for (stored, dims, total) in [
        (Stored::Rows { start: 0 }, [outputs, inputs], outputs),
        (Stored::Rows { start: 3 }, [13, inputs], 13),
        (Stored::Columns { start: 2 }, [inputs, 11], 11),
        (Stored::Heads { start: 2, stride: 6, size: 2 }, [24, inputs], 24),
    ] {
        for adapted in [false, true] {
            let adapter = Adapter {
                down: parameter("down", &[2, inputs]),
                up: parameter("up", &[total, 2]),
                scale: 0.5,
            };
            agree(Project(Linear {
                weight: parameter("weight", &dims),
                bias: Some(parameter("bias", &[total])),
                stored,
                inputs,
                outputs,
                adapter: adapted.then_some(adapter),
                panels: WeightPanels::default(),
            }));
        }
    }
}

struct Normed(Norm, bool);

impl Op for Normed {
    fn inputs(&self) -> Vec<Frame> {
        vec![tokens(12)]
    }

    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)> {
        let Self(norm, in_steps) = self;
        let y = match in_steps {
            true => kernels.rescale(norm, &kernels.normalise(norm, &inputs[0])?)?,
            false => kernels.norm(norm, &inputs[0])?,
        };
        Ok((y, tokens(12)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        [self.0.weight.clone()].into_iter().chain(self.0.bias.clone()).collect()
    }
}

#[test]
fn norms_agree_over_tokens_and_heads_at_once_and_in_steps() {
    for (kind, bias) in [(NormKind::Rms, false), (NormKind::Layer, true)] {
        for group in [12, 4] {
            for in_steps in [false, true] {
                let bias = bias.then(|| parameter("bias", &[group]));
                let weight = parameter("weight", &[group]);
                agree(Normed(Norm { kind, weight, bias, offset: 1.0, epsilon: 1e-3 }, in_steps));
            }
        }
    }
}

/// A norm that divides by the scale of another stream.
struct Divided(Norm);

impl Op for Divided {
    fn inputs(&self) -> Vec<Frame> {
        vec![tokens(12), tokens(12)]
    }

    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)> {
        let normalised = kernels.normalise(&self.0, &inputs[0])?;
        let scales = kernels.norm_scales(&self.0, &inputs[0])?;
        let others = kernels.norm_scales(&self.0, &inputs[1])?;
        let divided = kernels.divide_instead(&normalised, &scales, &others)?;
        Ok((kernels.rescale(&self.0, &divided)?, tokens(12)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![self.0.weight.clone()]
    }
}

#[test]
fn norms_with_changed_scales_agree() {
    for kind in [NormKind::Rms, NormKind::Layer] {
        for group in [12, 4] {
            let weight = parameter("weight", &[group]);
            agree(Divided(Norm { kind, weight, bias: None, offset: 0.0, epsilon: 1e-3 }));
        }
    }
}

/// What repeats a token for every head, and what reads each copy.
struct ByHeads(Linear);

fn per_head(name: &str, adapted: bool) -> Linear {
    let adapter = Adapter { down: parameter("down", &[2, 5]), up: parameter("up", &[6, 2]), scale: 0.5 };
    Linear {
        weight: parameter(name, &[6, 5]),
        bias: None,
        stored: Stored::Rows { start: 0 },
        inputs: 5,
        outputs: 6,
        adapter: adapted.then_some(adapter),
        panels: WeightPanels::default(),
    }
}

impl Op for ByHeads {
    fn inputs(&self) -> Vec<Frame> {
        vec![tokens(5), tokens(15)]
    }

    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)> {
        let copies = kernels.add(kernels.repeat_heads(&inputs[0], 3)?, &inputs[1])?;
        Ok((kernels.project_heads(&self.0, &copies, 3)?, tokens(6)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        let adapter = self.0.adapter.iter().flat_map(|adapter| [adapter.down.clone(), adapter.up.clone()]);
        [self.0.weight.clone()].into_iter().chain(adapter).collect()
    }
}

#[test]
fn projections_of_an_input_for_every_head_agree() {
    agree(ByHeads(per_head("weight", false)));
    agree(ByHeads(per_head("weight", true)));
}

struct Activate(Nonlinearity, bool);

impl Op for Activate {
    fn inputs(&self) -> Vec<Frame> {
        vec![tokens(7); if self.1 { 2 } else { 1 }]
    }

    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)> {
        Ok((kernels.activate(self.0, &inputs[0], inputs.get(1))?, tokens(7)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }
}

#[test]
fn nonlinearities_agree_plain_and_gated() {
    for activation in [
        Nonlinearity::Silu,
        Nonlinearity::Gelu,
        Nonlinearity::GeluTanh,
        Nonlinearity::QuickGelu,
        Nonlinearity::Relu,
        Nonlinearity::ReluSquared,
    ] {
        agree(Activate(activation, false));
        agree(Activate(activation, true));
    }
}

#[test]
fn a_rectifier_has_no_slope_at_zero() -> Result<()> {
    for activation in [Nonlinearity::Relu, Nonlinearity::ReluSquared] {
        let leaf = Var::new(&[[0f32, -1.0, 2.0]], &DEVICE)?;
        let gradients = super::activation::forward(activation, leaf.as_tensor())?.sum_all()?.backward()?;
        let slopes = gradients.get(leaf.as_tensor()).unwrap().flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(slopes[..2], [0.0, 0.0], "{activation:?}");
    }
    Ok(())
}

struct Rotate(Rotation);

impl Op for Rotate {
    fn inputs(&self) -> Vec<Frame> {
        vec![tokens(12)]
    }

    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)> {
        Ok((kernels.rotate(&self.0, inputs[0].clone(), 6)?, tokens(12)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }
}

#[test]
fn rotations_agree_whole_and_partial() {
    agree(Rotate(Rotation::new(&[1.0, 0.3, 0.1], 1.0, 8)));
    agree(Rotate(Rotation::new(&[1.0, 0.3], 1.25, 8)));
}

/// Scale, addition and lookup: what stands at the bottom of a decoder.
struct Embed(Parameter);

impl Op for Embed {
    fn inputs(&self) -> Vec<Frame> {
        vec![tokens(5)]
    }

    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)> {
        let ids = (0..layout().tokens()).map(|token| token * 2 % 7).collect();
        let looked_up = kernels.lookup(&self.0, ids)?;
        Ok((kernels.add(kernels.scale(looked_up, 1.5)?, &inputs[0])?, tokens(5)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![self.0.clone()]
    }
}

#[test]
fn embeddings_agree() {
    agree(Embed(parameter("table", &[7, 5])));
}

struct Attend {
    shape: Shape,
    in_steps: bool,
}

impl Op for Attend {
    fn inputs(&self) -> Vec<Frame> {
        let Shape { heads, key_heads, head_dim, .. } = self.shape;
        vec![tokens(heads * head_dim), tokens(key_heads * head_dim), tokens(key_heads * head_dim)]
    }

    fn run<K: Kernels>(&self, kernels: &K, inputs: &[K::Value]) -> Result<(K::Value, Frame)> {
        let shape = self.shape;
        let mut memory = kernels.memory(shape.key_heads * shape.head_dim);
        kernels.remember(&mut memory, &inputs[1], &inputs[2])?;
        let now = Attended { queries: &inputs[0], keys: &inputs[1], values: &inputs[2], memory: &memory };
        let mixed = match self.in_steps {
            true => kernels.mix(shape, &kernels.softmax(&kernels.scores(shape, now)?)?, now)?,
            false => kernels.attend(shape, now)?,
        };
        Ok((mixed, tokens(shape.heads * shape.head_dim)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }
}

#[test]
fn attention_agrees_with_shared_key_heads_windows_and_caps() {
    let plain = Shape { heads: 4, key_heads: 2, head_dim: 3, scale: 0.4, soft_cap: None, window: None };
    for shape in [
        plain,
        Shape { key_heads: 1, ..plain },
        Shape { key_heads: 4, window: Some(2), ..plain },
        Shape { soft_cap: Some(1.5), window: Some(3), ..plain },
    ] {
        agree(Attend { shape, in_steps: false });
        agree(Attend { shape, in_steps: true });
    }
}

#[test]
fn log_probabilities_agree_with_and_without_a_cap() -> Result<()> {
    for soft_cap in [None, Some(2.0)] {
        let weight = parameter("head", &[11, 6]);
        let unembedding = Unembedding::new(weight.clone(), soft_cap);
        let (at, targets) = (vec![0, 3, 7, 3], vec![10, 0, 4, 5]);
        let run = |composed: bool| -> Result<Vec<Tensor>> {
            weight.zero_gradient();
            let hidden = Var::from_tensor(&drawn(&[2, 4, 6], "hidden"))?;
            let (at, targets) = (at.clone(), targets.clone());
            let found = match composed {
                false => token_log_probabilities(&unembedding, hidden.as_tensor(), at, targets)?,
                true => {
                    super::token_log_probabilities(&unembedding, hidden.as_tensor(), at, targets, DType::F32)?
                }
            };
            let loss = (&found.log_probabilities * drawn(&[4], "weights"))?.sum_all()?;
            let spread = (&found.entropies * drawn(&[4], "what entropy is worth"))?.sum_all()?;
            let gradients = (loss + spread)?.backward()?;
            Ok(vec![
                found.log_probabilities.detach(),
                found.entropies.detach(),
                gradients.get(hidden.as_tensor()).unwrap().clone(),
                weight.gradient()?.unwrap(),
            ])
        };
        for (index, (fused, composed)) in run(false)?.iter().zip(&run(true)?).enumerate() {
            close(&format!("log-probabilities {index}"), fused, composed);
        }
    }
    Ok(())
}

#[test]
fn a_long_list_of_log_probabilities_is_that_of_its_chunks() -> Result<()> {
    let weight = parameter("head", &[3, 2]);
    let unembedding = Unembedding::new(weight.clone(), None);
    let hidden = Var::from_tensor(&drawn(&[1, 700, 2], "hidden"))?;
    let targets: Vec<u32> = (0..700).map(|token| token % 3).collect();
    let run = |range: std::ops::Range<usize>| -> Result<(Vec<f32>, Tensor)> {
        weight.zero_gradient();
        let targets = targets[range.clone()].to_vec();
        let found = super::token_log_probabilities(
            &unembedding,
            hidden.as_tensor(),
            range.collect(),
            targets,
            DType::F32,
        )?;
        found.log_probabilities.sum_all()?.backward()?;
        Ok((found.log_probabilities.to_vec1()?, weight.gradient()?.unwrap()))
    };
    let (all, of_all) = run(0..700)?;
    let (first, of_first) = run(0..300)?;
    let (second, of_second) = run(300..700)?;
    assert_eq!(all, [first, second].concat());
    close("gradient", &of_all, &(of_first + of_second)?);
    Ok(())
}
