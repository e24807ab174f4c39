//! `intervene`: the experiments of a study alone, on models, a dictionary and suites that are given.

use super::Context;
use super::flags::{SeedFlag, SetFlag, TranscoderFlag, named_models};
use crate::dictionaries::NoteRow;
use crate::diff::FeatureRow;
use crate::error::{At, Error, Result, io};
use crate::experiments::{self, EffectRow, ExperimentInputs, neutral_texts};
use crate::model::HookPoint;
use crate::study::Experiment;
use crate::tables;
use std::path::{Path, PathBuf};

/// The flags of `intervene`.
#[derive(clap::Args)]
pub(crate) struct InterveneArguments {
    /// A file with the sections [suites], [interventions] and [[hypothesis]] of a study; a study will do. Variants
    /// are named as the dictionary names them.
    file: PathBuf,
    /// A variant's model, as in `--model base=runs/base`; all that the dictionary was fitted over.
    #[arg(long, value_name = "VARIANT=DIR", required = true)]
    model: Vec<String>,
    /// The dictionary. Without one only directions and heads can be edited.
    #[arg(long, value_name = "DIR_OR_NAME")]
    dictionary: Option<String>,
    #[command(flatten)]
    transcoder: TranscoderFlag,
    /// `features.parquet` of `diff`, for sets and controls by class.
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,
    /// The variant before post-training.
    #[arg(long, default_value = "base", value_name = "VARIANT")]
    base: String,
    /// Where directions are edited [default: the dictionary's hook, else the end of the middle block].
    #[arg(long, value_name = "HOOK")]
    hook: Option<HookPoint>,
    /// Neutral texts, one JSON object a line with `text`, on which the cross-entropy under every edit is
    /// measured [default: the microcosm's, where the models know its words].
    #[arg(long, value_name = "FILE.jsonl")]
    neutral: Option<PathBuf>,
    /// Receives effects, controls, differences, sets, trends, outcomes and timings (*.parquet).
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    seed: SeedFlag,
    /// Overrides of the file, as in `--set interventions.controls=19`.
    #[command(flatten)]
    set: SetFlag,
}

pub(crate) fn intervene(arguments: InterveneArguments, context: &Context) -> Result<()> {
    let experiment = Experiment::load(&arguments.file, &arguments.set.set)?;
    let models = named_models(&arguments.model, "--model", context)?;
    let dictionary = arguments
        .dictionary
        .as_deref()
        .map(|name| arguments.transcoder.dictionary(name, context))
        .transpose()?;
    let hook = match (&arguments.hook, &dictionary) {
        (Some(hook), _) => *hook,
        (None, Some(dictionary)) => dictionary.hook().parse().at("the dictionary")?,
        (None, None) => {
            HookPoint::resid_post(models.first().map_or(0, |(_, model)| model.config().layers() / 2))
        }
    };
    let Some((_, base)) = models.iter().find(|(name, _)| *name == arguments.base) else {
        let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::request(format!("`--base`: no model is called `{}`", arguments.base))
            .hint(format!("the models are {}", names.join(", "))));
    };
    let experiment = match base.tokenizer() {
        Ok(tokenizer) => experiment.said_to(tokenizer).at(arguments.file.display())?,
        Err(_) => experiment,
    };
    let notes = dictionary.as_ref().map(NoteRow::of).unwrap_or_default();
    let seed = arguments.seed.seed;
    let file = arguments.neutral.clone().or_else(|| experiment.settings.neutral.as_ref().map(PathBuf::from));
    let neutral = neutral_texts(base, seed, experiment.settings.neutral_texts, file.as_deref())?;
    let features: Vec<FeatureRow> =
        arguments.features.as_deref().map(tables::read).transpose()?.unwrap_or_default();
    let inputs = ExperimentInputs {
        classes: features.iter().map(|row| row.class.name().to_owned()).collect(),
        suites: experiment.suites.by_axis().map(|(axis, suite)| (axis, suite.clone())).collect(),
        base: arguments.base.clone(),
        models,
        dictionary,
        hook,
        neutral,
    };
    let found =
        experiments::run(&inputs, &experiment.hypotheses, &experiment.settings, seed, &context.observer)
            .at(arguments.file.display())?;
    std::fs::create_dir_all(&arguments.out).map_err(|error| io("create", &arguments.out, error))?;
    found.write(&arguments.out)?;
    if !notes.is_empty() {
        tables::write(&arguments.out.join("notes.parquet"), &tables::catalogue::NOTES, &notes)?;
    }
    let declared: Vec<&EffectRow> = found.effects.iter().filter(|row| row.declared).collect();
    context.printer.answer(&declared, || text(&declared, &arguments.out))
}

fn text(declared: &[&EffectRow], out: &Path) -> String {
    let lines: String = declared.iter().map(|row| line(row) + "\n").collect();
    lines + &format!("exploratory until `deltascope claims --tables {}` decides", out.display())
}

fn line(row: &EffectRow) -> String {
    if row.untestable {
        return format!("{}: untestable, the edit wrote next to nothing", row.hypothesis);
    }
    format!(
        "{}: {} of {} {:.3} -> {:.3}, effect {:+.3} [{:+.3}, {:+.3}] over {} problems, {} matched controls",
        row.hypothesis,
        row.endpoint,
        row.suite,
        row.baseline,
        row.edited,
        row.effect,
        row.ci_low,
        row.ci_high,
        row.problems,
        row.controls
    )
}
