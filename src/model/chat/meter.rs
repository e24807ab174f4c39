//! What a template may use up. A template is a program that came with a model: it is stopped before it fills the memory,
//! the stack or the day.
//!
//! - *Steps*: minijinja counts its instructions ([`steps`]).
//! - *Work*: whatever goes through a text or through several values is paid for here, by what it takes and by what it
//!   makes. The meter is one for the thread, which renders one template: once it is empty, nothing is made any more.
//! - *Width*: every filling and repeating goes through [`repeated`], every precision through [`decimals`].
//! - *Depth*: what goes down into lists within lists does so in [`within`].

use super::sequences::Sequence;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::cell::Cell;

/// The longest source of a template, in bytes. The longest of known models have some 30 kB.
pub(super) const SOURCE: usize = 512 << 10;
/// The most tokens between two braces of a template.
pub(super) const TAG: usize = 8192;
/// The stack of the thread that renders. What a template nests by its steps is taken apart on it.
pub(super) const STACK: usize = 256 << 20;
/// The longest text that a template may make, in bytes.
pub(super) const TEXT: usize = 16 << 20;

const STEPS: u64 = 1_000_000;
const WORK: u64 = 256 << 20;
const DEPTH: u32 = 200;
/// What a value costs that is kept, printed or gone into, as a text of so many bytes.
pub(super) const KEPT: usize = 64;
/// What a value costs that is looked at.
const SEEN: usize = 4;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(WORK) };
    static DOWN: Cell<u32> = const { Cell::new(0) };
    /// Whether the meter is empty because something nests too deep.
    static DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Fills the meter, for one template.
pub(super) fn fill() {
    LEFT.set(WORK);
    DOWN.set(0);
    DEEP.set(false);
}

/// Whether nothing is left: what was made since may be cut off.
pub(super) fn is_empty() -> bool {
    LEFT.get() == 0
}

/// How many instructions a template may take, of which each may print its `longest` text between tags.
pub(super) fn steps(longest: usize) -> u64 {
    STEPS.min((2 * WORK) / (longest as u64).max(1))
}

fn take(amount: usize) -> bool {
    let left = LEFT.get().saturating_sub(amount as u64);
    LEFT.set(left);
    left > 0
}

/// Pays for work of as much as `amount` bytes.
///
/// # Errors
/// If nothing is left.
pub(super) fn pay(amount: usize) -> Result<(), Error> {
    if take(amount) { Ok(()) } else { Err(spent()) }
}

pub(super) fn spent() -> Error {
    if DEEP.get() {
        return wrong(&format!("its values nest deeper than {DEPTH} levels, or hold themselves"));
    }
    wrong("it makes more text, or goes through more values, than any conversation asks for")
}

/// Pays for a text that is made; it comes out empty where nothing is left, and the template is refused at its end.
pub(super) fn paid(text: String) -> String {
    if text.len() <= TEXT && take(text.len()) {
        text
    } else {
        LEFT.set(0);
        String::new()
    }
}

/// Pays for what a function is given: the length of each text, and the places of each list.
///
/// # Errors
/// If nothing is left.
pub(super) fn taken(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(|value| pay(size(value, SEEN)))
}

/// Pays for what a function made.
///
/// # Errors
/// If nothing is left, or it is a text that is too long.
pub(super) fn made(value: Value) -> Result<Value, Error> {
    let size = size(&value, KEPT);
    if size > TEXT && value.as_str().is_some() {
        return Err(too_long());
    }
    pay(size)?;
    Ok(value)
}

fn size(value: &Value, each: usize) -> usize {
    match value.as_str() {
        Some(text) => text.len(),
        None => value.len().unwrap_or(1).saturating_mul(each),
    }
}

/// Pays for all that a value holds, however deep: for what compares it, sorts it or looks it up.
///
/// # Errors
/// If nothing is left, or it nests too deep.
pub(super) fn through(value: &Value) -> Result<(), Error> {
    pay(size(value, SEEN) + KEPT)?;
    if let Some(items) = Sequence::items(value) {
        return within(|| items.iter().try_for_each(through))?;
    }
    match value.kind() {
        ValueKind::Map => within(|| {
            for key in value.try_iter()? {
                through(&value.get_item(&key)?)?;
                through(&key)?;
            }
            Ok(())
        })?,
        // What is iterated once is not read here, and compares to nothing.
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            within(|| value.try_iter()?.try_for_each(|item| through(&item)))?
        }
        _ => Ok(()),
    }
}

/// Goes one level down into a value.
///
/// # Errors
/// If that is too deep.
pub(super) fn within<T>(down: impl FnOnce() -> T) -> Result<T, Error> {
    let depth = DOWN.get();
    pay(KEPT)?;
    if depth >= DEPTH {
        LEFT.set(0);
        DEEP.set(true);
        return Err(spent());
    }
    DOWN.set(depth + 1);
    let found = down();
    DOWN.set(depth);
    Ok(found)
}

/// `part` so many times: the one place where something is filled up or repeated.
///
/// # Errors
/// If the text is too long, or nothing is left.
pub(super) fn repeated(part: &str, count: usize) -> Result<String, Error> {
    let length = part.len().checked_mul(count).filter(|length| *length <= TEXT).ok_or_else(too_long)?;
    pay(length)?;
    Ok(part.repeat(count))
}

/// A number of so many decimals, of which all after the last that is not zero are filled in.
///
/// # Errors
/// As [`repeated`].
pub(super) fn decimals(number: f64, precision: usize) -> Result<String, Error> {
    /// More than any number has.
    const MOST: usize = 1100;
    pay(MOST)?;
    let shown = precision.min(MOST);
    Ok(format!("{number:.shown$}") + &repeated("0", precision - shown)?)
}

pub(super) fn too_long() -> Error {
    wrong(&format!("a text of more than {TEXT} bytes"))
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.to_owned())
}
