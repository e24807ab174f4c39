//! Finds the final answer in a response.

/// The text of whichever stands last: `\boxed{...}` (braces may nest), `<answer>...</answer>`, or what follows
/// `####` on its line.
pub(super) fn last_answer(response: &str) -> Option<String> {
    let boxed = response.rfind("\\boxed{").map(|place| (place, braced(&response[place + 7..])));
    let tagged = response.rfind("<answer>").map(|place| (place, until(&response[place + 8..], "</answer>")));
    let marked = response.rfind("####").map(|place| {
        let rest = &response[place + 4..];
        (place, Some(rest.lines().next().unwrap_or(rest)))
    });
    let (_, answer) = [boxed, tagged, marked].into_iter().flatten().max_by_key(|(place, _)| *place)?;
    answer.map(|answer| answer.trim().to_owned()).filter(|answer| !answer.is_empty())
}

/// The text up to the brace that closes an open one.
fn braced(text: &str) -> Option<&str> {
    let mut depth = 1;
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(..place);
        }
    }
    None
}

fn until<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    text.split_once(end).map(|(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::last_answer;

    #[test]
    fn the_last_answer_counts() {
        let found = |text: &str| last_answer(text);
        assert_eq!(found("\\boxed{1} then \\boxed{\\frac{1}{2}}").as_deref(), Some("\\frac{1}{2}"));
        assert_eq!(found("\\boxed{1}\n#### 5\nbye").as_deref(), Some("5"));
        assert_eq!(found("<answer> 3 * 4 </answer>").as_deref(), Some("3 * 4"));
        assert_eq!(found("\\boxed{1} and \\boxed{2"), None, "an answer cut off is none");
        assert_eq!(found("42"), None);
    }
}
