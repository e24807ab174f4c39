//! Gradients by hand against candle's autograd, for every kind.

use super::super::spec::{Activation, Kind, Site, Spec};
use super::adam::Parameter;
use super::settings::{FitSettings, Sparsity};
use super::trainer::{Batch, State, Trainer};
use crate::rng::Stream;
use candle_core::{DType, Device, Tensor, Var};

const TOKENS: usize = 12;
const FEATURES: usize = 20;
const D: usize = 5;
/// What a transcoder writes is of another width.
const WRITTEN: usize = 7;
/// The cut of the step before.
const CUT: f32 = 0.2;
/// The rectangle around JumpReLU's threshold, and the slope of its tanh.
const BANDWIDTH: f64 = 0.05;
const TANH_SCALE: f64 = 4.0;

fn draw(stream: &mut Stream, count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|_| stream.normal() * scale).collect()
}

/// A trainer in a random state, with an input and a target.
fn case(settings: FitSettings, sites: usize) -> (Trainer, Vec<f32>, Vec<f32>) {
    let mut stream = Stream::new(3, "test.gradients", &[]);
    let names: Vec<Site> = (0..sites).map(|site| Site::of(site.to_string())).collect();
    let spec = Spec {
        d_out: if settings.kind.is_transcoder() { WRITTEN } else { D },
        ..Spec::reconstructing(settings.kind, Activation::Relu, names, D, FEATURES)
    };
    let (width_in, width, d) = (spec.input_width(), spec.output_width(), spec.d_out);
    let mut trainer = Trainer::new(settings, spec, State::default());
    let mut parameter = |count: usize, scale: f32| Parameter::new(draw(&mut stream, count, scale));
    let mut decoder = parameter(FEATURES * width, 0.4);
    if trainer.recipe().unit_decoder() {
        for row in decoder.value.chunks_mut(width) {
            let length = super::super::vectors::norm(row);
            row.iter_mut().for_each(|value| *value /= length);
        }
    }
    let rows = decoder.value.chunks_mut(width).zip(&trainer.roles);
    rows.for_each(|(row, role)| role.constrain(row, d));
    trainer.state = State {
        encoder: parameter(FEATURES * width_in, 0.4),
        encoder_bias: parameter(FEATURES, 0.1),
        decoder,
        decoder_bias: parameter(width, 0.1),
        skip: if trainer.settings.kind == Kind::SkipTranscoder {
            parameter(width * width_in, 0.3)
        } else {
            Parameter::default()
        },
        extras: trainer.recipe().extras().iter().map(|_| parameter(FEATURES, 0.3)).collect(),
        // Features 0 to 4 are dead: the auxiliary task is on.
        silent: (0..FEATURES as u32).map(|feature| if feature < 5 { 1 << 30 } else { 0 }).collect(),
        cuts: [CUT, CUT],
        ..State::default()
    };
    let (x, y) = (draw(&mut stream, TOKENS * width_in, 1.0), draw(&mut stream, TOKENS * width, 1.0));
    (trainer, x, y)
}

/// The loss as the methods define it, composed of candle operations.
struct Reference {
    encoder: Var,
    encoder_bias: Var,
    decoder: Var,
    decoder_bias: Var,
    skip: Option<Var>,
    extras: Vec<Var>,
}

fn var(values: &[f32], shape: &[usize]) -> Var {
    Var::from_tensor(&Tensor::from_vec(values.to_vec(), shape, &Device::Cpu).unwrap()).unwrap()
}

impl Reference {
    fn of(trainer: &Trainer) -> Self {
        let (state, spec) = (&trainer.state, &trainer.spec);
        let (width_in, width) = (spec.input_width(), spec.output_width());
        Self {
            encoder: var(&state.encoder.value, &[FEATURES, width_in]),
            encoder_bias: var(&state.encoder_bias.value, &[FEATURES]),
            decoder: var(&state.decoder.value, &[FEATURES, width]),
            decoder_bias: var(&state.decoder_bias.value, &[width]),
            skip: (!state.skip.value.is_empty()).then(|| var(&state.skip.value, &[width, width_in])),
            extras: state.extras.iter().map(|extra| var(&extra.value, &[FEATURES])).collect(),
        }
    }

