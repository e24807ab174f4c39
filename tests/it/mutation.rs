//! Nothing that can be written in a study panics: mutated studies are either accepted or refused in words.

use crate::cli::MICRO;
use deltascope::study::Study;
use proptest::prelude::*;

/// Values of every kind and of extreme sizes.
const VALUES: [&str; 22] = [
    "0",
    "1",
    "-1",
    "3",
    "9223372036854775807",
    "-9223372036854775808",
    "0.0",
    "-0.5",
    "1e308",
    "nan",
    "inf",
    "true",
    "\"\"",
    "\"log\"",
    "\"base\"",
    "\"sft@\"",
    "\"@matched\"",
    "\"a.b{}\\u0000\"",
    "[]",
    "[[0]]",
    "{}",
    "1979-05-27T07:32:00Z",
];

/// Names that stand in some section, so that a mutation often hits one that is read.
fn names() -> Vec<String> {
    let words =
        MICRO.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(" = ").take(1));
    let mut names: Vec<String> =
        words.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect();
    names.extend(["dose = 1", "matched_to", "[diff]", "[[variant]]", "model", "endpoint"].map(str::to_owned));
    names
}

#[derive(Clone, Debug)]
enum Mutation {
    /// Replaces the value of a line.
    Value(prop::sample::Index, usize),
    /// Replaces the name of a line.
    Name(prop::sample::Index, prop::sample::Index),
    /// Removes a line.
    Remove(prop::sample::Index),
    /// Repeats a line elsewhere.
    Move(prop::sample::Index, prop::sample::Index),
    /// Replaces one character.
    Character(prop::sample::Index, char),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), 0..VALUES.len()).prop_map(|(line, value)| Mutation::Value(line, value)),
        2 => (index(), index()).prop_map(|(line, name)| Mutation::Name(line, name)),
        1 => index().prop_map(Mutation::Remove),
        2 => (index(), index()).prop_map(|(from, to)| Mutation::Move(from, to)),
        1 => (index(), any::<char>()).prop_map(|(place, character)| Mutation::Character(place, character)),
    ]
}

fn apply(text: &str, mutation: &Mutation) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return String::new();
    }
    match mutation {
        Mutation::Value(line, value) => {
            let place = line.index(lines.len());
            let line = &mut lines[place];
            let name = line.split(" = ").next().unwrap_or_default().to_owned();
            *line = format!("{name} = {}", VALUES[*value]);
        }
        Mutation::Name(line, name) => {
            let names = names();
            let place = line.index(lines.len());
            let line = &mut lines[place];
            let value = line.split_once(" = ").map_or("1", |(_, value)| value).to_owned();
            *line = format!("{} = {value}", names[name.index(names.len())]);
        }
        Mutation::Remove(line) => {
            lines.remove(line.index(lines.len()));
        }
        Mutation::Move(from, to) => {
            let line = lines[from.index(lines.len())].clone();
            lines.insert(to.index(lines.len()), line);
        }
        Mutation::Character(place, character) => {
            let mut characters: Vec<char> = text.chars().collect();
            let place = place.index(characters.len());
            characters[place] = *character;
            return characters.into_iter().collect();
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutated_study_panics(mutations in prop::collection::vec(mutation(), 1..4)) {
        let text = mutations.iter().fold(MICRO.to_owned(), |text, mutation| apply(&text, mutation));
        if let Err(error) = Study::parse(&text, &[]) {
            prop_assert_eq!(error.exit_code(), 2, "{}\n{}", error, text);
        }
    }

    #[test]
    fn no_override_panics(key in "[a-z_.]{0,20}", value in ".{0,20}") {
        if let Err(error) = Study::parse(MICRO, &[format!("{key}={value}")]) {
            prop_assert_eq!(error.exit_code(), 2, "{}", error);
        }
    }
}
