//! A model that judges: `reward=judge:FILE.toml`, asked over the chat interface of OpenAI that vLLM, llama.cpp, Ollama and
//! most services speak.
//!
//! ```toml
//! address = "https://judge.example/v1"    # asked at /chat/completions
//! model = "judge-large"
//! system = "You judge answers."           # if any
//! prompt = """
//! Question: {{ prompt }}
//! Right answer: {{ answer }}
//! Answer: {{ response }}
//! Reply with one word, RIGHT or WRONG."""  # also {{ row.FIELD }}; in the words of Jinja
//! temperature = 0
//! max_tokens = 64
//! parameters = { seed = 1 }               # goes into the request as it stands
//! concurrency = 4                         # requests at a time
//! retries = 4                             # of what may pass: 408, 409, 425, 429, 5xx, cut off, slow, not JSON
//! backoff_seconds = 1                     # doubled at each attempt; a server's Retry-After comes first
//! timeout_seconds = 60                    # for one attempt
//! api_key_env = "JUDGE_API_KEY"           # where the key is; it stands nowhere else
//! cache = "mine.answers"                  # beside this file; by default its name with `.answers`
//! compare = "refusal"                     # for labels: the word rule judges, too, and their agreement is shown
//!
//! [verdict]
//! kind = "reward"                         # or "refusal", "compliance": labels, of which the named one is right
//! words = { RIGHT = 1.0, WRONG = 0.0 }    # for labels "refuse", "comply", "evade"
//! # pattern = '(?<=Score: )\d+'           # or: the last match of a regular expression
//! # field = "result.score"                # or: a field of a JSON object
//! # range = [1, 10]                       # numbers without `words` are mapped from here to 0 to 1
//! ```
//!
//! Without `pattern` and `field` the answer must hold words of the list that all mean the same, as whole words in letters of
//! either size. What precedes `</think>` is no part of it.
//!
//! An answer of the judge is kept on disk under a hash of address, model, parameters and messages, without the key: a run
//! that was killed, or asks again, asks only what was never answered; another way to read verdicts asks nothing. A verdict
//! that cannot be read is kept, too: remove the folder to ask again. A response without a verdict, for whatever reason, has
//! no score: it is *missing*, counted and said, never 0. A run in which not one has a verdict fails.
//!
//! Requests go to the stated address alone. The key is read when the first question is asked; `plan` and `check` never do.

mod cache;
mod client;
mod settings;
mod verdict;

use super::refusal::Label;
use crate::error::{At, Error, Result};
use crate::progress::Observer;
use crate::store::Content;
use cache::{Cache, Question};
use client::Client;
use minijinja::{Environment, UndefinedBehavior, context};
use serde_json::{Value, json};
use settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use verdict::Kind;
pub(in crate::tasks::external) use verdict::Verdict;

/// Questions that fail before a judge who has answered nothing is given up.
const HOPELESS: usize = 8;

/// The name of the template, in its errors.
const TEMPLATE: &str = "prompt";

/// What a template may use.
const NAMES: [&str; 4] = ["prompt", "response", "answer", "row"];

/// A model behind an address.
#[derive(Debug)]
pub(in crate::tasks) struct Judge {
    path: PathBuf,
    files: Vec<(String, Content)>,
    settings: Settings,
    cache: Cache,
    environment: Environment<'static>,
    client: OnceLock<Client>,
    /// What became of the questions of this process, by their names.
    known: Mutex<BTreeMap<String, Answered>>,
}

/// What became of a question.
#[derive(Clone, Debug)]
enum Answered {
    Said(String),
    Failed(String),
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(in crate::tasks) struct Item<'a> {
    pub(in crate::tasks) prompt: &'a str,
    pub(in crate::tasks) response: &'a str,
    pub(in crate::tasks) answer: &'a Value,
    pub(in crate::tasks) row: &'a Value,
}

impl Judge {
    /// Reads a judge's file. Nobody is asked.
    pub(super) fn load(path: &str) -> Result<Self> {
        let path = Path::new(path);
        let content = Content::of_file(path)?;
        let settings = Settings::load(path)?;
        content.check()?;
        let files = vec![(path.display().to_string(), content)];
        let environment = environment(&settings.prompt).at("field `prompt`").at(path.display())?;
        let cache = Cache::at(&settings.cache);
        let path = path.to_owned();
        Ok(Self {
            path,
            files,
            settings,
            cache,
            environment,
            client: OnceLock::new(),
            known: Mutex::default(),
        })
    }

    /// The file that says how it judges.
    pub(super) fn files(&self) -> &[(String, Content)] {
        &self.files
    }

    /// Whether verdicts are labels, and the right one, if so.
    pub(super) fn right_label(&self) -> Option<Label> {
        match self.settings.reading.kind {
            Kind::Reward => None,
            Kind::Refusal => Some(Label::Refuse),
            Kind::Compliance => Some(Label::Comply),
        }
    }

    /// Whether the word rule is to be held against it.
    pub(super) fn compares(&self) -> bool {
        self.settings.compares
    }

    /// Whether a row has all that the template uses.
    pub(super) fn accepts(&self, prompt: &str, answer: &Value, row: &Value) -> Result<()> {
        self.question(Item { prompt, response: "", answer, row }).map(drop)
    }

    /// Whether it can be asked: whether its key is there.
    pub(super) fn ready(&self) -> Result<()> {
        self.client().map(drop)
    }

    fn client(&self) -> Result<&Client> {
        if self.client.get().is_none() {
            // Where two threads are here at once, one client is as good as the other.
            let _ = self.client.set(Client::new(&self.settings).at(self.path.display())?);
        }
        self.client.get().ok_or_else(|| Error::work("the judge's client is gone"))
    }

