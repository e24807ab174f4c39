//! Texts filled up to a width: `ljust`, `rjust`, `center` and `zfill`.

use super::meter::repeated;
use minijinja::Error;
use minijinja::value::Value;

/// The one character that fills what is missing, a blank unless it is given.
pub(super) fn fill(given: Option<&Value>) -> Option<char> {
    let Some(given) = given else { return Some(' ') };
    let mut characters = given.as_str()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// Filled up to `width` characters. Where an odd number is missing, `center` puts more to the left of an odd width.
pub(super) fn justified(name: &str, whole: &str, width: i64, fill: char) -> Result<String, Error> {
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(whole.chars().count());
    let before = match name {
        "ljust" => 0,
        "rjust" => missing,
        _ => missing / 2 + (missing & usize::try_from(width).unwrap_or(0) & 1),
    };
    let filled = |count: usize| repeated(fill.encode_utf8(&mut [0; 4]), count);
    Ok(filled(before)? + whole + &filled(missing - before)?)
}

/// Zeros between the sign and the rest.
pub(super) fn zero_filled(whole: &str, width: i64) -> Result<String, Error> {
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(whole.chars().count());
    let (sign, rest) = whole.split_at(usize::from(whole.starts_with(['-', '+'])));
    Ok(format!("{sign}{}{rest}", repeated("0", missing)?))
}
