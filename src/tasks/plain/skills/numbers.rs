//! Numbers below a thousand in English words.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// A number from 0 to 999 in words, as `three hundred forty-two`.
pub(in crate::tasks::plain) fn in_words(number: i64) -> String {
    let small = |number: i64| SMALL[number.rem_euclid(20) as usize];
    match number {
        0..=19 => small(number).to_owned(),
        20..=99 => {
            let tens = TENS[(number / 10) as usize];
            if number % 10 == 0 { tens.to_owned() } else { format!("{tens}-{}", small(number % 10)) }
        }
        _ => {
            let hundreds = format!("{} hundred", small(number / 100));
            if number % 100 == 0 { hundreds } else { format!("{hundreds} {}", in_words(number % 100)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_number_reads_back() {
        let all: BTreeMap<String, i64> = (0..1000).map(|number| (in_words(number), number)).collect();
        assert_eq!(all.len(), 1000);
        let read = |text: &str| {
            let mut value = 0;
            for word in text.split([' ', '-']) {
                match (
                    SMALL.iter().position(|known| *known == word),
                    TENS.iter().position(|known| *known == word),
                ) {
                    (Some(small), _) => value += small as i64,
                    (_, Some(tens)) => value += 10 * tens as i64,
                    _ => value *= 100,
                }
            }
            value
        };
        assert!(all.iter().all(|(text, number)| read(text) == *number));
    }
}
