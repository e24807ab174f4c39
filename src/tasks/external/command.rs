//! A program that judges responses: one JSON object a line in, one a line out.
//!
//! In: `{"prompt": .., "response": .., "answer": .., "row": ..}`, the answer as the row has it (null where it has
//! none) and the whole row, with whatever else the program needs. Out: `{"reward": x}` or just `x`, a number in 0..=1. The program is started once and asked again and again; one that
//! takes longer than the limit to read and answer is ended and started anew, and the response counts as wrong. One
//! that says more than a line to a question is refused, for every later reward would be another response's. It is
//! run without a shell: words are parted by spaces, but for those in single or double quotes.

use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a program may take for one response, where the suite's name does not say.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// A program and, while it runs, its process.
#[derive(Debug)]
pub(super) struct Checker {
    words: Vec<String>,
    running: Mutex<Option<Running>>,
    limit: Duration,
}

#[derive(Debug)]
struct Running {
    child: Child,
    questions: Sender<String>,
    answers: Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Checker {
    /// Learns whether there is such a program. It is started when it is first asked: to plan or to check a study runs
    /// nothing.
    pub(super) fn new(command: &str, limit: Duration) -> Result<Self> {
        let words = words(command)?;
        let program =
            words.first().ok_or_else(|| Error::request("reward=command: expected a program, found none"))?;
        if !is_there(program) {
            return Err(Error::request(format!("cannot start `{program}`: there is no such program")));
        }
        Ok(Self { words, running: Mutex::default(), limit })
    }

    /// Those of its words that name files: a changed script is another judge.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.words.iter().map(Path::new).filter(|path| path.is_file())
    }

    /// The program's reward: 0 if it took too long, NaN (and a line in the log) if it failed.
    pub(super) fn ask(&self, prompt: &str, response: &str, answer: &Value, row: &Value) -> f64 {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let question = json!({ "prompt": prompt, "response": response, "answer": answer, "row": row });
        match self.answer(&mut running, &question) {
            Ok(reward) => reward,
            Err(error) => {
                *running = None;
                tracing::error!("{error}");
                f64::NAN
            }
        }
    }

    fn answer(&self, slot: &mut Option<Running>, question: &Value) -> Result<f64> {
        let program = || self.words.join(" ");
        if slot.is_none() {
            *slot = Some(start(&self.words)?);
        }
        let Some(running) = slot else { return Err(Error::work(format!("`{}` did not start", program()))) };
        if let Ok(line) = running.answers.try_recv() {
            let message = format!("`{}` said `{line}` before it was asked", program());
            return Err(Error::work(message).hint("it must answer every line with exactly one line"));
        }
        // Where nobody receives it the program has ended, which is seen below.
        let _ = running.questions.send(question.to_string());
        let line = match running.answers.recv_timeout(self.limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("`{}` took longer than {:?}: counted as wrong", program(), self.limit);
                *slot = None;
                return Ok(0.0);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::work(format!("`{}` ended without an answer", program())));
            }
        };
        let value: Option<Value> = serde_json::from_str(&line).ok();
        let reward = value.as_ref().and_then(|value| value.get("reward").unwrap_or(value).as_f64());
        reward.filter(|reward| (0.0..=1.0).contains(reward)).ok_or_else(|| {
            Error::work(format!("`{}`: expected {{\"reward\": 0 to 1}}, found `{line}`", program()))
        })
    }
}

/// The words of a command line, by spaces outside of quotes.
fn words(command: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for letter in command.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if let Some(open) = quote {
        return Err(Error::request(format!("reward=command: the quote {open} in `{command}` is not closed")));
    }
    words.extend(word);
    Ok(words)
}

/// Whether a program is a file, or one in a folder of `PATH`.
fn is_there(program: &str) -> bool {
    let path = Path::new(program);
    match path.components().count() {
        1 => {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).any(|folder| folder.join(path).is_file())
        }
        _ => path.is_file(),
    }
}

