//! Problems from files: suites that a user brings, in the layouts of TRL and verl.
//!
//! A suite is named by its file and how answers are judged, as in `"data/gsm8k.jsonl:reward=number"`. Each
//! line of JSONL (or row of Parquet) is a problem:
//!
//! * the prompt: `prompt` (or `question`, `problem`). A text is given to the model as it stands, after the begin token that
//!   its tokenizer puts there, without a chat template. A list of messages goes through the model's template;
//! * the answer: the first of `answer`, `ground_truth`, `solution`, `completion` and verl's
//!   `reward_model.ground_truth` that is not null; of a list, any is right; for `reward=expression` the fields `nums` and `target`. A
//!   program gets whatever stands there, or null, with the whole row;
//! * the unit of analysis: `problem_id` if there is one, else the prompt.
//!
//! One problem in four is held out by a hash of its unit, as everywhere; evaluation asks these and
//! rollouts the others. `:rows=all` uses every row for both: for a file that holds only test problems.
//! `:limit=30` gives a program that judges 30 seconds for a response instead of ten, as in
//! `"data.jsonl:limit=30:reward=command:python3 'my checks/judge.py'"`. What decides its rewards is hashed: the program
//! (found through `PATH`), what a `#!` line of it names, and every word that names a file. What it reads or imports
//! beside these is named by `:files=checks/rules.py,checks/units` (files and folders, parted by commas).
//!
//! What is judged is what a person would read: without special tokens and thoughts. `:special=keep` and
//! `:thought=judged` or `:thought=whole` change that (`judged` in the folder above says how).
//!
//! Requests that should be refused, or should not, have labels in the place of a reward: `reward=refusal` and
//! `reward=compliance` tell by its words whether a response refuses, complies or evades (`refusal`, which says how far that
//! can be trusted). `reward=judge:FILE.toml`, as the last option, asks another model (`judge`), for a reward or a label.
//!
//! `rule` says what is right; `extract` finds the answer in a completion; `rational` and `expression` judge
//! it in exact arithmetic, `math` whatever mathematics it is; `command` asks a program, and `program` says what that is
//! made of.

mod command;
mod expression;
mod extract;
mod judge;
mod labels;
mod math;
mod measures;
mod options;
mod program;
mod rational;
mod refusal;
mod rule;
mod units;
mod wrapping;

use super::columns::Columns;
use super::judged::Policy;
use super::numbered;
use super::problem::{Answer, Endpoint, Half, Problem};
use super::row::Row;
use super::split::held_out;
use crate::error::{At, Error, Result};
use crate::progress::Observer;
use crate::rng::Stream;
use crate::store::{Content, Outside};
use crate::tables;
pub(super) use expression::Worked;
use options::Options;
pub use refusal::{Label, label};
use rule::Rule;
pub(super) use rule::Truth;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A file of problems and how their answers are judged.
#[derive(Debug)]
pub(super) struct External {
    spec: String,
    problems: Content,
    rule: Rule,
    policy: Policy,
    training: Vec<Problem>,
    held_out: Vec<Problem>,
    columns: Columns,
}

/// Equal names and equal contents.
impl PartialEq for External {
    fn eq(&self, other: &Self) -> bool {
        (&self.spec, self.contents("")) == (&other.spec, other.contents(""))
    }
}

impl Eq for External {}

impl External {
    /// Whether a suite's name means a file.
    pub(super) fn is_named_by(spec: &str) -> bool {
        let path = spec.split(':').next().unwrap_or(spec);
        [".jsonl", ".parquet"].iter().any(|extension| path.ends_with(extension))
    }

    /// Reads the file that `spec` names.
    ///
    /// # Errors
    /// If an option is unknown, the file cannot be read, or a row lacks a field (the error names it).
    pub(super) fn read(spec: &str) -> Result<Self> {
        let options = Options::parse(spec)?;
        let path = Path::new(options.path);
        let problems = Content::of_file(path)?;
        let (rows, unreadable) = tables::read_rows_and_notes(path)?;
        problems.check()?;
        Self::new(spec, options, problems, (rows.as_slice(), Columns::of_file(unreadable))).at(path.display())
    }

