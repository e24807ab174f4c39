//! Rows of training data as tokens, of which some are learned: those of TRL 1.16 with transformers 5.24.
//!
//! - **A prompt and a completion that are texts** are joined as they stand, with the end token's text after a completion
//!   that does not end in it, and encoded as one. So no space or merge of the tokenizer's stands between them that a
//!   text would not have. The prompt is encoded alone, too, and the completion begins where the two encodings part:
//!   a token that reaches over the seam is learned.
//! - **Messages** are rendered as one text. What is learned begins where that parts from the rendered prompt, which ends
//!   where the assistant is to answer. The template ends the turn in its own way: no end token is added.
//! - **Preferences** are two such rows. Their prompt is what both have in common with the encoded prompt.
//! - **`messages`** alone are what TRL makes of them with `assistant_only_loss=True`: every message of the assistant is
//!   learned, where it stands in the whole conversation.
//!
//! Where this departs from TRL:
//!
//! | | here | TRL 1.16 | why |
//! |---|---|---|---|
//! | `messages` by default | what the assistant says | all tokens | learning to write the user's part is no post-training that is studied here |
//! | what the assistant says | from where it is asked to answer to the end of its turn, as of a `completion`; a first message is not learned | what the template marks by `{% generation %}`, or it refuses | few templates mark it, and marks may leave out the end of the turn |
//! | a template that writes earlier turns anew (as those that drop earlier thoughts) | a row for every answer, after what the model sees when it is asked | one row | the other answers would be learned after a context that the model never sees |
//! | the end token | once, also where the tokenizer's own rules would add it to every text | those rules add a second | a model that has learned two says two |
//! | an end token that is no token of its own in the text | added as a token | cut into pieces | the row would have no end |
//! | two preferred texts that share no beginning, or of which one begins with the other | refused | an empty prompt; the last shared letter counts as answered | there is nothing that both answer |
//! | a row whose answer is no token | refused by its number | left out | it is a mistake in the file |
//! | a text of which the vocabulary knows words only, split at spaces | a space between prompt and completion | an unknown word | such a tokenizer writes that space itself when it decodes |

use super::conversation::{Asked, assistant};
use crate::error::{Error, Result};
use crate::model::Tokenizer;
use crate::model::chat::{Conversation, Ending};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;

/// Tokens, and the places of those that are learned: each from the tokens before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lesson {
    tokens: Vec<u32>,
    /// Ascending, apart from each other, not empty, and from place 1 on.
    learned: Vec<Range<usize>>,
    /// Whether the prompt alone is encoded in another way than before its answer.
    #[serde(default)]
    parted: bool,
}

impl Lesson {
    /// The row of a prompt and a response.
    ///
    /// # Errors
    /// If the response is messages and the prompt is not, or as [`Lesson::of_texts`] and [`Lesson::of_messages`].
    pub(super) fn of(tokenizer: &Tokenizer, prompt: &Asked, response: &Asked) -> Result<Self> {
        match (prompt, response) {
            (Asked::Words(prompt) | Asked::Text(prompt), Asked::Text(response)) => {
                Self::of_texts(tokenizer, prompt, response)
            }
            (Asked::Messages(before), Asked::Text(response)) => {
                Self::of_messages(tokenizer, before, &[assistant(response)])
            }
            (Asked::Messages(before), Asked::Messages(after)) => {
                Self::of_messages(tokenizer, before, &after.messages)
            }
            _ => Err(Error::request(
                "expected a prompt of messages, because the response is one; found a text",
            )),
        }
    }

    /// Tokens of which those in the given places are learned. The first token of all is predicted from nothing, and so is not.
    ///
    /// # Errors
    /// If nothing is left to learn.
    pub(crate) fn new(tokens: Vec<u32>, learned: impl IntoIterator<Item = Range<usize>>) -> Result<Self> {
        let mut kept: Vec<Range<usize>> = Vec::new();
        for range in learned {
            let least = kept.last().map_or(1, |before| before.end);
            let range = range.start.max(least)..range.end.min(tokens.len());
            match kept.last_mut() {
                _ if range.is_empty() => {}
                Some(before) if before.end == range.start => before.end = range.end,
                _ => kept.push(range),
            }
        }
        match kept.is_empty() {
            true => Err(Error::request("nothing is learned from this row: it ends where its answer begins")),
            false => Ok(Self { tokens, learned: kept, parted: false }),
        }
    }

    /// Tokens of which all from a place on are learned.
    ///
    /// # Errors
    /// As [`Lesson::new`].
    pub(crate) fn after(prompt: usize, tokens: Vec<u32>) -> Result<Self> {
        let all = prompt..tokens.len();
        Self::new(tokens, [all])
    }

    /// All tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The places of the tokens that are learned.
    pub fn learned(&self) -> &[Range<usize>] {
        &self.learned
    }

    /// The place of the first token that is learned.
    pub(crate) fn begins(&self) -> usize {
        self.learned.first().map_or(self.tokens.len(), |range| range.start)
    }

