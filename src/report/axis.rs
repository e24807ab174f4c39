//! Axes: a range, a scale, and ticks at round numbers.

use super::numbers;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// How a tick is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As it is.
    Number,
    /// A share, shown in percent.
    Percent,
    /// A difference of shares, shown in signed percentage points.
    Points,
}

impl Format {
    /// Writes a tick with as many digits as the distance between ticks needs.
    fn write(self, value: f64, step: f64) -> String {
        let digits = |step: f64| (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
        match self {
            Self::Number => numbers::signed(value, digits(step)).replace('+', ""),
            Self::Percent => format!("{:.*}", digits(step * 100.0), value * 100.0),
            Self::Points => numbers::signed(value * 100.0, digits(step * 100.0)),
        }
    }
}

/// One axis, in the units of the data.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Values and what is written beside them.
    pub(super) ticks: Vec<(f64, String)>,
    logarithmic: bool,
}

impl Axis {
    /// An axis from `low` to `high` with about five ticks at round numbers.
    pub(super) fn fixed(label: &str, low: f64, high: f64, format: Format) -> Self {
        let step = round_step((high - low) / 5.0);
        let first = (low / step - 1e-9).ceil() as i64;
        let ticks = (first..first + 20)
            .map(|index| index as f64 * step)
            .take_while(|tick| *tick <= high + step * 1e-6)
            .map(|tick| (tick, format.write(tick, step)))
            .collect();
        Self { label: label.to_owned(), low, high, ticks, logarithmic: false }
    }

    /// An axis that holds all `values` with a little room at both ends.
    pub(super) fn around(label: &str, values: impl IntoIterator<Item = f64>, format: Format) -> Self {
        let (low, high) = extent(values);
        let room = (high - low) * 0.06;
        Self::fixed(label, low - room, high + room, format)
    }

    /// As [`Axis::around`], but it starts at zero.
    pub(super) fn from_zero(label: &str, values: impl IntoIterator<Item = f64>, format: Format) -> Self {
        let (_, high) = extent(values.into_iter().chain([0.0]));
        Self::fixed(label, 0.0, if high > 0.0 { high * 1.06 } else { 1.0 }, format)
    }

    /// A logarithmic axis of training steps, ticks at as many of the steps as fit.
    pub(super) fn steps(label: &str, steps: impl IntoIterator<Item = u64>) -> Self {
        let mut steps: Vec<f64> =
            steps.into_iter().filter(|step| *step > 0).map(|step| step as f64).collect();
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        let (low, high) = extent(steps.iter().map(|step| step.log2()));
        let room = (high - low) * 0.05;
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for step in steps {
            if ticks.last().is_none_or(|(last, _)| (step / last).log2() >= (high - low) / 8.5) {
                ticks.push((step, format!("{step:.0}")));
            }
        }
        let (low, high) = ((low - room).exp2(), (high + room).exp2());
        Self { label: label.to_owned(), low, high, ticks, logarithmic: true }
    }

    /// An axis of named places 0, 1, 2, ….
    pub(super) fn names<'a>(label: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let ticks: Vec<(f64, String)> =
            names.into_iter().enumerate().map(|(index, name)| (index as f64, name.to_owned())).collect();
        let high = ticks.len().max(1) as f64 - 0.5;
        Self { label: label.to_owned(), low: -0.5, high, ticks, logarithmic: false }
    }

    /// Where a value lies between the ends: 0 at `low`, 1 at `high`.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.max(f64::MIN_POSITIVE).log2() } else { value };
        let (low, high) = (scale(self.low), scale(self.high));
        (scale(value) - low) / (high - low)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        // A value beyond the axis is drawn a little beyond the frame, whatever its size.
        let place = self.place(*value).clamp(-0.5, 1.5);
        first + (place * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|(tick, _)| *tick).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|(tick, _)| tick == value).map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// The least and the greatest finite value; never an empty or inverted range.
fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match high - low {
        width if !width.is_finite() => (0.0, 1.0),
        width if width <= low.abs().max(1e-9) * 1e-9 => {
            (low - low.abs().max(1.0) * 0.1, high + high.abs().max(1.0) * 0.1)
        }
        _ => (low, high),
    }
}

/// The least of 1, 2, 5 times a power of ten that is no smaller than `wish`.
fn round_step(wish: f64) -> f64 {
    let power = 10f64.powf(wish.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= wish * 0.999)
        .unwrap_or(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::around("x", [-0.043, 0.121], Format::Points);
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["\u{2212}5", "0", "+5", "+10"]);
        let small = Axis::from_zero("x", [0.11], Format::Number);
        let labels: Vec<&str> = small.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0.00", "0.05", "0.10"]);
        assert!(axis.ticks.iter().all(|(tick, _)| (axis.low..=axis.high).contains(tick)));
    }

    #[test]
    fn an_axis_exists_for_no_value_for_one_and_for_nonsense() {
        for values in [vec![], vec![0.0], vec![3.5], vec![f64::NAN], vec![f64::INFINITY, 1.0, -1e-300]] {
            let axis = Axis::around("x", values, Format::Number);
            assert!(axis.low < axis.high && axis.low.is_finite() && axis.high.is_finite());
        }
    }

    #[test]
    fn steps_are_placed_by_doubling() {
        let axis = Axis::steps("step", [0, 10, 20, 40, 80, 160]);
        let (near, far) = (axis.place(80.0) - axis.place(40.0), axis.place(160.0) - axis.place(80.0));
        assert!((near - far).abs() < 1e-12 && near > 0.2);
        assert_eq!(axis.ticks.len(), 5);
    }
}
