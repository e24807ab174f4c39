//! `check dictionary`: whether a dictionary can be read, whether it computes what it should, and how well it
//! reconstructs.

use super::Context;
use super::flags::{TranscoderFlag, named_models, renamed};
use crate::activations::import;
use crate::dictionaries::{
    Dictionary, DictionaryRow, FileReading, Golden, GoldenReport, Judgement, TOLERANCE, TokenScale,
    add_splice_costs, judge, stability,
};
use crate::error::{Error, Result};
use crate::tables::{self, catalogue};
use serde::Serialize;
use std::path::PathBuf;

/// The flags of `check dictionary`.
#[derive(clap::Args)]
pub(crate) struct CheckDictionaryArguments {
    /// A dictionary of any known format: a folder, a folder of the hub as `owner/name[@revision]/sub/folder`, or
    /// SAELens's `release/sae_id`, of its table as `pretrained_saes.yaml:release/sae_id`, or of the few that are known
    /// without (`gpt2-small-res-jb`, `gemma-scope-…`).
    #[arg(value_name = "DIR_OR_NAME")]
    dictionary: String,
    #[command(flatten)]
    transcoder: TranscoderFlag,
    /// A safetensors file with inputs `x` and, to compare with, `features` and `output`. Supports must be equal and
    /// values within 1e-4: of activations relative to 1 or the larger of the two, of outputs to 1 or the largest of
    /// their vector, as sums that cancel keep the rounding of their terms.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Receives `x`, `features` and `output` as this program computes them.
    #[arg(long, value_name = "FILE", requires = "golden")]
    out: Option<PathBuf>,
    /// Other fits of the same dictionary, to say how many features they share; may be repeated. With `--activations`
    /// the means are over the features that fire there, else over all, dead ones too.
    #[arg(long, value_name = "DIR_OR_NAME")]
    against: Vec<String>,
    /// An activation store, or a plain .safetensors file with `activations` [tokens, variants, d_model] or
    /// [tokens, d_model], to judge the dictionary on: the metrics that `fit` gives, for a dictionary made elsewhere.
    #[arg(long, value_name = "FILE_OR_STORE")]
    activations: Option<PathBuf>,
    /// What a transcoder writes: the same tokens at another hook.
    #[arg(long, value_name = "FILE_OR_STORE", requires = "activations")]
    targets: Option<PathBuf>,
    /// Names of the variants of a plain file, base first.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", requires = "activations")]
    variants: Vec<String>,
    /// What the activations call a variant that the dictionary calls otherwise, as in `--rename gpt2-small=rl`; may be
    /// repeated.
    #[arg(long, value_name = "OLD=NEW")]
    rename: Vec<String>,
    /// A variant's model, as in `--model rl=runs/rl`, to measure what splicing the reconstruction into it costs. Needs
    /// a store with token ids.
    #[arg(long, value_name = "VARIANT=DIR", requires = "activations")]
    model: Vec<String>,
    /// Judge on all tokens, not only on the last tenth that `fit` leaves out.
    #[arg(long, requires = "activations")]
    all_tokens: bool,
    /// Receives the metrics as a table `dictionaries`.
    #[arg(long, value_name = "FILE.parquet", requires = "activations")]
    table: Option<PathBuf>,
}

/// How alike another fit is.
#[derive(Serialize)]
struct Likeness {
    dictionary: String,
    /// Over how many features: those that fire, where activations tell them, else all.
    features: usize,
    mean_max_cosine: f64,
    features_above_90_percent: usize,
}

/// What a dictionary's files were understood to say.
#[derive(Serialize)]
struct Understood {
    #[serde(flatten)]
    reading: FileReading,
    activation: String,
    reads: Vec<String>,
    writes: Vec<String>,
    d_in: usize,
    d_out: usize,
    hook_written: String,
    /// Whether it writes another hook than it reads.
    transcoder: bool,
    /// What is done to each token's vector, which no weights can hold.
    token_scale: TokenScale,
}

