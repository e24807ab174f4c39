//! `deltascope eval`: samples a model on suites, scores it, and writes tables.

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::error::{At, Error, Result, io};
use crate::evaluation::{self, EvaluationRow, EvaluationSettings, OutcomeRow};
use crate::model::hub;
use crate::tables::{self, catalogue};
use crate::tasks::Suite;
use std::path::{Path, PathBuf};

/// Flags of `eval`.
#[derive(clap::Args)]
pub(crate) struct EvalArguments {
    /// A model repository: a folder, or a name on the hub.
    #[arg(long, value_name = "DIR_OR_NAME")]
    model: String,
    /// The suites, separated by commas; all by default.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    suites: Vec<String>,
    /// What the tables call the model; the folder's name by default.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where to write evaluations, outcomes and patterns (*.parquet) and results.json.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    seed: SeedFlag,
    #[command(flatten)]
    set: SetFlag,
}

/// Evaluates the model.
pub(crate) fn eval(arguments: EvalArguments, context: &Context) -> Result<()> {
    let settings = arguments.set.apply(&EvaluationSettings::default())?;
    let names = arguments.suites.iter().map(String::as_str);
    let suites =
        if arguments.suites.is_empty() { Suite::names().collect() } else { names.collect::<Vec<_>>() };
    let suites = suites.into_iter().map(Suite::parse).collect::<Result<Vec<_>>>().at("--suites")?;
    let name = arguments.name.unwrap_or_else(|| {
        let last = Path::new(&arguments.model).file_name();
        last.map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
    });
    let model = context.model(&hub::find(&arguments.model)?)?;
    let seed = arguments.seed.seed;
    let outcomes = evaluation::evaluate(&model, &suites, &settings, seed, &context.observer)?;
    let rows = evaluation::summarise(&name, 0, &outcomes);
    if let Some(folder) = &arguments.out {
        let row = |outcome| OutcomeRow::new(&name, 0, evaluation::PLAIN, outcome);
        let outcome_rows: Vec<OutcomeRow> = outcomes.iter().map(row).collect();
        std::fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
        tables::write(&folder.join("evaluations.parquet"), &catalogue::EVALUATIONS, &rows)?;
        tables::write(&folder.join("outcomes.parquet"), &catalogue::OUTCOMES, &outcome_rows)?;
        let patterns = evaluation::patterns(&outcome_rows, seed);
        tables::write(&folder.join("patterns.parquet"), &catalogue::PATTERNS, &patterns)?;
        let results = evaluation::lm_eval_results(&arguments.model, &outcomes);
        write_json(&folder.join("results.json"), &results)?;
    }
    let shown: Vec<&EvaluationRow> = rows.iter().filter(|row| row.half == "all").collect();
    context.printer.answer(&shown, || table(&shown))
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::work(format!("results cannot be written as JSON: {error}")))?;
    std::fs::write(path, text + "\n").map_err(|error| io("write", path, error))
}

fn table(rows: &[&EvaluationRow]) -> String {
    let header = format!(
        "{:<28}{:<18}{:>8}  {:<18}{:>9}{:>9}\n",
        "suite", "endpoint", "mean", "95 % interval", "problems", "cut off"
    );
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    rows.iter().fold(header, |text, row| {
        let interval = format!("[{}, {}]", number(row.ci_low), number(row.ci_high));
        text + &format!(
            "{:<28}{:<18}{:>8}  {:<18}{:>9}{:>9}\n",
            row.suite,
            row.endpoint,
            number(row.value),
            interval,
            row.problems,
            number(row.truncated)
        )
    })
}
