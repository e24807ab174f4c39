//! What a model says under edits that are written in a file: `deltascope sample --intervene`.
//!
//! The file's entries have the fields of a hypothesis that say what is edited: `set`, `receiver`, `edit`, and
//! perhaps `name`, `dose`, `positions`, `readout`, `hook`. Reference codes (for `mean`, `clamp`, `steer`,
//! `resample` and mean-ablated heads) and own encoders come from the receiver's unedited completions of the
//! very prompts: there is no other text. What is read here supports no claim.

use super::conditions::{Condition, groups};
use super::lockstep::{Start, source};
use super::prepared::{Target, Tools};
use super::readout::Readout;
use super::set_rule::SetRule;
use super::settings::ReadoutKind;
use super::single::view_of;
use super::texts::{Texts, bank, reference, stock};
use super::{directions, heads};
use crate::diff::Reading;
use crate::error::{At, Error, Result, nearest};
use crate::interventions::{Edit, Positions, Tallies, TargetKind};
use crate::model::{Completion, HookPoint, Prompt, SampleSettings, sample};
use crate::progress::Observer;
use serde::Deserialize;
use std::sync::Arc;

/// A file of edits: `[[edit]]` entries, or the `[[hypothesis]]` entries of a study.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EditFile {
    /// The edits.
    pub edit: Vec<EditEntry>,
    /// Edits that are written as hypotheses; what they claim is not asked.
    pub hypothesis: Vec<EditEntry>,
}

/// One edit of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditEntry {
    name: Option<String>,
    set: SetRule,
    receiver: String,
    edit: Edit,
    #[serde(default = "full_dose")]
    dose: f32,
    #[serde(default)]
    positions: Positions,
    #[serde(default)]
    readout: ReadoutKind,
    hook: Option<HookPoint>,
    #[serde(default, rename = "suite")]
    _suite: Option<String>,
    #[serde(default, rename = "endpoint")]
    _endpoint: Option<String>,
    #[serde(default, rename = "direction")]
    _direction: Option<String>,
}

fn full_dose() -> f32 {
    1.0
}

/// The sections of a file of edits.
const KNOWN: [&str; 2] = ["edit", "hypothesis"];

impl EditFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// If it is no such file, or holds no edit.
    pub fn parse(text: &str) -> Result<Self> {
        let table: toml::Table =
            text.parse().map_err(|error| Error::request(format!("the file is not valid TOML\n{error}")))?;
        // A study will do, so other sections may stand there; but none that means one of ours.
        let slip = table.keys().find(|key| !KNOWN.contains(&key.as_str()) && nearest(key, KNOWN).is_some());
        if let Some(key) = slip {
            let near = nearest(key, KNOWN).unwrap_or_default();
            return Err(
                Error::request(format!("unknown section `{key}`")).hint(format!("did you mean `{near}`?"))
            );
        }
        let file: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| Error::request(error.to_string().trim_end().to_owned()))?;
        if file.edit.is_empty() && file.hypothesis.is_empty() {
            return Err(Error::request("expected at least one [[edit]], found none").hint(
                "for example\n[[edit]]\nset = { features = [3, 14] }\nreceiver = \"rl\"\nedit = \"zero\"",
            ));
        }
        Ok(file)
    }

    fn entries(&self) -> impl Iterator<Item = &EditEntry> {
        self.edit.iter().chain(&self.hypothesis)
    }

    /// The receivers, each once, in order.
    pub fn receivers(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for entry in self.entries() {
            if !found.contains(&entry.receiver) {
                found.push(entry.receiver.clone());
            }
        }
        found
    }
}

/// What was said under one condition.
#[derive(Clone, Debug)]
pub struct Said {
    /// The receiver.
    pub receiver: String,
    /// The edit's name; `baseline` without one.
    pub condition: String,
    /// The completions, in the order of prompts and samples.
    pub completions: Vec<Completion>,
    /// What the edit really did.
    pub tallies: Tallies,
}

/// Samples every prompt under every edit of `file`, and in every receiver without one, with common random
/// numbers. `classes` are those of the dictionary's features, empty if they are not known.
///
/// # Errors
/// If an edit refers to what is not there, a forward pass fails, or the observer asks to stop.
pub fn say(
    readout: &Readout,
    file: &EditFile,
    classes: &[String],
    prompts: &[Prompt],
    settings: &SampleSettings,
    observer: &Observer,
) -> Result<Vec<Said>> {
    let mut said = Vec::new();
    for receiver in file.receivers() {
        let index = readout.variant(&receiver).at("field `receiver`")?;
        let plain = sample_under(readout, index, &[Condition::baseline()], prompts, settings, observer)?;
        let texts = texts(readout, index, prompts, &plain[0].0)?;
        let mut conditions = Vec::new();
        for entry in file.entries().filter(|entry| entry.receiver == receiver) {
            let name = entry.name.clone().unwrap_or_else(|| format!("{} {}", entry.edit, entry.set.name()));
            let condition = condition(readout, entry, &name, (index, classes), &texts);
            conditions.push(condition.at(format!("edit `{name}`"))?);
        }
        let edited = sample_under(readout, index, &conditions, prompts, settings, observer)?;
        let names = conditions.into_iter().map(|condition| condition.name);
        let all =
            std::iter::once(super::BASELINE.to_owned()).chain(names).zip(plain.into_iter().chain(edited));
        said.extend(all.map(|(condition, (completions, tallies))| Said {
            receiver: receiver.clone(),
            condition,
            completions,
            tallies,
        }));
    }
    Ok(said)
}