impl Understood {
    fn of(dictionary: &Dictionary) -> Self {
        let spec = dictionary.spec();
        Self {
            reading: dictionary.reading().clone(),
            activation: spec.activation.to_string(),
            reads: spec.inputs.iter().map(ToString::to_string).collect(),
            writes: spec.outputs.iter().map(ToString::to_string).collect(),
            d_in: spec.d_in,
            d_out: spec.d_out,
            hook_written: spec.output_hook.clone(),
            transcoder: spec.kind.is_transcoder(),
            token_scale: spec.token_scale,
        }
    }

    fn text(&self, hook: &str) -> String {
        let named = |hook: &str| {
            if hook.is_empty() { "a hook that is not named".to_owned() } else { hook.to_owned() }
        };
        let mut lines = vec![
            format!("format {}, activation: {}", self.reading.format, self.activation),
            format!(
                "reads {} of {} (width {}), writes {} of {} (width {})",
                named(hook),
                self.reads.join(", "),
                self.d_in,
                if self.hook_written == hook && !self.transcoder {
                    "the same".to_owned()
                } else {
                    named(&self.hook_written)
                },
                self.writes.join(", "),
                self.d_out
            ),
        ];
        match self.token_scale {
            TokenScale::None => {}
            TokenScale::LayerNorm => lines.push("each input is layer-normalised first".to_owned()),
            TokenScale::ConstantNorm => {
                lines.push("each input is scaled to a norm of the square root of its width first".to_owned());
            }
        }
        lines.extend(self.reading.folded.iter().map(|what| format!("folded into the weights: {what}")));
        if !self.reading.about.is_empty() {
            lines.push(format!(
                "said of how it was made, and not computed with: {}",
                self.reading.about.join("; ")
            ));
        }
        lines.join("\n")
    }
}

#[derive(Serialize)]
struct Answer {
    kind: &'static str,
    features: usize,
    variants: Vec<String>,
    d_model: usize,
    hook: String,
    /// What the files were understood to say.
    understood: Understood,
    golden: Option<GoldenReport>,
    against: Vec<Likeness>,
    metrics: Vec<DictionaryRow>,
}

pub(crate) fn check_dictionary(arguments: CheckDictionaryArguments, context: &Context) -> Result<()> {
    let dictionary =
        renamed(arguments.transcoder.dictionary(&arguments.dictionary, context)?, &arguments.rename)?;
    let mut report = None;
    if let Some(path) = &arguments.golden {
        let golden = Golden::read(path, &dictionary)?;
        report = golden.compare(&dictionary)?;
        if report.is_none() && arguments.out.is_none() {
            return Err(Error::request("expected `features` or `output` to compare with, found `x` alone")
                .hint("`--out FILE` writes what this program computes for `x`")
                .at(path.display()));
        }
        if let Some(out) = &arguments.out {
            golden.write(&dictionary, out)?;
        }
    }
    let judgement = judgement(&dictionary, &arguments, context)?;
    let firings = judgement.as_ref().map(|judgement| &judgement.firings[..]);
    let other = |name: &String| {
        let other = renamed(arguments.transcoder.dictionary(name, context)?, &arguments.rename)?;
        likeness(&dictionary, name, &other, firings)
    };
    let against = arguments.against.iter().map(other).collect::<Result<_>>()?;
    let answer = Answer {
        kind: dictionary.kind().name(),
        features: dictionary.features(),
        variants: dictionary.variants().to_vec(),
        d_model: dictionary.d_model(),
        hook: dictionary.hook().to_owned(),
        understood: Understood::of(&dictionary),
        golden: report,
        against,
        metrics: judgement.map(|judgement| judgement.rows).unwrap_or_default(),
    };
    if let Some(path) = &arguments.table {
        tables::write(path, &catalogue::DICTIONARIES, &answer.metrics)?;
    }
    context.printer.answer(&answer, || text(&answer))?;
    match &answer.golden {
        Some(report) if !report.holds() => Err(Error::work(format!(
            "expected equal supports and values within {TOLERANCE}, found {}",
            compared(report)
        ))),
        _ => Ok(()),
    }
}

