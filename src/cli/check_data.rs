//! `check data`: what is understood of a file before a long run.

use super::Context;
use crate::error::{Error, Result};
use crate::model::{Tokenizer, hub};
use crate::tasks::{Lengths, Piece, Reads, Understood, understood};
use crate::training::{PostTraining, SftSettings};
use serde::Serialize;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::PathBuf;

/// The most tokens of a row that are printed; `--json` holds all.
const PRINTED: usize = 400;

/// The flags of `check data`.
#[derive(clap::Args)]
pub(crate) struct CheckDataArguments {
    /// The file: `.jsonl` or `.parquet`.
    file: PathBuf,
    /// Whose tokenizer and chat template read it: a folder, or a name on the hub.
    #[arg(long, value_name = "DIR_OR_NAME")]
    model: String,
    /// What it is for: sft, dpo, or, with --reward, a method that samples. By default what its columns say.
    #[arg(long)]
    method: Option<String>,
    /// How the answers of problems are judged, as in a suite's name: exact, number, math, regex, expression,
    /// refusal, compliance, command:PROGRAM, judge:FILE.toml.
    #[arg(long, value_name = "RULE")]
    reward: Option<String>,
    /// Rows that are shown as tokens.
    #[arg(long, default_value_t = 3)]
    rows: usize,
    /// Tokens of a row at most, as in the settings of training.
    #[arg(long, default_value_t = SftSettings::default().max_tokens)]
    max_tokens: usize,
}

#[derive(Serialize)]
struct Answer {
    file: PathBuf,
    #[serde(flatten)]
    understood: Understood,
}

pub(crate) fn check_data(arguments: CheckDataArguments, context: &Context) -> Result<()> {
    let reads = match (arguments.method.as_deref(), &arguments.reward) {
        (None, None) => None,
        (Some("sft"), None) => Some(Reads::Documents),
        (Some("dpo"), None) => Some(Reads::Pairs),
        (Some("sft"), Some(_)) => {
            return Err(
                Error::request("--reward: nothing is rewarded in sft").hint("leave out one of the two")
            );
        }
        (_, Some(rule)) => Some(Reads::Problems(rule.clone())),
        (Some(method), None) => {
            return Err(match PostTraining::names().contains(&method) {
                true => Error::request(format!("--method {method}: it samples answers to problems"))
                    .hint("say how they are judged, as in --reward number"),
                false => Error::request(format!("--method: expected a way of training, found `{method}`"))
                    .hint(format!("one of {}", PostTraining::names().join(", "))),
            });
        }
    };
    let tokenizer = Tokenizer::load(&hub::find(&arguments.model)?)?;
    context.printer.notes(tokenizer.notes());
    context.printer.note(tokenizer.rule());
    let mut understood =
        understood(&arguments.file, &tokenizer, reads, arguments.rows, arguments.max_tokens)?;
    std::mem::take(&mut understood.notes).into_iter().for_each(|note| context.printer.note(note));
    let answer = Answer { file: arguments.file, understood };
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    context.printer.answer(&answer, || text(&answer, arguments.max_tokens, colour))
}

fn text(answer: &Answer, limit: usize, colour: bool) -> String {
    let of = &answer.understood;
    let mut text = String::new();
    for (number, row) in of.shown.iter().enumerate() {
        let _ = writeln!(text, "{}: {}", number + 1, line(row, colour));
    }
    let layouts: Vec<String> = of.layouts.iter().map(|(name, rows)| format!("{name} ({rows})")).collect();
    let _ = writeln!(text, "{}: {} rows, read as {}", answer.file.display(), of.rows, layouts.join(", "));
    let _ = writeln!(text, "examples: {}, {} tokens each", of.examples, lengths(&of.tokens));
    if of.learned.most > 0 {
        let _ = writeln!(text, "learned: {} tokens of each, in brackets above", lengths(&of.learned));
        let _ = writeln!(
            text,
            "cut at {limit} tokens: {}; left out, because nothing is left to learn: {}",
            of.cut, of.left_out
        );
    }
    for (kind, count) in &of.answers {
        let _ = writeln!(text, "answers read as {kind}: {count}");
    }
    if !of.answers.is_empty() {
        let _ = writeln!(text, "answers judged wrong when repeated: {}", of.refuted.len());
        for prompt in of.refuted.iter().take(3) {
            let _ = writeln!(text, "  {}", escaped(&prompt.chars().take(70).collect::<String>()));
        }
    }
    let _ = writeln!(text, "columns read: {}", escaped(&of.columns.join(", ")));
    if !of.columns_left_out.is_empty() {
        let _ = writeln!(text, "columns left out: {}", escaped(&of.columns_left_out.join(", ")));
    }
    text
}

fn lengths(of: &Lengths) -> String {
    format!("{} to {} (half up to {}, nine in ten up to {})", of.least, of.most, of.median, of.nine_in_ten)
}

/// The tokens with a space between; what is learned is green on a terminal and in brackets elsewhere.
fn line(row: &[Piece], colour: bool) -> String {
    // A bracket of the text is told from one that marks.
    let bare = |token: &str| match colour {
        true => escaped(token),
        false => escaped(token).replace('[', "\\[").replace(']', "\\]"),
    };
    let (open, close) = if colour { ("\u{1b}[32m", "\u{1b}[0m") } else { ("[ ", " ]") };
    let shown = row.iter().take_while(|piece| !piece.cut).take(PRINTED).collect::<Vec<_>>();
    let spans = shown.chunk_by(|one, two| one.learned == two.learned).map(|span| {
        let tokens = span.iter().map(|piece| bare(&piece.token)).collect::<Vec<_>>().join(" ");
        if span.first().is_some_and(|piece| piece.learned) {
            format!("{open}{tokens}{close}")
        } else {
            tokens
        }
    });
    let text = spans.collect::<Vec<_>>().join(" ");
    match row.len() - shown.len() {
        0 => text,
        more => format!("{text} … {more} more"),
    }
}

/// A text in which nothing moves the cursor, changes colours or turns the direction of writing.
fn escaped(text: &str) -> String {
    let hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .map(|letter| if hidden(letter) { letter.escape_default().to_string() } else { letter.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learned_stands_in_brackets_and_no_character_acts() {
        let piece = |token: &str, learned| Piece { id: 0, token: token.into(), learned, cut: false };
        let row =
            [piece("a", false), piece("\u{1b}2J", false), piece("b", true), piece("\u{202e}</s>", true)];
        assert_eq!(line(&row, false), "a \\u{1b}2J [ b \\u{202e}</s> ]");
        assert_eq!(line(&row[2..3], true), "\u{1b}[32mb\u{1b}[0m");
        assert_eq!(line(&[piece("[x]", true)], false), "[ \\[x\\] ]");
        let cut = [row[0].clone(), Piece { cut: true, ..row[2].clone() }];
        assert_eq!(line(&cut, false), "a … 1 more");
    }
}