    /// The same with everything from an earlier place on: two rows that are compared have one prompt.
    fn from(mut self, place: usize) -> Self {
        if let Some(first) = self.learned.first_mut() {
            first.start = first.start.min(place.max(1));
        }
        self
    }

    /// A prompt and what is to be said after it, both as texts.
    ///
    /// # Errors
    /// If there is no end token, or a text cannot be encoded.
    pub(crate) fn of_texts(tokenizer: &Tokenizer, prompt: &str, completion: &str) -> Result<Self> {
        let end = tokenizer.eos().ok_or_else(|| {
            Error::request("the tokenizer has no end token, so a response cannot be closed")
                .hint("set `eos_token` in tokenizer_config.json")
        })?;
        let closing = tokenizer.token(end).unwrap_or_default();
        let closing = if completion.ends_with(&closing) { "" } else { &closing };
        let asked = Asked::Text(prompt.to_owned());
        let (prompt, mut whole) = encoded_together(tokenizer, &asked, &format!("{completion}{closing}"))?;
        if whole.last() != Some(&end) {
            whole.push(end);
        }
        Self::behind(&prompt, whole)
    }

    /// What is said after some messages, by the chat template.
    ///
    /// # Errors
    /// If the template refuses the messages, or writes nothing after them.
    pub(crate) fn of_messages(tokenizer: &Tokenizer, before: &Conversation, after: &[Value]) -> Result<Self> {
        let prompt = tokenizer.encode(&tokenizer.render(before, Ending::Answer)?)?;
        let whole = before.with_messages([before.messages.as_slice(), after].concat());
        let whole = tokenizer.encode(&tokenizer.render(&whole, Ending::Closed)?)?;
        Self::behind(&prompt, whole)
    }

    /// What of a whole row is learned where its prompt alone is encoded as `prompt`.
    fn behind(prompt: &[u32], whole: Vec<u32>) -> Result<Self> {
        let alike = common(prompt, &whole);
        Ok(Self { parted: alike < prompt.len(), ..Self::after(alike, whole)? })
    }

    /// Whether a model that is asked sees other tokens than those before the answer that it learned: the template writes
    /// the prompt anew once it is answered, or a token reaches over the seam. TRL warns of it, and so does a note.
    pub(crate) fn is_parted(&self) -> bool {
        self.parted
    }

    /// Every message of the assistant in a conversation: in one row, or where the template writes what came before an
    /// answer in another way once more follows, in a row for each.
    ///
    /// # Errors
    /// If the template refuses the messages, or none is the assistant's.
    pub(crate) fn of_conversation(
        tokenizer: &Tokenizer,
        conversation: &Conversation,
        is_answer: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Self>> {
        let messages = &conversation.messages;
        let places: Vec<usize> = (1..messages.len()).filter(|place| is_answer(&messages[*place])).collect();
        let Some(last) = places.last() else {
            return Err(Error::request("expected a message by the assistant after another, found none"));
        };
        let mut rows = Vec::new();
        for place in &places {
            let before = conversation.with_messages(messages[..*place].to_vec());
            rows.push(Self::of_messages(tokenizer, &before, &messages[*place..=*place])?);
        }
        let whole = match last + 1 == messages.len() {
            true => rows.last().map(|row| row.tokens.clone()).unwrap_or_default(),
            false => tokenizer.encode(&tokenizer.render(conversation, Ending::Closed)?)?,
        };
        match rows.iter().all(|row| whole.starts_with(&row.tokens)) {
            true => {
                let parted = rows.iter().any(Self::is_parted);
                let learned = rows.into_iter().flat_map(|row| row.learned);
                Ok(vec![Self { parted, ..Self::new(whole, learned)? }])
            }
            false => Ok(rows),
        }
    }

    /// Two rows that begin alike, with one prompt: what both have before what either learns.
    pub(crate) fn alike(one: Self, two: Self) -> (Self, Self) {
        let prompt = one.begins().min(two.begins());
        (one.from(prompt), two.from(prompt))
    }
}

/// A prompt's tokens, and those of the prompt and what follows as one text. A plain text begins as every text of a model
/// does; what a template writes stays as it is.
///
/// # Errors
/// If a text cannot be encoded.
pub(crate) fn encoded_together(
    tokenizer: &Tokenizer,
    prompt: &Asked,
    completion: &str,
) -> Result<(Vec<u32>, Vec<u32>)> {
    let encode = |text: &str| match prompt {
        Asked::Words(_) | Asked::Text(_) => tokenizer.encode_begun(text),
        Asked::Messages(_) => tokenizer.encode(text),
    };
    let prompt = prompt.text(tokenizer)?;
    let touches = !prompt.ends_with(char::is_whitespace) && !completion.starts_with(char::is_whitespace);
    let between = if tokenizer.is_of_words() && touches { " " } else { "" };
    Ok((encode(&prompt)?, encode(&format!("{prompt}{between}{completion}"))?))
}

/// How many tokens two rows begin with alike.
pub(crate) fn common(one: &[u32], two: &[u32]) -> usize {
    one.iter().zip(two).take_while(|(one, two)| one == two).count()
}
