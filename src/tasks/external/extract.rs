//! Finds the final answer in a response.
//!
//! An answer is marked by `\boxed{…}` (also `\boxed 5` and `\fbox{…}`; braces may nest), by `<answer>…</answer>`, or
//! by `####` before the rest of its line. **The marker that stands last counts**, whichever it is, but:
//!
//! * `<answer>` that nothing closes counts only where there is no other marker, and up to the end of its line (programs
//!   that stop at `</answer>` leave that out);
//! * `####` before a heading is none: its line must hold an answer that the rule reads and, if that has words in it and
//!   there is another kind of marker, be the last line (where there is no other marker at all, the last line that
//!   begins with `####` is the answer whatever it holds);
//! * a box that nothing closes was cut off, and makes the response one without an answer;
//! * boxes with nothing between them but punctuation, `or`, `and` and the like are one answer: the list of them.
//!
//! No answer is longer than [`LONGEST`].

/// The most bytes of an answer: some 20,000 digits. Longer ones are not read.
pub(super) const LONGEST: usize = 20_000;
/// The most boxes that are one list.
const MOST_BOXES: usize = 16;
/// The most lines that are tried as `####`.
const MOST_LINES: usize = 64;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Unmarked,
    CutOff,
    Empty,
    TooLong,
}

impl Missing {
    pub(super) fn why(self) -> String {
        match self {
            Self::Unmarked => "no answer is marked by `\\boxed{}`, `####` or `<answer>`".to_owned(),
            Self::CutOff => "the last `\\boxed{` is not closed".to_owned(),
            Self::Empty => "the last marker holds nothing".to_owned(),
            Self::TooLong => format!("the answer is longer than {LONGEST} bytes"),
        }
    }
}

/// One marked answer and where its mark begins.
type Found<'a> = (usize, Result<String, Missing>);

/// The final answer, whatever it is.
#[cfg(test)]
pub(super) fn last_answer(response: &str) -> Option<String> {
    final_answer(response, |_| true).ok()
}

/// The final answer; `reads` says whether a text could be one, to tell `#### 5` from `#### Check`.
pub(super) fn final_answer(response: &str, reads: impl Fn(&str) -> bool) -> Result<String, Missing> {
    let sure = [boxes(response), tagged(response)];
    let sure = sure.into_iter().flatten().max_by_key(|(place, _)| *place);
    let first = sure.as_ref().map_or(0, |(place, _)| *place);
    let found = match marked(response, first, sure.is_some(), reads).or(sure) {
        Some((_, found)) => found?,
        None => unfinished(response).ok_or(Missing::Unmarked)?,
    };
    let found = found.trim();
    match found.len() {
        0 => Err(Missing::Empty),
        length if length > LONGEST => Err(Missing::TooLong),
        _ => Ok(found.to_owned()),
    }
}

/// The last box, or the list of the last boxes.
fn boxes(response: &str) -> Option<Found<'_>> {
    let (place, last, _) = last_box(response)?;
    let last = match last {
        Ok(found) => found,
        Err(missing) => return Some((place, Err(missing))),
    };
    let mut start = place;
    let mut all = vec![last];
    while all.len() < MOST_BOXES {
        let Some(before) = response.get(..start) else { break };
        let Some((earlier, found, closed)) = last_box(before) else { break };
        let between = response.get(closed..start).unwrap_or_default();
        let Ok(found) = found else { break };
        if !joins(between) {
            break;
        }
        start = earlier;
        all.push(found);
    }
    all.reverse();
    all.dedup();
    let joined = if all.len() == 1 { all.concat() } else { all.join(" \\text{ or } ") };
    Some((place, Ok(joined)))
}

/// Where the last box begins, what it holds, and where it ends.
fn last_box(text: &str) -> Option<(usize, Result<&str, Missing>, usize)> {
    let place = ["\\boxed", "\\fbox", "\\framebox"].iter().filter_map(|name| text.rfind(name)).max()?;
    let after = text.get(place..)?;
    let name =
        after.get(1..)?.find(|letter: char| !letter.is_ascii_alphabetic()).map_or(after.len(), |end| end + 1);
    let inside = after.get(name..)?;
    let spaces = inside.len() - inside.trim_start_matches([' ', '\t']).len();
    let start = place + name + spaces;
    let inside = inside.trim_start_matches([' ', '\t']);
    match inside.strip_prefix('{') {
        Some(inside) => match braced(inside) {
            Some(content) => Some((place, Ok(content), start + content.len() + 2)),
            None => {
                let missing = if inside.len() > LONGEST { Missing::TooLong } else { Missing::CutOff };
                Some((place, Err(missing), text.len()))
            }
        },
        // TeX takes one token here; people write a number, and end it with a space or the formula.
        None => {
            let end =
                inside.find(|letter: char| letter.is_whitespace() || letter == '$').unwrap_or(inside.len());
            Some((place, Ok(inside.get(..end)?.trim_end_matches(['.', ','])), start + end))
        }
    }
}

/// Whether what stands between two boxes makes them one answer.
fn joins(between: &str) -> bool {
    const WORDS: [&str; 13] = [
        "or",
        "and",
        "also",
        "maybe",
        "perhaps",
        "possibly",
        "alternatively",
        "either",
        "both",
        "else",
        "text",
        "quad",
        "too",
    ];
    between.len() <= 60
        && between
            .split(|letter: char| !letter.is_alphabetic())
            .filter(|word| !word.is_empty())
            .all(|word| WORDS.contains(&word.to_lowercase().as_str()))
}

/// The last `<answer>` that is closed.
fn tagged(response: &str) -> Option<Found<'_>> {
    let close = response.rfind("</answer>")?;
    let place = response.get(..close)?.rfind("<answer>")?;
    Some((place, Ok(response.get(place + 8..close)?.to_owned())))
}

