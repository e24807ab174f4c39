//! Texts of others as they can be shown: what would move the cursor, hide or turn around is written out.

use std::borrow::Cow;

/// The text with every control but the end of a line and the tabulator, every character that is not seen, and every one
/// that turns the direction of writing, as `⟨U+001B⟩`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_hidden(character) {
            true => out += &format!("⟨U+{:04X}⟩", u32::from(character)),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        _ if character.is_control() => true,
        // Soft hyphen, grapheme joiner, Arabic letter mark, Hangul fillers, Khmer's inherent vowels, Mongolian's marks.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}' => true,
        // Of no width, and directions; ends of line and paragraph; embeddings, overrides and isolates.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // The byte order mark, interlinear notes, and tags.
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_would_do_something_is_written_out_and_what_is_read_is_left() {
        for (given, shown) in [
            ("plain, ünïcode 漢字 🙂\n\tnext", "plain, ünïcode 漢字 🙂\n\tnext"),
            ("\u{1b}]0;owned\u{7}", "⟨U+001B⟩]0;owned⟨U+0007⟩"),
            ("\u{1b}[2J", "⟨U+001B⟩[2J"),
            ("good\rbad", "good⟨U+000D⟩bad"),
            ("\u{9b}31m", "⟨U+009B⟩31m"),
            ("a\u{202e}b\u{2066}c", "a⟨U+202E⟩b⟨U+2066⟩c"),
            ("ze\u{200b}ro\u{feff}", "ze⟨U+200B⟩ro⟨U+FEFF⟩"),
            ("tag\u{e0041}", "tag⟨U+E0041⟩"),
        ] {
            assert_eq!(visible(given), shown);
        }
    }
}
