//! Over training seeds: the mean of each variant's runs along training, and methods beside each other.

use super::curve::{legend, panel};
use super::main_rows;
use crate::error::Result;
use crate::evaluation::{ComparisonRow, EvaluationRow, SeedRow};
use crate::report::data::Data;
use crate::report::figure::Figure;
use crate::report::numbers::p_value;
use crate::report::panel::Panel;
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Sheet, Tone};

const COLUMNS: [(&str, &str); 8] = [
    ("Suite", "Its name in the study, and its main endpoint"),
    ("Variant", "At the end of its training"),
    ("Compared with", "The first variant of the study with as many seeds"),
    ("Difference#", "Mean over pairs of runs with equal training seed"),
    ("95 % interval", "Student's t over pairs of runs"),
    ("p#", "Exact two-sided sign flip over pairs of runs"),
    ("p, Holm#", "Corrected over the variants compared on the suite"),
    ("Verdict", "Too few seeds: no outcome could have decided"),
];

/// The figure and the table, where variants were trained with several seeds.
pub(super) fn blocks(data: &Data, suites: &[String]) -> Result<Vec<Block>> {
    let Some(first) = data.seeds.first() else { return Ok(Vec::new()) };
    let panels: Vec<Panel> = suites.iter().filter_map(|suite| curve(data, suite)).collect();
    let caption = format!(
        "Means over training seeds of the main endpoint of each suite (n = {} runs a variant). Bands are 95 % intervals over runs: Student's t. All else on this page is of the first training seed, but for what says that it is over seeds, and the budgets.",
        first.seeds,
    );
    let figure =
        Figure::new("over-seeds", "Over training seeds", caption, &panels)?.with_legend(legend(data));
    let mut blocks = vec![Block::Figure(figure)];
    if !data.comparisons.is_empty() {
        blocks.push(Block::Table(sheet(&data.comparisons, data)));
    }
    Ok(blocks)
}

/// The main endpoint of a suite over runs, drawn as that of one run is.
fn curve(data: &Data, suite: &str) -> Option<Panel> {
    let main = main_rows(data, suite);
    let endpoint = main.first()?.endpoint.clone();
    let mut rows: Vec<EvaluationRow> =
        main.iter().filter(|row| row.variant == data.base()).map(|row| (*row).clone()).collect();
    let own = data.seeds.iter().filter(|row| row.suite == suite && row.endpoint == endpoint);
    rows.extend(own.map(as_evaluation));
    let title = format!("{suite} \u{b7} {}", data.role(suite));
    panel(data, &title, &rows.iter().collect::<Vec<_>>())
}

fn as_evaluation(row: &SeedRow) -> EvaluationRow {
    EvaluationRow {
        variant: row.variant.clone(),
        checkpoint: row.checkpoint,
        suite: row.suite.clone(),
        half: "measure".to_owned(),
        endpoint: row.endpoint.clone(),
        value: row.value,
        ci_low: row.ci_low,
        ci_high: row.ci_high,
        problems: row.seeds,
        samples: row.seeds,
        truncated: None,
    }
}

fn sheet(rows: &[ComparisonRow], data: &Data) -> Sheet {
    let caption = "Methods beside each other, at their ends, by training seed. A difference that is undecided is not shown to be none.";
    let mut sheet = Sheet::new("methods", caption, &COLUMNS).sortable();
    for row in rows {
        let scale = Scale::of(&row.endpoint);
        let difference = row.difference.map_or_else(
            || Cell::text("n/a"),
            |difference| Cell::number(scale.difference(difference), difference),
        );
        let interval = row
            .ci_low
            .zip(row.ci_high)
            .map_or_else(|| "n/a".to_owned(), |(low, high)| scale.interval(low, high));
        let decided = ["higher", "lower"].contains(&row.verdict.as_str());
        sheet.rows.push(vec![
            Cell::text(format!("{} \u{b7} {}", row.suite, row.endpoint.replace('_', " "))),
            Cell::text(&row.variant).coloured(data.colour(&row.variant)),
            Cell::text(&row.reference).coloured(data.colour(&row.reference)),
            difference,
            Cell::text(interval),
            Cell::number(p_value(row.p), row.p),
            Cell::number(p_value(row.p_corrected), row.p_corrected),
            Cell::text(&row.verdict).toned(if decided { Tone::Shown } else { Tone::Open }),
        ]);
    }
    sheet
}