/// The last `<answer>` that nothing closes, up to the end of its line.
fn unfinished(response: &str) -> Option<String> {
    let place = response.rfind("<answer>")?;
    let rest = response.get(place + 8..)?.trim_start();
    rest.lines().next().map(str::to_owned)
}

/// The last `####` after `first` that is an answer.
fn marked(response: &str, first: usize, others: bool, reads: impl Fn(&str) -> bool) -> Option<Found<'_>> {
    let tail = response.get(first..)?;
    let mut end = tail.len();
    let mut unread = None;
    for _ in 0..MOST_LINES {
        let Some(place) = tail.get(..end).and_then(|before| before.rfind("####")) else { break };
        let before = tail.get(..place)?.trim_end_matches('#').len();
        let hashes = place + 4 - before;
        end = before;
        let rest = tail.get(place + 4..)?;
        let line = rest.lines().next().unwrap_or(rest);
        let answer = without_label(line.trim());
        if hashes != 4 || answer.is_empty() {
            continue;
        }
        let words = answer.split(|letter: char| !letter.is_alphabetic()).any(|word| word.len() > 1);
        let is_last = rest.get(line.len()..).is_none_or(|after| after.trim().is_empty());
        let alone = !words || is_last || answer.contains('\\');
        if (alone || !others) && answer.len() <= LONGEST && reads(answer) {
            return Some((first + place, Ok(answer.to_owned())));
        }
        unread.get_or_insert_with(|| (first + place, Ok(answer.to_owned())));
    }
    // Where there is no other marker, what it marks is the answer whatever it is.
    unread.filter(|_| !others)
}

/// An answer without the words that announce it.
pub(super) fn without_label(text: &str) -> &str {
    let mut text = text.trim_start_matches(['*', '_', ' ']);
    for label in ["the ", "final ", "answer", "is ", "are "] {
        let starts = text.get(..label.len()).is_some_and(|start| start.eq_ignore_ascii_case(label));
        if starts {
            let rest = text.get(label.len()..).unwrap_or_default();
            text = rest
                .trim_start_matches(['*', '_', ' '])
                .trim_start_matches(':')
                .trim_start_matches(['*', '_', ' ']);
        }
    }
    text
}

/// The text up to the brace that closes an open one.
fn braced(text: &str) -> Option<&str> {
    let mut depth = 1;
    let mut escaped = false;
    for (place, byte) in text.bytes().enumerate().take(LONGEST + 1) {
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
    use super::*;

    #[test]
    fn the_last_answer_counts() {
        let found = |text: &str| last_answer(text);
        assert_eq!(found("\\boxed{1} then \\boxed{\\frac{1}{2}}").as_deref(), Some("\\frac{1}{2}"));
        assert_eq!(found("\\boxed{1}\n#### 5\nbye").as_deref(), Some("5"));
        assert_eq!(found("<answer> 3 * 4 </answer>").as_deref(), Some("3 * 4"));
        assert_eq!(found("\\boxed{1} and \\boxed{2"), None, "an answer cut off is none");
        assert_eq!(found("42"), None);
        assert_eq!(found("\\boxed{\\{1, 2\\}}").as_deref(), Some("\\{1, 2\\}"));
    }

    #[test]
    fn marks_that_are_none_are_told_apart() {
        let number = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
        let found = |text: &str| final_answer(text, number);
        for text in [
            "\\boxed{72}\n\n#### Check\nfine",
            "\\boxed{72}\n#### Step 2: more\nok",
            "\\boxed{72}\n##### 5\nok",
            "\\boxed{72} hence <answer> done",
            "\\boxed 72",
            "$\\boxed 72$.",
            "\\fbox{72}",
            "<answer>72",
            "<answer>72\nand so on",
            "<answer>71</answer> no <answer>72</answer> and <answer>",
            "#### 72",
            "#### 72\n\n#### Check\nok",
            "####72",
            "\\framebox{72}",
            "#### **Answer:** 72",
            "\\boxed{3} and then\n#### 72 dollars",
        ] {
            let answer = found(text).unwrap();
            assert_eq!(answer.trim_end_matches(" dollars"), "72", "{text}");
        }
        assert_eq!(found("\\boxed{72"), Err(Missing::CutOff));
        assert_eq!(found("\\boxed{}"), Err(Missing::Empty));
        assert_eq!(found("I do not know"), Err(Missing::Unmarked));
        assert_eq!(found(&format!("\\boxed{{{}}}", "1".repeat(30_000))), Err(Missing::TooLong));
    }

    #[test]
    fn boxes_that_stand_together_are_one_answer() {
        let found = |text: &str| last_answer(text).unwrap();
        let list = "3 \\text{ or } 5";
        for text in
            ["\\boxed{3} or \\boxed{5}", "$\\boxed{3}$, $\\boxed{5}$", "\\boxed{3} \\text{ and } \\boxed{5}"]
        {
            assert_eq!(found(text), list, "{text}");
        }
        assert_eq!(found("\\boxed{5}\n\\boxed{5}"), "5");
        assert_eq!(found("\\boxed{3} is wrong. Finally \\boxed{5}"), "5");
    }

    #[test]
    fn a_megabyte_takes_milliseconds() {
        let started = std::time::Instant::now();
        for piece in ["\\boxed{", "#### ", "<answer>", "</answer>", "#", "\\boxed{1}", "\\boxed 1 "] {
            let _ = final_answer(&piece.repeat(1_000_000 / piece.len()), |_| false);
        }
        assert!(started.elapsed().as_secs_f64() < 2.0, "{:?}", started.elapsed());
    }
}
