//! How the tokens of a table are spelt, and what they say.
//!
//! Tokenizers write a token with letters that stand for something else. Byte-level ones (GPT-2) give each of the 256
//! bytes a letter, so that `ĠcafÃ©` says ` café`; SentencePiece writes `▁` for a space and `<0x0A>` for a byte without
//! a token. Which of them it was shows in the letter that stands for a space.

use super::rows::{Cell, ContextRow, FeatureRow};

/// The letter that stands for a space in byte-level tokens.
const BYTE_SPACE: char = 'Ġ';
/// The letter that stands for a space in SentencePiece's tokens.
const PIECE_SPACE: char = '▁';

/// How tokens are spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// A letter for each byte.
    Bytes,
    /// As they are, but for spaces and single bytes.
    Pieces,
}

impl Alphabet {
    /// The spelling of the tokens in these tables.
    pub(super) fn of(features: &[FeatureRow], contexts: &[ContextRow]) -> Self {
        let columns = features.iter().flat_map(|row| row.per_variant.values());
        let texts = columns.filter_map(|cell| match cell {
            Cell::Text(text) => Some(text),
            Cell::Number(_) => None,
        });
        let texts: Vec<&String> = texts.chain(contexts.iter().map(|row| &row.tokens)).collect();
        let holds = |letter: char| texts.iter().any(|text| text.contains(letter));
        if holds(BYTE_SPACE) && !holds(PIECE_SPACE) { Self::Bytes } else { Self::Pieces }
    }

    /// A token as its reader sees it. One that holds a part of a letter's bytes shows the replacement character.
    pub(super) fn readable(self, token: &str) -> String {
        match self {
            Self::Bytes => {
                let mut bytes = Vec::with_capacity(token.len());
                for letter in token.chars() {
                    match byte(letter) {
                        Some(byte) => bytes.push(byte),
                        None => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                }
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::Pieces => {
                let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                let digits = digits.filter(|digits| digits.len() == 2);
                match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(byte) => String::from_utf8_lossy(&[byte]).into_owned(),
                    None => token.replace(PIECE_SPACE, " "),
                }
            }
        }
    }
}

/// The byte that a letter stands for in GPT-2's alphabet (`bytes_to_unicode`): printable ones stand for themselves, the
/// others, in order, are the letters from 256 on.
fn byte(letter: char) -> Option<u8> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(letter) {
        code @ 0..256 => u8::try_from(code).ok().filter(printable),
        code => (0..=255).filter(|byte| !printable(byte)).nth(code as usize - 256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_level_tokens_are_read_through_the_whole_alphabet() {
        let read = |token: &str| Alphabet::Bytes.readable(token);
        assert_eq!(read("ĠcafÃ©"), " café");
        assert_eq!(read("Ċĉ"), "\n\t");
        // 0xD4 begins a letter of two bytes, 0x96 ends one.
        assert_eq!((read("Ô"), read("ĸ")), ("\u{fffd}".to_owned(), "\u{fffd}".to_owned()));
        assert_eq!(read("Ôĸ"), "\u{516}");
        assert_eq!(read("<|endoftext|>"), "<|endoftext|>");
        assert_eq!(read("中"), "中", "a letter outside the alphabet stands for itself");
        let mut bytes: Vec<u8> = (0..0x144).filter_map(char::from_u32).filter_map(byte).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte('\u{144}'), None);
    }

    #[test]
    fn pieces_keep_their_letters() {
        let read = |token: &str| Alphabet::Pieces.readable(token);
        assert_eq!((read("▁café"), read("Ô")), (" café".to_owned(), "Ô".to_owned()));
        assert_eq!((read("<0x0A>"), read("<0xzz>")), ("\n".to_owned(), "<0xzz>".to_owned()));
    }

    #[test]
    fn the_spelling_is_told_by_the_letter_for_a_space() {
        let of = |tokens: &str| {
            let mut row = FeatureRow::blank(0);
            row.per_variant.insert("promoted_rl".to_owned(), Cell::Text(tokens.to_owned()));
            Alphabet::of(&[row], &[])
        };
        assert_eq!(of("[\"Ġa\"]"), Alphabet::Bytes);
        assert_eq!(of("[\"▁a\", \"Ġ\"]"), Alphabet::Pieces);
        assert_eq!(of("[\"24\"]"), Alphabet::Pieces);
    }
}
