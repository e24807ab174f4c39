//! `deltascope store list` and `deltascope store verify`: what lies in a store, and whether it is what was written.

use super::Context;
use crate::error::{Error, Result};
use crate::store::{Found, State, Store};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The flags of `store`.
#[derive(clap::Args)]
pub(crate) struct StoreArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the artifacts: what made them, how large they are, and what is unfinished.
    List(PlaceArguments),
    /// Compare every byte of every artifact with its checksum; exit code 1 if one differs.
    Verify(PlaceArguments),
}

#[derive(clap::Args)]
struct PlaceArguments {
    /// A store, or the folder of a run that holds one.
    place: PathBuf,
}

#[derive(Serialize)]
struct Answer {
    store: PathBuf,
    sound: usize,
    corrupt: usize,
    found: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    stage: Option<String>,
    bytes: Option<u64>,
    seconds: Option<f64>,
    version: Option<String>,
    source: Option<String>,
    #[serde(flatten)]
    state: State,
}

pub(crate) fn store(arguments: StoreArguments, context: &Context) -> Result<()> {
    let (place, contents) = match arguments.command {
        Command::List(arguments) => (arguments.place, false),
        Command::Verify(arguments) => (arguments.place, true),
    };
    let root = root(&place)?;
    let found = Store::new(&root).survey(contents)?;
    let count = |wanted: fn(&State) -> bool| found.iter().filter(|found| wanted(&found.state)).count();
    let corrupt = count(|state| matches!(state, State::Corrupt(_)));
    let answer = Answer {
        store: root,
        sound: count(|state| *state == State::Artifact),
        corrupt,
        found: found.iter().map(line).collect(),
    };
    context.printer.answer(&answer, || text(&answer, contents))?;
    match corrupt {
        _ if !contents => Ok(()),
        0 => Ok(()),
        _ => Err(Error::work(format!(
            "{corrupt} of {} artifacts are not what was written",
            corrupt + answer.sound
        ))
        .hint("remove their folders and run again; only what they held is made anew")),
    }
}

/// The store at `place`, or that of the run in `place`.
fn root(place: &Path) -> Result<PathBuf> {
    let within = place.join("store");
    match (within.is_dir(), place.is_dir()) {
        (true, _) => Ok(within),
        (false, true) => Ok(place.to_owned()),
        (false, false) => Err(Error::request(format!("{} is no folder", place.display()))
            .hint("give a store, as runs/quickstart/store, or the folder of a run")),
    }
}

fn line(found: &Found) -> Line {
    let manifest = found.manifest.as_ref();
    let name = found.path.file_name().unwrap_or_default();
    Line {
        name: name.to_string_lossy().into_owned(),
        stage: manifest.map(|manifest| manifest.recipe.stage.clone()),
        bytes: manifest.map(|manifest| manifest.bytes()),
        seconds: manifest.map(|manifest| manifest.wall_seconds),
        version: manifest.map(|manifest| manifest.version.clone()),
        source: manifest
            .and_then(|manifest| Some(manifest.recipe.code.as_ref()?.source.chars().take(16).collect())),
        state: found.state.clone(),
    }
}

fn text(answer: &Answer, contents: bool) -> String {
    let width = answer.found.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in &answer.found {
        let state = match &line.state {
            State::Artifact if contents => "sound".to_owned(),
            State::Artifact => "artifact".to_owned(),
            State::Corrupt(why) => format!("CORRUPT: {}", why.lines().next().unwrap_or_default()),
            State::InWork => "in work".to_owned(),
            State::Unfinished => "unfinished: a run goes on from it".to_owned(),
            State::Foreign => "nothing that a store holds".to_owned(),
        };
        let size = line.bytes.map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6)).unwrap_or_default();
        let code = line.source.as_deref().unwrap_or_default();
        let _ = writeln!(text, "{:width$}  {size:>12}  {code:16}  {state}", line.name);
    }
    let _ = match contents {
        true => {
            write!(text, "{} sound, {} corrupt in {}", answer.sound, answer.corrupt, answer.store.display())
        }
        false => write!(text, "{} artifacts in {}", answer.sound, answer.store.display()),
    };
    text
}
