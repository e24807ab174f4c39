//! What stands beside a study: nulls, repetitions, how often the method is wrong where the truth is known, and the same
//! study of other bases.

use super::elsewhere;
use super::finding::interval;
use crate::claims::calibration::{Calibration, Level};
use crate::claims::{ClaimSettings, RepetitionRow};
use crate::report::beside::{BesideFact, Role};
use crate::report::data::Data;
use crate::report::numbers::p_value;
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Section, Sheet, Tone};

const COLUMNS: [(&str, &str); 6] = [
    ("Under", "The seed that was changed, or the null study"),
    ("Hypothesis", "The name in the study"),
    ("Receiver", "The variant whose forward pass is edited"),
    ("Verdict", "By the same rules"),
    ("Effect#", "Percentage points for shares, nats for log-odds, with its simultaneous interval"),
    ("p corrected#", "Corrected for the number of hypotheses"),
];

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let mut blocks = Vec::new();
    if !data.nulls.is_empty() || fact(data, Role::Null).is_some() {
        blocks.extend(null(data));
    }
    if !data.repetitions.is_empty() || fact(data, Role::Repeated).is_some() {
        blocks.extend(repetitions(data));
    }
    if !data.calibration.is_empty() || fact(data, Role::Calibration).is_some() {
        blocks.extend(calibration(data));
    }
    blocks.extend(elsewhere::blocks(data));
    let (id, title) = ("beside", title(data));
    match blocks.is_empty() {
        true => Section::absent(id, title, "nulls"),
        false => Section::new(id, title, blocks),
    }
}

/// What a study has beside it: what is said of its claims, or, where it makes none, the same study of other bases.
fn title(data: &Data) -> &'static str {
    match data.claims.is_empty() && !data.elsewhere.is_empty() {
        true => "The same study of other bases",
        false => "Nulls and stability",
    }
}

fn fact(data: &Data, role: Role) -> Option<&BesideFact> {
    data.facts.beside.iter().find(|fact| fact.role == role)
}

/// Where something was looked for and is not.
fn missing(fact: Option<&BesideFact>, what: &str) -> Option<Block> {
    let fact = fact?;
    let problem = fact.problem.as_ref()?;
    Some(Block::Caution(format!("No {what} is shown: of {} that was asked for, {problem}.", fact.place)))
}

fn null(data: &Data) -> Vec<Block> {
    let fact = fact(data, Role::Null);
    if let Some(block) = missing(fact, "null study") {
        return vec![block];
    }
    let carried = data.nulls.iter().filter(|row| row.verdict.carries()).count();
    let study = data.nulls.first().map_or("", |row| row.under.as_str());
    let base = match fact {
        Some(BesideFact { same: true, .. }) => "on this study\u{2019}s own base",
        _ => "on another base than this study\u{2019}s (another seed, setting or version made it)",
    };
    let words = format!(
        "The same questions where post-training changed nothing but the weights: the study {study}, {base}. Of its {} hypotheses {} found to carry anything; whatever is found there, this study would find where there is nothing.",
        data.nulls.len(),
        match carried {
            0 => "none is".to_owned(),
            1 => "one is".to_owned(),
            several => format!("{several} are"),
        },
    );
    let moved = fact.map(|fact| fact.moved.join("; ")).filter(|moved| !moved.is_empty());
    let words = moved.map_or(words.clone(), |moved| format!("{words} There, {moved}."));
    let caption = "Nulls. What the same procedure says of variants that learned nothing new.";
    vec![Block::Paragraph(words), Block::Table(sheet("nulls", caption, &data.nulls))]
}

fn repetitions(data: &Data) -> Vec<Block> {
    let fact = fact(data, Role::Repeated);
    if let Some(block) = missing(fact, "repetition") {
        return vec![block];
    }
    let mut blocks = Vec::new();
    if let Some(fact) = fact.filter(|fact| !fact.same) {
        blocks.push(Block::Caution(format!(
            "The study {} repeats other experiments than these: a setting or the version differs.",
            fact.study
        )));
    }
    let stable = data.stabilities();
    if !stable.is_empty() {
        blocks.push(Block::Paragraph(format!(
            "The same hypotheses under other seeds, each set chosen anew: the verdict, with an effect of the same sign, comes out for {}, this study counted in.",
            stable.join(", ")
        )));
    }
    let caption =
        "Repetitions. What came out under other seeds, of the dictionary\u{2019}s fit or of the training.";
    blocks.push(Block::Table(sheet("repetitions", caption, &data.repetitions)));
    blocks
}

fn sheet(name: &str, caption: &str, rows: &[RepetitionRow]) -> Sheet {
    let mut sheet = Sheet::new(name, caption, &COLUMNS);
    sheet.rows = rows.iter().map(cells).collect();
    sheet
}

fn cells(row: &RepetitionRow) -> Vec<Cell> {
    let scale = Scale::of(&row.endpoint);
    let effect = format!("{} ({})", scale.difference(row.effect), interval(scale, row.ci_low, row.ci_high));
    vec![
        Cell::text(&row.under),
        Cell::text(&row.hypothesis),
        Cell::text(&row.receiver),
        Cell::text(row.verdict.name()),
        Cell::number(effect, row.effect),
        Cell::number(p_value(row.p_corrected), row.p_corrected),
    ]
}

/// The counts of micro-worlds, with what is expected of a method that keeps its level.
fn calibration(data: &Data) -> Vec<Block> {
    if let Some(block) = missing(fact(data, Role::Calibration), "calibration") {
        return vec![block];
    }
    let columns = [
        ("What is counted", "Over studies in micro-worlds"),
        ("Activations#", "A formula answers"),
        ("Models#", "A decoder answers: the whole of the experiments"),
    ];
    let caption = "Calibration. The same procedure in micro-worlds whose truth is known (deltascope check calibration), each count beside what it should be.";
    let mut sheet = Sheet::new("calibration", caption, &columns);
    let alpha = ClaimSettings::default().alpha;
    let counted = Level::ALL.map(|level| Calibration::of(level, &data.calibration, alpha).counted());
    for (place, what) in Calibration::COUNTED.into_iter().enumerate() {
        let counts = counted.iter().filter_map(|counts| counts.get(place));
        let cell = |(count, holds): &(String, bool)| {
            Cell::text(count).toned(if *holds { Tone::Plain } else { Tone::Open })
        };
        sheet.rows.push(std::iter::once(Cell::text(what)).chain(counts.map(cell)).collect());
    }
    vec![Block::Table(sheet)]
}
