//! The heavy arithmetic of a step in tensor operations, for any device: what [`super::trainer`] does on flat buffers.
//!
//! Encoder and decoder, with their moments, stay on the device. Features are chosen on the host, by the recipes that
//! choose there for the CPU: the device says which products are above their bounds, one byte each, and hands over
//! those. Decoder rows are gathered for the entries of each token; their slopes are scattered into
//! [tokens, features], whose products with inputs and residuals are the gradients.

use super::super::kinds::{Candidate, Chosen, Entry, Recipe, Side, Slopes, View};
use super::super::spec::Spec;
use super::adam::{Adam, BETA_1, BETA_2, EPSILON, Parameter};
use super::roles::Role;
use super::scan::{Burial, Dead, bury};
use super::trainer::{State, Use};
use crate::error::{Error, Result};
use candle_core::{D, DType, Device, Tensor};

/// Numbers of the largest tensor that a step makes at once: more tokens go in turns.
const NUMBERS: usize = 1 << 28;

/// Encoder and decoder of a fit, away from the host.
pub(super) struct OnDevice {
    device: Device,
    encoder: Moved,
    decoder: Moved,
}

/// A parameter [features, width] with its moments.
struct Moved {
    value: Tensor,
    first: Tensor,
    second: Tensor,
}

/// What a step's reconstruction depends on, beside the entries.
pub(super) struct Task<'a> {
    pub(super) spec: &'a Spec,
    /// [tokens, input width] and [tokens, output width].
    pub(super) inputs: &'a Tensor,
    pub(super) targets: &'a Tensor,
    pub(super) decoder_bias: &'a [f32],
    /// [output width, input width], or empty.
    pub(super) skip: &'a [f32],
    /// Where each prefix ends.
    pub(super) prefixes: &'a [usize],
    pub(super) side: Option<Side>,
    /// What a residual of each output counts, and that of the auxiliary task in relation.
    pub(super) site_weights: &'a [f32],
    pub(super) auxiliary: f32,
}

/// What reconstructing gave.
pub(super) struct Reconstructed {
    /// The slope of the loss with each entry's activation, token by token.
    pub(super) slopes: Vec<Vec<f32>>,
    /// Squared error per token and output.
    pub(super) errors: Vec<Vec<f32>>,
    /// The slope of the loss with each reconstruction, [tokens, planes, output width].
    pub(super) gradients: Tensor,
}

/// What the decoder's gradient takes beside the entries.
pub(super) struct Constraints<'a> {
    /// The width of one output's decoder.
    pub(super) d: usize,
    pub(super) roles: &'a [Role],
    /// Per feature: what pulls at the norm of each output's decoder.
    pub(super) pulls: &'a [f32],
    /// Whether rows are held at norm 1.
    pub(super) unit: bool,
    /// Whether entries of the side task leave the decoder alone.
    pub(super) frozen_side: bool,
}

impl Moved {
    fn new(parameter: &Parameter, features: usize, device: &Device) -> Result<Self> {
        let tensor = |numbers: &[f32]| -> Result<Tensor> {
            Ok(Tensor::from_slice(numbers, (features, numbers.len() / features), device)?)
        };
        Ok(Self {
            value: tensor(&parameter.value)?,
            first: tensor(&parameter.first)?,
            second: tensor(&parameter.second)?,
        })
    }

    fn back(&self) -> Result<Parameter> {
        let numbers = |tensor: &Tensor| -> Result<Vec<f32>> { Ok(tensor.flatten_all()?.to_vec1()?) };
        Ok(Parameter {
            value: numbers(&self.value)?,
            first: numbers(&self.first)?,
            second: numbers(&self.second)?,
        })
    }

