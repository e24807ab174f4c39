//! The values of sums, products and determinants.

use super::{Point, Value};
use crate::tasks::external::math::expression::Expression;
use crate::tasks::external::rational::Rational;
use std::cell::Cell;

/// The most terms of a sum.
const LONGEST: i64 = 10_000;

impl Point<'_> {
    /// By elimination.
    pub(super) fn determinant(&self, cells: &[Expression]) -> Option<Value> {
        let values = cells.iter().map(|cell| self.value(cell)).collect::<Option<Vec<Value>>>()?;
        let size = values.len().isqrt().max(1);
        let mut rows: Vec<Vec<Value>> = values.chunks(size).map(<[Value]>::to_vec).collect();
        let (zero, minus) = (Value::Exact(Rational::whole(0)), Value::Exact(Rational::whole(-1)));
        let mut found = Value::Exact(Rational::whole(1));
        while !rows.is_empty() {
            let pivot = rows.iter().position(|row| row.first().is_some_and(|first| !first.same(&zero)));
            let Some(place) = pivot else { return Some(zero) };
            let pivot = rows.remove(place);
            let (first, rest) = pivot.split_first()?;
            if place % 2 == 1 {
                found = self.multiply(&found, &minus)?;
            }
            found = self.multiply(&found, first)?;
            for row in &mut rows {
                self.fuel.take(pivot.len() as u64)?;
                let factor = self.multiply(&self.divide(row.first()?, first)?, &minus)?;
                let reduced = row.iter().skip(1).zip(rest);
                *row = reduced
                    .map(|(cell, above)| self.add(cell, &self.multiply(&factor, above)?))
                    .collect::<Option<Vec<Value>>>()?;
            }
        }
        Some(found)
    }

    /// The sum or the product of what a name makes of an expression, from one whole number to another.
    pub(super) fn series(
        &self,
        product: bool,
        name: &str,
        (from, to): (&Expression, &Expression),
        each: &Expression,
    ) -> Option<Value> {
        let (from, to) = (self.value(from)?.exact()?.as_small()?, self.value(to)?.exact()?.as_small()?);
        if to.checked_sub(from)? > LONGEST {
            return None;
        }
        let mut found = Value::Exact(Rational::whole(i64::from(product)));
        for number in from..=to {
            self.fuel.take(5)?;
            let mut symbols = self.symbols.clone();
            symbols.insert(name, Rational::whole(number));
            let point = Point {
                symbols: &symbols,
                fuel: self.fuel,
                decimal_logarithm: self.decimal_logarithm,
                left_the_reals: Cell::new(false),
            };
            let next = point.value(each)?;
            if point.left_the_reals.get() {
                self.left_the_reals.set(true);
            }
            found = if product { self.multiply(&found, &next)? } else { self.add(&found, &next)? };
            // Fractions grow with every term.
            if let Some(number) = found.exact() {
                let (above, below) = number.parts();
                self.fuel.take((above.bits() + below.bits()) / 8)?;
            }
        }
        Some(found)
    }
}
