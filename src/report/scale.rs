//! What an endpoint is measured in, and how its values and differences are written.

use super::axis::Format;
use super::numbers::{percent, points, short, signed};

/// The scale of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// A share of responses: levels in percent, differences in percentage points.
    Share,
    /// A mean count per response.
    Count,
    /// Log-odds, in nats.
    LogOdds,
}

impl Scale {
    /// The scale of the endpoint called `name`.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "attempts" | "response_tokens" => Self::Count,
            name if name.ends_with("log_odds") => Self::LogOdds,
            _ => Self::Share,
        }
    }

    /// The unit of a difference.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Share => "points",
            Self::Count => "per response",
            Self::LogOdds => "nats",
        }
    }

    /// How an axis of differences is labelled.
    pub(super) fn format(self) -> Format {
        if self == Self::Share { Format::Points } else { Format::Number }
    }

    /// A value.
    pub(super) fn level(self, value: f64) -> String {
        if self == Self::Share { percent(value) } else { short(value) }
    }

    /// A difference of two values.
    pub(super) fn difference(self, value: f64) -> String {
        if self == Self::Share { points(value) } else { signed(value, 2) }
    }

    /// An interval of differences.
    pub(super) fn interval(self, low: f64, high: f64) -> String {
        format!("{} to {}", self.difference(low), self.difference(high))
    }

    /// The least and the greatest possible value.
    pub(super) fn bounds(self) -> (f64, f64) {
        match self {
            Self::Share => (0.0, 1.0),
            Self::Count => (0.0, f64::INFINITY),
            Self::LogOdds => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}