    /// The sum of each feature's decoder norms, which designated shared features pay a part of.
    fn norms(&self, trainer: &Trainer) -> Tensor {
        let (sites, d) = (trainer.spec.outputs.len(), trainer.spec.d_out);
        let parts = self.decoder.as_tensor().reshape((FEATURES, sites, d)).unwrap();
        let norms = parts.sqr().unwrap().sum(2).unwrap().sqrt().unwrap().sum(1).unwrap();
        let shared = trainer.settings.shared_features;
        let part = |feature| if feature < shared { trainer.settings.shared_penalty as f32 } else { 1.0 };
        (norms * Tensor::from_iter((0..FEATURES).map(part), &Device::Cpu).unwrap()).unwrap()
    }

    fn loss(&self, trainer: &Trainer, x: &[f32], y: &[f32]) -> Tensor {
        let (spec, settings) = (&trainer.spec, &trainer.settings);
        let (sites, width) = (spec.outputs.len(), spec.output_width());
        let x = Tensor::from_slice(x, (TOKENS, spec.input_width()), &Device::Cpu).unwrap();
        let y = Tensor::from_slice(y, (TOKENS, width), &Device::Cpu).unwrap();
        let product = x.matmul(&self.encoder.as_tensor().t().unwrap()).unwrap();
        let pre = product.broadcast_add(&self.encoder_bias).unwrap();
        let positive = pre.relu().unwrap();
        let mask = |keep: &dyn Fn(usize, usize) -> bool| {
            let cells = (0..TOKENS * FEATURES).map(|cell| f32::from(keep(cell / FEATURES, cell % FEATURES)));
            Tensor::from_iter(cells, &Device::Cpu).unwrap().reshape((TOKENS, FEATURES)).unwrap()
        };
        let norms = self.norms(trainer);
        let score: Vec<Vec<f32>> = positive.broadcast_mul(&norms).unwrap().detach().to_vec2().unwrap();
        let values: Vec<Vec<f32>> = positive.detach().to_vec2().unwrap();
        let mean = |tensor: Tensor| (tensor.sum_all().unwrap() / TOKENS as f64).unwrap();
        let weights: Vec<f32> = (0..sites)
            .flat_map(|site| vec![settings.weights.get(site).copied().unwrap_or(1.0) as f32; spec.d_out])
            .collect();
        let weights = Tensor::from_vec(weights, width, &Device::Cpu).unwrap();
        let squared = |guess: &Tensor, target: &Tensor| {
            mean((guess - target).unwrap().sqr().unwrap().broadcast_mul(&weights).unwrap())
        };
        let decode = |f: &Tensor| {
            let guess =
                f.matmul(self.decoder.as_tensor()).unwrap().broadcast_add(&self.decoder_bias).unwrap();
            match &self.skip {
                Some(skip) => (guess + x.matmul(&skip.as_tensor().t().unwrap()).unwrap()).unwrap(),
                None => guess,
            }
        };
        let lambda = settings.penalty.unwrap_or(0.0);
        match settings.kind {
            Kind::Standard | Kind::Crosscoder => {
                let penalty = mean(positive.broadcast_mul(&norms).unwrap());
                (squared(&decode(&positive), &y) + (penalty * lambda).unwrap()).unwrap()
            }
            Kind::Gated => {
                let scale = self.extras[0].as_tensor().exp().unwrap();
                let magnitude =
                    product.broadcast_mul(&scale).unwrap().broadcast_add(&self.extras[1]).unwrap();
                let open = mask(&|token, feature| values[token][feature] > 0.0);
                let f = (magnitude.relu().unwrap() * open).unwrap();
                let frozen = positive
                    .matmul(&self.decoder.as_tensor().detach())
                    .unwrap()
                    .broadcast_add(&self.decoder_bias.as_tensor().detach())
                    .unwrap();
                let penalty = (mean(positive.clone()) * lambda).unwrap();
                (squared(&decode(&f), &y) + squared(&frozen, &y) + penalty).unwrap()
            }
            Kind::Jumprelu => {
                // Straight through: terms that are zero, and whose slope with the threshold is the rectangle's.
                let theta = self.extras[0].as_tensor().exp().unwrap();
                let values_of_theta: Vec<f32> = theta.detach().to_vec1().unwrap();
                let open = mask(&|token, feature| values[token][feature] > values_of_theta[feature]);
                let near = mask(&|token, feature| {
                    let gap = values[token][feature] - values_of_theta[feature];
                    f64::from(gap.abs()) < BANDWIDTH / 2.0
                });
                let moved = (&theta - theta.detach()).unwrap();
                let through = |height: &Tensor| {
                    let slopes = (near.broadcast_mul(&height.detach()).unwrap() / -BANDWIDTH).unwrap();
                    slopes.broadcast_mul(&moved).unwrap()
                };
                let kept = (&positive * &open).unwrap();
                let f = (&kept + through(&theta)).unwrap();
                let tanh = |cost: Tensor| (cost * TANH_SCALE).unwrap().tanh().unwrap();
                let price = match settings.sparsity {
                    Sparsity::L0 => (open + through(&theta.ones_like().unwrap())).unwrap(),
                    Sparsity::Tanh => {
                        let height = through(&tanh((&theta * &norms).unwrap()));
                        (tanh(kept.broadcast_mul(&norms).unwrap()) + height).unwrap()
                    }
                };
                (squared(&decode(&f), &y) + (mean(price) * lambda).unwrap()).unwrap()
            }
            kind => {
                let k = settings.k;
                let kept: Vec<(usize, usize)> = if kind == Kind::Topk {
                    (0..TOKENS)
                        .flat_map(|token| {
                            let mut order: Vec<usize> = (0..FEATURES).collect();
                            order.sort_by(|a, b| values[token][*b].total_cmp(&values[token][*a]));
                            order.into_iter().take(k).map(move |feature| (token, feature)).collect::<Vec<_>>()
                        })
                        .collect()
                } else {
                    let mut order: Vec<(usize, usize)> = (0..TOKENS)
                        .flat_map(|token| (0..FEATURES).map(move |feature| (token, feature)))
                        .collect();
                    order.sort_by(|a, b| score[b.0][b.1].total_cmp(&score[a.0][a.1]));
                    order.truncate(k * TOKENS);
                    order
                };
                let f = (&positive * mask(&|token, feature| kept.contains(&(token, feature)))).unwrap();
                let guess = decode(&f);
                let dead = mask(&|token, feature| feature < 5 && values[token][feature] > 0.0);
                let help = (&positive * dead).unwrap().matmul(self.decoder.as_tensor()).unwrap();
                let missed = (&y - guess.detach()).unwrap();
                let mut loss =
                    (squared(&guess, &y) + (squared(&help, &missed) * settings.auxiliary).unwrap()).unwrap();
                if kind != Kind::Topk {
                    let cost = (f.broadcast_mul(&norms).unwrap() / f64::from(CUT)).unwrap();
                    // A feature pays for every prefix that holds it.
                    let held = |feature| trainer.prefixes.iter().filter(|end| feature < **end).count() as f32;
                    let held = Tensor::from_iter((0..FEATURES).map(held), &Device::Cpu).unwrap();
                    let toll = mean((cost + 1.0).unwrap().log().unwrap().broadcast_mul(&held).unwrap());
                    loss = (loss + (toll * (lambda * width as f64 / k as f64)).unwrap()).unwrap();
                }
                if kind == Kind::Matryoshka {
                    for end in &settings.widths[..settings.widths.len() - 1] {
                        let part = (&f * mask(&|_, feature| feature < *end)).unwrap();
                        loss = (loss + squared(&decode(&part), &y)).unwrap();
                    }
                }
                loss
            }
        }
    }
}

