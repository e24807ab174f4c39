//! A surface cue against a constraint that the question implies.
//!
//! Source: generated here, after the Heuristic Override Benchmark (arXiv 2603.29025). Five families set a cue (near, cheap, fast,
//! similar, familiar) against a constraint (presence, capability, validity, scope). Each problem is asked in five ways: the
//! conflict, the same with its options exchanged, both with the sentence that restores the constraint, and the control in
//! which cue and constraint agree. What is measured: whether the answer follows the cue, the constraint or neither, and
//! strictly whether all five are right. What is not measured: whether the model knows the fact at all (the hint tells), choices
//! of more than two, conflicts that need knowledge of a trade. Only English. One problem in four is held out with all of its
//! ways, by family and nouns and numbers.

use super::{Item, Right};
use crate::rng::Stream;
use crate::tasks::problem::Half;
use crate::tasks::split::held_out;

/// The ways in which a problem is asked; the first is the control.
pub(in crate::tasks) const WAYS: [&str; 5] =
    ["agreement", "conflict", "conflict exchanged", "hint", "hint exchanged"];

/// One problem before it is asked in its ways.
struct Pair {
    id: String,
    /// What is said where cue and constraint differ, and where they agree.
    conflict: String,
    agreement: String,
    /// The sentence that restores the constraint.
    hint: String,
    question: &'static str,
    /// The option that the cue suggests, and that which the constraint demands.
    cue: String,
    constraint: String,
}

/// Problem `number` in all of its ways, of the held-out or the training side.
pub(in crate::tasks) fn ways(number: u64, from_held_out: bool, stream: &mut Stream) -> Vec<Item> {
    loop {
        let pair = drawn(number, stream);
        if held_out(&pair.id) == from_held_out {
            return (0..WAYS.len()).map(|way| item(&pair, way)).collect();
        }
    }
}

fn item(pair: &Pair, way: usize) -> Item {
    let agrees = way == 0;
    let exchanged = matches!(way, 2 | 4);
    let hint = if matches!(way, 3 | 4) { format!(" {}", pair.hint) } else { String::new() };
    let told = if agrees { &pair.agreement } else { &pair.conflict };
    let (first, second) =
        if exchanged { (&pair.constraint, &pair.cue) } else { (&pair.cue, &pair.constraint) };
    let letter = |is_first: bool| if is_first { "A" } else { "B" };
    let (cue, constraint) = (letter(!exchanged), letter(exchanged));
    let right = if agrees { cue } else { constraint };
    let question = format!(
        "{told}{hint} {}\nA: {first}\nB: {second}\nThink about what the situation needs, and end with the letter in a box, as in \\boxed{{A}} or \\boxed{{B}}.",
        pair.question
    );
    let choice = Right::Choice { right, cue, constraint: if agrees { cue } else { constraint } };
    Item {
        instantiation: Some(WAYS[way]),
        half: Half::of(&pair.id),
        id: pair.id.clone(),
        question,
        response: format!("\\boxed{{{right}}}"),
        right: choice,
    }
}

