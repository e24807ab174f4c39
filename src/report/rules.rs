//! The rules of PROTOCOL.md by number, so that a page can point at them where nothing else can be reached.

/// The protocol as it stands in the repository.
const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) number: u8,
    /// Its heading in PROTOCOL.md.
    pub(super) title: &'static str,
}

impl Rule {
    /// Where it stands on the page.
    pub(super) fn anchor(self) -> String {
        anchor(self.number)
    }
}

/// All rules, in order.
pub(super) fn all() -> Vec<Rule> {
    PROTOCOL.lines().filter_map(rule).collect()
}

fn rule(line: &'static str) -> Option<Rule> {
    let (number, title) = line.strip_prefix("## ")?.split_once(". ")?;
    Some(Rule { number: number.parse().ok()?, title })
}

/// Where a rule stands on the page.
pub(super) fn anchor(number: u8) -> String {
    format!("rule-{}", number)
}

/// Rules by number, each with where it stands.
pub(super) fn links(numbers: &[u8]) -> Vec<(u8, String)> {
    numbers.iter().map(|number| (*number, anchor(*number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_numbered_heading_is_a_rule() {
        let rules = all();
        let numbers: Vec<u8> = rules.iter().map(|rule| rule.number).collect();
        assert_eq!(numbers, (1..=10).collect::<Vec<u8>>());
        assert_eq!(rules.first().map(|rule| rule.title), Some("Units, halves and samples"));
    }
}