fn sites(kind: Kind) -> usize {
    if kind.is_crosscoder() { 3 } else { 1 }
}

fn settings(kind: Kind) -> FitSettings {
    FitSettings {
        kind,
        features: FEATURES,
        k: 3,
        k_anneal: 0.0,
        warm_up: 0.0,
        penalty: Some(0.7),
        sparsity: Sparsity::L0,
        batch: TOKENS,
        dead_after: 1000,
        weights: if sites(kind) == 3 { vec![1.0, 0.5, 2.0] } else { Vec::new() },
        widths: if kind == Kind::Matryoshka { vec![4, 11, FEATURES] } else { Vec::new() },
        ..FitSettings::default()
    }
}

/// Every kind, and what settings change about the loss.
fn cases() -> Vec<FitSettings> {
    let designated = |kind| FitSettings {
        shared_features: 4,
        exclusive_features: 2,
        shared_penalty: 0.3,
        ..settings(kind)
    };
    let tanh = FitSettings { sparsity: Sparsity::Tanh, penalty: Some(0.5), ..settings(Kind::Jumprelu) };
    let more = [designated(Kind::Crosscoder), designated(Kind::BatchTopkCrosscoder), tanh];
    Kind::ALL.map(settings).into_iter().chain(more).collect()
}

#[test]
fn a_device_takes_the_same_steps() {
    for settings in cases() {
        let kind = settings.kind;
        let (mut here, x, y) = case(settings.clone(), sites(kind));
        let (mut away, ..) = case(settings, sites(kind));
        away.send(&Device::Cpu).unwrap();
        for step in 0..3 {
            let batch = Batch { inputs: &x, targets: &y };
            let (ours, theirs) = (here.step(&batch).unwrap(), away.step(&batch).unwrap());
            assert_eq!((ours.active, ours.dead), (theirs.active, theirs.dead), "{kind}, step {step}");
            for (ours, theirs) in ours.error.iter().zip(&theirs.error) {
                assert!((ours - theirs).abs() < 1e-4 * ours, "{kind}, step {step}: {ours} {theirs}");
            }
        }
        away.settle().unwrap();
        let (ours, theirs) = (&here.state, &away.state);
        assert_eq!((ours.step, &ours.silent), (theirs.step, &theirs.silent), "{kind}");
        let parameters = |state: &State| {
            let State { encoder, encoder_bias, decoder, decoder_bias, skip, extras, .. } = state.clone();
            [vec![encoder, encoder_bias, decoder, decoder_bias, skip], extras].concat()
        };
        for (index, (ours, theirs)) in parameters(ours).into_iter().zip(parameters(theirs)).enumerate() {
            let largest = ours.first.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            for (ours, theirs) in ours.first.iter().zip(&theirs.first) {
                assert!((ours - theirs).abs() <= 1e-4 * largest, "{kind}, {index}: {ours} {theirs}");
            }
            for (ours, theirs) in ours.value.iter().zip(&theirs.value) {
                assert!((ours - theirs).abs() < 1e-3, "{kind}, {index}: {ours} {theirs}");
            }
        }
    }
}