/// The metrics on `--activations`, if given.
fn judgement(
    dictionary: &Dictionary,
    arguments: &CheckDictionaryArguments,
    context: &Context,
) -> Result<Option<Judgement>> {
    let Some(activations) = &arguments.activations else { return Ok(None) };
    if dictionary.kind().is_transcoder() != arguments.targets.is_some() {
        return Err(Error::request(format!(
            "a `{}` dictionary is judged {} `--targets`",
            dictionary.kind(),
            if dictionary.kind().is_transcoder() { "with" } else { "without" }
        ))
        .hint(
            "transcoders write other activations than they read, other kinds do not; --transcoder declares one whose files \
             do not say",
        ));
    }
    let open = |path: &PathBuf| import(path, if path.is_dir() { &[] } else { &arguments.variants });
    let store = open(activations)?;
    let target = arguments.targets.as_ref().map(open).transpose()?.unwrap_or_else(|| store.clone());
    if store.tokens() != target.tokens() || store.parts() != target.parts() {
        return Err(Error::request(format!(
            "expected two stores of the same tokens, found {} and {}",
            store.tokens(),
            target.tokens()
        ))
        .hint("capture both hooks on the same examples"));
    }
    let range = if arguments.all_tokens { 0..store.tokens() } else { store.held_out() };
    let models = named_models(&arguments.model, "--model", context)?;
    let mut judgement = judge(dictionary, &store, &target, range.clone())?;
    let stores = (&store, &target);
    add_splice_costs(&mut judgement.rows, dictionary, stores, &models, range, &context.observer)?;
    Ok(Some(judgement))
}

fn likeness(
    dictionary: &Dictionary,
    name: &str,
    other: &Dictionary,
    firings: Option<&[usize]>,
) -> Result<Likeness> {
    let best = stability(dictionary, other)?;
    let fires = |feature: usize| firings.is_none_or(|firings| firings[feature] > 0);
    let best: Vec<f32> = best
        .into_iter()
        .enumerate()
        .filter(|(feature, _)| fires(*feature))
        .map(|(_, cosine)| cosine)
        .collect();
    Ok(Likeness {
        dictionary: name.to_owned(),
        features: best.len(),
        mean_max_cosine: best.iter().map(|cosine| f64::from(*cosine)).sum::<f64>() / best.len().max(1) as f64,
        features_above_90_percent: best.iter().filter(|cosine| **cosine > 0.9).count(),
    })
}

/// What was compared, and how far apart it is.
fn compared(report: &GoldenReport) -> String {
    let parts = [
        report.support_differs.map(|count| format!("{count} supports that differ")),
        report.features_differ.map(|gap| format!("features up to {gap:.1e} apart")),
        report.output_differs.map(|gap| format!("outputs up to {gap:.1e} apart")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn text(answer: &Answer) -> String {
    let mut text = format!(
        "{}: {} features, width {}, over {}",
        answer.kind,
        answer.features,
        answer.d_model,
        answer.variants.join(", ")
    );
    text += &format!("\n{}", answer.understood.text(&answer.hook));
    if let Some(report) = &answer.golden {
        text += &format!("\n{} tokens: {}", report.tokens, compared(report));
    }
    for like in &answer.against {
        text += &format!(
            "\n{}: mean max cosine {:.3}, {} of {} features above .9{}",
            like.dictionary,
            like.mean_max_cosine,
            like.features_above_90_percent,
            like.features,
            if answer.metrics.is_empty() { "" } else { "; those that fire" }
        );
    }
    for row in &answer.metrics {
        text += &format!("\n{row}");
    }
    text
}
