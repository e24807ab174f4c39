//! Settings, tensors and modules brought together: what becomes of the base, and what is left out.

use super::file::{Array, File};
use super::modules::{Kind, Modules};
use super::scope::Scope;
use super::settings::Settings;
use crate::error::{At, Error, Result};
use crate::model::Model;
use std::collections::BTreeMap;

/// What PEFT puts before the names of the base.
pub(super) const PREFIX: &str = "base_model.model.";

/// The change of one matrix or embedding.
#[derive(Debug)]
pub(super) struct Lora {
    pub(super) kind: Kind,
    /// [rank, inputs], of an embedding [rank, entries]
    pub(super) down: Array,
    /// [outputs, rank]
    pub(super) up: Array,
    pub(super) rank: usize,
    pub(super) alpha: f64,
    pub(super) scale: f64,
    /// Lengths of the adapted rows (of an embedding: columns), for DoRA.
    pub(super) magnitude: Option<Array>,
}

/// Trained rows of a table.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) ids: Vec<usize>,
    pub(super) rows: Array,
}

/// All that an adapter does to its base.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By module.
    pub(super) lora: BTreeMap<String, Lora>,
    /// Tensors in the place of the base's own, by parameter: before anything else.
    pub(super) replaced: BTreeMap<String, Array>,
    /// Trained copies, by parameter.
    pub(super) copies: BTreeMap<String, Array>,
    /// By module.
    pub(super) rows: BTreeMap<String, Rows>,
    /// A tied head takes over what is done to the embedding.
    pub(super) together: bool,
    /// Tokens of the embedding that the file holds.
    pub(super) vocabulary: usize,
    /// Modules that are named and have no tensors.
    pub(super) unchanged: Vec<String>,
    /// Tensors that are not used.
    pub(super) left_out: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// What the name of a tensor says.
enum Part {
    Down,
    Up,
    EmbeddingDown,
    EmbeddingUp,
    Magnitude,
    Rows,
    /// The base's own, beside an adapter or a copy.
    Base(String),
    /// What a copy of PEFT's holds twice.
    Again(String),
    /// A parameter of the module.
    Own(String),
}

/// A piece of a name, and what it makes of the parameter.
type Reading = (&'static str, fn(String) -> Part);

/// The halves of one module's adapter, as they are found.
#[derive(Default)]
struct Halves {
    down: Option<Array>,
    up: Option<Array>,
    embedding_down: Option<Array>,
    embedding_up: Option<Array>,
    magnitude: Option<Array>,
}

impl Plan {
    pub(super) fn new(settings: &Settings, file: File, base: &Model) -> Result<Self> {
        let modules = Modules::of(base);
        let config = base.config();
        let scope = Scope::new(settings, &modules, config.family, config.tied)?;
        let mut plan = Self { together: scope.together, notes: file.notes, ..Self::default() };
        if file.arrays.is_empty() {
            return Err(Error::request("expected the tensors of an adapter, found a file that holds none")
                .hint("the adapter was not saved whole; with DeepSpeed, gather its weights before saving")
                .at(file.name));
        }
        let sorting = Sorting { settings, modules: &modules, scope: &scope, base, name: file.name };
        let halves = sorting.sort(file.arrays, &mut plan)?;
        sorting.copies(&plan)?;
        plan.vocabulary = sorting.vocabulary(&plan)?;
        sorting.lora(halves, &mut plan)?;
        sorting.rows(&mut plan)?;
        sorting.notes(&mut plan)?;
        if plan.lora.is_empty() && plan.copies.is_empty() && plan.replaced.is_empty() && plan.rows.is_empty()
        {
            return Err(Error::request(format!(
                "expected tensors of the modules that the adapter's config names, found none; the first is `{}`",
                plan.left_out.first().map_or("", String::as_str)
            ))
            .at(file.name));
        }
        Ok(plan)
    }
}

/// What a plan is made from.
pub(super) struct Sorting<'a> {
    pub(super) settings: &'a Settings,
    pub(super) modules: &'a Modules,
    pub(super) scope: &'a Scope,
    pub(super) base: &'a Model,
    pub(super) name: &'static str,
}