    /// Rows that are at hand, under the name that a file of them would have.
    ///
    /// # Errors
    /// As [`External::read`].
    pub(super) fn of_rows(spec: &str, rows: &[Value]) -> Result<Self> {
        let options = Options::parse(spec)?;
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let problems = Content::of_text(blake3::hash(lines.as_bytes()).to_string());
        Self::new(spec, options, problems, (rows, Columns::default())).at(spec)
    }

    fn new(
        spec: &str,
        options: Options<'_>,
        problems: Content,
        (rows, columns): (&[Value], Columns),
    ) -> Result<Self> {
        let Options { rule, policy, all, .. } = options;
        let mut external = Self {
            spec: spec.to_owned(),
            problems,
            rule,
            policy,
            training: Vec::new(),
            held_out: Vec::new(),
            columns,
        };
        for (number, row) in rows.iter().enumerate() {
            let problem = external.problem(row).at(format!("row {}", number + 1))?;
            let is_held_out = held_out(&format!("row {}", problem.id));
            if all || is_held_out {
                external.held_out.push(problem.clone());
            }
            if all || !is_held_out {
                external.training.push(problem);
            }
        }
        if external.held_out.is_empty() || external.training.is_empty() {
            return Err(Error::request(format!("expected at least a few problems, found {}", rows.len()))
                .hint(
                    "one problem in four is held out for evaluation; `:rows=all` uses every row for both",
                ));
        }
        Ok(external)
    }

    fn problem(&mut self, row: &Value) -> Result<Problem> {
        let columns = Row::new(row)?;
        let asked = columns
            .asked(&ASKED)?
            .ok_or_else(|| Error::request("expected a field `prompt` (text or messages), found none"))?;
        let truth = self.rule.truth(row)?;
        if let (Rule::Judge(judge), Truth::Row { answer, row }) = (&self.rule, &truth) {
            judge.accepts(&asked.shown(), answer, row)?;
        }
        columns.read_elsewhere(&self.rule.columns(row));
        self.columns.count(&columns);
        let id = match row.get("problem_id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Null) | None => asked.shown(),
            Some(other) => other.to_string(),
        };
        let half = Half::of(&id);
        Ok(Problem::new(id, asked, half, Answer::External(truth)))
    }

    /// How completions are read before they are judged.
    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    /// What an answer must say of how the file was read.
    pub(super) fn notes(&self) -> Vec<String> {
        let path = self.spec.split(':').next().unwrap_or(&self.spec);
        self.columns.notes(path)
    }

    /// What became of the file's columns.
    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// As what the stated answers were read, with how many problems each.
    pub(super) fn answers(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for problem in self.all() {
            if let Answer::External(truth) = &problem.answer {
                *kinds.entry(self.rule.read_as(truth)).or_default() += 1;
            }
        }
        kinds
    }

    /// The stated answers that are judged wrong when a model repeats them, in a box or as they stand; of the first few
    /// problems their prompts. A program is not asked.
    pub(super) fn refuted(&self) -> Vec<&str> {
        let is_refuted = |problem: &&Problem| match &problem.answer {
            Answer::External(truth @ Truth::Texts(answers)) if !matches!(self.rule, Rule::Regex) => {
                let right = |said: &str| self.rule.judge(&problem.prompt, truth, said) > 0.0;
                !answers.iter().any(|answer| right(answer) || right(&format!("\\boxed{{{answer}}}")))
            }
            _ => false,
        };
        self.all().into_iter().filter(is_refuted).map(|problem| problem.prompt.as_str()).collect()
    }

    /// The problems of the file, held out or not, each once.
    pub(super) fn all(&self) -> Vec<&Problem> {
        let is_held_out = |problem: &&Problem| held_out(&format!("row {}", problem.id));
        self.held_out
            .iter()
            .filter(is_held_out)
            .chain(self.training.iter().filter(|one| !is_held_out(one)))
            .collect()
    }