    /// Dense Adam, as [`Adam::update`].
    fn update(&mut self, adam: &Adam, gradient: &Tensor) -> Result<()> {
        let [beta_1, beta_2] = [BETA_1, BETA_2].map(f64::from);
        self.first = ((&self.first * beta_1)? + (gradient * (1.0 - beta_1))?)?;
        self.second = ((&self.second * beta_2)? + (gradient.sqr()? * (1.0 - beta_2))?)?;
        let spread = ((&self.second * f64::from(adam.second_correction))?.sqrt()? + f64::from(EPSILON))?;
        self.value = (&self.value - (self.first.div(&spread)? * f64::from(adam.rate))?)?;
        Ok(())
    }
}

impl OnDevice {
    pub(super) fn new(state: &State, features: usize, device: &Device) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            encoder: Moved::new(&state.encoder, features, device)?,
            decoder: Moved::new(&state.decoder, features, device)?,
        })
    }

    /// Where it is.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Brings the parameters and their moments to the host.
    pub(super) fn bring_back(&self, state: &mut State) -> Result<()> {
        state.encoder = self.encoder.back()?;
        state.decoder = self.decoder.back()?;
        Ok(())
    }

    /// Rows of a step, [tokens, width].
    pub(super) fn rows(&self, numbers: &[f32], width: usize) -> Result<Tensor> {
        Ok(Tensor::from_slice(numbers, (numbers.len() / width, width), &self.device)?)
    }

    /// Per feature, the norms of its decoders added up.
    pub(super) fn decoder_norms(&self, d: usize) -> Result<Vec<f32>> {
        Ok(norms(&self.decoder.value, d)?.sum((1, 2))?.to_vec1()?)
    }

    /// Encodes `inputs` and lets the recipe choose. See [`super::scan::choose`].
    pub(super) fn choose(
        &self,
        recipe: &dyn Recipe,
        view: &View<'_>,
        inputs: &Tensor,
        burial: &Burial<'_>,
    ) -> Result<(Chosen, Vec<Dead>)> {
        let (tokens, features) = (inputs.dim(0)?, view.bias.len());
        for patient in [view.last_cut <= 0.0, true] {
            let bounds = Tensor::from_vec(recipe.bounds(view, patient), (1, features), &self.device)?;
            let (mut rows, mut dead) = (Vec::with_capacity(tokens), Vec::with_capacity(tokens));
            for (first, count) in turns(tokens, features) {
                let products = inputs.narrow(0, first, count)?.matmul(&self.encoder.value.t()?)?;
                let above: Vec<u8> = products.broadcast_gt(&bounds)?.flatten_all()?.to_vec1()?;
                let above = above.iter().enumerate().filter(|(_, above)| **above != 0);
                let places: Vec<u32> = above.map(|(place, _)| place as u32).collect();
                let found = picked(&products.flatten_all()?, &places)?;
                let mut block = vec![Vec::new(); count];
                for (place, product) in places.into_iter().map(|place| place as usize).zip(found) {
                    block[place / features].push(Candidate { feature: (place % features) as u32, product });
                }
                rows.extend(block);
                dead.extend(self.buried(&products, view.bias, burial)?);
            }
            if let Some(chosen) = recipe.choose(view, rows, patient) {
                return Ok((chosen, dead));
            }
        }
        Err(Error::work("a recipe did not choose from patient bounds"))
    }

    /// Per token of a block, the dead features that would fire most strongly.
    fn buried(&self, products: &Tensor, bias: &[f32], burial: &Burial<'_>) -> Result<Vec<Dead>> {
        let count = burial.dead.len();
        if count == 0 {
            return Ok(vec![Vec::new(); products.dim(0)?]);
        }
        let dead = Tensor::from_slice(burial.dead, count, &self.device)?;
        let products: Vec<f32> = products.index_select(&dead, 1)?.flatten_all()?.to_vec1()?;
        let of_token = |products: &[f32]| {
            let pre = burial.dead.iter().zip(products);
            bury(pre.map(|(feature, product)| (*feature, product + bias[*feature as usize])), burial.keep)
        };
        Ok(products.chunks_exact(count).map(of_token).collect())
    }

    /// Reconstructs every token from its entries, which are grouped by plane: prefixes, then the side task.
    pub(super) fn reconstruct(
        &self,
        task: &Task<'_>,
        rows: &[Vec<Entry>],
        plane: impl Fn(&Entry) -> usize,
    ) -> Result<Reconstructed> {
        let (prefixes, width) = (task.prefixes.len(), task.spec.output_width());
        let planes = prefixes + usize::from(task.side.is_some());
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let (mut slopes, mut errors, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
        for (first, count) in turns(rows.len(), longest * width) {
            let block = &rows[first..first + count];
            let mut features = vec![0u32; count * longest];
            let mut values = vec![0f32; count * planes * longest];
            for (token, row) in block.iter().enumerate() {
                for (place, entry) in row.iter().enumerate() {
                    features[token * longest + place] = entry.feature;
                    values[(token * planes + plane(entry)) * longest + place] = entry.value;
                }
            }
            let features = Tensor::from_vec(features, count * longest, &self.device)?;
            let values = Tensor::from_vec(values, (count, planes, longest), &self.device)?;
            let gathered = self.decoder.value.index_select(&features, 0)?.reshape((count, longest, width))?;
            let sums = values.matmul(&gathered)?;
            let helped = block.iter().map(|row| f32::from(row.iter().any(|entry| entry.side)));
            let helped = Tensor::from_iter(helped, &self.device)?.unsqueeze(1)?;
            let (residuals, squares) = self.residuals(task, &sums, &helped, first, count)?;
            errors.extend(squares);
            let residuals = Tensor::stack(&residuals, 1)?;
            let found = gathered.matmul(&residuals.transpose(1, 2)?)?.to_vec3::<f32>()?;
            for (row, found) in block.iter().zip(found) {
                slopes.push(row.iter().zip(&found).map(|(entry, slopes)| slopes[plane(entry)]).collect());
            }
            gradients.push(residuals);
        }
        Ok(Reconstructed { slopes, errors, gradients: Tensor::cat(&gradients, 0)? })
    }

    /// The slopes of the loss at each plane's reconstruction, from the planes' sums of features; and the squared
    /// errors of the last prefix.
    fn residuals(
        &self,
        task: &Task<'_>,
        sums: &Tensor,
        helped: &Tensor,
        first: usize,
        count: usize,
    ) -> Result<(Vec<Tensor>, Vec<Vec<f32>>)> {
        let (prefixes, width, d) = (task.prefixes.len(), task.spec.output_width(), task.spec.d_out);
        let target = task.targets.narrow(0, first, count)?;
        let bias = Tensor::from_slice(task.decoder_bias, (1, width), &self.device)?;
        let mut guess = bias.broadcast_as((count, width))?;
        if !task.skip.is_empty() {
            let skip = self.rows(task.skip, task.spec.input_width())?;
            guess = (guess + task.inputs.narrow(0, first, count)?.matmul(&skip.t()?)?)?;
        }
        let sum = |plane: usize| sums.narrow(1, plane, 1)?.squeeze(1);
        let mut residuals = Vec::with_capacity(prefixes + 1);
        for plane in 0..prefixes {
            guess = (guess + sum(plane)?)?;
            residuals.push((&guess - &target)?);
        }
        let last = (&guess - &target)?;
        let squares = last.sqr()?.reshape((count, task.spec.outputs.len(), d))?.sum(D::Minus1)?.to_vec2()?;
        // A residual counts 2 w_v / N; that of the auxiliary task 1/32 of it.
        let tokens = task.targets.dim(0)?;
        let factor = |weight: &f32| std::iter::repeat_n(2.0 * weight / tokens as f32, d);
        let factors: Vec<f32> = task.site_weights.iter().flat_map(factor).collect();
        let factors = Tensor::from_vec(factors, (1, width), &self.device)?;
        for residual in &mut residuals {
            *residual = residual.broadcast_mul(&factors)?;
        }
        for plane in (1..prefixes).rev() {
            residuals[plane - 1] = (&residuals[plane - 1] + &residuals[plane])?;
        }
        match task.side {
            Some(Side::Residual) => {
                let missed = (last + sum(prefixes)?)?.broadcast_mul(helped)?.broadcast_mul(&factors)?;
                residuals.push((missed * f64::from(task.auxiliary))?);
            }
            Some(Side::Gate) => {
                let seen = (bias.broadcast_sub(&target)? + sum(prefixes)?)?;
                residuals.push(seen.broadcast_mul(&factors)?);
            }
            None => {}
        }
        Ok((residuals, squares))
    }

    /// Updates encoder and decoder rows by the entries of the batch and their slopes.
    pub(super) fn update(
        &mut self,
        adam: &Adam,
        inputs: &Tensor,
        gradients: &Tensor,
        (uses, slopes): (&[Use], &[Slopes]),
        constraints: &Constraints<'_>,
    ) -> Result<()> {
        let (tokens, planes, _) = gradients.dims3()?;
        let features = constraints.roles.len();
        let scattered = Scattered::new((uses, slopes), tokens, planes, constraints.frozen_side);
        let (mut encoder, mut decoder) = (self.encoder.value.zeros_like()?, self.decoder.value.zeros_like()?);
        for (first, count) in turns(tokens, features) {
            let part = |values: &[f32]| scattered.dense(values, first..first + count, features, &self.device);
            let inputs = inputs.narrow(0, first, count)?;
            encoder = (encoder + part(&scattered.products)?.t()?.matmul(&inputs)?)?;
            for (plane, values) in scattered.values.iter().enumerate() {
                let gradients = gradients.narrow(0, first, count)?.narrow(1, plane, 1)?.squeeze(1)?;
                decoder = (decoder + part(values)?.t()?.matmul(&gradients.contiguous()?)?)?;
            }
        }
        self.encoder.update(adam, &encoder)?;
        self.update_decoder(adam, decoder, constraints)
    }

    fn update_decoder(
        &mut self,
        adam: &Adam,
        mut gradient: Tensor,
        constraints: &Constraints<'_>,
    ) -> Result<()> {
        let (features, width) = gradient.dims2()?;
        let shape = (features, width / constraints.d, constraints.d);
        if constraints.pulls.iter().any(|pull| *pull != 0.0) {
            let pulls = Tensor::from_slice(constraints.pulls, (features, 1, 1), &self.device)?;
            let lengths = norms(&self.decoder.value, constraints.d)?.maximum(f64::from(f32::MIN_POSITIVE))?;
            let pulled = self.decoder.value.reshape(shape)?.broadcast_mul(&pulls)?.broadcast_div(&lengths)?;
            gradient = (gradient + pulled.reshape((features, width))?)?;
        }
        let roles = Roles::new(constraints.roles, shape.1, &self.device)?;
        gradient = roles.constrain(gradient, constraints.d)?;
        if constraints.unit {
            let along = (&gradient * &self.decoder.value)?.sum_keepdim(1)?;
            gradient = (gradient - self.decoder.value.broadcast_mul(&along)?)?;
        }
        self.decoder.update(adam, &gradient)?;
        let mut value = roles.constrain(self.decoder.value.clone(), constraints.d)?;
        if constraints.unit {
            let length = value.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(f64::from(f32::MIN_POSITIVE))?;
            value = value.broadcast_div(&length)?;
        }
        self.decoder.value = value;
        Ok(())
    }
}

