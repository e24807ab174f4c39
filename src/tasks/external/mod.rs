//! Problems from files: suites that a user brings, in the layouts of TRL and verl.
//!
//! A suite is named by its file and how answers are judged, as in `"data/gsm8k.jsonl:reward=number"`. Each
//! line of JSONL (or row of Parquet) is a problem:
//!
//! * the prompt: `prompt` (or `question`, `problem`). A text is given to the model as it stands: no chat
//!   template is applied and no begin token is added. A list of messages goes through the model's template;
//! * the answer: the first of `answer`, `ground_truth`, `solution`, `completion` and verl's
//!   `reward_model.ground_truth` that is not null; of a list, any is right; for `reward=expression` the fields `nums` and `target`. A
//!   program gets whatever stands there, or null, with the whole row;
//! * the unit of analysis: `problem_id` if there is one, else the prompt.
//!
//! One problem in four is held out by a hash of its unit, as everywhere; evaluation asks these and
//! rollouts the others. `:rows=all` uses every row for both: for a file that holds only test problems.
//! `:limit=30` gives a program that judges 30 seconds for a response instead of ten, as in
//! `"data.jsonl:limit=30:reward=command:python3 'my checks/judge.py'"`.
//!
//! Requests that should be refused, or should not, have labels in the place of a reward: `reward=refusal` and
//! `reward=compliance` tell by its words whether a response refuses, complies or evades (`refusal`, which says how far that
//! can be trusted). `reward=judge:FILE.toml`, as the last option, asks another model (`judge`), for a reward or a label.
//!
//! `rule` says what is right; `extract` finds the answer in a completion; `rational` and `expression` judge
//! it in exact arithmetic, `math` whatever mathematics it is; `command` asks a program.

mod command;
mod expression;
mod extract;
mod judge;
mod labels;
mod math;
mod rational;
mod refusal;
mod rule;

use super::conversation::Asked;
use super::numbered;
use super::problem::{Answer, Endpoint, Half, Problem};
use super::split::held_out;
use crate::error::{At, Error, Result};
use crate::foreign;
use crate::progress::Observer;
use crate::rng::Stream;
use crate::tables;
pub use refusal::{Label, label};
use rule::Rule;
pub(super) use rule::Truth;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// A file of problems and how their answers are judged.
#[derive(Debug)]
pub(super) struct External {
    spec: String,
    hash: String,
    rule: Rule,
    training: Vec<Problem>,
    held_out: Vec<Problem>,
}

/// Equal names and equal contents.
impl PartialEq for External {
    fn eq(&self, other: &Self) -> bool {
        (&self.spec, &self.hash) == (&other.spec, &other.hash)
    }
}

impl Eq for External {}

/// What a suite's name says: the file, how its answers are judged, and whether every row is asked.
struct Options<'a> {
    path: &'a str,
    rule: Rule,
    all: bool,
}

impl<'a> Options<'a> {
    fn parse(spec: &'a str) -> Result<Self> {
        let (path, options) = spec.split_once(':').unwrap_or((spec, ""));
        let (mut rule, mut all, mut limit) = (None, false, None);
        // A command may hold colons, and so may a path: either is always the last option.
        let (options, command) = match options.split_once("reward=command:") {
            Some((before, command)) => (before, Some(command)),
            None => (options, None),
        };
        let options = match options.split_once("reward=judge:") {
            Some((before, file)) => {
                rule = Some(Rule::judge_of(file)?);
                before
            }
            None => options,
        };
        for option in options.split(':').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("reward", name)) => rule = Some(Rule::parse(name)?),
                Some(("rows", "all")) => all = true,
                Some(("limit", seconds)) => limit = Some(seconds_of(seconds)?),
                _ => {
                    return Err(Error::request(format!("suite `{spec}`: unknown option `{option}`"))
                        .hint("the options are `rows=all`, `limit=SECONDS` and, as the last, `reward=exact|number|math|regex|expression|refusal|compliance|command:PROGRAM|judge:FILE.toml`"));
                }
            }
        }
        match (command, limit) {
            (Some(command), limit) => rule = Some(Rule::command(command, limit.unwrap_or(command::LIMIT))?),
            (None, Some(_)) => {
                return Err(Error::request(format!("suite `{spec}`: `limit` is for `reward=command`")));
            }
            (None, None) => {}
        }
        let rule = rule.ok_or_else(|| {
            Error::request(format!("suite `{spec}`: how its answers are judged is not stated"))
                .hint(format!("write for example `{path}:reward=number`"))
        })?;
        Ok(Self { path, rule, all })
    }
}

fn seconds_of(text: &str) -> Result<Duration> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|limit| !limit.is_zero()).ok_or_else(|| {
        Error::request(format!("`limit`: expected a positive number of seconds, found `{text}`"))
    })
}

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
        let bytes = foreign::bytes(path, foreign::DATA)?;
        let rows = tables::read_rows(path)?;
        Self::new(spec, options, blake3::hash(&bytes).to_string(), &rows).at(path.display())
    }

    /// Rows that are at hand, under the name that a file of them would have.
    ///
    /// # Errors
    /// As [`External::read`].
    pub(super) fn of_rows(spec: &str, rows: &[Value]) -> Result<Self> {
        let options = Options::parse(spec)?;
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        Self::new(spec, options, blake3::hash(lines.as_bytes()).to_string(), rows).at(spec)
    }

    fn new(spec: &str, options: Options<'_>, hash: String, rows: &[Value]) -> Result<Self> {
        let Options { rule, all, .. } = options;
        let hash = rule.judged_by(hash)?;
        let mut external =
            Self { spec: spec.to_owned(), hash, rule, training: Vec::new(), held_out: Vec::new() };
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

    fn problem(&self, row: &Value) -> Result<Problem> {
        let asked = prompt(row)?;
        let truth = self.rule.truth(row)?;
        if let (Rule::Judge(judge), Truth::Row { answer, row }) = (&self.rule, &truth) {
            judge.accepts(&asked.shown(), answer, row)?;
        }
        let id = match row.get("problem_id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Null) | None => asked.shown(),
            Some(other) => other.to_string(),
        };
        let half = Half::of(&id);
        Ok(Problem::new(id, asked, half, Answer::External(truth)))
    }

    pub(super) fn spec(&self) -> &str {
        &self.spec
    }

    /// The BLAKE3 hash of the file, and of those that the program which judges is made of.
    pub(super) fn hash(&self) -> &str {
        &self.hash
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

fn prompt(row: &Value) -> Result<Asked> {
    let found = ["prompt", "question", "problem"].iter().find_map(|name| Some((name, row.get(name)?)));
    match found {
        Some((name, value)) => Asked::read(value).at(format!("field `{name}`")),
        None => Err(Error::request("expected a field `prompt` (text or messages), found none")),
    }
}

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
            External::read(&spec).unwrap().hash().to_owned()
        };
        assert_ne!(hash("while read line; do echo 1; done"), hash("while read line; do echo 0; done"));
        let (_other, bare) = file("y.jsonl", &rows.replace(", \"answer\"", ", \"tests\""));
        External::read(&format!("{bare}:reward=command:cat")).unwrap();
        let message = |spec: &str| External::read(&format!("{path}:{spec}")).unwrap_err().to_string();
        assert!(message("limit=0:reward=command:cat").contains("positive number of seconds"));
        assert!(message("limit=1:reward=exact").contains("is for `reward=command`"));
    }
}
