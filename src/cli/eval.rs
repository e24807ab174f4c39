//! `deltascope eval`: samples a model on suites, scores it, and writes tables.

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::error::{At, Error, Result, io};
use crate::evaluation::{self, AgreementRow, DisagreementRow, EvaluationRow, EvaluationSettings, OutcomeRow};
use crate::model::hub;
use crate::tables::{self, catalogue};
use crate::tasks::{Label, Stated, Suite};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Flags of `eval`.
#[derive(clap::Args)]
pub(crate) struct EvalArguments {
    /// A model repository: a folder, or a name on the hub.
    #[arg(long, value_name = "DIR_OR_NAME")]
    model: String,
    /// The suites, separated by commas; by default all that the model can be asked. How a built-in one is said follows the
    /// model; `countdown:as=text` states it (symbols, plain, chat, text).
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    suites: Vec<String>,
    /// What the tables call the model; the folder's name by default.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where to write evaluations, outcomes and patterns (*.parquet) and results.json; where a judge is compared with the
    /// word rule, also agreements and disagreements.
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
    let mut suites = names.map(Suite::parse).collect::<Result<Vec<_>>>().at("--suites")?;
    let name = arguments.name.unwrap_or_else(|| {
        let last = Path::new(&arguments.model).file_name();
        last.map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
    });
    let model = context.reading(&hub::find(&arguments.model)?)?;
    let tokenizer = model.tokenizer()?;
    if suites.is_empty() {
        suites = Suite::all_for(tokenizer);
    }
    let rendered = suites.iter().map(|suite| suite.said_to(tokenizer, Stated::default()));
    let suites = rendered.collect::<Result<Vec<_>>>().at("--suites")?;
    suites.iter().flat_map(Suite::notes).for_each(|note| context.printer.note(note));
    let seed = arguments.seed.seed;
    let outcomes = evaluation::evaluate(&model, &suites, &settings, seed, &context.observer)?;
    let rows = evaluation::summarise(&name, 0, &outcomes);
    let (agreements, disagreements) = evaluation::agreement(&name, 0, &suites, &outcomes);
    evaluation::missing(&outcomes).into_iter().for_each(|note| context.printer.note(note));
    if let Some(folder) = &arguments.out {
        let row = |outcome| OutcomeRow::new(&name, 0, evaluation::PLAIN, outcome);
        let outcome_rows: Vec<OutcomeRow> = outcomes.iter().map(row).collect();
        std::fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
        tables::write(&folder.join("evaluations.parquet"), &catalogue::EVALUATIONS, &rows)?;
        tables::write(&folder.join("outcomes.parquet"), &catalogue::OUTCOMES, &outcome_rows)?;
        let patterns = evaluation::patterns(&outcome_rows, seed);
        tables::write(&folder.join("patterns.parquet"), &catalogue::PATTERNS, &patterns)?;
        if !agreements.is_empty() {
            tables::write(&folder.join("agreements.parquet"), &catalogue::AGREEMENTS, &agreements)?;
            tables::write(&folder.join("disagreements.parquet"), &catalogue::DISAGREEMENTS, &disagreements)?;
        }
        let results = evaluation::lm_eval_results(&arguments.model, &outcomes);
        write_json(&folder.join("results.json"), &results)?;
    }
    let evaluations: Vec<EvaluationRow> = rows.into_iter().filter(|row| row.half == "all").collect();
    let answer = Answer { evaluations, agreements, disagreements };
    context.printer.answer(&answer, || {
        let agreements = answer.agreements.iter().map(|row| said(row, &answer.disagreements));
        table(&answer.evaluations) + &agreements.collect::<String>()
    })
}

/// What the verb answers; the last two where a judge is compared with the word rule.
#[derive(Serialize)]
struct Answer {
    evaluations: Vec<EvaluationRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agreements: Vec<AgreementRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disagreements: Vec<DisagreementRow>,
}

/// Completions shown in each direction of disagreement; the table holds them all.
const EXAMPLES: usize = 3;

/// How far a judge agrees with the word rule, with what they differ about.
fn said(row: &AgreementRow, disagreements: &[DisagreementRow]) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    let mut text = format!(
        "\n{}: judge and word rule label {} of {} completions alike ({} without a verdict), kappa {} [{}, {}]; {} refuse by \
         both, {} by the judge alone, {} by the rule alone\n",
        row.suite,
        (row.agreed.unwrap_or(0.0) * row.completions as f64).round(),
        row.completions,
        row.missing,
        number(row.kappa),
        number(row.ci_low),
        number(row.ci_high),
        row.refused_by_both,
        row.refused_by_judge_only,
        row.refused_by_rule_only,
    );
    let refuse = Label::Refuse.name();
    let here = || disagreements.iter().filter(|differing| differing.suite == row.suite);
    let directions: [Vec<&DisagreementRow>; 3] = [
        here().filter(|differing| differing.judge == refuse).collect(),
        here().filter(|differing| differing.rule == refuse).collect(),
        here().filter(|differing| differing.judge != refuse && differing.rule != refuse).collect(),
    ];
    for differing in directions.iter().flat_map(|all| all.iter().take(EXAMPLES)) {
        let short = |text: &str| format!("{:?}", text.chars().take(90).collect::<String>());
        text += &format!(
            "  judge {}, rule {}: {} -> {}\n",
            differing.judge,
            differing.rule,
            short(&differing.prompt),
            short(&differing.completion)
        );
    }
    text
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::work(format!("results cannot be written as JSON: {error}")))?;
    std::fs::write(path, text + "\n").map_err(|error| io("write", path, error))
}

fn table(rows: &[EvaluationRow]) -> String {
    // Names of files are as long as they are.
    let width = rows.iter().map(|row| row.suite.chars().count()).max().unwrap_or(0).max(26) + 2;
    let header = format!(
        "{:<width$}{:<18}{:>8}  {:<18}{:>9}{:>9}\n",
        "suite", "endpoint", "mean", "95 % interval", "problems", "cut off"
    );
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    rows.iter().fold(header, |text, row| {
        let interval = format!("[{}, {}]", number(row.ci_low), number(row.ci_high));
        text + &format!(
            "{:<width$}{:<18}{:>8}  {:<18}{:>9}{:>9}\n",
            row.suite,
            row.endpoint,
            number(row.value),
            interval,
            row.problems,
            number(row.truncated)
        )
    })
}
