//! What is understood of a file before a long run: its first rows as tokens, what of them is learned, what is cut, which
//! columns were read, and as what the stated answers were read.

use super::dataset::{Dataset, Reading};
use super::lesson::Lesson;
use super::problem::{Document, Pair};
use super::suite::Suite;
use crate::error::{Error, Result};
use crate::model::Tokenizer;
use crate::tables;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What a file is read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Rows that are learned.
    Documents,
    /// Preferences.
    Pairs,
    /// Problems whose answers are judged by this rule, as in a suite's name after `reward=`.
    Problems(String),
}

/// What was understood of a file.
#[derive(Clone, Debug, Serialize)]
pub struct Understood {
    /// The rows of the file.
    pub rows: usize,
    /// The layouts that its rows have, with how many each.
    pub layouts: BTreeMap<String, usize>,
    /// What is trained on: documents, pairs, or problems. A row may make several.
    pub examples: usize,
    /// Of these, how many are cut at the limit on tokens.
    pub cut: usize,
    /// And how many are left out, because the limit leaves nothing of them to learn.
    pub left_out: usize,
    /// Rows whose prompts alone are encoded in another way than before their answers.
    pub parted: usize,
    /// Columns that were read, or that say nothing.
    pub columns: Vec<String>,
    /// Columns that were left out.
    pub columns_left_out: Vec<String>,
    /// Tokens of a whole example.
    pub tokens: Lengths,
    /// Tokens that are learned of one; of problems none are.
    pub learned: Lengths,
    /// As what the stated answers were read, with how many problems each.
    pub answers: BTreeMap<String, usize>,
    /// The first problems whose stated answers are judged wrong when a model repeats them.
    pub refuted: Vec<String>,
    /// The first examples; of a pair the chosen response, then the rejected one.
    pub shown: Vec<Vec<Piece>>,
    /// What an answer must say beside.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// How lengths are distributed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// The least of them.
    pub least: usize,
    /// Half of them are no longer.
    pub median: usize,
    /// Nine in ten are no longer.
    pub nine_in_ten: usize,
    /// The greatest.
    pub most: usize,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Its id.
    pub id: u32,
    /// As it stands in the vocabulary.
    pub token: String,
    /// Whether it is learned.
    pub learned: bool,
    /// Whether it lies beyond the limit.
    pub cut: bool,
}

impl Lengths {
    fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        let at = |share: f64| {
            let place = (share * lengths.len() as f64).ceil() as usize;
            lengths.get(place.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { least: at(0.0), median: at(0.5), nine_in_ten: at(0.9), most: at(1.0) }
    }
}

/// Reads a file for a model with this tokenizer; `shown` of its examples are kept as tokens, and `limit` is the most
/// tokens of one.
///
/// # Errors
/// If the file cannot be read for that.
pub fn understood(
    path: &Path,
    tokenizer: &Tokenizer,
    reads: Option<Reads>,
    shown: usize,
    limit: usize,
) -> Result<Understood> {
    let reads = match reads {
        Some(reads) => reads,
        None if has_column(path, "chosen")? => Reads::Pairs,
        None => Reads::Documents,
    };
    match reads {
        Reads::Documents => {
            let data = Dataset::documents(path, tokenizer)?;
            Ok(of_lessons(&data, documents, shown, limit, tokenizer))
        }
        Reads::Pairs => {
            let data = Dataset::pairs(path, tokenizer)?;
            Ok(of_lessons(&data, pairs, shown, limit, tokenizer))
        }
        Reads::Problems(rule) => of_problems(path, tokenizer, &rule, shown),
    }
}

fn has_column(path: &Path, name: &str) -> Result<bool> {
    Ok(tables::read_rows(path)?.first().is_some_and(|row| row.get(name).is_some()))
}

fn documents(document: &Document) -> Vec<&Lesson> {
    document.lesson.iter().collect()
}

fn pairs(pair: &Pair) -> Vec<&Lesson> {
    pair.chosen.lesson.iter().chain(&pair.rejected.lesson).collect()
}

fn of_lessons<T: Clone>(
    data: &Dataset<T>,
    lessons: impl Fn(&T) -> Vec<&Lesson>,
    shown: usize,
    limit: usize,
    tokenizer: &Tokenizer,
) -> Understood {
    let Reading { rows, layouts, columns, parted, .. } = data.reading();
    let each: Vec<Vec<&Lesson>> = data.items().iter().map(lessons).collect();
    let is_left_out = |lessons: &&Vec<&Lesson>| lessons.iter().any(|lesson| lesson.begins() >= limit);
    let is_cut = |lessons: &&Vec<&Lesson>| lessons.iter().any(|lesson| lesson.tokens().len() > limit);
    let left_out = each.iter().filter(is_left_out).count();
    let all = || each.iter().flatten();
    let learned = |lesson: &&Lesson| lesson.learned().iter().map(ExactSizeIterator::len).sum();
    Understood {
        rows: *rows,
        layouts: layouts.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect(),
        examples: each.len(),
        cut: each.iter().filter(is_cut).count() - left_out,
        left_out,
        parted: *parted,
        columns: columns.read(),
        columns_left_out: columns.left_out(),
        tokens: Lengths::of(all().map(|lesson| lesson.tokens().len()).collect()),
        learned: Lengths::of(all().map(learned).collect()),
        answers: BTreeMap::new(),
        refuted: Vec::new(),
        shown: each
            .iter()
            .take(shown)
            .flatten()
            .map(|lesson| {
                let is_learned = |place| lesson.learned().iter().any(|range| range.contains(&place));
                pieces(lesson.tokens(), is_learned, limit, tokenizer)
            })
            .collect(),
        notes: data.notes().to_vec(),
    }
}

fn of_problems(path: &Path, tokenizer: &Tokenizer, rule: &str, shown: usize) -> Result<Understood> {
    let suite = Suite::parse(&format!("{}:rows=all:reward={rule}", path.display()))?;
    let external = suite.external().ok_or_else(|| {
        Error::request(format!("{}: expected a file of problems, .jsonl or .parquet", path.display()))
    })?;
    let problems = external.all();
    let asked = problems.iter().map(|problem| problem.tokens(tokenizer)).collect::<Result<Vec<_>>>()?;
    let columns = external.columns();
    Ok(Understood {
        rows: problems.len(),
        layouts: [("problems".to_owned(), problems.len())].into(),
        examples: problems.len(),
        cut: 0,
        left_out: 0,
        parted: 0,
        columns: columns.read(),
        columns_left_out: columns.left_out(),
        tokens: Lengths::of(asked.iter().map(Vec::len).collect()),
        learned: Lengths::default(),
        answers: external.answers().into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect(),
        refuted: external.refuted().into_iter().map(str::to_owned).collect(),
        shown: asked
            .iter()
            .take(shown)
            .map(|tokens| pieces(tokens, |_| false, usize::MAX, tokenizer))
            .collect(),
        notes: suite.notes(),
    })
}

fn pieces(
    tokens: &[u32],
    is_learned: impl Fn(usize) -> bool,
    limit: usize,
    tokenizer: &Tokenizer,
) -> Vec<Piece> {
    let piece = |(place, id): (usize, &u32)| Piece {
        id: *id,
        token: tokenizer.token(*id).unwrap_or_else(|| format!("<{id}>")),
        learned: is_learned(place),
        cut: place >= limit,
    };
    tokens.iter().enumerate().map(piece).collect()
}
