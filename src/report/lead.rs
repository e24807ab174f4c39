//! Under the question, before anything else: how it was asked, and what the answer cannot say.

use super::data::Data;

/// Two sentences of method and two of limits; nothing where no claim was decided.
pub(super) fn sentences(data: &Data) -> Vec<(&'static str, String)> {
    let Some(first) = data.claims.first() else { return Vec::new() };
    let problems = data.claims.iter().map(|claim| claim.problems);
    let (fewest, most) = (problems.clone().min().unwrap_or(0), problems.max().unwrap_or(0));
    let problems = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
    let method = format!(
        "One dictionary is fitted over {}; on one half of the problems sets of its features are chosen, and on the other half ({problems} problems a hypothesis) they are edited while the model answers. A set is claimed only where its effect leaves both zero and {} control sets that fire as often and change as much, {} corrected over {} declared in advance.",
        listed(&data.facts.dictionary_variants),
        first.needed_controls,
        correction(&first.correction),
        match data.claims.len() {
            1 => "the one hypothesis".to_owned(),
            number => format!("the {number} hypotheses"),
        },
    );
    vec![("Method", method), ("Limits", limits(data))]
}

fn limits(data: &Data) -> String {
    let repeated = data.stabilities();
    let seeds = match repeated.is_empty() {
        true => "The verdicts are those of one dictionary seed and one training seed: nothing was repeated."
            .to_owned(),
        false => format!(
            "Under other seeds the same verdict came out for {}, this study counted in.",
            repeated.join(", ")
        ),
    };
    let nulls = match data.nulls.iter().filter(|row| row.verdict.carries()).count() {
        _ if data.nulls.is_empty() => String::new(),
        carried => format!(
            " Where nothing was changed but the weights, {} of {} hypotheses came out as carrying something.",
            if carried == 0 { "none".to_owned() } else { carried.to_string() },
            data.nulls.len()
        ),
    };
    format!(
        "{seeds}{nulls} A feature is a direction that the dictionary found, not a mechanism, and removing it also removes what {} had of it.",
        data.base()
    )
}

fn listed(names: &[String]) -> String {
    match names.split_last() {
        None => "the variants".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// A correction by the name that papers use.
pub(super) fn correction(name: &str) -> &str {
    match name {
        "holm" => "Holm",
        "bh" => "Benjamini-Hochberg",
        "by" => "Benjamini-Yekutieli",
        other => other,
    }
}