fn condition(
    readout: &Readout,
    entry: &EditEntry,
    name: &str,
    (receiver, classes): (usize, &[String]),
    texts: &Texts,
) -> Result<Condition> {
    entry.set.check(&entry.edit)?;
    let mut tools = Tools::new(receiver, entry.hook.unwrap_or(readout.hook()));
    let target = match entry.set.kind(&entry.edit) {
        TargetKind::Whole => Target::Whole,
        TargetKind::Direction => match &entry.set {
            SetRule::File(file) => {
                Target::Direction(directions::load(file.as_ref(), readout.d_model())?.into())
            }
            other => return Err(needs_experiment(other)),
        },
        TargetKind::Heads => {
            let SetRule::Heads(found) = &entry.set else { return Err(needs_experiment(&entry.set)) };
            tools.head_means = heads::means(readout.model(receiver)?, &texts.tokens)?;
            Target::Heads(found.clone())
        }
        TargetKind::Features => {
            let features = features(readout, &entry.set, classes)?;
            tools.reading = reading(readout, entry, receiver, texts)?;
            let read = texts.reread(readout, &tools.reading)?;
            let prompts = [("prompts", &read)];
            tools.reference = reference(&stock(&prompts, vec![Default::default(); readout.features()]));
            tools.bank = bank(&prompts, 0);
            Target::Features(features)
        }
    };
    let EditEntry { edit, dose, receiver, positions, .. } = entry;
    let intervention = tools.intervention(readout, edit, &target, *dose, receiver, *positions)?;
    Ok(Condition::edited(name, intervention))
}

fn needs_experiment(set: &SetRule) -> Error {
    Error::request(format!("the set `{}` is chosen on the selection half of a study's suites", set.name()))
        .hint("use `deltascope intervene`, or list what is edited: { features = [3, 14] }")
}

fn features(readout: &Readout, set: &SetRule, classes: &[String]) -> Result<Vec<u32>> {
    let all = 0..readout.dictionary()?.features() as u32;
    match set {
        SetRule::Features(features) => Ok(features.clone()),
        SetRule::All => Ok(all.collect()),
        SetRule::Class(_) if classes.is_empty() => {
            Err(Error::request("the classes of the features are not known")
                .hint("give the table that `deltascope diff` writes, --features diff/features.parquet"))
        }
        SetRule::Class(class) => {
            Ok(all.zip(classes).filter(|(_, found)| *found == class).map(|(feature, _)| feature).collect())
        }
        other => Err(needs_experiment(other)),
    }
}

fn reading(readout: &Readout, entry: &EditEntry, receiver: usize, texts: &Texts) -> Result<Reading> {
    let donor = entry.edit.donor().map(|donor| readout.variant(donor)).transpose()?;
    let pair = (receiver, donor.unwrap_or(0));
    match (&entry.edit, entry.readout) {
        (Edit::TwoSource(_), ReadoutKind::Joint) => Err(two_codes()),
        (_, ReadoutKind::Joint) => Ok(Reading::Joint),
        (Edit::TwoSource(_), kind) => Ok(Reading::TwoSource {
            donor: view_of(readout, kind, pair.1, pair, &texts.tokens)?,
            receiver: view_of(readout, kind, receiver, pair, &texts.tokens)?,
        }),
        (_, kind) => Ok(Reading::Of(view_of(readout, kind, receiver, pair, &texts.tokens)?)),
    }
}

/// A transplant of two sources was asked of the joint code.
pub(super) fn two_codes() -> Error {
    Error::request("field `readout`: a transplant of two sources needs two codes, found `joint`")
        .hint("write readout = \"swap\" or readout = \"own\"")
}

fn texts(readout: &Readout, receiver: usize, prompts: &[Prompt], said: &[Completion]) -> Result<Texts> {
    let mut tokens = Vec::with_capacity(said.len());
    let mut lengths = Vec::with_capacity(said.len());
    for completion in said {
        let Some(prompt) = prompts.get(completion.prompt) else { continue };
        lengths.push(prompt.tokens.len());
        tokens.push(prompt.tokens.iter().chain(&completion.tokens).copied().collect());
    }
    Texts::given(readout, tokens, lengths, readout.model(receiver)?.tokenizer()?.bos())
}

