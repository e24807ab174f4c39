//! Sample, verify, and tabulate with honest error bars.
//!
//! 1. [`evaluate`] samples every problem of every suite several times, at temperature 1 by default, with
//!    random numbers keyed by (problem, sample, position): two models answer under the same luck.
//! 2. The suite scores each completion; one [`Outcome`] per prompt and sample, with its text.
//! 3. [`summarise`] averages samples within problems, and problems within halves. The intervals are
//!    Student's t over problems, kept within 0 and 1 for shares (Wilson's over problems where all
//!    agree): problems are the unit, samples of one problem are not independent (PROTOCOL 1).
//! 4. How many completions were cut off stands beside every number. One that nobody could judge is left out and counted.
//!
//! Where a judge's labels are to be compared with the word rule, [`agreement`] says how far they agree.
//!
//! Where a problem is asked in several ways, `instantiations` says how far the answers hang on the way.
//! Where a problem was sampled several times, `pass_at_k` estimates the chance that one of k samples is right.
//! `seeds` and `seed_trajectory` take training runs as units, for what is said of methods.
//!
//! From the outcomes of several checkpoints, [`trajectories`] measures dip, recovery and decline, and
//! [`patterns`] counts backtracks, checks and branches. [`lm_eval_results`] writes the summary in the
//! layout that lm-evaluation-harness's readers expect.

mod agreement;
mod evaluate;
mod instantiations;
mod log_odds;
mod pass_at_k;
mod patterns;
mod results;
mod rows;
mod seed_trajectory;
mod seeds;
mod settings;
mod summarise;
mod trajectory;

pub use agreement::{AgreementRow, DisagreementRow, agreement};
pub use evaluate::{evaluate, score};
pub use log_odds::{first_token_log_odds, log_odds};
pub use patterns::{PatternRow, patterns};
pub use results::lm_eval_results;
pub use rows::{EvaluationRow, OutcomeRow};
pub use seed_trajectory::{SeedTrajectoryRow, trajectories_over_seeds};
pub use seeds::{ComparisonRow, Runs, SeedRow, compare, over_seeds};
pub use settings::EvaluationSettings;
pub use summarise::{Outcome, missing, summarise};
pub use trajectory::{TrajectoryRow, trajectories};

/// The `condition` of outcomes that were sampled without an edit.
pub const PLAIN: &str = "none";

/// The endpoint that moves where counts of refusals are at a ceiling: the log-odds of a refusal as the first
/// word of the response.
pub const REFUSAL_LOG_ODDS: &str = "refusal_log_odds";
