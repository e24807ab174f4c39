//! `capture`: activations of a model by hook name, or of several variants into a store; or the list of hook points.

use super::Context;
use super::flags::{SetFlag, named_models};
use crate::activations::{self, ActivationStore, CaptureSettings, Example};
use crate::error::{Error, Result, nearest};
use crate::model::{BlockPoint, Config, Gradients, HookPoint, Hooks, Model, QueryKeyNorm, TokenFile, hub};
use serde::Serialize;
use std::path::PathBuf;

/// The flags of `capture`.
#[derive(clap::Args)]
pub(crate) struct CaptureArguments {
    /// A model repository: a folder, or a name on the hub. Named, as in `--model base=runs/base --model rl=runs/rl`,
    /// base first, variants are captured together into an activation store, for `fit` and `diff`.
    #[arg(long, value_name = "DIR_OR_NAME", required = true)]
    model: Vec<String>,
    /// `input_ids` and, where rows are padded, `attention_mask`.
    #[arg(long, value_name = "FILE.safetensors", required_unless_present = "scan")]
    tokens: Option<PathBuf>,
    /// Hook points, separated by commas; `*` stands for any block, as in `blocks.*.hook_resid_post`.
    #[arg(long, value_name = "NAMES", required_unless_present = "scan")]
    hooks: Option<String>,
    /// Where the activations go: one tensor a hook point, under its name; of named variants, the folder of
    /// the store, with several hook points one folder each in it.
    #[arg(long, value_name = "FILE_OR_DIR", required_unless_present = "scan")]
    out: Option<PathBuf>,
    /// List hook points and their axes without running anything.
    #[arg(long)]
    scan: bool,
    #[command(flatten)]
    set: SetFlag,
}

#[derive(Serialize)]
struct Point {
    name: String,
    axes: String,
}

#[derive(Serialize)]
struct Captured {
    name: String,
    shape: Vec<usize>,
}

pub(crate) fn capture(arguments: CaptureArguments, context: &Context) -> Result<()> {
    let named = arguments.model.iter().all(|model| model.contains('='));
    match &arguments.model[..] {
        [model] if !named => {
            if let Some(set) = arguments.set.set.first() {
                return Err(Error::request(format!("`--set {set}`: these are settings of a store"))
                    .hint(format!("name the variant to write one, as in --model base={model}")));
            }
            match arguments.scan {
                true => scan(model, arguments.hooks.as_deref(), context),
                false => raw(model, &arguments, context),
            }
        }
        _ if !arguments.scan => store(&arguments, context),
        _ => Err(Error::request("`--scan` lists the hook points of one model; name one, without `=`")),
    }
}

/// Captures one model: a tensor a hook point.
fn raw(model: &str, arguments: &CaptureArguments, context: &Context) -> Result<()> {
    let (Some(tokens), Some(names), Some(out)) = (&arguments.tokens, &arguments.hooks, &arguments.out) else {
        return Err(Error::request("expected --tokens, --hooks and --out"));
    };
    let model = context.reading(&hub::find(model)?)?;
    let points = matching(model.config(), names)?;
    let tokens = TokenFile::load(tokens, model.config().vocabulary)?;
    context.printer.notes(tokens.notes());
    let mut hooks = points.iter().fold(Hooks::none(), |hooks, point| hooks.capture(*point));
    model.forward(&tokens.batch, None, &mut hooks, Gradients::Off)?;
    hooks.finish()?;
    let mut tensors = Vec::with_capacity(points.len());
    for point in points {
        if let Some(value) = hooks.take(point) {
            let axes: &[usize] = match point {
                HookPoint::Block(_, BlockPoint::Scores | BlockPoint::Pattern) => &[2, 3],
                _ => &[1],
            };
            tensors.push((point.to_string(), tokens.aligned(&value, axes)?));
        }
    }
    crate::model::save_tensors(out, &tensors)?;
    let answer: Vec<Captured> = tensors
        .iter()
        .map(|(name, tensor)| Captured { name: name.clone(), shape: tensor.dims().to_vec() })
        .collect();
    context
        .printer
        .answer(&answer, || answer.iter().map(|one| format!("{:<36} {:?}\n", one.name, one.shape)).collect())
}

#[derive(Serialize)]
struct Stored {
    store: PathBuf,
    hook: String,
    variants: Vec<String>,
    tokens: usize,
    d_model: usize,
}

