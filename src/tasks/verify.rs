//! Judges responses: exact integer arithmetic, every value used once, only the allowed operators.

use super::attempts::Operator;
use super::cards::sorted;
use super::vocabulary::{EOS, FAILED};

/// What a response to a card problem did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search {
    /// The last attempt is right, and the response ended there.
    pub(super) pass: bool,
    /// It ended in "that failed" instead of a solution.
    pub(super) gave_up: bool,
    /// How many attempts it holds, broken ones included.
    pub(super) attempts: usize,
    /// The first attempt was right.
    pub(super) first_attempt: bool,
    /// The last attempt used exactly the values of the old rule.
    pub(super) old_rule: bool,
}

/// Judges a search. A truncated one has neither passed nor given up.
pub(super) fn search(
    values: [i64; 3],
    old_values: Option<[i64; 3]>,
    target: i64,
    response: &str,
    truncated: bool,
) -> Search {
    let words = words(response);
    let attempts: Vec<Option<Attempt>> = words
        .split(|word| *word == FAILED)
        .filter(|attempt| !attempt.is_empty())
        .map(Attempt::parse)
        .collect();
    let right = |attempt: Option<&Option<Attempt>>| {
        attempt.and_then(Option::as_ref).is_some_and(|found| found.reaches(values, target))
    };
    let ends_failed = words.last() == Some(&FAILED);
    let last = attempts.last().and_then(Option::as_ref);
    Search {
        pass: !truncated && !ends_failed && right(attempts.last()),
        gave_up: !truncated && ends_failed,
        attempts: attempts.len(),
        first_attempt: right(attempts.first()),
        old_rule: last.is_some_and(|found| old_values == Some(found.values())),
    }
}

/// Whether a complete response is this text, word for word.
pub(super) fn exactly(expected: &str, response: &str, truncated: bool) -> bool {
    !truncated && words(response).into_iter().eq(expected.split_whitespace())
}

/// Whether the first word of a response is `word`.
pub(super) fn opens_with(word: &str, response: &str) -> bool {
    words(response).first() == Some(&word)
}

/// The words before the end token.
fn words(response: &str) -> Vec<&str> {
    response.split_whitespace().take_while(|word| *word != EOS).collect()
}

/// `a o b = x p c = y` as written, right or wrong.
struct Attempt {
    operands: [i64; 3],
    result: i64,
    sound: bool,
}

impl Attempt {
    fn parse(words: &[&str]) -> Option<Self> {
        let [a, first, b, "=", middle, second, c, "=", result] = words else { return None };
        let number = |word: &str| word.parse::<i64>().ok();
        let operands = [number(a)?, number(b)?, number(c)?];
        let (middle, result) = (number(middle)?, number(result)?);
        let sound = Operator::parse(first)?.apply(operands[0], operands[1]) == Some(middle)
            && Operator::parse(second)?.apply(middle, operands[2]) == Some(result);
        Some(Self { operands, result, sound })
    }

    fn values(&self) -> [i64; 3] {
        sorted(self.operands)
    }

    fn reaches(&self, values: [i64; 3], target: i64) -> bool {
        self.sound && self.result == target && self.values() == values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(response: &str, truncated: bool) -> Search {
        search([4, 9, 11], Some([4, 9, 10]), 16, response, truncated)
    }

    #[test]
    fn only_the_last_attempt_counts_and_it_must_be_right_in_every_respect() {
        let right = "9 - 4 = 5 + 11 = 16";
        assert!(judge(right, false).pass && judge(right, false).first_attempt);
        assert!(judge("11 + 9 = 20 + 4 = 24 x 9 - 4 = 5 + 11 = 16 <eos>", false).pass);
        let wrong = [
            "9 - 4 = 6 + 11 = 16",
            "10 + 10 = 20 - 4 = 16",
            "9 - 4 = 5 + 11 = 17",
            "11 + 9 = 20 - 4 = 16 x 11 + 9 = 20 + 4 = 24",
            "9 - 4 = 5 + 11 = 16 x",
            "9 - 4 = 5 + 11 =",
            "9 - 4 = 5 + 11 = 16 16",
            "",
        ];
        for response in wrong {
            assert!(!judge(response, false).pass, "{response}");
        }
        assert!(!judge(right, true).pass, "cut off");
    }

    #[test]
    fn the_parts_of_a_failed_search_are_told_apart() {
        let gave_up = judge("11 + 9 = 20 + 4 = 24 x", false);
        assert!(gave_up.gave_up && gave_up.attempts == 1 && !gave_up.old_rule);
        let old = judge("11 + 9 = 20 + 4 = 24 x 10 + 9 = 19 - 4 = 15", false);
        assert!(old.old_rule && old.attempts == 2 && !old.gave_up);
    }
}
