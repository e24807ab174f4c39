//! The words of the microcosm, one token each: a token's id is its place in this list.

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
}
