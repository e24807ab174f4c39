//! What stands behind the file in a suite's name.

use super::command;
use super::rule::Rule;
use crate::error::{Error, Result};
use crate::tasks::judged::Policy;
use std::time::Duration;

/// What a suite's name says: the file, how its answers are judged, and whether every row is asked.
pub(super) struct Options<'a> {
    pub(super) path: &'a str,
    pub(super) rule: Rule,
    pub(super) policy: Policy,
    pub(super) all: bool,
}

impl<'a> Options<'a> {
    pub(super) fn parse(spec: &'a str) -> Result<Self> {
        let (path, options) = spec.split_once(':').unwrap_or((spec, ""));
        let (mut rule, mut policy, mut all) = (None, Policy::default(), false);
        let (mut limit, mut files) = (None, None);
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
                Some((name, value)) if policy.option(name, value) => {}
                Some(("files", names)) => files = Some(names),
                Some(("limit", seconds)) => limit = Some(seconds_of(seconds)?),
                _ => {
                    return Err(Error::request(format!("suite `{spec}`: unknown option `{option}`"))
                        .hint("the options are `rows=all`, `limit=SECONDS`, `files=FILE,FOLDER`, `special=keep|drop`, `thought=none|judged|whole` and, as the last, `reward=exact|number|math|regex|expression|refusal|compliance|command:PROGRAM|judge:FILE.toml`"));
                }
            }
        }
        match (command, limit, files) {
            (Some(command), limit, files) => {
                let files: Vec<&str> = files.into_iter().flat_map(|names: &str| names.split(',')).collect();
                rule = Some(Rule::command(command, limit.unwrap_or(command::LIMIT), &files)?);
            }
            (None, Some(_), _) => {
                return Err(Error::request(format!("suite `{spec}`: `limit` is for `reward=command`")));
            }
            (None, None, Some(_)) => {
                return Err(Error::request(format!("suite `{spec}`: `files` is for `reward=command`")));
            }
            (None, None, None) => {}
        }
        let rule = rule.ok_or_else(|| {
            Error::request(format!("suite `{spec}`: how its answers are judged is not stated"))
                .hint(format!("write for example `{path}:reward=number`"))
        })?;
        Ok(Self { path, rule, policy, all })
    }
}

fn seconds_of(text: &str) -> Result<Duration> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|limit| !limit.is_zero()).ok_or_else(|| {
        Error::request(format!("`limit`: expected a positive number of seconds, found `{text}`"))
    })
}
