//! Answers that are lists, in order.

use crate::tasks::external;

/// Whether the last marked answer of a response is this list, whatever parts it: commas, spaces, or of single letters
/// nothing.
pub(super) fn is_list(expected: &[String], response: &str) -> bool {
    let Ok(answer) = external::marked(response, |_| true) else { return false };
    let (found, expected) =
        (items(&answer), expected.iter().map(|item| item.to_lowercase()).collect::<Vec<_>>());
    let letters = expected.iter().all(|item| item.chars().count() == 1);
    found == expected || (letters && found == [expected.concat()])
}

/// The items of a list in small letters.
pub(super) fn items(answer: &str) -> Vec<String> {
    let plain = external::undressed(answer).to_lowercase();
    plain
        .split(|letter: char| letter.is_whitespace() || ",;|→[](){}<>\"'`".contains(letter))
        .map(|item| item.trim_matches(['.', ':', '*']))
        .filter(|item| !item.is_empty() && *item != "and" && *item != "then" && *item != "->")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whatever_parts_it_and_its_order_counts() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let expected = list(&["a", "b", "c"]);
        for right in [
            "\\boxed{a, b, c}",
            "\\boxed{A B C}",
            "#### [a, b, and c]",
            "\\boxed{\\text{abc}}",
            "\\boxed{\"a\", \"b\", \"c\"}.",
        ] {
            assert!(is_list(&expected, right), "{right}");
        }
        for wrong in ["\\boxed{a, c, b}", "\\boxed{a, b}", "a, b, c", "\\boxed{a, b, c, c}"] {
            assert!(!is_list(&expected, wrong), "{wrong}");
        }
        assert!(!is_list(&list(&["13", "11"]), "\\boxed{1311}"));
    }
}
