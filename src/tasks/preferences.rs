//! What two preferred conversations or texts have in common: their prompt.

use super::conversation::Asked;
use crate::error::{Error, Result};
use crate::model::chat::Conversation;
use serde_json::Value;

/// Whether messages begin with one that says `text`.
pub(super) fn begins_with(asked: &Asked, text: &str) -> bool {
    let Asked::Messages(conversation) = asked else { return false };
    let says = |message: &Value| message.get("content").and_then(Value::as_str) == Some(text);
    conversation.messages.len() > 1 && conversation.messages.iter().take(2).any(says)
}

/// Takes what two conversations or texts begin with off both, and returns it. Of texts, a space at the end of it stays
/// with the responses, as in TRL's `extract_prompt`.
pub(super) fn shared_beginning(chosen: &mut Asked, rejected: &mut Asked) -> Result<Asked> {
    let (one, two): (&mut Conversation, &mut Conversation) = match (chosen, rejected) {
        (Asked::Messages(one), Asked::Messages(two)) => (one, two),
        (Asked::Text(one), Asked::Text(two)) => {
            let letters = one.char_indices().zip(two.chars());
            let shared = letters.take_while(|((_, one), two)| one == two).last();
            let end = shared.map_or(0, |((place, letter), _)| match letter {
                ' ' => place,
                letter => place + letter.len_utf8(),
            });
            if end == 0 || one.len() == end || two.len() == end {
                return Err(Error::request(
                    "`chosen` and `rejected` do not begin with the same text, or one ends with it",
                )
                .hint("give the prompt in a field `prompt`"));
            }
            let prompt = one[..end].to_owned();
            one.replace_range(..end, "");
            two.replace_range(..end, "");
            return Ok(Asked::Text(prompt));
        }
        _ => {
            return Err(Error::request(
                "expected two texts or two lists of messages in `chosen` and `rejected`",
            ));
        }
    };
    let alike = one.messages.iter().zip(&two.messages).take_while(|(one, two)| one == two).count();
    let prompt: Vec<Value> = one.messages.drain(..alike).collect();
    two.messages.drain(..alike);
    if prompt.is_empty() {
        return Err(Error::request("`chosen` and `rejected` do not begin with the same messages"));
    }
    if one.messages.is_empty() || two.messages.is_empty() {
        return Err(Error::request(
            "`chosen` or `rejected` says nothing after the messages that both begin with",
        ));
    }
    Ok(Asked::Messages(one.with_messages(prompt)))
}