fn start(words: &[String]) -> Result<Running> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Error::request("reward=command: expected a program, found none"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Error::request(format!("cannot start `{program}`: {error}")))?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::work(format!("`{program}` has no input or output")));
    };
    let (questions, asked) = channel::<String>();
    std::thread::spawn(move || {
        // On a thread of its own, so that a program that does not read is under the limit, too.
        for question in asked {
            if writeln!(input, "{question}").and_then(|()| input.flush()).is_err() {
                break;
            }
        }
    });
    let (sender, answers) = channel();
    std::thread::spawn(move || {
        // Ends when the program closes its output or nobody listens any more.
        for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Ok(Running { child, questions, answers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker(script: &str, limit: Duration) -> (tempfile::TempDir, Checker) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("check.sh");
        std::fs::write(&path, script).unwrap();
        let checker = Checker::new(&format!("sh '{}'", path.display()), limit).unwrap();
        (folder, checker)
    }

    #[test]
    fn a_program_is_asked_line_by_line() {
        let script =
            "while read line; do case $line in *right*) echo '{\"reward\": 1}';; *) echo 0.25;; esac; done";
        let (_folder, checker) = checker(script, LIMIT);
        assert_eq!(ask(&checker, "right"), 1.0);
        assert_eq!(ask(&checker, "other"), 0.25);
    }

    fn ask(checker: &Checker, response: &str) -> f64 {
        checker.ask("p", response, &json!("a"), &json!({}))
    }

    #[test]
    fn a_program_sees_the_answer_as_it_is_and_the_whole_row() {
        let script = "while read line; do case $line in *'\"answer\":null'*'\"tests\":[[1,2]]'*) echo 1;; *) echo 0;; esac; done";
        let (_folder, checker) = checker(script, LIMIT);
        assert_eq!(checker.ask("p", "r", &Value::Null, &json!({ "tests": [[1, 2]] })), 1.0);
        assert_eq!(checker.ask("p", "r", &json!({ "a": 1 }), &json!({ "tests": [[1, 2]] })), 0.0);
    }

    #[test]
    fn a_program_that_says_two_lines_to_a_question_is_refused() {
        let (_folder, talking) = checker("while read line; do echo 1; echo 0; done", LIMIT);
        let rewards: Vec<f64> = (0..3)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(100));
                ask(&talking, "r")
            })
            .collect();
        assert!(rewards.iter().any(|reward| reward.is_nan()), "{rewards:?}");
    }

    #[test]
    fn a_program_that_does_not_read_is_under_the_limit() {
        let (_folder, deaf) = checker("sleep 5", Duration::from_millis(50));
        assert_eq!(ask(&deaf, &"long ".repeat(100_000)), 0.0);
    }

    #[test]
    fn words_are_parted_by_spaces_outside_of_quotes() {
        assert_eq!(words("a 'b c' \"d e\"f ''").unwrap(), ["a", "b c", "d ef", ""]);
        assert!(words("a 'b").unwrap_err().to_string().contains("not closed"));
    }

    #[test]
    fn a_slow_program_means_wrong_and_a_broken_one_is_no_number() {
        let (_folder, slow) = checker("sleep 5", Duration::from_millis(50));
        assert_eq!(ask(&slow, "r"), 0.0);
        let (_folder, broken) = checker("read line; echo nonsense", LIMIT);
        assert!(ask(&broken, "r").is_nan());
        let (_folder, gone) = checker("exit 3", LIMIT);
        assert!(ask(&gone, "r").is_nan());
        assert!(Checker::new("/no/such/program", LIMIT).unwrap_err().to_string().contains("cannot start"));
        assert!(Checker::new("no-such-program", LIMIT).unwrap_err().to_string().contains("cannot start"));
    }

    #[test]
    fn a_program_is_not_started_before_it_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("started");
        let checker = Checker::new(&format!("touch '{}'", mark.display()), LIMIT).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(!mark.exists());
        assert!(ask(&checker, "r").is_nan());
        assert!(mark.exists());
    }
}
