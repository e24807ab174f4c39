//! `deltascope report`: draws the page again from a folder of tables.

use super::Context;
use crate::error::Result;
use crate::report::{self, ReportInput, StudyFacts};
use std::path::PathBuf;

/// Flags of `report`.
#[derive(clap::Args)]
pub(crate) struct ReportArguments {
    /// A folder of tables (*.parquet), such as runs/quickstart/report/tables; may be repeated.
    #[arg(long, required = true, value_name = "DIR")]
    tables: Vec<PathBuf>,
    /// Where to write index.html and tables/.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Draws the page.
pub(crate) fn report(arguments: ReportArguments, context: &Context) -> Result<()> {
    let mut facts = StudyFacts::default();
    for folder in &arguments.tables {
        let found = StudyFacts::load(folder)?;
        if found != StudyFacts::default() {
            facts = found;
        }
    }
    report::build(
        &ReportInput { tables: arguments.tables, facts, ..ReportInput::default() },
        &arguments.out,
    )?;
    let page = arguments.out.join("index.html");
    context.printer.answer(&serde_json::json!({ "page": page }), || page.display().to_string())
}