/// What roles leave of decoder rows.
struct Roles {
    /// [features, outputs, 1]: 0 where a feature may not write.
    kept: Tensor,
    /// [features, 1, 1]: 1 for one decoder for all outputs.
    shared: Tensor,
    all_free: bool,
}

impl Roles {
    fn new(roles: &[Role], sites: usize, device: &Device) -> Result<Self> {
        let may = |role: &Role, site: usize| !matches!(role, Role::Only(own) if *own != site);
        let kept = roles.iter().flat_map(|role| (0..sites).map(move |site| f32::from(may(role, site))));
        let shared = roles.iter().map(|role| f32::from(*role == Role::Shared));
        Ok(Self {
            kept: Tensor::from_iter(kept, device)?.reshape((roles.len(), sites, 1))?,
            shared: Tensor::from_iter(shared, device)?.reshape((roles.len(), 1, 1))?,
            all_free: roles.iter().all(|role| *role == Role::Free),
        })
    }

    /// As [`Role::constrain`], for all rows.
    fn constrain(&self, rows: Tensor, d: usize) -> Result<Tensor> {
        if self.all_free {
            return Ok(rows);
        }
        let shape = rows.dims2()?;
        let parts = rows.reshape((shape.0, shape.1 / d, d))?.broadcast_mul(&self.kept)?;
        let common = parts.mean_keepdim(1)?.broadcast_sub(&parts)?.broadcast_mul(&self.shared)?;
        Ok((parts + common)?.reshape(shape)?)
    }
}

