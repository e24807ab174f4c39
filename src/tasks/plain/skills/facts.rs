//! Facts that a table decides: capitals, chemical symbols, months, days and opposites.

use super::{Item, item};
use crate::rng::Stream;

const CAPITALS: [(&str, &str); 44] = [
    ("France", "Paris"),
    ("Germany", "Berlin"),
    ("Italy", "Rome"),
    ("Spain", "Madrid"),
    ("Portugal", "Lisbon"),
    ("Austria", "Vienna"),
    ("Greece", "Athens"),
    ("Poland", "Warsaw"),
    ("Hungary", "Budapest"),
    ("Ireland", "Dublin"),
    ("Norway", "Oslo"),
    ("Sweden", "Stockholm"),
    ("Finland", "Helsinki"),
    ("Denmark", "Copenhagen"),
    ("Belgium", "Brussels"),
    ("Russia", "Moscow"),
    ("Turkey", "Ankara"),
    ("Egypt", "Cairo"),
    ("Kenya", "Nairobi"),
    ("Ghana", "Accra"),
    ("Senegal", "Dakar"),
    ("Morocco", "Rabat"),
    ("Japan", "Tokyo"),
    ("China", "Beijing"),
    ("Vietnam", "Hanoi"),
    ("Thailand", "Bangkok"),
    ("Iran", "Tehran"),
    ("Iraq", "Baghdad"),
    ("Cuba", "Havana"),
    ("Peru", "Lima"),
    ("Canada", "Ottawa"),
    ("Australia", "Canberra"),
    ("Chile", "Santiago"),
    ("Uruguay", "Montevideo"),
    ("Venezuela", "Caracas"),
    ("Bulgaria", "Sofia"),
    ("Romania", "Bucharest"),
    ("Croatia", "Zagreb"),
    ("Serbia", "Belgrade"),
    ("Ukraine", "Kyiv"),
    ("Latvia", "Riga"),
    ("Estonia", "Tallinn"),
    ("Lithuania", "Vilnius"),
    ("Nepal", "Kathmandu"),
];
const ELEMENTS: [(&str, &str); 30] = [
    ("hydrogen", "H"),
    ("helium", "He"),
    ("lithium", "Li"),
    ("carbon", "C"),
    ("nitrogen", "N"),
    ("oxygen", "O"),
    ("fluorine", "F"),
    ("neon", "Ne"),
    ("sodium", "Na"),
    ("magnesium", "Mg"),
    ("aluminium", "Al"),
    ("silicon", "Si"),
    ("phosphorus", "P"),
    ("sulfur", "S"),
    ("chlorine", "Cl"),
    ("argon", "Ar"),
    ("potassium", "K"),
    ("calcium", "Ca"),
    ("iron", "Fe"),
    ("copper", "Cu"),
    ("zinc", "Zn"),
    ("silver", "Ag"),
    ("tin", "Sn"),
    ("iodine", "I"),
    ("gold", "Au"),
    ("mercury", "Hg"),
    ("lead", "Pb"),
    ("uranium", "U"),
    ("nickel", "Ni"),
    ("platinum", "Pt"),
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// One of them, each table equally often.
pub(super) fn fact(stream: &mut Stream) -> Item {
    let ask = |question: String, answer: &str| item(&question, &[answer.to_owned()], "blue");
    match stream.below(6) {
        0 => {
            let (country, city) = CAPITALS[stream.below(CAPITALS.len())];
            ask(format!("What is the capital of {country}?"), city)
        }
        1 => {
            let (country, city) = CAPITALS[stream.below(CAPITALS.len())];
            ask(format!("Of which country is {city} the capital?"), country)
        }
        2 => {
            let (name, symbol) = ELEMENTS[stream.below(ELEMENTS.len())];
            ask(format!("What is the chemical symbol of {name}?"), symbol)
        }
        3 => {
            let (name, symbol) = ELEMENTS[stream.below(ELEMENTS.len())];
            ask(format!("Which chemical element has the symbol {symbol}?"), name)
        }
        4 => after(&MONTHS, "month", stream),
        _ => after(&DAYS, "day of the week", stream),
    }
}

fn after(cycle: &[&str], what: &str, stream: &mut Stream) -> Item {
    let (start, ahead) = (stream.below(cycle.len()), 1 + stream.below(4));
    let (unit, plural) = (what.split(' ').next().unwrap_or(what), if ahead == 1 { "" } else { "s" });
    let question = format!("Which {what} comes {ahead} {unit}{plural} after {}?", cycle[start]);
    item(&question, &[cycle[(start + ahead) % cycle.len()].to_owned()], "blue")
}