impl Sorting<'_> {
    /// Every tensor to its place.
    fn sort(&self, arrays: BTreeMap<String, Array>, plan: &mut Plan) -> Result<BTreeMap<String, Halves>> {
        let mut halves: BTreeMap<String, Halves> = BTreeMap::new();
        let mut undeclared = Vec::new();
        let mut again = Vec::new();
        for (name, array) in arrays {
            let place = |error: Error| error.at(format!("tensor `{name}`")).at(self.name);
            let (module, part) = self.part(&name).map_err(place)?;
            let is_adapted = self.scope.adapted.contains_key(&module);
            let saved = self.saved(&module);
            let slot = match part {
                Part::Own(parameter) if saved => {
                    plan.copies.insert(parameter, array);
                    continue;
                }
                Part::Own(parameter) | Part::Base(parameter) if self.is_head_of_tied(&parameter) => {
                    // PEFT writes a tied head beside the embedding.
                    plan.replaced.insert(parameter, array);
                    continue;
                }
                Part::Own(parameter) if !is_adapted => {
                    if !self.is_declared(&parameter) {
                        undeclared.push(parameter.clone());
                    }
                    plan.replaced.insert(parameter, array);
                    continue;
                }
                Part::Base(parameter) if is_adapted || saved || self.has_rows(&module) => {
                    if !self.is_declared(&parameter) {
                        undeclared.push(parameter.clone());
                    }
                    plan.replaced.insert(parameter, array);
                    continue;
                }
                Part::Again(parameter) if saved => {
                    again.push((name, parameter, array));
                    continue;
                }
                Part::Rows => {
                    plan.rows.insert(module, Rows { ids: Vec::new(), rows: array });
                    continue;
                }
                Part::Down if is_adapted => &mut halves.entry(module).or_default().down,
                Part::Up if is_adapted => &mut halves.entry(module).or_default().up,
                Part::EmbeddingDown if is_adapted => &mut halves.entry(module).or_default().embedding_down,
                Part::EmbeddingUp if is_adapted => &mut halves.entry(module).or_default().embedding_up,
                Part::Magnitude if is_adapted => &mut halves.entry(module).or_default().magnitude,
                _ => {
                    plan.left_out.push(name);
                    continue;
                }
            };
            if slot.replace(array).is_some() {
                return Err(place(Error::request("expected it once, found it under two names")));
            }
        }
        for (name, parameter, array) in again {
            if plan.copies.get(&parameter) != Some(&array) {
                plan.left_out.push(name);
            }
        }
        if let Some(first) = undeclared.first() {
            plan.notes.push(format!(
                "{} tensors of the adapter stand in the place of the base's own, as in PEFT, though its config does \
                 not say so ({first} …)",
                undeclared.len()
            ));
        }
        Ok(halves)
    }

    /// The module that a tensor belongs to, by its name here, and what of it the tensor is.
    fn part(&self, name: &str) -> Result<(String, Part)> {
        let rest = name.strip_prefix(PREFIX).ok_or_else(|| {
            Error::request(format!("expected a name that begins with `{PREFIX}`, as PEFT writes them"))
        })?;
        let endings: [Reading; 8] = [
            (".lora_A.weight", |_| Part::Down),
            (".lora_B.weight", |_| Part::Up),
            (".lora_embedding_A", |_| Part::EmbeddingDown),
            (".lora_embedding_B", |_| Part::EmbeddingUp),
            (".lora_magnitude_vector", |_| Part::Magnitude),
            (".lora_magnitude_vector.weight", |_| Part::Magnitude),
            (".token_adapter.trainable_tokens_delta", |_| Part::Rows),
            (".token_adapter.base_layer.weight", Part::Base),
        ];
        for (ending, part) in endings {
            if let Some(module) = rest.strip_suffix(ending) {
                let module = self.known(module)?;
                let parameter = format!("{module}.weight");
                return Ok((module, part(parameter)));
            }
        }
        let wrappers: [Reading; 3] = [
            (".base_layer.", Part::Base),
            (".original_module.", Part::Base),
            (".modules_to_save.", Part::Again),
        ];
        for (wrapper, part) in wrappers {
            if let Some((outer, inner)) = rest.split_once(wrapper) {
                let parameter = self.parameter(&format!("{outer}.{inner}"))?;
                return Ok((self.known(outer)?, part(parameter)));
            }
        }
        let parameter = self.parameter(rest)?;
        let module = parameter.rsplit_once('.').map_or("", |(module, _)| module).to_owned();
        Ok((module, Part::Own(parameter)))
    }

    fn known(&self, module: &str) -> Result<String> {
        let here = self.modules.here(module);
        match self.modules.kind(here) {
            Some(_) => Ok(here.to_owned()),
            None => Err(self.foreign(module)),
        }
    }

    fn parameter(&self, name: &str) -> Result<String> {
        let (module, last) = name.rsplit_once('.').unwrap_or(("", name));
        let here = format!("{}.{last}", self.modules.here(module));
        let is_head = here == self.head();
        match is_head || self.base.parameters().get(&here).is_some() {
            true => Ok(here),
            false => Err(self.foreign(module)),
        }
    }

    fn foreign(&self, module: &str) -> Error {
        Error::request(format!(
            "it belongs to `{module}`, which is no module that is read of a {} model of {} layers",
            self.base.config().family.model_type(),
            self.base.config().layers()
        ))
        .hint("is this the base that the adapter was trained on?")
    }

    /// Whether rows of a module may have been trained.
    fn has_rows(&self, module: &str) -> bool {
        !self.settings.tokens.is_empty() && (module == self.modules.embedding || module == self.modules.head)
    }

    pub(super) fn head(&self) -> String {
        format!("{}.weight", self.modules.head)
    }

    pub(super) fn embedding(&self) -> String {
        format!("{}.weight", self.modules.embedding)
    }

    fn is_head_of_tied(&self, parameter: &str) -> bool {
        self.base.config().tied && parameter == self.head()
    }

    /// Whether a module lies in one of which the file holds a copy.
    pub(super) fn saved(&self, module: &str) -> bool {
        self.scope.saved.iter().any(|saved| {
            module.strip_prefix(saved.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Whether the config, or PEFT's habit of saving embeddings, explains a tensor of the base's own.
    fn is_declared(&self, parameter: &str) -> bool {
        parameter == self.embedding()
            || parameter == self.head()
            || (self.settings.biases && parameter.ends_with(".bias"))
    }

    fn lora(&self, mut halves: BTreeMap<String, Halves>, plan: &mut Plan) -> Result<()> {
        // The head last: it may be tied to the embedding's.
        let is_head = |module: &String| *module == self.modules.head;
        let (head, others): (Vec<_>, Vec<_>) =
            self.scope.adapted.iter().partition(|(module, _)| is_head(module));
        for (module, kind) in others.into_iter().chain(head) {
            let Some(found) = halves.remove(module) else {
                plan.unchanged.push(module.clone());
                continue;
            };
            // The head of an adapter that is tied holds the embedding's halves again, the other way round.
            if self.scope.together && is_head(module) {
                self.check_tied(&found, plan)?;
                continue;
            }
            let lora = self.one(module, *kind, found, plan.vocabulary).at(format!("module `{module}`"));
            plan.lora.insert(module.clone(), lora.at(self.name)?);
        }
        Ok(())
    }

    fn check_tied(&self, head: &Halves, plan: &Plan) -> Result<()> {
        let wrong = || {
            Error::request("`ensure_weight_tying`: the adapter of the head is not that of the embedding")
                .at(self.name)
        };
        let embedding = plan.lora.get(&self.modules.embedding).ok_or_else(wrong)?;
        if self.settings.dora {
            return Err(Error::request("`ensure_weight_tying` together with `use_dora` is not supported"));
        }
        let same =
            |found: &Option<Array>, of: &Array| found.as_ref().is_none_or(|found| *found == of.transposed());
        match same(&head.down, &embedding.up) && same(&head.up, &embedding.down) {
            true => Ok(()),
            false => Err(wrong()),
        }
    }

    fn one(&self, module: &str, kind: Kind, found: Halves, vocabulary: usize) -> Result<Lora> {
        let (down, up, other, names) = match kind {
            Kind::Embedding => (
                found.embedding_down,
                found.embedding_up,
                found.down.or(found.up),
                ["lora_embedding_A", "lora_embedding_B"],
            ),
            _ => (found.down, found.up, found.embedding_down.or(found.embedding_up), ["lora_A", "lora_B"]),
        };
        if other.is_some() {
            return Err(Error::request(format!("expected {} and {} alone", names[0], names[1])));
        }
        let (Some(down), Some(up)) = (down, up) else {
            return Err(Error::request(format!("expected both {} and {}, found one", names[0], names[1])));
        };
        let mut dims = match self.base.parameters().get(&format!("{module}.weight")) {
            Some(weight) => weight.dims(),
            None => vec![self.base.config().vocabulary, self.base.config().d_model],
        };
        if module == self.modules.embedding || module == self.modules.head {
            dims = vec![vocabulary, self.base.config().d_model];
        }
        let &[rows, columns] = dims.as_slice() else {
            return Err(Error::request(format!("expected a matrix, found a tensor {dims:?}")));
        };
        let (outputs, inputs) = match kind {
            Kind::Linear | Kind::Other => (rows, columns),
            Kind::Columns | Kind::Embedding => (columns, rows),
        };
        let (rank, alpha) =
            (self.settings.rank_of(module, self.modules), self.settings.alpha_of(module, self.modules));
        if down.dims != [rank, inputs] || up.dims != [outputs, rank] {
            return Err(Error::request(format!(
                "expected {} [{rank}, {inputs}] and {} [{outputs}, {rank}], found {:?} and {:?}",
                names[0], names[1], down.dims, up.dims
            ))
            .hint("the rank is that of adapter_config.json: `r`, or `rank_pattern`"));
        }
        if found.magnitude.is_some() != self.settings.dora {
            return Err(Error::request(match self.settings.dora {
                true => "expected a lora_magnitude_vector, as `use_dora` says, found none",
                false => "expected no lora_magnitude_vector, as `use_dora` is not set",
            }));
        }
        if let Some(magnitude) = &found.magnitude
            && magnitude.dims != [outputs]
        {
            return Err(Error::request(format!(
                "expected lora_magnitude_vector [{outputs}], found {:?}",
                magnitude.dims
            )));
        }
        let divisor = if self.settings.rank_stabilised { (rank as f64).sqrt() } else { rank as f64 };
        Ok(Lora { kind, down, up, rank, alpha, scale: alpha / divisor, magnitude: found.magnitude })
    }

    fn notes(&self, plan: &mut Plan) -> Result<()> {
        if let Some(first) = plan.left_out.first() {
            plan.notes.push(format!(
                "{} tensors of the adapter are left out, as PEFT leaves them out: its config does not name what they \
                 belong to ({first} …)",
                plan.left_out.len()
            ));
        }
        if let (true, Some(first)) = (self.settings.random, plan.unchanged.first()) {
            return Err(Error::request(format!(
                "expected tensors of `{first}`, which `init_lora_weights` fills with drawn numbers, found none"
            ))
            .at(self.name));
        }
        if let Some(first) = plan.unchanged.first() {
            plan.notes.push(format!(
                "{} modules that the adapter's config names have no tensors in its file, and stay those of the base, \
                 as in PEFT ({first} …)",
                plan.unchanged.len()
            ));
        }
        if let Some(first) = self.scope.idle.first() {
            plan.notes.push(format!(
                "{} entries of the adapter's config name nothing in this base ({first} …)",
                self.scope.idle.len()
            ));
        }
        plan.notes.extend(self.settings.said.iter().map(|said| format!("the adapter's config: {said}")));
        if plan.vocabulary != self.base.config().vocabulary {
            plan.notes.push(format!(
                "the adapter's embedding has {} tokens, its base {}: the model has the adapter's",
                plan.vocabulary,
                self.base.config().vocabulary
            ));
        }
        Ok(())
    }
}

impl Array {
    /// The transpose of a matrix.
    pub(super) fn transposed(&self) -> Self {
        let &[rows, columns] = self.dims.as_slice() else { return self.clone() };
        let column = |column: usize| self.numbers.iter().skip(column).step_by(columns.max(1)).copied();
        let numbers = (0..columns).flat_map(column).collect();
        Self { dims: vec![columns, rows], numbers }
    }
}
