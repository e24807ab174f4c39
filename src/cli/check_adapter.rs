//! `check adapter`: what is understood of an adapter, whether it fits its base, and how far it moves it.

use super::Context;
use crate::error::Result;
use crate::model::{AdapterGroup, AdapterMove, AdapterSummary, Model, hub};
use std::path::Path;

/// The flags of `check adapter`.
#[derive(clap::Args)]
pub(crate) struct CheckAdapterArguments {
    /// A PEFT adapter: a folder, or a name on the hub.
    #[arg(value_name = "DIR")]
    adapter: String,
    /// The base: a folder, or a name on the hub. Without it, the one that the adapter names, where it is found.
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
}

pub(crate) fn check_adapter(arguments: CheckAdapterArguments, context: &Context) -> Result<()> {
    let folder = hub::find(&arguments.adapter)?;
    let base = base(&folder, arguments.model.as_deref(), context)?;
    let summary = AdapterSummary::of(&folder, base.as_ref())?;
    summary.notes.iter().for_each(|note| context.printer.note(note.as_str()));
    if summary.moved.is_some_and(|moved| moved.most == 0.0) {
        context.printer.note("this adapter changes nothing: every logit of drawn tokens is that of its base");
    }
    context.printer.answer(&summary, || text(&summary))
}

fn base(folder: &Path, given: Option<&str>, context: &Context) -> Result<Option<Model>> {
    if let Some(name) = given {
        return context.model(&hub::find(name)?).map(Some);
    }
    Model::refuse_two(folder)?;
    match Model::base_of_adapter(folder) {
        Ok(Some(base)) => context.model(&base).map(Some),
        Ok(None) => Ok(None),
        Err(error) => {
            let error = error.to_string();
            context.printer.note(format!("the base was not found: {}", error.replace('\n', "; ")));
            Ok(None)
        }
    }
}

fn text(summary: &AdapterSummary) -> String {
    let base = summary.base.as_deref().unwrap_or("no base by name");
    let mut text =
        format!("{} for {base}: {} trained numbers in {}\n", summary.kind, summary.parameters, summary.file);
    for group in &summary.groups {
        text += &line(group);
    }
    let listed = [
        ("trained copies", &summary.copies),
        ("in the place of the base's own", &summary.replaced),
        ("named, but not in the file", &summary.unchanged),
        ("left out", &summary.left_out),
    ];
    for (what, names) in listed {
        if let Some(first) = names.first() {
            let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
            text += &format!("{what}: {first}{more}\n");
        }
    }
    for (module, ids) in &summary.tokens {
        text += &format!("trained rows of {module}: {}\n", ids.len());
    }
    if let Some(vocabulary) = summary.vocabulary {
        text += &format!("fits; {vocabulary} tokens\n");
    }
    match &summary.moved {
        Some(AdapterMove { most, divergence, share_of_other_tokens }) => {
            text + &format!(
                "drawn tokens: logits move by up to {most:.3}, divergence {divergence:.4} nats, another likeliest \
                     token at {:.0} % of positions\n",
                100.0 * share_of_other_tokens
            )
        }
        None => text,
    }
}

fn line(group: &AdapterGroup) -> String {
    let AdapterGroup { module, rank, parameters, .. } = group;
    let scale = match (group.alpha, group.scale) {
        (Some(alpha), Some(scale)) => format!(", alpha {alpha}, scale {scale:.4}"),
        _ => String::new(),
    };
    let layers = match group.layers.as_slice() {
        [] => String::new(),
        layers => format!(", layers {}", ranges(layers)),
    };
    format!("{module}: rank {rank}{scale}{layers}, {parameters} numbers\n")
}

/// `0-3, 7` of sorted numbers.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let one = |(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    runs.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn layers_are_told_in_runs() {
        assert_eq!(super::ranges(&[0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8");
    }
}
