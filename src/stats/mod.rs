//! Bootstrap, sign flips, multiple testing, equivalence.
//!
//! The unit of everything here is the problem (PROTOCOL 1): one value a problem, never one a sample.
//!
//! * `summary`: mean, standard error and Student's t interval; Wilson's interval for shares.
//! * `bootstrap`: percentile intervals of any statistic; `simultaneous`: max-t intervals of many means.
//! * `sign_flip`: is a mean paired difference zero?
//! * `multiple`: Holm, Benjamini-Hochberg, Benjamini-Yekutieli, and levels for intervals of selected effects.
//! * `equivalence`: two one-sided tests; absence of significance is never read as absence of effect.
//! * `controls`: an effect among its matched controls; `power`: the smallest effect a design would find.
//! * `distributions`: the normal and Student's t, on which the intervals stand.
//!
//! What is random draws from streams keyed by the given seed and never depends on threads.

mod bootstrap;
mod controls;
mod distributions;
mod equivalence;
mod multiple;
mod power;
mod sign_flip;
mod simultaneous;
mod summary;

pub use bootstrap::Bootstrap;
pub use controls::{Likeness, p_controls, widening};
pub use distributions::{normal, normal_quantile, student_t, student_t_quantile};
pub use equivalence::{equivalence, equivalence_of_shares};
pub use multiple::{benjamini_hochberg, benjamini_yekutieli, false_coverage_level, holm};
pub use power::minimum_detectable_effect;
pub use sign_flip::{Alternative, sign_flip};
pub use simultaneous::{Estimand, simultaneous_intervals};
pub use summary::{Interval, Summary, wilson};
