//! What a model is asked about: a text, or tokens.

use super::Model;
use crate::error::{Error, Result};

/// A text, or the tokens that stand for one. Strings and lists of token ids turn into it by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// A text, which becomes tokens by the rule of all verbs ([`Tokenizer::encode_begun`](super::Tokenizer::encode_begun)).
    Written(String),
    /// Tokens, which stay as they are.
    Tokens(Vec<u32>),
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Written(text.to_owned())
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::Written(text.clone())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Written(text)
    }
}

impl From<&[u32]> for Text {
    fn from(tokens: &[u32]) -> Self {
        Self::Tokens(tokens.to_vec())
    }
}

impl From<&Vec<u32>> for Text {
    fn from(tokens: &Vec<u32>) -> Self {
        Self::Tokens(tokens.clone())
    }
}

impl From<Vec<u32>> for Text {
    fn from(tokens: Vec<u32>) -> Self {
        Self::Tokens(tokens)
    }
}

impl Model {
    /// The tokens of a text, with what the tokenizer's own rules put before it; tokens stay as they are.
    ///
    /// # Errors
    /// If a text is given and the model has no tokenizer, it cannot be encoded, or nothing is left of it.
    pub fn tokens(&self, text: impl Into<Text>) -> Result<Vec<u32>> {
        let tokens = match text.into() {
            Text::Tokens(tokens) => tokens,
            Text::Written(text) => self.tokenizer()?.encode_begun(&text)?,
        };
        match tokens.is_empty() {
            true => Err(Error::request("expected a text with at least one token, found none")),
            false => Ok(tokens),
        }
    }
}
