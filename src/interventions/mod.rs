//! What is written into a forward pass, and nothing else.
//!
//! Every edit is a delta, so that the receiver keeps all that the dictionary does not explain
//! (PROTOCOL 3): at a hook point, `h_v <- h_v + dose * delta`. With `S` the feature set, `f` the joint
//! code at that token, `d_j^v` the decoder of feature `j` for the receiver `v` and `A` a donor:
//!
//! | edit | delta |
//! |---|---|
//! | zero | `- sum_S f_j d_j^v` |
//! | mean | `sum_S (m_j - f_j) d_j^v`, with `m` the mean code on the selection half |
//! | resample | `sum_S (f'_j - f_j) d_j^v`, with `f'` the code at a random token of the selection half |
//! | scale | `sum_S (c - 1) f_j d_j^v`, `c` the dose |
//! | clamp, steer | `sum_S (c p_j - f_j) d_j^v`; `sum_S c p_j d_j^v`; `p` the 95th percentile when active, `c` the dose |
//! | transplant | `sum_S f_j (d_j^A - d_j^v)` |
//! | two_source | `sum_S (f_j^A - f_j^v) d_j^v`, each code read from its own variant |
//! | project_out, add_direction | `- r r^T h`; `c r` |
//! | whole_difference, error_only | `h_A - h_v`; the part of it that no feature explains |
//!
//! Heads have a table of their own ([`HeadWriter`]). [`Edit`] is the choice as it stands in a study file,
//! [`Writer`] and [`HeadWriter`] the choice made ready for one receiver, and an [`Intervention`] says what is done where
//! and at which tokens: one value for hooks, sampling, training, notebooks and the conditions of a study. `made` makes
//! them of features, directions, heads and other runs, `arithmetic` of tensors; `act` puts them into a pass through one
//! model. [`Tally`] counts what was really written: an intervention that never acts, or whose delta vanishes, is an error
//! there and untestable by construction in a study, and not "no effect".
//!
//! Edits act at every position except those that hold the begin-of-sequence token, on prompt and
//! response alike unless [`Positions`] says otherwise.

mod act;
mod arithmetic;
mod edit;
mod feature_delta;
mod generate;
mod heads;
mod intervention;
mod made;
mod reading;
mod reference;
mod tally;
#[cfg(test)]
mod tests;
mod writer;

pub use act::{HooksUnder, under};
pub use edit::{Edit, Positions, TargetKind};
pub use feature_delta::{Decoders, FeatureDelta};
pub(crate) use generate::ending;
pub use generate::{Generation, Intervene, sample_under};
pub use heads::{Head, HeadWriter};
pub use intervention::Intervention;
pub(crate) use intervention::{Operation, Write};
pub use made::{Direction, Features, Patch};
pub(crate) use reading::CodeReader;
pub use reading::{Reading, View};
pub use reference::{CodeBank, Reference};
pub use tally::{Tallies, Tally, TextPart};
pub use writer::{Position, Writer};
