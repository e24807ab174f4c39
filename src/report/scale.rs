//! How values and differences of an endpoint's scale are written.

use super::axis::Format;
use super::numbers::{percent, points, short, signed};

pub(super) use crate::tasks::Scale;

impl Scale {
    /// The unit of a difference.
    pub(in crate::report) fn unit(self) -> &'static str {
        match self {
            Self::Share => "points",
            Self::Count => "per response",
            Self::Nats => "nats",
        }
    }

    /// How an axis of differences is labelled.
    pub(in crate::report) fn format(self) -> Format {
        if self == Self::Share { Format::Points } else { Format::Number }
    }

    /// A value.
    pub(in crate::report) fn level(self, value: f64) -> String {
        if self == Self::Share { percent(value) } else { short(value) }
    }

    /// A difference of two values.
    pub(in crate::report) fn difference(self, value: f64) -> String {
        if self == Self::Share { points(value) } else { signed(value, 2) }
    }

    /// An interval of differences.
    pub(in crate::report) fn interval(self, low: f64, high: f64) -> String {
        format!("{} to {}", self.difference(low), self.difference(high))
    }

    /// The least and the greatest possible value.
    pub(in crate::report) fn bounds(self) -> (f64, f64) {
        match self {
            Self::Share => (0.0, 1.0),
            Self::Count => (0.0, f64::INFINITY),
            Self::Nats => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_is_no_share_and_answers_cut_off_are() {
        let scale = Scale::of("cross_entropy");
        assert_eq!((scale.level(4.86).as_str(), scale.unit()), ("4.86", "nats"));
        assert_eq!(Scale::of("cut_off"), Scale::Share);
    }
}