/// The entries of a batch as rows of equal length, [tokens, longest]; what is not an entry is 0 of feature 0.
struct Scattered {
    longest: usize,
    features: Vec<u32>,
    /// The slopes with the encoder's products.
    products: Vec<f32>,
    /// Per plane, the activations.
    values: Vec<Vec<f32>>,
}

impl Scattered {
    fn new((uses, slopes): (&[Use], &[Slopes]), tokens: usize, planes: usize, frozen_side: bool) -> Self {
        let mut counts = vec![0usize; tokens];
        uses.iter().for_each(|used| counts[used.token as usize] += 1);
        let longest = counts.iter().copied().max().unwrap_or(0).max(1);
        let mut features = vec![0u32; tokens * longest];
        let mut products = vec![0f32; tokens * longest];
        let mut values = vec![vec![0f32; tokens * longest]; planes];
        for (used, slopes) in uses.iter().zip(slopes) {
            let token = used.token as usize;
            counts[token] -= 1;
            let place = token * longest + counts[token];
            features[place] = used.entry.feature;
            products[place] = slopes.product;
            if !(used.entry.side && frozen_side) {
                values[used.plane as usize][place] = used.entry.value;
            }
        }
        Self { longest, features, products, values }
    }

    /// Numbers of the entries of some tokens, in their places of [tokens, features].
    fn dense(
        &self,
        numbers: &[f32],
        tokens: std::ops::Range<usize>,
        features: usize,
        device: &Device,
    ) -> Result<Tensor> {
        let places = tokens.start * self.longest..tokens.end * self.longest;
        let shape = (tokens.len(), self.longest);
        let index = Tensor::from_slice(&self.features[places.clone()], shape, device)?;
        let numbers = Tensor::from_slice(&numbers[places], shape, device)?;
        let empty = Tensor::zeros((tokens.len(), features), DType::F32, device)?;
        Ok(empty.scatter_add(&index, &numbers, 1)?)
    }
}

/// The norm of each output's decoder, [features, outputs, 1].
fn norms(decoder: &Tensor, d: usize) -> Result<Tensor> {
    let (features, width) = decoder.dims2()?;
    Ok(decoder.reshape((features, width / d, d))?.sqr()?.sum_keepdim(2)?.sqrt()?)
}

/// Some numbers of a flat tensor.
fn picked(numbers: &Tensor, places: &[u32]) -> Result<Vec<f32>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let places = Tensor::from_slice(places, places.len(), numbers.device())?;
    Ok(numbers.index_select(&places, 0)?.to_vec1()?)
}

/// (first, count) of the tokens that are worked on at a time, each with so many numbers.
fn turns(tokens: usize, numbers: usize) -> impl Iterator<Item = (usize, usize)> {
    let most = (NUMBERS / numbers.max(1)).clamp(1, tokens.max(1));
    (0..tokens).step_by(most).map(move |first| (first, most.min(tokens - first)))
}