#[test]
fn gradients_equal_autograd() {
    for settings in cases() {
        let (kind, sites) = (settings.kind, sites(settings.kind));
        let (mut trainer, x, y) = case(settings, sites);
        let reference = Reference::of(&trainer);
        let gradients = reference.loss(&trainer, &x, &y).backward().unwrap();
        let unit = trainer.recipe().unit_decoder();
        let decoder = trainer.state.decoder.value.clone();
        trainer.step(&Batch { inputs: &x, targets: &y }).unwrap();
        let mut pairs = vec![
            ("encoder", &reference.encoder, &trainer.state.encoder),
            ("encoder bias", &reference.encoder_bias, &trainer.state.encoder_bias),
            ("decoder", &reference.decoder, &trainer.state.decoder),
            ("decoder bias", &reference.decoder_bias, &trainer.state.decoder_bias),
        ];
        if kind == Kind::Gated {
            pairs.push(("scale", &reference.extras[0], &trainer.state.extras[0]));
            pairs.push(("magnitude bias", &reference.extras[1], &trainer.state.extras[1]));
        }
        if kind == Kind::Jumprelu {
            pairs.push(("threshold", &reference.extras[0], &trainer.state.extras[0]));
        }
        if let Some(skip) = &reference.skip {
            pairs.push(("skip", skip, &trainer.state.skip));
        }
        for (name, variable, parameter) in pairs {
            let gradient = gradients.get(variable).unwrap().to_dtype(DType::F32).unwrap();
            let mut expected: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
            let (width, d) = (trainer.spec.output_width(), trainer.spec.d_out);
            if name == "decoder" {
                // One decoder for all variants, or none for the others: the slope within what the role allows.
                let rows = expected.chunks_mut(width).zip(&trainer.roles);
                rows.for_each(|(row, role)| role.constrain(row, d));
            }
            if unit && name == "decoder" {
                for (row, unit) in expected.chunks_mut(width).zip(decoder.chunks(width)) {
                    let along: f32 = row.iter().zip(unit).map(|(a, b)| a * b).sum();
                    row.iter_mut().zip(unit).for_each(|(value, unit)| *value -= along * unit);
                }
            }
            let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            assert!(largest > 1e-3, "{kind}: the {name} has no gradient to compare");
            for (found, expected) in parameter.first.iter().map(|first| first / 0.1).zip(&expected) {
                assert!(
                    (found - expected).abs() < 2e-5 * (1.0 + largest),
                    "{kind}, {name}: {found} {expected}"
                );
            }
        }
    }
}
