//! How a task is said: in the microcosm's words, or in plain language.
//!
//! A task draws problems and verifies answers; a rendering says them. The same problem has both, and is held out of both:
//!
//! | name | what a model is given |
//! |---|---|
//! | `symbols` | the microcosm's words, `count 12 5 3 to 31 :` |
//! | `chat` | plain language, as a message to the model's chat template |
//! | `text` | plain language as a text, after two solved examples of the training side: for a base without a template |
//!
//! A suite or a data arm states it behind its name, `countdown:as=text`; `as=plain` is `chat` where the model has a template
//! and `text` where not. Where nothing is stated the model decides: `symbols` if its tokenizer has the microcosm's words,
//! else plain. Symbols are never put to a model whose tokenizer does not have them.

use super::vocabulary;
use crate::error::{Error, Result, nearest};
use crate::model::Tokenizer;

/// How a task is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rendering {
    /// In the microcosm's words.
    Symbols,
    /// In plain language, by the model's chat template.
    Chat,
    /// In plain language, as a text after solved examples.
    Text,
}

impl Rendering {
    /// `symbols`, `chat` or `text`.
    pub fn name(self) -> &'static str {
        NAMES.into_iter().find(|(_, stated)| *stated == Stated::Exactly(self)).map_or("", |(name, _)| name)
    }
}

/// What a name says of the rendering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stated {
    /// Nothing: the model decides.
    #[default]
    Nothing,
    /// Plain language; the model decides whether by its template.
    Plain,
    /// This one.
    Exactly(Rendering),
}

/// What stands between a name and its rendering.
const MARK: &str = ":as=";
const NAMES: [(&str, Stated); 4] = [
    ("symbols", Stated::Exactly(Rendering::Symbols)),
    ("plain", Stated::Plain),
    ("chat", Stated::Exactly(Rendering::Chat)),
    ("text", Stated::Exactly(Rendering::Text)),
];

impl Stated {
    /// The rendering called `name`.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(name: &str) -> Result<Self> {
        NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, stated)| stated).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name);
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the renderings are {}", names.join(", ")),
            };
            Error::request(format!("unknown rendering `{name}`")).hint(hint)
        })
    }

    /// Takes what a name states off its end.
    pub(super) fn of_name(name: &str) -> Result<(&str, Self)> {
        match name.split_once(MARK) {
            Some((name, stated)) => Ok((name, Self::parse(stated)?)),
            None => Ok((name, Self::Nothing)),
        }
    }

    /// A name with this stated. Symbols are what the bare name of a task means that has them.
    pub(super) fn named(self, name: &str) -> String {
        match self {
            Self::Nothing | Self::Exactly(Rendering::Symbols) => name.to_owned(),
            stated => {
                let said = NAMES.into_iter().find(|(_, known)| *known == stated).map_or("", |(name, _)| name);
                format!("{name}{MARK}{said}")
            }
        }
    }

    /// This, or where it is nothing, another.
    pub(super) fn or(self, default: Self) -> Self {
        if self == Self::Nothing { default } else { self }
    }

    /// What is meant with a model that has this tokenizer, for a task that is said `in_symbols`, too, or only in plain
    /// language.
    ///
    /// # Errors
    /// If the model cannot be asked so.
    pub fn for_model(self, in_symbols: bool, tokenizer: &Tokenizer) -> Result<Rendering> {
        let knows_words = knows_words(tokenizer);
        let has_template = tokenizer.chat_template(false).is_ok();
        let plain = if has_template { Rendering::Chat } else { Rendering::Text };
        match self {
            Self::Nothing if in_symbols && knows_words => Ok(Rendering::Symbols),
            Self::Exactly(Rendering::Symbols) if !in_symbols => {
                Err(Error::request("this task is not said in symbols").hint("leave out `:as=symbols`"))
            }
            Self::Exactly(Rendering::Symbols) if knows_words => Ok(Rendering::Symbols),
            Self::Exactly(Rendering::Symbols) => Err(not_its_words()),
            Self::Exactly(Rendering::Chat) if !has_template => {
                Err(Error::request("the model has no chat template")
                    .hint("`:as=text` asks in plain language without one"))
            }
            _ if knows_words => {
                Err(Error::request("the model knows the words of the microcosm only, and no plain language")
                    .hint("its suites are those that have a rendering in symbols, without `:as=`"))
            }
            Self::Exactly(stated) => Ok(stated),
            Self::Nothing | Self::Plain => Ok(plain),
        }
    }

    /// The rendering where no model decides: symbols where a task has them, else by the chat template.
    pub(super) fn alone(self, in_symbols: bool) -> Rendering {
        match self {
            Self::Exactly(rendering) if in_symbols || rendering != Rendering::Symbols => rendering,
            Self::Nothing if in_symbols => Rendering::Symbols,
            _ => Rendering::Chat,
        }
    }
}

/// Whether every word of the microcosm is a token.
fn knows_words(tokenizer: &Tokenizer) -> bool {
    vocabulary::words().iter().all(|word| tokenizer.id(word).is_some())
}

/// The refusal of symbols.
pub(super) fn not_its_words() -> Error {
    Error::request(
        "the model's tokenizer does not have the words of the microcosm, so it cannot be asked in symbols",
    )
    .hint("`:as=plain` behind the name asks in plain language, as does a name that states nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_states_its_rendering_and_symbols_are_the_bare_name() {
        for (name, _) in NAMES {
            let (bare, stated) =
                Stated::of_name(&format!("countdown:as={name}")).map(|(a, b)| (a.to_owned(), b)).unwrap();
            assert_eq!(bare, "countdown");
            let expected =
                if name == "symbols" { "countdown".to_owned() } else { format!("countdown:as={name}") };
            assert_eq!(stated.named("countdown"), expected);
        }
        let error = Stated::of_name("countdown:as=plane").unwrap_err().to_string();
        assert!(error.contains("did you mean `plain`?"), "{error}");
    }

    #[test]
    fn the_model_decides_and_what_it_cannot_be_asked_is_refused() {
        let words = super::super::tokenizer().unwrap();
        assert_eq!(Stated::Nothing.for_model(true, &words).unwrap(), Rendering::Symbols);
        for stated in [Stated::Plain, Stated::Exactly(Rendering::Text)] {
            let error = stated.for_model(true, &words).unwrap_err().to_string();
            assert!(error.contains("no plain language"), "{error}");
        }
        let other = Tokenizer::word_level(&["<s>", "</s>", "<p>", "hello"], "<s>", "</s>", "<p>").unwrap();
        assert_eq!(Stated::Nothing.for_model(true, &other).unwrap(), Rendering::Text);
        assert_eq!(Stated::Plain.for_model(false, &other).unwrap(), Rendering::Text);
        let error = Stated::Exactly(Rendering::Symbols).for_model(true, &other).unwrap_err().to_string();
        assert!(error.contains(":as=plain"), "{error}");
        let error = Stated::Exactly(Rendering::Chat).for_model(true, &other).unwrap_err().to_string();
        assert!(error.contains(":as=text"), "{error}");
    }
}