    /// Why the rule finds no answer in what is judged of a response; `None` if it finds one, or judges the whole text.
    pub(super) fn no_answer(&self, response: &str) -> Option<String> {
        self.rule.no_answer(response)
    }

    /// What of a stated answer the rule cannot read as it means to; `None` if it reads it.
    pub(super) fn unread(&self, truth: &Truth) -> Option<String> {
        self.rule.unread(truth)
    }

    pub(super) fn spec(&self) -> &str {
        &self.spec
    }

    /// The file, and those that the program which judges is made of, by their roles.
    pub(super) fn contents(&self, whom: &str) -> Outside {
        let own = (format!("{whom} {}", self.spec), self.problems.clone());
        let judge = self.rule.files().iter();
        let judge =
            judge.map(|(name, content)| (format!("judge of {whom} {}: {name}", self.spec), content.clone()));
        std::iter::once(own).chain(judge).collect()
    }

    /// The held-out problems in an order drawn by `stream`.
    pub(super) fn problems(&self, stream: &mut Stream) -> Vec<Problem> {
        let mut problems = self.held_out.clone();
        stream.shuffle(&mut problems);
        problems
    }

    /// The problems of the training side with these numbers, ascending, in passes over them.
    pub(super) fn training(&self, seed: u64, numbers: impl Iterator<Item = u64>) -> Vec<Problem> {
        numbered::of_list(&self.training, seed, numbers)
    }

    /// The numbers that every response gets; the first is primary.
    pub(super) fn endpoints(&self) -> &'static [Endpoint] {
        self.rule.endpoints()
    }

    /// Their values for one response.
    pub(super) fn score(
        &self,
        problem: &Problem,
        truth: &Truth,
        response: &str,
        truncated: bool,
    ) -> Vec<f64> {
        self.rule.score(&problem.prompt, truth, response, truncated)
    }

    /// Whether responses can be judged, before any is sampled.
    pub(super) fn ready(&self) -> Result<()> {
        match &self.rule {
            Rule::Judge(judge) => judge.ready(),
            _ => Ok(()),
        }
    }

    /// Has all of these responses judged, side by side, where that takes long. Each has whether it was cut off.
    pub(super) fn ask_ahead(&self, responses: &[(&Problem, &str, bool)], observer: &Observer) -> Result<()> {
        let Rule::Judge(judge) = &self.rule else { return Ok(()) };
        let is_asked = |truncated: bool| judge.right_label().is_some() || !truncated;
        let items = responses.iter().filter(|(_, _, truncated)| is_asked(*truncated));
        let items: Vec<_> = items
            .filter_map(|(problem, response, _)| match &problem.answer {
                Answer::External(truth) => truth.item(&problem.prompt, response),
                _ => None,
            })
            .collect();
        judge.ask_ahead(&items, observer)
    }

    /// What the word rule says of a response, where it is to be held against a judge.
    pub(super) fn compared(&self, prompt: &str, response: &str) -> Option<Label> {
        match &self.rule {
            Rule::Judge(judge) if judge.compares() => Some(label(prompt, response)),
            _ => None,
        }
    }
}

/// The last marked answer of a response, or why there is none; `reads` says whether a text could be one.
pub(super) fn marked(response: &str, reads: impl Fn(&str) -> bool) -> std::result::Result<String, String> {
    extract::final_answer(response, reads).map_err(|missing| missing.why())
}

/// Whether the last marked answer of a response is this number, as `reward=number` judges it.
pub(super) fn is_number(expected: &str, response: &str) -> bool {
    Rule::Number.judge("", &Truth::Texts(vec![expected.to_owned()]), response) > 0.0
}

