//! `claims`: decides the declared hypotheses from the tables of an experiment.

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::claims::{ClaimRow, ClaimSettings, Fitness, decide};
use crate::dictionaries::DictionaryRow;
use crate::error::{Result, io};
use crate::evaluation::EvaluationRow;
use crate::experiments::EffectRow;
use crate::tables::{self, catalogue};
use std::path::PathBuf;

/// The flags of `claims`.
#[derive(clap::Args)]
pub(crate) struct ClaimsArguments {
    /// A folder with `effects.parquet`, `controls.parquet` and `differences.parquet`.
    #[arg(long, value_name = "DIR")]
    tables: PathBuf,
    /// `evaluations.parquet` of base and the receivers, all in one or, by `eval`, one each (the flag may be repeated):
    /// whether a receiver still works well enough for a claim about its safety. Without it no such claim is made.
    #[arg(long, value_name = "FILE")]
    evaluations: Vec<PathBuf>,
    /// `dictionaries.parquet`: whether the dictionary explains enough of what changed for a claim about absence.
    #[arg(long, value_name = "FILE")]
    dictionaries: Option<PathBuf>,
    /// The name of the base in the evaluations.
    #[arg(long, default_value = "base", value_name = "VARIANT")]
    base: String,
    /// Receives `claims.parquet`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    seed: SeedFlag,
    #[command(flatten)]
    set: SetFlag,
}

pub(crate) fn claims(arguments: ClaimsArguments, context: &Context) -> Result<()> {
    let settings = arguments.set.apply(&ClaimSettings::default())?;
    let effects: Vec<EffectRow> = tables::read(&arguments.tables.join("effects.parquet"))?;
    let controls = tables::read(&arguments.tables.join("controls.parquet"))?;
    let differences = tables::read(&arguments.tables.join("differences.parquet"))?;
    let mut evaluations: Vec<EvaluationRow> = Vec::new();
    for file in &arguments.evaluations {
        evaluations.extend(tables::read::<EvaluationRow>(file)?);
    }
    let dictionaries: Vec<DictionaryRow> =
        arguments.dictionaries.as_deref().map(tables::read).transpose()?.unwrap_or_default();
    let fitness = Fitness::of_receivers(&effects, &evaluations, &dictionaries, &arguments.base);
    let claims = decide(&effects, &controls, &differences, &fitness, &settings, arguments.seed.seed)?;
    std::fs::create_dir_all(&arguments.out).map_err(|error| io("create", &arguments.out, error))?;
    tables::write(&arguments.out.join("claims.parquet"), &catalogue::CLAIMS, &claims)?;
    context.printer.answer(&claims, || claims.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn line(claim: &ClaimRow) -> String {
    let end = |end: Option<f64>| end.map_or("?".to_owned(), |end| format!("{end:+.3}"));
    format!(
        "{}: {} ({})\n    {} in {}, {} of {}: effect {:+.3} [{}, {}], p {:.4}, corrected {:.4} ({})",
        claim.hypothesis,
        claim.verdict.name(),
        claim.reason,
        claim.set,
        claim.receiver,
        claim.endpoint,
        claim.suite,
        claim.effect,
        end(claim.ci_low),
        end(claim.ci_high),
        claim.p,
        claim.p_corrected,
        claim.correction
    )
}
