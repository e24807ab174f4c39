//! `adapter_config.json`: every key is used, refused by name, or known to change nothing.

use super::pattern::Pattern;
use crate::error::{At, Error, Result};
use crate::foreign::Object;
use serde_json::Value;
use std::path::Path;

/// Where an adapter says what it is.
pub(super) const CONFIG: &str = "adapter_config.json";

/// Keys that change the numbers and that we do not do: they must be null, false or empty.
const REFUSED: [&str; 17] = [
    "alora_invocation_tokens",
    "arrow_config",
    "bdlora_config",
    "corda_config",
    "eva_config",
    "kasa_config",
    "layer_replication",
    "loftq_config",
    "lora_bias",
    "lora_ga_config",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "use_bdlora",
    "use_qalora",
    "velora_config",
    "use_kasa",
];

/// Keys that change no number of a pass: whether a matrix is stored as [inputs,
/// outputs] is seen from the module, by PEFT too; the rest name programs, or belong to what is refused.
const HARMLESS: [&str; 8] = [
    "auto_mapping",
    "base_model_name_or_path",
    "ephemeral_gpu_offload",
    "inference_mode",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "runtime_config",
];

/// Which modules are adapted.
#[derive(Debug)]
pub(super) enum Targets {
    /// Those that PEFT adapts in such a model when nothing is said.
    Usual,
    /// All that multiply by a matrix, but the head.
    AllLinear,
    Pattern(Pattern),
    Names(Vec<String>),
}

/// Which modules are not.
#[derive(Debug)]
pub(super) enum Excluded {
    Pattern(Pattern),
    Names(Vec<String>),
}

/// All that an adapter's configuration says.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) targets: Targets,
    pub(super) excluded: Excluded,
    /// The layers that are adapted, if not all; names in full are adapted anyway.
    pub(super) layers: Option<Vec<i64>>,
    /// What comes before the number of a layer, if not anything.
    pub(super) before_layers: Vec<Pattern>,
    pub(super) rank: usize,
    pub(super) alpha: f64,
    /// In the order of the file: the first that finds a module counts.
    pub(super) ranks: Vec<(Pattern, usize)>,
    pub(super) alphas: Vec<(Pattern, f64)>,
    pub(super) rank_stabilised: bool,
    pub(super) dora: bool,
    /// Endings of the names of modules of which the file holds trained copies.
    pub(super) saved: Vec<String>,
    /// The same as patterns: nothing in them is adapted.
    pub(super) saved_patterns: Vec<Pattern>,
    /// Tokens whose rows were trained, of the embedding or of modules by the endings of their names.
    pub(super) tokens: Vec<(Option<String>, Vec<usize>)>,
    /// What is done to the embedding is done to a head that is tied to it.
    pub(super) together: bool,
    /// Biases were trained, too.
    pub(super) biases: bool,
    /// Halves that the file lacks are drawn at random, so that nobody knows them.
    pub(super) random: bool,
    /// What is said and has no effect here, in sentences.
    pub(super) said: Vec<String>,
}

