//! A program that judges responses: one JSON object a line in, one a line out.
//!
//! In: `{"prompt": .., "response": .., "answer": ..}`. Out: `{"reward": x}` or just `x`, a number in 0..=1. The
//! program is started once and asked again and again; one that takes longer than the limit is ended and
//! started anew, and the response counts as wrong. It is run without a shell.

use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a program may take for one response.
const LIMIT: Duration = Duration::from_secs(10);

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
    questions: ChildStdin,
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
    /// Starts the program, to learn now whether it can be started.
    pub(super) fn new(command: &str) -> Result<Self> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let running = start(&words)?;
        Ok(Self { words, running: Mutex::new(Some(running)), limit: LIMIT })
    }

    /// The program's reward: 0 if it took too long, NaN (and a line in the log) if it failed.
    pub(super) fn ask(&self, prompt: &str, response: &str, answer: &str) -> f64 {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let question = json!({ "prompt": prompt, "response": response, "answer": answer });
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
        writeln!(running.questions, "{question}")
            .and_then(|()| running.questions.flush())
            .map_err(|error| Error::work(format!("`{}` stopped reading: {error}", program())))?;
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
    let (Some(questions), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::work(format!("`{program}` has no input or output")));
    };
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
        let mut checker = Checker::new(&format!("sh {}", path.display())).unwrap();
        checker.limit = limit;
        (folder, checker)
    }

    #[test]
    fn a_program_is_asked_line_by_line() {
        let script =
            "while read line; do case $line in *right*) echo '{\"reward\": 1}';; *) echo 0.25;; esac; done";
        let (_folder, checker) = checker(script, LIMIT);
        assert_eq!(checker.ask("p", "right", "a"), 1.0);
        assert_eq!(checker.ask("p", "other", "a"), 0.25);
    }

    #[test]
    fn a_slow_program_means_wrong_and_a_broken_one_is_no_number() {
        let (_folder, slow) = checker("sleep 5", Duration::from_millis(50));
        assert_eq!(slow.ask("p", "r", "a"), 0.0);
        let (_folder, broken) = checker("read line; echo nonsense", LIMIT);
        assert!(broken.ask("p", "r", "a").is_nan());
        let (_folder, gone) = checker("exit 3", LIMIT);
        assert!(gone.ask("p", "r", "a").is_nan());
        assert!(Checker::new("/no/such/program").unwrap_err().to_string().contains("cannot start"));
    }
}
