//! Finds the final answer in a response.
//!
//! Marked answers are `\boxed{...}` and `\fbox{...}` (braces may nest; `\boxed 72` holds what follows up to the end of the
//! line or formula), `<answer>...</answer>`, and what follows `####` on its line. The last mark counts, of those that a
//! reward can read: a Markdown heading (`#### Check`) behind a box is no answer, and neither is an `<answer>` that was never
//! closed where another mark stands. Boxes that only `or`, `and` or a comma parts are one answer of several.

/// What a reward makes of the text behind a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reading {
    /// Nothing that this reward reads.
    Nothing,
    /// Words, where something better may stand.
    Words,
    /// An answer of the reward's kind.
    Answer,
}

/// How sure it is that a mark is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// A box, or a tag that is closed: whatever it holds is the answer.
    Closed,
    /// `####`, which begins a heading, too.
    Line,
    /// `<answer>` to the end of the text.
    Open,
}

/// The text behind the last mark that `reading` takes for an answer; else behind the last closed one; else, of words, behind
/// the last of any kind.
pub(super) fn last_answer(response: &str, reading: impl Fn(&str) -> Reading) -> Option<String> {
    let marked = marked(response);
    let sound = |mark: Mark, text: &str| match mark {
        Mark::Closed => true,
        Mark::Line => reading(text) == Reading::Answer,
        Mark::Open => false,
    };
    let best = marked
        .iter()
        .rev()
        .find(|(_, mark, text)| sound(*mark, text))
        .or_else(|| marked.iter().rev().find(|(_, mark, _)| *mark == Mark::Line))
        .or_else(|| marked.iter().rev().find(|(_, _, text)| reading(text) > Reading::Nothing));
    best.map(|(_, _, text)| text.clone()).filter(|text| !text.is_empty())
}

/// Every mark with its text, in the order of the response.
fn marked(response: &str) -> Vec<(usize, Mark, String)> {
    let mut found = boxes(response);
    for (place, tag) in response.match_indices("<answer>") {
        let rest = &response[place + tag.len()..];
        found.push(match rest.split_once("</answer>") {
            Some((inside, _)) => (place, Mark::Closed, undressed(inside)),
            None => (place, Mark::Open, undressed(rest)),
        });
    }
    for (place, mark) in response.match_indices("####") {
        let rest = response[place + mark.len()..].trim_start_matches('#');
        found.push((place, Mark::Line, undressed(rest.lines().next().unwrap_or(rest))));
    }
    found.sort_by_key(|(place, ..)| *place);
    found
}

/// The boxes; those that a word or a comma alone parts, as one.
fn boxes(response: &str) -> Vec<(usize, Mark, String)> {
    let mut found: Vec<(usize, Mark, String)> = Vec::new();
    let mut end = 0;
    let mut starts: Vec<(usize, usize)> = ["\\boxed", "\\fbox"]
        .iter()
        .flat_map(|name| response.match_indices(name).map(|(place, name)| (place, place + name.len())))
        .collect();
    starts.sort_unstable();
    for (place, after) in starts {
        // A box within a box is part of it.
        if place < end {
            continue;
        }
        let rest = &response[after..];
        let spaces = rest.len() - rest.trim_start().len();
        let (text, length) = match rest.trim_start().strip_prefix('{') {
            Some(inside) => match braced(inside) {
                Some(text) => (text, spaces + text.len() + 2),
                None => continue,
            },
            None if spaces > 0 || rest.starts_with(|next: char| next.is_ascii_digit()) => {
                let line = rest.trim_start().split(['$', '\n']).next().unwrap_or_default();
                (line, spaces + line.len())
            }
            None => continue,
        };
        let between =
            response[end..place].trim_matches(|letter: char| letter.is_whitespace() || "$*".contains(letter));
        let joins = match between.to_lowercase().as_str() {
            "" => "",
            "or" | "and" | "\\text{ or }" | "\\text{ and }" | ", or" | ", and" => " \\text{ or } ",
            "," => ", ",
            _ => "",
        };
        end = after + length;
        match found.last_mut() {
            Some((_, _, before)) if !joins.is_empty() => {
                *before = format!("{before}{joins}{}", undressed(text))
            }
            _ => found.push((place, Mark::Closed, undressed(text))),
        }
    }
    found
}

/// Without the space and the bold marks around it.
fn undressed(text: &str) -> String {
    text.trim().trim_matches('*').trim().to_owned()
}

/// The text up to the brace that closes an open one.
pub(super) fn braced(text: &str) -> Option<&str> {
    let (mut depth, mut escaped) = (1, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if !escaped => depth += 1,
            b'}' if !escaped => depth -= 1,
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
        if depth == 0 {
            return text.get(..place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Reading, last_answer};

    fn found(text: &str) -> Option<String> {
        last_answer(text, |text| match text.chars().next() {
            Some('0'..='9' | '\\') => Reading::Answer,
            Some(_) => Reading::Words,
            None => Reading::Nothing,
        })
    }

    #[test]
    fn the_last_answer_counts() {
        assert_eq!(found("\\boxed{1} then \\boxed{\\frac{1}{2}}").as_deref(), Some("\\frac{1}{2}"));
        assert_eq!(found("\\boxed{1}\n#### 5\nbye").as_deref(), Some("5"));
        assert_eq!(found("<answer> 3 * 4 </answer>").as_deref(), Some("3 * 4"));
        assert_eq!(found("\\boxed{1} and \\boxed{2").as_deref(), Some("1"), "an answer cut off is none");
        assert_eq!(found("\\boxed{\\{1, 2\\}} so").as_deref(), Some("\\{1, 2\\}"));
        assert_eq!(found("42"), None);
    }

    #[test]
    fn headings_and_unfinished_tags_take_no_answers_place() {
        for text in [
            "\\boxed{72}\n#### Check\nfine",
            "\\boxed{72} so <answer> 5",
            "#### **72**\n#### Why\n",
            "#### 72",
        ] {
            assert_eq!(found(text).as_deref(), Some("72"), "{text}");
        }
        assert_eq!(found("\\boxed 72").as_deref(), Some("72"));
        assert_eq!(found("so $\\boxed 72$, as said").as_deref(), Some("72"));
        assert_eq!(found("\\fbox{72}").as_deref(), Some("72"));
        assert_eq!(found("#### Paris").as_deref(), Some("Paris"));
        assert_eq!(found("<answer> 72").as_deref(), Some("72"));
    }

    #[test]
    fn boxes_side_by_side_are_one_answer_of_several() {
        assert_eq!(found("$\\boxed{3}$ or $\\boxed{5}$").as_deref(), Some("3 \\text{ or } 5"));
        assert_eq!(found("\\boxed{3}, \\boxed{5}").as_deref(), Some("3, 5"));
        assert_eq!(found("\\boxed{3} is wrong: \\boxed{5}").as_deref(), Some("5"));
    }
}