impl Settings {
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        Self::read(&Object::load(&path)?).at(path.display())
    }

    pub(super) fn read(object: &Object) -> Result<Self> {
        let refused = |key: &str| {
            let found = object.stated(key).unwrap_or(&Value::Null).to_string();
            let shown: String = found.chars().take(80).collect();
            Error::request(format!("field `{key}`: {shown} is not supported"))
        };
        if object.text("peft_type")? != Some("LORA") {
            return Err(refused("peft_type").hint("adapters of the type `LORA` are read"));
        }
        if object.text("task_type")?.is_some_and(|task| task != "CAUSAL_LM") {
            return Err(refused("task_type").hint("adapters of language models (`CAUSAL_LM`) are read"));
        }
        for key in REFUSED {
            let is_off = match object.stated(key).unwrap_or(&Value::Null) {
                Value::Null | Value::Bool(false) => true,
                Value::Object(inner) => inner.is_empty(),
                Value::Array(inner) => inner.is_empty(),
                _ => false,
            };
            if !is_off {
                return Err(refused(key));
            }
        }
        // Others change the base when PEFT loads the adapter: they take the first product of its halves from it.
        match object.get("init_lora_weights") {
            None | Some(Value::Bool(_)) => {}
            Some(Value::String(name))
                if ["gaussian", "orthogonal"].contains(&name.to_lowercase().as_str()) => {}
            Some(_) => {
                return Err(refused("init_lora_weights").hint(
                    "convert it into a plain adapter: in PEFT, save_pretrained with \
                     path_initial_model_for_weight_conversion",
                ));
            }
        }
        let biases = match object.text("bias")? {
            None | Some("none") => false,
            Some("all" | "lora_only") => true,
            Some(_) => return Err(refused("bias")),
        };
        object.flag("fan_in_fan_out")?;
        let targets = targets(object)?;
        let layers = layers(object)?;
        let before_layers = names(object, "layers_pattern")?.unwrap_or_default();
        scope_of_layers(object, &targets, layers.as_deref(), &before_layers)?;
        let patterns = before_layers.iter().map(|text| Pattern::ending(text));
        let before_layers = patterns.collect::<Result<_>>().at("field `layers_pattern`")?;
        if object.get("modules_to_save").is_some_and(Value::is_string) {
            return Err(object.wrong("modules_to_save", "a list of texts"));
        }
        let saved = names(object, "modules_to_save")?.unwrap_or_default();
        let patterns = saved.iter().map(|text| Pattern::part(text));
        let saved_patterns = patterns.collect::<Result<_>>().at("field `modules_to_save`")?;
        object.harmless(&HARMLESS);
        let settings = Self {
            targets,
            excluded: excluded(object)?,
            layers: layers.filter(|layers| !layers.is_empty()),
            before_layers,
            // PEFT's own values where nothing is said.
            rank: object.get("r").map_or(Ok(8), |found| rank(found).at("field `r`"))?,
            alpha: object.get("lora_alpha").map_or(Ok(8.0), |found| alpha(found).at("field `lora_alpha`"))?,
            ranks: patterned(object, "rank_pattern", rank)?,
            alphas: patterned(object, "alpha_pattern", alpha)?,
            rank_stabilised: object.flag("use_rslora")?.unwrap_or(false),
            dora: object.flag("use_dora")?.unwrap_or(false),
            saved,
            saved_patterns,
            tokens: tokens(object)?,
            together: object.flag("ensure_weight_tying")?.unwrap_or(false),
            biases,
            random: object.get("init_lora_weights") == Some(&Value::Bool(false)),
            said: said(object)?,
        };
        object.finish()?;
        Ok(settings)
    }
}

/// What is said and has no effect here.
fn said(object: &Object) -> Result<Vec<String>> {
    let mut said = Vec::new();
    if let Some(dropout) = object.number("lora_dropout")?.filter(|dropout| *dropout != 0.0) {
        said.push(format!("`lora_dropout` {dropout} was for its training, and is not applied"));
    }
    if let Some(revision) = object.text("revision")? {
        said.push(format!(
            "it was trained on revision `{revision}` of its base, which is not compared with this one"
        ));
    }
    Ok(said)
}

fn targets(object: &Object) -> Result<Targets> {
    Ok(match object.get("target_modules") {
        None => Targets::Usual,
        Some(Value::String(text)) if text.eq_ignore_ascii_case("all-linear") => Targets::AllLinear,
        Some(Value::String(text)) => Targets::Pattern(Pattern::whole(text).at("field `target_modules`")?),
        Some(_) => Targets::Names(names(object, "target_modules")?.unwrap_or_default()),
    })
}

fn excluded(object: &Object) -> Result<Excluded> {
    Ok(match object.get("exclude_modules") {
        Some(Value::String(text)) if !text.is_empty() => {
            Excluded::Pattern(Pattern::whole(text).at("field `exclude_modules`")?)
        }
        _ => Excluded::Names(names(object, "exclude_modules")?.unwrap_or_default()),
    })
}

