//! The operators of Python that minijinja has otherwise.

use super::markup::Markup;
use super::meter;
use super::metered::{add_filter, add_test};
use super::methods::is_key;
use super::printf::formatted;
use super::sequences::{Sequence, is_list};
use super::text::text;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

/// A number, and a boolean, which is one in Python.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value.kind() {
            ValueKind::Bool => Some(Self::Whole(i128::from(value.is_true()))),
            ValueKind::Number if value.is_integer() => value.clone().try_into().ok().map(Self::Whole),
            ValueKind::Number => value.clone().try_into().ok().map(Self::Real),
            _ => None,
        }
    }

    pub(super) fn real(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }

    /// By one function if both are whole, by the other if not.
    fn with(
        left: &Value,
        right: &Value,
        whole: impl Fn(i128, i128) -> Option<i128>,
        real: impl Fn(f64, f64) -> Option<f64>,
    ) -> Option<Value> {
        match (Self::of(left)?, Self::of(right)?) {
            (Self::Whole(left), Self::Whole(right)) => whole(left, right).map(Value::from),
            (left, right) => real(left.real(), right.real()).map(Value::from),
        }
    }
}

pub(super) fn add_all(environment: &mut Environment<'_>) {
    add_filter(environment, "python_join", |left: &Value, right: &Value| text(left) + &text(right));
    add_filter(environment, "python_add", plus);
    add_filter(environment, "python_multiply", |left: &Value, right: &Value| {
        multiplied(left, right)?.ok_or_else(|| wrong("*", left, right))
    });
    // What stands right of a comparison: both sides are gone through together, so one that ends is enough.
    environment.add_filter("python_comparable", |value: Value| meter::through(&value).map(|()| value));
    environment.add_filter("python_key", |value: Value| match is_key(&value)? {
        true => Ok(value),
        false => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a {} cannot be a key of a dictionary", value.kind()),
        )),
    });
    add_filter(environment, "python_modulo", |left: &Value, right: &Value| match left.as_str() {
        Some(template) => formatted(template, right).map(Value::from),
        None => Number::with(
            left,
            right,
            |left, right| {
                left.checked_rem(right).map(|rest| if shifts(rest, right) { rest + right } else { rest })
            },
            |left, right| Some(divided(left, right)?.1),
        )
        .ok_or_else(|| wrong("%", left, right)),
    });
    add_filter(environment, "python_divide", |left: &Value, right: &Value| {
        let quotient =
            |left: Number, right: Number| (right.real() != 0.0).then(|| left.real() / right.real());
        let found = Number::of(left).zip(Number::of(right)).and_then(|(left, right)| quotient(left, right));
        found.ok_or_else(|| wrong("/", left, right))
    });
    add_test(environment, "even", |value: &Value| Ok::<_, Error>(rest(value, 2)? == 0.0));
    add_test(environment, "odd", |value: &Value| Ok::<_, Error>(rest(value, 2)? == 1.0));
    add_test(environment, "divisibleby", |value: &Value, by: i64| Ok::<_, Error>(rest(value, by)? == 0.0));
    add_filter(environment, "python_floor_divide", |left: &Value, right: &Value| {
        Number::with(
            left,
            right,
            |left, right| {
                let shift = i128::from(shifts(left.checked_rem(right)?, right));
                Some(left.checked_div(right)? - shift)
            },
            |left, right| Some(divided(left, right)?.0),
        )
        .ok_or_else(|| wrong("//", left, right))
    });
}

/// What is left of a number by a whole one.
fn rest(value: &Value, by: i64) -> Result<f64, Error> {
    let rest = match Number::of(value) {
        Some(Number::Whole(number)) => number.checked_rem_euclid(i128::from(by)).map(|rest| rest as f64),
        Some(Number::Real(number)) => divided(number, by as f64).map(|(_, rest)| rest),
        None => None,
    };
    rest.ok_or_else(|| wrong("%", value, &Value::from(by)))
}

/// `left + right`.
///
/// # Errors
/// If Python adds no two of their kinds.
pub(super) fn plus(left: &Value, right: &Value) -> Result<Value, Error> {
    add(left, right).ok_or_else(|| wrong("+", left, right))
}

fn add(left: &Value, right: &Value) -> Option<Value> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return Some(Value::from([left, right].concat()));
    }
    if let Some(text) = Markup::sum(left, right) {
        return Some(text);
    }
    let both = || Some(left.try_iter().ok()?.chain(right.try_iter().ok()?).collect::<Vec<_>>());
    if Sequence::is_tuple(left) && Sequence::is_tuple(right) {
        return both().map(Sequence::tuple);
    }
    if is_list(left) && is_list(right) {
        return both().map(Value::from);
    }
    Number::with(left, right, i128::checked_add, |left, right| Some(left + right))
}

/// A product, or a text or list repeated. A negative count repeats nothing.
fn multiplied(left: &Value, right: &Value) -> Result<Option<Value>, Error> {
    let repeats = |value: &Value| value.as_str().is_some() || is_list(value) || Sequence::is_tuple(value);
    let (whole, count) = if repeats(left) { (left, right) } else { (right, left) };
    let count = match Number::of(count) {
        Some(Number::Whole(count)) => usize::try_from(count.max(0)).unwrap_or(usize::MAX),
        _ if repeats(whole) => return Ok(None),
        _ => 0,
    };
    if let Some(part) = whole.as_str() {
        return meter::repeated(part, count).map(|text| Some(Value::from(text)));
    }
    if !repeats(whole) {
        return Ok(Number::with(left, right, i128::checked_mul, |left, right| Some(left * right)));
    }
    let items: Vec<Value> = whole.try_iter()?.collect();
    meter::pay(items.len().saturating_mul(count).saturating_mul(std::mem::size_of::<Value>()))?;
    let count = if items.is_empty() { 0 } else { count };
    let all = std::iter::repeat_n(&items, count).flatten().cloned().collect();
    Ok(Some(if Sequence::is_tuple(whole) { Sequence::tuple(all) } else { Value::from(all) }))
}

/// Whether a remainder is on the other side of zero than Python's, which has the sign of the divisor.
fn shifts(rest: i128, divisor: i128) -> bool {
    rest != 0 && (rest < 0) != (divisor < 0)
}

/// Quotient and remainder as CPython's `float_divmod` computes them; none by zero.
fn divided(left: f64, right: f64) -> Option<(f64, f64)> {
    if right == 0.0 {
        return None;
    }
    let mut rest = left % right;
    let mut quotient = (left - rest) / right;
    if rest == 0.0 {
        rest = 0.0_f64.copysign(right);
    } else if (right < 0.0) != (rest < 0.0) {
        rest += right;
        quotient -= 1.0;
    }
    let below = quotient.floor();
    let whole = match quotient == 0.0 {
        true => 0.0_f64.copysign(left / right),
        false => below + f64::from(u8::from(quotient - below > 0.5)),
    };
    Some((whole, rest))
}

fn wrong(operator: &str, left: &Value, right: &Value) -> Error {
    let message = format!("`{operator}` of a {} and a {}", left.kind(), right.kind());
    Error::new(ErrorKind::InvalidOperation, message)
}
