//! `value[start:stop:step]`, as Python cuts.

use super::methods::wrong;
use super::sequences::{Sequence, is_list};
use minijinja::Error;
use minijinja::value::Value;

/// `value[start:stop:step]` of a text, a list or a tuple.
pub(super) fn sliced(value: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let part = |index: usize| match arguments.get(index) {
        Some(part) if !part.is_none() => {
            part.as_i64().map(Some).ok_or_else(|| wrong("slice", "whole numbers"))
        }
        _ => Ok(None),
    };
    let (start, stop, step) = (part(0)?, part(1)?, part(2)?.unwrap_or(1));
    if step == 0 {
        return Err(wrong("slice", "a step other than zero"));
    }
    match value.as_str() {
        Some(text) => {
            let characters: Vec<char> = text.chars().collect();
            Ok(Value::from(picked(&characters, start, stop, step).into_iter().collect::<String>()))
        }
        None if is_list(value) || Sequence::is_tuple(value) => {
            let found = picked(&value.try_iter()?.collect::<Vec<_>>(), start, stop, step);
            Ok(if Sequence::is_tuple(value) { Sequence::tuple(found) } else { Value::from(found) })
        }
        None => Err(wrong("slice", &format!("a text or a list, found a {}", value.kind()))),
    }
}

/// The items that Python's slice picks: places are counted from the end if they are negative, and brought within.
fn picked<T: Clone>(items: &[T], start: Option<i64>, stop: Option<i64>, step: i64) -> Vec<T> {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (lowest, highest) = if step > 0 { (0, count) } else { (-1, count - 1) };
    let within =
        |place: i64| (if place < 0 { place.saturating_add(count) } else { place }).clamp(lowest, highest);
    let (first, end) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    let (mut at, stop) = (start.map_or(first, within), stop.map_or(end, within));
    let mut found = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        found.extend(usize::try_from(at).ok().and_then(|at| items.get(at)).cloned());
        at = at.saturating_add(step);
    }
    found
}
