//! What stands around a text: one rule for all verbs.

use crate::error::{Error, Result};
use tokenizers::{Encoding, Token, Tokenizer};

/// The tokens that a tokenizer's own rules put before and after a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) before: Vec<u32>,
    pub(super) after: Vec<u32>,
}

impl Around {
    /// What the post-processor puts around a text of one token.
    pub(super) fn of(tokenizer: &Tokenizer) -> Result<Self> {
        let token = Token { id: 0, value: "a".to_owned(), offsets: (0, 1) };
        let one = Encoding::from_tokens(vec![token], 0);
        let wrong = |why: String| Error::request(format!("field `post_processor`: {why}"));
        let whole = tokenizer.post_process(one, None, true).map_err(|error| wrong(error.to_string()))?;
        let own: Vec<usize> = (0..)
            .zip(whole.get_special_tokens_mask())
            .filter(|(_, mask)| **mask == 0)
            .map(|(place, _)| place)
            .collect();
        let ids = whole.get_ids();
        match own.as_slice() {
            [place] => Ok(Self {
                before: ids.get(..*place).unwrap_or_default().to_vec(),
                after: ids.get(place + 1..).unwrap_or_default().to_vec(),
            }),
            other => Err(wrong(format!("expected a text once, found it {} times", other.len()))),
        }
    }
}
