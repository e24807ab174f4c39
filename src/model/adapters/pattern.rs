//! Names of modules, and the patterns that find them: regular expressions as Python's `re` reads them.

use crate::error::{Error, Result};
use tokenizers::utils::SysRegex;

/// The longest pattern that is read. What tools write is a few hundred characters long.
const LONGEST: usize = 1 << 14;

/// A regular expression, and the text that it was given as.
#[derive(Debug)]
pub(super) struct Pattern(SysRegex, String);

impl std::fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.1)
    }
}

impl Pattern {
    /// Finds names that are `text` as a whole: `re.fullmatch`.
    pub(super) fn whole(text: &str) -> Result<Self> {
        Self::new(text, format!(r"\A(?:{text})\z"))
    }

    /// Finds names that end in `text`, after a dot or as a whole: how PEFT finds the key of `rank_pattern` and
    /// `alpha_pattern` that a module has.
    pub(super) fn ending(text: &str) -> Result<Self> {
        Self::new(text, format!(r"\A(?:.*\.)?(?:{text})\z"))
    }

    /// Finds names in which `text` is a part, from dot to dot: how PEFT finds what `modules_to_save` keeps from being
    /// adapted.
    pub(super) fn part(text: &str) -> Result<Self> {
        Self::new(text, format!(r"\A(?:|.*\.){text}(?:\z|\..*)"))
    }

    fn new(given: &str, whole: String) -> Result<Self> {
        if given.len() > LONGEST {
            return Err(Error::request(format!(
                "expected a pattern of at most {LONGEST} characters, found {}",
                given.len()
            )));
        }
        SysRegex::new(&whole)
            .map(|pattern| Self(pattern, given.to_owned()))
            .map_err(|error| Error::request(format!("`{given}` is no regular expression: {error}")))
    }

    pub(super) fn finds(&self, name: &str) -> bool {
        self.0.find_iter(name).next().is_some()
    }
}

/// Whether `name` is `ending`, or ends in it after a dot: how PEFT compares a name with the entries of a list.
pub(super) fn ends_in(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}