/// Completions and tallies of every condition.
pub(super) fn sample_under(
    readout: &Readout,
    receiver: usize,
    conditions: &[Condition],
    prompts: &[Prompt],
    settings: &SampleSettings,
    observer: &Observer,
) -> Result<Vec<(Vec<Completion>, Tallies)>> {
    let mut found = vec![(Vec::new(), Tallies::default()); conditions.len()];
    for group in groups(conditions) {
        let chosen: Arc<[Condition]> = group.iter().map(|index| conditions[*index].clone()).collect();
        let (mut rows, mut starts) = (Vec::new(), Vec::new());
        for prompt in prompts {
            for condition in 0..chosen.len() {
                rows.push(prompt.clone());
                starts.push(Start { condition, key: prompt.key, prompt: prompt.tokens.len() });
            }
        }
        let mut lockstep = source(readout, receiver, chosen.clone(), &starts)?;
        let all = SampleSettings { batch_rows: rows.len() * settings.samples, ..settings.clone() };
        for completion in sample(&mut *lockstep, &rows, &all, observer)? {
            let (prompt, condition) = (completion.prompt / chosen.len(), completion.prompt % chosen.len());
            found[group[condition]].0.push(Completion { prompt, ..completion });
        }
        for (index, tallies) in group.iter().cycle().zip(lockstep.tallies()) {
            found[*index].1.add(tallies);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::small;
    use super::*;
    use crate::model::sample_model;

    const FILE: &str = r#"
        [[edit]]
        name = "without three"
        set = { features = [3, 5, 8] }
        receiver = "rl"
        edit = "zero"

        [[edit]]
        set = "all"
        receiver = "rl"
        edit = { two_source = "base" }
        readout = "own"

        [[edit]]
        set = { heads = ["2.0", "0.1"] }
        receiver = "rl"
        edit = "mean"
        positions = "response"

        [[hypothesis]]
        name = "as a study has it"
        set = "class:specific"
        receiver = "base"
        edit = "steer"
        dose = 4.0
        suite = "refusal"
        direction = "increase"
    "#;

    fn prompts(readout: &Readout) -> Vec<Prompt> {
        let tokenizer = readout.model(0).unwrap().tokenizer().unwrap();
        let suite = crate::tasks::Suite::parse("general_points").unwrap();
        let problems = suite.problems(1).into_iter().take(12);
        problems.map(|one| Prompt { tokens: one.tokens(tokenizer).unwrap(), key: one.key }).collect()
    }

    #[test]
    fn edits_of_a_file_are_sampled_beside_the_unedited_model() {
        let readout = small::readout(1);
        let (prompts, file) = (prompts(&readout), EditFile::parse(FILE).unwrap());
        let settings = SampleSettings { max_new_tokens: 8, seed: 3, ..SampleSettings::default() };
        let classes = small::inputs(1).classes;
        let said = say(&readout, &file, &classes, &prompts, &settings, &Observer::silent()).unwrap();
        let names: Vec<(&str, &str)> =
            said.iter().map(|said| (said.receiver.as_str(), said.condition.as_str())).collect();
        let expected = [
            ("rl", "baseline"),
            ("rl", "without three"),
            ("rl", "two_source from base all"),
            ("rl", "mean heads:2.0+0.1"),
            ("base", "baseline"),
            ("base", "as a study has it"),
        ];
        assert_eq!(names, expected);
        let plain =
            sample_model(readout.model(1).unwrap(), &prompts, &settings, &Observer::silent()).unwrap();
        assert_eq!(said[0].completions, plain);
        for edited in [1, 2, 3, 5] {
            let before = if edited == 5 { 4 } else { 0 };
            assert_ne!(said[edited].completions, said[before].completions, "{}", said[edited].condition);
            assert_eq!(said[edited].tallies.untestable(), None, "{}", said[edited].condition);
        }
        assert_eq!(said[3].tallies.prompt.positions, 0, "only the response is edited");
    }

    #[test]
    fn a_slip_in_a_file_of_edits_is_named() {
        let readout = small::readout(1);
        let error = |from: &str, to: &str| {
            let read = EditFile::parse(&FILE.replacen(from, to, 1));
            let settings = SampleSettings { max_new_tokens: 2, ..SampleSettings::default() };
            let observer = Observer::silent();
            let said =
                read.and_then(|file| say(&readout, &file, &[], &prompts(&readout), &settings, &observer));
            said.unwrap_err().to_string()
        };
        assert!(error("[[edit]]", "[[edits]]").contains("did you mean `edit`?"));
        assert!(EditFile::parse("").unwrap_err().to_string().contains("at least one [[edit]]"));
        assert!(error("edit = \"zero\"", "edit = \"zro\"").contains("unknown variant `zro`"));
        assert!(error("receiver = \"rl\"", "receiver = \"rll\"").contains("the variants are base, rl, sft"));
        assert!(
            error("readout = \"own\"", "readout = \"joint\"")
                .contains("edit `two_source from base all`: field `readout`")
        );
        assert!(error("{ features = [3, 5, 8] }", "\"transfer\"").contains("deltascope intervene"));
        assert!(
            error("edit = \"mean\"", "edit = \"steer\"")
                .contains("of `heads:2.0+0.1` one can make zero, mean")
        );
        assert!(
            error("x", "x").contains("classes of the features are not known"),
            "sets by class need classes"
        );
    }
}