/// Captures named variants on the same tokens. A row of the file is an example.
fn store(arguments: &CaptureArguments, context: &Context) -> Result<()> {
    let (Some(tokens), Some(names), Some(out)) = (&arguments.tokens, &arguments.hooks, &arguments.out) else {
        return Err(Error::request("expected --tokens, --hooks and --out"));
    };
    let settings = arguments.set.apply(&CaptureSettings::default())?;
    let models = named_models(&arguments.model, "--model", context)?;
    let Some((_, first)) = models.first() else { return Err(Error::request("expected a model, found none")) };
    let hooks = matching(first.config(), names)?;
    // One hook has the folder to itself; several have one each, named after them.
    let place = |hook: &HookPoint| if hooks.len() == 1 { out.clone() } else { out.join(hook.to_string()) };
    let places: Vec<(HookPoint, PathBuf)> = hooks.iter().map(|hook| (*hook, place(hook))).collect();
    let vocabulary = models.iter().map(|(_, model)| model.config().vocabulary).min().unwrap_or(0);
    let tokens = TokenFile::load(tokens, vocabulary)?;
    context.printer.notes(tokens.notes());
    let batch = tokens.batch;
    let example = |row: usize| Example { tokens: batch.row(row).to_vec(), ..Example::default() };
    let examples: Vec<Example> = (0..batch.rows()).map(example).collect();
    let stores = activations::capture_all(&models, &places, &examples, &settings, &context.observer)?;
    let stored = |(store, (hook, folder)): (&ActivationStore, &(HookPoint, PathBuf))| Stored {
        store: folder.clone(),
        hook: hook.to_string(),
        variants: store.variants().to_vec(),
        tokens: store.tokens(),
        d_model: store.d_model(),
    };
    let answer: Vec<Stored> = stores.iter().zip(&places).map(stored).collect();
    context.printer.answer(&answer, || {
        let line = |Stored { store, hook, variants, tokens, d_model }: &Stored| {
            format!("{hook}: {tokens} tokens x {} x {d_model} -> {}", variants.join(", "), store.display())
        };
        answer.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

/// Lists hook points, for which a configuration is enough.
fn scan(model: &str, names: Option<&str>, context: &Context) -> Result<()> {
    let folder = hub::find_config(model)?;
    let config = Config::load(&Model::base_of_adapter(&folder)?.unwrap_or(folder))?;
    let points = match names {
        Some(names) => matching(&config, names)?,
        None => config.hook_points(),
    };
    let answer: Vec<Point> = points
        .into_iter()
        .map(|point| Point { name: point.to_string(), axes: axes(&config, point) })
        .collect();
    context.printer.answer(&answer, || {
        let line = |one: &Point| format!("{:<36} {}\n", one.name, one.axes);
        answer.iter().map(line).collect()
    })
}

fn axes(config: &Config, point: HookPoint) -> String {
    let (heads, key_heads, head_dim) = (config.heads, config.key_heads, config.head_dim);
    let last = match point {
        HookPoint::FinalScale => "1".to_owned(),
        HookPoint::Block(_, point) => match point {
            BlockPoint::Norm1Scale
            | BlockPoint::Norm1PostScale
            | BlockPoint::Norm2Scale
            | BlockPoint::Norm2PostScale => "1".to_owned(),
            BlockPoint::QueryNormScale | BlockPoint::KeyNormScale
                if config.query_key_norm == QueryKeyNorm::Whole =>
            {
                "1, 1".to_owned()
            }
            BlockPoint::QueryNormScale => format!("{heads}, 1"),
            BlockPoint::KeyNormScale => format!("{key_heads}, 1"),
            BlockPoint::AttentionIn | BlockPoint::QueryInput => format!("{heads}, {}", config.d_model),
            BlockPoint::KeyInput | BlockPoint::ValueInput => format!("{key_heads}, {}", config.d_model),
            BlockPoint::Query
            | BlockPoint::QueryNormNormalized
            | BlockPoint::RotatedQuery
            | BlockPoint::Mixed => {
                format!("{heads}, {head_dim}")
            }
            BlockPoint::Result => format!("{heads}, {}", config.d_model),
            BlockPoint::Key | BlockPoint::KeyNormNormalized | BlockPoint::RotatedKey | BlockPoint::Value => {
                format!("{key_heads}, {head_dim}")
            }
            BlockPoint::Scores | BlockPoint::Pattern => {
                return format!("[rows, {heads}, positions, positions]");
            }
            BlockPoint::MlpPre | BlockPoint::MlpPreLinear | BlockPoint::MlpPost => config.d_mlp.to_string(),
            _ => config.d_model.to_string(),
        },
        _ => config.d_model.to_string(),
    };
    format!("[rows, positions, {last}]")
}

/// The hook points that the names stand for, in the order of the pass.
fn matching(config: &Config, names: &str) -> Result<Vec<HookPoint>> {
    let all = config.hook_points();
    let spelled: Vec<String> = all.iter().map(HookPoint::to_string).collect();
    let mut chosen = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let fits = |spelled: &str| {
            let (mut parts, mut wanted) = (spelled.split('.'), name.split('.'));
            loop {
                match (parts.next(), wanted.next()) {
                    (None, None) => return true,
                    (Some(part), Some(wanted)) if wanted == "*" || wanted == part => {}
                    _ => return false,
                }
            }
        };
        let before = chosen.len();
        chosen.extend(all.iter().zip(&spelled).filter(|(_, spelled)| fits(spelled)).map(|(point, _)| *point));
        if chosen.len() == before {
            let error = Error::request(format!("no hook point of this model matches `{name}`"));
            let concrete = name.replace('*', "0");
            return Err(match nearest(&concrete, spelled.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`? `--scan` lists them all")),
                None => error.hint("`--scan` lists the hook points"),
            });
        }
    }
    if chosen.is_empty() {
        return Err(Error::request("expected at least one hook point in --hooks, found none"));
    }
    chosen.sort_unstable_by_key(|point| all.iter().position(|known| known == point));
    chosen.dedup();
    Ok(chosen)
}
