//! Whether the features that were edited are ones that training added: what the question asks for, against what
//! the sets hold.

use crate::claims::ClaimRow;
use crate::diff::Class;
use crate::experiments::SetRow;
use crate::report::data::Data;
use crate::report::numbers::count;
use crate::report::view::Block;

/// Classes in the order in which they answer the question: what training added comes first.
const ORDER: [Class; 6] =
    [Class::Specific, Class::Partial, Class::Lost, Class::Undecided, Class::Shared, Class::Dead];

/// How many features training added, and how many of those the tested sets hold. `None` without classes.
pub(super) fn paragraph(data: &Data) -> Option<Block> {
    let live = data.features.iter().filter(|row| row.class != Class::Dead).count();
    if live == 0 {
        return None;
    }
    let of = |class: Class| data.features.iter().filter(|row| row.class == class).count();
    let mut words = format!(
        "Of the dictionary\u{2019}s {} live features {} are specific (absent in {}, so training added them), {} partial, {} lost, {} undecided and {} shared by all its variants.",
        count(live as u64),
        count(of(Class::Specific) as u64),
        data.base(),
        of(Class::Partial),
        of(Class::Lost),
        of(Class::Undecided),
        count(of(Class::Shared) as u64),
    );
    let tested: Vec<&str> = data.sets.iter().filter_map(|row| row.class.as_deref()).collect();
    if !tested.is_empty() {
        let specific = tested.iter().filter(|class| **class == Class::Specific.name()).count();
        words.push_str(&match specific {
            0 => " None of the tested sets holds a specific one: what is found below is about features that post-training re-uses, not about features that it added.".to_owned(),
            _ => format!(" Of the tested sets\u{2019} {} members {specific} are specific.", tested.len()),
        });
    }
    Some(Block::Paragraph(words))
}

/// The classes of one claim's set: `Its features: 6 shared, 2 specific.` `None` where no diff was made.
pub(super) fn sentence(data: &Data, claim: &ClaimRow) -> Option<String> {
    let members: Vec<&SetRow> = data.sets.iter().filter(|row| row.hypothesis == claim.hypothesis).collect();
    let of = |class: Class| members.iter().filter(|row| row.class.as_deref() == Some(class.name())).count();
    let counts: Vec<(usize, Class)> =
        ORDER.into_iter().map(|class| (of(class), class)).filter(|(number, _)| *number > 0).collect();
    match counts.as_slice() {
        [] => None,
        [(_, Class::Shared)] => {
            Some(format!("All of its features are shared: {} has them too.", data.base()))
        }
        counts => {
            let words: Vec<String> =
                counts.iter().map(|(number, class)| format!("{number} {}", class.name())).collect();
            Some(format!("Its features: {}.", words.join(", ")))
        }
    }
}