/// A list of texts, or one.
fn names(object: &Object, key: &str) -> Result<Option<Vec<String>>> {
    let wrong = || object.wrong(key, "a text or a list of texts");
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
        Some(Value::Array(items)) => {
            let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(wrong);
            items.iter().map(text).collect::<Result<_>>().map(Some)
        }
        Some(_) => Err(wrong()),
    }
}

fn layers(object: &Object) -> Result<Option<Vec<i64>>> {
    let key = "layers_to_transform";
    let wrong = || object.wrong(key, "a whole number or a list of them");
    match object.get(key) {
        None => Ok(None),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_i64().ok_or_else(wrong)).collect::<Result<_>>().map(Some)
        }
        Some(found) => found.as_i64().map(|layer| Some(vec![layer])).ok_or_else(wrong),
    }
}

/// What PEFT refuses of the settings of layers, and what it does in a way of its own.
fn scope_of_layers(
    object: &Object,
    targets: &Targets,
    layers: Option<&[i64]>,
    before: &[String],
) -> Result<()> {
    let is_text = matches!(targets, Targets::AllLinear | Targets::Pattern(_));
    for key in ["layers_to_transform", "layers_pattern"] {
        if is_text && object.get(key).is_some() {
            return Err(Error::request(format!(
                "field `{key}`: expected none where `target_modules` is a text, as in PEFT"
            )));
        }
    }
    if !before.is_empty() && layers.is_none() {
        return Err(Error::request(
            "field `layers_pattern`: expected `layers_to_transform` with it, as in PEFT",
        ));
    }
    if let Some(alternatives) = before.iter().find(|text| text.contains('|')) {
        return Err(Error::request(format!("field `layers_pattern`: `{alternatives}` is not supported"))
            .hint("write a list of patterns"));
    }
    match targets {
        Targets::Names(names) if names.len() >= 20 && layers.is_some_and(|layers| !layers.is_empty()) => {
            Err(Error::request(
                "field `layers_to_transform`: expected fewer than 20 `target_modules` with it: PEFT shortens longer \
                 lists, and then chooses other layers",
            ))
        }
        _ => Ok(()),
    }
}

fn rank(found: &Value) -> Result<usize> {
    let rank = found.as_u64().filter(|rank| *rank > 0).and_then(|rank| usize::try_from(rank).ok());
    rank.ok_or_else(|| Error::request(format!("expected a whole number from 1, found {found}")))
}

/// Any number: zero switches an adapter off, a negative one turns it around.
fn alpha(found: &Value) -> Result<f64> {
    let alpha = found.as_f64().filter(|alpha| alpha.is_finite());
    alpha.ok_or_else(|| Error::request(format!("expected a number, found {found}")))
}

fn patterned<T>(
    object: &Object,
    key: &str,
    number: impl Fn(&Value) -> Result<T>,
) -> Result<Vec<(Pattern, T)>> {
    let place = format!("field `{key}`");
    match object.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Object(entries)) => entries
            .iter()
            .map(|(name, found)| Ok((Pattern::ending(name)?, number(found).at(format!("`{name}`"))?)))
            .collect::<Result<_>>()
            .at(place),
        Some(_) => Err(object.wrong(key, "an object of names")),
    }
}

fn tokens(object: &Object) -> Result<Vec<(Option<String>, Vec<usize>)>> {
    let key = "trainable_token_indices";
    let wrong = || object.wrong(key, "a list of token ids, or an object of such lists");
    let ids = |found: &Value| -> Result<Vec<usize>> {
        let id = |found: &Value| found.as_u64().and_then(|id| usize::try_from(id).ok()).ok_or_else(wrong);
        found.as_array().ok_or_else(wrong)?.iter().map(id).collect()
    };
    match object.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Object(entries)) => {
            entries.iter().map(|(name, found)| Ok((Some(name.clone()), ids(found)?))).collect()
        }
        Some(found) => Ok(vec![(None, ids(found)?)]),
    }
}