    fn question(&self, item: Item<'_>) -> Result<Question> {
        let Item { prompt, response, answer, row } = item;
        let text = self
            .environment
            .get_template(TEMPLATE)
            .and_then(|template| template.render(context! { prompt, response, answer, row }))
            .map_err(|error| wrong(&error).at("field `prompt`").at(self.path.display()))?;
        let mut messages = Vec::new();
        if let Some(system) = &self.settings.system {
            messages.push(json!({ "role": "system", "content": system }));
        }
        messages.push(json!({ "role": "user", "content": text }));
        let mut request = self.settings.body.clone();
        request.insert("messages".to_owned(), messages.into());
        Ok(Question { address: self.settings.address.clone(), request: request.into() })
    }

    /// Asks about all of these, as many at a time as the file allows. What is on disk is not asked.
    ///
    /// # Errors
    /// If a stop was asked for, an answer cannot be kept, or there was something to ask and not one answer.
    pub(super) fn ask_ahead(&self, items: &[Item<'_>], observer: &Observer) -> Result<()> {
        let (mut names, mut open) = (BTreeSet::new(), Vec::new());
        for item in items {
            let question = self.question(*item)?;
            if names.insert(question.name()) && !matches!(self.recall(&question), Some(Answered::Said(_))) {
                open.push(question);
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let client = self.client()?;
        let mut bar = observer.bar("judge", open.len() as u64, "answers");
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None::<Error>));
        let (answers, silences) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (sender, done) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..self.settings.concurrency.min(open.len()) {
                let sender = sender.clone();
                let (next, open, failed) = (&next, &open, &failed);
                let (answers, silences) = (&answers, &silences);
                scope.spawn(move || {
                    while let Some(question) = open.get(next.fetch_add(1, Ordering::Relaxed)) {
                        match observer.check().and_then(|()| self.ask(client, question, observer)) {
                            Ok(Answered::Said(_)) => answers.fetch_add(1, Ordering::Relaxed),
                            Ok(Answered::Failed(_)) => silences.fetch_add(1, Ordering::Relaxed),
                            Err(error) => {
                                next.store(open.len(), Ordering::Relaxed);
                                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                                break;
                            }
                        };
                        // Who has answered nothing so far will not: patience is spent on each question anew.
                        let is_dead =
                            silences.load(Ordering::Relaxed) >= HOPELESS.max(self.settings.concurrency);
                        if is_dead && answers.load(Ordering::Relaxed) == 0 {
                            next.store(open.len(), Ordering::Relaxed);
                            break;
                        }
                        // Nobody counts any more where the receiver is gone.
                        let _ = sender.send(());
                    }
                });
            }
            drop(sender);
            done.iter().for_each(|()| bar.advance(1));
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let has_said = names.iter().any(|name| matches!(known.get(name), Some(Answered::Said(_))));
        let silences = silences.into_inner();
        match names.iter().find_map(|name| known.get(name)) {
            Some(Answered::Failed(why)) if !has_said => {
                Err(Error::work(format!("the judge answered none of {silences} questions: {why}"))
                    .hint("check its address, its model and its key; what was sampled is drawn alike again")
                    .at(self.path.display()))
            }
            _ => Ok(()),
        }
    }

    fn recall(&self, question: &Question) -> Option<Answered> {
        let name = question.name();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(known.get(&name), Some(Answered::Said(_))) {
            if let Some(answer) = self.cache.find(question) {
                known.insert(name.clone(), Answered::Said(answer));
            }
        }
        known.get(&name).cloned()
    }

    fn ask(&self, client: &Client, question: &Question, observer: &Observer) -> Result<Answered> {
        let answered = match client.ask(&self.settings, &question.request, observer) {
            Ok(answer) => {
                self.cache.keep(question, &answer)?;
                if self.settings.reading.read(&answer).is_none() {
                    let beginning: String = answer.chars().take(80).collect();
                    tracing::warn!(
                        "{}: cannot read a verdict in `{beginning}`: missing",
                        self.path.display()
                    );
                }
                Answered::Said(answer)
            }
            Err(why) => {
                observer.check()?;
                tracing::warn!("{}: {why}: missing", self.path.display());
                Answered::Failed(why)
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(question.name(), answered.clone());
        Ok(answered)
    }

    /// The verdict on one response; `None` where there is none.
    pub(super) fn verdict(&self, item: Item<'_>) -> Option<Verdict> {
        let asked = || -> Result<Answered> {
            let question = self.question(item)?;
            match self.recall(&question) {
                Some(answered) => Ok(answered),
                None => self.ask(self.client()?, &question, &Observer::silent()),
            }
        };
        match asked() {
            Ok(Answered::Said(answer)) => self.settings.reading.read(&answer),
            Ok(Answered::Failed(_)) => None,
            Err(error) => {
                tracing::error!("{error}");
                None
            }
        }
    }
}

/// The template, checked: it parses, uses the response, and nothing that nobody gives it.
fn environment(source: &str) -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_template_owned(TEMPLATE, source.to_owned()).map_err(|error| wrong(&error))?;
    let template = environment.get_template(TEMPLATE).map_err(|error| wrong(&error))?;
    let used = template.undeclared_variables(false);
    if let Some(unknown) = used.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(Error::request(format!("`{unknown}` is not known there"))
            .hint("it may use {{ prompt }}, {{ response }}, {{ answer }} and {{ row.FIELD }}"));
    }
    if !used.contains("response") {
        return Err(Error::request("expected {{ response }}: without it every response is judged alike"));
    }
    Ok(environment)
}

fn wrong(error: &minijinja::Error) -> Error {
    let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
    let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
    Error::request(format!("{}{detail}{line}", error.kind()))
        .hint("a field that some rows lack: {% if row.FIELD is defined %}…{% endif %}")
}