fn drawn(number: u64, stream: &mut Stream) -> Pair {
    let mut of = |items: &[&'static str]| items[stream.below(items.len())];
    match number % 5 {
        0 => {
            let (thing, work) = (
                of(&["car", "motorbike", "van", "scooter", "camper"]),
                of(&["washed", "inspected", "repaired", "refuelled", "weighed"]),
            );
            let metres = of(&["40", "60", "80", "100", "120", "150"]);
            let place = "a garage";
            Pair {
                id: format!("override near {thing} {work} {metres}"),
                conflict: format!(
                    "Kim wants to have her {thing} {work} at {place} that is only {metres} metres from her door, where the {thing} stands now."
                ),
                agreement: format!(
                    "Kim wants to pay a bill at {place} that is only {metres} metres from her door; her {thing} was {work} last week and is not needed."
                ),
                hint: format!("The {thing} itself must be at the garage to be {work}."),
                question: "How should she get there?",
                cue: "on foot".into(),
                constraint: format!("with the {thing}"),
            }
        }
        1 => {
            let (people, cheap, dear) =
                (of(&["6", "7", "8", "9"]), of(&["40", "45", "50", "55"]), of(&["80", "90", "95", "110"]));
            let event = of(&["a trip", "a wedding", "a match", "a concert"]);
            Pair {
                id: format!("override cheap {people} {cheap} {dear} {event}"),
                conflict: format!(
                    "A group of {people} people hires one vehicle for {event}. A car with 5 seats costs {cheap} euros a day, a minibus with 12 seats costs {dear} euros a day. All must ride at the same time."
                ),
                agreement: format!(
                    "A group of {people} people hires one vehicle for {event}. A car with {people} seats costs {cheap} euros a day, a minibus with 12 seats costs {dear} euros a day. All must ride at the same time."
                ),
                hint: "Everybody needs a seat of their own.".into(),
                question: "Which should they hire?",
                cue: "the car".into(),
                constraint: "the minibus".into(),
            }
        }
        2 => {
            let (soon, late) = (of(&["10", "15", "20", "25"]), of(&["50", "60", "75", "90"]));
            let town = of(&["Lille", "Graz", "Turin", "Leeds", "Porto"]);
            Pair {
                id: format!("override fast {soon} {late} {town}"),
                conflict: format!(
                    "Two trains go to {town}. The express takes {soon} minutes, the local train {late} minutes. Omar holds a ticket on which is written: valid on local trains only. He can buy no other and is in no hurry."
                ),
                agreement: format!(
                    "Two trains go to {town}. The express takes {soon} minutes, the local train {late} minutes. Omar holds a ticket on which is written: valid on all trains. He wants to arrive as early as he can."
                ),
                hint: "A ticket must be valid on the train that is taken.".into(),
                question: "Which train should he take?",
                cue: "the express".into(),
                constraint: "the local train".into(),
            }
        }
        3 => {
            let (part, code) =
                (of(&["filter", "pump", "belt", "valve", "lamp"]), of(&["311", "427", "538", "649", "752"]));
            let machine = of(&["dishwasher", "boiler", "printer", "mower"]);
            Pair {
                id: format!("override similar {part} {code} {machine}"),
                conflict: format!(
                    "Mia needs a new {part} for her {machine}. Its manual says that only number {code}-K fits. The shop has number {code}-R, which looks just like the old one, and number {code}-K, which has another colour."
                ),
                agreement: format!(
                    "Mia needs a new {part} for her {machine}. Its manual says that only number {code}-R fits. The shop has number {code}-R, which looks just like the old one, and number {code}-K, which has another colour."
                ),
                hint: "What fits is decided by the number in the manual and not by looks.".into(),
                question: "Which should she buy?",
                cue: format!("number {code}-R"),
                constraint: format!("number {code}-K"),
            }
        }
        _ => {
            let (who, card) =
                (of(&["Lena", "Tariq", "Yuki", "Pablo"]), of(&["swimming", "climbing", "skating", "tennis"]));
            let years = of(&["3", "5", "8", "12"]);
            Pair {
                id: format!("override familiar {who} {card} {years}"),
                conflict: format!(
                    "{who} has entered the sports centre with the blue card for {years} years. Today {who} wants to use the {card} hall. The sign at its door says: entrance with the green card only. {who} has both cards."
                ),
                agreement: format!(
                    "{who} has entered the sports centre with the blue card for {years} years. Today {who} wants to use the {card} hall. The sign at its door says: entrance with the blue card only. {who} has both cards."
                ),
                hint: "The rule on the door of the hall holds, whatever was used before.".into(),
                question: "Which card should be shown?",
                cue: "the blue card".into(),
                constraint: "the green card".into(),
            }
        }
    }
}