/// A text whose decimal digits of other scripts are those of ASCII.
pub(super) fn ascii_digits(text: &str) -> String {
    const ZEROS: [u32; 6] = [0x660, 0x6f0, 0x966, 0x9e6, 0xe50, 0xff10];
    let ascii = |letter: char| {
        let digit = |zero: &u32| (letter as u32).checked_sub(*zero).filter(|digit| *digit < 10);
        ZEROS.iter().find_map(digit).and_then(|digit| char::from_digit(digit, 10)).unwrap_or(letter)
    };
    text.chars().map(ascii).collect()
}

/// An answer without emphasis and the commands of formulas.
pub(super) fn undressed(answer: &str) -> String {
    wrapping::plain(answer)
}

/// The endpoints of a request whose answers should have this label, and their values by the word rule.
pub(super) fn labelled(right: Label, prompt: &str, response: &str) -> Vec<f64> {
    labels::values(right, Some(label(prompt, response)))
}

/// The endpoints of requests whose answers should have this label.
pub(super) fn label_endpoints(right: Label) -> &'static [Endpoint] {
    labels::endpoints(right)
}

/// The columns that a problem's prompt may stand in.
const ASKED: [&str; 3] = ["prompt", "question", "problem"];

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        (folder, path)
    }

    #[test]
    fn rows_of_trl_and_verl_become_problems_on_two_disjoint_sides() {
        let rows: String = (0..200)
            .map(|n| match n % 2 {
                0 => format!("{{\"prompt\": \"{n} + 1 =\", \"answer\": \"{}\"}}\n", n + 1),
                _ => format!(
                    "{{\"prompt\": [{{\"role\": \"user\", \"content\": \"{n} + 1 =\"}}], \
                     \"reward_model\": {{\"ground_truth\": \"#### {}\"}}}}\n",
                    n + 1
                ),
            })
            .collect();
        let (_folder, path) = file("sums.jsonl", &rows);
        let external = External::read(&format!("{path}:reward=number")).unwrap();
        assert_eq!(external.training.len() + external.held_out.len(), 200);
        assert!((30..70).contains(&external.held_out.len()));
        assert!(!external.training.iter().any(|problem| external.held_out.contains(problem)));
        let all = External::read(&format!("{path}:rows=all:reward=number")).unwrap();
        assert_eq!((all.held_out.len(), all.training.len()), (200, 200));
        for problem in &all.held_out {
            let number: i64 = problem.prompt.split(' ').next().unwrap().parse().unwrap();
            let Answer::External(truth) = &problem.answer else { panic!() };
            assert_eq!(all.score(problem, truth, &format!("so \\boxed{{{}.0}}", number + 1), false), [1.0]);
            assert_eq!(all.score(problem, truth, &format!("so \\boxed{{{number}}}"), false), [0.0]);
        }
    }

    #[test]
    fn parquet_of_verl_is_a_suite_whose_prompts_are_messages() {
        let read = |kind: &str| {
            let path = format!("{}/tests/fixtures/datasets/verl.{kind}", env!("CARGO_MANIFEST_DIR"));
            External::read(&format!("{path}:reward=number")).unwrap()
        };
        let (lines, columns) = (read("jsonl"), read("parquet"));
        assert_eq!((&lines.held_out, &lines.training), (&columns.held_out, &columns.training));
        let problem = &columns.held_out[0];
        assert!(problem.prompt.starts_with("system: Put the answer in a box.\nuser: "), "{}", problem.prompt);
        let number: i64 = problem.prompt.rsplit_once("user: ").unwrap().1[..2].trim().parse().unwrap();
        let Answer::External(truth) = &problem.answer else { panic!() };
        assert_eq!(columns.score(problem, truth, &format!("\\boxed{{{}}}", number + 1), false), [1.0]);
        let plain = crate::tasks::tokenizer().unwrap();
        let error = problem.tokens(&plain).unwrap_err().to_string();
        assert!(error.contains("no chat template"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let message = |spec: &str| External::read(spec).unwrap_err().to_string();
        let (_folder, path) =
            file("x.jsonl", "{\"prompt\": \"a\", \"answer\": \"b\"}\n{\"prompt\": \"c\"}\n");
        assert!(message(&path).contains("reward=number"), "{}", message(&path));
        let missing = message(&format!("{path}:reward=exact"));
        assert!(missing.contains("x.jsonl: row 2: expected an answer"), "{missing}");
        assert!(message(&format!("{path}:rewards=exact")).contains("unknown option"));
        assert!(message("nowhere.jsonl:reward=exact").contains("cannot read nowhere.jsonl"));
    }

    #[test]
    fn a_changed_judge_makes_another_suite() {
        let rows: String =
            (0..20).map(|row| format!("{{\"prompt\": \"{row}\", \"answer\": \"{row}\"}}\n")).collect();
        let (folder, path) = file("x.jsonl", &rows);
        let script = folder.path().join("judge me.sh");
        let hash = |text: &str| {
            std::fs::write(&script, text).unwrap();
            let spec = format!("{path}:limit=2.5:reward=command:sh '{}'", script.display());
            External::read(&spec).unwrap().contents("suite")
        };
        assert_ne!(hash("while read line; do echo 1; done"), hash("while read line; do echo 0; done"));
        let (_other, bare) = file("y.jsonl", &rows.replace(", \"answer\"", ", \"tests\""));
        External::read(&format!("{bare}:reward=command:cat")).unwrap();
        let message = |spec: &str| External::read(&format!("{path}:{spec}")).unwrap_err().to_string();
        assert!(message("limit=0:reward=command:cat").contains("positive number of seconds"));
        assert!(message("limit=1:reward=exact").contains("is for `reward=command`"));
        assert!(message("files=x.py:reward=exact").contains("is for `reward=command`"));
        assert!(message("files=x.py:reward=command:cat").contains("cannot read x.py"));
    }

    #[test]
    fn a_judge_is_its_program_its_words_and_what_is_declared() {
        let rows: String =
            (0..20).map(|row| format!("{{\"prompt\": \"{row}\", \"answer\": \"{row}\"}}\n")).collect();
        let (folder, path) = file("x.jsonl", &rows);
        let place = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(place(name), text).unwrap();
        std::fs::create_dir(place("units")).unwrap();
        for name in ["judge.py", "rules.py", "units/a.py", "settings.json"] {
            write(name, "one");
        }
        let contents = || {
            let shown = |name: &str| place(name).display().to_string();
            let (rules, units) = (shown("rules.py"), shown("units"));
            let command = format!("sh {} --settings={}", shown("judge.py"), shown("settings.json"));
            let spec = format!("{path}:files={rules},{units}:reward=command:{command}");
            External::read(&spec).unwrap().contents("suite")
        };
        let first = contents();
        assert!(first.keys().any(|role| role.ends_with("/sh")), "through PATH: {first:?}");
        assert_eq!(first.len(), 6, "{first:?}");
        for name in ["judge.py", "rules.py", "units/a.py", "settings.json"] {
            write(name, "two");
            assert_ne!(contents(), first, "{name}");
            assert!(first.values().any(|content| content.check().is_err()), "{name} changed meanwhile");
            write(name, "one");
            assert_eq!(contents(), first, "{name}");
        }
        write("units/b.py", "one");
        assert_ne!(contents(), first, "a file was added");
    }
    #[test]
    fn columns_that_no_problem_needs_are_named() {
        let row = |n: usize| {
            format!(
                "{{\"prompt\": \"{n}\", \"answer\": \"{n}\", \"solution\": \"s\", \"id\": {n}, \"hint\": false}}\n"
            )
        };
        let (_folder, path) = file("x.jsonl", &(0..20).map(row).collect::<String>());
        let notes = |rule: &str| External::read(&format!("{path}:reward={rule}")).unwrap().notes();
        assert!(notes("number")[0].contains("columns left out: hint, solution;"), "{:?}", notes("number"));
        assert!(notes("command:cat").is_empty(), "a program sees the whole row");
        let external = External::read(&format!("{path}:rows=all:reward=number")).unwrap();
        assert_eq!((external.all().len(), external.answers()["a number"]), (20, 20));
        assert!(external.refuted().is_empty());
    }
}
