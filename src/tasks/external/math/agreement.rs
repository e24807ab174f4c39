//! Whether expressions have the same values: as constants, or at several points.

use super::evaluate::{Point, Setting, Value};
use super::expression::Expression;
use crate::rng::Stream;
use crate::tasks::external::rational::Rational;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// How many points must agree, and how many are tried for them.
const AGREEING: usize = 4;
const TRIED: usize = 24;

impl Setting {
    /// Whether two expressions are equal: as constants, or at every one of several points.
    pub(super) fn equal(&self, one: &Expression, other: &Expression) -> bool {
        if let (Some(one), Some(other)) = (one.infinite(), other.infinite()) {
            return one == other;
        }
        let ordered = one.ordered() == other.ordered();
        if ordered {
            return true;
        }
        self.agree(&[one, other], |values| values[0].same(&values[1])).unwrap_or(false)
    }

    /// Whether the values of expressions agree at points where all are real or, where there are none, at the others;
    /// `None` if there are too few points at which all have a value.
    pub(super) fn agree(
        &self,
        expressions: &[&Expression],
        right: impl Fn(&[Value]) -> bool,
    ) -> Option<bool> {
        let mut names = BTreeSet::new();
        for expression in expressions {
            expression.each(&mut |part| {
                if let Expression::Symbol(name) = part {
                    names.insert(name.as_str());
                }
            });
        }
        let (mut agreeing, mut elsewhere, mut apart) = (0, 0, false);
        for number in 0..TRIED {
            let symbols = point(&names, number as u64);
            let mut left = false;
            let values: Option<Vec<Value>> = expressions
                .iter()
                .map(|expression| {
                    let point = Point {
                        symbols: &symbols,
                        fuel: &self.fuel,
                        decimal_logarithm: self.decimal_logarithm,
                        left_the_reals: Cell::new(false),
                    };
                    let value = point.value(expression);
                    left |= point.left_the_reals.get();
                    value
                })
                .collect();
            if names.is_empty() {
                return Some(right(&values?));
            }
            let Some(values) = values else { continue };
            let agrees = right(&values);
            if !left {
                if !agrees {
                    return Some(false);
                }
                agreeing += 1;
                if agreeing == AGREEING {
                    return Some(true);
                }
            } else if agrees {
                elsewhere += 1;
            } else {
                apart = true;
            }
        }
        match agreeing {
            0 => (elsewhere > 0 || apart).then_some(elsewhere >= AGREEING && !apart),
            _ => Some(true),
        }
    }
}

/// A point with a rational number for every name, the same in every run. The first have positive ones, then come any,
/// then whole ones.
fn point<'a>(names: &BTreeSet<&'a str>, number: u64) -> BTreeMap<&'a str, Rational> {
    const BELOW: [i64; 6] = [7, 11, 13, 17, 19, 23];
    let mut stream = Stream::new(0, "tasks/math", &[number]);
    let mut whole = |most: usize| stream.below(most) as i64;
    let mut value = || {
        let (above, below, sign) = (1 + whole(60), whole(BELOW.len()), whole(2));
        let below = BELOW.get(below as usize).copied().unwrap_or(29);
        let above = if above % below == 0 { above + 1 } else { above };
        match number {
            0..=1 => Rational::new(above, below),
            16.. => Some(Rational::whole(2 + above % 9)),
            _ => Rational::new(if sign == 0 { above } else { -above }, below),
        }
    };
    names.iter().filter_map(|name| Some((*name, value()?))).collect()
}
