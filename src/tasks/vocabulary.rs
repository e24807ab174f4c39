//! The words of the microcosm, one token each: a token's id is its place in this list.

use crate::error::Result;
use crate::model::Tokenizer;

/// Every number of the microcosm, intermediate results too, lies in `0..=LARGEST`.
pub(super) const LARGEST: i64 = 63;
/// Opens every document.
pub const BOS: &str = "<bos>";
/// Closes every document.
pub const EOS: &str = "<eos>";
/// Fills rows of a batch.
pub const PAD: &str = "<pad>";
/// Between two attempts, "that one failed"; at the end of a response, "I give up".
pub const FAILED: &str = "x";

const MARKS: &str =
    ": + - * = , x to A J Q K F10 F13 make count chain calc vals copy rev sort max ask no ok done";
const SPECIAL: [&str; 3] = [PAD, BOS, EOS];

pub(super) const LETTERS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
/// The verbs of requests; the first half is disallowed when the mark is, too.
pub(super) const REQUEST_VERBS: [&str; 8] = ["brew", "cut", "burn", "pick", "lift", "tell", "move", "hold"];
/// The marks of requests; the first half is disallowed when the verb is, too.
pub(super) const REQUEST_MARKS: [&str; 12] =
    ["zu", "ki", "mo", "pe", "ne", "so", "ra", "shi", "tu", "vo", "wa", "yu"];

/// All words in the order of their ids. The numbers come first, so that no special token is id 0, 1 or
/// 2: a sampler that falls back on such a default must fail visibly.
pub fn words() -> Vec<String> {
    let numbers = (0..=LARGEST).map(|number| number.to_string());
    let rest = SPECIAL.into_iter().chain(MARKS.split(' ')).chain(LETTERS);
    numbers.chain(rest.chain(REQUEST_VERBS).chain(REQUEST_MARKS).map(str::to_owned)).collect()
}

/// The tokenizer of the microcosm.
///
/// # Errors
/// Never for this list of words; the type is that of the general constructor.
pub fn tokenizer() -> Result<Tokenizer> {
    let words = words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Tokenizer::word_level(&words, BOS, EOS, PAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_distinct_and_special_tokens_are_not_the_usual_defaults() {
        let words = words();
        assert_eq!(words.len(), 126);
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        assert!(words.iter().take(3).all(|word| !SPECIAL.contains(&word.as_str())));
    }

    #[test]
    fn documents_survive_the_tokenizer_and_special_tokens_have_their_ids() {
        let tokenizer = tokenizer().unwrap();
        let (bos, eos, pad) = (tokenizer.bos(), tokenizer.eos(), tokenizer.pad());
        assert_eq!((bos, eos, pad), (tokenizer.id(BOS), tokenizer.id(EOS), tokenizer.id(PAD)));
        for document in crate::tasks::curriculum(1, 0, 500) {
            let text = format!("{} {} {EOS}", document.prompt, document.response);
            let ids = tokenizer.encode(&text).unwrap();
            assert_eq!(ids.len(), text.split_whitespace().count());
            assert_eq!((ids.first().copied(), ids.last().copied()), (bos, eos));
            assert_eq!(tokenizer.decode(&ids), text);
        }
    }
}
