//! The operators of Python that minijinja has otherwise.

use super::markup::Markup;
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
    environment.add_filter("python_join", |left: &Value, right: &Value| text(left) + &text(right));
    environment.add_filter("python_add", |left: &Value, right: &Value| {
        add(left, right).ok_or_else(|| wrong("+", left, right))
    });
    environment.add_filter("python_modulo", |left: &Value, right: &Value| match left.as_str() {
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
    environment.add_filter("python_divide", |left: &Value, right: &Value| {
        let quotient =
            |left: Number, right: Number| (right.real() != 0.0).then(|| left.real() / right.real());
        let found = Number::of(left).zip(Number::of(right)).and_then(|(left, right)| quotient(left, right));
        found.ok_or_else(|| wrong("/", left, right))
    });
    environment.add_test("even", |value: &Value| Ok::<_, Error>(rest(value, 2)? == 0.0));
    environment.add_test("odd", |value: &Value| Ok::<_, Error>(rest(value, 2)? == 1.0));
    environment.add_test("divisibleby", |value: &Value, by: i64| Ok::<_, Error>(rest(value, by)? == 0.0));
    environment.add_filter("python_floor_divide", |left: &Value, right: &Value| {
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
